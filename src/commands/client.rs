//! The HTTP client of the commands: JSON, forms with files, bodies that are read as they come. What a server refuses comes
//! back as an error with the server's own sentence.

mod socket;

use std::io::{self, Read};
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;
use ureq::config::ConfigBuilder;
use ureq::http::{Request, Response, Uri, request};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body, SendBody};

pub(super) use socket::Mute;

use super::Failed;
use crate::error::{Error, Kind};

/// A server on this machine or a net away takes a connection in a fraction of it.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Until the first byte of an answer: an export or a copy of everything may take minutes to be made.
const ANSWER_TIME: Duration = Duration::from_secs(10 * 60);

/// Between two bytes: streams have a sign of life every 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Bytes of a JSON answer: the longest are pages of messages.
const JSON_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes of a body that are sent before the server has agreed to it. One that refuses closes the connection while more is on
/// its way, and its sentence would be lost.
const UNASKED_BYTES_MAX: u64 = 64 * 1024;

/// Digits of a request id, of which the others count.
const RUN_DIGITS: usize = 8;

/// A body that is read, and what it is.
pub(super) struct Sent<'b> {
    /// Its media type.
    pub(super) media_type: &'b str,
    /// How long it is; without it, it is sent in chunks.
    pub(super) bytes: Option<u64>,
    /// The body itself.
    pub(super) body: &'b mut dyn Read,
}

/// What came back, whatever it was.
pub(super) struct Seen {
    /// The status.
    pub(super) status: u16,
    /// Whether a Fireside server has answered, and not something that stands before it.
    pub(super) is_ours: bool,
    /// Which run of it: the part that all its request ids have in common, and no other run's.
    pub(super) run: String,
}

/// A server, and who is asking.
pub(super) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

impl Client {
    /// For the server at this address. With `whole`, every answer must be there after so long, else after as long as it
    /// moves.
    pub(super) fn new(base: &str, whole: Option<Duration>) -> Client {
        if is_loopback(base) {
            return Client::direct(base, whole);
        }
        Client::configured(base, Client::patience(whole))
    }

    /// For the server of this data folder, at whichever of this machine's addresses: no proxy from the environment stands
    /// between, and none learns the secret of its run.
    pub(super) fn direct(base: &str, whole: Option<Duration>) -> Client {
        Client::configured(base, Client::patience(whole).proxy(None))
    }

