//! The WebSocket: what happens to a user's conversations, on every device, as it happens. Owns the frames, in both
//! directions, and that a socket lasts no longer than the session it was opened with.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::session::{self, Caller};
use super::{Ctx, flutter, parse_id, views};
use crate::app::App;
use crate::error::{Error, Kind};
use crate::http::{Auth, Deferred, Handshake, Later, Listen, Query, Route, Said, Socket, Switched, get};
use crate::store::{self, Role};
use crate::turn::{Event, Notice, Subscriber, SubscriptionId};

pub(super) const ROUTES: &[Route<Ctx>] = &[get(
    "/ws",
    Auth::Public,
    "Open a WebSocket: messages, reading, typing and replies as they come",
    &Deferred(connect),
)
.fails(&[Kind::Forbidden, Kind::Malformed, Kind::RateLimited])];

/// Seconds after which a client with too many sockets may try again: those that its user has left without a word are
/// found out in about this time.
const TOO_MANY_RETRY_S: u32 = 60;

/// Characters of a client's own word that an error repeats.
const REPEATED_CHARS: usize = 50;

#[derive(Deserialize, JsonSchema)]
struct Connect {
    /// A bearer token, for clients that can send no header.
    #[serde(default)]
    token: Option<String>,
}

fn connect(ctx: &Ctx, Query(query): Query<Connect>, respond: Later<Switched>) {
    let handshake = match Handshake::read(&ctx.request) {
        Ok(handshake) => handshake,
        Err(reply) => return respond.send(Ok(Switched(reply))),
    };
    let caller = match admit(ctx, &query, &handshake) {
        Ok(caller) => caller,
        Err(error) => return respond.send(Err(error)),
    };
    let Some(id) = ctx.app.hub.reserve(caller.user.id) else {
        let error = Error::new(Kind::RateLimited, "Too many sockets are open for this account");
        return respond.send(Err(error.retry_after(TOO_MANY_RETRY_S)));
    };
    let device = Device {
        app: Arc::clone(&ctx.app),
        user_id: caller.user.id,
        id,
    };
    respond.upgrade(&handshake, |socket| {
        // Before the client learns that it is connected: from then on it misses nothing.
        let screen = Arc::new(Screen(socket.clone()));
        let hub = &device.app.hub;
        hub.subscribe(device.user_id, device.id, caller.session, screen);
        Box::new(device)
    });
}

/// Who opens the socket. Whoever may not is told so with 403 before the upgrade, as this family's clients expect.
fn admit(ctx: &Ctx, query: &Connect, handshake: &Handshake) -> Result<Caller, Error> {
    ctx.app.origins.check_site(&ctx.request)?;
    let offered = query.token.as_deref().or(handshake.token());
    let token = offered.or_else(|| session::token(&ctx.app, &ctx.request));
    let caller = token
        .ok_or_else(session::not_authenticated)
        .and_then(|token| session::identify(&ctx.app, token));
    caller.map_err(|error| match error.kind() {
        Kind::Unauthenticated => Error::new(Kind::Forbidden, error.message().to_owned()),
        _ => error,
    })
}

/// Ends the sockets whose sessions are over: expired, ended by whoever, or of a disabled account.
pub(super) fn patrol(app: &App) {
    check(app, None);
}

/// The same for one user, at once.
pub(super) fn recheck(app: &App, user_id: i64) {
    check(app, Some(user_id));
}

/// The store knows which sessions last; nothing here keeps a second account of them.
fn check(app: &App, user_id: Option<i64>) {
    let sessions = app.hub.sessions(user_id);
    if sessions.is_empty() {
        return;
    }
    let now = app.clock.now().text();
    match app.store.read(|read| store::list_ended_sessions(read, &sessions, &now)) {
        Ok(ended) => app.hub.dismiss(&ended),
        // The next patrol comes in half a second, and would say so twice a second.
        Err(error) => log::debug!("the sessions behind the sockets could not be checked: {error}"),
    }
}

/// A device as one that is shown what happens.
struct Screen(Socket);

impl Subscriber for Screen {
    fn notify(&self, notice: &Notice) {
        // Whoever is gone is unsubscribed when its socket is found closed.
        let _ = self.0.send(notice.text(write));
    }

    fn dismiss(&self) {
        self.0.dismiss();
    }
}

#[derive(Serialize)]
struct Frame<T> {
    r#type: &'static str,
    data: T,
}

#[derive(Serialize)]
struct ReadMark<'a> {
    message_id: &'a str,
    chat_id: &'a str,
}

#[derive(Serialize)]
struct Changed<'a> {
    chat_id: &'a str,
}

#[derive(Serialize)]
struct Typing<'a> {
    chat_id: &'a str,
    sender: &'static str,
    is_typing: bool,
}

