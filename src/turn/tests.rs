//! Turns over a real store, with models that do what a test needs. The rig here, a module per subject below.

mod endings;
mod files;
mod listeners;
mod places;

use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::models::{
    Choice, Completion, Delta, Failure, FailureKind, Prompt, PromptMessage, Provider, Stop, ToolCall, Usage,
};
use crate::patience::{PATIENCE, until};
use crate::store::tests::{Rig as Stored, fill_disk, free_disk};
use crate::store::{self, Conversation, MessageDetails, Page, Ref, User};

type Script = dyn Fn(&Stop, &mut dyn FnMut(&str)) -> Result<(), Failure> + Send + Sync;

/// A model that follows a script.
struct Model {
    is_instant: bool,
    script: Box<Script>,
}

impl Provider for Model {
    fn name(&self) -> &str {
        "model"
    }

    fn instant(&self) -> bool {
        self.is_instant
    }

    fn complete(
        &self,
        prompt: &Prompt,
        stop: &Stop,
        on_delta: &mut dyn FnMut(Delta<'_>),
    ) -> Result<Completion, Failure> {
        (self.script)(stop, &mut |text| on_delta(Delta::Text(text)))?;
        Ok(Completion {
            provider: "test".into(),
            model: "model".into(),
            finish_reason: None,
            usage: Usage::estimate(prompt, 1),
        })
    }
}

fn choice(
    is_instant: bool,
    script: impl Fn(&Stop, &mut dyn FnMut(&str)) -> Result<(), Failure> + Send + Sync + 'static,
) -> Choice {
    let script = Box::new(script);
    Choice {
        provider: Arc::new(Model { is_instant, script }),
        model: "model".into(),
    }
}

/// A model that takes its time, and then says this.
fn saying(text: &'static str) -> Choice {
    choice(false, move |_, say| {
        say(text);
        Ok(())
    })
}

/// A model that says nothing until it is stopped.
fn silent() -> Choice {
    choice(false, |stop, _| {
        until("the turn is stopped", || stop.is_stopped());
        Err(stopped())
    })
}

fn stopped() -> Failure {
    Failure {
        kind: FailureKind::Stopped,
        message: "The reply was stopped".into(),
        retry_after_s: None,
        ran: None,
    }
}

struct Rig {
    stored: Stored,
    turns: Arc<Turns>,
    user: User,
}

impl Rig {
    fn new() -> Rig {
        Rig::with(|turns| turns)
    }

    fn with(change: impl FnOnce(Turns) -> Turns) -> Rig {
        let stored = Stored::new();
        let pricing = Arc::new(Pricing::built_in().unwrap());
        let limits = Limits {
            turns_max: 256,
            context_messages: 100,
        };
        let turns = Turns::new(Arc::clone(&stored.store), Arc::default(), pricing, Clock, limits);
        Rig {
            user: stored.user("ann"),
            turns: Arc::new(change(turns)),
            stored,
        }
    }

    /// A new conversation, as the place to send something to.
    fn conversation(&self) -> Target {
        let id = self.stored.conversation(self.user.id, 1);
        let find = |read: &store::Read<'_>| store::find_conversation(read, self.user.id, &Ref::Id(id));
        self.stored.store.read(find).unwrap().into()
    }

    /// Every conversation that can be found.
    fn conversations(&self) -> Vec<Conversation> {
        let page = Page { limit: 100, offset: 0 };
        let list = |read: &store::Read<'_>| {
            let ids = store::list_conversations(read, self.user.id, page, |listed| listed.id)?;
            let find = |id| store::find_conversation(read, self.user.id, &Ref::Id(id));
            ids.into_iter().map(find).collect()
        };
        self.stored.store.read(list).unwrap()
    }

    fn ask(&self, to: &Target, text: impl Into<String>, choice: Choice) -> Ask {
        Ask {
            user: self.user.clone(),
            to: to.clone(),
            text: text.into(),
            attachments: Vec::new(),
            choice,
            library: None,
            admission: Admission::default(),
            prompt: None,
            details: MessageDetails::default(),
            queue: true,
        }
    }

    fn send(&self, to: &Target, text: impl Into<String>, choice: Choice) -> Receiver<Result<Done, Fault>> {
        let (answer, answered) = channel();
        let ask = self.ask(to, text, choice);
        // Nobody may be listening any more.
        self.turns
            .begin(ask, Box::new(move |outcome| drop(answer.send(outcome))));
        answered
    }

    /// The texts of the branch that is shown.
    fn branch(&self, of: &Target) -> Vec<String> {
        let Target::Existing { id, .. } = of else {
            panic!("a conversation that is stored")
        };
        self.stored.branch(*id, self.user.id)
    }

    fn rows(&self, table: &str) -> i64 {
        self.stored.value(&format!("SELECT count(*) FROM {table}"))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.turns.close();
    }
}

#[track_caller]
fn outcome(answered: &Receiver<Result<Done, Fault>>) -> Result<Done, Fault> {
    answered.recv_timeout(PATIENCE).expect("an answer")
}

/// The turn was refused for now.
#[track_caller]
fn check_refused(answered: &Receiver<Result<Done, Fault>>, words: &str) {
    match outcome(answered) {
        Err(Fault::Store(error)) => {
            assert!(error.message().contains(words), "{error}");
            assert_eq!(error.kind(), Kind::Unavailable);
            assert!(error.retry_after_s().is_some(), "{error}");
        }
        other => panic!("{other:?}"),
    }
}
