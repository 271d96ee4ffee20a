//! Any server that speaks OpenAI's chat completions: OpenAI, Groq, OpenRouter, Ollama, llama.cpp, vLLM, LM Studio.
//!
//! Owns the exchange and the limits on what comes back; the forms of the question and of the answer are in `request`
//! and `answer`, the pool and the timeouts in `agent`.
//! One call, one attempt: only a pooled connection that turns out dead is replaced, once.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderValue, Method, Request, Response};
use ureq::{Agent, AsSendBody, Body};

use super::address::BaseUrl;
use super::agent::{IDLE_AGE_MAX, agent};
use super::answer::Answer;
use super::failure::{Failure, Reporter};
use super::request::{LengthField, Question, WireRequest};
use super::room::Room;
use super::sse::{Decoder, EVENT_BYTES_MAX};
use super::transport::{Call, Current};
use super::{Completion, Delta, Prompt, Provider, Stop, Timeouts};
use crate::error::{Error, Kind};

/// A whole stream, decompressed. The longest replies have a few hundred bytes of JSON around each of 100 000 tokens.
const STREAM_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// An answer in one piece: the longest reply with every character escaped in two, twice over for reasoning.
const WHOLE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// OpenRouter lists some 400 models in half of this.
const LIST_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// More ids than anyone offers.
const LIST_IDS_MAX: usize = 2_000;
/// An error is a sentence; this much of it is read so that its connection can be used again.
const ERROR_BYTES_MAX: u64 = 64 * 1024;

/// What is needed to ask a server.
pub(super) struct Server<'a> {
    pub(super) name: &'a str,
    pub(super) base_url: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) length_field: LengthField,
    pub(super) connections_max: usize,
    pub(super) timeouts: Timeouts,
    /// For what goes to all servers.
    pub(super) pictures: Arc<Room>,
}

