//! The engine: its listening socket, its threads, and what they share.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Interest, Token, Waker};
use serde_json::json;

use super::backlog::Backlogs;
use super::conn::{Conn, OnGone, Outbox, Partial, Phase, State, Step};
use super::parse::{self, Refusal, refuse};
use super::poll::Poll;
use super::receivers::{self, Receivers};
use super::reply::{Framed, Reply, print};
use super::request::{Body, Request, RequestId};
use super::respond::{self, Responder};
use super::spool::Spools;
use super::workers::{self, Job, Jobs, Line};
use super::{Handler, Limits};
use crate::error::Error;
use crate::system;

/// The listening socket; connections have the smaller tokens.
pub(super) const LISTENER: Token = Token(usize::MAX);

/// Another thread's call to look at a connection again.
pub(super) const CALL: Token = Token(usize::MAX - 1);

/// Connections that the system may have ready for us.
const BACKLOG: i32 = 1024;

/// The engine with its socket open.
pub struct Engine {
    poll: mio::Poll,
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// Wakes a running engine, so that it looks at its `stop` at once.
pub struct Nudge(Arc<Shared>);

impl Nudge {
    /// Wakes it. With the engine gone, nothing happens.
    pub fn nudge(&self) {
        if let Err(error) = self.0.waker.wake() {
            log::warn!("the poll thread could not be woken: {error}");
        }
    }
}

/// What every thread of the engine reaches.
pub(super) struct Shared {
    /// Connections whose input was announced while they were busy: it will not be announced again.
    pub(super) again: Mutex<Vec<usize>>,
    waker: Waker,
    pub(super) jobs: Jobs,
    pub(super) receivers: Receivers,
    pub(super) spools: Spools,
    pub(super) backlogs: Backlogs,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) limits: Limits,
    pub(super) stopping: AtomicBool,
    requests: AtomicU64,
}

impl Engine {
    /// Opens the listening socket. With it open and nothing accepted yet, clients wait instead of being refused.
    ///
    /// # Errors
    /// The system's, for instance when the port is in use.
    pub fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        if system::REUSES_ADDRESS {
            socket.set_reuse_address(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    }

    /// An engine on an open socket.
    ///
    /// # Errors
    /// [`crate::error::Kind::Internal`] when the system gives no poller.
    pub fn new(listener: std::net::TcpListener, limits: Limits, handler: Arc<dyn Handler>) -> Result<Engine, Error> {
        let failed = |error| Error::internal("the poll thread has nothing to poll with", error);
        let poll = mio::Poll::new().map_err(failed)?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)
            .map_err(failed)?;
        // Request ids differ from one run of the server to the next: doctor knows this one by the upper half.
        let first = uuid::Uuid::new_v4().as_u64_pair().0 & !0xffff_ffff;
        let jobs = Jobs::new(limits.workers, limits.workers_for_reads, limits.waiting_writes_max);
        let shared = Arc::new(Shared {
            again: Mutex::default(),
            waker: Waker::new(poll.registry(), CALL).map_err(failed)?,
            jobs,
            receivers: Receivers::new(),
            spools: Spools::new(limits.spool.clone(), limits.spooled_bytes_max()),
            backlogs: Backlogs::default(),
            handler,
            limits,
            stopping: AtomicBool::new(false),
            requests: AtomicU64::new(first),
        });
        shared.limits.figures.watch(&shared);
        Ok(Engine { poll, listener, shared })
    }

    /// What wakes this engine while it runs.
    pub fn nudge(&self) -> Nudge {
        Nudge(Arc::clone(&self.shared))
    }

    /// Serves until `stop` is set, which is looked at twice a second, at a signal and at a [`Nudge`]; then ends gracefully:
    /// no new connections, requests in flight are answered. `begin` does what can wait a moment: who has waited
    /// for the start is mostly answered before it. It is not called once `stop` is set.
    ///
    /// # Errors
    /// [`crate::error::Kind::Internal`] when polling fails; those of `begin`.
    pub fn run(self, stop: &AtomicBool, begin: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let outcome = Poll::new(self.poll, self.listener, &self.shared).run(stop, begin);
        let workers = self.shared.jobs.close();
        join(workers.into_iter().chain(self.shared.receivers.close()));
        outcome
    }
}

/// Waits for threads to end, but not for ever: a handler that hangs must not keep the process.
fn join(threads: impl Iterator<Item = JoinHandle<()>>) {
    let deadline = Instant::now() + Duration::from_secs(1);
    for thread in threads {
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        if thread.is_finished() && thread.join().is_err() {
            log::error!("a thread of the engine panicked");
        }
    }
}

