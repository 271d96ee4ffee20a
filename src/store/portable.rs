//! Conversations as they leave one server and enter another: whole, with all branches. Ids that count rows stay behind;
//! everything points by UUIDs.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use rusqlite::{Row, params};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Attachment, Read, Source, Tx, json_list, tags, violates};
use crate::error::Error;
use crate::limits::{FILES_MAX, TAGS_MAX};

/// Messages of one conversation that comes in: it is stored in one transaction, for which everybody else waits about a
/// second.
pub const MESSAGES_MAX: usize = 20_000;

/// Sources of a message, more than any reply is given.
pub const SOURCES_MAX: usize = 20;

/// A conversation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PortableConversation {
    /// What it is known by.
    pub uuid: String,
    /// What it is called.
    #[serde(default)]
    pub title: Option<String>,
    /// A short account of it.
    #[serde(default)]
    pub summary: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
    /// Kept at the top.
    #[serde(default)]
    pub is_pinned: bool,
    /// Put away.
    #[serde(default)]
    pub is_archived: bool,
    /// Chosen for it.
    #[serde(default)]
    pub model: Option<String>,
    /// Chosen for it.
    #[serde(default)]
    pub system_prompt: Option<String>,
    /// Chosen for it.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Chosen for it.
    #[serde(default)]
    pub max_tokens: Option<i64>,
    /// Whether replies draw on the documents.
    #[serde(default)]
    pub library: bool,
    /// Its tags.
    #[serde(default, deserialize_with = "at_most::<{ TAGS_MAX + 1 }, _, _>")]
    pub tags: Vec<String>,
    /// The newest message of the branch that is shown.
    #[serde(default)]
    pub leaf: Option<String>,
    /// Those that come in with it; on the way out they are written apart, a few at a time.
    #[serde(
        default,
        skip_serializing,
        deserialize_with = "at_most::<{ MESSAGES_MAX + 1 }, _, _>"
    )]
    pub messages: Vec<PortableMessage>,
    /// The digest of all of it, once that has been made: what has the same is the same.
    #[serde(skip)]
    pub sha256: Option<String>,
}

/// A message of any branch. Those it comes after stand before it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PortableMessage {
    /// What it is known by.
    pub uuid: String,
    /// The message before it on its branch.
    #[serde(default)]
    pub parent: Option<String>,
    /// `user` or `assistant`.
    pub role: String,
    /// The text.
    pub content: String,
    /// How far it has come.
    #[serde(default = "complete")]
    pub state: String,
    /// The model that ran.
    #[serde(default)]
    pub model: Option<String>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// What the model thought.
    #[serde(default)]
    pub reasoning: Option<String>,
    /// What it called.
    #[serde(default)]
    pub tool_calls: Option<Box<RawValue>>,
    /// What it could draw on.
    #[serde(default, deserialize_with = "at_most::<{ SOURCES_MAX + 1 }, _, _>")]
    pub sources: Vec<Source>,
    /// A short account of it.
    #[serde(default)]
    pub summary: Option<String>,
    /// `text`, `image` …
    #[serde(default = "text", rename = "type")]
    pub kind: String,
    /// Addresses of what goes with it.
    #[serde(default, deserialize_with = "at_most::<{ FILES_MAX + 1 }, _, _>")]
    pub media_urls: Vec<String>,
    /// The message this one answers, as its sender said.
    #[serde(default)]
    pub reply_to_id: Option<String>,
    /// `sent`, `delivered` or `read`.
    #[serde(default = "sent")]
    pub status: String,
    /// `normal` unless a client said otherwise.
    #[serde(default = "normal")]
    pub importance_level: String,
    /// RFC 3339.
    pub created_at: String,
    /// UUIDs of the files that were sent with it.
    #[serde(default, deserialize_with = "at_most::<{ FILES_MAX + 1 }, _, _>")]
    pub attachments: Vec<String>,
}

/// Keeps the first `N` of a list, however long it is: one more than may be is enough to refuse it.
fn at_most<'de, const N: usize, T: Deserialize<'de>, D: Deserializer<'de>>(list: D) -> Result<Vec<T>, D::Error> {
    struct First<T, const N: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for First<T, N> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut first = Vec::new();
            while first.len() < N {
                match list.next_element()? {
                    Some(item) => first.push(item),
                    None => return Ok(first),
                }
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(first)
        }
    }
    list.deserialize_seq(First::<T, N>(PhantomData))
}

fn complete() -> String {
    "complete".to_owned()
}

fn text() -> String {
    "text".to_owned()
}

fn sent() -> String {
    "sent".to_owned()
}

