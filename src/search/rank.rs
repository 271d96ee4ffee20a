//! What comes first: of the newest that fit, by how and how often the words stand in them, and how new they are. More than
//! those nobody ranks (FTS5's own ranks read every entry of every word); what is older goes on in order of time.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::snippet::{Likeness, fits};
use crate::error::Error;
use crate::store::{self, Among, Candidate, Ending, Phrase, Read, Sought};
use crate::words::{fold, places};

/// Candidates of one kind that are ranked: each is a row to be read. Whoever finds more looks for something else.
const RANKED_MAX: usize = 1_000;

/// Candidates of one kind that are kept for a page further down, which else would be looked for from the beginning.
const FOUND_MAX: usize = 10_000;

/// How many are enough where to find more would take long: five pages. What is behind them comes in order of time.
const RANKED_ENOUGH: usize = 100;

/// Bytes of text that words are looked for in, of all candidates together: some milliseconds. In those that come after, the
/// oldest, each word counts as standing once, and by itself.
const COUNTED_BYTES: i64 = 1024 * 1024;

/// Longer texts are not read: there, how often a word stands says little.
const COUNTED_TEXT_BYTES: i64 = 32 * 1024;

/// Places of a text where words may stand together that are looked at before it is cut into words.
const STARTS_TRIED: usize = 4;

/// Places of a word that are counted: more of them say no more.
const COUNT_MAX: usize = 20;

/// Bytes of an ordinary text, beside which others are long. Shorter ones count as ordinary: a title would else come before
/// every message.
const ORDINARY_BYTES: f64 = 600.0;

/// Hours after which being new counts half as much.
const RECENT_HOURS: f64 = 30.0 * 24.0;

/// BM25's usual parameters: how soon further places say no more, and how much length counts.
const SATURATION: f64 = 1.2;
const LENGTH_SHARE: f64 = 0.75;

/// Something that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranked {
    pub(super) among: Among,
    pub(super) candidate: Candidate,
    /// The words stand there whole, and then: one after the other.
    fit: (bool, bool),
    score: f64,
}

/// What one is worth.
struct Weight {
    /// BM25 without its weight for rare words, which all of them hold.
    score: f64,
    /// All words stand one after the other, as they were typed.
    is_joined: bool,
}

/// All words of a query, as they were typed, one after the other.
struct Joined {
    words: Vec<String>,
    /// The last may go on.
    is_prefix: bool,
    likeness: Likeness,
}

/// The newest of one kind that fit.
pub(super) struct Newest {
    pub(super) among: Among,
    pub(super) candidates: Vec<Candidate>,
    /// What comes next, as far as it was found on the way.
    pub(super) behind: Vec<Candidate>,
    /// Those that hold the last word as it stands.
    whole_ids: HashSet<i64>,
    /// There are no others that fit.
    pub(super) is_all: bool,
}

/// The newest that fit, so many if they are found on the way. Where enough hold the last word as it stands, those that hold
/// it as a beginning are not looked for: they come after.
pub(super) fn newest(read: &Read<'_>, among: Among, sought: &Sought<'_>, wanted: usize) -> Result<Newest, Error> {
    let whole = Sought {
        ending: Ending::Whole,
        ..*sought
    };
    let is_open = sought.ending == Ending::Open && sought.phrases.last().is_some_and(|phrase| phrase.is_prefix);
    let in_all = wanted.clamp(RANKED_MAX, FOUND_MAX);
    // Whole ones are ranked and nothing else where others may come behind them.
    let of_whole = if is_open { RANKED_MAX } else { in_all };
    let (mut candidates, mut is_all) = list_newest(read, among, &whole, of_whole)?;
    let whole_ids: HashSet<i64> = candidates.iter().map(|candidate| candidate.id).collect();
    if is_open && candidates.len() < RANKED_ENOUGH {
        let others;
        (others, is_all) = list_newest(read, among, sought, in_all)?;
        candidates.extend(others.iter().filter(|other| !whole_ids.contains(&other.id)));
    } else {
        is_all &= !is_open;
    }
    let behind = candidates.split_off(candidates.len().min(RANKED_MAX));
    Ok(Newest {
        among,
        candidates,
        behind,
        whole_ids,
        is_all,
    })
}

/// What each of them is worth, in no order.
pub(super) fn rank(read: &Read<'_>, sought: &Sought<'_>, newest: &Newest) -> Result<Vec<Ranked>, Error> {
    let Newest { among, candidates, .. } = newest;
    let weighed = weigh(read, *among, sought, candidates)?;
    let ranked = candidates.iter().zip(weighed).map(|(candidate, weight)| Ranked {
        among: *among,
        candidate: *candidate,
        fit: (newest.whole_ids.contains(&candidate.id), weight.is_joined),
        score: weight.score,
    });
    Ok(ranked.collect())
}

