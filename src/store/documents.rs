//! Documents of the library and the chunks they are made of. Every query carries the owner: somebody else's document
//! does not exist.
//!
//! A document is added and removed in bounded steps, one job of the writer each, so that nobody waits long behind a
//! large one. Meanwhile it is hidden; what an interruption leaves hidden, housekeeping removes.

use rusqlite::{Row, params};

use super::housekeeping::Left;
use super::search::insert_index;
use super::{Page, Read, Ref, Tx, violates};
use crate::clock::{Clock, Moment};
use crate::error::{Error, Kind};

/// Documents of one user, also those that come or go: a list of them is still read in milliseconds.
pub const DOCUMENTS_MAX: i64 = 10_000;

/// Text of one user's documents together, in bytes. Chunks and index take about twice as much on disk.
pub const LIBRARY_BYTES_MAX: i64 = 256 * 1024 * 1024;

/// Chunks that one job removes: a few milliseconds.
const REMOVED_AT_ONCE: i64 = 256;

/// After this time what is hidden is no longer being worked on, in seconds.
const HIDDEN_KEPT_S: i64 = 3600;

/// A document, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The integer id.
    pub id: i64,
    /// The other id.
    pub uuid: String,
    /// What it is called.
    pub title: String,
    /// Who wrote it, if that is known.
    pub author: Option<String>,
    /// The name of the file it came from.
    pub source: Option<String>,
    /// Bytes of text.
    pub size: i64,
    /// Pieces it was cut into.
    pub chunk_count: i64,
    /// RFC 3339.
    pub created_at: String,
}

/// A document to be added, without its text.
#[derive(Clone, Debug)]
pub struct NewDocument {
    /// The owner.
    pub user_id: i64,
    /// The id beside the integer.
    pub uuid: String,
    /// What it is called.
    pub title: String,
    /// Who wrote it.
    pub author: Option<String>,
    /// The name of the file it came from.
    pub source: Option<String>,
    /// Bytes of text.
    pub size: i64,
    /// Of title, author and text, in hexadecimal digits.
    pub sha256: String,
    /// Pieces that will follow.
    pub chunk_count: i64,
    /// When.
    pub created_at: Moment,
}

/// A piece of a document, as it is read.
#[derive(Clone, Debug)]
pub struct Piece {
    /// 0, 1, 2 …
    pub position: i64,
    /// The headings it stands under.
    pub heading: Option<String>,
    /// The piece.
    pub text: String,
}

/// A piece of a document, and its words as the index is to hold them.
#[derive(Clone, Debug)]
pub struct NewChunk {
    /// 0, 1, 2 …
    pub position: i64,
    /// The headings it stands under.
    pub heading: Option<String>,
    /// The piece.
    pub text: String,
    /// Its words; see [`super::index_word`].
    pub words: IndexWords,
}

/// The words of a chunk by where they stand, with spaces between.
#[derive(Clone, Debug, Default)]
pub struct IndexWords {
    /// Of the document's title and author.
    pub title: String,
    /// Of the headings.
    pub heading: String,
    /// Of the text.
    pub text: String,
}

/// How much a user's library holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LibrarySize {
    /// Documents.
    pub documents: i64,
    /// Bytes of text.
    pub bytes: i64,
    /// Chunks.
    pub chunks: i64,
}

const COLUMNS: &str = "id, uuid, title, author, source, size, chunk_count, created_at";

fn map(row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        id: row.get(0)?,
        uuid: row.get(1)?,
        title: row.get(2)?,
        author: row.get(3)?,
        source: row.get(4)?,
        size: row.get(5)?,
        chunk_count: row.get(6)?,
        created_at: row.get(7)?,
    })
}

fn missing() -> Error {
    Error::new(Kind::NotFound, "Document not found")
}

