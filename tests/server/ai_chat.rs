//! The AI Chat Backend family, `/chats` and `POST /chat` with JSON: chats here; ids, lists,
//! sending and models in the modules below.

mod ids;
mod lists;
mod sending;

use serde_json::{Value, json};

use crate::rig::{Desk, Reply, Server, check_shape, forge, invalid};

/// A chat with `count` messages, as every route of this family shows it.
fn chat_shape(title: &Value, count: u64) -> Value {
    json!({
        "id": "<uuid>", "conversation_id": "<int>", "user_id": "<uuid>", "title": title, "created_at": "<time>", "updated_at": "<time>",
        "message_count": count, "last_message_time": "<time>", "last_message_content": "<string>", "is_pinned": false, "is_archived": false,
    })
}

fn message_shape(chat: &Value, role: &str, content: &str) -> Value {
    let sender = if role == "user" { "user" } else { "ai" };
    json!({
        "id": "<int>", "chat_id": chat, "role": role, "content": content, "created_at": "<time>", "type": "text", "sender": sender,
        "timestamp": "<time>", "status": "<filled>", "media_urls": [], "reply_to_id": null, "importance_level": "normal",
        "state": "complete", "...": true,
    })
}

fn not_found(id: &str) -> Value {
    json!({"detail": format!("Chat with id '{id}' not found")})
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_string()
}

impl Desk {
    #[track_caller]
    fn say(&self, chat: &Value, message: &str) -> Value {
        let shape = json!({"reply": format!("Echo: {message}"), "chat_id": "<uuid>"});
        self.check(
            "POST",
            "/chat",
            Some(json!({"message": message, "chat_id": chat})),
            200,
            &shape,
        )
    }

    /// The contents of a page of messages.
    #[track_caller]
    fn page(&self, target: &str) -> Vec<String> {
        let reply = self.call("GET", target).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply
            .json()
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| text(&row["content"]))
            .collect()
    }

    #[track_caller]
    fn titles(&self, target: &str) -> Vec<String> {
        let reply = self.call("GET", target).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["chats"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| text(&row["title"]))
            .collect()
    }
}

#[test]
fn a_chat_from_its_first_day_to_its_last() {
    let desk = Desk::new();
    let chat = desk.check(
        "POST",
        "/chats",
        Some(json!({"title": "My First Chat"})),
        201,
        &chat_shape(&json!("My First Chat"), 0),
    );
    assert_eq!(
        (&chat["last_message_time"], &chat["last_message_content"]),
        (&chat["created_at"], &json!(""))
    );
    let path = format!("/chats/{}", text(&chat["id"]));
    assert_eq!(
        desk.check("GET", &path, None, 200, &chat_shape(&json!("My First Chat"), 0)),
        chat
    );
    desk.check("GET", &format!("{path}/messages"), None, 200, &json!([]));
    desk.say(&chat["id"], "Hello, AI!");
    let messages = json!([
        message_shape(&chat["id"], "user", "Hello, AI!"),
        message_shape(&chat["id"], "assistant", "Echo: Hello, AI!")
    ]);
    let messages = desk.check("GET", &format!("{path}/messages"), None, 200, &messages);
    assert_eq!(messages[0]["timestamp"], messages[0]["created_at"]);
    let after = desk.check("GET", &path, None, 200, &chat_shape(&json!("My First Chat"), 2));
    assert_eq!(after["last_message_content"], json!("Echo: Hello, AI!"));
    assert!(
        text(&after["updated_at"]) > text(&chat["updated_at"]) && after["created_at"] == chat["created_at"],
        "{after}"
    );
    assert_eq!(after["last_message_time"], messages[1]["created_at"]);
    let list = desk.check(
        "GET",
        "/chats",
        None,
        200,
        &json!({"chats": [chat_shape(&json!("My First Chat"), 2)], "total": 1}),
    );
    assert_eq!(list["chats"][0], after);
    let gone = desk.call("DELETE", &path).send();
    assert_eq!(
        (gone.status, gone.body.len(), gone.header("Content-Length")),
        (204, 0, None)
    );
    desk.check("GET", "/chats", None, 200, &json!({"chats": [], "total": 0}));
}

