//! Reading files for models: which kind of file it is, and its text.
//!
//! Plain text is read here. PDF and HTML are what parsers break on (they crash, loop, or take a hundred times the file's
//! memory), so they are read by a second process of this same program, which has limits of its own and can only die
//! (`child`). Knows neither messages nor where files are kept.

mod child;
mod formats;

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::floor::floor;
use crate::system;

pub use child::{asked_to_read, run};
pub use formats::{Format, is_picture, media_type, picture_type};

/// Bytes of a text that are kept. More than any prompt is given of one file: some 16 000 tokens.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Processes that read at a time: each may take 256 MiB and a core.
const CHILDREN_MAX: usize = 2;

/// How often whoever waits looks whether it still should: a user who stops a reply wants it to end at once.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Stack of the thread that looks, and does nothing else.
const STACK_BYTES: usize = 64 * 1024;

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

/// How long reading may take.
#[derive(Clone, Copy)]
pub struct Until<'a> {
    /// When it must have ended, and
    pub deadline: Instant,
    /// what ends it before.
    pub is_stopped: &'a (dyn Fn() -> bool + Sync),
}

impl Until<'_> {
    /// Whether that time has come.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || (self.is_stopped)()
    }
}

/// Reads files.
pub struct Reader {
    program: PathBuf,
    running: Mutex<usize>,
    ended: Condvar,
}

impl Default for Reader {
    fn default() -> Reader {
        let program = system::own_program().unwrap_or_else(|_| "fireside".into());
        Reader {
            program,
            running: Mutex::new(0),
            ended: Condvar::new(),
        }
    }
}

impl Reader {
    /// The text of a file with this name and media type, at most [`TEXT_BYTES_MAX`] bytes of it.
    ///
    /// # Errors
    /// Why there is none; [`Unread::NotNow`] also when there was no time.
    pub fn read(
        &self,
        filename: &str,
        content_type: &str,
        mut file: impl Read,
        until: Until<'_>,
    ) -> Result<String, Unread> {
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
            Format::Pdf | Format::Html => self.read_elsewhere(format, &mut file, until),
        }
    }

    /// Reads in a process of its own, once one may be started.
    fn read_elsewhere(&self, format: Format, file: &mut dyn Read, until: Until<'_>) -> Result<String, Unread> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= CHILDREN_MAX && !until.is_over() {
            let waited = self.ended.wait_timeout(running, LOOK_EVERY);
            running = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if until.is_over() {
            return Err(Unread::NotNow);
        }
        *running += 1;
        drop(running);
        let outcome = self.ask_child(format, file, until);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.ended.notify_one();
        outcome.unwrap_or_else(|error| {
            log::warn!("an attachment could not be read: {error}");
            Err(Unread::NotNow)
        })
    }

    /// Starts a child and hears what it has to say, watched by a thread that ends it when there is no more time.
    fn ask_child(&self, format: Format, file: &mut dyn Read, until: Until<'_>) -> io::Result<Result<String, Unread>> {
        let mut child = Command::new(&self.program)
            .args(child::arguments(format))
            // Keys and secrets are nothing to a parser.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (done, is_done) = channel();
        let watched = &mut child;
        let (heard, is_ended) = thread::scope(|scope| {
            let watching = thread::Builder::new()
                .name("watch".into())
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, move || watch(watched, &is_done, until));
            let heard = match &watching {
                Ok(_) => exchange(file, input, output),
                // Unwatched it is not talked to: nothing would end that.
                Err(error) => Err(error.kind().into()),
            };
            drop(done);
            (heard, watching.is_ok_and(|watching| watching.join().unwrap_or(true)))
        });
        // After a failure there is nothing to wait for; a child that has ended is not harmed.
        drop(child.kill());
        let status = child.wait()?;
        let text = cut(String::from_utf8_lossy(&heard?).into_owned(), TEXT_BYTES_MAX);
        // What came before it died is worth having, but not if it was not to end yet.
        Ok(match text.trim() {
            _ if is_ended => Err(Unread::NotNow),
            "" => Err(unread(status)),
            _ => Ok(text),
        })
    }
}

/// Gives the child the file, and takes its text. The child takes everything before it says a word.
fn exchange(file: &mut dyn Read, input: Option<ChildStdin>, output: Option<ChildStdout>) -> io::Result<Vec<u8>> {
    let passed = input.map_or(Ok(0), |mut input| io::copy(file, &mut input));
    match passed {
        // It died, or was told to: its status says why.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        _ => {}
    }
    let mut text = Vec::new();
    if let Some(output) = output {
        output.take(TEXT_BYTES_MAX as u64).read_to_end(&mut text)?;
    }
    Ok(text)
}

/// Ends the child when its time is over before it is done; returns whether that was so.
fn watch(child: &mut Child, is_done: &Receiver<()>, until: Until<'_>) -> bool {
    while is_done.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        if until.is_over() {
            drop(child.kill());
            return true;
        }
    }
    false
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
    text.truncate(floor(&text, bytes_max));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::atomic::{AtomicBool, Ordering};

    use crate::patience::{PATIENCE, until};

    fn patiently() -> Until<'static> {
        Until {
            deadline: Instant::now() + PATIENCE,
            is_stopped: &|| false,
        }
    }

    #[test]
    fn plain_text_is_read_here() {
        let reader = Reader::default();
        let read = |name: &str, bytes: &[u8]| reader.read(name, "application/octet-stream", bytes, patiently());
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
        let read = reader.read("a.html", "text/html", &b"<p>x"[..], patiently());
        assert_eq!(read, Err(Unread::NotNow));
        assert_eq!(*reader.running.lock().unwrap(), 0);
    }

    /// A file in the middle of which somebody stops the reply, read by a program that ends by itself after a minute.
    #[cfg(unix)]
    #[test]
    fn who_is_stopped_waits_for_no_child() {
        let program = std::env::temp_dir().join(format!("fireside-slow-{}", std::process::id()));
        let script = b"#!/bin/sh\necho so far\nexec /bin/sleep 60\n";
        std::fs::write(&program, script).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&program, executable).unwrap();
        let reader = Reader {
            program: program.clone(),
            ..Reader::default()
        };
        let is_stopped = AtomicBool::new(false);
        let read = || {
            let until = Until {
                deadline: Instant::now() + 2 * PATIENCE,
                is_stopped: &|| is_stopped.load(Ordering::Relaxed),
            };
            reader.read("a.html", "text/html", &b"<p>x"[..], until)
        };
        let began = Instant::now();
        thread::scope(|scope| {
            // One more than may run: it waits for a place, and also not for long.
            let reading: Vec<_> = (0..=CHILDREN_MAX).map(|_| scope.spawn(read)).collect();
            until("all places are taken", || {
                *reader.running.lock().unwrap() == CHILDREN_MAX
            });
            is_stopped.store(true, Ordering::Relaxed);
            for read in reading {
                assert_eq!(read.join().unwrap(), Err(Unread::NotNow));
            }
        });
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        assert_eq!(*reader.running.lock().unwrap(), 0);
        std::fs::remove_file(program).unwrap();
    }

    #[test]
    fn no_child_is_started_without_time() {
        let until = Until {
            deadline: Instant::now(),
            ..patiently()
        };
        let reader = Reader::default();
        let read = reader.read("a.html", "text/html", &b"<p>x"[..], until);
        assert_eq!(read, Err(Unread::NotNow));
    }

    #[test]
    fn cuts_fall_between_characters() {
        assert_eq!(cut("h\u{e9}llo".into(), 2), "h");
        assert_eq!(cut("abc".into(), 3), "abc");
    }
}
