//! Sending a message, which every family does in its own form and words: a turn begins, and is answered when it ends, or
//! while it is written to those who ask for that.

use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;

use super::blocks;
use super::html::Html;
use super::seat::Seat;
use super::session::refused;
use super::stream::Line;
use super::{Ctx, fault, unknown_model};
use crate::error::{Error, Kind};
use crate::http::{Either, EventStream, Later, Media, Reply, Request, TextStream, Typed};
use crate::models::Choice;
use crate::store::Conversation;
use crate::turn::{Ask, Done, Notice, Position, Subscriber};

/// Seconds after which one of those who wait for the same user may have their reply.
const TOO_MANY_RETRY_S: u32 = 5;

/// What a send route answers: the family's own object, or the reply as it comes.
pub(super) type Sent<T> = Either<Typed<T>, Either<EventStream, TextStream>>;

/// What every send route reads from its query.
#[derive(Deserialize, JsonSchema)]
pub(super) struct SendQuery {
    /// Whether the reply comes as server-sent events while it is written; without it, as `Accept` says.
    #[serde(default)]
    stream: Option<bool>,
    /// The same as `queue` in the body.
    #[serde(default)]
    queue: Option<bool>,
    /// Message objects carry `html`, and streams send `block` events beside `delta`: the reply's top-level blocks as HTML.
    #[serde(default)]
    #[schemars(with = "bool")]
    pub(super) html: Html,
}

impl SendQuery {
    /// Whether the message waits for a reply that is being written.
    pub(super) fn queue(&self, of_body: Option<bool>) -> bool {
        self.queue.or(of_body).unwrap_or(false)
    }

    /// How the caller wants to have the reply: as a whole (`None`), or while it is written.
    pub(super) fn media(&self, request: &Request) -> Option<Media> {
        match self.stream {
            Some(true) => Some(Media::Events),
            Some(false) => None,
            None => accepted(request.headers("Accept")),
        }
    }
}

/// What a list of media types asks for: the first of the best that there is. Many clients write `application/json,
/// text/plain, */*` and mean the first of these.
fn accepted<'r>(fields: impl Iterator<Item = &'r str>) -> Option<Media> {
    let mut best = (0.0, None);
    for word in fields.flat_map(|field| field.split(',')) {
        let (name, parameters) = word.split_once(';').unwrap_or((word, ""));
        let media = match name.trim().to_ascii_lowercase().as_str() {
            "text/event-stream" => Some(Media::Events),
            "text/plain" => Some(Media::Text),
            "application/json" | "application/*" | "*/*" => None,
            _ => continue,
        };
        let parameters = parameters.split(';').map(str::trim);
        let weight = parameters.filter_map(|parameter| parameter.strip_prefix("q=")).next();
        let weight: f64 = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        if weight > best.0 {
            best = (weight, media);
        }
    }
    best.1
}

/// What a family says when there is no reply, and how it is read.
pub(super) struct Words {
    /// The model as it was asked for, where these clients may name one.
    pub(super) requested: Option<String>,
    /// That the conversation is not there: it was deleted after it was found, or made.
    pub(super) missing: String,
    /// How the reply is read while it is written, if it is.
    pub(super) media: Option<Media>,
    /// Whether it is read as HTML, too.
    pub(super) html: Html,
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
    respond: Later<Sent<T>>,
) {
    send_later(ctx, asked, words, |done, answer| answer(view(done)), respond);
}

/// What a view that takes its time hands its answer to.
pub(super) type Answer<T> = Box<dyn FnOnce(Result<Typed<T>, Error>) + Send>;

/// The same with a view that takes its time.
pub(super) fn send_later<T: 'static>(
    ctx: &Ctx,
    asked: Result<Ask, Error>,
    words: Words,
    view: impl FnOnce(Done, Answer<T>) + Send + 'static,
    respond: Later<Sent<T>>,
) {
    let ask = match asked {
        Ok(ask) => ask,
        Err(error) => return respond.send(Err(error)),
    };
    let turns = &ctx.app.turns;
    let Some(media) = words.media else {
        let Some((seat, waiter)) = Waiter::new(ctx, respond) else {
            return;
        };
        let answer = move |outcome: Result<Done, _>| {
            let answer = move |answer: Result<Typed<T>, Error>| {
                waiter.answer(answer.map(Either::This).map_err(|error| in_words(error, words.missing)));
                drop(seat);
            };
            match outcome {
                Ok(done) => view(done, Box::new(answer)),
                Err(problem) => answer(Err(fault(problem, words.requested.as_deref()))),
            }
        };
        return turns.begin(ask, Box::new(answer));
    };
    let Some(line) = Line::new(ctx, media, respond) else {
        return;
    };
    let reader = blocks::reader(&line, words.html, 0, Position::default());
    let answer = move |outcome: Result<Done, _>| {
        if let Err(problem) = outcome {
            let error = fault(problem, words.requested.as_deref());
            line.answer(Err(in_words(error, words.missing)));
        }
        // Not earlier: what it holds is needed until the turn has ended.
        drop(view);
    };
    turns.stream(ask, reader, Box::new(answer));
}

/// Somebody who waits for a whole reply, on behalf of a session: once that has ended they are told so, and hear nothing of
/// the reply. It is written to its end all the same.
struct Waiter<A>(Mutex<Option<Later<A>>>);

impl<A: Into<Reply> + Send + 'static> Waiter<A> {
    /// The caller, for as long as the seat is held. `None` when there is none left: the caller was told.
    fn new(ctx: &Ctx, respond: Later<A>) -> Option<(Seat, Arc<Waiter<A>>)> {
        let taken = ctx
            .caller()
            .and_then(|caller| Ok((caller, Seat::take(&ctx.app, caller, TOO_MANY_RETRY_S)?)));
        let (caller, seat) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                respond.send(Err(error));
                return None;
            }
        };
        let waiter = Arc::new(Waiter(Mutex::new(Some(respond))));
        seat.watch(caller, Arc::clone(&waiter) as Arc<dyn Subscriber>);
        Some((seat, waiter))
    }

    /// Answers, unless that was done already.
    fn answer(&self, answer: Result<A, Error>) {
        let respond = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(respond) = respond {
            respond.send(answer);
        }
    }
}

impl<A: Into<Reply> + Send + 'static> Subscriber for Waiter<A> {
    fn notify(&self, _: &Notice) {}

    fn dismiss(&self) {
        self.answer(Err(refused()));
    }
}

fn in_words(error: Error, missing: String) -> Error {
    match error.kind() {
        Kind::NotFound => Error::new(Kind::NotFound, missing),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_best_is_meant() {
        use Media::{Events, Text};
        for (accept, wanted) in [
            ("", None),
            ("*/*", None),
            ("application/json", None),
            ("application/json, text/plain, */*", None),
            ("text/html,application/xhtml+xml,*/*;q=0.8", None),
            ("text/event-stream", Some(Events)),
            ("Text/Event-Stream; charset=utf-8", Some(Events)),
            ("text/event-stream, application/json", Some(Events)),
            ("application/json;q=0.5, text/event-stream", Some(Events)),
            ("application/json, text/event-stream", None),
            ("text/event-stream;q=0", None),
            ("text/plain", Some(Text)),
            ("text/plain, */*", Some(Text)),
            ("text/plain;q=0.9, text/event-stream", Some(Events)),
            ("text/plain;q=high", None),
        ] {
            assert_eq!(accepted([accept].into_iter()), wanted, "{accept}");
        }
    }
}
