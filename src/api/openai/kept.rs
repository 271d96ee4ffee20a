//! An exchange that is kept: the last of what the user says is stored in a conversation, and the reply to it, which is
//! read here while it is written. It goes on when its reader has left, as every turn that is kept does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::outlet::Outlet;
use crate::models::{Completion, Delta, Usage};
use crate::turn::{Answer, Done, Ended, Fault, Hear as _, Heard, Listen, Position};

/// A reader of a turn, and the one who is told its end: what it cost is known to the first, how it ended to the other.
#[derive(Clone)]
struct Reader(Arc<Mutex<Reading>>);

struct Reading {
    /// Until the end.
    outlet: Option<Box<Outlet>>,
    /// What the reply cost, once it is stored.
    completion: Completion,
}

/// The two ends of a turn that goes to this outlet.
pub(super) fn ends(outlet: Outlet) -> (Box<dyn Listen>, Answer) {
    let reader = Reader(Arc::new(Mutex::new(Reading {
        outlet: Some(Box::new(outlet)),
        completion: completion(None),
    })));
    let listener = Box::new(reader.clone());
    let answer = Box::new(move |outcome: Result<Done, Fault>| reader.end(outcome));
    (listener, answer)
}

impl Reader {
    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reply that did not come to its end is none here, even if it is kept as far as it came.
    fn end(&self, outcome: Result<Done, Fault>) {
        let mut reading = self.lock();
        let (outlet, completion) = (reading.outlet.take(), reading.completion.clone());
        drop(reading);
        if let Some(outlet) = outlet {
            outlet.end(outcome.map(|done| Completion {
                finish_reason: done.finish_reason,
                ..completion
            }));
        }
    }

    fn tell(&self, delta: Delta<'_>) -> bool {
        match &mut self.lock().outlet {
            Some(outlet) => {
                outlet.hear(delta);
                !outlet.is_gone()
            }
            None => false,
        }
    }
}

impl Listen for Reader {
    fn hear(&mut self, heard: &Heard<'_>, _: Position) -> bool {
        match *heard {
            Heard::Start(start) => {
                if let Some(outlet) = &mut self.lock().outlet {
                    outlet.keep_in(&start.conversation_uuid);
                }
                true
            }
            Heard::Text(piece) => self.tell(Delta::Text(piece)),
            Heard::Reasoning(piece) => self.tell(Delta::Reasoning(piece)),
            Heard::Tool(call) => self.tell(Delta::Tool(call)),
            Heard::Done(ended) => {
                self.lock().completion = completion(Some(ended));
                false
            }
            // The other end is told how.
            Heard::Failed(_) => false,
        }
    }
}

/// What a stored reply cost. The provider's own word for why it ended is not stored.
fn completion(ended: Option<&Ended>) -> Completion {
    let details = ended.map_or(&[][..], |ended| &ended.usage);
    let sum = |count: fn(&crate::store::UsageDetail) -> i64| {
        let sum = details.iter().map(count).fold(0, i64::saturating_add);
        u64::try_from(sum).unwrap_or(0)
    };
    let cached_tokens = sum(|detail| detail.cached_tokens);
    Completion {
        provider: String::new(),
        model: ended.and_then(|ended| ended.message.model.clone()).unwrap_or_default(),
        finish_reason: None,
        usage: Usage {
            // In a row the cached ones stand once.
            input_tokens: sum(|detail| detail.input_tokens).saturating_add(cached_tokens),
            output_tokens: sum(|detail| detail.output_tokens),
            cached_tokens,
            estimated: details.iter().any(|detail| detail.is_estimated),
        },
    }
}
