//! Messages as HTML: Markdown in, and nothing out that loads, runs or leads astray. Whatever a message says, its HTML
//! comes in bounded time and size, and holds only what `clean` lists.
//!
//! A message is rendered once, on a thread of its own, when somebody first asks for it after it has come to its end, and
//! kept. Not when it is stored: most clients make their own of its text, and never ask.
//!
//! Stands beside the library, on the store; knows no HTTP and no turns. The only room that names pulldown-cmark and
//! ammonia.

mod blocks;
mod clean;
mod escape;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod highlight;
mod languages;
mod links;
mod markdown;
mod nesting;
mod notes;
mod painter;
#[cfg(test)]
mod tests;
mod thread;
mod writer;

pub use blocks::{Block, Growing};
pub use markdown::render;
pub use painter::Painter;
pub use thread::Renderer;

use crate::store::{Message, Role};

/// Of what is made here: raised with every change to it, so that what older versions made is made again.
const VERSION: i64 = 1;

/// A text to be rendered.
#[derive(Clone, Copy, Debug)]
pub struct Source<'t> {
    /// The text, as its author wrote it.
    pub text: &'t str,
    /// The message it is of: footnotes are named after it.
    pub message_id: i64,
    /// What the ends of lines mean.
    pub breaks: Breaks,
}

/// What the end of a line within a paragraph means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaks {
    /// Nothing, as Markdown has it.
    Folded,
    /// A new line: what people mean who type into a box.
    Kept,
}

impl<'m> From<&'m Message> for Source<'m> {
    fn from(message: &'m Message) -> Source<'m> {
        Source {
            text: &message.content,
            message_id: message.id,
            breaks: match message.role {
                Role::User => Breaks::Kept,
                Role::Assistant => Breaks::Folded,
            },
        }
    }
}
