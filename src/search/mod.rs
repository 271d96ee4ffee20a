//! What people look for among all that they have: messages, conversations by their titles, documents. Owns how a query is
//! read, what comes first, and what is shown of a text that was found; the store finds, and [`crate::words`] says what a
//! word is.

mod filter;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod query;
mod rank;
mod snippet;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::time::Duration;

use crate::error::{Error, Kind};
use crate::store::{
    self, Among, Candidate, Ending, FoundChunk, FoundMessage, FoundTitle, Page, Read, Ref, Sought, Store, Within,
};

pub use filter::BadFilter;
pub use query::Query;
pub use snippet::Piece;

use filter::Place;
use snippet::{Likeness, snippet};

/// How long one search may take, with the last word as a beginning and then as it stands: many times what it takes in a
/// million messages. Beyond it the question is too wide, and others wait for the connection.
const TIMES_MAX: [Duration; 2] = [Duration::from_millis(500); 2];

/// Conversations that parts of titles stand for. Each is a term of the query: so many take a tenth of a second.
const CONVERSATIONS_MAX: usize = 2_000;

const TOO_MANY_CONVERSATIONS: BadFilter =
    BadFilter("in: stands for more than 2000 conversations. Name further words of the title, or the conversation's id");

/// All kinds, in the order in which they go on behind the best.
const KINDS: [Among; 3] = [Among::Messages, Among::Titles, Among::Documents];

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

/// Why nothing was looked for, or not to the end.
#[derive(Debug)]
pub enum Refusal {
    /// A filter stands for too much.
    Filter(BadFilter),
    /// What the store says.
    Store(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Store(error)
    }
}

/// What of the owner's holds all words of a query and passes its filters: the newest thousand of each kind, the best
/// first, and behind them all others, the newest first. Without words all that passes, the newest first; an empty query
/// finds nothing. Where the last word begins so many others that they cannot be read in time, it is taken as it stands.
///
/// # Errors
/// Those of the store; [`Kind::Unavailable`] if it takes longer than a second; a filter that stands for too much.
pub fn search(store: &Store, owner: i64, query: &Query, page: Page) -> Result<Vec<Found>, Refusal> {
    search_in(TIMES_MAX, store, owner, query, page)
}

/// As [`search`], in these times.
fn search_in(
    [time_open, time_whole]: [Duration; 2],
    store: &Store,
    owner: i64,
    query: &Query,
    page: Page,
) -> Result<Vec<Found>, Refusal> {
    if query.is_empty() {
        return Ok(Vec::new());
    }
    let look = |ending: Ending, time_max: Duration| {
        store.read_within(time_max, |read| {
            let conversations = conversations(read, owner, query)?;
            let within = query.filters.within(conversations);
            let sought = Sought {
                owner,
                phrases: &query.phrases,
                ending,
                within: &within,
            };
            let on_page = list_page(read, query, &sought, page)?;
            Ok(show(read, &sought, &on_page)?)
        })
    };
    if !query.phrases.last().is_some_and(|phrase| phrase.is_prefix) {
        return look(Ending::Whole, time_open + time_whole);
    }
    match look(Ending::Open, time_open) {
        Err(Refusal::Store(error)) if store::is_stopped(&error) => look(Ending::Whole, time_whole),
        outcome => outcome,
    }
}

/// The conversations that are named; `None` if none are. Those that are not there, or not the owner's, hold nothing.
fn conversations(read: &Read<'_>, owner: i64, query: &Query) -> Result<Option<Vec<i64>>, Refusal> {
    let mut ids = Vec::new();
    for place in &query.filters.places {
        match place {
            Place::Id(id) => ids.extend(find_conversation(read, owner, id)?),
            Place::Titled(phrase) => {
                let sought = Sought {
                    owner,
                    phrases: std::slice::from_ref(phrase),
                    ending: Ending::Open,
                    within: &Within::default(),
                };
                let mut titled = Vec::new();
                store::seek(read, Among::Titles, &sought, &mut |title| {
                    titled.push(title.id);
                    go_on(titled.len() <= CONVERSATIONS_MAX)
                })?;
                ids.extend(titled);
            }
        }
    }
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > CONVERSATIONS_MAX {
        return Err(Refusal::Filter(TOO_MANY_CONVERSATIONS));
    }
    let is_named = !query.filters.places.is_empty();
    Ok(is_named.then_some(ids))
}

