//! A model server for the tests of this room: a listener on loopback that answers as each test says.

use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::openai::{OpenAi, Server};
use super::request::LengthField;
use super::{Completion, Delta, Failure, Prompt, PromptMessage, Provider, Role, Stop, Timeouts, ToolCall};

/// A key that must not turn up anywhere.
pub(super) const KEY: &str = "sk-canary-1234567890";
/// More connections than any test makes.
const CONNECTIONS_MAX: usize = 32;

/// What becomes of the connection after an answer.
pub(super) enum Then {
    KeepAlive,
    Close,
    Reset,
    /// Silence until the client leaves.
    Hang,
}

/// A request as it arrived.
#[derive(Clone)]
pub(super) struct Received {
    /// Which one it is, over all connections, from 0.
    pub(super) number: usize,
    /// Which connection it came on, from 0.
    pub(super) connection: usize,
    pub(super) head: String,
    pub(super) body: String,
}

/// The running server.
pub(super) struct Upstream {
    pub(super) port: u16,
    pub(super) connections: Arc<AtomicUsize>,
    pub(super) requests: Arc<Mutex<Vec<Received>>>,
}

/// What came of a call.
pub(super) struct Outcome {
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) calls: Vec<ToolCall>,
    pub(super) result: Result<Completion, Failure>,
}

impl Upstream {
    /// Starts a server that answers every request with `answer`.
    pub(super) fn start(answer: impl Fn(&Received, &mut TcpStream) -> Then + Send + Sync + 'static) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Upstream {
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests) = (Arc::clone(&upstream.connections), Arc::clone(&upstream.requests));
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().take(CONNECTIONS_MAX).map(Result::unwrap) {
                let connection = connections.fetch_add(1, Ordering::SeqCst);
                let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
                thread::spawn(move || converse(stream, connection, &requests, &*answer));
            }
        });
        upstream
    }

    /// A server that answers every request with the same bytes.
    pub(super) fn with(bytes: impl Into<Vec<u8>>, then: fn() -> Then) -> Upstream {
        let bytes = bytes.into();
        Upstream::start(move |_, stream| {
            // The client may hang up as soon as it has seen enough.
            drop(stream.write_all(&bytes));
            then()
        })
    }

    pub(super) fn client(&self) -> OpenAi {
        client(&self.base_url())
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A client with timeouts that tests can wait for.
pub(super) fn client(base_url: &str) -> OpenAi {
    client_with(base_url, Duration::from_millis(400))
}

/// A client with this timeout between bytes.
pub(super) fn client_with(base_url: &str, between_bytes: Duration) -> OpenAi {
    OpenAi::new(server("openai", base_url, between_bytes)).unwrap()
}

/// What a client of any protocol is made with.
pub(super) fn server<'a>(name: &'a str, base_url: &'a str, between_bytes: Duration) -> Server<'a> {
    Server {
        name,
        base_url,
        key: Some(KEY),
        length_field: LengthField::MaxTokens,
        connections_max: 8,
        timeouts: Timeouts {
            connect: Duration::from_secs(2),
            first_byte: between_bytes,
            between_bytes,
            whole: Duration::from_secs(30),
        },
        pictures: Arc::default(),
    }
}

pub(super) fn prompt(model: &str) -> Prompt {
    Prompt {
        model: model.to_owned(),
        messages: vec![
            PromptMessage::text(Role::System, "Be kind."),
            PromptMessage::text(Role::User, "Hello"),
        ],
        temperature: Some(0.5),
        max_tokens: Some(64),
        ..Prompt::default()
    }
}

/// Asks, and collects what arrives. The key must not be in what fails.
pub(super) fn ask(provider: &dyn Provider, stop: &Stop) -> Outcome {
    let (mut text, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
    let result = provider.complete(&prompt("m-1"), stop, &mut |delta| match delta {
        Delta::Text(piece) => text.push_str(piece),
        Delta::Reasoning(piece) => reasoning.push_str(piece),
        Delta::Tool(call) => calls.push(call.clone()),
    });
    if let Err(failure) = &result {
        assert!(!failure.message.contains(KEY), "{failure}");
        assert!(!failure.message.contains('<'), "{failure}");
        assert!(failure.message.chars().count() < 400, "{failure}");
    }
    Outcome {
        text,
        reasoning,
        calls,
        result,
    }
}

/// A response with a length.
pub(super) fn whole(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The head of a stream in chunks.
pub(super) const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

/// `text` in chunks of `size` bytes, without the last one.
pub(super) fn chunks(text: &str, size: usize) -> Vec<u8> {
    let chunk = |piece: &[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    text.as_bytes().chunks(size).flat_map(chunk).collect()
}

/// A whole stream with this text.
pub(super) fn stream(text: &str) -> Vec<u8> {
    [STREAM.as_bytes(), &chunks(text, 1000), b"0\r\n\r\n"].concat()
}

fn converse(
    mut stream: TcpStream,
    connection: usize,
    requests: &Mutex<Vec<Received>>,
    answer: &(dyn Fn(&Received, &mut TcpStream) -> Then + Send + Sync),
) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((head, body)) = read_request(&mut reader) {
        let mut requests = requests.lock().unwrap();
        let received = Received {
            number: requests.len(),
            connection,
            head,
            body,
        };
        requests.push(received.clone());
        drop(requests);
        match answer(&received, &mut stream) {
            Then::KeepAlive => (),
            Then::Close => return,
            Then::Reset => {
                socket2::SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
                return;
            }
            Then::Hang => drop(reader.read(&mut [0])),
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head
        .to_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).unwrap()))
}
