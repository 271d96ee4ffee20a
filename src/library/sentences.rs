//! Where sentences, paragraphs and headings begin: text to spans that a chunk may be made of. The spans are the text,
//! to the byte.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

/// What is abbreviated ends no sentence. (The rules of Unicode end one at each dot before a capital.)
const ABBREVIATIONS: &[&str] = &[
    "mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "e.g.", "i.e.", "no.", "vol.", "jr.", "sr.", "fig.", "cf.",
    "hr.", "fr.", "z.b.", "bzw.", "nr.", "sra.", "m.", "mme.",
];

/// Longer lines are no headings: every chunk below carries its headings along.
const HEADING_CHARS_MAX: usize = 120;

/// A piece of text that is not to be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Where it stands, with the white space behind it.
    pub(super) at: Range<usize>,
    pub(super) begins: Begins,
}

/// What begins with a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    Sentence,
    Paragraph,
    /// A section: the heading's depth from 1, and its words.
    Section(usize, String),
}

/// Lines that belong together.
enum Block {
    /// Prose, in which a line's end is a space.
    Prose(Range<usize>),
    /// A line by itself: of code, of a list, of a table.
    Line(Range<usize>),
    Heading(Range<usize>, usize, String),
}

/// The spans of a text.
pub(super) fn spans(text: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut is_paragraph = true;
    for block in blocks(text) {
        match block {
            Block::Heading(at, depth, words) => {
                is_paragraph = ends_paragraph(&text[at.clone()]);
                let begins = Begins::Section(depth, words);
                spans.push(Span { at, begins });
            }
            Block::Line(at) => {
                let begins = begins(is_paragraph);
                is_paragraph = ends_paragraph(&text[at.clone()]);
                spans.push(Span { at, begins });
            }
            Block::Prose(at) => {
                for sentence in sentences(&text[at.clone()]) {
                    spans.push(Span {
                        at: at.start + sentence.start..at.start + sentence.end,
                        begins: begins(is_paragraph),
                    });
                    is_paragraph = false;
                }
                is_paragraph = ends_paragraph(&text[at]);
            }
        }
    }
    spans
}

fn begins(is_paragraph: bool) -> Begins {
    if is_paragraph {
        Begins::Paragraph
    } else {
        Begins::Sentence
    }
}

/// Whether an empty line ends this.
fn ends_paragraph(text: &str) -> bool {
    let tail = &text[text.trim_end().len()..];
    tail.bytes().filter(|byte| *byte == b'\n').count() > 1
}

/// Cuts a text into blocks. Empty lines belong to the block before them.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_code = false;
    let mut is_open = false;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let at = start..start + line.len();
        start = at.end;
        let trimmed = line.trim();
        let is_fence = trimmed.starts_with("```") || trimmed.starts_with("~~~");
        if trimmed.is_empty() {
            is_open = false;
            match blocks.last_mut() {
                Some(Block::Prose(last) | Block::Line(last) | Block::Heading(last, ..)) => last.end = at.end,
                None => blocks.push(Block::Line(at)),
            }
        } else if is_code || is_fence {
            is_code ^= is_fence;
            is_open = false;
            blocks.push(Block::Line(at));
        } else if let Some((depth, words)) = heading(trimmed) {
            is_open = false;
            blocks.push(Block::Heading(at, depth, words));
        } else if is_item(trimmed) {
            is_open = false;
            blocks.push(Block::Line(at));
        } else {
            match blocks.last_mut() {
                Some(Block::Prose(last)) if is_open => last.end = at.end,
                _ => blocks.push(Block::Prose(at)),
            }
            is_open = true;
        }
    }
    blocks
}

/// The depth and words of a Markdown heading.
fn heading(line: &str) -> Option<(usize, String)> {
    let words = line.trim_start_matches('#');
    let depth = line.len() - words.len();
    let words = words.strip_prefix([' ', '\t'])?.trim().trim_end_matches('#').trim_end();
    let is_long = words.chars().nth(HEADING_CHARS_MAX).is_some();
    ((1..=6).contains(&depth) && !words.is_empty() && !is_long).then(|| (depth, words.to_owned()))
}

