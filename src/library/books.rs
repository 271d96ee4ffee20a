//! Books as other systems list them: `[{title, author, year, short_summary, full_summary, themes, genres, language}]`.
//! A book becomes a document of a few paragraphs.

use serde::Deserialize;
use serde_json::Value;

use super::NewText;
use crate::error::{Error, Kind};

/// An entry of such a list. Only the title and one of the summaries must be there.
#[derive(Clone, Debug, Deserialize)]
pub struct Book {
    title: String,
    #[serde(default)]
    author: Option<String>,
    /// 1851, or "about 800 BC".
    #[serde(default)]
    year: Value,
    #[serde(default)]
    short_summary: Option<String>,
    #[serde(default)]
    full_summary: Option<String>,
    /// A list of words, or one text.
    #[serde(default)]
    themes: Value,
    #[serde(default)]
    genres: Value,
    #[serde(default)]
    language: Option<String>,
}

impl Book {
    /// The book as a text to add; its summaries and facts are the text.
    pub fn into_text(self, source: Option<String>) -> NewText {
        let facts: Vec<String> = [
            ("Themes", listed(&self.themes)),
            ("Genres", listed(&self.genres)),
            ("Published", listed(&self.year)),
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

    fn has_summary(&self) -> bool {
        let summaries = [&self.short_summary, &self.full_summary];
        summaries
            .into_iter()
            .flatten()
            .any(|summary| !summary.trim().is_empty())
    }
}

/// A list's words with commas between; a single value as it is.
fn listed(value: &Value) -> String {
    let word = |value: &Value| match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    match value {
        Value::Array(values) => values.iter().map(word).collect::<Vec<_>>().join(", "),
        other => word(other),
    }
}

/// Reads a list of books.
///
/// # Errors
/// [`Kind::Malformed`] naming the line, or the entry (counted from 1) and what is wrong with it.
pub fn parse_books(json: &[u8]) -> Result<Vec<Book>, Error> {
    let malformed = |message: String| Error::new(Kind::Malformed, message);
    let entries: Vec<Value> = serde_json::from_slice(json).map_err(|error| {
        malformed(match error.classify() {
            serde_json::error::Category::Data => "It must hold a list of books: [{\"title\": …}, …]".to_owned(),
            _ => format!("It is not JSON: {error}"),
        })
    })?;
    let numbered = entries.into_iter().enumerate();
    numbered
        .map(|(index, entry)| {
            let at = index + 1;
            let name = entry.get("title").and_then(Value::as_str).map(str::to_owned);
            let name = name.map_or_else(String::new, |name| format!(" ({name})"));
            let book: Book =
                serde_json::from_value(entry).map_err(|error| malformed(format!("Entry {at}{name}: {error}")))?;
            if book.title.trim().is_empty() {
                return Err(malformed(format!("Entry {at}: the title is empty")));
            }
            if !book.has_summary() {
                let message = format!("Entry {at}{name}: there is neither short_summary nor full_summary");
                return Err(malformed(message));
            }
            Ok(book)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(json: &str, words: &str) {
        let error = parse_books(json.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), Kind::Malformed);
        assert!(error.message().contains(words), "{error}");
    }

    #[test]
    fn a_book_becomes_a_text() {
        let json = r#"[{"title": "T", "author": "A", "year": 1851, "short_summary": "S.", "full_summary": "F.",
            "themes": ["a", "b"], "genres": "novel", "language": "en", "isbn": 7}, {"title": "U", "short_summary": "V"}]"#;
        let mut books = parse_books(json.as_bytes()).unwrap().into_iter();
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
        check_refused(r#"[{"title": "T"}]"#, "Entry 1 (T): there is neither");
        check_refused(
            r#"[{"title": " ", "short_summary": "s"}]"#,
            "Entry 1: the title is empty",
        );
        check_refused("[3]", "Entry 1");
    }
}
