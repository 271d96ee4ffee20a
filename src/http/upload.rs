//! Uploaded files, as handlers see them: a name, a type, a size, and a reader over the body that was received. Nothing
//! is copied: every reader looks into the same temporary file, at its own place.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::multipart::PartHead;
use super::spool::Spool;
use crate::floor::floor;

/// Bytes of a file's name. What most file systems take.
const NAME_BYTES_MAX: usize = 255;

/// Of those, what a name's ending may have to be kept when the name is cut.
const ENDING_BYTES_MAX: usize = 16;

/// Characters of a media type. The longest that are registered have some eighty.
const TYPE_CHARS_MAX: usize = 127;

/// The type of what says none, or none that can be one.
const UNTYPED: &str = "application/octet-stream";

/// A file of a multipart form.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The form's field it was sent in.
    pub field: String,
    /// Its name: no folders, no control characters, never empty, at most 255 bytes.
    pub filename: String,
    /// Its media type, as its sender said; `application/octet-stream` when that was not one.
    pub content_type: String,
    source: Arc<Source>,
    place: Range<u64>,
}

/// A whole body. The temporary file goes away with its last use.
#[derive(Debug)]
pub(super) enum Source {
    Memory(Vec<u8>),
    Spooled(Mutex<Spool>),
}

/// Reads a part of a body.
#[derive(Debug)]
pub struct UploadReader {
    source: Arc<Source>,
    place: Range<u64>,
    left: Range<u64>,
}

impl Upload {
    pub(super) fn new(head: PartHead, place: Range<u64>, source: &Arc<Source>) -> Upload {
        Upload {
            field: head.name,
            filename: clean_name(&head.filename.unwrap_or_default()),
            content_type: clean_type(&head.content_type),
            source: Arc::clone(source),
            place,
        }
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.place.end - self.place.start
    }

    /// The content, from its beginning.
    pub fn reader(&self) -> UploadReader {
        UploadReader {
            source: Arc::clone(&self.source),
            place: self.place.clone(),
            left: self.place.clone(),
        }
    }
}

impl Source {
    /// The whole body, from its beginning.
    pub(super) fn reader(self: &Arc<Source>) -> UploadReader {
        let length = match &**self {
            Source::Memory(bytes) => bytes.len() as u64,
            Source::Spooled(spool) => spool.lock().unwrap_or_else(PoisonError::into_inner).length,
        };
        UploadReader {
            source: Arc::clone(self),
            place: 0..length,
            left: 0..length,
        }
    }
}

impl Read for UploadReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.left.end - self.left.start).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let buffer = &mut buffer[..wanted];
        let count = match &*self.source {
            Source::Memory(bytes) => {
                let start = usize::try_from(self.left.start).map_err(std::io::Error::other)?;
                bytes.get(start..).unwrap_or_default().read(buffer)?
            }
            Source::Spooled(spool) => {
                let mut spool = spool.lock().unwrap_or_else(PoisonError::into_inner);
                spool.file.seek(SeekFrom::Start(self.left.start))?;
                spool.file.read(buffer)?
            }
        };
        self.left.start += count as u64;
        Ok(count)
    }
}

impl Seek for UploadReader {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let Range { start, end } = self.place;
        let (base, offset) = match to {
            SeekFrom::Start(offset) => (start, i64::try_from(offset).unwrap_or(i64::MAX)),
            SeekFrom::End(offset) => (end, offset),
            SeekFrom::Current(offset) => (self.left.start, offset),
        };
        let at = base.checked_add_signed(offset).filter(|at| *at >= start);
        let at = at.ok_or_else(|| std::io::Error::other("a seek to before the beginning"))?;
        // Beyond the end there is nothing to read.
        self.left.start = at.min(end);
        Ok(self.left.start - start)
    }
}

/// A name without folders (of either kind of system) and without characters that could break a line, end a string or
/// turn the text around.
fn clean_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or("");
    let is_harmless = |char: &char| {
        !char.is_control()
            && !matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let name: String = name.chars().filter(is_harmless).collect();
    let name = name.trim();
    if name.trim_matches('.').is_empty() {
        return "file".to_owned();
    }
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let ending = match name.rfind('.') {
        Some(at) if name.len() - at <= ENDING_BYTES_MAX => &name[at..],
        _ => "",
    };
    let end = floor(name, NAME_BYTES_MAX - ending.len());
    format!("{}{ending}", &name[..end])
}

/// `type/subtype` in lower case, without parameters.
fn clean_type(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let is_token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let is_type = essence.len() <= TYPE_CHARS_MAX
        && essence
            .split_once('/')
            .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    if is_type { essence } else { UNTYPED.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned() {
        for (name, clean) in [
            ("a.txt", "a.txt"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\ann\\a b.txt", "a b.txt"),
            ("", "file"),
            ("..", "file"),
            ("x/", "file"),
            (" \u{7}a\0\u{202e}b ", "ab"),
        ] {
            assert_eq!(clean_name(name), clean, "{name:?}");
        }
        let long = clean_name(&format!("{}.tar", "é".repeat(300)));
        assert!(long.len() <= NAME_BYTES_MAX && long.ends_with("é.tar"), "{long}");
        assert!(clean_name(&"x".repeat(300)).len() == NAME_BYTES_MAX);
    }

    #[test]
    fn types_are_cleaned() {
        assert_eq!(clean_type("Text/Plain; charset=utf-8"), "text/plain");
        assert_eq!(clean_type("image/svg+xml"), "image/svg+xml");
        for nonsense in [
            "",
            "text",
            "text/",
            "text/<script>",
            "a/b/c",
            &format!("a/{}", "b".repeat(200)),
        ] {
            assert_eq!(clean_type(nonsense), UNTYPED);
        }
    }

    #[test]
    fn readers_stay_within_their_file() {
        let source = Arc::new(Source::Memory(b"0123456789".to_vec()));
        let head = PartHead {
            name: "file".into(),
            filename: Some("a".into()),
            content_type: String::new(),
        };
        let upload = Upload::new(head, 2..7, &source);
        assert_eq!(upload.size(), 5);
        for _ in 0..2 {
            let mut text = String::new();
            upload.reader().read_to_string(&mut text).unwrap();
            assert_eq!(text, "23456");
        }
        let mut reader = upload.reader();
        for (to, place, rest) in [
            (SeekFrom::Start(3), 3, "56"),
            (SeekFrom::End(-4), 1, "3456"),
            (SeekFrom::Current(9), 5, ""),
            // Where an archive may say that its list stands.
            (SeekFrom::Start(u64::MAX), 5, ""),
        ] {
            let mut text = String::new();
            assert_eq!(reader.seek(to).unwrap(), place);
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, rest);
        }
        assert!(reader.seek(SeekFrom::End(-6)).is_err());
    }
}
