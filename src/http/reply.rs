//! A reply, and the only place where kinds of errors become statuses.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Take};

use serde::Serialize;
use tiny_http::StatusCode;

use super::request::RequestId;
use crate::clock::Clock;
use crate::error::{Error, Kind};

/// What goes back to the client.
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: ReplyBody,
}

pub(super) enum ReplyBody {
    Bytes(Vec<u8>),
    /// Read in pieces as the socket drains; `length` bytes in all.
    Stream {
        length: u64,
        source: Box<dyn Read + Send>,
    },
}

/// How errors are put into words.
pub type Wording = fn(&Error, RequestId) -> Reply;

impl Reply {
    /// A reply without a body.
    pub fn empty(status: u16) -> Reply {
        Reply {
            status,
            headers: Vec::with_capacity(4),
            body: ReplyBody::Bytes(Vec::new()),
        }
    }

    /// These bytes, of this media type.
    pub fn bytes(status: u16, content_type: &'static str, bytes: Vec<u8>) -> Reply {
        let mut reply = Reply::empty(status).header("Content-Type", content_type);
        reply.body = ReplyBody::Bytes(bytes);
        reply
    }

    /// A body that is larger than memory should hold, read while it is sent.
    pub fn stream(status: u16, content_type: &'static str, length: u64, source: Box<dyn Read + Send>) -> Reply {
        let mut reply = Reply::empty(status).header("Content-Type", content_type);
        reply.body = ReplyBody::Stream { length, source };
        reply
    }

    /// A value as JSON.
    ///
    /// # Errors
    /// [`Kind::Internal`] when the value cannot be written as JSON.
    pub fn json(status: u16, value: &impl Serialize) -> Result<Reply, Error> {
        let bytes =
            serde_json::to_vec(value).map_err(|error| Error::internal("a reply cannot be written as JSON", error))?;
        let reply = Reply::bytes(status, "application/json", bytes);
        Ok(reply.header("Cache-Control", "no-store"))
    }

    /// An error in the form that every route shares: `{"detail": …}`.
    pub fn error(error: &Error, id: RequestId) -> Reply {
        let status = status(error.kind());
        let body = match error.kind() {
            Kind::Invalid => serde_json::json!({ "detail": error.issues() }),
            Kind::Internal => {
                log::error!("request {id}: {error}");
                serde_json::json!({ "detail": "Internal Server Error", "request_id": id.to_string() })
            }
            _ => serde_json::json!({ "detail": error.message() }),
        };
        let mut reply = Reply::detail(status, &body);
        if error.kind() == Kind::Unauthenticated {
            reply = reply.header("WWW-Authenticate", "Bearer");
        }
        if let Some(seconds) = error.retry_after_s() {
            reply = reply.header("Retry-After", &seconds.to_string());
        }
        reply
    }

    /// The same error in other words: its header fields stay.
    #[must_use]
    pub fn rephrased(mut self, status: u16, body: &impl Serialize) -> Reply {
        self.status = status;
        // What it said before is better than nothing.
        if let Ok(bytes) = serde_json::to_vec(body) {
            self.body = ReplyBody::Bytes(bytes);
        }
        self
    }

    /// A body that is certainly JSON already.
    pub(super) fn detail(status: u16, body: &serde_json::Value) -> Reply {
        let reply = Reply::bytes(status, "application/json", body.to_string().into_bytes());
        reply.header("Cache-Control", "no-store")
    }

    /// The same reply with one more header field. The one place where fields are made: a value with a line break or
    /// another control byte would let a client write our headers, so such a field is left out and logged.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Reply {
        let is_safe = value.bytes().all(|byte| byte == b'\t' || (32..127).contains(&byte));
        if is_safe {
            self.headers.push((name, value.to_owned()));
        } else {
            log::error!("a value of the header field {name} was left out: {value:?}");
        }
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }
}

/// The only match from kinds to statuses.
pub(super) fn status(kind: Kind) -> u16 {
    match kind {
        Kind::Malformed => 400,
        Kind::Unauthenticated => 401,
        Kind::OverBudget => 402,
        Kind::Forbidden => 403,
        Kind::NotFound => 404,
        Kind::Conflict => 409,
        Kind::TooLarge => 413,
        Kind::Invalid => 422,
        Kind::RateLimited => 429,
        Kind::Internal => 500,
        Kind::Upstream => 502,
        Kind::Unavailable => 503,
        Kind::UpstreamTimeout => 504,
        Kind::StorageFull => 507,
    }
}

/// How a reply must be framed for the request it answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framed {
    /// The request's HTTP/1.x.
    pub(super) minor: u8,
    /// HEAD: the same head, no body.
    pub(super) is_head: bool,
    pub(super) keep_alive: bool,
    pub(super) id: RequestId,
}

/// The bytes to send first, and where the rest of the body is read from.
pub(super) type Printed = (Vec<u8>, Option<Box<dyn Read + Send>>);

/// Writes the head (and the body, if it is in memory) in the form of HTTP/1. Returns what is left to be read and sent.
pub(super) fn print(reply: Reply, framed: Framed) -> Printed {
    let (bytes, length, source) = match reply.body {
        ReplyBody::Bytes(bytes) => {
            let length = bytes.len() as u64;
            (bytes, length, None)
        }
        ReplyBody::Stream { length, source } => {
            let source = Exact(source.take(length));
            (Vec::new(), length, Some(Box::new(source) as Box<dyn Read + Send>))
        }
    };
    let body = match reply.status {
        // What has no body has no length (RFC 9110, 8.6); that of a 304 would be another's.
        204 | 304 => BodyForm::None,
        _ => BodyForm::Known(length),
    };
    let mut out = print_head(reply.status, &reply.headers, framed, body, bytes.len());
    if framed.is_head || body == BodyForm::None {
        return (out, None);
    }
    out.extend_from_slice(&bytes);
    (out, source)
}

