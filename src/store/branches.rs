//! Branches that were deleted, and put back. A deleted branch is a hidden conversation of its own: whatever reads messages
//! (pages, the tree, search, exports) leaves out hidden conversations already, and housekeeping clears them away after
//! 30 days. A mark on each message would have to be minded by all of them.

use rusqlite::params;

use super::conversations::find_conversation;
use super::messages::find_message;
use super::{Conversation, Read, Ref, Tx, housekeeping, tree};
use crate::error::{Error, Kind};

/// Takes one of the owner's messages, and all that was said after it, out of its conversation; it is kept for 30 days.
/// Where it was shown, the nearest message in its place is shown instead, or else the branch ends before it. `uuid` is what
/// the hidden branch is known by. Nobody may be writing in the conversation.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn delete_branch(tx: &Tx<'_>, owner: i64, which: &Ref, uuid: &str, now: &str) -> Result<Conversation, Error> {
    let (message, _) = find_message(tx, owner, which)?;
    let conversation = find_conversation(tx, owner, &Ref::Id(message.conversation_id))?;
    let hidden = tx.insert(
        "INSERT INTO conversations (uuid, user_id, created_at, updated_at, deleted_at, cut_from_id, cut_below_id)
         VALUES (?1, ?2, ?3, ?3, ?3, ?4, ?5)",
        params![uuid, owner, now, conversation.id, message.parent_id],
    )?;
    tx.execute(
        "WITH RECURSIVE branch (id) AS (
             SELECT ?1
             UNION ALL
             SELECT messages.id FROM branch JOIN messages ON messages.parent_id = branch.id
         )
         UPDATE messages SET conversation_id = ?2 WHERE id IN branch",
        [message.id, hidden],
    )?;
    tx.execute("UPDATE messages SET parent_id = NULL WHERE id = ?1", [message.id])?;
    // What was shown is remembered where it went: putting it back shows it again.
    let sql = "UPDATE conversations SET leaf_id = ?2
               WHERE id = ?1 AND EXISTS (SELECT 1 FROM messages WHERE id = ?2 AND conversation_id = ?1)";
    if tx.execute(sql, params![hidden, conversation.leaf_id])? > 0 {
        show_what_is_left(tx, conversation.id, message.parent_id, message.id)?;
    }
    find_conversation(tx, owner, &Ref::Id(conversation.id))
}

/// Shows what stands where the branch that began with `removed` was: the nearest older sibling, or newer one, or nothing.
fn show_what_is_left(tx: &Tx<'_>, conversation_id: i64, parent: Option<i64>, removed: i64) -> Result<(), Error> {
    // The plus keeps SQLite from reading the first messages of everybody's conversations.
    let sql = "SELECT id FROM messages WHERE conversation_id = ?1 AND +parent_id IS ?2
               ORDER BY id > ?3, abs(id - ?3) LIMIT 1";
    let sibling: Option<i64> = tx.first(sql, params![conversation_id, parent, removed], |row| row.get(0))?;
    match (sibling, parent) {
        (Some(sibling), _) => tree::show_branch(tx, conversation_id, &Ref::Id(sibling)).map(drop),
        (None, Some(parent)) => tree::set_leaf(tx, conversation_id, parent),
        (None, None) => {
            let sql = "UPDATE conversations SET leaf_id = NULL, message_count = 0, last_message_time = NULL,
                           last_message_content = '' WHERE id = ?1";
            tx.execute(sql, [conversation_id]).map(drop)
        }
    }
}

/// Puts a branch back that was deleted in the last 30 days, by the message that it begins with, and shows it if it was
/// shown, or nothing else is. Nobody may be writing in the conversation.
///
/// # Errors
/// [`Kind::NotFound`] when no such branch was deleted, or its conversation is gone; [`Kind::Conflict`] when the message
/// before it was deleted as well, which is to be put back first.
pub fn restore_branch(tx: &Tx<'_>, owner: i64, which: &Ref) -> Result<Conversation, Error> {
    let cut = find_deleted_branch(tx, owner, which)?;
    find_conversation(tx, owner, &Ref::Id(cut.from_id))?;
    if let Some(parent) = cut.below_id {
        let sql = "SELECT 1 FROM messages WHERE id = ?1 AND conversation_id = ?2";
        if tx.first(sql, [parent, cut.from_id], |_| Ok(()))?.is_none() {
            let message = "The message before it was deleted too; restore that one first";
            return Err(Error::new(Kind::Conflict, message));
        }
    }
    let sql = "UPDATE messages SET conversation_id = ?2 WHERE conversation_id = ?1";
    tx.execute(sql, [cut.hidden_id, cut.from_id])?;
    let sql = "UPDATE messages SET parent_id = ?2 WHERE id = ?1";
    tx.execute(sql, params![cut.message_id, cut.below_id])?;
    tx.execute("DELETE FROM conversations WHERE id = ?1", [cut.hidden_id])?;
    let conversation = find_conversation(tx, owner, &Ref::Id(cut.from_id))?;
    match (cut.leaf_id, conversation.leaf_id) {
        (Some(leaf), _) => tree::set_leaf(tx, cut.from_id, leaf)?,
        (None, Some(_)) => return Ok(conversation),
        // All else was deleted after it.
        (None, None) => tree::show_branch(tx, cut.from_id, &Ref::Id(cut.message_id)).map(drop)?,
    }
    find_conversation(tx, owner, &Ref::Id(cut.from_id))
}

/// A branch that was deleted.
#[derive(Clone, Copy, Debug)]
pub struct DeletedBranch {
    /// The message that it begins with.
    message_id: i64,
    /// Where it is kept.
    hidden_id: i64,
    /// The conversation that it was taken from.
    pub from_id: i64,
    /// The message that it stood below.
    below_id: Option<i64>,
    /// Its end, if it was shown.
    leaf_id: Option<i64>,
}

/// A branch of the owner's that can be put back, by the message that it begins with.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn find_deleted_branch(read: &Read<'_>, owner: i64, which: &Ref) -> Result<DeletedBranch, Error> {
    let (id, uuid) = which.parts();
    let found = read.first(
        "SELECT messages.id, hidden.id, cut_from_id, cut_below_id, leaf_id
         FROM messages JOIN conversations AS hidden ON hidden.id = conversation_id
         WHERE (messages.id = ?1 OR messages.uuid = ?2) AND messages.user_id = ?3 AND messages.parent_id IS NULL
             AND cut_from_id IS NOT NULL AND deleted_at >= ?4",
        params![id, uuid, owner, housekeeping::kept_since()],
        |row| {
            Ok(DeletedBranch {
                message_id: row.get(0)?,
                hidden_id: row.get(1)?,
                from_id: row.get(2)?,
                below_id: row.get(3)?,
                leaf_id: row.get(4)?,
            })
        },
    )?;
    found.ok_or_else(|| Error::new(Kind::NotFound, "Message not found"))
}
