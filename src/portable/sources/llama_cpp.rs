//! The export of llama.cpp's web UI: `conv` and its `messages`, a tree in which each names its parent; one such object,
//! or a list of them.

use serde::Deserialize;
use serde_json::Value;

use super::super::thread::{Call, Node, Said, SentFile, Speaker, Thread};
use super::{loose, text, time};
use crate::clock::Moment;

#[derive(Deserialize)]
struct Whole {
    conv: Conversation,
    #[serde(default)]
    messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
struct Conversation {
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(default, rename = "lastModified", deserialize_with = "time")]
    last_modified: Option<Moment>,
    #[serde(default, rename = "currNode", deserialize_with = "text")]
    current: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    parent: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "text")]
    role: Option<String>,
    #[serde(default, deserialize_with = "text")]
    content: Option<String>,
    #[serde(default, deserialize_with = "text")]
    model: Option<String>,
    #[serde(default, deserialize_with = "time")]
    timestamp: Option<Moment>,
    #[serde(
        default,
        alias = "reasoningContent",
        alias = "reasoning_content",
        deserialize_with = "text"
    )]
    thinking: Option<String>,
    /// A list of calls, or that list as a text.
    #[serde(default, rename = "toolCalls")]
    tool_calls: Value,
    #[serde(default, deserialize_with = "loose")]
    extra: Vec<Extra>,
}

/// What goes with a message.
#[derive(Default, Deserialize)]
struct Extra {
    #[serde(default, rename = "type", deserialize_with = "text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    content: Option<String>,
}

pub(super) fn read(bytes: &[u8]) -> serde_json::Result<Thread> {
    let whole: Whole = serde_json::from_slice(bytes)?;
    let mut system_prompt = None;
    let messages = whole.messages.unwrap_or_default();
    let created_at = messages.iter().filter_map(|message| message.timestamp).min();
    let nodes = messages
        .into_iter()
        .enumerate()
        .map(|(at, message)| Node {
            id: message.id.clone().unwrap_or_else(|| format!("at {at}")),
            parent: message.parent.clone(),
            at: message.timestamp,
            said: said(message, &mut system_prompt),
        })
        .collect();
    Ok(Thread {
        id: whole.conv.id,
        title: whole.conv.name,
        created_at,
        updated_at: whole.conv.last_modified,
        system_prompt,
        nodes,
        leaf: whole.conv.current,
        ..Thread::default()
    })
}

fn said(message: Message, system_prompt: &mut Option<String>) -> Option<Said> {
    if message.kind.as_deref() == Some("root") {
        return None;
    }
    let text = message.content.unwrap_or_default();
    let mut said = match message.role.as_deref() {
        Some("assistant") => Said::new(Speaker::Model, text),
        Some("tool") => Said::new(Speaker::Tool, text),
        Some("system") => {
            if !text.trim().is_empty() {
                system_prompt.get_or_insert(text);
            }
            return None;
        }
        _ => Said::new(Speaker::User, text),
    };
    said.thoughts = message.thinking.unwrap_or_default();
    said.model = message.model;
    said.calls.list = calls(&message.tool_calls);
    said.files = message.extra.into_iter().map(file).collect();
    Some(said)
}

fn calls(list: &Value) -> Vec<Call> {
    let parsed = list.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let list = parsed.as_ref().unwrap_or(list).as_array();
    let calls = list.into_iter().flatten().filter_map(|call| {
        let function = &call["function"];
        Some(Call {
            name: function["name"].as_str()?.to_owned(),
            arguments: function["arguments"].clone(),
            result: None,
        })
    });
    calls.collect()
}

/// Pictures and recordings hold no text.
fn file(extra: Extra) -> SentFile {
    let kind = extra.kind.unwrap_or_default().to_ascii_lowercase();
    let is_text = kind.contains("text") || kind.contains("context") || kind.contains("pdf");
    let name = extra.name.filter(|name| !name.is_empty()).unwrap_or(kind);
    SentFile::new(
        name,
        extra.content.filter(|content| is_text && !content.trim().is_empty()),
    )
}
