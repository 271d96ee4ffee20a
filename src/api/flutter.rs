//! The Flutter client's door: `/chats/` with a slash at its end, bare lists, and UUIDs also for messages. What it shares
//! with the AI Chat Backend's clients (a chat by its id, changing and deleting it) is in `ai_chat`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::ai_chat::{self, ListMessages, TextId};
use super::html::{self, ShowHtml};
use super::send::{self, SendQuery, Sent, Words};
use super::views::{self, ChatView, Chats, MessageView, Uuid};
use super::{Ctx, parse_id};
use crate::app::App;
use crate::error::{Error, Kind};
use crate::http::{Auth, Body, Deferred, Json, Later, Path, Query, Raw, Reply, Route, Typed, get, post, put};
use crate::limits::{FILES_MAX, NAME_CHARS_MAX};
use crate::store::{self, Listed, Message, MessageDetails, Page, Ref};
use crate::turn::{Ask, Done, Event, Target};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    post("/chats/", Auth::User, "Create a chat with a title", &Json(create)),
    get(
        "/chats/",
        Auth::User,
        "List chats, pinned first, then newest activity first",
        &Raw(list),
    ),
    get(
        "/chats/{chat_id}/messages/",
        Auth::User,
        "List a chat's messages, oldest first, with UUIDs",
        &Deferred(messages),
    ),
    post(
        "/chats/{chat_id}/messages/",
        Auth::User,
        "Send a message; answered with it once the reply is stored, or with the reply as it comes",
        &Deferred(send),
    )
    .fails(&[Kind::OverBudget, Kind::Conflict, Kind::RateLimited]),
    put(
        "/messages/{message_id}/read",
        Auth::User,
        "Mark a message as read",
        &Deferred(read),
    ),
];

/// These clients ask for all of their chats at once; as with messages, 500 are what a reply holds.
const CHATS_MAX: i64 = 500;

/// This family's own words.
pub(super) const CHAT_NOT_FOUND: &str = "Chat not found";
const MESSAGE_NOT_FOUND: &str = "Message not found";

#[derive(Deserialize, JsonSchema)]
struct CreateChat {
    #[schemars(length(max = NAME_CHARS_MAX))]
    title: String,
}

fn create(ctx: &Ctx, Body(body): Body<CreateChat>) -> Result<ChatView<'static>, Error> {
    ai_chat::make(ctx, Some(body.title))
}

fn list(ctx: &Ctx, (): ()) -> Result<Typed<Vec<ChatView<'static>>>, Error> {
    let user = ctx.user()?;
    let first = Page {
        limit: CHATS_MAX,
        offset: 0,
    };
    ctx.app.store.read(|read| {
        let list = |show: &mut dyn FnMut(Listed<'_>)| {
            store::list_conversations_pinned_first(read, user.id, first, show).map(drop)
        };
        let chats = Chats::new(user, &list);
        let reply = Reply::json(200, &chats).map(Typed::made);
        reply.map_err(|error| chats.failure(error))
    })
}

#[derive(Deserialize, JsonSchema)]
struct ChatPath {
    chat_id: String,
}

impl ChatPath {
    fn chat(&self) -> Result<Ref, Error> {
        parse_id(&self.chat_id).ok_or_else(chat_not_found)
    }
}

fn chat_not_found() -> Error {
    Error::new(Kind::NotFound, CHAT_NOT_FOUND)
}

/// A conversation that the store does not find, in this family's words.
fn in_own_words(error: Error) -> Error {
    match error.kind() {
        Kind::NotFound => chat_not_found(),
        _ => error,
    }
}

type OneMessage = Typed<MessageView<'static, Uuid>>;
type Messages = Typed<Vec<MessageView<'static, Uuid>>>;

fn messages(ctx: &Ctx, (Path(path), Query(query)): (Path<ChatPath>, Query<ListMessages>), respond: Later<Messages>) {
    let page = ai_chat::find_page(ctx, path.chat(), query).map_err(in_own_words);
    ai_chat::answer_page(ctx, page, views::message_with_uuid, respond);
}

#[derive(Deserialize, JsonSchema)]
struct SendMessage {
    content: String,
    /// `text` (the default), `image`, `audio` …
    #[serde(default)]
    #[schemars(length(min = 1, max = 32))]
    r#type: Option<String>,
    /// Addresses of uploads.
    #[serde(default)]
    #[schemars(length(max = FILES_MAX), inner(length(max = 2048)))]
    media_urls: Option<Vec<String>>,
    /// The message this one answers.
    #[serde(default)]
    #[schemars(length(max = 64))]
    reply_to_id: Option<TextId>,
    /// Whether the reply draws on the caller's documents; without it, as the chat is set.
    #[serde(default)]
    library: Option<bool>,
    /// Whether the message waits for a reply that is being written in its conversation; else it is refused.
    #[serde(default)]
    queue: Option<bool>,
}

