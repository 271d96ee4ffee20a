//! The recorded session of ChatAI.

use serde_json::{Value, json};

use super::deviations::System;
use super::recording::{Entry, Name};
use super::{Session, check, token_of};
use crate::rig::{Call, Launch, Multipart, Server, forge};

struct ChatAi {
    server: Server,
    token: String,
}

impl Session for ChatAi {
    fn request(&self, entry: &Entry, key: &str, path: &str) -> Call {
        let (label, call) = (entry.label.as_str(), self.server.call(&entry.method, path));
        let (email, password) = ("capture@example.com", "password123");
        let json = json!({"email": email, "password": password});
        match (entry.path.as_str(), label) {
            ("/auth/register", _) => {
                return call.json(&json!({"email": email, "password": password, "display_name": "User"}));
            }
            ("/auth/login", "") => return call.json(&json),
            ("/auth/login", _) => return call.json(&json!({"email": email, "password": "wrong"})),
            ("/auth/token", "") => return call.form(&[("username", email), ("password", password)]),
            ("/auth/token", _) => return call.form(&[("username", email), ("password", "wrong")]),
            _ => {}
        }
        let is_open = entry.path.starts_with("/auth/") || entry.path == "/models" || entry.method == "OPTIONS";
        let call = match label {
            _ if is_open => return call,
            "noauth" | "user msg, no auth" => call,
            "bad" => call.bearer("a.b.c"),
            "non-int sub" => call.bearer(&forge("another secret than the server's", &json!({"sub": "x"}))),
            _ => call.bearer(&self.token),
        };
        match key {
            "POST /conversations/ [create]" => call.json(&json!({"title": "Manual"})),
            _ if entry.method == "POST" => message(call, label),
            _ => call,
        }
    }

    fn learn(&mut self, key: &str, _recorded: &Value, ours: &Value) -> Option<Name> {
        if key == "POST /auth/login []" {
            self.token = token_of(ours);
        }
        None
    }
}

/// The forms behind the recorded lines.
fn message(call: Call, label: &str) -> Call {
    match label {
        "new" => {
            let form = Multipart::new().field("text", "Hi there");
            form.file("files", "a.txt", "text/plain", b"AAA").on(call)
        }
        "urlencoded" => call.form(&[("text", "u"), ("conversation_id", "2")]),
        "empty text" => call.form(&[("text", "   ")]),
        "empty string" => call.form(&[("text", "")]),
        "missing text" => call.form(&[("model", "gpt-4.1-nano")]),
        "conversation_id empty" => call.form(&[("text", "z"), ("conversation_id", "")]),
        "conversation_id abc" => call.form(&[("text", "z"), ("conversation_id", "abc")]),
        "json" => call.json(&json!({"text": "x"})),
        "unknown model" => call.form(&[("text", "z"), ("model", "nope")]),
        "unknown conv" => call.form(&[("text", "z"), ("conversation_id", "99999")]),
        _ => call.multipart(&[("text", "z")]),
    }
}

#[test]
fn chatai_is_answered_alike() {
    let server = Launch::new().start();
    let mut session = ChatAi {
        server,
        token: String::new(),
    };
    check(System::ChatAi, 33, &mut session);
}
