//! Reading files for models: which kind of file it is, and its text.
//!
//! Plain text is read here. PDF and HTML are what parsers break on (they crash, loop, or take a hundred times the file's
//! memory), so they are read by a second process of this same program, which has limits of its own and can only die
//! (`child`). Knows neither messages nor where files are kept.

mod child;
mod formats;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

pub use child::{asked_to_read, run};
pub use formats::{Format, is_picture};

/// Bytes of a text that are kept. More than any prompt is given of one file: some 16 000 tokens.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Processes that read at a time: each may take 256 MiB and a core.
const CHILDREN_MAX: usize = 2;

/// How long a file waits for those before it. Each of them is done after ten seconds.
const TURN_MAX: Duration = Duration::from_secs(30);

/// Bytes from which a plain text is made: in UTF-16 or with much white space they are not all needed.
const PLAIN_BYTES_MAX: u64 = 4 * TEXT_BYTES_MAX as u64;

/// Why a file could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It has no text that can be got at; the sentence says why. Trying again will not help.
    Never(&'static str),
    /// Something else was in the way.
    NotNow,
}

/// Reads files.
pub struct Reader {
    program: PathBuf,
    running: Mutex<usize>,
    ended: Condvar,
}

impl Default for Reader {
    fn default() -> Reader {
        // By this name the program is found also after an update has replaced its file.
        let own = Path::new("/proc/self/exe");
        let program = if own.exists() {
            own.to_owned()
        } else {
            std::env::current_exe().unwrap_or_else(|_| "fireside".into())
        };
        Reader {
            program,
            running: Mutex::new(0),
            ended: Condvar::new(),
        }
    }
}

impl Reader {
    /// The text of a file with this name and media type, at most [`TEXT_BYTES_MAX`] bytes of it. Waits for at most
    /// half a minute.
    ///
    /// # Errors
    /// Why there is none.
    pub fn read(&self, filename: &str, content_type: &str, mut file: impl Read) -> Result<String, Unread> {
        let mut start = Vec::new();
        let begun = file.by_ref().take(formats::START_BYTES).read_to_end(&mut start);
        begun.map_err(|_| Unread::NotNow)?;
        let format = Format::of(filename, content_type, &start);
        let mut file = start.chain(file);
        match format {
            Format::Plain => {
                let mut bytes = Vec::new();
                let read = file.take(PLAIN_BYTES_MAX).read_to_end(&mut bytes);
                read.map_err(|_| Unread::NotNow)?;
                Ok(cut(formats::decode(&bytes), TEXT_BYTES_MAX))
            }
            Format::Binary => Err(Unread::Never("its format cannot be read")),
            Format::Pdf | Format::Html => self.read_elsewhere(format, &mut file),
        }
    }

    /// Reads in a process of its own, once one may be started.
    fn read_elsewhere(&self, format: Format, file: &mut dyn Read) -> Result<String, Unread> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .ended
            .wait_timeout_while(running, TURN_MAX, |running| *running >= CHILDREN_MAX);
        let (mut running, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(Unread::NotNow);
        }
        *running += 1;
        drop(running);
        let outcome = self.ask_child(format, file);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.ended.notify_one();
        outcome.unwrap_or_else(|error| {
            log::warn!("an attachment could not be read: {error}");
            Err(Unread::NotNow)
        })
    }

    /// The child takes the whole file before it says a word, and its own deadline ends it: so neither of these waits
    /// is endless.
    fn ask_child(&self, format: Format, file: &mut dyn Read) -> io::Result<Result<String, Unread>> {
        let mut child = Command::new(&self.program)
            .args(child::arguments(format))
            // Keys and secrets are nothing to a parser.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut text = Vec::new();
        let passed = match child.stdin.take() {
            Some(mut input) => io::copy(file, &mut input),
            None => Ok(0),
        };
        let passed = match passed {
            // It died, or was told to: its status says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            passed => passed,
        };
        let heard = match child.stdout.take() {
            Some(output) if passed.is_ok() => output.take(TEXT_BYTES_MAX as u64).read_to_end(&mut text),
            _ => Ok(0),
        };
        // After a failure there is nothing to wait for; a child that has ended is not harmed.
        drop(child.kill());
        let status = child.wait()?;
        passed.and(heard.map(|_| 0))?;
        let text = cut(String::from_utf8_lossy(&text).into_owned(), TEXT_BYTES_MAX);
        // What came before it died is worth having.
        if text.trim().is_empty() {
            Ok(Err(unread(status)))
        } else {
            Ok(Ok(text))
        }
    }
}

fn unread(status: ExitStatus) -> Unread {
    match status.code() {
        Some(0) => Unread::Never("it holds no text"),
        Some(child::PROTECTED) => Unread::Never("it is protected by a password"),
        Some(child::BROKEN) => Unread::Never("it is damaged"),
        _ => Unread::Never("reading it takes too much time or memory"),
    }
}

/// As much of a text as fits.
pub fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_read_here() {
        let reader = Reader::default();
        let read = |name: &str, bytes: &[u8]| reader.read(name, "application/octet-stream", bytes);
        assert_eq!(read("a.rs", b"fn main() {}").unwrap(), "fn main() {}");
        let long = read("a", "\u{e9}".repeat(TEXT_BYTES_MAX).as_bytes()).unwrap();
        assert_eq!(long.len(), TEXT_BYTES_MAX);
        assert_eq!(
            read("a", b"PK\x03\x04\0\0"),
            Err(Unread::Never("its format cannot be read"))
        );
    }

    #[test]
    fn a_program_that_cannot_be_started_is_no_property_of_the_file() {
        let reader = Reader {
            program: "/nonexistent".into(),
            ..Reader::default()
        };
        assert_eq!(reader.read("a.html", "text/html", &b"<p>x"[..]), Err(Unread::NotNow));
        assert_eq!(*reader.running.lock().unwrap(), 0);
    }

    #[test]
    fn cuts_fall_between_characters() {
        assert_eq!(cut("h\u{e9}llo".into(), 2), "h");
        assert_eq!(cut("abc".into(), 3), "abc");
    }
}
