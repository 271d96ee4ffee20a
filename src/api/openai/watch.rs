//! Whoever waits here for a reply does so on behalf of a session, and gets no more of it once that has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Ctx;
use crate::api::seat::Seat;
use crate::error::Error;
use crate::models::Stop;
use crate::turn::{Notice, Subscriber};

/// Seconds after which one of a user's other streams may have ended.
const TOO_MANY_RETRY_S: u32 = 5;

/// A look at the caller's session, for as long as this exists.
pub(super) struct Watch {
    _seat: Seat,
    session: Arc<Session>,
}

struct Session {
    has_ended: AtomicBool,
    /// What is done for it.
    stop: Stop,
}

impl Watch {
    /// Of a call that `stop` ends.
    ///
    /// # Errors
    /// [`crate::error::Kind::RateLimited`] when this user listens to as much as may be.
    pub(super) fn begin(ctx: &Ctx, stop: Stop) -> Result<Watch, Error> {
        let caller = ctx.caller()?;
        let seat = Seat::take(&ctx.app, caller, TOO_MANY_RETRY_S)?;
        let session = Arc::new(Session {
            has_ended: AtomicBool::new(false),
            stop,
        });
        seat.watch(caller, Arc::clone(&session) as Arc<dyn Subscriber>);
        Ok(Watch { _seat: seat, session })
    }

    /// Whether the session has ended.
    pub(super) fn is_over(&self) -> bool {
        self.session.has_ended.load(Ordering::SeqCst)
    }
}

impl Subscriber for Session {
    fn notify(&self, _: &Notice) {}

    fn dismiss(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        self.stop.stop();
    }
}