    fn patience(whole: Option<Duration>) -> ConfigBuilder<AgentScope> {
        Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("fireside/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIME))
            .timeout_recv_response(Some(ANSWER_TIME))
            .timeout_per_read(Some(SILENCE_MAX))
            .timeout_per_write(Some(SILENCE_MAX))
            .timeout_global(whole)
    }

    fn configured(base: &str, config: ConfigBuilder<AgentScope>) -> Client {
        Client {
            agent: Agent::new_with_config(config.build()),
            base: base.trim_end_matches('/').to_owned(),
            token: None,
        }
    }

    /// Sends this token (or API key) along from now on.
    pub(super) fn sign_in(&mut self, token: &str) {
        self.token = Some(token.to_owned());
    }

    /// What is sent along.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The server's address.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// What a route answers; `null` if that is empty.
    ///
    /// # Errors
    /// The server's sentence; that it cannot be reached.
    pub(super) fn call(&self, method: &str, path: &str) -> Result<Value, Failed> {
        self.json(self.accepted(self.ask(self.request(method, path), None)?)?)
    }

    /// The same for a route that takes JSON.
    ///
    /// # Errors
    /// As for [`Client::call`].
    pub(super) fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failed> {
        let text = body.to_string();
        let sent = Sent {
            media_type: "application/json",
            bytes: Some(text.len() as u64),
            body: &mut text.as_bytes(),
        };
        self.json(self.accepted(self.ask(self.request(method, path), Some(sent))?)?)
    }

    /// What a route answers, as it comes, and how many bytes that will be, where the server says so. What goes wrong while it
    /// is read is [`io::ErrorKind::UnexpectedEof`], unlike what goes wrong where it is written to.
    ///
    /// # Errors
    /// As for [`Client::call`], until the answer begins.
    pub(super) fn fetch(&self, path: &str) -> Result<(Box<dyn Read>, Option<u64>), Failed> {
        let response = self.accepted(self.ask(self.request("GET", path), None)?)?;
        let length = response.headers().get("Content-Length");
        let bytes = length.and_then(|length| length.to_str().ok()?.parse().ok());
        Ok((Box::new(Answer(response.into_body().into_reader())), bytes))
    }

    /// Posts a body, and reads what comes back as it comes.
    ///
    /// # Errors
    /// As for [`Client::call`], until the answer begins.
    pub(super) fn post(&self, path: &str, accept: &str, sent: Sent<'_>) -> Result<Box<dyn Read>, Failed> {
        let request = self.request("POST", path).header("Accept", accept);
        let response = self.accepted(self.ask(request, Some(sent))?)?;
        Ok(Box::new(response.into_body().into_reader()))
    }

    /// Looks whether something arrives, and at who answers.
    ///
    /// # Errors
    /// That nobody does.
    pub(super) fn try_out(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        sent: Option<Sent<'_>>,
    ) -> Result<Seen, Failed> {
        let request = self.request(method, path);
        let request = fields
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        let response = self.ask(request, sent)?;
        let id = response.headers().get("X-Request-Id");
        let run = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
        Ok(Seen {
            status: response.status().as_u16(),
            is_ours: id.is_some(),
            run: run.chars().take(RUN_DIGITS).collect(),
        })
    }

    fn request(&self, method: &str, path: &str) -> request::Builder {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn ask(&self, mut request: request::Builder, sent: Option<Sent<'_>>) -> Result<Response<Body>, Failed> {
        let Some(sent) = sent else {
            return self.run(request, SendBody::none());
        };
        request = request.header("Content-Type", sent.media_type);
        if let Some(bytes) = sent.bytes {
            request = request.header("Content-Length", bytes);
            if bytes > UNASKED_BYTES_MAX {
                request = request.header("Expect", "100-continue");
            }
        }
        self.run(request, SendBody::from_reader(sent.body))
    }

    fn run(&self, request: request::Builder, body: SendBody<'_>) -> Result<Response<Body>, Failed> {
        let request = request.body(body).map_err(|error| {
            let message = format!(
                "{} is no address of a server ({error}); one begins with http:// or https://",
                self.base
            );
            Failed::usage(Error::new(Kind::Malformed, message))
        })?;
        self.agent.run(request).map_err(|error| self.unreachable(error))
    }

    /// The response, unless it is a refusal, or somebody else's.
    fn accepted(&self, response: Response<Body>) -> Result<Response<Body>, Failed> {
        let status = response.status().as_u16();
        if !response.headers().contains_key("X-Request-Id") {
            return Err(self.strange(status));
        }
        if response.status().is_success() {
            return Ok(response);
        }
        let body = self.json(response).unwrap_or_default();
        let refused = refusal(status, &body);
        // What no route answers with of its own accord.
        let message = match (status, refused.message()) {
            (404, "Not Found") => "does not know what it is asked for: it is another version of Fireside than this one",
            (401, _) => {
                "does not accept who asks. An API key may have ended: its settings page makes a new one, and so does \
                         fireside key create on its machine"
            }
            _ => return Err(Failed::from(refused)),
        };
        let message = format!("The server at {} {message}", self.base);
        Err(Failed::from(Error::new(refused.kind(), message)))
    }

    /// Something else has answered: a proxy says so by its status.
    fn strange(&self, status: u16) -> Failed {
        let base = &self.base;
        match status {
            413 => Failed::from(Error::new(
                Kind::Unavailable,
                format!(
                    "The proxy before the server at {base} lets nothing through that is so large; raise its limit (nginx: \
                     client_max_body_size; Caddy: request_body max_size)"
                ),
            )),
            504 => Failed::from(Error::new(
                Kind::Unavailable,
                format!(
                    "The proxy before the server at {base} has not waited for its answer; have it wait longer (nginx: \
                     proxy_read_timeout), and look what has been done before asking again"
                ),
            )),
            502 | 503 => Failed::unreachable(Error::new(
                Kind::Unavailable,
                format!("The proxy at {base} does not reach the server behind it (status {status}); start the server"),
            )),
            _ => self.foreign(&format!(" (status {status})")),
        }
    }

    fn foreign(&self, detail: &str) -> Failed {
        let message = format!(
            "What answers at {} is no Fireside server{detail}; correct the address, or look at what stands before the server",
            self.base
        );
        Failed::unreachable(Error::new(Kind::Unavailable, message))
    }

    fn json(&self, mut response: Response<Body>) -> Result<Value, Failed> {
        let read = response.body_mut().with_config().limit(JSON_BYTES_MAX).read_to_vec();
        let bytes = read.map_err(|error| self.unreachable(error))?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| self.foreign(&format!(": {error}")))
    }

    fn unreachable(&self, error: ureq::Error) -> Failed {
        let base = &self.base;
        let cause = match error {
            ureq::Error::BadUri(_) => {
                let message = format!("{base} is no address of a server; one begins with http:// or https://");
                return Failed::usage(Error::new(Kind::Malformed, message));
            }
            ureq::Error::Io(error) => error.to_string(),
            error => error.to_string(),
        };
        let message = format!("The server at {base} cannot be reached ({cause}); start it, or correct the address");
        Failed::unreachable(Error::new(Kind::Unavailable, message))
    }
}

/// A body that is read: whatever keeps the rest of it away, the server has broken off.
struct Answer<R>(R);

impl<R: Read> Read for Answer<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => io::Error::new(io::ErrorKind::UnexpectedEof, error),
        })
    }
}

