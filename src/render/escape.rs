//! Text into HTML: what means something there is written so that it does not, and what nobody sees is left out.

/// Stands before what must not be read as the start of a block ([`super::nesting`]), and is never shown.
pub(super) const GUARD: char = '\u{fdd0}';

/// Stand for `<` and `&` in text until it is sanitised, and become references then: the sanitiser's parser takes two
/// microseconds for every reference, and there may be a quarter of a million. These are noncharacters, which no text has
/// a use for and none is let in with, so nothing else can be taken for them.
const LESS: char = '\u{fdd1}';
const AND: char = '\u{fdd2}';

/// Appends text, so that it stays text, to what is going to be sanitised.
pub(super) fn push_text(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push(AND),
            '<' => out.push(LESS),
            c if is_hidden(c) => {}
            c => out.push(c),
        }
    }
}

/// Appends the value of an attribute in quotes.
pub(super) fn push_value(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if is_hidden(c) => {}
            c => out.push(c),
        }
    }
}

/// What was sanitised, with references for what stands for them.
pub(super) fn settle(html: String) -> String {
    if !html.contains([LESS, AND]) {
        return html;
    }
    let mut out = String::with_capacity(html.len() + html.len() / 8);
    for c in html.chars() {
        match c {
            LESS => out.push_str("&lt;"),
            AND => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out
}

/// The same text without what is hidden.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !is_hidden(*c)).collect()
}

/// Control characters, and those that turn the reading direction around for what follows: with them an address or a
/// piece of code reads as another one than it is (CVE-2021-42574). The plain marks of direction stay.
fn is_hidden(c: char) -> bool {
    match c {
        '\t' | '\n' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fdd0}'..='\u{fdef}' => true,
        c => c.is_control(),
    }
}
