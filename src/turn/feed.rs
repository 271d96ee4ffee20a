//! A reply while it is written, for those who read along: what has come of it, and who listens. Anyone may begin to
//! listen at any point; under one lock nobody misses a byte or hears one twice. Knows neither sockets nor how an event is
//! written. A listener is told on the thread that writes the reply, so it must never wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Fault;
use crate::floor::floor;
use crate::models::{Delta, ToolCall};
use crate::store::{Message, UsageDetail};

/// What is known of a reply before its first word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The conversation's integer id.
    pub conversation_id: i64,
    /// Its UUID.
    pub conversation_uuid: String,
    /// The stored question.
    pub request_message_id: i64,
    /// The reply, stored as one that is being written.
    pub response_message_id: i64,
    /// The model that is asked; `None`: whichever its provider has.
    pub model: Option<String>,
}

/// How much of a reply somebody has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Bytes of its text.
    pub text: usize,
    /// Bytes of what the model thought.
    pub reasoning: usize,
    /// Calls of tools.
    pub tools: usize,
}

/// What has come of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its text.
    pub text: String,
    /// What the model thought.
    pub reasoning: String,
    /// The tools it called.
    pub tools: Vec<ToolCall>,
}

/// A reply that has come to its end, as it is stored.
#[derive(Debug)]
pub struct Ended {
    /// The reply: whole, or as far as it came before it was stopped.
    pub message: Message,
    /// The conversation's UUID.
    pub chat_id: String,
    /// What it cost, call by call.
    pub usage: Vec<UsageDetail>,
}

