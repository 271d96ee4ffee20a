//! One model server and the way to it: requests with its key, and the bounded reading of what comes back.
//!
//! Knows HTTP and server-sent events, and no protocol of models: what is asked and what an event means is the business
//! of `openai` and `anthropic`. The pool and the timeouts are in `agent`, when to try again in `retry`.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use ureq::{Agent, AsSendBody, Body};

use super::Timeouts;
use super::address::BaseUrl;
use super::agent::{IDLE_AGE_MAX, agent};
use super::failure::{Failure, Reporter};
use super::request::LengthField;
use super::retry::{Attempts, is_passing, retry_after_s};
use super::room::Room;
use super::sse::{Decoder, EVENT_BYTES_MAX};
use super::transport::{Call, Progress};
use crate::error::{Error, Kind};

/// An answer in one piece: the longest reply with every character escaped in two, twice over for reasoning.
pub(super) const WHOLE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// A whole stream, decompressed. The longest replies have a few hundred bytes of JSON around each of 100 000 tokens.
const STREAM_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// An error is a sentence; this much of it is read so that its connection can be used again.
const ERROR_BYTES_MAX: u64 = 64 * 1024;
/// How long the end of a body that says it is complete is waited for, so that its connection can be used again.
const DRAIN_PATIENCE: Duration = Duration::from_millis(250);
/// How long an error's body is waited for. Its status is what matters.
const ERROR_PATIENCE: Duration = Duration::from_secs(2);

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
pub(super) struct Link {
    connections: Mutex<Connections>,
    connections_max: usize,
    base_url: BaseUrl,
    headers: HeaderMap,
    pub(super) reporter: Reporter,
}

/// The connections that may be used again.
struct Connections {
    /// Made when there is something to ask.
    agent: Option<Agent>,
    /// When a prompt was last sent.
    used: Instant,
}

/// How a server wants to be shown its key.
pub(super) enum KeyForm {
    /// `Authorization: Bearer …`
    Bearer,
    /// As the value of this header.
    Header(HeaderName),
}

/// What becomes of an answer.
pub(super) trait Listener {
    /// Takes an answer that came in one piece.
    fn whole(&mut self, body: &[u8]) -> Result<(), Failure>;

    /// Takes the data of one event.
    fn event(&mut self, data: &str) -> Result<(), Failure>;

    /// Whether the server has said that nothing follows.
    fn is_complete(&self) -> bool;
}

/// A request that has no answer.
pub(super) struct Refusal {
    /// What that is to the user.
    pub(super) failure: Failure,
    cause: Cause,
}

enum Cause {
    /// The answer is an error, with the beginning of its body.
    Status(u16, Vec<u8>),
    /// The connection broke before the head of an answer was there.
    Broke,
    Other,
}

impl Refusal {
    /// Whether the server did not understand something that this word names.
    pub(super) fn is_about(&self, word: &str) -> bool {
        matches!(&self.cause, Cause::Status(400, body) if String::from_utf8_lossy(body).contains(word))
    }

