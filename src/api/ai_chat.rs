//! The AI Chat Backend's door: `/chats`, and `POST /chat` with JSON. Ids are UUIDs, except those of messages.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::changes::{self, UpdateChat};
use super::html::{self, Html};
use super::send::{self, SendQuery, Sent, Words};
use super::views::{self, ChatView, Chats, IntegerId, MessageView};
use super::{AnyId, Ctx, chat_form, parse_id};
use crate::error::{Error, Kind};
use crate::http::{
    Auth, Body, ByType, Created, Deferred, Json, Later, NoContent, Path, Query, Raw, Route, Typed, delete, get, patch,
    post,
};
use crate::limits::{NAME_CHARS_MAX, TAG_CHARS_MAX};
use crate::store::{self, Around, Branch, Conversation, Listed, Message, MessageIds, NewConversation, Page, Read, Ref};
use crate::turn::{Ask, Done, Target};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    post("/chats", Auth::User, "Create a chat", &Created(create)),
    get(
        "/chats",
        Auth::User,
        "List chats, most recently updated first",
        &Raw(list),
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
        "Rename, pin, archive or tag a chat, and say what its replies are made with",
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
    #[schemars(length(max = NAME_CHARS_MAX))]
    title: Option<String>,
}

fn create(ctx: &Ctx, Body(body): Body<CreateChat>) -> Result<ChatView<'static>, Error> {
    make(ctx, body.title)
}

/// Makes an empty chat.
pub(super) fn make(ctx: &Ctx, title: Option<String>) -> Result<ChatView<'static>, Error> {
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
pub(super) struct ListChats {
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 100))]
    limit: i64,
    #[serde(default)]
    #[schemars(range(min = 0))]
    offset: i64,
    /// Those that are pinned before all others; with a tag it says nothing.
    #[serde(default)]
    pinned_first: bool,
    /// Only those with this tag.
    #[serde(default)]
    #[schemars(length(max = TAG_CHARS_MAX))]
    tag: Option<String>,
}

impl ListChats {
    /// What a list begins with that shows the pinned ones first.
    pub(super) fn first() -> ListChats {
        ListChats {
            limit: default_limit(),
            offset: 0,
            pinned_first: true,
            tag: None,
        }
    }
}

fn default_limit() -> i64 {
    50
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ChatList<'a> {
    #[schemars(with = "Vec<ChatView<'static>>")]
    chats: &'a Chats<'a>,
    total: i64,
}

fn list(ctx: &Ctx, Query(query): Query<ListChats>) -> Result<Typed<ChatList<'static>>, Error> {
    with_list(ctx, &query, |list| Typed::json(&list))
}

/// Answers with a list of the caller's chats in it.
pub(super) fn with_list<T>(
    ctx: &Ctx,
    query: &ListChats,
    answer: impl FnOnce(ChatList<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let user = ctx.user()?;
    let page = Page {
        limit: query.limit,
        offset: query.offset,
    };
    let tag = query.tag.as_deref().map(str::trim).filter(|tag| !tag.is_empty());
    ctx.app.store.read(|read| {
        let total = match tag {
            None => user.conversation_count,
            Some(tag) => store::count_tagged(read, user.id, tag)?,
        };
        let list = |show: &mut dyn FnMut(Listed<'_>)| {
            match tag {
                None if query.pinned_first => store::list_conversations_pinned_first(read, user.id, page, show),
                None => store::list_conversations(read, user.id, page, show),
                Some(tag) => store::list_tagged(read, user.id, tag, page, show),
            }
            .map(drop)
        };
        let chats = Chats::new(user, &list);
        answer(ChatList { chats: &chats, total }).map_err(|error| chats.failure(error))
    })
}

fn find(ctx: &Ctx, path: &ChatPath) -> Result<Conversation, Error> {
    let (owner, chat) = (ctx.user()?.id, path.chat()?);
    let found = ctx.app.store.read(|read| store::find_conversation(read, owner, &chat));
    found.map_err(|error| path.or_missing(error))
}

fn read(ctx: &Ctx, Path(path): Path<ChatPath>) -> Result<ChatView<'static>, Error> {
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
    /// Whether messages say what stands around them in the tree: `parent_id` and `siblings`.
    #[serde(default)]
    tree: bool,
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
    let page = find_page(ctx, path.chat(), query).map_err(|error| path.or_missing(error));
    answer_page(ctx, page, views::message, respond);
}

