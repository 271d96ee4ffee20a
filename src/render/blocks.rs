//! A text that grows, as top-level blocks of HTML: those that have ended are made once and never change, and the open
//! rest is made again with every look.
//!
//! Markdown is read line by line, and a block that a later one stands behind is never opened again. So all up to the
//! last block that begins on a whole line has ended; what follows is one open block, whatever it will have become. Put
//! together, the blocks are the HTML of the whole, except where the end of a text says what its beginning means: each
//! block is read for itself, so that footnotes, and links by a name that stands in another block, are words as long as
//! the text grows. Longer texts than are rendered at all ([`markdown`]) have no blocks beyond that length.

use std::borrow::Cow;

use super::markdown::{self, RENDERED_BYTES_MAX};
use super::{Breaks, Source, nesting};

/// A block as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its place among the blocks.
    pub index: usize,
    /// Empty for what turned out to say nothing; then the next block may take its place.
    pub html: String,
}

/// How far a growing text has been made.
#[derive(Debug)]
pub struct Growing {
    message_id: i64,
    /// Bytes of the text that have become blocks which do not change any more.
    settled: usize,
    /// How many those are.
    index: usize,
    /// The open block as it was made last.
    open: String,
}

impl Growing {
    /// Nothing yet, of this message.
    pub fn new(message_id: i64) -> Growing {
        Growing {
            message_id,
            settled: 0,
            index: 0,
            open: String::new(),
        }
    }

    /// The blocks that are not what they were at the last look: some that have ended since, and the open one. The text
    /// must begin with the one that was looked at last.
    pub fn look(&mut self, text: &str) -> Vec<Block> {
        let mut changed = Vec::new();
        if text.len() > RENDERED_BYTES_MAX {
            return changed;
        }
        let rest = text.get(self.settled..).unwrap_or("");
        let starts = starts(rest);
        let ends = starts.iter().skip(1);
        let mut from = 0;
        for end in ends {
            let html = self.render(&rest[from..*end]);
            from = *end;
            if html != self.open {
                changed.push(Block {
                    index: self.index,
                    html: html.clone(),
                });
            }
            if !html.is_empty() {
                self.index += 1;
            }
            self.open.clear();
        }
        self.settled += from;
        let html = self.render(&rest[from..]);
        if html != self.open {
            changed.push(Block {
                index: self.index,
                html: html.clone(),
            });
            self.open = html;
        }
        changed
    }

    fn render(&self, text: &str) -> String {
        markdown::render(&Source {
            text,
            message_id: self.message_id,
            breaks: Breaks::Folded,
        })
    }
}

/// Where the text's top-level blocks begin, as far as its whole lines say: always at the start of a line. None where the
/// text nests too deep, or holds a carriage return by itself, so that all of it stays open: the parser takes that for the
/// end of a line in one place and not in another.
fn starts(text: &str) -> Vec<usize> {
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let Cow::Borrowed(whole) = nesting::limit(whole) else {
        return Vec::new();
    };
    if whole
        .as_bytes()
        .windows(2)
        .any(|two| two[0] == b'\r' && two[1] != b'\n')
    {
        return Vec::new();
    }
    let at_line = |at: usize| whole[..at].rfind('\n').map_or(0, |end| end + 1);
    markdown::top_level(whole).map(at_line).collect()
}
