//! What comes first: of the newest that fit, by how and how often the words stand in them, and how new they are. More than
//! those nobody ranks (FTS5's own ranks read every entry of every word); what is older goes on in order of time.

use std::collections::{HashMap, HashSet};

use crate::error::Error;
use crate::store::{self, Among, Candidate, Ending, Phrase, Read, Sought, Within};

/// Candidates of one kind that are ranked: each is a row to be read. Whoever finds more looks for something else.
const RANKED_MAX: usize = 1_000;

/// How many are enough where to find more would take long: five pages. What is behind them comes in order of time.
const RANKED_ENOUGH: usize = 100;

/// Bytes of text that words are counted in, of all candidates together: some milliseconds. In those that come after, the
/// oldest, each word counts as standing once.
const COUNTED_BYTES: i64 = 1024 * 1024;

/// Longer texts are not counted in: there, how often a word stands says little.
const COUNTED_TEXT_BYTES: i64 = 32 * 1024;

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

/// The newest of one kind that fit.
pub(super) struct Newest {
    pub(super) among: Among,
    pub(super) candidates: Vec<Candidate>,
    /// Those that hold the last word as it stands.
    whole_ids: HashSet<i64>,
    /// How the others hold it, if any.
    ending: Ending,
    /// There are no others that fit.
    pub(super) is_all: bool,
}

/// The newest that fit. Where enough hold the last word as it stands, those that hold it as a beginning are not looked for:
/// they come after.
pub(super) fn newest(read: &Read<'_>, among: Among, sought: &Sought<'_>) -> Result<Newest, Error> {
    let whole = Sought {
        ending: Ending::Whole,
        ..*sought
    };
    let (mut candidates, mut is_all) = list_newest(read, among, &whole)?;
    let whole_ids: HashSet<i64> = candidates.iter().map(|candidate| candidate.id).collect();
    let may_go_on = sought.phrases.last().is_some_and(|phrase| phrase.is_prefix);
    let mut ending = Ending::Whole;
    if candidates.len() < RANKED_MAX && may_go_on && sought.ending == Ending::Open {
        ending = Ending::Open;
        let others;
        (others, is_all) = list_newest(read, among, sought)?;
        candidates.extend(others.iter().filter(|other| !whole_ids.contains(&other.id)));
        is_all &= candidates.len() < RANKED_MAX;
        candidates.truncate(RANKED_MAX);
    }
    Ok(Newest {
        among,
        candidates,
        whole_ids,
        ending,
        is_all,
    })
}

/// What each of them is worth, in no order.
pub(super) fn rank(read: &Read<'_>, sought: &Sought<'_>, newest: &Newest) -> Result<Vec<Ranked>, Error> {
    let Newest { among, candidates, .. } = newest;
    let ending = newest.ending;
    let joined = joined(read, *among, &Sought { ending, ..*sought }, candidates)?;
    let counts = weigh(read, *among, sought, candidates)?;
    let ranked = candidates.iter().map(|candidate| Ranked {
        among: *among,
        candidate: *candidate,
        fit: (newest.whole_ids.contains(&candidate.id), joined.contains(&candidate.id)),
        score: counts.get(&candidate.id).copied().unwrap_or_default(),
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

/// The newest, and whether there are no others.
fn list_newest(read: &Read<'_>, among: Among, sought: &Sought<'_>) -> Result<(Vec<Candidate>, bool), Error> {
    let mut found = Vec::new();
    let is_all = store::seek_enough(read, among, sought, RANKED_ENOUGH, &mut |candidate| {
        found.push(candidate);
        super::go_on(found.len() < RANKED_MAX)
    })?;
    let is_all = is_all && found.len() < RANKED_MAX;
    Ok((found, is_all))
}

/// Those of the candidates in which all words stand one after the other, as they were typed.
fn joined(read: &Read<'_>, among: Among, sought: &Sought<'_>, found: &[Candidate]) -> Result<HashSet<i64>, Error> {
    let Some(oldest) = found.iter().map(|candidate| candidate.hour).min() else {
        return Ok(HashSet::new());
    };
    let [_, _, ..] = sought.phrases else {
        return Ok(HashSet::new());
    };
    let phrases = [Phrase {
        words: sought.phrases.iter().flat_map(|phrase| phrase.words.clone()).collect(),
        is_prefix: sought.phrases.last().is_some_and(|phrase| phrase.is_prefix),
    }];
    // Only where the candidates are: a phrase of common words may be rare, and is then sought for long.
    let within = Within {
        hours: oldest.max(sought.within.hours.start)..sought.within.hours.end,
        ..sought.within.clone()
    };
    let sought = Sought {
        phrases: &phrases,
        within: &within,
        ..*sought
    };
    let (found, _) = list_newest(read, among, &sought)?;
    Ok(found.into_iter().map(|candidate| candidate.id).collect())
}

/// What the words make up of each candidate: BM25 without its weight for rare words, which all of them hold.
fn weigh(read: &Read<'_>, among: Among, sought: &Sought<'_>, found: &[Candidate]) -> Result<HashMap<i64, f64>, Error> {
    let words = words_to_count(sought.phrases);
    let mut bytes_left = COUNTED_BYTES;
    let counted = found.iter().filter(|candidate| {
        let is_counted = candidate.bytes <= COUNTED_TEXT_BYTES && candidate.bytes <= bytes_left;
        bytes_left -= if is_counted { candidate.bytes } else { 0 };
        is_counted
    });
    let ids: Vec<i64> = counted.map(|candidate| candidate.id).collect();
    let texts: HashMap<i64, String> = store::list_texts(read, among, sought.owner, &ids)?
        .into_iter()
        .collect();
    let weigh = |candidate: &Candidate| {
        let text = texts.get(&candidate.id).map(|text| text.to_lowercase());
        let length = f64::from(u32::try_from(candidate.bytes).unwrap_or(u32::MAX)) / ORDINARY_BYTES;
        let length = length.max(1.0);
        let half = SATURATION * (1.0 - LENGTH_SHARE + LENGTH_SHARE * length);
        let of_word = |word: &String| {
            let count = text.as_deref().map_or(1, |text| count(text, word));
            f64::from(count) / (f64::from(count) + half)
        };
        (candidate.id, words.iter().map(of_word).sum())
    };
    Ok(found.iter().map(weigh).collect())
}

/// Of each phrase the longest word, in lower case: it stands for the others.
fn words_to_count(phrases: &[Phrase]) -> Vec<String> {
    let longest = |phrase: &Phrase| phrase.words.iter().max_by_key(|word| word.len()).cloned();
    let words = phrases.iter().filter_map(longest);
    words.map(|word| word.to_lowercase()).collect()
}

/// How often words of a text begin so, at least once: it may stand there with other accents, or behind the part that was
/// read.
fn count(text: &str, word: &str) -> u32 {
    let begins = |at: &usize| !text[..*at].ends_with(char::is_alphanumeric);
    let places = text.match_indices(word).map(|(at, _)| at);
    let count = places.filter(begins).take(COUNT_MAX).count();
    u32::try_from(count).unwrap_or(1).max(1)
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
