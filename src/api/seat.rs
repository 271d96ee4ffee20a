//! One of the few places from which a user reads replies as they come, and the watch over the session that it is taken
//! for. Given back when dropped.

use std::sync::Arc;

use super::session::Caller;
use crate::app::App;
use crate::error::{Error, Kind};
use crate::turn::{Hub, Subscriber, SubscriptionId};

/// A place that is taken.
pub(super) struct Seat {
    hub: Arc<Hub>,
    user_id: i64,
    subscription: SubscriptionId,
}

impl Seat {
    /// A place for a caller. Without one they may try again after `retry_s` seconds.
    ///
    /// # Errors
    /// [`Kind::RateLimited`] when this user listens to as much as may be.
    pub(super) fn take(app: &App, caller: &Caller, retry_s: u32) -> Result<Seat, Error> {
        let user_id = caller.user.id;
        let subscription = app.hub.reserve(user_id).ok_or_else(|| {
            let error = Error::new(Kind::RateLimited, "Too many streams are open for this account");
            error.retry_after(retry_s)
        })?;
        Ok(Seat {
            hub: Arc::clone(&app.hub),
            user_id,
            subscription,
        })
    }

    /// Has the caller's `subscriber` dismissed once their session has ended.
    pub(super) fn watch(&self, caller: &Caller, subscriber: Arc<dyn Subscriber>) {
        let session = caller.session.clone();
        self.hub.watch(self.user_id, self.subscription, session, subscriber);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.unsubscribe(self.user_id, self.subscription);
    }
}
