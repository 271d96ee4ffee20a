//! `multipart/form-data`, read as a stream: parts of any size pass through a small buffer. Of a file only its place
//! in the body is kept, because the body stands in a temporary file already.

use std::io::Read;
use std::ops::Range;

use memchr::memmem;
use serde_json::{Map, Value};

use super::forms::decode_percent;
use crate::error::{Error, Kind};
use crate::limits::FILES_MAX;

/// Parts of one body.
const PARTS_MAX: usize = 100;

/// Bytes of one part's head.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Bytes of all fields that are not files together. The largest is a message's text.
const FIELDS_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that the fields and the framing of a form may add to its files.
pub const FORM_BYTES_MAX: u64 = (FIELDS_BYTES_MAX + PARTS_MAX * HEAD_BYTES_MAX) as u64;

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
    /// Bytes that have left the buffer.
    passed: u64,
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
    /// Set for files: the name as it was sent.
    pub(super) filename: Option<String>,
    /// As it was sent; empty when it was not.
    pub(super) content_type: String,
}

/// A form: its fields, and where its files stand in the body.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) fields: Map<String, Value>,
    pub(super) files: Vec<(PartHead, Range<u64>)>,
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
            passed: 0,
        }
    }

    /// Lets go of the buffer's first bytes.
    fn pass(&mut self, count: usize) {
        self.buffer.drain(..count);
        self.passed += count as u64;
    }

    /// Where in the body the buffer begins. The line break that was put before the body is none of it.
    fn position(&self) -> u64 {
        self.passed.saturating_sub(2)
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
            let end = memmem::find(&self.buffer, b"\r\n\r\n");
            if end.unwrap_or(self.buffer.len()) > HEAD_BYTES_MAX {
                return Err(malformed("The head of a part is larger than 8 KiB"));
            }
            if let Some(end) = end {
                let head = parse_head(&self.buffer[..end])?;
                self.pass(end + 4);
                self.place = Place::Content;
                return Ok(Some(head));
            }
            self.fill()?;
        }
    }

    /// Hands the part's content to `take`, piece by piece, up to the next delimiter.
    pub(super) fn read_part(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        while self.place == Place::Content {
            if let Some(end) = memmem::find(&self.buffer, &self.delimiter) {
                take(&self.buffer[..end])?;
                self.pass(end + self.delimiter.len());
                self.place = Place::Delimiter;
                break;
            }
            // The tail may be a delimiter's beginning.
            let sure = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
            take(&self.buffer[..sure])?;
            self.pass(sure);
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

/// Reads a whole form. Files of more than `file_bytes_max` bytes are refused; where that is none, files are passed over:
/// the route takes none.
pub(super) fn parse(reader: impl Read, boundary: &str, file_bytes_max: Option<u64>) -> Result<Form, Error> {
    let mut parts = Multipart::new(reader, boundary);
    let mut form = Form::default();
    let mut fields_bytes = 0;
    while let Some(head) = parts.next_part()? {
        if head.filename.is_some() {
            let Some(bytes_max) = file_bytes_max else {
                continue;
            };
            let start = parts.position();
            let length = file_length(&mut parts, bytes_max)?;
            // What browsers send for a file field in which nothing was chosen.
            if length == 0 && head.filename.as_deref() == Some("") {
                continue;
            }
            if form.files.len() == FILES_MAX {
                let message = format!("At most {FILES_MAX} files can be sent at once");
                return Err(Error::new(Kind::TooLarge, message));
            }
            form.files.push((head, start..start + length));
            continue;
        }
        let mut content = Vec::new();
        parts.read_part(&mut |piece| {
            content.extend_from_slice(piece);
            fields_bytes += piece.len();
            if fields_bytes > FIELDS_BYTES_MAX {
                return Err(Error::new(Kind::TooLarge, "The form's fields are larger than 1 MiB"));
            }
            Ok(())
        })?;
        let text = String::from_utf8(content).map_err(|_| malformed("A form field is not UTF-8"))?;
        form.fields.insert(head.name, text.into());
    }
    Ok(form)
}

fn file_length<R: Read>(parts: &mut Multipart<R>, bytes_max: u64) -> Result<u64, Error> {
    let mut length = 0;
    parts.read_part(&mut |piece| {
        length += piece.len() as u64;
        if length > bytes_max {
            let message = format!("A file is larger than {} MiB", bytes_max / (1024 * 1024));
            return Err(Error::new(Kind::TooLarge, message));
        }
        Ok(())
    })?;
    Ok(length)
}

fn parse_head(head: &[u8]) -> Result<PartHead, Error> {
    let head = std::str::from_utf8(head).map_err(|_| malformed("The head of a part is not UTF-8"))?;
    let mut disposition = None;
    let mut content_type = String::new();
    for line in head.split("\r\n").filter(|line| !line.is_empty()) {
        if line.bytes().any(|byte| byte < 32 && byte != b'\t') {
            return Err(malformed("The head of a part holds control characters"));
        }
        // A line that goes on with the one before it is obsolete, and read differently by different readers.
        let field = line.split_once(':').filter(|_| !line.starts_with([' ', '\t']));
        let (name, value) = field.ok_or_else(|| malformed("The head of a part is malformed"))?;
        if name.trim().eq_ignore_ascii_case("content-disposition") {
            if disposition.replace(value).is_some() {
                return Err(malformed("A part has two Content-Dispositions"));
            }
        } else if name.trim().eq_ignore_ascii_case("content-type") {
            content_type = value.trim().to_owned();
        }
    }
    let disposition = disposition.ok_or_else(|| malformed("A part has no Content-Disposition"))?;
    let kind = disposition.split(';').next().map_or("", str::trim);
    let parameters =
        parameters(disposition).filter(|found| kind.eq_ignore_ascii_case("form-data") && are_single(found));
    let parameters = parameters.ok_or_else(|| malformed("A part's Content-Disposition is malformed"))?;
    let parameter = |wanted: &str| {
        let mut named = parameters.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        named.next().map(|(_, value)| value.clone())
    };
    // RFC 8187's form of a name beyond ASCII, which some clients send beside the plain one or instead of it.
    let extended = parameter("filename*").and_then(|value| {
        let (charset, rest) = value.split_once('\'')?;
        let (_, encoded) = rest.split_once('\'')?;
        charset
            .eq_ignore_ascii_case("utf-8")
            .then(|| decode_percent(encoded))
            .flatten()
    });
    Ok(PartHead {
        name: parameter("name").ok_or_else(|| malformed("A part has no name"))?,
        filename: extended.or_else(|| parameter("filename")),
        content_type,
    })
}

/// Whether no parameter stands twice.
fn are_single(parameters: &[(&str, String)]) -> bool {
    let mut rest = parameters;
    while let [(name, _), others @ ..] = rest {
        if others.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return false;
        }
        rest = others;
    }
    true
}

/// The parameters of a header value, quoted or bare. `None` when they are not well formed: what one reader takes for a
/// file and another for a field must be neither.
fn parameters(value: &str) -> Option<Vec<(&str, String)>> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once(';') {
        if before.contains('"') {
            return None;
        }
        let Some((name, after)) = after.split_once('=') else {
            return after.trim().is_empty().then_some(found);
        };
        let (text, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if name.contains('"') || !(after.trim().is_empty() || after.trim_start().starts_with(';')) {
            return None;
        }
        found.push((name.trim(), text));
        rest = after;
    }
    Some(found)
}

/// The text up to the closing quote, and what follows it. A backslash makes a quote or another one part of the text;
/// before anything else it is itself, as some clients send a file's folders and all, as they are.
fn quoted_text(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => text.push(
                chars
                    .next_if(|(_, next)| matches!(next, '"' | '\\'))
                    .map_or(char, |(_, next)| next),
            ),
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
            let form = parse(Drip(body.as_bytes(), drip), "B", Some(4)).unwrap();
            assert_eq!(form.fields.len(), 2, "{form:?}");
            assert_eq!(form.fields["a"], "one\r\n--");
            assert_eq!(form.fields["e"], "");
            let [(head, range)] = &form.files[..] else {
                panic!("{form:?}");
            };
            assert_eq!((head.name.as_str(), head.filename.as_deref()), ("f", Some("x \"y.txt")));
            let place = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            assert_eq!(&body[place], "file");
            let refused = parse(Drip(body.as_bytes(), drip), "B", Some(3)).unwrap_err();
            assert_eq!(refused.kind(), Kind::TooLarge);
            assert!(parse(Drip(body.as_bytes(), drip), "B", None).unwrap().files.is_empty());
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
            format!(
                "--B\r\nX: {}\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--B--",
                "y".repeat(9_000)
            ),
            format!("{part}\r\n").repeat(101),
            format!("{}--B--", format!("{part}\r\n").repeat(10_001)),
            "--B\r\nContent-Disposition: form-data; name=\"a\"; filename=\"x\r\n\r\nx\r\n--B--".to_owned(),
            "--B\r\nContent-Disposition: form-data; name=\"a\"; filename=\"x\r\ny\"\r\n\r\nx\r\n--B--".to_owned(),
            "--B\r\nContent-Disposition: form-data; name=\"a\"; filename=\"x\0y\"\r\n\r\nx\r\n--B--".to_owned(),
            "--B\r\nContent-Disposition: form-data; name=\"a\"b; filename=x\r\n\r\nx\r\n--B--".to_owned(),
            "--B\nContent-Disposition: form-data; name=\"a\"\n\nx\n--B--".to_owned(),
            "--B\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nx\r\n--B--".to_owned(),
            "--B\r\nContent-Disposition: form-data;\r\n name=\"a\"\r\n\r\nx\r\n--B--".to_owned(),
            "--B\r\nno colon\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--B--".to_owned(),
            "--B\r\nContent-Disposition: form-data; name=a; filename=b; Filename=c\r\n\r\nx\r\n--B--".to_owned(),
            "--B\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\nx\r\n--B--"
                .to_owned(),
        ] {
            let refused = parse(body.as_bytes(), "B", Some(1)).unwrap_err();
            assert_eq!(refused.kind(), Kind::Malformed, "{body:.60}");
        }
    }

    #[test]
    fn fields_and_files_are_bounded() {
        let part = |more: &str, content: &str| {
            format!("--B\r\nContent-Disposition: form-data; name=\"a\"{more}\r\n\r\n{content}\r\n")
        };
        let close = |parts: String| parts + "--B--";
        let half = "x".repeat(FIELDS_BYTES_MAX / 2);
        let fields = |count: usize| close(part("", &half).repeat(count));
        assert!(parse(fields(2).as_bytes(), "B", None).is_ok());
        assert_eq!(
            parse(fields(3).as_bytes(), "B", None).unwrap_err().kind(),
            Kind::TooLarge
        );
        let files = |count: usize| close(part("; filename=b", "y").repeat(count));
        assert_eq!(parse(files(10).as_bytes(), "B", Some(1)).unwrap().files.len(), 10);
        assert_eq!(
            parse(files(11).as_bytes(), "B", Some(1)).unwrap_err().kind(),
            Kind::TooLarge
        );
        let nothing_chosen = close(part("; filename=\"\"", ""));
        assert!(parse(nothing_chosen.as_bytes(), "B", Some(1)).unwrap().files.is_empty());
    }

    #[test]
    fn names_of_files() {
        let filename = |parameters: &str| {
            let head = format!("Content-Disposition: form-data; name=f; {parameters}\r\nContent-Type: text/x");
            parse_head(head.as_bytes()).unwrap().filename
        };
        assert_eq!(filename("filename=\"a; b.txt\"").as_deref(), Some("a; b.txt"));
        for (sent, name) in [
            (r#"filename="C:\dir\a.txt""#, r"C:\dir\a.txt"),
            (r#"filename="C:\\dir\\a.txt""#, r"C:\dir\a.txt"),
            (r#"filename="a \"b\".txt""#, r#"a "b".txt"#),
            (r#"filename="dir\\"; x=y"#, r"dir\"),
        ] {
            assert_eq!(filename(sent).as_deref(), Some(name), "{sent}");
        }
        assert_eq!(
            filename("filename=x; filename*=UTF-8''na%C3%AFve.txt").as_deref(),
            Some("naïve.txt")
        );
        assert_eq!(filename("filename=x; filename*=latin1''a").as_deref(), Some("x"));
        assert_eq!(filename("other=x;"), None);
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
