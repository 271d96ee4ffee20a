//! The log: lines to stderr, control bytes escaped.
//!
//! Who logs only puts a line in memory; a thread writes. So a terminal or a pipe that nobody reads stops that thread and
//! nobody else. Lines of the access log are gathered for a moment and written together, as a write each is a tenth of the
//! cost of a small request; all others are written at once, with those gathered before them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::clock::Clock;
use crate::error::Error;

/// Bytes of gathered lines that are written before their moment is over.
const GATHERED_BYTES_MAX: usize = 16 * 1024;

/// How long lines of the access log are gathered: not long for who watches them.
const GATHER_TIME: Duration = Duration::from_millis(200);

/// Bytes of lines that wait while stderr takes none: some ten thousand. Further ones are lost, and counted.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

/// How long the last lines may take when the program ends.
const END_TIME: Duration = Duration::from_secs(1);

struct Logger {
    lines: Mutex<Lines>,
    /// The writer has something to do.
    called: Condvar,
    /// The writer has done it.
    written: Condvar,
}

/// Lines on their way to the writer.
struct Lines {
    text: String,
    /// They are not to be gathered any longer.
    is_due: bool,
    /// Others are being written.
    is_writing: bool,
    lost: u64,
}

impl Lines {
    const fn new() -> Lines {
        Lines {
            text: String::new(),
            is_due: false,
            is_writing: false,
            lost: 0,
        }
    }

    /// Adds a line if there is room for it.
    fn add(&mut self, level: &str, message: std::fmt::Arguments<'_>) {
        if self.text.len() >= WAITING_BYTES_MAX {
            self.lost += 1;
            return;
        }
        let now = Clock.now().text();
        let now = &now[.."2026-11-21T05:17:02.616".len()];
        let text = &mut self.text;
        let start = text.len();
        // Writing to a String cannot fail.
        if write!(text, "{now}Z {level}{message}").is_ok() && text[start..].contains(char::is_control) {
            let escaped = escape(&text[start..]);
            text.truncate(start);
            text.push_str(&escaped);
        }
        text.push('\n');
    }

    /// Moves what is to be written into `out`.
    fn take(&mut self, out: &mut String) {
        out.clear();
        std::mem::swap(&mut self.text, out);
        self.is_due = false;
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            // The first line of those that are written next, as there was no room for it in these.
            self.add(
                "WARN  ",
                format_args!("{lost} lines of the log were lost: stderr did not take them"),
            );
            self.is_due = true;
        }
    }
}

impl Logger {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines out, for ever.
    fn write_out(&self) {
        let mut out = String::new();
        loop {
            let lines = self.called.wait_while(self.lock(), |lines| lines.text.is_empty());
            let lines = lines.unwrap_or_else(PoisonError::into_inner);
            let gathered = self
                .called
                .wait_timeout_while(lines, GATHER_TIME, |lines| !lines.is_due);
            let (mut lines, _) = gathered.unwrap_or_else(PoisonError::into_inner);
            lines.take(&mut out);
            lines.is_writing = true;
            drop(lines);
            // With stderr gone there is nowhere left to say so.
            drop(std::io::stderr().write_all(out.as_bytes()));
            self.lock().is_writing = false;
            self.written.notify_all();
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_ours = metadata.target().starts_with("fireside") || metadata.target() == "access";
        metadata.level() <= log::max_level() && (is_ours || metadata.level() <= Level::Warn)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => "ERROR ",
            Level::Warn => "WARN  ",
            Level::Info => "",
            Level::Debug => "DEBUG ",
            Level::Trace => "TRACE ",
        };
        let mut lines = self.lock();
        let is_first = lines.text.is_empty();
        lines.add(level, *record.args());
        let is_due = record.target() != "access" || lines.text.len() >= GATHERED_BYTES_MAX;
        let is_news = is_first || (is_due && !lines.is_due);
        lines.is_due |= is_due;
        drop(lines);
        if is_news {
            self.called.notify_one();
        }
    }

    /// Waits until everything is written, but not for ever.
    fn flush(&self) {
        let mut lines = self.lock();
        lines.is_due = true;
        self.called.notify_one();
        let is_left = |lines: &mut Lines| lines.is_writing || !lines.text.is_empty();
        drop(self.written.wait_timeout_while(lines, END_TIME, is_left));
    }
}

/// Control bytes as `\u{1b}`: what a client sends must not move the cursor of whoever reads the log.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, char| {
        if char.is_control() {
            escaped.extend(char.escape_default());
        } else {
            escaped.push(char);
        }
        escaped
    })
}

/// While this exists, there is a log; its last lines are written when it goes.
#[must_use]
pub(super) struct Logging(());

impl Drop for Logging {
    fn drop(&mut self) {
        log::logger().flush();
    }
}

/// Begins to log at this level.
///
/// # Errors
/// [`crate::error::Kind::Internal`] when no thread starts.
pub(super) fn start(level: LevelFilter) -> Result<Logging, Error> {
    static LOGGER: Logger = Logger {
        lines: Mutex::new(Lines::new()),
        called: Condvar::new(),
        written: Condvar::new(),
    };
    if log::set_logger(&LOGGER).is_ok() {
        let writer = thread::Builder::new().name("log".into());
        writer
            .spawn(|| LOGGER.write_out())
            .map_err(|error| Error::internal("the log's thread did not start", error))?;
        log::set_max_level(level);
    }
    Ok(Logging(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_are_escaped() {
        assert_eq!(escape("a\x1b[2J\nbä"), "a\\u{1b}[2J\\nbä");
        let mut lines = Lines::new();
        lines.add("WARN  ", format_args!("a\nb"));
        assert!(lines.text.ends_with("Z WARN  a\\nb\n"), "{}", lines.text);
    }

    #[test]
    fn lines_that_find_no_room_are_counted() {
        let mut lines = Lines::new();
        let long = "x".repeat(1000);
        for _ in 0..2000 {
            lines.add("", format_args!("{long}"));
        }
        assert!(lines.text.len() < WAITING_BYTES_MAX + 2000);
        let mut out = String::new();
        lines.take(&mut out);
        let kept = out.lines().count();
        lines.take(&mut out);
        assert!(
            out.contains(&format!("WARN  {} lines of the log were lost", 2000 - kept)),
            "{out}"
        );
        lines.take(&mut out);
        assert_eq!(out, "");
    }
}
