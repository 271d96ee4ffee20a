//! What a user takes along to another server, and brings from one: one JSON document with everything they have. Owns that
//! document's form; neither way holds more of it in memory than one conversation or one file.
//!
//! The document is an object: `format` and `version` first, then `account`, `settings`, `attachments`, `conversations`
//! and `documents`. Everything points by UUIDs, so that importing twice brings nothing twice.

mod check;
mod export;
mod import;

pub use export::{Files, export};
pub use import::{Failure, Report, Tally, import};

use serde::{Deserialize, Serialize};

/// What stands in `format`.
const FORMAT: &str = "fireside-export";

/// The newest form that is known here.
const VERSION: u32 = 1;

/// What of an account is taken along.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct PortableAccount {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    system_prompt: Option<String>,
}

/// A file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PortableAttachment {
    uuid: String,
    filename: String,
    content_type: String,
    size: i64,
    #[serde(default)]
    sha256: Option<String>,
    created_at: String,
    /// Base64; where it comes in. On the way out they are written apart, piece by piece.
    #[serde(default, skip_serializing)]
    bytes: Option<String>,
}

/// A document of the library.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PortableDocument {
    title: String,
    #[serde(default)]
    author: Option<String>,
    #[serde(default)]
    source: Option<String>,
    content: String,
}
