//! What is answered: a whole `chat.completion`, or the chunks of one.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::models::{Completion, Delta, ToolCall, Usage};

/// What every answer begins with.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) object: &'static str,
    /// Seconds since 1970.
    pub(super) created: u64,
    pub(super) model: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ChatCompletion {
    #[serde(flatten)]
    head: Head,
    choices: [Choice; 1],
    usage: UsageView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatCompletionChoice")]
struct Choice {
    index: u32,
    message: Message,
    logprobs: Option<()>,
    /// `stop`, `length`, `tool_calls`, or the provider's own word.
    finish_reason: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatCompletionReply")]
struct Message {
    role: &'static str,
    /// None if the model only called tools.
    content: Option<String>,
    refusal: Option<String>,
    /// What the model thought, if it shows that.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatCompletionReplyToolCall")]
struct CallView {
    /// Its place among the calls; in chunks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    id: String,
    r#type: &'static str,
    function: FunctionView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatCompletionReplyFunction")]
struct FunctionView {
    name: String,
    arguments: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatCompletionUsage")]
pub(super) struct UsageView {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: TokenDetails,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChatCompletionTokenDetails")]
struct TokenDetails {
    cached_tokens: u64,
}

impl From<Usage> for UsageView {
    fn from(usage: Usage) -> UsageView {
        UsageView {
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: usage.input_tokens.saturating_add(usage.output_tokens),
            prompt_tokens_details: TokenDetails {
                cached_tokens: usage.cached_tokens,
            },
        }
    }
}

fn call_view(index: Option<usize>, call: &ToolCall) -> CallView {
    CallView {
        index,
        id: call.id.clone(),
        r#type: "function",
        function: FunctionView {
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        },
    }
}

/// Why a reply ended, in OpenAI's word where it has one.
fn finish_reason(said: Option<&str>, calls: usize) -> &str {
    match said {
        Some("end_turn" | "stop_sequence") => "stop",
        Some("max_tokens") => "length",
        Some("tool_use") => "tool_calls",
        // Some servers say so also of a reply that calls tools, which clients then miss.
        Some("stop") | None if calls > 0 => "tool_calls",
        Some(said) => said,
        None => "stop",
    }
}

/// What has come of a reply.
#[derive(Default)]
pub(super) struct Said {
    text: String,
    reasoning: String,
    calls: Vec<ToolCall>,
}

impl Said {
    pub(super) fn take(&mut self, delta: Delta<'_>) {
        match delta {
            Delta::Text(piece) => self.text.push_str(piece),
            Delta::Reasoning(piece) => self.reasoning.push_str(piece),
            Delta::Tool(call) => self.calls.push(call.clone()),
        }
    }

    /// The whole reply.
    pub(super) fn completion(self, head: Head, completion: &Completion) -> ChatCompletion {
        let calls = self.calls.len();
        let message = Message {
            role: "assistant",
            content: Some(self.text).filter(|text| !text.is_empty() || calls == 0),
            refusal: None,
            reasoning_content: Some(self.reasoning).filter(|reasoning| !reasoning.is_empty()),
            tool_calls: self.calls.iter().map(|call| call_view(None, call)).collect(),
        };
        ChatCompletion {
            head: Head {
                // What ran; a reply that is kept may not know.
                model: Some(completion.model.clone())
                    .filter(|model| !model.is_empty())
                    .unwrap_or(head.model),
                ..head
            },
            choices: [Choice {
                index: 0,
                message,
                logprobs: None,
                finish_reason: finish_reason(completion.finish_reason.as_deref(), calls).to_owned(),
            }],
            usage: completion.usage.into(),
        }
    }
}

/// Writes the chunks of a reply, as server-sent events.
pub(super) struct Chunks {
    head: Head,
    has_usage: bool,
    has_begun: bool,
    calls: usize,
}

impl Chunks {
    /// Of a reply with this head; the last chunk says what it cost, if it `has_usage`.
    pub(super) fn new(head: Head, has_usage: bool) -> Chunks {
        Chunks {
            head,
            has_usage,
            has_begun: false,
            calls: 0,
        }
    }

    /// The chunk of a piece, behind the one that says who speaks.
    pub(super) fn piece(&mut self, delta: Delta<'_>) -> String {
        let content = match delta {
            Delta::Text(piece) => json!({ "content": piece }),
            Delta::Reasoning(piece) => json!({ "reasoning_content": piece }),
            Delta::Tool(call) => {
                let view = call_view(Some(self.calls), call);
                self.calls += 1;
                json!({ "tool_calls": [view] })
            }
        };
        let begin = self.begin();
        begin + &self.choice(&content, None)
    }

    /// The last chunks and the end of the stream.
    pub(super) fn end(&mut self, completion: &Completion) -> String {
        let mut text = self.begin();
        let reason = finish_reason(completion.finish_reason.as_deref(), self.calls);
        text += &self.choice(&json!({}), Some(reason));
        if self.has_usage {
            text += &self.chunk(&json!([]), &json!(UsageView::from(completion.usage)));
        }
        text + "data: [DONE]\n\n"
    }

    /// Says who speaks, once.
    fn begin(&mut self) -> String {
        if std::mem::replace(&mut self.has_begun, true) {
            return String::new();
        }
        self.choice(&json!({ "role": "assistant", "content": "" }), None)
    }

    fn choice(&self, delta: &Value, finish_reason: Option<&str>) -> String {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason });
        self.chunk(&json!([choice]), &Value::Null)
    }

    fn chunk(&self, choices: &Value, usage: &Value) -> String {
        let mut chunk = json!(self.head);
        chunk["choices"] = choices.clone();
        // Only streams that end with it have the field at all.
        if self.has_usage {
            chunk["usage"] = usage.clone();
        }
        format!("data: {chunk}\n\n")
    }
}
