//! What must hold of all that is received: read against a second reading of the same bytes, which takes no pieces, keeps
//! no state and is in no hurry.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "to panic is what these functions are for"
)]

use std::io::{Read, Write as _};
use std::sync::Arc;

use memchr::memmem;
use serde_json::Value;

use super::conn::{Partial, State, Step};
use super::decode::{BodyKind, Spec, Values};
use super::forms::parse_pairs;
use super::framing::Framing;
use super::multipart::{self, Form, PartHead};
use super::parse::BodyLength;
use super::router::parse_json;
use super::upload::{Source, Upload};
use super::{Handler, Limits, Origins, Request, Responder};
use crate::error::{Error, Kind};
use crate::fuzzing::{Dice, cuttings};

/// What a client's bytes come to.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// A head and the content behind it.
    Request(Vec<u8>, Vec<u8>),
    Refused,
}

/// Knows names as the server does, and nothing else.
struct Nobody(Origins);

impl Handler for Nobody {
    fn handle(&self, _: Request, _: Responder) {}

    fn admit(&self, _: &Request) -> Result<u64, Error> {
        Ok(u64::MAX)
    }

    fn knows_host(&self, host: &str) -> bool {
        self.0.knows_host(host)
    }

    fn hurry(&self) {}

    fn patrol(&self) {}
}

/// Requests on one connection: however their bytes are cut, the same ones are seen, and none that another reader could
/// take for something else.
pub(crate) fn head(bytes: &[u8]) {
    let limits = Limits {
        head_bytes_max: 2048,
        parked_body_bytes_max: 64,
        body_bytes_max: 4096,
        ..Limits::default()
    };
    let handler = Nobody(Origins::new(["fireside.example".to_owned()], None));
    let [whole, others @ ..] = cuttings(bytes).map(|pieces| requests(&pieces, &limits, &handler));
    for seen in &whole {
        if let Seen::Request(head, content) = seen {
            check_head(head, content);
        }
    }
    for other in others {
        assert_eq!(other, whole, "in pieces it is something else");
    }
}

/// What the listener, the workers and the receivers do with a connection, one after the other.
fn requests(pieces: &[&[u8]], limits: &Limits, handler: &dyn Handler) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut state = State::new(limits);
    let mut large: Option<Box<Partial>> = None;
    for piece in pieces {
        let mut step = match &mut large {
            None => state.receive(piece, limits, handler),
            Some(_) => {
                state.input.extend_from_slice(piece);
                Step::More
            }
        };
        loop {
            if let Some(partial) = &mut large {
                let input = std::mem::take(&mut state.input);
                let Ok(taken) = partial.framing.feed(&input, &mut partial.content) else {
                    seen.push(Seen::Refused);
                    return seen;
                };
                state.input.extend_from_slice(&input[taken..]);
                if !partial.framing.is_done() {
                    break;
                }
                step = large.take().map_or(Step::More, Step::Whole);
            }
            match step {
                Step::More => break,
                Step::Refused(..) => {
                    seen.push(Seen::Refused);
                    return seen;
                }
                Step::Large(partial) => {
                    large = Some(partial);
                    step = Step::More;
                }
                Step::Whole(partial) => {
                    let keep_alive = partial.head.keep_alive;
                    seen.push(Seen::Request(partial.bytes, partial.content));
                    if !keep_alive {
                        return seen;
                    }
                    state.next_request(limits);
                    step = state.look(limits, handler);
                }
            }
        }
    }
    seen
}