#[test]
fn creating_needs_a_body_but_no_title() {
    let desk = Desk::new();
    for body in [json!({}), json!({"title": null}), json!({"unknown": [1, 2]})] {
        desk.check("POST", "/chats", Some(body), 201, &chat_shape(&json!(null), 0));
    }
    desk.check(
        "POST",
        "/chats",
        Some(json!({"title": "Ünï ☃ \"<b>\" \u{0} \n"})),
        201,
        &chat_shape(&json!("Ünï ☃ \"<b>\" \u{0} \n"), 0),
    );
    desk.check(
        "POST",
        "/chats",
        None,
        422,
        &json!({"detail": [invalid("missing", &json!(["body"]), "Field required", &json!(null))]}),
    );
    for title in [json!(5), json!([]), json!(true)] {
        let entry = invalid(
            "string_type",
            &json!(["body", "title"]),
            "Input should be a valid string",
            &title,
        );
        desk.check(
            "POST",
            "/chats",
            Some(json!({"title": title})),
            422,
            &json!({"detail": [entry]}),
        );
    }
    // The content type does not matter, only the body does.
    for kind in [
        "text/plain",
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "",
    ] {
        let reply = desk
            .call("POST", "/chats")
            .header("Content-Type", kind)
            .body(r#"{"title": "any type"}"#)
            .send();
        check_shape(&reply, 201, &chat_shape(&json!("any type"), 0));
    }
}

#[test]
fn a_chat_is_renamed_pinned_and_archived() {
    let desk = Desk::new();
    let chat = desk.server.chat(&desk.token, "before");
    let path = format!("/chats/{}", text(&chat["id"]));
    let mut shape = chat_shape(&json!("after"), 0);
    desk.check("PATCH", &path, Some(json!({"title": "after"})), 200, &shape);
    for (field, value) in [("is_pinned", true), ("is_archived", true), ("is_pinned", false)] {
        shape[field] = json!(value);
        desk.check("PATCH", &path, Some(json!({field: value})), 200, &shape);
        desk.check("GET", &path, None, 200, &shape);
    }
    desk.check("PATCH", &path, Some(json!({})), 200, &shape);
    shape["title"] = json!("☃".repeat(200));
    desk.check("PATCH", &path, Some(json!({"title": "☃".repeat(200)})), 200, &shape);
    let short = json!({"type": "string_too_short", "loc": ["body", "title"], "msg": "String should have at least 1 character", "input": "", "ctx": {"min_length": 1}});
    desk.check(
        "PATCH",
        &path,
        Some(json!({"title": ""})),
        422,
        &json!({"detail": [short]}),
    );
    let long = "x".repeat(201);
    let entry = json!({"type": "string_too_long", "loc": ["body", "title"], "msg": "String should have at most 200 characters", "input": long, "ctx": {"max_length": 200}});
    desk.check(
        "PATCH",
        &path,
        Some(json!({"title": long})),
        422,
        &json!({"detail": [entry]}),
    );
    for (field, value, kind) in [
        ("title", json!(5), "string_type"),
        ("is_pinned", json!("perhaps"), "bool_parsing"),
        ("is_archived", json!([]), "bool_type"),
    ] {
        let reply = desk.call("PATCH", &path).json(&json!({field: value})).send();
        assert_eq!(
            (reply.status, reply.json()["detail"][0]["type"].clone()),
            (422, json!(kind)),
            "{field}"
        );
        assert_eq!(reply.json()["detail"][0]["loc"], json!(["body", field]));
    }
    desk.check(
        "PATCH",
        &path,
        None,
        422,
        &json!({"detail": [invalid("missing", &json!(["body"]), "Field required", &json!(null))]}),
    );
    desk.check("GET", &path, None, 200, &shape);
}

#[test]
fn checks_come_in_the_order_of_the_contract() {
    let desk = Desk::new();
    let bad_json = |reply: &Reply| reply.status == 422 && reply.json()["detail"][0]["type"] == json!("json_invalid");
    for path in ["/chats", "/chat"] {
        // Malformed JSON before a missing token …
        let reply = desk.server.post(path).body("{nope").send();
        assert!(bad_json(&reply), "{path}: {} {}", reply.status, reply.text());
        // … but not when it is large: then the token is looked at first.
        let large = format!("{{\"message\": \"{}", "x".repeat(70_000));
        assert_eq!(desk.server.post(path).body(large.clone()).send().status, 401, "{path}");
        assert!(bad_json(&desk.call("POST", path).body(large).send()), "{path}");
        // A missing token before a body of the wrong kind.
        assert_eq!(desk.server.post(path).json(&json!([])).send().status, 401, "{path}");
    }
}

#[test]
fn a_token_comes_before_a_body_and_a_body_before_existence() {
    let desk = Desk::new();
    assert_eq!(
        desk.server
            .patch("/chats/nope")
            .json(&json!({"title": ""}))
            .send()
            .status,
        401
    );
    assert_eq!(
        desk.call("PATCH", "/chats/nope")
            .json(&json!({"title": ""}))
            .send()
            .status,
        422
    );
    assert_eq!(
        desk.call("POST", "/chat")
            .json(&json!({"message": "", "chat_id": "nope"}))
            .send()
            .status,
        422
    );
    assert_eq!(desk.call("GET", "/chats/nope/messages?limit=0").send().status, 422);
    assert_eq!(desk.server.get("/chats/nope/messages?limit=0").send().status, 401);
    let nobody = forge("not the secret", &json!({"sub": "x"}));
    assert_eq!(desk.server.get("/chats?limit=0").bearer(&nobody).send().status, 401);
}

#[test]
fn the_root_the_health_and_the_version() {
    let server = Server::start();
    let root = json!({"message": "<filled>", "version": env!("CARGO_PKG_VERSION"), "docs": "/docs"});
    for accept in [None, Some("application/json"), Some("*/*")] {
        let reply = accept
            .iter()
            .fold(server.get("/"), |call, accept| call.header("Accept", accept))
            .send();
        check_shape(&reply, 200, &root);
        assert_eq!(
            reply
                .header("Content-Type")
                .map(|kind| kind.starts_with("application/json")),
            Some(true)
        );
    }
    let page = server.get("/").header("Accept", "text/html").send();
    assert!(
        page.text().to_ascii_lowercase().contains("<!doctype html"),
        "{}",
        page.text()
    );
    let health = server.get("/health").send();
    check_shape(&health, 200, &json!({"status": "healthy", "...": true}));
    assert!(health.json().get("data").is_none());
    check_shape(
        &server.get("/api/version").send(),
        200,
        &json!({"name": "fireside", "version": env!("CARGO_PKG_VERSION"), "signup": "<any>", "...": true}),
    );
}
