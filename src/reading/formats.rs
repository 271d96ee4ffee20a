//! Which kind of file it is, by what is in it rather than by what is said of it; and the text of each kind.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use pdf_extract::{Document, PlainTextOutput};

/// Bytes by which a file's kind is told.
pub(super) const START_BYTES: u64 = 1024;

/// Pages of a PDF that are read. What a model is given of it is filled by fewer.
const PAGES_MAX: u32 = 200;

/// What a file is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text as it stands: also Markdown, CSV, JSON, and source code in any language.
    Plain,
    /// A web page, of which the text is read.
    Html,
    /// A PDF, of which the text is read.
    Pdf,
    /// Anything else.
    Binary,
}

impl Format {
    /// The kind of a file that starts so. Endings are endless and types are often wrong, so what looks like text is.
    pub(super) fn of(filename: &str, content_type: &str, start: &[u8]) -> Format {
        if start.windows(5).any(|window| window == b"%PDF-") {
            return Format::Pdf;
        }
        let is_marked = Encoding::for_bom(start).is_some();
        if !is_marked && start.iter().any(|byte| is_never_in_text(*byte)) {
            return Format::Binary;
        }
        let ending = filename.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        let is_page = matches!(content_type, "text/html" | "application/xhtml+xml")
            || matches!(ending.as_deref(), Some("html" | "htm" | "xhtml"));
        if is_page { Format::Html } else { Format::Plain }
    }
}

/// Control characters but tabulators, ends of lines and pages, and escape (logs have colours).
fn is_never_in_text(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b)
}

/// A media type, and whether a file that starts so is of it.
type Picture = (&'static str, fn(&[u8]) -> bool);

/// The pictures that every model that sees can see, and every browser may show: they are nothing but pictures.
const PICTURES: [Picture; 4] = [
    ("image/png", |start| start.starts_with(b"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", |start| start.starts_with(b"\xff\xd8\xff")),
    ("image/gif", |start| start.starts_with(b"GIF8")),
    ("image/webp", |start| {
        start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP")
    }),
];

/// The type of a picture, by what its sender says; none for what is no picture that models and browsers know.
pub fn picture_type(said: &str) -> Option<&'static str> {
    PICTURES.iter().map(|(known, _)| *known).find(|known| *known == said)
}

/// Endings and the types that go with them, of what people send.
const TYPES: &[(&str, &str)] = &[
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("md", "text/markdown"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("txt", "text/plain"),
    ("wav", "audio/wav"),
    ("webp", "image/webp"),
    ("zip", "application/zip"),
];

/// The media type of a file that nobody has told it of: a picture by how it starts, where that is known, and everything
/// else by its ending.
pub fn media_type(filename: &str, start: &[u8]) -> &'static str {
    if let Some((picture, _)) = PICTURES.iter().find(|(_, is_start)| is_start(start)) {
        return picture;
    }
    let ending = filename.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let known = TYPES.iter().find(|(known, _)| ending.as_deref() == Some(known));
    known.map_or("application/octet-stream", |(_, media_type)| media_type)
}

/// Whether this is the start of a picture of this type: a server that is sent one that is not refuses the whole prompt.
pub fn is_picture(content_type: &str, start: &[u8]) -> bool {
    PICTURES
        .iter()
        .any(|(known, is_start)| *known == content_type && is_start(start))
}

/// A text in UTF-8, in what its mark says, or in what Windows wrote for decades.
pub(super) fn decode(bytes: &[u8]) -> String {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned();
    }
    let is_utf8 = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        // Only the end is missing: the bytes were cut there, if it was UTF-8 up to there.
        Err(error) => error.error_len().is_none() && !bytes[..error.valid_up_to()].is_ascii(),
    };
    let encoding = if is_utf8 { UTF_8 } else { WINDOWS_1252 };
    let text = encoding.decode_without_bom_handling(bytes).0;
    text.trim_end_matches('\u{fffd}').to_owned()
}

/// Why a file has no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    Protected,
    Broken,
}

/// Writes a PDF's text, page by page.
pub(super) fn write_pdf(bytes: &[u8], out: &mut dyn Write) -> Result<(), Damage> {
    let mut document = Document::load_mem(bytes).map_err(|_| Damage::Broken)?;
    if document.is_encrypted() {
        // Many have a password for changing them only.
        document.decrypt("").map_err(|_| Damage::Protected)?;
    }
    let mut read = 0;
    let pages = document.get_pages();
    for page in pages.keys().copied().take(PAGES_MAX as usize) {
        // The crate panics on fonts it does not know; other pages may be readable.
        let text = catch_unwind(AssertUnwindSafe(|| page_text(&document, page)));
        let Ok(Some(text)) = text else { continue };
        read += 1;
        if out
            .write_all(tidy(&text).as_bytes())
            .and_then(|()| out.flush())
            .is_err()
        {
            // Nobody wants more.
            return Ok(());
        }
    }
    if read == 0 { Err(Damage::Broken) } else { Ok(()) }
}

