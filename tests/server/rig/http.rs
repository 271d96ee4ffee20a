//! A small HTTP/1.1 client over `TcpStream`. Hostile tests need the bytes themselves, so a request can be built and
//! sent, or only built; replies are parsed strictly, and a connection says whether it was closed and how.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Multipart, PATIENCE};

/// One reply, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a header, when it is there; the first one if it is there twice.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .count()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {} {}", self.status, self.text()),
        }
    }

    /// The `detail` sentence of an error, or the empty string.
    pub(crate) fn detail(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["detail"].as_str().unwrap_or_default().to_string()
    }
}

/// A request being built.
#[derive(Clone)]
pub(crate) struct Call {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Call {
    pub(crate) fn new(address: SocketAddr, method: &str, target: &str) -> Call {
        let headers = vec![("Host".to_string(), address.to_string())];
        Call {
            address,
            method: method.to_string(),
            target: target.to_string(),
            headers,
            body: None,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Call {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// The same request under another name for the server.
    pub(crate) fn host(mut self, host: &str) -> Call {
        self.headers.retain(|(name, _)| name != "Host");
        self.header("Host", host)
    }

    /// The same request for another target.
    pub(crate) fn at(&self, target: &str) -> Call {
        Call {
            target: target.to_string(),
            ..self.clone()
        }
    }

    pub(crate) fn bearer(self, token: &str) -> Call {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: &Value) -> Call {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    pub(crate) fn form(self, fields: &[(&str, &str)]) -> Call {
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", percent(name), percent(value)))
            .collect();
        self.header("Content-Type", "application/x-www-form-urlencoded")
            .body(pairs.join("&"))
    }

    pub(crate) fn multipart(self, fields: &[(&str, &str)]) -> Call {
        let form = fields
            .iter()
            .fold(Multipart::new(), |form, (name, value)| form.field(name, value));
        form.on(self)
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Call {
        self.body = Some(body.into());
        self
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The request as it goes on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        let body = self.body.as_deref().unwrap_or_default();
        if self.body.is_some() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        bytes
    }

    /// Sends it on a connection of its own.
    #[track_caller]
    pub(crate) fn send(&self) -> Reply {
        match self.try_send() {
            Ok(reply) => reply,
            Err(why) => panic!("{} {}: {why}", self.method, self.target),
        }
    }

    /// Sends it on a connection of its own; what went wrong comes back as a sentence.
    pub(crate) fn try_send(&self) -> Result<Reply, String> {
        let mut connection = Connection::try_open(self.address).map_err(|error| format!("cannot connect: {error}"))?;
        connection.send(&self.bytes());
        connection.reply_within(&self.method, Duration::from_secs(60))
    }
}

/// Percent-encodes everything that is not unreserved (RFC 3986 §2.3).
pub(crate) fn percent(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// How the other side ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It did not, within the deadline.
    Open,
    Closed,
    Reset,
}

/// One socket and what has been read from it but not yet used.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
    ending: Ending,
}

impl Connection {
    #[track_caller]
    pub(crate) fn open(address: SocketAddr) -> Connection {
        match Connection::try_open(address) {
            Ok(connection) => connection,
            Err(error) => panic!("cannot connect to {address}: {error}"),
        }
    }

    pub(crate) fn try_open(address: SocketAddr) -> std::io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection {
            stream,
            read: Vec::new(),
            ending: Ending::Open,
        })
    }

    /// Writes as much as the other side takes. A server may well close before the end of a hostile request, so
    /// an error is not a failure of the test; the reply tells.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub(crate) fn finish_sending(&self) {
        // Fails only on a connection that is already gone, which the reader finds out.
        self.stream.shutdown(Shutdown::Write).ok();
    }

    /// Ends the connection with a reset instead of a close.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("a linger of zero");
    }

    /// The next reply to a request with this method.
    #[track_caller]
    pub(crate) fn reply(&mut self, method: &str) -> Reply {
        match self.reply_within(method, Duration::from_secs(60)) {
            Ok(reply) => reply,
            Err(why) => panic!("{why}"),
        }
    }

