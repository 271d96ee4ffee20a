//! ChatAI's door: `/conversations/` with integer ids, what replies cost, and the models there are.

mod views;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::views::{ConversationView, MessageView, Parts, UsageView};
use super::ai_chat::{ListMessages, find_messages, page_limit};
use super::changes::{self, UpdateChat};
use super::html::{self, ShowHtml};
use super::providers::{Runner, runners};
use super::{AnyId, Ctx, session};
use crate::error::{Error, Kind};
use crate::http::{Auth, Body, Deferred, Json, Later, Path, Query, Route, Typed, delete, get, patch, post, put};
use crate::limits::NAME_CHARS_MAX;
use crate::models::{ECHO, LIBRARY};
use crate::store::{self, Conversation, ConversationPatch, Message, NewConversation, Page, Ref};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get(
        "/conversations/",
        Auth::User,
        "List conversations, newest first",
        &Json(list),
    ),
    post(
        "/conversations/",
        Auth::User,
        "Create a conversation; the reply is its id",
        &Json(create),
    ),
    get(
        "/conversations/{conversation_id}/messages",
        Auth::User,
        "List a conversation's messages, oldest first, with tokens and prices",
        &Deferred(messages),
    ),
    patch(
        "/conversations/{conversation_id}",
        Auth::User,
        "Change a conversation and what its replies are made with",
        &Json(update),
    ),
    put(
        "/conversations/{conversation_id}/rename",
        Auth::User,
        "Rename a conversation",
        &Json(rename),
    ),
    delete(
        "/conversations/{conversation_id}",
        Auth::User,
        "Delete a conversation; it can be restored for 30 days",
        &Json(remove),
    ),
    get(
        "/conversations/{conversation_id}/context",
        Auth::User,
        "What a model is given before the next message, as text",
        &Json(context),
    ),
    get(
        "/chat/messages/{message_id}/usage-details",
        Auth::User,
        "What a reply cost, call by call",
        &Deferred(message_usage),
    ),
    get(
        "/chat/{conversation_id}/usage-details",
        Auth::User,
        "What a conversation cost, call by call",
        &Json(conversation_usage),
    ),
    get(
        "/models",
        Auth::Public,
        "The models there are, the default first",
        &Json(models),
    ),
];

#[derive(Deserialize, JsonSchema)]
pub(super) struct ConversationPath {
    conversation_id: AnyId,
}

impl ConversationPath {
    pub(super) fn conversation(&self) -> Result<Ref, Error> {
        self.conversation_id
            .parse()
            .ok_or_else(|| Error::new(Kind::NotFound, "Conversation not found"))
    }

    fn find(&self, ctx: &Ctx) -> Result<Conversation, Error> {
        let (owner, which) = (ctx.user()?.id, self.conversation()?);
        ctx.app.store.read(|read| store::find_conversation(read, owner, &which))
    }
}

/// What was done, in a sentence.
#[derive(Serialize, JsonSchema)]
struct Detail {
    detail: &'static str,
}

#[derive(Deserialize, JsonSchema)]
struct ListConversations {
    #[serde(default = "page_limit")]
    #[schemars(range(min = 1, max = 500))]
    limit: i64,
    #[serde(default)]
    #[schemars(range(min = 0))]
    offset: i64,
}

fn list(ctx: &Ctx, Query(query): Query<ListConversations>) -> Result<Vec<ConversationView>, Error> {
    let owner = ctx.user()?.id;
    let page = Page {
        limit: query.limit,
        offset: query.offset,
    };
    let conversations = ctx
        .app
        .store
        .read(|read| store::list_conversations_by_age(read, owner, page))?;
    Ok(conversations.into_iter().map(views::listed_conversation).collect())
}

#[derive(Deserialize, JsonSchema)]
struct CreateConversation {
    #[serde(default)]
    #[schemars(length(max = NAME_CHARS_MAX))]
    title: Option<String>,
    /// Lists show it whole, so it has a bound.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    summary: Option<String>,
}

fn create(ctx: &Ctx, Body(body): Body<CreateConversation>) -> Result<i64, Error> {
    let new = NewConversation {
        user_id: ctx.user()?.id,
        uuid: ctx.app.clock.uuid(),
        title: body.title,
        created_at: ctx.now(),
    };
    ctx.app.store.write(move |tx| {
        let id = store::insert_conversation(tx, &new)?;
        if let Some(summary) = &body.summary {
            store::summarise_conversation(tx, id, summary)?;
        }
        Ok(id)
    })
}

#[derive(Serialize, JsonSchema)]
struct MessageList {
    conversation_id: i64,
    messages: Vec<MessageView>,
}

fn messages(
    ctx: &Ctx,
    (Path(path), Query(query)): (Path<ConversationPath>, Query<ListMessages>),
    respond: Later<Typed<MessageList>>,
) {
    let html = query.html;
    let (conversation_id, messages, parts) = match page(ctx, &path, query) {
        Ok(page) => page,
        Err(error) => return respond.send(Err(error)),
    };
    let view = move |messages| {
        Typed::json(&MessageList {
            conversation_id,
            messages: parts.messages(messages),
        })
    };
    html::answer(ctx, html, messages, view, respond);
}

