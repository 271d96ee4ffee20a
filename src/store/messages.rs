//! Messages: rows of a tree. What a client sees is one branch, from the conversation's leaf up to the first message.

use std::borrow::Cow;

use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use super::attachments::{Attachment, list_attachments};
use super::{Read, Ref, Tx, json_list, tree};
use crate::error::{Error, Kind};

/// Content of one page of messages, in bytes, after which no older message is added: a page of 500 large ones would
/// otherwise take half a gigabyte of memory. `before` pages on.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Characters of a message that lists of conversations show.
const PREVIEW_CHARS: usize = 200;

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A person.
    User,
    /// A model.
    Assistant,
}

impl Role {
    /// As it stands in the table and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }

    pub(super) fn parse(name: &str) -> Role {
        match name {
            "user" => Role::User,
            _ => Role::Assistant,
        }
    }
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Whole.
    Complete,
    /// Being written by a model; what is stored is at most a moment old.
    Streaming,
    /// The server stopped while it was being written.
    Interrupted,
    /// Its reader stopped it.
    Stopped,
    /// The model failed; what had come is kept.
    Failed,
}

impl State {
    /// As it stands in the table and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            State::Complete => "complete",
            State::Streaming => "streaming",
            State::Interrupted => "interrupted",
            State::Stopped => "stopped",
            State::Failed => "failed",
        }
    }

    pub(super) fn parse(name: &str) -> State {
        match name {
            "streaming" => State::Streaming,
            "interrupted" => State::Interrupted,
            "stopped" => State::Stopped,
            "failed" => State::Failed,
            _ => State::Complete,
        }
    }
}

/// A stored message.
#[derive(Clone, Debug)]
pub struct Message {
    /// The integer id.
    pub id: i64,
    /// The other id.
    pub uuid: String,
    /// The conversation it belongs to.
    pub conversation_id: i64,
    /// The message before it on its branch.
    pub parent_id: Option<i64>,
    /// Who wrote it.
    pub role: Role,
    /// The text.
    pub content: String,
    /// How far it has come.
    pub state: State,
    /// The model that ran (replies only).
    pub model: Option<String>,
    /// Why a reply failed.
    pub error: Option<String>,
    /// A short account of it, where somebody has given one.
    pub summary: Option<String>,
    /// What the model thought before it replied, where it shows that.
    pub reasoning: Option<String>,
    /// JSON array of the tools that the model called.
    pub tool_calls: Option<String>,
    /// JSON array of the [`Source`]s that a reply could draw on.
    pub sources: Option<String>,
    /// `text`, `image`, `audio` …
    pub kind: Cow<'static, str>,
    /// JSON array of strings.
    pub media_urls: Option<String>,
    /// The message this one answers, as its sender said.
    pub reply_to_id: Option<String>,
    /// `sent`, `delivered` or `read`.
    pub status: Cow<'static, str>,
    /// `normal` unless a client says otherwise.
    pub importance_level: Cow<'static, str>,
    /// RFC 3339.
    pub created_at: String,
    /// Its text as HTML, where somebody has asked for that: lists do not read it.
    pub html: Option<String>,
}

/// A passage of a document, as it stood when a reply drew on it: the document may change or go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The document's UUID.
    pub document_id: String,
    /// Its place among the document's passages, from 0.
    #[serde(default)]
    pub position: i64,
    /// The document's title.
    pub title: String,
    /// Who wrote it.
    #[serde(default)]
    pub author: Option<String>,
    /// The headings it stands under.
    #[serde(default)]
    pub heading: Option<String>,
    /// The passage.
    pub text: String,
}

impl Source {
    /// Of its texts.
    pub fn bytes(&self) -> usize {
        let optional = [&self.author, &self.heading];
        let optional: usize = optional.into_iter().flatten().map(String::len).sum();
        self.document_id.len() + self.title.len() + self.text.len() + optional
    }

    /// Several as they are stored: null for none.
    pub(super) fn json(sources: &[Source]) -> Option<String> {
        // Structs of texts have nothing that could fail.
        (!sources.is_empty()).then(|| serde_json::to_string(sources).unwrap_or_default())
    }
}

