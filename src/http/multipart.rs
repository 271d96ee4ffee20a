//! `multipart/form-data`, read as a stream: parts of any size pass through a small buffer.

use std::io::Read;

use serde_json::{Map, Value};

use crate::error::{Error, Kind};

/// Parts of one body.
const PARTS_MAX: usize = 100;

/// Bytes of one part's head.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a field that is not a file. The largest is a message's text.
const FIELD_BYTES_MAX: usize = 1024 * 1024;

/// Bytes read at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// The boundary that a `Content-Type` names, if it is `multipart/form-data` and the boundary is a valid one.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then(|| value.trim().trim_matches('"').to_owned())
    })?;
    let is_valid = (1..=70).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    is_valid.then_some(value)
}

/// The parts of a body, one after the other.
pub(super) struct Multipart<R> {
    reader: R,
    /// What was read and not used. Begins as a line break, so that the first delimiter looks like the others.
    buffer: Vec<u8>,
    delimiter: Vec<u8>,
    parts: usize,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first delimiter, or in a part's content.
    Content,
    /// Right behind a delimiter.
    Delimiter,
    /// Behind the last one.
    End,
}

/// What a part says about itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PartHead {
    pub(super) name: String,
    /// Set for files.
    pub(super) filename: Option<String>,
}

fn malformed(message: &'static str) -> Error {
    Error::new(Kind::Malformed, message)
}

impl<R: Read> Multipart<R> {
    pub(super) fn new(reader: R, boundary: &str) -> Multipart<R> {
        Multipart {
            reader,
            buffer: b"\r\n".to_vec(),
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            parts: 0,
            place: Place::Content,
        }
    }

    /// Goes to the next part, over what is left of this one. `None` after the last.
    pub(super) fn next_part(&mut self) -> Result<Option<PartHead>, Error> {
        if self.place == Place::Content {
            self.read_part(&mut |_| Ok(()))?;
        }
        if self.place == Place::End {
            return Ok(None);
        }
        while self.buffer.len() < 2 {
            self.fill()?;
        }
        if self.buffer.starts_with(b"--") {
            self.place = Place::End;
            return Ok(None);
        }
        if !self.buffer.starts_with(b"\r\n") {
            return Err(malformed("The multipart body's boundary is malformed"));
        }
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(malformed("The multipart body has more than 100 parts"));
        }
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                self.place = Place::Content;
                return parse_head(&head).map(Some);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(malformed("The head of a part is larger than 8 KiB"));
            }
            self.fill()?;
        }
    }

    /// Hands the part's content to `take`, piece by piece, up to the next delimiter.
    pub(super) fn read_part(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        while self.place == Place::Content {
            if let Some(end) = find(&self.buffer, &self.delimiter) {
                take(&self.buffer[..end])?;
                self.buffer.drain(..end + self.delimiter.len());
                self.place = Place::Delimiter;
                break;
            }
            // The tail may be a delimiter's beginning.
            let sure = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
            take(&self.buffer[..sure])?;
            self.buffer.drain(..sure);
            self.fill()?;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), Error> {
        let before = self.buffer.len();
        self.buffer.resize(before + PIECE_BYTES, 0);
        let read = self.reader.read(&mut self.buffer[before..]);
        let count = read.map_err(|error| Error::internal("a body cannot be read", error))?;
        self.buffer.truncate(before + count);
        if count == 0 {
            return Err(malformed("The multipart body is cut off"));
        }
        Ok(())
    }
}

/// The fields of a form. Files are not looked at: no route takes them as fields.
pub(super) fn parse_fields(reader: impl Read, boundary: &str) -> Result<Map<String, Value>, Error> {
    let mut parts = Multipart::new(reader, boundary);
    let mut fields = Map::new();
    while let Some(head) = parts.next_part()? {
        if head.filename.is_some() {
            continue;
        }
        let mut content = Vec::new();
        parts.read_part(&mut |piece| {
            content.extend_from_slice(piece);
            if content.len() > FIELD_BYTES_MAX {
                return Err(Error::new(Kind::TooLarge, "A form field is larger than 1 MiB"));
            }
            Ok(())
        })?;
        let text = String::from_utf8(content).map_err(|_| malformed("A form field is not UTF-8"))?;
        fields.insert(head.name, text.into());
    }
    Ok(fields)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn parse_head(head: &[u8]) -> Result<PartHead, Error> {
    let head = std::str::from_utf8(head).map_err(|_| malformed("The head of a part is not UTF-8"))?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let disposition = disposition.ok_or_else(|| malformed("A part has no Content-Disposition"))?;
    let name = parameter(disposition, "name").ok_or_else(|| malformed("A part has no name"))?;
    if name.bytes().any(|byte| byte < 32) {
        return Err(malformed("A part's name holds control characters"));
    }
    Ok(PartHead {
        name,
        filename: parameter(disposition, "filename"),
    })
}

/// A quoted or bare parameter of a header value.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once(';') {
        let (name, after) = after.split_once('=')?;
        let is_wanted = name.trim().eq_ignore_ascii_case(wanted);
        let (text, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if is_wanted {
            return Some(text);
        }
        rest = after;
    }
    None
}

/// The text up to the closing quote, and what follows it.
fn quoted_text(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => text.push(chars.next()?.1),
            _ => text.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, so that every delimiter is cut somewhere.
    struct Drip<'b>(&'b [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn fields_in_drips() {
        let body = "preamble\r\n--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--\r\n--B\r\n\
            content-disposition: form-data; filename=\"x \\\"y.txt\"; name=f\r\n\r\nfile\r\n--B\r\n\
            Content-Disposition: form-data; name=\"e\"\r\n\r\n\r\n--B--\r\nafter";
        for drip in 1..body.len() {
            let fields = parse_fields(Drip(body.as_bytes(), drip), "B").unwrap();
            assert_eq!(fields.len(), 2, "{fields:?}");
            assert_eq!(fields["a"], "one\r\n--");
            assert_eq!(fields["e"], "");
        }
    }

    #[test]
    fn malformed_bodies_are_refused() {
        let part = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx";
        for body in [
            String::new(),
            part.to_owned(),
            format!("{part}\r\n--B"),
            "--B\r\n\r\nx\r\n--B--".to_owned(),
            "--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--".to_owned(),
            format!("--B\r\nX: {}\r\n\r\nx\r\n--B--", "y".repeat(40_000)),
            format!("{part}\r\n").repeat(101),
        ] {
            assert!(parse_fields(body.as_bytes(), "B").is_err(), "{body:.60}");
        }
    }

    #[test]
    fn boundaries() {
        assert_eq!(
            boundary("multipart/form-data; boundary=\"a b\"").as_deref(),
            Some("a b")
        );
        assert_eq!(
            boundary("Multipart/Form-Data; charset=x; Boundary=abc").as_deref(),
            Some("abc")
        );
        assert_eq!(boundary("multipart/form-data"), None);
        assert_eq!(boundary("multipart/form-data; boundary="), None);
        assert_eq!(boundary("application/json; boundary=a"), None);
    }
}
