//! A prompt in the form that OpenAI-compatible servers read.

use std::borrow::Cow;
use std::sync::Arc;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::enclosed::{Enclosed, File, Packer};
use super::room::{Held, Room};
use super::vision::sees;
use super::{Prompt, PromptMessage, Role, ToolCall};

pub(super) use super::enclosed::Files;

/// What options never say, because the request does: only one reply, streamed, from this model to these messages.
const OWN_FIELDS: [&str; 8] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "n",
];

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
    pub(super) prompt: &'a Prompt,
    pub(super) length_field: LengthField,
    /// What the server does with documents, if the model sees.
    pub(super) files: Files,
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
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    tools: &'a [Value],
    #[serde(flatten)]
    options: Options<'a>,
    /// The room that its files take.
    #[serde(skip)]
    held: Vec<Held>,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    /// Null for a model that only called tools.
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
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
    File { file: WireFile<'a> },
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

#[derive(Serialize)]
struct WireFile<'a> {
    filename: &'a str,
    file_data: String,
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: WireFunction<'a>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// Options as they are, without those that the request states itself.
struct Options<'a> {
    options: &'a Map<String, Value>,
    /// The request has tools of its own.
    has_tools: bool,
}

impl Serialize for Options<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.options {
            let is_own = OWN_FIELDS.contains(&name.as_str()) || (self.has_tools && name == "tools");
            if !is_own {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

impl<'a> WireRequest<'a> {
    /// Asks this, and to end the stream with what it cost. Its files are those for which there is room.
    pub(super) fn new(question: &Question<'a>, room: &Arc<Room>) -> WireRequest<'a> {
        let &Question {
            prompt,
            length_field,
            files,
        } = question;
        let (max_tokens, max_completion_tokens) = match length_field {
            LengthField::MaxTokens => (prompt.max_tokens, None),
            LengthField::MaxCompletionTokens => (None, prompt.max_tokens),
        };
        let sees = sees(&prompt.model);
        let mut packer = Packer {
            room,
            picture_bytes_max: sees.then_some(u64::MAX),
            documents: if sees { files } else { Files::AsText },
            prefix: |media_type| format!("data:{media_type};base64,"),
            held: Vec::new(),
        };
        WireRequest {
            model: &prompt.model,
            messages: prompt
                .messages
                .iter()
                .map(|message| WireMessage::new(message, packer.pack(message)))
                .collect(),
            stream: true,
            stream_options: Some(StreamOptions { include_usage: true }),
            temperature: prompt.temperature,
            max_tokens,
            max_completion_tokens,
            tools: &prompt.tools,
            options: Options {
                options: &prompt.options,
                has_tools: !prompt.tools.is_empty(),
            },
            held: packer.held,
        }
    }

    /// Lets go of everything but the room that its files take.
    pub(super) fn into_held(self) -> Vec<Held> {
        self.held
    }

    /// Leaves `stream_options` out, which some servers refuse.
    pub(super) fn drop_stream_options(&mut self) {
        self.stream_options = None;
    }
}

impl<'a> WireMessage<'a> {
    fn new(message: &'a PromptMessage, enclosed: Enclosed<'a>) -> WireMessage<'a> {
        let tool_calls: Vec<WireCall<'a>> = message.tool_calls.iter().map(WireCall::from).collect();
        let content = content(enclosed);
        let says_nothing = matches!(&content, Content::Text(text) if text.is_empty());
        WireMessage {
            role: wire_role(message.role),
            content: (tool_calls.is_empty() || !says_nothing).then_some(content),
            tool_calls,
            tool_call_id: message.tool_call_id.as_deref(),
        }
    }
}

impl<'a> From<&'a ToolCall> for WireCall<'a> {
    fn from(call: &'a ToolCall) -> WireCall<'a> {
        WireCall {
            id: &call.id,
            r#type: "function",
            function: WireFunction {
                name: &call.name,
                arguments: &call.arguments,
            },
        }
    }
}

fn content(enclosed: Enclosed<'_>) -> Content<'_> {
    let Enclosed {
        text,
        pictures,
        documents,
    } = enclosed;
    if pictures.is_empty() && documents.is_empty() {
        return Content::Text(text);
    }
    // Some servers refuse a part without text.
    let text = Some(text)
        .filter(|text| !text.is_empty())
        .map(|text| Part::Text { text });
    let picture = |file: File<'_>| Part::ImageUrl {
        image_url: ImageUrl { url: file.data },
    };
    let pictures = pictures.into_iter().map(picture);
    let documents = documents.into_iter().map(|file| Part::File {
        file: WireFile {
            filename: file.filename,
            file_data: file.data,
        },
    });
    Content::Parts(text.into_iter().chain(pictures).chain(documents).collect())
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
    use serde_json::json;

    use super::super::{Document, Image};
    use super::*;

    fn prompt(model: &str, text: &str, bytes: Option<&'static [u8]>) -> Prompt {
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
            model: model.to_owned(),
            messages: vec![message],
            ..Prompt::default()
        }
    }

    fn request<'a>(prompt: &'a Prompt, room: &Arc<Room>) -> WireRequest<'a> {
        let question = Question {
            prompt,
            length_field: LengthField::MaxTokens,
            files: Files::Native,
        };
        WireRequest::new(&question, room)
    }

    /// The content of its message.
    fn wire(request: &WireRequest<'_>) -> Value {
        serde_json::to_value(request).unwrap()["messages"][0]["content"].clone()
    }

    #[track_caller]
    fn check(model: &str, text: &str, bytes: Option<&'static [u8]>, content: &Value) {
        let (room, prompt) = (Arc::new(Room::of(3)), prompt(model, text, bytes));
        assert_eq!(&wire(&request(&prompt, &room)), content);
        assert_eq!(room.left(), 3);
    }

    #[test]
    fn pictures_have_room_together() {
        let (room, prompt) = (Arc::new(Room::of(8)), prompt("gpt-4.1-nano", "", Some(b"PNG")));
        let ask = || request(&prompt, &room);
        let in_flight = [ask().into_held(), ask().into_held()];
        let line = "[An image was attached: a.png. There is no room to show it now.]";
        assert_eq!(wire(&ask()), line);
        // Who sees nothing takes no room.
        let blind = self::prompt("echo", "", Some(b"PNG"));
        assert!(request(&blind, &room).into_held().is_empty());
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

    #[test]
    fn a_document_is_a_file_or_its_text() {
        let document = Document {
            filename: "a.pdf".to_owned(),
            media_type: "application/pdf".to_owned(),
            size: 3,
            text: "\n\n<attachment>\nPlan\n</attachment>".to_owned(),
            fetch: Arc::new(|| Some(b"PDF".to_vec())),
        };
        let mut prompt = prompt("gpt-4o", "Read it.", None);
        prompt.messages[0].images.clear();
        prompt.messages[0].documents.push(document);
        let native = json!([
            {"type": "text", "text": "Read it."},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,UERG"}}
        ]);
        let text = json!("Read it.\n\n<attachment>\nPlan\n</attachment>");
        let room = Arc::new(Room::of(3));
        let taken = request(&prompt, &room);
        assert_eq!(wire(&taken), native);
        // There is no room for a second one, and who does not see reads no files.
        assert_eq!(wire(&request(&prompt, &room)), text);
        drop(taken);
        let blind = Prompt {
            model: "gpt-3.5-turbo".to_owned(),
            ..prompt.clone()
        };
        assert_eq!(wire(&request(&blind, &room)), text);
        let question = Question {
            prompt: &prompt,
            length_field: LengthField::MaxTokens,
            files: Files::AsText,
        };
        assert_eq!(wire(&WireRequest::new(&question, &room)), text);
        assert_eq!(room.left(), 3);
    }

    #[test]
    fn tools_their_calls_and_answers_and_options() {
        let call = ToolCall {
            id: "c1".to_owned(),
            name: "add".to_owned(),
            arguments: r#"{"a": 1}"#.to_owned(),
        };
        let called = PromptMessage {
            tool_calls: vec![call],
            ..PromptMessage::text(Role::Assistant, "")
        };
        let answered = PromptMessage {
            tool_call_id: Some("c1".to_owned()),
            ..PromptMessage::text(Role::Tool, "3")
        };
        let tool = json!({"type": "function", "function": {"name": "add", "parameters": {}}});
        let options = json!({
            "stop": ["x"], "seed": 7, "tool_choice": "auto", "model": "other", "messages": [], "stream": false, "n": 9,
            "stream_options": null, "max_tokens": 1, "temperature": 2, "tools": []
        });
        let prompt = Prompt {
            model: "m".to_owned(),
            messages: vec![called, answered],
            tools: vec![tool.clone()],
            options: options.as_object().unwrap().clone(),
            ..Prompt::default()
        };
        let request = serde_json::to_value(request(&prompt, &Arc::default())).unwrap();
        let function = json!({"name": "add", "arguments": "{\"a\": 1}"});
        let wanted = json!({
            "model": "m",
            "messages": [
                {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
                {"role": "tool", "content": "3", "tool_call_id": "c1"}
            ],
            "stream": true,
            "stream_options": {"include_usage": true},
            "tools": [tool],
            "stop": ["x"],
            "seed": 7,
            "tool_choice": "auto"
        });
        assert_eq!(request, wanted);
    }
}
