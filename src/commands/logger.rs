//! The log: lines to stderr, control bytes escaped.
//!
//! Lines of the access log are gathered and written together when a worker has nothing else to do, twice a second at
//! the latest, or when there are many: a write each is a tenth of the cost of a small request. All others are written
//! at once, after those gathered before them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::clock::Clock;

/// Bytes of gathered lines that are written without waiting for a better moment.
const GATHERED_BYTES_MAX: usize = 16 * 1024;

struct Logger {
    gathered: Mutex<String>,
    /// Held while writing, so that two threads do not swap their lines.
    writing: Mutex<()>,
}

impl Logger {
    fn gathered(&self) -> MutexGuard<'_, String> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
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
        let now = Clock.now().text();
        let now = &now[.."2026-11-21T05:17:02.616".len()];
        let mut lines = self.gathered();
        let start = lines.len();
        // Writing to a String cannot fail.
        if write!(lines, "{now}Z {level}{}", record.args()).is_ok() && lines[start..].contains(char::is_control) {
            let escaped = escape(&lines[start..]);
            lines.truncate(start);
            lines.push_str(&escaped);
        }
        lines.push('\n');
        let is_due = record.target() != "access" || lines.len() >= GATHERED_BYTES_MAX;
        drop(lines);
        if is_due {
            self.flush();
        }
    }

    fn flush(&self) {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut *self.gathered());
        if !lines.is_empty() {
            // With stderr gone there is nowhere left to say so.
            drop(std::io::stderr().write_all(lines.as_bytes()));
        }
        drop(writing);
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

/// Begins to log at this level.
pub(super) fn start(level: LevelFilter) {
    static LOGGER: Logger = Logger {
        gathered: Mutex::new(String::new()),
        writing: Mutex::new(()),
    };
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(level);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn control_bytes_are_escaped() {
        assert_eq!(super::escape("a\x1b[2J\nbä"), "a\\u{1b}[2J\\nbä");
    }
}
