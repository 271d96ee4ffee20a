//! The library: a user's documents, cut into chunks, and the passages among them that answer a question.
//!
//! Everything comes in through [`add_all`], wherever it is from, and is found through [`search`]. Stands between the store
//! and those who ask (api, turn, commands); knows no HTTP and no models, and is the only place that names
//! unicode-segmentation.

mod books;
mod chunk;
mod files;
mod rank;
mod sentences;
#[cfg(test)]
mod tests;
mod words;

use crate::auth::digest_hex;
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::store::{self, Document, FoundChunk, IndexWords, NewChunk, NewDocument, Ref, Removal, Store};

pub use books::{Book, parse_books};
pub use files::{FILE_BYTES_MAX, read_file};

/// Text of one document, in bytes: a long novel.
pub const DOCUMENT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Characters of a title or an author.
pub const TITLE_CHARS_MAX: usize = 300;

/// Chunks of a large document that one job of the writer adds: some ten milliseconds.
const ADDED_AT_ONCE: usize = 64;

/// Text of the small documents that one job adds together, in bytes: about as many chunks.
const TOGETHER_BYTES_MAX: usize = 64 * 1024;

/// What a document counts for besides its text, in bytes: rows cost as well.
const DOCUMENT_COST: usize = 512;

/// Passages of one document in a result: a second one may complete the first, more would push others out.
const PASSAGES_PER_DOCUMENT: usize = 2;

/// Chunks that are looked at together for each passage that is wanted: most often the first lot is enough.
const CANDIDATES: usize = 8;

/// A text to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewText {
    /// What it is called.
    pub title: String,
    /// Who wrote it, if that is known.
    pub author: Option<String>,
    /// The name of the file it came from.
    pub source: Option<String>,
    /// The text itself, plain or Markdown.
    pub content: String,
}

/// What adding came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// A new document.
    New(Document),
    /// The document was there already, with the same title, author and text.
    Known(Document),
}

/// What adding several texts came to.
#[derive(Debug, Default)]
pub struct Several {
    /// What came of each, in their order, up to the first that could not be added.
    pub added: Vec<Added>,
    /// Why that one and those behind it were not added.
    pub ended: Option<Error>,
}

/// A passage that answers a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// Where it comes from, and its text.
    pub chunk: FoundChunk,
    /// How well it answers. Comparable within one search only.
    pub score: f64,
}

impl NewText {
    /// What tells it from every other: the digest of title, author and text.
    pub fn digest(&self) -> String {
        let author = self.author.as_deref().unwrap_or("");
        digest_hex(format!("{}\0{author}\0{}", self.title, self.content).as_bytes())
    }

    /// Whether it can be added at all.
    ///
    /// # Errors
    /// [`Kind::Malformed`] without a title or text, [`Kind::TooLarge`] with too much of either.
    pub fn check(&self) -> Result<(), Error> {
        let is_long = |text: &str| text.chars().nth(TITLE_CHARS_MAX).is_some();
        if self.title.trim().is_empty() {
            Err(Error::new(Kind::Malformed, "The document has no title"))
        } else if self.content.trim().is_empty() {
            Err(Error::new(Kind::Malformed, "The document has no text"))
        } else if is_long(&self.title) || self.author.as_deref().is_some_and(is_long) {
            let message = format!("A title or an author has at most {TITLE_CHARS_MAX} characters");
            Err(Error::new(Kind::TooLarge, message))
        } else if self.content.len() > DOCUMENT_BYTES_MAX {
            let most = DOCUMENT_BYTES_MAX / (1024 * 1024);
            Err(Error::new(
                Kind::TooLarge,
                format!("A document has at most {most} MiB of text"),
            ))
        } else {
            Ok(())
        }
    }
}

/// Adds a text to a user's library. The same text is added once.
///
/// # Errors
/// [`Kind::Malformed`] without a title or text, [`Kind::TooLarge`] when it or the library is too large; those of the
/// store.
pub fn add(store: &Store, clock: &Clock, owner: i64, text: &NewText) -> Result<Added, Error> {
    let mut several = add_all(store, clock, owner, std::slice::from_ref(text));
    match (several.ended, several.added.pop()) {
        (None, Some(added)) => Ok(added),
        (Some(error), _) => Err(error),
        (None, None) => Err(Error::new(Kind::Internal, "a text was neither added nor refused")),
    }
}

