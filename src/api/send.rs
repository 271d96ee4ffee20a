//! Sending a message, which every family does in its own form and words: a turn begins, and is answered when it ends.

use super::{Ctx, fault, unknown_model};
use crate::error::{Error, Kind};
use crate::http::{Later, Typed};
use crate::models::Choice;
use crate::store::Conversation;
use crate::turn::{Ask, Done};

/// What a family says when there is no reply.
pub(super) struct Words {
    /// The model as it was asked for, where these clients may name one.
    pub(super) requested: Option<String>,
    /// That the conversation is not there: it was deleted after it was found, or made.
    pub(super) missing: String,
}

/// Who replies: the model that was asked for, else the conversation's own, else the server's default. One that the
/// conversation had chosen and nobody serves any more is not replaced: what is said to a model on one's own machine is
/// not for the next best provider.
///
/// # Errors
/// [`Kind::Invalid`] when nobody serves it.
pub(super) fn choose(ctx: &Ctx, requested: Option<&str>, conversation: Option<&Conversation>) -> Result<Choice, Error> {
    let requested = requested.filter(|name| !name.trim().is_empty());
    let name = requested.or_else(|| conversation?.model.as_deref());
    let choice = ctx.app.models.resolve(name);
    choice.map_err(|_| unknown_model(name.unwrap_or("")))
}

/// Begins a turn with what was asked, if that can be, and answers with the `view` of what came of it.
pub(super) fn send<T: 'static>(
    ctx: &Ctx,
    asked: Result<Ask, Error>,
    words: Words,
    view: impl FnOnce(Done) -> Result<Typed<T>, Error> + Send + 'static,
    respond: Later<Typed<T>>,
) {
    let ask = match asked {
        Ok(ask) => ask,
        Err(error) => return respond.send(Err(error)),
    };
    ctx.app.turns.begin(
        ask,
        Box::new(move |outcome| {
            let outcome = outcome.map_err(|problem| fault(problem, words.requested.as_deref()));
            respond.send(outcome.and_then(view).map_err(|error| match error.kind() {
                Kind::NotFound => Error::new(Kind::NotFound, words.missing),
                _ => error,
            }));
        }),
    );
}
