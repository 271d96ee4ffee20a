//! Addresses that stand in a text as they are: models write many, and Markdown makes no links of them.

/// A piece of text, or an address in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    Link(&'t str),
}

/// The text in pieces, in its order.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut found = None;
    std::iter::from_fn(move || {
        if let Some(url) = found.take() {
            return Some(Piece::Link(url));
        }
        if rest.is_empty() {
            return None;
        }
        let (before, url, after) = next(rest);
        found = url;
        rest = after;
        Some(Piece::Text(before))
    })
}

/// What stands before the next address, the address, and what stands behind it.
fn next(text: &str) -> (&str, Option<&str>, &str) {
    let mut from = 0;
    while let Some(at) = text[from..].find("http").map(|at| from + at) {
        let length = length(&text[at..]);
        let before = text[..at].chars().next_back();
        if length > 0 && !before.is_some_and(char::is_alphanumeric) {
            let end = at + length;
            return (&text[..at], Some(&text[at..end]), &text[end..]);
        }
        from = at + 4;
    }
    (text, None, "")
}

/// How long the address is that begins here; 0 for none.
fn length(text: &str) -> usize {
    let Some(scheme) = ["https://", "http://"]
        .into_iter()
        .find(|scheme| text.starts_with(scheme))
    else {
        return 0;
    };
    let is_end = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '`' | '|' | '\\');
    let mut url = &text[..text.find(is_end).unwrap_or(text.len())];
    // What ends a sentence ends the address; a bracket belongs to it if it was opened in it.
    while let Some(last) = url.chars().next_back() {
        let belongs = match last {
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' | '_' | '~' | ']' | '}' => false,
            // Looked for once: of a long row of brackets at the end the last one decides.
            ')' => url.contains('('),
            c => !c.is_control() && !matches!(c, '’' | '”' | '…' | '»'),
        };
        if belongs {
            break;
        }
        url = &url[..url.len() - last.len_utf8()];
        if last == ')' {
            url = url.trim_end_matches(')');
        }
    }
    if url.len() > scheme.len() { url.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_end_where_people_end_them() {
        for (text, expected) in [
            ("", &[][..]),
            ("no http here, nor http:// nor https://.", &[]),
            ("see https://a.b/c_d?e=f#g.", &["https://a.b/c_d?e=f#g"]),
            ("(http://a.b), http://c!", &["http://a.b", "http://c"]),
            ("https://x/a_(b) https://y)))", &["https://x/a_(b)", "https://y"]),
            ("xhttp://a éhttp://b", &[]),
            ("http://a\"onclick", &["http://a"]),
            ("httphttps://a", &[]),
        ] {
            let links: Vec<_> = pieces(text)
                .filter_map(|piece| match piece {
                    Piece::Link(url) => Some(url),
                    Piece::Text(_) => None,
                })
                .collect();
            assert_eq!(links, expected, "{text}");
            let whole: String = pieces(text)
                .map(|piece| match piece {
                    Piece::Link(part) | Piece::Text(part) => part,
                })
                .collect();
            assert_eq!(whole, text);
        }
    }
}
