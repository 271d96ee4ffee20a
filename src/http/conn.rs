//! One connection: a socket, a buffer, a deadline, and which part of an exchange it is in.
//!
//! A connection is either parked (the poll thread looks at it when its socket moves or its deadline passes) or busy
//! (one worker, receiver or turn holds it). The system announces once that a socket has moved; what is announced while
//! it is busy is remembered (`is_ready`) and looked at when it is parked again.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::backlog::Backlog;
use super::framing::Framing;
use super::parse::{self, BodyLength, Head, Refusal, refuse};
use super::push::Stream;
use super::socket::Link;
use super::{Handler, Limits};
use crate::system;

/// After a refusal the client may still be sending. We read on for a moment so that it gets to read our answer
/// (closing at once would reset the connection under it).
pub(super) const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Bytes read over in that moment.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

pub(super) struct Conn {
    pub(super) stream: TcpStream,
    pub(super) key: usize,
    pub(super) peer: SocketAddr,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) phase: Phase,
    /// The socket may hold something to read.
    pub(super) is_ready: bool,
    /// The other side will send no more: its end is still to be read.
    pub(super) is_ended: bool,
    /// Received and not consumed.
    pub(super) input: Vec<u8>,
    scanned: usize,
    /// A byte of the next request has come: its head's deadline runs, and further bytes do not prolong it.
    has_begun: bool,
    pub(super) output: Outbox,
    pub(super) deadline: Instant,
    /// Since when it is parked: the longest idle one makes room for others.
    pub(super) since: Instant,
    drained: usize,
    /// To be called once the client has hung up while it waits for an answer, or is being pushed to.
    pub(super) on_gone: Option<OnGone>,
}

/// What is done when a client has hung up. Called by the poll thread, or, where it has left already, by whoever asks for
/// this; either holds no lock of the connection then.
pub(super) type OnGone = Box<dyn FnOnce() + Send>;

pub(super) enum Phase {
    /// Idle, or a head has begun.
    Head,
    /// The head is whole, its body is not.
    Body(Box<Partial>),
    /// Somebody else has it.
    Busy,
    /// A reply is on its way out.
    Writing,
    /// Answered for the last time; reading over what still comes.
    Draining,
    /// Handed over to push.
    Push(Box<Stream>),
    /// A WebSocket.
    Socket(Box<Link>),
}

/// A request whose body is still arriving.
pub(super) struct Partial {
    pub(super) bytes: Vec<u8>,
    pub(super) head: Head,
    pub(super) framing: Framing,
    pub(super) content: Vec<u8>,
}

/// What the rest of a reply is read from.
pub(super) type Source = Box<dyn Read + Send>;

/// What has not fitted into the socket's buffer.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) bytes: Vec<u8>,
    pub(super) sent: usize,
    /// What of it came in large pieces.
    pub(super) backlog: Option<Backlog>,
    /// Where the rest of the body is read from; only workers do that.
    pub(super) source: Option<Source>,
    /// What comes after the reply.
    pub(super) keep_alive: bool,
    /// Latest moment for the reply to be out.
    pub(super) ends: Option<Instant>,
}

impl Outbox {
    /// Bytes in memory that the client has not taken.
    pub(super) fn waiting(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Those of them that came behind the last large piece.
    pub(super) fn behind_backlog(&self) -> usize {
        let left = self.backlog.as_ref().map_or(0, |backlog| backlog.left);
        self.waiting().saturating_sub(left)
    }

    fn take(&mut self, count: usize) {
        self.sent += count;
        if let Some(backlog) = &mut self.backlog {
            backlog.left = backlog.left.saturating_sub(count);
        }
        self.backlog.take_if(|backlog| backlog.left == 0);
    }
}

/// What a look at the input came to.
pub(super) enum Step {
    /// Wait for more.
    More,
    /// A whole request.
    Whole(Box<Partial>),
    /// A head with a body too large to be collected here.
    Large(Box<Partial>),
    /// With what the log calls the request.
    Refused(Refusal, String),
}

/// What a write came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    All,
    /// The socket is full.
    Some,
    Broken,
}

