//! One error for the whole house: what kind of thing went wrong, a sentence for the client, a source for the log.
//!
//! Knows no HTTP: the only match from [`Kind`] to a status stands in `http::reply`.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// The closed set of things that can go wrong. Each says who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The input is well formed but makes no sense (an empty message).
    Malformed,
    /// The input does not fit its schema; [`Error::issues`] lists where.
    Invalid,
    /// Nobody is signed in, or the credentials are not accepted.
    Unauthenticated,
    /// What the API key's replies may cost this month is spent.
    OverBudget,
    /// Signed in, but not allowed.
    Forbidden,
    /// No such thing, or not the caller's.
    NotFound,
    /// The state of the thing forbids it (an e-mail address that is taken).
    Conflict,
    /// Larger than the limit that the message names.
    TooLarge,
    /// Too many attempts or messages; [`Error::retry_after_s`] says when to try again.
    RateLimited,
    /// A queue or pool is full, or the store is locked; trying again later helps.
    Unavailable,
    /// The disk is full or read-only.
    StorageFull,
    /// A model's server failed or answered nonsense.
    Upstream,
    /// A model's server did not answer in time.
    UpstreamTimeout,
    /// A mistake of ours. The client sees only a request id.
    Internal,
}

impl Kind {
    /// A word for programs.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Malformed => "malformed",
            Kind::Invalid => "invalid",
            Kind::Unauthenticated => "unauthenticated",
            Kind::OverBudget => "over_budget",
            Kind::Forbidden => "forbidden",
            Kind::NotFound => "not_found",
            Kind::Conflict => "conflict",
            Kind::TooLarge => "too_large",
            Kind::RateLimited => "rate_limited",
            Kind::Unavailable => "unavailable",
            Kind::StorageFull => "storage_full",
            Kind::Upstream => "upstream",
            Kind::UpstreamTimeout => "upstream_timeout",
            Kind::Internal => "internal",
        }
    }
}

/// One reason why input does not fit its schema, in the form that pydantic's clients read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Issue {
    /// The rule that was broken, such as `missing` or `string_too_short`.
    #[serde(rename = "type")]
    pub rule: Cow<'static, str>,
    /// Where: `body`, `query` or `path` first, then field names and array positions.
    pub loc: Vec<Value>,
    /// A sentence about it.
    pub msg: Cow<'static, str>,
    /// What was sent there (null when nothing was).
    pub input: Value,
    /// The numbers or words of the rule, where it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctx: Option<Value>,
}

/// What went wrong: a kind, a sentence for the client, and a source for the log.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: Cow<'static, str>,
    issues: Vec<Issue>,
    retry_after_s: Option<u32>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind. `message` is a sentence for the client; for [`Kind::Internal`] it is logged only.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Error {
        Error {
            kind,
            message: message.into(),
            issues: Vec::new(),
            retry_after_s: None,
            source: None,
        }
    }

    /// A mistake of ours, with its cause.
    pub fn internal(
        message: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::new(Kind::Internal, message).caused_by(source)
    }

    /// Input that does not fit its schema, with at least one issue.
    pub fn invalid(issues: Vec<Issue>) -> Error {
        Error {
            issues,
            ..Error::new(Kind::Invalid, "The request does not fit its schema")
        }
    }

    /// The same error with the cause that the log shows.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.source = Some(source.into());
        self
    }

    /// The same error whose sentence begins with what it is about.
    #[must_use]
    pub fn about(mut self, subject: &str) -> Error {
        self.message = format!("{subject}: {}", self.message).into();
        self
    }

    /// The same error with the number of seconds after which trying again makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Error {
        self.retry_after_s = Some(seconds);
        self
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The sentence for the client.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where the input does not fit its schema (empty unless [`Kind::Invalid`]).
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// Seconds until trying again makes sense.
    pub fn retry_after_s(&self) -> Option<u32> {
        self.retry_after_s
    }
}

impl fmt::Display for Error {
    /// The message and its causes in one line, for the log and the terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause: Option<&dyn std::error::Error> = self.source.as_deref().map(|source| source as _);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
