//! Conversations. Every query carries the owner: somebody else's conversation does not exist.

use rusqlite::{Row, params};

use super::{Read, Ref, Tx, housekeeping, tags};
use crate::error::{Error, Kind};

/// A conversation, as its owner sees it.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// The integer id.
    pub id: i64,
    /// The other id.
    pub uuid: String,
    /// Null until somebody or the first message names it.
    pub title: Option<String>,
    /// A short account of what it is about.
    pub summary: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; the order of lists.
    pub updated_at: String,
    /// Kept at the top.
    pub is_pinned: bool,
    /// Put away.
    pub is_archived: bool,
    /// Messages of the branch that is shown.
    pub message_count: i64,
    /// RFC 3339; of the newest of them.
    pub last_message_time: Option<String>,
    /// Its first 200 characters.
    pub last_message_content: String,
    /// The newest message of the branch that is shown.
    pub leaf_id: Option<i64>,
    /// The model chosen for this conversation.
    pub model: Option<String>,
    /// The system prompt chosen for this conversation.
    pub system_prompt: Option<String>,
    /// The sampling temperature chosen for this conversation, 0 to 2.
    pub temperature: Option<f64>,
    /// The most tokens that a reply may have.
    pub max_tokens: Option<u32>,
    /// Replies draw on the owner's documents.
    pub library: bool,
    /// What its owner files it under.
    pub tags: Vec<String>,
}

/// A conversation to be made.
#[derive(Clone, Debug)]
pub struct NewConversation {
    /// The owner.
    pub user_id: i64,
    /// The id beside the integer.
    pub uuid: String,
    /// May be left to the first message.
    pub title: Option<String>,
    /// RFC 3339.
    pub created_at: String,
}

/// What to change about a conversation; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct ConversationPatch {
    /// The title.
    pub title: Option<String>,
    /// Keep at the top.
    pub is_pinned: Option<bool>,
    /// Put away.
    pub is_archived: Option<bool>,
    /// The model; `Some(None)` is the server's default again, and likewise below.
    pub model: Option<Option<String>>,
    /// The system prompt.
    pub system_prompt: Option<Option<String>>,
    /// The sampling temperature, 0 to 2.
    pub temperature: Option<Option<f64>>,
    /// The most tokens that a reply may have.
    pub max_tokens: Option<Option<u32>>,
    /// Draw on the owner's documents.
    pub library: Option<bool>,
    /// All of its tags.
    pub tags: Option<Vec<String>>,
}

/// A conversation as lists show it. It borrows from the row that is being read: most of what lists hold goes from the
/// database straight into a reply, and copies of a page's texts would cost as much as reading them.
#[derive(Clone, Debug)]
pub struct Listed<'r> {
    /// As in [`Conversation`], and so all others.
    pub id: i64,
    /// The other id.
    pub uuid: &'r str,
    /// Null until somebody or the first message names it.
    pub title: Option<&'r str>,
    /// RFC 3339.
    pub created_at: &'r str,
    /// RFC 3339; the order of lists.
    pub updated_at: &'r str,
    /// Kept at the top.
    pub is_pinned: bool,
    /// Put away.
    pub is_archived: bool,
    /// Messages of the branch that is shown.
    pub message_count: i64,
    /// RFC 3339; of the newest of them.
    pub last_message_time: Option<&'r str>,
    /// Its first 200 characters.
    pub last_message_content: &'r str,
    /// The model chosen for this conversation.
    pub model: Option<&'r str>,
    /// The sampling temperature chosen for this conversation, 0 to 2.
    pub temperature: Option<f64>,
    /// The most tokens that a reply may have.
    pub max_tokens: Option<u32>,
    /// Replies draw on the owner's documents.
    pub library: bool,
    /// What its owner files it under.
    pub tags: Vec<String>,
}

/// A page of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// At most so many.
    pub limit: i64,
    /// After so many.
    pub offset: i64,
}

pub(super) const COLUMNS: &str = "id, uuid, title, summary, created_at, updated_at, is_pinned, is_archived, \
    message_count, last_message_time, last_message_content, leaf_id, model, system_prompt, library, temperature, \
    max_tokens, tags";

pub(super) fn map(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    Ok(Conversation {
        id: row.get(0)?,
        uuid: row.get(1)?,
        title: row.get(2)?,
        summary: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
        is_pinned: row.get(6)?,
        is_archived: row.get(7)?,
        message_count: row.get(8)?,
        last_message_time: row.get(9)?,
        last_message_content: row.get(10)?,
        leaf_id: row.get(11)?,
        model: row.get(12)?,
        system_prompt: row.get(13)?,
        library: row.get(14)?,
        temperature: row.get(15)?,
        max_tokens: row.get(16)?,
        tags: tags::parse(row.get_ref(17)?.as_str_or_null()?),
    })
}