/// A message to be stored at the end of a branch.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The id beside the integer.
    pub uuid: String,
    /// The conversation and its owner.
    pub conversation_id: i64,
    /// The conversation's owner.
    pub user_id: i64,
    /// Who wrote it.
    pub role: Role,
    /// The text.
    pub content: String,
    /// How far it has come.
    pub state: State,
    /// The model that ran (replies only).
    pub model: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// What some clients say besides.
    pub details: MessageDetails,
}

/// What some clients say of a message besides its text.
#[derive(Clone, Debug, Default)]
pub struct MessageDetails {
    /// `image`, `audio` …; `None` is `text`.
    pub kind: Option<String>,
    /// Addresses of what goes with it.
    pub media_urls: Vec<String>,
    /// The message this one answers, as its sender says.
    pub reply_to_id: Option<String>,
}

impl MessageDetails {
    /// The addresses as they are stored: null for none.
    fn media_urls_json(&self) -> Option<String> {
        (!self.media_urls.is_empty()).then(|| json_list(&self.media_urls))
    }
}

/// What a message says.
#[derive(Debug)]
pub struct Utterance {
    /// The message's id.
    pub id: i64,
    /// The message it stands below.
    pub parent_id: Option<i64>,
    /// Who says it.
    pub role: Role,
    /// The words.
    pub content: String,
    /// What was sent with it, in the order it came.
    pub attachments: Vec<Attachment>,
}

/// A page of a branch, counted from its newest message.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The conversation, which must have been found for its owner.
    pub conversation_id: i64,
    /// Its newest message.
    pub leaf_id: Option<i64>,
    /// Only messages older than this one.
    pub before: Option<Ref>,
    /// At most so many.
    pub limit: i64,
}

const COLUMNS: &str = "messages.id, uuid, parent_id, role, content, state, model, error, type, media_urls, \
    reply_to_id, status, importance_level, created_at, conversation_id, summary, reasoning, tool_calls, sources";

/// How many those are.
const COLUMN_COUNT: usize = 19;

fn map(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        id: row.get(0)?,
        uuid: row.get(1)?,
        parent_id: row.get(2)?,
        role: Role::parse(row.get_ref(3)?.as_str()?),
        content: row.get(4)?,
        state: State::parse(row.get_ref(5)?.as_str()?),
        model: row.get(6)?,
        error: row.get(7)?,
        kind: common(row, 8)?,
        media_urls: row.get(9)?,
        reply_to_id: row.get(10)?,
        status: common(row, 11)?,
        importance_level: common(row, 12)?,
        created_at: row.get(13)?,
        conversation_id: row.get(14)?,
        summary: row.get(15)?,
        html: None,
        reasoning: row.get(16)?,
        tool_calls: row.get(17)?,
        sources: row.get(18)?,
    })
}

/// A text that is the same in nearly all messages: no copy is made of those that are.
fn common(row: &Row<'_>, column: usize) -> rusqlite::Result<Cow<'static, str>> {
    let text = row.get_ref(column)?.as_str()?;
    let same = ["text", "sent", "read", "normal"]
        .into_iter()
        .find(|same| *same == text);
    Ok(same.map_or_else(|| Cow::Owned(text.to_owned()), Cow::Borrowed))
}

/// One of the owner's messages, on whatever branch, if its conversation is still there, and that one's UUID.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn find_message(read: &Read<'_>, owner: i64, which: &Ref) -> Result<(Message, String), Error> {
    let (id, uuid) = which.parts();
    let sql = format!(
        "SELECT {COLUMNS}, (SELECT uuid FROM conversations WHERE id = conversation_id) FROM messages
         WHERE (id = ?1 OR uuid = ?2) AND user_id = ?3
             AND EXISTS (SELECT 1 FROM conversations WHERE id = conversation_id AND deleted_at IS NULL)"
    );
    let found = read.first(&sql, params![id, uuid, owner], |row| {
        Ok((map(row)?, row.get(COLUMN_COUNT)?))
    })?;
    found.ok_or_else(|| Error::new(Kind::NotFound, "Message not found"))
}

