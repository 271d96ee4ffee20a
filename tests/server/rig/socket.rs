//! A WebSocket client that speaks JSON, and hears what the server says. Bytes that no client should send go through
//! `stream`.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use super::{Call, PATIENCE, Reply, Server};

/// One end of an open socket.
pub(crate) struct Socket(WebSocket<TcpStream>);

impl Socket {
    /// Opens one with the token in the query.
    #[track_caller]
    pub(crate) fn open(server: &Server, token: &str) -> Socket {
        Socket::open_with(server, &format!("/ws?token={token}"), &[]).0
    }

    /// Opens one with these header fields; the subprotocol that was chosen comes with it.
    #[track_caller]
    pub(crate) fn open_with(server: &Server, target: &str, headers: &[(&str, &str)]) -> (Socket, Option<String>) {
        let mut request = format!("ws://{}{target}", server.address)
            .into_client_request()
            .expect("a request");
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            let value: HeaderValue = value.parse().expect("a value");
            request.headers_mut().insert(name, value);
        }
        let stream = TcpStream::connect_timeout(&server.address, PATIENCE).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        let (socket, response) = tungstenite::client(request, stream).expect("a socket");
        let chosen = response.headers().get("Sec-WebSocket-Protocol");
        let chosen = chosen.map(|value| value.to_str().expect("text").to_string());
        (Socket(socket), chosen)
    }

    /// A request for a socket that will be refused.
    pub(crate) fn ask(server: &Server, target: &str) -> Call {
        server
            .get(target)
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }

    #[track_caller]
    pub(crate) fn send(&mut self, frame: &Value) {
        self.say(Message::text(frame.to_string()));
    }

    #[track_caller]
    pub(crate) fn say(&mut self, message: Message) {
        self.0.send(message).expect("sent");
    }

    /// Bytes past the client's own protocol. The other end may have closed already.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream().write_all(bytes).ok();
    }

    /// The next frame, which comes within the usual patience.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Value {
        match self.next(PATIENCE) {
            Some(Ok(frame)) => frame,
            Some(Err(code)) => panic!("closed with {code}"),
            None => panic!("no frame within {PATIENCE:?}"),
        }
    }

    /// The next frame of this type; others are read over.
    #[track_caller]
    pub(crate) fn receive_type(&mut self, wanted: &str) -> Value {
        loop {
            let frame = self.receive();
            if frame["type"] == wanted {
                return frame["data"].clone();
            }
        }
    }

    /// Nothing has come, and nothing comes before the answer to a ping.
    #[track_caller]
    pub(crate) fn check_quiet(&mut self) {
        self.send(&serde_json::json!({"type": "ping"}));
        assert_eq!(self.receive(), serde_json::json!({"type": "pong"}));
    }

    /// The code that the server closes with, within `patience`; frames before it are read over. 0: without a word.
    #[track_caller]
    pub(crate) fn close_code(&mut self, patience: Duration) -> u16 {
        let deadline = Instant::now() + patience;
        loop {
            match self.next(deadline.saturating_duration_since(Instant::now())) {
                Some(Ok(_)) => {}
                Some(Err(code)) => return code,
                None => panic!("not closed within {patience:?}"),
            }
        }
    }

    /// The next frame or the closing's code; `None` when nothing comes in time.
    fn next(&mut self, patience: Duration) -> Option<Result<Value, u16>> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            self.stream().set_read_timeout(Some(left)).expect("a read timeout");
            match self.0.read() {
                Ok(Message::Text(text)) => return Some(Ok(serde_json::from_str(text.as_str()).expect("JSON"))),
                Ok(Message::Close(frame)) => {
                    return Some(Err(frame.map_or(CloseCode::Status.into(), |frame| frame.code.into())));
                }
                Ok(_) => {}
                Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if Instant::now() >= deadline {
                        return None;
                    }
                }
                Err(_) => return Some(Err(0)),
            }
        }
    }
}

/// A reply that refuses the upgrade, with this status and a sentence.
#[track_caller]
pub(crate) fn check_refused(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert!(!reply.detail().is_empty(), "{}", reply.text());
}
