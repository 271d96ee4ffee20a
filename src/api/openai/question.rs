//! What is asked: from OpenAI's messages to a prompt. What this server does not read itself is passed on as it is.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::outlet::Form;
use crate::error::{Error, Issue};
use crate::limits::QUESTION_BYTES_MAX;
use crate::models::{Image, Prompt, PromptMessage, Role, ToolCall, read_data_url};
use crate::reading::{is_picture, picture_type};

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ChatCompletionRequest")]
pub(super) struct ChatRequest {
    /// One of `GET /v1/models`; without it, the default.
    #[serde(default)]
    pub(super) model: Option<String>,
    #[schemars(extend("examples" = [[{ "role": "user", "content": "Hi" }]]))]
    messages: Vec<Message>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    /// One reply is written, not several.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1))]
    #[serde(rename = "n")]
    _n: Option<i64>,
    #[serde(default)]
    temperature: Option<f64>,
    #[serde(default)]
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    max_tokens: Option<u32>,
    #[serde(default)]
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    max_completion_tokens: Option<u32>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    /// Whatever else the model understands: `stop`, `seed`, `top_p`, `tool_choice`, `response_format`, …
    #[serde(flatten)]
    options: Map<String, Value>,
}

#[derive(Deserialize, JsonSchema)]
struct StreamOptions {
    /// Whether the stream ends with what the reply cost.
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ChatCompletionMessage")]
struct Message {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    role: String,
    /// A text, or parts: `text`, and `image_url` with a `data:` URL.
    #[serde(default)]
    content: Value,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
    #[serde(default)]
    tool_call_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ChatCompletionToolCall")]
struct Call {
    id: String,
    function: Function,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ChatCompletionFunction")]
struct Function {
    name: String,
    arguments: String,
}

/// Options that ask for what a reply here cannot hold, and what says so.
const REFUSED: &[(&str, &str)] = &[
    ("functions", "Functions are called as tools here"),
    ("function_call", "Functions are called as tools here"),
    ("audio", "Replies are texts here"),
    // What OpenRouter reads: another model would run than the one that is accounted for.
    ("models", OTHER_MODEL),
    ("route", OTHER_MODEL),
    ("provider", OTHER_MODEL),
];

const OTHER_MODEL: &str = "Which model runs is said by 'model' alone; name several as an alias";

/// Options that are about OpenAI's own keeping of replies, or ask for what is left out of replies here.
const LEFT_OUT: &[&str] = &["store", "metadata", "logprobs", "top_logprobs", "modalities"];

/// A problem with what stands at a place in the body.
fn wrong(at: &[Value], msg: &'static str, input: Value) -> Error {
    let body = [Value::from("body")];
    Error::invalid(vec![Issue {
        rule: "value_error".into(),
        loc: body.iter().chain(at).cloned().collect(),
        msg: msg.into(),
        input,
        ctx: None,
    }])
}

impl ChatRequest {
    pub(super) fn form(&self) -> Form {
        let has_usage = self.stream_options.as_ref().and_then(|options| options.include_usage);
        match (self.stream, has_usage) {
            (Some(true), Some(true)) => Form::StreamWithUsage,
            (Some(true), _) => Form::Stream,
            _ => Form::Whole,
        }
    }

