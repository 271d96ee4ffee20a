//! The open ending of a query ("rare whal" finds "rare whales"), looked for in the texts. For a beginning FTS5 merges the
//! lists of all words that begin so, before it looks at what else is asked for: of a common one a third of a second in a
//! million messages. The newest texts that hold all the rest of the query are read instead, and the same is found.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::ControlFlow;

use super::Read;
use super::message_index::{Phrase, indexed_part};
use super::seek::{Among, Candidate, Ending, Sought, Within, has_more, list_texts, walk};
use crate::error::Error;
use crate::words::{WORD_CHARS_MAX, fold, places};

/// Texts that are read at most: with their rows they take some ten milliseconds.
const FEW_MAX: usize = 2_000;

/// Bytes that they may have together: as long as that.
const FEW_BYTES_MAX: i64 = 2 * 1024 * 1024;

/// The same where they are all there are: the index would take longer.
const ALL_MAX: usize = 3_000;
const ALL_BYTES_MAX: i64 = 3 * 1024 * 1024;

/// Texts after which it is asked whether the others are worth reading.
const SAMPLE: usize = 3 * FIRST_BATCH;

/// Texts that are read together at first, and twice as many each time after that: who asks may soon have enough.
const FIRST_BATCH: usize = 64;

/// What the texts could tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// All that fits was visited, or the visitor has broken off.
    All,
    /// What fits was visited as far as it comes before this row of the index, which knows what is from there on.
    Before(i64),
}

/// Nothing was visited.
const NOTHING: (Told, usize) = (Told::Before(i64::MAX), 0);

/// Visits what fits, the newest first, as far as the texts tell it: until `enough` does, where it would take long to read
/// all. They tell nothing where the last word is not open, or the rest of the query leaves nothing out, or only the index
/// knows which words it takes to begin alike. Returns how many it has visited, too.
pub(super) fn visit_fitting(
    read: &Read<'_>,
    among: Among,
    sought: &Sought<'_>,
    enough: usize,
    visit: &mut dyn FnMut(Candidate) -> ControlFlow<()>,
) -> Result<(Told, usize), Error> {
    let Some((last, others)) = sought.phrases.split_last() else {
        return Ok(NOTHING);
    };
    let is_open = last.is_prefix && sought.ending == Ending::Open;
    // Documents are indexed by the stems of their words. Of most scripts the index leaves other accents on than `fold`.
    if !is_open || among == Among::Documents || !last.words.iter().all(|word| word.is_ascii()) {
        return Ok(NOTHING);
    }
    let mut phrases = others.to_vec();
    if let [begin @ .., _] = &last.words[..]
        && !begin.is_empty()
    {
        phrases.push(Phrase {
            words: begin.to_vec(),
            is_prefix: false,
        });
    }
    if phrases.is_empty() && *sought.within == Within::default() {
        return Ok(NOTHING);
    }
    let rest = Sought {
        phrases: &phrases,
        ending: Ending::Whole,
        ..*sought
    };
    let (mut batch, mut batch_size) = (Vec::new(), FIRST_BATCH);
    let (mut count, mut bytes) = (0, 0);
    let (mut count_max, mut bytes_max) = (FEW_MAX, FEW_BYTES_MAX);
    let found = Cell::new(0);
    let visit = &mut |candidate| {
        found.set(found.get() + 1);
        visit(candidate)
    };
    let mut outcome = Ok(Told::All);
    walk(read, among, &rest, i64::MAX, &mut |candidate| {
        (count, bytes) = (count + 1, bytes + candidate.bytes);
        if count > count_max || bytes > bytes_max {
            outcome = Ok(Told::Before(candidate.row()));
            return ControlFlow::Break(());
        }
        batch.push(candidate);
        if batch.len() < batch_size {
            return ControlFlow::Continue(());
        }
        batch_size *= 2;
        let read_batch = visit_batch(read, among, sought.owner, last, &std::mem::take(&mut batch), visit);
        match read_batch {
            Ok(None) if count == SAMPLE && found.get() * FEW_MAX / SAMPLE < enough => {
                let behind = candidate.row() - 1;
                match has_more(read, among, &rest, behind, ALL_MAX - SAMPLE) {
                    Ok(false) => {
                        (count_max, bytes_max) = (ALL_MAX, ALL_BYTES_MAX);
                        return ControlFlow::Continue(());
                    }
                    Ok(true) => outcome = Ok(Told::Before(behind)),
                    Err(error) => outcome = Err(error),
                }
                ControlFlow::Break(())
            }
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(told)) => {
                outcome = Ok(told);
                ControlFlow::Break(())
            }
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        }
    })?;
    // What was not enough for a batch. Where one has ended the walk, nothing.
    let told = visit_batch(read, among, sought.owner, last, &batch, visit)?;
    told.map_or(outcome, Ok).map(|told| (told, found.get()))
}

