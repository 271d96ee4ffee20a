//! Colours for code: keywords, strings, comments and numbers, as classes. For the eye alone: nobody's grammar is known
//! here, and where a guess is wrong a word has the wrong colour.
//!
//! Syntect, which knows grammars, costs some megabytes of the program and as many of memory once it is used; this costs
//! a table of keywords. Linear in the code, whatever stands in it.

use super::languages::{CHANGES, Case, LANGUAGES, Language, MARKUP, Quote, QuoteKind};

/// What a piece of code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Plain,
    Keyword,
    Text,
    Comment,
    Number,
    Inserted,
    Deleted,
}

impl Class {
    /// The class of its element.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Class::Plain => None,
            Class::Keyword => Some("k"),
            Class::Text => Some("s"),
            Class::Comment => Some("c"),
            Class::Number => Some("n"),
            Class::Inserted => Some("i"),
            Class::Deleted => Some("d"),
        }
    }
}

/// Hands the code to `emit`, piece by piece; together they are the code.
pub(super) fn highlight<'c>(name: &str, code: &'c str, emit: &mut dyn FnMut(Class, &'c str)) {
    if MARKUP.contains(&name) {
        markup(code, emit);
    } else if CHANGES.contains(&name) {
        for line in code.split_inclusive('\n') {
            emit(change(line), line);
        }
    } else if let Some(language) = LANGUAGES.iter().find(|language| language.names.contains(&name)) {
        Scanner {
            language,
            code,
            plain: 0,
        }
        .run(emit);
    } else {
        emit(Class::Plain, code);
    }
}

fn change(line: &str) -> Class {
    match line.as_bytes() {
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] | [b'@', b'@', ..] => Class::Comment,
        [b'+', ..] => Class::Inserted,
        [b'-', ..] => Class::Deleted,
        _ => Class::Plain,
    }
}

