//! Server-sent events, as the server writes them: each with its name, and its data in one line.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use super::super::Failed;
use crate::error::{Error, Kind};

/// Bytes of an event: the last one holds the whole reply.
const EVENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The events of a stream, one after the other.
pub(super) struct Events<R>(BufReader<R>);

impl<R: Read> Events<R> {
    pub(super) fn new(stream: R) -> Events<R> {
        Events(BufReader::new(stream))
    }

    /// The next event's name and data; `None` at the end of the stream.
    pub(super) fn next(&mut self) -> Result<Option<(String, Value)>, Failed> {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            let read = (&mut self.0).take(EVENT_BYTES_MAX).read_line(&mut line);
            let count = read.map_err(|error| {
                Failed::from(Error::new(Kind::Upstream, "The connection to the server was lost").caused_by(error))
            })?;
            let line = line.trim_end_matches(['\r', '\n']);
            if count == 0 {
                return Ok(None);
            } else if let Some(value) = line.strip_prefix("event: ") {
                name = value.to_owned();
            } else if let Some(value) = line.strip_prefix("data: ") {
                data = value.to_owned();
            } else if line.is_empty() && !data.is_empty() {
                let data = serde_json::from_str(&data).map_err(|error| {
                    let message = "The server sent an event that cannot be read";
                    Failed::from(Error::new(Kind::Upstream, message).caused_by(error))
                })?;
                return Ok(Some((name, data)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_come_with_their_names() {
        let stream = ": ping\n\nid: 1\nevent: start\ndata: {\"conversation_id\":7}\n\n: ping\n\nevent: done\ndata: {}\n\nevent: x";
        let mut events = Events::new(stream.as_bytes());
        assert_eq!(
            events.next().unwrap(),
            Some(("start".to_owned(), json!({"conversation_id": 7})))
        );
        assert_eq!(events.next().unwrap(), Some(("done".to_owned(), json!({}))));
        assert_eq!(events.next().unwrap(), None);
        assert!(Events::new("data: {\n\n".as_bytes()).next().is_err());
    }
}
