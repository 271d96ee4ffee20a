//! The thread that asks all providers for their models, once a minute each, so that no request has to.
//!
//! One after the other, which is enough: a server that is there lists its models in milliseconds, and one that is not
//! takes five seconds at most, of nobody's time.

use std::sync::atomic::{AtomicUsize, Ordering};
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

/// Providers that are tested at a time because somebody waits for it, each on a thread of its own. Administrators are
/// few; one more is told what is known.
const TESTS_MAX: usize = 4;

/// What the thread waits for.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<WatchState>,
    changed: Condvar,
    tests: Arc<AtomicUsize>,
}

/// A test that is going on, counted until this is dropped.
struct Testing(Arc<AtomicUsize>);

impl Drop for Testing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct WatchState {
    /// There are other providers than before.
    is_news: bool,
    is_over: bool,
    /// Everybody has been asked once.
    is_settled: bool,
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

    /// Waits until everybody has been asked for their models once, but not longer than this.
    pub fn settle(&self, patience: Duration) {
        let is_busy = |state: &mut WatchState| !state.is_settled && !state.is_over;
        drop(
            self.watch
                .changed
                .wait_timeout_while(self.watch.lock(), patience, is_busy),
        );
    }

    /// Asks a provider for its models now, which takes five seconds at most, and calls `done` then: on a thread of its
    /// own, or at once if there is nobody to ask or no thread left.
    pub fn test(&self, name: &str, done: impl FnOnce() + Send + 'static) {
        let member = self.members().into_iter().find(|member| member.config().name == name);
        let testing = Testing(Arc::clone(&self.watch.tests));
        let is_room = testing.0.fetch_add(1, Ordering::Relaxed) < TESTS_MAX;
        let Some(member) = member.filter(|_| is_room) else {
            return done();
        };
        // Shared, because a thread that does not come to be does not give back what it was to run with.
        let done = Arc::new(Mutex::new(Some(done)));
        let take = |done: &Mutex<Option<_>>| done.lock().unwrap_or_else(PoisonError::into_inner).take();
        let taken = Arc::clone(&done);
        let spawned = thread::Builder::new()
            .name("test of models".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let _testing = testing;
                member.refresh(&Stop::new());
                if let Some(done) = take(&taken) {
                    done();
                }
            });
        if let Err(error) = spawned {
            log::warn!("a provider could not be tested: {error}");
            if let Some(done) = take(&done) {
                done();
            }
        }
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
            self.watch.lock().is_settled = true;
            self.watch.changed.notify_all();
            if !self.watch.wait(next.max(Instant::now() + PAUSE_MIN)) {
                return;
            }
        }
    }
}
