//! What people search by: a walk over everything of one owner that holds some words, the newest first. It can stop at any
//! row, and FTS5 cuts the lists of words and filters with one another, so a page costs what it shows, not what there is.
//! What comes first on it is decided by the caller, from the texts that it asks for.
//!
//! Messages of deleted conversations stay in the index until these are purged, and are walked past: that costs a fifth of
//! a second where nearly all of a million were deleted. Taking them out would make deleting cost what they hold.

use std::ops::{ControlFlow, Range};

use rusqlite::{Row, params};

use super::few::{self, Told};
use super::message_index::{Phrase, conversation_term, model_term, role_term, title_term};
use super::search::index_word;
use super::{Read, Role, json_list};
use crate::error::Error;

/// Behind every hour that a row of the index may name, and early enough for shifting it.
const HOUR_MAX: i64 = 1 << 30;

/// Among what something is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Among {
    /// Messages, on whatever branch.
    Messages,
    /// Conversations, by their titles.
    Titles,
    /// Documents, by their chunks.
    Documents,
}

/// How the last word of a query is taken, where the query lets it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It must stand as it is.
    Whole,
    /// It may be the beginning of a word.
    Open,
}

/// Where something may stand. Where a list is empty, anywhere; else in one of those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Within {
    /// Conversations, by their integer ids. `None`: in all of them; a list that is empty: in none.
    pub conversations: Option<Vec<i64>>,
    /// Models that wrote it, with or without the provider, in any case.
    pub models: Vec<String>,
    /// Who wrote it.
    pub roles: Vec<Role>,
    /// When it was made: hours since 1970.
    pub hours: Range<i64>,
}

impl Default for Within {
    fn default() -> Within {
        Within {
            conversations: None,
            models: Vec::new(),
            roles: Vec::new(),
            hours: 0..HOUR_MAX,
        }
    }
}

/// What is sought.
#[derive(Clone, Copy, Debug)]
pub struct Sought<'q> {
    /// Whose.
    pub owner: i64,
    /// What must stand in the text, all of it; with none, everything fits.
    pub phrases: &'q [Phrase],
    /// How the last of them ends.
    pub ending: Ending,
    /// Where.
    pub within: &'q Within,
}

/// Something that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The integer id of the message, the conversation or the chunk.
    pub id: i64,
    /// That of what is shown once: the same, or the chunk's document.
    pub shown_id: i64,
    /// When it was made: hours since 1970.
    pub hour: i64,
    /// Bytes of its text.
    pub bytes: i64,
}

/// A message that was found.
#[derive(Clone, Debug)]
pub struct FoundMessage {
    /// The integer id.
    pub id: i64,
    /// The other id.
    pub uuid: String,
    /// Who wrote it: `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
    /// RFC 3339.
    pub created_at: String,
    /// Its conversation.
    pub conversation_id: i64,
    /// The other id of that.
    pub conversation_uuid: String,
    /// What the conversation is called.
    pub title: Option<String>,
}

/// A conversation that was found by its title.
#[derive(Clone, Debug)]
pub struct FoundTitle {
    /// The integer id.
    pub id: i64,
    /// The other id.
    pub uuid: String,
    /// What it is called.
    pub title: String,
    /// RFC 3339; of its newest change.
    pub updated_at: String,
}

impl Candidate {
    /// Its row in the index of messages, or in that of titles.
    pub(super) fn row(&self) -> i64 {
        (self.hour << 32) | self.id
    }
}

/// Visits what fits, the newest first, until `visit` breaks off. Messages that are being written and what belongs to deleted
/// conversations do not fit. Of documents, time is when they were added.
///
/// # Errors
/// Those of the store.
pub fn seek(
    read: &Read<'_>,
    among: Among,
    sought: &Sought<'_>,
    visit: &mut dyn FnMut(Candidate) -> ControlFlow<()>,
) -> Result<(), Error> {
    seek_enough(read, among, sought, usize::MAX, visit).map(drop)
}

/// The same, but where it would take long to find the rest, `enough` are. Tells whether it went on to the end, if `visit`
/// let it.
///
/// # Errors
/// Those of the store.
pub fn seek_enough(
    read: &Read<'_>,
    among: Among,
    sought: &Sought<'_>,
    enough: usize,
    visit: &mut dyn FnMut(Candidate) -> ControlFlow<()>,
) -> Result<bool, Error> {
    let (told, count) = few::visit_fitting(read, among, sought, enough, visit)?;
    match told {
        Told::All => Ok(true),
        Told::Before(_) if count >= enough => Ok(false),
        Told::Before(row) => walk(read, among, sought, row, visit).map(|()| true),
    }
}

