//! The log: lines to stderr, control bytes escaped, one write a line so that threads do not mix theirs.

use std::io::Write as _;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::clock::Clock;

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
            && (metadata.level() <= Level::Info || metadata.target().starts_with("fireside"))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut line = Clock.now().text();
        line.truncate("2026-11-21T05:17:02.616".len());
        line.push_str(match record.level() {
            Level::Error => "Z ERROR ",
            Level::Warn => "Z WARN  ",
            Level::Info => "Z ",
            Level::Debug => "Z DEBUG ",
            Level::Trace => "Z TRACE ",
        });
        let start = line.len();
        line += &record.args().to_string();
        if line[start..].contains(|char: char| char.is_control()) {
            let escaped: String = line[start..]
                .chars()
                .flat_map(|char| {
                    let (plain, escape) = if char.is_control() {
                        (None, Some(char.escape_default()))
                    } else {
                        (Some(char), None)
                    };
                    plain.into_iter().chain(escape.into_iter().flatten())
                })
                .collect();
            line.truncate(start);
            line.push_str(&escaped);
        }
        line.push('\n');
        // With stderr gone there is nowhere left to say so.
        drop(std::io::stderr().write_all(line.as_bytes()));
    }

    fn flush(&self) {}
}

/// Begins to log at this level.
pub(super) fn start(level: LevelFilter) {
    static LOGGER: Logger = Logger;
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(level);
    }
}