fn normal() -> String {
    "normal".to_owned()
}

/// What becomes of UUIDs on the way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// They stay as they are.
    Kept,
    /// Somebody else has them here already: new ones, always the same for the same owner.
    Derived,
}

impl Naming {
    fn name(self, owner: i64, uuid: &str) -> String {
        match self {
            Naming::Kept => uuid.to_owned(),
            Naming::Derived => derived_uuid(owner, uuid),
        }
    }
}

/// Which conversations are passed over unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Those that are as they were when they last came in.
    Unchanged,
    /// None: there is more for their messages than stands in them.
    Never,
}

/// What became of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is here now, with so many messages.
    New(usize),
    /// It was here already, and has now so many messages that it did not have.
    Grown(usize),
    /// It was here already, and stays as it is.
    Known,
    /// It was deleted here.
    Deleted,
    /// It was here already, and a message that it does not have here belongs to another conversation.
    Torn,
    /// Somebody else has a conversation or a message of that UUID.
    Taken,
}

/// The owner's conversations after the one with this integer id, oldest first, each with its integer id.
///
/// # Errors
/// Those of the store.
pub fn list_portable_conversations(
    read: &Read<'_>,
    owner: i64,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, PortableConversation)>, Error> {
    let map = |row: &Row<'_>| {
        let tags: Option<String> = row.get(13)?;
        let conversation = PortableConversation {
            uuid: row.get(1)?,
            title: row.get(2)?,
            summary: row.get(3)?,
            created_at: row.get(4)?,
            updated_at: row.get(5)?,
            is_pinned: row.get(6)?,
            is_archived: row.get(7)?,
            model: row.get(8)?,
            system_prompt: row.get(9)?,
            temperature: row.get(10)?,
            max_tokens: row.get(11)?,
            library: row.get(12)?,
            tags: tags::parse(tags.as_deref()),
            leaf: row.get(14)?,
            messages: Vec::new(),
            sha256: None,
        };
        Ok((row.get(0)?, conversation))
    };
    read.all(
        "SELECT id, uuid, title, summary, created_at, updated_at, is_pinned, is_archived, model, system_prompt,
             temperature, max_tokens, library, tags, (SELECT messages.uuid FROM messages WHERE messages.id = leaf_id)
         FROM conversations WHERE user_id = ?1 AND deleted_at IS NULL AND id > ?2 ORDER BY id LIMIT ?3",
        [owner, after, limit],
        map,
    )
}

/// A conversation's messages after the one with this integer id, oldest first, each with its integer id. The
/// conversation must have been found for its owner.
///
/// # Errors
/// Those of the store.
pub fn list_portable_messages(
    read: &Read<'_>,
    conversation_id: i64,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, PortableMessage)>, Error> {
    let map = |row: &Row<'_>| {
        let json = |at: usize| -> rusqlite::Result<Option<String>> { row.get(at) };
        let list = |text: Option<String>| {
            text.and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default()
        };
        let message = PortableMessage {
            uuid: row.get(1)?,
            parent: row.get(2)?,
            role: row.get(3)?,
            content: row.get(4)?,
            state: row.get(5)?,
            model: row.get(6)?,
            error: row.get(7)?,
            reasoning: row.get(8)?,
            tool_calls: json(9)?.and_then(|text| RawValue::from_string(text).ok()),
            summary: row.get(10)?,
            kind: row.get(11)?,
            media_urls: list(json(12)?),
            reply_to_id: row.get(13)?,
            status: row.get(14)?,
            importance_level: row.get(15)?,
            created_at: row.get(16)?,
            attachments: list(json(17)?),
            sources: json(18)?
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default(),
        };
        Ok((row.get(0)?, message))
    };
    read.all(
        "SELECT id, uuid, (SELECT before.uuid FROM messages AS before WHERE before.id = messages.parent_id), role,
             content, state, model, error, reasoning, tool_calls, summary, type, media_urls, reply_to_id, status,
             importance_level, created_at,
             (SELECT json_group_array(attachments.uuid) FROM message_attachments
              JOIN attachments ON attachments.id = attachment_id WHERE message_id = messages.id), sources
         FROM messages WHERE conversation_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        [conversation_id, after, limit],
        map,
    )
}

