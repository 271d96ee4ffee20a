//! A prompt in the form that OpenAI-compatible servers read.

use serde::Serialize;

use super::{Prompt, PromptMessage, Role};

/// How a server wants to be told the most tokens a reply may have.
#[derive(Clone, Copy, Debug)]
pub(super) enum LengthField {
    /// `max_tokens`, which everyone but OpenAI understands.
    MaxTokens,
    /// `max_completion_tokens`, the only one that OpenAI's newer models take.
    MaxCompletionTokens,
}

/// A request for a stream.
#[derive(Serialize)]
pub(super) struct WireRequest<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> WireRequest<'a> {
    /// Asks this model, and to end the stream with what it cost.
    pub(super) fn new(model: &'a str, prompt: &'a Prompt, length_field: LengthField) -> WireRequest<'a> {
        let (max_tokens, max_completion_tokens) = match length_field {
            LengthField::MaxTokens => (prompt.max_tokens, None),
            LengthField::MaxCompletionTokens => (None, prompt.max_tokens),
        };
        let message = |message: &'a PromptMessage| WireMessage {
            role: wire_role(message.role),
            content: &message.content,
        };
        WireRequest {
            model,
            messages: prompt.messages.iter().map(message).collect(),
            stream: true,
            stream_options: Some(StreamOptions { include_usage: true }),
            temperature: prompt.temperature,
            max_tokens,
            max_completion_tokens,
        }
    }

    /// Whether it names `stream_options`, which some servers refuse.
    pub(super) fn has_stream_options(&self) -> bool {
        self.stream_options.is_some()
    }

    /// Leaves them out.
    pub(super) fn drop_stream_options(&mut self) {
        self.stream_options = None;
    }
}

fn wire_role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}
