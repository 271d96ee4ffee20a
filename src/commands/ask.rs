//! `fireside ask`: a question, and the reply as it comes.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::form::Form;
use super::reach::Reach;
use super::{FAILED, Failed, INTERRUPTED, terminal};
use crate::cli::{self, Settings};
use crate::error::{Error, Kind};
use crate::system;

/// Bytes of stdin: the fields of a form may have as many.
const STDIN_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of an event: the last one holds the whole reply.
const EVENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How often Ctrl-C is looked for: at once, for people.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Asks, and shows the reply. Returns the exit code.
///
/// # Errors
/// What makes no sense, or cannot be reached, or was refused.
pub(super) fn ask(settings: &Settings, ask: &cli::Ask) -> Result<u8, Failed> {
    let question = with_stdin(&ask.question)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    system::stop_on_signals(&interrupted).map_err(|error| Error::internal("signals cannot be handled", error))?;
    let mut form = Form::new().field("text", &question);
    for path in &ask.files {
        form = form.file("files", path)?;
    }
    let mut reach = Reach::open(settings, &ask.door)?;
    reach.sign_in(ask.door.account.as_deref())?;
    reach.find_models()?;
    if let Some(model) = &ask.model {
        form = form.field("model", model);
    }
    if let Some(which) = &ask.conversation {
        form = form.field("conversation_id", &conversation(&reach, which)?);
    }
    let screen = Screen::new(ask.form);
    let conversation = AtomicI64::new(0);
    // Gone when the reply is over, whichever way.
    let (over, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let (reach, conversation, interrupted) = (&reach, &conversation, &interrupted);
        scope.spawn(move || stop_when_told(reach, conversation, interrupted, &ended));
        let reply = form.send(|sent| reach.client().post("/chat", "text/event-stream", sent));
        let outcome = reply.and_then(|reply| screen.show(reply, reach, conversation));
        drop(over);
        outcome.map(|code| {
            if interrupted.load(Ordering::Relaxed) {
                INTERRUPTED
            } else {
                code
            }
        })
    })
}

/// The question, and behind it what comes on stdin.
fn with_stdin(question: &str) -> Result<String, Failed> {
    let stdin = std::io::stdin();
    let mut piped = Vec::new();
    if !stdin.is_terminal() {
        let read = stdin.lock().take(STDIN_BYTES_MAX + 1).read_to_end(&mut piped);
        read.map_err(|error| Failed::usage(Error::new(Kind::Malformed, "stdin cannot be read").caused_by(error)))?;
    }
    if piped.len() as u64 > STDIN_BYTES_MAX {
        let message = "What comes on stdin is larger than 1 MiB; send it as a file with --file";
        return Err(Failed::usage(Error::new(Kind::TooLarge, message)));
    }
    let piped = String::from_utf8(piped).map_err(|_| {
        let message = "What comes on stdin is no text; send it as a file with --file";
        Failed::usage(Error::new(Kind::Malformed, message))
    })?;
    let parts = [question.trim(), piped.trim_end()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        let message = "There is no question. Try: fireside ask \"why is the sky blue?\"";
        return Err(Failed::usage(Error::new(Kind::Malformed, message)));
    }
    Ok(parts.join("\n\n"))
}

/// The id of a conversation to go on with.
fn conversation(reach: &Reach, which: &str) -> Result<String, Failed> {
    if which != "last" {
        return Ok(which.to_owned());
    }
    let newest = reach.client().call("GET", "/chats?limit=1")?;
    match newest["chats"][0]["conversation_id"].as_i64() {
        Some(id) => Ok(id.to_string()),
        None => {
            let message = "There is no conversation to go on with yet; ask without -c";
            Err(Failed::from(Error::new(Kind::NotFound, message)))
        }
    }
}

/// Waits for Ctrl-C and has the server stop the reply, which then comes to its end.
fn stop_when_told(reach: &Reach, conversation: &AtomicI64, interrupted: &AtomicBool, ended: &mpsc::Receiver<()>) {
    while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK_EVERY) {
        let id = conversation.load(Ordering::Relaxed);
        if interrupted.load(Ordering::Relaxed) && id != 0 {
            return stop(reach, id);
        }
    }
}

/// Asks for the end of the reply. One that has just ended by itself needs no stopping.
fn stop(reach: &Reach, conversation: i64) {
    let stopped = reach
        .client()
        .call("POST", &format!("/conversations/{conversation}/stop"));
    if let Err(failed) = stopped
        && failed.error.kind() != Kind::Conflict
    {
        terminal::note(&format!("fireside: the reply was not stopped: {}", failed.error));
    }
}

/// How a reply ends.
enum Ending {
    Complete,
    Failed,
    /// Nobody reads stdout any more.
    Unread,
}

/// Where the reply is shown.
struct Screen {
    form: cli::Form,
    is_terminal: bool,
    has_colours: bool,
}

impl Screen {
    fn new(form: cli::Form) -> Screen {
        Screen {
            form,
            is_terminal: std::io::stdout().is_terminal(),
            has_colours: terminal::has_colours(),
        }
    }

    /// Shows a stream of events until its last one. Returns the exit code.
    fn show(&self, reply: Box<dyn Read>, reach: &Reach, conversation: &AtomicI64) -> Result<u8, Failed> {
        let mut events = Events::new(reply);
        let mut shown = Shown::default();
        while let Some((name, data)) = events.next()? {
            if name == "start" {
                conversation.store(data["conversation_id"].as_i64().unwrap_or(0), Ordering::Relaxed);
            }
            match self.show_event(&name, &data, &mut shown)? {
                None => {}
                Some(Ending::Complete) => return Ok(0),
                Some(Ending::Failed) => return Ok(FAILED),
                Some(Ending::Unread) => {
                    stop(reach, conversation.load(Ordering::Relaxed));
                    return Ok(0);
                }
            }
        }
        let message = "The connection was lost before the reply was complete; what was written is in the conversation";
        Err(Failed::from(Error::new(Kind::Upstream, message)))
    }

