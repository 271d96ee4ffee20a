//! The recorded session of the Todo assistant, whose tokens are another system's.

use serde_json::json;

use super::deviations::System;
use super::recording::Entry;
use super::{SECRET, Session, check};
use crate::rig::{Algorithm, Call, Launch, Server, forge, forge_with};

struct Todo(Server);

impl Session for Todo {
    fn request(&self, entry: &Entry, _key: &str, path: &str) -> Call {
        todo_request(self.0.call(&entry.method, path), &entry.label)
    }
}

fn todo_request(call: Call, label: &str) -> Call {
    let body = match label {
        "new" => json!({"message": "Hello, how are you?"}),
        "cont" => json!({"message": "more", "conversation_id": 1}),
        "blank" => json!({"message": "   "}),
        "missing" | "no auth AND bad body" => json!({}),
        "404" => json!({"message": "x", "conversation_id": 9999}),
        "foreign" => json!({"message": "x", "conversation_id": 1}),
        "string int id" => json!({"message": "x", "conversation_id": "1"}),
        "uuid id" => {
            json!({"message": "x", "conversation_id": "0f8fad5b-d9cb-469f-a165-70867728950e"})
        }
        "extra fields" => json!({"message": "x", "extra": true}),
        "null message" => json!({"message": null}),
        "int message" => json!({"message": 5}),
        _ => json!({"message": "x"}),
    };
    let exp = 4_000_000_000u64;
    let claims = match label {
        "expired" => json!({"user_id": "user123", "exp": 1_000_000_000}),
        "mismatch" | "foreign" => json!({"user_id": "other", "exp": exp}),
        "no exp" => json!({"user_id": "user123"}),
        "aud claim" => json!({"user_id": "user123", "exp": exp, "aud": "someone"}),
        _ => json!({"user_id": "user123", "exp": exp}),
    };
    let call = call.json(&body);
    match label {
        "noauth" | "no auth AND bad body" => call,
        "basic" => call.header("Authorization", "Basic YTpi"),
        "bad" => call.bearer("a.b.c"),
        "HS512" => call.bearer(&forge_with(Algorithm::Hs512, "HS512", SECRET, &claims)),
        _ => call.bearer(&forge(SECRET, &claims)),
    }
}

#[test]
fn the_todo_assistant_is_answered_alike() {
    let server = Launch::new().env("BETTER_AUTH_SECRET", SECRET).start();
    check(System::Todo, 22, &mut Todo(server));
}
