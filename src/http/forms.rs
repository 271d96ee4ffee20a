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

/// Decodes a form, `a=b&c=d`. Of a name that comes twice the last value counts.
///
/// # Errors
/// [`Kind::Malformed`] for a broken escape or too many names.
pub(super) fn parse_pairs(text: &str) -> Result<Map<String, Value>, Error> {
    pairs(text, |part| {
        decode_percent(part).ok_or_else(|| Error::new(Kind::Malformed, "The form is not valid percent-encoded UTF-8"))
    })
}

/// Decodes a query string in the same way, but a part with a broken escape stands for itself: as `limit=%zz` it then
/// is no integer, and is answered as any other text that is none.
///
/// # Errors
/// [`Kind::Malformed`] for too many names.
pub(super) fn parse_query(text: &str) -> Result<Map<String, Value>, Error> {
    pairs(text, |part| Ok(decode_percent(part).unwrap_or_else(|| part.to_owned())))
}

fn pairs(text: &str, decode: impl Fn(&str) -> Result<String, Error>) -> Result<Map<String, Value>, Error> {
    let mut pairs = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |part: &str| decode(&part.replace('+', " "));
        pairs.insert(decode(name)?, decode(value)?.into());
        if pairs.len() > NAMES_MAX {
            return Err(Error::new(
                Kind::Malformed,
                "The form or query has more than 1000 names",
            ));
        }
    }
    Ok(pairs)
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
        assert!(parse_pairs("a=%zz").is_err() && parse_pairs("a=%ff").is_err() && parse_pairs("a=%2").is_err());
    }

    #[test]
    fn a_query_with_broken_escapes() {
        let pairs = parse_query("a=%zz&b=%ff&c=x+%2&%=d&e=%C3%A4+").unwrap();
        assert_eq!(
            (&pairs["a"], &pairs["b"], &pairs["c"]),
            (&"%zz".into(), &"%ff".into(), &"x %2".into())
        );
        assert_eq!((&pairs["%"], &pairs["e"]), (&"d".into(), &"ä ".into()));
    }
}
