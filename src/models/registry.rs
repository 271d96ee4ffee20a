//! Which model answers to which name.
//!
//! Owns the providers and the rules of resolution. What is there can be changed while calls go on: they keep the
//! providers they have. Never waits: servers are asked for their models in the background (`watch`), or, before there is
//! a first list, by the call itself (`listed`).

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::config::{Alias, Discovery, ModelsConfig, Origin, ProviderConfig};
use super::echo::{ECHO, Echo};
use super::fallback::{Absent, Fallback};
use super::library::{LIBRARY, Librarian};
use super::listed::{Listed, first};
use super::member::{Making, Member, ProviderStatus, State};
use super::watch::Watch;
use super::{Provider, discovery};
use crate::error::{Error, Kind};

/// Names that existing clients send without anyone having chosen them. They always find an answer.
const DEFAULT_NAMES: [&str; 4] = ["gpt-4.1-nano", "fast", "balanced", "smart"];

/// A model and who runs it.
#[derive(Clone)]
pub struct Choice {
    /// Whom to ask.
    pub provider: Arc<dyn Provider>,
    /// What to put into [`Prompt::model`](super::Prompt::model). Empty for the first model a local server lists:
    /// [`Completion::model`](super::Completion::model) then says which one ran.
    pub model: String,
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider.name(), self.model)
    }
}

/// Nobody serves a model of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownModel {
    /// The name that was asked for.
    pub requested: String,
}

/// What administrators have stored.
#[derive(Clone, Debug, Default)]
pub struct StoredModels {
    /// Their providers, in order of preference.
    pub providers: Vec<ProviderConfig>,
    /// Their aliases.
    pub aliases: Vec<Alias>,
    /// The default model.
    pub default_model: Option<String>,
}

/// The providers there are.
pub struct Registry {
    echo: Arc<dyn Provider>,
    library: Arc<dyn Provider>,
    making: Making,
    /// From the environment; there for good.
    own: Vec<Arc<Member>>,
    /// Servers on this machine that may be there.
    findable: Vec<Arc<Member>>,
    own_aliases: Vec<Alias>,
    own_default: Option<String>,
    default_name: Option<String>,
    table: RwLock<Arc<Table>>,
    pub(super) watch: Watch,
}

/// What there is at a time.
#[derive(Default)]
struct Table {
    /// In order of preference.
    members: Vec<Arc<Member>>,
    /// Stored ones that are not asked, and why.
    idle: Vec<ProviderStatus>,
    aliases: Vec<(Alias, Origin)>,
    default: Option<(String, Origin)>,
}

impl Registry {
    /// The providers of the environment. What is stored comes with [`Registry::store`].
    ///
    /// # Errors
    /// [`Kind::Malformed`], naming the setting, if a base URL, a key or an alias cannot be used.
    pub fn new(config: ModelsConfig) -> Result<Registry, Error> {
        let making = Making {
            connections_max: config.connections_max,
            timeouts: config.timeouts,
            pictures: Arc::default(),
        };
        let mut own = Vec::new();
        for provider in config.configured()? {
            let is_openai = provider.name == "openai" && config.openai_base_url.is_some();
            let setting = if is_openai { "OPENAI_BASE_URL" } else { &*provider.name }.to_owned();
            let member = Member::new(provider, &making).map_err(|error| error.about(&setting))?;
            own.push(Arc::new(member));
        }
        for alias in &config.aliases {
            alias.check()?;
        }
        let findable = match config.discovery {
            Discovery::On => discovery::candidates(&making)?,
            Discovery::Off => Vec::new(),
        };
        let registry = Registry {
            echo: Arc::new(Echo),
            library: Arc::new(Librarian),
            making,
            own,
            findable,
            own_aliases: config.aliases,
            own_default: set(config.default_model.as_deref()).map(str::to_owned),
            default_name: config.default_name,
            table: RwLock::default(),
            watch: Watch::default(),
        };
        registry.store(StoredModels::default());
        Ok(registry)
    }

