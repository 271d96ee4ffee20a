//! A prompt in the form that the Messages API reads.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::enclosed::{Enclosed, Files, Packer};
use super::super::room::{Held, Room};
use super::super::vision::{reads_documents, sees};
use super::super::{Prompt, PromptMessage, Role, ToolCall};

/// The tokens of a reply when nobody says: the protocol has no default. All models but the oldest can write more.
const TOKENS_DEFAULT: u32 = 8192;
/// The most that the oldest can.
const TOKENS_OF_THE_OLDEST: u32 = 4096;
const THE_OLDEST: [&str; 3] = ["claude-3-haiku", "claude-3-sonnet", "claude-3-opus"];
/// A picture's bytes: 5 MiB in base64. <https://docs.anthropic.com/en/docs/build-with-claude/vision>
const PICTURE_BYTES_MAX: u64 = 5 * 1024 * 1024 / 4 * 3;
/// OpenAI's temperatures go to 2.
const TEMPERATURE_MAX: f64 = 1.0;
/// What the user is made to say where a model would speak first, which the protocol does not allow.
const NOTHING_YET: &str = "…";

/// A request for a stream.
#[derive(Serialize)]
pub(super) struct Question<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    system: String,
    messages: Vec<WireMessage<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(flatten)]
    options: Map<String, Value>,
    /// The room that its files take.
    #[serde(skip)]
    held: Vec<Held>,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: String },
    Image { source: Source<'a> },
    Document { source: Source<'a>, title: &'a str },
    ToolUse { id: &'a str, name: &'a str, input: Value },
    ToolResult { tool_use_id: &'a str, content: String },
}

#[derive(Serialize)]
struct Source<'a> {
    r#type: &'static str,
    media_type: &'a str,
    data: String,
}

impl<'a> Question<'a> {
    /// Asks this. Its files are those for which there is room.
    pub(super) fn new(prompt: &'a Prompt, room: &Arc<Room>) -> Question<'a> {
        let model = prompt.model.as_str();
        let mut packer = Packer {
            room,
            picture_bytes_max: sees(model).then_some(PICTURE_BYTES_MAX),
            documents: if reads_documents(model) {
                Files::Native
            } else {
                Files::AsText
            },
            prefix: |_| String::new(),
            held: Vec::new(),
        };
        let messages = messages(&prompt.messages, &mut packer);
        let tools: Vec<Value> = prompt.tools.iter().filter_map(tool).collect();
        let options = options(&prompt.options, !tools.is_empty());
        // A model that thinks takes no temperature, and its thoughts count as its reply does.
        let thinks_for = options.get("thinking").map(|thinking| {
            let budget = thinking["budget_tokens"].as_u64().unwrap_or(0);
            u32::try_from(budget).unwrap_or(u32::MAX)
        });
        let most = most_tokens(model);
        let max_tokens = prompt.max_tokens.unwrap_or(most);
        Question {
            model,
            max_tokens: match thinks_for {
                Some(budget) if budget >= max_tokens => budget.saturating_add(max_tokens),
                _ => max_tokens,
            },
            system: system(&prompt.messages),
            messages,
            stream: true,
            temperature: prompt
                .temperature
                .filter(|_| thinks_for.is_none())
                .map(|temperature| temperature.min(TEMPERATURE_MAX)),
            tools,
            options,
            held: packer.held,
        }
    }

    /// Lets go of everything but the room that its files take.
    pub(super) fn into_held(self) -> Vec<Held> {
        self.held
    }
}

fn most_tokens(model: &str) -> u32 {
    if THE_OLDEST.iter().any(|oldest| model.starts_with(oldest)) {
        TOKENS_OF_THE_OLDEST
    } else {
        TOKENS_DEFAULT
    }
}

/// Instructions, wherever they stand: they are not messages here.
fn system(messages: &[PromptMessage]) -> String {
    let texts: Vec<&str> = messages
        .iter()
        .filter(|message| message.role == Role::System)
        .map(|message| message.content.as_str())
        .filter(|text| !text.trim().is_empty())
        .collect();
    texts.join("\n\n")
}

/// The others, the user's and the model's by turns, the user's first.
fn messages<'a>(messages: &'a [PromptMessage], packer: &mut Packer<'_>) -> Vec<WireMessage<'a>> {
    let mut turns: Vec<WireMessage<'a>> = Vec::new();
    for message in messages {
        let (role, blocks) = match message.role {
            Role::System => continue,
            Role::User => ("user", spoken(packer.pack(message))),
            Role::Tool => ("user", vec![answered(message)]),
            Role::Assistant => {
                let mut blocks = spoken(packer.pack(message));
                blocks.extend(message.tool_calls.iter().map(called));
                ("assistant", blocks)
            }
        };
        if turns.is_empty() && role == "assistant" {
            let text = NOTHING_YET.to_owned();
            turns.push(WireMessage {
                role: "user",
                content: vec![Block::Text { text }],
            });
        }
        match turns.last_mut() {
            _ if blocks.is_empty() => (),
            Some(turn) if turn.role == role => turn.content.extend(blocks),
            _ => turns.push(WireMessage { role, content: blocks }),
        }
    }
    // A reply that is to be continued must not end with white space.
    if let Some(turn) = turns.last_mut().filter(|turn| turn.role == "assistant")
        && let Some(Block::Text { text }) = turn.content.last_mut()
    {
        text.truncate(text.trim_end().len());
    }
    turns
}

/// Files before the words about them, as the model likes it best. A text of white space alone is refused.
fn spoken(enclosed: Enclosed<'_>) -> Vec<Block<'_>> {
    let source = |media_type, data| Source {
        r#type: "base64",
        media_type,
        data,
    };
    let mut blocks = Vec::new();
    for file in enclosed.documents {
        blocks.push(Block::Document {
            source: source(file.media_type, file.data),
            title: file.filename,
        });
    }
    for file in enclosed.pictures {
        blocks.push(Block::Image {
            source: source(file.media_type, file.data),
        });
    }
    if !enclosed.text.trim().is_empty() {
        let text = enclosed.text.into_owned();
        blocks.push(Block::Text { text });
    }
    blocks
}

fn called(call: &ToolCall) -> Block<'_> {
    Block::ToolUse {
        id: &call.id,
        name: &call.name,
        // Only an object is taken.
        input: serde_json::from_str(&call.arguments)
            .ok()
            .filter(Value::is_object)
            .unwrap_or_else(|| json!({})),
    }
}

fn answered(message: &PromptMessage) -> Block<'_> {
    Block::ToolResult {
        tool_use_id: message.tool_call_id.as_deref().unwrap_or_default(),
        content: message.content.clone(),
    }
}

