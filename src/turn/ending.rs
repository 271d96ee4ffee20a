//! How a turn has ended: who is told of it, what went wrong, and what it cost.

use super::feed::Feed;
use super::opening::Question;
use super::{Ask, Done, Ended, Fault, Heard, Turns};
use crate::error::{Error, Kind};
use crate::models::{Completion, Usage};
use crate::pricing::Tokens;
use crate::store::{self, NewUsage, Ref, Scope, State};

impl Turns {
    /// Tells those who read along how a turn has ended, and lets them go. What is stored decides: a reply that was stopped
    /// is one, as far as it came.
    pub(super) fn tell_end(&self, feed: &Feed, ask: &Ask, outcome: &Result<Done, Fault>) {
        let listeners = feed.end();
        if listeners.is_empty() {
            return;
        }
        let at = feed.position();
        let ended = feed.start().map(|start| {
            self.find_ended(ask.user.id, start.response_message_id)
                .map_err(Fault::Kept)
        });
        let heard = match (outcome, &ended) {
            (_, Some(Ok(ended))) if is_kept(ended.message.state) => Heard::Done(ended),
            (Err(fault), _) => Heard::Failed(fault),
            // It ended well, and cannot be read now: whoever listens learns at least that nothing more comes.
            (Ok(_), Some(Err(fault @ Fault::Kept(error)))) if error.kind() != Kind::NotFound => Heard::Failed(fault),
            // It ended well, and is gone by now.
            (Ok(_), _) => return,
        };
        for mut listener in listeners {
            listener.hear(&heard, at);
        }
    }

    /// A reply that has ended, as those who read along are told of it.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn find_ended(&self, user_id: i64, message_id: i64) -> Result<Ended, Error> {
        self.store.read(|read| {
            let (message, chat_id) = store::find_message(read, user_id, &Ref::Id(message_id))?;
            let usage = store::list_usage(read, &[message.id])?;
            Ok(Ended {
                message,
                chat_id,
                usage,
            })
        })
    }

    /// What went wrong once the question was stored. A conversation that was deleted meanwhile is why the reply was
    /// stopped or found no place, and what its sender is told.
    pub(super) fn after_commit(&self, fault: Fault, ask: &Ask, question: &Question) -> Fault {
        let which = Ref::Id(question.conversation_id);
        let found = self
            .store
            .read(|read| store::find_conversation(read, ask.user.id, &which));
        match (found, fault) {
            (Err(error), _) if error.kind() == Kind::NotFound => Fault::Store(error),
            // If the store does not say, the fault itself is the better answer.
            (_, Fault::Store(error)) => Fault::Kept(error),
            (_, fault) => fault,
        }
    }

    /// What a completed reply cost.
    pub(super) fn usage(&self, ask: &Ask, completion: &Completion, now: &str) -> NewUsage {
        let Usage {
            input_tokens,
            output_tokens,
            cached_tokens,
            estimated,
        } = completion.usage;
        // OpenAI, and all that speak its protocol, count the cached tokens in `prompt_tokens` and say again how many they
        // were (https://platform.openai.com/docs/guides/prompt-caching): in a row they stand once, or they would be
        // paid for twice.
        let cached_tokens = cached_tokens.min(input_tokens);
        let input_tokens = input_tokens - cached_tokens;
        let tokens = Tokens {
            input: input_tokens,
            cached: cached_tokens,
            output: output_tokens,
        };
        NewUsage {
            user_id: ask.user.id,
            api_key: ask.admission.api_key,
            scope: Scope::Final,
            model: completion.model.clone(),
            input_tokens,
            output_tokens,
            cached_tokens,
            is_estimated: estimated,
            price: self.pricing.price(&completion.provider, &completion.model, tokens),
            created_at: now.to_owned(),
        }
    }
}

/// Whether a reply in this state is one that somebody may be shown as such: whole, or ended on purpose.
pub fn is_kept(state: State) -> bool {
    match state {
        State::Complete | State::Interrupted | State::Stopped => true,
        State::Streaming | State::Failed => false,
    }
}
