//! What was made of messages for pages: kept beside them, and left behind when the text or the renderer changes.

use rusqlite::params;

use super::{Read, Tx, json_list};
use crate::error::Error;

/// A message's HTML, to be kept.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The message.
    pub message_id: i64,
    /// Bytes of the text it was made of: a text that is written on is another.
    pub content_bytes: usize,
    /// The HTML.
    pub html: String,
}

/// What is kept of these messages, made by this version of the renderer: pairs of a message and its HTML, the newest
/// message first, until they have `bytes_max` together. The messages must have been found for their owner.
///
/// # Errors
/// Those of the store.
pub fn list_html(
    read: &Read<'_>,
    message_ids: &[i64],
    version: i64,
    bytes_max: usize,
) -> Result<Vec<(i64, String)>, Error> {
    let sql = "SELECT id, html FROM messages
               WHERE id IN (SELECT value FROM json_each(?1)) AND html_version = ?2 ORDER BY id DESC";
    let mut statement = read.0.prepare_cached(sql).map_err(super::failed)?;
    let mut rows = statement
        .query(params![json_list(message_ids), version])
        .map_err(super::failed)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(super::failed)? {
        let html: String = row.get(1).map_err(super::failed)?;
        bytes += html.len();
        if bytes > bytes_max {
            break;
        }
        found.push((row.get(0).map_err(super::failed)?, html));
    }
    Ok(found)
}

/// Keeps a message's HTML, unless its text has changed or is still being written.
///
/// # Errors
/// Those of the store.
pub fn save_html(tx: &Tx<'_>, rendered: &Rendered, version: i64) -> Result<(), Error> {
    let bytes = i64::try_from(rendered.content_bytes).unwrap_or(i64::MAX);
    tx.execute(
        "UPDATE messages SET html = ?2, html_version = ?3
         WHERE id = ?1 AND state <> 'streaming' AND octet_length(content) = ?4",
        params![rendered.message_id, rendered.html, version, bytes],
    )?;
    Ok(())
}
