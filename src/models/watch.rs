//! The thread that asks all providers for their models, once a minute each, so that no request has to.
//!
//! One after the other, which is enough: a server that is there lists its models in milliseconds, and one that is not
//! takes five seconds at most, of nobody's time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::member::LIST_EVERY;
use super::{Registry, Stop};
use crate::error::{Error, Kind};

/// TLS and a list of models need little.
const STACK_BYTES: usize = 256 * 1024;

/// Pause after a round, however many are due: a server that answers at once is not asked without end.
const PAUSE_MIN: Duration = Duration::from_millis(200);

/// What the thread waits for.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<WatchState>,
    changed: Condvar,
}

#[derive(Default)]
struct WatchState {
    /// There are other providers than before.
    is_news: bool,
    is_over: bool,
    /// Ends the list that is being asked for.
    asking: Stop,
}

impl Watch {
    /// There are other providers: those that have never been asked are asked now.
    pub(super) fn wake(&self) {
        self.lock().is_news = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `due`, or until there is news; false when it is over.
    fn wait(&self, due: Instant) -> bool {
        let left = due.saturating_duration_since(Instant::now());
        let is_quiet = |state: &mut WatchState| !state.is_news && !state.is_over;
        let waited = self.changed.wait_timeout_while(self.lock(), left, is_quiet);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.is_news = false;
        !state.is_over
    }
}

impl Registry {
    /// Starts the thread, which looks after the providers until [`Registry::close`].
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the system has no thread left.
    pub fn watch(self: &Arc<Self>) -> Result<(), Error> {
        let registry = Arc::clone(self);
        let spawned = thread::Builder::new()
            .name("models".into())
            .stack_size(STACK_BYTES)
            .spawn(move || registry.look_after());
        let failed = |error| Error::new(Kind::Unavailable, "A thread did not start").caused_by(error);
        spawned.map(drop).map_err(failed)
    }

    /// Ends the thread, whatever it waits for.
    pub fn close(&self) {
        let mut state = self.watch.lock();
        state.is_over = true;
        state.asking.stop();
        drop(state);
        self.watch.changed.notify_all();
    }

    fn look_after(&self) {
        let asking = self.watch.lock().asking.clone();
        loop {
            let mut next = Instant::now() + LIST_EVERY;
            for member in self.members() {
                if asking.is_stopped() {
                    return;
                }
                match member.is_due(Instant::now()) {
                    Ok(()) => member.refresh(&asking),
                    Err(due) => next = next.min(due),
                }
            }
            if !self.watch.wait(next.max(Instant::now() + PAUSE_MIN)) {
                return;
            }
        }
    }
}
