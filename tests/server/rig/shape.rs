//! Shapes: what a JSON reply should look like, written as JSON. A string in angle brackets stands for a kind of value
//! (`"<uuid>"`, `"<time>"`, `"<int>"`, …), a `"..."` key lets an object have more keys, everything else is literal.

use serde_json::{Value, json};

use super::Reply;

/// Fails the test unless the reply has this status and this shape.
#[track_caller]
pub(crate) fn check_shape(reply: &Reply, status: u16, shape: &Value) {
    assert_eq!(reply.status, status, "{}", reply.text());
    if let Some(why) = mismatch(shape, &reply.json()) {
        panic!("{why}\n  wanted {shape}\n  got    {}", reply.text());
    }
}

/// One entry of a 422's `detail`; `ctx` may be there when a shape names none.
pub(crate) fn invalid(kind: &str, loc: &Value, msg: &str, input: &Value) -> Value {
    json!({"type": kind, "loc": loc, "msg": msg, "input": input, "...": ["ctx"]})
}

/// Where a value differs from its shape first, or `None`.
fn mismatch(shape: &Value, got: &Value) -> Option<String> {
    differs(shape, got, "$")
}

fn differs(shape: &Value, got: &Value, at: &str) -> Option<String> {
    match (shape, got) {
        (Value::String(kind), _) if kind.starts_with('<') && kind.ends_with('>') => {
            (!is_kind(kind, got)).then(|| format!("{at}: {got} is not {kind}"))
        }
        (Value::Object(wanted), Value::Object(found)) => {
            let open = wanted.get("...");
            let allowed =
                |key: &str| open.is_some_and(|open| open.as_array().is_none_or(|keys| keys.iter().any(|k| k == key)));
            if let Some(extra) = found.keys().find(|key| !wanted.contains_key(*key) && !allowed(key)) {
                return Some(format!("{at}: unexpected key {extra:?}"));
            }
            wanted
                .iter()
                .filter(|(key, _)| *key != "...")
                .find_map(|(key, shape)| match found.get(key) {
                    Some(value) => differs(shape, value, &format!("{at}.{key}")),
                    None => Some(format!("{at}: no key {key:?}")),
                })
        }
        (Value::Array(wanted), Value::Array(found)) => {
            if wanted.len() != found.len() {
                return Some(format!("{at}: {} entries instead of {}", found.len(), wanted.len()));
            }
            wanted
                .iter()
                .zip(found)
                .enumerate()
                .find_map(|(index, (shape, value))| differs(shape, value, &format!("{at}[{index}]")))
        }
        _ => (shape != got).then(|| format!("{at}: {got} instead of {shape}")),
    }
}

fn is_kind(kind: &str, got: &Value) -> bool {
    let text = got.as_str();
    match kind {
        "<any>" => true,
        "<int>" => got.is_i64() || got.is_u64(),
        "<float>" => got.is_f64(),
        "<bool>" => got.is_boolean(),
        "<string>" => text.is_some(),
        "<filled>" => text.is_some_and(|text| !text.is_empty()),
        "<uuid>" => text.is_some_and(is_uuid),
        "<time>" => text.is_some_and(is_time),
        "<time?>" => got.is_null() || text.is_some_and(is_time),
        "<token>" => text.is_some_and(|text| text.split('.').count() == 3 && text.len() <= 4096),
        _ => panic!("no such kind of value: {kind}"),
    }
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && groups
            .concat()
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
}

/// RFC 3339 in UTC, with six digits of the second and `+00:00`.
fn is_time(text: &str) -> bool {
    let pattern = "0000-00-00T00:00:00.000000+00:00";
    text.len() == pattern.len()
        && text.ends_with("+00:00")
        && text.chars().zip(pattern.chars()).all(|(got, wanted)| {
            if wanted == '0' {
                got.is_ascii_digit()
            } else {
                got == wanted
            }
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::mismatch;

    #[test]
    fn shapes_match_what_they_say() {
        let shape = json!({"id": "<uuid>", "at": "<time>", "n": "<int>", "list": [{"x": 1, "...": ["y"]}]});
        let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let at = "2026-11-21T05:17:02.616428+00:00";
        let good = json!({"id": id, "at": at, "n": 1, "list": [{"x": 1, "y": 2}]});
        assert_eq!(mismatch(&shape, &good), None);
        for (key, wrong) in [
            ("id", json!("nope")),
            ("at", json!("2026-11-21T05:17:02Z")),
            ("n", json!(1.5)),
            ("n", json!("1")),
            ("list", json!([])),
            ("list", json!([{"x": 2}])),
            ("list", json!([{"x": 1, "z": 2}])),
            ("extra", json!(null)),
        ] {
            let mut body = good.clone();
            body[key] = wrong;
            assert!(mismatch(&shape, &body).is_some(), "{body}");
        }
    }
}