/// Writes the head of a reply whose length nobody knows yet: in HTTP/1.1 its body comes in chunks, in HTTP/1.0 it ends
/// with the connection.
pub(super) fn print_open(reply: &Reply, framed: Framed) -> Vec<u8> {
    let body = if framed.minor == 0 {
        BodyForm::None
    } else {
        BodyForm::Chunked
    };
    print_head(reply.status, &reply.headers, framed, body, 0)
}

/// How a head says where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyForm {
    /// Not at all: there is none, or it ends with the connection.
    None,
    /// So many bytes.
    Known(u64),
    Chunked,
}

/// The bytes of a head, in room for so many further ones.
fn print_head(
    status: u16,
    headers: &[(&'static str, String)],
    framed: Framed,
    body: BodyForm,
    further_bytes: usize,
) -> Vec<u8> {
    let mut out = String::with_capacity(512 + further_bytes);
    let reason = StatusCode(status).default_reason_phrase();
    // Writing to a String does not fail.
    let _ = write!(
        out,
        "HTTP/1.{} {status} {reason}\r\nX-Request-Id: {}\r\nDate: ",
        framed.minor, framed.id
    );
    push_date(&mut out);
    out.push_str("\r\nServer: fireside\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n");
    out.push_str(match (framed.keep_alive, framed.minor) {
        (false, _) => "Connection: close\r\n",
        (true, 0) => "Connection: keep-alive\r\n",
        (true, _) => "",
    });
    for (name, value) in headers {
        // Only a 426 asks for another protocol, and its connection must say so as well.
        match (*name, status) {
            ("Upgrade", 426) => out.push_str("Connection: upgrade\r\n"),
            ("Upgrade", _) => continue,
            _ => {}
        }
        for part in [name, ": ", value, "\r\n"] {
            out.push_str(part);
        }
    }
    let _ = match body {
        BodyForm::None => out.write_str("\r\n"),
        BodyForm::Known(length) => write!(out, "Content-Length: {length}\r\n\r\n"),
        BodyForm::Chunked => out.write_str("Transfer-Encoding: chunked\r\n\r\n"),
    };
    out.into_bytes()
}

/// Now, as HTTP has it. Made once a second.
fn push_date(out: &mut String) {
    thread_local! {
        static LAST: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let now = Clock.now();
    LAST.with_borrow_mut(|(second, text)| {
        if *second != now.seconds() {
            (*second, *text) = (now.seconds(), now.http_date());
        }
        out.push_str(text);
    });
}

/// A source that is as long as was promised, or fails: what comes after a body on the same connection must not be taken
/// for a part of it, nor the other way round.
struct Exact(Take<Box<dyn Read + Send>>);

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 if self.0.limit() > 0 && !buffer.is_empty() => Err(ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(reply: Reply, keep_alive: bool, is_head: bool) -> String {
        let framed = Framed {
            minor: 1,
            is_head,
            keep_alive,
            id: RequestId(7),
        };
        String::from_utf8(print(reply, framed).0).unwrap()
    }

    #[test]
    fn a_reply_is_framed_by_its_length() {
        let text = printed(Reply::bytes(200, "text/plain", vec![b'x'; 40_000]), true, false);
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\nX-Request-Id: 0000000000000007\r\n"),
            "{text:.80}"
        );
        assert!(text.contains("Content-Length: 40000\r\n") && !text.contains("Connection:"));
        assert_eq!(text.split("\r\n\r\n").nth(1).unwrap().len(), 40_000);
        let head = printed(Reply::bytes(200, "text/plain", vec![b'x'; 4]), false, true);
        assert!(head.contains("Content-Length: 4\r\n") && head.contains("Connection: close\r\n"));
        assert!(head.ends_with("\r\n\r\n"));
    }

    #[test]
    fn what_a_426_asks_for_is_said() {
        let reply = |status| Reply::bytes(status, "text/plain", vec![b'x']).header("Upgrade", "websocket");
        assert!(printed(reply(426), true, false).contains("\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"));
        assert!(!printed(reply(200), true, false).contains("Upgrade"));
    }

    #[test]
    fn a_body_has_a_length_or_an_end() {
        let none = printed(Reply::empty(204), true, false);
        assert!(
            !none.contains("Content-Length") && !none.contains("Transfer-Encoding"),
            "{none}"
        );
        let known = printed(Reply::bytes(304, "text/plain", Vec::new()), true, false);
        assert!(!known.contains("Content-Length"), "{known}");
        let open = |minor| {
            let framed = Framed {
                minor,
                is_head: false,
                keep_alive: false,
                id: RequestId(7),
            };
            String::from_utf8(print_open(&Reply::empty(200), framed)).unwrap()
        };
        assert!(open(1).starts_with("HTTP/1.1 200 OK\r\n") && open(1).contains("Transfer-Encoding: chunked\r\n"));
        assert!(open(0).starts_with("HTTP/1.0 200 OK\r\n") && !open(0).contains("Transfer-Encoding"));
        assert!(open(1).ends_with("\r\n\r\n") && open(0).ends_with("\r\n\r\n"));
    }

    #[test]
    fn header_values_cannot_break_lines() {
        let text = printed(Reply::empty(204).header("X-A", "b\r\nSet-Cookie: c"), true, false);
        assert!(!text.contains("Set-Cookie"), "{text}");
    }
}