/// The same by the index alone: of messages and titles, from this row of it on.
pub(super) fn walk(
    read: &Read<'_>,
    among: Among,
    sought: &Sought<'_>,
    newest_row: i64,
    visit: &mut dyn FnMut(Candidate) -> ControlFlow<()>,
) -> Result<(), Error> {
    let hours = &sought.within.hours;
    let (from, until) = (hours.start.clamp(0, HOUR_MAX), hours.end.clamp(0, HOUR_MAX));
    let (first_row, last_row) = (from << 32, newest_row.min((until << 32) - 1));
    let owner = sought.owner;
    let visit = |row: &Row<'_>| {
        Ok(visit(Candidate {
            id: row.get(0)?,
            shown_id: row.get(1)?,
            hour: row.get(2)?,
            bytes: row.get(3)?,
        }))
    };
    match among {
        Among::Messages => {
            let conversations = sought.within.conversations.as_deref().map(json_list);
            read.each(
                "SELECT messages.id, messages.id, message_index.rowid >> 32, octet_length(content)
                 FROM message_index CROSS JOIN messages ON messages.id = message_index.rowid & 4294967295
                 CROSS JOIN conversations ON conversations.id = messages.conversation_id
                 WHERE message_index MATCH ?1 AND message_index.rowid BETWEEN ?2 AND ?3
                     AND messages.user_id = ?4 AND deleted_at IS NULL
                     AND iif(?5 IS NULL, 1, conversation_id IN (SELECT value FROM json_each(?5)))
                 ORDER BY message_index.rowid DESC",
                params![message_query(sought), first_row, last_row, owner, conversations],
                visit,
            )
        }
        Among::Titles => read.each(
            "SELECT conversations.id, conversations.id, title_index.rowid >> 32, octet_length(title)
             FROM title_index CROSS JOIN conversations ON conversations.id = title_index.rowid & 4294967295
             WHERE title_index MATCH ?1 AND title_index.rowid BETWEEN ?2 AND ?3
                 AND user_id = ?4 AND deleted_at IS NULL AND title IS NOT NULL
             ORDER BY title_index.rowid DESC",
            params![title_query(sought), first_row, last_row, owner],
            visit,
        ),
        Among::Documents if sought.phrases.is_empty() => read.each(
            "SELECT chunks.id, documents.id, unixepoch(documents.created_at) / 3600 AS hour, octet_length(text)
             FROM documents CROSS JOIN chunks ON chunks.document_id = documents.id AND position = 0
             WHERE documents.user_id = ?1 AND hidden_at IS NULL AND hour >= ?2 AND hour < ?3
             ORDER BY documents.id DESC",
            params![owner, from, until],
            visit,
        ),
        Among::Documents => {
            let Some((first, last)) = find_chunk_ids(read, owner, from..until)? else {
                return Ok(());
            };
            read.each(
                "SELECT chunks.id, documents.id, unixepoch(documents.created_at) / 3600 AS hour, octet_length(chunks.text)
                 FROM library_index CROSS JOIN chunks ON chunks.id = library_index.rowid
                 CROSS JOIN documents ON documents.id = chunks.document_id
                 WHERE library_index MATCH ?1 AND library_index.rowid BETWEEN ?2 AND ?3
                     AND documents.user_id = ?4 AND hidden_at IS NULL AND hour >= ?5 AND hour < ?6
                 ORDER BY library_index.rowid DESC",
                params![word_terms(among, sought).join(" AND "), first, last, owner, from, until],
                visit,
            )
        }
    }
}

/// Whether more than so many messages or titles hold what is sought, from this row of the index on: about, as it counts what
/// [`walk`] passes over, too.
pub(super) fn has_more(
    read: &Read<'_>,
    among: Among,
    sought: &Sought<'_>,
    newest_row: i64,
    most: usize,
) -> Result<bool, Error> {
    let (sql, query) = match among {
        Among::Messages => (
            "SELECT 1 FROM message_index WHERE message_index MATCH ?1 AND rowid <= ?2 ORDER BY rowid DESC LIMIT 1 OFFSET ?3",
            message_query(sought),
        ),
        Among::Titles | Among::Documents => (
            "SELECT 1 FROM title_index WHERE title_index MATCH ?1 AND rowid <= ?2 ORDER BY rowid DESC LIMIT 1 OFFSET ?3",
            title_query(sought),
        ),
    };
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    Ok(read.first(sql, params![query, newest_row, most], |_| Ok(()))?.is_some())
}

/// The first and the last chunk of the documents of some hours; `None` if there are none. Chunks are numbered as they are
/// added, so there is little of others between these; asked for its hour, each chunk that holds the words were to be read.
fn find_chunk_ids(read: &Read<'_>, owner: i64, hours: Range<i64>) -> Result<Option<(i64, i64)>, Error> {
    if hours == Within::default().hours {
        return Ok(Some((0, i64::MAX)));
    }
    let found = read.first(
        "SELECT min(first.id), max(last.id) FROM documents
         CROSS JOIN chunks AS first ON first.document_id = documents.id AND first.position = 0
         CROSS JOIN chunks AS last ON last.document_id = documents.id AND last.position = chunk_count - 1
         WHERE documents.user_id = ?1 AND hidden_at IS NULL
             AND unixepoch(created_at) / 3600 >= ?2 AND unixepoch(created_at) / 3600 < ?3",
        params![owner, hours.start, hours.end],
        |row| Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?)),
    )?;
    Ok(found.flatten())
}