fn find_conversation(read: &Read<'_>, owner: i64, id: &Ref) -> Result<Option<i64>, Error> {
    match store::find_conversation(read, owner, id) {
        Ok(conversation) => Ok(Some(conversation.id)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn go_on(does_go_on: bool) -> ControlFlow<()> {
    if does_go_on {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}

/// What stands on a page.
fn list_page(
    read: &Read<'_>,
    query: &Query,
    sought: &Sought<'_>,
    page: Page,
) -> Result<Vec<(Among, Candidate)>, Error> {
    let has_words = !sought.phrases.is_empty();
    let kinds: Vec<Among> = KINDS
        .into_iter()
        .filter(|among| query.filters.take(*among, has_words))
        .collect();
    let mut skip = usize::try_from(page.offset).unwrap_or(0);
    let wanted = usize::try_from(page.limit).unwrap_or(0);
    let mut newest = Vec::new();
    if has_words {
        for among in &kinds {
            newest.push(rank::newest(read, *among, sought, skip.saturating_add(wanted))?);
        }
    }
    let mut best: HashSet<(Among, i64)> = HashSet::new();
    for one in &newest {
        best.extend(one.candidates.iter().map(|candidate| (one.among, candidate.shown_id)));
    }
    let mut on_page = Vec::new();
    // Behind the best nobody sees their order, and what it takes to find out is spared.
    if skip < best.len() {
        let mut ranked = Vec::new();
        for one in &newest {
            ranked.extend(rank::rank(read, sought, one)?);
        }
        let ranked = rank::order(ranked).into_iter().map(|one| (one.among, one.candidate));
        on_page.extend(ranked.skip(skip).take(wanted));
    }
    skip = skip.saturating_sub(best.len());
    for among in kinds {
        if on_page.len() == wanted {
            break;
        }
        let found = newest.iter().find(|one| one.among == among);
        let mut take = |candidate: Candidate| {
            // What came already, on this page or on one before, does not come again.
            if best.insert((among, candidate.shown_id)) {
                match skip {
                    0 => on_page.push((among, candidate)),
                    _ => skip -= 1,
                }
            }
            go_on(on_page.len() < wanted)
        };
        let behind = found.map_or(&[][..], |found| &found.behind);
        let goes_on = behind.iter().try_for_each(|candidate| take(*candidate)).is_continue();
        if goes_on && !found.is_some_and(|found| found.is_all) {
            store::seek(read, among, sought, &mut take)?;
        }
    }
    Ok(on_page)
}

/// Reads what stands on a page, and only that, and cuts its snippets.
fn show(read: &Read<'_>, sought: &Sought<'_>, on_page: &[(Among, Candidate)]) -> Result<Vec<Found>, Error> {
    let ids = |kind: Among| -> Vec<i64> {
        let of_kind = on_page.iter().filter(|(among, _)| *among == kind);
        of_kind.map(|(_, candidate)| candidate.id).collect()
    };
    let (owner, phrases) = (sought.owner, sought.phrases);
    let mut found: HashMap<(Among, i64), Found> = HashMap::new();
    for message in store::list_found_messages(read, owner, &ids(Among::Messages))? {
        let pieces = snippet(&message.content, phrases, Likeness::of(Among::Messages));
        found.insert((Among::Messages, message.id), Found::Message(message, pieces));
    }
    for title in store::list_found_titles(read, owner, &ids(Among::Titles))? {
        let pieces = snippet(&title.title, phrases, Likeness::of(Among::Titles));
        found.insert((Among::Titles, title.id), Found::Conversation(title, pieces));
    }
    for chunk in store::list_chunks(read, owner, &ids(Among::Documents))? {
        let pieces = snippet(&chunk.text, phrases, Likeness::of(Among::Documents));
        found.insert((Among::Documents, chunk.chunk_id), Found::Document(chunk, pieces));
    }
    let in_order = on_page
        .iter()
        .filter_map(|(among, candidate)| found.remove(&(*among, candidate.id)));
    Ok(in_order.collect())
}
