//! Server-sent events, read incrementally: bytes in, the `data` of whole events out.
//!
//! Follows the WHATWG's parsing rules (HTML §9.2.6) except that a line ends in LF or CRLF, never in a lone CR, which
//! no model server sends; that any line may begin with a byte order mark; and that what the end of the stream leaves open is
//! an event, too. Knows nothing of what the data means.

use std::borrow::Cow;
use std::io::BufRead as _;

/// An event may not be larger than this, nor any of its lines: a reply comes in pieces of a few hundred bytes, so
/// whoever sends more without a break is broken or hostile.
pub(super) const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// An event exceeds [`EVENT_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Collects lines into events.
#[derive(Default)]
pub(super) struct Decoder {
    /// The line so far. Bytes, because a character may be cut anywhere; whole lines are text again.
    line: Vec<u8>,
    data: Option<String>,
}

impl Decoder {
    /// Takes the next bytes; the data of each event that they complete goes to `events`.
    pub(super) fn feed(&mut self, mut bytes: &[u8], events: &mut Vec<String>) -> Result<(), TooLarge> {
        while !bytes.is_empty() {
            // From memory it does not fail.
            drop(bytes.read_until(b'\n', &mut self.line));
            let is_whole = self.line.pop_if(|byte| *byte == b'\n').is_some();
            if self.line.len() > EVENT_BYTES_MAX {
                return Err(TooLarge);
            }
            if is_whole {
                self.end_line(events)?;
            }
        }
        Ok(())
    }

    /// Takes the end of the stream for the end of the last line and event, as servers do that forget the blank line.
    pub(super) fn end(mut self, events: &mut Vec<String>) -> Result<(), TooLarge> {
        self.end_line(events)?;
        self.end_line(events)
    }

    fn end_line(&mut self, events: &mut Vec<String>) -> Result<(), TooLarge> {
        // What is sound is looked at once; only what is not takes the slower way.
        let text = str::from_utf8(&self.line).map_or_else(|_| String::from_utf8_lossy(&self.line), Cow::Borrowed);
        let line = text.strip_suffix('\r').unwrap_or(&text);
        if line.is_empty() {
            events.extend(self.data.take());
        } else if let Some(value) = field(line, "data") {
            match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) if data.len() + value.len() >= EVENT_BYTES_MAX => return Err(TooLarge),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            }
        }
        self.line.clear();
        Ok(())
    }
}

/// The value of the line's field if it has this name. Comments (`: ping`) are fields without a name.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let line = line.trim_start_matches('\u{feff}');
    match line.strip_prefix(name)? {
        "" => Some(""),
        rest => rest
            .strip_prefix(':')
            .map(|value| value.strip_prefix(' ').unwrap_or(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: hello\r\ndata: naïve 🦊\r\n\r\nevent: x\ndata:a\ndata:  b\ndata\nid: 7\n\n\n\ndatum: no\n\ndata: [DONE]\n\n";

    fn decode(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<String> {
        let mut events = Vec::new();
        let mut decoder = Decoder::default();
        for piece in pieces {
            decoder.feed(&piece, &mut events).unwrap();
        }
        decoder.end(&mut events).unwrap();
        events
    }

    #[test]
    fn any_cut_gives_the_same_events() {
        for size in 1..=STREAM.len() {
            let events = decode(STREAM.as_bytes().chunks(size).map(<[u8]>::to_vec));
            assert_eq!(events, ["naïve 🦊", "a\n b\n", "[DONE]"], "in pieces of {size}");
        }
    }

    #[test]
    fn the_end_of_the_stream_ends_the_last_event() {
        assert_eq!(decode(std::iter::once(b"data: a\n\ndata: b".to_vec())), ["a", "b"]);
        assert!(decode(std::iter::empty()).is_empty());
    }

    #[test]
    fn lines_and_events_are_bounded() {
        let mut decoder = Decoder::default();
        let half = vec![b'x'; EVENT_BYTES_MAX / 2];
        decoder.feed(&half, &mut Vec::new()).unwrap();
        decoder.feed(&half, &mut Vec::new()).unwrap();
        assert_eq!(decoder.feed(b"x", &mut Vec::new()), Err(TooLarge));

        let mut decoder = Decoder::default();
        let line = [b"data: ".as_slice(), &half, b"\n"].concat();
        decoder.feed(&line, &mut Vec::new()).unwrap();
        assert_eq!(decoder.feed(&line, &mut Vec::new()), Err(TooLarge));
    }
}
