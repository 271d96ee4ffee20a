//! The Todo assistant's door: one route, the user's id in its path, integer conversation ids.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::send::{self, SendQuery, Sent, Words};
use super::{AnyId, Ctx};
use crate::error::{Error, Kind};
use crate::http::{Auth, Body, Deferred, Later, Path, Query, Route, Typed, post};
use crate::store;
use crate::turn::{self, Ask, Done, Target};

pub(super) const ROUTES: &[Route<Ctx>] = &[post(
    "/api/{user_id}/chat",
    Auth::User,
    "Send a message and wait for the reply, or read it as it comes",
    &Deferred(chat),
)
.fails(&[
    Kind::Malformed,
    Kind::NotFound,
    Kind::OverBudget,
    Kind::Conflict,
    Kind::RateLimited,
])];

#[derive(Deserialize, JsonSchema)]
struct ChatPath {
    user_id: String,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "TodoChatRequest")]
struct ChatRequest {
    message: String,
    #[serde(default)]
    conversation_id: Option<AnyId>,
    /// Whether the reply draws on the caller's documents; without it, as the conversation is set.
    #[serde(default)]
    library: Option<bool>,
    /// Whether the message waits for a reply that is being written in its conversation; else it is refused.
    #[serde(default)]
    queue: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TodoChatResponse")]
struct ChatResponse {
    conversation_id: i64,
    response: String,
    #[schemars(with = "Vec<Value>")]
    tool_calls: Value,
}

const MISSING: &str = "Conversation not found";

type Input = ((Path<ChatPath>, Query<SendQuery>), Body<ChatRequest>);

fn chat(ctx: &Ctx, ((Path(path), Query(query)), Body(mut body)): Input, respond: Later<Sent<ChatResponse>>) {
    body.queue = Some(query.queue(body.queue));
    let words = Words {
        requested: None,
        missing: MISSING.to_owned(),
        media: query.media(&ctx.request),
        html: query.html,
    };
    let view = |done: Done| {
        let response = ChatResponse {
            conversation_id: done.conversation_id,
            response: done.text,
            tool_calls: turn::tool_calls_json(&done.tools),
        };
        Typed::json(&response)
    };
    send::send(ctx, prepare(ctx, &path, body), words, view, respond);
}

fn missing() -> Error {
    Error::new(Kind::NotFound, MISSING)
}

/// The checks in the family's order: the path's user, the text, the conversation, whose it is.
fn prepare(ctx: &Ctx, path: &ChatPath, body: ChatRequest) -> Result<Ask, Error> {
    let caller = ctx.caller()?;
    if path.user_id != caller.identity() {
        return Err(Error::new(Kind::Forbidden, "Access denied. User ID mismatch."));
    }
    if body.message.trim().is_empty() {
        return Err(Error::new(Kind::Malformed, "Message cannot be empty"));
    }
    let mut choice = ctx.app.models.default_model().clone();
    let to = match body.conversation_id {
        None => Target::New,
        Some(id) => {
            let which = id.parse().ok_or_else(missing)?;
            let user_id = caller.user.id;
            let found = ctx
                .app
                .store
                .read(|read| match store::find_conversation(read, user_id, &which) {
                    Err(error) if error.kind() == Kind::NotFound => {
                        Ok(Err(store::owner_of_conversation(read, &which)?))
                    }
                    found => found.map(Ok),
                })?;
            let conversation = found.map_err(|owner| match owner {
                Some(_) => Error::new(Kind::Forbidden, "Access denied. Conversation does not belong to user."),
                None => missing(),
            })?;
            choice = send::choose(ctx, None, Some(&conversation))?;
            Target::from(conversation)
        }
    };
    let admission = ctx.admit_message()?;
    Ok(Ask {
        user: caller.user.clone(),
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