/// That a head can be read in one way only (RFC 9112), and that the content behind it is as long as it says.
fn check_head(head: &[u8], content: &[u8]) {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let lines = text.strip_suffix("\r\n\r\n").expect("an empty line at the end");
    let mut lines = lines.split("\r\n");
    let words: Vec<&str> = lines.next().expect("a first line").split(' ').collect();
    let [method, target, version @ ("HTTP/1.1" | "HTTP/1.0")] = words[..] else {
        panic!("a request line of {words:?}");
    };
    let is_token = |text: &str| {
        let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(is_tchar)
    };
    assert!(is_token(method), "the method {method:?}");
    assert!(
        target.bytes().all(|byte| byte.is_ascii_graphic()),
        "the target {target:?}"
    );
    let (mut lengths, mut codings, mut hosts) = (Vec::new(), Vec::new(), 0);
    for line in lines {
        let (name, value) = line.split_once(':').expect("a colon");
        assert!(is_token(name), "the field {name:?}");
        let is_control = |char: char| char.is_ascii_control() && char != '\t';
        assert!(!value.contains(is_control), "the value {value:?}");
        let value = value.trim_matches([' ', '\t']);
        match name.to_ascii_lowercase().as_str() {
            "content-length" => lengths.push(value),
            "transfer-encoding" => codings.push(value),
            "host" => hosts += 1,
            _ => {}
        }
    }
    assert!(hosts == 1 || (hosts == 0 && version == "HTTP/1.0"), "{hosts} hosts");
    match (&lengths[..], &codings[..]) {
        ([], []) => assert!(content.is_empty(), "content of no length"),
        ([length], []) => {
            assert!(
                length.bytes().all(|byte| byte.is_ascii_digit()),
                "the length {length:?}"
            );
            assert_eq!(length.parse(), Ok(content.len()));
        }
        ([], [coding]) => assert!(
            coding.eq_ignore_ascii_case("chunked") && version == "HTTP/1.1",
            "the coding {coding:?} in {version}"
        ),
        _ => panic!("lengths {lengths:?} and codings {codings:?}"),
    }
}

/// Bytes of content that the next function takes.
const CHUNKED_BYTES_MAX: u64 = 1 << 16;

/// A chunked body: however its bytes are cut, it is what a plain reading of the whole says, and what is written in chunks
/// comes back.
pub(crate) fn chunked(bytes: &[u8]) {
    let plain = unchunk(bytes);
    for pieces in cuttings(bytes) {
        assert_eq!(feed(&pieces), plain, "{pieces:?}");
    }
    let mut written = Vec::new();
    let mut encoder = chunked_transfer::Encoder::with_chunks_size(&mut written, 1 + Dice::of(bytes).below(64));
    encoder.write_all(bytes).unwrap();
    // It writes the end.
    drop(encoder);
    let length = written.len();
    written.extend_from_slice(b"GET");
    if bytes.len() as u64 <= CHUNKED_BYTES_MAX {
        assert_eq!(feed(&[&written]), Some((bytes.to_vec(), length)));
    }
}

/// The content and how many bytes it took; `None` where it is refused or has no end.
fn feed(pieces: &[&[u8]]) -> Option<(Vec<u8>, usize)> {
    let mut framing = Framing::new(BodyLength::Chunked, CHUNKED_BYTES_MAX);
    let (mut content, mut taken) = (Vec::new(), 0);
    for piece in pieces {
        taken += framing.feed(piece, &mut content).ok()?;
        if framing.is_done() {
            assert_eq!(framing.received, content.len() as u64);
            return Some((content, taken));
        }
    }
    None
}

/// As [`feed`], from RFC 9112, 7.1, with the bounds that are set here: 255 bytes of a size's line, 4096 of all trailers.
fn unchunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let is_text = |byte: &u8| matches!(byte, b'\t' | 32..=126 | 128..);
    let line = |at: usize| {
        let end = memmem::find(&bytes[at..], b"\r\n")?;
        Some((&bytes[at..at + end], at + end + 2))
    };
    let (mut content, mut at) = (Vec::new(), 0);
    loop {
        let (size, behind) = line(at)?;
        let digits = size.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let extension = &size[digits..];
        let is_extension = extension.is_empty() || (extension[0] == b';' && extension.iter().all(is_text));
        if !(1..=16).contains(&digits) || !is_extension || size.len() > 255 {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(&size[..digits]).ok()?, 16).ok()?;
        at = behind;
        if size == 0 {
            break;
        }
        if size > CHUNKED_BYTES_MAX - content.len() as u64 {
            return None;
        }
        let end = at + usize::try_from(size).ok()?;
        content.extend_from_slice(bytes.get(at..end)?);
        if bytes.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
    let mut trailers = 0;
    loop {
        let (trailer, behind) = line(at)?;
        trailers += trailer.len();
        if trailers > 4096 || !trailer.iter().all(is_text) {
            return None;
        }
        at = behind;
        if trailer.is_empty() {
            return Some((content, at));
        }
    }
}

