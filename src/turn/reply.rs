//! A reply while it is written: saved as it comes, and at its end again and again until the store takes it.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::feed::{Feed, Position, Said};
use super::live::Live;
use super::opening::Question;
use super::{Ask, Event, Turns, summary};
use crate::error::{Error, Kind};
use crate::models::{Completion, Delta, Failure, FailureKind, ToolCall};
use crate::store::{self, NewMessage, State, Tx};

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
    /// What has come, and who is told of it.
    pub(super) feed: &'t Feed,
    pub(super) saved: Instant,
    /// What the model has written in this turn, in characters.
    pub(super) chars: u64,
    /// The model that failed, where it is another than the one that was asked.
    pub(super) ran: Option<String>,
    pub(super) has_ended: bool,
}

/// A reply that nobody has ended (its model panicked, or its end could not be stored) must not seem to be written for ever.
impl Drop for Reply<'_> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let ended = if self.is_nothing() {
            let id = self.question.reply_id;
            self.turns.store.write(move |tx| store::withdraw_reply(tx, id))
        } else {
            self.save(State::Failed, Some("The reply broke off".to_owned()), None)
        };
        if let Err(error) = ended {
            log::error!("a reply is marked as being written until the server starts again: {error}");
        }
    }
}

impl Reply<'_> {
    pub(super) fn take(&mut self, delta: Delta<'_>) {
        self.feed.take(delta);
        self.chars += delta.chars();
        if let Delta::Text(piece) = delta {
            self.turns.hub.publish(self.ask.user.id, None, || Event::Delta {
                chat_id: self.question.conversation_uuid.clone(),
                message_id: self.question.reply_uuid.clone(),
                text: piece.to_owned(),
            });
        }
        if self.saved.elapsed() >= SAVE_EVERY {
            self.saved = Instant::now();
            // A failed save is tried again in a moment, and the last one decides.
            if let Err(error) = self.save_partial() {
                log::warn!("a reply was not saved while it is written: {error}");
            }
        }
    }

    /// Stores the reply so far.
    fn save_partial(&self) -> Result<(), Error> {
        let (id, said) = (self.question.reply_id, self.feed.said());
        self.turns.write(move |tx| {
            store::save_partial(tx, id, &said.text)?;
            save_thoughts(tx, id, &said)
        })
    }

    /// Stores the reply as it has ended, and what it cost.
    pub(super) fn save(
        &self,
        state: State,
        error: Option<String>,
        completion: Option<&Completion>,
    ) -> Result<(), Error> {
        let now = self.turns.clock.now().text();
        let said = self.feed.said();
        let message = NewMessage {
            content: said.text.clone(),
            state,
            model: completion
                .map(|completion| completion.model.clone())
                .or_else(|| self.ran.clone())
                .or_else(|| self.ask.model()),
            error,
            created_at: now.clone(),
            conversation_id: self.question.conversation_id,
            ..self.turns.reply_row(self.ask, self.question.reply_uuid.clone())
        };
        let id = self.question.reply_id;
        let ended = completion.map(|completion| {
            let summary = summary::summarise(&self.ask.text, &said.text);
            (self.turns.usage(self.ask, completion, &now), summary)
        });
        self.turns.write(move |tx| {
            let is_news = store::finish_message(tx, id, &message)?;
            save_thoughts(tx, id, &said)?;
            if let Some((usage, summary)) = ended.as_ref().filter(|_| is_news) {
                store::insert_usage(tx, id, usage)?;
                store::summarise_conversation(tx, message.conversation_id, summary)?;
            }
            Ok(())
        })?;
        self.turns.announce(self.ask.user.id, id);
        Ok(())
    }

    pub(super) fn complete(&mut self, completion: &Completion) -> Result<(), Error> {
        let save = || self.save(State::Complete, None, Some(completion));
        self.turns.insist(save)?;
        self.has_ended = true;
        Ok(())
    }

    /// Keeps what had come. A reply that failed before its first word leaves no row: the question stands unanswered. One
    /// that was stopped, or interrupted, does: whoever stopped it is shown what came of it.
    /// [`Kind::NotFound`] when the reply is not there any more.
    pub(super) fn fail(&mut self, failure: &Failure, is_server_stopping: bool) -> Result<(), Error> {
        let state = match failure.kind {
            FailureKind::Stopped if is_server_stopping => State::Interrupted,
            FailureKind::Stopped => State::Stopped,
            _ => State::Failed,
        };
        if state == State::Failed && self.is_nothing() {
            return self.withdraw();
        }
        self.ran = failure.ran.as_ref().map(|ran| ran.model.clone());
        let save = || self.save(state, Some(failure.message.clone()), None);
        self.turns.insist(save)?;
        self.has_ended = true;
        Ok(())
    }

    /// Whether nothing has come of the reply, in this turn or before it.
    fn is_nothing(&self) -> bool {
        self.question.partial.is_none() && self.feed.position() == Position::default()
    }

    /// Ends a reply for which the model was not even asked: it is as it was before.
    pub(super) fn give_up(&mut self) -> Result<(), Error> {
        match &self.question.partial {
            None => self.withdraw(),
            Some(partial) => {
                let save = || self.save(partial.state, partial.error.clone(), None);
                self.turns.insist(save)?;
                self.has_ended = true;
                Ok(())
            }
        }
    }

    /// Leaves no row of a reply of which nothing came.
    pub(super) fn withdraw(&mut self) -> Result<(), Error> {
        let id = self.question.reply_id;
        let withdraw = || self.turns.store.write(move |tx| store::withdraw_reply(tx, id));
        self.turns.insist(withdraw)?;
        self.has_ended = true;
        Ok(())
    }
}

/// Stores what came besides the text, if anything did.
fn save_thoughts(tx: &Tx<'_>, id: i64, said: &Said) -> Result<(), Error> {
    if said.reasoning.is_empty() && said.tools.is_empty() {
        return Ok(());
    }
    let reasoning = Some(said.reasoning.as_str()).filter(|text| !text.is_empty());
    let tool_calls = (!said.tools.is_empty()).then(|| tool_calls_json(&said.tools).to_string());
    store::save_thoughts(tx, id, reasoning, tool_calls.as_deref())
}

/// Calls of tools as they are stored and shown: `[{id, name, arguments, result}]`. Arguments that are no JSON stay the text
/// that the model wrote.
pub fn tool_calls_json(calls: &[ToolCall]) -> Value {
    let calls = calls.iter();
    let calls = calls
        .map(|call| json!({ "id": call.id, "name": call.name, "arguments": arguments_json(call), "result": null }));
    Value::Array(calls.collect())
}

/// What a tool is called with, as JSON.
pub fn arguments_json(call: &ToolCall) -> Value {
    serde_json::from_str(&call.arguments).unwrap_or_else(|_| Value::from(call.arguments.as_str()))
}

/// The calls of tools that are stored.
pub fn parse_tool_calls(stored: Option<&str>) -> Vec<ToolCall> {
    let calls: Vec<Value> = stored
        .and_then(|calls| serde_json::from_str(calls).ok())
        .unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let calls = calls.iter().map(|call| ToolCall {
        id: text(&call["id"]),
        name: text(&call["name"]),
        arguments: text(&call["arguments"]),
    });
    calls.collect()
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