/// The models that answered some messages: pairs of a message and the model of a reply to it, the newest reply last.
///
/// # Errors
/// Those of the store.
pub fn list_reply_models(read: &Read<'_>, message_ids: &[i64]) -> Result<Vec<(i64, String)>, Error> {
    let sql = "SELECT parent_id, model FROM messages
               WHERE parent_id IN (SELECT value FROM json_each(?1)) AND role = 'assistant' AND model IS NOT NULL
               ORDER BY id";
    read.all(sql, [json_list(message_ids)], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Marks one of the owner's messages as read; returns it, and the UUID of its conversation.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn mark_read(tx: &Tx<'_>, owner: i64, which: &Ref) -> Result<(Message, String), Error> {
    let (mut message, chat_id) = find_message(tx, owner, which)?;
    if message.status != "read" {
        tx.execute("UPDATE messages SET status = 'read' WHERE id = ?1", [message.id])?;
        message.status = "read".into();
    }
    Ok((message, chat_id))
}

/// The newest messages of a branch, oldest first. The cost grows with the page, not with the conversation.
///
/// # Errors
/// Those of the store.
pub fn list_branch(read: &Read<'_>, branch: &Branch) -> Result<Vec<Message>, Error> {
    climb(read, branch, COLUMNS, map, |message| {
        (message.parent_id, message.content.len())
    })
}

/// The same, of each message what is said and sent: a prompt needs no more, and it takes a third of the time.
///
/// # Errors
/// Those of the store.
pub fn list_utterances(read: &Read<'_>, branch: &Branch) -> Result<Vec<Utterance>, Error> {
    let map = |row: &Row<'_>| {
        Ok(Utterance {
            id: row.get(0)?,
            parent_id: row.get(1)?,
            role: Role::parse(row.get_ref(2)?.as_str()?),
            content: row.get(3)?,
            attachments: Vec::new(),
        })
    };
    let _moment = read.snapshot()?;
    let link = |said: &Utterance| (said.parent_id, said.content.len());
    let mut page = climb(read, branch, "id, parent_id, role, content", map, link)?;
    let ids: Vec<i64> = page.iter().map(|said| said.id).collect();
    let mut attachments = list_attachments(read, &ids)?.into_iter().peekable();
    for said in &mut page {
        let its_own = |attachment: &Attachment| attachment.message_id == Some(said.id);
        said.attachments
            .extend(std::iter::from_fn(|| attachments.next_if(its_own)));
    }
    Ok(page)
}

/// A page of a branch, oldest first. Of what `map` makes of a row, `link` gives the parent and the bytes.
fn climb<T>(
    read: &Read<'_>,
    branch: &Branch,
    columns: &str,
    map: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    link: impl Fn(&T) -> (Option<i64>, usize),
) -> Result<Vec<T>, Error> {
    let start = match &branch.before {
        None => branch.leaf_id,
        Some(before) => {
            let (id, uuid) = before.parts();
            let sql = "SELECT parent_id FROM messages WHERE (id = ?1 OR uuid = ?2) AND conversation_id = ?3";
            read.first(sql, params![id, uuid, branch.conversation_id], |row| row.get(0))?
                .flatten()
        }
    };
    // From one message to the one before it: a recursive query does the same at three times the cost.
    let _moment = read.snapshot()?;
    let sql = format!("SELECT {columns} FROM messages WHERE id = ?1");
    let mut statement = read.0.prepare_cached(&sql).map_err(super::failed)?;
    let limit = usize::try_from(branch.limit).unwrap_or(0);
    let mut page = Vec::with_capacity(limit.min(64));
    let (mut bytes, mut next) = (0, start);
    while let Some(id) = next
        && page.len() < limit
    {
        let mut rows = statement.query([id]).map_err(super::failed)?;
        let Some(row) = rows.next().map_err(super::failed)? else {
            break;
        };
        // Into its place at once: a message is large to be handed on.
        page.push(map(row).map_err(super::failed)?);
        let Some((parent_id, content_bytes)) = page.last().map(&link) else {
            break;
        };
        bytes += content_bytes;
        if bytes > PAGE_BYTES_MAX && page.len() > 1 {
            page.pop();
            break;
        }
        next = parent_id;
    }
    page.reverse();
    Ok(page)
}

/// Stores a message after `parent` (`None`: after the branch's newest) and makes it the conversation's newest.
/// A conversation without a title takes it from its first message, as `title` gives it; a reply that is being written
/// and has no words yet leaves lists as they are.
///
/// # Errors
/// [`Kind::NotFound`] when the conversation is not there (any more).
pub fn insert_message(tx: &Tx<'_>, new: &NewMessage, parent: Option<i64>, title: Option<&str>) -> Result<i64, Error> {
    let leaf = find_leaf(tx, new)?;
    insert_below(tx, new, parent.or(leaf), leaf, title)
}

