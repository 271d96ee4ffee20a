//! An exchange that is kept: the last of what the user says is stored in a conversation, and the reply to it, which is
//! read here while it is written. It goes on when its reader has left, as every turn that is kept does.

use std::sync::{Arc, Mutex, PoisonError};

use super::outlet::Outlet;
use crate::models::{Completion, Delta, Usage};
use crate::turn::{Answer, Ended, Fault, Hear as _, Heard, Listen, Position};

/// A reader of a turn, and the one who answers when there is nothing to read. Whoever is first to know the end takes the
/// outlet.
#[derive(Clone)]
struct Reader(Arc<Mutex<Option<Box<Outlet>>>>);

/// The two ends of a turn that goes to this outlet.
pub(super) fn ends(outlet: Outlet) -> (Box<dyn Listen>, Answer) {
    let reader = Reader(Arc::new(Mutex::new(Some(Box::new(outlet)))));
    let listener = Box::new(reader.clone());
    let answer = Box::new(move |outcome: Result<_, _>| match outcome {
        Ok(_) => reader.end(Ok(completion(None))),
        Err(fault) => reader.end(Err(fault)),
    });
    (listener, answer)
}

impl Reader {
    fn end(&self, outcome: Result<Completion, Fault>) {
        let outlet = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(outlet) = outlet {
            outlet.end(outcome);
        }
    }

    fn tell(&self, delta: Delta<'_>) -> bool {
        let mut outlet = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outlet.as_mut() {
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
                let mut outlet = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(outlet) = outlet.as_mut() {
                    outlet.keep_in(&start.conversation_uuid);
                }
                true
            }
            Heard::Text(piece) => self.tell(Delta::Text(piece)),
            Heard::Reasoning(piece) => self.tell(Delta::Reasoning(piece)),
            Heard::Tool(call) => self.tell(Delta::Tool(call)),
            Heard::Done(ended) => {
                self.end(Ok(completion(Some(ended))));
                false
            }
            // The other end has the fault itself.
            Heard::Failed(_) => false,
        }
    }
}

/// How a stored reply ended. The provider's own word for why is not stored.
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
