//! Places among the live turns, given back when dropped: a panic must not leave a conversation busy for ever.

use std::sync::{Arc, MutexGuard};

use super::ask::Asker;
use super::feed::Since;
use super::live::{self, Live, Running};
use super::{Ask, Turns};
use crate::error::Error;

/// A turn's place among the live ones. Given back when dropped.
pub(super) struct Place {
    turns: Arc<Turns>,
    /// The conversation's UUID.
    pub(super) conversation: String,
    pub(super) running: Running,
    is_left: bool,
}

impl Place {
    pub(super) fn new(turns: &Arc<Turns>, conversation: String, running: Running) -> Place {
        Place {
            turns: Arc::clone(turns),
            conversation,
            running,
            is_left: false,
        }
    }

    /// Runs a turn, then those that wait behind it.
    pub(super) fn run(&mut self, ask: Ask, asker: Asker) {
        let turns = Arc::clone(&self.turns);
        turns.await_instants(&self.conversation);
        let mut next = Some((ask, asker));
        while let Some((mut ask, Asker { answer, listener })) = next {
            let feed = Arc::clone(&self.running.feed);
            if let Some(listener) = listener {
                // Nothing has ended it yet.
                drop(feed.attach(listener, Since::Start));
            }
            let outcome = if ask.choice.provider.instant() {
                turns.run_instant(&self.conversation, &ask, Some(&feed))
            } else {
                turns.run(self, &mut ask)
            };
            // Whoever learns of the end may send the next message at once, and must find the place free.
            next = self.next();
            turns.tell_end(&feed, &ask, &outcome);
            answer(outcome);
        }
    }

    /// The send that waits behind the one that has ended; it is stopped and listened to by itself. Without one the place is given
    /// back under the same lock: whoever comes later finds it free instead of waiting behind nobody.
    fn next(&mut self) -> Option<(Ask, Asker)> {
        let turns = Arc::clone(&self.turns);
        let mut live = turns.live();
        if let Some((ask, asker, running)) = live.next(&self.conversation) {
            self.running = running;
            return Some((ask, asker));
        }
        self.leave(live);
        None
    }

    fn leave(&mut self, mut live: MutexGuard<'_, Live>) {
        self.is_left = true;
        let left = live.leave(&self.conversation);
        drop(live);
        self.turns.moved.notify_all();
        for (_, asker) in left {
            let message = "The reply before this one broke off; nothing was stored. Try again";
            (asker.answer)(Err(live::unavailable(message, 5).into()));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_left {
            let turns = Arc::clone(&self.turns);
            self.leave(turns.live());
        }
    }
}

impl Turns {
    /// Changes what is stored in a conversation of this user's while nobody writes there: a reply that begins meanwhile waits
    /// for it. `conversation` is the UUID.
    ///
    /// # Errors
    /// [`Kind::Conflict`](crate::error::Kind::Conflict) when a reply is being written there; those of the change.
    pub fn undisturbed<T>(
        &self,
        user_id: i64,
        conversation: &str,
        change: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.live().enter_instant(conversation, user_id)?;
        let _place = InstantPlace {
            turns: self,
            conversation,
        };
        change()
    }
}

/// The place of a send that is one commit. Given back when dropped.
pub(super) struct InstantPlace<'t> {
    pub(super) turns: &'t Turns,
    pub(super) conversation: &'t str,
}

impl Drop for InstantPlace<'_> {
    fn drop(&mut self) {
        if self.turns.live().leave_instant(self.conversation) {
            self.turns.moved.notify_all();
        }
    }
}
