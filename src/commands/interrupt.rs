//! What is put right when a signal ends a command half-way: what it has begun is cleared away, the terminal shows again
//! what is typed, the session ends. Done by a thread and not by the handler, which may do next to nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::system;

/// How often a signal is looked for: at once, for people.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is to be done, the latest first. Few at a time: a password, a session, a file.
static DUTIES: Mutex<Vec<(usize, Duty)>> = Mutex::new(Vec::new());

/// Tells duties apart.
static NUMBERS: AtomicUsize = AtomicUsize::new(0);

type Duty = Box<dyn FnOnce() + Send>;

/// Has signals end this process from now on only after all duties are done. A second signal ends it at once.
///
/// # Errors
/// The system's.
pub(super) fn watch() -> Result<(), Error> {
    let failed = |error| Error::internal("signals cannot be handled", error);
    let (stop, signal) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    system::end_on_signals(&stop, &signal).map_err(failed)?;
    let look = move || {
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(LOOK_EVERY);
        }
        // Kept until the end: nothing that must not be interrupted begins any more.
        let mut duties = hold();
        while let Some((_, duty)) = duties.pop() {
            duty();
        }
        let signal = i32::try_from(signal.load(Ordering::Relaxed)).unwrap_or(0);
        std::process::exit(128 + signal);
    };
    let started = thread::Builder::new().name("signals".into()).spawn(look);
    started.map(drop).map_err(failed)
}

/// While this is there, no signal ends the process.
pub(super) fn hold() -> MutexGuard<'static, Vec<(usize, Duty)>> {
    DUTIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A duty, until this goes.
#[must_use]
pub(super) struct Pending(usize);

/// Has this done if a signal comes.
pub(super) fn on_signal(duty: impl FnOnce() + Send + 'static) -> Pending {
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    hold().push((number, Box::new(duty)));
    Pending(number)
}

impl Drop for Pending {
    fn drop(&mut self) {
        hold().retain(|(number, _)| *number != self.0);
    }
}
