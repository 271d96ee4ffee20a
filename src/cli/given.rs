//! The values of settings as they were given, by flag or variable: found, and made of text. What they mean is none of
//! its business.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::ArgMatches;

use super::{Many, SETTINGS, models};
use crate::error::{Error, Kind};

/// Variables of the process and, behind them, those of `.env`.
pub struct Environment {
    process: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
}

impl Environment {
    /// The process's variables, and `.env` in the working directory.
    ///
    /// # Errors
    /// [`Kind::Malformed`] naming the line of `.env` that cannot be read.
    pub fn load() -> Result<Environment, Error> {
        let mut process = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => drop(process.insert(name, value)),
                Err(_) if SETTINGS.iter().any(|setting| setting.variable == name) => {
                    return Err(Error::new(Kind::Malformed, format!("{name} is not UTF-8")));
                }
                Err(_) => {}
            }
        }
        // Of this folder only: a file of the folders above it belongs to something else.
        let text = match std::fs::read_to_string(".env") {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::new(Kind::Malformed, ".env cannot be read").caused_by(error)),
        };
        let mut file = BTreeMap::new();
        for line in dotenvy::from_read_iter(text.as_bytes()) {
            // dotenvy's own words would show the line, and with it perhaps a key.
            let (name, value) = line.map_err(|error| {
                let at = match &error {
                    dotenvy::Error::LineParse(line, _) => text.lines().position(|whole| whole.contains(line.trim())),
                    _ => None,
                };
                let place = at.map_or_else(String::new, |at| format!(": line {} is malformed", at + 1));
                Error::new(Kind::Malformed, format!(".env cannot be read{place}"))
            })?;
            file.insert(name, value);
        }
        Ok(Environment { process, file })
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut values = [&self.process, &self.file].into_iter().filter_map(|map| map.get(name));
        values.find(|value| !value.is_empty()).map(String::as_str)
    }

    /// The variables of keys of providers that were given names.
    pub(super) fn provider_keys(&self) -> impl Iterator<Item = &str> {
        let names = self.process.iter().chain(&self.file);
        let names = names.filter(|(name, value)| models::is_provider_key(name) && !value.is_empty());
        names.map(|(name, _)| name.as_str())
    }

    /// A misspelt variable would silently do nothing.
    pub(super) fn refuse_unknown(&self) -> Result<(), Error> {
        let known =
            |name: &str| SETTINGS.iter().any(|setting| setting.variable == name) || models::is_provider_key(name);
        let mut set = self
            .process
            .iter()
            .chain(&self.file)
            .filter(|(_, value)| !value.is_empty());
        match set.find(|(name, _)| name.starts_with("FIRESIDE_") && !known(name)) {
            Some((name, _)) => Err(Error::new(
                Kind::Malformed,
                format!("There is no setting {name}; see fireside serve --help"),
            )),
            None => Ok(()),
        }
    }
}

/// Values as they were given, by flag or variable.
pub(super) struct Given<'g> {
    pub(super) matches: Option<&'g ArgMatches>,
    pub(super) environment: &'g Environment,
}

impl Given<'_> {
    /// The values of a setting, and what they were given by.
    pub(super) fn values(&self, name: &str) -> (String, Vec<String>) {
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.flag == name || setting.variable == name);
        let Some(setting) = setting else {
            return (name.to_owned(), Vec::new());
        };
        if !setting.flag.is_empty()
            && let Some(matches) = self.matches
        {
            let flag = format!("--{}", setting.flag);
            if setting.value.is_empty() {
                if matches.get_flag(setting.flag) {
                    return (flag, vec!["true".to_owned()]);
                }
            } else if let Some(values) = matches.get_many::<String>(setting.flag) {
                return (flag, values.cloned().collect());
            }
        }
        let values = match (self.environment.get(setting.variable), setting.many) {
            (None, _) => Vec::new(),
            (Some(value), Many::No) => vec![value.to_owned()],
            (Some(value), Many::Yes) => value.split(',').map(|part| part.trim().to_owned()).collect(),
        };
        (setting.variable.to_owned(), values)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.values(name).1.pop()
    }

    /// A value made of the text, or an error that names both.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let (source, mut values) = self.values(name);
        values
            .pop()
            .map(|value| parse(&value).ok_or_else(|| unusable(&source, &value, what)))
            .transpose()
    }

    pub(super) fn switch(&self, name: &str) -> Result<bool, Error> {
        let parse = |text: &str| match text {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        };
        Ok(self.parsed(name, "true or false", parse)?.unwrap_or(false))
    }

    pub(super) fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        name: &str,
        min: T,
        default: T,
    ) -> Result<T, Error> {
        let parse = |text: &str| text.parse().ok().filter(|number| *number >= min);
        let what = format!("a number from {min}");
        Ok(self.parsed(name, &what, parse)?.unwrap_or(default))
    }

    pub(super) fn all<T>(&self, name: &str, what: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Error> {
        let (source, values) = self.values(name);
        values
            .iter()
            .map(|value| parse(value).ok_or_else(|| unusable(&source, value, what)))
            .collect()
    }
}

pub(super) fn unusable(source: &str, value: &str, what: &str) -> Error {
    Error::new(Kind::Malformed, format!("{source}: {value:?} is not {what}"))
}
