//! The settings that say which models there are: providers, their keys, names for models.

use super::given::{Given, unusable};
use crate::error::{Error, Kind};
use crate::models::{Alias, ApiKey, NamedProvider, PRESETS, Protocol, check_name};

/// What stands around a provider's name in the variable of its key.
const PROVIDER_KEY: (&str, &str) = ("FIRESIDE_PROVIDER_", "_KEY");

/// The keys of providers that are known beforehand.
pub(super) fn provider_keys(given: &Given<'_>) -> Vec<(String, ApiKey)> {
    let key = |variable| given.text(variable).and_then(|key| ApiKey::new(&key));
    let keys = PRESETS
        .iter()
        .filter_map(|preset| Some((preset.name.to_owned(), key(preset.key?.variable)?)));
    keys.collect()
}

/// The variable of a named provider's key.
fn provider_key(name: &str) -> String {
    let word = |char: char| {
        if char.is_ascii_alphanumeric() {
            char.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(word).collect();
    format!("{}{name}{}", PROVIDER_KEY.0, PROVIDER_KEY.1)
}

/// `NAME=URL`, `NAME=anthropic+URL`, or the name of one that is known. A key that belongs to none of them is a mistake.
pub(super) fn providers(given: &Given<'_>) -> Result<Vec<NamedProvider>, Error> {
    let (source, values) = given.values("provider");
    let mut providers = Vec::new();
    for value in values {
        let (name, url) = match value.split_once('=') {
            Some((name, url)) => (name.trim(), Some(url.trim())),
            None => (value.as_str(), None),
        };
        check_name(name).map_err(|error| error.about(&source))?;
        let (protocol, url) = match url.and_then(|url| url.split_once('+')) {
            Some((protocol, url)) if Protocol::parse(protocol).is_some() => (Protocol::parse(protocol), Some(url)),
            _ => (None, url),
        };
        providers.push(NamedProvider {
            protocol,
            base_url: url.map(str::to_owned),
            key: given.environment.get(&provider_key(name)).and_then(ApiKey::new),
            name: name.to_owned(),
        });
    }
    let is_named = |variable: &str| {
        providers
            .iter()
            .any(|provider| provider_key(&provider.name) == variable)
    };
    match given.environment.provider_keys().find(|variable| !is_named(variable)) {
        Some(variable) => Err(Error::new(
            Kind::Malformed,
            format!("{variable} is the key of a provider that no --provider names"),
        )),
        None => Ok(providers),
    }
}

/// `NAME=MODEL,MODEL`. A variable holds several with commas between them, too: what has no name belongs to what came
/// before it.
pub(super) fn aliases(given: &Given<'_>) -> Result<Vec<Alias>, Error> {
    let (source, values) = given.values("alias");
    let mut aliases: Vec<Alias> = Vec::new();
    for part in values.iter().flat_map(|value| value.split(',')).map(str::trim) {
        match (part.split_once('='), aliases.last_mut()) {
            (Some((name, model)), _) => aliases.push(Alias {
                name: name.trim().to_owned(),
                models: vec![model.trim().to_owned()],
            }),
            (None, Some(alias)) => alias.models.push(part.to_owned()),
            (None, None) => return Err(unusable(&source, part, "NAME=MODEL")),
        }
    }
    for alias in &aliases {
        alias.check().map_err(|error| error.about(&source))?;
    }
    Ok(aliases)
}

/// Whether this is the key of a provider that was given a name. Whether one has that name is seen once they are known.
pub(super) fn is_provider_key(variable: &str) -> bool {
    let name = variable
        .strip_prefix(PROVIDER_KEY.0)
        .and_then(|rest| rest.strip_suffix(PROVIDER_KEY.1));
    name.is_some_and(|name| !name.is_empty())
}
