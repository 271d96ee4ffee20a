//! Swagger UI's files, taken out of its archive when this is compiled: the program holds the two that its page needs
//! (an eighth of the archive), and holds them compressed, as browsers take them.
//!
//! A ZIP entry and a gzip file hold the same deflate stream between different headers (RFC 1952; PKWARE's APPNOTE, 4.3),
//! so nothing is packed anew.

use std::io::Read;

use flate2::read::GzDecoder;

use super::ui;
use crate::http::{Reply, Request};

const ZIP: &[u8] = utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const GZIP_TAIL_BYTES: usize = 8;

/// Signatures and sizes of the archive's records.
const END: u32 = 0x0605_4b50;
const END_BYTES: usize = 22;
const ENTRY: u32 = 0x0201_4b50;
const ENTRY_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;
const DEFLATED: usize = 8;

/// One of Swagger UI's files.
pub(super) struct SwaggerFile {
    name: &'static str,
    media_type: &'static str,
    gzip: &'static [u8],
    crc: u32,
    /// Bytes when unpacked.
    length: u32,
}

struct Entry {
    /// Where its stream begins, and how long that is.
    start: usize,
    packed: usize,
    crc: u32,
    length: u32,
}

const SCRIPT: Entry = find(b"/dist/swagger-ui-bundle.js");
static SCRIPT_GZIP: [u8; gzip_bytes(&SCRIPT)] = gzip(&SCRIPT);

const STYLE: Entry = find(b"/dist/swagger-ui.css");
static STYLE_GZIP: [u8; gzip_bytes(&STYLE)] = gzip(&STYLE);

static FILES: [SwaggerFile; 2] = [
    SwaggerFile {
        name: "swagger-ui-bundle.js",
        media_type: "text/javascript; charset=utf-8",
        gzip: &SCRIPT_GZIP,
        crc: SCRIPT.crc,
        length: SCRIPT.length,
    },
    SwaggerFile {
        name: "swagger-ui.css",
        media_type: "text/css; charset=utf-8",
        gzip: &STYLE_GZIP,
        crc: STYLE.crc,
        length: STYLE.length,
    },
];

/// The file of this name.
pub(super) fn file(name: &str) -> Option<&'static SwaggerFile> {
    FILES.iter().find(|file| file.name == name)
}

impl SwaggerFile {
    /// The file as it is kept, or unpacked on its way for the few who do not take it so.
    pub(super) fn reply(&self, request: &Request) -> Reply {
        let is_gzip = ui::accepts_gzip(request);
        let etag = format!("\"{:08x}{}\"", self.crc, if is_gzip { "-gzip" } else { "" });
        let common = |reply: Reply| {
            reply
                .header("Cache-Control", "no-cache")
                .header("ETag", &etag)
                .header("Vary", "Accept-Encoding")
        };
        if ui::is_known(request, &etag) {
            return common(Reply::empty(304));
        }
        let send = |length: u64, source: Box<dyn Read + Send>| Reply::stream(200, self.media_type, length, source);
        if is_gzip {
            let reply = send(self.gzip.len() as u64, Box::new(self.gzip));
            return common(reply.header("Content-Encoding", "gzip"));
        }
        common(send(self.length.into(), Box::new(GzDecoder::new(self.gzip))))
    }
}

const fn u16_at(at: usize) -> usize {
    u16::from_le_bytes([ZIP[at], ZIP[at + 1]]) as usize
}

const fn u32_at(at: usize) -> u32 {
    u32::from_le_bytes([ZIP[at], ZIP[at + 1], ZIP[at + 2], ZIP[at + 3]])
}

/// The entry whose name ends so; without one this does not compile.
const fn find(ending: &[u8]) -> Entry {
    let mut end = ZIP.len() - END_BYTES;
    while u32_at(end) != END {
        end -= 1;
    }
    let mut left = u16_at(end + 10);
    let mut at = u32_at(end + 16) as usize;
    while left > 0 {
        assert!(u32_at(at) == ENTRY, "the archive's directory is malformed");
        let name_bytes = u16_at(at + 28);
        if ends_with(at + ENTRY_BYTES, name_bytes, ending) {
            assert!(u16_at(at + 10) == DEFLATED, "the entry is packed in another way");
            let local = u32_at(at + 42) as usize;
            return Entry {
                start: local + LOCAL_BYTES + u16_at(local + 26) + u16_at(local + 28),
                packed: u32_at(at + 20) as usize,
                crc: u32_at(at + 16),
                length: u32_at(at + 24),
            };
        }
        at += ENTRY_BYTES + name_bytes + u16_at(at + 30) + u16_at(at + 32);
        left -= 1;
    }
    panic!("Swagger UI's archive does not hold the file")
}

const fn ends_with(name: usize, name_bytes: usize, ending: &[u8]) -> bool {
    if name_bytes < ending.len() {
        return false;
    }
    let start = name + name_bytes - ending.len();
    let mut at = 0;
    while at < ending.len() {
        if ZIP[start + at] != ending[at] {
            return false;
        }
        at += 1;
    }
    true
}

const fn gzip_bytes(entry: &Entry) -> usize {
    GZIP_HEAD.len() + entry.packed + GZIP_TAIL_BYTES
}

const fn gzip<const BYTES: usize>(entry: &Entry) -> [u8; BYTES] {
    let mut gzip = [0; BYTES];
    let (head, rest) = gzip.split_at_mut(GZIP_HEAD.len());
    let (stream, tail) = rest.split_at_mut(entry.packed);
    let (crc, length) = tail.split_at_mut(4);
    head.copy_from_slice(&GZIP_HEAD);
    stream.copy_from_slice(ZIP.split_at(entry.start).1.split_at(entry.packed).0);
    crc.copy_from_slice(&entry.crc.to_le_bytes());
    length.copy_from_slice(&entry.length.to_le_bytes());
    gzip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_unpack() {
        for (name, words) in [
            ("swagger-ui-bundle.js", "SwaggerUIBundle"),
            ("swagger-ui.css", ".swagger-ui"),
        ] {
            let file = file(name).unwrap();
            let mut text = String::new();
            // The decoder checks length and CRC at the end.
            GzDecoder::new(file.gzip).read_to_string(&mut text).unwrap();
            assert_eq!(text.len(), file.length as usize);
            assert!(text.contains(words), "{name}");
        }
        assert!(file("swagger-ui.js").is_none());
    }
}
