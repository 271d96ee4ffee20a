//! The way back: from a handler's reply to the socket, on whatever thread the reply is made.

use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use super::conn::{Conn, Flushed, OnGone, Phase, Source, Step};
use super::cors::Sharing;
use super::handshake::Handshake;
use super::inbox::Listen;
use super::listener::Shared;
use super::push::{Media, Push};
use super::reply::Wording;
use super::reply::{Framed, Reply, print, print_open};
use super::request::{Request, RequestId};
use super::socket::Socket;
use super::workers::{self, Job, Line};
use crate::error::{Error, Kind};

/// How much of a reply is read and sent at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// The right to answer one request, once. Dropped unused (a handler panicked), it answers 500.
pub struct Responder {
    exchange: Option<Exchange>,
}

/// What a responder must remember of its request.
pub(super) struct Exchange {
    pub(super) shared: Arc<Shared>,
    pub(super) conn: Arc<Conn>,
    pub(super) framed: Framed,
    started: Instant,
    /// Method and path, for the log.
    line: String,
    /// Which other origin's pages may read the reply.
    sharing: Sharing,
    /// How errors are put.
    wording: Wording,
}

impl Responder {
    pub(super) fn new(shared: &Arc<Shared>, conn: &Arc<Conn>, request: &Request) -> Responder {
        let is_head = *request.method() == tiny_http::Method::Head;
        Responder {
            exchange: Some(Exchange {
                shared: Arc::clone(shared),
                conn: Arc::clone(conn),
                framed: Framed {
                    minor: request.head.minor,
                    is_head,
                    keep_alive: request.head.keep_alive && !shared.is_stopping(),
                    id: request.id(),
                },
                started: Instant::now(),
                sharing: shared.handler.sharing(request),
                wording: shared.handler.wording(request),
                line: if log::log_enabled!(target: "access", log::Level::Info) {
                    [request.method().as_str(), " ", request.path()].concat()
                } else {
                    String::new()
                },
            }),
        }
    }

    /// The request's id.
    pub fn id(&self) -> RequestId {
        self.exchange
            .as_ref()
            .map_or(RequestId(0), |exchange| exchange.framed.id)
    }

    /// Sends the reply.
    pub fn send(mut self, reply: Reply) {
        if let Some(exchange) = self.exchange.take() {
            exchange.send(reply);
        }
    }

    /// Sends a reply, or an error as this client reads them.
    pub fn send_result(self, result: Result<Reply, Error>) {
        let reply = result.unwrap_or_else(|error| self.put(&error));
        self.send(reply);
    }

    /// An error as this client reads them.
    fn put(&self, error: &Error) -> Reply {
        let wording = self.exchange.as_ref().map(|exchange| exchange.wording);
        wording.unwrap_or(Reply::error)(error, self.id())
    }

    /// Sends an error and closes: what is left of the request is not read.
    pub(super) fn refuse(mut self, error: &Error) {
        let reply = self.put(error);
        if let Some(mut exchange) = self.exchange.take() {
            exchange.framed.keep_alive = false;
            exchange.send(reply);
        }
    }

