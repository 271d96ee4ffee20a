//! The filters of a query, `key:value`. The same key twice means either; different keys, all of them.

use std::ops::Range;

use crate::clock::Moment;
use crate::store::{Among, Phrase, Ref, Role, Within};

use super::query::{Piece, phrase};

/// Filters of one query, times aside: more than that nobody types.
const EITHER_MAX: usize = 20;

const TOO_MANY: BadFilter = BadFilter("in:, model: and role: may stand in a query 20 times at most, all together");

/// Words of a title that a conversation is named by.
const TITLE_WORDS_MAX: usize = 12;

/// What is filtered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    In,
    Model,
    Role,
    Before,
    After,
}

impl Key {
    /// `None`: it is a word like any other.
    pub(super) fn parse(name: &str) -> Option<Key> {
        const KEYS: [(&str, Key); 5] = [
            ("in", Key::In),
            ("model", Key::Model),
            ("role", Key::Role),
            ("before", Key::Before),
            ("after", Key::After),
        ];
        let known = KEYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, key)| *key)
    }

    /// What it takes.
    fn hint(self) -> &'static str {
        match self {
            Key::In => {
                "in: takes words of a conversation's title (in quotes if there are several), a conversation's id, or one of \
                 messages, titles and documents"
            }
            Key::Model => "model: takes a model's name, with or without its provider",
            Key::Role => "role: takes user or assistant",
            Key::Before => "before: takes a date, such as 2026, 2026-03 or 2026-03-31, which is not meant itself",
            Key::After => "after: takes a date, such as 2026, 2026-03 or 2026-03-31, from whose beginning on it finds",
        }
    }
}

/// A filter that cannot be read; says what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFilter(pub &'static str);

/// Conversations, as somebody names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Id(Ref),
    /// All those whose title holds this.
    Titled(Phrase),
}

/// All filters of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {
    pub(super) among: Vec<Among>,
    pub(super) places: Vec<Place>,
    models: Vec<String>,
    roles: Vec<Role>,
    /// Hours since 1970.
    from: Option<i64>,
    until: Option<i64>,
}

impl Filters {
    /// Adds one.
    pub(super) fn add(&mut self, key: Key, value: &Piece<'_>) -> Result<(), BadFilter> {
        let bad = BadFilter(key.hint());
        let text = value.text.trim();
        let count = self.among.len() + self.places.len() + self.models.len() + self.roles.len();
        if text.is_empty() {
            return Err(bad);
        }
        if count >= EITHER_MAX {
            return Err(TOO_MANY);
        }
        match key {
            Key::In => match kind(text).filter(|_| !value.is_quoted) {
                Some(among) => self.among.push(among),
                None => self.places.push(place(value).ok_or(bad)?),
            },
            Key::Model => self.models.push(text.to_owned()),
            Key::Role => self.roles.push(role(text).ok_or(bad)?),
            // Of two the narrower.
            Key::Before => {
                let hour = hour(text).ok_or(bad)?;
                self.until = Some(self.until.map_or(hour, |until| until.min(hour)));
            }
            Key::After => self.from = self.from.max(Some(hour(text).ok_or(bad)?)),
        }
        Ok(())
    }

    /// Where that is, in these conversations.
    pub(super) fn within(&self, conversations: Option<Vec<i64>>) -> Within {
        let everywhere = Within::default();
        let Range { start, end } = everywhere.hours;
        Within {
            conversations,
            models: self.models.clone(),
            roles: self.roles.clone(),
            hours: self.from.unwrap_or(start)..self.until.unwrap_or(end),
        }
    }

    /// Whether such things can be found. Only messages have a conversation, a model and a role; what fits without a word
    /// of it is messages, unless others are asked for.
    pub(super) fn take(&self, among: Among, has_words: bool) -> bool {
        let is_of_messages = !(self.places.is_empty() && self.models.is_empty() && self.roles.is_empty());
        match among {
            Among::Messages => self.among.is_empty() || self.among.contains(&among),
            _ if is_of_messages => false,
            _ if self.among.is_empty() => has_words,
            _ => self.among.contains(&among),
        }
    }
}

fn kind(text: &str) -> Option<Among> {
    match text.to_ascii_lowercase().as_str() {
        "messages" | "message" => Some(Among::Messages),
        "titles" | "title" => Some(Among::Titles),
        "documents" | "document" => Some(Among::Documents),
        _ => None,
    }
}