    fn show_event(&self, name: &str, data: &Value, shown: &mut Shown) -> Result<Option<Ending>, Failed> {
        let written = match self.form {
            cli::Form::Json => write_out(&json_line(name, data)),
            cli::Form::Text => self.show_text(name, data, shown),
        };
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Some(Ending::Unread)),
            Err(error) => {
                return Err(Failed::from(
                    Error::new(Kind::Unavailable, "stdout cannot be written to").caused_by(error),
                ));
            }
            Ok(()) => {}
        }
        Ok(match name {
            "done" => Some(match data["message"]["state"].as_str() {
                Some("complete") => Ending::Complete,
                _ => Ending::Failed,
            }),
            "error" => Some(Ending::Failed),
            _ => None,
        })
    }

    fn show_text(&self, name: &str, data: &Value, shown: &mut Shown) -> std::io::Result<()> {
        match name {
            "delta" => {
                if let Some(thought) = data["reasoning"].as_str() {
                    self.aside(thought, shown);
                }
                if let Some(text) = data["text"].as_str() {
                    shown.end_aside();
                    let plain;
                    let text = if self.is_terminal {
                        plain = terminal::harmless(text);
                        &plain
                    } else {
                        text
                    };
                    if !text.is_empty() {
                        shown.is_at_line_start = text.ends_with('\n');
                    }
                    return write_out(text);
                }
            }
            "tool" => {
                let arguments = &data["arguments"];
                let call = data["name"].as_str().unwrap_or("?");
                self.aside(&format!("[{call} {arguments}]\n"), shown);
            }
            "done" | "error" => {
                shown.end_aside();
                if !shown.is_at_line_start {
                    write_out("\n")?;
                }
                let state = data["message"]["state"].as_str().unwrap_or("failed");
                match data["detail"].as_str() {
                    Some(detail) => terminal::note(&format!("fireside: {}", terminal::harmless(detail))),
                    None if state != "complete" => terminal::note(&format!("fireside: the reply is {state}")),
                    None => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What is not the reply itself goes to stderr.
    fn aside(&self, text: &str, shown: &mut Shown) {
        let text = terminal::harmless(text);
        let (dim, plain) = if self.has_colours {
            ("\x1b[2m", "\x1b[0m")
        } else {
            ("", "")
        };
        let mut err = std::io::stderr().lock();
        drop(write!(err, "{dim}{text}{plain}").and_then(|()| err.flush()));
        shown.is_in_aside = !text.ends_with('\n');
    }
}

/// Where the cursor stands.
struct Shown {
    is_at_line_start: bool,
    is_in_aside: bool,
}

impl Default for Shown {
    fn default() -> Shown {
        Shown {
            is_at_line_start: true,
            is_in_aside: false,
        }
    }
}

impl Shown {
    fn end_aside(&mut self) {
        if std::mem::take(&mut self.is_in_aside) {
            terminal::note("");
        }
    }
}

fn write_out(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// `{"event":"delta","text":"…"}`
fn json_line(name: &str, data: &Value) -> String {
    let mut line = serde_json::Map::from_iter([("event".to_owned(), Value::from(name))]);
    if let Value::Object(fields) = data {
        line.extend(fields.clone());
    }
    format!("{}\n", Value::Object(line))
}

/// The events of a stream, one after the other.
struct Events<R>(BufReader<R>);

impl<R: Read> Events<R> {
    fn new(stream: R) -> Events<R> {
        Events(BufReader::new(stream))
    }

    /// The next event's name and data; `None` at the end of the stream.
    fn next(&mut self) -> Result<Option<(String, Value)>, Failed> {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            let read = (&mut self.0).take(EVENT_BYTES_MAX).read_line(&mut line);
            let count = read.map_err(|error| {
                let message = "The connection to the server was lost; what was written is in the conversation";
                Failed::from(Error::new(Kind::Upstream, message).caused_by(error))
            })?;
            let line = line.trim_end_matches(['\r', '\n']);
            if count == 0 {
                return Ok(None);
            } else if let Some(value) = line.strip_prefix("event: ") {
                name = value.to_owned();
            } else if let Some(value) = line.strip_prefix("data: ") {
                data = value.to_owned();
            } else if line.is_empty() && !data.is_empty() {
                let data = serde_json::from_str(&data).map_err(|error| {
                    let message = "The server sent an event that cannot be read";
                    Failed::from(Error::new(Kind::Upstream, message).caused_by(error))
                })?;
                return Ok(Some((name, data)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_come_with_their_names() {
        let stream = ": ping\n\nid: 1\nevent: start\ndata: {\"conversation_id\":7}\n\n: ping\n\nevent: done\ndata: {}\n\nevent: x";
        let mut events = Events::new(stream.as_bytes());
        assert_eq!(
            events.next().unwrap(),
            Some(("start".to_owned(), json!({"conversation_id": 7})))
        );
        assert_eq!(events.next().unwrap(), Some(("done".to_owned(), json!({}))));
        assert_eq!(events.next().unwrap(), None);
        assert!(Events::new("data: {\n\n".as_bytes()).next().is_err());
    }

    #[test]
    fn a_line_of_json_begins_with_the_event() {
        assert_eq!(
            json_line("delta", &json!({"text": "a\nb"})),
            "{\"event\":\"delta\",\"text\":\"a\\nb\"}\n"
        );
    }
}