/// Tags as keywords, the strings in them, and comments.
fn markup<'c>(code: &'c str, emit: &mut dyn FnMut(Class, &'c str)) {
    let mut rest = code;
    while let Some(start) = rest.find('<') {
        emit(Class::Plain, &rest[..start]);
        rest = &rest[start..];
        if rest.starts_with("<!--") {
            let end = rest.find("-->").map_or(rest.len(), |end| end + 3);
            emit(Class::Comment, &rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let mut tag = &rest[..rest.find('>').map_or(rest.len(), |end| end + 1)];
        rest = &rest[tag.len()..];
        while let Some(open) = tag.find(['"', '\'']) {
            let quote = &tag[open..=open];
            let close = tag[open + 1..].find(quote).map_or(tag.len(), |close| open + close + 2);
            emit(Class::Keyword, &tag[..open]);
            emit(Class::Text, &tag[open..close]);
            tag = &tag[close..];
        }
        emit(Class::Keyword, tag);
    }
    emit(Class::Plain, rest);
}

struct Scanner<'c> {
    language: &'static Language,
    code: &'c str,
    /// Where what has not been handed out yet begins.
    plain: usize,
}

impl<'c> Scanner<'c> {
    fn run(mut self, emit: &mut dyn FnMut(Class, &'c str)) {
        let mut at = 0;
        while at < self.code.len() {
            let (class, length) = self.piece(at);
            if class != Class::Plain {
                emit(Class::Plain, &self.code[self.plain..at]);
                emit(class, &self.code[at..at + length]);
                self.plain = at + length;
            }
            at += length;
        }
        emit(Class::Plain, &self.code[self.plain..]);
    }

    /// What begins here, and how long it is: never nothing.
    fn piece(&self, at: usize) -> (Class, usize) {
        let rest = &self.code[at..];
        let language = self.language;
        for (open, close) in language.block_comments {
            if let Some(inside) = rest.strip_prefix(open) {
                let end = inside.find(close).map_or(inside.len(), |end| end + close.len());
                return (Class::Comment, open.len() + end);
            }
        }
        if language.line_comments.iter().any(|open| rest.starts_with(open)) && self.may_comment(at) {
            return (Class::Comment, line_length(rest));
        }
        for quote in language.strings {
            if let Some(length) = string_length(rest, *quote) {
                return (Class::Text, length);
            }
        }
        let Some(first) = rest.chars().next() else {
            return (Class::Plain, 1);
        };
        if first.is_ascii_digit() {
            return (Class::Number, number_length(rest));
        }
        if !is_word(first) {
            return (Class::Plain, first.len_utf8());
        }
        let word = &rest[..rest.find(|c| !is_word(c) && !c.is_ascii_digit()).unwrap_or(rest.len())];
        let class = if self.is_keyword(word) {
            Class::Keyword
        } else {
            Class::Plain
        };
        (class, word.len())
    }

    /// `#` and `;` begin a comment at the start of a word only: `$#`, `a#b` and `&amp;` are none.
    fn may_comment(&self, at: usize) -> bool {
        let is_letter = self.code[at..].starts_with(['#', ';']);
        let before = self.code[..at].chars().next_back();
        !is_letter || before.is_none_or(char::is_whitespace)
    }

    fn is_keyword(&self, word: &str) -> bool {
        let mut keywords = self.language.keywords.split_ascii_whitespace();
        match self.language.case {
            Case::Matters => keywords.any(|keyword| keyword == word),
            Case::Ignored => keywords.any(|keyword| keyword.eq_ignore_ascii_case(word)),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '@' | '!')
}

fn line_length(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// `1_000`, `0xff`, `1.5e3`: a dot only before a digit, since ranges and methods begin with one too.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_part = |at: usize| match bytes[at] {
        b'.' => bytes.get(at + 1).is_some_and(u8::is_ascii_digit),
        byte => byte.is_ascii_alphanumeric() || byte == b'_',
    };
    (0..bytes.len()).find(|at| !is_part(*at)).unwrap_or(bytes.len())
}

/// How long the string is that begins here, if one does.
fn string_length(text: &str, quote: Quote) -> Option<usize> {
    let inside = text.strip_prefix(quote.mark)?;
    if quote.kind == QuoteKind::Character {
        let mut chars = inside.chars();
        let first = chars.next()?;
        // An escape has at most a few characters; what is longer is no character.
        let limit = if first == '\\' { 10 } else { 1 };
        let skip = if first == '\\' {
            1 + chars.next().map_or(0, char::len_utf8)
        } else {
            0
        };
        let end = inside[skip..]
            .char_indices()
            .take(limit + 1)
            .find(|(_, c)| *c == '\'')?
            .0;
        return (skip + end > 0).then_some(skip + end + 2);
    }
    let mut is_escaped = false;
    for (at, c) in inside.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' && quote.kind != QuoteKind::Raw {
            is_escaped = true;
        } else if c == '\n' && quote.kind == QuoteKind::Line {
            return Some(quote.mark.len() + at);
        } else if inside[at..].starts_with(quote.mark) {
            return Some(at + 2 * quote.mark.len());
        }
    }
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces that have a class, each behind it.
    fn check(name: &str, code: &str, expected: &str) {
        let (mut marked, mut whole) = (Vec::new(), String::new());
        highlight(name, code, &mut |class, piece| {
            whole.push_str(piece);
            if let Some(class) = class.name().filter(|_| !piece.is_empty()) {
                marked.push(format!("{class}:{piece}"));
            }
        });
        assert_eq!(whole, code);
        assert_eq!(marked.join(" "), expected, "{code}");
    }

    #[test]
    fn words_strings_comments_and_numbers_are_told_apart() {
        check("rust", "let a = 'x'; // b", "k:let s:'x' c:// b");
        check("rs", "fn f<'a>(x: &'a str) { 1..20 }", "k:fn n:1 n:20");
        check(
            "rust",
            r#"'\'' '\u{1f600}' "a\"b" r"#,
            r#"s:'\'' s:'\u{1f600}' s:"a\"b""#,
        );
        check("python", "x = '''a\nb''' # c\ndef f():", "s:'''a\nb''' c:# c k:def");
        check("js", "`a\n${b}` /* c */ 0x1f.d", "s:`a\n${b}` c:/* c */ n:0x1f");
        check("sql", "SELECT 'it''s' -- x", "k:SELECT s:'it' s:'s' c:-- x");
        check("bash", "echo $# \"$x\" # y", "k:echo s:\"$x\" c:# y");
        check("json", "{\"a\": [1.5e3, true]}", "s:\"a\" n:1.5e3 k:true");
        check("c", "char c = '\"'; \"open\nint", "k:char s:'\"' s:\"open k:int");
        check("html", "a <b c='d' e> f <!-- g", "k:<b c= s:'d' k: e> c:<!-- g");
        check("diff", "+++ a\n+b\n-c\n d\n@@ e", "c:+++ a\n i:+b\n d:-c\n c:@@ e");
        check("klingon", "let 1 'x'", "");
    }

    #[test]
    fn any_cut_of_any_text_is_put_together_again() {
        let code = "é \"ü\\\" '\u{1f600}' `x /* y */ // z\n# <a b='c'> 0.é1 \\ '\\";
        let names = LANGUAGES
            .iter()
            .flat_map(|language| language.names)
            .chain(MARKUP)
            .chain(CHANGES);
        for name in names {
            for (at, _) in code.char_indices() {
                for part in [&code[..at], &code[at..]] {
                    let mut whole = String::new();
                    highlight(name, part, &mut |_, piece| whole.push_str(piece));
                    assert_eq!(whole, part, "{name}");
                }
            }
        }
    }

    #[test]
    fn no_language_has_two_rows() {
        let names: Vec<_> = LANGUAGES
            .iter()
            .flat_map(|language| language.names)
            .chain(MARKUP)
            .chain(CHANGES)
            .collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!names[at + 1..].contains(name), "{name} stands twice");
        }
    }
}
