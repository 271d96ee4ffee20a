//! A complete request, as handlers see it.

use std::borrow::Cow;
use std::io::{Read, Seek, SeekFrom};
use std::net::IpAddr;
use std::sync::Mutex;

use tiny_http::Method;

use super::parse::Head;
use super::spool::Spool;
use super::upload::Source;
use crate::error::{Error, Kind};

/// One request: head and body. Its bytes are kept as they came; everything else points into them.
#[derive(Debug)]
pub struct Request {
    pub(super) bytes: Vec<u8>,
    pub(super) head: Head,
    pub(super) body: Body,
    pub(super) peer: IpAddr,
    pub(super) id: RequestId,
}

/// A number for the log and the client to find each other by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub(super) u64);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where a body stands.
#[derive(Debug)]
pub(super) enum Body {
    /// Small ones are collected in memory.
    Memory(Vec<u8>),
    /// Large ones were received into a temporary file.
    Spooled(Spool),
}

impl Request {
    /// The method.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The path as it was sent, percent-encoded.
    pub fn path(&self) -> &str {
        self.text(&self.head.path)
    }

    /// The query string as it was sent, if there was a `?`.
    pub fn query(&self) -> Option<&str> {
        self.head.query.as_ref().map(|range| self.text(range))
    }

    /// The authority of an absolute target (`GET http://authority/path`).
    pub fn authority(&self) -> Option<&str> {
        self.head.authority.as_ref().map(|range| self.text(range))
    }

    /// The first field of this name, without regard to case. `None` also when its value is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.fields.iter().find_map(|(field, value)| {
            if self.bytes[field.clone()].eq_ignore_ascii_case(name.as_bytes()) {
                std::str::from_utf8(&self.bytes[value.clone()]).ok()
            } else {
                None
            }
        })
    }

    /// The values of every field of this name, in the order they came in; those that are not UTF-8 are left out.
    pub fn headers<'r>(&'r self, name: &'r str) -> impl DoubleEndedIterator<Item = &'r str> {
        let named = self.head.fields.iter();
        let named = named.filter(move |(field, _)| self.bytes[field.clone()].eq_ignore_ascii_case(name.as_bytes()));
        named.filter_map(|(_, value)| std::str::from_utf8(&self.bytes[value.clone()]).ok())
    }

    /// Whether there is a field with such a name.
    pub fn has_header(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        let mut names = self.head.fields.iter().map(|(name, _)| self.text(name));
        names.any(is_meant)
    }

    /// The address at the other end of the socket (a proxy's, if there is one).
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// The id of this request.
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// How many bytes the body has.
    pub fn body_length(&self) -> u64 {
        match &self.body {
            Body::Memory(bytes) => bytes.len() as u64,
            Body::Spooled(spool) => spool.length,
        }
    }

    /// The body in memory.
    ///
    /// # Errors
    /// [`Kind::TooLarge`] when it has more than `bytes_max` bytes.
    pub fn body(&mut self, bytes_max: u64) -> Result<Cow<'_, [u8]>, Error> {
        if self.body_length() > bytes_max {
            return Err(too_large(bytes_max));
        }
        match &mut self.body {
            Body::Memory(bytes) => Ok(Cow::Borrowed(bytes)),
            Body::Spooled(spool) => {
                let mut bytes = Vec::new();
                spool
                    .file
                    .seek(SeekFrom::Start(0))
                    .and_then(|_| spool.file.read_to_end(&mut bytes))
                    .map_err(|error| Error::internal("a temporary file cannot be read", error))?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// Takes the body out, for those who read parts of it later.
    pub(super) fn take_body(&mut self) -> Source {
        match std::mem::replace(&mut self.body, Body::Memory(Vec::new())) {
            Body::Memory(bytes) => Source::Memory(bytes),
            Body::Spooled(spool) => Source::Spooled(Mutex::new(spool)),
        }
    }

    /// Where in the bytes this part stands, as text. Targets were checked to be ASCII.
    fn text(&self, range: &std::ops::Range<usize>) -> &str {
        std::str::from_utf8(&self.bytes[range.clone()]).unwrap_or("")
    }
}

/// A body above a limit, with the limit in the sentence.
pub(super) fn too_large(bytes_max: u64) -> Error {
    let message = if bytes_max == 0 {
        "The body is larger than this address takes".to_owned()
    } else if bytes_max >= 1024 * 1024 {
        format!("The body is larger than {} MiB", bytes_max / (1024 * 1024))
    } else {
        format!("The body is larger than {} KiB", bytes_max / 1024)
    };
    Error::new(Kind::TooLarge, message)
}
