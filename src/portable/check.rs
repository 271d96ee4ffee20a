//! What of a document is fit to be stored: the limits that the API sets to what clients write hold for files too.

use std::collections::HashSet;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::clock::Moment;
use crate::limits::{
    FILES_MAX, NAME_CHARS_MAX, PROMPT_CHARS_MAX, QUESTION_BYTES_MAX, REPLY_BYTES_MAX, REPLY_TOKENS, SETTINGS_BYTES_MAX,
    TAG_CHARS_MAX, TAGS_MAX, TEMPERATURES,
};
use crate::store::{MESSAGES_MAX, PortableConversation, PortableMessage, SOURCES_MAX, Source};

/// Bytes of a conversation's texts: they are stored in one transaction, for which everybody else waits.
const CONVERSATION_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of the calls of one message.
const CALLS_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the sources of one message.
const SOURCES_BYTES_MAX: usize = 256 * 1024;

/// Characters of a summary, of an error, and of an address.
const LINE_CHARS_MAX: usize = 2048;

/// Characters of an id, and of a word that says of what kind something is.
const WORD_CHARS_MAX: usize = 64;

/// A UUID in the form that is stored.
pub(super) fn parse_uuid(text: &str) -> Option<String> {
    uuid::Uuid::try_parse(text)
        .ok()
        .map(|uuid| uuid.hyphenated().to_string())
}

/// A system prompt as it can be stored, or what is wrong with it.
pub(super) fn check_prompt(prompt: String) -> Result<String, &'static str> {
    require(
        fits(&prompt, PROMPT_CHARS_MAX),
        "A system prompt has more than 20 000 characters",
    )?;
    Ok(prompt)
}

/// A user's settings as they can be stored, if there are any, or what is wrong with them.
pub(super) fn check_settings(settings: &RawValue) -> Result<Option<String>, &'static str> {
    require(
        settings.get().len() <= SETTINGS_BYTES_MAX,
        "The settings have more than 64 KiB",
    )?;
    match serde_json::from_str(settings.get()) {
        Ok(settings @ Value::Object(_)) => Ok(Some(settings.to_string())),
        Ok(Value::Null) => Ok(None),
        Ok(_) | Err(_) => Err("The settings are no object, or too deep"),
    }
}

/// A conversation as it can be stored and the bytes of memory that it takes, or what is wrong with it.
pub(super) fn check(mut conversation: PortableConversation) -> Result<(PortableConversation, usize), &'static str> {
    require(
        conversation.messages.len() <= MESSAGES_MAX,
        "It has more than 20 000 messages",
    )?;
    check_choices(&mut conversation)?;
    conversation.uuid = parse_uuid(&conversation.uuid).ok_or("Its id is not a UUID")?;
    conversation.created_at = time(&conversation.created_at)?;
    conversation.updated_at = time(&conversation.updated_at)?;
    let (mut known, mut bytes) = (HashSet::new(), 0);
    for message in &mut conversation.messages {
        check_message(message)?;
        if let Some(parent) = &message.parent {
            let parent = parse_uuid(parent).filter(|parent| known.contains(parent));
            message.parent = Some(parent.ok_or("A message stands before the one it comes after")?);
        }
        require(
            known.insert(message.uuid.clone()),
            "Two of its messages have the same id",
        )?;
        bytes += bytes_of(message);
    }
    require(bytes <= CONVERSATION_BYTES_MAX, "Its messages have more than 64 MiB")?;
    conversation.leaf = match &conversation.leaf {
        Some(leaf) => {
            let leaf = parse_uuid(leaf).filter(|leaf| known.contains(leaf));
            Some(leaf.ok_or("Its newest message is not among its messages")?)
        }
        None => conversation.messages.last().map(|message| message.uuid.clone()),
    };
    bytes += conversation.messages.len() * size_of::<PortableMessage>();
    Ok((conversation, bytes))
}

/// Bytes of all that a message holds, but for what is short.
fn bytes_of(message: &PortableMessage) -> usize {
    let texts = [&message.reasoning, &message.model, &message.error, &message.summary];
    let texts = texts.into_iter().flatten().chain(&message.media_urls);
    message.content.len()
        + texts.map(String::len).sum::<usize>()
        + message.tool_calls.as_ref().map_or(0, |calls| calls.get().len())
        + message.sources.iter().map(Source::bytes).sum::<usize>()
}

