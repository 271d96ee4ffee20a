//! Text to words, for every index and every question that is asked of one: cut alike, both find each other. What forms of
//! a word count as the same is each index's business, but for upper case and accents.

use std::collections::VecDeque;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation as _;

/// Longer words are not words but data, which nobody asks for.
pub(crate) const WORD_CHARS_MAX: usize = 64;

/// The words of a text, one after the other.
pub(crate) fn words(text: &str) -> Vec<&str> {
    places(text).map(|place| &text[place]).collect()
}

/// Where the words of a text stand. Those of scripts without spaces overlap.
pub(crate) fn places(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut pieces = text.split_word_bound_indices().peekable();
    let mut found = VecDeque::new();
    std::iter::from_fn(move || {
        while found.is_empty() {
            let (start, piece) = pieces.next()?;
            if !begins_unspaced(piece) {
                push_parts(&mut found, start, piece);
                continue;
            }
            let mut end = start + piece.len();
            while let Some((at, piece)) = pieces.next_if(|(_, piece)| begins_unspaced(piece)) {
                end = at + piece.len();
            }
            push_pairs(&mut found, start, &text[start..end]);
        }
        found.pop_front()
    })
}

/// A word as it is compared: in lower case, without accents.
pub(crate) fn fold(word: &str) -> String {
    if word.is_ascii() {
        return word.to_ascii_lowercase();
    }
    let is_accent = |c: &char| is_combining_mark(*c) && matches!(*c, '\u{300}'..='\u{36f}');
    word.to_lowercase().nfd().filter(|c| !is_accent(c)).nfc().collect()
}

fn begins_unspaced(piece: &str) -> bool {
    piece.chars().next().is_some_and(is_unspaced)
}

/// Whether a character belongs to a script that sets no spaces between words (Thai, Lao, Burmese, Khmer, Chinese,
/// Japanese), or few (Korean).
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1100}'..='\u{11FF}' | '\u{1780}'..='\u{17FF}'
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30FF}' | '\u{3130}'..='\u{318F}' | '\u{31F0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{FF66}'..='\u{FF9F}' | '\u{20000}'..='\u{3FFFF}')
}

/// Text without spaces is indexed by every two neighbouring characters: no dictionary, and any word is found.
fn push_pairs(places: &mut VecDeque<Range<usize>>, start: usize, run: &str) {
    let ends: Vec<usize> = run
        .grapheme_indices(true)
        .map(|(at, one)| start + at + one.len())
        .collect();
    match &ends[..] {
        [] => {}
        [one] => places.push_back(start..*one),
        [_, others @ ..] => {
            let starts = std::iter::once(start).chain(ends.iter().copied());
            places.extend(starts.zip(others).map(|(start, end)| start..*end));
        }
    }
}

/// The parts of a word around apostrophes, dots and underscores: "whale's" is about a whale.
fn push_parts(places: &mut VecDeque<Range<usize>>, start: usize, piece: &str) {
    let mut at = start;
    for part in piece.split_inclusive(|c: char| c.is_ascii_punctuation() || c == '’') {
        let place = at;
        at += part.len();
        let part = part.trim_end_matches(|c: char| c.is_ascii_punctuation() || c == '’');
        let is_rest = part.len() < piece.len() && part.chars().nth(1).is_none();
        let is_word = part.chars().any(char::is_alphanumeric) && part.chars().nth(WORD_CHARS_MAX).is_none();
        if is_word && (!is_rest || part.chars().all(char::is_numeric)) {
            places.push_back(place..place + part.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_many_scripts() {
        for (text, expected) in [
            ("The whale's eye, don't.", &["The", "whale", "eye", "don"][..]),
            ("l’étranger — d'Albert", &["étranger", "Albert"]),
            (
                "at 3.14 in C, file_name.rs",
                &["at", "3", "14", "in", "C", "file", "name", "rs"],
            ),
            ("हिन्दी में", &["हिन्दी", "में"]),
            ("吾輩は猫。猫", &["吾輩", "輩は", "は猫", "猫"]),
            ("AI時代のtool", &["AI", "時代", "代の", "tool"]),
            ("\" OR * NEAR(", &["OR", "NEAR"]),
            (" \n…", &[]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
        assert!(words(&"x".repeat(65)).is_empty());
        assert_eq!(words("ไทย").len(), 2);
    }

    #[test]
    fn words_stand_where_they_are_said_to() {
        let text = "Ein Wal's 吾輩は x.";
        let found: Vec<&str> = places(text).map(|place| &text[place]).collect();
        assert_eq!(found, ["Ein", "Wal", "吾輩", "輩は", "x"]);
    }

    #[test]
    fn words_are_compared_without_case_and_accents() {
        for (word, folded) in [
            ("Whale", "whale"),
            ("Étranger", "etranger"),
            ("ÄÖß", "aoß"),
            ("हिन्दी", "हिन्दी"),
            ("ガ", "ガ"),
        ] {
            assert_eq!(fold(word), folded);
        }
    }
}