/// Gives pieces, one at each read where it fits.
struct Drip<'b>(Vec<&'b [u8]>);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.0.first().is_some_and(|piece| piece.is_empty()) {
            self.0.remove(0);
        }
        let Some(piece) = self.0.first_mut() else {
            return Ok(0);
        };
        let count = piece.read(buffer)?;
        Ok(count)
    }
}

/// Bytes that a file may have.
const FILE_BYTES_MAX: u64 = 1 << 16;

/// A form, its first line being the `Content-Type`: however its bytes are cut the same is read; files and fields stand in
/// it where they are said to; names that leave here are harmless; what browsers write is read back.
pub(crate) fn multipart(bytes: &[u8]) {
    let line = memmem::find(bytes, b"\r\n").unwrap_or(bytes.len());
    let content_type = String::from_utf8_lossy(&bytes[..line]);
    let body = bytes.get(line + 2..).unwrap_or_default();
    let Some(boundary) = multipart::boundary(&content_type) else {
        return;
    };
    assert!((1..=70).contains(&boundary.len()));
    let read = |pieces: Vec<&[u8]>| {
        let form = multipart::parse(Drip(pieces), &boundary, Some(FILE_BYTES_MAX));
        form.map(|form| (form.fields, form.files)).map_err(|error| error.kind())
    };
    let [whole, others @ ..] = cuttings(body).map(read);
    for other in others {
        assert_eq!(other, whole, "in pieces it is something else");
    }
    if let Ok((fields, files)) = whole {
        check_form(body, &boundary, Form { fields, files });
    }
    let no_files = multipart::parse(body, &boundary, None);
    assert!(no_files.is_err() || no_files.unwrap().files.is_empty());
    check_round(body, &boundary);
}

fn check_form(body: &[u8], boundary: &str, form: Form) {
    let delimiter = format!("\r\n--{boundary}");
    let source = Arc::new(Source::Memory(body.to_vec()));
    let mut before = 0;
    for (head, place) in form.files {
        let (start, end) = (
            usize::try_from(place.start).unwrap(),
            usize::try_from(place.end).unwrap(),
        );
        assert!(before <= start && start <= end && end <= body.len(), "{place:?}");
        assert!(body[..start].ends_with(b"\r\n\r\n"), "it begins behind its head");
        assert!(body[end..].starts_with(delimiter.as_bytes()), "it ends at a delimiter");
        assert!(memmem::find(&body[start..end], delimiter.as_bytes()).is_none());
        before = end;
        check_upload(&Upload::new(head, place, &source), &body[start..end]);
    }
    for (_, text) in form.fields {
        let text = text.as_str().expect("a text");
        let mut behind = b"\r\n\r\n".to_vec();
        behind.extend_from_slice(text.as_bytes());
        behind.extend_from_slice(delimiter.as_bytes());
        assert!(memmem::find(body, &behind).is_some(), "{text:?} stands nowhere");
    }
}

fn check_upload(upload: &Upload, content: &[u8]) {
    let name = &upload.filename;
    assert!(
        (1..=255).contains(&name.len()) && !matches!(name.as_str(), "." | ".."),
        "{name:?}"
    );
    assert!(
        !name.contains(['/', '\\']) && !name.contains(char::is_control),
        "{name:?}"
    );
    let media_type = &upload.content_type;
    let is_type = media_type
        .split_once('/')
        .is_some_and(|(kind, subtype)| !kind.is_empty() && !subtype.is_empty());
    assert!(
        is_type && media_type.bytes().all(|byte| byte.is_ascii_graphic()),
        "{media_type:?}"
    );
    assert_eq!(upload.size(), content.len() as u64);
    let mut read = Vec::new();
    upload.reader().read_to_end(&mut read).unwrap();
    assert_eq!(read, content);
}