fn page(ctx: &Ctx, path: &ConversationPath, query: ListMessages) -> Result<(i64, Vec<Message>, Parts), Error> {
    let (owner, which) = (ctx.user()?.id, path.conversation()?);
    ctx.app.store.read(|read| {
        let page = find_messages(read, owner, &which, query)?;
        let parts = Parts::read(read, &page.messages)?.within(page.around);
        Ok((page.conversation.id, page.messages, parts))
    })
}

#[derive(Deserialize, JsonSchema)]
struct Rename {
    #[schemars(length(min = 1, max = NAME_CHARS_MAX))]
    new_title: String,
}

fn rename(ctx: &Ctx, (Path(path), Query(query)): (Path<ConversationPath>, Query<Rename>)) -> Result<Detail, Error> {
    let (owner, which, now) = (ctx.user()?.id, path.conversation()?, ctx.now());
    let patch = ConversationPatch {
        title: Some(query.new_title),
        ..ConversationPatch::default()
    };
    ctx.app
        .store
        .write(move |tx| store::update_conversation(tx, owner, &which, &patch, &now))?;
    Ok(Detail {
        detail: "Conversation renamed successfully",
    })
}

fn update(
    ctx: &Ctx,
    (Path(path), Body(body)): (Path<ConversationPath>, Body<UpdateChat>),
) -> Result<ConversationView, Error> {
    changes::update(ctx, path.conversation()?, body).map(views::conversation)
}

fn remove(ctx: &Ctx, Path(path): Path<ConversationPath>) -> Result<Detail, Error> {
    let (owner, which, now) = (ctx.user()?.id, path.conversation()?, ctx.now());
    let id = ctx
        .app
        .store
        .write(move |tx| store::delete_conversation(tx, owner, &which, &now))?;
    ctx.app.turns.stop(id);
    Ok(Detail {
        detail: "Conversation deleted",
    })
}

fn context(ctx: &Ctx, Path(path): Path<ConversationPath>) -> Result<String, Error> {
    let conversation = path.find(ctx)?;
    ctx.app.turns.context(ctx.user()?, &conversation)
}

#[derive(Deserialize, JsonSchema)]
struct MessagePath {
    message_id: AnyId,
}

#[derive(Serialize, JsonSchema)]
struct MessageUsage {
    message: MessageView,
    usage_details: Vec<UsageView>,
}

fn message_usage(
    ctx: &Ctx,
    (Path(path), Query(query)): (Path<MessagePath>, Query<ShowHtml>),
    respond: Later<Typed<MessageUsage>>,
) {
    let (messages, parts) = match one(ctx, &path) {
        Ok(found) => found,
        Err(error) => return respond.send(Err(error)),
    };
    let view = |messages| {
        let usage_details = parts.usage();
        let message = parts.messages(messages).pop().ok_or_else(message_not_found)?;
        Typed::json(&MessageUsage { message, usage_details })
    };
    html::answer(ctx, query.html, messages, view, respond);
}

fn one(ctx: &Ctx, path: &MessagePath) -> Result<(Vec<Message>, Parts), Error> {
    let owner = ctx.user()?.id;
    let which = path.message_id.parse().ok_or_else(message_not_found)?;
    ctx.app.store.read(|read| {
        let messages = vec![store::find_message(read, owner, &which)?.0];
        let parts = Parts::read(read, &messages)?;
        Ok((messages, parts))
    })
}

fn message_not_found() -> Error {
    Error::new(Kind::NotFound, "Message not found")
}

#[derive(Serialize, JsonSchema)]
struct ConversationUsage {
    usage_details: Vec<UsageView>,
}

fn conversation_usage(ctx: &Ctx, Path(path): Path<ConversationPath>) -> Result<ConversationUsage, Error> {
    let (owner, which) = (ctx.user()?.id, path.conversation()?);
    let details = ctx.app.store.read(|read| {
        let conversation = store::find_conversation(read, owner, &which)?;
        store::list_conversation_usage(read, conversation.id)
    })?;
    Ok(ConversationUsage {
        usage_details: details.iter().map(views::usage).collect(),
    })
}

/// The catalogue. `chat` is what these clients offer to choose from.
#[derive(Serialize, JsonSchema)]
pub(super) struct Models {
    chat: Vec<String>,
    /// Those that have somebody to run them here, the default first.
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<Vec<String>>,
    /// Who runs them, and why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    providers: Option<Vec<Runner>>,
}

/// The models with a price, in the order of their table, then those that run here without one: our own, and for those
/// who are signed in also the names of the administrator's own, which are nobody else's business.
pub(super) fn models(ctx: &Ctx, (): ()) -> Result<Models, Error> {
    let is_signed_in = session::is_signed_in(&ctx.app, &ctx.request);
    let available = is_signed_in.then(|| ctx.app.models.available());
    let mut chat: Vec<String> = ctx.app.pricing.models().map(str::to_owned).collect();
    let own = available.iter().flatten().map(String::as_str).chain([ECHO, LIBRARY]);
    for model in own {
        // A host's model stands in the table behind the host's name.
        let is_listed = |listed: &String| listed == model || listed.split_once('/').is_some_and(|(_, id)| id == model);
        if !chat.iter().any(is_listed) {
            chat.push(model.to_owned());
        }
    }
    let providers = is_signed_in.then(|| runners(&ctx.app));
    Ok(Models {
        chat,
        available,
        providers,
    })
}
