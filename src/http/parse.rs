//! A request's head: bytes to method, target and fields, or a refusal. Strict (RFC 9112), because a proxy in front of
//! us must never read the same bytes differently.

use std::ops::Range;

use tiny_http::Method;

use super::Limits;

/// Fields in one head. Browsers send about twenty.
const FIELDS_MAX: usize = 100;

/// Longest request target. Longer ones are refused with 414, whatever else the head is.
pub(super) const TARGET_BYTES_MAX: usize = 8 * 1024;

/// Why a request is refused before any route is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) detail: &'static str,
}

pub(super) const fn refuse(status: u16, detail: &'static str) -> Refusal {
    Refusal { status, detail }
}

/// How the body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    Known(u64),
    Chunked,
}

/// A parsed head. Ranges point into the bytes it was parsed from.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) path: Range<usize>,
    pub(super) query: Option<Range<usize>>,
    pub(super) authority: Option<Range<usize>>,
    pub(super) fields: Vec<(Range<usize>, Range<usize>)>,
    /// The 1 or 0 of HTTP/1.x.
    pub(super) minor: u8,
    pub(super) length: BodyLength,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
}

impl Head {
    /// Takes `base` off the path, where the path leads below it. `bytes` are those that the head was parsed from.
    pub(super) fn leave(&mut self, base: &str, bytes: &[u8]) {
        let rest = bytes[self.path.clone()].strip_prefix(base.as_bytes());
        if rest.is_some_and(|rest| rest.starts_with(b"/")) {
            self.path.start += base.len();
        }
    }
}

/// Looks at bytes that arrived since `scanned`. Returns the head's length once its empty line is there.
/// Bytes that no head may hold are refused at once, so a TLS greeting or noise does not wait for a deadline.
pub(super) fn find_end(buffer: &[u8], scanned: usize) -> Result<Option<usize>, Refusal> {
    let mut at = scanned;
    while let Some(found) = buffer.get(at..).and_then(next_control) {
        at += found;
        match buffer[at] {
            b'\r' => match buffer.get(at + 1) {
                Some(b'\n') if at >= 2 && &buffer[at - 2..at] == b"\r\n" => return Ok(Some(at + 2)),
                Some(b'\n') => {}
                // The next read brings the other half; `at` is looked at again then.
                None => break,
                Some(_) => return Err(refuse(400, "A lone carriage return in the request head")),
            },
            b'\n' if at > 0 && buffer[at - 1] == b'\r' => match buffer.get(at + 1) {
                Some(b' ' | b'\t') => return Err(refuse(400, "A folded line in the request head")),
                Some(_) => {}
                // As above.
                None => break,
            },
            b'\n' => return Err(refuse(400, "A line of the request head ends without a carriage return")),
            _ => return Err(refuse(400, "A control byte in the request head")),
        }
        at += 1;
    }
    Ok(None)
}

/// Where the first control byte is. Most of a head is one long token: it is read over in pieces, many bytes at a time.
fn next_control(bytes: &[u8]) -> Option<usize> {
    const PIECE: usize = 32;
    let has_none = |piece: &&[u8]| !piece.iter().fold(false, |found, byte| found | is_control(*byte));
    let read_over = bytes.chunks_exact(PIECE).take_while(has_none).count() * PIECE;
    let rest = bytes[read_over..].iter();
    rest.copied().position(is_control).map(|found| read_over + found)
}

/// Whether a byte ends a line or has no place in one. A tab may stand where a space may.
const fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 127
}

/// Parses a whole head (as `find_end` found it).
pub(super) fn parse(head: &[u8], limits: &Limits) -> Result<Head, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let status = request.parse(head).map_err(|error| match error {
        httparse::Error::TooManyHeaders => refuse(431, "More than 100 header fields"),
        httparse::Error::Version if names_a_version(head) => refuse(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here"),
        _ => refuse(400, "The request head is malformed"),
    })?;
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(refuse(400, "The request head is malformed"));
    };
    if !status.is_complete() {
        return Err(refuse(400, "The request head is malformed"));
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(refuse(414, "The request target is too long"));
    }
    let method: Method = method.parse().map_err(|()| refuse(400, "The method is malformed"))?;
    let base = head.as_ptr() as usize;
    let span = |part: &[u8]| {
        let start = part.as_ptr() as usize - base;
        start..start + part.len()
    };
    let target = span(target.as_bytes());
    let (authority, path, query) = split_target(head, target)?;
    let facts = Facts::read(request.headers, minor)?;
    if let BodyLength::Known(length) = facts.length
        && length > limits.body_bytes_max
    {
        return Err(refuse(413, "The body is larger than this server accepts"));
    }
    Ok(Head {
        method,
        path,
        query,
        authority,
        fields: request
            .headers
            .iter()
            .map(|field| (span(field.name.as_bytes()), span(field.value)))
            .collect(),
        minor,
        length: facts.length,
        keep_alive: facts.keep_alive,
        expects_continue: facts.expects_continue,
    })
}

