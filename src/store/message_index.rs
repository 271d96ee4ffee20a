//! Full text of messages and titles: what the writer indexes when it has nothing else to do. ([`super::seek`] finds it.)
//!
//! Indexing takes longer than storing, and nobody waits for it: triggers put the id of what is new or changed into
//! `search_queue`, in the transaction that stores it. The writer takes batches from there later, each in a transaction of
//! its own, so that what a crash interrupts is taken up again. A high-water mark instead of the queue would pass over the
//! replies that end after younger messages.

use std::collections::HashSet;

use rusqlite::params;

use super::search::index_word;
use super::{Read, Tx, housekeeping::Left};
use crate::error::Error;
use crate::floor::floor;
use crate::hex::hex;
use crate::words::places;

/// Messages and titles in one batch: of a few words each some milliseconds, which somebody's message may have to wait for;
/// longer ones end it by their bytes.
const BATCH_ROWS: i64 = 256;

/// Bytes of text after which a batch ends: as long as that. In smaller ones the same text costs more.
const BATCH_BYTES: usize = 32 * 1024;

/// Bytes of one text that are indexed: nobody looks for a text by a word that stands only behind these, and as terms of
/// an index a text takes many times its length in memory.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a model's name that tell it from others: as a term of the index a name takes twice as many.
const MODEL_BYTES_MAX: usize = 128;

/// What must stand in a text: words one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    /// The words, as `words` cuts them.
    pub words: Vec<String>,
    /// The last one may go on.
    pub is_prefix: bool,
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
        "SELECT search_row, user_id, content, role, conversation_id, model FROM messages
         WHERE id = ?1 AND state = 'complete'"
    } else {
        "SELECT search_row, user_id, title, NULL, NULL, NULL FROM conversations WHERE id = -?1 AND title IS NOT NULL"
    };
    let found = tx.first(sql, [id], |row| {
        let text: String = row.get(2)?;
        let about = About {
            owner: row.get(1)?,
            role: row.get(3)?,
            conversation: row.get(4)?,
            model: row.get(5)?,
        };
        Ok((row.get::<_, i64>(0)?, text, about))
    })?;
    let Some((row, text, about)) = found else {
        return Ok(0);
    };
    let text = indexed_part(&text);
    let mut indexed = String::with_capacity(2 * text.len());
    for place in places(text) {
        indexed.push_str(&index_word(about.owner, &text[place]));
        indexed.push(' ');
    }
    for term in about.terms() {
        indexed.push_str(&term);
        indexed.push(' ');
    }
    let sql = if id > 0 {
        "REPLACE INTO message_index (rowid, text) VALUES (?1, ?2)"
    } else {
        "REPLACE INTO title_index (rowid, text) VALUES (?1, ?2)"
    };
    tx.execute(sql, params![row, indexed])?;
    Ok(text.len())
}

/// What of a text is indexed.
pub(super) fn indexed_part(text: &str) -> &str {
    &text[..floor(text, TEXT_BYTES_MAX)]
}

/// What a text is found by beside its words; of a title there is only the owner.
struct About {
    owner: i64,
    role: Option<String>,
    conversation: Option<i64>,
    model: Option<String>,
}

impl About {
    /// Each as a term of the index: so FTS5 cuts lists with one another, and no filter has to read rows that do not fit.
    fn terms(&self) -> Vec<String> {
        let Some(role) = &self.role else {
            return vec![title_term(self.owner)];
        };
        let mut terms = vec![role_term(self.owner, role)];
        terms.extend(self.conversation.map(|id| conversation_term(self.owner, id)));
        if let Some(model) = &self.model {
            terms.push(model_term(self.owner, model));
            terms.extend(model.split_once('/').map(|(_, name)| model_term(self.owner, name)));
        }
        terms
    }
}

// Behind the owner's digits stands another letter than in words: no word is such a term.

/// The term of every message of this role.
pub(super) fn role_term(owner: i64, role: &str) -> String {
    format!("{owner}r{role}")
}

/// The term of every title.
pub(super) fn title_term(owner: i64) -> String {
    format!("{owner}t")
}

/// The term of every message of a conversation.
pub(super) fn conversation_term(owner: i64, conversation_id: i64) -> String {
    format!("{owner}c{conversation_id}")
}

/// The term of every reply of a model, named with or without its provider. In digits: what is between letters would cut it.
pub(super) fn model_term(owner: i64, name: &str) -> String {
    let name = name.to_lowercase();
    format!("{owner}m{}", hex(&name.as_bytes()[..floor(&name, MODEL_BYTES_MAX)]))
}
