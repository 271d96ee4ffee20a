//! A reply read while it comes: chunk by chunk, event by event. It says whether the stream came to its end or broke off.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::{Call, PATIENCE};

/// One server-sent event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Event {
    /// The message its id names, and the bytes of text.
    #[track_caller]
    pub(crate) fn position(&self) -> (i64, usize) {
        let (message, text) = self.id.split_once(':').expect("an id of two parts");
        let text = text.split('.').next().unwrap_or_default();
        (message.parse().expect("a number"), text.parse().expect("a number"))
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    Broken,
}

/// A reply that is being read.
pub(crate) struct Stream {
    reader: BufReader<TcpStream>,
    pub(crate) status: u16,
    pub(crate) head: String,
    text: String,
    end: Option<End>,
}

impl Stream {
    /// Sends the request and reads the head of its answer.
    #[track_caller]
    pub(crate) fn open(call: &Call) -> Stream {
        Stream::open_with(call, &call.bytes())
    }

    /// The same with bytes of one's own.
    #[track_caller]
    pub(crate) fn open_with(call: &Call, bytes: &[u8]) -> Stream {
        let socket = TcpStream::connect_timeout(&call.address(), PATIENCE).expect("a connection");
        Stream::over(socket, bytes)
    }

    /// One over a socket that holds little: what is not read soon waits in the server.
    #[track_caller]
    pub(crate) fn narrow(call: &Call) -> Stream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        // Before connecting: the window is agreed upon then.
        socket.set_recv_buffer_size(32 * 1024).expect("a small buffer");
        socket.connect(&call.address().into()).expect("a connection");
        Stream::over(socket.into(), &call.bytes())
    }

    #[track_caller]
    fn over(mut socket: TcpStream, bytes: &[u8]) -> Stream {
        socket.set_nodelay(true).expect("no delay");
        socket.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        socket.write_all(bytes).expect("sent");
        let mut reader = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).expect("a head") > 0, "cut off: {head:?}");
        }
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Stream {
            reader,
            status: status.expect("a status"),
            head,
            text: String::new(),
            end: None,
        }
    }

    /// One that asks for events, and gets them.
    #[track_caller]
    pub(crate) fn events(call: Call) -> Stream {
        let stream = Stream::open(&call.header("Accept", "text/event-stream"));
        assert_eq!(stream.status, 200, "{}", stream.head);
        assert_eq!(stream.header("Content-Type"), Some("text/event-stream"));
        stream
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Reads one piece on; false at the end.
    #[track_caller]
    fn fill(&mut self) -> bool {
        if self.end.is_some() {
            return false;
        }
        match self.piece() {
            Ok(Some(piece)) => self.text.push_str(&String::from_utf8(piece).expect("text")),
            Ok(None) => self.end = Some(End::Whole),
            Err(error) => {
                let timed_out = matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                );
                assert!(!timed_out, "nothing within {PATIENCE:?}; so far {:?}", self.text);
                self.end = Some(End::Broken);
            }
        }
        true
    }

    /// The next chunk, or what comes; `None` at a proper end.
    fn piece(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        if self.header("Transfer-Encoding").is_none() {
            let piece = self.reader.fill_buf()?.to_vec();
            self.reader.consume(piece.len());
            return Ok((!piece.is_empty()).then_some(piece));
        }
        let mut line = String::new();
        let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        if self.reader.read_line(&mut line)? == 0 {
            return Err(broken());
        }
        let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk's size");
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk)?;
        assert!(chunk.ends_with(b"\r\n"), "a chunk longer than its size");
        chunk.truncate(size);
        Ok((size > 0).then_some(chunk))
    }

    /// The next event; signs of life are read over. `None` at the end.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if !block.starts_with(':') {
                    return Some(parse(&block));
                }
            }
            if !self.fill() {
                assert_eq!(self.text, "", "half an event");
                return None;
            }
        }
    }

    /// The next event, which has this name.
    #[track_caller]
    pub(crate) fn expect(&mut self, name: &str) -> Event {
        let event = self.next().unwrap_or_else(|| panic!("the end, and no {name}"));
        assert_eq!(event.name, name, "{event:?}");
        event
    }

    /// All that still comes, and how it ends.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> (Vec<Event>, End) {
        let events = std::iter::from_fn(|| self.next()).collect();
        (events, self.end.expect("the end"))
    }

    /// All that still comes as text, and how it ends.
    #[track_caller]
    pub(crate) fn rest_of_text(&mut self) -> (String, End) {
        while self.fill() {}
        (std::mem::take(&mut self.text), self.end.expect("the end"))
    }

    /// Reads text until there are so many bytes of it.
    #[track_caller]
    pub(crate) fn text(&mut self, bytes: usize) -> String {
        while self.text.len() < bytes {
            assert!(self.fill(), "the end after {:?}", self.text);
        }
        self.text.drain(..bytes).collect()
    }
}

/// One event: an id, a name and one line of JSON, each once.
#[track_caller]
fn parse(block: &str) -> Event {
    let lines: Vec<(&str, &str)> = block
        .trim_end()
        .lines()
        .map(|line| line.split_once(": ").expect("a field"))
        .collect();
    let (id, name, data) = match lines[..] {
        [("id", id), ("event", name), ("data", data)] => (id, name, data),
        // Nobody can come back to one of these, so it takes no other's place as the last.
        [("event", "block"), ("data", data)] => ("", "block", data),
        _ => panic!("not an event: {block:?}"),
    };
    Event {
        id: id.to_owned(),
        name: name.to_owned(),
        data: serde_json::from_str(data).expect("JSON"),
    }
}

/// The text in events' deltas.
pub(crate) fn text_of(events: &[Event]) -> String {
    let deltas = events.iter().filter(|event| event.name == "delta");
    deltas.filter_map(|event| event.data["text"].as_str()).collect()
}
