//! The life of one reply: store the question, build the context, ask the model, store the answer, account for it.
//!
//! A turn belongs to the server, not to the connection that asked. The question is on disk before the model is asked,
//! what has come of the answer is saved four times a second, and the turn ends whether or not anybody still listens.
//! Replies of one conversation are written one after the other: each sees all that came before it.

mod ask;
mod attached;
mod context;
mod ending;
mod feed;
mod hub;
mod live;
mod marks;
mod opening;
mod passages;
mod passing;
mod place;
mod prompt;
mod reply;
mod run;
mod summary;
#[cfg(test)]
mod tests;
mod threads;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::pricing::Pricing;
use crate::reading::Reader;
use crate::store::{SharedStore, Tx};

use ask::Asker;
use feed::Feed;
use live::{Entrance, Live};
use place::{InstantPlace, Place};
use reply::SAVE_MAX_STOPPING;
use threads::Threads;

pub use ask::{Admission, Answer, Ask, Done, Fault, Target};
pub use ending::is_kept;
pub use feed::{Ended, Heard, Listen, Position, Said, Since, Start};
pub use hub::{Event, Hub, Notice, Subscriber, SubscriptionId};
pub use opening::Opening;
pub use passing::{Hear, Vectors};
pub use reply::{arguments_json, parse_tool_calls, tool_calls_json};

/// Replies at a time from which on what they write is gathered. Fewer gain nothing by waiting.
const MANY_TURNS: usize = 8;

/// What turns may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Replies that are written at a time.
    pub turns_max: usize,
    /// Earlier messages that a model is given.
    pub context_messages: usize,
}

/// All turns of the server.
pub struct Turns {
    store: SharedStore,
    pricing: Arc<Pricing>,
    clock: Clock,
    limits: Limits,
    hub: Arc<Hub>,
    threads: Arc<Threads>,
    reader: Reader,
    live: Mutex<Live>,
    /// A turn has ended, an instant send that one waits for has been stored, or the server stops.
    moved: Condvar,
}

impl Turns {
    /// No turns yet. What happens is told to `hub`.
    pub fn new(store: SharedStore, hub: Arc<Hub>, pricing: Arc<Pricing>, clock: Clock, limits: Limits) -> Turns {
        Turns {
            store,
            hub,
            pricing,
            clock,
            limits,
            threads: Threads::new(),
            reader: Reader::default(),
            live: Mutex::new(Live::default()),
            moved: Condvar::new(),
        }
    }

    /// Begins a turn. With a model that never waits it ends before this returns, unless it waits behind a reply; else on a
    /// thread of its own.
    pub fn begin(self: &Arc<Self>, ask: Ask, answer: Answer) {
        let listener = None;
        self.enter(ask, Asker { answer, listener });
    }

    /// The same for somebody who reads along. If nothing comes of it, `listener` may never hear of it: `answer` does. Both
    /// hear of the end, `listener` first.
    pub fn stream(self: &Arc<Self>, ask: Ask, listener: Box<dyn Listen>, answer: Answer) {
        let listener = Some(listener);
        self.enter(ask, Asker { answer, listener });
    }

    fn enter(self: &Arc<Self>, ask: Ask, asker: Asker) {
        let conversation = match &ask.to {
            Target::New => self.clock.uuid(),
            Target::Existing { uuid, .. } => uuid.clone(),
        };
        let mut live = self.live();
        match live.enter(&conversation, &ask, self.limits.turns_max) {
            Err(error) => {
                drop(live);
                (asker.answer)(Err(error.into()));
            }
            Ok(Entrance::Behind) => live.wait(&conversation, ask, asker),
            Ok(Entrance::Instant) => {
                drop(live);
                let feed = asker.listener.map(Feed::heard_by);
                let place = InstantPlace {
                    turns: self,
                    conversation: &conversation,
                };
                let outcome = self.run_instant(&conversation, &ask, feed.as_ref());
                drop(place);
                if let Some(feed) = feed {
                    self.tell_end(&feed, &ask, &outcome);
                }
                (asker.answer)(outcome);
            }
            Ok(Entrance::Turn(running)) => {
                drop(live);
                self.spawn(Place::new(self, conversation, running), ask, asker);
            }
        }
    }

    /// How many replies are being written, on threads of their own.
    pub fn running(&self) -> usize {
        self.live().turns()
    }

    /// Stores what there is of a reply. Among many it waits for others to be stored with: replies take seconds.
    fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if self.running() < MANY_TURNS {
            self.store.write(work)
        } else {
            self.store.write_in_company(work)
        }
    }

    /// Lets somebody listen to the reply that is being written in a conversation. Gives the listener back when there is
    /// none, or another one than it has a part of.
    ///
    /// # Errors
    /// The listener.
    pub fn attach(&self, conversation_id: i64, listener: Box<dyn Listen>, from: Since) -> Result<(), Box<dyn Listen>> {
        let running = self.live().running(conversation_id).cloned();
        match running {
            Some(running) => running.feed.attach(listener, from),
            None => Err(listener),
        }
    }

    /// Ends the reply that is being written in a conversation, if there is one.
    pub fn stop(&self, conversation_id: i64) {
        if let Some(running) = self.live().running(conversation_id) {
            running.stop.stop();
        }
    }

    /// The same for somebody who wants to know what came of it. Gives the listener back when no reply is being written.
    ///
    /// # Errors
    /// The listener.
    pub fn stop_for(&self, conversation_id: i64, listener: Box<dyn Listen>) -> Result<(), Box<dyn Listen>> {
        let Some(running) = self.live().running(conversation_id).cloned() else {
            return Err(listener);
        };
        running.feed.attach(listener, Since::Now)?;
        running.stop.stop();
        Ok(())
    }

    /// Ends every reply that is being written to a user, who may no longer be here; what has come is kept. What waits
    /// behind them is refused.
    pub fn stop_user(&self, user_id: i64) {
        // Not under the lock: whoever is answered may have a word to say.
        let refused = self.live().stop_user(user_id);
        for asker in refused {
            let error = Error::new(Kind::Unauthenticated, "Could not validate credentials");
            (asker.answer)(Err(error.into()));
        }
    }

    /// Ends every reply that is being written; what has come is kept as interrupted.
    pub fn stop_all(&self) {
        self.live().stop_all();
        self.moved.notify_all();
    }

    /// [`stop_all`](Turns::stop_all), and waits for a moment until what has come is stored.
    pub fn close(&self) {
        self.stop_all();
        let live = self.live();
        let since = live.stopping_since().unwrap_or_else(Instant::now);
        let left = (since + SAVE_MAX_STOPPING).saturating_duration_since(Instant::now());
        let waited = self.moved.wait_timeout_while(live, left, |live| live.turns() > 0);
        let left = waited.unwrap_or_else(PoisonError::into_inner).0.turns();
        if left > 0 {
            log::warn!("{left} replies could not be stored before the server stopped");
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a turn on a thread of its own. If that does not come to be, nothing has been stored.
    fn spawn(&self, place: Place, ask: Ask, asker: Asker) {
        let started = self
            .threads
            .start((place, ask, asker), |(mut place, ask, asker)| place.run(ask, asker));
        if let Err(((place, _, asker), error)) = started {
            drop(place);
            (asker.answer)(Err(error.into()));
        }
    }

    /// Waits until a conversation's instant sends are stored; each is one commit, and no more can come.
    fn await_instants(&self, conversation: &str) {
        let has_instants = |live: &mut Live| live.has_instants(conversation);
        drop(self.moved.wait_while(self.live(), has_instants));
    }
}
