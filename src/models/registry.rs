//! Which model answers to which name.
//!
//! Owns the presets and the rules of resolution. Never waits: what only a server knows is asked by the call itself
//! (see `listed`).

use std::fmt;
use std::sync::Arc;

use super::echo::{ECHO, Echo};
use super::library::{LIBRARY, Librarian};
use super::listed::Listed;
use super::openai::{OpenAi, Server};
use super::request::LengthField;
use super::room::Room;
use super::{Provider, Timeouts};
use crate::error::{Error, Kind};

/// Names that existing clients send without anyone having chosen them. They always find an answer.
const DEFAULT_NAMES: [&str; 4] = ["gpt-4.1-nano", "fast", "balanced", "smart"];

/// A provider whose models we know. Adding one is a row here and its key in [`ModelsConfig`].
struct Preset {
    name: &'static str,
    base_url: &'static str,
    length_field: LengthField,
    /// The ids that are recognised without the provider's name before them; the first is the default.
    ids: &'static [&'static str],
    aliases: [(&'static str, &'static str); 3],
}

/// <https://platform.openai.com/docs/models>
const OPENAI: Preset = Preset {
    name: "openai",
    base_url: "https://api.openai.com/v1",
    length_field: LengthField::MaxCompletionTokens,
    ids: &[
        "gpt-4.1-nano",
        "gpt-4.1-mini",
        "gpt-4.1",
        "gpt-4o-mini",
        "gpt-4o",
        "gpt-5-nano",
        "gpt-5-mini",
        "gpt-5",
        "o4-mini",
        "o3",
    ],
    aliases: [
        ("fast", "gpt-4.1-nano"),
        ("balanced", "gpt-4.1-mini"),
        ("smart", "gpt-4.1"),
    ],
};

/// <https://console.groq.com/docs/models>
const GROQ: Preset = Preset {
    name: "groq",
    base_url: "https://api.groq.com/openai/v1",
    length_field: LengthField::MaxTokens,
    ids: &[
        "llama-3.3-70b-versatile",
        "llama-3.1-8b-instant",
        "openai/gpt-oss-20b",
        "openai/gpt-oss-120b",
    ],
    aliases: [
        ("fast", "llama-3.1-8b-instant"),
        ("balanced", "llama-3.3-70b-versatile"),
        ("smart", "openai/gpt-oss-120b"),
    ],
};

/// Which providers there are. Every key and URL may be absent; `echo` and `library` are always there.
#[derive(Clone, Default)]
pub struct ModelsConfig {
    /// The model that answers when none is asked for, by any name that resolves.
    pub default_model: Option<String>,
    /// A name that means the default model when nobody serves it, beside those that always do.
    pub default_name: Option<String>,
    /// The key of `openai`, sent to its base URL only.
    pub openai_api_key: Option<String>,
    /// An OpenAI-compatible server to use as `openai`, such as `http://127.0.0.1:11434/v1`; needs no key.
    pub openai_base_url: Option<String>,
    /// The key of `groq`.
    pub groq_api_key: Option<String>,
    /// How many idle connections to keep to a server: as many as there may be turns at once.
    pub connections_max: usize,
    /// How long a server may take.
    pub timeouts: Timeouts,
}

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

