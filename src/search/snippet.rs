//! What is shown of a text that was found: a line of it around the words, in pieces that say whether they are matches. A
//! reader makes text nodes of them: there are no marks that a text could forge.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

use crate::store::{Among, Phrase};
use crate::words::{fold, places};

/// Characters of a snippet, without the dots at its ends: two or three lines of a list.
const SNIPPET_CHARS: usize = 200;

/// Characters that lead up to the first match.
const LEAD_CHARS: usize = 40;

/// Bytes of a text that are searched for the words; all of most. A page of results then costs some milliseconds.
const SEARCHED_BYTES: usize = 16 * 1024;

/// Matches in a text among which the best place is chosen.
const MATCHES_MAX: usize = 100;

/// A part of a snippet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Piece {
    /// Plain text.
    pub text: String,
    /// Whether it is what was looked for.
    pub is_match: bool,
}

/// When a word counts as the one that was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// But for case and accents they are the same.
    Same,
    /// One is a form of the other: the documents' index goes by stems.
    Forms,
}

impl Likeness {
    /// As the index of this kind has it.
    pub(super) fn of(among: Among) -> Likeness {
        match among {
            Among::Documents => Likeness::Forms,
            Among::Messages | Among::Titles => Likeness::Same,
        }
    }
}

/// The part of a text around what was looked for, or its beginning if that is not seen there.
pub(super) fn snippet(text: &str, phrases: &[Phrase], likeness: Likeness) -> Vec<Piece> {
    let from = search_from(text, phrases);
    let matches = find_matches(text, from, phrases, likeness);
    let window = window(text, &matches);
    let mut pieces = Vec::new();
    if window.start > 0 {
        push(&mut pieces, "…", false);
    }
    let mut at = window.start;
    for found in matches.iter().map(|found| &found.place) {
        if found.start < at || found.end > window.end {
            continue;
        }
        push(&mut pieces, &text[at..found.start], false);
        push(&mut pieces, &text[found.clone()], true);
        at = found.end;
    }
    push(&mut pieces, &text[at..window.end], false);
    if window.end < text.len() {
        push(&mut pieces, "…", false);
    }
    pieces
}

/// Adds a text, with its white space made single spaces.
fn push(pieces: &mut Vec<Piece>, text: &str, is_match: bool) {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        match char.is_whitespace() || char.is_control() {
            false => line.push(char),
            true if line.ends_with(' ') => {}
            true => line.push(' '),
        }
    }
    if line.is_empty() {
        return;
    }
    match pieces.last_mut() {
        Some(last) if last.is_match == is_match && !is_match => last.text.push_str(&line),
        _ => pieces.push(Piece { text: line, is_match }),
    }
}

/// Where to begin searching a long text: a little before the first place where the longest word might stand.
fn search_from(text: &str, phrases: &[Phrase]) -> usize {
    if text.len() <= SEARCHED_BYTES {
        return 0;
    }
    let words = phrases.iter().flat_map(|phrase| &phrase.words);
    let Some(word) = words.max_by_key(|word| word.len()) else {
        return 0;
    };
    let mut windows = text.as_bytes().windows(word.len());
    let found = windows.position(|window| window.eq_ignore_ascii_case(word.as_bytes()));
    let mut from = found.unwrap_or(0).saturating_sub(SEARCHED_BYTES / 2);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    from
}

/// A place where a phrase stands.
struct Match {
    place: Range<usize>,
    phrase: usize,
}

fn find_matches(text: &str, from: usize, phrases: &[Phrase], likeness: Likeness) -> Vec<Match> {
    let wanted: Vec<Vec<String>> = phrases
        .iter()
        .map(|phrase| phrase.words.iter().map(|word| fold(word)).collect())
        .collect();
    let words: Vec<(Range<usize>, String)> = places(&text[from..])
        .take_while(|place| place.end <= SEARCHED_BYTES)
        .map(|place| from + place.start..from + place.end)
        .map(|place| (place.clone(), fold(&text[place])))
        .collect();
    let mut matches = Vec::new();
    for start in 0..words.len() {
        for (index, phrase) in wanted.iter().enumerate() {
            let Some(there) = words.get(start..start + phrase.len()) else {
                continue;
            };
            let last = phrase.len() - 1;
            let is_there = there
                .iter()
                .zip(phrase)
                .enumerate()
                .all(|(position, ((_, word), wanted))| {
                    let may_go_on = position == last && phrases[index].is_prefix;
                    fits(word, wanted, may_go_on, likeness)
                });
            if is_there {
                let place = there[0].0.start..there[last].0.end;
                matches.push(Match { place, phrase: index });
            }
        }
        if matches.len() >= MATCHES_MAX {
            break;
        }
    }
    matches
}