/// Visits those candidates whose texts hold the word. Something is told when that is the end.
fn visit_batch(
    read: &Read<'_>,
    among: Among,
    owner: i64,
    word: &Phrase,
    batch: &[Candidate],
    visit: &mut dyn FnMut(Candidate) -> ControlFlow<()>,
) -> Result<Option<Told>, Error> {
    let Some(first) = batch.first() else {
        return Ok(None);
    };
    let ids: Vec<i64> = batch.iter().map(|candidate| candidate.id).collect();
    let texts: HashMap<i64, String> = list_texts(read, among, owner, &ids)?.into_iter().collect();
    if texts.values().any(|text| !text.is_ascii() && text.contains(is_unsure)) {
        return Ok(Some(Told::Before(first.row())));
    }
    for candidate in batch {
        let text = texts.get(&candidate.id);
        if text.is_some_and(|text| holds(indexed_part(text), word)) && visit(*candidate).is_break() {
            return Ok(Some(Told::All));
        }
    }
    Ok(None)
}

/// Whether the words of a phrase stand in a text one after the other, the last of them as a beginning.
fn holds(text: &str, phrase: &Phrase) -> bool {
    let Some((last, [])) = phrase.words.split_last() else {
        return holds_all(text, phrase);
    };
    let last = last.to_ascii_lowercase();
    // No word reaches across a space: only what may hold it is cut into words, which takes longest.
    let mut pieces = text.split_ascii_whitespace().filter(|piece| may_hold(piece, &last));
    pieces.any(|piece| places(piece).any(|place| begins(&piece[place], &last)))
}

fn holds_all(text: &str, phrase: &Phrase) -> bool {
    let wanted: Vec<String> = phrase.words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let Some((last, others)) = wanted.split_last() else {
        return true;
    };
    if others.last().is_some_and(|before| !may_be_joined(text, before, last)) {
        return false;
    }
    let words: Vec<&str> = places(text).map(|place| &text[place]).collect();
    words.windows(wanted.len()).any(|there| {
        let mut pairs = there.iter().zip(others);
        pairs.all(|(word, other)| is_same(word, other)) && there.last().is_some_and(|word| begins(word, last))
    })
}

/// What is no word is passed over so often on the way to one.
const PASSED_MAX: usize = 8;

/// False where no word that begins like `last` comes behind `before`, both in lower case: to cut a text into words takes
/// longer than to read it.
fn may_be_joined(text: &str, before: &str, last: &str) -> bool {
    if !text.is_ascii() {
        return true;
    }
    let text = text.to_ascii_lowercase();
    let is_end = |c: char| !c.is_ascii_alphanumeric();
    text.match_indices(last).map(|(at, _)| &text[..at]).any(|there| {
        let mut words = there.rsplit(is_end);
        let is_begin = words.next() == Some("");
        // What is left of "whale's", and what is too long, is no word. There may be much of it.
        let is_word = |word: &&str| *word == before || (2..=WORD_CHARS_MAX).contains(&word.len());
        let word = words.by_ref().take(PASSED_MAX).find(is_word);
        is_begin && word.map_or_else(|| words.next().is_some(), |word| word == before)
    })
}

/// Characters of which the index makes other letters than `fold`, or leaves accents on that `fold` takes off.
fn is_unsure(c: char) -> bool {
    matches!(
        c,
        '\u{17f}' | '\u{1e0}' | '\u{1e1}' | '\u{1e9b}' | '\u{300}'..='\u{36f}'
    )
}