pub(super) const LISTED_COLUMNS: &str = "id, uuid, title, created_at, updated_at, is_pinned, is_archived, message_count, \
    last_message_time, last_message_content, model, library, temperature, max_tokens, tags";

pub(super) fn map_listed<'r>(row: &'r Row<'_>) -> rusqlite::Result<Listed<'r>> {
    Ok(Listed {
        id: row.get(0)?,
        uuid: row.get_ref(1)?.as_str()?,
        title: row.get_ref(2)?.as_str_or_null()?,
        created_at: row.get_ref(3)?.as_str()?,
        updated_at: row.get_ref(4)?.as_str()?,
        is_pinned: row.get(5)?,
        is_archived: row.get(6)?,
        message_count: row.get(7)?,
        last_message_time: row.get_ref(8)?.as_str_or_null()?,
        last_message_content: row.get_ref(9)?.as_str()?,
        model: row.get_ref(10)?.as_str_or_null()?,
        library: row.get(11)?,
        temperature: row.get(12)?,
        max_tokens: row.get(13)?,
        tags: tags::parse(row.get_ref(14)?.as_str_or_null()?),
    })
}

/// No such conversation, or not the caller's. Families say it in their own words.
fn missing() -> Error {
    Error::new(Kind::NotFound, "Conversation not found")
}

/// Makes an empty conversation; returns its integer id.
///
/// # Errors
/// Those of the store.
pub fn insert_conversation(tx: &Tx<'_>, new: &NewConversation) -> Result<i64, Error> {
    tx.insert(
        "INSERT INTO conversations (uuid, user_id, title, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)",
        params![new.uuid, new.user_id, new.title, new.created_at],
    )
}

/// One of the owner's conversations.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn find_conversation(read: &Read<'_>, owner: i64, which: &Ref) -> Result<Conversation, Error> {
    let (id, uuid) = which.parts();
    let sql = format!(
        "SELECT {COLUMNS} FROM conversations WHERE (id = ?1 OR uuid = ?2) AND user_id = ?3 AND deleted_at IS NULL"
    );
    let found = read.first(&sql, params![id, uuid, owner], map)?;
    found.ok_or_else(missing)
}

/// Whose conversation this is: the one family that tells "not yours" from "not there" asks.
///
/// # Errors
/// Those of the store.
pub fn owner_of_conversation(read: &Read<'_>, which: &Ref) -> Result<Option<i64>, Error> {
    let (id, uuid) = which.parts();
    let sql = "SELECT user_id FROM conversations WHERE (id = ?1 OR uuid = ?2) AND deleted_at IS NULL";
    read.first(sql, params![id, uuid], |row| row.get(0))
}

/// The owner's conversations as `show` shows them, most recently updated first.
///
/// # Errors
/// Those of the store.
pub fn list_conversations<T>(
    read: &Read<'_>,
    owner: i64,
    page: Page,
    mut show: impl FnMut(Listed<'_>) -> T,
) -> Result<Vec<T>, Error> {
    let sql = format!(
        "SELECT {LISTED_COLUMNS} FROM conversations WHERE user_id = ?1 AND deleted_at IS NULL
         ORDER BY updated_at DESC, id DESC LIMIT ?2 OFFSET ?3"
    );
    let params = params![owner, page.limit, page.offset];
    read.all(&sql, params, |row| map_listed(row).map(&mut show))
}

/// The owner's conversations, newest first, whatever has become of them since.
///
/// # Errors
/// Those of the store.
pub fn list_conversations_by_age(read: &Read<'_>, owner: i64, page: Page) -> Result<Vec<Conversation>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM conversations WHERE user_id = ?1 AND deleted_at IS NULL
         ORDER BY id DESC LIMIT ?2 OFFSET ?3"
    );
    read.all(&sql, params![owner, page.limit, page.offset], map)
}

/// Gives a conversation its summary; one that has a summary keeps it.
///
/// # Errors
/// Those of the store.
pub fn summarise_conversation(tx: &Tx<'_>, id: i64, summary: &str) -> Result<(), Error> {
    let sql = "UPDATE conversations SET summary = ?2 WHERE id = ?1 AND summary IS NULL";
    tx.execute(sql, params![id, summary])?;
    Ok(())
}

