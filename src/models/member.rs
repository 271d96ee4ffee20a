//! A provider and what is known of it: whether it is up, since when, why not, and its models.
//!
//! It is known from two sides: the background asks for the list of models once a minute, and every call says what came
//! of it. Nobody waits for the former.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::anthropic::Anthropic;
use super::config::{Origin, ProviderConfig};
use super::failure::{Failure, FailureKind};
use super::listed::chats;
use super::openai::{ListedModel, OpenAi, Server};
use super::presets::{Preset, Protocol};
use super::request::LengthField;
use super::room::Room;
use super::{Completion, Delta, Prompt, Provider, Stop, Timeouts};
use crate::clock::{Clock, Moment};
use crate::error::Error;

/// How long a server may take to list its models. One that needs longer is of no use to whoever chats with it.
const LIST_TIME_MAX: Duration = Duration::from_secs(5);

/// How often a server is asked for its models: a model that was just pulled or loaded shows up within a minute.
pub(super) const LIST_EVERY: Duration = Duration::from_secs(60);

/// A server that lists its models.
pub(super) trait Lists: Provider {
    /// The models it has, in its order.
    fn list(&self, stop: &Stop) -> Result<Vec<ListedModel>, Failure>;

    /// Closes its connections if all have long been idle.
    fn let_go(&self);
}

impl Lists for Anthropic {
    fn list(&self, stop: &Stop) -> Result<Vec<ListedModel>, Failure> {
        Anthropic::list(self, stop)
    }

    fn let_go(&self) {
        self.link().let_go();
    }
}

impl Lists for OpenAi {
    fn list(&self, stop: &Stop) -> Result<Vec<ListedModel>, Failure> {
        OpenAi::list(self, stop)
    }

    fn let_go(&self) {
        self.link().let_go();
    }
}

/// What all providers are made with.
pub(super) struct Making {
    pub(super) connections_max: usize,
    pub(super) timeouts: Timeouts,
    pub(super) pictures: Arc<Room>,
}

/// A provider, and what is known of it.
pub(super) struct Member {
    config: ProviderConfig,
    client: Arc<dyn Lists>,
    /// The same server, which must be quick and to which no connection is kept.
    prober: Arc<dyn Lists>,
    known: Mutex<Known>,
}

/// Whether a provider can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has asked it yet.
    Unknown,
    /// When it was last asked it answered.
    Up,
    /// When it was last asked it did not; the reason is said.
    Down,
    /// An administrator has switched it off.
    Off,
}

struct Known {
    state: State,
    reason: Option<String>,
    since: Option<Moment>,
    asked: Option<Instant>,
    models: Option<Arc<Vec<String>>>,
}

/// A provider as those see it who look after it. Its key is not in it.
#[derive(Clone, Debug)]
pub struct ProviderStatus {
    /// What it was made from.
    pub config: ProviderConfig,
    /// Whether it can be asked.
    pub state: State,
    /// Why not.
    pub reason: Option<String>,
    /// Since when.
    pub since: Option<Moment>,
    /// The models it has listed.
    pub models: Arc<Vec<String>>,
}

impl Member {
    /// [`crate::error::Kind::Malformed`] if the base URL or the key cannot be used.
    pub(super) fn new(config: ProviderConfig, making: &Making) -> Result<Member, Error> {
        let client = connect(&config, making.connections_max, making.timeouts, &making.pictures)?;
        let quick = Timeouts {
            connect: making.timeouts.connect.min(LIST_TIME_MAX),
            first_byte: LIST_TIME_MAX,
            between_bytes: LIST_TIME_MAX,
            whole: LIST_TIME_MAX,
        };
        let prober = connect(&config, 0, quick, &making.pictures)?;
        Ok(Member {
            config,
            client,
            prober,
            known: Mutex::new(Known {
                state: State::Unknown,
                reason: None,
                since: None,
                asked: None,
                models: None,
            }),
        })
    }

    pub(super) fn config(&self) -> &ProviderConfig {
        &self.config
    }

