//! What doctor finds: a line each for people, or all as JSON for programs.

use std::fmt::Display;

use serde_json::{Value, json};

use super::super::{FAILED, Failed, terminal};
use crate::cli::Form;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        }
    }
}

/// What was found.
pub(super) struct Finding {
    what: String,
    pub(super) state: State,
    says: String,
    /// What to do about it.
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(what: &str, says: impl Display) -> Finding {
        Finding {
            what: what.to_owned(),
            state: State::Ok,
            says: says.to_string(),
            advice: None,
        }
    }

    pub(super) fn warn(what: &str, says: impl Display, advice: impl Display) -> Finding {
        Finding {
            state: State::Warn,
            advice: Some(advice.to_string()),
            ..Finding::ok(what, says)
        }
    }

    pub(super) fn fail(what: &str, says: impl Display, advice: impl Display) -> Finding {
        Finding {
            state: State::Fail,
            ..Finding::warn(what, says, advice)
        }
    }

    fn line(&self) -> String {
        let advice = self
            .advice
            .as_ref()
            .map_or_else(String::new, |advice| format!(" → {advice}"));
        terminal::harmless(&format!(
            "{:<5} {}: {}{advice}",
            self.state.name(),
            self.what,
            self.says
        ))
    }
}

/// What was found so far; for people, each is said as it is found.
pub(super) struct Findings {
    all: Vec<Finding>,
    form: Form,
}

impl Findings {
    pub(super) fn new(form: Form) -> Findings {
        Findings { all: Vec::new(), form }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if self.form == Form::Text {
            terminal::print(&format!("{}\n", finding.line()));
        }
        self.all.push(finding);
    }

    pub(super) fn finish(self) -> Result<u8, Failed> {
        let is_failed = self.all.iter().any(|finding| finding.state == State::Fail);
        if self.form == Form::Json {
            let all = self.all.iter().map(|finding| {
                json!({
                    "check": finding.what, "state": finding.state.name(), "detail": finding.says, "advice": finding.advice,
                })
            });
            terminal::print(&format!("{}\n", Value::Array(all.collect())));
        }
        Ok(if is_failed { FAILED } else { 0 })
    }
}
