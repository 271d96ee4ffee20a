//! A reply while it is written: saved as it comes, and at its end again and again until the store takes it.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::live::Live;
use super::{Ask, Event, Question, Turns, summary};
use crate::error::{Error, Kind};
use crate::models::{Completion, Delta, Failure, FailureKind};
use crate::store::{self, MessageDetails, NewMessage, Role, State};

/// How often the reply so far is saved. More often costs a commit each, less often loses more to a power cut.
const SAVE_EVERY: Duration = Duration::from_millis(250);

/// How long the end of a reply is saved again and again before it is given up. A client that has waited for the reply
/// waits as long; a disk that was full for longer needs a person.
pub(super) const SAVE_MAX: Duration = Duration::from_secs(60);

/// The same once the server stops, which it must do within seconds.
pub(super) const SAVE_MAX_STOPPING: Duration = Duration::from_secs(2);

/// The first pause between two of those saves; each further one is twice as long.
const SAVE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The longest of those pauses: a client learns soon after the trouble is over.
const SAVE_AGAIN_AFTER_MAX: Duration = Duration::from_secs(2);

/// A reply while it is written.
pub(super) struct Reply<'t> {
    pub(super) turns: &'t Turns,
    pub(super) ask: &'t Ask,
    pub(super) question: &'t Question,
    /// Chosen before the first save: one whose outcome is not known is found again by it, and those who read along
    /// know it by then.
    pub(super) uuid: String,
    pub(super) text: String,
    /// The stored row, once there is one.
    pub(super) row: Option<i64>,
    pub(super) saved: Instant,
}

impl Reply<'_> {
    pub(super) fn take(&mut self, delta: Delta<'_>) {
        if let Delta::Text(piece) = delta {
            self.text.push_str(piece);
            self.turns.hub.publish(self.ask.user.id, None, || Event::Delta {
                chat_id: self.question.conversation_uuid.clone(),
                message_id: self.uuid.clone(),
                text: piece.to_owned(),
            });
        }
        if self.saved.elapsed() >= SAVE_EVERY && !self.text.is_empty() {
            self.saved = Instant::now();
            // A failed save is tried again in a moment, and the last one decides.
            match self.save(State::Streaming, None, None) {
                Ok(id) => self.row = Some(id),
                Err(error) => log::warn!("a reply was not saved while it is written: {error}"),
            }
        }
    }

    /// Stores the reply so far, and at its end what it cost.
    pub(super) fn save(
        &self,
        state: State,
        error: Option<String>,
        completion: Option<&Completion>,
    ) -> Result<i64, Error> {
        let now = self.turns.clock.now().text();
        let message = NewMessage {
            uuid: self.uuid.clone(),
            conversation_id: self.question.conversation_id,
            user_id: self.ask.user.id,
            role: Role::Assistant,
            content: self.text.clone(),
            state,
            // The name it was asked by may be empty (the server's own default); what ran has a name.
            model: completion
                .map(|completion| &completion.model)
                .or(Some(&self.ask.choice.model))
                .filter(|name| !name.is_empty())
                .cloned(),
            error,
            created_at: now.clone(),
            details: MessageDetails::default(),
        };
        let (row, parent) = (self.row, self.question.message_id);
        let ended = completion.map(|completion| {
            let summary = summary::summarise(&self.ask.text, &self.text);
            (self.turns.usage(self.ask, completion, &now), summary)
        });
        let id = self.turns.store.write(move |tx| {
            let row = match row {
                Some(id) => Some(id),
                None => store::find_message_id(tx, &message.uuid)?,
            };
            let (id, is_news) = match row {
                None => (store::insert_message(tx, &message, Some(parent), None)?, true),
                Some(id) if message.state == State::Streaming => {
                    store::save_partial(tx, id, &message.content)?;
                    (id, true)
                }
                Some(id) => (id, store::finish_message(tx, id, &message)?),
            };
            if let Some((usage, summary)) = ended.as_ref().filter(|_| is_news) {
                store::insert_usage(tx, id, usage)?;
                store::summarise_conversation(tx, message.conversation_id, summary)?;
            }
            Ok(id)
        })?;
        if state != State::Streaming {
            self.turns.announce(self.ask.user.id, id);
        }
        Ok(id)
    }

    pub(super) fn complete(&self, completion: &Completion) -> Result<i64, Error> {
        self.turns.insist(|| self.save(State::Complete, None, Some(completion)))
    }

    /// Keeps what had come. A reply of which nothing came leaves no row: the question stands unanswered.
    /// [`Kind::NotFound`] when the conversation was deleted before anything was kept.
    pub(super) fn fail(&self, failure: &Failure, is_server_stopping: bool) -> Result<(), Error> {
        if self.text.is_empty() {
            return Ok(());
        }
        let state = match failure.kind {
            FailureKind::Stopped if is_server_stopping => State::Interrupted,
            FailureKind::Stopped => State::Stopped,
            _ => State::Failed,
        };
        let save = || self.save(state, Some(failure.message.clone()), None);
        self.turns.insist(save).map(drop)
    }
}

/// Whether the same save may succeed later.
fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unavailable | Kind::StorageFull)
}

impl Turns {
    /// Runs `save`, again and again while the store is in trouble: a reply that somebody waits for (and pays for) is
    /// not thrown away because the disk is full, or the database locked, at the moment when it ends.
    fn insist<T>(&self, save: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        let since = Instant::now();
        let mut pause = SAVE_AGAIN_AFTER;
        loop {
            match save() {
                Err(error) if is_passing(&error) && self.pause(since, pause) => {
                    log::warn!("a reply is not stored yet: {error}");
                    pause = (pause * 2).min(SAVE_AGAIN_AFTER_MAX);
                }
                outcome => return outcome,
            }
        }
    }

    /// Waits before a save is tried again, less when the server begins to stop; false when there is no time left.
    fn pause(&self, since: Instant, pause: Duration) -> bool {
        let left = |live: &Live| {
            let ends = since + SAVE_MAX;
            let ends = live
                .stopping_since()
                .map_or(ends, |stopping| ends.min(stopping + SAVE_MAX_STOPPING));
            ends.saturating_duration_since(Instant::now())
        };
        let live = self.live();
        let (pause, was_stopping) = (pause.min(left(&live)), live.is_stopping());
        let is_same = |live: &mut Live| live.is_stopping() == was_stopping;
        let waited = self.moved.wait_timeout_while(live, pause, is_same);
        !left(&waited.unwrap_or_else(PoisonError::into_inner).0).is_zero()
    }
}