    pub(crate) fn reply_within(&mut self, method: &str, patience: Duration) -> Result<Reply, String> {
        let deadline = Instant::now() + patience;
        loop {
            let closed = self.ending != Ending::Open;
            if let Some((reply, used)) = parse(&self.read, method == "HEAD", closed)? {
                self.read.drain(..used);
                return Ok(reply);
            }
            if closed {
                return Err(format!(
                    "{:?} before a whole reply: {:?}",
                    self.ending,
                    String::from_utf8_lossy(&self.read)
                ));
            }
            if self.fill(deadline) == Ending::Open && Instant::now() >= deadline {
                return Err(format!("no reply within {patience:?}"));
            }
        }
    }

    /// Everything the other side sends until it closes or the deadline passes.
    pub(crate) fn rest(&mut self, patience: Duration) -> (Vec<u8>, Ending) {
        let deadline = Instant::now() + patience;
        while self.ending == Ending::Open && Instant::now() < deadline {
            self.fill(deadline);
        }
        (std::mem::take(&mut self.read), self.ending)
    }

    /// Waits until these words have come.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, words: &str, patience: Duration) {
        let deadline = Instant::now() + patience;
        let has_come = |read: &[u8]| read.windows(words.len()).any(|window| window == words.as_bytes());
        while !has_come(&self.read) {
            let text = String::from_utf8_lossy(&self.read).into_owned();
            let is_over = self.ending != Ending::Open || Instant::now() >= deadline;
            assert!(!is_over, "no {words:?} in {text:?} ({:?})", self.ending);
            self.fill(deadline);
        }
    }

    /// Whether the other side has ended the connection, without waiting for it.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.fill(Instant::now() + Duration::from_millis(1)) != Ending::Open
    }

    fn fill(&mut self, deadline: Instant) -> Ending {
        let left = deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).expect("a read timeout");
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.ending = Ending::Closed,
            Ok(count) => self.read.extend_from_slice(&chunk[..count]),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(_) => self.ending = Ending::Reset,
        }
        self.ending
    }
}

/// All replies in what one connection sent before it closed; fails on anything that is not a sequence of replies.
pub(crate) fn parse_replies(mut bytes: &[u8]) -> Result<Vec<Reply>, String> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        let Some((reply, used)) = parse(bytes, false, true)? else {
            return Err(format!("half a reply: {:?}", String::from_utf8_lossy(bytes)));
        };
        replies.push(reply);
        bytes = &bytes[used..];
    }
    Ok(replies)
}

/// The first reply in `bytes` and its length; `None` when it is not whole yet.
fn parse(bytes: &[u8], without_body: bool, closed: bool) -> Result<Option<(Reply, usize)>, String> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head that is not UTF-8".to_string())?;
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| line.strip_prefix("HTTP/1.0 "))
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse::<u16>().ok())
        .ok_or_else(|| format!("not a status line: {line:?}"))?;
    let headers = lines
        .map(|line| {
            line.split_once(':')
                .map(|(name, value)| (name.to_string(), value.trim().to_string()))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| format!("a header line without a colon: {head:?}"))?;
    let mut reply = Reply {
        status,
        headers,
        body: Vec::new(),
    };
    let start = end + 4;
    let used = if without_body || status == 204 || status == 304 || (100..200).contains(&status) {
        Some(start)
    } else if reply.header("Transfer-Encoding").is_some() {
        dechunk(&bytes[start..], &mut reply.body)?.map(|length| start + length)
    } else if let Some(length) = reply.header("Content-Length") {
        let length = length
            .parse::<usize>()
            .map_err(|_| format!("Content-Length: {length}"))?;
        reply.body.extend(bytes[start..].iter().take(length));
        (reply.body.len() == length).then_some(start + length)
    } else {
        reply.body.extend_from_slice(&bytes[start..]);
        closed.then_some(bytes.len())
    };
    Ok(used.map(|used| (reply, used)))
}

/// Decodes a chunked body into `body`; its length on the wire, or `None` when it is not whole.
fn dechunk(bytes: &[u8], body: &mut Vec<u8>) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some(line) = bytes[at..].windows(2).position(|window| window == b"\r\n") else {
            return Ok(None);
        };
        let size = std::str::from_utf8(&bytes[at..at + line]).unwrap_or("?");
        let size = usize::from_str_radix(size, 16).map_err(|_| format!("chunk size {size:?}"))?;
        let start = at + line + 2;
        let Some(chunk) = bytes.get(start..start + size + 2) else {
            return Ok(None);
        };
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk longer than its size".to_string());
        }
        body.extend_from_slice(&chunk[..size]);
        at = start + size + 2;
        if size == 0 {
            return Ok(Some(at));
        }
    }
}
