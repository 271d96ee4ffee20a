//! Single values of input: whether one is what it should be, and its own form where it came in another. What is wrong is
//! said in the words that pydantic's clients know.

use std::fmt::Display;

use serde::Serialize;
use serde_json::{Value, json};

use super::validate::TextForm;

/// What is wrong with a value: the rule, its sentence, and what goes with them.
pub(super) type Problem = (&'static str, String, Option<Value>);

pub(super) fn check_text(value: &Value, min: u64, max: u64, form: &TextForm) -> Option<Problem> {
    let Value::String(text) = value else {
        return Some(("string_type", "Input should be a valid string".into(), None));
    };
    let length = text.chars().count() as u64;
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    if length < min {
        let msg = format!("String should have at least {min} character{}", plural(min));
        return Some(("string_too_short", msg, Some(json!({ "min_length": min }))));
    }
    if length > max {
        let msg = format!("String should have at most {max} character{}", plural(max));
        return Some(("string_too_long", msg, Some(json!({ "max_length": max }))));
    }
    match form {
        TextForm::Free => None,
        TextForm::Exactly(expected) if text == expected => None,
        TextForm::Exactly(expected) => {
            let pattern = format!("^{expected}$");
            let msg = format!("String should match pattern '{pattern}'");
            Some(("string_pattern_mismatch", msg, Some(json!({ "pattern": pattern }))))
        }
        TextForm::OneOf(words) if words.contains(text) => None,
        TextForm::OneOf(words) => {
            let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            let expected = match quoted.split_last() {
                Some((last, others @ [_, ..])) => format!("{} or {last}", others.join(", ")),
                _ => quoted.concat(),
            };
            let msg = format!("Input should be {expected}");
            Some(("enum", msg, Some(json!({ "expected": expected }))))
        }
        TextForm::Email => email_problem(text).map(|reason| {
            let msg = format!("value is not a valid email address: {reason}");
            ("value_error", msg, Some(json!({ "reason": reason })))
        }),
    }
}

/// What is wrong with an e-mail address, if anything: one `@`, something before it, a host name with a dot or
/// `localhost` after it, no spaces or control characters. Whether mail arrives there, only mail can tell.
fn email_problem(text: &str) -> Option<&'static str> {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return Some("An email address must have an @-sign.");
    };
    if local.is_empty() {
        return Some("There must be something before the @-sign.");
    }
    if domain.is_empty() {
        return Some("There must be something after the @-sign.");
    }
    if text.chars().any(|char| char.is_whitespace() || char.is_control()) || local.contains('@') {
        return Some("The email address contains invalid characters.");
    }
    if text.len() > 254 || local.len() > 64 {
        return Some("The email address is too long.");
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|char| char.is_alphanumeric() || char == '-')
    };
    if !domain.split('.').all(is_label) || local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return Some("The email address contains invalid characters.");
    }
    if !domain.contains('.') && !domain.eq_ignore_ascii_case("localhost") {
        return Some("The part after the @-sign is not valid. It should have a period.");
    }
    None
}

pub(super) fn check_integer(value: &mut Value, min: i64, max: i64) -> Option<Problem> {
    let number = match integer(value) {
        Ok(number) => number,
        Err(problem) => return Some(problem),
    };
    let problem = check_range(number, min, max);
    if problem.is_none() {
        *value = number.into();
    }
    problem
}

fn check_range<T: PartialOrd + Display + Serialize>(number: T, min: T, max: T) -> Option<Problem> {
    if number < min {
        let msg = format!("Input should be greater than or equal to {min}");
        return Some(("greater_than_equal", msg, Some(json!({ "ge": min }))));
    }
    if number > max {
        let msg = format!("Input should be less than or equal to {max}");
        return Some(("less_than_equal", msg, Some(json!({ "le": max }))));
    }
    None
}

/// Numbers beyond 64 bits become the largest or smallest there is: no row has such an id.
fn integer(value: &Value) -> Result<i64, Problem> {
    let wrong_text = || {
        let msg = "Input should be a valid integer, unable to parse string as an integer".to_owned();
        ("int_parsing", msg, None)
    };
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_i64() {
                return Ok(whole);
            }
            match number.as_f64() {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a float becomes the nearest integer there is"
                )]
                Some(float) if float.fract() == 0.0 => Ok(float as i64),
                _ => {
                    let msg = "Input should be a valid integer, got a number with a fractional part";
                    Err(("int_from_float", msg.into(), None))
                }
            }
        }
        Value::String(text) => {
            let text = text.trim();
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(wrong_text());
            }
            let limit = if text.starts_with('-') { i64::MIN } else { i64::MAX };
            Ok(text.parse().unwrap_or(limit))
        }
        Value::Bool(bool) => Ok(i64::from(*bool)),
        _ => Err(("int_type", "Input should be a valid integer".into(), None)),
    }
}

pub(super) fn check_id(value: &mut Value) -> Option<Problem> {
    if let Value::String(text) = value
        && uuid::Uuid::try_parse(text).is_ok()
    {
        return None;
    }
    check_integer(value, i64::MIN, i64::MAX)
}

pub(super) fn check_number(value: &mut Value, min: f64, max: f64) -> Option<Problem> {
    let number = match &*value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => number,
            _ => {
                let msg = "Input should be a valid number, unable to parse string as a number";
                return Some(("float_parsing", msg.into(), None));
            }
        },
        _ => return Some(("float_type", "Input should be a valid number".into(), None)),
    };
    let problem = check_range(number, min, max);
    if problem.is_none() && value.is_string() {
        *value = json!(number);
    }
    problem
}

pub(super) fn check_boolean(value: &mut Value) -> Option<Problem> {
    let parsed = match value {
        Value::Bool(_) => return None,
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        },
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => Some(false),
            Some(1.0) => Some(true),
            _ => None,
        },
        _ => return Some(("bool_type", "Input should be a valid boolean".into(), None)),
    };
    match parsed {
        Some(parsed) => {
            *value = parsed.into();
            None
        }
        None => {
            let msg = "Input should be a valid boolean, unable to interpret input";
            Some(("bool_parsing", msg.into(), None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn email_addresses() {
        for good in [
            "a@b.example",
            "a.b+c@d-e.example",
            "jürgen@exämple.de",
            "root@localhost",
        ] {
            assert_eq!(email_problem(good), None, "{good}");
        }
        for bad in [
            "nope",
            "@b.example",
            "a@",
            "a b@c.example",
            "a@b@c.example",
            "a@b",
            "a@-b.example",
            "a@b..c",
            ".a@b.c",
        ] {
            assert!(email_problem(bad).is_some(), "{bad}");
        }
    }
}