/// What a listener is told.
#[derive(Debug)]
pub enum Heard<'f> {
    /// The question is stored, and the model is asked.
    Start(&'f Start),
    /// More of the text.
    Text(&'f str),
    /// More of what the model thinks.
    Reasoning(&'f str),
    /// A tool was called.
    Tool(&'f ToolCall),
    /// The reply has ended. Nothing comes after it.
    Done(&'f Ended),
    /// There is no reply, or only a part of one. Nothing comes after it.
    Failed(&'f Fault),
}

/// One who reads along.
pub trait Listen: Send {
    /// Takes what has happened, with which it has all up to `at`. Must not wait. False when it wants to hear no more.
    fn hear(&mut self, heard: &Heard<'_>, at: Position) -> bool;
}

/// From where somebody wants to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// From the beginning.
    Start,
    /// Behind what it has of this reply.
    After(i64, Position),
    /// Only what is still to come.
    Now,
}

impl Said {
    /// Where it ends.
    pub fn end(&self) -> Position {
        Position {
            text: self.text.len(),
            reasoning: self.reasoning.len(),
            tools: self.tools.len(),
        }
    }

    /// Tells a listener what it does not have: what was thought first, then the text, then the tools. Somebody who claims
    /// to have more than there is has all; half a character is told again as a whole one.
    pub fn tell(&self, listener: &mut dyn Listen, from: Position) -> bool {
        let end = self.end();
        let mut at = Position {
            text: floor(&self.text, from.text),
            reasoning: floor(&self.reasoning, from.reasoning),
            tools: from.tools.min(end.tools),
        };
        let (text, reasoning) = (&self.text[at.text..], &self.reasoning[at.reasoning..]);
        at.reasoning = end.reasoning;
        if !reasoning.is_empty() && !listener.hear(&Heard::Reasoning(reasoning), at) {
            return false;
        }
        at.text = end.text;
        if !text.is_empty() && !listener.hear(&Heard::Text(text), at) {
            return false;
        }
        self.tools[at.tools..].iter().all(|tool| {
            at.tools += 1;
            listener.hear(&Heard::Tool(tool), at)
        })
    }
}

/// A reply while it is written.
#[derive(Default)]
pub(super) struct Feed {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Unknown until the question is stored.
    start: Option<Start>,
    said: Said,
    /// As many as their users may have streams.
    listeners: Vec<Box<dyn Listen>>,
    is_over: bool,
}

impl Inner {
    fn tell(&mut self, heard: &Heard<'_>) {
        let at = self.said.end();
        self.listeners.retain_mut(|listener| listener.hear(heard, at));
    }
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The question is stored.
    pub(super) fn begin(&self, start: Start) {
        let mut inner = self.lock();
        inner.tell(&Heard::Start(&start));
        inner.start = Some(start);
    }

    /// A piece of the reply has come.
    pub(super) fn take(&self, delta: Delta<'_>) {
        let mut inner = self.lock();
        let heard = match delta {
            Delta::Text(piece) => {
                inner.said.text.push_str(piece);
                Heard::Text(piece)
            }
            Delta::Reasoning(piece) => {
                inner.said.reasoning.push_str(piece);
                Heard::Reasoning(piece)
            }
            Delta::Tool(call) => {
                inner.said.tools.push(call.clone());
                Heard::Tool(call)
            }
        };
        inner.tell(&heard);
    }

    /// One that somebody listens to before it begins.
    pub(super) fn heard_by(listener: Box<dyn Listen>) -> Feed {
        let feed = Feed::default();
        feed.lock().listeners.push(listener);
        feed
    }

    /// What is known since the question is stored.
    pub(super) fn start(&self) -> Option<Start> {
        self.lock().start.clone()
    }

    /// What has come.
    pub(super) fn said(&self) -> Said {
        self.lock().said.clone()
    }

    /// Where it ends.
    pub(super) fn position(&self) -> Position {
        self.lock().said.end()
    }

    /// Tells `listener` what it does not have and, from then on, what comes. Gives it back when the reply has ended, or is
    /// another one than the one it has a part of.
    pub(super) fn attach(&self, mut listener: Box<dyn Listen>, from: Since) -> Result<(), Box<dyn Listen>> {
        let mut inner = self.lock();
        if inner.is_over {
            return Err(listener);
        }
        let stays = match (from, &inner.start) {
            (Since::Now, _) | (Since::Start, None) => true,
            (Since::Start, Some(start)) => {
                listener.hear(&Heard::Start(start), Position::default())
                    && inner.said.tell(&mut *listener, Position::default())
            }
            (Since::After(id, position), Some(start)) if start.response_message_id == id => {
                inner.said.tell(&mut *listener, position)
            }
            (Since::After(..), _) => return Err(listener),
        };
        if stays {
            inner.listeners.push(listener);
        }
        Ok(())
    }

    /// The reply has ended: nobody comes in any more. Those who listen are returned, to be told.
    pub(super) fn end(&self) -> Vec<Box<dyn Listen>> {
        let mut inner = self.lock();
        inner.is_over = true;
        std::mem::take(&mut inner.listeners)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    const ID: i64 = 7;

    fn start() -> Start {
        Start {
            conversation_id: 1,
            conversation_uuid: "c".into(),
            request_message_id: 6,
            response_message_id: ID,
            model: None,
        }
    }

    fn tool(name: &str) -> ToolCall {
        ToolCall {
            id: "call".into(),
            name: name.into(),
            arguments: "{}".into(),
        }
    }

    /// Puts together what it hears, from where it began.
    #[derive(Clone, Default)]
    struct Ear(Arc<Mutex<EarState>>);

    #[derive(Default)]
    struct EarState {
        starts: usize,
        said: Said,
        at: Position,
        left: Option<usize>,
    }

    impl Ear {
        /// One who has this much already.
        fn having(said: &Said, at: Position) -> Ear {
            let ear = Ear::default();
            let mut state = ear.0.lock().unwrap();
            state.said.text = said.text[..at.text].to_owned();
            state.said.reasoning = said.reasoning[..at.reasoning].to_owned();
            state.said.tools = said.tools[..at.tools].to_vec();
            state.at = at;
            drop(state);
            ear
        }

        fn said(&self) -> Said {
            self.0.lock().unwrap().said.clone()
        }
    }

    impl Listen for Ear {
        fn hear(&mut self, heard: &Heard<'_>, at: Position) -> bool {
            let mut state = self.0.lock().unwrap();
            match heard {
                Heard::Start(_) => state.starts += 1,
                Heard::Text(piece) => state.said.text.push_str(piece),
                Heard::Reasoning(piece) => state.said.reasoning.push_str(piece),
                Heard::Tool(call) => state.said.tools.push((*call).clone()),
                Heard::Done(_) | Heard::Failed(_) => {}
            }
            assert_eq!(state.said.end(), at, "a gap or a repeat");
            state.at = at;
            match &mut state.left {
                None => true,
                Some(0) => panic!("told once more"),
                Some(left) => {
                    *left -= 1;
                    *left > 0
                }
            }
        }
    }

    fn whole() -> Said {
        Said {
            text: "a ☃ of words".into(),
            reasoning: "hm – so".into(),
            tools: vec![tool("first"), tool("second")],
        }
    }

    /// A feed in which all of this has come.
    fn feed(said: &Said) -> Feed {
        let feed = Feed::default();
        feed.begin(start());
        feed.take(Delta::Reasoning(&said.reasoning));
        said.text
            .split_inclusive(' ')
            .for_each(|piece| feed.take(Delta::Text(piece)));
        said.tools.iter().for_each(|call| feed.take(Delta::Tool(call)));
        feed
    }

    #[test]
    fn who_comes_at_any_point_has_the_whole() {
        let whole = whole();
        let feed = feed(&whole);
        let end = whole.end();
        for text in (0..=end.text).filter(|at| whole.text.is_char_boundary(*at)) {
            for reasoning in (0..=end.reasoning).filter(|at| whole.reasoning.is_char_boundary(*at)) {
                for tools in 0..=end.tools {
                    let at = Position { text, reasoning, tools };
                    let ear = Ear::having(&whole, at);
                    assert!(feed.attach(Box::new(ear.clone()), Since::After(ID, at)).is_ok());
                    assert_eq!((ear.said(), ear.0.lock().unwrap().starts), (whole.clone(), 0));
                }
            }
        }
        let ear = Ear::default();
        assert!(feed.attach(Box::new(ear.clone()), Since::Start).is_ok());
        assert_eq!((ear.said(), ear.0.lock().unwrap().starts), (whole, 1));
    }

    #[test]
    fn positions_that_cannot_be_are_taken_as_near_as_can_be() {
        let whole = Said {
            text: "☃☃".into(),
            ..Said::default()
        };
        for (claimed, rest) in [
            (0, "☃☃"),
            (1, "☃☃"),
            (2, "☃☃"),
            (4, "☃"),
            (6, ""),
            (7, ""),
            (usize::MAX, ""),
        ] {
            #[derive(Default)]
            struct Rest(String);
            impl Listen for Rest {
                fn hear(&mut self, heard: &Heard<'_>, at: Position) -> bool {
                    let Heard::Text(piece) = heard else { panic!("{heard:?}") };
                    assert_eq!(at.text, 6);
                    self.0.push_str(piece);
                    true
                }
            }
            let mut heard = Rest::default();
            let position = Position {
                text: claimed,
                reasoning: claimed,
                tools: claimed,
            };
            assert!(whole.tell(&mut heard, position));
            assert_eq!(heard.0, rest, "from {claimed}");
        }
    }

    #[test]
    fn nobody_misses_or_repeats_a_byte_while_it_is_written() {
        let feed = Feed::default();
        let early = Ear::default();
        assert!(feed.attach(Box::new(early.clone()), Since::Start).is_ok());
        feed.begin(start());
        let pieces: Vec<String> = (0..2000).map(|number| format!("{number}–")).collect();
        let is_written = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                pieces.iter().for_each(|piece| feed.take(Delta::Text(piece)));
                is_written.store(true, Ordering::SeqCst);
            });
            for _ in 0..4 {
                scope.spawn(|| {
                    // Leaves after a few pieces and comes back with what it has, until it has all.
                    let mut ear = Ear::default();
                    let mut from = Since::Start;
                    while !is_written.load(Ordering::SeqCst) {
                        ear.0.lock().unwrap().left = Some(3);
                        assert!(feed.attach(Box::new(ear.clone()), from).is_ok());
                        while ear.0.lock().unwrap().left != Some(0) && !is_written.load(Ordering::SeqCst) {
                            thread::yield_now();
                        }
                        let state = ear.0.lock().unwrap();
                        let next = Ear::having(&state.said, state.at);
                        from = Since::After(ID, state.at);
                        drop(state);
                        // The one before may be told on, into what nobody reads.
                        ear = next;
                    }
                    assert!(feed.attach(Box::new(ear.clone()), from).is_ok());
                    assert_eq!(ear.said().text, pieces.concat());
                });
            }
        });
        assert_eq!(early.said(), feed.said());
        assert_eq!(early.said().text, pieces.concat());
    }

    #[test]
    fn who_has_left_or_comes_too_late_is_told_nothing() {
        let feed = feed(&whole());
        let leaving = Ear::default();
        leaving.0.lock().unwrap().left = Some(1);
        assert!(feed.attach(Box::new(leaving.clone()), Since::Start).is_ok());
        let now = Ear::having(&whole(), whole().end());
        assert!(feed.attach(Box::new(now.clone()), Since::Now).is_ok());
        feed.take(Delta::Text("more"));
        assert_eq!(leaving.said(), Said::default());
        assert_eq!(now.said().text, whole().text + "more");
        let other = Since::After(ID + 1, Position::default());
        assert!(feed.attach(Box::new(Ear::default()), other).is_err(), "another reply");
        assert_eq!(feed.end().len(), 1);
        assert!(
            feed.attach(Box::new(Ear::default()), Since::Start).is_err(),
            "it is over"
        );
        assert!(feed.end().is_empty());
    }
}