/// A page of a conversation's messages.
pub(super) struct MessagePage {
    pub(super) conversation: Conversation,
    pub(super) messages: Vec<Message>,
    /// What stands around each, by its id, where that was asked for.
    pub(super) around: HashMap<i64, Around>,
    html: Html,
}

/// A page of one of the caller's chats, as it was asked for.
///
/// # Errors
/// [`Kind::NotFound`], and whatever is wrong with `chat`.
pub(super) fn find_page(ctx: &Ctx, chat: Result<Ref, Error>, query: ListMessages) -> Result<MessagePage, Error> {
    let (owner, chat) = (ctx.user()?.id, chat?);
    ctx.app.store.read(|read| find_messages(read, owner, &chat, query))
}

/// Answers with a page, its messages as `view` shows them.
pub(super) fn answer_page<I>(
    ctx: &Ctx,
    page: Result<MessagePage, Error>,
    view: fn(Message, &str) -> MessageView<'_, I>,
    respond: Later<Typed<Vec<MessageView<'static, I>>>>,
) where
    I: Serialize + JsonSchema + From<MessageIds> + 'static,
{
    let MessagePage {
        conversation,
        messages,
        mut around,
        html,
    } = match page {
        Ok(page) => page,
        Err(error) => return respond.send(Err(error)),
    };
    let views = move |messages: Vec<Message>| {
        let view = |message: Message| {
            let around = around.remove(&message.id);
            view(message, &conversation.uuid).within(around)
        };
        Typed::json(&messages.into_iter().map(view).collect::<Vec<_>>())
    };
    html::answer(ctx, html, messages, views, respond);
}

/// One of the owner's chats, and a page of its messages.
pub(super) fn find_messages(
    read: &Read<'_>,
    owner: i64,
    chat: &Ref,
    query: ListMessages,
) -> Result<MessagePage, Error> {
    let conversation = store::find_conversation(read, owner, chat)?;
    let branch = Branch {
        conversation_id: conversation.id,
        leaf_id: conversation.leaf_id,
        before: query.before.and_then(|before| before.parse()),
        limit: query.limit,
    };
    let messages = store::list_branch(read, &branch)?;
    let around = if query.tree {
        store::list_around(read, &messages)?
    } else {
        HashMap::new()
    };
    Ok(MessagePage {
        conversation,
        messages,
        around,
        html: query.html,
    })
}

fn update(ctx: &Ctx, (Path(path), Body(body)): (Path<ChatPath>, Body<UpdateChat>)) -> Result<ChatView<'static>, Error> {
    let updated = changes::update(ctx, path.chat()?, body);
    Ok(views::chat(
        updated.map_err(|error| path.or_missing(error))?,
        ctx.user()?,
    ))
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

fn restore(ctx: &Ctx, Path(path): Path<ChatPath>) -> Result<ChatView<'static>, Error> {
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
        html: query.html,
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
    let requested = body.model.as_deref().filter(|name| !name.trim().is_empty());
    // A model that nobody serves is said before a chat that is not there.
    let named = requested.map(|name| send::choose(ctx, Some(name), None)).transpose()?;
    let chat = body.chat_id.map(|id| find(ctx, &ChatPath { chat_id: id.text() }));
    let chat = chat.transpose()?;
    let choice = match named {
        Some(choice) => choice,
        None => send::choose(ctx, None, chat.as_ref())?,
    };
    let to = chat.map_or(Target::New, Target::from);
    let admission = ctx.admit_message()?;
    Ok(Ask {
        user: user.clone(),
        to,
        text: body.message,
        attachments: Vec::new(),
        choice,
        library: body.library,
        admission,
        prompt: None,
        details: store::MessageDetails::default(),
        queue: body.queue == Some(true),
    })
}
