//! A reply read while it is written: server-sent events, or the bare text. Owns how events look on the wire and what
//! their ids are made of, and that a stream lasts no longer than the session it was asked for with. A reply does not end
//! because nobody reads it any more.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::Serialize;
use serde_json::Value;

use super::seat::Seat;
use super::{Ctx, fault_words, views};
use crate::app::App;
use crate::error::Error;
use crate::floor::floor;
use crate::http::{Later, Media, Push, Reply, Streams};
use crate::models::ToolCall;
use crate::pricing;
use crate::render::Renderer;
use crate::store::{State, UsageDetail};
use crate::turn::{self, Ended, Heard, Listen, Notice, Position, Start, Subscriber};

/// Seconds after which somebody with too many streams may try again: those that nobody reads any more are found out in
/// about this time.
const TOO_MANY_RETRY_S: u32 = 60;

/// Text of one event, in bytes: whoever loses the connection in the middle of a long reply comes back to the last whole
/// event.
const EVENT_TEXT_BYTES_MAX: usize = 64 * 1024;

/// A connection on which a reply is read.
pub(super) struct Line<A> {
    seat: Seat,
    way: Mutex<Way<A>>,
    media: Media,
    app: Arc<App>,
}

/// How far it has come. The head is sent with the first thing to say: what fails before that has a status of its own.
enum Way<A> {
    Asked(Later<A>),
    Open(Push),
    Over,
}

impl<A: Into<Reply> + Streams + 'static> Line<A> {
    /// A line for the caller. `None` when it cannot be: the caller was told.
    pub(super) fn new(ctx: &Ctx, media: Media, respond: Later<A>) -> Option<Arc<Line<A>>> {
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
        let line = Arc::new_cyclic(|line: &Weak<Line<A>>| {
            let hung_up = Weak::clone(line);
            respond.on_gone(move || {
                if let Some(line) = hung_up.upgrade() {
                    line.hang_up();
                }
            });
            Line {
                seat,
                way: Mutex::new(Way::Asked(respond)),
                media,
                app: Arc::clone(&ctx.app),
            }
        });
        let guard = Arc::new(Guard(Arc::downgrade(&line)));
        line.seat.watch(caller, guard);
        Some(line)
    }

    /// One who reads a reply to this line: the one with this id, or whichever begins.
    pub(super) fn reader(self: &Arc<Self>, message_id: i64) -> Reader<A> {
        Reader {
            line: Arc::clone(self),
            message_id,
        }
    }

    /// Whether it is events that it shows.
    pub(super) fn shows_events(&self) -> bool {
        matches!(self.media, Media::Events)
    }

    pub(super) fn renderer(&self) -> &Arc<Renderer> {
        &self.app.renderer
    }

    /// Sends the head now.
    pub(super) fn open(&self) {
        self.say(b"");
    }

    /// Answers with something else than a stream, as long as nothing was said.
    pub(super) fn answer(&self, answer: Result<A, Error>) {
        if let Some(respond) = self.take_back() {
            respond.send(answer);
        }
    }

    fn take_back(&self) -> Option<Later<A>> {
        let mut way = self.lock();
        match std::mem::replace(&mut *way, Way::Over) {
            Way::Asked(respond) => Some(respond),
            other => {
                *way = other;
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Way<A>> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says this; false when nobody is there any more.
    pub(super) fn say(&self, bytes: &[u8]) -> bool {
        let mut way = self.lock();
        *way = match std::mem::replace(&mut *way, Way::Over) {
            Way::Asked(respond) => respond.stream(self.media, &[]).map_or(Way::Over, Way::Open),
            other => other,
        };
        match &*way {
            Way::Open(push) if push.send(bytes).is_ok() => true,
            _ => {
                *way = Way::Over;
                false
            }
        }
    }

    /// Says this as the last word.
    fn finish(&self, bytes: &[u8]) {
        if self.say(bytes)
            && let Way::Open(push) = std::mem::replace(&mut *self.lock(), Way::Over)
        {
            push.finish();
        }
    }

    fn is_open(&self) -> bool {
        matches!(*self.lock(), Way::Open(_))
    }

    /// The client has left. One that has not been answered yet will be: nobody hears it.
    fn hang_up(&self) {
        if self.is_open() {
            self.cut();
        }
    }

    /// Breaks the stream off.
    fn cut(&self) {
        let over = std::mem::replace(&mut *self.lock(), Way::Over);
        drop(over);
    }
}

/// Ends a line together with its session.
struct Guard<A>(Weak<Line<A>>);

impl<A: Into<Reply> + Streams + 'static> Subscriber for Guard<A> {
    fn notify(&self, _: &Notice) {}

    fn dismiss(&self) {
        let Some(line) = self.0.upgrade() else {
            return;
        };
        match line.take_back() {
            Some(respond) => respond.send(Err(super::session::refused())),
            None => line.cut(),
        }
    }
}

/// Writes what it hears of a reply.
pub(super) struct Reader<A> {
    line: Arc<Line<A>>,
    message_id: i64,
}

impl<A: Into<Reply> + Streams + 'static> Listen for Reader<A> {
    fn hear(&mut self, heard: &Heard<'_>, at: Position) -> bool {
        if let Heard::Start(start) = heard {
            self.message_id = start.response_message_id;
        }
        match self.line.media {
            Media::Events => self.write_event(heard, at),
            Media::Text => self.write_text(heard),
        }
    }
}