    /// Whether somebody serves the default model that the environment names.
    ///
    /// # Errors
    /// [`Kind::Malformed`] naming the model.
    pub fn check_default(&self) -> Result<(), Error> {
        let table = self.table();
        match &self.own_default {
            Some(name) if self.find(&table, name).is_none() && self.absent(name).is_none() => {
                let message = format!("No configured provider serves the default model {name:?}");
                Err(Error::new(Kind::Malformed, message))
            }
            _ => Ok(()),
        }
    }

    /// Takes what administrators have stored in place of what they had stored before. Providers that stay the same keep
    /// their connections and what is known of them.
    pub fn store(&self, stored: StoredModels) {
        let before = self.table();
        let mut table = Table {
            members: self.own.clone(),
            ..Table::default()
        };
        for config in stored.providers {
            let kept = before.members.iter().find(|member| *member.config() == config);
            let member = match kept {
                _ if !config.is_enabled => Err((State::Off, None)),
                _ if table.member(&config.name).is_some() => {
                    let reason = "The environment names another provider like this".to_owned();
                    Err((State::Down, Some(reason)))
                }
                Some(member) => Ok(Arc::clone(member)),
                None => Member::new(config.clone(), &self.making)
                    .map(Arc::new)
                    .map_err(|error| (State::Down, Some(error.message().to_owned()))),
            };
            match member {
                Ok(member) => table.members.push(member),
                Err((state, reason)) => table.idle.push(ProviderStatus {
                    config,
                    state,
                    reason,
                    since: None,
                    models: Arc::default(),
                }),
            }
        }
        for candidate in &self.findable {
            // A server that is named is not found as well.
            let is_there = table.members.iter().any(|member| {
                let (named, found) = (member.config(), candidate.config());
                named.name == found.name || discovery::is_same_server(&named.base_url, &found.base_url)
            });
            if !is_there {
                table.members.push(Arc::clone(candidate));
            }
        }
        let own = self
            .own_aliases
            .iter()
            .map(|alias| (alias.clone(), Origin::Environment));
        table.aliases = own.collect();
        for alias in stored.aliases {
            if table.alias(&alias.name).is_none() {
                table.aliases.push((alias, Origin::Stored));
            }
        }
        let own = self.own_default.clone().map(|name| (name, Origin::Environment));
        table.default = own.or(stored.default_model.map(|name| (name, Origin::Stored)));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        self.watch.wake();
    }

    /// The model that answers when none is asked for.
    pub fn default_model(&self) -> Choice {
        self.default_of(&self.table())
    }

    /// Who runs the model of this name: an alias, `provider/id`, a known id, or anything at all if there is a server
    /// of the administrator's own to ask. None or blank means the default model, and so does a default name
    /// (`gpt-4.1-nano`, `fast`, `balanced`, `smart`, and [`ModelsConfig::default_name`]) that nobody serves.
    ///
    /// # Errors
    /// [`UnknownModel`].
    pub fn resolve(&self, requested: Option<&str>) -> Result<Choice, UnknownModel> {
        let name = requested.map_or("", str::trim);
        let table = self.table();
        if name.is_empty() {
            return Ok(self.default_of(&table));
        }
        if let Some(choice) = self.known_as(&table, name) {
            return Ok(choice);
        }
        if DEFAULT_NAMES.contains(&name) || self.default_name.as_deref() == Some(name) {
            return Ok(self.for_default_name(&table, name));
        }
        table.passed_on(name).ok_or_else(|| UnknownModel {
            requested: name.to_owned(),
        })
    }