/// Stores a message beside another of its conversation, as a branch of its own, and shows that one.
///
/// # Errors
/// [`Kind::NotFound`] when the conversation is not there (any more).
pub fn insert_sibling(tx: &Tx<'_>, new: &NewMessage, of: &Message) -> Result<i64, Error> {
    let leaf = find_leaf(tx, new)?;
    insert_below(tx, new, of.parent_id, leaf, None)
}

/// The end of the branch that is shown in the conversation that a message goes to.
fn find_leaf(tx: &Tx<'_>, new: &NewMessage) -> Result<Option<i64>, Error> {
    let leaf: Option<Option<i64>> = tx.first(
        "SELECT leaf_id FROM conversations WHERE id = ?1 AND user_id = ?2 AND deleted_at IS NULL",
        [new.conversation_id, new.user_id],
        |row| row.get(0),
    )?;
    leaf.ok_or_else(|| Error::new(Kind::NotFound, "Conversation not found"))
}

fn insert_below(
    tx: &Tx<'_>,
    new: &NewMessage,
    parent: Option<i64>,
    leaf: Option<i64>,
    title: Option<&str>,
) -> Result<i64, Error> {
    // What a branch forks off from may have been deleted since it was looked up.
    let sql = "SELECT 1 FROM messages WHERE id = ?1 AND conversation_id = ?2";
    if let Some(parent) = parent.filter(|_| parent != leaf)
        && tx.first(sql, [parent, new.conversation_id], |_| Ok(()))?.is_none()
    {
        return Err(Error::new(Kind::NotFound, "Message not found"));
    }
    let id = tx.insert(
        "INSERT INTO messages (uuid, conversation_id, user_id, parent_id, role, content, state, model, error, created_at,
             type, media_urls, reply_to_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, coalesce(?11, 'text'), ?12, ?13)",
        params![
            new.uuid,
            new.conversation_id,
            new.user_id,
            parent,
            new.role.name(),
            new.content,
            new.state.name(),
            new.model,
            new.error,
            new.created_at,
            new.details.kind,
            new.details.media_urls_json(),
            new.details.reply_to_id
        ],
    )?;
    // A branch that forks off is counted; the one that is shown only grows.
    let length = if parent == leaf {
        None
    } else {
        Some(tree::count_branch(tx, id)?)
    };
    let shown = Some(preview(&new.content)).filter(|text| !text.is_empty() || new.state != State::Streaming);
    tx.execute(
        "UPDATE conversations SET leaf_id = ?2, message_count = coalesce(?6, message_count + 1),
             updated_at = max(updated_at, ?3), last_message_time = iif(?4 IS NULL, last_message_time, ?3),
             last_message_content = coalesce(?4, last_message_content), title = coalesce(title, ?5)
         WHERE id = ?1",
        params![new.conversation_id, id, new.created_at, shown, title, length],
    )?;
    Ok(id)
}

/// Replaces the text of a reply that is being written.
///
/// # Errors
/// Those of the store.
pub fn save_partial(tx: &Tx<'_>, id: i64, content: &str) -> Result<(), Error> {
    tx.execute(
        "UPDATE messages SET content = ?2 WHERE id = ?1 AND state = 'streaming'",
        params![id, content],
    )?;
    Ok(())
}

/// Replaces what the model of a reply has thought and which tools it has called (JSON). Nobody else writes these, so it is
/// all the same whether the reply has ended.
///
/// # Errors
/// Those of the store.
pub fn save_thoughts(tx: &Tx<'_>, id: i64, reasoning: Option<&str>, tool_calls: Option<&str>) -> Result<(), Error> {
    tx.execute(
        "UPDATE messages SET reasoning = ?2, tool_calls = ?3 WHERE id = ?1",
        params![id, reasoning, tool_calls],
    )?;
    Ok(())
}

/// Says which passages a reply can draw on; its text calls them by their places, from 1.
///
/// # Errors
/// Those of the store.
pub fn save_sources(tx: &Tx<'_>, id: i64, sources: &[Source]) -> Result<(), Error> {
    let sources = Source::json(sources);
    tx.execute("UPDATE messages SET sources = ?2 WHERE id = ?1", params![id, sources])?;
    Ok(())
}

