//! Models: which one answers, and how it is asked.
//!
//! Owns the registry and one file per upstream protocol, and is the only place that names ureq. A call blocks its
//! thread until the reply is complete; [`Stop`] ends it from any other. Knows no conversations, users or prices.

mod address;
mod agent;
mod answer;
mod anthropic;
mod api_key;
mod calls;
mod config;
mod data_url;
mod dial;
mod discovery;
mod echo;
mod enclosed;
mod failure;
#[cfg(test)]
mod fake_upstream;
mod fallback;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod library;
mod link;
mod listed;
mod member;
mod openai;
mod outlet;
mod presets;
mod registry;
mod request;
mod retry;
mod room;
mod sse;
mod stop;
mod think;
mod transport;
mod vision;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

pub use api_key::ApiKey;
pub use config::{ALIAS_MODELS_MAX, Alias, Discovery, ModelsConfig, NamedProvider, Origin, ProviderConfig, check_name};
pub use data_url::read_data_url;
pub use echo::ECHO;
pub use failure::{Failure, FailureKind, Ran};
pub use library::{LIBRARY, quoted};
pub use member::{ProviderStatus, State};
pub use openai::embeddings_usage;
pub use presets::{KeySetting, PRESETS, Preset, Protocol, preset};
pub use registry::{Choice, Registry, StoredModels, UnknownModel};
pub use stop::Stop;

/// Who speaks in a message of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions to the model.
    System,
    /// The user.
    User,
    /// The model, earlier.
    Assistant,
    /// What a tool answered to a call of the model's.
    Tool,
}

/// A call of a tool by a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Which call it is, in the provider's word; a tool's answer names it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What the tool is called with: a JSON object as text, as the model wrote it.
    pub arguments: String,
}

/// One message of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said, as plain text.
    pub content: String,
    /// The pictures that go with it.
    pub images: Vec<Image>,
    /// The documents that go with it.
    pub documents: Vec<Document>,
    /// The tools that the model called in it.
    pub tool_calls: Vec<ToolCall>,
    /// The call that it answers, if a tool speaks.
    pub tool_call_id: Option<String>,
}

impl PromptMessage {
    /// Nothing but words.
    pub fn text(role: Role, content: impl Into<String>) -> PromptMessage {
        PromptMessage {
            role,
            content: content.into(),
            images: Vec::new(),
            documents: Vec::new(),
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }
}

/// Gets a picture's bytes; none when they are gone, or are no picture.
pub type Fetch = Arc<dyn Fn() -> Option<Vec<u8>> + Send + Sync>;

/// A picture. Its bytes are fetched when a model that sees is asked, and not kept: a prompt lives as long as its reply
/// is written, and there may be hundreds.
#[derive(Clone)]
pub struct Image {
    /// What the user calls it.
    pub filename: String,
    /// PNG, JPEG, GIF or WebP.
    pub media_type: String,
    /// How many bytes it has.
    pub size: u64,
    /// Its bytes.
    pub fetch: Fetch,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.filename, self.media_type)
    }
}

impl PartialEq for Image {
    fn eq(&self, other: &Image) -> bool {
        (&self.filename, &self.media_type) == (&other.filename, &other.media_type)
    }
}

impl Eq for Image {}

/// A document that some models read as a file and all others as a text.
#[derive(Clone)]
pub struct Document {
    /// What the user calls it.
    pub filename: String,
    /// `application/pdf`.
    pub media_type: String,
    /// How many bytes it has.
    pub size: u64,
    /// What is added to the message for a model that does not get the file.
    pub text: String,
    /// Its bytes, fetched as those of an [`Image`] are.
    pub fetch: Fetch,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.filename, self.media_type)
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Document) -> bool {
        (&self.filename, &self.media_type, &self.text) == (&other.filename, &other.media_type, &other.text)
    }
}

impl Eq for Document {}

/// Everything a model is asked with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// The model's id as its provider knows it: [`Choice::model`], unchanged.
    pub model: String,
    /// The conversation so far, oldest first.
    pub messages: Vec<PromptMessage>,
    /// The sampling temperature; the provider's default if absent.
    pub temperature: Option<f64>,
    /// The most tokens the reply may have; the provider's default if absent.
    pub max_tokens: Option<u32>,
    /// What was looked up in the user's documents, for providers that quote them.
    pub library: Option<Library>,
    /// The tools it may call, each in the form of OpenAI's chat completions.
    pub tools: Vec<Value>,
    /// What else the model is asked with (`stop`, `seed`, `top_p`, `tool_choice`, `response_format` …), by OpenAI's names.
    /// Passed on as it is where the provider speaks that protocol, and translated or left out elsewhere.
    pub options: Map<String, Value>,
}