/// Whether a line begins an item of a list or a row of a table.
fn is_item(line: &str) -> bool {
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_numbered = digits.len() < line.len() && (digits.starts_with(". ") || digits.starts_with(") "));
    is_numbered || line.starts_with('|') || ["- ", "* ", "+ "].iter().any(|mark| line.starts_with(mark))
}

/// The sentences of a paragraph, white space behind them included.
fn sentences(paragraph: &str) -> Vec<Range<usize>> {
    // A line's end would end a sentence; a space of the same length does not.
    let flat = paragraph.replace(['\n', '\r'], " ");
    let mut sentences: Vec<Range<usize>> = Vec::new();
    for (start, sentence) in flat.split_sentence_bound_indices() {
        let end = start + sentence.len();
        match sentences.last_mut() {
            Some(last) if is_unfinished(&flat[last.clone()]) => last.end = end,
            _ => sentences.push(start..end),
        }
    }
    sentences
}

/// Whether what looks like a sentence ends with an abbreviation or an initial ("J. ").
fn is_unfinished(sentence: &str) -> bool {
    let Some(word) = sentence.split_whitespace().next_back() else {
        return true;
    };
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    let mut characters = word.chars();
    let is_initial =
        characters.next().is_some_and(char::is_uppercase) && characters.next() == Some('.') && word.len() < 4;
    is_initial && word != "I." || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<&str> = spans(text).iter().map(|span| &text[span.at.clone()]).collect();
        assert_eq!(found.concat(), text);
        let trimmed: Vec<&str> = found.iter().map(|span| span.trim()).collect();
        assert_eq!(trimmed, expected, "{text}");
    }

    #[test]
    fn sentences_of_prose() {
        check("One. Two!  Three? four", &["One.", "Two!", "Three?", "four"]);
        check(
            "Mr. Darcy met Dr. J. R. Smith. He left.",
            &["Mr. Darcy met Dr. J. R. Smith.", "He left."],
        );
        check("He and I. They went.", &["He and I.", "They went."]);
        check("wrapped\nover lines.\r\nNext", &["wrapped\nover lines.", "Next"]);
        check(
            "吾輩は猫である。名前はまだ無い。",
            &["吾輩は猫である。", "名前はまだ無い。"],
        );
        check("यह एक है। दूसरा।", &["यह एक है।", "दूसरा।"]);
        check("", &[]);
        check(" \n\nx", &["", "x"]);
    }

    #[test]
    fn lines_of_markdown() {
        let text =
            "Intro\n# One #\ntext\n\n- a. B\n- c\n\n```\n# no heading. None\n\nx\n```\n## Two\n| r |\n1. n\n#tag\n";
        check(
            text,
            &[
                "Intro",
                "# One #",
                "text",
                "- a. B",
                "- c",
                "```",
                "# no heading. None",
                "x",
                "```",
                "## Two",
                "| r |",
                "1. n",
                "#tag",
            ],
        );
        let sections: Vec<Begins> = spans(text)
            .into_iter()
            .map(|span| span.begins)
            .filter(|begins| matches!(begins, Begins::Section(..)))
            .collect();
        assert_eq!(
            sections,
            [Begins::Section(1, "One".into()), Begins::Section(2, "Two".into())]
        );
        assert_eq!(heading(&format!("# {}", "x".repeat(HEADING_CHARS_MAX + 1))), None);
    }

    #[test]
    fn paragraphs_begin_after_empty_lines() {
        let begins: Vec<Begins> = spans("One. Two.\n\nThree.\n- d\n\n- e")
            .into_iter()
            .map(|span| span.begins)
            .collect();
        use Begins::{Paragraph, Sentence};
        assert_eq!(begins, [Paragraph, Sentence, Paragraph, Sentence, Paragraph]);
    }
}
