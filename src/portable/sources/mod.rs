//! Other programs' exports: for each a row that says what its conversations are told by, and a function that reads one.
//! What they have in common to be read leniently stands here: fields are missing, null, or of another type in one
//! version than in the next, and a conversation is not lost for that.

mod chatgpt;
mod claude;
mod llama_cpp;
mod open_webui;

use std::fmt;
use std::io::{BufReader, Read};
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::thread::Thread;
use crate::clock::Moment;

/// A program whose exports are read.
#[derive(Debug)]
pub(super) struct Source {
    /// Its name.
    pub(super) name: &'static str,
    /// Fields that all its conversations have, and no other program's.
    marks: &'static [&'static str],
    /// Reads a conversation.
    pub(super) read: fn(&[u8]) -> serde_json::Result<Thread>,
}

/// All of them.
const SOURCES: &[Source] = &[
    Source {
        name: "ChatGPT",
        marks: &["mapping"],
        read: chatgpt::read,
    },
    Source {
        name: "Claude",
        marks: &["chat_messages"],
        read: claude::read,
    },
    Source {
        name: "llama.cpp",
        marks: &["conv", "messages"],
        read: llama_cpp::read,
    },
    Source {
        name: "Open WebUI",
        marks: &["chat"],
        read: open_webui::read,
    },
];

/// The program that wrote a conversation with these fields.
pub(super) fn source_of(fields: &[String]) -> Option<&'static Source> {
    let has = |mark: &&str| fields.iter().any(|field| field == mark);
    SOURCES.iter().find(|source| source.marks.iter().all(has))
}

/// The names of an object's fields, the first hundred.
///
/// # Errors
/// When it is no object, or broken.
pub(super) fn fields(object: impl Read) -> serde_json::Result<Vec<String>> {
    struct Names;
    impl<'de> Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut names = Vec::new();
            while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                if names.len() < 100 {
                    names.push(name);
                }
            }
            Ok(names)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_reader(BufReader::new(object));
    let names = deserializer.deserialize_map(Names)?;
    deserializer.end().map(|()| names)
}

/// A value, or its default where it is something else.
fn loose<'de, T: DeserializeOwned + Default, D: Deserializer<'de>>(value: D) -> Result<T, D::Error> {
    let value = Value::deserialize(value)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// The entries of an object in their order; none of null.
fn pairs<'de, T: Deserialize<'de>, D: Deserializer<'de>>(map: D) -> Result<Vec<(String, T)>, D::Error> {
    struct Pairs<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
        type Value = Vec<(String, T)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    map.deserialize_any(Pairs(PhantomData))
}

/// A text, or a number as one: ids are either.
fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(value)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// A moment: RFC 3339, with or without its offset (then it is UTC), or a number since 1970, of seconds or, where that
/// would be beyond the year 5000, of milli-, micro- or nanoseconds.
fn time<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Moment>, D::Error> {
    Ok(match Value::deserialize(value)? {
        Value::String(text) => moment(&text),
        Value::Number(number) => number.as_f64().and_then(|mut number| {
            while number > 1e11 {
                number /= 1000.0;
            }
            Moment::from_seconds(number)
        }),
        _ => None,
    })
}

/// A moment in RFC 3339, in UTC where it has no offset.
pub(super) fn moment(text: &str) -> Option<Moment> {
    Moment::parse(text).or_else(|| Moment::parse(&format!("{text}Z")))
}

#[cfg(test)]
mod tests;
