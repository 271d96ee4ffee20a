//! Books as other systems list them: `[{title, author, year, short_summary, full_summary, themes, genres, language}]`.
//! A book becomes a document of a few paragraphs.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::NewText;
use crate::error::{Error, Kind};

/// An entry of such a list. Only the title and one of the summaries must be there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Book {
    #[schemars(length(min = 1))]
    title: String,
    #[serde(default)]
    author: Option<String>,
    /// 1851, or "about 800 BC".
    #[serde(default)]
    year: Words,
    #[serde(default)]
    short_summary: Option<String>,
    #[serde(default)]
    full_summary: Option<String>,
    /// A list of words, or one text.
    #[serde(default)]
    themes: Words,
    #[serde(default)]
    genres: Words,
    #[serde(default)]
    language: Option<String>,
}

impl Book {
    /// The book as a text to add; its summaries and facts are the text.
    pub fn into_text(self, source: Option<String>) -> NewText {
        let facts: Vec<String> = [
            ("Themes", self.themes.0),
            ("Genres", self.genres.0),
            ("Published", self.year.0),
            ("Language", self.language.unwrap_or_default()),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}: {value}."))
        .collect();
        let parts = [self.short_summary, self.full_summary, Some(facts.join(" "))];
        let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        NewText {
            title: self.title,
            author: self.author.filter(|author| !author.trim().is_empty()),
            source,
            content: parts.join("\n\n"),
        }
    }

    /// Whether there is anything to call it by and to say of it.
    ///
    /// # Errors
    /// [`Kind::Malformed`] with what is missing.
    pub fn check(&self) -> Result<(), Error> {
        let malformed = |message: String| Err(Error::new(Kind::Malformed, message));
        let mut summaries = [&self.short_summary, &self.full_summary].into_iter().flatten();
        if self.title.trim().is_empty() {
            malformed("the title is empty".to_owned())
        } else if summaries.all(|summary| summary.trim().is_empty()) {
            malformed(format!("{:?} has neither short_summary nor full_summary", self.title))
        } else {
            Ok(())
        }
    }
}

/// A text, a number, or a list of them with commas between; anything else says nothing. Never kept as a tree of JSON:
/// that takes some forty times as much memory as it takes to send.
#[derive(Clone, Debug, Default)]
struct Words(String);

