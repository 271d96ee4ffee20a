//! One reply as it arrives: chat completion chunks in, deltas out, and how it ended.
//!
//! Owns OpenAI's wire form of an answer, streamed or whole. Knows nothing of connections.

use std::fmt;

use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::calls::{Calls, Function, Piece};
use super::failure::Failure;
use super::link::Listener;
use super::outlet::{Counted, Outlet, finish_reason};
use super::think::Think;
use super::{Completion, Delta, Prompt};

/// A chunk of a stream, or a whole answer: they differ in `delta` and `message`.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Part>>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

/// Some servers send both in a stream, the message being all of it so far.
#[derive(Deserialize)]
struct Part {
    delta: Option<Content>,
    message: Option<Box<Content>>,
    finish_reason: Option<String>,
}

/// Servers that show the model's reasoning call it one or the other, and some send it under both names.
#[derive(Deserialize)]
struct Content {
    content: Option<Text>,
    reasoning_content: Option<Text>,
    reasoning: Option<Text>,
    /// What OpenAI's models say in place of an answer in a form that was asked for.
    refusal: Option<Text>,
    tool_calls: Option<Vec<Piece>>,
    /// The older form of one call.
    function_call: Option<Box<Function>>,
}

/// Text, parts of it, or something newer that is not shown.
enum Text {
    Plain(String),
    Parts(Vec<AnyPart>),
    Other,
}

/// A part, or something newer.
#[derive(Deserialize)]
#[serde(untagged)]
enum AnyPart {
    Known(TextPart),
    Other(IgnoredAny),
}

/// As Mistral's models that reason send it. <https://docs.mistral.ai/capabilities/reasoning/>
#[derive(Deserialize)]
struct TextPart {
    text: Option<String>,
    thinking: Option<Box<Text>>,
}

/// By hand, because each token comes as one: what `serde(untagged)` derives keeps a copy until it knows what it is.
impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text::Plain(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Text, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(parts)).map(Text::Parts)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
        IgnoredAny.visit_map(map).map(|_| Text::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
        Ok(Text::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
        Ok(Text::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
        Ok(Text::Other)
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text::Other)
    }
}

#[derive(Clone, Copy, Deserialize)]
struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    /// DeepSeek's word for the cached ones.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

impl From<WireUsage> for Counted {
    fn from(usage: WireUsage) -> Counted {
        let details = usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
        Counted {
            input: usage.prompt_tokens.unwrap_or(0),
            output: usage.completion_tokens.unwrap_or(0),
            cached: details.or(usage.prompt_cache_hit_tokens).unwrap_or(0),
        }
    }
}

/// A reply under way.
pub(super) struct Answer<'a> {
    outlet: Outlet<'a>,
    think: Think,
    calls: Calls,
    finish_reason: Option<String>,
    usage: Option<WireUsage>,
    complete: bool,
}

impl<'a> Answer<'a> {
    pub(super) fn new(outlet: Outlet<'a>) -> Answer<'a> {
        Answer {
            outlet,
            think: Think::default(),
            calls: Calls::default(),
            finish_reason: None,
            usage: None,
            complete: false,
        }
    }

    /// The end of the answer, read to its end or not.
    pub(super) fn finish(mut self, read: Result<(), Failure>, prompt: &Prompt) -> Result<Completion, Failure> {
        // What has come is delivered whatever became of the rest; a call of a tool only if it is whole.
        let flushed = self.think.end(&mut |delta| self.outlet.say(delta));
        read.and(flushed)?;
        if !self.complete && self.finish_reason.is_none() {
            return Err(self.outlet.reporter.broken("was cut off before the end of its answer"));
        }
        self.calls.end(&mut self.outlet)?;
        let counted = self.usage.map(Counted::from);
        Ok(Completion {
            finish_reason: self.finish_reason.as_deref().map(finish_reason),
            ..self.outlet.completion(prompt, counted)
        })
    }

    fn parse(&self, json: &[u8]) -> Result<Chunk, Failure> {
        serde_json::from_slice(json).map_err(|_| self.outlet.reporter.broken("sent malformed JSON"))
    }

    fn take(&mut self, chunk: Chunk) -> Result<(), Failure> {
        if let Some(error) = chunk.error {
            let error = serde_json::json!({ "error": error });
            return Err(self.outlet.reporter.error_object(&error));
        }
        // Some servers count from nothing in every chunk.
        let counted = chunk
            .usage
            .filter(|usage| usage.prompt_tokens.is_some_and(|tokens| tokens > 0));
        self.usage = counted.or(self.usage);
        // Only one reply was asked for.
        let Some(part) = chunk.choices.unwrap_or_default().into_iter().next() else {
            return Ok(());
        };
        if let Some(content) = part.delta.or_else(|| part.message.map(|message| *message)) {
            self.deliver(content)?;
        }
        if part.finish_reason.is_some() {
            self.finish_reason = part.finish_reason;
            self.calls.end(&mut self.outlet)?;
        }
        Ok(())
    }

    fn deliver(&mut self, content: Content) -> Result<(), Failure> {
        if let Some(text) = content.reasoning_content.or(content.reasoning) {
            self.reason(text)?;
        }
        for text in content.content.into_iter().chain(content.refusal) {
            self.speak(text)?;
        }
        let older = content.function_call.map(|function| Piece::from(*function));
        for piece in content.tool_calls.into_iter().flatten().chain(older) {
            self.calls.take(piece, &mut self.outlet)?;
        }
        Ok(())
    }

    fn speak(&mut self, text: Text) -> Result<(), Failure> {
        match text {
            Text::Plain(text) => self.think.take(&text, &mut |delta| self.outlet.say(delta)),
            Text::Parts(parts) => known(parts).try_for_each(|part| {
                part.thinking.map_or(Ok(()), |thought| self.reason(*thought))?;
                part.text.map_or(Ok(()), |text| self.speak(Text::Plain(text)))
            }),
            Text::Other => Ok(()),
        }
    }

    fn reason(&mut self, text: Text) -> Result<(), Failure> {
        match text {
            Text::Plain(text) => self.outlet.say(Delta::Reasoning(&text)),
            Text::Parts(parts) => known(parts)
                .filter_map(|part| part.text)
                .try_for_each(|text| self.reason(Text::Plain(text))),
            Text::Other => Ok(()),
        }
    }
}

/// Those parts that are known.
fn known(parts: Vec<AnyPart>) -> impl Iterator<Item = TextPart> {
    parts.into_iter().filter_map(|part| match part {
        AnyPart::Known(part) => Some(part),
        AnyPart::Other(_) => None,
    })
}

impl Listener for Answer<'_> {
    fn whole(&mut self, body: &[u8]) -> Result<(), Failure> {
        let chunk = self.parse(body)?;
        if chunk.error.is_none() && chunk.choices.as_ref().is_none_or(Vec::is_empty) {
            return Err(self.outlet.reporter.broken("sent an answer without a reply in it"));
        }
        self.complete = true;
        self.take(chunk)
    }

    fn event(&mut self, data: &str) -> Result<(), Failure> {
        if data.trim() == "[DONE]" {
            self.complete = true;
            return Ok(());
        }
        if self.complete || data.trim().is_empty() {
            return Ok(());
        }
        let chunk = self.parse(data.as_bytes())?;
        self.take(chunk)
    }

    fn is_complete(&self) -> bool {
        self.complete
    }
}
