//! The recorded session of ChatAI. A server without forms on `POST /chat/` leaves out those lines and the ones about
//! attachments; JSON makes the messages that later lines need.

use serde_json::{Value, json};

use super::deviations::System;
use super::recording::{Entry, Name};
use super::{Session, check, token_of};
use crate::rig::{Call, Launch, Server, forge};

struct ChatAi {
    server: Server,
    token: String,
    has_forms: bool,
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

    fn is_served(&self, entry: &Entry, key: &str) -> bool {
        let is_form = key.starts_with("POST /chat") && entry.label != "json";
        if self.has_forms || !(is_form || key.contains(" /attachments/")) {
            return true;
        }
        self.stand_in(&entry.label);
        false
    }
}

impl ChatAi {
    /// Makes the messages of a line that is left out, in the same conversations.
    fn stand_in(&self, label: &str) {
        let say = |body: Value| {
            let reply = self.server.post("/chat").bearer(&self.token).json(&body).send();
            assert_eq!(reply.status, 200, "{}", reply.text());
        };
        match label {
            "new" => say(json!({"message": "Hi there"})),
            "urlencoded" => say(json!({"message": "u", "chat_id": 2})),
            "conversation_id empty" | "no slash multipart" => say(json!({"message": "z"})),
            _ => {}
        }
    }
}

/// The forms behind the recorded lines.
fn message(call: Call, label: &str) -> Call {
    match label {
        "new" => {
            let body = "--b0undary\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nHi there\r\n\
                --b0undary\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nAAA\r\n--b0undary--\r\n";
            call.header("Content-Type", "multipart/form-data; boundary=b0undary")
                .body(body)
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
    let probe = server.account("probe").token;
    // Whitespace stores nothing, whichever way it is refused.
    let form = server.post("/chat/").bearer(&probe).form(&[("text", " ")]).send();
    let mut session = ChatAi {
        has_forms: form.status == 400,
        server,
        token: String::new(),
    };
    check(System::ChatAi, 33, &mut session);
}
