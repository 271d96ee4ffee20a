//! Reasoning that a model writes into its reply: a `<think>` block at its very beginning, told apart from what follows.
//!
//! Servers without a parser of their own (Ollama, llama.cpp, LM Studio) pass it on as it is. A block further down is
//! part of the answer: somebody may be writing about such tags.

use super::Delta;
use super::failure::Failure;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// White space that may stand before the block. With more it is an answer that begins with white space.
const LEAD_BYTES_MAX: usize = 64;

/// Where in its reply the model is.
#[derive(Default)]
pub(super) struct Think {
    place: Place,
    /// The beginning of what may be a tag.
    held: String,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    /// Behind the opening tag and before the first word.
    Opened,
    Thinking,
    /// Behind the closing tag and before the first word.
    Closed,
    Answer,
}

impl Think {
    /// Takes a piece of the reply and says what is certain by now. White space around the tags belongs to nothing.
    pub(super) fn take(
        &mut self,
        text: &str,
        say: &mut dyn FnMut(Delta<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.place == Place::Answer {
            return say(Delta::Text(text));
        }
        self.held.push_str(text);
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_str();
        loop {
            match self.place {
                Place::Start => {
                    let begun = rest.trim_start();
                    if let Some(inside) = begun.strip_prefix(OPEN) {
                        rest = inside;
                        self.place = Place::Opened;
                    } else if OPEN.starts_with(begun) && rest.len() - begun.len() <= LEAD_BYTES_MAX {
                        self.held = rest.to_owned();
                        return Ok(());
                    } else {
                        self.place = Place::Answer;
                    }
                }
                Place::Opened | Place::Closed => {
                    rest = rest.trim_start();
                    if rest.is_empty() {
                        return Ok(());
                    }
                    self.place = match self.place {
                        Place::Opened => Place::Thinking,
                        _ => Place::Answer,
                    };
                }
                Place::Thinking => {
                    if let Some((thought, behind)) = rest.split_once(CLOSE) {
                        say(Delta::Reasoning(thought))?;
                        rest = behind;
                        self.place = Place::Closed;
                    } else {
                        let (certain, open) = rest.split_at(rest.len() - begun_tag(rest));
                        self.held = open.to_owned();
                        return say(Delta::Reasoning(certain));
                    }
                }
                Place::Answer => return say(Delta::Text(rest)),
            }
        }
    }

    /// The end of the reply: what looked like the beginning of a tag was none.
    pub(super) fn end(&mut self, say: &mut dyn FnMut(Delta<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        let held = std::mem::take(&mut self.held);
        match self.place {
            Place::Thinking => say(Delta::Reasoning(&held)),
            _ => say(Delta::Text(&held)),
        }
    }
}

/// How many bytes at the end of the text may be the beginning of the closing tag.
fn begun_tag(text: &str) -> usize {
    (1..CLOSE.len())
        .rev()
        .find(|&length| text.ends_with(&CLOSE[..length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reasoning and the answer, however the reply is cut.
    #[track_caller]
    fn check(reply: &str, reasoning: &str, answer: &str) {
        for size in 1..=reply.len().max(1) {
            let (mut thought, mut said) = (String::new(), String::new());
            let mut say = |delta: Delta<'_>| {
                match delta {
                    Delta::Reasoning(piece) => thought.push_str(piece),
                    Delta::Text(piece) => said.push_str(piece),
                    Delta::Tool(call) => panic!("{call:?}"),
                }
                Ok(())
            };
            let mut think = Think::default();
            let chars: Vec<char> = reply.chars().collect();
            for piece in chars.chunks(size) {
                think.take(&piece.iter().collect::<String>(), &mut say).unwrap();
            }
            think.end(&mut say).unwrap();
            assert_eq!(
                (thought.as_str(), said.as_str()),
                (reasoning, answer),
                "in pieces of {size}"
            );
        }
    }

    #[test]
    fn a_leading_block_is_reasoning() {
        check("<think>Hm, naïve.</think>Yes.", "Hm, naïve.", "Yes.");
        check("\n<think>\nHm.\n</think>\n\nYes.\n", "Hm.\n", "Yes.\n");
        check("<think>\n\n</think>\n\nYes.", "", "Yes.");
        check("<think>a < b, </thin air</think>Yes.", "a < b, </thin air", "Yes.");
        check("<think>Hm.</think>", "Hm.", "");
    }

    #[test]
    fn an_unclosed_one_ends_with_the_reply() {
        check("<think>Hm. And", "Hm. And", "");
        check("<think>Hm. </thi", "Hm. </thi", "");
    }

    #[test]
    fn everything_else_is_the_answer() {
        check("Yes.", "", "Yes.");
        check("", "", "");
        check(" <thin", "", " <thin");
        check("<thinking> is <think>no</think>", "", "<thinking> is <think>no</think>");
        check("Write <think>x</think>.", "", "Write <think>x</think>.");
        check("<think>a</think>b <think>c</think>", "a", "b <think>c</think>");
        let spaces = " ".repeat(LEAD_BYTES_MAX + 1) + "<think>a</think>";
        check(&spaces[1..], "a", "");
        let (lead, _) = spaces.split_at(LEAD_BYTES_MAX + 1);
        let mut said = String::new();
        Think::default()
            .take(lead, &mut |delta| {
                assert!(matches!(delta, Delta::Text(_)));
                said.push('x');
                Ok(())
            })
            .unwrap();
        assert_eq!(said, "x");
    }
}