/// The phrases as FTS5 is asked for them. In quotes nothing is syntax but a quote and a NUL, and words hold neither.
fn word_terms(among: Among, sought: &Sought<'_>) -> Vec<String> {
    let phrase = |phrase: &Phrase| {
        let words: Vec<String> = phrase
            .words
            .iter()
            .map(|word| index_word(sought.owner, word).replace(['"', '\0'], " "))
            .collect();
        let quoted = format!("\"{}\"", words.join(" "));
        match among {
            _ if !phrase.is_prefix || sought.ending == Ending::Whole => quoted,
            // Where words are indexed by their stems, "whales" begins none.
            Among::Documents => format!("({quoted} OR {quoted} *)"),
            Among::Messages | Among::Titles => format!("{quoted} *"),
        }
    };
    sought.phrases.iter().map(phrase).collect()
}

fn message_query(sought: &Sought<'_>) -> String {
    let (owner, within) = (sought.owner, sought.within);
    let mut terms = word_terms(Among::Messages, sought);
    let mut one_of = |those: Vec<String>| {
        if !those.is_empty() {
            terms.push(format!("({})", those.join(" OR ")));
        }
    };
    if let Some(conversations) = &within.conversations {
        // Message 0 there is not: of no conversation nothing is found.
        let ids = conversations.iter().chain(conversations.is_empty().then_some(&0));
        one_of(ids.map(|id| quoted(&conversation_term(owner, *id))).collect());
    }
    let models = within.models.iter();
    one_of(models.map(|model| quoted(&model_term(owner, model))).collect());
    let roles = within.roles.iter();
    one_of(roles.map(|role| quoted(&role_term(owner, role.name()))).collect());
    if terms.is_empty() {
        let all = [Role::User, Role::Assistant];
        let either = all.map(|role| quoted(&role_term(owner, role.name())));
        terms.push(either.join(" OR "));
    }
    terms.join(" AND ")
}

fn title_query(sought: &Sought<'_>) -> String {
    let mut terms = word_terms(Among::Titles, sought);
    if terms.is_empty() {
        terms.push(quoted(&title_term(sought.owner)));
    }
    terms.join(" AND ")
}

fn quoted(term: &str) -> String {
    format!("\"{term}\"")
}

/// The texts of these, by their ids, as far as they are the owner's, in no order.
///
/// # Errors
/// Those of the store.
pub fn list_texts(read: &Read<'_>, among: Among, owner: i64, ids: &[i64]) -> Result<Vec<(i64, String)>, Error> {
    let sql = match among {
        Among::Messages => {
            "SELECT messages.id, content FROM json_each(?1) CROSS JOIN messages ON messages.id = json_each.value
             WHERE user_id = ?2"
        }
        Among::Titles => {
            "SELECT conversations.id, title FROM json_each(?1) CROSS JOIN conversations
                 ON conversations.id = json_each.value
             WHERE user_id = ?2 AND title IS NOT NULL"
        }
        Among::Documents => {
            "SELECT chunks.id, text FROM json_each(?1) CROSS JOIN chunks ON chunks.id = json_each.value
             WHERE user_id = ?2"
        }
    };
    read.all(sql, params![json_list(ids), owner], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

/// These messages, as far as they are the owner's and not deleted, in no order.
///
/// # Errors
/// Those of the store.
pub fn list_found_messages(read: &Read<'_>, owner: i64, ids: &[i64]) -> Result<Vec<FoundMessage>, Error> {
    read.all(
        "SELECT messages.id, messages.uuid, role, content, messages.created_at, conversations.id, conversations.uuid, title
         FROM json_each(?1) CROSS JOIN messages ON messages.id = json_each.value
         JOIN conversations ON conversations.id = messages.conversation_id
         WHERE messages.user_id = ?2 AND deleted_at IS NULL",
        params![json_list(ids), owner],
        |row| {
            Ok(FoundMessage {
                id: row.get(0)?,
                uuid: row.get(1)?,
                role: row.get(2)?,
                content: row.get(3)?,
                created_at: row.get(4)?,
                conversation_id: row.get(5)?,
                conversation_uuid: row.get(6)?,
                title: row.get(7)?,
            })
        },
    )
}

/// These conversations, as far as they are the owner's, have a title and are not deleted, in no order.
///
/// # Errors
/// Those of the store.
pub fn list_found_titles(read: &Read<'_>, owner: i64, ids: &[i64]) -> Result<Vec<FoundTitle>, Error> {
    read.all(
        "SELECT conversations.id, uuid, title, updated_at FROM json_each(?1) CROSS JOIN conversations
             ON conversations.id = json_each.value
         WHERE user_id = ?2 AND deleted_at IS NULL AND title IS NOT NULL",
        params![json_list(ids), owner],
        |row| {
            Ok(FoundTitle {
                id: row.get(0)?,
                uuid: row.get(1)?,
                title: row.get(2)?,
                updated_at: row.get(3)?,
            })
        },
    )
}
