//! Full text of messages and titles: what the writer indexes when it has nothing else to do, and what is found.
//!
//! Indexing takes longer than storing, and nobody waits for it: triggers put the id of what is new or changed into
//! `search_queue`, in the transaction that stores it. The writer takes batches from there later, each in a transaction of
//! its own, so that what a crash interrupts is taken up again. A high-water mark instead of the queue would pass over the
//! replies that end after younger messages.

use std::collections::HashSet;

use rusqlite::{Row, params};

use super::search::index_word;
use super::{Read, Tx, housekeeping::Left};
use crate::error::Error;
use crate::floor::floor;
use crate::words::places;

/// Messages and titles in one batch: of a few words each some ten milliseconds, longer ones end it by their bytes. With
/// the pauses between batches these are more messages than a disk takes.
const BATCH_ROWS: i64 = 512;

/// Bytes of text after which a batch ends: as long as that.
const BATCH_BYTES: usize = 64 * 1024;

/// Bytes of one text that are indexed: nobody looks for a text by a word that stands only behind these, and as terms of
/// an index a text takes many times its length in memory.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Matches that are ranked, the newest: whoever finds more looks for something else, and each is a row to be read.
const HITS_MAX: i64 = 2_000;

/// Days after which being new counts half as much.
const RECENT_DAYS: f64 = 30.0;

/// What must stand in a text: words one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    /// The words, as `words` cuts them.
    pub words: Vec<String>,
    /// The last one may go on.
    pub is_prefix: bool,
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
    /// The higher, the better. Comparable within one index only.
    pub score: f64,
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
    /// As a message's.
    pub score: f64,
}

/// Whether there is anything to index.
pub(super) fn has_queued(read: &Read<'_>) -> Result<bool, Error> {
    let newest = read.first("SELECT max(id) FROM search_queue", (), |row| {
        row.get::<_, Option<i64>>(0)
    })?;
    Ok(newest.flatten().is_some())
}

/// Indexes one batch, the newest and the oldest in turn: what was just said is found at once also while an older database
/// is indexed, and nothing waits for ever while others write without a pause.
pub(super) fn index_batch(tx: &Tx<'_>) -> Result<Left, Error> {
    let titles = "SELECT id FROM search_queue WHERE id < 0 ORDER BY id LIMIT ?1";
    let newest = "SELECT id FROM search_queue WHERE id > 0 ORDER BY id DESC LIMIT ?1";
    let oldest = "SELECT id FROM search_queue WHERE id > 0 ORDER BY id LIMIT ?1";
    let list = |sql, limit: i64| tx.all(sql, [limit], |row| row.get::<_, i64>(0));
    let mut ids = list(titles, BATCH_ROWS / 4)?;
    let half = (BATCH_ROWS - i64::try_from(ids.len()).unwrap_or(BATCH_ROWS)) / 2;
    let (newest, oldest) = (list(newest, half)?, list(oldest, half)?);
    // A short queue is in both, from either end.
    let mut seen: HashSet<i64> = HashSet::new();
    let both = newest
        .iter()
        .zip(&oldest)
        .flat_map(|(newest, oldest)| [*newest, *oldest]);
    ids.extend(both.filter(|id| seen.insert(*id)));
    let mut bytes = 0;
    for id in ids {
        bytes += index(tx, id)?;
        tx.execute("DELETE FROM search_queue WHERE id = ?1", [id])?;
        if bytes >= BATCH_BYTES {
            break;
        }
    }
    Ok(if has_queued(tx)? { Left::More } else { Left::Nothing })
}