/// How much a user's library holds, without what is hidden.
///
/// # Errors
/// Those of the store.
pub fn measure_library(read: &Read<'_>, owner: i64) -> Result<LibrarySize, Error> {
    let size = read.first(
        "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(chunk_count), 0) FROM documents
         WHERE user_id = ?1 AND hidden_at IS NULL",
        [owner],
        |row| {
            Ok(LibrarySize {
                documents: row.get(0)?,
                bytes: row.get(1)?,
                chunks: row.get(2)?,
            })
        },
    )?;
    Ok(size.unwrap_or_default())
}

/// One of the owner's documents.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn find_document(read: &Read<'_>, owner: i64, which: &Ref) -> Result<Document, Error> {
    let (id, uuid) = which.parts();
    let sql =
        format!("SELECT {COLUMNS} FROM documents WHERE (id = ?1 OR uuid = ?2) AND user_id = ?3 AND hidden_at IS NULL");
    read.first(&sql, params![id, uuid, owner], map)?.ok_or_else(missing)
}

/// The owner's document of this content, if there is one.
///
/// # Errors
/// Those of the store.
pub fn find_document_by_content(read: &Read<'_>, owner: i64, sha256: &str) -> Result<Option<Document>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM documents WHERE user_id = ?1 AND sha256 = ?2 AND hidden_at IS NULL");
    read.first(&sql, params![owner, sha256], map)
}

/// The owner's documents, newest first.
///
/// # Errors
/// Those of the store.
pub fn list_documents(read: &Read<'_>, owner: i64, page: Page) -> Result<Vec<Document>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM documents WHERE user_id = ?1 AND hidden_at IS NULL
         ORDER BY id DESC LIMIT ?2 OFFSET ?3"
    );
    read.all(&sql, params![owner, page.limit, page.offset], map)
}

/// The owner's documents after the one with this integer id, oldest first.
///
/// # Errors
/// Those of the store.
pub fn list_documents_by_age(read: &Read<'_>, owner: i64, after: i64, limit: i64) -> Result<Vec<Document>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM documents WHERE user_id = ?1 AND hidden_at IS NULL AND id > ?2 ORDER BY id LIMIT ?3"
    );
    read.all(&sql, [owner, after, limit], map)
}

/// The text of a document that [`find_document`] has found.
///
/// # Errors
/// Those of the store.
pub fn read_document(read: &Read<'_>, document_id: i64) -> Result<String, Error> {
    let sql = "SELECT text FROM chunks WHERE document_id = ?1 ORDER BY position";
    let chunks: Vec<String> = read.all(sql, [document_id], |row| row.get(0))?;
    Ok(chunks.concat())
}