/// The owner's attachments in conversations that are there, after the one with this integer id, oldest first, each with when it came.
///
/// # Errors
/// Those of the store.
pub fn list_portable_attachments(
    read: &Read<'_>,
    owner: i64,
    after: i64,
    limit: i64,
) -> Result<Vec<(Attachment, String)>, Error> {
    read.all(
        "SELECT id, uuid, filename, content_type, size, sha256, created_at FROM attachments
         WHERE user_id = ?1 AND id > ?2 AND EXISTS (
             SELECT 1 FROM message_attachments JOIN messages ON messages.id = message_id
                 JOIN conversations ON conversations.id = conversation_id
             WHERE attachment_id = attachments.id AND deleted_at IS NULL)
         ORDER BY id LIMIT ?3",
        [owner, after, limit],
        |row| {
            let attachment = Attachment {
                id: row.get(0)?,
                uuid: row.get(1)?,
                message_id: None,
                filename: row.get(2)?,
                content_type: row.get(3)?,
                size: row.get(4)?,
                sha256: row.get(5)?,
            };
            Ok((attachment, row.get(6)?))
        },
    )
}

/// Whose attachment of this UUID there is.
///
/// # Errors
/// Those of the store.
pub fn owner_of_attachment(read: &Read<'_>, uuid: &str) -> Result<Option<i64>, Error> {
    read.first("SELECT user_id FROM attachments WHERE uuid = ?1", [uuid], |row| {
        row.get(0)
    })
}