/// Adds texts to a user's library, small ones many to a commit. None is added when one of them cannot be; what fails
/// later (a full disk, a full library) leaves those before it. The errors are those of [`add`].
pub fn add_all(store: &Store, clock: &Clock, owner: i64, texts: &[NewText]) -> Several {
    let mut done = Several {
        added: Vec::with_capacity(texts.len()),
        ended: texts.iter().try_for_each(NewText::check).err(),
    };
    while let (None, Some((first, _))) = (&done.ended, texts[done.added.len()..].split_first()) {
        let next = if first.content.len() > TOGETHER_BYTES_MAX {
            add_large(store, clock, owner, first).map(|added| (vec![added], None))
        } else {
            add_together(store, clock, owner, &texts[done.added.len()..])
        };
        match next {
            Ok((added, ended)) => {
                done.added.extend(added);
                done.ended = ended;
            }
            Err(error) => done.ended = Some(error),
        }
    }
    done
}

/// Adds the first of these texts, as many as one job takes, the first of all in any case; says as well why it ended
/// early, if it did.
fn add_together(
    store: &Store,
    clock: &Clock,
    owner: i64,
    texts: &[NewText],
) -> Result<(Vec<Added>, Option<Error>), Error> {
    let mut bytes = 0;
    let fits = |text: &&NewText| {
        bytes += text.content.len() + DOCUMENT_COST;
        bytes <= TOGETHER_BYTES_MAX + DOCUMENT_COST
    };
    let new: Vec<_> = texts
        .iter()
        .take_while(fits)
        .map(|text| {
            let chunks = new_chunks(owner, text);
            (new_document(clock, owner, text, chunks.len()), chunks)
        })
        .collect();
    store.write(move |tx| {
        let mut added = Vec::with_capacity(new.len());
        for (document, chunks) in &new {
            match add_small(tx, document, chunks) {
                Ok(one) => added.push(one),
                // It was refused before anything of it was written: those before it can stay.
                Err(error) if error.kind() == Kind::TooLarge => return Ok((added, Some(error))),
                Err(error) => return Err(error),
            }
        }
        Ok((added, None))
    })
}

fn add_small(tx: &store::Tx<'_>, new: &NewDocument, chunks: &[NewChunk]) -> Result<Added, Error> {
    let owner = new.user_id;
    if let Some(known) = store::find_document_by_content(tx, owner, &new.sha256)? {
        return Ok(Added::Known(known));
    }
    let id = store::insert_document(tx, new)?;
    store::insert_chunks(tx, owner, id, chunks)?;
    store::show_document(tx, owner, id).map(Added::New)
}

fn add_large(store: &Store, clock: &Clock, owner: i64, text: &NewText) -> Result<Added, Error> {
    let sha256 = text.digest();
    let find = || store.read(|read| store::find_document_by_content(read, owner, &sha256));
    if let Some(known) = find()? {
        return Ok(Added::Known(known));
    }
    let chunks = new_chunks(owner, text);
    let new = new_document(clock, owner, text, chunks.len());
    match add_in_steps(store, new, chunks) {
        Ok(document) => Ok(Added::New(document)),
        // Somebody was faster.
        Err(error) if error.kind() == Kind::Conflict => find()?.map(Added::Known).ok_or(error),
        Err(error) => Err(error),
    }
}

fn new_document(clock: &Clock, owner: i64, text: &NewText, chunk_count: usize) -> NewDocument {
    NewDocument {
        user_id: owner,
        uuid: clock.uuid(),
        title: text.title.clone(),
        author: text.author.clone(),
        source: text.source.clone(),
        size: length(text.content.len()),
        sha256: text.digest(),
        chunk_count: length(chunk_count),
        created_at: clock.now(),
    }
}

