//! What a reply delivers, whatever protocol it comes in: bounded, counted, and not after it was stopped.

use super::failure::{Failure, Reporter, cut, printable};
use super::{Completion, Delta, Prompt, Role, Stop, ToolCall, Usage};
use crate::limits::REPLY_BYTES_MAX;

/// OpenAI takes 128 tools; nobody calls more at once.
const CALLS_MAX: u32 = 128;
const FINISH_REASON_CHARS_MAX: usize = 64;
/// No model reads or writes more, and sums of this still fit everywhere: a server may claim anything.
const TOKENS_MAX: u64 = 1_000_000_000;

/// The way out for the pieces of one reply.
pub(super) struct Outlet<'a> {
    pub(super) reporter: &'a Reporter,
    stop: &'a Stop,
    on_delta: &'a mut dyn FnMut(Delta<'_>),
    bytes: usize,
    chars: u64,
    calls: u32,
}

/// What a server says that a reply cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    /// Tokens of the prompt, the cached ones included.
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cached: u64,
}

impl Counted {
    /// The same, within bounds.
    pub(super) fn usage(self) -> Usage {
        Usage {
            input_tokens: self.input.min(TOKENS_MAX),
            output_tokens: self.output.min(TOKENS_MAX),
            cached_tokens: self.cached.min(TOKENS_MAX),
            estimated: false,
        }
    }
}

impl<'a> Outlet<'a> {
    /// A reply that goes on counts from where it had broken off.
    pub(super) fn new(
        reporter: &'a Reporter,
        prompt: &Prompt,
        stop: &'a Stop,
        on_delta: &'a mut dyn FnMut(Delta<'_>),
    ) -> Outlet<'a> {
        let begun = prompt.messages.last().filter(|last| last.role == Role::Assistant);
        Outlet {
            reporter,
            stop,
            on_delta,
            bytes: begun.map_or(0, |begun| begun.content.len()),
            chars: 0,
            calls: 0,
        }
    }

    /// Delivers a piece, unless it is empty.
    ///
    /// # Errors
    /// The reply was stopped, or has no end.
    pub(super) fn say(&mut self, delta: Delta<'_>) -> Result<(), Failure> {
        if self.stop.is_stopped() {
            return Err(Failure::stopped());
        }
        let (text, beside) = match delta {
            Delta::Text(text) | Delta::Reasoning(text) => (text, 0),
            Delta::Tool(call) => (call.arguments.as_str(), call.id.len() + call.name.len()),
        };
        if text.is_empty() {
            return Ok(());
        }
        self.bytes += text.len() + beside;
        if self.bytes > REPLY_BYTES_MAX {
            return Err(self.endless());
        }
        self.chars += text.chars().count() as u64;
        (self.on_delta)(delta);
        Ok(())
    }

    /// Delivers a call of a tool that is whole. One without an id gets one: its answer must name it.
    ///
    /// # Errors
    /// Those of [`say`](Outlet::say); or it names no tool.
    pub(super) fn call(&mut self, mut call: ToolCall) -> Result<(), Failure> {
        if call.name.is_empty() {
            return Err(self.reporter.broken("called a tool without naming it"));
        }
        self.calls += 1;
        if self.calls > CALLS_MAX {
            return Err(self.reporter.broken(&format!("called more than {CALLS_MAX} tools")));
        }
        if call.id.is_empty() {
            call.id = format!("call_{}", self.calls);
        }
        if call.arguments.trim().is_empty() {
            call.arguments = "{}".to_owned();
        }
        self.say(Delta::Tool(&call))
    }

    /// That this much may be kept of a piece which is not whole yet.
    pub(super) fn check_held(&self, bytes: usize) -> Result<(), Failure> {
        if self.bytes + bytes > REPLY_BYTES_MAX {
            return Err(self.endless());
        }
        Ok(())
    }

    /// How the reply ended, but for the reason. What it cost is what the server says, else a guess.
    pub(super) fn completion(&self, prompt: &Prompt, counted: Option<Counted>) -> Completion {
        let usage = match counted {
            None => Usage::estimate(prompt, self.chars),
            Some(counted) => counted.usage(),
        };
        Completion {
            provider: self.reporter.name.clone(),
            model: prompt.model.clone(),
            finish_reason: None,
            usage,
        }
    }

    fn endless(&self) -> Failure {
        self.reporter.broken("sent a reply that does not end")
    }
}

/// A server's word for why the reply ended, fit to be stored.
pub(super) fn finish_reason(word: &str) -> String {
    cut(&printable(word), FINISH_REASON_CHARS_MAX)
}