/// Characters of a refused request's path in the log.
const LOGGED_CHARS_MAX: usize = 256;

/// Method and path of a request that is refused, as far as they can be told, for the log. Never the query, which may
/// hold a token.
pub(super) fn line(head: &[u8]) -> String {
    let end = head.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let line = String::from_utf8_lossy(&head[..end.unwrap_or(head.len())]);
    let mut words = line.split(' ');
    let is_method = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let (Some(method), Some(target)) = (words.next().filter(is_method), words.next()) else {
        return "- -".to_owned();
    };
    let target = target.split(['?', '#']).next().unwrap_or_default();
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |start| &rest[start..]),
        None => target,
    };
    let path: String = path.chars().take(LOGGED_CHARS_MAX).collect();
    if path.is_empty() {
        return format!("{method} -");
    }
    format!("{method} {path}")
}

/// Whether a request line is well formed but for its version: `GET / HTTP/2.0`, not `GET / x HTTP/1.1`.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or(head);
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    matches!(words[..], [_, _, version] if version.starts_with(b"HTTP/"))
}

type Target = (Option<Range<usize>>, Range<usize>, Option<Range<usize>>);

/// Origin form, absolute form or `*`; anything else is refused. A fragment has no place in a request.
fn split_target(head: &[u8], target: Range<usize>) -> Result<Target, Refusal> {
    let malformed = refuse(400, "The request target is malformed");
    let text = &head[target.clone()];
    if text.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b'#') {
        return Err(malformed);
    }
    let mut start = target.start;
    let mut authority = None;
    if text != b"*" && !text.starts_with(b"/") {
        let scheme = [&b"http://"[..], b"https://"]
            .into_iter()
            .find(|scheme| text.len() > scheme.len() && text[..scheme.len()].eq_ignore_ascii_case(scheme))
            .ok_or(malformed)?;
        let after = start + scheme.len();
        let length = head[after..target.end]
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?'))
            .unwrap_or(target.end - after);
        authority = Some(after..after + length);
        start = after + length;
    }
    let query_at = head[start..target.end].iter().position(|byte| *byte == b'?');
    let path_end = query_at.map_or(target.end, |at| start + at);
    let query = query_at.map(|at| start + at + 1..target.end);
    Ok((authority, start..path_end, query))
}

/// What the fields say about the framing and the connection.
struct Facts {
    length: BodyLength,
    keep_alive: bool,
    expects_continue: bool,
}

impl Facts {
    fn read(fields: &[httparse::Header<'_>], minor: u8) -> Result<Facts, Refusal> {
        let mut length: Option<u64> = None;
        let mut chunked = false;
        let mut hosts = 0;
        let mut keep_alive = minor == 1;
        let mut expects_continue = false;
        for field in fields {
            let value = field.value;
            if field.name.eq_ignore_ascii_case("content-length") {
                if length.is_some() {
                    return Err(refuse(400, "More than one Content-Length"));
                }
                length = Some(parse_length(value)?);
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                if chunked || minor == 0 || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(refuse(400, "The only Transfer-Encoding understood is chunked, once"));
                }
                chunked = true;
            } else if field.name.eq_ignore_ascii_case("host") {
                hosts += 1;
            } else if field.name.eq_ignore_ascii_case("connection") {
                for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if option.eq_ignore_ascii_case(b"close") {
                        keep_alive = false;
                    } else if option.eq_ignore_ascii_case(b"keep-alive") && minor == 0 {
                        keep_alive = true;
                    }
                }
            } else if field.name.eq_ignore_ascii_case("expect") {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(refuse(417, "The only expectation understood is 100-continue"));
                }
                expects_continue = minor == 1;
            }
        }
        if hosts > 1 || (hosts == 0 && minor == 1) {
            return Err(refuse(400, "Exactly one Host is needed"));
        }
        let length = match (length, chunked) {
            (Some(_), true) => {
                return Err(refuse(400, "Both Content-Length and Transfer-Encoding"));
            }
            (None, true) => BodyLength::Chunked,
            (length, false) => BodyLength::Known(length.unwrap_or(0)),
        };
        Ok(Facts {
            length,
            keep_alive,
            expects_continue,
        })
    }
}

