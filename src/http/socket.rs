//! A connection that became a WebSocket: both sides speak when they like. It costs a descriptor and a small state, no
//! thread: the poll thread reads frames and answers pings, workers listen to messages (`inbox`), and whoever has
//! something to say sends it from its own thread. The protocol itself is tungstenite's.

use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Error as WireError, Message};

use super::conn::{Conn, Outbox, Phase, State};
use super::handshake::Handshake;
use super::inbox::{Inbox, Listen, Said};
use super::listener::Shared;
use super::push::{self, Gone};
use super::workers::{self, Job, Line};

/// Bytes of one message or frame that a client may send.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that are taken from what was read in one step. Every idle socket keeps a buffer of this size, and what was
/// read stands in memory already, so nothing is gained by more.
const STEP_BYTES: usize = 256;

/// Answers to pings and closings that may wait inside the protocol; they are passed on at once.
const ANSWERS_BYTES_MAX: usize = 256 * 1024;

/// Bytes before the text of a frame that we send.
const HEADER_BYTES_MAX: usize = 10;

/// Sockets that have been silent equally long are asked for a sign of life so far apart, in as many groups: a server
/// just started has all of its clients back at once.
const PING_APART: Duration = Duration::from_millis(500);
const PING_GROUPS: usize = 8;

/// The sending end of a socket. Any number of them may exist; none keeps the connection open.
#[derive(Clone)]
pub struct Socket {
    shared: Arc<Shared>,
    conn: Weak<Conn>,
}

/// What a connection in [`Phase::Socket`] keeps.
pub(super) struct Link {
    codec: WebSocketContext,
    inbox: Arc<Inbox>,
    /// When anything last came from the client.
    heard: Instant,
    /// A ping is on its way.
    is_pinged: bool,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

impl Socket {
    /// The sending end of a connection that is about to become a socket.
    pub(super) fn new(shared: &Arc<Shared>, conn: &Arc<Conn>) -> Socket {
        Socket {
            shared: Arc::clone(shared),
            conn: Arc::downgrade(conn),
        }
    }