/// Makes a reply that broke off one that is being written again, and shows its branch; returns it as it was.
///
/// # Errors
/// [`Kind::NotFound`]; [`Kind::Conflict`] when it did not break off, or something was said after it.
pub fn resume_reply(tx: &Tx<'_>, owner: i64, id: i64) -> Result<Message, Error> {
    let (reply, _) = find_message(tx, owner, &Ref::Id(id))?;
    let refused = |message: &'static str| Err(Error::new(Kind::Conflict, message));
    match (reply.role, reply.state) {
        (Role::User, _) => return refused("Only a reply can go on"),
        (Role::Assistant, State::Complete) => return refused("The reply is complete"),
        (Role::Assistant, State::Streaming) => return refused("A reply is being written"),
        (Role::Assistant, State::Interrupted | State::Stopped | State::Failed) => {}
    }
    let sql = "SELECT 1 FROM messages WHERE parent_id = ?1 LIMIT 1";
    if tx.first(sql, [id], |_| Ok(()))?.is_some() {
        return refused("Something was said after this reply");
    }
    let sql = "UPDATE messages SET state = 'streaming', error = NULL, html = NULL, html_version = NULL WHERE id = ?1";
    tx.execute(sql, [id])?;
    tree::set_leaf(tx, reply.conversation_id, id)?;
    Ok(reply)
}

/// Takes back a reply that was to be written and of which nothing came. Its question is the newest message again, or
/// the newest of the replies that it has besides.
///
/// # Errors
/// Those of the store.
pub fn withdraw_reply(tx: &Tx<'_>, id: i64) -> Result<(), Error> {
    let withdrawn: Option<(i64, i64)> = tx.first(
        "DELETE FROM messages WHERE id = ?1 AND state = 'streaming' RETURNING conversation_id, parent_id",
        [id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let Some((conversation_id, parent_id)) = withdrawn else {
        return Ok(());
    };
    let sql = "SELECT 1 FROM conversations WHERE id = ?1 AND leaf_id = ?2";
    if tx.first(sql, [conversation_id, id], |_| Ok(()))?.is_some() {
        tree::show_branch(tx, conversation_id, &Ref::Id(parent_id))?;
    }
    Ok(())
}

/// Ends a reply that was stored while it was being written; returns whether it had not ended yet.
///
/// # Errors
/// [`Kind::NotFound`] when the message is not there any more.
pub fn finish_message(tx: &Tx<'_>, id: i64, last: &NewMessage) -> Result<bool, Error> {
    let changed = tx.execute(
        "UPDATE messages SET content = ?2, state = ?3, model = ?4, error = ?5 WHERE id = ?1 AND state = 'streaming'",
        params![id, last.content, last.state.name(), last.model, last.error],
    )?;
    if changed == 0 {
        let sql = "SELECT 1 FROM messages WHERE id = ?1";
        return match tx.first(sql, [id], |_| Ok(()))? {
            Some(()) => Ok(false),
            None => Err(Error::new(Kind::NotFound, "Message not found")),
        };
    }
    tx.execute(
        "UPDATE conversations SET updated_at = max(updated_at, ?3), last_message_time = ?3, last_message_content = ?4
         WHERE id = ?1 AND leaf_id = ?2",
        params![last.conversation_id, id, last.created_at, preview(&last.content)],
    )?;
    Ok(true)
}

/// Marks what was being written when the server last stopped. Run once at start, before anyone writes. Looks first:
/// planning a change of messages, with all that follows from one, takes a start longer.
///
/// # Errors
/// Those of the store.
pub fn interrupt_streaming(tx: &Tx<'_>) -> Result<(), Error> {
    let sql = "SELECT 1 FROM messages WHERE state = 'streaming' LIMIT 1";
    if tx.first(sql, (), |_| Ok(()))?.is_some() {
        tx.execute(
            "UPDATE messages SET state = 'interrupted' WHERE state = 'streaming'",
            (),
        )?;
    }
    Ok(())
}

/// The first characters of a text, never half of one.
pub(super) fn preview(content: &str) -> &str {
    match content.char_indices().nth(PREVIEW_CHARS) {
        Some((end, _)) => &content[..end],
        None => content,
    }
}
