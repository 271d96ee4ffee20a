//! Does input fit its schema? The schema comes from the handler's own input type (schemars), so there is no second
//! list of fields; the answer comes in the words that pydantic's clients know.

use std::fmt::Display;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::Issue;

/// A schema in the form that checking is quick with.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Any,
    Text {
        min: u64,
        max: u64,
        form: TextForm,
    },
    Integer {
        min: i64,
        max: i64,
    },
    Number {
        min: f64,
        max: f64,
    },
    Boolean,
    /// An integer id, which may also be given as a numeric string or as a UUID.
    Id,
    /// An id as text, which may also be given as a number.
    TextId {
        max: u64,
    },
    List {
        items: Box<Shape>,
        max: usize,
    },
    Object(Vec<Field>),
    Nullable(Box<Shape>),
}

/// What else a text must be.
#[derive(Clone, Debug)]
pub(super) enum TextForm {
    Free,
    Email,
    Exactly(String),
    OneOf(Vec<String>),
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    name: String,
    shape: Shape,
    required: bool,
    /// What is sent here is never repeated: answers are logged and shown by clients.
    is_secret: bool,
}

/// Whether values came as JSON or as text (query, path, form): text "5" is then an integer without further ado, and
/// what is missing has no object around it to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Json,
    Text,
}

impl Shape {
    /// Reads a JSON schema with all of its parts inline.
    pub(super) fn from_schema(schema: &Value) -> Shape {
        let Some(schema) = schema.as_object() else {
            return Shape::Any;
        };
        let (name, nullable) = match schema.get("type") {
            Some(Value::String(name)) => (name.as_str(), false),
            Some(Value::Array(names)) => {
                let name = names.iter().filter_map(Value::as_str).find(|name| *name != "null");
                (name.unwrap_or(""), true)
            }
            _ => ("", false),
        };
        let number = |key: &str| schema.get(key).and_then(Value::as_u64);
        let signed = |key: &str| schema.get(key).and_then(Value::as_i64);
        let shape = match name {
            "string" if schema.get("format").is_some_and(|format| format == "id") => Shape::TextId {
                max: number("maxLength").unwrap_or(u64::MAX),
            },
            "string" => Shape::Text {
                min: number("minLength").unwrap_or(0),
                max: number("maxLength").unwrap_or(u64::MAX),
                form: text_form(schema),
            },
            "integer" if schema.get("format").is_some_and(|format| format == "id") => Shape::Id,
            "integer" => Shape::Integer {
                min: signed("minimum").unwrap_or(i64::MIN),
                max: signed("maximum").unwrap_or(i64::MAX),
            },
            "number" => Shape::Number {
                min: schema
                    .get("minimum")
                    .and_then(Value::as_f64)
                    .unwrap_or(f64::NEG_INFINITY),
                max: schema.get("maximum").and_then(Value::as_f64).unwrap_or(f64::INFINITY),
            },
            "boolean" => Shape::Boolean,
            "array" => {
                let items = schema.get("items").map_or(Shape::Any, Shape::from_schema);
                let max = number("maxItems").and_then(|max| usize::try_from(max).ok());
                Shape::List {
                    items: Box::new(items),
                    max: max.unwrap_or(usize::MAX),
                }
            }
            "object" => Shape::Object(fields(schema)),
            _ => Shape::Any,
        };
        if nullable {
            Shape::Nullable(Box::new(shape))
        } else {
            shape
        }
    }