impl Shared {
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn next_id(&self) -> RequestId {
        RequestId(self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Gives a connection back to the poll thread, which hears of what moves from here on. What has moved before it is
    /// told here.
    pub(super) fn park(&self, conn: &Conn, state: &State) {
        if state.is_ready {
            self.call(conn);
        }
    }

    /// Has the poll thread look at a connection.
    pub(super) fn call(&self, conn: &Conn) {
        self.again.lock().unwrap_or_else(PoisonError::into_inner).push(conn.key);
        if let Err(error) = self.waker.wake() {
            log::error!("the poll thread could not be called: {error}");
        }
    }

    /// Has `on_gone` called once the client hangs up before its answer is whole: at once if it has already.
    pub(super) fn watch(&self, conn: &Conn, on_gone: OnGone) {
        let mut state = conn.lock();
        if !matches!(state.phase, Phase::Busy | Phase::Push(_)) {
            drop(state);
            return on_gone();
        }
        let replaced = state.on_gone.replace(on_gone);
        if state.is_ended {
            self.call(conn);
        }
        drop(state);
        // Whatever it holds may have locks of its own.
        drop(replaced);
    }

    /// Does what a look at a connection's input came to.
    pub(super) fn follow(self: &Arc<Self>, conn: &Arc<Conn>, step: Step) {
        match step {
            Step::More => {
                let mut state = conn.lock();
                if state.wants_continue() {
                    // The socket is empty at this point; if these bytes do not fit, the client goes on after its own wait.
                    drop((&conn.stream).write(b"HTTP/1.1 100 Continue\r\n\r\n"));
                }
                self.park(conn, &state);
            }
            Step::Whole(partial) => {
                let request = self.request(conn, *partial);
                self.enqueue(conn, request);
            }
            Step::Large(partial) => {
                conn.lock().phase = Phase::Busy;
                let line = parse::line(&partial.bytes);
                if let Err(detail) = receivers::begin(self, conn, partial) {
                    self.refuse(conn, refuse(503, detail), &line);
                }
            }
            Step::Refused(refusal, line) => self.refuse(conn, refusal, &line),
        }
    }

    /// Does the same on the poll thread, which answers by itself what waits for nothing.
    ///
    /// Not what is pipelined behind such a request: it waits its turn in line, and a packet holds more requests than a
    /// stack.
    pub(super) fn follow_at_once(self: &Arc<Self>, conn: &Arc<Conn>, step: Step) {
        let Step::Whole(partial) = step else {
            return self.follow(conn, step);
        };
        let request = self.request(conn, *partial);
        if self.handler.answers_at_once(&request) {
            let responder = Responder::new(self, conn, &request);
            workers::run(|| self.handler.handle(request, responder));
        } else {
            self.enqueue(conn, request);
        }
    }

    /// The request whose parts are all there. Its connection is busy from here on.
    fn request(&self, conn: &Conn, whole: Partial) -> Request {
        conn.lock().phase = Phase::Busy;
        Request {
            bytes: whole.bytes,
            head: whole.head,
            body: Body::Memory(whole.content),
            peer: conn.peer.ip(),
            id: self.next_id(),
        }
    }

    /// Puts a whole request in line for a worker.
    pub(super) fn enqueue(self: &Arc<Self>, conn: &Arc<Conn>, request: Request) {
        let line = Line::of(request.method());
        let responder = Responder::new(self, conn, &request);
        let job = Job::Answer(Box::new((request, responder)));
        if let Err(job) = workers::push(self, line, job) {
            job.turn_away();
        }
    }

    /// Answers a request of which only a part has come, and closes.
    pub(super) fn refuse_half(self: &Arc<Self>, conn: &Arc<Conn>, mut state: MutexGuard<'_, State>, refusal: Refusal) {
        let line = state.line();
        state.phase = Phase::Busy;
        drop(state);
        self.refuse(conn, refusal, &line);
    }

    /// Answers what never became a request, and closes.
    fn refuse(self: &Arc<Self>, conn: &Arc<Conn>, refusal: Refusal, line: &str) {
        let Refusal { status, detail } = refusal;
        log::info!(target: "access", "{line} {status} {detail}");
        let bytes = self.print_last(Reply::detail(status, &json!({ "detail": detail })));
        let mut state = conn.lock();
        state.output.bytes = bytes;
        state.output.keep_alive = false;
        drop(state);
        respond::resume(self, conn);
    }

    /// The bytes of a reply to what never became a request: the last on its connection.
    pub(super) fn print_last(&self, reply: Reply) -> Vec<u8> {
        let framed = Framed {
            minor: 1,
            is_head: false,
            keep_alive: false,
            id: self.next_id(),
        };
        print(reply, framed).0
    }

    /// Moves what a slow client has not taken from memory into a file.
    pub(super) fn spill(&self, output: &mut Outbox) -> std::io::Result<()> {
        let mut spool = self.spools.make(self.next_id(), output.waiting() as u64)?;
        spool.write(&output.bytes[output.sent..])?;
        output.source = Some(Box::new(spool.into_reader()?));
        output.bytes = Vec::new();
        output.sent = 0;
        Ok(())
    }
}
