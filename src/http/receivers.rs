//! Receivers: threads that take in large bodies, one each, into temporary files. Asked first is the handler, so that
//! nobody fills the disk who is not allowed to.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use super::conn::{Conn, Partial};
use super::listener::Shared;
use super::parse::BodyLength;
use super::request::{Body, Request, too_large};
use super::respond::Responder;
use super::spool::Spool;
use super::workers::STACK_BYTES;
use crate::crew::Crew;
use crate::error::{Error, Kind};
use crate::system;

/// Large bodies received at the same time; the others stay unread in their sockets.
const RECEIVERS: usize = 4;

/// Large bodies that may wait for a receiver.
const WAITING_MAX: usize = 1024;

/// Bytes read and written at a time.
const PIECE_BYTES: usize = 64 * 1024;

pub(super) struct Receivers {
    queue: Mutex<Queue>,
    ready: Condvar,
    crew: Crew,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Arc<Conn>, Box<Partial>)>,
    is_closed: bool,
}

impl Receivers {
    pub(super) fn new() -> Receivers {
        Receivers {
            queue: Mutex::default(),
            ready: Condvar::new(),
            crew: Crew::new("receiver", STACK_BYTES, RECEIVERS),
        }
    }

    fn push(&self, conn: &Arc<Conn>, partial: Box<Partial>) -> Result<(), &'static str> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.waiting.len() >= WAITING_MAX {
            return Err("Too many uploads are waiting; try again");
        }
        queue.waiting.push_back((Arc::clone(conn), partial));
        drop(queue);
        self.ready.notify_one();
        Ok(())
    }

    fn next(&self) -> Option<(Arc<Conn>, Box<Partial>)> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(next) = queue.waiting.pop_front() {
                return Some(next);
            }
            if queue.is_closed {
                return None;
            }
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets the receivers end once nothing waits. Returns their threads.
    pub(super) fn close(&self) -> Vec<JoinHandle<()>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.ready.notify_all();
        self.crew.dismiss()
    }
}

/// Has a body received. Where that cannot be, tells the client why.
pub(super) fn begin(shared: &Arc<Shared>, conn: &Arc<Conn>, partial: Box<Partial>) -> Result<(), &'static str> {
    let own = Arc::clone(shared);
    let work = move || {
        while let Some((conn, partial)) = own.receivers.next() {
            take_in(&own, &conn, *partial);
        }
    };
    if let Err(error) = shared.receivers.crew.grow(work) {
        log::error!("{error}");
        return Err("The server cannot receive this now; try again");
    }
    shared.receivers.push(conn, partial)
}

/// Receives one body and puts its request in line, or refuses it.
fn take_in(shared: &Arc<Shared>, conn: &Arc<Conn>, partial: Partial) {
    let Partial {
        bytes,
        head,
        mut framing,
        content,
    } = partial;
    let mut request = Request {
        bytes,
        head,
        body: Body::Memory(Vec::new()),
        peer: conn.peer.ip(),
        id: shared.next_id(),
    };
    // A handler that panics must not take the receiver with it: there are few.
    let admitted = catch_unwind(AssertUnwindSafe(|| shared.handler.admit(&request))).unwrap_or_else(|_| {
        Err(Error::new(
            Kind::Internal,
            "a handler panicked when it was asked for a body's limit",
        ))
    });
    let received = admitted.and_then(|limit| {
        framing.limit = limit;
        let is_known_larger = matches!(request.head.length, BodyLength::Known(length) if length > limit);
        if is_known_larger || framing.received > limit {
            return Err(too_large(limit));
        }
        // What is to come finds room in the file that is made now; only who does not say how much it is may be cut short.
        let length = match request.head.length {
            BodyLength::Known(length) => length,
            BodyLength::Chunked => framing.received,
        };
        let mut spool = shared.spools.make(shared.next_id(), length).map_err(disk)?;
        spool.write(&content).map_err(disk)?;
        receive(shared, conn, &mut framing, &mut spool, request.head.expects_continue)?;
        Ok(spool)
    });
    match received {
        Ok(spool) => {
            request.body = Body::Spooled(spool);
            shared.enqueue(conn, request);
        }
        Err(error) => Responder::new(shared, conn, &request).refuse(&error),
    }
}

/// Reads until the body is whole. The socket blocks meanwhile, with a deadline on every read and on the whole.
fn receive(
    shared: &Shared,
    conn: &Conn,
    framing: &mut super::framing::Framing,
    spool: &mut Spool,
    expects_continue: bool,
) -> Result<(), Error> {
    let cut_off = |error| Error::new(Kind::Malformed, "The body was cut off").caused_by(error);
    let mut socket = &conn.stream;
    let options = socket2::SockRef::from(socket);
    options.set_nonblocking(false).map_err(cut_off)?;
    let reading = (|| {
        let stall = Some(shared.limits.stall_time);
        options
            .set_read_timeout(stall)
            .and_then(|()| options.set_write_timeout(stall))
            .map_err(cut_off)?;
        if expects_continue {
            socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(cut_off)?;
        }
        let started = Instant::now();
        let mut piece = vec![0; PIECE_BYTES];
        let mut content = Vec::new();
        let mut input = std::mem::take(&mut conn.lock().input);
        loop {
            let taken = framing.feed(&input, &mut content).map_err(|refusal| {
                let kind = if refusal.status == 413 {
                    Kind::TooLarge
                } else {
                    Kind::Malformed
                };
                Error::new(kind, refusal.detail)
            })?;
            spool.write(&content).map_err(disk)?;
            content.clear();
            if framing.is_done() {
                conn.lock().input = input.split_off(taken);
                return Ok(());
            }
            if started.elapsed() > shared.limits.time_for(framing.received) {
                return Err(Error::new(Kind::Malformed, "The body arrives too slowly"));
            }
            input.clear();
            match socket.read(&mut piece) {
                Ok(0) => return Err(cut_off(ErrorKind::UnexpectedEof.into())),
                Ok(count) => input.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(cut_off(error)),
            }
        }
    })();
    options.set_nonblocking(true).map_err(cut_off)?;
    reading
}

fn disk(error: std::io::Error) -> Error {
    let refused = "The body could not be received: the server's disk does not take it";
    let (kind, message) = match error.kind() {
        // Ours, not one that the system has set.
        ErrorKind::QuotaExceeded if error.raw_os_error().is_none() => (
            Kind::Unavailable,
            "Too much is being uploaded at this moment; try again",
        ),
        _ if system::is_full(&error) => (Kind::StorageFull, refused),
        _ => (Kind::Unavailable, refused),
    };
    Error::new(kind, message).retry_after(5).caused_by(error)
}
