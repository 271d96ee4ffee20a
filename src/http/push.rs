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
        let was_empty = state.output.bytes.is_empty();
        // What waits already counts, not what is added: a client that reads must be able to get a large event.
        if state.output.bytes.len() - state.output.sent > self.shared.limits.outbox_bytes_max {
            self.conn.shut_down();
            return Err(Gone);
        }
        // A client that is always a little behind never empties the outbox: what it has got goes now.
        let sent = std::mem::take(&mut state.output.sent);
        state.output.bytes.drain(..sent);
        state.output.bytes.extend_from_slice(bytes);
        if !was_empty {
            return Ok(());
        }
        match self.conn.flush(&mut state.output) {
            Flushed::All => Ok(()),
            Flushed::Some => {
                state.deadline = Instant::now() + self.shared.limits.stall_time;
                Ok(())
            }
            Flushed::Broken => {
                self.conn.shut_down();
                Err(Gone)
            }
        }
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        let mut state = self.conn.lock();
        if !matches!(state.phase, Phase::Push) {
            return;
        }
        if state.output.bytes.is_empty() {
            state.drain(&self.conn);
            self.shared.park(&self.conn, &state);
        } else {
            // What waits is sent first; the poll thread closes after it, as after any last reply.
            state.output.ends = Some(Instant::now() + self.shared.limits.stall_time);
            state.phase = Phase::Writing;
        }
    }
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
    let sent = state.output.sent;
    match conn.flush(&mut state.output) {
        Flushed::Broken => return false,
        // What the client says does not count, only what it takes.
        Flushed::Some if state.output.sent > sent => state.deadline = Instant::now() + shared.limits.stall_time,
        Flushed::Some | Flushed::All => {}
    }
    true
}