/// Puts the best first, each once.
pub(super) fn order(mut all: Vec<Ranked>) -> Vec<Ranked> {
    // Beside the newest of them: the order is the same for as long as nothing is added, or pages would overlap.
    let newest = all.iter().map(|one| one.candidate.hour).max().unwrap_or_default();
    for one in &mut all {
        let age = u32::try_from(newest - one.candidate.hour).unwrap_or(u32::MAX);
        one.score *= 1.0 + RECENT_HOURS / (RECENT_HOURS + f64::from(age));
    }
    all.sort_by(|one, other| {
        let by_fit = other.fit.cmp(&one.fit);
        let by_score = other.score.total_cmp(&one.score);
        let key = |ranked: &Ranked| (ranked.candidate.hour, ranked.candidate.id, ranked.among);
        by_fit.then(by_score).then(key(other).cmp(&key(one)))
    });
    let mut shown = HashSet::new();
    all.retain(|one| shown.insert((one.among, one.candidate.shown_id)));
    all
}

/// The newest, so many, and whether there are no others.
fn list_newest(
    read: &Read<'_>,
    among: Among,
    sought: &Sought<'_>,
    most: usize,
) -> Result<(Vec<Candidate>, bool), Error> {
    let mut found = Vec::new();
    let is_all = store::seek_enough(read, among, sought, RANKED_ENOUGH, &mut |candidate| {
        found.push(candidate);
        super::go_on(found.len() < most)
    })?;
    let is_all = is_all && found.len() < most;
    Ok((found, is_all))
}

/// What the words make up of each candidate, in their order.
fn weigh(read: &Read<'_>, among: Among, sought: &Sought<'_>, found: &[Candidate]) -> Result<Vec<Weight>, Error> {
    let words = words_to_count(sought.phrases);
    let joined = match sought.phrases {
        [_, .., _] => Some(Joined::new(sought.phrases, Likeness::of(among))),
        _ => None,
    };
    let mut bytes_left = COUNTED_BYTES;
    let counted = found.iter().filter(|candidate| {
        let is_counted = candidate.bytes <= COUNTED_TEXT_BYTES && candidate.bytes <= bytes_left;
        bytes_left -= if is_counted { candidate.bytes } else { 0 };
        is_counted
    });
    let ids: Vec<i64> = counted.map(|candidate| candidate.id).collect();
    let texts: HashMap<i64, String> = store::list_texts(read, among, sought.owner, &ids)?
        .into_iter()
        .map(|(id, text)| (id, text.to_lowercase()))
        .collect();
    let weigh = |candidate: &Candidate| {
        let text = texts.get(&candidate.id);
        let length = f64::from(u32::try_from(candidate.bytes).unwrap_or(u32::MAX)) / ORDINARY_BYTES;
        let length = length.max(1.0);
        let half = SATURATION * (1.0 - LENGTH_SHARE + LENGTH_SHARE * length);
        let of_word = |word: &String| {
            let count = text.map_or(1, |text| count(text, word));
            f64::from(count) / (f64::from(count) + half)
        };
        Weight {
            score: words.iter().map(of_word).sum(),
            is_joined: text
                .zip(joined.as_ref())
                .is_some_and(|(text, joined)| joined.stands_in(text)),
        }
    };
    Ok(found.iter().map(weigh).collect())
}

impl Joined {
    fn new(phrases: &[Phrase], likeness: Likeness) -> Joined {
        Joined {
            words: phrases
                .iter()
                .flat_map(|phrase| &phrase.words)
                .map(|word| fold(word))
                .collect(),
            is_prefix: phrases.last().is_some_and(|phrase| phrase.is_prefix),
            likeness,
        }
    }

    /// Whether they stand in a text, which is in lower case.
    fn stands_in(&self, text: &str) -> bool {
        let Some(first) = self.words.first() else {
            return false;
        };
        // Cutting a text into words takes longer than all else that is done with it. But one word may be as long as the
        // text: that is looked at a few times, and no more.
        if text.is_ascii() && self.likeness == Likeness::Same {
            let mut starts = beginnings(text, first);
            let mut tried = starts.by_ref().take(STARTS_TRIED);
            if tried.any(|at| self.are(&text[at..], places(&text[at..]))) {
                return true;
            }
            if starts.next().is_none() {
                return false;
            }
        }
        let may_begin = |at: usize| match (text.as_bytes()[at], first.as_bytes().first()) {
            (there, Some(wanted)) => there == *wanted || !there.is_ascii() || !wanted.is_ascii(),
            _ => false,
        };
        let places: Vec<Range<usize>> = places(text).collect();
        let mut starts = (0..places.len()).filter(|at| may_begin(places[*at].start));
        starts.any(|at| self.are(text, places[at..].iter().cloned()))
    }

