//! Claude's export: `conversations.json`, a list of conversations with `chat_messages`. Where messages name the one
//! they come after it is a tree; older exports are plain lists.

use serde::Deserialize;
use serde_json::Value;

use super::super::thread::{Call, Node, Said, SentFile, Speaker, Thread};
use super::{loose, text, time};
use crate::clock::Moment;

#[derive(Deserialize)]
struct Conversation {
    #[serde(default, deserialize_with = "text")]
    uuid: Option<String>,
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "time")]
    created_at: Option<Moment>,
    #[serde(default, deserialize_with = "time")]
    updated_at: Option<Moment>,
    #[serde(default, deserialize_with = "loose")]
    is_starred: bool,
    #[serde(default, deserialize_with = "text")]
    model: Option<String>,
    #[serde(default, deserialize_with = "text")]
    current_leaf_message_uuid: Option<String>,
    #[serde(default)]
    chat_messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default, deserialize_with = "text")]
    uuid: Option<String>,
    #[serde(default, deserialize_with = "text")]
    parent_message_uuid: Option<String>,
    #[serde(default, deserialize_with = "text")]
    sender: Option<String>,
    #[serde(default, deserialize_with = "text")]
    text: Option<String>,
    #[serde(default, deserialize_with = "loose")]
    content: Vec<Value>,
    #[serde(default, deserialize_with = "time")]
    created_at: Option<Moment>,
    #[serde(default, deserialize_with = "loose")]
    attachments: Vec<File>,
    #[serde(default, deserialize_with = "loose")]
    files: Vec<File>,
}

#[derive(Default, Deserialize)]
struct File {
    #[serde(default, deserialize_with = "text")]
    file_uuid: Option<String>,
    #[serde(default, deserialize_with = "text")]
    file_name: Option<String>,
    /// What was read of it, or what was pasted.
    #[serde(default, deserialize_with = "text")]
    extracted_content: Option<String>,
}

pub(super) fn read(bytes: &[u8]) -> serde_json::Result<Thread> {
    let whole: Conversation = serde_json::from_slice(bytes)?;
    let messages = whole.chat_messages.unwrap_or_default();
    let is_tree = messages.iter().any(|message| message.parent_message_uuid.is_some());
    let mut nodes: Vec<Node> = Vec::with_capacity(messages.len());
    for (at, message) in messages.into_iter().enumerate() {
        let parent = if is_tree {
            message.parent_message_uuid.clone()
        } else {
            nodes.last().map(|node| node.id.clone())
        };
        nodes.push(Node {
            id: message.uuid.clone().unwrap_or_else(|| at.to_string()),
            parent,
            at: message.created_at,
            said: Some(said(message, whole.model.as_deref())),
        });
    }
    Ok(Thread {
        id: whole.uuid,
        title: whole.name,
        created_at: whole.created_at,
        updated_at: whole.updated_at,
        is_pinned: whole.is_starred,
        nodes,
        leaf: whole.current_leaf_message_uuid,
        ..Thread::default()
    })
}

fn said(message: Message, model: Option<&str>) -> Said {
    let speaker = match message.sender.as_deref() {
        Some("assistant") => Speaker::Model,
        _ => Speaker::User,
    };
    let mut said = Said::new(speaker, "");
    let mut texts = Vec::new();
    for part in &message.content {
        let field = |name: &str| part[name].as_str().unwrap_or_default();
        match field("type") {
            "thinking" => said.thoughts += field("thinking"),
            "tool_use" => said.calls.list.push(Call {
                name: field("name").to_owned(),
                arguments: part["input"].clone(),
                result: None,
            }),
            "tool_result" => said.calls.answer(result(&part["content"])),
            // What it could not show, it says in `text`, and what is unknown has none.
            _ => texts.extend(part["text"].as_str().filter(|text| !text.is_empty())),
        }
    }
    said.text = match message.text {
        Some(text) if texts.is_empty() => text,
        _ => texts.join("\n\n"),
    };
    said.model = model.filter(|_| speaker == Speaker::Model).map(str::to_owned);
    let files = message.attachments.into_iter().chain(message.files);
    said.files = files
        .map(|file| {
            let name = file.file_name.filter(|name| !name.is_empty());
            let content = file.extracted_content.filter(|content| !content.trim().is_empty());
            SentFile {
                id: file.file_uuid,
                ..SentFile::new(name.unwrap_or_else(|| "pasted text".to_owned()), content)
            }
        })
        .collect();
    said
}

/// What a tool answered: a text, or a list of parts.
fn result(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}
