//! The recorded session of the Flutter client's server.

use serde_json::{Value, json};

use super::deviations::System;
use super::recording::{Entry, Name};
use super::{Session, check, name_of, token_of};
use crate::rig::{Call, Launch, Multipart, Server};

struct Flutter {
    server: Server,
    token: String,
    /// The token of another user.
    carol: String,
}

impl Session for Flutter {
    fn request(&self, entry: &Entry, key: &str, path: &str) -> Call {
        let (label, call) = (entry.label.as_str(), self.server.call(&entry.method, path));
        if path.starts_with("/users") && entry.method == "POST" {
            return match label {
                "missing" => call.json(&json!({"username": "alice"})),
                "no slash" => call.json(&account("bob")),
                "carol" => call.json(&account("carol")),
                _ => call.json(&account("alice")),
            };
        }
        if path == "/token" {
            return match label {
                "missing pw" => call.form(&[("username", "alice")]),
                "ok" => call.form(&[("username", "alice"), ("password", "pw of alice")]),
                _ => call.form(&[("username", "alice"), ("password", "wrong")]),
            };
        }
        let call = match label {
            "noauth" => return call,
            "bad" => call.bearer("a.b.c"),
            "other user" => call.bearer(&self.carol),
            _ => call.bearer(&self.token),
        };
        match (key, label) {
            ("POST /chats/ []", _) => call.json(&json!({"title": "T1"})),
            (_, "missing title" | "missing content") => call.json(&json!({})),
            (_, "immediately list") => call.json(&json!({
                "content": "pic", "type": "image", "media_urls": ["/media/a.png"], "reply_to_id": "x",
            })),
            ("POST /upload/ []", _) => picture(call),
            ("POST /chats/{chat}/messages/ []", _) => call.json(&json!({"content": "hello"})),
            _ => call,
        }
    }

    fn learn(&mut self, key: &str, recorded: &Value, ours: &Value) -> Option<Name> {
        match key {
            "POST /token [ok]" => self.token = token_of(ours),
            "POST /users/ [carol]" => {
                let form = [("username", "carol"), ("password", "pw of carol")];
                self.carol = token_of(&self.server.post("/token").form(&form).send().json());
            }
            "POST /chats/ []" => return name_of(recorded, ours, "id", "{chat}"),
            "POST /upload/ []" => return name_of(recorded, ours, "url", "{media}"),
            _ => {}
        }
        None
    }
}

fn account(name: &str) -> Value {
    json!({"username": name, "email": format!("{name}@example.com"), "password": format!("pw of {name}")})
}

fn picture(call: Call) -> Call {
    Multipart::new().file("file", "a.png", "image/png", b"PNG").on(call)
}

#[test]
fn the_flutter_client_is_answered_alike() {
    let server = Launch::new().start();
    let mut session = Flutter {
        server,
        token: String::new(),
        carol: String::new(),
    };
    check(System::Flutter, 13, &mut session);
}
