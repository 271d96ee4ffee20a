//! Whoever waits here for a reply does so on behalf of a session, and gets no more of it once that has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Ctx;
use crate::app::App;
use crate::error::{Error, Kind};
use crate::models::Stop;
use crate::turn::{Notice, Subscriber, SubscriptionId};

/// Seconds after which one of a user's other streams may have ended.
const TOO_MANY_RETRY_S: u32 = 5;

/// A look at the caller's session, for as long as this exists.
pub(super) struct Watch {
    app: Arc<App>,
    user_id: i64,
    subscription: SubscriptionId,
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
    /// [`Kind::RateLimited`] when this user listens to as much as may be.
    pub(super) fn begin(ctx: &Ctx, stop: Stop) -> Result<Watch, Error> {
        let caller = ctx.caller()?;
        let (hub, user_id) = (&ctx.app.hub, caller.user.id);
        let subscription = hub.reserve(user_id).ok_or_else(|| {
            let error = Error::new(Kind::RateLimited, "Too many streams are open for this account");
            error.retry_after(TOO_MANY_RETRY_S)
        })?;
        let session = Arc::new(Session {
            has_ended: AtomicBool::new(false),
            stop,
        });
        let subscriber = Arc::clone(&session) as Arc<dyn Subscriber>;
        hub.watch(user_id, subscription, caller.session.clone(), subscriber);
        Ok(Watch {
            app: Arc::clone(&ctx.app),
            user_id,
            subscription,
            session,
        })
    }

    /// Whether the session has ended.
    pub(super) fn is_over(&self) -> bool {
        self.session.has_ended.load(Ordering::SeqCst)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.app.hub.unsubscribe(self.user_id, self.subscription);
    }
}

impl Subscriber for Session {
    fn notify(&self, _: &Notice) {}

    fn dismiss(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        self.stop.stop();
    }
}