/// Digits only: no sign, no list, no space inside.
fn parse_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(refuse(400, "Content-Length is not a number"));
    }
    std::str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(refuse(413, "The body is larger than this server accepts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(request: &str) -> Result<Head, u16> {
        let bytes = request.as_bytes();
        let end = find_end(bytes, 0).map_err(|refusal| refusal.status)?.ok_or(0_u16)?;
        parse(&bytes[..end], &Limits::default()).map_err(|refusal| refusal.status)
    }

    #[track_caller]
    fn refused(request: &str, status: u16) {
        assert_eq!(outcome(request).err(), Some(status), "{request:?}");
    }

    #[test]
    fn a_plain_request() {
        let text = "POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
        let head = outcome(text).unwrap();
        assert_eq!(&text[head.path], "/a/b");
        assert_eq!(&text[head.query.unwrap()], "c=d");
        assert_eq!(head.length, BodyLength::Known(5));
        assert!(head.keep_alive);
    }

    #[test]
    fn an_absolute_target() {
        let text = "GET http://evil.example/x HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let head = outcome(text).unwrap();
        assert_eq!(&text[head.authority.unwrap()], "evil.example");
        assert_eq!(&text[head.path], "/x");
    }

    #[test]
    fn framing_is_strict() {
        let with = |field: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n");
        for length in ["-1", "+5", "5, 5", "abc", "", "0x10", "5 5"] {
            refused(&with(&format!("Content-Length: {length}")), 400);
        }
        refused(&with("Content-Length: 30000000000"), 413);
        refused(&with("Content-Length: 9223372036854775808"), 413);
        refused(&with("Content-Length: 18446744073709551616"), 413);
        refused(&with("Content-Length: 5\r\nContent-Length: 5"), 400);
        refused(&with("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400);
        refused(&with("Transfer-Encoding: gzip, chunked"), 400);
        refused(&with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 400);
        refused(&with("Transfer-Encoding : chunked"), 400);
        refused(&with("X: a\r\n b"), 400);
        refused(&with("X: a\rb"), 400);
        refused(&with("X: a\0b"), 400);
        refused(&with("Host: y"), 400);
        refused("GET / HTTP/1.1\r\n\r\n", 400);
        refused("GET / HTTP/1.1\nHost: x\n\n", 400);
        refused("GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505);
        refused("PRI * HTTP/2.0\r\n\r\n", 505);
        refused("GET example.com HTTP/1.1\r\nHost: x\r\n\r\n", 400);
        refused(" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    }

    #[test]
    fn a_refused_request_is_named_without_its_query() {
        for (head, expected) in [
            ("GET /a/b?token=secret HTTP/1.1\r\nHost: x\r\n", "GET /a/b"),
            ("POST http://ann:secret@x/a?b HTTP/1.1\r\n", "POST /a"),
            ("POST http://x HTTP/1.1\r\n", "POST -"),
            ("GET /half", "GET /half"),
            ("GE", "- -"),
            ("", "- -"),
            ("\u{16}\u{3}\u{1} x", "- -"),
            ("\r\nsecret: x y", "- -"),
        ] {
            assert_eq!(line(head.as_bytes()), expected, "{head:?}");
        }
        let long = format!("GET /{}", "ä".repeat(9000));
        assert_eq!(line(long.as_bytes()).chars().count(), "GET ".len() + LOGGED_CHARS_MAX);
    }

    #[test]
    fn an_end_in_two_reads() {
        let text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(find_end(&text[..cut], 0).unwrap(), None);
            let again = cut.saturating_sub(1);
            assert_eq!(find_end(text, again).unwrap(), Some(text.len()));
        }
    }
}