/// The owner's conversations as `show` shows them, those kept at the top first, then most recently updated first.
///
/// # Errors
/// Those of the store.
pub fn list_conversations_pinned_first<T>(
    read: &Read<'_>,
    owner: i64,
    page: Page,
    mut show: impl FnMut(Listed<'_>) -> T,
) -> Result<Vec<T>, Error> {
    // Two walks: one index that leads with the pin would have to be written at every message. The pin is no parameter,
    // or SQLite could not know that the index of the pinned ones holds them all.
    let pinned = format!(
        "SELECT {LISTED_COLUMNS} FROM conversations WHERE user_id = ?1 AND deleted_at IS NULL AND is_pinned = 1
         ORDER BY updated_at DESC, id DESC LIMIT ?2 OFFSET ?3"
    );
    let others = format!(
        "SELECT {LISTED_COLUMNS} FROM conversations WHERE user_id = ?1 AND deleted_at IS NULL AND is_pinned = 0
         ORDER BY updated_at DESC, id DESC LIMIT ?2 OFFSET ?3"
    );
    let mut show = |row: &Row<'_>| map_listed(row).map(&mut show);
    let mut found = read.all(&pinned, params![owner, page.limit, page.offset], &mut show)?;
    let left = page.limit - i64::try_from(found.len()).unwrap_or(page.limit);
    let offset = if found.is_empty() && page.offset > 0 {
        (page.offset - count_pinned(read, owner)?).max(0)
    } else {
        0
    };
    found.extend(read.all(&others, params![owner, left, offset], &mut show)?);
    Ok(found)
}

fn count_pinned(read: &Read<'_>, owner: i64) -> Result<i64, Error> {
    // By itself SQLite takes the index that holds all of the owner's.
    let sql = "SELECT count(*) FROM conversations INDEXED BY conversations_pinned
         WHERE user_id = ?1 AND deleted_at IS NULL AND is_pinned = 1";
    Ok(read.first(sql, params![owner], |row| row.get(0))?.unwrap_or(0))
}

/// Changes one of the owner's conversations.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn update_conversation(
    tx: &Tx<'_>,
    owner: i64,
    which: &Ref,
    patch: &ConversationPatch,
    now: &str,
) -> Result<Conversation, Error> {
    let mut conversation = find_conversation(tx, owner, which)?;
    if let Some(model) = &patch.model {
        conversation.model.clone_from(model);
    }
    if let Some(system_prompt) = &patch.system_prompt {
        conversation.system_prompt.clone_from(system_prompt);
    }
    tx.execute(
        "UPDATE conversations SET title = coalesce(?2, title), is_pinned = coalesce(?3, is_pinned),
             is_archived = coalesce(?4, is_archived), library = coalesce(?5, library), model = ?6, system_prompt = ?7,
             temperature = ?8, max_tokens = ?9, updated_at = max(updated_at, ?10)
         WHERE id = ?1",
        params![
            conversation.id,
            patch.title,
            patch.is_pinned,
            patch.is_archived,
            patch.library,
            conversation.model,
            conversation.system_prompt,
            patch.temperature.unwrap_or(conversation.temperature),
            patch.max_tokens.unwrap_or(conversation.max_tokens),
            now
        ],
    )?;
    if let Some(tags) = &patch.tags {
        tags::set_tags(tx, owner, conversation.id, tags)?;
    }
    find_conversation(tx, owner, &Ref::Id(conversation.id))
}

/// Hides one of the owner's conversations everywhere; it is kept for 30 days.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn delete_conversation(tx: &Tx<'_>, owner: i64, which: &Ref, now: &str) -> Result<i64, Error> {
    let conversation = find_conversation(tx, owner, which)?;
    tx.execute(
        "UPDATE conversations SET deleted_at = ?2 WHERE id = ?1",
        params![conversation.id, now],
    )?;
    Ok(conversation.id)
}

/// Undoes a deletion of the last 30 days.
///
/// # Errors
/// [`Kind::NotFound`] also when the conversation was not deleted, or is being cleared away.
pub fn restore_conversation(tx: &Tx<'_>, owner: i64, which: &Ref) -> Result<Conversation, Error> {
    let (id, uuid) = which.parts();
    // The plus keeps SQLite from reading all that the user has deleted: it is found by its id.
    let restored = tx.first(
        "UPDATE conversations SET deleted_at = NULL
         WHERE (id = ?1 OR uuid = ?2) AND +user_id = ?3 AND deleted_at >= ?4 AND cut_from_id IS NULL RETURNING id",
        params![id, uuid, owner, housekeeping::kept_since()],
        |row| row.get(0),
    )?;
    let id = restored.ok_or_else(missing)?;
    find_conversation(tx, owner, &Ref::Id(id))
}
