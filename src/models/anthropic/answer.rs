//! One reply as it arrives: the Messages API's events in, deltas out, and how it ended.
//!
//! Owns the wire form of an answer, streamed or whole. Knows nothing of connections.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::link::Listener;
use super::super::outlet::{Counted, Outlet, finish_reason};
use super::super::{Completion, Delta, Prompt, ToolCall};

/// What may be in an event, of whatever type it is.
#[derive(Deserialize)]
struct Event {
    r#type: String,
    message: Option<Message>,
    content_block: Option<Block>,
    delta: Option<Piece>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

/// An answer: its beginning in a stream, or all of it.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Vec<Block>,
    stop_reason: Option<String>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

/// A part of an answer: its beginning in a stream, or all of it. What has neither text nor thoughts nor a call in it
/// (searches of the server's own, thoughts that it keeps to itself) is not shown.
#[derive(Deserialize)]
struct Block {
    r#type: String,
    text: Option<String>,
    thinking: Option<String>,
    id: Option<String>,
    name: Option<String>,
    input: Option<Value>,
}

/// More of a part; or what is known at the end.
#[derive(Deserialize)]
struct Piece {
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct WireUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

impl WireUsage {
    /// Later numbers replace earlier ones: each is the sum so far.
    fn or(self, earlier: WireUsage) -> WireUsage {
        WireUsage {
            input_tokens: self.input_tokens.or(earlier.input_tokens),
            output_tokens: self.output_tokens.or(earlier.output_tokens),
            cache_read_input_tokens: self.cache_read_input_tokens.or(earlier.cache_read_input_tokens),
            cache_creation_input_tokens: self.cache_creation_input_tokens.or(earlier.cache_creation_input_tokens),
        }
    }

    /// None if the server has not counted. It counts the cached tokens apart from the others.
    fn counted(self) -> Option<Counted> {
        let input = self.input_tokens?;
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let written = self.cache_creation_input_tokens.unwrap_or(0);
        Some(Counted {
            input: input.saturating_add(cached).saturating_add(written),
            output: self.output_tokens.unwrap_or(0),
            cached,
        })
    }
}

/// A reply under way.
pub(in crate::models) struct Answer<'a> {
    outlet: Outlet<'a>,
    /// The call of a tool that is being written.
    call: Option<ToolCall>,
    stop_reason: Option<String>,
    usage: WireUsage,
    complete: bool,
}

impl<'a> Answer<'a> {
    pub(in crate::models) fn new(outlet: Outlet<'a>) -> Answer<'a> {
        Answer {
            outlet,
            call: None,
            stop_reason: None,
            usage: WireUsage::default(),
            complete: false,
        }
    }

    /// The end of the answer, read to its end or not.
    pub(in crate::models) fn finish(self, read: Result<(), Failure>, prompt: &Prompt) -> Result<Completion, Failure> {
        read?;
        if !self.complete && self.stop_reason.is_none() {
            return Err(self.outlet.reporter.broken("was cut off before the end of its answer"));
        }
        Ok(Completion {
            finish_reason: self.stop_reason.as_deref().map(openais_word).map(finish_reason),
            ..self.outlet.completion(prompt, self.usage.counted())
        })
    }

    fn parse<'j, T: Deserialize<'j>>(&self, json: &'j [u8]) -> Result<T, Failure> {
        serde_json::from_slice(json).map_err(|_| self.outlet.reporter.broken("sent malformed JSON"))
    }

    fn take(&mut self, event: Event) -> Result<(), Failure> {
        if let Some(error) = event.error {
            return Err(self.reported(&error));
        }
        if let Some(message) = event.message {
            self.usage = message.usage.unwrap_or_default().or(self.usage);
        }
        self.usage = event.usage.unwrap_or_default().or(self.usage);
        match event.r#type.as_str() {
            "content_block_start" => event.content_block.map_or(Ok(()), |block| self.begin(block)),
            "content_block_delta" | "message_delta" => event.delta.map_or(Ok(()), |piece| self.go_on(piece)),
            "content_block_stop" => self.end_call(),
            "message_stop" => {
                self.complete = true;
                Ok(())
            }
            // There will be more kinds: <https://docs.anthropic.com/en/api/versioning>
            _ => Ok(()),
        }
    }

    fn begin(&mut self, block: Block) -> Result<(), Failure> {
        self.end_call()?;
        if block.r#type == "tool_use" {
            // In a stream it begins as an empty object, and what it is follows.
            let whole = block
                .input
                .filter(|input| input.as_object().is_none_or(|input| !input.is_empty()));
            self.call = Some(ToolCall {
                id: block.id.unwrap_or_default(),
                name: block.name.unwrap_or_default(),
                arguments: whole.map_or_else(String::new, |input| input.to_string()),
            });
        }
        self.outlet.say(Delta::Reasoning(&block.thinking.unwrap_or_default()))?;
        self.outlet.say(Delta::Text(&block.text.unwrap_or_default()))
    }

    fn go_on(&mut self, piece: Piece) -> Result<(), Failure> {
        self.stop_reason = piece.stop_reason.or(self.stop_reason.take());
        if let Some((call, json)) = self.call.as_mut().zip(piece.partial_json) {
            call.arguments.push_str(&json);
            self.outlet.check_held(call.arguments.len())?;
        }
        if let Some(thought) = piece.thinking {
            self.outlet.say(Delta::Reasoning(&thought))?;
        }
        match piece.text {
            Some(text) => self.outlet.say(Delta::Text(&text)),
            None => Ok(()),
        }
    }

    fn end_call(&mut self) -> Result<(), Failure> {
        self.call.take().map_or(Ok(()), |call| self.outlet.call(call))
    }

    fn reported(&self, error: &Value) -> Failure {
        self.outlet.reporter.error_object(&json!({ "error": error }))
    }
}

impl Listener for Answer<'_> {
    fn whole(&mut self, body: &[u8]) -> Result<(), Failure> {
        let message: Message = self.parse(body)?;
        if let Some(error) = message.error {
            return Err(self.reported(&error));
        }
        if message.content.is_empty() && message.stop_reason.is_none() {
            return Err(self.outlet.reporter.broken("sent an answer without a reply in it"));
        }
        for block in message.content {
            self.begin(block)?;
            self.end_call()?;
        }
        self.stop_reason = message.stop_reason;
        self.usage = message.usage.unwrap_or_default();
        self.complete = true;
        Ok(())
    }

    fn event(&mut self, data: &str) -> Result<(), Failure> {
        if self.complete || data.trim().is_empty() {
            return Ok(());
        }
        let event = self.parse(data.as_bytes())?;
        self.take(event)
    }

    fn is_complete(&self) -> bool {
        self.complete
    }
}

/// Why it ended, in the word that all clients know.
fn openais_word(stop_reason: &str) -> &str {
    match stop_reason {
        "end_turn" | "stop_sequence" | "pause_turn" => "stop",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        other => other,
    }
}