impl<A: Into<Reply> + Streams + 'static> Reader<A> {
    fn write_event(&self, heard: &Heard<'_>, at: Position) -> bool {
        match heard {
            // What was not begun has a status of its own, which somebody else gives it.
            Heard::Failed(_) if !self.line.is_open() => false,
            Heard::Done(_) | Heard::Failed(_) => {
                self.line.finish(event(self.message_id, heard, at).as_bytes());
                false
            }
            Heard::Text(text) => self.line.say(self.cut(text, at, at.text, told_text).as_bytes()),
            Heard::Reasoning(text) => self
                .line
                .say(self.cut(text, at, at.reasoning, told_reasoning).as_bytes()),
            Heard::Start(_) | Heard::Tool(_) => self.line.say(event(self.message_id, heard, at).as_bytes()),
        }
    }

    /// The events of a piece that ends at `end`.
    fn cut(&self, text: &str, at: Position, end: usize, told: Told) -> String {
        let mut behind = end.saturating_sub(text.len());
        let parts = parts(text).map(|part| {
            behind += part.len();
            let (heard, at) = told(part, at, behind);
            event(self.message_id, &heard, at)
        });
        parts.collect()
    }

    fn write_text(&self, heard: &Heard<'_>) -> bool {
        match heard {
            Heard::Text(piece) => self.line.say(piece.as_bytes()),
            Heard::Start(_) | Heard::Reasoning(_) | Heard::Tool(_) => true,
            Heard::Done(ended) if ended.message.state != State::Interrupted => {
                self.line.finish(b"");
                false
            }
            Heard::Done(_) | Heard::Failed(_) => {
                self.line.hang_up();
                false
            }
        }
    }
}

/// A part of what is said, and how much of the reply somebody has with it.
type Told = fn(&str, Position, usize) -> (Heard<'_>, Position);

fn told_text(part: &str, at: Position, text: usize) -> (Heard<'_>, Position) {
    (Heard::Text(part), Position { text, ..at })
}

fn told_reasoning(part: &str, at: Position, reasoning: usize) -> (Heard<'_>, Position) {
    (Heard::Reasoning(part), Position { reasoning, ..at })
}

/// A text in parts that are small enough for an event.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (part, behind) = rest.split_at(floor(rest, EVENT_TEXT_BYTES_MAX));
        rest = behind;
        (!part.is_empty()).then_some(part)
    })
}

#[derive(Serialize)]
struct StartData<'a> {
    conversation_id: i64,
    chat_id: &'a str,
    request_message_id: i64,
    response_message_id: i64,
    model: Option<&'a str>,
}

#[derive(Serialize)]
struct TextData<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct ReasoningData<'a> {
    reasoning: &'a str,
}

#[derive(Serialize)]
struct ToolData<'a> {
    name: &'a str,
    arguments: Value,
}

#[derive(Serialize)]
struct DoneData<'a> {
    message: views::MessageView<'a, views::IntegerId>,
    usage: Option<Spent>,
}

/// What a reply cost, all calls together.
#[derive(Serialize)]
struct Spent {
    input_tokens: i64,
    output_tokens: i64,
    cached_tokens: i64,
    estimated: bool,
    price: f64,
}

#[derive(Serialize)]
struct ErrorData<'a> {
    detail: &'a str,
    kind: &'a str,
}

/// An event as it stands in a stream.
fn event(message_id: i64, heard: &Heard<'_>, at: Position) -> String {
    let (name, data) = match heard {
        Heard::Start(start) => ("start", json(&start_data(start))),
        Heard::Text(text) => ("delta", json(&TextData { text })),
        Heard::Reasoning(reasoning) => ("delta", json(&ReasoningData { reasoning })),
        Heard::Tool(call) => ("tool", json(&tool_data(call))),
        Heard::Done(ended) => ("done", json(&done_data(ended))),
        Heard::Failed(fault) => {
            let (detail, kind) = fault_words(fault);
            let detail = detail.as_str();
            ("error", json(&ErrorData { detail, kind }))
        }
    };
    let id = EventId { message_id, at }.text();
    format!("id: {id}\nevent: {name}\ndata: {data}\n\n")
}

fn json(data: &impl Serialize) -> String {
    // These structs have string keys and no maps of other kinds, which is all that could fail.
    serde_json::to_string(data).unwrap_or_default()
}

fn start_data(start: &Start) -> StartData<'_> {
    StartData {
        conversation_id: start.conversation_id,
        chat_id: &start.conversation_uuid,
        request_message_id: start.request_message_id,
        response_message_id: start.response_message_id,
        model: start.model.as_deref(),
    }
}

