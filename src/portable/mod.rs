//! What a user takes along to another server, and brings from one: one JSON document with everything they have. Owns that
//! document's form; neither way holds more of it in memory than some conversations or one file. What other programs
//! export comes the same way in: [`sources`] read it, [`intake`] stores it.
//!
//! The document is an object: `format` and `version` first, then `account`, `settings`, `attachments`, `conversations`
//! and `documents`. Everything points by UUIDs, so that importing twice brings nothing twice.

mod check;
mod export;
mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod import;
mod intake;
mod items;
mod logs;
mod markdown;
mod ours;
mod report;
mod sources;
mod thread;
mod zip;

pub use export::{Files, export};
pub use import::import;
pub use intake::{Destination, Mode};
pub use markdown::{export_markdown, unpack};
pub use report::{Failure, Report, Tally};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};

/// What stands in `format`.
const FORMAT: &str = "fireside-export";

/// The newest form that is known here.
const VERSION: u32 = 1;

/// Why a file is nothing that can be imported.
fn malformed(why: &str) -> Error {
    let message = format!(
        "The file cannot be imported: {why}. Nothing was imported. What can be: exports of Fireside, ChatGPT, Claude, \
         Open WebUI and llama.cpp, llm's logs.db, texts and lists of books"
    );
    Error::new(Kind::Malformed, message)
}

/// Why a file cannot be read: it is damaged, or the disk is.
fn unreadable(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::InvalidData {
        malformed("it is damaged").caused_by(error)
    } else {
        Error::internal("an upload cannot be read", error)
    }
}

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
