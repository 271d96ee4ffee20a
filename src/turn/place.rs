//! Places among the live turns, given back when dropped: a panic must not leave a conversation busy for ever.

use std::sync::{Arc, MutexGuard};

use super::live::{self, Live};
use super::{Answer, Ask, Turns};
use crate::models::Stop;

/// A turn's place among the live ones. Given back when dropped.
pub(super) struct Place {
    turns: Arc<Turns>,
    /// The conversation's UUID.
    pub(super) conversation: String,
    pub(super) stop: Stop,
    is_left: bool,
}

impl Place {
    pub(super) fn new(turns: &Arc<Turns>, conversation: String, stop: Stop) -> Place {
        Place {
            turns: Arc::clone(turns),
            conversation,
            stop,
            is_left: false,
        }
    }

    /// Runs a turn, then those that wait behind it.
    pub(super) fn run(&mut self, ask: Ask, answer: Answer) {
        let turns = Arc::clone(&self.turns);
        turns.await_instants(&self.conversation);
        let mut next = Some((ask, answer));
        while let Some((ask, answer)) = next {
            let outcome = if ask.choice.provider.instant() {
                turns.run_instant(&self.conversation, &ask)
            } else {
                turns.run(self, &ask)
            };
            answer(outcome);
            next = self.next();
        }
    }

    /// The send that waits behind the one that has ended; it can be stopped by itself. Without one the place is given
    /// back under the same lock: whoever comes later finds it free instead of waiting behind nobody.
    fn next(&mut self) -> Option<(Ask, Answer)> {
        let turns = Arc::clone(&self.turns);
        let mut live = turns.live();
        if let Some((ask, answer, stop)) = live.next(&self.conversation) {
            self.stop = stop;
            return Some((ask, answer));
        }
        self.leave(live);
        None
    }

    fn leave(&mut self, mut live: MutexGuard<'_, Live>) {
        self.is_left = true;
        let left = live.leave(&self.conversation);
        drop(live);
        self.turns.moved.notify_all();
        for (_, answer) in left {
            let message = "The reply before this one broke off; nothing was stored. Try again";
            answer(Err(live::unavailable(message, 5).into()));
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
