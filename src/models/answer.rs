//! One reply as it arrives: chat completion chunks in, deltas out, and how it ended.
//!
//! Owns OpenAI's wire form of an answer, streamed or whole. Knows nothing of connections.

use serde::Deserialize;
use serde_json::Value;

use super::failure::{Failure, Reporter, cut, printable};
use super::{Completion, Delta, Prompt, Stop, Usage};

/// A book has about 1 MiB; a reply beyond this is a server that does not stop.
const REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;
const FINISH_REASON_CHARS_MAX: usize = 64;
/// No model reads or writes more, and sums of this still fit everywhere: a server may claim anything.
const TOKENS_MAX: u64 = 1_000_000_000;

/// A chunk of a stream, or a whole answer: they differ in `delta` and `message`.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Part>>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

/// Some servers send both in a stream, the message being all of it so far.
#[derive(Deserialize)]
struct Part {
    delta: Option<Content>,
    message: Option<Content>,
    finish_reason: Option<String>,
}

/// Servers that show the model's reasoning call it one or the other, and some send it under both names.
#[derive(Deserialize)]
struct Content {
    content: Option<Text>,
    reasoning_content: Option<Text>,
    reasoning: Option<Text>,
}

/// Text, or something newer that is not shown.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Other(serde::de::IgnoredAny),
}

#[derive(Clone, Copy, Deserialize)]
struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Clone, Copy, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

/// A reply under way.
pub(super) struct Answer<'a> {
    reporter: &'a Reporter,
    stop: &'a Stop,
    on_delta: &'a mut dyn FnMut(Delta<'_>),
    reply_bytes: usize,
    reply_chars: u64,
    finish_reason: Option<String>,
    usage: Option<WireUsage>,
    complete: bool,
}

impl<'a> Answer<'a> {
    pub(super) fn new(reporter: &'a Reporter, stop: &'a Stop, on_delta: &'a mut dyn FnMut(Delta<'_>)) -> Answer<'a> {
        Answer {
            reporter,
            stop,
            on_delta,
            reply_bytes: 0,
            reply_chars: 0,
            finish_reason: None,
            usage: None,
            complete: false,
        }
    }

    /// Whether the server has said that nothing follows.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes the data of one event of a stream.
    pub(super) fn event(&mut self, data: &str) -> Result<(), Failure> {
        if data.trim() == "[DONE]" {
            self.complete = true;
            return Ok(());
        }
        if self.complete || data.trim().is_empty() {
            return Ok(());
        }
        let chunk = self.parse(data.as_bytes())?;
        self.take(chunk)
    }

    /// Takes an answer that came in one piece.
    pub(super) fn whole(&mut self, body: &[u8]) -> Result<(), Failure> {
        let chunk = self.parse(body)?;
        if chunk.error.is_none() && chunk.choices.as_ref().is_none_or(Vec::is_empty) {
            return Err(self.reporter.broken("sent an answer without a reply in it"));
        }
        self.complete = true;
        self.take(chunk)
    }

    /// The end of the answer.
    pub(super) fn finish(self, prompt: &Prompt, model: &str) -> Result<Completion, Failure> {
        if !self.complete && self.finish_reason.is_none() {
            return Err(self.reporter.broken("was cut off before the end of its answer"));
        }
        let usage = match self.usage {
            None => Usage::estimate(prompt, self.reply_chars),
            Some(usage) => {
                let tokens = |count: Option<u64>| count.unwrap_or(0).min(TOKENS_MAX);
                Usage {
                    input_tokens: tokens(usage.prompt_tokens),
                    output_tokens: tokens(usage.completion_tokens),
                    cached_tokens: tokens(usage.prompt_tokens_details.and_then(|details| details.cached_tokens)),
                    estimated: false,
                }
            }
        };
        let finish_reason = self
            .finish_reason
            .map(|reason| cut(&printable(&reason), FINISH_REASON_CHARS_MAX));
        Ok(Completion {
            provider: self.reporter.name.clone(),
            model: model.to_owned(),
            finish_reason,
            usage,
        })
    }

    fn parse(&self, json: &[u8]) -> Result<Chunk, Failure> {
        serde_json::from_slice(json).map_err(|_| self.reporter.broken("sent malformed JSON"))
    }

    fn take(&mut self, chunk: Chunk) -> Result<(), Failure> {
        if let Some(error) = chunk.error {
            return Err(self.reporter.error_object(&serde_json::json!({ "error": error })));
        }
        // Some servers count from nothing in every chunk.
        let counted = chunk
            .usage
            .filter(|usage| usage.prompt_tokens.is_some_and(|tokens| tokens > 0));
        self.usage = counted.or(self.usage);
        // Only one reply was asked for.
        let Some(part) = chunk.choices.unwrap_or_default().into_iter().next() else {
            return Ok(());
        };
        self.finish_reason = part.finish_reason.or(self.finish_reason.take());
        if let Some(content) = part.delta.or(part.message) {
            if let Some(Text::Plain(text)) = content.reasoning_content.or(content.reasoning) {
                self.deliver(Delta::Reasoning(&text))?;
            }
            if let Some(Text::Plain(text)) = content.content {
                self.deliver(Delta::Text(&text))?;
            }
        }
        Ok(())
    }

    fn deliver(&mut self, delta: Delta<'_>) -> Result<(), Failure> {
        let text = match delta {
            Delta::Text(text) | Delta::Reasoning(text) => text,
            Delta::Tool(call) => call.arguments.as_str(),
        };
        if self.stop.is_stopped() {
            return Err(Failure::stopped());
        }
        self.reply_bytes += text.len();
        if self.reply_bytes > REPLY_BYTES_MAX {
            return Err(self.reporter.broken("sent a reply that does not end"));
        }
        self.reply_chars += text.chars().count() as u64;
        if !text.is_empty() {
            (self.on_delta)(delta);
        }
        Ok(())
    }
}
