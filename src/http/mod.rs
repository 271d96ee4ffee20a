//! The engine: sockets in, requests to a [`Handler`], replies out. Knows no chat, no store, no accounts.
//!
//! One poll thread (`listener`) owns the listening socket and every connection that is idle, half received, half sent
//! or being pushed to, with their deadlines. A complete request goes to a worker (`workers`); a large body is first
//! received by a receiver thread into a temporary file (`receivers`). A handler answers through a [`Responder`],
//! there and then or later from another thread, or turns the connection into a [`Push`] or a [`Socket`].
//!
//! tiny_http gives methods and what statuses are called. Its `Server` is not used: it allocates whatever length a client
//! declares, ends its accept loop when descriptors run out, and has no limits on heads, bodies, idle time or connections.
//! Nor is its way of printing responses, which gives a 204 a length and costs more than all else that a short answer does.

mod answer;
mod backlog;
mod conn;
mod cors;
mod decode;
mod figures;
mod forms;
mod framing;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod handshake;
mod host;
mod inbox;
mod listener;
mod multipart;
pub mod openapi;
mod parse;
mod poll;
mod push;
mod receivers;
mod reply;
mod request;
mod respond;
mod router;
mod socket;
mod spool;
#[cfg(test)]
mod tests;
mod upload;
mod validate;
mod values;
mod workers;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;

pub use answer::{
    Answer, Download, Either, Empty, EventStream, File, Html, Later, Outcome, PartOfFile, Streams, Switched, Text,
    TextStream, Typed, Unchanged,
};
pub use cors::{Sharing, parse_origin};
#[cfg(any(test, fuzzing))]
pub(crate) use decode::Spec;
pub use decode::{
    Body, ByType, Created, Deferred, Endpoint, Form, FormFile, FormFiles, Input, Json, MaybeBody, MaybeQuery,
    NoContent, Path, Query, Raw, SomeFiles, read_body,
};
pub use figures::Figures;
pub use forms::decode_percent;
pub use handshake::Handshake;
pub use host::Origins;
pub use inbox::{Listen, Said};
pub use listener::{Engine, Nudge};
pub use multipart::FORM_BYTES_MAX;
pub use push::{Gone, Media, Push};
pub use reply::{Reply, Wording};
pub use request::{Request, RequestId};
pub use respond::Responder;
pub use router::{Auth, Call, Family, Reads, Route, Router, Sizes, body_bytes_max, delete, get, patch, post, put};
pub use socket::Socket;
pub use tiny_http::Method;
pub use upload::{Upload, UploadReader};

/// What the engine calls.
pub trait Handler: Send + Sync + 'static {
    /// Answers a complete request, on a worker. Must not wait for a model or a slow client.
    fn handle(&self, request: Request, respond: Responder);

    /// Whether the answer to this request waits for nothing, neither the store nor a disk: then the poll thread asks for
    /// it, and gives it also while every worker is stuck. Called on the poll thread: no waiting.
    fn answers_at_once(&self, _request: &Request) -> bool {
        false
    }

    /// Says how many bytes of a large body to accept, before any of it is read, on a receiver. The body is empty here.
    ///
    /// # Errors
    /// Whatever refuses the request: it is answered with it, and the connection closed.
    fn admit(&self, request: &Request) -> Result<u64, Error>;

    /// Whether a request with this Host (or absolute target) is for us. Called on the poll thread: no waiting.
    fn knows_host(&self, host: &str) -> bool;

    /// Which other origin's pages may read the reply. Called on the poll thread: no waiting.
    fn sharing(&self, _request: &Request) -> Sharing {
        Sharing::Off
    }

    /// How errors are put to whoever sends this request.
    fn wording(&self, _request: &Request) -> Wording {
        Reply::error
    }

    /// The server is stopping and requests are still being answered: come to an end. Called on the poll thread.
    fn hurry(&self);

    /// Looks whether those with sockets and streams may still be here. Called on a worker, twice a second while there are
    /// any, never twice at the same time.
    fn patrol(&self);
}

/// Every limit of the engine, with its reason.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests handled at the same time.
    pub workers: usize,
    /// Of those, how many are kept free of requests that may write: reads always find a worker.
    pub workers_for_reads: usize,
    /// Requests that may write, waiting for a worker; more are told to come back.
    pub waiting_writes_max: usize,
    /// Open connections; beyond it the longest idle one makes room.
    pub connections_max: usize,
    /// Bytes of a request's head.
    pub head_bytes_max: usize,
    /// Bodies up to this size are collected while the connection is parked.
    pub parked_body_bytes_max: u64,
    /// Bodies above this are refused at once, whatever the route.
    pub body_bytes_max: u64,
    /// A head must be whole this long after its first byte (or after the connection was made).
    pub head_time: Duration,
    /// An idle connection is kept this long between requests.
    pub idle_time: Duration,
    /// A client that takes none of its reply for this long is dropped.
    pub stall_time: Duration,
    /// Bodies and replies must move at least this fast on the whole.
    pub bytes_per_s_min: u64,
    /// Bytes of a reply that wait in memory for a slow client; the rest waits in a file.
    pub outbox_bytes_max: usize,
    /// Bytes of large pieces that wait in memory for slow readers of streams, all of them together.
    pub backlog_bytes_max: usize,
    /// A socket whose client says nothing is asked for a sign of life after this; proxies forget a connection in about
    /// twice the time.
    pub ping_time: Duration,
    /// A socket whose client has not given one by then is dropped: two pings and a half.
    pub silence_time: Duration,
    /// A stream of events is sent a sign of life so often: proxies cut what is silent for half a minute or a minute.
    pub heartbeat_time: Duration,
    /// Temporary files take no more of the disk together than so many bodies of the largest size.
    pub spooled_bodies_max: u32,
    /// Path that the server stands below, such as `/fire`; requests come with it or, when a proxy has taken it off, without.
    pub base_path: String,
    /// Where temporary files are made.
    pub spool: PathBuf,
    /// Where the engine counts what it does.
    pub figures: Arc<Figures>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            workers: 64,
            workers_for_reads: 8,
            waiting_writes_max: 1024,
            connections_max: 10_000,
            head_bytes_max: 16 * 1024,
            parked_body_bytes_max: 64 * 1024,
            // Ten files of 25 MiB and their framing: what the largest route takes.
            body_bytes_max: body_bytes_max(25 * 1024 * 1024),
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            stall_time: Duration::from_secs(20),
            bytes_per_s_min: 8 * 1024,
            outbox_bytes_max: 256 * 1024,
            // Eight of the largest replies, each with its last event, in which it stands once more.
            backlog_bytes_max: 128 * 1024 * 1024,
            ping_time: Duration::from_secs(30),
            silence_time: Duration::from_secs(75),
            heartbeat_time: Duration::from_secs(15),
            // Two for each receiver: one that arrives, and one that waits to be written.
            spooled_bodies_max: 8,
            base_path: String::new(),
            spool: std::env::temp_dir(),
            figures: Arc::default(),
        }
    }
}

impl Limits {
    fn spooled_bytes_max(&self) -> u64 {
        self.body_bytes_max.saturating_mul(u64::from(self.spooled_bodies_max))
    }

    /// How long so many bytes may take at the slowest speed that is accepted.
    fn time_for(&self, bytes: u64) -> Duration {
        self.head_time + Duration::from_secs(bytes / self.bytes_per_s_min.max(1))
    }
}