    pub(super) fn into_prompt(mut self) -> Result<Prompt, Error> {
        if self.messages.is_empty() {
            return Err(wrong(&["messages".into()], "There must be a message", json!([])));
        }
        for (name, msg) in REFUSED {
            if let Some(value) = self.options.remove(*name).filter(|value| !value.is_null()) {
                return Err(wrong(&[(*name).into()], msg, value));
            }
        }
        self.options
            .retain(|name, value| !LEFT_OUT.contains(&name.as_str()) && !value.is_null());
        let messages = self.messages.into_iter().enumerate();
        let messages: Result<Vec<PromptMessage>, Error> =
            messages.map(|(index, message)| read(index, message)).collect();
        Ok(Prompt {
            messages: messages?,
            temperature: self.temperature,
            max_tokens: self.max_completion_tokens.or(self.max_tokens),
            tools: self.tools.unwrap_or_default(),
            options: self.options,
            ..Prompt::default()
        })
    }
}

fn read(index: usize, message: Message) -> Result<PromptMessage, Error> {
    let at = |field: &str| vec![Value::from("messages"), index.into(), field.into()];
    let role = match message.role.as_str() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => {
            let msg = "The role must be 'system', 'developer', 'user', 'assistant' or 'tool'";
            return Err(wrong(&at("role"), msg, other.into()));
        }
    };
    if role == Role::Tool && message.tool_call_id.is_none() {
        return Err(wrong(
            &at("tool_call_id"),
            "A tool must say which call it answers",
            Value::Null,
        ));
    }
    let tool_calls = message.tool_calls.unwrap_or_default();
    let (content, images) = match message.content {
        Value::String(text) => (text, Vec::new()),
        Value::Array(parts) => read_parts(parts, &at("content"))?,
        Value::Null if !tool_calls.is_empty() || role == Role::Assistant => (String::new(), Vec::new()),
        other => {
            return Err(wrong(
                &at("content"),
                "The content must be a text or a list of parts",
                other,
            ));
        }
    };
    let call = |call: Call| ToolCall {
        id: call.id,
        name: call.function.name,
        arguments: call.function.arguments,
    };
    Ok(PromptMessage {
        images,
        tool_calls: tool_calls.into_iter().map(call).collect(),
        tool_call_id: message.tool_call_id.filter(|_| role == Role::Tool),
        ..PromptMessage::text(role, content)
    })
}

/// The texts of a message's parts, one below the other, and its pictures.
fn read_parts(parts: Vec<Value>, at: &[Value]) -> Result<(String, Vec<Image>), Error> {
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for (index, part) in parts.into_iter().enumerate() {
        let place = || [at, &[index.into()]].concat();
        // A part's data may be megabytes: what is wrong with it is said without it.
        let refuse = |msg| Err(wrong(&place(), msg, Value::Null));
        let text = |field: &str| part[field].as_str().map(str::to_owned);
        match (part["type"].as_str(), text("text"), text("refusal")) {
            (Some("text"), Some(text), _) | (Some("refusal"), _, Some(text)) => texts.push(text),
            (Some("image_url"), ..) => match read_picture(&part["image_url"], images.len()) {
                Ok(image) => images.push(image),
                Err(msg) => return refuse(msg),
            },
            (Some("input_audio"), ..) => return refuse("Audio is not passed on here"),
            (Some("file"), ..) => return refuse("Files are not passed on here; send what stands in them as text"),
            _ => return refuse("A part must be a 'text' or an 'image_url'"),
        }
    }
    Ok((texts.join("\n"), images))
}

/// A picture that came with a message. Those at an address elsewhere are not fetched: this server would be asking, from
/// where it stands, whatever a client names.
fn read_picture(part: &Value, count: usize) -> Result<Image, &'static str> {
    let url = part["url"]
        .as_str()
        .or(part.as_str())
        .ok_or("A picture must have a url")?;
    let (said, bytes) =
        read_data_url(url).ok_or("A picture must come as a data: URL in base64; no other address is fetched")?;
    let media_type = picture_type(&said).ok_or("A picture must be a PNG, JPEG, GIF or WebP")?;
    if !is_picture(media_type, &bytes) {
        return Err("This is not a picture of the type that it says");
    }
    let size = bytes.len() as u64;
    let bytes: Arc<[u8]> = bytes.into();
    Ok(Image {
        filename: format!("image-{}.{}", count + 1, media_type.trim_start_matches("image/")),
        media_type: media_type.to_owned(),
        size,
        fetch: Arc::new(move || Some(bytes.to_vec())),
    })
}

/// Refuses what cannot be kept: a conversation holds what its user says, and a reply to it.
pub(super) fn require_question(prompt: &Prompt) -> Result<(), Error> {
    let last = prompt.messages.last();
    let asked = last.filter(|last| last.role == Role::User && !last.content.trim().is_empty());
    let msg = match asked {
        Some(last) if last.content.len() <= QUESTION_BYTES_MAX => return Ok(()),
        Some(_) => "To be kept, the last message must have at most 1 MiB of text",
        None => "To be kept, the last message must be the user's, with a text",
    };
    Err(wrong(&["messages".into()], msg, Value::Null))
}

/// What the user said last.
pub(super) fn last_words(prompt: &Prompt) -> Option<String> {
    let last = prompt.messages.iter().rfind(|message| message.role == Role::User)?;
    Some(last.content.clone())
}
