//! How deep blocks may stand in blocks. A parser looks at every open block for every line, so that a line of quotation
//! marks and many short ones after it cost their product: half a message of each took seven seconds.

use std::borrow::Cow;

use super::escape::GUARD;

/// Levels of quotes, lists and emphasis; beyond them all is text. Nobody follows a thread as deep.
pub(super) const LEVELS_MAX: usize = 32;

/// The same text, where no line opens more than [`LEVELS_MAX`] blocks: a guard stands before the next one. Within code
/// it is taken out again with all that is hidden.
pub(super) fn limit(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some(at) = one_too_many(line) {
            out.push_str(&text[copied..start + at]);
            out.push(GUARD);
            copied = start + at;
        }
        start += line.len();
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Where a line's first marker beyond the limit stands.
fn one_too_many(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    let mut markers = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let length = match byte {
            b' ' | b'\t' => {
                at += 1;
                continue;
            }
            b'>' | b'-' | b'*' | b'+' => 1,
            b'0'..=b'9' => number(&bytes[at..])?,
            // A footnote's definition holds blocks as well.
            b'[' => label(&bytes[at..])?,
            _ => return None,
        };
        markers += 1;
        if markers > LEVELS_MAX {
            return Some(at);
        }
        at += length;
    }
    None
}

/// The length of `12.` or `12)`.
fn number(bytes: &[u8]) -> Option<usize> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    matches!(bytes.get(digits), Some(b'.' | b')')).then_some(digits + 1)
}

/// The length of `[^label]:`.
fn label(bytes: &[u8]) -> Option<usize> {
    if bytes.get(1) != Some(&b'^') {
        return None;
    }
    let end = bytes.iter().position(|byte| *byte == b']')?;
    (bytes.get(end + 1) == Some(&b':')).then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_marker_beyond_the_limit_is_guarded() {
        for text in [
            "",
            "> a\n- b\n\n",
            "--------------------------- ---",
            "1) x",
            "[^1]: > a",
        ] {
            assert!(matches!(limit(text), Cow::Borrowed(_)), "{text}");
        }
        for marker in [">", "> ", "- ", "  * ", "7. ", "12) ", "[^a]: "] {
            let allowed = format!("x\n{}y\n", marker.repeat(LEVELS_MAX));
            assert_eq!(limit(&allowed), allowed, "{marker}");
            let line = marker.repeat(LEVELS_MAX + 3);
            let at = 2 + marker.len() * LEVELS_MAX + (marker.len() - marker.trim_start().len());
            let text = format!("x\n{line}y\nz");
            let expected = format!("{}{GUARD}{}", &text[..at], &text[at..]);
            assert_eq!(limit(&text), expected, "{marker}");
        }
    }
}
