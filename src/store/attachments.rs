//! Attachments: files that were sent, each a row that points to a blob. The bytes are kept once per content.

use rusqlite::{Row, params};

use super::{Read, Ref, Tx, failed, json_list};
use crate::clock::Clock;
use crate::error::{Error, Kind};

/// What was uploaded and not sent a day later never will be.
const UNSENT_KEPT_S: i64 = 24 * 3600;

/// A file that was uploaded, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Integer id.
    pub id: i64,
    /// The same attachment's UUID.
    pub uuid: String,
    /// The message it was listed with; none when it was found by its own id.
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

/// A file to be kept.
#[derive(Clone, Debug)]
pub struct NewAttachment {
    /// The id beside the integer.
    pub uuid: String,
    /// Who uploads it.
    pub user_id: i64,
    /// The name its sender gave it, without folders.
    pub filename: String,
    /// Its media type, as its sender said.
    pub content_type: String,
    /// RFC 3339.
    pub created_at: String,
}

/// What came of reading an attachment for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Its text, perhaps cut.
    Text(String),
    /// Why it has none, in a sentence.
    Problem(String),
}

/// Behind the id of the message, where there is one.
const COLUMNS: &str = "id, uuid, filename, content_type, size, sha256";

fn attachment(row: &Row<'_>) -> rusqlite::Result<Attachment> {
    Ok(Attachment {
        message_id: row.get(0)?,
        id: row.get(1)?,
        uuid: row.get(2)?,
        filename: row.get(3)?,
        content_type: row.get(4)?,
        size: row.get(5)?,
        sha256: row.get(6)?,
    })
}

/// No such attachment, or not the caller's.
fn missing() -> Error {
    Error::new(Kind::NotFound, "Attachment not found")
}

/// The attachments of some messages: message by message, each's in the order they were uploaded.
///
/// # Errors
/// Those of the store.
pub fn list_attachments(read: &Read<'_>, message_ids: &[i64]) -> Result<Vec<Attachment>, Error> {
    // One short look for each: a join with a list of them does the same at four times the cost.
    let _moment = read.snapshot()?;
    let sql = format!(
        "SELECT message_id, {COLUMNS} FROM message_attachments JOIN attachments ON id = attachment_id
         WHERE message_id = ?1 ORDER BY attachment_id"
    );
    let mut statement = read.0.prepare_cached(&sql).map_err(failed)?;
    let mut found = Vec::new();
    for id in message_ids {
        let mut rows = statement.query([id]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            found.push(attachment(row).map_err(failed)?);
        }
    }
    Ok(found)
}

/// One of the owner's attachments, by either id. It is hidden with the last conversation that has it.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn find_attachment(read: &Read<'_>, owner: i64, which: &Ref) -> Result<Attachment, Error> {
    let (id, uuid) = which.parts();
    let sql = format!("SELECT NULL, {COLUMNS} FROM attachments WHERE (id = ?1 OR uuid = ?2) AND user_id = ?3");
    visible(read, read.first(&sql, params![id, uuid, owner], attachment)?)
}

fn visible(read: &Read<'_>, found: Option<Attachment>) -> Result<Attachment, Error> {
    let found = found.ok_or_else(missing)?;
    let sql = "SELECT 1 FROM attachments WHERE id = ?1 AND sent_count = 0
         UNION ALL
         SELECT 1 FROM message_attachments JOIN messages ON messages.id = message_id
             JOIN conversations ON conversations.id = conversation_id
         WHERE attachment_id = ?1 AND deleted_at IS NULL";
    let shown = read.first(sql, [found.id], |_| Ok(()))?;
    shown.map(|()| found).ok_or_else(missing)
}

/// Stores a row for content that is there already; `None` when it is not.
///
/// # Errors
/// [`Kind::TooLarge`] when the owner's attachments would take more than `quota` bytes together.
pub(super) fn insert_attachment(
    tx: &Tx<'_>,
    new: &NewAttachment,
    content: &super::blobs::Content,
    quota: u64,
) -> Result<Option<Attachment>, Error> {
    check_quota(tx, new.user_id, content.size, quota)?;
    let sql = "SELECT 1 FROM blobs WHERE sha256 = ?1";
    if tx.first(sql, [&content.sha256], |_| Ok(()))?.is_none() {
        return Ok(None);
    }
    let id = tx.insert(
        "INSERT INTO attachments (uuid, user_id, filename, content_type, size, sha256, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            new.uuid,
            new.user_id,
            new.filename,
            new.content_type,
            content.size,
            content.sha256,
            new.created_at
        ],
    )?;
    find_attachment(tx, new.user_id, &Ref::Id(id)).map(Some)
}

