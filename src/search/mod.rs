//! What people look for among all that they have: messages, conversations by their titles, documents. Owns how a query is
//! read and what is shown of a text that was found; the store finds, and [`crate::words`] says what a word is.

mod query;
mod snippet;

use crate::error::Error;
use crate::store::{self, FoundChunk, FoundMessage, FoundTitle, Store};

pub use snippet::Piece;

use query::parse;
use snippet::{Likeness, snippet};

/// Chunks that are looked at for each document that is wanted: a document may hold the words in many.
const CHUNKS_PER_DOCUMENT: usize = 4;

/// Something that was found, and where in it.
#[derive(Clone, Debug)]
pub enum Found {
    /// A message.
    Message(FoundMessage, Vec<Piece>),
    /// A conversation, by its title.
    Conversation(FoundTitle, Vec<Piece>),
    /// A document, by the chunk that fits best.
    Document(FoundChunk, Vec<Piece>),
}

/// What of the owner's holds all words of a query, best first, at most `limit`. Words in quotes must follow each other,
/// and the last word may go on; nothing that somebody types is an error, and a query without words finds nothing.
///
/// # Errors
/// Those of the store.
pub fn search(store: &Store, owner: i64, query: &str, limit: usize) -> Result<Vec<Found>, Error> {
    let phrases = parse(query);
    if phrases.is_empty() {
        return Ok(Vec::new());
    }
    let (messages, titles, documents) = store.read(|read| {
        Ok((
            store::search_messages(read, owner, &phrases, limit)?,
            store::search_titles(read, owner, &phrases, limit)?,
            list_documents(read, owner, &phrases, limit)?,
        ))
    })?;
    let show = |text: &str| snippet(text, &phrases, Likeness::Same);
    let messages = messages
        .into_iter()
        .map(|message| (message.score, Candidate::Message(message)));
    let titles = titles.into_iter().map(|title| (title.score, Candidate::Title(title)));
    let documents = documents
        .into_iter()
        .map(|(chunk, score)| (score, Candidate::Document(chunk)));
    let mut candidates: Vec<(f64, Candidate)> = messages.chain(titles).chain(documents).collect();
    candidates.sort_by(|one, other| other.0.total_cmp(&one.0));
    candidates.truncate(limit);
    let found = candidates.into_iter().map(|(_, candidate)| match candidate {
        Candidate::Message(message) => {
            let pieces = show(&message.content);
            Found::Message(message, pieces)
        }
        Candidate::Title(title) => {
            let pieces = show(&title.title);
            Found::Conversation(title, pieces)
        }
        Candidate::Document(chunk) => {
            let pieces = snippet(&chunk.text, &phrases, Likeness::Forms);
            Found::Document(chunk, pieces)
        }
    });
    Ok(found.collect())
}

/// What may be shown, before the work of showing it.
enum Candidate {
    Message(FoundMessage),
    Title(FoundTitle),
    Document(FoundChunk),
}

/// The documents that hold all phrases in one chunk, each once, with its best chunk.
fn list_documents(
    read: &store::Read<'_>,
    owner: i64,
    phrases: &[store::Phrase],
    limit: usize,
) -> Result<Vec<(FoundChunk, f64)>, Error> {
    let ranked = store::search_chunks(read, owner, phrases, limit.saturating_mul(CHUNKS_PER_DOCUMENT))?;
    let ids: Vec<i64> = ranked.iter().map(|(id, _)| *id).collect();
    let mut chunks = store::list_chunks(read, owner, &ids)?;
    let mut documents: Vec<(FoundChunk, f64)> = Vec::new();
    for (id, score) in ranked {
        let Some(at) = chunks.iter().position(|chunk| chunk.chunk_id == id) else {
            continue;
        };
        let chunk = chunks.swap_remove(at);
        if !documents
            .iter()
            .any(|(known, _)| known.document_id == chunk.document_id)
        {
            documents.push((chunk, score));
        }
    }
    documents.truncate(limit);
    Ok(documents)
}
