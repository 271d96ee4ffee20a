//! Files as texts to add, wherever they come from: the command line or a form. What a file is, its name's ending says.

use super::{NewText, parse_books};
use crate::error::{Error, Kind};

/// Bytes of a list of books: far more than there are books to list by hand.
pub const FILE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The texts of a file: of each book, when it is JSON (see [`parse_books`]); else the file is one text, plain or
/// Markdown, in UTF-8. It is called what its first heading says, else as the file is.
///
/// # Errors
/// [`Kind::Malformed`] when it is neither, naming the line or entry, but not the file; [`Kind::TooLarge`] when there
/// are more than `texts_max`.
pub fn read_file(name: &str, bytes: &[u8], texts_max: usize) -> Result<Vec<NewText>, Error> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    if ending.eq_ignore_ascii_case("json") {
        let books = parse_books(bytes, texts_max)?;
        return Ok(books
            .into_iter()
            .map(|book| book.into_text(Some(name.to_owned())))
            .collect());
    }
    let text = str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let content = text.ok_or_else(|| {
        let message = "It is not text in UTF-8; plain text, Markdown and lists of books (.json) can be added";
        Error::new(Kind::Malformed, message)
    })?;
    let first = content.lines().find(|line| !line.trim().is_empty());
    let heading = first.and_then(|line| line.trim().strip_prefix("# ")).map(str::trim);
    let heading = heading.filter(|words| !words.is_empty() && words.chars().nth(super::TITLE_CHARS_MAX).is_none());
    Ok(vec![NewText {
        title: heading.unwrap_or(stem).to_owned(),
        author: None,
        source: Some(name.to_owned()),
        content: content.to_owned(),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, bytes: &[u8], wanted: &[(&str, &str)]) {
        let texts = read_file(name, bytes, 9).unwrap();
        let found: Vec<_> = texts.iter().map(|text| (&*text.title, &*text.content)).collect();
        assert_eq!(found, wanted, "{name}");
        assert!(texts.iter().all(|text| text.source.as_deref() == Some(name)));
    }

    #[test]
    fn a_files_ending_says_what_it_is() {
        check("notes.v2.txt", b"Hello.", &[("notes.v2", "Hello.")]);
        check("README", "\u{feff}Hello.".as_bytes(), &[("README", "Hello.")]);
        check(
            "a.md",
            b"\n# The Sea\n\nWaves.",
            &[("The Sea", "\n# The Sea\n\nWaves.")],
        );
        check("a.md", b"## Part\n# Later", &[("a", "## Part\n# Later")]);
        let books = "\u{feff}[{\"title\": \"T\", \"short_summary\": \"S.\"}]";
        check("b.JSON", books.as_bytes(), &[("T", "S.")]);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for (name, bytes, words) in [
            ("a.png", &b"\x89PNG\r\n"[..], "not text"),
            ("a.txt", b"a\0b", "not text"),
            ("a.json", b"[{\"title\"", "not JSON"),
        ] {
            let error = read_file(name, bytes, 9).unwrap_err();
            assert!(
                error.kind() == Kind::Malformed && error.message().contains(words),
                "{error}"
            );
        }
    }
}