impl Conn {
    pub(super) fn new(stream: TcpStream, key: usize, peer: SocketAddr, limits: &Limits) -> Conn {
        Conn {
            stream,
            key,
            peer,
            state: Mutex::new(State::new(limits)),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless somebody holds it right now (who then is not idle).
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock().ok()
    }

    /// Reads once into `scratch`. `Ok(None)`: nothing there. `Ok(Some(0))`: the other side has closed.
    pub(super) fn read(&self, state: &mut State, scratch: &mut [u8]) -> std::io::Result<Option<usize>> {
        loop {
            match (&self.stream).read(scratch) {
                Ok(count) => {
                    // A buffer that is not full has emptied the socket: what comes next is announced anew. An end that
                    // was announced together with the bytes is not.
                    state.is_ready = count == scratch.len() || state.is_ended || system::ANNOUNCES_AFTER_ASKING;
                    return Ok(Some(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    state.is_ready = false;
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends as much of the outbox's bytes as the socket takes.
    pub(super) fn flush(&self, output: &mut Outbox) -> Flushed {
        while output.sent < output.bytes.len() {
            match (&self.stream).write(&output.bytes[output.sent..]) {
                Ok(0) => return Flushed::Broken,
                Ok(count) => output.take(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Flushed::Some,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Flushed::Broken,
            }
        }
        output.bytes = Vec::new();
        output.sent = 0;
        Flushed::All
    }

    /// Ends the connection for both sides.
    pub(super) fn shut_down(&self) {
        // Fails only when it is down already.
        drop(self.stream.shutdown(Shutdown::Both));
    }

    /// Ends the connection; the poll thread lets go of it at its next tick at the latest.
    pub(super) fn abandon(&self, state: &mut State) {
        self.shut_down();
        state.output = Outbox::default();
        state.phase = Phase::Draining;
        state.deadline = Instant::now();
    }
}

impl State {
    /// Nothing received yet.
    pub(super) fn new(limits: &Limits) -> State {
        let now = Instant::now();
        State {
            phase: Phase::Head,
            is_ready: false,
            is_ended: false,
            input: Vec::new(),
            scanned: 0,
            has_begun: false,
            output: Outbox::default(),
            deadline: now + limits.head_time,
            since: now,
            drained: 0,
            on_gone: None,
        }
    }

    /// Goes on to the next request, from what has been received already.
    pub(super) fn next_request(&mut self, limits: &Limits) {
        let now = Instant::now();
        self.phase = Phase::Head;
        self.scanned = 0;
        self.has_begun = !self.input.is_empty();
        self.since = now;
        self.deadline = now
            + if self.input.is_empty() {
                limits.idle_time
            } else {
                limits.head_time
            };
    }

    /// Says our last word was said: from here on input is read over.
    pub(super) fn drain(&mut self, conn: &Conn) {
        // Fails only when the other side is gone already, which the next read shows.
        drop(conn.stream.shutdown(Shutdown::Write));
        self.phase = Phase::Draining;
        self.input = Vec::new();
        self.since = Instant::now();
        self.deadline = self.since + DRAIN_TIME;
    }

    /// Counts bytes read over; false when the client has had its moment.
    pub(super) fn may_drain(&mut self, count: usize) -> bool {
        self.drained += count;
        self.drained <= DRAIN_BYTES_MAX
    }

    /// Takes newly received bytes and looks how far the request has come.
    pub(super) fn receive(&mut self, bytes: &[u8], limits: &Limits, handler: &dyn Handler) -> Step {
        match &mut self.phase {
            Phase::Body(partial) => match partial.framing.feed(bytes, &mut partial.content) {
                Ok(taken) => {
                    self.input.extend_from_slice(&bytes[taken..]);
                    self.take_body(limits)
                }
                Err(refusal) => Step::Refused(refusal, parse::line(&partial.bytes)),
            },
            _ => {
                if !std::mem::replace(&mut self.has_begun, true) {
                    self.deadline = Instant::now() + limits.head_time;
                }
                self.input.extend_from_slice(bytes);
                self.look(limits, handler)
            }
        }
    }

    /// Looks for a head in what has been received.
    pub(super) fn look(&mut self, limits: &Limits, handler: &dyn Handler) -> Step {
        // Empty lines before a request are read over (RFC 9112, 2.2).
        if self.scanned == 0 {
            let empty = self.input.chunks(2).take_while(|line| *line == b"\r\n").count();
            self.input.drain(..2 * empty);
        }
        let end = match parse::find_end(&self.input, self.scanned) {
            Ok(Some(end)) if end <= limits.head_bytes_max => end,
            Ok(None) if self.input.len() <= limits.head_bytes_max => {
                self.scanned = self.input.len().saturating_sub(1);
                return Step::More;
            }
            Ok(_) => return Step::Refused(too_long(&self.input), parse::line(&self.input)),
            Err(refusal) => return Step::Refused(refusal, parse::line(&self.input)),
        };
        let rest = self.input.split_off(end);
        let bytes = std::mem::replace(&mut self.input, rest);
        self.scanned = 0;
        let head = match parse::parse(&bytes, limits) {
            Ok(mut head) => {
                head.leave(&limits.base_path, &bytes);
                head
            }
            Err(refusal) => return Step::Refused(refusal, parse::line(&bytes)),
        };
        if !is_for_us(&bytes, &head, handler) {
            let detail = "This server does not answer for that host name. Name it with --allowed-host or --public-url";
            return Step::Refused(refuse(421, detail), parse::line(&bytes));
        }
        let limit = match head.length {
            BodyLength::Known(length) if length > limits.parked_body_bytes_max => 0,
            _ => limits.parked_body_bytes_max,
        };
        let mut framing = Framing::new(head.length, limits.body_bytes_max);
        let mut content = Vec::new();
        if limit > 0 {
            match framing.feed(&self.input, &mut content) {
                Ok(taken) => drop(self.input.drain(..taken)),
                Err(refusal) => return Step::Refused(refusal, parse::line(&bytes)),
            }
        }
        self.phase = Phase::Body(Box::new(Partial {
            bytes,
            head,
            framing,
            content,
        }));
        self.deadline = Instant::now() + limits.time_for(limit);
        self.take_body(limits)
    }

    /// Takes the request out if its body is whole, or has become too large to be collected here.
    fn take_body(&mut self, limits: &Limits) -> Step {
        let Phase::Body(partial) = &self.phase else {
            return Step::More;
        };
        let is_done = partial.framing.is_done();
        let is_large = match partial.head.length {
            BodyLength::Known(length) => length > limits.parked_body_bytes_max,
            BodyLength::Chunked => partial.framing.received > limits.parked_body_bytes_max,
        };
        if !is_done && !is_large {
            return Step::More;
        }
        match std::mem::replace(&mut self.phase, Phase::Busy) {
            Phase::Body(partial) if is_done && !is_large => Step::Whole(partial),
            Phase::Body(partial) => Step::Large(partial),
            _ => Step::More,
        }
    }

    /// Whether a body is awaited whose sender waits for a sign from us first.
    pub(super) fn wants_continue(&mut self) -> bool {
        match &mut self.phase {
            Phase::Body(partial) if partial.framing.received == 0 => std::mem::take(&mut partial.head.expects_continue),
            _ => false,
        }
    }

    /// What the log calls a request that is not whole.
    pub(super) fn line(&self) -> String {
        match &self.phase {
            Phase::Body(partial) => parse::line(&partial.bytes),
            _ => parse::line(&self.input),
        }
    }

    /// A request has begun and is not whole.
    pub(super) fn is_half_received(&self) -> bool {
        match self.phase {
            Phase::Head => !self.input.is_empty(),
            Phase::Body(_) => true,
            _ => false,
        }
    }
}

/// Which limit an endless head has broken: its target's or its own.
fn too_long(input: &[u8]) -> Refusal {
    let line = input.iter().position(|byte| *byte == b'\r').unwrap_or(input.len());
    if line > parse::TARGET_BYTES_MAX {
        refuse(414, "The request target is too long")
    } else {
        refuse(431, "The request head is larger than 16 KiB")
    }
}

/// An absolute target's authority counts before the Host field (RFC 9112, 3.2.2), but both must be ours.
fn is_for_us(bytes: &[u8], head: &Head, handler: &dyn Handler) -> bool {
    let host = head
        .fields
        .iter()
        .find(|(name, _)| bytes[name.clone()].eq_ignore_ascii_case(b"host"));
    let mut names = host
        .map(|(_, value)| value.clone())
        .into_iter()
        .chain(head.authority.clone());
    names.all(|name| std::str::from_utf8(&bytes[name]).is_ok_and(|name| handler.knows_host(name)))
}