/// Cuts bytes into a form of a field and a file, writes it and reads it.
fn check_round(bytes: &[u8], boundary: &str) {
    let (text, content) = bytes.split_at(bytes.len() / 2);
    let text = String::from_utf8_lossy(text);
    let delimiter = format!("\r\n--{boundary}");
    let has = |content: &[u8]| memmem::find(&[b"\r\n", content, b"\r\n"].concat(), delimiter.as_bytes()).is_some();
    if has(text.as_bytes()) || has(content) || content.len() as u64 > FILE_BYTES_MAX {
        return;
    }
    let mut body = Vec::new();
    write!(
        body,
        "--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{text}{delimiter}\r\n\
         Content-Disposition: form-data; name=\"b\"; filename=\"c\"\r\nContent-Type: text/plain\r\n\r\n"
    )
    .unwrap();
    body.extend_from_slice(content);
    write!(body, "{delimiter}--\r\n").unwrap();
    let form = multipart::parse(&body[..], boundary, Some(FILE_BYTES_MAX)).expect("a form that is in order");
    assert_eq!(form.fields.get("a").and_then(Value::as_str), Some(&*text));
    let [(PartHead { name, filename, .. }, place)] = &form.files[..] else {
        panic!("{} files", form.files.len());
    };
    assert_eq!((name.as_str(), filename.as_deref()), ("b", Some("c")));
    assert_eq!(
        &body[usize::try_from(place.start).unwrap()..usize::try_from(place.end).unwrap()],
        content
    );
}

/// A query, and behind the first line break a body in JSON: what a route's schema lets through its types take, and it is
/// let through again as it is; what is wrong is said of places that there are.
pub(crate) fn input(specs: &[Spec], bytes: &[u8]) {
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let pairs = parse_pairs(&String::from_utf8_lossy(&bytes[..line])).unwrap_or_default();
    let json = bytes.get(line + 1..).unwrap_or_default();
    let body = match parse_json(json) {
        Ok(body) => body,
        Err(error) => {
            let issue = &error.issues()[0];
            let offset = issue.loc[1].as_u64().expect("an offset");
            assert!(offset <= json.len() as u64, "{offset} of {}", json.len());
            None
        }
    };
    // A form has the same names as texts.
    let texts = Values {
        path: pairs.clone(),
        query: pairs.clone(),
        body: Some(Value::Object(pairs.clone())),
        files: Vec::new(),
    };
    let typed = Values { body, ..texts.clone() };
    for spec in specs {
        match spec.body {
            Some((BodyKind::Form, _)) => check_values(spec, texts.clone()),
            None if spec.path.is_none() && spec.query.is_none() => {}
            _ => check_values(spec, typed.clone()),
        }
    }
}

fn check_values(spec: &Spec, mut values: Values) {
    match values.check(spec) {
        Ok(()) => {
            let shown = format!("{values:?}");
            let mut again = values.clone();
            assert!(
                again.check(spec).is_ok(),
                "{shown} was let through, and is not any more"
            );
            assert_eq!(format!("{again:?}"), shown, "it is changed again");
            let taken = spec.takes.expect("an endpoint's")(&mut values);
            assert!(taken.is_ok(), "{shown}: {taken:?}");
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(!error.issues().is_empty());
            for issue in error.issues() {
                let begins = issue.loc.first().and_then(Value::as_str);
                assert!(matches!(begins, Some("path" | "query" | "body")), "{issue:?}");
                serde_json::to_string(issue).expect("an issue that can be written");
            }
        }
    }
}
