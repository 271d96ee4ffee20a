//! Ways to a reply other than a new message: a further one to the same question, one to a question that is said anew, and
//! one that goes on where it broke off. All of them answer with the reply, and stream it like any other.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::html;
use super::send::{self, SendQuery, Sent, Words};
use super::views::{self, IntegerId, MessageView};
use super::{AnyId, Ctx};
use crate::error::{Error, Kind};
use crate::http::{Auth, Body, Deferred, Later, MaybeBody, Path, Query, Route, Typed, patch, post};
use crate::store::{self, Conversation, Message, MessageDetails, Ref, Role, State};
use crate::turn::{Ask, Done, Opening, Target};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    post(
        "/messages/{message_id}/regenerate",
        Auth::User,
        "Answer a question once more, on a branch of its own; the message is the question or a reply to it",
        &Deferred(regenerate),
    )
    .fails(&[Kind::OverBudget, Kind::Conflict, Kind::RateLimited]),
    post(
        "/messages/{message_id}/continue",
        Auth::User,
        "Let a reply that was stopped, interrupted or failed go on where it ended",
        &Deferred(go_on),
    )
    .fails(&[Kind::OverBudget, Kind::Conflict, Kind::RateLimited]),
    patch(
        "/messages/{message_id}",
        Auth::User,
        "Say one's own message anew, with the same files, on a branch of its own, and have it answered",
        &Deferred(edit),
    )
    .fails(&[Kind::OverBudget, Kind::Conflict, Kind::RateLimited]),
];

const MISSING: &str = "Message not found";

#[derive(Deserialize, JsonSchema)]
pub(super) struct MessagePath {
    pub(super) message_id: AnyId,
}

/// A message of the caller's, and its conversation.
struct Found {
    message: Message,
    conversation: Conversation,
}

impl MessagePath {
    fn find(&self, ctx: &Ctx) -> Result<Found, Error> {
        let missing = || Error::new(Kind::NotFound, MISSING);
        let (owner, which) = (ctx.user()?.id, self.message_id.parse().ok_or_else(missing)?);
        ctx.app.store.read(|read| {
            let (message, _) = store::find_message(read, owner, &which)?;
            let conversation = store::find_conversation(read, owner, &Ref::Id(message.conversation_id))?;
            Ok(Found { message, conversation })
        })
    }
}

/// The question that a reply answers.
fn question_of(ctx: &Ctx, reply: &Message) -> Result<Message, Error> {
    let nothing = || Error::new(Kind::Conflict, "This message answers nothing");
    let (owner, id) = (ctx.user()?.id, reply.parent_id.ok_or_else(nothing)?);
    let (question, _) = ctx
        .app
        .store
        .read(|read| store::find_message(read, owner, &Ref::Id(id)))?;
    match question.role {
        Role::User => Ok(question),
        Role::Assistant => Err(nothing()),
    }
}

