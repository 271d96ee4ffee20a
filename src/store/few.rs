//! The open ending of a query ("rare whal" finds "rare whales"), looked for in the texts. For a beginning FTS5 merges the
//! lists of all words that begin so, before it looks at what else is asked for: of a common one a tenth of a second in a
//! million messages. Where all the rest of the query fits few texts, those are read instead, and the same is found.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::Read;
use super::message_index::{Phrase, indexed_part};
use super::seek::{Among, Candidate, Ending, Sought, Within, list_texts, walk};
use crate::error::Error;
use crate::words::{fold, places};

/// Texts that are few: with their rows they take some milliseconds, and no more is lost where there are others.
const FEW_MAX: usize = 2_000;

/// Bytes that they may have together: as long as that.
const FEW_BYTES_MAX: i64 = 2 * 1024 * 1024;

/// All that fits, the newest first. `None`: the index is to be asked, because the last word is not open, or the rest of
/// the query leaves too much, or nothing out, or because only the index knows which words it takes to begin alike.
pub(super) fn list_fitting(
    read: &Read<'_>,
    among: Among,
    sought: &Sought<'_>,
) -> Result<Option<Vec<Candidate>>, Error> {
    let Some((last, others)) = sought.phrases.split_last() else {
        return Ok(None);
    };
    let is_open = last.is_prefix && sought.ending == Ending::Open;
    // Documents are indexed by the stems of their words. Of most scripts the index leaves other accents on than `fold`.
    if !is_open || among == Among::Documents || !last.words.iter().all(|word| word.is_ascii()) {
        return Ok(None);
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
        return Ok(None);
    }
    let rest = Sought {
        phrases: &phrases,
        ending: Ending::Whole,
        ..*sought
    };
    let Some(mut few) = list_few(read, among, &rest)? else {
        return Ok(None);
    };
    let ids: Vec<i64> = few.iter().map(|candidate| candidate.id).collect();
    let texts = list_texts(read, among, sought.owner, &ids)?;
    let texts: HashMap<i64, String> = texts.into_iter().collect();
    if texts.values().any(|text| !text.is_ascii() && text.contains(is_unsure)) {
        return Ok(None);
    }
    few.retain(|candidate| {
        let text = texts.get(&candidate.id);
        text.is_some_and(|text| holds(indexed_part(text), last))
    });
    Ok(Some(few))
}

/// All that fits, the newest first, if it is little.
fn list_few(read: &Read<'_>, among: Among, sought: &Sought<'_>) -> Result<Option<Vec<Candidate>>, Error> {
    let (mut few, mut bytes, mut is_all) = (Vec::new(), 0, true);
    walk(read, among, sought, &mut |candidate| {
        few.push(candidate);
        bytes += candidate.bytes;
        is_all = few.len() <= FEW_MAX && bytes <= FEW_BYTES_MAX;
        if is_all {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok(is_all.then_some(few))
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
    let words: Vec<&str> = places(text).map(|place| &text[place]).collect();
    words.windows(wanted.len()).any(|there| {
        let mut pairs = there.iter().zip(others);
        pairs.all(|(word, other)| is_same(word, other)) && there.last().is_some_and(|word| begins(word, last))
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

    fn found(rig: &Rig, among: Among, sought: &Sought<'_>, how: How) -> Option<Vec<Candidate>> {
        let read = |read: &Read<'_>| match how {
            How::Texts => list_fitting(read, among, sought),
            How::Index => {
                let mut found = Vec::new();
                walk(read, among, sought, &mut |candidate| {
                    found.push(candidate);
                    ControlFlow::Continue(())
                })?;
                Ok(Some(found))
            }
        };
        rig.read(read).unwrap()
    }

    #[derive(Clone, Copy)]
    enum How {
        Texts,
        Index,
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
                    if let Some(texts) = found(&rig, among, &sought, How::Texts) {
                        let index = found(&rig, among, &sought, How::Index);
                        assert_eq!(Some(&texts), index.as_ref(), "{among:?} {phrases:?} {within:?}");
                        asked += 1;
                        most = most.max(texts.len());
                    }
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
            found(&rig, among, &sought, How::Texts).is_some()
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
