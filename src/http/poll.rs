//! The poll thread: accepts, reads heads and small bodies, finishes replies, and watches every deadline.
//!
//! It touches no disk and runs no handler but those that wait for nothing, so neither a slow client nor a slow query
//! delays anybody else.

use std::collections::HashMap;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Token};
use serde_json::json;

use super::conn::{Conn, Flushed, OnGone, Outbox, Phase, State};
use super::listener::{CALL, LISTENER, Shared};
use super::parse::refuse;
use super::reply::Reply;
use super::workers::{self, Job, Line, TURNS_GIVEN_MAX};
use super::{push, respond, socket};
use crate::error::Error;
use crate::system;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(500);

/// How long after the start the first tick comes. Who has waited for the start asks at once, and is mostly answered by
/// then.
const BEGIN_AFTER: Duration = Duration::from_millis(10);

/// Ticks without anything to do after which memory is given back that only work needs.
const QUIET_TICKS: u32 = 2;

/// How long it is not given back again: it is wanted anew with the next request.
const REST_EVERY: Duration = Duration::from_secs(60);

/// Bytes read from a connection at a time.
const READ_BYTES: usize = 16 * 1024;

/// Connections accepted before the others are looked at again.
const ACCEPT_MAX: usize = 256;

/// When stopping: requests in flight may finish by themselves for so long, then models are told to stop.
const STOP_GENTLY: Duration = Duration::from_secs(3);

/// When stopping: after this, whatever is still in flight is given up.
const STOP_MAX: Duration = Duration::from_secs(8);

/// The poll thread's own: every connection, by key.
pub(super) struct Poll<'e> {
    poll: mio::Poll,
    shared: &'e Arc<Shared>,
    listener: Option<TcpListener>,
    conns: HashMap<usize, Arc<Conn>>,
    /// The key of the next connection. None is given twice: what is announced of one that has been let go (its socket may
    /// outlive that by a moment) must not be taken for another's.
    next_key: usize,
    /// Somebody may be waiting to be let in: at once, or at the next tick when no descriptor could be had.
    knocking: Knocking,
    scratch: Vec<u8>,
    quiet: Quiet,
    /// Of clients that have hung up; called when no connection is locked.
    gone: Vec<OnGone>,
}

/// How long nothing has moved.
#[derive(Debug, Default)]
struct Quiet {
    ticks: u32,
    has_rested: bool,
    rested_at: Option<Instant>,
}

impl Quiet {
    fn end(&mut self) {
        *self = Quiet {
            rested_at: self.rested_at,
            ..Quiet::default()
        };
    }