fn may_hold(piece: &str, word: &str) -> bool {
    let mut windows = piece.as_bytes().windows(word.len());
    !piece.is_ascii() || windows.any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether the index would find a word by this beginning, which is in lower case.
fn begins(word: &str, beginning: &str) -> bool {
    match word.get(..beginning.len()) {
        Some(there) if word.is_ascii() => there.eq_ignore_ascii_case(beginning),
        None if word.is_ascii() => false,
        _ => fold(word).starts_with(beginning),
    }
}

/// Whether the index takes a word for this one, which is in lower case.
fn is_same(word: &str, other: &str) -> bool {
    // A soft hyphen is no part of it.
    let word = word.trim_end_matches('\u{ad}');
    if word.is_ascii() {
        word.eq_ignore_ascii_case(other)
    } else {
        fold(word) == *other
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rusqlite::Connection;

    use super::super::seek::{seek, seek_enough};
    use super::super::tests::Rig;
    use super::super::{Role, search::index_word};
    use super::*;
    use crate::patience::until;

    /// Numbers that are as good as random, and the same in every run (xorshift64*).
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, count: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
            usize::try_from(high).unwrap() % count
        }

        fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
            from[self.below(from.len())]
        }
    }

    /// Much begins alike, by itself or once case and accents are off.
    const WORDS: [&str; 22] = [
        "sea",
        "Seaman",
        "s\u{e9}ance",
        "SEAL",
        "sea's",
        "sea_level",
        "sea\u{ad}man",
        "sea\u{ad}",
        "sea\u{b7}lion",
        "under-sea",
        "C-sea",
        "whale",
        "Whales",
        "whalebone",
        "猫sea",
        "吾輩は",
        "x",
        "12",
        "1200",
        "3.1200",
        "résumé",
        "rare",
    ];

    const BEGINNINGS: [&str; 10] = ["sea", "seam", "SE", "whal", "whale", "12", "1", "res", "lev", "lion"];

    /// What is found, and what the texts could tell.
    fn found(rig: &Rig, among: Among, sought: &Sought<'_>, how: How) -> (Vec<Candidate>, Told) {
        let mut found = Vec::new();
        let mut visit = |candidate| {
            found.push(candidate);
            ControlFlow::Continue(())
        };
        let read = |read: &Read<'_>| match how {
            How::Texts => visit_fitting(read, among, sought, 100, &mut visit).map(|(told, _)| told),
            How::Index => walk(read, among, sought, i64::MAX, &mut visit).map(|()| Told::All),
            How::Both => seek(read, among, sought, &mut visit).map(|()| Told::All),
        };
        let told = rig.read(read).unwrap();
        (found, told)
    }

    #[derive(Clone, Copy)]
    enum How {
        Texts,
        Index,
        Both,
    }

    fn settle(rig: &Rig) {
        until("everything is indexed", || {
            rig.value::<i64>("SELECT count(*) FROM search_queue") == 0
        });
    }

    /// What is asked: words, the last of which may be quoted with others before it.
    fn ask(dice: &mut Dice) -> Vec<Phrase> {
        let phrase = |texts: &[&str], is_prefix| Phrase {
            words: texts.iter().map(|text| (*text).to_owned()).collect(),
            is_prefix,
        };
        let mut phrases = Vec::new();
        for _ in 0..dice.below(3) {
            phrases.push(phrase(&[dice.pick(&["rare", "whale", "sea", "x", "吾輩"])], false));
        }
        let last = dice.pick(&BEGINNINGS);
        phrases.push(match dice.below(3) {
            0 => phrase(&[dice.pick(&["sea", "whale", "level", "rare"]), last], true),
            _ => phrase(&[last], true),
        });
        phrases
    }

    #[test]
    fn texts_hold_what_the_index_finds() {
        let mut dice = Dice(88_172_645_463_325_252);
        let (mut asked, mut most) = (0, 0);
        for _ in 0..8 {
            let rig = Rig::new();
            let ann = rig.user("ann").id;
            let conversations = [rig.conversation(ann, 1), rig.conversation(ann, 2)];
            for _ in 0..60 {
                let words: Vec<&str> = (0..1 + dice.below(5)).map(|_| dice.pick(&WORDS)).collect();
                let text = words.join(dice.pick(&[" ", " ", "\n", ", ", "-"]));
                let conversation = conversations[dice.below(2)];
                rig.message(conversation, ann, &text);
                rig.batch(&format!(
                    "UPDATE conversations SET title = '{}' WHERE id = {conversation}",
                    text.replace('\'', "''")
                ));
            }
            settle(&rig);
            for _ in 0..120 {
                let phrases = ask(&mut dice);
                let within = Within {
                    conversations: (dice.below(2) == 0).then(|| vec![conversations[0]]),
                    roles: if dice.below(3) == 0 {
                        vec![Role::User]
                    } else {
                        Vec::new()
                    },
                    ..Within::default()
                };
                let sought = Sought {
                    owner: ann,
                    phrases: &phrases,
                    ending: Ending::Open,
                    within: &within,
                };
                for among in [Among::Messages, Among::Titles] {
                    let (index, _) = found(&rig, among, &sought, How::Index);
                    if let (texts, Told::All) = found(&rig, among, &sought, How::Texts) {
                        assert_eq!(texts, index, "{among:?} {phrases:?} {within:?}");
                        asked += 1;
                        most = most.max(texts.len());
                    }
                    let (both, _) = found(&rig, among, &sought, How::Both);
                    assert_eq!(both, index, "{among:?} {phrases:?} {within:?}");
                }
            }
        }
        assert!(asked > 1_000 && most > 20, "{asked} questions, {most} at most");
    }

    #[test]
    fn where_it_is_not_sure_or_not_few_the_index_is_asked() {
        let rig = Rig::new();
        let ann = rig.user("ann").id;
        let conversation = rig.conversation(ann, 1);
        rig.message(conversation, ann, "a white whale");
        settle(&rig);
        let phrase = |text: &str, is_prefix| Phrase {
            words: text.split(' ').map(str::to_owned).collect(),
            is_prefix,
        };
        let everywhere = Within::default();
        let is_tested = |phrases: &[Phrase], ending, within: &Within, among| {
            let sought = Sought {
                owner: ann,
                phrases,
                ending,
                within,
            };
            found(&rig, among, &sought, How::Texts).1 == Told::All
        };
        let open = [phrase("white", false), phrase("wha", true)];
        assert!(is_tested(&open, Ending::Open, &everywhere, Among::Messages));
        assert!(!is_tested(&open, Ending::Whole, &everywhere, Among::Messages));
        assert!(!is_tested(&open, Ending::Open, &everywhere, Among::Documents));
        let accented = [phrase("white", false), phrase("whé", true)];
        assert!(!is_tested(&accented, Ending::Open, &everywhere, Among::Messages));
        let alone = [phrase("wha", true)];
        for letter in ['\u{17f}', '\u{301}'] {
            let other = rig.conversation(ann, 3);
            rig.message(other, ann, &format!("a w{letter}hite whale"));
            settle(&rig);
            let there = Within {
                conversations: Some(vec![other]),
                ..Within::default()
            };
            assert!(!is_tested(&alone, Ending::Open, &there, Among::Messages), "{letter:?}");
        }
        assert!(!is_tested(&alone, Ending::Open, &everywhere, Among::Messages));
        let here = Within {
            conversations: Some(vec![conversation]),
            ..Within::default()
        };
        assert!(is_tested(&alone, Ending::Open, &here, Among::Messages));
        rig.batch(&format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {FEW_MAX})
             INSERT INTO messages (uuid, conversation_id, user_id, role, content, created_at)
             SELECT printf('%d', i), {conversation}, {ann}, 'user', 'white whales', '2026-03-01' FROM n"
        ));
        rig.message(conversation, ann, "the last one");
        settle(&rig);
        assert!(!is_tested(&open, Ending::Open, &everywhere, Among::Messages));
        // The newest come from the texts, the rest from the index, each once.
        let sought = Sought {
            owner: ann,
            phrases: &open,
            ending: Ending::Open,
            within: &everywhere,
        };
        let (texts, told) = found(&rig, Among::Messages, &sought, How::Texts);
        assert!(
            texts.len() == FEW_MAX && matches!(told, Told::Before(row) if row < i64::MAX),
            "{} {told:?}",
            texts.len()
        );
        let (both, _) = found(&rig, Among::Messages, &sought, How::Both);
        assert_eq!(both, found(&rig, Among::Messages, &sought, How::Index).0);
        assert!(both.len() > FEW_MAX && both[..FEW_MAX] == texts, "{}", both.len());
        // Whoever has enough does not have the rest looked for.
        let mut few = 0;
        let is_all = rig.read(|read| {
            seek_enough(read, Among::Messages, &sought, 100, &mut |_| {
                few += 1;
                ControlFlow::Continue(())
            })
        });
        assert_eq!((is_all.unwrap(), few), (false, FEW_MAX));
    }

    #[test]
    fn texts_that_seldom_fit_are_read_to_the_end_or_left_to_the_index() {
        for (count, is_read) in [(FEW_MAX + 200, true), (ALL_MAX + 200, false)] {
            let rig = Rig::new();
            let ann = rig.user("ann").id;
            let conversation = rig.conversation(ann, 1);
            rig.batch(&format!(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
                 INSERT INTO messages (uuid, conversation_id, user_id, role, content, created_at)
                 SELECT printf('%d', i), {conversation}, {ann}, 'user',
                     'white ' || iif(i % 100 = 0, 'whales', 'ships'), '2026-03-01' FROM n"
            ));
            settle(&rig);
            let phrases = ["white", "whal"].map(|word| Phrase {
                words: vec![word.into()],
                is_prefix: word == "whal",
            });
            let sought = Sought {
                owner: ann,
                phrases: &phrases,
                ending: Ending::Open,
                within: &Within::default(),
            };
            let (texts, told) = found(&rig, Among::Messages, &sought, How::Texts);
            let (index, _) = found(&rig, Among::Messages, &sought, How::Index);
            assert_eq!(index.len(), count / 100);
            assert_eq!(found(&rig, Among::Messages, &sought, How::Both).0, index);
            assert_eq!(told == Told::All, is_read, "{count}: {told:?}");
            let expected = if is_read { index.len() } else { texts.len() };
            assert_eq!(texts, index[..expected], "{count}");
            assert!(is_read || texts.len() <= SAMPLE / 100 + 1, "{}", texts.len());
        }
    }

    /// Of every character that this is sure of (behind these are ideographs alone): what begins a word with it in the index does here, and nothing else.
    #[test]
    fn letters_begin_words_as_they_do_in_the_index() {
        let index = Connection::open_in_memory().unwrap();
        index
            .execute_batch(
                "CREATE VIRTUAL TABLE words USING fts5 (
                     text, tokenize = \"unicode61 remove_diacritics 2 categories 'L* N* Co M*'\"
                 ); BEGIN",
            )
            .unwrap();
        let mut words = Vec::new();
        {
            let mut insert = index
                .prepare("INSERT INTO words (rowid, text) VALUES (?1, ?2)")
                .unwrap();
            for c in ('\u{80}'..='\u{1ffff}').filter(|c| !is_unsure(*c)) {
                for text in [format!("{c}b"), format!("a{c}b")] {
                    for place in places(&text) {
                        words.push(text[place.clone()].to_owned());
                        insert
                            .execute((i64::try_from(words.len()).unwrap(), index_word(1, &text[place])))
                            .unwrap();
                    }
                }
            }
        }
        index.execute_batch("COMMIT").unwrap();
        assert!(words.len() > 100_000, "{}", words.len());
        let mut find = index
            .prepare("SELECT rowid FROM words WHERE words MATCH ?1 ORDER BY rowid")
            .unwrap();
        let letters = ('a'..='z').chain('0'..='9');
        let beginnings = letters.flat_map(|c| [c.to_string(), format!("{c}b"), format!("a{c}"), format!("a{c}b")]);
        for beginning in beginnings {
            let query = format!("\"{}\" *", index_word(1, &beginning));
            let rows = find.query_map([query], |row| row.get::<_, i64>(0)).unwrap();
            let found: BTreeSet<&str> = rows
                .map(|row| words[usize::try_from(row.unwrap()).unwrap() - 1].as_str())
                .collect();
            let held = words.iter().filter(|word| begins(word, &beginning));
            let held: BTreeSet<&str> = held.map(String::as_str).collect();
            let differing: Vec<&&str> = found.symmetric_difference(&held).collect();
            assert!(differing.is_empty(), "{beginning}: {differing:?}");
        }
    }
}