/// A function in this protocol's form; other kinds of tools are OpenAI's own.
fn tool(tool: &Value) -> Option<Value> {
    let function = tool.get("function")?.as_object()?;
    let mut wire = Map::new();
    wire.insert("name".to_owned(), function.get("name")?.clone());
    if let Some(description) = function.get("description").filter(|text| text.is_string()) {
        wire.insert("description".to_owned(), description.clone());
    }
    let schema = function.get("parameters").filter(|schema| schema.is_object()).cloned();
    let schema = schema.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    wire.insert("input_schema".to_owned(), schema);
    Some(Value::Object(wire))
}

/// The options that have a counterpart here; the others are left out.
fn options(options: &Map<String, Value>, has_tools: bool) -> Map<String, Value> {
    let mut wire = Map::new();
    for (name, value) in options {
        let (name, value) = match name.as_str() {
            "stop" => ("stop_sequences", stops(value)),
            "top_p" | "top_k" | "thinking" => (name.as_str(), Some(value.clone())),
            "user" => ("metadata", Some(json!({ "user_id": value }))),
            "tool_choice" if has_tools => ("tool_choice", tool_choice(value)),
            _ => continue,
        };
        if let Some(value) = value.filter(|value| !value.is_null()) {
            wire.insert(name.to_owned(), value);
        }
    }
    if has_tools && options.get("parallel_tool_calls") == Some(&Value::Bool(false)) {
        let choice = wire.entry("tool_choice").or_insert_with(|| json!({"type": "auto"}));
        if choice["type"] != "none" {
            choice["disable_parallel_tool_use"] = Value::Bool(true);
        }
    }
    wire
}

/// A text or a list of them; those of white space alone are refused.
fn stops(value: &Value) -> Option<Value> {
    let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let texts: Vec<&str> = all
        .iter()
        .filter_map(Value::as_str)
        .filter(|text| !text.trim().is_empty())
        .collect();
    (!texts.is_empty()).then(|| json!(texts))
}

fn tool_choice(value: &Value) -> Option<Value> {
    match value.as_str() {
        Some("auto") => Some(json!({"type": "auto"})),
        Some("none") => Some(json!({"type": "none"})),
        Some("required") => Some(json!({"type": "any"})),
        Some(_) => None,
        None => {
            let name = value.get("function")?.get("name")?;
            Some(json!({"type": "tool", "name": name}))
        }
    }
}
