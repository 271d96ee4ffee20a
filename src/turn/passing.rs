//! Exchanges that are passed on and not kept: the sender brings the whole conversation along, the reply is handed over as
//! it comes, and nothing is stored but what it cost. Each is a turn without a question: it has a thread, and counts among
//! those that may be written at a time.
//!
//! Nobody can come back for such a reply, so unlike a turn that is kept it ends when its reader has left.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::live::Passing;
use super::{Ask, Fault, Turns, passages};
use crate::error::Error;
use crate::models::{Completion, Delta, Failure, FailureKind, Prompt, Stop, Usage, embeddings_usage};
use crate::store::{self, Allowance, Tx};

/// One who waits for an exchange. Called on the thread that it is run on.
pub trait Hear: Send {
    /// Takes a piece of the reply. Must not wait.
    fn hear(&mut self, delta: Delta<'_>);

    /// Is told how it ended.
    fn end(self: Box<Self>, outcome: Result<Completion, Fault>);
}

/// What is done with the answer to a request for vectors. Called once.
pub type Vectors = Box<dyn FnOnce(Result<Value, Fault>) + Send>;

/// A place among the turns. Given back when dropped.
struct PassingPlace {
    turns: Arc<Turns>,
    /// `None`: it takes none, since it waits for nothing.
    number: Option<u64>,
}

impl Drop for PassingPlace {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.turns.live().leave_passing(number);
            self.turns.moved.notify_all();
        }
    }
}

impl Turns {
    /// Asks the model of `ask` with its own prompt ([`Ask::prompt`]) and hands over what it says. `stop` ends it.
    pub fn pass(self: &Arc<Self>, ask: Ask, stop: Stop, mut listener: Box<dyn Hear>) {
        let is_instant = ask.choice.provider.instant();
        let bytes = ask.prompt.as_ref().map_or(0, size);
        let passing = Passing {
            user_id: ask.user.id,
            stop: stop.clone(),
            bytes,
        };
        let work = move |place: Result<PassingPlace, Error>| {
            let outcome = match place {
                Ok(place) => place.turns.run_passing(ask, &stop, &mut *listener),
                Err(error) => Err(error.into()),
            };
            listener.end(outcome);
        };
        if is_instant {
            work(Ok(PassingPlace {
                turns: Arc::clone(self),
                number: None,
            }));
        } else {
            self.aside(passing, work);
        }
    }

    /// Has the provider of `ask` turn texts into vectors. Question and answer are those of OpenAI's `/embeddings`.
    pub fn embed(self: &Arc<Self>, ask: Ask, body: Map<String, Value>, stop: Stop, answer: Vectors) {
        let passing = Passing {
            user_id: ask.user.id,
            stop: stop.clone(),
            bytes: map_bytes(&body),
        };
        self.aside(passing, move |place| {
            let outcome = match place {
                Ok(place) => place.turns.run_embedding(&ask, &body, &stop),
                Err(error) => Err(error.into()),
            };
            answer(outcome);
        });
    }

    fn run_passing(&self, mut ask: Ask, stop: &Stop, listener: &mut dyn Hear) -> Result<Completion, Fault> {
        self.count(&ask)?;
        let prompt = Prompt {
            model: ask.choice.model.clone(),
            library: passages::look_up(&self.store, &ask)?,
            ..ask.prompt.take().unwrap_or_default()
        };
        let mut chars = 0;
        let outcome = ask.choice.provider.complete(&prompt, stop, &mut |delta| {
            chars += delta.chars();
            listener.hear(delta);
        });
        match &outcome {
            Ok(completion) => self.account(&ask, None, completion),
            Err(failure) => {
                if let Some(spent) = spent(&ask, failure, &prompt, chars) {
                    self.account(&ask, None, &spent);
                }
            }
        }
        outcome.map_err(Fault::Model)
    }