/// Whether so many more bytes fit in; returns how many would still fit in then.
///
/// # Errors
/// [`Kind::TooLarge`] when they do not.
pub fn check_quota(read: &Read<'_>, user_id: i64, size: i64, quota: u64) -> Result<u64, Error> {
    let sql = "SELECT attachment_bytes FROM users WHERE id = ?1";
    let used: i64 = read.first(sql, [user_id], |row| row.get(0))?.unwrap_or(0);
    let left = u64::try_from(used.saturating_add(size)).map(|bytes| quota.checked_sub(bytes));
    if let Ok(Some(left)) = left {
        return Ok(left);
    }
    let message = format!(
        "This file does not fit: your files may take {} MiB together. Delete some of them",
        quota / (1024 * 1024)
    );
    Err(Error::new(Kind::TooLarge, message))
}

/// Sends uploads with a message: all of them, or it fails.
///
/// # Errors
/// [`Kind::NotFound`] when one of them is not there, not the owner's, or sent already.
pub fn send_attachments(tx: &Tx<'_>, owner: i64, message_id: i64, ids: &[i64]) -> Result<(), Error> {
    let sent = tx.execute(
        "INSERT INTO message_attachments (message_id, attachment_id)
         SELECT ?1, id FROM attachments
         WHERE user_id = ?2 AND sent_count = 0 AND id IN (SELECT value FROM json_each(?3))",
        params![message_id, owner, json_list(ids)],
    )?;
    if sent == ids.len() { Ok(()) } else { Err(missing()) }
}

/// Sends what one message has with another one as well.
///
/// # Errors
/// Those of the store.
pub fn send_again(tx: &Tx<'_>, from: i64, to: i64) -> Result<(), Error> {
    // Those that the message names by their addresses are there already.
    tx.execute(
        "INSERT INTO message_attachments (message_id, attachment_id)
         SELECT ?2, attachment_id FROM message_attachments WHERE message_id = ?1 ON CONFLICT DO NOTHING",
        [from, to],
    )?;
    Ok(())
}

/// Removes uploads that will not be sent after all; those that were sent stay.
///
/// # Errors
/// Those of the store.
pub fn delete_unsent(tx: &Tx<'_>, owner: i64, ids: &[i64]) -> Result<(), Error> {
    tx.execute(
        "DELETE FROM attachments
         WHERE user_id = ?1 AND sent_count = 0 AND id IN (SELECT value FROM json_each(?2))",
        params![owner, json_list(ids)],
    )?;
    Ok(())
}

/// Removes one of the owner's attachments for good, sent or not, and also when its conversation is deleted already:
/// whoever is short of room need not wait until that is cleared away. The messages that had it keep their texts.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn delete_attachment(tx: &Tx<'_>, owner: i64, which: &Ref) -> Result<(), Error> {
    let (id, uuid) = which.parts();
    let sql = "DELETE FROM attachments WHERE (id = ?1 OR uuid = ?2) AND user_id = ?3";
    match tx.execute(sql, params![id, uuid, owner])? {
        0 => Err(missing()),
        _ => Ok(()),
    }
}

/// Removes what was uploaded long ago and never sent, `limit` at most; returns how many there were.
pub(super) fn clear_unsent(tx: &Tx<'_>, limit: u32) -> Result<u32, Error> {
    let removed = tx.execute(
        "DELETE FROM attachments WHERE id IN (
             SELECT id FROM attachments WHERE sent_count = 0 AND created_at < ?1 LIMIT ?2)",
        params![Clock.now().plus_s(-UNSENT_KEPT_S).text(), limit],
    )?;
    Ok(u32::try_from(removed).unwrap_or(u32::MAX))
}

/// What came of reading an attachment, if somebody has tried.
///
/// # Errors
/// Those of the store.
pub fn find_reading(read: &Read<'_>, id: i64) -> Result<Option<Reading>, Error> {
    let sql = "SELECT text, problem FROM attachments WHERE id = ?1";
    let columns = read.first(sql, [id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(match columns {
        Some((Some(text), _)) => Some(Reading::Text(text)),
        Some((None, Some(problem))) => Some(Reading::Problem(problem)),
        Some((None, None)) | None => None,
    })
}

/// Remembers what came of reading an attachment.
///
/// # Errors
/// Those of the store.
pub fn save_reading(tx: &Tx<'_>, id: i64, reading: &Reading) -> Result<(), Error> {
    let (text, problem) = match reading {
        Reading::Text(text) => (Some(text), None),
        Reading::Problem(problem) => (None, Some(problem)),
    };
    tx.execute(
        "UPDATE attachments SET text = ?2, problem = ?3 WHERE id = ?1",
        params![id, text, problem],
    )?;
    Ok(())
}
