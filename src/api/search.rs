//! Search: one box over all that the caller has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Ctx;
use crate::error::{Error, Issue};
use crate::http::{Auth, Json, Query, Route, get};
use crate::search::{self, BadFilter, Found, Piece, Refusal};
use crate::store::Page;

pub(super) const ROUTES: &[Route<Ctx>] = &[get(
    "/search",
    Auth::User,
    "Search the caller's messages, conversation titles and documents",
    &Json(find),
)];

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    /// Words; those in quotes must follow each other, and the last may be the beginning of one. Filters stand between them,
    /// with no space behind the colon: `in:` words of a conversation's title (in quotes if there are several) or its id, or
    /// one of `messages`, `titles` and `documents`; `model:` a model's name, with or without its provider; `role:` `user` or
    /// `assistant`; `before:` and `after:` a day, a month or a year (`2026-03-31`, `2026-03`, `2026`; UTC), which `after:`
    /// means itself and `before:` does not. The same filter twice means either. Only messages have a conversation, a model
    /// and a role. Filters alone list the newest, messages unless `in:` says otherwise. What stands before any other colon,
    /// or in quotes, is a word. A filter of these that cannot be read is a 422 that says what it takes, and so are more than
    /// 20 filters, and titles that more than 2000 conversations have.
    #[schemars(length(max = 1000))]
    q: String,
    #[serde(default = "limit")]
    #[schemars(range(min = 1, max = 100))]
    limit: i64,
    /// The best of the newest thousand of each kind come first, then all others, the newest first. What is further down
    /// is found by narrowing the search, with `before:` for one.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_000))]
    offset: i64,
}

fn limit() -> i64 {
    20
}

/// Something that was found. `snippet` is plain text in pieces: joined they are what to show.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum FoundView {
    Message {
        conversation_id: i64,
        #[schemars(extend("format" = "uuid"))]
        chat_id: String,
        message_id: i64,
        #[schemars(extend("format" = "uuid"))]
        message_uuid: String,
        #[schemars(extend("enum" = ["user", "assistant"]))]
        role: String,
        /// The conversation's.
        title: Option<String>,
        snippet: Vec<Piece>,
        #[schemars(extend("format" = "date-time"))]
        created_at: String,
    },
    Conversation {
        conversation_id: i64,
        #[schemars(extend("format" = "uuid"))]
        chat_id: String,
        title: String,
        snippet: Vec<Piece>,
        #[schemars(extend("format" = "date-time"))]
        updated_at: String,
    },
    Document {
        document_id: i64,
        #[schemars(extend("format" = "uuid"))]
        document_uuid: String,
        title: String,
        author: Option<String>,
        /// The headings that the snippet stands under.
        heading: Option<String>,
        snippet: Vec<Piece>,
    },
}

fn find(ctx: &Ctx, Query(wanted): Query<Wanted>) -> Result<Vec<FoundView>, Error> {
    let query = search::Query::parse(&wanted.q).map_err(|bad| problem(bad, &wanted.q))?;
    let page = Page {
        limit: wanted.limit,
        offset: wanted.offset,
    };
    let found = search::search(&ctx.app.store, ctx.user()?.id, &query, page).map_err(|refusal| match refusal {
        Refusal::Filter(bad) => problem(bad, &wanted.q),
        Refusal::Store(error) => error,
    })?;
    Ok(found.into_iter().map(view).collect())
}

fn problem(BadFilter(message): BadFilter, query: &str) -> Error {
    Error::invalid(vec![Issue {
        rule: "value_error".into(),
        loc: vec!["query".into(), "q".into()],
        msg: format!("Value error, {message}").into(),
        input: query.into(),
        ctx: Some(serde_json::json!({ "error": message })),
    }])
}

fn view(found: Found) -> FoundView {
    match found {
        Found::Message(message, snippet) => FoundView::Message {
            conversation_id: message.conversation_id,
            chat_id: message.conversation_uuid,
            message_id: message.id,
            message_uuid: message.uuid,
            role: message.role,
            title: message.title,
            snippet,
            created_at: message.created_at,
        },
        Found::Conversation(conversation, snippet) => FoundView::Conversation {
            conversation_id: conversation.id,
            chat_id: conversation.uuid,
            title: conversation.title,
            snippet,
            updated_at: conversation.updated_at,
        },
        Found::Document(chunk, snippet) => FoundView::Document {
            document_id: chunk.document_id,
            document_uuid: chunk.document_uuid,
            title: chunk.title,
            author: chunk.author,
            heading: chunk.heading,
            snippet,
        },
    }
}