/// What was looked up in the user's documents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Library {
    /// How many documents there are.
    pub documents: u64,
    /// What they say about the question, best first.
    pub passages: Vec<Passage>,
}

/// A passage of one of the user's documents.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// The document's UUID.
    pub document_id: String,
    /// Its place among the document's passages, from 0.
    pub position: i64,
    /// The document's title.
    pub title: String,
    /// Who wrote it.
    pub author: Option<String>,
    /// The headings it stands under.
    pub heading: Option<String>,
    /// The passage.
    pub text: String,
    /// How well it answers; comparable within one prompt only.
    pub score: f64,
}

/// A piece of a reply as it arrives; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta<'a> {
    /// A piece of the reply's text.
    Text(&'a str),
    /// A piece of what the model thinks before it replies, where it shows that.
    Reasoning(&'a str),
    /// A call of a tool, once it is whole.
    Tool(&'a ToolCall),
}

impl Delta<'_> {
    /// How many characters the model has written for it.
    pub fn chars(&self) -> u64 {
        let text = match self {
            Delta::Text(piece) | Delta::Reasoning(piece) => piece,
            Delta::Tool(call) => call.arguments.as_str(),
        };
        text.chars().count() as u64
    }
}

/// What a reply cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, the cached ones included.
    pub input_tokens: u64,
    /// Tokens of the reply, reasoning included.
    pub output_tokens: u64,
    /// Tokens of the prompt that the provider had cached.
    pub cached_tokens: u64,
    /// Whether the numbers are our guess because the provider gave none.
    pub estimated: bool,
}

impl Usage {
    /// What a reply to this prompt costs, if nobody says it.
    pub fn estimate(prompt: &Prompt, reply_chars: u64) -> Usage {
        let prompt_chars = prompt
            .messages
            .iter()
            .flat_map(|message| {
                let documents = message.documents.iter().map(|document| document.text.as_str());
                documents.chain([message.content.as_str()])
            })
            .map(|text| text.chars().count() as u64)
            .sum::<u64>();
        Usage::guess(prompt_chars, reply_chars)
    }

    /// Four characters to a token, rounded up: OpenAI's rule of thumb for English.
    pub fn guess(prompt_chars: u64, reply_chars: u64) -> Usage {
        Usage {
            input_tokens: prompt_chars.div_ceil(4),
            output_tokens: reply_chars.div_ceil(4),
            cached_tokens: 0,
            estimated: true,
        }
    }
}

/// How a complete reply ended. The text itself has gone to the caller piece by piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The name of the provider that ran it, which is not the asked one's where that tries several.
    pub provider: String,
    /// The id of the model that ran, by the name it was asked under.
    pub model: String,
    /// Why the reply ended, in OpenAI's word where it has one (`stop`, `length`, `tool_calls`), else in the provider's, at
    /// most 64 characters.
    pub finish_reason: Option<String>,
    /// What it cost.
    pub usage: Usage,
}

/// Something that answers prompts.
pub trait Provider: Send + Sync {
    /// Its name in `provider/id`: `echo`, `openai`, `groq`.
    fn name(&self) -> &str;

    /// Whether it answers without waiting for anything, so that the asking thread may simply call it.
    fn instant(&self) -> bool;

    /// Whether it answers from [`Prompt::library`], which must then be there.
    fn quotes_library(&self) -> bool {
        false
    }

    /// Blocks until the reply is complete; its pieces go to `on_delta` as they come. What has been delivered before
    /// a [`Failure`] is valid text.
    fn complete(
        &self,
        prompt: &Prompt,
        stop: &Stop,
        on_delta: &mut dyn FnMut(Delta<'_>),
    ) -> Result<Completion, Failure>;

    /// Blocks until texts are turned into vectors. Question and answer are those of OpenAI's `/embeddings`; `model` is
    /// the id as this provider knows it. With the answer comes what it cost.
    fn embed(&self, _body: &Map<String, Value>, _stop: &Stop) -> Result<(Value, Completion), Failure> {
        let message = format!("{} does not make embeddings", self.name());
        Err(Failure::new(FailureKind::UnknownModel, message))
    }
}

/// How long a model's server may take. A server that is silent is given up; one that is slow is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To look up its name, and again to connect and agree on TLS. A machine that is there answers within a second.
    pub connect: Duration,
    /// From the whole request to the whole head of the answer; also bounded by `between_bytes`.
    pub first_byte: Duration,
    /// Between two pieces of the answer. Models that think in silence rarely do so for longer.
    pub between_bytes: Duration,
    /// For everything together: without it a server that sends a byte now and then would keep its thread for good.
    pub whole: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(60),
            between_bytes: Duration::from_secs(60),
            whole: Duration::from_secs(30 * 60),
        }
    }
}
