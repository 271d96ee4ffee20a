//! Any server that speaks OpenAI's chat completions: OpenAI, Groq, OpenRouter, Ollama, llama.cpp, vLLM, LM Studio.
//!
//! Owns the exchange; the forms of the question and of the answer are in `request` and `answer`, the way to the server
//! in `link`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use serde_json::{Map, Value};
use ureq::Body;
use ureq::http::Response;

use super::answer::Answer;
use super::failure::Failure;
use super::link::{KeyForm, Link, Refusal, WHOLE_BYTES_MAX, media_type};
use super::outlet::{Counted, Outlet};
use super::request::{Files, LengthField, Question, WireRequest};
use super::room::Room;
use super::transport::{Call, Current};
use super::{Completion, Delta, Prompt, Provider, Stop, Usage};
use crate::error::Error;

pub(super) use super::link::Server;

/// OpenRouter lists some 400 models in half of this.
pub(super) const LIST_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// More ids than anyone offers.
const LIST_IDS_MAX: usize = 2_000;
/// OpenAI's own server, the only one that is known to take PDF files in the way it does.
/// <https://platform.openai.com/docs/guides/pdf-files>
const OPENAI_AUTHORITY: &str = "api.openai.com";

/// A server of this protocol.
pub(super) struct OpenAi {
    link: Link,
    length_field: LengthField,
    files: Files,
    /// Whether the server has refused `stream_options` before.
    plain_stream: AtomicBool,
    pictures: Arc<Room>,
}

/// A list of models; Anthropic's has the same form.
#[derive(Deserialize)]
#[serde(untagged)]
enum ModelList {
    /// Ollama without models says null; what says nothing is no list.
    Page {
        #[serde(deserialize_with = "Option::deserialize")]
        data: Option<Vec<ListedModel>>,
    },
    /// Together.
    Bare(Vec<ListedModel>),
}

/// A model as its server lists it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ListedModel {
    pub(super) id: String,
    /// Whose it is, or what serves it; empty if it does not say.
    #[serde(default)]
    pub(super) owned_by: String,
}

impl OpenAi {
    /// [`Kind::Malformed`](crate::error::Kind::Malformed) if the base URL or the key cannot be used.
    pub(super) fn new(server: Server<'_>) -> Result<OpenAi, Error> {
        let link = Link::new(&server, KeyForm::Bearer)?;
        let files = match link.reporter.authority.as_str() {
            OPENAI_AUTHORITY => Files::Native,
            _ => Files::AsText,
        };
        Ok(OpenAi {
            link,
            length_field: server.length_field,
            files,
            plain_stream: AtomicBool::new(false),
            pictures: server.pictures,
        })
    }

    /// The way to its server.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// The models the server has, in its order.
    pub(super) fn list(&self, stop: &Stop) -> Result<Vec<ListedModel>, Failure> {
        list(&self.link, "/models", stop)
    }

    /// Sends the prompt; the response has a success status.
    fn ask(&self, prompt: &Prompt, call: &Call) -> Result<Response<Body>, Failure> {
        let question = Question {
            prompt,
            length_field: self.length_field,
            files: self.files,
        };
        if !self.plain_stream.load(Ordering::Relaxed) {
            match self.send(WireRequest::new(&question, &self.pictures), call) {
                Err(refusal) if refusal.is_about("stream_options") => {
                    self.plain_stream.store(true, Ordering::Relaxed);
                }
                outcome => return Ok(outcome?),
            }
        }
        let mut request = WireRequest::new(&question, &self.pictures);
        request.drop_stream_options();
        Ok(self.send(request, call)?)
    }

    /// Sends the prompt and waits for the head of the answer. Pictures are in memory once meanwhile, as what is sent,
    /// and not at all afterwards.
    fn send(&self, request: WireRequest<'_>, call: &Call) -> Result<Response<Body>, Refusal> {
        let body = serde_json::to_vec(&request).map_err(|_| self.link.reporter.broken("cannot be asked this"))?;
        let _held = request.into_held();
        self.link.post(call, "/chat/completions", &body)
    }
}

/// What is in a server's list of models.
pub(super) fn list(link: &Link, path: &str, stop: &Stop) -> Result<Vec<ListedModel>, Failure> {
    let call = Current::begin(stop);
    let mut response = link.get(&call, path)?;
    let body = link.read_whole(&mut response, LIST_BYTES_MAX, &call)?;
    let list: ModelList =
        serde_json::from_slice(&body).map_err(|_| link.reporter.broken("sent a malformed list of models"))?;
    let (ModelList::Page { data: Some(mut models) } | ModelList::Bare(mut models)) = list else {
        return Ok(Vec::new());
    };
    models.truncate(LIST_IDS_MAX);
    for model in &mut models {
        // Gemini lists resources, and is asked for what their names end in.
        if let Some(id) = model.id.strip_prefix("models/") {
            model.id = id.to_owned();
        }
    }
    Ok(models)
}

impl Provider for OpenAi {
    fn name(&self) -> &str {
        &self.link.reporter.name
    }

    fn instant(&self) -> bool {
        false
    }

    fn complete(
        &self,
        prompt: &Prompt,
        stop: &Stop,
        on_delta: &mut dyn FnMut(Delta<'_>),
    ) -> Result<Completion, Failure> {
        let call = Current::begin(stop);
        let response = self.ask(prompt, &call)?;
        let mut answer = Answer::new(Outlet::new(&self.link.reporter, prompt, stop, on_delta));
        let read = self.link.read(response, &mut answer, &call);
        answer.finish(read, prompt)
    }

    fn embed(&self, body: &Map<String, Value>, stop: &Stop) -> Result<(Value, Completion), Failure> {
        let reporter = &self.link.reporter;
        let call = Current::begin(stop);
        let json = serde_json::to_vec(body).map_err(|_| reporter.broken("cannot be asked this"))?;
        let mut response = self.link.post(&call, "/embeddings", &json)?;
        if media_type(&response) == "text/html" {
            return Err(reporter.web_page());
        }
        let bytes = self.link.read_whole(&mut response, WHOLE_BYTES_MAX, &call)?;
        let answer: Value = serde_json::from_slice(&bytes).map_err(|_| reporter.broken("sent malformed JSON"))?;
        if answer.get("error").is_some_and(|error| !error.is_null()) {
            return Err(reporter.error_object(&answer));
        }
        let counted = answer["usage"]["prompt_tokens"].as_u64().map(|input| Counted {
            input,
            output: 0,
            cached: 0,
        });
        let completion = Completion {
            provider: reporter.name.clone(),
            model: body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned(),
            finish_reason: None,
            usage: counted.map_or_else(|| embeddings_usage(body), Counted::usage),
        };
        Ok((answer, completion))
    }
}

/// What is to be paid for vectors of which nobody says what they cost.
pub fn embeddings_usage(body: &Map<String, Value>) -> Usage {
    fn chars(input: &Value) -> u64 {
        match input {
            Value::String(text) => text.chars().count() as u64,
            Value::Array(parts) => parts.iter().map(chars).sum(),
            // A token.
            _ => 4,
        }
    }
    Usage::guess(body.get("input").map_or(0, chars), 0)
}

#[cfg(test)]
mod tests;