type SendInput = ((Path<ChatPath>, Query<SendQuery>), Body<SendMessage>);
type Respond = Later<Sent<MessageView<'static, Uuid>>>;

fn send(ctx: &Ctx, ((Path(path), Query(query)), Body(mut body)): SendInput, respond: Respond) {
    body.queue = Some(query.queue(body.queue));
    let words = Words {
        requested: None,
        missing: CHAT_NOT_FOUND.to_owned(),
        media: query.media(&ctx.request),
        html: query.html,
    };
    let (app, html) = (Arc::clone(&ctx.app), query.html);
    let asked = prepare(ctx, &path, body);
    let owner = asked.as_ref().map_or(0, |ask| ask.user.id);
    let view = move |done: Done, answer: send::Answer<_>| {
        let id = Ref::Id(done.request_message_id);
        match app.store.read(|read| store::find_message(read, owner, &id)) {
            Err(error) => answer(Err(error)),
            Ok((message, chat_id)) => {
                let view = one(chat_id);
                html::fill(&app, html, vec![message], |messages| answer(view(messages)));
            }
        }
    };
    send::send_later(ctx, asked, words, view, respond);
}

fn prepare(ctx: &Ctx, path: &ChatPath, body: SendMessage) -> Result<Ask, Error> {
    let (user, chat) = (ctx.user()?, path.chat()?);
    let found = ctx
        .app
        .store
        .read(|read| store::find_conversation(read, user.id, &chat));
    let conversation = found.map_err(in_own_words)?;
    let choice = send::choose(ctx, None, Some(&conversation))?;
    let admission = ctx.admit_message()?;
    let reply_to_id = body
        .reply_to_id
        .as_ref()
        .map(|id| own_kind(ctx, user.id, id))
        .transpose()?;
    Ok(Ask {
        user: user.clone(),
        to: Target::from(conversation),
        text: body.content,
        // Those that it names by their addresses are sent with it by the store.
        attachments: Vec::new(),
        choice,
        library: body.library,
        admission,
        prompt: None,
        details: MessageDetails {
            kind: body.r#type,
            media_urls: body.media_urls.unwrap_or_default(),
            reply_to_id,
        },
        queue: body.queue == Some(true),
    })
}

/// The UUID of the message that an id of either kind names; what names none of the user's stays as it was sent.
fn own_kind(ctx: &Ctx, owner: i64, id: &TextId) -> Result<String, Error> {
    let text = id.text();
    let Some(which) = parse_id(&text) else {
        return Ok(text);
    };
    match ctx.app.store.read(|read| store::find_message(read, owner, &which)) {
        Ok((message, _)) => Ok(message.uuid),
        Err(error) if error.kind() == Kind::NotFound => Ok(text),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize, JsonSchema)]
struct MessagePath {
    message_id: String,
}

fn read(ctx: &Ctx, (Path(path), Query(query)): (Path<MessagePath>, Query<ShowHtml>), respond: Later<OneMessage>) {
    let marked = ctx
        .user()
        .and_then(|user| mark_read(&ctx.app, user.id, &path.message_id));
    match marked {
        Ok((message, chat_id)) => html::answer(ctx, query.html, vec![message], one(chat_id), respond),
        Err(error) => respond.send(Err(error)),
    }
}

/// The view of a message alone.
fn one(chat_id: String) -> impl FnOnce(Vec<Message>) -> Result<OneMessage, Error> + Send + 'static {
    move |mut messages| {
        let message = messages
            .pop()
            .ok_or_else(|| Error::new(Kind::NotFound, MESSAGE_NOT_FOUND))?;
        Typed::json(&views::message_with_uuid(message, &chat_id))
    }
}

/// Marks one of the user's messages as read, and tells all of the user's devices. Returns it with its chat's UUID.
pub(super) fn mark_read(app: &App, user_id: i64, message_id: &str) -> Result<(Message, String), Error> {
    let missing = || Error::new(Kind::NotFound, MESSAGE_NOT_FOUND);
    let which = parse_id(message_id).ok_or_else(missing)?;
    let (message, chat_id) = app.store.write(move |tx| store::mark_read(tx, user_id, &which))?;
    app.hub.publish(user_id, None, || Event::Read {
        chat_id: chat_id.clone(),
        message_id: message.uuid.clone(),
    });
    Ok((message, chat_id))
}
