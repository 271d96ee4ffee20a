//! A prompt in the form that OpenAI-compatible servers read.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

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
    /// Asks this model, and to end the stream with what it cost.
    pub(super) fn new(model: &'a str, prompt: &'a Prompt, length_field: LengthField) -> WireRequest<'a> {
        let (max_tokens, max_completion_tokens) = match length_field {
            LengthField::MaxTokens => (prompt.max_tokens, None),
            LengthField::MaxCompletionTokens => (None, prompt.max_tokens),
        };
        let message = |message: &'a PromptMessage| WireMessage {
            role: wire_role(message.role),
            content: content(message, sees(model)),
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

/// A message's text, and its pictures or a line about each that the model cannot have.
fn content(message: &PromptMessage, model_sees: bool) -> Content<'_> {
    let mut text = Cow::Borrowed(message.content.as_str());
    let mut parts = Vec::new();
    for image in &message.images {
        match model_sees.then(|| data_url(image)).flatten() {
            Some(url) => parts.push(Part::ImageUrl {
                image_url: ImageUrl { url },
            }),
            None => {
                let gap = if text.is_empty() { "" } else { "\n\n" };
                *text.to_mut() += &format!("{gap}[An image was attached: {}. You cannot see it.]", image.filename);
            }
        }
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
    let mut url = format!("data:{};base64,", image.media_type);
    STANDARD.encode_string((image.fetch)()?, &mut url);
    Some(url)
}

fn wire_role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(model: &str, text: &str, bytes: Option<&'static [u8]>, content: &serde_json::Value) {
        let image = Image {
            filename: "a.png".to_owned(),
            media_type: "image/png".to_owned(),
            fetch: Arc::new(move || bytes.map(<[u8]>::to_vec)),
        };
        let message = PromptMessage {
            role: Role::User,
            content: text.to_owned(),
            images: vec![image],
        };
        let prompt = Prompt {
            model: model.to_owned(),
            messages: vec![message],
            temperature: None,
            max_tokens: None,
            library: None,
        };
        let request = WireRequest::new(model, &prompt, LengthField::MaxTokens);
        let wire = serde_json::to_value(&request).unwrap();
        assert_eq!(&wire["messages"][0]["content"], content);
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