/// What users choose for a conversation.
fn check_choices(conversation: &mut PortableConversation) -> Result<(), &'static str> {
    let is_short = |text: &Option<String>, chars| text.as_ref().is_none_or(|text| fits(text, chars));
    require(
        is_short(&conversation.title, NAME_CHARS_MAX),
        "Its title has more than 200 characters",
    )?;
    require(
        is_short(&conversation.model, NAME_CHARS_MAX),
        "Its model's name has more than 200 characters",
    )?;
    require(
        is_short(&conversation.summary, LINE_CHARS_MAX),
        "Its summary has more than 2048 characters",
    )?;
    require(
        is_short(&conversation.system_prompt, PROMPT_CHARS_MAX),
        "Its system prompt has more than 20 000 characters",
    )?;
    require(
        conversation
            .temperature
            .is_none_or(|value| TEMPERATURES.contains(&value)),
        "Its temperature is not from 0 to 2",
    )?;
    require(
        conversation
            .max_tokens
            .is_none_or(|value| REPLY_TOKENS.contains(&value)),
        "Its max_tokens is not from 1 to 1 000 000",
    )?;
    require(conversation.tags.len() <= TAGS_MAX, "It has more than 20 tags")?;
    for tag in &mut conversation.tags {
        *tag = tag.trim().to_owned();
        require(
            !tag.is_empty() && fits(tag, TAG_CHARS_MAX) && !tag.chars().any(char::is_control),
            "A tag is not of 1 to 50 characters, or holds control characters",
        )?;
    }
    Ok(())
}

/// A message for itself.
fn check_message(message: &mut PortableMessage) -> Result<(), &'static str> {
    message.uuid = parse_uuid(&message.uuid).ok_or("A message's id is not a UUID")?;
    message.created_at = time(&message.created_at)?;
    let states = ["complete", "streaming", "interrupted", "stopped", "failed"];
    require(
        states.contains(&message.state.as_str()) && ["sent", "delivered", "read"].contains(&message.status.as_str()),
        "A message has a state or status that does not exist",
    )?;
    let bytes_max = match message.role.as_str() {
        "user" => QUESTION_BYTES_MAX,
        "assistant" => REPLY_BYTES_MAX,
        _ => return Err("A message has a role that does not exist"),
    };
    let thoughts = message.reasoning.as_ref().map_or(0, String::len);
    require(
        message.content.len() <= bytes_max && thoughts <= REPLY_BYTES_MAX,
        "A message is too long: a user's has at most 1 MiB, a model's 8 MiB",
    )?;
    let words = [&message.kind, &message.importance_level];
    let ids = message.reply_to_id.iter();
    require(
        words.into_iter().chain(ids).all(|word| fits(word, WORD_CHARS_MAX)),
        "A message's type, importance or reply_to_id has more than 64 characters",
    )?;
    let lines = [&message.model, &message.error, &message.summary];
    let lines = lines.into_iter().flatten().chain(&message.media_urls);
    require(
        lines.into_iter().all(|line| fits(line, LINE_CHARS_MAX)),
        "A message's model, error, summary or media_urls have more than 2048 characters",
    )?;
    require(
        message.attachments.len() <= FILES_MAX && message.media_urls.len() <= FILES_MAX,
        "A message has more than 10 files",
    )?;
    for uuid in &mut message.attachments {
        *uuid = parse_uuid(uuid).ok_or("A file's id is not a UUID")?;
    }
    let sources_bytes: usize = message.sources.iter().map(Source::bytes).sum();
    require(
        message.sources.len() <= SOURCES_MAX && sources_bytes <= SOURCES_BYTES_MAX,
        "A message has more than 20 sources, or they have more than 256 KiB",
    )?;
    let calls = message.tool_calls.as_deref().map(RawValue::get);
    require(
        calls.is_none_or(|calls| calls.len() <= CALLS_BYTES_MAX && serde_json::from_str::<Value>(calls).is_ok()),
        "A message's tool_calls have more than 1 MiB, or are too deep",
    )
}

fn fits(text: &str, chars: usize) -> bool {
    text.chars().nth(chars).is_none()
}

fn require(holds: bool, reason: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(reason) }
}

fn time(text: &str) -> Result<String, &'static str> {
    let moment = Moment::parse(text).ok_or("A time is not in RFC 3339")?;
    Ok(moment.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What waits to be stored is bounded by what it takes, whatever it consists of.
    #[test]
    fn all_that_a_message_holds_counts() {
        let bytes = |field: &str| {
            let text = format!(
                "{{\"uuid\": \"0f8fad5b-d9cb-469f-a165-70867728950e\", \"created_at\": \"2026-01-01T00:00:00Z\", \
                 \"updated_at\": \"2026-01-01T00:00:00Z\", \"messages\": [{{\"uuid\": \
                 \"0f8fad5b-d9cb-469f-a165-70867728950f\", \"role\": \"assistant\", \"content\": \"\", \"created_at\": \
                 \"2026-01-01T00:00:00Z\"{field}}}]}}"
            );
            check(serde_json::from_str(&text).unwrap()).unwrap().1
        };
        let long = "x".repeat(500_000);
        for field in [
            format!(", \"reasoning\": \"{long}\""),
            format!(", \"tool_calls\": [{{\"name\": \"f\", \"arguments\": {{}}, \"result\": \"{long}\"}}]"),
        ] {
            assert!(bytes(&field) >= bytes("") + long.len(), "{} bytes", bytes(&field));
        }
    }
}