/// How the reply is made.
#[derive(Deserialize, JsonSchema)]
struct Regenerate {
    /// Who replies; without it, as the conversation is set.
    #[serde(default)]
    model: Option<String>,
    /// Whether the reply draws on the caller's documents; without it, as the conversation is set.
    #[serde(default)]
    library: Option<bool>,
    /// Whether to wait for a reply that is being written in the conversation, instead of being refused.
    #[serde(default)]
    queue: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
struct EditMessage {
    #[schemars(length(min = 1))]
    content: String,
    #[serde(flatten)]
    reply: Regenerate,
}

type Respond = Later<Sent<MessageView<'static, IntegerId>>>;

fn regenerate(
    ctx: &Ctx,
    (Path(path), (Query(query), MaybeBody(body))): (Path<MessagePath>, (Query<SendQuery>, MaybeBody<Regenerate>)),
    respond: Respond,
) {
    let prepare = || {
        let Found { message, conversation } = path.find(ctx)?;
        let question = match message.role {
            Role::User => message,
            Role::Assistant => question_of(ctx, &message)?,
        };
        let opening = Opening::Again(question.id);
        ask(ctx, &query, &body, (opening, question.content), conversation)
    };
    send(ctx, &query, body.model.clone(), prepare(), respond);
}

fn edit(
    ctx: &Ctx,
    (Path(path), (Query(query), Body(body))): (Path<MessagePath>, (Query<SendQuery>, Body<EditMessage>)),
    respond: Respond,
) {
    let EditMessage { content, reply } = body;
    let prepare = || {
        let Found { message, conversation } = path.find(ctx)?;
        if message.role == Role::Assistant {
            let refused = "Only a message of one's own can be edited; a reply can be regenerated";
            return Err(Error::new(Kind::Conflict, refused));
        }
        let urls = message.media_urls.as_deref().map(serde_json::from_str);
        let details = MessageDetails {
            kind: Some(message.kind.clone().into_owned()),
            media_urls: urls.and_then(Result::ok).unwrap_or_default(),
            reply_to_id: message.reply_to_id.clone(),
        };
        let opening = Opening::Instead(Box::new(message));
        let ask = ask(ctx, &query, &reply, (opening, content), conversation)?;
        Ok(Ask { details, ..ask })
    };
    send(ctx, &query, reply.model.clone(), prepare(), respond);
}

fn go_on(
    ctx: &Ctx,
    (Path(path), (Query(query), MaybeBody(mut body))): (Path<MessagePath>, (Query<SendQuery>, MaybeBody<Regenerate>)),
    respond: Respond,
) {
    let requested = body.model.clone();
    let prepare = || {
        let Found { message, conversation } = path.find(ctx)?;
        if message.role == Role::User {
            return Err(Error::new(Kind::Conflict, "Only a reply can go on"));
        }
        // The store decides, when its turn has come; but what will never go on need not wait for that.
        if message.state == State::Complete {
            return Err(Error::new(Kind::Conflict, "The reply is complete"));
        }
        let question = question_of(ctx, &message)?;
        // Whoever began it goes on, if nobody else is asked and they still can.
        let began = message
            .model
            .filter(|model| ctx.app.models.resolve(Some(model)).is_ok());
        body.model = body.model.or(began);
        let opening = Opening::Onward(message.id);
        ask(ctx, &query, &body, (opening, question.content), conversation)
    };
    let asked = prepare();
    send(ctx, &query, requested, asked, respond);
}

/// What a turn is asked for that begins so, with this question.
fn ask(
    ctx: &Ctx,
    query: &SendQuery,
    reply: &Regenerate,
    (opening, text): (Opening, String),
    conversation: Conversation,
) -> Result<Ask, Error> {
    let choice = send::choose(ctx, reply.model.as_deref(), Some(&conversation))?;
    let admission = ctx.admit_message()?;
    Ok(Ask {
        user: ctx.user()?.clone(),
        to: Target::opened_by(opening, conversation),
        text,
        attachments: Vec::new(),
        choice,
        library: reply.library,
        admission,
        prompt: None,
        details: MessageDetails::default(),
        queue: query.queue(reply.queue),
    })
}

fn send(ctx: &Ctx, query: &SendQuery, requested: Option<String>, asked: Result<Ask, Error>, respond: Respond) {
    let words = Words {
        requested,
        missing: MISSING.to_owned(),
        media: query.media(&ctx.request),
        html: query.html,
    };
    let (app, html) = (Arc::clone(&ctx.app), query.html);
    let owner = ctx.user().map(|user| user.id).unwrap_or_default();
    let view = move |done: Done, answer: send::Answer<MessageView<'static, IntegerId>>| {
        let id = Ref::Id(done.response_message_id);
        let found = app.store.read(|read| {
            let (message, chat_id) = store::find_message(read, owner, &id)?;
            let around = store::list_around(read, std::slice::from_ref(&message))?.remove(&message.id);
            Ok((message, chat_id, around))
        });
        let (message, chat_id, around) = match found {
            Ok(found) => found,
            Err(error) => return answer(Err(error)),
        };
        html::fill(&app, html, vec![message], move |mut messages| {
            let gone = || Error::new(Kind::NotFound, MISSING);
            let message = messages.pop().ok_or_else(gone);
            answer(message.and_then(|message| Typed::json(&views::message(message, &chat_id).within(around))));
        });
    };
    send::send_later(ctx, asked, words, view, respond);
}
