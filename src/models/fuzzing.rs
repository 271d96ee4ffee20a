//! What must hold of whatever a model's server sends: the same reply comes of it however its bytes are cut, within its
//! bounds, and without our key.

use super::answer::Answer;
use super::anthropic::answer::Answer as AnthropicAnswer;
use super::failure::{Failure, Reporter};
use super::link::Listener;
use super::outlet::Outlet;
use super::sse::{Decoder, EVENT_BYTES_MAX};
use super::{Completion, Delta, Prompt, Stop, Timeouts};
use crate::fuzzing::cuttings;
use crate::limits::REPLY_BYTES_MAX;

const KEY: &str = "sk-secret-0123456789";

/// Stands for what a server repeats of what it was sent.
const REPEATED: &[u8] = b"$KEY";

/// What a reply comes to: its deltas, written one after the other, and its end.
type Reply = (Vec<String>, Result<Completion, Failure>);

/// A stream in either protocol, and the same bytes as an answer in one piece.
pub(crate) fn sse(bytes: &[u8]) {
    let bytes = &bytes
        .split(|byte| *byte == REPEATED[0])
        .enumerate()
        .flat_map(|(at, part)| {
            let rest = part.strip_prefix(&REPEATED[1..]).filter(|_| at > 0);
            match (at, rest) {
                (0, _) => part.to_vec(),
                (_, Some(rest)) => [KEY.as_bytes(), rest].concat(),
                (_, None) => [&REPEATED[..1], part].concat(),
            }
        })
        .collect::<Vec<u8>>()[..];
    if bytes.len() > EVENT_BYTES_MAX {
        return;
    }
    let plain = plain_events(bytes);
    for pieces in cuttings(bytes) {
        assert_eq!(events(&pieces), plain, "{pieces:?}");
    }
    for stream in [openai, anthropic] {
        let [whole, others @ ..] = cuttings(bytes).map(|pieces| stream(&|listener| read(&pieces, listener)));
        check(&whole);
        for other in others {
            assert_eq!(other, whole, "in pieces it is something else");
        }
        check(&stream(&|listener| listener.whole(bytes)));
    }
}

fn check((deltas, end): &Reply) {
    assert!(deltas.iter().all(|delta| delta.len() > 2), "an empty one: {deltas:?}");
    assert!(deltas.iter().map(String::len).sum::<usize>() <= REPLY_BYTES_MAX + deltas.len() * 256);
    match end {
        Ok(completion) => {
            let usage = &completion.usage;
            assert!(usage.input_tokens <= 1_000_000_000 && usage.output_tokens <= 1_000_000_000);
            let reason = completion.finish_reason.as_deref().unwrap_or("stop");
            // A cut one ends with dots.
            assert!(
                reason.chars().count() <= 65 && !reason.contains(char::is_control),
                "{reason:?}"
            );
        }
        Err(failure) => {
            let message = &failure.message;
            assert!(!message.contains(KEY), "the key: {message}");
            assert!(
                !message.contains(char::is_control) && message.chars().count() < 1000,
                "{message:?}"
            );
        }
    }
}

/// As a link reads a stream.
fn read(pieces: &[&[u8]], listener: &mut dyn Listener) -> Result<(), Failure> {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for piece in pieces {
        if listener.is_complete() {
            return Ok(());
        }
        decoder.feed(piece, &mut events).ok();
        events.drain(..).try_for_each(|event| listener.event(&event))?;
    }
    if !listener.is_complete() {
        decoder.end(&mut events).ok();
        events.iter().try_for_each(|event| listener.event(event))?;
    }
    Ok(())
}

fn with_outlet(ask: impl FnOnce(Outlet<'_>) -> Result<Completion, Failure>) -> Reply {
    let reporter = Reporter {
        name: "openai".to_owned(),
        authority: "api.example.org".to_owned(),
        key: Some(KEY.to_owned()),
        timeouts: Timeouts::default(),
    };
    let (stop, mut deltas) = (Stop::new(), Vec::new());
    let mut on_delta = |delta: Delta<'_>| {
        deltas.push(match delta {
            Delta::Text(text) => format!("t {text}"),
            Delta::Reasoning(text) => format!("r {text}"),
            Delta::Tool(call) => format!("c {} {} {}", call.id, call.name, call.arguments),
        });
    };
    let end = ask(Outlet::new(&reporter, &Prompt::default(), &stop, &mut on_delta));
    (deltas, end)
}

fn openai(read: &dyn Fn(&mut dyn Listener) -> Result<(), Failure>) -> Reply {
    with_outlet(|outlet| {
        let mut answer = Answer::new(outlet);
        let read = read(&mut answer);
        answer.finish(read, &Prompt::default())
    })
}

fn anthropic(read: &dyn Fn(&mut dyn Listener) -> Result<(), Failure>) -> Reply {
    with_outlet(|outlet| {
        let mut answer = AnthropicAnswer::new(outlet);
        let read = read(&mut answer);
        answer.finish(read, &Prompt::default())
    })
}

fn events(pieces: &[&[u8]]) -> Vec<String> {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for piece in pieces {
        assert!(decoder.feed(piece, &mut events).is_ok(), "too large");
    }
    assert!(decoder.end(&mut events).is_ok(), "too large");
    events
}

/// The events of a whole stream, line by line (HTML, 9.2.6).
fn plain_events(bytes: &[u8]) -> Vec<String> {
    let (mut events, mut data) = (Vec::new(), Vec::new());
    for line in [bytes, b"\n\n"].concat().split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        if line.is_empty() {
            if !data.is_empty() {
                events.push(data.join("\n"));
                data.clear();
            }
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        if name.trim_start_matches('\u{feff}') == "data" {
            data.push(value.strip_prefix(' ').unwrap_or(value).to_owned());
        }
    }
    events
}
