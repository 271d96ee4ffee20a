//! The recorded session of the AI Chat Backend.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::deviations::System;
use super::recording::{Entry, Name};
use super::{SECRET, Session, check, name_of, token_of};
use crate::rig::{Call, Launch, Server, Upstream, forge};

struct AiChat {
    server: Server,
    token: String,
    chat: String,
}

impl Session for AiChat {
    fn request(&self, entry: &Entry, key: &str, path: &str) -> Call {
        let (label, call) = (entry.label.as_str(), self.server.call(&entry.method, path));
        if key.contains(" /auth/register") || key.contains(" /auth/login") || key.contains(" /auth/token") {
            return self.account_request(call, key, label);
        }
        if key.contains("/health") {
            return if label.starts_with("cors") {
                call.header("Origin", "http://localhost:3000")
            } else {
                call
            };
        }
        if key.starts_with("GET /chats [") {
            return self.listing(call, label);
        }
        if label == "no auth" || key.starts_with("GET / ") || key.contains("/nothing") {
            return if entry.method == "POST" {
                call.json(&json!({"message": "hi", "chat_id": self.chat}))
            } else {
                call
            };
        }
        let call = call.bearer(&self.token);
        match body_of(key, label, &self.chat) {
            Some(body) => call.json(&body),
            None => call,
        }
    }

    fn learn(&mut self, key: &str, recorded: &Value, ours: &Value) -> Option<Name> {
        match key {
            "POST /auth/login [ok]" => self.token = token_of(ours),
            "POST /chats [ok]" => {
                let name = name_of(recorded, ours, "id", "{chat}")?;
                self.chat.clone_from(&name.ours);
                return Some(name);
            }
            _ => {}
        }
        None
    }
}

impl AiChat {
    fn account_request(&self, call: Call, key: &str, label: &str) -> Call {
        let (email, password) = ("u1@example.com".to_string(), "password123");
        let good = json!({"email": email, "password": password});
        let form = [("username", email.as_str()), ("password", password)];
        if key.contains("/auth/token") {
            return match label {
                "multipart" => call.multipart(&form),
                "json instead of form" => call.json(&good),
                "unknown" => call.form(&[("username", "nobody@example.com"), form[1]]),
                "grant_type=password" => call.form(&[form[0], form[1], ("grant_type", "password")]),
                "grant_type=other" => call.form(&[form[0], form[1], ("grant_type", "client_credentials")]),
                _ => call.form(&form),
            };
        }
        let other = |letter: &str| json!({"email": format!("{letter}{email}"), "password": password}).to_string();
        match label {
            "short pw+bad email" => call.json(&json!({"email": "nope", "password": "x"})),
            "missing fields" => call.json(&json!({})),
            "no body" => call,
            "bad json" => call.header("Content-Type", "application/json").body("{\"a\":"),
            "json sent as text/plain" => call.header("Content-Type", "text/plain").body(other("z")),
            "no content-type" => call.body(other("y")),
            "unknown" => call.json(&json!({"email": "nobody@example.com", "password": password})),
            _ => call.json(&good),
        }
    }

    fn listing(&self, call: Call, label: &str) -> Call {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        match label {
            "no auth" => call,
            "bad token" => call.bearer("a.b.c"),
            "Basic" => call.header("Authorization", "Basic YTpi"),
            "lowercase bearer" => call.header("Authorization", &format!("bearer {}", self.token)),
            "Bearer empty" => call.header("Authorization", "Bearer "),
            "external sub" => call.bearer(&forge(
                SECRET,
                &json!({"sub": "00000000-0000-4000-8000-000000000000", "exp": now + 600}),
            )),
            "expired" => call.bearer(&forge(
                SECRET,
                &json!({"sub": "00000000-0000-4000-8000-000000000000", "exp": now - 600}),
            )),
            _ => call.bearer(&self.token),
        }
    }
}

/// The bodies of the chat routes.
fn body_of(key: &str, label: &str, chat: &str) -> Option<Value> {
    if key.starts_with("POST /chats") {
        return match label {
            "no body" => None,
            "null title" => Some(json!({"title": null})),
            "{}" | "slash" => Some(json!({})),
            _ => Some(json!({"title": "My First Chat"})),
        };
    }
    if key.starts_with("PATCH") {
        return Some(match label {
            "empty" => json!({"title": ""}),
            "201 chars" => json!({"title": "x".repeat(201)}),
            _ => json!({"title": "Renamed"}),
        });
    }
    if !key.starts_with("POST /chat [") {
        return None;
    }
    Some(match label {
        "no model" => json!({"message": "again", "chat_id": chat}),
        "bad model" => json!({"message": "hi", "chat_id": chat, "model": "gpt-9"}),
        "empty message" => json!({"message": "", "chat_id": chat}),
        "missing chat_id" => json!({"message": "hi"}),
        "unknown chat" => json!({"message": "hi", "chat_id": "nope"}),
        "provider fails" => json!({"message": "fail", "chat_id": chat, "model": "fake-e500"}),
        _ => json!({"message": "Hello, AI!", "chat_id": chat, "model": "fast"}),
    })
}

#[test]
fn the_ai_chat_backend_is_answered_alike() {
    let upstream = Upstream::start();
    let server = Launch::new()
        .env("JWT_SECRET_KEY", SECRET)
        .env("OPENAI_BASE_URL", &upstream.url())
        .args(&["--default-model", "fake"])
        .start();
    let mut session = AiChat {
        server,
        token: String::new(),
        chat: String::new(),
    };
    check(System::AiChat, 60, &mut session);
}
