//! The OpenAPI document: the reviewed copy in `openapi.json`, and what makes it valid and whole.
//! `UPDATE=1 cargo test --test openapi` writes the copy anew.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fireside::api;
use fireside::http::Auth;
use serde_json::{Map, Value, json};

fn document() -> Value {
    serde_json::from_str(&api::openapi()).expect("JSON")
}

/// Every operation as (method, path, operation).
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            operations.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    operations
}

#[test]
fn the_copy_is_the_document() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi.json");
    let text = api::openapi();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let copy = fs::read_to_string(&path).unwrap_or_default();
    let first = copy.lines().zip(text.lines()).find(|(old, new)| old != new);
    assert!(
        copy == text,
        "tests/openapi.json is old ({first:?}): UPDATE=1 cargo test --test openapi, and read the difference"
    );
}

#[test]
fn every_route_is_in_it_and_nothing_else() {
    let plain = |path: &str| path.replace("...}", "}");
    let mut routes: BTreeSet<_> = api::routes()
        .map(|route| (route.method.to_owned(), plain(route.path)))
        .collect();
    // Where both slash forms have routes, each has the other's methods too.
    let paths: BTreeSet<_> = routes.iter().map(|(_, path)| path.clone()).collect();
    let other = |path: &str| path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
    let twins = routes.iter().map(|(method, path)| (method.clone(), other(path)));
    let twins: Vec<_> = twins.filter(|(_, path)| paths.contains(path)).collect();
    routes.extend(twins);
    let document = document();
    let documented = operations(&document);
    let documented: BTreeSet<_> = documented.into_iter().map(|(method, path, _)| (method, path)).collect();
    assert_eq!(routes, documented);
    for route in api::routes() {
        let operation = &document["paths"][plain(route.path)][route.method.to_lowercase()];
        let security = &operation["security"];
        let wanted = match route.auth {
            Auth::User | Auth::Session | Auth::Admin => json!([{ "OAuth2PasswordBearer": [] }]),
            Auth::Public | Auth::Page => Value::Null,
        };
        assert_eq!(*security, wanted, "{} {}", route.method, route.path);
        assert_eq!(operation["summary"], route.summary);
        assert!(
            !route.auth.needs_token() || operation["responses"].get("401").is_some(),
            "{} {} needs a token and never misses it",
            route.method,
            route.path
        );
    }
}

/// Calls `visit` on every object in a value.
fn walk(value: &Value, visit: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            visit(fields);
            fields.values().for_each(|field| walk(field, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_nothing_is_left_over() {
    let document = document();
    let mut used = BTreeSet::new();
    walk(&document, &mut |fields| {
        if let Some(Value::String(reference)) = fields.get("$ref") {
            let pointer = reference.strip_prefix('#').expect("a reference into the document");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            used.insert(pointer.to_owned());
        }
        assert!(
            !fields.contains_key("$schema") && !fields.contains_key("$defs"),
            "{fields:?}"
        );
    });
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(
            used.contains(&format!("/components/schemas/{name}")),
            "nobody refers to {name}"
        );
    }
    assert!(used.len() > 20, "only {} references", used.len());
}

/// Pages of the document make a part of each.
#[test]
fn every_family_has_a_name_of_its_own() {
    let document = document();
    let names: Vec<_> = document["tags"]
        .as_array()
        .expect("tags")
        .iter()
        .map(|tag| tag["name"].as_str())
        .collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), distinct.len(), "{names:?}");
}

#[test]
fn every_operation_is_whole() {
    let document = document();
    let tags = document["tags"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let at = format!("{method} {path}");
        let id = operation["operationId"].as_str().expect(&at).to_owned();
        assert!(ids.insert(id.clone()), "{id} stands twice");
        assert!(!operation["summary"].as_str().expect(&at).is_empty());
        for tag in operation["tags"].as_array().expect(&at) {
            assert!(tags.iter().any(|known| known["name"] == *tag), "{at}: {tag}");
        }
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let names = |place: &str| -> Vec<&str> {
            let there = parameters.iter().filter(|parameter| parameter["in"] == place);
            there.map(|parameter| parameter["name"].as_str().unwrap()).collect()
        };
        let in_path: Vec<&str> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        assert_eq!(names("path"), in_path, "{at}");
        for parameter in &parameters {
            assert!(parameter["schema"].is_object(), "{at}: {parameter}");
            assert!(parameter["in"] != "path" || parameter["required"] == true, "{at}");
        }
        assert!(method != "GET" || operation.get("requestBody").is_none(), "{at}");
    }
}

#[test]
fn every_operation_says_what_it_answers() {
    let document = document();
    for (method, path, operation) in operations(&document) {
        let at = format!("{method} {path}");
        let responses = operation["responses"].as_object().expect(&at);
        let good = responses
            .iter()
            .filter(|(status, _)| status.starts_with('2') || *status == "101");
        assert!(good.clone().count() > 0, "{at} has no answer when all is well");
        for (status, response) in good {
            let has_content = response["content"]
                .as_object()
                .is_some_and(|content| !content.is_empty());
            assert_eq!(
                has_content,
                !["101", "204"].contains(&status.as_str()),
                "{at}: what does {status} hold?"
            );
        }
        for (status, response) in responses {
            let number: u16 = status.parse().expect(&at);
            assert!((100..600).contains(&number), "{at}: {status}");
            assert!(
                response.get("$ref").is_some() || response["description"].is_string(),
                "{at}"
            );
            if let Some(schema) = response.pointer("/content/application~1json/schema") {
                assert!(schema.is_object(), "{at}: {schema}");
            }
        }
    }
}
