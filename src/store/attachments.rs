//! Attachments: files that were sent, each a row that points to a blob. The bytes are kept once per content.

use rusqlite::{Row, params};

use super::Read;
use crate::error::Error;

/// A file that was uploaded, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Integer id.
    pub id: i64,
    /// The same attachment's UUID.
    pub uuid: String,
    /// The message it was sent with; none when it was uploaded and not sent yet.
    pub message_id: Option<i64>,
    /// The name its sender gave it, without folders.
    pub filename: String,
    /// Its media type, as its sender said.
    pub content_type: String,
    /// Bytes.
    pub size: i64,
    /// The blob that holds its bytes, in hexadecimal digits.
    pub sha256: String,
}

const COLUMNS: &str = "id, uuid, message_id, filename, content_type, size, sha256";

fn attachment(row: &Row<'_>) -> rusqlite::Result<Attachment> {
    Ok(Attachment {
        id: row.get(0)?,
        uuid: row.get(1)?,
        message_id: row.get(2)?,
        filename: row.get(3)?,
        content_type: row.get(4)?,
        size: row.get(5)?,
        sha256: row.get(6)?,
    })
}

/// The attachments of some messages, in the order they were sent.
///
/// # Errors
/// Those of the store.
pub fn list_attachments(read: &Read<'_>, message_ids: &[i64]) -> Result<Vec<Attachment>, Error> {
    // One statement whatever the number of messages: SQLite reads the list as JSON.
    let ids = serde_json::to_string(message_ids).map_err(|error| Error::internal("ids are not JSON", error))?;
    read.all(
        &format!("SELECT {COLUMNS} FROM attachments WHERE message_id IN (SELECT value FROM json_each(?1)) ORDER BY id"),
        params![ids],
        attachment,
    )
}
