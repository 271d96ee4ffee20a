//! Which providers there are to be: from keys and addresses in the environment, and from what administrators have
//! stored. Makes nothing and connects to nobody.

use super::echo::ECHO;
use super::library::LIBRARY;
use super::presets::{PRESETS, Preset, Protocol, preset};
use super::{ApiKey, Timeouts};
use crate::error::{Error, Kind};

/// Characters of a provider's or an alias's name: it stands in lists, and before every id.
const NAME_CHARS_MAX: usize = 40;
/// Models that one alias may try: each further one is waited for only when all before it have failed.
pub const ALIAS_MODELS_MAX: usize = 8;

/// What the environment says. Every key and URL may be absent; `echo` and `library` are always there.
#[derive(Clone, Default)]
pub struct ModelsConfig {
    /// The model that answers when none is asked for, by any name that resolves.
    pub default_model: Option<String>,
    /// A name that means the default model when nobody serves it, beside those that always do.
    pub default_name: Option<String>,
    /// Keys by the name of the preset they belong to, each sent to that provider's base URL only.
    pub keys: Vec<(String, ApiKey)>,
    /// An OpenAI-compatible server to use as `openai`, such as `http://127.0.0.1:11434/v1`; needs no key.
    pub openai_base_url: Option<String>,
    /// Further providers, in order of preference.
    pub providers: Vec<NamedProvider>,
    /// Names that stand for models.
    pub aliases: Vec<Alias>,
    /// Whether servers on this machine are looked for.
    pub discovery: Discovery,
    /// How many idle connections to keep to a server: as many as there may be turns at once.
    pub connections_max: usize,
    /// How long a server may take.
    pub timeouts: Timeouts,
}

/// Whether servers on this machine that nobody has named are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discovery {
    /// They are.
    On,
    /// They are not.
    #[default]
    Off,
}

/// A provider that was given a name, and perhaps an address and a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedProvider {
    /// What stands before the slash in `provider/id`.
    pub name: String,
    /// How it is spoken to; the preset's of this name if absent, else OpenAI's.
    pub protocol: Option<Protocol>,
    /// Where it is; the preset's of this name if absent.
    pub base_url: Option<String>,
    /// Its key.
    pub key: Option<ApiKey>,
}

/// A name that stands for one or several models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// What is asked for.
    pub name: String,
    /// `provider/id`, or an id that is known: the next one is tried when one fails.
    pub models: Vec<String>,
}

/// Where a provider, an alias or the default comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From flags and variables: only whoever starts the server changes it.
    Environment,
    /// An administrator has stored it.
    Stored,
    /// It was found on this machine, or follows from what is there.
    Found,
}

/// A provider to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderConfig {
    /// The stored row's id, if it is one.
    pub id: Option<i64>,
    /// What stands before the slash in `provider/id`.
    pub name: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Where it is.
    pub base_url: String,
    /// Its key, sent there only.
    pub key: Option<ApiKey>,
    /// Who says so.
    pub origin: Origin,
    /// Whether it may be asked.
    pub is_enabled: bool,
}

impl ProviderConfig {
    /// The row of the table that it is, if it stands at that row's own address: what is known of the one is then true of
    /// the other.
    pub(super) fn preset(&self) -> Option<&'static Preset> {
        preset(&self.name).filter(|preset| preset.base_url == self.base_url)
    }

    /// Whether it is a server of the administrator's own, which may be asked for any model at all.
    pub(super) fn is_custom(&self) -> bool {
        let is_known = self.preset().is_some_and(|preset| preset.key.is_some());
        self.origin != Origin::Found && !is_known
    }
}

impl NamedProvider {
    /// With what the presets know filled in.
    ///
    /// # Errors
    /// [`Kind::Malformed`] if the name cannot be one, or if there is no address.
    pub fn complete(self, origin: Origin) -> Result<ProviderConfig, Error> {
        check_name(&self.name)?;
        let preset = preset(&self.name);
        let base_url = self.base_url.as_deref().map(str::trim).filter(|url| !url.is_empty());
        let base_url = base_url.or(preset.map(|preset| preset.base_url)).ok_or_else(|| {
            let message = format!("Where is {}? It needs a base URL", self.name);
            Error::new(Kind::Malformed, message)
        })?;
        let own = preset.map(|preset| preset.protocol);
        Ok(ProviderConfig {
            id: None,
            protocol: self.protocol.or(own).unwrap_or(Protocol::OpenAi),
            base_url: base_url.trim_end_matches('/').to_owned(),
            key: self.key,
            origin,
            is_enabled: true,
            name: self.name,
        })
    }
}

/// Whether a provider may have this name.
///
/// # Errors
/// [`Kind::Malformed`] with what is wrong with it.
pub fn check_name(name: &str) -> Result<(), Error> {
    let is_word = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte));
    if !is_word || name.len() > NAME_CHARS_MAX {
        let message = format!(
            "{name:?} cannot be a provider's name: at most {NAME_CHARS_MAX} lower-case letters, digits, -, _ and ., a \
             letter first"
        );
        return Err(Error::new(Kind::Malformed, message));
    }
    if [ECHO, LIBRARY].contains(&name) {
        let message = format!("{name} is built in, and no other provider's name");
        return Err(Error::new(Kind::Malformed, message));
    }
    Ok(())
}

impl Alias {
    /// Whether it can be one.
    ///
    /// # Errors
    /// [`Kind::Malformed`] with what is wrong with it.
    pub fn check(&self) -> Result<(), Error> {
        let no = |why: &str| Err(Error::new(Kind::Malformed, format!("The alias {:?} {why}", self.name)));
        let is_word = !self.name.is_empty()
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
        if !is_word || self.name.len() > NAME_CHARS_MAX {
            return no("must have letters, digits, -, _, . and : only, 40 at most");
        }
        if [ECHO, LIBRARY].contains(&self.name.as_str()) {
            return no("is the name of a model that is built in");
        }
        match self.models.len() {
            0 => no("stands for no model"),
            1..=ALIAS_MODELS_MAX => Ok(()),
            _ => no("stands for more than 8 models"),
        }
    }
}

impl ModelsConfig {
    /// The providers of the environment, in order of preference.
    ///
    /// # Errors
    /// [`Kind::Malformed`] naming the provider that cannot be one.
    pub(super) fn configured(&self) -> Result<Vec<ProviderConfig>, Error> {
        let mut configured: Vec<ProviderConfig> = Vec::new();
        let base_url = self
            .openai_base_url
            .as_deref()
            .map(str::trim)
            .filter(|url| !url.is_empty());
        for preset in PRESETS {
            let key = self
                .keys
                .iter()
                .find(|(name, _)| name == preset.name)
                .map(|(_, key)| key.clone());
            let base_url = base_url.filter(|_| preset.name == "openai");
            if key.is_none() && base_url.is_none() {
                continue;
            }
            let named = NamedProvider {
                name: preset.name.to_owned(),
                protocol: None,
                base_url: base_url.map(str::to_owned),
                key,
            };
            let config = named.complete(Origin::Environment)?;
            if config.preset().is_none() || config.key.is_some() {
                configured.push(config);
            }
        }
        for named in &self.providers {
            let config = named.clone().complete(Origin::Environment)?;
            if configured.iter().any(|other| other.name == config.name) {
                let message = format!("There are two providers named {}", config.name);
                return Err(Error::new(Kind::Malformed, message));
            }
            configured.push(config);
        }
        Ok(configured)
    }
}
