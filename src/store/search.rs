//! Full text of documents, as replies draw on it: what SQLite's FTS5 is told and asked. Its ranking stays here too; what
//! the ranks of several words amount to is decided by the caller. ([`super::seek`] is what people search by.)
//!
//! The index is one for all users, but every word in it begins with its owner's id, so that a search reads the entries
//! of one user alone: what others keep makes it no slower, and its result is nearly the same. (Not quite: `bm25` divides
//! a chunk's length by the average over everybody's chunks, which are cut to one size. An id in a column of its own
//! would have it count each word over everybody's documents.)

use rusqlite::params;

use super::{IndexWords, Read, Tx, json_list};
use crate::error::Error;

/// Entries of one word that are read: a word in more chunks than that tells them apart no longer.
const HITS_MAX: i64 = 20_000;

/// A chunk that holds a word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The chunk.
    pub chunk_id: i64,
    /// How much of the chunk the word makes up, from 0 to 1: BM25 without its weight for rare words.
    pub saturation: f64,
}

/// A chunk with the document it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundChunk {
    /// The chunk.
    pub chunk_id: i64,
    /// Its document's integer id.
    pub document_id: i64,
    /// Its document's UUID.
    pub document_uuid: String,
    /// The document's title.
    pub title: String,
    /// Who wrote it.
    pub author: Option<String>,
    /// The headings it stands under.
    pub heading: Option<String>,
    /// Its place among the document's chunks, from 0.
    pub position: i64,
    /// The chunk's text.
    pub text: String,
}

/// A word as the index holds it. Ids end where the digits do, so no two users' words are alike.
///
/// FTS5 may take a character within a word for the end of one. So that what stands behind it begins with nobody's id, a digit
/// there gets a letter before it that nobody types (U+02BC).
pub fn index_word(owner: i64, word: &str) -> String {
    let mut indexed = format!("{owner}q");
    let mut is_after_other = false;
    for c in word.chars() {
        if is_after_other && c.is_ascii_digit() {
            indexed.push('\u{2bc}');
        }
        is_after_other = !c.is_ascii();
        indexed.push(c);
    }
    indexed
}

/// The owner's chunks that hold a word in any of its forms.
///
/// # Errors
/// Those of the store.
pub fn list_hits(read: &Read<'_>, owner: i64, word: &str) -> Result<Vec<Hit>, Error> {
    // In quotes nothing is syntax but a quote, and a NUL, which ends the query. Words hold neither.
    let quoted = format!("\"{}\"", index_word(owner, word).replace(['"', '\0'], " "));
    // bm25 is weight for rarity × saturation × 2.2. Rarity is counted over all users; with columns of enormous weight
    // every word saturates, so the quotient of the two is the saturation alone. Title, headings and text count 3 : 2 : 1.
    read.all(
        "SELECT rowid, bm25(library_index, 3.0, 2.0, 1.0) / bm25(library_index, 1e12, 1e12, 1e12)
         FROM library_index WHERE library_index MATCH ?1 LIMIT ?2",
        params![quoted, HITS_MAX],
        |row| {
            Ok(Hit {
                chunk_id: row.get(0)?,
                saturation: row.get(1)?,
            })
        },
    )
}

/// These chunks, as far as they are the owner's and not hidden, in no order.
///
/// # Errors
/// Those of the store.
pub fn list_chunks(read: &Read<'_>, owner: i64, chunk_ids: &[i64]) -> Result<Vec<FoundChunk>, Error> {
    read.all(
        "SELECT chunks.id, documents.id, documents.uuid, documents.title, documents.author, chunks.heading, chunks.text,
             chunks.position
         FROM json_each(?1) JOIN chunks ON chunks.id = json_each.value
         JOIN documents ON documents.id = chunks.document_id
         WHERE chunks.user_id = ?2 AND documents.user_id = ?2 AND documents.hidden_at IS NULL",
        params![json_list(chunk_ids), owner],
        |row| {
            Ok(FoundChunk {
                chunk_id: row.get(0)?,
                document_id: row.get(1)?,
                document_uuid: row.get(2)?,
                title: row.get(3)?,
                author: row.get(4)?,
                heading: row.get(5)?,
                text: row.get(6)?,
                position: row.get(7)?,
            })
        },
    )
}

pub(super) fn insert_index(tx: &Tx<'_>, chunk_id: i64, words: &IndexWords) -> Result<(), Error> {
    tx.insert(
        "INSERT INTO library_index (rowid, title, heading, text) VALUES (?1, ?2, ?3, ?4)",
        params![chunk_id, words.title, words.heading, words.text],
    )?;
    Ok(())
}
