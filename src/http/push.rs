//! A connection handed over: the server speaks when it has something to say (server-sent events, text as it comes).
//! Costs a descriptor and a buffer, no thread. HTTP/1.1 clients get chunks, so that they can tell a stream that has come
//! to its end from one that broke off; for HTTP/1.0 both are the end of the connection.

use std::time::Instant;

use super::conn::{Conn, Flushed, Phase, State};
use super::listener::Shared;
use super::reply::Reply;
use super::respond::Exchange;

/// A piece larger than this is a reply told at once, and no sign that its client has read nothing for long.
const LARGE_BYTES: usize = 64 * 1024;

/// The client has left, or has taken too little for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// What a stream is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// Server-sent events; the engine itself sends a comment now and then as a sign of life.
    Events,
    /// Text as it comes.
    Text,
}

impl Media {
    /// The head of a stream: nobody on the way may keep it, or keep it back.
    pub(super) fn head(self) -> Reply {
        let content_type = match self {
            Media::Events => "text/event-stream",
            Media::Text => "text/plain; charset=utf-8",
        };
        Reply::empty(200)
            .header("Content-Type", content_type)
            .header("Cache-Control", "no-cache")
            .header("X-Accel-Buffering", "no")
    }

    /// What readers pass over.
    fn heartbeat(self) -> Option<&'static [u8]> {
        match self {
            Media::Events => Some(b": ping\n\n"),
            Media::Text => None,
        }
    }
}

/// What a connection in [`Phase::Push`] keeps.
pub(super) struct Stream {
    is_chunked: bool,
    heartbeat: Option<&'static [u8]>,
    next_heartbeat: Instant,
}

/// The sending end of a connection that was handed over. Dropping it breaks the stream off.
pub struct Push(Exchange);

impl Push {
    pub(super) fn begin(exchange: Exchange, media: Media, head: &[u8]) -> Option<Push> {
        let push = Push(exchange);
        let Exchange {
            shared, conn, framed, ..
        } = &push.0;
        let stream = Stream {
            is_chunked: framed.minor > 0,
            heartbeat: media.heartbeat(),
            next_heartbeat: Instant::now() + shared.limits.heartbeat_time,
        };
        let mut state = conn.lock();
        state.input = Vec::new();
        state.output.keep_alive = false;
        state.phase = Phase::Push(Box::new(stream));
        shared.park(conn, &state);
        let sent = post(shared, conn, &mut state, &[head]);
        drop(state);
        sent.ok().map(|()| push)
    }

    /// Sends these bytes after those that wait already. Never blocks.
    ///
    /// # Errors
    /// [`Gone`] when the client has left, or when more waits for it than a client that reads would leave.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Gone> {
        let Exchange { shared, conn, .. } = &self.0;
        say(shared, conn, &mut conn.lock(), bytes)
    }

    /// Has `gone` called if the client leaves before the stream has ended. At most once, on the poll thread, or at
    /// once if it has left already: it must not wait.
    pub fn on_gone(&self, gone: impl FnOnce() + Send + 'static) {
        self.0.shared.watch(&self.0.conn, Box::new(gone));
    }

    /// Ends the stream: its client learns that nothing is missing.
    pub fn finish(self) {
        let Exchange { shared, conn, .. } = &self.0;
        let mut state = conn.lock();
        if let Phase::Push(stream) = &state.phase
            && stream.is_chunked
        {
            // Whoever is gone needs no end.
            let _ = post(shared, conn, &mut state, &[b"0\r\n\r\n"]);
        }
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        let Exchange { shared, conn, .. } = &self.0;
        let mut state = conn.lock();
        let on_gone = state.on_gone.take();
        if matches!(state.phase, Phase::Push(_)) {
            finish(shared, conn, &mut state);
        }
        drop(state);
        // Whatever it holds may have locks of its own.
        drop(on_gone);
        self.0.log(200);
    }
}

/// Sends a piece of a stream.
fn say(shared: &Shared, conn: &Conn, state: &mut State, bytes: &[u8]) -> Result<(), Gone> {
    let Phase::Push(stream) = &state.phase else {
        return Err(Gone);
    };
    match (bytes.len(), stream.is_chunked) {
        // An empty chunk would be the end.
        (0, _) => Ok(()),
        (_, false) => post(shared, conn, state, &[bytes]),
        (length, true) => post(
            shared,
            conn,
            state,
            &[format!("{length:x}\r\n").as_bytes(), bytes, b"\r\n"],
        ),
    }
}