/// The configured providers.
pub struct Registry {
    echo: Arc<dyn Provider>,
    library: Arc<dyn Provider>,
    /// Presets with a key, in order of preference.
    presets: Vec<(&'static Preset, Arc<dyn Provider>)>,
    /// The server behind a base URL of the administrator's, which knows its own models.
    custom: Option<Arc<dyn Provider>>,
    /// The same server, choosing from its list.
    listed: Option<Arc<Listed>>,
    default: Choice,
    default_name: Option<String>,
}

impl Registry {
    /// [`Kind::Malformed`], naming the setting, if the base URL or a key cannot be used, or if no configured provider
    /// serves the default model.
    pub fn new(config: ModelsConfig) -> Result<Registry, Error> {
        let pictures = Arc::new(Room::default());
        let server = |preset: &Preset, base_url: &str, key: &Option<String>, length_field| {
            OpenAi::new(Server {
                name: preset.name,
                base_url,
                key: set(key),
                length_field,
                connections_max: config.connections_max,
                timeouts: config.timeouts,
                pictures: Arc::clone(&pictures),
            })
        };
        let echo: Arc<dyn Provider> = Arc::new(Echo);
        let mut presets: Vec<(&'static Preset, Arc<dyn Provider>)> = Vec::new();
        let mut custom = None;
        let base_url = set(&config.openai_base_url).map(|url| url.trim_end_matches('/'));
        match base_url.filter(|&url| url != OPENAI.base_url) {
            // What local servers read: the older name, which all of them know.
            Some(url) => {
                let named = |error: Error| Error::new(error.kind(), format!("OPENAI_BASE_URL: {}", error.message()));
                let made = server(&OPENAI, url, &config.openai_api_key, LengthField::MaxTokens).map_err(named)?;
                custom = Some(Arc::new(made));
            }
            None if set(&config.openai_api_key).is_some() => {
                let openai = server(&OPENAI, OPENAI.base_url, &config.openai_api_key, OPENAI.length_field)?;
                presets.push((&OPENAI, Arc::new(openai)));
            }
            None => (),
        }
        if set(&config.groq_api_key).is_some() {
            let groq = server(&GROQ, GROQ.base_url, &config.groq_api_key, GROQ.length_field)?;
            presets.push((&GROQ, Arc::new(groq)));
        }
        let default = Choice {
            provider: Arc::clone(&echo),
            model: ECHO.to_owned(),
        };
        let mut registry = Registry {
            echo,
            library: Arc::new(Librarian),
            presets,
            custom: custom.clone().map(|server| server as _),
            listed: None,
            default,
            default_name: config.default_name.clone(),
        };
        registry.default = registry.configured_default(set(&config.default_model), custom)?;
        Ok(registry)
    }

    /// The model that answers when none is asked for.
    pub fn default_model(&self) -> &Choice {
        &self.default
    }

    /// Who runs the model of this name: an alias, `provider/id`, a known id, or anything at all if there is a server
    /// of the administrator's own to ask. None or blank means the default model, and so does a default name
    /// (`gpt-4.1-nano`, `fast`, `balanced`, `smart`, and [`ModelsConfig::default_name`]) that nobody serves.
    pub fn resolve(&self, requested: Option<&str>) -> Result<Choice, UnknownModel> {
        let name = requested.map_or("", str::trim);
        if name.is_empty() {
            return Ok(self.default.clone());
        }
        if let Some(choice) = self.known_as(name) {
            return Ok(choice);
        }
        if DEFAULT_NAMES.contains(&name) || self.default_name.as_deref() == Some(name) {
            return Ok(match &self.listed {
                Some(listed) => Choice {
                    provider: Arc::<Listed>::clone(listed),
                    model: name.to_owned(),
                },
                None => self.default.clone(),
            });
        }
        self.passed_on(name).ok_or_else(|| UnknownModel {
            requested: name.to_owned(),
        })
    }

    /// Every model that is known without asking anyone, the default's provider first: the presets', those a server
    /// has listed when it was last asked, and those that are built in.
    pub fn known(&self) -> Vec<String> {
        let listed = self.listed.iter().flat_map(|listed| listed.known());
        let presets = self
            .presets
            .iter()
            .flat_map(|(preset, _)| preset.ids)
            .map(|&id| id.to_owned());
        listed
            .chain(presets)
            .chain([ECHO.to_owned(), LIBRARY.to_owned()])
            .collect()
    }

    /// The same with the default model before all others, once each.
    pub fn available(&self) -> Vec<String> {
        let default = Some(self.default.model.clone()).filter(|model| !model.is_empty());
        let mut models: Vec<String> = Vec::new();
        for model in default.into_iter().chain(self.known()) {
            if !models.contains(&model) {
                models.push(model);
            }
        }
        models
    }

    fn configured_default(&mut self, name: Option<&str>, custom: Option<Arc<OpenAi>>) -> Result<Choice, Error> {
        let Some(name) = name else {
            if let Some(server) = custom {
                let listed = Arc::new(Listed::new(server, None));
                self.listed = Some(Arc::clone(&listed));
                return Ok(Choice {
                    provider: listed,
                    model: String::new(),
                });
            }
            return Ok(match self.presets.first() {
                Some((preset, provider)) => Choice {
                    provider: Arc::clone(provider),
                    model: preset.ids[0].to_owned(),
                },
                None => self.default.clone(),
            });
        };
        let choice = self.known_as(name).or_else(|| self.passed_on(name)).ok_or_else(|| {
            Error::new(
                Kind::Malformed,
                format!("No configured provider serves the default model {name:?}"),
            )
        })?;
        // Default names may still be models of that server's; of any other they are not.
        self.listed = custom
            .filter(|server| server.name() == choice.provider.name())
            .map(|server| Arc::new(Listed::new(server, Some(choice.model.clone()))));
        Ok(choice)
    }

    /// An alias, `provider/id` or a known id.
    fn known_as(&self, name: &str) -> Option<Choice> {
        let choice = |provider: &Arc<dyn Provider>, model: &str| Choice {
            provider: Arc::clone(provider),
            model: model.to_owned(),
        };
        for (preset, provider) in &self.presets {
            if let Some((_, id)) = preset.aliases.iter().find(|(alias, _)| *alias == name) {
                return Some(choice(provider, id));
            }
        }
        if let Some((prefix, id)) = name.split_once('/').filter(|(_, id)| !id.is_empty()) {
            let providers = self
                .custom
                .iter()
                .chain(self.presets.iter().map(|(_, provider)| provider));
            if let Some(provider) = providers.into_iter().find(|provider| provider.name() == prefix) {
                return Some(choice(provider, id));
            }
        }
        if name == ECHO {
            return Some(choice(&self.echo, ECHO));
        }
        if name == LIBRARY {
            return Some(choice(&self.library, LIBRARY));
        }
        let (_, provider) = self.presets.iter().find(|(preset, _)| preset.ids.contains(&name))?;
        Some(choice(provider, name))
    }

    fn passed_on(&self, name: &str) -> Option<Choice> {
        let provider = Arc::clone(self.custom.as_ref()?);
        Some(Choice {
            provider,
            model: name.to_owned(),
        })
    }
}

/// An empty setting counts as none.
fn set(setting: &Option<String>) -> Option<&str> {
    setting.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
