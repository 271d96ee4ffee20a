//! A fake OpenAI-compatible server on loopback. The model's name says how it behaves: words after `fake`, joined by
//! dashes (`fake`, `fake-ttft200`, `fake-gap20-n64`, `fake-e500`, `fake-hang`, …). It keeps every request for the tests
//! to read, answers `stream: true` with server-sent events and everything else with one JSON object, and knows no
//! model whose name does not begin with `fake`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::chunks::read_chunks;
use super::{PATIENCE, until};

/// The secret that tests give as the API key; no reply and no log line may ever hold it.
const KEY: &str = "sk-canary-7d1f0c5be2";

/// One request, as the server sent it.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The context as (role, content).
    pub(crate) fn messages(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        self.body["messages"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| (text(&row["role"]), text(&row["content"])))
            .collect()
    }
}

#[derive(Default)]
struct State {
    requests: Vec<Recorded>,
    sockets: Vec<TcpStream>,
    threads: Vec<JoinHandle<()>>,
    released: bool,
    closing: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn wait_for_release(&self) {
        let state = self.state.lock().expect("no one panics with it");
        let waited = self
            .changed
            .wait_while(state, |state| !state.released && !state.closing);
        drop(waited.expect("no one panics with it"));
    }
}

/// The fake, stopped and waited for on drop.
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    pub(crate) const KEY: &'static str = KEY;

    pub(crate) fn start() -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accept(&listener, &accepting));
        Upstream {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// What `OPENAI_BASE_URL` should be.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The requests for a completion so far.
    pub(crate) fn completions(&self) -> Vec<Recorded> {
        let state = self.shared.state.lock().expect("no one panics with it");
        state
            .requests
            .iter()
            .filter(|request| request.path.ends_with("/chat/completions"))
            .cloned()
            .collect()
    }

    /// Requests for paths that no client of this protocol has.
    pub(crate) fn strays(&self) -> Vec<String> {
        let known = |path: &str| {
            path.ends_with("/chat/completions") || path.ends_with("/embeddings") || path.contains("/models")
        };
        let state = self.shared.state.lock().expect("no one panics with it");
        state
            .requests
            .iter()
            .map(|request| request.path.clone())
            .filter(|path| !known(path))
            .collect()
    }

    /// Waits until that many completions have been asked for.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Recorded> {
        until(PATIENCE, "the upstream is asked", || {
            Some(self.completions()).filter(|requests| requests.len() >= count)
        })
    }

    /// Lets every `fake-hold` go on.
    pub(crate) fn release(&self) {
        self.shared.state.lock().expect("no one panics with it").released = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let threads = {
            let mut state = self.shared.state.lock().expect("no one panics with it");
            state.closing = true;
            for socket in &state.sockets {
                // Fails only on a socket that is already gone.
                socket.shutdown(Shutdown::Both).ok();
            }
            std::mem::take(&mut state.threads)
        };
        self.shared.changed.notify_all();
        // Wakes the accept loop, which then sees that it is over.
        drop(TcpStream::connect(self.address));
        for thread in self.thread.take().into_iter().chain(threads) {
            if thread.join().is_err() {
                eprintln!("a thread of the fake panicked");
            }
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for socket in listener.incoming() {
        let Ok(socket) = socket else { continue };
        let mut state = shared.state.lock().expect("no one panics with it");
        if state.closing {
            return;
        }
        state.sockets.push(socket.try_clone().expect("a second handle"));
        let serving = Arc::clone(shared);
        state.threads.push(std::thread::spawn(move || {
            // An error here is the other side going away, which is its right.
            serve(&socket, &serving).ok();
            socket.shutdown(Shutdown::Both).ok();
        }));
    }
}

/// Serves one connection until either side ends it.
fn serve(socket: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut reader = BufReader::new(socket.try_clone()?);
    while let Some(request) = read_request(&mut reader)? {
        let model = request.body["model"].as_str().unwrap_or_default().to_string();
        let stream = request.body["stream"] == json!(true);
        let question = request
            .messages()
            .last()
            .map(|(_, content)| content.clone())
            .unwrap_or_default();
        let is_list = request.path.ends_with("/models");
        let is_embedding = request.path.ends_with("/embeddings");
        let called = called(&request);
        let format = request.body["encoding_format"].clone();
        shared
            .state
            .lock()
            .expect("no one panics with it")
            .requests
            .push(request);
        let mut out = Out { socket, stream };
        if is_list {
            out.json(
                200,
                &json!({"object": "list", "data": [{"id": "fake", "object": "model", "owned_by": "nobody"}]}),
            )?;
        } else if is_embedding && model.starts_with("fake") {
            out.json(200, &embeddings(format == "base64"))?;
        } else if let Some(tool) = called {
            out.call(&tool)?;
        } else {
            answer(&mut out, shared, &model, &question)?;
        }
    }
    Ok(())
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Recorded>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_string();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_string(), value.trim().to_string())),
            None => break,
        }
    }
    let mut request = Recorded {
        path,
        headers,
        body: Value::Null,
    };
    let mut body = Vec::new();
    if let Some(length) = request.header("Content-Length").and_then(|value| value.parse().ok()) {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    } else if request.header("Transfer-Encoding").is_some() {
        body = read_chunks(reader)?;
    }
    request.body = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Some(request))
}

