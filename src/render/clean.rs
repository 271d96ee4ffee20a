//! The last word on what may stand in a message's HTML: an exact list of elements, attributes and values. Nothing leaves
//! this room without passing here, whatever the writer believes of its own output. The only place that names ammonia.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};

use super::escape::settle;

/// All elements there may be.
const TAGS: &[&str] = &[
    "a",
    "blockquote",
    "br",
    "code",
    "del",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "input",
    "li",
    "ol",
    "p",
    "pre",
    "section",
    "span",
    "strong",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
];

/// The attributes that an element may have, besides `rel`, which links get here.
const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("a", &["href", "id", "class"]),
    ("code", &["class"]),
    ("input", &["type", "disabled", "checked"]),
    ("li", &["id", "class"]),
    ("ol", &["start"]),
    ("section", &["class"]),
    ("span", &["class"]),
    ("sup", &["class"]),
    ("td", &["align"]),
    ("th", &["align"]),
];

/// Where links may lead.
const SCHEMES: &[&str] = &["http", "https", "mailto"];

/// A page that is opened from here learns nothing of it and gets no hold of it, and nobody is vouched for.
const REL: &str = "noopener noreferrer nofollow";

/// Bytes that a link grows by here.
pub(super) const REL_BYTES: usize = REL.len() + 7;

/// Characters of a language's name in a class.
pub(super) const LANGUAGE_CHARS_MAX: usize = 32;

static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let attributes = ATTRIBUTES
        .iter()
        .map(|(tag, names)| (*tag, names.iter().copied().collect()));
    let mut builder = Builder::empty();
    builder
        .tags(TAGS.iter().copied().collect())
        .clean_content_tags(HashSet::new())
        .generic_attributes(HashSet::new())
        .tag_attributes(attributes.collect::<HashMap<_, _>>())
        .url_schemes(SCHEMES.iter().copied().collect())
        // Only those that `is_allowed` knows are left.
        .url_relative(UrlRelative::PassThrough)
        .attribute_filter(|tag, name, value| is_allowed(tag, name, value).then_some(Cow::Borrowed(value)))
        .link_rel(Some(REL));
    builder
});

/// The same HTML with nothing in it but what is allowed.
pub(super) fn clean(html: &str) -> String {
    settle(CLEANER.clean(html).to_string())
}

/// Whether an address is one that links may have.
pub(super) fn is_link(url: &str) -> bool {
    let starts = |prefix: &str| {
        let start = url.as_bytes().get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())) && url.len() > prefix.len()
    };
    starts("http://") || starts("https://") || starts("mailto:")
}

fn is_allowed(tag: &str, name: &str, value: &str) -> bool {
    match (tag, name) {
        ("a", "href") => is_link(value) || value.strip_prefix('#').is_some_and(is_note_id),
        (_, "id") => is_note_id(value),
        ("a", "class") => value == "back",
        ("code", "class") => matches!(value, "math" | "math display" | "plain") || is_language(value),
        ("li", "class") => value == "task",
        ("section", "class") => value == "footnotes",
        ("span", "class") => matches!(value, "k" | "s" | "c" | "n" | "i" | "d"),
        ("sup", "class") => value == "note",
        ("td" | "th", "align") => matches!(value, "left" | "center" | "right"),
        ("ol", "start") => value.len() <= 10 && value.bytes().all(|byte| byte.is_ascii_digit()),
        ("input", "type") => value == "checkbox",
        ("input", "disabled" | "checked") => value.is_empty(),
        _ => name == "rel",
    }
}

/// `fn-12-3`, or `fr-12-3-4`: a footnote, or the place that refers to it, of one message.
fn is_note_id(id: &str) -> bool {
    let numbers = id.strip_prefix("fn-").or_else(|| id.strip_prefix("fr-"));
    numbers
        .is_some_and(|numbers| !numbers.is_empty() && numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
}

fn is_language(class: &str) -> bool {
    let name = class.strip_prefix("language-");
    name.is_some_and(|name| !name.is_empty() && name.len() <= LANGUAGE_CHARS_MAX && name.chars().all(is_language_char))
}

/// Whether a character may stand in a language's name.
pub(super) fn is_language_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '#' | '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_on_the_list_goes() {
        for (html, expected) in [
            ("<script>alert(1)</script>", "alert(1)"),
            (
                "<p onclick=\"x()\" style=\"color:red\" class=\"k\" id=\"x\">a</p>",
                "<p>a</p>",
            ),
            ("<img src=\"http://x/y\">", ""),
            ("<a href=\"javascript:x()\">a</a>", &format!("<a rel=\"{REL}\">a</a>")),
            ("<a href=\"/logout\">a</a>", &format!("<a rel=\"{REL}\">a</a>")),
            (
                "<a href=\"//evil\" target=\"_top\">a</a>",
                &format!("<a rel=\"{REL}\">a</a>"),
            ),
            ("<a href=\"#top\">a</a>", &format!("<a rel=\"{REL}\">a</a>")),
            (
                "<a href=\"#fn-1-2\">a</a>",
                &format!("<a href=\"#fn-1-2\" rel=\"{REL}\">a</a>"),
            ),
            (
                "<a href=\"http://a\" rel=\"opener\">a</a>",
                &format!("<a href=\"http://a\" rel=\"{REL}\">a</a>"),
            ),
            (
                "<code class=\"language-c++\">a</code>",
                "<code class=\"language-c++\">a</code>",
            ),
            ("<code class=\"language-a b\">a</code>", "<code>a</code>"),
            ("<input type=\"text\" disabled>", "<input disabled=\"\">"),
            ("<!-- a --><style>b</style><iframe>c</iframe>", "bc"),
        ] {
            assert_eq!(clean(html), *expected, "{html}");
        }
    }
}