    /// Every model that there is somebody to run, by the name it is asked for by: the default before all others, once
    /// each.
    pub fn available(&self) -> Vec<String> {
        let table = self.table();
        let default = Some(self.default_of(&table).model).filter(|model| !model.is_empty());
        let mut models: Vec<String> = default.into_iter().collect();
        let mut seen: HashSet<String> = models.iter().cloned().collect();
        let is_prefix = |id: &str| id.split_once('/').is_some_and(|(name, _)| table.member(name).is_some());
        for member in &table.members {
            for id in member.offers() {
                // Where a name is another's, its own provider's goes before it.
                let is_taken = seen.contains(&id) && table.known(&id).is_none_or(|other| !Arc::ptr_eq(other, member));
                let name = if is_taken || is_prefix(&id) || table.alias(&id).is_some() {
                    format!("{}/{id}", member.config().name)
                } else {
                    id
                };
                if seen.insert(name.clone()) {
                    models.push(name);
                }
            }
        }
        for own in [ECHO, LIBRARY] {
            if seen.insert(own.to_owned()) {
                models.push(own.to_owned());
            }
        }
        models
    }

    /// The providers, those that are not asked included; of servers on this machine those that have been found.
    pub fn providers(&self) -> Vec<ProviderStatus> {
        let table = self.table();
        let present = table.members.iter().filter(|member| member.is_present());
        let statuses = present.map(|member| member.status());
        statuses.chain(table.idle.iter().cloned()).collect()
    }

    /// The aliases, and who has set them.
    pub fn aliases(&self) -> Vec<(Alias, Origin)> {
        self.table().aliases.clone()
    }

    /// The name of the default model and who has set it, if anybody has.
    pub fn default_setting(&self) -> Option<(String, Origin)> {
        self.table().default.clone()
    }

    /// Whether a provider like this could be asked.
    ///
    /// # Errors
    /// [`Kind::Malformed`] if its base URL or its key cannot be used.
    pub fn check(&self, config: &ProviderConfig) -> Result<(), Error> {
        Member::new(config.clone(), &self.making).map(drop)
    }

    /// Whether somebody is known to serve this model. What only a server of the administrator's own might make something
    /// of does not count, nor does an alias: it stands for models, not for aliases.
    pub fn serves(&self, model: &str) -> bool {
        self.find_model(&self.table(), model).is_some()
    }

    /// The same, or an alias.
    pub fn serves_name(&self, name: &str) -> bool {
        self.known_as(&self.table(), name).is_some()
    }

