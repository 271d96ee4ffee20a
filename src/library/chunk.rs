//! A document's text to chunks: whole sentences, about a thousand characters, cut where a paragraph or a section begins
//! if that is near. One after the other the chunks are the text: none overlap, so it is stored once.

use std::ops::Range;

use super::sentences::{Begins, Span, spans};
use crate::words::is_unspaced;

/// A section of its own from this size on: shorter ones stay with what follows, or quotations would say too little.
const SECTION_CHARS_MIN: usize = 400;

/// A new paragraph begins a new chunk from this size on.
const CHUNK_CHARS_MIN: usize = 800;

/// No sentence is added beyond this. Larger chunks are about too many things to be found by one of them.
const CHUNK_CHARS_MAX: usize = 1200;

/// A last chunk shorter than this goes with the one before it.
const TAIL_CHARS_MIN: usize = 200;

/// A piece of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'t> {
    /// The headings it stands under, from the outermost: `Guide › Install`.
    pub(super) heading: Option<String>,
    pub(super) text: &'t str,
}

/// A chunk while it grows.
struct Growing {
    at: Range<usize>,
    chars: usize,
    heading: Option<String>,
}

/// Cuts a text into chunks.
pub(super) fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut done: Vec<Growing> = Vec::new();
    let mut headings: Vec<(usize, String)> = Vec::new();
    for span in spans(text).iter().flat_map(|span| pieces(text, span)) {
        let chars = weight(&text[span.at.clone()]);
        if let Begins::Section(depth, words) = &span.begins {
            headings.retain(|(above, _)| above < depth);
            headings.push((*depth, words.clone()));
        }
        match done.last_mut() {
            Some(last) if has_room(last.chars, chars, &span.begins) => {
                last.at.end = span.at.end;
                last.chars += chars;
            }
            _ => done.push(Growing {
                at: span.at,
                chars,
                heading: path(&headings),
            }),
        }
    }
    if let [.., before, tail] = &mut done[..]
        && tail.chars < TAIL_CHARS_MIN
        && tail.heading == before.heading
    {
        before.at.end = tail.at.end;
        done.pop();
    }
    let chunk = |grown: Growing| Chunk {
        heading: grown.heading,
        text: &text[grown.at],
    };
    done.into_iter().map(chunk).collect()
}

fn has_room(held: usize, more: usize, begins: &Begins) -> bool {
    held + more <= CHUNK_CHARS_MAX
        && match begins {
            Begins::Sentence => true,
            Begins::Paragraph => held < CHUNK_CHARS_MIN,
            Begins::Section(..) => held < SECTION_CHARS_MIN,
        }
}

fn path(headings: &[(usize, String)]) -> Option<String> {
    let words: Vec<&str> = headings.iter().map(|(_, words)| words.as_str()).collect();
    (!words.is_empty()).then(|| words.join(" › "))
}

/// Characters, where one of a script without spaces says as much as two.
fn weight(text: &str) -> usize {
    text.chars().map(|c| if is_unspaced(c) { 2 } else { 1 }).sum()
}

/// A span that fits into a chunk, or the pieces of one that does not: cut behind white space if there is any.
fn pieces(text: &str, span: &Span) -> Vec<Span> {
    let mut pieces = Vec::new();
    let mut start = span.at.start;
    let (mut chars, mut behind_space) = (0, None);
    for (offset, c) in text[span.at.clone()].char_indices() {
        let here = span.at.start + offset;
        let more = if is_unspaced(c) { 2 } else { 1 };
        if chars + more > CHUNK_CHARS_MAX {
            let end = behind_space.take().unwrap_or(here);
            pieces.push(start..end);
            chars = weight(&text[end..here]);
            start = end;
        }
        chars += more;
        if c.is_whitespace() {
            behind_space = Some(here + c.len_utf8());
        }
    }
    pieces.push(start..span.at.end);
    let piece = |(index, at): (usize, Range<usize>)| Span {
        at,
        begins: if index == 0 {
            span.begins.clone()
        } else {
            Begins::Sentence
        },
    };
    pieces.into_iter().enumerate().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str) -> Vec<Chunk<'_>> {
        let found = chunks(text);
        let whole: String = found.iter().map(|chunk| chunk.text).collect();
        assert_eq!(whole, text);
        for chunk in &found {
            let most = CHUNK_CHARS_MAX + TAIL_CHARS_MIN;
            assert!(weight(chunk.text) <= most && !chunk.text.is_empty(), "{chunk:?}");
        }
        found
    }

    #[test]
    fn short_text_is_one_chunk() {
        assert_eq!(check("Call me Ishmael.").len(), 1);
        assert!(check("").is_empty());
        assert_eq!(check("\n\n").len(), 1);
    }

    #[test]
    fn sentences_stay_whole() {
        let text = "This sentence says little, and it says it in sixty characters. ".repeat(100);
        let found = check(&text);
        assert!(found.len() > 4);
        assert!(found.iter().all(|chunk| chunk.text.trim_end().ends_with('.')));
        assert!(found.iter().all(|chunk| chunk.text.starts_with("This")));
    }

    #[test]
    fn a_paragraph_begins_a_chunk_when_there_is_enough() {
        let paragraph = "Nothing much happens in here, for ninety characters. ".repeat(17);
        let text = format!("{paragraph}\n\n{paragraph}\n\nAn end that can stand alone. {paragraph}");
        let found = check(&text);
        assert_eq!(found.len(), 3);
        assert!(found[2].text.starts_with("An end"));
    }

    #[test]
    fn headings_are_carried_along() {
        let prose = "It is a sentence of some forty characters. ".repeat(30);
        let text =
            format!("# Guide\n\n{prose}\n\n## Install\n\n{prose}\n\n### Linux\n{prose}\n## Use\n\nLast words.\n");
        let found = check(&text);
        let headings: Vec<&str> = found.iter().filter_map(|chunk| chunk.heading.as_deref()).collect();
        assert_eq!(headings.len(), found.len());
        for heading in ["Guide", "Guide › Install", "Guide › Install › Linux"] {
            assert!(headings.contains(&heading), "{headings:?}");
        }
        // A section too short for a chunk of its own is found by its text.
        assert!(found.last().unwrap().text.contains("Last words"));
    }

    #[test]
    fn what_has_no_sentences_is_cut_anyway() {
        assert_eq!(check(&"x".repeat(5_000)).len(), 5);
        let words = check(&"word ".repeat(1_000)).len();
        assert_eq!(words, 5);
        let japanese = "吾輩は猫である。名前はまだ無い。".repeat(200);
        let found = check(&japanese);
        assert!(found.len() >= 5 && found.iter().all(|chunk| chunk.text.ends_with('。')));
        check(&"é ".repeat(4_001));
        check(&"\n".repeat(9_999));
    }
}
