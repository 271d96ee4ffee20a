//! Does input fit its schema? The schema comes from the handler's own input type (schemars), so there is no second
//! list of fields; the answer comes in the words that pydantic's clients know.

use serde_json::{Map, Value, json};

use super::values::{Problem, check_boolean, check_id, check_integer, check_number, check_text};
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
