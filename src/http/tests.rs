//! The engine on a loopback socket, with a handler that does what a test needs. The rig and a client are here, a module
//! per subject below. What can be seen without a handler of one's own is tested from outside, on the real server.

mod bodies;
mod lines;
mod push;
mod replies;
mod sockets;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::{Engine, Handler, Limits, Reply, Request, Responder};
use crate::error::{Error, Kind};
use crate::patience::{PATIENCE, until};

/// Room in either socket's buffer, so that little waits where the engine does not see it. The system doubles it.
const SOCKET_BYTES: usize = 32 * 1024;

type Answer = Box<dyn Fn(Request, Responder) + Send + Sync>;

type Admit = fn(&Request) -> Result<u64, Error>;

/// What the engine calls.
struct Doors {
    answer: Answer,
    admit: Admit,
}

impl Handler for Doors {
    fn handle(&self, request: Request, respond: Responder) {
        (self.answer)(request, respond);
    }

    fn admit(&self, request: &Request) -> Result<u64, Error> {
        (self.admit)(request)
    }

    fn knows_host(&self, host: &str) -> bool {
        host == "test"
    }

    fn hurry(&self) {}

    fn patrol(&self) {}
}

/// A running engine. It must have stopped, and left no temporary file, when the test is over.
struct Rig {
    address: SocketAddr,
    spool: PathBuf,
    stop: Arc<AtomicBool>,
    /// What can wait has begun.
    has_begun: Arc<AtomicBool>,
    engine: Option<JoinHandle<Result<(), Error>>>,
}

impl Rig {
    fn new(answer: impl Fn(Request, Responder) + Send + Sync + 'static) -> Rig {
        Rig::with(Limits::default(), |_| Ok(64 * 1024 * 1024), answer)
    }

    fn with(limits: Limits, admit: Admit, answer: impl Fn(Request, Responder) + Send + Sync + 'static) -> Rig {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let spool = std::env::temp_dir().join(format!("fireside-http-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&spool).unwrap();
        let limits = Limits {
            spool: spool.clone(),
            ..limits
        };
        let listener = Engine::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        // Accepted sockets take this over from the listening one.
        SockRef::from(&listener).set_send_buffer_size(SOCKET_BYTES).unwrap();
        let address = listener.local_addr().unwrap();
        let doors = Doors {
            answer: Box::new(answer),
            admit,
        };
        let engine = Engine::new(listener, limits, Arc::new(doors)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let has_begun = Arc::new(AtomicBool::new(false));
        let (is_over, begun) = (Arc::clone(&stop), Arc::clone(&has_begun));
        let begin = move || {
            begun.store(true, Ordering::Relaxed);
            Ok(())
        };
        Rig {
            address,
            spool,
            stop,
            has_begun,
            engine: Some(thread::spawn(move || engine.run(&is_over, begin))),
        }
    }

    fn client(&self) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Before connecting: the window is agreed upon then.
        socket.set_recv_buffer_size(SOCKET_BYTES).unwrap();
        socket.connect(&self.address.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client(BufReader::with_capacity(4096, stream))
    }

    /// One request without a body on a connection of its own.
    fn ask(&self, method: &str, path: &str) -> Answered {
        let mut client = self.client();
        client.ask(method, path);
        client.answer()
    }

    fn files(&self) -> usize {
        std::fs::read_dir(&self.spool).unwrap().count()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let outcome = self.engine.take().unwrap().join();
        if !thread::panicking() {
            outcome.unwrap().unwrap();
            until("no temporary file is left", || self.files() == 0);
        }
        std::fs::remove_dir_all(&self.spool).ok();
    }
}

/// The other end of a connection, which does only what it is told.
struct Client(BufReader<TcpStream>);

/// A reply as it arrived.
#[derive(Debug)]
struct Answered {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answered {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    fn check(&self, status: u16, text: &str) {
        assert_eq!((self.status, self.text()), (status, text), "{}", self.head);
    }
}

impl Client {
    #[track_caller]
    fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    #[track_caller]
    fn ask(&mut self, method: &str, path: &str) {
        self.write(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }

    /// Reads a head, up to its empty line.
    #[track_caller]
    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "cut off: {head:?}");
        }
        head
    }

    #[track_caller]
    fn answer(&mut self) -> Answered {
        let mut answered = self.answer_to_head();
        let length = answered
            .header("Content-Length")
            .map_or(0, |length| length.parse().unwrap());
        answered.body = vec![0; length];
        self.0.read_exact(&mut answered.body).unwrap();
        answered
    }

    /// Reads a reply that has no body, whatever its length says.
    #[track_caller]
    fn answer_to_head(&mut self) -> Answered {
        let head = self.head();
        Answered {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: Vec::new(),
        }
    }

    /// Reads to the end of the connection, which may come rudely.
    #[track_caller]
    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
        rest
    }
}

/// Bytes in which no part can be taken for another.
fn pattern(length: usize) -> Vec<u8> {
    let mut state: u32 = 1;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()
    };
    let mut bytes = Vec::with_capacity(length + 4);
    while bytes.len() < length {
        bytes.extend_from_slice(&next());
    }
    bytes.truncate(length);
    bytes
}

fn text(text: &str) -> Reply {
    Reply::bytes(200, "text/plain", text.as_bytes().to_vec())
}
