//! What people type: the phrases that must stand in a text, and the filters between them.

use crate::store::Phrase;
use crate::words::words;

use super::filter::{self, BadFilter, Filters};

/// Words of a query that are looked up: each costs a query of its own, and whoever types more has pasted a text.
const WORDS_MAX: usize = 24;

/// Characters that a word must have before it finds those that only begin with it: with fewer it would find most there
/// are, at the price of reading them all. (Of scripts without spaces one character is a word.)
const PREFIX_CHARS_MIN: usize = 3;

/// What somebody looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pub(super) phrases: Vec<Phrase>,
    pub(super) filters: Filters,
}

impl Query {
    /// Reads what somebody has typed. Words in quotes must follow each other, and the last word may go on; `in:`, `model:`,
    /// `role:`, `before:` and `after:` with a value right behind them are filters. All else is words, whatever it is.
    ///
    /// # Errors
    /// The sentence that says what a filter may be.
    pub fn parse(text: &str) -> Result<Query, BadFilter> {
        let mut query = Query::default();
        let mut words_left = WORDS_MAX;
        // A filter whose value stands in the quotes that come.
        let mut key = None;
        for piece in pieces(text) {
            if let Some(key) = key.take() {
                query.filters.add(key, &piece)?;
                continue;
            }
            if !piece.is_quoted
                && let Some((name, value)) = piece.text.split_once(':')
                && let Some(known) = filter::Key::parse(name)
                && (!value.is_empty() || piece.is_before_quote)
            {
                match value {
                    "" => key = Some(known),
                    text => query.filters.add(known, &Piece { text, ..piece })?,
                }
                continue;
            }
            query.phrases.extend(phrase(&piece, &mut words_left));
        }
        // Only the last may go on.
        if let Some((_, others)) = query.phrases.split_last_mut() {
            others.iter_mut().for_each(|phrase| phrase.is_prefix = false);
        }
        Ok(query)
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.phrases.is_empty() && self.filters == Filters::default()
    }
}

/// A part of a query: what stands in quotes, or what stands between spaces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'t> {
    pub(super) text: &'t str,
    pub(super) is_quoted: bool,
    /// In quotes of which there is a second.
    is_closed: bool,
    /// Quotes follow at once.
    is_before_quote: bool,
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    // Of the parts between quotes every other one stands in quotes; the last may lack its second.
    let parts: Vec<&str> = text.split(['"', '“', '”', '„', '«', '»']).collect();
    let mut pieces = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let (is_quoted, is_last) = (index % 2 == 1, index + 1 == parts.len());
        if is_quoted {
            pieces.push(Piece {
                text: part,
                is_quoted,
                is_closed: !is_last,
                is_before_quote: false,
            });
            continue;
        }
        let is_joined = !is_last && !part.ends_with(char::is_whitespace);
        let mut texts = part.split_whitespace().peekable();
        while let Some(text) = texts.next() {
            pieces.push(Piece {
                text,
                is_quoted,
                is_closed: false,
                is_before_quote: is_joined && texts.peek().is_none(),
            });
        }
    }
    pieces
}

/// The words of a piece, which must follow each other: also of what is written together, such as `file_name.rs`. The last
/// may go on, unless its quotes are closed. `None`: it holds none, or there are enough.
pub(super) fn phrase(piece: &Piece<'_>, words_left: &mut usize) -> Option<Phrase> {
    let mut words: Vec<String> = words(piece.text).into_iter().map(str::to_owned).collect();
    words.truncate(*words_left);
    *words_left -= words.len();
    let last = words.last()?;
    let is_prefix = !piece.is_closed && (!last.is_ascii() || last.len() >= PREFIX_CHARS_MIN);
    Some(Phrase { words, is_prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Phrases as text: words with `+` between them, `*` behind a prefix.
    fn parsed(query: &str) -> String {
        let phrase = |phrase: &Phrase| phrase.words.join("+") + if phrase.is_prefix { "*" } else { "" };
        let query = Query::parse(query).unwrap();
        query.phrases.iter().map(phrase).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn queries_of_people() {
        for (query, expected) in [
            ("white whale", "white whale*"),
            ("\"white whale\" ahab", "white+whale ahab*"),
            ("ahab \"white whale\"", "ahab white+whale"),
            ("\"white wha", "white+wha*"),
            ("„weißer Wal“ im", "weißer+Wal im"),
            ("src/file_name.rs", "src+file+name+rs"),
            ("吾輩は", "吾輩+輩は*"),
            ("猫", "猫*"),
            ("a* OR NEAR(b) -c col:d ^e", "a OR NEAR+b c col e"),
            ("\"\" \" \" ' \\ \0 ( ) *", ""),
            ("http://example.org std::io 12:30", "http+example+org std+io 12+30"),
            ("note: as in: here", "note as in here*"),
            ("\"role:user\"", "role+user"),
            ("whale role:user", "whale*"),
            ("in:\"the sea\" whale", "whale*"),
            ("", ""),
        ] {
            assert_eq!(parsed(query), expected, "{query}");
        }
    }

    #[test]
    fn a_pasted_text_is_cut_off() {
        let phrases = |text: &str| Query::parse(text).unwrap().phrases;
        let words: usize = phrases(&"word ".repeat(1000))
            .iter()
            .map(|phrase| phrase.words.len())
            .sum();
        assert_eq!(words, WORDS_MAX);
        assert_eq!(phrases(&"a_".repeat(1000)).len(), 0);
        assert_eq!(
            phrases(&format!("\"{}\"", "word ".repeat(1000)))[0].words.len(),
            WORDS_MAX
        );
    }
}
