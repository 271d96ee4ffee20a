//! Why a call to a model failed, in a sentence that may be shown to the user.
//!
//! Whatever a server says passes through here before anyone sees it: without the key, without control characters,
//! cut to a readable length, and never as HTML.

use std::fmt;

use serde_json::Value;
use ureq::Timeout;

use super::Timeouts;
use super::transport::{Call, Progress};

/// A server's own words beyond this help nobody.
const WORDS_CHARS_MAX: usize = 300;
/// Shorter keys (`none`, `ollama`) are placeholders that local servers ignore, and words of ordinary sentences.
const KEY_CHARS_MIN: usize = 8;

/// The closed set of ways in which a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// There is no connection to the server.
    Unreachable,
    /// The server was silent for too long.
    Timeout,
    /// The server does not have this model.
    UnknownModel,
    /// The server answered with an error.
    Refused,
    /// The answer is malformed or was cut off.
    Broken,
    /// [`Stop::stop`](super::Stop::stop) was called.
    Stopped,
}

impl FailureKind {
    /// A word for programs.
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::Unreachable => "unreachable",
            FailureKind::Timeout => "timeout",
            FailureKind::UnknownModel => "unknown_model",
            FailureKind::Refused => "refused",
            FailureKind::Broken => "broken",
            FailureKind::Stopped => "stopped",
        }
    }
}

/// A failed call: its kind, a sentence for the user, and when trying again makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// A sentence for the user, free of keys and HTML; the server's own words are in it, if it had any.
    pub message: String,
    /// Seconds after which the server wants to be asked again, if it said so.
    pub retry_after_s: Option<u32>,
    /// Who failed, where that is not who was asked: an alias asks several, and a name may stand for another model.
    pub ran: Option<Box<Ran>>,
}