/// Whether the client takes nothing of what waits for it, or takes it too slowly.
pub(super) fn is_late(state: &State, now: Instant) -> bool {
    let backlog = state.output.backlog.as_ref();
    !state.output.bytes.is_empty() && now >= state.deadline || backlog.is_some_and(|backlog| now >= backlog.ends)
}

/// The poll thread's look at the time; false when the client has taken nothing for too long.
pub(super) fn tick(shared: &Shared, conn: &Conn, state: &mut State) -> bool {
    let now = Instant::now();
    if is_late(state, now) {
        return false;
    }
    let Phase::Push(stream) = &mut state.phase else {
        return true;
    };
    match stream.heartbeat {
        Some(heartbeat) if now >= stream.next_heartbeat => {
            stream.next_heartbeat = now + shared.limits.heartbeat_time;
            say(shared, conn, state, heartbeat).is_ok()
        }
        _ => true,
    }
}

/// Sends these bytes, one part after the other, after those that wait already.
pub(super) fn post(shared: &Shared, conn: &Conn, state: &mut State, parts: &[&[u8]]) -> Result<(), Gone> {
    let was_empty = state.output.bytes.is_empty();
    // What waits already counts, not what is added: a client that reads must be able to get a large event, and what comes
    // behind that while it reads.
    if state.output.behind_backlog() > shared.limits.outbox_bytes_max {
        conn.shut_down();
        return Err(Gone);
    }
    // A client that is always a little behind never empties the outbox: what it has got goes, when it is most of it.
    if state.output.sent >= state.output.waiting() {
        let sent = std::mem::take(&mut state.output.sent);
        state.output.bytes.drain(..sent);
        if state.output.backlog.is_none() {
            state.output.bytes.shrink_to(2 * shared.limits.outbox_bytes_max);
        }
    }
    let bytes = parts.iter().map(|part| part.len()).sum();
    // What a WebSocket is told can be asked for again, piece by piece: there no reply is told at once.
    let is_large = bytes > LARGE_BYTES && matches!(state.phase, Phase::Push(_));
    if is_large {
        state.output.bytes.reserve_exact(bytes);
    }
    for part in parts {
        state.output.bytes.extend_from_slice(part);
    }
    if was_empty {
        match conn.flush(&mut state.output) {
            Flushed::All => {}
            Flushed::Some => state.deadline = Instant::now() + shared.limits.stall_time,
            Flushed::Broken => {
                conn.shut_down();
                return Err(Gone);
            }
        }
    }
    if is_large && state.output.waiting() > shared.limits.outbox_bytes_max {
        return keep_waiting(shared, conn, state);
    }
    Ok(())
}

/// Counts what waits, now that a large piece has come, as what all connections may keep together. If that is too much the
/// stream ends here: its client has what has fitted into its socket, and may come back for more.
fn keep_waiting(shared: &Shared, conn: &Conn, state: &mut State) -> Result<(), Gone> {
    let limits = &shared.limits;
    let waiting = state.output.waiting();
    // The share from before is part of it.
    drop(state.output.backlog.take());
    let ends = Instant::now() + limits.stall_time + limits.time_for(waiting as u64);
    state.output.backlog = shared.backlogs.begin(waiting, limits.backlog_bytes_max, ends);
    if state.output.backlog.is_none() {
        log::warn!("a stream was ended: too much waits for clients that read slowly");
        state.output.bytes = Vec::new();
        state.output.sent = 0;
        conn.shut_down();
        return Err(Gone);
    }
    Ok(())
}

/// Nothing more will be said: the connection ends once what waits has been sent.
pub(super) fn finish(shared: &Shared, conn: &Conn, state: &mut State) {
    if state.output.bytes.is_empty() {
        state.drain(conn);
        shared.park(conn, state);
    } else {
        // The poll thread closes after it, as after any last reply.
        let ends = Instant::now() + shared.limits.stall_time;
        let backlog = state.output.backlog.as_ref();
        state.output.ends = Some(backlog.map_or(ends, |backlog| backlog.ends + shared.limits.stall_time));
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