    fn is_passing(&self) -> bool {
        match self.cause {
            Cause::Status(status, _) => is_passing(status),
            Cause::Broke => true,
            Cause::Other => false,
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal {
            failure,
            cause: Cause::Other,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        refusal.failure
    }
}

impl Link {
    /// [`Kind::Malformed`] if the base URL or the key cannot be used.
    pub(super) fn new(server: &Server<'_>, key_form: KeyForm) -> Result<Link, Error> {
        let base_url = BaseUrl::parse(server.base_url)?;
        let mut headers = HeaderMap::new();
        if let Some(key) = server.key {
            let (name, text) = match key_form {
                KeyForm::Bearer => (AUTHORIZATION, format!("Bearer {key}")),
                KeyForm::Header(name) => (name, key.to_owned()),
            };
            let mut value = HeaderValue::try_from(text).map_err(|_| {
                let message = format!("The API key of {} contains characters that no key has", server.name);
                Error::new(Kind::Malformed, message)
            })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Link {
            connections: Mutex::new(Connections {
                agent: None,
                used: Instant::now(),
            }),
            connections_max: server.connections_max,
            headers,
            reporter: Reporter {
                name: server.name.to_owned(),
                authority: base_url.authority().to_owned(),
                key: server.key.map(str::to_owned),
                timeouts: server.timeouts,
            },
            base_url,
        })
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn agent(&self) -> Agent {
        let mut connections = self.connections();
        let make = || agent(&self.base_url, &self.reporter.timeouts, self.connections_max);
        connections.agent.get_or_insert_with(make).clone()
    }

    /// As if no prompt had been sent for longer than connections are kept.
    #[cfg(test)]
    pub(super) fn grow_old(&self) {
        self.connections().used -= IDLE_AGE_MAX + Duration::from_secs(1);
    }

    /// Every request carries this as well.
    pub(super) fn always(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// Closes the connections if all have long been idle: until the next prompt nobody else looks after them.
    pub(super) fn let_go(&self) {
        let mut connections = self.connections();
        if connections.used.elapsed() > IDLE_AGE_MAX {
            connections.agent = None;
        }
    }

    /// Asks for what is at this path, once; the response has a success status.
    pub(super) fn get(&self, call: &Call, path: &str) -> Result<Response<Body>, Failure> {
        Ok(self.attempt(call, Method::GET, path, ())?)
    }

    /// Sends JSON, again if a failure before the head of the answer may pass; the response has a success status.
    pub(super) fn post(&self, call: &Call, path: &str, json: &[u8]) -> Result<Response<Body>, Refusal> {
        let mut attempts = Attempts::begin();
        self.connections().used = Instant::now();
        loop {
            let refusal = match self.attempt(call, Method::POST, path, json) {
                Ok(response) => return Ok(response),
                Err(refusal) if refusal.is_passing() => refusal,
                Err(refusal) => return Err(refusal),
            };
            let Some(pause) = attempts.next(refusal.failure.retry_after_s) else {
                return Err(refusal);
            };
            log::info!("{}; asking again in {} ms", refusal.failure, pause.as_millis());
            if !call.stop().pause(pause) {
                return Err(Failure::stopped().into());
            }
        }
    }

    /// One request; the response has a success status.
    fn attempt(
        &self,
        call: &Call,
        method: Method,
        path: &str,
        body: impl AsSendBody + Copy,
    ) -> Result<Response<Body>, Refusal> {
        let mut response = self.exchange(call, method, path, body)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.error_body(&mut response, call)?;
        let retry_after_s = retry_after_s(response.headers());
        Err(Refusal {
            failure: self.reporter.status(status.as_u16(), &body, retry_after_s),
            cause: Cause::Status(status.as_u16(), body),
        })
    }

    /// One request and the head of its response. A pooled connection that turns out dead is replaced.
    fn exchange(
        &self,
        call: &Call,
        method: Method,
        path: &str,
        body: impl AsSendBody + Copy,
    ) -> Result<Response<Body>, Refusal> {
        let agent = self.agent();
        let send = |idle_age_max: Duration| {
            call.restart();
            let mut request = Request::builder().method(method.clone()).uri(self.base_url.join(path));
            for (name, value) in &self.headers {
                request = request.header(name, value);
            }
            if method == Method::POST {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            let request = request.body(body).map_err(ureq::Error::Http)?;
            let request = agent.configure_request(request).max_idle_age(idle_age_max).build();
            agent.run(request)
        };
        let mut result = send(IDLE_AGE_MAX);
        if matches!(result, Err(ureq::Error::Io(_))) && call.was_stale() && !call.stop().is_stopped() {
            // No idle connection is young enough for this one.
            result = send(Duration::ZERO);
        }
        result.map_err(|error| {
            let is_broken = matches!(error, ureq::Error::Io(_)) && call.progress() >= Progress::Sent;
            Refusal {
                failure: self.reporter.transport(&error, call),
                cause: if is_broken { Cause::Broke } else { Cause::Other },
            }
        })
    }

    /// Reads an answer in the form that the server has chosen.
    pub(super) fn read(
        &self,
        mut response: Response<Body>,
        listener: &mut dyn Listener,
        call: &Call,
    ) -> Result<(), Failure> {
        match media_type(&response).as_str() {
            "application/json" => {
                let body = self.read_whole(&mut response, WHOLE_BYTES_MAX, call)?;
                listener.whole(&body)
            }
            "text/html" => Err(self.reporter.web_page()),
            _ => self.read_stream(response, listener, call),
        }
    }

    /// Reads a stream to its end, or to what the listener takes for that.
    fn read_stream(&self, response: Response<Body>, listener: &mut dyn Listener, call: &Call) -> Result<(), Failure> {
        let mut reader = response.into_body().into_reader().take(STREAM_BYTES_MAX);
        let mut buffer = vec![0; 8 * 1024];
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        while !listener.is_complete() {
            let count = reader
                .read(&mut buffer)
                .map_err(|error| self.reporter.transport(&error.into(), call))?;
            let fed = match count {
                0 => std::mem::take(&mut decoder).end(&mut events),
                _ => decoder.feed(&buffer[..count], &mut events),
            };
            for event in events.drain(..) {
                listener.event(&event)?;
            }
            fed.map_err(|_| {
                self.reporter
                    .broken(&format!("sent a line of more than {EVENT_BYTES_MAX} bytes"))
            })?;
            if count == 0 && !listener.is_complete() {
                return self.check_end(reader.limit(), call);
            }
        }
        // The connection can be used again only once its body has ended. Whether it does is nothing to the reply.
        call.wait_no_longer_than(DRAIN_PATIENCE);
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

    /// Reads an answer that comes in one piece.
    pub(super) fn read_whole(
        &self,
        response: &mut Response<Body>,
        bytes_max: u64,
        call: &Call,
    ) -> Result<Vec<u8>, Failure> {
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
        call.wait_no_longer_than(ERROR_PATIENCE);
        let mut body = Vec::new();
        let mut reader = response.body_mut().as_reader().take(ERROR_BYTES_MAX);
        drop(reader.read_to_end(&mut body));
        if call.stop().is_stopped() {
            Err(Failure::stopped())
        } else {
            Ok(body)
        }
    }
}

/// What kind of answer it is: `text/event-stream`, `application/json`; empty if the server does not say.
pub(super) fn media_type(response: &Response<Body>) -> String {
    let value = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
