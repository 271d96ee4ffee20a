//! Open WebUI's export: a list of chats, each with its own fields around a `chat`, in which `history` holds the messages
//! by their ids; the oldest exports have a plain list of `messages` alone.

use serde::Deserialize;
use serde_json::Value;

use super::super::thread::{Node, Said, SentFile, Speaker, Thread};
use super::{loose, pairs, text, time};
use crate::clock::Moment;

#[derive(Deserialize)]
struct Outer {
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    title: Option<String>,
    #[serde(default, deserialize_with = "time")]
    created_at: Option<Moment>,
    #[serde(default, deserialize_with = "time")]
    updated_at: Option<Moment>,
    #[serde(default, deserialize_with = "loose")]
    archived: bool,
    #[serde(default, deserialize_with = "loose")]
    pinned: bool,
    #[serde(default, deserialize_with = "loose")]
    meta: Meta,
    chat: Chat,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default, deserialize_with = "loose")]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Chat {
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    title: Option<String>,
    #[serde(default, deserialize_with = "time")]
    timestamp: Option<Moment>,
    #[serde(default, deserialize_with = "text")]
    system: Option<String>,
    #[serde(default, deserialize_with = "loose")]
    params: Params,
    #[serde(default)]
    history: Option<History>,
    #[serde(default)]
    messages: Option<Vec<Message>>,
}

#[derive(Default, Deserialize)]
struct Params {
    #[serde(default, deserialize_with = "text")]
    system: Option<String>,
}

#[derive(Deserialize)]
struct History {
    #[serde(default, deserialize_with = "pairs")]
    messages: Vec<(String, Message)>,
    #[serde(default, rename = "currentId", deserialize_with = "text")]
    current_id: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, rename = "parentId", deserialize_with = "text")]
    parent_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    role: Option<String>,
    #[serde(default)]
    content: Value,
    #[serde(default, deserialize_with = "text")]
    model: Option<String>,
    #[serde(default, deserialize_with = "time")]
    timestamp: Option<Moment>,
    #[serde(default, deserialize_with = "loose")]
    files: Vec<Value>,
    #[serde(default)]
    error: Value,
}

pub(super) fn read(bytes: &[u8]) -> serde_json::Result<Thread> {
    let whole: Outer = serde_json::from_slice(bytes)?;
    let chat = whole.chat;
    let mut system_prompt = chat.params.system.or(chat.system);
    let history = chat.history.filter(|history| !history.messages.is_empty());
    let (nodes, leaf) = match history {
        Some(history) => {
            let messages = history.messages.into_iter();
            let nodes = messages.map(|(id, message)| {
                let parent = message.parent_id.clone();
                node(id, parent, message, &mut system_prompt)
            });
            (nodes.collect(), history.current_id)
        }
        None => {
            let mut nodes: Vec<Node> = Vec::new();
            for (at, message) in chat.messages.unwrap_or_default().into_iter().enumerate() {
                let id = message.id.clone().unwrap_or_else(|| at.to_string());
                let parent = nodes.last().map(|node| node.id.clone());
                nodes.push(node(id, parent, message, &mut system_prompt));
            }
            (nodes, None)
        }
    };
    Ok(Thread {
        id: whole.id.or(chat.id).filter(|id| !id.is_empty()),
        title: whole.title.or(chat.title),
        created_at: whole.created_at.or(chat.timestamp),
        updated_at: whole.updated_at,
        is_pinned: whole.pinned,
        is_archived: whole.archived,
        tags: whole.meta.tags,
        system_prompt,
        nodes,
        leaf,
    })
}

fn node(id: String, parent: Option<String>, message: Message, system_prompt: &mut Option<String>) -> Node {
    let at = message.timestamp;
    let said = said(message, system_prompt);
    Node { id, parent, at, said }
}

fn said(message: Message, system_prompt: &mut Option<String>) -> Option<Said> {
    let text = match &message.content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join("\n\n")
        }
        _ => String::new(),
    };
    let mut said = match message.role.as_deref() {
        Some("assistant") => {
            let (thoughts, text) = split_thoughts(&text);
            let mut said = Said::new(Speaker::Model, text);
            said.thoughts = thoughts;
            said
        }
        Some("system") => {
            system_prompt.get_or_insert(text);
            return None;
        }
        _ => Said::new(Speaker::User, text),
    };
    said.model = message.model;
    said.error = match &message.error {
        Value::String(text) => Some(text.clone()),
        Value::Object(error) => {
            let text = error.get("content").and_then(Value::as_str);
            Some(text.unwrap_or("It failed").to_owned())
        }
        Value::Bool(true) => Some("It failed".to_owned()),
        _ => None,
    };
    let files = message.files.iter();
    said.files = files.map(|file| SentFile::new(file_name(file), None)).collect();
    Some(said)
}

fn file_name(file: &Value) -> String {
    let candidates = [&file["name"], &file["file"]["filename"], &file["type"]];
    let name = candidates.into_iter().find_map(Value::as_str);
    name.filter(|name| !name.is_empty()).unwrap_or("file").to_owned()
}

/// What the model thought, which stands folded up within the text, apart from what it said.
fn split_thoughts(text: &str) -> (String, String) {
    const OPEN: &str = "<details type=\"reasoning\"";
    const CLOSE: &str = "</details>";
    let (mut thoughts, mut said, mut rest) = (String::new(), String::new(), text);
    while let Some(start) = rest.find(OPEN) {
        let Some(end) = rest[start..].find(CLOSE).map(|end| start + end) else {
            break;
        };
        let inside = rest[start..end]
            .split_once("</summary>")
            .map_or("", |(_, inside)| inside);
        for line in inside.trim().lines() {
            let line = line
                .strip_prefix("&gt;")
                .or_else(|| line.strip_prefix('>'))
                .unwrap_or(line);
            thoughts += line.strip_prefix(' ').unwrap_or(line);
            thoughts.push('\n');
        }
        said += &rest[..start];
        rest = &rest[end + CLOSE.len()..];
    }
    said += rest;
    (thoughts.trim().to_owned(), said.trim().to_owned())
}
