//! A prompt in the form that OpenAI-compatible servers read.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::room::{Held, Room};
use super::vision::sees;
use super::{Image, Prompt, PromptMessage, Role};

/// How a server wants to be told the most tokens a reply may have.
#[derive(Clone, Copy, Debug)]
pub(super) enum LengthField {
    /// `max_tokens`, which everyone but OpenAI understands.
    MaxTokens,
    /// `max_completion_tokens`, the only one that OpenAI's newer models take.
    MaxCompletionTokens,
}

/// What a server is asked.
pub(super) struct Question<'a> {
    pub(super) model: &'a str,
    pub(super) prompt: &'a Prompt,
    pub(super) length_field: LengthField,
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
    /// The room that its pictures take.
    #[serde(skip)]
    held: Vec<Held>,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Content<'a>,
}

/// A text alone stays a string: servers of less renown know no parts.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> WireRequest<'a> {
    /// Asks this, and to end the stream with what it cost. Its pictures are those for which there is room.
    pub(super) fn new(question: &Question<'a>, pictures: &Arc<Room>) -> WireRequest<'a> {
        let &Question {
            model,
            prompt,
            length_field,
        } = question;
        let (max_tokens, max_completion_tokens) = match length_field {
            LengthField::MaxTokens => (prompt.max_tokens, None),
            LengthField::MaxCompletionTokens => (None, prompt.max_tokens),
        };
        let mut held = Vec::new();
        let room = sees(model).then_some(pictures);
        let message = |message: &'a PromptMessage| WireMessage {
            role: wire_role(message.role),
            content: content(message, room, &mut held),
        };
        WireRequest {
            model,
            messages: prompt.messages.iter().map(message).collect(),
            stream: true,
            stream_options: Some(StreamOptions { include_usage: true }),
            temperature: prompt.temperature,
            max_tokens,
            max_completion_tokens,
            held,
        }
    }

    /// Lets go of everything but the room that its pictures take.
    pub(super) fn into_held(self) -> Vec<Held> {
        self.held
    }

    /// Leaves `stream_options` out, which some servers refuse.
    pub(super) fn drop_stream_options(&mut self) {
        self.stream_options = None;
    }
}

/// A message's text, and its pictures or a line about each that the model cannot have. Without a room there are none.
fn content<'a>(message: &'a PromptMessage, room: Option<&Arc<Room>>, held: &mut Vec<Held>) -> Content<'a> {
    let mut text = Cow::Borrowed(message.content.as_str());
    let mut parts = Vec::new();
    for image in &message.images {
        let why = match room.map(|room| room.take(image.size)) {
            Some(None) => "There is no room to show it now.",
            Some(Some(taken)) => match data_url(image) {
                Some(url) => {
                    held.push(taken);
                    let image_url = ImageUrl { url };
                    parts.push(Part::ImageUrl { image_url });
                    continue;
                }
                None => "You cannot see it.",
            },
            None => "You cannot see it.",
        };
        let gap = if text.is_empty() { "" } else { "\n\n" };
        *text.to_mut() += &format!("{gap}[An image was attached: {}. {why}]", image.filename);
    }
    if parts.is_empty() {
        return Content::Text(text);
    }
    // Some servers refuse a part without text.
    if !text.is_empty() {
        parts.insert(0, Part::Text { text });
    }
    Content::Parts(parts)
}

fn data_url(image: &Image) -> Option<String> {
    let bytes = (image.fetch)()?;
    let start = format!("data:{};base64,", image.media_type);
    // Of a known length, so that it does not grow to twice its size.
    let mut url = String::with_capacity(start.len() + bytes.len().div_ceil(3) * 4);
    url += &start;
    STANDARD.encode_string(bytes, &mut url);
    Some(url)
}

fn wire_role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn prompt(text: &str, bytes: Option<&'static [u8]>) -> Prompt {
        let image = Image {
            filename: "a.png".to_owned(),
            media_type: "image/png".to_owned(),
            size: 3,
            fetch: Arc::new(move || bytes.map(<[u8]>::to_vec)),
        };
        let message = PromptMessage {
            images: vec![image],
            ..PromptMessage::text(Role::User, text)
        };
        Prompt {
            messages: vec![message],
            ..Prompt::default()
        }
    }

    fn request<'a>(model: &'a str, prompt: &'a Prompt, room: &Arc<Room>) -> WireRequest<'a> {
        let question = Question {
            model,
            prompt,
            length_field: LengthField::MaxTokens,
        };
        WireRequest::new(&question, room)
    }

    /// The content of its message.
    fn wire(request: &WireRequest<'_>) -> Value {
        serde_json::to_value(request).unwrap()["messages"][0]["content"].clone()
    }

    #[track_caller]
    fn check(model: &str, text: &str, bytes: Option<&'static [u8]>, content: &Value) {
        let (room, prompt) = (Arc::new(Room::of(3)), prompt(text, bytes));
        assert_eq!(&wire(&request(model, &prompt, &room)), content);
        assert_eq!(room.left(), 3);
    }

    #[test]
    fn pictures_have_room_together() {
        let (room, prompt) = (Arc::new(Room::of(8)), prompt("", Some(b"PNG")));
        let ask = || request("gpt-4.1-nano", &prompt, &room);
        let in_flight = [ask().into_held(), ask().into_held()];
        let line = "[An image was attached: a.png. There is no room to show it now.]";
        assert_eq!(wire(&ask()), line);
        // Who sees nothing takes no room.
        assert!(request("echo", &prompt, &room).into_held().is_empty());
        drop(in_flight);
        assert_eq!(wire(&ask())[0]["type"], "image_url");
        assert_eq!(room.left(), 8);
    }

    #[test]
    fn pictures_are_for_those_who_see() {
        let blind = json!("What is it?\n\n[An image was attached: a.png. You cannot see it.]");
        check(
            "gpt-4.1-nano",
            "What is it?",
            Some(b"PNG"),
            &json!([
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,UE5H"}}
            ]),
        );
        check("gpt-4.1-nano", "What is it?", None, &blind);
        check("llama-3.1-8b-instant", "What is it?", Some(b"PNG"), &blind);
    }

    #[test]
    fn pictures_need_no_words() {
        let part = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,UE5H"}}]);
        check("gpt-4.1-nano", "", Some(b"PNG"), &part);
        let blind = json!("[An image was attached: a.png. You cannot see it.]");
        check("llama-3.1-8b-instant", "", Some(b"PNG"), &blind);
    }
}
