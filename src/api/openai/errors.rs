//! What goes wrong below `/v1`, in the form that OpenAI's clients read: `{"error": {message, type, param, code}}`.

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Kind};
use crate::http::{Reply, Request, RequestId};
use crate::models::{Failure, FailureKind};
use crate::turn::Fault;

/// Whether a request comes to this door.
pub(in crate::api) fn is_ours(request: &Request) -> bool {
    let path = request.path();
    path == "/v1" || path.starts_with("/v1/")
}

#[derive(Serialize)]
pub(super) struct ErrorBody<'a> {
    error: ErrorView<'a>,
}

#[derive(Serialize)]
struct ErrorView<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
}

/// Why a request is not answered by a model.
pub(super) enum Problem {
    /// Nobody serves the model, in a sentence.
    Model(String),
    /// Anything else.
    Error(Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        Problem::Error(error)
    }
}

impl Problem {
    /// What is answered to it. An error is put into words by whoever sends it.
    pub(super) fn answer(self) -> Result<Reply, Error> {
        match self {
            Problem::Model(message) => Reply::json(404, &model_body(&message)),
            Problem::Error(error) => Err(error),
        }
    }

    /// The same within a stream, where the status has been sent.
    pub(super) fn body(&self) -> String {
        let body = match self {
            Problem::Model(message) => serde_json::to_string(&model_body(message)),
            Problem::Error(error) => serde_json::to_string(&error_body(error)),
        };
        // These structs have string keys and no maps of other kinds, which is all that could fail.
        body.unwrap_or_default()
    }
}

pub(super) fn unknown_model(requested: &str) -> String {
    format!("The model '{requested}' does not exist, or no provider serves it")
}

pub(super) fn no_model(requested: &str) -> Result<Reply, Error> {
    Reply::json(404, &model_body(&unknown_model(requested)))
}

fn model_body(message: &str) -> ErrorBody<'_> {
    ErrorBody {
        error: ErrorView {
            message,
            r#type: "invalid_request_error",
            param: Some("model".to_owned()),
            code: Some("model_not_found"),
        },
    }
}

/// Why there is no reply, or no whole one.
pub(super) fn problem(fault: Fault) -> Problem {
    match fault {
        Fault::Store(error) => Problem::Error(error),
        Fault::Kept(error) => {
            let message = "The server's store is in trouble. The message is stored, but not answered";
            Problem::Error(Error::new(Kind::Unavailable, message).caused_by(error))
        }
        Fault::Model(failure) => of_model(failure),
    }
}

fn of_model(failure: Failure) -> Problem {
    let kind = match (failure.kind, failure.retry_after_s) {
        (FailureKind::UnknownModel, _) => return Problem::Model(failure.message),
        (FailureKind::Timeout, _) => Kind::UpstreamTimeout,
        // A server that says when to come back is busy, not broken.
        (FailureKind::Stopped, _) | (FailureKind::Refused, Some(_)) => Kind::Unavailable,
        (FailureKind::Unreachable | FailureKind::Refused | FailureKind::Broken, _) => Kind::Upstream,
    };
    let error = Error::new(kind, failure.message.clone()).caused_by(failure.message);
    Problem::Error(match failure.retry_after_s {
        Some(seconds) => error.retry_after(seconds),
        None => error,
    })
}

/// The reply to an error: its status and header fields are everybody's, its body is this door's.
pub(in crate::api) fn say(error: &Error, id: RequestId) -> Reply {
    let reply = Reply::error(error, id);
    let status = match reply.status() {
        422 => 400,
        status => status,
    };
    reply.rephrased(status, &error_body(error))
}

/// The same of an address that is none, or a method that it does not have.
pub(in crate::api) fn say_unknown(request: &Request, reply: Reply) -> Reply {
    let status = reply.status();
    let message = format!("Unknown request URL: {} {}", request.method(), request.path());
    let error = ErrorView {
        message: &message,
        r#type: "invalid_request_error",
        param: None,
        code: Some(if status == 405 {
            "method_not_allowed"
        } else {
            "unknown_url"
        }),
    };
    reply.rephrased(status, &ErrorBody { error })
}

fn error_body(error: &Error) -> ErrorBody<'_> {
    let (r#type, code) = match error.kind() {
        Kind::Malformed | Kind::Invalid | Kind::TooLarge => ("invalid_request_error", None),
        Kind::NotFound => ("invalid_request_error", Some("not_found")),
        Kind::Unauthenticated => ("invalid_request_error", Some("invalid_api_key")),
        Kind::OverBudget => ("insufficient_quota", Some("insufficient_quota")),
        Kind::Forbidden => ("permission_error", None),
        Kind::Conflict => ("conflict_error", None),
        Kind::RateLimited => ("rate_limit_error", Some("rate_limit_exceeded")),
        Kind::Upstream | Kind::UpstreamTimeout => ("server_error", Some("upstream_error")),
        Kind::Internal | Kind::Unavailable | Kind::StorageFull => ("server_error", None),
    };
    let issue = error.issues().first();
    let message = match (issue, error.kind()) {
        (Some(issue), _) => &issue.msg,
        (None, Kind::Internal) => "Internal Server Error",
        (None, _) => error.message(),
    };
    ErrorBody {
        error: ErrorView {
            message,
            r#type,
            param: issue.map(|issue| param(&issue.loc)).filter(|param| !param.is_empty()),
            code,
        },
    }
}

/// Where an issue is, as OpenAI writes it: `messages[0].content`.
fn param(loc: &[Value]) -> String {
    let mut param = String::new();
    for part in loc.iter().skip(1) {
        match part {
            Value::String(name) if param.is_empty() => param += name,
            Value::String(name) => param += &format!(".{name}"),
            index => param += &format!("[{index}]"),
        }
    }
    param
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_are_written_as_openai_writes_them() {
        let loc = |parts: Value| param(parts.as_array().unwrap());
        assert_eq!(loc(json!(["body", "messages", 0, "content"])), "messages[0].content");
        assert_eq!(loc(json!(["body", "model"])), "model");
        assert_eq!(loc(json!(["body"])), "");
    }

    #[test]
    fn a_mistake_of_ours_is_not_explained() {
        let error = Error::internal("a query failed", "SELECT secret");
        assert!(!Problem::Error(error).body().contains("query"));
    }
}