    pub(super) fn preset(&self) -> Option<&'static Preset> {
        self.config.preset()
    }

    /// Asks it for its models, and notes what comes of it.
    pub(super) fn refresh(&self, stop: &Stop) {
        self.lock().asked = Some(Instant::now());
        self.client.let_go();
        // What comes of it is noted; whoever wants to know looks there.
        self.note(self.prober.list(stop)).ok();
    }

    /// When it is to be asked for its models again; at once if it never was.
    pub(super) fn is_due(&self, now: Instant) -> Result<(), Instant> {
        match self.lock().asked.map(|asked| asked + LIST_EVERY) {
            Some(due) if due > now => Err(due),
            Some(_) | None => Ok(()),
        }
    }

    /// The models it has listed, if it ever has.
    pub(super) fn models(&self) -> Option<Arc<Vec<String>>> {
        self.lock().models.clone()
    }

    /// The same, asked for in the course of a call, which may take its time, if it never has.
    pub(super) fn models_now(&self, stop: &Stop) -> Result<Arc<Vec<String>>, Failure> {
        match self.models() {
            Some(models) => Ok(models),
            None => self.note(self.client.list(stop)),
        }
    }

    /// Whether it is there to be named: of a server that is looked for, that it has been found.
    pub(super) fn is_present(&self) -> bool {
        self.config.origin != Origin::Found || self.models().is_some()
    }

    /// Whether it has a model of this id.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.preset().is_some_and(|preset| preset.ids.contains(&id))
            || self
                .models()
                .is_some_and(|models| models.iter().any(|model| model == id))
    }

    /// The models to choose from: those it has listed, else those that are known of it.
    pub(super) fn offers(&self) -> Vec<String> {
        let ids = self.preset().map_or(&[][..], |preset| preset.ids);
        match self.models() {
            Some(models) => models.iter().filter(|id| chats(id)).cloned().collect(),
            None => ids.iter().map(|&id| id.to_owned()).collect(),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.lock().state == State::Down
    }

    pub(super) fn status(&self) -> ProviderStatus {
        let known = self.lock();
        ProviderStatus {
            config: self.config.clone(),
            state: known.state,
            reason: known.reason.clone(),
            since: known.since,
            models: known.models.clone().unwrap_or_default(),
        }
    }

    fn note(&self, listed: Result<Vec<ListedModel>, Failure>) -> Result<Arc<Vec<String>>, Failure> {
        let outcome = listed.and_then(|models| self.recognise(models)).map(Arc::new);
        let mut known = self.lock();
        known.asked = Some(Instant::now());
        match &outcome {
            Ok(models) => {
                known.turn(State::Up, None);
                known.models = Some(Arc::clone(models));
            }
            Err(failure) if failure.kind == FailureKind::Stopped => {}
            Err(failure) => {
                known.turn(State::Down, Some(&failure.message));
                if self.config.origin == Origin::Found && failure.kind == FailureKind::Broken {
                    // Somebody else is there now.
                    known.models = None;
                }
            }
        }
        outcome
    }

    /// What is found at an address is only what it says it is.
    fn recognise(&self, models: Vec<ListedModel>) -> Result<Vec<String>, Failure> {
        if self.config.origin == Origin::Found && !is_itself(&self.config.name, &models) {
            let message = format!("What answers at {} is not {}", self.config.base_url, self.config.name);
            return Err(Failure::new(FailureKind::Broken, message));
        }
        Ok(models.into_iter().map(|model| model.id).collect())
    }

    /// What a call says about the server.
    fn learn(&self, outcome: &Result<Completion, Failure>) {
        match outcome {
            Ok(_) => self.lock().turn(State::Up, None),
            Err(failure) if failure.kind == FailureKind::Unreachable => {
                self.lock().turn(State::Down, Some(&failure.message));
            }
            // It is there, and what it says about one call is nothing to the next.
            Err(_) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn turn(&mut self, state: State, reason: Option<&str>) {
        if self.state != state {
            self.state = state;
            self.since = Some(Clock.now());
        }
        self.reason = reason.map(str::to_owned);
    }
}

impl Provider for Member {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn instant(&self) -> bool {
        false
    }

    fn complete(
        &self,
        prompt: &Prompt,
        stop: &Stop,
        on_delta: &mut dyn FnMut(Delta<'_>),
    ) -> Result<Completion, Failure> {
        let outcome = self.client.complete(prompt, stop, on_delta);
        self.learn(&outcome);
        outcome
    }

    fn embed(&self, body: &Map<String, Value>, stop: &Stop) -> Result<(Value, Completion), Failure> {
        self.client.embed(body, stop)
    }
}

/// Whether what was listed at the address of a local server was listed by that server: its port may be anybody's.
fn is_itself(name: &str, models: &[ListedModel]) -> bool {
    let owned_by = |mark: &str| models.iter().any(|model| model.owned_by.starts_with(mark));
    match name {
        "llamacpp" => owned_by("llamacpp"),
        "lmstudio" => owned_by("organization"),
        // It names the namespace of each model, and its port is its own.
        _ => models.iter().all(|model| !model.owned_by.is_empty()),
    }
}

fn connect(
    config: &ProviderConfig,
    connections_max: usize,
    timeouts: Timeouts,
    pictures: &Arc<Room>,
) -> Result<Arc<dyn Lists>, Error> {
    let server = Server {
        name: &config.name,
        base_url: &config.base_url,
        key: config.key.as_ref().map(super::ApiKey::reveal),
        // What servers of anybody's own read: the older name, which all of them know.
        length_field: config
            .preset()
            .map_or(LengthField::MaxTokens, |preset| preset.length_field),
        connections_max,
        timeouts,
        pictures: Arc::clone(pictures),
    };
    match config.protocol {
        Protocol::OpenAi => Ok(Arc::new(OpenAi::new(server)?)),
        Protocol::Anthropic => Ok(Arc::new(Anthropic::new(server)?)),
    }
}

#[cfg(test)]
pub(super) mod tests;