/// The UUID that stands for `uuid` with this owner where somebody else has that one already.
pub fn derived_uuid(owner: i64, uuid: &str) -> String {
    let digest = Sha256::digest(format!("{owner} {uuid}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// Gives attachments that came in the times they have: before their messages came they had to seem new, or they would
/// have been cleared away.
///
/// # Errors
/// Those of the store.
pub fn date_attachments(tx: &Tx<'_>, owner: i64, times: &[(String, String)]) -> Result<(), Error> {
    for (uuid, created_at) in times {
        tx.execute(
            "UPDATE attachments SET created_at = ?3 WHERE user_id = ?1 AND uuid = ?2 AND sent_count > 0",
            params![owner, uuid, created_at],
        )?;
    }
    Ok(())
}

/// Stores conversations, each with its messages or not at all. Of those that are here only the messages that are not are
/// added. They have been checked: UUIDs are UUIDs, and every parent stands before its children.
///
/// # Errors
/// Those of the store: then none was stored.
pub fn import_conversations(
    tx: &Tx<'_>,
    owner: i64,
    conversations: &[PortableConversation],
    known: Known,
) -> Result<Vec<Arrival>, Error> {
    let mut arrivals = Vec::with_capacity(conversations.len());
    for conversation in conversations {
        let mut arrival = import_as(tx, owner, conversation, Naming::Kept, known)?;
        if arrival == Arrival::Taken {
            arrival = import_as(tx, owner, conversation, Naming::Derived, known)?;
        }
        arrivals.push(arrival);
    }
    Ok(arrivals)
}

/// The messages of a conversation that are here, and not deleted, once it has come in: none where it does not. Stores it,
/// and so is for rehearsals.
///
/// # Errors
/// Those of the store.
pub fn list_arriving(tx: &Tx<'_>, owner: i64, conversation: &PortableConversation) -> Result<HashSet<String>, Error> {
    let arrivals = import_conversations(tx, owner, std::slice::from_ref(conversation), Known::Never)?;
    let is_in = |arrival: &Arrival| matches!(arrival, Arrival::New(_) | Arrival::Grown(_) | Arrival::Known);
    let mut here = HashSet::new();
    if !arrivals.iter().all(is_in) {
        return Ok(here);
    }
    let sql = "SELECT 1 FROM messages JOIN conversations ON conversations.id = conversation_id
               WHERE messages.uuid IN (?1, ?2) AND conversations.user_id = ?3 AND deleted_at IS NULL";
    for message in &conversation.messages {
        let derived = derived_uuid(owner, &message.uuid);
        if tx
            .first(sql, params![message.uuid, derived, owner], |_| Ok(()))?
            .is_some()
        {
            here.insert(message.uuid.clone());
        }
    }
    Ok(here)
}

/// Under one naming or not at all: what cannot be stored whole is taken back.
fn import_as(
    tx: &Tx<'_>,
    owner: i64,
    conversation: &PortableConversation,
    naming: Naming,
    known: Known,
) -> Result<Arrival, Error> {
    tx.execute("SAVEPOINT conversation", ())?;
    match import_conversation(tx, owner, conversation, naming, known) {
        Ok(arrival) => {
            tx.execute("RELEASE conversation", ())?;
            Ok(arrival)
        }
        Err(error) if violates(&error, "messages.uuid") => {
            tx.execute("ROLLBACK TO conversation", ())?;
            tx.execute("RELEASE conversation", ())?;
            let sql = "SELECT 1 FROM conversations WHERE uuid = ?1 AND user_id = ?2";
            let uuid = naming.name(owner, &conversation.uuid);
            let is_here = tx.first(sql, params![uuid, owner], |_| Ok(()))?.is_some();
            Ok(if is_here { Arrival::Torn } else { Arrival::Taken })
        }
        Err(error) => Err(error),
    }
}

fn import_conversation(
    tx: &Tx<'_>,
    owner: i64,
    conversation: &PortableConversation,
    naming: Naming,
    known: Known,
) -> Result<Arrival, Error> {
    let name = |uuid: &str| naming.name(owner, uuid);
    let uuid = name(&conversation.uuid);
    let sql = "SELECT user_id, deleted_at IS NOT NULL, id, import_sha256 FROM conversations WHERE uuid = ?1";
    let found = tx.first(sql, [&uuid], |row| {
        let (holder, is_deleted): (i64, bool) = (row.get(0)?, row.get(1)?);
        let (id, sha256): (i64, Option<String>) = (row.get(2)?, row.get(3)?);
        Ok((holder, is_deleted, id, sha256))
    })?;
    let (id, is_new) = match found {
        None => (insert_conversation(tx, owner, &uuid, conversation)?, true),
        Some((holder, ..)) if holder != owner => return Ok(Arrival::Taken),
        Some((_, true, ..)) => return Ok(Arrival::Deleted),
        Some((.., sha256)) if known == Known::Unchanged && sha256.is_some() && sha256 == conversation.sha256 => {
            return Ok(Arrival::Known);
        }
        Some((_, _, id, _)) => (id, false),
    };
    let mut added = 0;
    // What was deleted here stays so, and nothing can stand below it.
    let mut deleted: HashSet<&str> = HashSet::new();
    for message in &conversation.messages {
        let found = if is_new {
            None
        } else {
            find_place(tx, &name(&message.uuid))?
        };
        let is_below_deleted = message.parent.as_deref().is_some_and(|parent| deleted.contains(parent));
        match found {
            Some((_, Some(from))) if from == id => drop(deleted.insert(&message.uuid)),
            // Its files may not have come with it the first time.
            Some((conversation_id, _)) if conversation_id == id => {
                let (files, _) = find_files(tx, owner, message)?;
                link(tx, owner, &name(&message.uuid), &files)?;
            }
            _ if is_below_deleted => drop(deleted.insert(&message.uuid)),
            _ => {
                insert(tx, owner, id, message, &name)?;
                added += 1;
            }
        }
    }
    let sql = "UPDATE conversations SET import_sha256 = ?2 WHERE id = ?1";
    tx.execute(sql, params![id, conversation.sha256])?;
    if added > 0 || is_new {
        show_leaf(tx, id, conversation, &name)?;
    }
    Ok(match (is_new, added) {
        (true, _) => Arrival::New(added),
        (false, 0) => Arrival::Known,
        (false, _) => Arrival::Grown(added),
    })
}

fn insert_conversation(tx: &Tx<'_>, owner: i64, uuid: &str, conversation: &PortableConversation) -> Result<i64, Error> {
    let id = tx.insert(
        "INSERT INTO conversations (uuid, user_id, title, summary, created_at, updated_at, is_pinned, is_archived, model,
             system_prompt, temperature, max_tokens, library)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            uuid,
            owner,
            conversation.title,
            conversation.summary,
            conversation.created_at,
            conversation.updated_at,
            conversation.is_pinned,
            conversation.is_archived,
            conversation.model,
            conversation.system_prompt,
            conversation.temperature,
            conversation.max_tokens,
            conversation.library
        ],
    )?;
    if !conversation.tags.is_empty() {
        // Apart: a trigger that keeps the tags' table looks at changes.
        let sql = "UPDATE conversations SET tags = ?2 WHERE id = ?1";
        tx.execute(sql, params![id, json_list(&conversation.tags)])?;
    }
    Ok(id)
}

/// The conversation that a message is kept in, and the one that its branch was deleted from.
fn find_place(tx: &Tx<'_>, uuid: &str) -> Result<Option<(i64, Option<i64>)>, Error> {
    let sql =
        "SELECT conversations.id, cut_from_id FROM messages JOIN conversations ON conversations.id = conversation_id
               WHERE messages.uuid = ?1";
    tx.first(sql, [uuid], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Shows the branch that came in, unless somebody has gone on here on another one.
fn show_leaf(
    tx: &Tx<'_>,
    id: i64,
    conversation: &PortableConversation,
    name: &dyn Fn(&str) -> String,
) -> Result<(), Error> {
    tx.execute(
        "WITH RECURSIVE branch (id, parent_id) AS (
             SELECT id, parent_id FROM messages WHERE uuid = ?2 AND conversation_id = ?1
             UNION ALL
             SELECT messages.id, messages.parent_id FROM branch JOIN messages ON messages.id = branch.parent_id
         )
         UPDATE conversations SET leaf_id = (SELECT max(id) FROM branch), message_count = (SELECT count(*) FROM branch),
             last_message_time = (SELECT messages.created_at FROM messages WHERE uuid = ?2),
             last_message_content = coalesce((SELECT substr(content, 1, 200) FROM messages WHERE uuid = ?2), ''),
             updated_at = max(updated_at, ?3)
         WHERE id = ?1 AND coalesce(leaf_id IN (SELECT id FROM branch), 1)",
        params![id, conversation.leaf.as_deref().map(name), conversation.updated_at],
    )?;
    Ok(())
}

/// The UUIDs of a message's files here, where they may have come under other names, and its addresses with these, as
/// JSON.
fn find_files(tx: &Tx<'_>, owner: i64, message: &PortableMessage) -> Result<(Vec<String>, String), Error> {
    let mut files = Vec::new();
    let mut media_urls = json_list(&message.media_urls);
    for uuid in &message.attachments {
        let derived = derived_uuid(owner, uuid);
        if owner_of_attachment(tx, &derived)? == Some(owner) {
            media_urls = media_urls.replace(uuid, &derived);
            files.push(derived);
        } else {
            files.push(uuid.clone());
        }
    }
    Ok((files, media_urls))
}

/// Links a message with those of its files that are here, and are not its own yet.
fn link(tx: &Tx<'_>, owner: i64, message: &str, files: &[String]) -> Result<(), Error> {
    if !files.is_empty() {
        tx.execute(
            "INSERT INTO message_attachments (message_id, attachment_id)
             SELECT messages.id, attachments.id FROM messages, attachments
             WHERE messages.uuid = ?1 AND attachments.user_id = ?2
                 AND attachments.uuid IN (SELECT value FROM json_each(?3))
             ON CONFLICT DO NOTHING",
            params![message, owner, json_list(files)],
        )?;
    }
    Ok(())
}

fn insert(
    tx: &Tx<'_>,
    owner: i64,
    conversation_id: i64,
    message: &PortableMessage,
    name: &dyn Fn(&str) -> String,
) -> Result<(), Error> {
    let (files, media_urls) = find_files(tx, owner, message)?;
    let uuid = name(&message.uuid);
    tx.insert(
        "INSERT INTO messages (uuid, conversation_id, user_id, parent_id, role, content, state, model, error, reasoning,
             tool_calls, summary, type, media_urls, reply_to_id, status, importance_level, created_at,
             sources)
         VALUES (?1, ?2, ?3, (SELECT id FROM messages WHERE uuid = ?4), ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
             ?16, ?17, ?18, ?19)",
        params![
            uuid,
            conversation_id,
            owner,
            message.parent.as_deref().map(name),
            message.role,
            message.content,
            // Nobody goes on writing it here.
            if message.state == "streaming" { "interrupted" } else { &message.state },
            message.model,
            message.error,
            message.reasoning,
            message.tool_calls.as_deref().map(RawValue::get),
            message.summary,
            message.kind,
            (!message.media_urls.is_empty()).then_some(media_urls),
            message.reply_to_id.as_deref().map(name),
            message.status,
            message.importance_level,
            message.created_at,
            Source::json(&message.sources)
        ],
    )?;
    link(tx, owner, &uuid, &files)
}

/// What the owner has set, as JSON.
///
/// # Errors
/// Those of the store.
pub fn find_portable_settings(read: &Read<'_>, owner: i64) -> Result<Option<Box<RawValue>>, Error> {
    let sql = "SELECT settings FROM users WHERE id = ?1";
    let found: Option<String> = read.first(sql, [owner], |row| row.get(0))?.flatten();
    Ok(found.and_then(|text| RawValue::from_string(text).ok()))
}

/// Gives the owner settings, a JSON object, and a system prompt, where there are none yet. Returns whether that changed anything.
///
/// # Errors
/// Those of the store.
pub fn import_settings(tx: &Tx<'_>, owner: i64, settings: Option<&str>, prompt: Option<&str>) -> Result<bool, Error> {
    let changed = tx.execute(
        "UPDATE users SET settings = coalesce(settings, ?2), system_prompt = coalesce(system_prompt, ?3)
         WHERE id = ?1 AND coalesce(iif(settings IS NULL, ?2, NULL), iif(system_prompt IS NULL, ?3, NULL)) IS NOT NULL",
        params![owner, settings, prompt],
    )?;
    Ok(changed > 0)
}