    /// Hands the connection over: the head of a stream goes out, then whatever is pushed, until either side ends it.
    /// `None` when the client is gone, or asked for the head alone.
    pub(super) fn stream(mut self, media: Media, fields: &[(&'static str, &str)]) -> Option<Push> {
        let exchange = self.exchange.take()?;
        let reply = fields
            .iter()
            .fold(media.head(), |reply, (name, value)| reply.header(name, value));
        let reply = exchange.shared_reply(reply);
        if exchange.framed.is_head {
            exchange.log(reply.status());
            exchange.send_bytes(print_open(&reply, exchange.framed));
            return None;
        }
        let framed = Framed {
            keep_alive: false,
            ..exchange.framed
        };
        let head = print_open(&reply, framed);
        Push::begin(exchange, media, &head)
    }

    /// Has this called if the client hangs up before its answer is whole.
    pub(super) fn on_gone(&self, gone: OnGone) {
        if let Some(exchange) = &self.exchange {
            exchange.shared.watch(&exchange.conn, gone);
        }
    }

    /// Turns the connection into a WebSocket. `listener` is made before the client is told, so that it can be shown what
    /// happens from that moment on; it is told when the socket has ended, also when the client was gone already.
    pub fn upgrade(mut self, handshake: &Handshake, listener: impl FnOnce(&Socket) -> Box<dyn Listen>) {
        if let Some(exchange) = self.exchange.take() {
            exchange.log(101);
            let socket = Socket::new(&exchange.shared, &exchange.conn);
            let listener = listener(&socket);
            socket.begin(&exchange.conn, handshake, listener);
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            let error = Error::new(Kind::Internal, "a handler ended without an answer");
            let reply = (exchange.wording)(&error, exchange.framed.id);
            exchange.send(reply);
        }
    }
}

impl Exchange {
    fn send(self, reply: Reply) {
        self.load(reply);
        resume(&self.shared, &self.conn);
    }

    /// Puts a reply into the outbox, from where [`resume`] sends it.
    fn load(&self, reply: Reply) {
        self.log(reply.status());
        let (bytes, source) = print(self.shared_reply(reply), self.framed);
        self.fill(bytes, source);
    }

    /// A reply with the fields that other origins' browsers look for.
    fn shared_reply(&self, reply: Reply) -> Reply {
        let fields = self.sharing.fields().into_iter();
        fields.fold(reply, |reply, (name, value)| reply.header(name, value))
    }

    /// Sends these bytes as the whole reply.
    fn send_bytes(&self, bytes: Vec<u8>) {
        self.fill(bytes, None);
        resume(&self.shared, &self.conn);
    }

    fn fill(&self, bytes: Vec<u8>, source: Option<Source>) {
        let now = Instant::now();
        let mut state = self.conn.lock();
        state.output.bytes = bytes;
        state.output.sent = 0;
        state.output.source = source;
        state.output.keep_alive = self.framed.keep_alive;
        state.output.ends = Some(now + self.shared.limits.time_for(state.output.bytes.len() as u64));
        let is_answered = state.on_gone.take();
        drop(state);
        // Whatever it holds may have locks of its own.
        drop(is_answered);
    }

    /// Counts a request, and one line for it: never the query, which may hold a token.
    pub(super) fn log(&self, status: u16) {
        self.shared.limits.figures.count(status);
        if log::log_enabled!(target: "access", log::Level::Info) {
            let micros = self.started.elapsed().as_micros();
            let (ms, tenths) = (micros / 1000, micros % 1000 / 100);
            if status >= 500 {
                log::info!(target: "access", "{} {status} {ms}.{tenths} ms request {}", self.line, self.framed.id);
            } else {
                log::info!(target: "access", "{} {status} {ms}.{tenths} ms", self.line);
            }
        }
    }
}

/// Sends on from the outbox, reading further pieces as long as the socket takes them. What has such pieces must
/// not be sent on by the poll thread, as they may have to be read from a disk.
///
/// The connection is busy, so nobody else touches its outbox: disks are read and written without the lock, for which the
/// poll thread waits when the client says something.
pub(super) fn resume(shared: &Arc<Shared>, conn: &Arc<Conn>) {
    let mut state = conn.lock();
    loop {
        match conn.flush(&mut state.output) {
            Flushed::Broken => {
                return conn.abandon(&mut state);
            }
            // A piece of a source is small enough to wait where it is.
            Flushed::Some
                if state.output.source.is_some() || state.output.waiting() <= shared.limits.outbox_bytes_max =>
            {
                state.phase = Phase::Writing;
                state.deadline = Instant::now() + shared.limits.stall_time;
                return;
            }
            Flushed::Some => {
                let mut output = std::mem::take(&mut state.output);
                drop(state);
                let spilled = shared.spill(&mut output);
                state = conn.lock();
                state.output = output;
                if let Err(error) = spilled {
                    log::warn!("a slow client was dropped: {error}");
                    return conn.abandon(&mut state);
                }
            }
            Flushed::All => {}
        }
        let Some(source) = state.output.source.take() else {
            break;
        };
        drop(state);
        let piece = next_piece(source);
        state = conn.lock();
        match piece {
            Ok(None) => break,
            Ok(Some((bytes, source))) => {
                let more = shared.limits.time_for(bytes.len() as u64);
                state.output.ends = Some(Instant::now() + more);
                state.output.bytes = bytes;
                state.output.source = Some(source);
            }
            Err(error) => {
                // The length was promised: only a cut connection tells the client that it is not met.
                log::warn!("a reply broke off: {error}");
                return conn.abandon(&mut state);
            }
        }
    }
    drop(state);
    finish(shared, conn);
}

/// A piece of a source, and the source for the next one; nothing at its end, where it is let go of.
fn next_piece(mut source: Source) -> std::io::Result<Option<(Vec<u8>, Source)>> {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    source.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
    Ok((!piece.is_empty()).then_some((piece, source)))
}

/// The reply is out: close, wait for the next request, or take it from what has come already.
pub(super) fn finish(shared: &Arc<Shared>, conn: &Arc<Conn>) {
    let mut state = conn.lock();
    if !state.output.keep_alive {
        state.drain(conn);
        return shared.park(conn, &state);
    }
    state.next_request(&shared.limits);
    if state.input.is_empty() {
        return shared.park(conn, &state);
    }
    // Pipelined: it waits its turn behind the others' requests.
    let step = state.look(&shared.limits, &*shared.handler);
    if matches!(step, Step::Refused(..)) {
        // Ours until it is answered.
        state.phase = Phase::Busy;
    }
    drop(state);
    shared.follow(conn, step);
}

impl Line {
    /// A request may write unless its method says that it only reads.
    pub(super) fn of(method: &tiny_http::Method) -> Line {
        match method {
            tiny_http::Method::Get | tiny_http::Method::Head => Line::Reads,
            _ => Line::Writes,
        }
    }
}

impl Job {
    /// The client whose job found no place in line.
    pub(super) fn turn_away(self) {
        let Job::Answer(job) = self else {
            return;
        };
        let mut responder = job.1;
        let error = Error::new(Kind::Unavailable, "The server is busy; try again").retry_after(1);
        let reply = responder.put(&error);
        if let Some(exchange) = responder.exchange.take() {
            exchange.load(reply);
            // Sent by a worker in its turn. Sent here, it would be followed here by the request behind it, which is
            // turned away as well, and so on down the stack: a packet holds more requests than a stack.
            let job = Job::Resume(Arc::clone(&exchange.conn));
            if workers::push(&exchange.shared, Line::Reads, job).is_err() {
                exchange.conn.abandon(&mut exchange.conn.lock());
            }
        }
    }
}