    /// Checks `value`, and turns what is accepted in another form (a numeric string) into its own.
    pub(super) fn check(&self, value: &mut Value, source: Source, at: &mut Vec<Value>, issues: &mut Vec<Issue>) {
        let problem = match self {
            Shape::Any => None,
            Shape::Nullable(_) if value.is_null() => None,
            Shape::Nullable(shape) => {
                shape.check(value, source, at, issues);
                None
            }
            Shape::Text { min, max, form } => check_text(value, *min, *max, form),
            Shape::Integer { min, max } => check_integer(value, *min, *max),
            Shape::Id => check_id(value),
            Shape::TextId { .. } if value.is_i64() => None,
            Shape::TextId { max } => check_text(value, 0, *max, &TextForm::Free),
            Shape::Number { min, max } => check_number(value, *min, *max),
            Shape::Boolean => check_boolean(value),
            Shape::List { items: shape, max } => match value {
                Value::Array(items) if items.len() > *max => Some(too_many(items.len(), *max)),
                Value::Array(items) => {
                    for (index, item) in items.iter_mut().enumerate() {
                        at.push(index.into());
                        shape.check(item, source, at, issues);
                        at.pop();
                    }
                    None
                }
                _ => Some(("list_type", "Input should be a valid list".into(), None)),
            },
            Shape::Object(fields) => match value {
                Value::Object(object) => {
                    check_fields(fields, object, source, at, issues);
                    None
                }
                _ => Some((
                    "model_attributes_type",
                    "Input should be a valid dictionary or object to extract fields from".into(),
                    None,
                )),
            },
        };
        if let Some((rule, msg, ctx)) = problem {
            let input = if self.has_secrets() { Value::Null } else { value.clone() };
            issues.push(issue(rule, at, msg, input, ctx));
        }
    }

    fn has_secrets(&self) -> bool {
        matches!(self, Shape::Object(fields) if fields.iter().any(|field| field.is_secret))
    }
}

type Problem = (&'static str, String, Option<Value>);

fn too_many(count: usize, max: usize) -> Problem {
    let plural = if max == 1 { "" } else { "s" };
    let msg = format!("List should have at most {max} item{plural} after validation, not {count}");
    let ctx = json!({ "field_type": "List", "max_length": max, "actual_length": count });
    ("too_long", msg, Some(ctx))
}

/// One issue, in full.
pub(super) fn issue(rule: &'static str, at: &[Value], msg: String, input: Value, ctx: Option<Value>) -> Issue {
    Issue {
        rule: rule.into(),
        loc: at.to_vec(),
        msg: msg.into(),
        input,
        ctx,
    }
}

/// Nothing was sent where something must be.
pub(super) fn missing(at: &[Value], input: Value) -> Issue {
    issue("missing", at, "Field required".into(), input, None)
}

fn fields(schema: &Map<String, Value>) -> Vec<Field> {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| Field {
            name: name.clone(),
            shape: Shape::from_schema(schema),
            required: required.contains(&name.as_str()),
            is_secret: schema.get("format").is_some_and(|format| format == "password"),
        })
        .collect()
}

