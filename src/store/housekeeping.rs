//! Clearing away what nobody can ask for any more, a little at a time: the writer runs a batch between the others'
//! jobs, so that nobody who sends a message waits for a large conversation to go.

use rusqlite::params;

use super::{Tx, administration, attachments, audit, documents};
use crate::clock::Clock;
use crate::error::Error;

/// Deleted conversations are kept this long, in seconds, so that a deletion can be undone.
const DELETED_KEPT_S: i64 = 30 * 24 * 3600;

/// Rows removed in one batch: a few milliseconds, even on a memory card.
pub(super) const BATCH_ROWS_MAX: u32 = 200;

/// Bytes of messages, and of what was read of their attachments, removed in one batch, after which it ends: SQLite
/// reads a large text to find its pages.
const BATCH_BYTES_MAX: i64 = 4 * 1024 * 1024;

/// What a batch has left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    /// There may be more.
    More,
}

/// Conversations deleted before this moment are being cleared away, and can no longer be restored: some of their
/// messages may have gone already.
pub(super) fn kept_since() -> String {
    Clock.now().plus_s(-DELETED_KEPT_S).text()
}

/// Removes one batch: of a document that is to go, or of what a removed account has left; or else old entries of the log,
/// sessions and revocations that are over, uploads that were never sent, and conversations deleted long ago, the oldest
/// first.
pub(super) fn clear_batch(tx: &Tx<'_>) -> Result<Left, Error> {
    if documents::clear_hidden(tx)? == Left::More || administration::clear_removed(tx)? == Left::More {
        return Ok(Left::More);
    }
    if audit::clear_old(tx)? > 0 {
        return Ok(Left::More);
    }
    let now = Clock.now().text();
    let mut batch = Batch {
        rows: BATCH_ROWS_MAX,
        bytes: BATCH_BYTES_MAX,
    };
    for sql in [
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < ?1 LIMIT ?2)",
        "DELETE FROM revocations WHERE token_sha256 IN
             (SELECT token_sha256 FROM revocations WHERE expires_at < ?1 LIMIT ?2)",
    ] {
        let removed = tx.execute(sql, params![now, batch.rows])?;
        batch.rows = batch.rows.saturating_sub(u32::try_from(removed).unwrap_or(u32::MAX));
    }
    let unsent = attachments::clear_unsent(tx, batch.rows)?;
    batch.rows = batch.rows.saturating_sub(unsent);
    let oldest = "SELECT id FROM conversations WHERE deleted_at < ?1 ORDER BY deleted_at LIMIT 1";
    let kept_since = kept_since();
    while !batch.is_over() {
        let Some(conversation) = tx.first(oldest, [&kept_since], |row| row.get(0))? else {
            // With its last conversation an account can go on going.
            return administration::left(tx);
        };
        batch.clear_messages(tx, conversation)?;
        if !batch.is_over() {
            tx.execute("DELETE FROM conversations WHERE id = ?1", [conversation])?;
            batch.rows -= 1;
        }
    }
    Ok(Left::More)
}

/// What may still be removed in this batch.
struct Batch {
    rows: u32,
    bytes: i64,
}

impl Batch {
    fn is_over(&self) -> bool {
        self.rows == 0 || self.bytes <= 0
    }

    /// Removes a conversation's messages; none is left unless the batch is over.
    fn clear_messages(&mut self, tx: &Tx<'_>, conversation: i64) -> Result<(), Error> {
        // From the newest on: each hangs on an older one.
        let messages: Vec<(i64, i64)> = tx.all(
            "SELECT id, octet_length(content) + coalesce(octet_length(reasoning), 0) + coalesce(octet_length(html), 0)
                 + (SELECT coalesce(sum(octet_length(text)), 0) FROM message_attachments
                    JOIN attachments ON attachments.id = attachment_id WHERE message_id = messages.id)
             FROM messages WHERE conversation_id = ?1 ORDER BY id DESC LIMIT ?2",
            params![conversation, self.rows],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        for (message, bytes) in messages {
            if self.is_over() {
                break;
            }
            tx.execute("DELETE FROM messages WHERE id = ?1", [message])?;
            self.rows -= 1;
            self.bytes -= bytes;
        }
        Ok(())
    }
}
