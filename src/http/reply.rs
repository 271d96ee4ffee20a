//! A reply, and the only place where kinds of errors become statuses.

use std::io::{ErrorKind, Read, Take, Write};

use serde::Serialize;
use tiny_http::{HTTPVersion, Header, Response, StatusCode};

use super::request::RequestId;
use crate::error::{Error, Kind};

/// What goes back to the client.
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<Header>,
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
        match Header::from_bytes(name, value) {
            Ok(header) if is_safe => self.headers.push(header),
            _ => log::error!("a value of the header field {name} was left out: {value:?}"),
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
pub(super) fn print(reply: Reply, framed: Framed) -> std::io::Result<Printed> {
    let reply = reply.header("Server", "fireside");
    let (bytes, length, source) = match reply.body {
        ReplyBody::Bytes(bytes) => {
            let length = bytes.len();
            (bytes, length, None)
        }
        ReplyBody::Stream { length, source } => {
            let length = usize::try_from(length).map_err(std::io::Error::other)?;
            let source = Exact(source.take(length as u64));
            (Vec::new(), length, Some(Box::new(source) as Box<dyn Read + Send>))
        }
    };
    let mut out = Vec::with_capacity(bytes.len() + 512);
    let is_upgrade = |header: &&Header| header.field.equiv("Upgrade");
    let upgrade = match reply.status {
        426 => reply
            .headers
            .iter()
            .find(is_upgrade)
            .map(|header| header.value.to_string()),
        _ => None,
    };
    let response = Response::new(
        StatusCode(reply.status),
        reply.headers,
        bytes.as_slice(),
        Some(length),
        None,
    );
    let mut head = Head {
        out: &mut out,
        framed,
        upgrade,
        is_open: true,
    };
    // Never chunked: the length is known. HTTP/1.0 clients are answered in their own version.
    response.with_chunked_threshold(usize::MAX).raw_print(
        &mut head,
        HTTPVersion(1, framed.minor),
        &[],
        framed.is_head,
        None,
    )?;
    let source = if framed.is_head { None } else { source };
    if matches!(reply.status, 204 | 304) {
        // tiny_http gives these a length of 0, which RFC 9110 forbids on 204 and which would be untrue on 304.
        without_length(&mut out);
    }
    Ok((out, source))
}

/// Writes the head of a reply whose length nobody knows yet: in HTTP/1.1 its body comes in chunks, in HTTP/1.0 it ends
/// with the connection.
pub(super) fn print_open(reply: Reply, framed: Framed) -> std::io::Result<Vec<u8>> {
    let reply = reply.header("Server", "fireside");
    let mut out = Vec::with_capacity(512);
    let response = Response::new(StatusCode(reply.status), reply.headers, std::io::empty(), None, None);
    let mut head = Head {
        out: &mut out,
        framed,
        upgrade: None,
        is_open: true,
    };
    response.raw_print(&mut head, HTTPVersion(1, framed.minor), &[], true, None)?;
    if framed.minor == 0 {
        // tiny_http takes the body that it is not to send for an empty one.
        without_length(&mut out);
    }
    Ok(out)
}

/// Takes a length of 0 out of a head.
fn without_length(head: &mut Vec<u8>) {
    const LENGTH: &[u8] = b"Content-Length: 0\r\n";
    if let Some(at) = head.windows(LENGTH.len()).position(|window| window == LENGTH) {
        head.drain(at..at + LENGTH.len());
    }
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

/// Puts the fields that every reply has behind the status line, as tiny_http drops `Connection` and `Upgrade`.
struct Head<'o> {
    out: &'o mut Vec<u8>,
    framed: Framed,
    /// The protocol that a 426 asks for.
    upgrade: Option<String>,
    is_open: bool,
}

impl Write for Head<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.extend_from_slice(bytes);
        if self.is_open && bytes.ends_with(b"\r\n") {
            self.is_open = false;
            let connection = match (self.framed.keep_alive, self.framed.minor) {
                (false, _) => "Connection: close\r\n",
                (true, 0) => "Connection: keep-alive\r\n",
                (true, _) => "",
            };
            write!(
                self.out,
                "X-Request-Id: {}\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n{connection}",
                self.framed.id
            )?;
            if let Some(upgrade) = &self.upgrade {
                write!(self.out, "Connection: upgrade\r\nUpgrade: {upgrade}\r\n")?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
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
        String::from_utf8(print(reply, framed).unwrap().0).unwrap()
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
    fn header_values_cannot_break_lines() {
        let text = printed(Reply::empty(204).header("X-A", "b\r\nSet-Cookie: c"), true, false);
        assert!(!text.contains("Set-Cookie"), "{text}");
    }
}
