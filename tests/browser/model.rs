//! A model of the test's own: it says what it was asked, word by word, so that a test writes the reply it wants to see.
//! Where the text has the word `PAUSE` it waits for the test, and at `BREAK` it hangs up; what begins with `REFUSE` it
//! refuses. What begins with `FAIL:`, `THINK:` or `CALL:` comes back as the words of an error, as reasoning, or as the name
//! and the argument of a tool. A system prompt that begins with `Say:` is said instead, for replies that are to look like replies. It lets
//! everybody in but the key `sk-wrong`.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::chunks::read_chunks;

#[derive(Default)]
struct Gate {
    open: Mutex<usize>,
    changed: Condvar,
}

impl Gate {
    /// Waits for one more `let_go`.
    fn pass(&self) {
        let mut open = self.open.lock().unwrap();
        while *open == 0 {
            open = self.changed.wait(open).unwrap();
        }
        *open -= 1;
    }
}

/// It lives as long as the process: the threads end with it.
pub(crate) struct Model {
    address: SocketAddr,
    gate: Arc<Gate>,
}

/// What it calls itself when it is asked for its models.
const NAMES: [&str; 2] = ["mirror", "looking-glass"];

impl Model {
    pub(crate) fn start() -> Model {
        Model::with_names(&NAMES.map(str::to_owned))
    }

    /// One that goes by these names.
    pub(crate) fn with_names(names: &[String]) -> Model {
        let models: Vec<_> = names
            .iter()
            .map(|name| json!({ "id": name, "object": "model" }))
            .collect();
        let list: Arc<str> = json!({ "object": "list", "data": models }).to_string().into();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let gate = Arc::new(Gate::default());
        let shared = Arc::clone(&gate);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (gate, list) = (Arc::clone(&shared), Arc::clone(&list));
                // An error is the other side going away, which is its right.
                thread::spawn(move || drop(serve(&socket, &gate, &list)));
            }
        });
        Model { address, gate }
    }

    /// Where it is asked, as a provider's address.
    pub(crate) fn address(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What makes the server ask it.
    pub(crate) fn environment(&self) -> [(String, String); 3] {
        [
            ("OPENAI_BASE_URL".into(), self.address()),
            ("OPENAI_API_KEY".into(), "sk-nothing".into()),
            ("FIRESIDE_DEFAULT_MODEL".into(), "mirror".into()),
        ]
    }

    /// Lets one `PAUSE` go on, the next if there is none yet.
    pub(crate) fn let_go(&self) {
        *self.gate.open.lock().unwrap() += 1;
        self.gate.changed.notify_all();
    }
}

fn serve(mut socket: &TcpStream, gate: &Gate, list: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let is_list = line.contains("/models");
        let (is_allowed, body) = read_body(&mut reader)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !is_allowed {
            let text = json!({ "error": { "message": "Incorrect API key provided" } }).to_string();
            let length = text.len();
            write!(
                socket,
                "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{text}"
            )?;
            continue;
        }
        if is_list {
            write!(
                socket,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{list}",
                list.len()
            )?;
            continue;
        }
        let said = body["messages"]
            .as_array()
            .and_then(|rows| rows.last())
            .map(|row| &row["content"]);
        let text = said.and_then(Value::as_str).unwrap_or("Without a word.");
        let text = told(&body).unwrap_or(text).to_owned();
        let failure = text.strip_prefix("FAIL:");
        if text.starts_with("REFUSE") || failure.is_some() {
            let words = failure.unwrap_or("the mirror is fogged");
            let words = json!({ "error": { "message": words } }).to_string();
            let length = words.len();
            write!(
                socket,
                "HTTP/1.1 500 No\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{words}"
            )?;
        } else if body["stream"] == json!(true) {
            stream(socket, &text, gate)?;
        } else {
            let whole = json!({ "choices": [{ "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }] }).to_string();
            write!(
                socket,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{whole}",
                whole.len()
            )?;
        }
    }
}

/// What the system prompt has it say.
fn told(body: &Value) -> Option<&str> {
    let first = body["messages"].get(0).filter(|row| row["role"] == "system")?;
    first["content"].as_str()?.strip_prefix("Say:")
}

/// Whether the key is one that is let in, and the body.
fn read_body(reader: &mut BufReader<TcpStream>) -> std::io::Result<(bool, Vec<u8>)> {
    let (mut length, mut is_chunked, mut is_allowed) = (0, false, true);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        is_allowed &= !line.ends_with("sk-wrong");
        is_chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        if line.is_empty() {
            break;
        }
    }
    if is_chunked {
        return Ok((is_allowed, read_chunks(reader)?));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((is_allowed, body))
}

fn stream(mut socket: &TcpStream, text: &str, gate: &Gate) -> std::io::Result<()> {
    write!(
        socket,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )?;
    let (text, first) = match text.split_once(':') {
        Some(("THINK", words)) => ("Thought.", json!({ "reasoning_content": words })),
        Some(("CALL", words)) => {
            let function = json!({ "name": words, "arguments": json!({ words: words }).to_string() });
            let call = json!({ "index": 0, "id": "1", "type": "function", "function": function });
            ("Called.", json!({ "tool_calls": [call] }))
        }
        _ => (text, json!({})),
    };
    chunk(
        socket,
        &json!({ "choices": [{ "delta": first, "finish_reason": null }] }),
    )?;
    for word in text.split_inclusive([' ', '\n']) {
        match word.trim() {
            "PAUSE" => gate.pass(),
            "BREAK" => return socket.shutdown(std::net::Shutdown::Both),
            _ => chunk(
                socket,
                &json!({ "choices": [{ "delta": { "content": word }, "finish_reason": null }] }),
            )?,
        }
    }
    chunk(
        socket,
        &json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] }),
    )?;
    let usage = json!({ "prompt_tokens": 812, "completion_tokens": 37 });
    chunk(socket, &json!({ "choices": [], "usage": usage }))?;
    let done = "data: [DONE]\n\n";
    write!(socket, "{:x}\r\n{done}\r\n0\r\n\r\n", done.len())
}

fn chunk(mut socket: &TcpStream, data: &Value) -> std::io::Result<()> {
    let event = format!("data: {data}\n\n");
    write!(socket, "{:x}\r\n{event}\r\n", event.len())
}
