//! What people type, as the phrases that must stand in a text.

use crate::store::Phrase;
use crate::words::words;

/// Words of a query that are looked up: each costs a query of its own, and whoever types more has pasted a text.
const WORDS_MAX: usize = 24;

/// Characters that a word must have before it finds those that only begin with it: with fewer it would find most there
/// are, at the price of reading them all. (Of scripts without spaces one character is a word.)
const PREFIX_CHARS_MIN: usize = 3;

/// Cuts a query into phrases: what stands in quotes, and every word outside of them. What is written together, such as
/// `file_name.rs`, stands together. The last word may go on, unless its quote is closed.
pub(super) fn parse(query: &str) -> Vec<Phrase> {
    let mut phrases: Vec<Phrase> = Vec::new();
    let mut count = 0;
    let mut is_closed = false;
    // Of the parts between quotes every other one stands in quotes; the last may lack its second.
    let quotes = ['"', '“', '”', '„', '«', '»'];
    let parts: Vec<&str> = query.split(quotes).collect();
    for (index, part) in parts.iter().enumerate() {
        let is_quoted = index % 2 == 1;
        let texts: Vec<&str> = if is_quoted {
            vec![*part]
        } else {
            part.split_whitespace().collect()
        };
        for text in texts {
            let mut words: Vec<String> = words(text).into_iter().map(str::to_owned).collect();
            words.truncate(WORDS_MAX - count);
            if words.is_empty() {
                continue;
            }
            count += words.len();
            is_closed = is_quoted && index + 1 < parts.len();
            let is_prefix = false;
            phrases.push(Phrase { words, is_prefix });
        }
    }
    if let Some(last) = phrases.last_mut()
        && let Some(word) = last.words.last()
    {
        last.is_prefix = !is_closed && (!word.is_ascii() || word.len() >= PREFIX_CHARS_MIN);
    }
    phrases
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Phrases as text: words with `+` between them, `*` behind a prefix.
    fn parsed(query: &str) -> String {
        let phrase = |phrase: &Phrase| phrase.words.join("+") + if phrase.is_prefix { "*" } else { "" };
        parse(query).iter().map(phrase).collect::<Vec<_>>().join(" ")
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
            ("", ""),
        ] {
            assert_eq!(parsed(query), expected, "{query}");
        }
    }

    #[test]
    fn a_pasted_text_is_cut_off() {
        let words: usize = parse(&"word ".repeat(1000))
            .iter()
            .map(|phrase| phrase.words.len())
            .sum();
        assert_eq!(words, WORDS_MAX);
        assert_eq!(parse(&"a_".repeat(1000)).len(), 0);
        assert_eq!(
            parse(&format!("\"{}\"", "word ".repeat(1000)))[0].words.len(),
            WORDS_MAX
        );
    }
}
