//! A body's framing: how many of the bytes that arrive belong to it, and where it ends. Fed in pieces of any size.

use super::parse::{BodyLength, Refusal, refuse};

/// Bytes of a chunk's size line: sixteen digits and a short extension, which is skipped.
const SIZE_LINE_MAX: usize = 256;

/// Bytes of all trailer fields together. They are read over.
const TRAILERS_MAX: usize = 4096;

/// Reads a body out of a stream of bytes.
#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    /// Bytes of content so far.
    pub(super) received: u64,
    /// More content than this is refused.
    pub(super) limit: u64,
    line: usize,
    trailers: usize,
    size: u64,
    digits: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    Size,
    Extension,
    SizeEnd,
    Data(u64),
    DataEnd,
    DataEndLf,
    Trailer,
    TrailerLf,
    Done,
}

impl Framing {
    pub(super) fn new(length: BodyLength, limit: u64) -> Framing {
        let state = match length {
            BodyLength::Known(0) => State::Done,
            BodyLength::Known(length) => State::Length(length),
            BodyLength::Chunked => State::Size,
        };
        Framing {
            state,
            received: 0,
            limit,
            line: 0,
            trailers: 0,
            size: 0,
            digits: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what belongs to the body from the front of `input`, appends its content to `content`, and returns how
    /// many bytes were taken: all of them, unless the body ended.
    pub(super) fn feed(&mut self, input: &[u8], content: &mut Vec<u8>) -> Result<usize, Refusal> {
        let mut at = 0;
        while at < input.len() && !self.is_done() {
            match self.state {
                State::Length(left) | State::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
                    self.received += here as u64;
                    if self.received > self.limit {
                        return Err(refuse(413, "The body is larger than this server accepts"));
                    }
                    content.extend_from_slice(&input[at..at + here]);
                    at += here;
                    let left = left - here as u64;
                    self.state = match (self.state, left) {
                        (State::Length(_), 0) => State::Done,
                        (State::Length(_), left) => State::Length(left),
                        (_, 0) => State::DataEnd,
                        (_, left) => State::Data(left),
                    };
                }
                _ => {
                    self.step(input[at])?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    /// One byte of chunked framing outside the data.
    fn step(&mut self, byte: u8) -> Result<(), Refusal> {
        let malformed = refuse(400, "The chunked body is malformed");
        self.line += 1;
        if self.line > SIZE_LINE_MAX && matches!(self.state, State::Size | State::Extension) {
            return Err(malformed);
        }
        self.state = match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => {
                self.digits += 1;
                if self.digits > 16 {
                    return Err(malformed);
                }
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                self.size = (self.size << 4) | u64::from(digit);
                State::Size
            }
            (State::Size, b';') if self.digits > 0 => State::Extension,
            (State::Size, b'\r') if self.digits > 0 => State::SizeEnd,
            (State::Extension, b'\r') => State::SizeEnd,
            (State::Extension, b'\t' | 32..=126 | 128..) => State::Extension,
            (State::SizeEnd, b'\n') => {
                self.line = 0;
                let size = self.size;
                self.size = 0;
                self.digits = 0;
                if size > self.limit.saturating_sub(self.received) {
                    return Err(refuse(413, "The body is larger than this server accepts"));
                }
                if size == 0 { State::Trailer } else { State::Data(size) }
            }
            (State::DataEnd, b'\r') => State::DataEndLf,
            (State::DataEndLf, b'\n') => {
                self.line = 0;
                State::Size
            }
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::Trailer, b'\t' | 32..=126 | 128..) => {
                self.trailers += 1;
                if self.trailers > TRAILERS_MAX {
                    return Err(malformed);
                }
                State::Trailer
            }
            // An empty line (only its CR counted) ends the body; any other is a trailer field's.
            (State::TrailerLf, b'\n') if self.line == 2 => State::Done,
            (State::TrailerLf, b'\n') => {
                self.line = 0;
                State::Trailer
            }
            _ => return Err(malformed),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(length: BodyLength, input: &[u8], piece: usize) -> Result<(String, usize, bool), u16> {
        let mut framing = Framing::new(length, 1 << 20);
        let mut content = Vec::new();
        let mut taken = 0;
        for part in input.chunks(piece) {
            let here = framing.feed(part, &mut content).map_err(|refusal| refusal.status)?;
            taken += here;
            if here < part.len() {
                break;
            }
        }
        Ok((String::from_utf8(content).unwrap(), taken, framing.is_done()))
    }

    #[test]
    fn whole_bodies_in_pieces_of_any_size() {
        let chunked = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\nGET";
        for piece in 1..chunked.len() {
            let read = read(BodyLength::Chunked, chunked, piece).unwrap();
            assert_eq!(read, ("hello world".into(), chunked.len() - 3, true));
        }
        let plain = read(BodyLength::Known(5), b"helloGET", 3).unwrap();
        assert_eq!(plain, ("hello".into(), 5, true));
        let simple = read(BodyLength::Chunked, b"0\r\n\r\nX", 100).unwrap();
        assert_eq!(simple, (String::new(), 5, true));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for body in [
            "\r\n",
            ";\r\n",
            "-1\r\n",
            "0x5\r\n",
            "5 \r\nhello",
            "5\nhello",
            "5\r\nhelloX",
            "5\r\nhello\n",
            "g\r\n",
            "11111111111111111\r\n",
            "0\r\nbad\n\r\n",
        ] {
            assert_eq!(read(BodyLength::Chunked, body.as_bytes(), 100), Err(400), "{body:?}");
        }
        assert_eq!(read(BodyLength::Chunked, b"FFFFFFFFFFFFFFFF\r\n", 100), Err(413));
        let endless = "1\r\nx\r\n".repeat((1 << 20) + 1);
        assert_eq!(read(BodyLength::Chunked, endless.as_bytes(), 4096), Err(413));
    }
}
