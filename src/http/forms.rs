//! Percent-encoding, query strings and urlencoded forms.

use serde_json::{Map, Value};

use crate::error::{Error, Kind};

/// Names in one query string or form.
const NAMES_MAX: usize = 1000;

/// Decodes `%XX`. `None` when the result is not UTF-8 or an escape is malformed.
pub fn decode_percent(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(decoded).ok()
}

/// Decodes a form or a query string, `a=b&c=d`. Of a name that comes twice the last value counts.
///
/// # Errors
/// [`Kind::Malformed`] for too many names.
pub(super) fn parse_pairs(text: &str) -> Result<Map<String, Value>, Error> {
    let mut pairs = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.insert(decode_part(name), decode_part(value).into());
        if pairs.len() > NAMES_MAX {
            return Err(Error::new(
                Kind::Malformed,
                "The form or query has more than 1000 names",
            ));
        }
    }
    Ok(pairs)
}

/// One name or value. People write `100% sure` with curl: an escape that is none stands for itself, and bytes that are
/// no UTF-8 become U+FFFD.
fn decode_part(part: &str) -> String {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = part.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = match bytes[at..] {
            [b'%', high, low, ..] => digit(high).zip(digit(low)),
            _ => None,
        };
        let (byte, length) = match escaped {
            Some((high, low)) => (high * 16 + low, 3),
            None if bytes[at] == b'+' => (b' ', 1),
            None => (bytes[at], 1),
        };
        decoded.push(byte);
        at += length;
    }
    String::from_utf8(decoded).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        let pairs = parse_pairs("a=1&b=x+y%20z&a=2&c&=d&%C3%A4=%C3%B6").unwrap();
        assert_eq!(pairs["a"], "2");
        assert_eq!(pairs["b"], "x y z");
        assert_eq!(pairs["c"], "");
        assert_eq!(pairs["ä"], "ö");
    }

    #[test]
    fn escapes_that_are_none_stand_for_themselves() {
        for (part, decoded) in [
            ("100%+sure", "100% sure"),
            ("%zz%2", "%zz%2"),
            ("%", "%"),
            ("%ff", "\u{fffd}"),
            ("%C3%A4+", "ä "),
            ("%2541", "%41"),
        ] {
            assert_eq!(decode_part(part), decoded, "{part}");
        }
    }
}
