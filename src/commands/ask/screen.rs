//! Where a reply is shown: its text on stdout, what else there is on stderr, or all of it as lines of JSON.

use std::io::{IsTerminal, Read, Write};
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::Value;

use super::super::reach::Reach;
use super::super::{FAILED, Failed, terminal};
use super::events::Events;
use super::stop;
use crate::cli;
use crate::error::{Error, Kind};

/// What can be done about a reply that failed.
const ADVICE: &str = "the question is kept. fireside doctor looks at the providers, -m asks another model";

/// How a reply ends.
enum Ending {
    Complete,
    Failed,
    /// Nobody reads stdout any more.
    Unread,
}

/// Where the reply is shown.
pub(super) struct Screen {
    form: cli::Form,
    is_terminal: bool,
    has_colours: bool,
}

impl Screen {
    pub(super) fn new(form: cli::Form) -> Screen {
        Screen {
            form,
            is_terminal: std::io::stdout().is_terminal(),
            has_colours: terminal::has_colours(),
        }
    }

    /// Shows a stream of events until its last one. Returns the exit code.
    pub(super) fn show(&self, reply: Box<dyn Read>, reach: &Reach, conversation: &AtomicI64) -> Result<u8, Failed> {
        let mut events = Events::new(reply);
        let mut shown = Shown::default();
        while let Some((name, data)) = events
            .next()
            .map_err(|failed| self.lost(failed, conversation, &mut shown))?
        {
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
        let cut = Failed::from(Error::new(Kind::Upstream, "the stream broke off"));
        Err(self.lost(cut, conversation, &mut shown))
    }

    /// Ends the line that a reply was cut off in, and says what is kept and how to go on.
    fn lost(&self, failed: Failed, conversation: &AtomicI64, shown: &mut Shown) -> Failed {
        shown.end_aside();
        if matches!(self.form, cli::Form::Text) && !shown.is_at_line_start {
            // Whoever does not read stdout any more needs no end of the line.
            drop(write_out("\n"));
        }
        let message = match conversation.load(Ordering::Relaxed) {
            0 => "The server was lost before the reply began; start it if it is down, and ask again".to_owned(),
            id => format!(
                "The server was lost in the middle of the reply. What it has stored of that is in the conversation, with \
                 the question; once the server runs, go on with: fireside ask -c {id} \"go on\""
            ),
        };
        Failed::from(Error::new(Kind::Upstream, message).caused_by(failed.error))
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
                    Some(detail) => terminal::note(&format!("fireside: {}; {ADVICE}", terminal::harmless(detail))),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_of_json_begins_with_the_event() {
        assert_eq!(
            json_line("delta", &json!({"text": "a\nb"})),
            "{\"event\":\"delta\",\"text\":\"a\\nb\"}\n"
        );
    }
}
