//! Reading along with `?html=1`: the same events, `block`s beside them, and the whole HTML in the last message. Blocks
//! are made from the beginning of a reply, so whoever comes back to one is shown all of them again, and only the rest of
//! its text.

use std::sync::Arc;

use serde::Serialize;

use super::html::Html;
use super::stream::{Line, Reader};
use crate::floor::floor;
use crate::http::{Reply, Streams};
use crate::render::{Block, Painter};
use crate::turn::{Ended, Heard, Listen, Position};

/// One who reads to this line behind `from` in the reply with this id, or whichever begins.
pub(super) fn reader<A>(line: &Arc<Line<A>>, html: Html, message_id: i64, from: Position) -> Box<dyn Listen>
where
    A: Into<Reply> + Streams + 'static,
{
    let reader = line.reader(message_id);
    match html {
        Html::With if line.shows_events() => Box::new(BlockReader {
            line: Arc::clone(line),
            reader,
            message_id,
            from,
            painter: None,
        }),
        Html::With | Html::Without => Box::new(reader),
    }
}

struct BlockReader<A> {
    line: Arc<Line<A>>,
    reader: Reader<A>,
    message_id: i64,
    /// What the client has already.
    from: Position,
    /// Since the first word.
    painter: Option<Painter>,
}

impl<A: Into<Reply> + Streams + 'static> Listen for BlockReader<A> {
    fn hear(&mut self, heard: &Heard<'_>, at: Position) -> bool {
        match heard {
            Heard::Start(start) => {
                self.message_id = start.response_message_id;
                self.reader.hear(heard, at)
            }
            Heard::Text(piece) => {
                let rest = behind(piece, at.text, self.from.text);
                let stays = rest.is_empty() || self.reader.hear(&Heard::Text(rest), at);
                if stays {
                    self.paint(piece);
                }
                stays
            }
            Heard::Reasoning(piece) => {
                let rest = behind(piece, at.reasoning, self.from.reasoning);
                rest.is_empty() || self.reader.hear(&Heard::Reasoning(rest), at)
            }
            Heard::Tool(_) => at.tools <= self.from.tools || self.reader.hear(heard, at),
            Heard::Done(ended) => {
                self.end(ended, at);
                false
            }
            Heard::Failed(fault) => {
                // Its words are needed where it is written, which is there: the blocks come as far as they have come.
                self.painter = None;
                self.reader.hear(&Heard::Failed(fault), at)
            }
        }
    }
}

impl<A: Into<Reply> + Streams + 'static> BlockReader<A> {
    fn paint(&mut self, piece: &str) {
        let (line, message_id) = (&self.line, self.message_id);
        let painter = self.painter.get_or_insert_with(|| {
            let renderer = line.renderer();
            let line = Arc::clone(line);
            Painter::new(renderer, message_id, move |blocks| line.say(events(&blocks).as_bytes()))
        });
        painter.push(piece);
    }

    /// The last blocks, and then the last event, with the whole HTML.
    fn end(&mut self, ended: &Ended, at: Position) {
        let mut ended = Ended {
            message: ended.message.clone(),
            chat_id: ended.chat_id.clone(),
            usage: ended.usage.clone(),
        };
        let (line, message_id) = (Arc::clone(&self.line), self.message_id);
        let renderer = Arc::clone(line.renderer());
        let last = move || {
            let messages = vec![ended.message.clone()];
            renderer.fill(messages, move |mut messages| {
                if let Some(message) = messages.pop() {
                    ended.message = message;
                }
                line.reader(message_id).hear(&Heard::Done(&ended), at);
            });
        };
        match self.painter.take() {
            Some(painter) => painter.finish(last),
            None => last(),
        }
    }
}

/// What of a piece that ends at `end` lies behind `from`; half a character is told again as a whole one.
fn behind(piece: &str, end: usize, from: usize) -> &str {
    let start = end.saturating_sub(piece.len());
    &piece[floor(piece, from.saturating_sub(start))..]
}

#[derive(Serialize)]
struct BlockData<'b> {
    index: usize,
    html: &'b str,
}

/// They have no ids: whoever comes back needs them all, and the id of the last piece of text is worth more.
fn events(blocks: &[Block]) -> String {
    let event = |block: &Block| {
        let data = BlockData {
            index: block.index,
            html: &block.html,
        };
        // A number and a string: nothing in it could fail.
        let data = serde_json::to_string(&data).unwrap_or_default();
        format!("event: block\ndata: {data}\n\n")
    };
    blocks.iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_not_told_again() {
        for (piece, end, from, rest) in [
            ("abc", 3, 0, "abc"),
            ("abc", 3, 2, "c"),
            ("abc", 3, 9, ""),
            ("abc", 10, 7, "abc"),
            ("abc", 10, 8, "bc"),
            ("☃☃", 6, 4, "☃"),
            ("", 0, 5, ""),
        ] {
            assert_eq!(behind(piece, end, from), rest);
        }
    }

    #[test]
    fn a_block_is_one_line_of_json() {
        let block = Block {
            index: 3,
            html: "<p>a\n\"b\"</p>\n".to_owned(),
        };
        let event = "event: block\ndata: {\"index\":3,\"html\":\"<p>a\\n\\\"b\\\"</p>\\n\"}\n\n";
        assert_eq!(events(&[block]), event);
    }
}
