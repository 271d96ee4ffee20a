//! What handlers answer when all is well, said by their types, so that the OpenAPI document can be read from their
//! signatures. What may go wrong is said by a route's facts (`router`).

use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::handshake::Handshake;
use super::inbox::Listen;
use super::push::{Media, Push};
use super::reply::Reply;
use super::respond::Responder;
use super::socket::Socket;
use crate::error::Error;

/// Makes a schema, or a reference to one that the generator keeps.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One way an endpoint answers.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub(super) status: u16,
    /// The media type; none without a body.
    pub(super) media: Option<&'static str>,
    /// The schema of a body that is JSON.
    pub(super) schema: Option<SchemaOf>,
}

impl Outcome {
    /// JSON in the form of `T`.
    pub fn json<T: JsonSchema>(status: u16) -> Outcome {
        Outcome {
            status,
            media: Some("application/json"),
            schema: Some(SchemaGenerator::subschema_for::<T>),
        }
    }

    /// A body of this media type.
    pub fn media(status: u16, media: &'static str) -> Outcome {
        Outcome {
            status,
            media: Some(media),
            schema: None,
        }
    }

    /// No body.
    pub fn empty(status: u16) -> Outcome {
        Outcome {
            status,
            media: None,
            schema: None,
        }
    }
}

/// A type that says how it answers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what it answers",
    note = "return `Typed<T>` for JSON, `Html`, `File` or `Empty`; to answer later take `Later<Typed<T>>`"
)]
pub trait Answer {
    /// Every outcome when all is well.
    fn outcomes() -> Vec<Outcome>;
}

/// A reply with JSON in the form of `T`, for handlers that add header fields. `T` may borrow: a handler's signature says
/// `Typed<View<'static>>`, and what it returns may live as short as it likes.
pub struct Typed<T, const STATUS: u16 = 200>(Reply, PhantomData<fn(T)>);

impl<T: Serialize, const STATUS: u16> Typed<T, STATUS> {
    /// The value as JSON.
    ///
    /// # Errors
    /// [`crate::error::Kind::Internal`] when it cannot be written as JSON.
    pub fn json(value: &T) -> Result<Self, Error> {
        Reply::json(STATUS, value).map(Self::made)
    }
}

impl<T, const STATUS: u16> Typed<T, STATUS> {
    /// A reply whose body has this form already.
    pub fn made(reply: Reply) -> Self {
        Typed(reply, PhantomData)
    }

    /// The same with something done to the reply: a header field more, another status.
    #[must_use]
    pub fn map(self, change: impl FnOnce(Reply) -> Reply) -> Self {
        Typed(change(self.0), PhantomData)
    }
}

impl<T, const STATUS: u16> From<Typed<T, STATUS>> for Reply {
    fn from(typed: Typed<T, STATUS>) -> Reply {
        typed.0
    }
}

impl<T: JsonSchema, const STATUS: u16> Answer for Typed<T, STATUS> {
    fn outcomes() -> Vec<Outcome> {
        vec![Outcome::json::<T>(STATUS)]
    }
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident $outcomes:expr;)*) => { $(
        $(#[$doc])*
        pub struct $name(pub Reply);

        impl From<$name> for Reply {
            fn from(body: $name) -> Reply {
                body.0
            }
        }

        impl Answer for $name {
            fn outcomes() -> Vec<Outcome> {
                $outcomes.into()
            }
        }
    )* };
}

bodies! {
    /// A page, unless the client has it already.
    Html [Outcome::media(200, "text/html"), Outcome::empty(304)];
    /// A file of any kind, unless the client has it already.
    File [Outcome::media(200, "*/*"), Outcome::empty(304)];
    /// What the client has already.
    Unchanged [Outcome::empty(304)];
    /// A file, or the part of it that was asked for.
    PartOfFile [
        Outcome::media(200, "*/*"),
        Outcome::media(206, "*/*"),
        Outcome::empty(304),
        Outcome::media(416, "application/json"),
    ];
    /// Another protocol from here on, if the client asks for it.
    Switched [Outcome::empty(101), Outcome::media(426, "application/json")];
    /// A file that was made for this request.
    Download [Outcome::media(200, "*/*")];
    /// Plain text.
    Text [Outcome::media(200, "text/plain")];
    /// Nothing but header fields.
    Empty [Outcome::empty(204)];
    /// Server-sent events.
    EventStream [Outcome::media(200, "text/event-stream")];
    /// Text as it comes.
    TextStream [Outcome::media(200, "text/plain")];
}

/// One of two answers, by what the client asks for.
pub enum Either<A, B> {
    /// The one.
    This(A),
    /// The other.
    That(B),
}

impl<A: Into<Reply>, B: Into<Reply>> From<Either<A, B>> for Reply {
    fn from(either: Either<A, B>) -> Reply {
        match either {
            Either::This(answer) => answer.into(),
            Either::That(answer) => answer.into(),
        }
    }
}

impl<A: Answer, B: Answer> Answer for Either<A, B> {
    fn outcomes() -> Vec<Outcome> {
        [A::outcomes(), B::outcomes()].concat()
    }
}

/// An answer that may be a stream: [`Later::stream`] begins it.
pub trait Streams {}

impl Streams for EventStream {}
impl Streams for TextStream {}
impl<A, B: Streams> Streams for Either<A, B> {}

/// The right to answer one request later, with an `A`.
pub struct Later<A>(Responder, PhantomData<fn(A)>);

impl<A: Into<Reply>> Later<A> {
    /// Sends the answer, or an error in its common form.
    pub fn send(self, result: Result<A, Error>) {
        self.0.send_result(result.map(Into::into));
    }
}

impl<A> Later<A> {
    /// Has `gone` called if the client hangs up while it waits for its answer, or while it is streamed to. At most once,
    /// on the poll thread, or at once if it has left already: it must not wait. A client that has closed only its
    /// own side counts as gone.
    pub fn on_gone(&self, gone: impl FnOnce() + Send + 'static) {
        self.0.on_gone(Box::new(gone));
    }
}

impl<A: Streams> Later<A> {
    /// Begins a stream, with these header fields besides its own. `None` when there is nobody to stream to: the client
    /// has left, or asked for the head alone (HEAD).
    pub fn stream(self, media: Media, fields: &[(&'static str, &str)]) -> Option<Push> {
        self.0.stream(media, fields)
    }
}

impl Later<Switched> {
    /// Makes a WebSocket of the connection; `listener` is made once the socket is there.
    pub fn upgrade(self, handshake: &Handshake, listener: impl FnOnce(&Socket) -> Box<dyn Listen>) {
        self.0.upgrade(handshake, listener);
    }
}

impl<A> From<Responder> for Later<A> {
    fn from(respond: Responder) -> Later<A> {
        Later(respond, PhantomData)
    }
}

impl<A: Answer> Answer for Later<A> {
    fn outcomes() -> Vec<Outcome> {
        A::outcomes()
    }
}
