//! What a socket's client has said and nobody has listened to yet. Listeners may need the disk, so they run on workers,
//! one message at a time and in order; a client that says more than they can take is not read from until they have.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::socket::Socket;
use super::workers::{Job, Line};

/// Messages of one socket that may wait for a worker. Clients that behave send one now and then.
const WAITING_MAX: usize = 16;

/// What a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A text message, whole.
    Text(String),
    /// A binary message. Nobody here wants any, so its bytes are not kept.
    Binary,
}

/// Who listens to a socket's client. Called on workers, never twice at the same time for the same socket.
pub trait Listen: Send + Sync {
    /// The client said something. Must not wait for a model or a slow client.
    fn heard(&self, socket: &Socket, said: Said);

    /// The socket has ended, from whichever side; the last call. What was said before has been heard, unless we ended the
    /// socket, or the server was too busy.
    fn closed(&self);
}

pub(super) struct Inbox {
    listener: Box<dyn Listen>,
    socket: Socket,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Said>,
    /// A job for this inbox is in line or at work.
    is_running: bool,
    /// The poll thread has stopped reading, and wants to be called when there is room.
    is_awaited: bool,
    is_closed: bool,
    is_told: bool,
}

impl Inbox {
    pub(super) fn new(listener: Box<dyn Listen>, socket: Socket) -> Inbox {
        Inbox {
            listener,
            socket,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no more may be heard now. Whoever asks in vain is called when that changes.
    pub(super) fn is_full(&self) -> bool {
        let mut state = self.lock();
        state.is_awaited = state.waiting.len() >= WAITING_MAX;
        state.is_awaited
    }

    /// Whether the poll thread has stopped reading.
    pub(super) fn is_awaited(&self) -> bool {
        self.lock().is_awaited
    }

    /// Takes in what was said.
    pub(super) fn push(self: &Arc<Self>, said: Said) {
        let mut state = self.lock();
        state.waiting.push_back(said);
        self.start(state);
    }

    /// The socket has ended: the listener is told after what was said before.
    pub(super) fn close(self: &Arc<Self>) {
        let mut state = self.lock();
        state.is_closed = true;
        self.start(state);
    }

    /// What was said and not listened to yet is not listened to any more.
    pub(super) fn clear(&self) {
        self.lock().waiting.clear();
    }

    /// Gets in line again if there was no place in it before.
    pub(super) fn retry(self: &Arc<Self>) {
        self.start(self.lock());
    }

    /// Gets in line for a worker, if there is something to do and nobody is at it.
    fn start(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.is_running {
            return;
        }
        let get_in_line = |line| self.socket.put_in_line(line, Job::Hear(Arc::clone(self))).is_ok();
        if !state.waiting.is_empty() {
            // What is said may write, so it stands with the requests that may.
            state.is_running = get_in_line(Line::Writes);
            if state.is_running || !state.is_closed {
                return;
            }
            // Nobody comes back to try again, nor to hear what came of it.
            state.waiting.clear();
        }
        if state.is_closed && !state.is_told {
            // An end must find a place, and does: its line takes everything.
            state.is_running = get_in_line(Line::Reads);
        }
    }

    /// One message, on a worker; then to the end of the line, where others stand too.
    pub(super) fn work(self: &Arc<Self>) {
        // Given back also when the listener panics.
        let _turn = Turn(self);
        let mut state = self.lock();
        if let Some(said) = state.waiting.pop_front() {
            drop(state);
            self.listener.heard(&self.socket, said);
        } else if state.is_closed && !std::mem::replace(&mut state.is_told, true) {
            drop(state);
            self.listener.closed();
        }
    }
}

/// A worker's turn at an inbox.
struct Turn<'i>(&'i Arc<Inbox>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_running = false;
        let is_awaited = state.is_awaited && state.waiting.is_empty();
        if is_awaited {
            state.is_awaited = false;
        }
        self.0.start(state);
        if is_awaited {
            self.0.socket.call();
        }
    }
}