fn text_form(schema: &Map<String, Value>) -> TextForm {
    if schema.get("format").is_some_and(|format| format == "email") {
        return TextForm::Email;
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return TextForm::OneOf(words.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    }
    match schema.get("pattern").and_then(Value::as_str) {
        Some(pattern) => TextForm::Exactly(pattern.trim_matches(['^', '$']).to_owned()),
        None => TextForm::Free,
    }
}

fn check_fields(
    fields: &[Field],
    object: &mut Map<String, Value>,
    source: Source,
    at: &mut Vec<Value>,
    issues: &mut Vec<Issue>,
) {
    for field in fields {
        at.push(field.name.as_str().into());
        match object.get_mut(&field.name) {
            Some(value) => {
                let before = issues.len();
                field.shape.check(value, source, at, issues);
                if field.is_secret {
                    issues[before..].iter_mut().for_each(|issue| hide(&mut issue.input));
                }
            }
            None if field.required => {
                let around = match source {
                    Source::Json => {
                        let mut around = object.clone();
                        if fields.iter().any(|field| field.is_secret) {
                            around.retain(|name, _| fields.iter().any(|field| field.name == *name));
                        }
                        for secret in fields.iter().filter(|field| field.is_secret) {
                            around.get_mut(&secret.name).into_iter().for_each(hide);
                        }
                        Value::Object(around)
                    }
                    Source::Text => Value::Null,
                };
                issues.push(missing(at, around));
            }
            None => {}
        }
        at.pop();
    }
}

/// Shows something else in the place of a secret. That nothing was sent is none.
fn hide(value: &mut Value) {
    let says_nothing = match value {
        Value::Null | Value::Bool(_) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(_) => false,
    };
    if !says_nothing {
        *value = "**********".into();
    }
}

fn check_text(value: &Value, min: u64, max: u64, form: &TextForm) -> Option<Problem> {
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

fn check_integer(value: &mut Value, min: i64, max: i64) -> Option<Problem> {
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

fn check_id(value: &mut Value) -> Option<Problem> {
    if let Value::String(text) = value
        && uuid::Uuid::try_parse(text).is_ok()
    {
        return None;
    }
    check_integer(value, i64::MIN, i64::MAX)
}

fn check_number(value: &mut Value, min: f64, max: f64) -> Option<Problem> {
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

fn check_boolean(value: &mut Value) -> Option<Problem> {
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

/// Why bytes are not JSON, in the form FastAPI's clients know: the offset of the first wrong byte and a short reason.
pub(super) fn json_invalid(body: &[u8], error: &serde_json::Error) -> Issue {
    let before: usize = body
        .split_inclusive(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    // serde_json counts columns from one; at the end of the input there is no wrong byte to count.
    let column = if error.is_eof() {
        error.column()
    } else {
        error.column().saturating_sub(1)
    };
    let offset = (before + column).min(body.len());
    let text = error.to_string();
    let reason = match text.split(" at line").next().unwrap_or("") {
        "key must be a string" => "Expecting property name enclosed in double quotes",
        "expected `:`" => "Expecting ':' delimiter",
        "expected `,` or `}`" | "expected `,` or `]`" => "Expecting ',' delimiter",
        "trailing characters" => "Extra data",
        "EOF while parsing a string" => "Unterminated string",
        "control character (\\u0000-\\u001F) found while parsing a string" => "Invalid control character at",
        "recursion limit exceeded" => "Nested too deeply",
        "invalid escape" => "Invalid \\escape",
        "invalid unicode code point" | "lone leading surrogate in hex escape" => "Invalid \\uXXXX escape",
        _ => "Expecting value",
    };
    let at = ["body".into(), offset.into()];
    issue(
        "json_invalid",
        &at,
        "JSON decode error".into(),
        json!({}),
        Some(json!({ "error": reason })),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: Value, mut value: Value) -> Result<Value, Vec<String>> {
        let mut issues = Vec::new();
        let mut at = vec!["body".into()];
        Shape::from_schema(&schema).check(&mut value, Source::Json, &mut at, &mut issues);
        assert_eq!(at.len(), 1);
        if issues.is_empty() {
            Ok(value)
        } else {
            Err(issues.iter().map(|issue| issue.rule.to_string()).collect())
        }
    }

    #[test]
    fn values_are_turned_into_their_own_form() {
        let integer = json!({ "type": "integer", "minimum": 1, "maximum": 9 });
        assert_eq!(check(integer.clone(), json!("7")), Ok(json!(7)));
        assert_eq!(check(integer.clone(), json!(7.0)), Ok(json!(7)));
        assert_eq!(check(integer.clone(), json!(7.5)), Err(vec!["int_from_float".into()]));
        assert_eq!(check(integer.clone(), json!("x")), Err(vec!["int_parsing".into()]));
        assert_eq!(check(integer.clone(), json!(null)), Err(vec!["int_type".into()]));
        assert_eq!(check(integer.clone(), json!(0)), Err(vec!["greater_than_equal".into()]));
        assert_eq!(
            check(integer, json!("99999999999999999999")),
            Err(vec!["less_than_equal".into()])
        );
        assert_eq!(check(json!({ "type": "boolean" }), json!("on")), Ok(json!(true)));
        assert_eq!(
            check(json!({ "type": "boolean" }), json!("maybe")),
            Err(vec!["bool_parsing".into()])
        );
        let number = json!({ "type": ["number", "null"], "minimum": 0.0, "maximum": 2.0 });
        assert_eq!(check(number.clone(), json!("0.5")), Ok(json!(0.5)));
        assert_eq!(check(number.clone(), json!(null)), Ok(json!(null)));
        assert_eq!(check(number.clone(), json!(2)), Ok(json!(2)));
        assert_eq!(check(number.clone(), json!(2.1)), Err(vec!["less_than_equal".into()]));
        assert_eq!(
            check(number.clone(), json!("-1")),
            Err(vec!["greater_than_equal".into()])
        );
        assert_eq!(check(number, json!("warm")), Err(vec!["float_parsing".into()]));
        let id = json!({ "type": "integer", "format": "id" });
        let uuid = json!("0f8fad5b-d9cb-469f-a165-70867728950e");
        assert_eq!(check(id.clone(), uuid.clone()), Ok(uuid));
        assert_eq!(check(id, json!("nope")), Err(vec!["int_parsing".into()]));
    }

    #[test]
    fn one_of_some_words() {
        let words = json!({ "type": ["string", "null"], "enum": ["a", "b", "c", null] });
        assert!(check(words.clone(), json!("b")).is_ok() && check(words.clone(), json!(null)).is_ok());
        assert_eq!(check(words.clone(), json!("B")), Err(vec!["enum".into()]));
        assert_eq!(check(words.clone(), json!(1)), Err(vec!["string_type".into()]));
        let problem = check_text(&json!("x"), 0, 9, &text_form(words.as_object().unwrap())).unwrap();
        assert_eq!(problem.1, "Input should be 'a', 'b' or 'c'");
    }

    #[test]
    fn all_issues_are_reported_at_once() {
        let schema = json!({ "type": "object", "required": ["a", "b"], "properties": {
            "a": { "type": "string", "minLength": 1 }, "b": { "type": "string" },
            "c": { "type": ["string", "null"] }, "d": { "type": "array", "items": { "type": "string" } } } });
        let value = json!({ "a": "", "c": null, "d": [1], "unknown": 1 });
        let expected = vec!["string_too_short".into(), "missing".into(), "string_type".into()];
        assert_eq!(check(schema.clone(), value), Err(expected));
        assert_eq!(check(schema, json!([])), Err(vec!["model_attributes_type".into()]));
    }

    #[test]
    fn lists_have_lengths() {
        let schema = json!({ "type": ["array", "null"], "maxItems": 2, "items": { "type": "string", "maxLength": 3 } });
        assert!(check(schema.clone(), json!(["a", "abc"])).is_ok() && check(schema.clone(), json!(null)).is_ok());
        assert_eq!(
            check(schema.clone(), json!(["a", "b", "c"])),
            Err(vec!["too_long".into()])
        );
        let expected = Err(vec!["string_too_long".into(), "string_type".into()]);
        assert_eq!(check(schema, json!(["abcd", 1])), expected);
    }

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

    #[test]
    fn json_errors_name_their_place() {
        let at = |body: &str| {
            let error = serde_json::from_str::<Value>(body).unwrap_err();
            let issue = json_invalid(body.as_bytes(), &error);
            (
                issue.loc[1].as_u64().unwrap(),
                issue.ctx.unwrap()["error"].as_str().unwrap().to_owned(),
            )
        };
        assert_eq!(at("{\"a\":}"), (5, "Expecting value".into()));
        assert_eq!(
            at("{bad"),
            (1, "Expecting property name enclosed in double quotes".into())
        );
        assert_eq!(at("{\"a\":"), (5, "Expecting value".into()));
        assert_eq!(at("{} x"), (3, "Extra data".into()));
    }
}
