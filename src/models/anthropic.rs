//! Anthropic's own protocol, the Messages API, and servers that speak it as well.
//! <https://docs.anthropic.com/en/api/messages>
//!
//! Owns the exchange; the forms of the question and of the answer are in `question` and `answer`, the way to the server
//! in `link`.

pub(super) mod answer;
mod question;

use std::sync::Arc;

use ureq::Body;
use ureq::http::{HeaderName, HeaderValue, Response};

use super::failure::Failure;
use super::link::{KeyForm, Link, Server};
use super::openai::{ListedModel, list};
use super::outlet::Outlet;
use super::room::Room;
use super::transport::{Call, Current};
use super::{Completion, Delta, Prompt, Provider, Stop};
use crate::error::Error;

use answer::Answer;
use question::Question;

const KEY: HeaderName = HeaderName::from_static("x-api-key");
const VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("anthropic-version"),
    HeaderValue::from_static("2023-06-01"),
);
/// What every path begins with. Anthropic's own programs are told a base URL without it, those of others with it.
const ROOT: &str = "/v1";

/// A server of this protocol.
pub(super) struct Anthropic {
    link: Link,
    pictures: Arc<Room>,
}

impl Anthropic {
    /// [`Kind::Malformed`](crate::error::Kind::Malformed) if the base URL or the key cannot be used.
    pub(super) fn new(server: Server<'_>) -> Result<Anthropic, Error> {
        let base_url = server.base_url.trim().trim_end_matches('/').trim_end_matches(ROOT);
        let server = Server { base_url, ..server };
        let mut link = Link::new(&server, KeyForm::Header(KEY))?;
        let (name, value) = VERSION;
        link.always(name, value);
        Ok(Anthropic {
            link,
            pictures: server.pictures,
        })
    }

    /// The way to its server.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// The models the server has, the newest first.
    pub(super) fn list(&self, stop: &Stop) -> Result<Vec<ListedModel>, Failure> {
        // The default is a page of 20.
        list(&self.link, "/v1/models?limit=1000", stop)
    }

    /// Sends the prompt and waits for the head of the answer. Pictures are in memory once meanwhile, as what is sent,
    /// and not at all afterwards.
    fn ask(&self, prompt: &Prompt, call: &Call) -> Result<Response<Body>, Failure> {
        let question = Question::new(prompt, &self.pictures);
        let body = serde_json::to_vec(&question).map_err(|_| self.link.reporter.broken("cannot be asked this"))?;
        let _held = question.into_held();
        Ok(self.link.post(call, "/v1/messages", &body)?)
    }
}

impl Provider for Anthropic {
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
}

#[cfg(test)]
mod tests;
