//! Search: one box over all that the caller has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Ctx;
use crate::error::Error;
use crate::http::{Auth, Json, Query, Route, get};
use crate::search::{self, Found, Piece};

pub(super) const ROUTES: &[Route<Ctx>] = &[get(
    "/search",
    Auth::User,
    "Search the caller's messages, conversation titles and documents",
    &Json(find),
)];

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    /// Words; those in quotes must follow each other, and the last may be the beginning of one.
    #[schemars(length(max = 1000))]
    q: String,
    #[serde(default = "limit")]
    #[schemars(range(min = 1, max = 100))]
    limit: usize,
}

fn limit() -> usize {
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
    let found = search::search(&ctx.app.store, ctx.user()?.id, &wanted.q, wanted.limit)?;
    Ok(found.into_iter().map(view).collect())
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