/// Whether a word is what was looked for, or begins so where it may go on. Both are folded.
pub(super) fn fits(word: &str, wanted: &str, may_go_on: bool, likeness: Likeness) -> bool {
    may_go_on && word.starts_with(wanted) || is_like(word, wanted, likeness)
}

fn is_like(word: &str, wanted: &str, likeness: Likeness) -> bool {
    match likeness {
        Likeness::Same => word == wanted,
        Likeness::Forms => {
            let shared = word.bytes().zip(wanted.bytes()).take_while(|(one, other)| one == other);
            word == wanted || shared.count() >= 4.max(word.len().min(wanted.len()).saturating_sub(2))
        }
    }
}

/// The part of a text that shows the most different phrases, and of those that do, the first.
fn window(text: &str, matches: &[Match]) -> Range<usize> {
    let shown = |first: &Match| {
        let end = first.place.start + SNIPPET_CHARS - LEAD_CHARS;
        let mut phrases: Vec<usize> = matches
            .iter()
            .filter(|other| other.place.start >= first.place.start && other.place.end <= end)
            .map(|other| other.phrase)
            .collect();
        phrases.sort_unstable();
        phrases.dedup();
        phrases.len()
    };
    let best = matches.iter().rev().max_by_key(|first| shown(first));
    let first = best.map_or(0, |best| best.place.start);
    let before = text[..first].char_indices().rev().take(LEAD_CHARS).last();
    let mut start = before.map_or(first, |(at, _)| at);
    // At a word's beginning, where there is one between here and the match.
    if start > 0
        && let Some(space) = text[start..first].find(char::is_whitespace)
    {
        start += space + 1;
        while !text.is_char_boundary(start) {
            start += 1;
        }
    }
    let end = text[start..].char_indices().nth(SNIPPET_CHARS);
    let end = end.map_or(text.len(), |(at, _)| start + at);
    start..end.max(best.map_or(0, |best| best.place.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A snippet as text, its matches in brackets.
    fn shown(text: &str, query: &str, likeness: Likeness) -> String {
        let pieces = snippet(text, &crate::search::Query::parse(query).unwrap().phrases, likeness);
        let show = |piece: &Piece| match piece.is_match {
            true => format!("[{}]", piece.text),
            false => piece.text.clone(),
        };
        pieces.iter().map(show).collect()
    }

    #[test]
    fn matches_are_told_apart() {
        for (text, query, expected) in [
            ("The white Whale.", "whale", "The white [Whale]."),
            ("A  white\n\nwhale", "\"white whale\"", "A [white whale]"),
            ("Résumé, resume", "resume", "[Résumé], [resume]"),
            ("whales and whaling", "whal", "[whales] and [whaling]"),
            ("whales and whaling", "whal and", "whales [and] whaling"),
            ("吾輩は猫である", "猫である", "吾輩は[猫である]"),
            ("<b>bold</b>", "bold", "<b>[bold]</b>"),
            ("nothing of it", "whale", "nothing of it"),
            ("", "whale", ""),
        ] {
            assert_eq!(shown(text, query, Likeness::Same), expected, "{query} in {text}");
        }
        assert_eq!(
            shown("All whaling ships", "whales ship", Likeness::Forms),
            "All [whaling] [ships]"
        );
        assert_eq!(
            shown("An interesting internal", "interest", Likeness::Forms),
            "An [interesting] internal"
        );
    }

    #[test]
    fn of_a_long_text_the_best_part_is_shown() {
        let filler = "word ".repeat(100);
        let text = format!("{filler}whale {filler}white whale {filler}");
        let shown = shown(&text, "white whale", Likeness::Same);
        assert!(shown.contains("word [white] [whale] word"), "{shown}");
        assert!(shown.starts_with("…word") && shown.ends_with('…'), "{shown}");
        assert!(shown.chars().count() < SNIPPET_CHARS + 10);
    }

    #[test]
    fn a_match_far_into_a_text_is_shown() {
        let text = format!("{}Whale{}", "é ".repeat(100_000), " é".repeat(100_000));
        assert!(shown(&text, "whale", Likeness::Same).contains("é [Whale] é"));
        let text = "猫".repeat(100_000);
        assert!(shown(&text, "猫猫", Likeness::Same).contains('['));
    }
}