/// A server and the connections to it.
pub(super) struct OpenAi {
    agent: Agent,
    base_url: BaseUrl,
    authorization: Option<HeaderValue>,
    length_field: LengthField,
    /// Whether the server has refused `stream_options` before.
    plain_stream: AtomicBool,
    pictures: Arc<Room>,
    reporter: Reporter,
}

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
    /// [`Kind::Malformed`] if the base URL or the key cannot be used.
    pub(super) fn new(server: Server<'_>) -> Result<OpenAi, Error> {
        let base_url = BaseUrl::parse(server.base_url)?;
        let authorization = server.key.map(|key| {
            let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| {
                let message = format!("The API key of {} contains characters that no key has", server.name);
                Error::new(Kind::Malformed, message)
            })?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(OpenAi {
            agent: agent(&base_url, &server.timeouts, server.connections_max),
            authorization: authorization.transpose()?,
            length_field: server.length_field,
            plain_stream: AtomicBool::new(false),
            pictures: server.pictures,
            reporter: Reporter {
                name: server.name.to_owned(),
                authority: base_url.authority().to_owned(),
                key: server.key.map(str::to_owned),
                timeouts: server.timeouts,
            },
            base_url,
        })
    }

    /// The models the server has, in its order.
    pub(super) fn list(&self, stop: &Stop) -> Result<Vec<ListedModel>, Failure> {
        let call = Current::begin(stop);
        let mut response = self.exchange(&call, Method::GET, "/models", ())?;
        if !response.status().is_success() {
            let body = self.error_body(&mut response, &call)?;
            return Err(self.refusal(&response, &body));
        }
        let body = self.read_whole(&mut response, LIST_BYTES_MAX, &call)?;
        let list: ModelList =
            serde_json::from_slice(&body).map_err(|_| self.reporter.broken("sent a malformed list of models"))?;
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

    /// [`Provider::complete`] with a model of the caller's choosing.
    pub(super) fn complete_with(
        &self,
        model: &str,
        prompt: &Prompt,
        stop: &Stop,
        on_delta: &mut dyn FnMut(Delta<'_>),
    ) -> Result<Completion, Failure> {
        let call = Current::begin(stop);
        let mut response = self.ask(model, prompt, &call)?;
        let mut answer = Answer::new(&self.reporter, stop, on_delta);
        match media_type(response.headers()).as_str() {
            "application/json" => {
                let body = self.read_whole(&mut response, WHOLE_BYTES_MAX, &call)?;
                answer.whole(&body)?;
            }
            "text/html" => {
                return Err(self.reporter.broken("answered with a web page. Check its base URL."));
            }
            _ => self.read_stream(response, &mut answer, &call)?,
        }
        answer.finish(prompt, model)
    }

    /// Sends the prompt; the response has a success status.
    fn ask(&self, model: &str, prompt: &Prompt, call: &Call) -> Result<Response<Body>, Failure> {
        let question = Question {
            model,
            prompt,
            length_field: self.length_field,
        };
        loop {
            let is_plain = self.plain_stream.load(Ordering::Relaxed);
            let mut response = self.send(&question, is_plain, call)?;
            if response.status().is_success() {
                return Ok(response);
            }
            let body = self.error_body(&mut response, call)?;
            let names_them = String::from_utf8_lossy(&body).contains("stream_options");
            if is_plain || response.status() != 400 || !names_them {
                return Err(self.refusal(&response, &body));
            }
            self.plain_stream.store(true, Ordering::Relaxed);
        }
    }

    /// Sends the prompt and waits for the head of the answer. Pictures are in memory once meanwhile, as what is sent,
    /// and not at all afterwards.
    fn send(&self, question: &Question<'_>, is_plain: bool, call: &Call) -> Result<Response<Body>, Failure> {
        let mut request = WireRequest::new(question, &self.pictures);
        if is_plain {
            request.drop_stream_options();
        }
        let body = serde_json::to_vec(&request).map_err(|_| self.reporter.broken("cannot be asked this"))?;
        let _held = request.into_held();
        self.exchange(call, Method::POST, "/chat/completions", &body[..])
    }

    /// One request and the head of its response.
    fn exchange(
        &self,
        call: &Call,
        method: Method,
        path: &str,
        body: impl AsSendBody + Copy,
    ) -> Result<Response<Body>, Failure> {
        let attempt = |idle_age_max: Duration| {
            call.restart();
            let mut request = Request::builder().method(method.clone()).uri(self.base_url.join(path));
            if let Some(authorization) = &self.authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            if method == Method::POST {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            let request = request.body(body).map_err(ureq::Error::Http)?;
            let request = self.agent.configure_request(request).max_idle_age(idle_age_max).build();
            self.agent.run(request)
        };
        let mut result = attempt(IDLE_AGE_MAX);
        if matches!(result, Err(ureq::Error::Io(_))) && call.was_stale() && !call.stop().is_stopped() {
            // No idle connection is young enough for this one.
            result = attempt(Duration::ZERO);
        }
        result.map_err(|error| self.reporter.transport(&error, call))
    }

    fn read_stream(&self, response: Response<Body>, answer: &mut Answer<'_>, call: &Call) -> Result<(), Failure> {
        let mut reader = response.into_body().into_reader().take(STREAM_BYTES_MAX);
        let mut buffer = vec![0; 8 * 1024];
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        while !answer.is_complete() {
            let count = reader
                .read(&mut buffer)
                .map_err(|error| self.reporter.transport(&error.into(), call))?;
            let fed = match count {
                0 => std::mem::take(&mut decoder).end(&mut events),
                _ => decoder.feed(&buffer[..count], &mut events),
            };
            for event in events.drain(..) {
                answer.event(&event)?;
            }
            fed.map_err(|_| {
                self.reporter
                    .broken(&format!("sent a line of more than {EVENT_BYTES_MAX} bytes"))
            })?;
            if count == 0 && !answer.is_complete() {
                return self.check_end(reader.limit(), call);
            }
        }
        // The connection can be used again only once its body has ended. Whether it does is nothing to the reply.
        call.drain();
        reader.set_limit(ERROR_BYTES_MAX);
        drop(io::copy(&mut reader, &mut io::sink()));
        Ok(())
    }

    /// The stream has ended without saying that it is complete. Whether it is, the answer knows by its finish reason.
    fn check_end(&self, bytes_left: u64, call: &Call) -> Result<(), Failure> {
        if call.stop().is_stopped() {
            // A body that only the end of the connection ends looks whole when the socket is shut down.
            return Err(Failure::stopped());
        }
        if bytes_left == 0 {
            return Err(self
                .reporter
                .broken(&format!("sent more than {STREAM_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    fn read_whole(&self, response: &mut Response<Body>, bytes_max: u64, call: &Call) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        let mut reader = response.body_mut().as_reader().take(bytes_max);
        let read = reader.read_to_end(&mut body);
        read.map_err(|error| self.reporter.transport(&error.into(), call))?;
        match reader.limit() {
            0 => Err(self.reporter.broken(&format!("sent more than {bytes_max} bytes"))),
            _ if call.stop().is_stopped() => Err(Failure::stopped()),
            _ => Ok(body),
        }
    }

    /// What there is of an error's body. That it has one at all is not important enough to fail otherwise.
    fn error_body(&self, response: &mut Response<Body>, call: &Call) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        drop(
            response
                .body_mut()
                .as_reader()
                .take(ERROR_BYTES_MAX)
                .read_to_end(&mut body),
        );
        if call.stop().is_stopped() {
            Err(Failure::stopped())
        } else {
            Ok(body)
        }
    }

    fn refusal(&self, response: &Response<Body>, body: &[u8]) -> Failure {
        let header = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        // The other form, a date, is not used by model servers.
        let retry_after_s = header.and_then(|seconds| seconds.trim().parse().ok());
        self.reporter.status(response.status().as_u16(), body, retry_after_s)
    }
}

impl Provider for OpenAi {
    fn name(&self) -> &str {
        &self.reporter.name
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
        self.complete_with(&prompt.model, prompt, stop, on_delta)
    }
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