    /// Counts a tick; true once in every quiet time, when it has been quiet for long enough.
    fn is_for_rest(&mut self) -> bool {
        self.ticks = self.ticks.saturating_add(1);
        let is_time = self.rested_at.is_none_or(|at| at.elapsed() >= REST_EVERY);
        if self.ticks < QUIET_TICKS || self.has_rested || !is_time {
            return false;
        }
        self.has_rested = true;
        self.rested_at = Some(Instant::now());
        true
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knocking {
    Nobody,
    Now,
    Later,
}

impl<'e> Poll<'e> {
    pub(super) fn new(poll: mio::Poll, listener: TcpListener, shared: &'e Arc<Shared>) -> Poll<'e> {
        Poll {
            poll,
            shared,
            listener: Some(listener),
            conns: HashMap::new(),
            next_key: 0,
            // The socket has been listening for a while.
            knocking: Knocking::Now,
            scratch: vec![0; READ_BYTES],
            quiet: Quiet::default(),
            gone: Vec::new(),
        }
    }

    pub(super) fn run(&mut self, stop: &AtomicBool, begin: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let mut begin = Some(begin);
        let mut events = Events::with_capacity(1024);
        let mut next_tick = Instant::now() + BEGIN_AFTER;
        let mut stopping: Option<Instant> = None;
        let mut hurried = false;
        let mut turns_given = 0;
        loop {
            let wait = match self.knocking {
                Knocking::Now => Duration::ZERO,
                _ if turns_given < TURNS_GIVEN_MAX => {
                    thread::yield_now();
                    Duration::ZERO
                }
                _ => next_tick.saturating_duration_since(Instant::now()),
            };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    return Err(Error::internal("polling failed", error));
                }
                _ => {}
            }
            turns_given = if events.is_empty() {
                turns_given.saturating_add(1)
            } else {
                self.quiet.end();
                0
            };
            for event in &events {
                match event.token() {
                    LISTENER => self.knocking = Knocking::Now,
                    CALL => {}
                    Token(key) => self.look(key, Some(event)),
                }
            }
            let again = std::mem::take(&mut *self.shared.again.lock().unwrap_or_else(PoisonError::into_inner));
            for key in again {
                self.look(key, None);
            }
            if self.knocking == Knocking::Now {
                self.accept();
            }
            self.gone.drain(..).for_each(|on_gone| on_gone());
            if stopping.is_none() && stop.load(Ordering::Relaxed) {
                stopping = Some(Instant::now());
                self.stop_accepting();
                next_tick = Instant::now();
            }
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + if stopping.is_some() { TICK / 10 } else { TICK };
                self.sweep();
                self.shared.jobs.hurry();
                if self.quiet.is_for_rest() {
                    // This line takes everything.
                    drop(workers::push(self.shared, Line::Reads, Job::Rest));
                }
                if let Some(begin) = begin.take_if(|_| stopping.is_none()) {
                    begin()?;
                    // What begins has not been quiet.
                    self.quiet.end();
                }
                if let Some(since) = stopping {
                    if since.elapsed() >= STOP_GENTLY && !hurried {
                        hurried = true;
                        self.shared.handler.hurry();
                    }
                    if !self.is_in_flight() || since.elapsed() >= STOP_MAX {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPT_MAX {
            let Some(listener) = &self.listener else {
                break;
            };
            match listener.accept() {
                Ok((stream, peer)) => self.welcome(stream, peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.knocking = Knocking::Nobody;
                    return;
                }
                Err(error) if system::is_exhausted(&error) => {
                    if self.shed() == 0 {
                        // Nobody is idle. Trying again at once would only spin.
                        self.knocking = Knocking::Later;
                        return;
                    }
                }
                // The client has left between knocking and entering.
                Err(_) => {}
            }
        }
    }

    fn welcome(&mut self, mut stream: TcpStream, peer: SocketAddr) {
        if stream.set_nodelay(true).is_err() {
            return;
        }
        if self.conns.len() >= self.shared.limits.connections_max && self.shed() == 0 {
            let body = json!({ "detail": "Too many connections; try again" });
            let reply = Reply::detail(503, &body).header("Retry-After", "1");
            // A new socket's buffer holds these few bytes.
            drop((&stream).write(&self.shared.print_last(reply)));
            return;
        }
        let key = self.next_key;
        self.next_key += 1;
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, Token(key), interest) {
            log::warn!("a connection cannot be watched: {error}");
            return;
        }
        let conn = Arc::new(Conn::new(stream, key, peer, &self.shared.limits));
        self.conns.insert(key, conn);
        self.count();
    }

    /// Those that are open now: each may be let go while they are gone through.
    fn all(&self) -> Vec<Arc<Conn>> {
        self.conns.values().cloned().collect()
    }

    fn count(&self) {
        let open = &self.shared.limits.figures.connections;
        open.store(self.conns.len(), Ordering::Relaxed);
    }

    /// A connection's socket has moved. It is announced once: what is not read now is remembered.
    fn look(&mut self, key: usize, event: Option<&Event>) {
        let Some(conn) = self.conns.get(&key) else {
            return;
        };
        let conn = &Arc::clone(conn);
        let mut state = conn.lock();
        if let Some(event) = event {
            state.is_ended |= event.is_read_closed() || event.is_error();
            state.is_ready |= event.is_readable() || state.is_ended;
        }
        match state.phase {
            Phase::Head | Phase::Body(_) if state.is_ready => match conn.read(&mut state, &mut self.scratch) {
                Ok(Some(count)) if count > 0 => {
                    let shared = self.shared;
                    let step = state.receive(&self.scratch[..count], &shared.limits, &*shared.handler);
                    drop(state);
                    shared.follow_at_once(conn, step);
                }
                Ok(None) => {}
                Ok(Some(_)) if state.is_half_received() => {
                    let broken = refuse(400, "The request ended before it was whole");
                    self.shared.refuse_half(conn, state, broken);
                }
                Ok(Some(_)) | Err(_) => self.remove(conn, &mut state),
            },
            Phase::Writing => {
                let sent = state.output.sent;
                match conn.flush(&mut state.output) {
                    Flushed::All if state.output.source.is_some() => {
                        state.phase = Phase::Busy;
                        drop(state);
                        if let Err(Job::Resume(conn)) =
                            workers::push(self.shared, Line::Reads, Job::Resume(Arc::clone(conn)))
                        {
                            conn.abandon(&mut conn.lock());
                        }
                    }
                    Flushed::All => {
                        drop(state);
                        respond::finish(self.shared, conn);
                    }
                    // What the client says does not count, only what it takes.
                    Flushed::Some if state.output.sent > sent => {
                        state.deadline = Instant::now() + self.shared.limits.stall_time;
                    }
                    Flushed::Some => {}
                    Flushed::Broken => self.remove(conn, &mut state),
                }
            }
            Phase::Draining if state.is_ready => match conn.read(&mut state, &mut self.scratch) {
                Ok(Some(count)) if count > 0 && state.may_drain(count) => self.shared.park(conn, &state),
                Ok(None) => {}
                _ => self.remove(conn, &mut state),
            },
            Phase::Push(_) => {
                if !push::look(self.shared, conn, &mut state, &mut self.scratch) {
                    self.remove(conn, &mut state);
                }
            }
            Phase::Socket(_) => {
                if !socket::look(self.shared, conn, &mut state, &mut self.scratch) {
                    self.remove(conn, &mut state);
                }
            }
            // Whoever sends no more while we think is taken to have left, as other servers do.
            Phase::Busy if state.is_ended => self.gone.extend(state.on_gone.take()),
            Phase::Head | Phase::Body(_) | Phase::Draining | Phase::Busy => {}
        }
    }

    /// Lets go of a connection. Whoever still holds it finds its socket shut.
    fn remove(&mut self, conn: &Conn, state: &mut State) {
        state.phase = Phase::Draining;
        state.output = Outbox::default();
        self.gone.extend(state.on_gone.take());
        conn.shut_down();
        if self.conns.remove(&conn.key).is_some() {
            self.count();
        }
    }

    /// Ends the connections whose time is over.
    fn sweep(&mut self) {
        if self.knocking == Knocking::Later {
            self.knocking = Knocking::Now;
        }
        let now = Instant::now();
        let mut has_guests = false;
        for conn in self.all() {
            let Some(mut state) = conn.try_lock() else {
                continue;
            };
            has_guests |= matches!(state.phase, Phase::Socket(_) | Phase::Push(_));
            let is_over = match state.phase {
                Phase::Busy => false,
                Phase::Push(_) => !push::tick(self.shared, &conn, &mut state),
                Phase::Socket(_) => !socket::tick(self.shared, &conn, &mut state),
                Phase::Writing => now >= state.deadline || state.output.ends.is_some_and(|ends| now >= ends),
                Phase::Head | Phase::Body(_) | Phase::Draining => now >= state.deadline,
            };
            if is_over && state.is_half_received() {
                let late = refuse(408, "The request did not arrive in time");
                self.shared.refuse_half(&conn, state, late);
            } else if is_over {
                self.remove(&conn, &mut state);
            }
        }
        if has_guests {
            self.shared.jobs.patrol();
        }
    }

    /// Drops the connections that have been parked longest without a request; returns how many.
    /// A few at a time, so that a flood of newcomers does not cost a search each.
    fn shed(&mut self) -> usize {
        let mut parked = self.since(|phase| matches!(phase, Phase::Head | Phase::Body(_) | Phase::Draining));
        if parked.is_empty() {
            // Only then those who are signed in and keep a socket open.
            parked = self.since(|phase| matches!(phase, Phase::Socket(_)));
        }
        let count = (parked.len() / 64 + 1).min(parked.len());
        if count > 0 {
            parked.select_nth_unstable(count - 1);
        }
        for &(_, key) in &parked[..count] {
            if let Some(conn) = self.conns.get(&key).cloned() {
                let mut state = conn.lock();
                self.remove(&conn, &mut state);
            }
        }
        count
    }

    /// The connections in such a phase, and since when.
    fn since(&self, is_meant: impl Fn(&Phase) -> bool) -> Vec<(Instant, usize)> {
        let states = self.conns.values().filter_map(|conn| {
            let state = conn.try_lock()?;
            is_meant(&state.phase).then_some((state.since, conn.key))
        });
        states.collect()
    }

    /// Stopping: nobody new comes in, and idle connections end.
    fn stop_accepting(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.listener = None;
        self.knocking = Knocking::Nobody;
        for conn in self.all() {
            let Some(mut state) = conn.try_lock() else {
                continue;
            };
            match state.phase {
                Phase::Head if !state.is_half_received() => self.remove(&conn, &mut state),
                Phase::Socket(_) => socket::say_goodbye(self.shared, &conn, &mut state),
                _ => {}
            }
        }
    }

    fn is_in_flight(&self) -> bool {
        self.conns.values().any(|conn| {
            conn.try_lock().is_none_or(|state| {
                matches!(
                    state.phase,
                    Phase::Busy | Phase::Body(_) | Phase::Writing | Phase::Push(_)
                )
            })
        })
    }
}