#[derive(Serialize)]
struct Delta<'a> {
    chat_id: &'a str,
    message_id: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct Refusal<'a> {
    detail: &'a str,
}

const PONG: &str = r#"{"type":"pong"}"#;

fn frame(r#type: &'static str, data: impl Serialize) -> String {
    // These structs have string keys and no maps of other kinds, which is all that could fail.
    serde_json::to_string(&Frame { r#type, data }).unwrap_or_default()
}

/// An event as clients read it.
fn write(event: &Event) -> String {
    match event {
        Event::Message { chat_id, message } => {
            frame("message", views::message_with_uuid(message.as_ref().clone(), chat_id))
        }
        Event::Read { chat_id, message_id } => frame("read", ReadMark { message_id, chat_id }),
        Event::Changed { chat_id } => frame("changed", Changed { chat_id }),
        Event::Typing {
            chat_id,
            sender,
            is_typing,
        } => {
            let typing = Typing {
                chat_id,
                sender: views::sender(*sender),
                is_typing: *is_typing,
            };
            frame("typing", typing)
        }
        Event::Delta {
            chat_id,
            message_id,
            text,
        } => {
            let delta = Delta {
                chat_id,
                message_id,
                text,
            };
            frame("delta", delta)
        }
    }
}

/// A device as one that says something.
struct Device {
    app: Arc<App>,
    user_id: i64,
    id: SubscriptionId,
}

impl Listen for Device {
    fn heard(&self, socket: &Socket, said: Said) {
        let outcome = match said {
            Said::Text(text) => self.take(&text, socket),
            Said::Binary => Err(malformed("Only text frames are understood")),
        };
        if let Err(error) = outcome {
            let detail = match error.kind() {
                Kind::Internal => {
                    log::error!("a frame from a socket: {error}");
                    "Internal Server Error"
                }
                _ => error.message(),
            };
            let _ = socket.send(&frame("error", Refusal { detail }));
        }
    }

    fn closed(&self) {
        self.app.hub.unsubscribe(self.user_id, self.id);
    }
}

fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::Malformed, detail)
}

impl Device {
    /// One frame: `{"type": …, "data": {…}}`. Some clients write the fields beside the type.
    fn take(&self, text: &str, socket: &Socket) -> Result<(), Error> {
        let Ok(Value::Object(frame)) = serde_json::from_str(text) else {
            return Err(malformed("A frame must be a JSON object"));
        };
        let kind = frame.get("type").and_then(Value::as_str);
        let data = match frame.get("data") {
            None | Some(Value::Null) => &frame,
            Some(Value::Object(data)) => data,
            Some(_) => return Err(malformed("A frame's data must be an object")),
        };
        match kind {
            Some("ping") => {
                let _ = socket.send(PONG);
                Ok(())
            }
            Some("typing") => self.typing(data),
            Some("read") => self.read(data),
            Some(other) => {
                let other: String = other.chars().take(REPEATED_CHARS).collect();
                Err(malformed(format!("Frames of type '{other}' are not understood")))
            }
            None => Err(malformed("A frame must have a type")),
        }
    }

    /// The other devices see that somebody writes here.
    fn typing(&self, data: &Map<String, Value>) -> Result<(), Error> {
        let is_typing = match data.get("is_typing") {
            None => true,
            Some(Value::Bool(is_typing)) => *is_typing,
            Some(_) => return Err(malformed("is_typing must be true or false")),
        };
        let chat_id = id(data, "chat_id")?;
        let missing = || Error::new(Kind::NotFound, flutter::CHAT_NOT_FOUND);
        let which = parse_id(&chat_id).ok_or_else(missing)?;
        let found = self
            .app
            .store
            .read(|read| store::find_conversation(read, self.user_id, &which));
        let conversation = found.map_err(|error| match error.kind() {
            Kind::NotFound => missing(),
            _ => error,
        })?;
        self.app.hub.publish(self.user_id, Some(self.id), || Event::Typing {
            chat_id: conversation.uuid,
            sender: Role::User,
            is_typing,
        });
        Ok(())
    }

    fn read(&self, data: &Map<String, Value>) -> Result<(), Error> {
        flutter::mark_read(&self.app, self.user_id, &id(data, "message_id")?).map(drop)
    }
}

/// An id of either kind, as text.
fn id(data: &Map<String, Value>, name: &'static str) -> Result<String, Error> {
    match data.get(name) {
        Some(Value::String(id)) => Ok(id.clone()),
        Some(Value::Number(id)) => Ok(id.to_string()),
        Some(_) => Err(malformed(format!("{name} must be an id"))),
        None => Err(malformed(format!("{name} is missing"))),
    }
}
