//! The second process: `fireside read-file FORMAT` reads a file from its standard input and writes its text to its
//! standard output. It has ten seconds and 256 MiB; what is too much for it ends it and nothing else.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use super::TEXT_BYTES_MAX;
use super::formats::{Damage, Format, write_html, write_pdf};
use crate::system;

/// Its first argument. Not for people, so no help names it.
const ORDER: &str = "read-file";

/// Its exit status for a file that needs a password.
pub(super) const PROTECTED: i32 = 3;

/// Its exit status for a file that is not what it claims to be.
pub(super) const BROKEN: i32 = 4;

/// Seconds. The user waits for the reply meanwhile.
const SECONDS_MAX: u32 = 10;

/// Bytes of address space. A PDF takes some five times its size, and the program itself 30 MiB.
const MEMORY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes of a page of HTML that are parsed: its tree takes thirty times as much.
const HTML_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub(super) fn arguments(format: Format) -> [&'static str; 2] {
    let name = if format == Format::Pdf { "pdf" } else { "html" };
    [ORDER, name]
}

/// Whether this process is to read a file, and as what, by its arguments without the program's name.
pub fn asked_to_read(mut arguments: impl Iterator<Item = OsString>) -> Option<Format> {
    if arguments.next()? != ORDER {
        return None;
    }
    match arguments.next()?.to_str()? {
        "pdf" => Some(Format::Pdf),
        "html" => Some(Format::Html),
        _ => None,
    }
}

/// Reads the file on standard input.
pub fn run(format: Format) -> ExitCode {
    system::confine(MEMORY_BYTES_MAX, SECONDS_MAX);
    let mut bytes = Vec::new();
    let mut input = io::stdin().lock();
    let taken = match format {
        Format::Html => input.by_ref().take(HTML_BYTES_MAX).read_to_end(&mut bytes),
        _ => input.read_to_end(&mut bytes),
    };
    // The other side waits until it has passed everything on.
    if taken.and_then(|_| io::copy(&mut input, &mut io::sink())).is_err() {
        return ExitCode::FAILURE;
    }
    let mut out = Bounded {
        out: io::stdout().lock(),
        left: TEXT_BYTES_MAX,
    };
    let outcome = match format {
        Format::Pdf => write_pdf(&bytes, &mut out),
        Format::Html => write_html(&bytes, &mut out),
        Format::Plain | Format::Binary => Err(Damage::Broken),
    };
    let code = match outcome {
        Ok(()) => 0,
        Err(Damage::Protected) => PROTECTED,
        Err(Damage::Broken) => BROKEN,
    };
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Takes as many bytes as anybody wants, then fails.
struct Bounded<W> {
    out: W,
    left: usize,
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(&bytes[..bytes.len().min(self.left)])?;
        self.left -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_order() {
        let asked = |words: &[&str]| asked_to_read(words.iter().map(OsString::from));
        assert_eq!(asked(&["read-file", "pdf"]), Some(Format::Pdf));
        assert_eq!(asked(&arguments(Format::Html)), Some(Format::Html));
        for words in [&[][..], &["serve"], &["read-file"], &["read-file", "exe"]] {
            assert_eq!(asked(words), None);
        }
    }

    #[test]
    fn no_more_than_anybody_wants() {
        let mut out = Bounded {
            out: Vec::new(),
            left: 3,
        };
        assert!(out.write_all(b"abcd").is_err());
        assert_eq!(out.out, b"abc");
    }
}
