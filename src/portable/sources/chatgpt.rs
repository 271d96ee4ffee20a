//! ChatGPT's export: `conversations.json`, or `conversations-000.json` and those after it, each a list of conversations
//! with a `mapping` from ids to nodes of a tree, in which `current_node` is the end of the branch that is shown.

use serde::Deserialize;
use serde_json::Value;

use super::super::files::known_by;
use super::super::thread::{Call, Node, Said, SentFile, Speaker, Thread};
use super::{loose, pairs, text, time};
use crate::clock::Moment;

#[derive(Deserialize)]
struct Conversation {
    #[serde(default, deserialize_with = "text")]
    title: Option<String>,
    #[serde(default, deserialize_with = "time")]
    create_time: Option<Moment>,
    #[serde(default, deserialize_with = "time")]
    update_time: Option<Moment>,
    #[serde(default, deserialize_with = "text")]
    conversation_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    current_node: Option<String>,
    #[serde(default, deserialize_with = "loose")]
    is_archived: bool,
    #[serde(default, deserialize_with = "loose")]
    is_starred: bool,
    #[serde(default, deserialize_with = "pairs")]
    mapping: Vec<(String, Place)>,
}

#[derive(Deserialize)]
struct Place {
    #[serde(default, deserialize_with = "text")]
    parent: Option<String>,
    #[serde(default)]
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default, deserialize_with = "loose")]
    author: Author,
    #[serde(default, deserialize_with = "time")]
    create_time: Option<Moment>,
    #[serde(default)]
    content: Value,
    #[serde(default, deserialize_with = "loose")]
    metadata: Metadata,
    /// `all`, or the tool that the message is for.
    #[serde(default, deserialize_with = "text")]
    recipient: Option<String>,
}

#[derive(Default, Deserialize)]
struct Author {
    #[serde(default, deserialize_with = "text")]
    role: Option<String>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default, deserialize_with = "text")]
    model_slug: Option<String>,
    #[serde(default, deserialize_with = "loose")]
    is_visually_hidden_from_conversation: bool,
    #[serde(default, deserialize_with = "loose")]
    attachments: Vec<Attachment>,
}

#[derive(Default, Deserialize)]
struct Attachment {
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
}

pub(super) fn read(bytes: &[u8]) -> serde_json::Result<Thread> {
    let whole: Conversation = serde_json::from_slice(bytes)?;
    let mut system_prompt = None;
    let nodes = whole
        .mapping
        .into_iter()
        .map(|(id, place)| Node {
            id,
            parent: place.parent,
            at: place.message.as_ref().and_then(|message| message.create_time),
            said: place.message.and_then(|message| said(message, &mut system_prompt)),
        })
        .collect();
    Ok(Thread {
        id: whole.conversation_id.or(whole.id),
        title: whole.title,
        created_at: whole.create_time,
        updated_at: whole.update_time,
        is_pinned: whole.is_starred,
        is_archived: whole.is_archived,
        system_prompt,
        nodes,
        leaf: whole.current_node,
        ..Thread::default()
    })
}

/// What a message shows, if it shows anything; what the system says goes before the conversation.
fn said(message: Message, system_prompt: &mut Option<String>) -> Option<Said> {
    let kind = message.content["content_type"].as_str().unwrap_or("text");
    // What users say of themselves, and what it remembers of them, is repeated in every conversation.
    let is_about_account = ["user_editable_context", "model_editable_context", "reasoning_recap"].contains(&kind);
    if is_about_account || message.metadata.is_visually_hidden_from_conversation {
        return None;
    }
    let mut files = Vec::new();
    let body = body(&message.content, &mut files);
    let speaker = match message.author.role.as_deref() {
        Some("user") => Speaker::User,
        Some("assistant") => Speaker::Model,
        Some("tool") => Speaker::Tool,
        _ => {
            if !body.trim().is_empty() {
                system_prompt.get_or_insert(body);
            }
            return None;
        }
    };
    let tool = message.recipient.filter(|recipient| recipient != "all");
    let mut said = Said::new(speaker, "");
    match tool {
        Some(name) if speaker == Speaker::Model => said.calls.list.push(Call {
            name,
            arguments: body.into(),
            result: None,
        }),
        _ if kind == "thoughts" => said.thoughts = thoughts(&message.content),
        _ if kind == "code" && speaker == Speaker::Model => {
            let language = message.content["language"]
                .as_str()
                .filter(|language| *language != "unknown");
            said.text = format!("```{}\n{body}\n```", language.unwrap_or_default());
        }
        _ => said.text = body,
    }
    said.model = message.metadata.model_slug;
    said.files = sent(message.metadata.attachments, files);
    Some(said)
}

/// The files of a message: those of the list, which have names, and those that stand among its parts only.
fn sent(listed: Vec<Attachment>, mut pointed: Vec<SentFile>) -> Vec<SentFile> {
    let named = listed.into_iter().filter_map(|file| {
        Some(SentFile {
            id: file.id.filter(|id| !id.is_empty()),
            ..SentFile::new(file.name?, None)
        })
    });
    let mut files: Vec<SentFile> = named.collect();
    let is_listed = |id: &str| {
        let mut known = files.iter().filter_map(|file| file.id.as_deref());
        known.any(|known| known_by(known) == known_by(id))
    };
    pointed.retain(|file| file.id.as_deref().map_or(files.is_empty(), |id| !is_listed(id)));
    files.append(&mut pointed);
    files
}

/// A picture or a recording among the parts: it has an address and no name.
fn pointed(part: &Value, name: &str) -> SentFile {
    let pointers = [&part["asset_pointer"], &part["audio_asset_pointer"]["asset_pointer"]];
    SentFile {
        id: pointers.into_iter().find_map(Value::as_str).map(str::to_owned),
        ..SentFile::new(name, None)
    }
}

/// The text of a message, of whichever kind.
fn body(content: &Value, files: &mut Vec<SentFile>) -> String {
    let Some(parts) = content["parts"].as_array() else {
        let fields = ["text", "result", "content", "summary"].into_iter();
        let mut texts = fields.filter_map(|field| content[field].as_str());
        return cleaned(texts.find(|text| !text.is_empty()).unwrap_or_default());
    };
    let mut texts = Vec::new();
    for part in parts {
        match (part.as_str(), part["content_type"].as_str()) {
            (Some(text), _) => texts.push(text),
            (None, Some("audio_transcription")) => texts.extend(part["text"].as_str()),
            (None, Some("image_asset_pointer")) => files.push(pointed(part, "picture")),
            (None, Some(kind)) if kind.contains("audio") => files.push(pointed(part, "recording")),
            (None, _) => texts.extend(part["text"].as_str()),
        }
    }
    cleaned(&texts.join("\n"))
}

fn thoughts(content: &Value) -> String {
    let thoughts = content["thoughts"].as_array().into_iter().flatten();
    let texts = thoughts.map(|thought| {
        let part = |name: &str| thought[name].as_str().unwrap_or_default();
        match (part("summary"), part("content")) {
            ("", content) => content.to_owned(),
            (summary, "") => format!("**{summary}**"),
            (summary, content) => format!("**{summary}**\n\n{content}"),
        }
    });
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// The text without the marks of citations, which point to pages that the export does not have: they stand between
/// two characters of Unicode's private area.
fn cleaned(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('\u{e200}') {
        let Some(length) = rest[start..].find('\u{e201}') else {
            break;
        };
        clean.push_str(&rest[..start]);
        rest = &rest[start + length + '\u{e201}'.len_utf8()..];
    }
    clean + rest
}