/// Begins to add a document: it stays hidden until [`show_document`]. Returns its integer id.
///
/// # Errors
/// [`Kind::TooLarge`] when the library is full.
pub fn insert_document(tx: &Tx<'_>, new: &NewDocument) -> Result<i64, Error> {
    // Hidden ones as well: many may be on their way at the same time.
    let sql = "SELECT count(*), coalesce(sum(size), 0) FROM documents WHERE user_id = ?1";
    let held = tx.first(sql, [new.user_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (documents, bytes): (i64, i64) = held.unwrap_or_default();
    if documents >= DOCUMENTS_MAX || bytes.saturating_add(new.size) > LIBRARY_BYTES_MAX {
        let message = format!(
            "The library is full: it holds at most {DOCUMENTS_MAX} documents and {} MiB of text",
            LIBRARY_BYTES_MAX / (1024 * 1024)
        );
        return Err(Error::new(Kind::TooLarge, message));
    }
    tx.insert(
        "INSERT INTO documents (uuid, user_id, title, author, source, size, sha256, chunk_count, hidden_at, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
        params![
            new.uuid,
            new.user_id,
            new.title,
            new.author,
            new.source,
            new.size,
            new.sha256,
            new.chunk_count,
            new.created_at.text()
        ],
    )
}

/// A document's pieces in order: one after the other they are its text. Only whoever may see it asks.
///
/// # Errors
/// Those of reading.
pub fn list_pieces(read: &Read<'_>, document_id: i64) -> Result<Vec<Piece>, Error> {
    let sql = "SELECT position, heading, text FROM chunks WHERE document_id = ?1 ORDER BY position";
    read.all(sql, [document_id], |row| {
        Ok(Piece {
            position: row.get(0)?,
            heading: row.get(1)?,
            text: row.get(2)?,
        })
    })
}

/// Adds chunks to a document that is still hidden.
///
/// # Errors
/// [`Kind::NotFound`] when the document is gone.
pub fn insert_chunks(tx: &Tx<'_>, owner: i64, document_id: i64, chunks: &[NewChunk]) -> Result<(), Error> {
    let sql = "SELECT 1 FROM documents WHERE id = ?1 AND user_id = ?2 AND hidden_at IS NOT NULL";
    tx.first(sql, [document_id, owner], |_| Ok(()))?.ok_or_else(missing)?;
    for chunk in chunks {
        let id = tx.insert(
            "INSERT INTO chunks (document_id, user_id, position, heading, text) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![document_id, owner, chunk.position, chunk.heading, chunk.text],
        )?;
        insert_index(tx, id, &chunk.words)?;
    }
    Ok(())
}

/// Ends the adding of a document: from now on it is there.
///
/// # Errors
/// [`Kind::Conflict`] when the same document has been added meanwhile.
pub fn show_document(tx: &Tx<'_>, owner: i64, document_id: i64) -> Result<Document, Error> {
    let shown = tx.execute(
        "UPDATE documents SET hidden_at = NULL WHERE id = ?1 AND user_id = ?2",
        [document_id, owner],
    );
    shown.map_err(|error| {
        if violates(&error, "documents.sha256") {
            Error::new(Kind::Conflict, "This document is in the library already").caused_by(error)
        } else {
            error
        }
    })?;
    find_document(tx, owner, &Ref::Id(document_id))
}

/// Hides one of the owner's documents, so that it can be removed in steps. Returns its integer id.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn hide_document(tx: &Tx<'_>, owner: i64, which: &Ref, now: &str) -> Result<i64, Error> {
    let document = find_document(tx, owner, which)?;
    tx.execute(
        "UPDATE documents SET hidden_at = ?2 WHERE id = ?1",
        params![document.id, now],
    )?;
    Ok(document.id)
}

/// What a step of removing leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// More chunks.
    Unfinished,
    /// Nothing.
    Complete,
}

/// Removes some of the chunks of a hidden document, and with the last of them the document.
///
/// # Errors
/// Those of the store.
pub fn remove_hidden(tx: &Tx<'_>, document_id: i64) -> Result<Removal, Error> {
    let removed = tx.execute(
        "DELETE FROM chunks WHERE id IN (
             SELECT chunks.id FROM chunks JOIN documents ON documents.id = chunks.document_id
             WHERE chunks.document_id = ?1 AND documents.hidden_at IS NOT NULL LIMIT ?2)",
        [document_id, REMOVED_AT_ONCE],
    )?;
    if i64::try_from(removed).unwrap_or(i64::MAX) >= REMOVED_AT_ONCE {
        return Ok(Removal::Unfinished);
    }
    let sql = "DELETE FROM documents WHERE id = ?1 AND hidden_at IS NOT NULL";
    tx.execute(sql, [document_id])?;
    Ok(Removal::Complete)
}

/// Goes on removing what an interruption has left hidden, a batch of housekeeping at a time.
pub(super) fn clear_hidden(tx: &Tx<'_>) -> Result<Left, Error> {
    let oldest = tx.first(
        "SELECT id FROM documents WHERE hidden_at < ?1 ORDER BY hidden_at LIMIT 1",
        [Clock.now().plus_s(-HIDDEN_KEPT_S).text()],
        |row| row.get(0),
    )?;
    match oldest {
        Some(document_id) => remove_hidden(tx, document_id).map(|_| Left::More),
        None => Ok(Left::Nothing),
    }
}
