//! The AI Chat Backend's door: `/chats`, and `POST /chat` with JSON. Ids are UUIDs, except those of messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::html::{self, Html};
use super::send::{self, SendQuery, Sent, Words};
use super::views::{self, ChatView, IntegerId, MessageView};
use super::{AnyId, Ctx, chat_form, parse_id, unknown_model};
use crate::error::{Error, Kind};
use crate::http::{
    Auth, Body, ByType, Created, Deferred, Json, Later, NoContent, Path, Query, Route, Typed, delete, get, patch, post,
};
use crate::store::{self, Branch, Conversation, ConversationPatch, Message, NewConversation, Page, Read, Ref};
use crate::turn::{Ask, Done, Target};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    post("/chats", Auth::User, "Create a chat", &Created(create)),
    get(
        "/chats",
        Auth::User,
        "List chats, most recently updated first",
        &Json(list),
    ),
    get("/chats/{chat_id}", Auth::User, "Get a chat", &Json(read)),
    get(
        "/chats/{chat_id}/messages",
        Auth::User,
        "List a chat's messages, oldest first",
        &Deferred(messages),
    ),
    patch(
        "/chats/{chat_id}",
        Auth::User,
        "Rename, pin or archive a chat",
        &Json(update),
    ),
    delete(
        "/chats/{chat_id}",
        Auth::User,
        "Delete a chat; it can be restored for 30 days",
        &NoContent(remove),
    ),
    post(
        "/chats/{chat_id}/restore",
        Auth::User,
        "Undo a deletion",
        &Json(restore),
    ),
    post(
        "/chat",
        Auth::User,
        "Send a message as JSON, or as a form, which may hold files; wait for the reply, or read it as it comes",
        &ByType(&Deferred(chat), &Deferred(chat_form::send)),
    )
    .fails(&[Kind::NotFound, Kind::OverBudget, Kind::Conflict, Kind::RateLimited]),
];

#[derive(Deserialize, JsonSchema)]
struct ChatPath {
    chat_id: String,
}

impl ChatPath {
    /// The chat it names, or the sentence that there is none.
    fn chat(&self) -> Result<Ref, Error> {
        parse_id(&self.chat_id).ok_or_else(|| missing(&self.chat_id))
    }

    /// The same sentence for a chat that the store does not find.
    fn or_missing(&self, error: Error) -> Error {
        if error.kind() == Kind::NotFound {
            missing(&self.chat_id)
        } else {
            error
        }
    }
}

fn missing(chat_id: &str) -> Error {
    Error::new(Kind::NotFound, no_chat(chat_id))
}

fn no_chat(chat_id: &str) -> String {
    format!("Chat with id '{chat_id}' not found")
}

#[derive(Deserialize, JsonSchema)]
struct CreateChat {
    #[serde(default)]
    #[schemars(length(max = 200))]
    title: Option<String>,
}

fn create(ctx: &Ctx, Body(body): Body<CreateChat>) -> Result<ChatView, Error> {
    make(ctx, body.title)
}

/// Makes an empty chat.
pub(super) fn make(ctx: &Ctx, title: Option<String>) -> Result<ChatView, Error> {
    let user = ctx.user()?;
    let new = NewConversation {
        user_id: user.id,
        uuid: ctx.app.clock.uuid(),
        title,
        created_at: ctx.now(),
    };
    let conversation = ctx.app.store.write(move |tx| {
        let id = store::insert_conversation(tx, &new)?;
        store::find_conversation(tx, new.user_id, &Ref::Id(id))
    })?;
    Ok(views::chat(conversation, user))
}

#[derive(Deserialize, JsonSchema)]
struct ListChats {
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 100))]
    limit: i64,
    #[serde(default)]
    #[schemars(range(min = 0))]
    offset: i64,
}

fn default_limit() -> i64 {
    50
}

#[derive(Serialize, JsonSchema)]
struct ChatList {
    chats: Vec<ChatView>,
    total: i64,
}

fn list(ctx: &Ctx, Query(query): Query<ListChats>) -> Result<ChatList, Error> {
    let user = ctx.user()?;
    let page = Page {
        limit: query.limit,
        offset: query.offset,
    };
    let conversations = ctx
        .app
        .store
        .read(|read| store::list_conversations(read, user.id, page))?;
    Ok(ChatList {
        chats: conversations
            .into_iter()
            .map(|conversation| views::chat(conversation, user))
            .collect(),
        total: user.conversation_count,
    })
}

fn find(ctx: &Ctx, path: &ChatPath) -> Result<Conversation, Error> {
    let (owner, chat) = (ctx.user()?.id, path.chat()?);
    let found = ctx.app.store.read(|read| store::find_conversation(read, owner, &chat));
    found.map_err(|error| path.or_missing(error))
}