fn tool_data(call: &ToolCall) -> ToolData<'_> {
    ToolData {
        name: &call.name,
        arguments: turn::arguments_json(call),
    }
}

fn done_data(ended: &Ended) -> DoneData<'_> {
    DoneData {
        message: views::message(ended.message.clone(), &ended.chat_id),
        usage: spent(&ended.usage),
    }
}

/// `None` for a reply that ended before it was accounted for.
fn spent(usage: &[UsageDetail]) -> Option<Spent> {
    let sum = |count: fn(&UsageDetail) -> i64| usage.iter().map(count).fold(0, i64::saturating_add);
    (!usage.is_empty()).then(|| Spent {
        input_tokens: sum(|detail| detail.input_tokens),
        output_tokens: sum(|detail| detail.output_tokens),
        cached_tokens: sum(|detail| detail.cached_tokens),
        estimated: usage.iter().any(|detail| detail.is_estimated),
        price: pricing::round(usage.iter().map(|detail| detail.price).sum()),
    })
}

/// Which reply an event belongs to, and how much of it whoever has that event has: `<message>:<bytes of text>`, and where
/// the model has shown its thoughts `.<bytes of those>` behind it, and where it has called tools `.<calls>` behind that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) message_id: i64,
    pub(super) at: Position,
}

impl EventId {
    fn text(self) -> String {
        let Position { text, reasoning, tools } = self.at;
        let mut id = format!("{}:{text}", self.message_id);
        if reasoning > 0 || tools > 0 {
            // Writing to a string does not fail.
            let _ = write!(id, ".{reasoning}");
        }
        if tools > 0 {
            let _ = write!(id, ".{tools}");
        }
        id
    }

    /// `None` for what is none of ours.
    pub(super) fn parse(text: &str) -> Option<EventId> {
        let (message_id, rest) = text.trim().split_once(':')?;
        let mut numbers = rest.split('.').map(|number| number.parse::<usize>().ok());
        let at = Position {
            text: numbers.next()??,
            reasoning: numbers.next().unwrap_or(Some(0))?,
            tools: numbers.next().unwrap_or(Some(0))?,
        };
        let message_id = message_id.parse().ok()?;
        numbers.next().is_none().then_some(EventId { message_id, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Failure, FailureKind};
    use crate::turn::Fault;

    fn at(text: usize, reasoning: usize, tools: usize) -> Position {
        Position { text, reasoning, tools }
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        for (position, text) in [
            (at(0, 0, 0), "7:0"),
            (at(12, 0, 0), "7:12"),
            (at(0, 3, 0), "7:0.3"),
            (at(12, 3, 0), "7:12.3"),
            (at(12, 0, 1), "7:12.0.1"),
            (at(12, 3, 2), "7:12.3.2"),
        ] {
            let id = EventId {
                message_id: 7,
                at: position,
            };
            assert_eq!(id.text(), text);
            assert_eq!(EventId::parse(text), Some(id));
        }
        for text in [
            "",
            "7",
            "7:",
            ":7",
            "7:x",
            "7:-1",
            "7:1.",
            "7:1.2.3.4",
            "seven:1",
            "7:99999999999999999999",
        ] {
            assert_eq!(EventId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "☃".repeat(EVENT_TEXT_BYTES_MAX);
        let cut: Vec<&str> = parts(&text).collect();
        assert_eq!(cut.concat(), text);
        assert!(cut.iter().all(|part| part.len() <= EVENT_TEXT_BYTES_MAX));
        assert_eq!(cut.len(), 4);
        assert_eq!(parts("").count(), 0);
    }

    #[test]
    fn an_event_is_one_line_of_json() {
        let delta = event(7, &Heard::Text("a\r\nb\u{2028}☃"), at(9, 0, 0));
        assert_eq!(
            delta,
            "id: 7:9\nevent: delta\ndata: {\"text\":\"a\\r\\nb\u{2028}☃\"}\n\n"
        );
        let thought = event(7, &Heard::Reasoning("hm"), at(0, 2, 0));
        assert_eq!(thought, "id: 7:0.2\nevent: delta\ndata: {\"reasoning\":\"hm\"}\n\n");
        let call = ToolCall {
            id: "call_1".into(),
            name: "look".into(),
            arguments: "{\"at\": 1}".into(),
        };
        let tool = event(7, &Heard::Tool(&call), at(0, 0, 1));
        assert_eq!(
            tool,
            "id: 7:0.0.1\nevent: tool\ndata: {\"name\":\"look\",\"arguments\":{\"at\":1}}\n\n"
        );
        let fault = Fault::Model(Failure {
            kind: FailureKind::Timeout,
            message: "it was silent".into(),
            retry_after_s: None,
            ran: None,
        });
        let error = event(7, &Heard::Failed(&fault), at(4, 0, 0));
        assert_eq!(
            error,
            "id: 7:4\nevent: error\ndata: {\"detail\":\"Failed to get AI response: it was silent\",\"kind\":\"timeout\"}\n\n"
        );
    }
}
