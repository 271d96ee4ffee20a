//! Where a reply goes as it comes: into one answer, or chunk by chunk to the client.

use super::errors::{self, Problem};
use super::watch::Watch;
use super::wire::{Chunks, Head, Said};
use super::{Answer, CONVERSATION, session};
use crate::http::{Either, Media, Push, Typed};
use crate::models::{Completion, Delta, Stop};
use crate::turn::{Fault, Hear};

/// What the client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The reply when it is whole.
    Whole,
    /// Chunks.
    Stream,
    /// Chunks, and what they cost.
    StreamWithUsage,
}

impl Form {
    /// What answers of this form call themselves.
    fn object(self) -> &'static str {
        match self {
            Form::Whole => "chat.completion",
            Form::Stream | Form::StreamWithUsage => "chat.completion.chunk",
        }
    }
}

/// How far the answer is.
enum Stage {
    /// Nothing is sent yet: what goes wrong still has a status of its own.
    Waiting(Answer),
    /// The stream has begun.
    Streaming(Push),
    /// The client has left.
    Gone,
}

/// One reply on its way to its client.
pub(super) struct Outlet {
    stage: Stage,
    form: Form,
    head: Head,
    said: Said,
    chunks: Chunks,
    /// The conversation that the exchange is kept in.
    conversation: Option<String>,
    /// Ends the reply when the client has left.
    stop: Stop,
    /// Whether it may still be told.
    watch: Watch,
}

/// The way to a client.
pub(super) struct Way {
    pub(super) respond: Answer,
    pub(super) stop: Stop,
    pub(super) watch: Watch,
}

impl Outlet {
    pub(super) fn new(way: Way, form: Form, head: Head) -> Outlet {
        let Way { respond, stop, watch } = way;
        let head = Head {
            object: form.object(),
            ..head
        };
        Outlet {
            stage: Stage::Waiting(respond),
            form,
            said: Said::default(),
            chunks: Chunks::new(head.clone(), form == Form::StreamWithUsage),
            head,
            conversation: None,
            stop,
            watch,
        }
    }

    /// The exchange is kept in the conversation with this UUID.
    pub(super) fn keep_in(&mut self, conversation: &str) {
        self.conversation = Some(conversation.to_owned());
    }

    /// Whether the client has left.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.stage, Stage::Gone)
    }

    /// Lets the client go if its session has ended: whatever comes is no longer for it.
    fn leaves(&mut self) -> bool {
        if !self.watch.is_over() {
            return false;
        }
        if let Stage::Waiting(respond) = std::mem::replace(&mut self.stage, Stage::Gone) {
            respond.send(Err(session::refused()));
        }
        true
    }

    /// Sends chunks; the first begin the stream.
    fn push(&mut self, text: &str) {
        if self.leaves() {
            return;
        }
        let push = match std::mem::replace(&mut self.stage, Stage::Gone) {
            Stage::Waiting(respond) => {
                let field = self.conversation.as_deref().map(|id| (CONVERSATION, id));
                respond.stream(Media::Events, field.as_slice())
            }
            Stage::Streaming(push) => Some(push),
            Stage::Gone => None,
        };
        match push {
            Some(push) if push.send(text.as_bytes()).is_ok() => self.stage = Stage::Streaming(push),
            _ => self.stop.stop(),
        }
    }
}

impl Hear for Outlet {
    fn hear(&mut self, delta: Delta<'_>) {
        match self.form {
            Form::Whole => self.said.take(delta),
            Form::Stream | Form::StreamWithUsage => {
                let text = self.chunks.piece(delta);
                self.push(&text);
            }
        }
    }

    fn end(mut self: Box<Self>, outcome: Result<Completion, Fault>) {
        if self.leaves() {
            return;
        }
        match (outcome, self.form) {
            (Ok(completion), Form::Whole) => {
                if let Stage::Waiting(respond) = self.stage {
                    let whole = self.said.completion(self.head, &completion);
                    let field = self.conversation.as_deref();
                    let answer = Typed::json(&whole).map(|answer| {
                        answer.map(|reply| {
                            field
                                .into_iter()
                                .fold(reply, |reply, id| reply.header(CONVERSATION, id))
                        })
                    });
                    respond.send(answer.map(Either::This));
                }
            }
            (Ok(completion), Form::Stream | Form::StreamWithUsage) => {
                let text = self.chunks.end(&completion);
                self.push(&text);
                if let Stage::Streaming(push) = self.stage {
                    push.finish();
                }
            }
            (Err(fault), _) => fail(self.stage, errors::problem(fault)),
        }
    }
}

/// Says what went wrong: with a status, or, in a stream, as its last word.
fn fail(stage: Stage, problem: Problem) {
    match stage {
        Stage::Waiting(respond) => respond.send(problem.answer().map(|reply| Either::This(Typed::made(reply)))),
        Stage::Streaming(push) => {
            // Whoever is gone need not be told.
            if push.send(format!("data: {}\n\n", problem.body()).as_bytes()).is_ok() {
                push.finish();
            }
        }
        Stage::Gone => {}
    }
}