/// A model that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The name of its provider.
    pub provider: String,
    /// Its id there.
    pub model: String,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            message: message.into(),
            retry_after_s: None,
            ran: None,
        }
    }

    /// The same, of this model, unless it is known better.
    pub(super) fn of(mut self, provider: &str, model: &str) -> Failure {
        self.ran.get_or_insert_with(|| {
            Box::new(Ran {
                provider: provider.to_owned(),
                model: model.to_owned(),
            })
        });
        self
    }

    pub(super) fn stopped() -> Failure {
        Failure::new(FailureKind::Stopped, "The reply was stopped")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Words the failures of one server.
pub(super) struct Reporter {
    /// The provider's name.
    pub(super) name: String,
    /// Host and port, for those who have to repair it.
    pub(super) authority: String,
    /// The key that must not be repeated.
    pub(super) key: Option<String>,
    /// The limits that are named when they are exceeded.
    pub(super) timeouts: Timeouts,
}

impl Reporter {
    /// A malformed or cut answer; `what` completes "openai …".
    pub(super) fn broken(&self, what: &str) -> Failure {
        Failure::new(FailureKind::Broken, format!("{} {what}", self.name))
    }

    /// A page for people in place of an answer.
    pub(super) fn web_page(&self) -> Failure {
        self.broken("answered with a web page. Check its base URL.")
    }

    /// An error of ureq's, while asking or while reading the answer.
    pub(super) fn transport(&self, error: &ureq::Error, call: &Call) -> Failure {
        if call.stop().is_stopped() {
            return Failure::stopped();
        }
        match error {
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                let seconds = self.timeouts.connect.as_secs();
                self.unreachable(&format!("no answer within {seconds} s"))
            }
            ureq::Error::Timeout(Timeout::Global) => {
                let within = match self.timeouts.whole.as_secs() {
                    seconds @ 0..120 => format!("{seconds} s"),
                    seconds => format!("{} minutes", seconds / 60),
                };
                self.silent(&format!("did not finish within {within}"))
            }
            ureq::Error::Timeout(_) if call.progress() == Progress::Received => {
                let seconds = self.timeouts.between_bytes.as_secs();
                self.silent(&format!("stopped sending for {seconds} s"))
            }
            ureq::Error::Timeout(_) => {
                let seconds = self.timeouts.first_byte.as_secs();
                self.silent(&format!("did not answer within {seconds} s"))
            }
            _ if call.progress() == Progress::Connecting => self.unreachable(&reason(error)),
            ureq::Error::Io(_) if call.progress() == Progress::Sent => {
                self.broken("closed the connection without an answer")
            }
            ureq::Error::Io(_) => self.broken("was cut off before the end of its answer"),
            ureq::Error::Decompress(..) => self.broken("sent an answer that does not decompress"),
            _ => self.broken("sent something that is not an HTTP answer"),
        }
    }

    /// An answer with an error status. `body` is the beginning of its body.
    pub(super) fn status(&self, status: u16, body: &[u8], retry_after_s: Option<u32>) -> Failure {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let words = self.words(&body);
        let about_model = words
            .as_ref()
            .is_some_and(|words| words.to_lowercase().contains("model"));
        let kind = if code_says_unknown_model(&body) || (status == 404 && about_model) {
            FailureKind::UnknownModel
        } else {
            FailureKind::Refused
        };
        let message = match (words, status) {
            (Some(words), _) => format!("{} refused with status {status}: {words}", self.name),
            (None, 300..400) => format!(
                "{} redirects elsewhere (status {status}), which is not followed. Check its base URL.",
                self.name
            ),
            (None, 404) => format!("{} has no such address (status 404). Check its base URL.", self.name),
            (None, _) => format!("{} refused with status {status}", self.name),
        };
        Failure {
            retry_after_s,
            ..Failure::new(kind, message)
        }
    }

    /// An error object in place of an answer, or in the middle of one.
    pub(super) fn error_object(&self, body: &Value) -> Failure {
        let kind = if code_says_unknown_model(body) {
            FailureKind::UnknownModel
        } else {
            FailureKind::Refused
        };
        match self.words(body) {
            Some(words) => Failure::new(kind, format!("{} reports: {words}", self.name)),
            None => Failure::new(kind, format!("{} reports an error without saying which", self.name)),
        }
    }

    fn unreachable(&self, reason: &str) -> Failure {
        let message = format!("{} at {} cannot be reached ({reason})", self.name, self.authority);
        Failure::new(FailureKind::Unreachable, message)
    }

    fn silent(&self, what: &str) -> Failure {
        Failure::new(FailureKind::Timeout, format!("{} {what}", self.name))
    }

    /// The server's own words, wherever its kind of server puts them, fit to be shown.
    fn words(&self, body: &Value) -> Option<String> {
        let error = body.get("error");
        let text = [
            error.and_then(|error| error.get("message")),
            error,
            body.get("message"),
            body.get("detail"),
        ]
        .into_iter()
        .flatten()
        .find_map(Value::as_str)?;
        let text = printable(text);
        if text.is_empty() || text.starts_with('<') {
            return None; // HTML, of a proxy in between.
        }
        Some(cut(&self.without_key(text), WORDS_CHARS_MAX))
    }

    /// Servers repeat a key they refuse, whole or with its middle starred out.
    fn without_key(&self, text: String) -> String {
        let Some(key) = self.key.as_deref().filter(|key| key.chars().count() >= KEY_CHARS_MIN) else {
            return text;
        };
        let text = text.replace(key, "[key]");
        let words: Vec<&str> = text
            .split(' ')
            .map(|word| if word.contains("***") { "[key]" } else { word })
            .collect();
        words.join(" ")
    }
}

/// Text of a server as one line: control characters become spaces, runs of white space one space.
pub(super) fn printable(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

/// The first `chars_max` characters.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn code_says_unknown_model(body: &Value) -> bool {
    let error = body.get("error").unwrap_or(body);
    ["code", "type"]
        .iter()
        .any(|field| error.get(field).and_then(Value::as_str) == Some("model_not_found"))
}

/// Why there is no connection.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "connection refused".to_owned()
        }
        ureq::Error::Io(error) => cut(&printable(&error.to_string()), WORDS_CHARS_MAX),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        _ => cut(&printable(&error.to_string()), WORDS_CHARS_MAX),
    }
}
