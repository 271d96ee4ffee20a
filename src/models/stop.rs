//! The handle that ends a call to a model from another thread.
//!
//! A blocked read cannot be interrupted, but its socket can be shut down under it. Knows sockets only by ureq's
//! handle for that; who holds which socket when is the business of `transport`.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ureq::unversioned::transport::ShutdownHandle;

/// Ends one call. Clones are handles to the same call.
#[derive(Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// The call has been stopped.
    stopped: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
    /// The socket the call holds now: it never holds two, because the one of an earlier request is back in the pool,
    /// perhaps in another call's hands, before the next one is taken.
    socket: Option<Weak<dyn ShutdownHandle>>,
}

impl Stop {
    /// A handle for a new call.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Ends the call: a blocked read or write returns at once, and the call fails with
    /// [`FailureKind::Stopped`](super::FailureKind::Stopped). Only the look-up of the server's name is waited for, at
    /// most for [`Timeouts::connect`](super::Timeouts::connect). For good: a call begun later fails as well.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        // Under the lock, so that the socket cannot meanwhile pass to another call.
        if let Some(socket) = state.socket.take().and_then(|socket| socket.upgrade()) {
            socket.shutdown();
        }
        drop(state);
        self.shared.stopped.notify_all();
    }

    /// Whether [`stop`](Stop::stop) has been called.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Waits, less if the call is stopped meanwhile; returns whether it may go on.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let waited = self
            .shared
            .stopped
            .wait_timeout_while(self.lock(), pause, |state| !state.stopped);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }

    /// From now on the call depends on this socket. False if the call has been stopped: then it must not go on.
    pub(super) fn hold(&self, socket: &Weak<dyn ShutdownHandle>) -> bool {
        let mut state = self.lock();
        if !state.stopped {
            state.socket = Some(Weak::clone(socket));
        }
        !state.stopped
    }

    /// The call has given its socket back.
    pub(super) fn release(&self) {
        self.lock().socket = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("stopped", &self.is_stopped()).finish()
    }
}
