//! A model server that says exactly what a test wrote down, byte for byte: one answer per request, the last one again
//! and again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::PATIENCE;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// The server. It lives as long as the test's process.
pub(crate) struct Scripted {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Scripted {
    /// Answers each request with the next of these, and closes.
    pub(crate) fn start(answers: Vec<Vec<u8>>) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let hears = Arc::clone(&heard);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                // An error is the other side going away, which is its right.
                serve(&socket, &answers, &hears).ok();
            }
        });
        Scripted { address, heard }
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The questions so far; requests without a body are not among them.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no one panics with it").clone()
    }
}

fn serve(socket: &TcpStream, answers: &[Vec<u8>], heard: &Mutex<Vec<Heard>>) -> std::io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let mut reader = BufReader::new(socket);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let start = head.len();
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
        let line = head[start..].to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut socket = socket;
    if length == 0 {
        // Somebody asks for the list of models.
        return socket.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 11\r\n\r\n{\"data\":[]}");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let number = {
        let mut heard = heard.lock().expect("no one panics with it");
        heard.push(Heard { head, body });
        heard.len() - 1
    };
    let answer = &answers[number.min(answers.len() - 1)];
    socket.write_all(answer)?;
    // Whoever closes with something unread resets.
    socket.shutdown(std::net::Shutdown::Write)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    reader.read_to_end(&mut Vec::new()).map(drop)
}

/// An answer of this status.
pub(crate) fn whole(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} So\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// A stream of these events, whose end is that of the connection.
pub(crate) fn streamed(events: &[&str]) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n".to_vec();
    for event in events {
        bytes.extend_from_slice(format!("data: {event}\n\n").as_bytes());
    }
    bytes
}