fn read(ctx: &Ctx, Path(path): Path<ChatPath>) -> Result<ChatView, Error> {
    Ok(views::chat(find(ctx, &path)?, ctx.user()?))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ListMessages {
    #[serde(default = "page_limit")]
    #[schemars(range(min = 1, max = 500))]
    limit: i64,
    /// Only messages older than this one.
    #[serde(default)]
    before: Option<AnyId>,
    /// Messages carry `html`, their text as HTML; without it where the server had no time to make it.
    #[serde(default)]
    #[schemars(with = "bool")]
    pub(super) html: Html,
}

/// Clients that know no pages get as much in the first one as a page may hold.
pub(super) fn page_limit() -> i64 {
    500
}

type Messages = Typed<Vec<MessageView<'static, IntegerId>>>;

fn messages(ctx: &Ctx, (Path(path), Query(query)): (Path<ChatPath>, Query<ListMessages>), respond: Later<Messages>) {
    let html = query.html;
    let (chat, messages) = match page(ctx, &path, query) {
        Ok(page) => page,
        Err(error) => return respond.send(Err(path.or_missing(error))),
    };
    let view = move |messages: Vec<Message>| {
        let messages = messages.into_iter();
        let views: Vec<_> = messages.map(|message| views::message(message, &chat.uuid)).collect();
        Typed::json(&views)
    };
    html::answer(ctx, html, messages, view, respond);
}

fn page(ctx: &Ctx, path: &ChatPath, query: ListMessages) -> Result<(Conversation, Vec<Message>), Error> {
    let (owner, chat) = (ctx.user()?.id, path.chat()?);
    ctx.app.store.read(|read| find_messages(read, owner, &chat, query))
}

/// One of the owner's chats, and a page of its messages.
pub(super) fn find_messages(
    read: &Read<'_>,
    owner: i64,
    chat: &Ref,
    query: ListMessages,
) -> Result<(Conversation, Vec<Message>), Error> {
    let conversation = store::find_conversation(read, owner, chat)?;
    let branch = Branch {
        conversation_id: conversation.id,
        leaf_id: conversation.leaf_id,
        before: query.before.and_then(|before| before.parse()),
        limit: query.limit,
    };
    let messages = store::list_branch(read, &branch)?;
    Ok((conversation, messages))
}

#[derive(Deserialize, JsonSchema)]
struct UpdateChat {
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    title: Option<String>,
    #[serde(default)]
    is_pinned: Option<bool>,
    #[serde(default)]
    is_archived: Option<bool>,
    /// Whether replies draw on the caller's documents.
    #[serde(default)]
    library: Option<bool>,
}

fn update(ctx: &Ctx, (Path(path), Body(body)): (Path<ChatPath>, Body<UpdateChat>)) -> Result<ChatView, Error> {
    let (user, chat) = (ctx.user()?, path.chat()?);
    let patch = ConversationPatch {
        title: body.title,
        is_pinned: body.is_pinned,
        is_archived: body.is_archived,
        library: body.library,
    };
    let (owner, now) = (user.id, ctx.now());
    let updated = ctx
        .app
        .store
        .write(move |tx| store::update_conversation(tx, owner, &chat, &patch, &now));
    Ok(views::chat(updated.map_err(|error| path.or_missing(error))?, user))
}

fn remove(ctx: &Ctx, Path(path): Path<ChatPath>) -> Result<(), Error> {
    let (owner, chat, now) = (ctx.user()?.id, path.chat()?, ctx.now());
    let removed = ctx
        .app
        .store
        .write(move |tx| store::delete_conversation(tx, owner, &chat, &now));
    let id = removed.map_err(|error| path.or_missing(error))?;
    ctx.app.turns.stop(id);
    Ok(())
}

fn restore(ctx: &Ctx, Path(path): Path<ChatPath>) -> Result<ChatView, Error> {
    let (user, chat) = (ctx.user()?, path.chat()?);
    let owner = user.id;
    let restored = ctx
        .app
        .store
        .write(move |tx| store::restore_conversation(tx, owner, &chat));
    Ok(views::chat(restored.map_err(|error| path.or_missing(error))?, user))
}

#[derive(Deserialize, JsonSchema)]
struct SendMessage {
    #[schemars(length(min = 1))]
    message: String,
    /// Without it a chat is created.
    #[serde(default)]
    chat_id: Option<TextId>,
    #[serde(default)]
    model: Option<String>,
    /// Whether the reply draws on the caller's documents; without it, as the chat is set.
    #[serde(default)]
    library: Option<bool>,
    /// Whether the message waits for a reply that is being written in its conversation; else it is refused.
    #[serde(default)]
    queue: Option<bool>,
}

/// An id that is sent as text, or as a number all the same.
#[derive(Deserialize)]
pub(super) struct TextId(AnyId);

impl TextId {
    pub(super) fn text(&self) -> String {
        match &self.0 {
            AnyId::Number(id) => id.to_string(),
            AnyId::Text(text) => text.clone(),
        }
    }
}

impl JsonSchema for TextId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TextId".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "id" })
    }
}

#[derive(Serialize, JsonSchema)]
struct Replied {
    reply: String,
    chat_id: String,
}

type ChatInput = (Query<SendQuery>, Body<SendMessage>);

fn chat(ctx: &Ctx, (Query(query), Body(mut body)): ChatInput, respond: Later<Sent<Replied>>) {
    body.queue = Some(query.queue(body.queue));
    let words = Words {
        requested: body.model.clone(),
        missing: match &body.chat_id {
            Some(chat_id) => no_chat(&chat_id.text()),
            None => "Chat not found".to_owned(),
        },
        media: query.media(&ctx.request),
    };
    let view = |done: Done| {
        let replied = Replied {
            reply: done.text,
            chat_id: done.conversation_uuid,
        };
        Typed::json(&replied)
    };
    send::send(ctx, prepare(ctx, body), words, view, respond);
}

fn prepare(ctx: &Ctx, body: SendMessage) -> Result<Ask, Error> {
    let user = ctx.user()?;
    let requested = body.model.as_deref();
    let choice = ctx
        .app
        .models
        .resolve(requested)
        .map_err(|_| unknown_model(requested.unwrap_or("")))?;
    let to = match body.chat_id {
        None => Target::New,
        Some(id) => Target::from(find(ctx, &ChatPath { chat_id: id.text() })?),
    };
    let api_key = ctx.count_message()?;
    Ok(Ask {
        user: user.clone(),
        to,
        text: body.message,
        attachments: Vec::new(),
        choice,
        library: body.library,
        api_key,
        prompt: None,
        details: store::MessageDetails::default(),
        queue: body.queue == Some(true),
    })
}