/// Adds a document with the chunks of one job after the other, and shows it when it is whole.
fn add_in_steps(store: &Store, new: NewDocument, mut chunks: Vec<NewChunk>) -> Result<Document, Error> {
    let owner = new.user_id;
    let id = store.write(move |tx| store::insert_document(tx, &new))?;
    let mut fill = || {
        while !chunks.is_empty() {
            let rest = chunks.split_off(chunks.len().min(ADDED_AT_ONCE));
            let step = std::mem::replace(&mut chunks, rest);
            store.write(move |tx| store::insert_chunks(tx, owner, id, &step))?;
        }
        store.write(move |tx| store::show_document(tx, owner, id))
    };
    let filled = fill();
    // Nobody has seen it.
    if filled.is_err() {
        remove_steps(store, id);
    }
    filled
}

/// Removes one of a user's documents. It is gone for everyone at once; what it was made of goes in steps.
///
/// # Errors
/// [`Kind::NotFound`]; those of the store.
pub fn remove(store: &Store, clock: &Clock, owner: i64, which: Ref) -> Result<(), Error> {
    let now = clock.now().text();
    let id = store.write(move |tx| store::hide_document(tx, owner, &which, &now))?;
    remove_steps(store, id);
    Ok(())
}

/// Removes what a hidden document was made of. If that fails, nobody needs to know: it stays hidden, and housekeeping
/// removes it.
fn remove_steps(store: &Store, document_id: i64) {
    loop {
        match store.write(move |tx| store::remove_hidden(tx, document_id)) {
            Ok(Removal::Unfinished) => {}
            Ok(Removal::Complete) => return,
            Err(error) => return log::warn!("a hidden document is left to housekeeping: {error}"),
        }
    }
}

/// The passages of a user's documents that answer a question best, best first.
///
/// # Errors
/// Those of the store.
pub fn search(store: &Store, owner: i64, question: &str, limit: usize) -> Result<Vec<Passage>, Error> {
    let words = words::question_words(question);
    store.read(|read| {
        let size = store::measure_library(read, owner)?;
        if size.documents == 0 {
            return Ok(Vec::new());
        }
        let hits: Result<Vec<_>, Error> = words.iter().map(|word| store::list_hits(read, owner, word)).collect();
        let ranked = rank::rank(&hits?, size.chunks);
        let mut passages: Vec<Passage> = Vec::new();
        for candidates in ranked.chunks(limit.saturating_mul(CANDIDATES).max(1)) {
            take_passages(read, owner, candidates, &mut passages)?;
            if passages.len() >= limit {
                break;
            }
        }
        passages.truncate(limit);
        Ok(passages)
    })
}

/// Adds the candidates that can be shown. Those of documents that come or go, or that are quoted already, cannot:
/// however many of them rank first, they leave room for those behind them.
fn take_passages(
    read: &store::Read<'_>,
    owner: i64,
    candidates: &[rank::Ranked],
    passages: &mut Vec<Passage>,
) -> Result<(), Error> {
    let ids: Vec<i64> = candidates.iter().map(|ranked| ranked.chunk_id).collect();
    let mut chunks = store::list_chunks(read, owner, &ids)?;
    for candidate in candidates {
        let Some(at) = chunks.iter().position(|chunk| chunk.chunk_id == candidate.chunk_id) else {
            continue;
        };
        let chunk = chunks.swap_remove(at);
        let same = |passage: &&Passage| passage.chunk.document_id == chunk.document_id;
        if passages.iter().filter(same).count() < PASSAGES_PER_DOCUMENT {
            let score = candidate.score;
            passages.push(Passage { chunk, score });
        }
    }
    Ok(())
}

/// A document's chunks with the words that they are to be found by.
fn new_chunks(owner: i64, text: &NewText) -> Vec<NewChunk> {
    let index = |text: &str| {
        let words = crate::words::words(text);
        let words: Vec<String> = words.iter().map(|word| store::index_word(owner, word)).collect();
        words.join(" ")
    };
    let author = text.author.as_deref().unwrap_or("");
    let title = index(&format!("{} {author}", text.title));
    let chunks = chunk::chunks(&text.content).into_iter().enumerate();
    chunks
        .map(|(position, chunk)| NewChunk {
            position: length(position),
            words: IndexWords {
                title: title.clone(),
                heading: chunk.heading.as_deref().map(index).unwrap_or_default(),
                text: index(chunk.text),
            },
            heading: chunk.heading,
            text: chunk.text.to_owned(),
        })
        .collect()
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