    fn run_embedding(&self, ask: &Ask, body: &Map<String, Value>, stop: &Stop) -> Result<Value, Fault> {
        self.count(ask)?;
        match ask.choice.provider.embed(body, stop) {
            Ok((answer, completion)) => {
                self.account(ask, None, &completion);
                Ok(answer)
            }
            Err(failure) => {
                if failure.kind == FailureKind::Stopped {
                    self.account(ask, None, &broken_off(ask, &failure, embeddings_usage(body)));
                }
                Err(Fault::Model(failure))
            }
        }
    }

    /// Counts an exchange as a message. Its sender waits for that only where it may be one too many.
    fn count(&self, ask: &Ask) -> Result<(), Error> {
        let (user_id, allowance, now) = (ask.user.id, ask.admission.allowance, self.clock.now());
        let count = move |tx: &Tx<'_>| store::count_message(tx, user_id, allowance, now);
        if allowance != Allowance::default() {
            return self.store.write(count);
        }
        self.store.write_later(count);
        Ok(())
    }

    /// Accounts for an exchange, and for the message that it wrote if that is still there. A store in trouble must not cost
    /// the reply, which is there.
    pub(super) fn account(&self, ask: &Ask, message_id: Option<i64>, completion: &Completion) {
        let usage = self.usage(ask, completion, &self.clock.now().text());
        let stored = self.store.write(move |tx| store::insert_usage(tx, message_id, &usage));
        if let Err(error) = stored {
            log::warn!("an exchange was not accounted for: {error}");
        }
    }

    /// Does `work` with a place among the turns, on a thread of its own; or tells it why not.
    fn aside(self: &Arc<Self>, passing: Passing, work: impl FnOnce(Result<PassingPlace, Error>) + Send + 'static) {
        // Not in the `match`, which would go on under the lock.
        let entered = self.live().enter_passing(passing, self.limits.turns_max);
        let number = match entered {
            Ok(number) => Some(number),
            Err(error) => return work(Err(error)),
        };
        let turns = Arc::clone(self);
        let place = PassingPlace { turns, number };
        let started = self.threads.start((place, work), |(place, work)| work(Ok(place)));
        if let Err(((place, work), error)) = started {
            drop(place);
            work(Err(error));
        }
    }
}

/// What an exchange cost that ended too early. What has come is paid for, and so is the question of one that was stopped, or
/// a key that always hangs up would have no budget; a model that failed before its first word is not.
pub(super) fn spent(ask: &Ask, failure: &Failure, prompt: &Prompt, chars: u64) -> Option<Completion> {
    let has_cost = chars > 0 || failure.kind == FailureKind::Stopped;
    has_cost.then(|| broken_off(ask, failure, Usage::estimate(prompt, chars)))
}

/// What is paid for without a whole reply, to whoever ran.
fn broken_off(ask: &Ask, failure: &Failure, usage: Usage) -> Completion {
    let (provider, model) = match &failure.ran {
        Some(ran) => (ran.provider.as_str(), ran.model.as_str()),
        None => (ask.choice.provider.name(), ask.choice.model.as_str()),
    };
    Completion {
        provider: provider.to_owned(),
        model: model.to_owned(),
        finish_reason: None,
        usage,
    }
}

/// Bytes that a prompt keeps in memory until its reply has ended.
pub(super) fn size(prompt: &Prompt) -> usize {
    let messages = prompt.messages.iter().map(|message| {
        let images = message.images.iter().map(|image| image.size).sum::<u64>();
        let calls = message
            .tool_calls
            .iter()
            .map(|call| call.arguments.len())
            .sum::<usize>();
        message.content.len() + calls + usize::try_from(images).unwrap_or(usize::MAX)
    });
    messages.sum::<usize>() + prompt.tools.iter().map(value_bytes).sum::<usize>() + map_bytes(&prompt.options)
}

fn map_bytes(map: &Map<String, Value>) -> usize {
    map.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

/// What a value takes up, roughly: a number is as large as an empty text.
fn value_bytes(value: &Value) -> usize {
    let within = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(value_bytes).sum(),
        Value::Object(map) => map_bytes(map),
    };
    size_of::<Value>() + within
}