/// What the words of a model's name ask for.
fn answer(out: &mut Out<'_>, shared: &Shared, model: &str, question: &str) -> std::io::Result<()> {
    let mut words = model.split('-');
    if words.next() != Some("fake") {
        return out.json(
            404,
            &json!({"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}}),
        );
    }
    let mut plan = Plan {
        text: format!("fake reply to: {question}"),
        ..Plan::default()
    };
    for word in words {
        let number = |prefix: &str| word.strip_prefix(prefix).and_then(|digits| digits.parse::<u64>().ok());
        if let Some(millis) = number("ttft") {
            std::thread::sleep(Duration::from_millis(millis));
        } else if let Some(millis) = number("gap") {
            plan.gap = Duration::from_millis(millis);
        } else if let Some(count) = number("n") {
            plan.text = (0..count).map(|index| format!("w{index} ")).collect();
        } else if let Some(status) = number("e") {
            // As the real ones do, the error repeats the key it was given.
            let message = format!("Incorrect API key provided: {KEY}");
            return out.json(
                u16::try_from(status).unwrap_or(500),
                &json!({"error": {"message": message, "type": "error", "code": null}}),
            );
        } else if let Some(count) = number("pause") {
            plan.pause = Some(usize::try_from(count).expect("a few words"));
        } else if word == "counts" {
            plan.counts = true;
        } else if word == "calls" {
            // It has been told what the tool said.
        } else if word == "vision" {
            // It sees; its reply is the same.
        } else if word == "hold" {
            shared.wait_for_release();
        } else {
            return fault(out, word, &plan.text);
        }
    }
    out.reply(&plan, shared)
}

#[derive(Default)]
struct Plan {
    text: String,
    gap: Duration,
    /// After so many words a stream waits until it is released.
    pause: Option<usize>,
    /// Whether a stream ends with what it cost: 1000 tokens read, 600 of them cached, 100 written.
    counts: bool,
}

/// The ways to misbehave.
fn fault(out: &mut Out<'_>, word: &str, text: &str) -> std::io::Result<()> {
    match word {
        "hang" => out.wait_for_the_end(),
        "hangmid" => {
            out.half(text)?;
            out.wait_for_the_end()
        }
        "reset" => {
            out.half(text)?;
            socket2::SockRef::from(out.socket).set_linger(Some(Duration::ZERO))?;
            Err(std::io::ErrorKind::ConnectionReset.into())
        }
        "cut" => {
            out.half(text)?;
            Err(std::io::ErrorKind::UnexpectedEof.into())
        }
        "split" => out.split(text),
        "badjson" => out.raw(200, "application/json", b"{\"choices\": [{\"message\": "),
        "empty" => out.raw(200, "application/json", b""),
        "wrong" => out.raw(200, "application/json", b"{\"choices\": [], \"usage\": 5}"),
        "html" => out.raw(
            200,
            "text/html",
            b"<!doctype html><title>Sign in</title><script>alert(1)</script>",
        ),
        "redirect" => out.head(307, "text/plain", "Location: /elsewhere\r\nContent-Length: 0\r\n"),
        "hugeline" => out.huge_line(),
        "bomb" => out.bomb(),
        _ => out.json(400, &json!({"error": {"message": format!("unknown word {word:?}")}})),
    }
}

struct Out<'a> {
    socket: &'a TcpStream,
    stream: bool,
}

impl Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut socket = self.socket;
        socket.write_all(bytes)
    }

    fn head(&mut self, status: u16, kind: &str, more: &str) -> std::io::Result<()> {
        self.write(format!("HTTP/1.1 {status} Fake\r\nContent-Type: {kind}\r\n{more}\r\n").as_bytes())
    }

    fn raw(&mut self, status: u16, kind: &str, body: &[u8]) -> std::io::Result<()> {
        self.head(
            status,
            kind,
            &format!("Content-Length: {}\r\nRetry-After: 1\r\n", body.len()),
        )?;
        self.write(body)
    }

    fn json(&mut self, status: u16, body: &Value) -> std::io::Result<()> {
        self.raw(status, "application/json", body.to_string().as_bytes())
    }

    fn reply(&mut self, plan: &Plan, shared: &Shared) -> std::io::Result<()> {
        if !self.stream {
            return self.json(200, &completion(&plan.text));
        }
        self.head(200, "text/event-stream", "Transfer-Encoding: chunked\r\n")?;
        for (count, word) in plan.text.split_inclusive(' ').enumerate() {
            if plan.pause == Some(count) {
                shared.wait_for_release();
            }
            self.chunk(event(word).as_bytes())?;
            std::thread::sleep(plan.gap);
        }
        if plan.counts {
            self.chunk(usage_event().as_bytes())?;
        }
        self.chunk(last_events().as_bytes())?;
        self.write(b"0\r\n\r\n")
    }

    /// A call of a tool; its arguments come in two pieces.
    fn call(&mut self, tool: &str) -> std::io::Result<()> {
        let call = |arguments: &str| json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": tool, "arguments": arguments}});
        if !self.stream {
            let mut whole = completion("");
            let message = json!({"role": "assistant", "content": null, "tool_calls": [call(ARGUMENTS)]});
            whole["choices"][0] = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
            return self.json(200, &whole);
        }
        let (first, rest) = ARGUMENTS.split_at(5);
        let rest = json!({"index": 0, "function": {"arguments": rest}});
        self.head(200, "text/event-stream", "Transfer-Encoding: chunked\r\n")?;
        for (delta, reason) in [
            (
                json!({"role": "assistant", "content": null, "tool_calls": [call(first)]}),
                Value::Null,
            ),
            (json!({"tool_calls": [rest]}), Value::Null),
            (json!({}), json!("tool_calls")),
        ] {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
            let chunk = json!({"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "fake", "choices": [choice]});
            self.chunk(format!("data: {chunk}\n\n").as_bytes())?;
        }
        self.chunk(b"data: [DONE]\n\n")?;
        self.write(b"0\r\n\r\n")
    }

    fn chunk(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write(format!("{:x}\r\n", bytes.len()).as_bytes())?;
        self.write(bytes)?;
        self.write(b"\r\n")
    }

    /// The first half of a good reply, of which the head promises all.
    fn half(&mut self, text: &str) -> std::io::Result<()> {
        if self.stream {
            self.head(200, "text/event-stream", "Transfer-Encoding: chunked\r\n")?;
            return text
                .split_inclusive(' ')
                .take(2)
                .try_for_each(|word| self.chunk(event(word).as_bytes()));
        }
        let body = completion(text).to_string();
        self.head(200, "application/json", &format!("Content-Length: {}\r\n", body.len()))?;
        self.write(&body.as_bytes()[..body.len() / 2])
    }

    /// A good reply, in pieces that cut through characters and events.
    fn split(&mut self, text: &str) -> std::io::Result<()> {
        let text = format!("{text} – ☃ 🔥");
        let (kind, body) = match self.stream {
            true => ("text/event-stream", event(&text) + &last_events()),
            false => ("application/json", completion(&text).to_string()),
        };
        self.head(200, kind, "Transfer-Encoding: chunked\r\n")?;
        for piece in body.as_bytes().chunks(7) {
            self.chunk(piece)?;
        }
        self.write(b"0\r\n\r\n")
    }

    /// One line of 24 MiB that never ends in anything useful.
    fn huge_line(&mut self) -> std::io::Result<()> {
        let kind = if self.stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        self.head(200, kind, "Connection: close\r\n")?;
        self.write(b"data: {\"choices\": [{\"message\": {\"content\": \"")?;
        (0..384).try_for_each(|_| self.write(&[b'x'; 64 * 1024]))?;
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }

    /// 128 MiB of blanks before the object, in 128 KiB of gzip.
    fn bomb(&mut self) -> std::io::Result<()> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        (0..128).try_for_each(|_| encoder.write_all(&vec![b' '; 1024 * 1024]))?;
        encoder.write_all(completion("too long").to_string().as_bytes())?;
        let body = encoder.finish()?;
        self.head(
            200,
            "application/json",
            &format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", body.len()),
        )?;
        self.write(&body)
    }

    /// Says nothing until the other side has enough.
    fn wait_for_the_end(&mut self) -> std::io::Result<()> {
        let mut socket = self.socket;
        while socket.read(&mut [0; 64])? > 0 {}
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

/// What a tool is called with.
const ARGUMENTS: &str = r#"{"city": "Paris"}"#;

/// The tool that this request's model calls: `fake-calls` calls the first, unless it has just been told what one said.
fn called(request: &Recorded) -> Option<String> {
    let calls = request.body["model"].as_str()?.split('-').any(|word| word == "calls");
    let (role, _) = request.messages().pop()?;
    let name = request.body["tools"][0]["function"]["name"].as_str()?;
    (calls && role != "tool").then(|| name.to_owned())
}

/// The vector (0.5, -1), as numbers or as the bytes of two floats.
fn embeddings(is_base64: bool) -> Value {
    let vector = if is_base64 {
        json!("AAAAPwAAgL8=")
    } else {
        json!([0.5, -1.0])
    };
    json!({
        "object": "list", "model": "fake", "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    })
}

fn completion(text: &str) -> Value {
    json!({
        "id": "chatcmpl-fake", "object": "chat.completion", "created": 1_700_000_000, "model": "fake",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    })
}

fn event(text: &str) -> String {
    let chunk = json!({
        "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "fake",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": null}],
    });
    format!("data: {chunk}\n\n")
}

fn usage_event() -> String {
    let chunk = json!({
        "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "fake", "choices": [],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 600}},
    });
    format!("data: {chunk}\n\n")
}

fn last_events() -> String {
    let chunk = json!({
        "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "fake",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    });
    format!("data: {chunk}\n\ndata: [DONE]\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Upstream;
    use crate::rig::{Call, Reply};

    fn ask(upstream: &Upstream, model: &str, stream: bool) -> Reply {
        let body = json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]});
        Call::new(upstream.address, "POST", "/v1/chat/completions")
            .json(&body)
            .send()
    }

    #[test]
    fn it_answers_as_its_models_name_says() {
        let upstream = Upstream::start();
        for (model, text) in [
            ("fake", "fake reply to: hi"),
            ("fake-ttft1-n2", "w0 w1 "),
            ("fake-split", "fake reply to: hi – ☃ 🔥"),
        ] {
            assert_eq!(
                ask(&upstream, model, false).json()["choices"][0]["message"]["content"],
                json!(text),
                "{model}"
            );
            let streamed = ask(&upstream, model, true).text();
            let deltas = streamed
                .split("data: ")
                .filter_map(|event| serde_json::from_str::<Value>(event.trim()).ok());
            let joined: String = deltas
                .filter_map(|event| {
                    event["choices"][0]["delta"]["content"]
                        .as_str()
                        .map(ToString::to_string)
                })
                .collect();
            assert_eq!(joined, text, "{model}");
            assert!(streamed.ends_with("data: [DONE]\n\n"), "{streamed}");
        }
        assert_eq!(
            (
                ask(&upstream, "fake-e429", false).status,
                ask(&upstream, "gpt-9", false).status
            ),
            (429, 404)
        );
        upstream.release();
        assert_eq!(ask(&upstream, "fake-hold", true).status, 200);
        assert_eq!(upstream.wait_for(9).len(), 9);
    }
}