/// Indexes a message or, with a minus, a conversation's title. Returns the bytes of its text.
fn index(tx: &Tx<'_>, id: i64) -> Result<usize, Error> {
    let sql = if id > 0 {
        "SELECT user_id, content FROM messages WHERE id = ?1 AND state = 'complete'"
    } else {
        "SELECT user_id, title FROM conversations WHERE id = -?1 AND title IS NOT NULL"
    };
    let found = tx.first(sql, [id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((owner, text)): Option<(i64, String)> = found else {
        return Ok(0);
    };
    let text = &text[..floor(&text, TEXT_BYTES_MAX)];
    let mut indexed = String::with_capacity(2 * text.len());
    for place in places(text) {
        indexed.push_str(&index_word(owner, &text[place]));
        indexed.push(' ');
    }
    tx.execute(
        "REPLACE INTO message_index (rowid, text) VALUES (?1, ?2)",
        params![id, indexed],
    )?;
    Ok(text.len())
}

/// The query that finds all of these phrases in the owner's texts. In quotes nothing is syntax but a quote and a NUL,
/// and words hold neither.
pub(super) fn match_query(owner: i64, phrases: &[Phrase]) -> String {
    let phrase = |phrase: &Phrase| {
        let words: Vec<String> = phrase.words.iter().map(|word| index_word(owner, word)).collect();
        let quoted = format!("\"{}\"", words.join(" ").replace(['"', '\0'], " "));
        if phrase.is_prefix {
            // The whole word counts more than one that only begins with it; and where words are indexed by their stems,
            // "whales" begins none.
            format!("({quoted} OR {quoted} *)")
        } else {
            quoted
        }
    };
    phrases.iter().map(phrase).collect::<Vec<_>>().join(" AND ")
}

/// The owner's complete messages that hold all of these phrases, on whatever branch, best first: BM25, and up to twice as
/// much for what is new. Those of deleted conversations are not found.
///
/// # Errors
/// Those of the store.
pub fn search_messages(
    read: &Read<'_>,
    owner: i64,
    phrases: &[Phrase],
    limit: usize,
) -> Result<Vec<FoundMessage>, Error> {
    let map = |row: &Row<'_>| {
        Ok(FoundMessage {
            id: row.get(0)?,
            uuid: row.get(1)?,
            role: row.get(2)?,
            content: row.get(3)?,
            created_at: row.get(4)?,
            conversation_id: row.get(5)?,
            conversation_uuid: row.get(6)?,
            title: row.get(7)?,
            score: row.get(8)?,
        })
    };
    // Only what is shown is read as a whole.
    read.all(
        "WITH hits AS MATERIALIZED (
             SELECT rowid AS id, -bm25(message_index) AS weight FROM message_index
             WHERE message_index MATCH ?1 AND rowid > 0 ORDER BY rowid DESC LIMIT ?2
         ), best AS MATERIALIZED (
             SELECT hits.id, weight * (1 + ?5 / (?5 + julianday('now') - julianday(messages.created_at))) AS score
             FROM hits CROSS JOIN messages ON messages.id = hits.id
             JOIN conversations ON conversations.id = messages.conversation_id
             WHERE messages.user_id = ?3 AND messages.state = 'complete' AND conversations.deleted_at IS NULL
             ORDER BY score DESC LIMIT ?4
         )
         SELECT messages.id, messages.uuid, role, content, messages.created_at, conversations.id, conversations.uuid,
             title, score
         FROM best CROSS JOIN messages ON messages.id = best.id
         JOIN conversations ON conversations.id = messages.conversation_id
         ORDER BY score DESC, messages.id DESC",
        params![match_query(owner, phrases), HITS_MAX, owner, length(limit), RECENT_DAYS],
        map,
    )
}

/// The owner's conversations whose titles hold all of these phrases, best first, as [`search_messages`] ranks.
///
/// # Errors
/// Those of the store.
pub fn search_titles(read: &Read<'_>, owner: i64, phrases: &[Phrase], limit: usize) -> Result<Vec<FoundTitle>, Error> {
    let map = |row: &Row<'_>| {
        Ok(FoundTitle {
            id: row.get(0)?,
            uuid: row.get(1)?,
            title: row.get(2)?,
            updated_at: row.get(3)?,
            score: row.get(4)?,
        })
    };
    read.all(
        "WITH hits AS MATERIALIZED (
             SELECT rowid AS id, -bm25(message_index) AS weight FROM message_index
             WHERE message_index MATCH ?1 AND rowid < 0 ORDER BY rowid LIMIT ?2
         )
         SELECT conversations.id, uuid, title, updated_at,
             weight * (1 + ?5 / (?5 + julianday('now') - julianday(updated_at))) AS score
         FROM hits CROSS JOIN conversations ON conversations.id = -hits.id
         WHERE user_id = ?3 AND deleted_at IS NULL AND title IS NOT NULL
         ORDER BY score DESC, conversations.id DESC LIMIT ?4",
        params![match_query(owner, phrases), HITS_MAX, owner, length(limit), RECENT_DAYS],
        map,
    )
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
