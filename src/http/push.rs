//! A connection handed over: the server speaks when it has something to say (server-sent events). Costs a descriptor
//! and a buffer, no thread.

use std::sync::Arc;
use std::time::Instant;

use super::conn::{Conn, Flushed, Phase, State};
use super::listener::Shared;

/// The client has left, or has taken too little for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// The sending end of a connection that was handed over. Dropping it ends the connection.
pub struct Push {
    shared: Arc<Shared>,
    conn: Arc<Conn>,
}

impl Push {
    pub(super) fn begin(shared: Arc<Shared>, conn: Arc<Conn>, head: &[u8]) -> Option<Push> {
        let mut state = conn.lock();
        state.input = Vec::new();
        state.output.keep_alive = false;
        state.phase = Phase::Push;
        shared.park(&conn, &state);
        drop(state);
        let push = Push { shared, conn };
        push.send(head).ok().map(|()| push)
    }

    /// Sends these bytes as they are, after those that wait already. Never blocks.
    ///
    /// # Errors
    /// [`Gone`] when the client has left, or when more waits for it than a client that reads would leave.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Gone> {
        let mut state = self.conn.lock();
        if !matches!(state.phase, Phase::Push) {
            return Err(Gone);
        }
        post(&self.shared, &self.conn, &mut state, &[bytes])
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        let mut state = self.conn.lock();
        if !matches!(state.phase, Phase::Push) {
            return;
        }
        finish(&self.shared, &self.conn, &mut state);
    }
}

/// Sends these bytes, one part after the other, after those that wait already.
pub(super) fn post(shared: &Shared, conn: &Conn, state: &mut State, parts: &[&[u8]]) -> Result<(), Gone> {
    let was_empty = state.output.bytes.is_empty();
    // What waits already counts, not what is added: a client that reads must be able to get a large event.
    if state.output.waiting() > shared.limits.outbox_bytes_max {
        conn.shut_down();
        return Err(Gone);
    }
    // A client that is always a little behind never empties the outbox: what it has got goes now.
    let sent = std::mem::take(&mut state.output.sent);
    state.output.bytes.drain(..sent);
    for part in parts {
        state.output.bytes.extend_from_slice(part);
    }
    if !was_empty {
        return Ok(());
    }
    match conn.flush(&mut state.output) {
        Flushed::All => Ok(()),
        Flushed::Some => {
            state.deadline = Instant::now() + shared.limits.stall_time;
            Ok(())
        }
        Flushed::Broken => {
            conn.shut_down();
            Err(Gone)
        }
    }
}

/// Nothing more will be said: the connection ends once what waits has been sent.
pub(super) fn finish(shared: &Shared, conn: &Conn, state: &mut State) {
    if state.output.bytes.is_empty() {
        state.drain(conn);
        shared.park(conn, state);
    } else {
        // The poll thread closes after it, as after any last reply.
        state.output.ends = Some(Instant::now() + shared.limits.stall_time);
        state.phase = Phase::Writing;
    }
}

/// Sends on what waits; false when the client has left.
pub(super) fn flush(shared: &Shared, conn: &Conn, state: &mut State) -> bool {
    let sent = state.output.sent;
    match conn.flush(&mut state.output) {
        Flushed::Broken => return false,
        // What the client says does not count, only what it takes.
        Flushed::Some if state.output.sent > sent => state.deadline = Instant::now() + shared.limits.stall_time,
        Flushed::Some | Flushed::All => {}
    }
    true
}

/// The poll thread's look at a pushed connection; false when it is over.
pub(super) fn look(shared: &Shared, conn: &Conn, state: &mut State, scratch: &mut [u8]) -> bool {
    // What the client says is read over: an event stream goes one way.
    if state.is_ready {
        if matches!(conn.read(state, scratch), Ok(Some(0)) | Err(_)) {
            return false;
        }
        shared.park(conn, state);
    }
    flush(shared, conn, state)
}
