//! A reply that is being written: reading along from any device, coming back to it, and stopping it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::blocks;
use super::html::{self, Html, ShowHtml};
use super::stream::{EventId, Line};
use super::views::{self, IntegerId, MessageView};
use super::{AnyId, Ctx};
use crate::app::App;
use crate::error::{Error, Kind};
use crate::http::{
    Auth, Deferred, Either, Empty, EventStream, Later, Media, Path, Query, Reply, Route, Typed, get, post,
};
use crate::models::{Failure, FailureKind};
use crate::store::{self, Conversation, Message, Role, State};
use crate::turn::{self, Ended, Fault, Heard, Listen, Position, Said, Since};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get(
        "/conversations/{conversation_id}/events",
        Auth::User,
        "Read along while a reply is written, or go on after Last-Event-ID; ends with that reply. 204: nothing to read",
        &Deferred(attach),
    )
    .fails(&[Kind::RateLimited]),
    post(
        "/conversations/{conversation_id}/stop",
        Auth::User,
        "Stop the reply that is being written; answered with what came of it",
        &Deferred(stop),
    )
    .fails(&[Kind::Conflict]),
];

#[derive(Deserialize, JsonSchema)]
struct ConversationPath {
    conversation_id: AnyId,
}

impl ConversationPath {
    fn find(&self, ctx: &Ctx) -> Result<Conversation, Error> {
        let missing = || Error::new(Kind::NotFound, "Conversation not found");
        let (owner, which) = (ctx.user()?.id, self.conversation_id.parse().ok_or_else(missing)?);
        ctx.app.store.read(|read| store::find_conversation(read, owner, &which))
    }
}

#[derive(Deserialize, JsonSchema)]
struct Attach {
    /// The id of the last event that was read, for clients that cannot send it as the header field `Last-Event-ID`.
    #[serde(default)]
    last_event_id: Option<String>,
    /// Besides, `block` events: the reply's top-level blocks as HTML, from the first on, and `html` in the last message.
    #[serde(default)]
    #[schemars(with = "bool")]
    html: Html,
}

type Attached = Either<Empty, EventStream>;

/// Whoever has no last event is told the reply from its beginning; a last event that is none of ours counts as none.
fn attach(ctx: &Ctx, (Path(path), Query(query)): (Path<ConversationPath>, Query<Attach>), respond: Later<Attached>) {
    let conversation = match path.find(ctx) {
        Ok(conversation) => conversation,
        Err(error) => return respond.send(Err(error)),
    };
    let last = ctx.request.header("Last-Event-ID").or(query.last_event_id.as_deref());
    let last = last.and_then(EventId::parse);
    let has = last.map_or_else(Position::default, |last| last.at);
    let at = match query.html {
        // Blocks are made from the beginning; the reader leaves out what the client has.
        Html::With => Position::default(),
        Html::Without => has,
    };
    let from = last.map_or(Since::Start, |last| Since::After(last.message_id, at));
    let Some(line) = Line::new(ctx, Media::Events, respond) else {
        return;
    };
    let message_id = last.map_or(0, |last| last.message_id);
    let reader = blocks::reader(&line, query.html, message_id, has);
    match ctx.app.turns.attach(conversation.id, reader, from) {
        Ok(()) => line.open(),
        Err(mut reader) => match find_stored(ctx, &conversation, last) {
            Ok(Some(ended)) => {
                line.open();
                tell(&ended, &mut *reader, at);
            }
            Ok(None) => line.answer(Ok(Either::This(Empty(Reply::empty(204))))),
            Err(error) => line.answer(Err(error)),
        },
    }
}

/// The reply that somebody has a part of, if it is one of this conversation.
fn find_stored(ctx: &Ctx, conversation: &Conversation, last: Option<EventId>) -> Result<Option<Ended>, Error> {
    let Some(EventId { message_id, .. }) = last else {
        return Ok(None);
    };
    match ctx.app.turns.find_ended(ctx.user()?.id, message_id) {
        Ok(ended) if ended.message.conversation_id == conversation.id && ended.message.role == Role::Assistant => {
            Ok(Some(ended))
        }
        Ok(_) => Ok(None),
        // Nothing came of it.
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tells the rest of a stored reply, and how it ended.
fn tell(ended: &Ended, reader: &mut dyn Listen, from: Position) {
    let message = &ended.message;
    let said = Said {
        text: message.content.clone(),
        reasoning: message.reasoning.clone().unwrap_or_default(),
        tools: turn::parse_tool_calls(message.tool_calls.as_deref()),
    };
    if !said.tell(reader, from) {
        return;
    }
    let words = match (&message.error, message.state) {
        (Some(error), _) => error.clone(),
        (None, State::Streaming) => "The reply could not be stored whole".to_owned(),
        (None, _) => "The reply broke off".to_owned(),
    };
    let fault = Fault::Model(Failure {
        kind: FailureKind::Broken,
        message: words,
        retry_after_s: None,
        ran: None,
    });
    let heard = if turn::is_kept(message.state) {
        Heard::Done(ended)
    } else {
        Heard::Failed(&fault)
    };
    reader.hear(&heard, said.end());
}

type Stopped = Typed<MessageView<'static, IntegerId>>;

fn stop(ctx: &Ctx, (Path(path), Query(query)): (Path<ConversationPath>, Query<ShowHtml>), respond: Later<Stopped>) {
    let conversation = match path.find(ctx) {
        Ok(conversation) => conversation,
        Err(error) => return respond.send(Err(error)),
    };
    let listener = Stopper {
        app: Arc::clone(&ctx.app),
        html: query.html,
        respond: Some(respond),
    };
    if let Err(mut listener) = ctx.app.turns.stop_for(conversation.id, Box::new(listener)) {
        listener.hear(&Heard::Failed(&Fault::Store(not_writing())), Position::default());
    }
}

fn not_writing() -> Error {
    Error::new(Kind::Conflict, "No reply is being written")
}

/// Answers once the reply has ended.
struct Stopper {
    app: Arc<App>,
    html: Html,
    respond: Option<Later<Stopped>>,
}

impl Listen for Stopper {
    fn hear(&mut self, heard: &Heard<'_>, _: Position) -> bool {
        let ended = match heard {
            Heard::Done(ended) => ended,
            Heard::Failed(_) => {
                // It failed by itself before it could be stopped.
                if let Some(respond) = self.respond.take() {
                    respond.send(Err(not_writing()));
                }
                return false;
            }
            Heard::Start(_) | Heard::Text(_) | Heard::Reasoning(_) | Heard::Tool(_) => return true,
        };
        if let Some(respond) = self.respond.take() {
            let (messages, chat_id) = (vec![ended.message.clone()], ended.chat_id.clone());
            let answer = move |mut messages: Vec<Message>| {
                let stopped = messages.pop().ok_or_else(not_writing);
                respond.send(stopped.and_then(|message| Typed::json(&views::message(message, &chat_id))));
            };
            html::fill(&self.app, self.html, messages, answer);
        }
        false
    }
}