    pub(super) fn members(&self) -> Vec<Arc<Member>> {
        self.table().members.clone()
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn default_of(&self, table: &Table) -> Choice {
        if let Some((name, _)) = &table.default
            && let Some(choice) = self.find(table, name).or_else(|| self.absent(name))
        {
            return choice;
        }
        let first = table.members.iter().find_map(first_of);
        first.unwrap_or_else(|| Choice {
            provider: Arc::clone(&self.echo),
            model: ECHO.to_owned(),
        })
    }

    /// A default name that nobody is known to serve: what a server of the administrator's own has not listed yet may be
    /// among its models; of any other it is not.
    fn for_default_name(&self, table: &Table, name: &str) -> Choice {
        let default = self.default_of(table);
        let member = table.members.iter().find(|member| member.config().is_custom());
        match member {
            Some(member) if member.models().is_none() && member.name() == default.provider.name() => {
                let fallback = Some(default.model).filter(|model| !model.is_empty());
                Choice {
                    provider: Arc::new(Listed::new(Arc::clone(member), fallback)),
                    model: name.to_owned(),
                }
            }
            _ => default,
        }
    }

    /// By any name that resolves.
    fn find(&self, table: &Table, name: &str) -> Option<Choice> {
        self.known_as(table, name).or_else(|| table.passed_on(name))
    }

    /// An alias, or what [`find_model`](Registry::find_model) finds.
    fn known_as(&self, table: &Table, name: &str) -> Option<Choice> {
        if let Some(choice) = table.alias(name).and_then(|alias| self.alias_of(table, alias)) {
            return Some(choice);
        }
        let of_preset = table.members.iter().find_map(|member| {
            let (_, id) = member.preset()?.aliases.iter().find(|(alias, _)| *alias == name)?;
            Some(choice(member, id))
        });
        of_preset.or_else(|| self.find_model(table, name))
    }

    /// `provider/id`, a model that is built in, or a known id.
    fn find_model(&self, table: &Table, name: &str) -> Option<Choice> {
        if let Some((prefix, id)) = name.split_once('/').filter(|(_, id)| !id.is_empty())
            && let Some(member) = table.member(prefix)
        {
            return Some(choice(member, id));
        }
        for own in [&self.echo, &self.library] {
            if own.name() == name {
                return Some(Choice {
                    provider: Arc::clone(own),
                    model: name.to_owned(),
                });
            }
        }
        table.known(name).map(|member| choice(member, name))
    }

    /// The models of an alias that somebody serves. Those of a server that is known to be down are tried last: whoever
    /// asks should not wait for it first, and yet it may be up again.
    fn alias_of(&self, table: &Table, alias: &Alias) -> Option<Choice> {
        let find = |name: &String| self.find_model(table, name).or_else(|| table.passed_on(name));
        let mut choices: Vec<Choice> = alias.models.iter().filter_map(find).collect();
        let is_down = |choice: &Choice| {
            table
                .member(choice.provider.name())
                .is_some_and(|member| member.is_down())
        };
        choices.sort_by_key(is_down);
        match choices.len() {
            0 => alias.models.first().and_then(|name| self.absent(name)),
            1 => choices.pop(),
            _ => Some(Choice {
                model: choices[0].model.clone(),
                provider: Arc::new(Fallback::new(&alias.name, choices)),
            }),
        }
    }

    /// A model of a server on this machine that has not been found (yet).
    fn absent(&self, name: &str) -> Option<Choice> {
        let (prefix, id) = name.split_once('/').filter(|(_, id)| !id.is_empty())?;
        let mut findable = self.findable.iter().map(|member| member.config());
        let config = findable.find(|config| config.name == prefix)?;
        let reason = format!("{prefix} was not found at {} on this machine", config.base_url);
        Some(Absent::choice(prefix, id, reason))
    }
}

impl Table {
    fn member(&self, name: &str) -> Option<&Arc<Member>> {
        let mut members = self.members.iter().filter(|member| member.is_present());
        members.find(|member| member.config().name == name)
    }

    fn alias(&self, name: &str) -> Option<&Alias> {
        self.aliases
            .iter()
            .map(|(alias, _)| alias)
            .find(|alias| alias.name == name)
    }

    /// The first provider that has a model of this id.
    fn known(&self, id: &str) -> Option<&Arc<Member>> {
        self.members.iter().find(|member| member.knows(id))
    }

    /// The first server of the administrator's own, for whatever it makes of the name.
    fn passed_on(&self, name: &str) -> Option<Choice> {
        let member = self.members.iter().find(|member| member.config().is_custom())?;
        Some(choice(member, name))
    }
}

fn choice(member: &Arc<Member>, model: &str) -> Choice {
    Choice {
        provider: Arc::<Member>::clone(member),
        model: model.to_owned(),
    }
}

/// The model that a provider answers with when none is named, if it is one that does so.
fn first_of(member: &Arc<Member>) -> Option<Choice> {
    if let Some(&id) = member.preset().and_then(|preset| preset.ids.first()) {
        return Some(choice(member, id));
    }
    let listed = member.models();
    match listed.as_deref().and_then(|ids| first(ids)) {
        Some(id) => Some(choice(member, id)),
        // What was found and has nothing is no better than what was not found.
        None if member.config().origin == Origin::Found => None,
        None => Some(Choice {
            provider: Arc::new(Listed::new(Arc::clone(member), None)),
            model: String::new(),
        }),
    }
}

/// An empty setting counts as none.
fn set(setting: Option<&str>) -> Option<&str> {
    setting.map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