fn page_text(document: &Document, page: u32) -> Option<String> {
    let mut text = String::new();
    let mut output = PlainTextOutput::new(&mut text);
    pdf_extract::output_doc_page(document, &mut output, page).ok()?;
    Some(text)
}

/// Writes the text of a web page.
pub(super) fn write_html(bytes: &[u8], out: &mut dyn Write) -> Result<(), Damage> {
    let page = decode(bytes);
    let text = nanohtml2text::html2text(&page);
    // A pipe that is closed: nobody wants more.
    drop(out.write_all(tidy(&text).as_bytes()).and_then(|()| out.flush()));
    Ok(())
}

/// Lines without what is around them, and no more than one empty one in a row.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut is_after_empty = true;
    for line in text.lines().map(str::trim_end) {
        if !(line.is_empty() && is_after_empty) {
            tidy.push_str(line);
            tidy.push('\n');
        }
        is_after_empty = line.is_empty();
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(write: fn(&[u8], &mut dyn Write) -> Result<(), Damage>, bytes: &[u8]) -> Result<String, Damage> {
        let mut out = Vec::new();
        write(bytes, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn kinds_are_told_by_content() {
        for (name, said, start, format) in [
            ("a.txt", "text/plain", &b"Hi"[..], Format::Plain),
            ("a.rs", "application/octet-stream", b"fn main() {}", Format::Plain),
            ("a.csv", "text/csv", b"a;b\r\n1;\xe9", Format::Plain),
            ("a.log", "text/plain", b"\x1b[31mred\x1b[0m", Format::Plain),
            ("a.txt", "text/plain", b"\xff\xfeH\0i\0", Format::Plain),
            ("a.svg", "image/svg+xml", b"<svg/>", Format::Plain),
            ("a.html", "application/octet-stream", b"<p>", Format::Html),
            ("page", "text/html", b"<p>", Format::Html),
            ("a.txt", "text/plain", b"\n%PDF-1.4", Format::Pdf),
            ("a.pdf", "application/pdf", b"no", Format::Plain),
            ("a.txt", "text/plain", b"\x7fELF\0", Format::Binary),
            ("a.zip", "application/zip", b"PK\x03\x04", Format::Binary),
            ("", "", b"", Format::Plain),
        ] {
            assert_eq!(Format::of(name, said, start), format, "{name} {said} {start:?}");
        }
    }

    #[test]
    fn texts_are_decoded() {
        for (bytes, text) in [
            (&b"h\xc3\xa9llo"[..], "h\u{e9}llo"),
            (b"\xef\xbb\xbfx", "x"),
            (b"\xff\xfeH\0\xe9\0", "H\u{e9}"),
            (b"5 \x80, na\xefve", "5 \u{20ac}, na\u{ef}ve"),
            (b"\xc3\xa9 cut \xc3", "\u{e9} cut "),
            (b"caf\xe9", "caf\u{e9}"),
        ] {
            assert_eq!(decode(bytes), text, "{bytes:?}");
        }
    }

    #[test]
    fn pages_lose_their_tags() {
        let page = b"<html><head><title>T</title><style>p{}</style><script>evil()</script></head>\
            <body><h1>Head</h1><p>One &amp; <b>two</b></p><ul><li>three</li></ul></body>";
        let text = text_of(write_html, page).unwrap();
        for word in ["Head", "One & two", "three"] {
            assert!(text.contains(word), "{text}");
        }
        for word in ["<", "evil", "p{}"] {
            assert!(!text.contains(word), "{text}");
        }
    }

    #[test]
    fn no_pdf() {
        assert_eq!(text_of(write_pdf, b"%PDF-1.4 and nothing else"), Err(Damage::Broken));
    }

    #[test]
    fn pictures_are_what_they_say() {
        assert_eq!(picture_type("image/gif"), Some("image/gif"));
        assert_eq!(picture_type("image/svg+xml"), None);
        assert!(is_picture("image/png", b"\x89PNG\r\n\x1a\n..."));
        assert!(is_picture("image/webp", b"RIFF....WEBPVP8 "));
        assert!(!is_picture("image/png", b"\xff\xd8\xff"));
        assert!(!is_picture("image/svg+xml", b"<svg"));
    }
}
