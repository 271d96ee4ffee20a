//! `fireside ask`: a question, and the reply as it comes.

mod events;
mod screen;

use std::io::{IsTerminal, Read};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::form::Form;
use super::reach::Reach;
use super::{Failed, INTERRUPTED, terminal};
use crate::cli::{self, Settings};
use crate::error::{Error, Kind};
use crate::system;

use screen::Screen;

/// Bytes of stdin: the fields of a form may have as many.
const STDIN_BYTES_MAX: u64 = 1024 * 1024;

/// Models that are named to whoever has named one that does not exist.
const MODELS_SHOWN: usize = 20;

/// How often Ctrl-C is looked for: at once, for people.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Asks, and shows the reply. Returns the exit code.
///
/// # Errors
/// What makes no sense, or cannot be reached, or was refused.
pub(super) fn ask(settings: &Settings, ask: &cli::Ask) -> Result<u8, Failed> {
    let question = with_stdin(&ask.question)?;
    let mut form = Form::new().field("text", &question);
    for path in &ask.files {
        form = form.file("files", path)?;
    }
    let mut reach = Reach::open(settings, &ask.door)?;
    // Only now: until here there is nothing to be stopped, and a signal ends the process while it waits for its turn.
    let interrupted = Arc::new(AtomicBool::new(false));
    system::stop_on_signals(&interrupted).map_err(|error| Error::internal("signals cannot be handled", error))?;
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
        let reply = reply.map_err(|failed| explain(failed, reach, ask));
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

/// What the server says of a field of its own, in the words of this command.
fn explain(failed: Failed, reach: &Reach, ask: &cli::Ask) -> Failed {
    let (kind, said) = (failed.error.kind(), failed.error.message());
    let message = match (&ask.model, &ask.conversation) {
        (Some(model), _) if kind == Kind::Invalid && said.starts_with("model:") => {
            let listed = reach.client().call("GET", "/v1/models").unwrap_or_default();
            let ids = listed["data"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|model| &model["id"]);
            let some: Vec<&str> = ids.filter_map(Value::as_str).take(MODELS_SHOWN).collect();
            format!(
                "There is no model {model:?}; there are, for instance: {}",
                some.join(", ")
            )
        }
        (_, Some(id)) if said == "Conversation not found" || said.starts_with("conversation_id:") => {
            format!("There is no conversation {id:?}; -c last goes on with the newest one")
        }
        _ => return failed,
    };
    Failed::from(Error::new(kind, message))
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