/// Whether this address is the machine's own loopback, which no proxy from the environment reaches.
pub(super) fn is_loopback(base: &str) -> bool {
    let Ok(uri) = base.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback())
}

/// What a server has refused, in its own words.
fn refusal(status: u16, body: &Value) -> Error {
    let kind = match status {
        401 => Kind::Unauthenticated,
        402 => Kind::OverBudget,
        403 => Kind::Forbidden,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        413 => Kind::TooLarge,
        422 => Kind::Invalid,
        429 => Kind::RateLimited,
        503 => Kind::Unavailable,
        504 => Kind::UpstreamTimeout,
        507 => Kind::StorageFull,
        500..=599 => Kind::Internal,
        _ => Kind::Malformed,
    };
    let message = match &body["detail"] {
        Value::String(detail) => detail.clone(),
        Value::Array(issues) => issues.iter().map(issue).collect::<Vec<_>>().join("; "),
        _ => format!("The server answered {status}"),
    };
    Error::new(kind, message)
}

/// `model: Input should be …`.
fn issue(issue: &Value) -> String {
    let at = issue["loc"]
        .as_array()
        .and_then(|loc| loc.last())
        .and_then(Value::as_str);
    let msg = issue["msg"].as_str().unwrap_or("not accepted");
    at.map_or_else(|| msg.to_owned(), |at| format!("{at}: {msg}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread;

    use serde_json::json;

    use super::*;

    #[test]
    fn loopback_is_the_whole_host() {
        for own in ["http://127.0.0.1:8000", "http://[::1]:8000/chat", "https://LOCALHOST"] {
            assert!(is_loopback(own), "{own}");
        }
        for other in [
            "http://localhost.example.com",
            "http://127.example.com",
            "http://a/?b=://127.0.0.1",
            "http://192.168.0.2",
        ] {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn what_is_fetched_is_never_a_refusal() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            let body = r#"{"detail": "Busy"}"#;
            let head = format!(
                "HTTP/1.1 503 Busy\r\nX-Request-Id: 1\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + body).as_bytes()).unwrap();
        });
        let fetched = Client::new(&base, Some(Duration::from_secs(60))).fetch("/export");
        let refused = fetched.map(drop).unwrap_err().error;
        assert_eq!((refused.kind(), refused.message()), (Kind::Unavailable, "Busy"));
        server.join().unwrap();
    }

    #[test]
    fn refusals_are_said_in_the_servers_words() {
        let refused = refusal(409, &json!({"detail": "A reply is being written"}));
        assert_eq!(
            (refused.kind(), refused.message()),
            (Kind::Conflict, "A reply is being written")
        );
        let issues = json!({"detail": [
            {"loc": ["body", "model"], "msg": "Input should be 'fast'"},
            {"loc": ["body", 3], "msg": "JSON decode error"},
        ]});
        assert_eq!(
            refusal(422, &issues).message(),
            "model: Input should be 'fast'; JSON decode error"
        );
        assert_eq!(refusal(418, &Value::Null).message(), "The server answered 418");
    }
}