    /// Whether they are what stands first at these places of a text.
    fn are(&self, text: &str, mut places: impl Iterator<Item = Range<usize>>) -> bool {
        let last = self.words.len() - 1;
        self.words.iter().enumerate().all(|(position, wanted)| {
            let may_go_on = position == last && self.is_prefix;
            let mut is_there = |place| fits(&fold(&text[place]), wanted, may_go_on, self.likeness);
            places.next().is_some_and(&mut is_there)
        })
    }
}

/// Of each phrase the longest word, in lower case: it stands for the others.
fn words_to_count(phrases: &[Phrase]) -> Vec<String> {
    let longest = |phrase: &Phrase| phrase.words.iter().max_by_key(|word| word.len()).cloned();
    let words = phrases.iter().filter_map(longest);
    words.map(|word| word.to_lowercase()).collect()
}

/// How often words of a text begin so, at least once: it may stand there with other accents.
fn count(text: &str, word: &str) -> u32 {
    let count = beginnings(text, word).take(COUNT_MAX).count();
    u32::try_from(count).unwrap_or(1).max(1)
}

/// Where words of a text begin so.
fn beginnings(text: &str, word: &str) -> impl Iterator<Item = usize> {
    let places = text.match_indices(word).map(|(at, _)| at);
    places.filter(|at| !text[..*at].ends_with(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_where_words_begin() {
        for (text, word, times) in [
            ("whale, whales; a narwhale.", "whale", 2),
            ("wal wal", "whale", 1),
            ("résumé", "resume", 1),
            (&"whale ".repeat(50), "whale", 20),
        ] {
            assert_eq!(count(text, word), times, "{text}");
        }
    }

    #[test]
    fn words_are_joined_where_they_stand_as_they_were_typed() {
        for (text, query, likeness, is_joined) in [
            ("a white whale", "white whale", Likeness::Same, true),
            ("white whales", "white whale", Likeness::Same, true),
            ("white whales", "\"white\" \"whale\"", Likeness::Same, false),
            ("offwhite whale", "white whale", Likeness::Same, false),
            ("white, white: whale", "white whale", Likeness::Same, true),
            ("white. a whale", "white whale", Likeness::Same, false),
            (
                &format!("{}whale", "white ".repeat(9)),
                "white whale",
                Likeness::Same,
                true,
            ),
            (
                &format!("{}whale", "white_".repeat(9)),
                "white whale",
                Likeness::Same,
                true,
            ),
            (&"white_whales ".repeat(9), "\"white\" \"whale\"", Likeness::Same, false),
            (&format!("{}猫犬", "猫".repeat(9)), "猫猫 猫犬", Likeness::Same, true),
            (&format!("{}犬猫", "猫".repeat(9)), "猫猫 猫猫犬", Likeness::Same, true),
            ("whites whale", "white whale", Likeness::Same, false),
            ("whites whale", "white whale", Likeness::Forms, true),
            ("mein résumé heute", "resume heute", Likeness::Same, true),
            ("mein resume heute", "résumé heute", Likeness::Same, true),
            ("mein résumé, nicht heute", "resume heute", Likeness::Same, false),
            ("吾輩は猫である", "猫で ある", Likeness::Same, false),
            ("吾輩は猫である", "吾輩 輩は", Likeness::Same, true),
        ] {
            let phrases = crate::search::Query::parse(query).unwrap().phrases;
            let joined = Joined::new(&phrases, likeness);
            assert_eq!(joined.stands_in(text), is_joined, "{query} in {text}");
        }
    }

    #[test]
    fn whole_words_come_before_beginnings_and_what_is_new_before_what_is_old() {
        let one = |id, hour, fit, score| Ranked {
            among: Among::Messages,
            candidate: Candidate {
                id,
                shown_id: id,
                hour,
                bytes: 10,
            },
            fit,
            score,
        };
        let year = 365 * 24;
        let all = vec![
            one(1, 10 * year, (false, false), 0.9),
            one(2, 10 * year, (true, false), 0.4),
            one(3, year, (true, false), 0.4),
            one(4, year, (true, true), 0.1),
            one(5, year, (true, false), 0.99),
        ];
        let ids: Vec<i64> = order(all).iter().map(|one| one.candidate.id).collect();
        assert_eq!(ids, [4, 5, 2, 3, 1]);
    }
}
