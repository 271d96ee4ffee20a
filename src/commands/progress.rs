//! How far something has come, on one line of the terminal; nothing where stderr is none.

use std::io::{IsTerminal, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the line is written anew.
const EVERY: Duration = Duration::from_millis(200);

/// Characters of the bar.
const BAR: usize = 24;

/// A line that a thread keeps up to date until this goes.
pub(super) struct Progress {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    what: String,
    done: AtomicU64,
    total: AtomicU64,
    is_over: Mutex<bool>,
    bell: Condvar,
    /// All is sent, and the other side works on it.
    is_waiting: AtomicBool,
}

impl Progress {
    /// Of so many bytes; of none it shows only the time. `measure` says how many are done, where they are not counted by
    /// [`Progress::through`].
    pub(super) fn new(what: &str, total: u64, measure: Option<Box<dyn Fn() -> u64 + Send>>) -> Progress {
        let shared = Arc::new(Shared {
            what: what.to_owned(),
            done: AtomicU64::new(0),
            total: AtomicU64::new(total),
            is_over: Mutex::new(false),
            bell: Condvar::new(),
            is_waiting: AtomicBool::new(false),
        });
        let told = Arc::clone(&shared);
        let show = move || told.show(measure.as_deref());
        let thread = std::io::stderr()
            .is_terminal()
            .then(|| std::thread::Builder::new().name("progress".into()).spawn(show).ok());
        Progress {
            shared,
            thread: thread.flatten(),
        }
    }

    /// Counts what is read through it. At its end the other side works.
    pub(super) fn through<R: Read>(&self, source: R) -> Counted<R> {
        Counted {
            source,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        *self.shared.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.bell.notify_all();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn show(&self, measure: Option<&(dyn Fn() -> u64 + Send)>) {
        let began = Instant::now();
        let mut is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_over {
            let waited = self.bell.wait_timeout(is_over, EVERY);
            is_over = waited.unwrap_or_else(PoisonError::into_inner).0;
            if let Some(measure) = measure {
                self.done.store(measure(), Ordering::Relaxed);
            }
            write(&format!("\r\x1b[K{}", self.line(began.elapsed())));
        }
        write("\r\x1b[K");
    }

    fn line(&self, time: Duration) -> String {
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        if total == 0 || self.is_waiting.load(Ordering::Relaxed) {
            return format!("{} … {} s", self.what, time.as_secs());
        }
        let percent = usize::try_from((done.min(total) * 100) / total).unwrap_or(100);
        let full = BAR * percent / 100;
        format!(
            "{} [{}{}] {percent} %",
            self.what,
            "#".repeat(full),
            " ".repeat(BAR - full)
        )
    }
}

/// Nobody may be reading it.
fn write(text: &str) {
    let mut err = std::io::stderr().lock();
    drop(err.write_all(text.as_bytes()).and_then(|()| err.flush()));
}

/// A reader whose bytes are counted.
pub(super) struct Counted<R> {
    source: R,
    shared: Arc<Shared>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(buffer)?;
        let before = self.shared.done.fetch_add(count as u64, Ordering::Relaxed);
        if before + count as u64 >= self.shared.total.load(Ordering::Relaxed) {
            self.shared.is_waiting.store(true, Ordering::Relaxed);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_then_the_other_side_works() {
        let progress = Progress::new("Sending a", 8, None);
        let line = || progress.shared.line(Duration::from_secs(3));
        assert_eq!(line(), format!("Sending a [{}] 0 %", " ".repeat(BAR)));
        let mut source = progress.through(&b"12345678"[..]);
        source.read_exact(&mut [0; 4]).unwrap();
        assert!(line().ends_with("############            ] 50 %"), "{}", line());
        source.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(line(), "Sending a … 3 s");
    }
}