impl JsonSchema for Words {
    fn schema_name() -> Cow<'static, str> {
        "Words".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string" }, { "type": "number" }, { "type": "array", "items": {} }, { "type": "null" }
        ] })
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Words, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or a list of them")
    }

    fn visit_str<E>(self, text: &str) -> Result<Words, E> {
        Ok(Words(text.trim().to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Words, E> {
        Ok(Words(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Words, E> {
        Ok(Words(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Words, E> {
        Ok(Words(number.to_string()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Words, E> {
        Ok(Words::default())
    }

    fn visit_unit<E>(self) -> Result<Words, E> {
        Ok(Words::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Words, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Words::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
        let mut words = String::new();
        while let Some(Words(word)) = list.next_element()? {
            if !words.is_empty() && !word.is_empty() {
                words.push_str(", ");
            }
            words.push_str(&word);
        }
        Ok(Words(words))
    }
}

/// Where reading a list has come to.
struct Progress {
    entries_max: usize,
    /// Entries that were begun.
    begun: usize,
    is_too_long: bool,
}

impl<'de> Visitor<'de> for &mut Progress {
    type Value = Vec<Book>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of books")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Book>, A::Error> {
        let mut books = Vec::new();
        while self.begun < self.entries_max {
            self.begun += 1;
            match list.next_element()? {
                Some(book) => books.push(book),
                None => return Ok(books),
            }
        }
        self.is_too_long = list.next_element::<IgnoredAny>()?.is_some();
        if self.is_too_long {
            return Err(A::Error::custom("the list is too long"));
        }
        Ok(books)
    }
}

/// Reads a list of at most `entries_max` books, one after the other: what comes after a mistake, or after the last
/// that may be, is not looked at.
///
/// # Errors
/// [`Kind::Malformed`] naming the line, or the entry (counted from 1) and what is wrong with it; [`Kind::TooLarge`].
pub fn parse_books(json: &[u8], entries_max: usize) -> Result<Vec<Book>, Error> {
    let mut progress = Progress {
        entries_max,
        begun: 0,
        is_too_long: false,
    };
    let mut source = serde_json::Deserializer::from_slice(json);
    let read = source.deserialize_seq(&mut progress);
    let read = read.and_then(|books| source.end().map(|()| books));
    let books = read.map_err(|error| progress.refusal(&error))?;
    for (index, book) in books.iter().enumerate() {
        book.check()
            .map_err(|error| error.about(&format!("Entry {}", index + 1)))?;
    }
    Ok(books)
}

impl Progress {
    fn refusal(&self, error: &serde_json::Error) -> Error {
        let malformed = |message: String| Error::new(Kind::Malformed, message);
        match (error.classify(), self.begun) {
            _ if self.is_too_long => {
                let message = format!("A list has at most {} entries; send it in parts", self.entries_max);
                Error::new(Kind::TooLarge, message)
            }
            (Category::Data, 0) => malformed("It must hold a list of books: [{\"title\": …}, …]".to_owned()),
            (Category::Data, at) => malformed(format!("Entry {at}: {error}")),
            _ => malformed(format!("It is not JSON: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(json: &str, words: &str) {
        let error = parse_books(json.as_bytes(), 2).unwrap_err();
        assert_eq!(error.kind(), Kind::Malformed);
        assert!(error.message().contains(words), "{error}");
    }

    #[test]
    fn a_book_becomes_a_text() {
        let json = r#"[{"title": "T", "author": "A", "year": 1851, "short_summary": "S.", "full_summary": "F.",
            "themes": ["a", "b"], "genres": "novel", "language": "en", "isbn": 7}, {"title": "U", "short_summary": "V"}]"#;
        let mut books = parse_books(json.as_bytes(), 2).unwrap().into_iter();
        let text = books.next().unwrap().into_text(Some("books.json".into()));
        assert_eq!(
            text.content,
            "S.\n\nF.\n\nThemes: a, b. Genres: novel. Published: 1851. Language: en."
        );
        assert_eq!((text.title.as_str(), text.author.as_deref()), ("T", Some("A")));
        assert_eq!(books.next().unwrap().into_text(None).content, "V");
    }

    #[test]
    fn what_is_wrong_is_named() {
        check_refused("[{\"title\": \"T\",\n oops", "line 2");
        check_refused("{\"title\": \"T\"}", "list of books");
        check_refused(
            r#"[{"title": "T", "short_summary": "s"}, {"author": "A"}]"#,
            "Entry 2: missing field `title`",
        );
        check_refused(r#"[{"title": "T"}]"#, "Entry 1: \"T\" has neither");
        check_refused(
            r#"[{"title": " ", "short_summary": "s"}]"#,
            "Entry 1: the title is empty",
        );
        check_refused("[3]", "Entry 1");
        check_refused(r#"[{"title": "T", "short_summary": "s"}] x"#, "not JSON");
    }

    #[test]
    fn nothing_is_read_beyond_a_mistake_or_the_last_entry() {
        let entry = r#"{"title": "T", "short_summary": "s"}"#;
        check_refused("[3, oops", "Entry 1");
        let error = parse_books(format!("[{entry}, {entry}, {entry}, oops").as_bytes(), 2).unwrap_err();
        assert_eq!(error.kind(), Kind::TooLarge);
        assert!(error.message().contains("at most 2 entries"), "{error}");
        assert_eq!(
            parse_books(format!("[{entry}, {entry}]").as_bytes(), 2).unwrap().len(),
            2
        );
    }

    #[test]
    fn facts_come_in_any_form() {
        let json = r#"[{"title": "T", "short_summary": "S.", "themes": ["a", 1, null, {"x": [2]}, true, ["b", 1.5]],
            "year": -800, "genres": null, "language": "en"}]"#;
        let text = parse_books(json.as_bytes(), 1).unwrap().remove(0).into_text(None);
        assert_eq!(
            text.content,
            "S.\n\nThemes: a, 1, b, 1.5. Published: -800. Language: en."
        );
    }
}
