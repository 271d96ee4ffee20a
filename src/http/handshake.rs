//! The opening of a WebSocket (RFC 6455, 4.2): is this request one that asks for it, and the words that grant it.

use serde_json::json;
use tungstenite::handshake::derive_accept_key;

use super::reply::Reply;
use super::request::Request;

/// The only version there is.
const VERSION: &str = "13";

/// The name under which a token may come among the subprotocols: a browser can send no other header of its own.
const BEARER: &str = "bearer";

/// A request that may become a WebSocket.
#[derive(Debug)]
pub struct Handshake {
    accept: String,
    /// A token offered as a subprotocol. The client is told that `bearer` was chosen, or it closes again.
    token: Option<String>,
}

impl Handshake {
    /// Reads a request for a WebSocket.
    ///
    /// # Errors
    /// The reply: 426 to a request that asks for something else, 400 to one whose key is none.
    pub fn read(request: &Request) -> Result<Handshake, Reply> {
        let is_asked = *request.method() == tiny_http::Method::Get
            && request.head.minor == 1
            && has_word(request, "Upgrade", "websocket")
            && has_word(request, "Connection", "upgrade");
        if !is_asked {
            return Err(upgrade_required("This address speaks WebSocket"));
        }
        if request.header("Sec-WebSocket-Version").map(str::trim) != Some(VERSION) {
            return Err(upgrade_required("Only version 13 of WebSocket is spoken here"));
        }
        let key = request.header("Sec-WebSocket-Key").map_or("", str::trim);
        if !is_key(key) || request.headers("Sec-WebSocket-Key").count() > 1 {
            let body = json!({ "detail": "Sec-WebSocket-Key must be 16 bytes in base64" });
            return Err(Reply::detail(400, &body));
        }
        Ok(Handshake {
            accept: derive_accept_key(key.as_bytes()),
            token: offered_token(request),
        })
    }

    /// The token that came as `Sec-WebSocket-Protocol: bearer, <token>`.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The head that turns the connection into a WebSocket.
    pub(super) fn head(&self) -> Vec<u8> {
        let chosen = match self.token {
            Some(_) => format!("Sec-WebSocket-Protocol: {BEARER}\r\n"),
            None => String::new(),
        };
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{chosen}\r\n",
            self.accept
        )
        .into_bytes()
    }
}

fn upgrade_required(detail: &str) -> Reply {
    Reply::detail(426, &json!({ "detail": detail }))
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", VERSION)
}

/// Whether a list field, which may come in several lines, has a word.
fn has_word(request: &Request, field: &str, word: &str) -> bool {
    let mut words = request.headers(field).flat_map(|value| value.split(','));
    words.any(|other| other.trim().eq_ignore_ascii_case(word))
}

/// 16 bytes in base64: 22 digits and two signs that fill up.
fn is_key(key: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with("==") && key.bytes().take(22).all(is_digit)
}

/// The word after `bearer` in the list of subprotocols.
fn offered_token(request: &Request) -> Option<String> {
    let mut words = request
        .headers("Sec-WebSocket-Protocol")
        .flat_map(|value| value.split(','))
        .map(str::trim);
    words.find(|word| word.eq_ignore_ascii_case(BEARER))?;
    words.next().filter(|token| !token.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::request::{Body, RequestId};
    use super::super::{Limits, parse};
    use super::*;

    const FIELDS: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    /// The handshake, or the status of the refusal and whether it asks for the upgrade.
    fn read(start: &str, fields: &str) -> Result<Handshake, (u16, bool)> {
        let bytes = format!("{start}\r\nHost: test\r\n{fields}\r\n").into_bytes();
        let head = parse::parse(&bytes, &Limits::default()).unwrap_or_else(|_| panic!("a head"));
        let request = Request {
            bytes,
            head,
            body: Body::Memory(Vec::new()),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            id: RequestId(1),
        };
        Handshake::read(&request).map_err(|reply| {
            let asks = reply.headers.iter().any(|(name, _)| *name == "Upgrade");
            (reply.status(), asks)
        })
    }

    #[track_caller]
    fn refused(start: &str, fields: &str, status: u16) {
        let outcome = read(start, fields).err();
        assert_eq!(outcome, Some((status, status == 426)), "{start} {fields}");
    }

    #[test]
    fn the_sample_of_the_standard() {
        let head = read("GET /ws HTTP/1.1", FIELDS).unwrap().head();
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(!head.contains("Protocol:") && head.ends_with("\r\n\r\n"));
    }

    #[test]
    fn browsers_ask_in_more_words() {
        let fields = FIELDS
            .replace("Connection: Upgrade", "Connection: keep-alive, Upgrade")
            .replace("websocket", "WebSocket");
        assert!(read("GET /ws?token=x HTTP/1.1", &fields).is_ok());
        let offered = format!("{FIELDS}Sec-WebSocket-Protocol: bearer, a.b-c_d\r\n");
        let handshake = read("GET /ws HTTP/1.1", &offered).unwrap();
        assert_eq!(handshake.token(), Some("a.b-c_d"));
        let head = String::from_utf8(handshake.head()).unwrap();
        assert!(head.contains("\r\nSec-WebSocket-Protocol: bearer\r\n"), "{head}");
        for without in ["chat", "chat, superchat", "bearer", "bearer,"] {
            let offered = format!("{FIELDS}Sec-WebSocket-Protocol: {without}\r\n");
            assert_eq!(read("GET /ws HTTP/1.1", &offered).unwrap().token(), None, "{without}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let start = "GET /ws HTTP/1.1";
        refused(start, "", 426);
        refused("POST /ws HTTP/1.1", FIELDS, 426);
        refused("GET /ws HTTP/1.0", FIELDS, 426);
        refused(start, &FIELDS.replace("websocket", "h2c"), 426);
        refused(start, &FIELDS.replace("Connection: Upgrade", "Connection: close"), 426);
        refused(start, &FIELDS.replace("13", "8"), 426);
        refused(start, &FIELDS.replace("Sec-WebSocket-Version: 13\r\n", ""), 426);
        for key in [
            "",
            "short==",
            "dGhlIHNhbXBsZSBub25jZQ=a",
            "dGhlIHNhbXBsZSBub25jZQ==dGhl",
            "dGhlIHNhbXBs*SBub25jZQ==",
        ] {
            refused(start, &FIELDS.replace("dGhlIHNhbXBsZSBub25jZQ==", key), 400);
        }
        let twice = format!("{FIELDS}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
        refused(start, &twice, 400);
    }
}