fn place(value: &Piece<'_>) -> Option<Place> {
    let text = value.text.trim();
    if !value.is_quoted {
        if let Ok(id) = text.parse() {
            return Some(Place::Id(Ref::Id(id)));
        }
        if let Ok(uuid) = uuid::Uuid::try_parse(text) {
            return Some(Place::Id(Ref::Uuid(uuid.hyphenated().to_string())));
        }
    }
    phrase(value, &mut { TITLE_WORDS_MAX }).map(Place::Titled)
}

fn role(text: &str) -> Option<Role> {
    let roles = [Role::User, Role::Assistant];
    roles.into_iter().find(|role| role.name().eq_ignore_ascii_case(text))
}

/// The hour at which a year, a month or a day begins (UTC), counted from 1970.
fn hour(text: &str) -> Option<i64> {
    let day = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        _ => text.to_owned(),
    };
    let begin = Moment::parse_day(&day)?;
    i64::try_from(begin.seconds() / 3600).ok()
}

#[cfg(test)]
mod tests {
    use super::super::query::Query;
    use super::*;

    fn filters(query: &str) -> Filters {
        Query::parse(query).unwrap().filters
    }

    #[test]
    fn filters_that_can_be_read() {
        assert_eq!(filters("model:GPT model:x/y").models, ["GPT", "x/y"]);
        assert_eq!(filters("ROLE:User whale").roles, [Role::User]);
        assert_eq!(
            filters("in:titles in:document").among,
            [Among::Titles, Among::Documents]
        );
        assert_eq!(filters("in:12").places, [Place::Id(Ref::Id(12))]);
        let uuid = "0190A000-0000-7000-8000-000000000001";
        assert_eq!(
            filters(&format!("in:{uuid}")).places,
            [Place::Id(Ref::Uuid(uuid.to_lowercase()))]
        );
        let titled = |words: &[&str], is_prefix| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            [Place::Titled(Phrase { words, is_prefix })]
        };
        assert_eq!(filters("in:\"the sea\" x").places, titled(&["the", "sea"], false));
        assert_eq!(filters("in:\"12\"").places, titled(&["12"], false));
        assert_eq!(filters("in:\"titles\"").places, titled(&["titles"], false));
        assert_eq!(filters("in:whale").places, titled(&["whale"], true));
        let hours = |query| filters(query).within(None).hours;
        assert_eq!(hours("after:1970-01-02 before:1970-01-03"), 24..48);
        assert_eq!(hours("after:1971"), 365 * 24..Within::default().hours.end);
        assert_eq!(hours("before:1970-02 before:1971 after:1970"), 0..31 * 24);
        assert_eq!(hours("before:1960"), 0..0);
    }

    #[test]
    fn filters_that_cannot_be_read() {
        for query in [
            "role:model",
            "role:\"\"",
            "before:tomorrow",
            "before:2026-13",
            "after:2026-02-30",
            "after:31.3.2026",
            "before:20260331",
            "in:…",
            "in:\" \"",
            "model:\"\"",
        ] {
            let bad = Query::parse(query).unwrap_err();
            let key = query.split(':').next().unwrap();
            assert!(bad.0.starts_with(&format!("{key}: takes ")), "{query}: {bad:?}");
        }
        assert!(Query::parse(&"model:x ".repeat(EITHER_MAX)).is_ok());
        assert_eq!(Query::parse(&"model:x ".repeat(EITHER_MAX + 1)), Err(TOO_MANY));
        assert!(TOO_MANY.0.contains(&EITHER_MAX.to_string()));
    }

    #[test]
    fn a_filter_leaves_out_what_it_cannot_apply_to() {
        let kinds = |query: &str| {
            let query = Query::parse(query).unwrap();
            let all = [Among::Messages, Among::Titles, Among::Documents];
            all.map(|among| query.filters.take(among, !query.phrases.is_empty()))
        };
        for (query, wanted) in [
            ("whale", [true, true, true]),
            ("whale before:2026", [true, true, true]),
            ("before:2026", [true, false, false]),
            ("whale role:user", [true, false, false]),
            ("whale model:x", [true, false, false]),
            ("whale in:3", [true, false, false]),
            ("in:titles", [false, true, false]),
            ("in:titles in:documents whale", [false, true, true]),
            ("in:titles role:user whale", [false, false, false]),
        ] {
            assert_eq!(kinds(query), wanted, "{query}");
        }
    }
}