    /// Turns the connection into a socket.
    pub(super) fn begin(self, conn: &Arc<Conn>, handshake: &Handshake, listener: Box<dyn Listen>) {
        let shared = Arc::clone(&self.shared);
        let config = WebSocketConfig::default()
            .read_buffer_size(STEP_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(ANSWERS_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let link = Link {
            codec: WebSocketContext::new(Role::Server, Some(config)),
            inbox: Arc::new(Inbox::new(listener, self)),
            heard: Instant::now(),
            is_pinged: false,
        };
        let mut state = conn.lock();
        state.output.keep_alive = false;
        state.phase = Phase::Socket(Box::new(link));
        state.since = Instant::now();
        // If the client is gone, the poll thread finds that out as well, and lets go.
        let _ = push::post(&shared, conn, &mut state, &[&handshake.head()]);
        // The client may have spoken before it was answered: the poll thread looks whether it has.
        shared.call(conn);
    }

    /// Sends a text message after those that wait already. Never blocks.
    ///
    /// # Errors
    /// [`Gone`] when the socket has ended, or when more waits for its client than one that reads would leave.
    pub fn send(&self, text: &str) -> Result<(), Gone> {
        let conn = self.conn.upgrade().ok_or(Gone)?;
        let mut state = conn.lock();
        let Phase::Socket(link) = &state.phase else {
            return Err(Gone);
        };
        if !link.codec.can_write() {
            return Err(Gone);
        }
        let header = FrameHeader {
            is_final: true,
            opcode: OpCode::Data(Data::Text),
            ..FrameHeader::default()
        };
        let mut head = Vec::with_capacity(HEADER_BYTES_MAX);
        header.format(text.len() as u64, &mut head).map_err(|_| Gone)?;
        push::post(&self.shared, &conn, &mut state, &[&head, text.as_bytes()])
    }

    /// Ends the socket because its client may no longer be here (close code 1008). What was sent before still arrives;
    /// what the client has said and nobody has heard yet is not heard.
    pub fn dismiss(&self) {
        if let Some(conn) = self.conn.upgrade() {
            let mut state = conn.lock();
            if let Phase::Socket(link) = &state.phase {
                link.inbox.clear();
            }
            end(&self.shared, &conn, &mut state, Some(CloseCode::Policy));
        }
    }

    pub(super) fn put_in_line(&self, line: Line, job: Job) -> Result<(), Job> {
        workers::push(&self.shared, line, job)
    }

    /// Has the poll thread look at the connection.
    pub(super) fn call(&self) {
        if let Some(conn) = self.conn.upgrade() {
            self.shared.call(&conn);
        }
    }
}

/// What the protocol reads from and writes to: bytes that have come already, and the outbox.
struct Wire<'w> {
    input: &'w [u8],
    output: &'w mut Outbox,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.output.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The poll thread's look at a socket; false when it is over.
pub(super) fn look(shared: &Arc<Shared>, conn: &Arc<Conn>, state: &mut State, scratch: &mut [u8]) -> bool {
    if !push::flush(shared, conn, state) {
        return false;
    }
    if state.output.waiting() > shared.limits.outbox_bytes_max {
        // What is said would have to be answered, and a client that does not read is not listened to either. The next
        // look is when it has taken something.
        return true;
    }
    let was_empty = state.output.bytes.is_empty();
    // What had come when too much waited to be listened to is first.
    let rest = std::mem::take(&mut state.input);
    let mut heard = hear(state, &rest);
    if matches!(heard, Heard::All) && state.is_ready {
        heard = match conn.read(state, scratch) {
            Ok(Some(0)) | Err(_) => return false,
            Ok(None) => Heard::All,
            Ok(Some(count)) => hear(state, &scratch[..count]),
        };
    }
    if was_empty {
        // If answers wait from now on, their client has its time from now on.
        state.deadline = Instant::now() + shared.limits.stall_time;
    }
    match heard {
        Heard::All => shared.park(conn, state),
        // A worker calls when there is room.
        Heard::Some => {}
        Heard::End(code) => {
            end(shared, conn, state, code);
            return true;
        }
    }
    push::flush(shared, conn, state)
}

/// What came of bytes that were read.
enum Heard {
    All,
    /// Too much waits to be listened to; the rest is kept for later.
    Some,
    /// The socket ends, by this word of ours or, when there is none, by the client's.
    End(Option<CloseCode>),
}

fn hear(state: &mut State, bytes: &[u8]) -> Heard {
    let State {
        phase: Phase::Socket(link),
        output,
        input,
        since,
        ..
    } = state
    else {
        return Heard::All;
    };
    if !bytes.is_empty() {
        link.heard = Instant::now();
        // Who has been silent longest makes room for others, not who has been here longest.
        *since = link.heard;
        link.is_pinged = false;
    }
    let mut wire = Wire { input: bytes, output };
    loop {
        if link.inbox.is_full() {
            input.extend_from_slice(wire.input);
            return Heard::Some;
        }
        match link.codec.read(&mut wire) {
            Ok(Message::Text(text)) => link.inbox.push(Said::Text(text.as_str().to_owned())),
            Ok(Message::Binary(_)) => link.inbox.push(Said::Binary),
            // A ping's answer, and that to a closing, is written at the next reading.
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => {}
            Err(WireError::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Heard::All,
            Err(WireError::ConnectionClosed | WireError::AlreadyClosed) => return Heard::End(None),
            Err(WireError::Capacity(_)) => return Heard::End(Some(CloseCode::Size)),
            Err(WireError::Utf8(_)) => return Heard::End(Some(CloseCode::Invalid)),
            Err(_) => return Heard::End(Some(CloseCode::Protocol)),
        }
    }
}

/// Says our last word, if there is one to say, and sees that it gets out.
fn end(shared: &Shared, conn: &Conn, state: &mut State, code: Option<CloseCode>) {
    let State {
        phase: Phase::Socket(link),
        output,
        ..
    } = state
    else {
        return;
    };
    if let Some(code) = code {
        let reason = "".into();
        // The outbox takes everything, so this fails only when the last word was said already.
        drop(
            link.codec
                .close(&mut Wire { input: &[], output }, Some(CloseFrame { code, reason })),
        );
    }
    state.deadline = Instant::now() + shared.limits.stall_time;
    if push::flush(shared, conn, state) {
        push::finish(shared, conn, state);
    } else {
        conn.abandon(state);
    }
}

/// The poll thread's look at the time; false when the client has been silent for too long.
pub(super) fn tick(shared: &Shared, conn: &Conn, state: &mut State) -> bool {
    let limits = &shared.limits;
    let was_empty = state.output.bytes.is_empty();
    let is_stalled = push::is_late(state, Instant::now());
    let State {
        phase: Phase::Socket(link),
        output,
        ..
    } = state
    else {
        return true;
    };
    link.inbox.retry();
    if is_stalled {
        return false;
    }
    if link.inbox.is_awaited() {
        // We are who does not listen.
        link.heard = Instant::now();
    }
    let silent = link.heard.elapsed();
    if silent >= limits.silence_time {
        return false;
    }
    let apart = PING_APART * u32::try_from(conn.key % PING_GROUPS).unwrap_or(0);
    if silent >= limits.ping_time + apart && !link.is_pinged {
        link.is_pinged = true;
        let ping = Message::Ping(Bytes::new());
        if link.codec.write(&mut Wire { input: &[], output }, ping).is_err() {
            return false;
        }
        if was_empty {
            state.deadline = Instant::now() + limits.stall_time;
        }
        return push::flush(shared, conn, state);
    }
    true
}

/// The server stops.
pub(super) fn say_goodbye(shared: &Shared, conn: &Conn, state: &mut State) {
    end(shared, conn, state, Some(CloseCode::Away));
}
