//! The Flutter client's family: `/token`, `/users/`, chats and messages with a slash at the end of their paths, and
//! marking messages as read. Its socket has tests of its own.

use serde_json::{Value, json};

use crate::rig::{Desk, Launch, Server, Upstream, check_shape, forge, invalid};

fn chat_shape(title: &str, last: &str, count: u64) -> Value {
    json!({
        "id": "<uuid>", "title": title, "created_at": "<time>", "last_message_time": "<time>",
        "last_message_content": last, "is_pinned": false,
        "conversation_id": "<int>", "user_id": "<uuid>", "updated_at": "<time>", "message_count": count,
        "is_archived": false,
    })
}

fn message_shape(sender: &str, content: &str) -> Value {
    let role = if sender == "user" { "user" } else { "assistant" };
    json!({
        "id": "<uuid>", "content": content, "type": "text", "sender": sender, "timestamp": "<time>",
        "status": "sent", "media_urls": [], "reply_to_id": null, "importance_level": "normal",
        "chat_id": "<uuid>", "role": role, "created_at": "<time>", "state": "complete", "...": ["model", "error"],
    })
}

impl Desk {
    /// The path of a new chat.
    fn chat(&self, title: &str) -> String {
        let shape = chat_shape(title, "", 0);
        let chat = self.check("POST", "/chats/", Some(json!({"title": title})), 200, &shape);
        format!("/chats/{}", chat["id"].as_str().expect("an id"))
    }

    fn listed_titles(&self) -> Vec<Value> {
        let reply = self.call("GET", "/chats/").send();
        let chats = reply.json();
        let chats = chats.as_array().expect("a bare list");
        chats.iter().map(|chat| chat["title"].clone()).collect()
    }
}

#[test]
fn the_guide_from_its_first_line_to_its_last() {
    let server = Server::start();
    let user = json!({"username": "alice", "email": "alice@example.com", "password": "secret"});
    let reply = server.post("/users/").json(&user).send();
    let user_shape = json!({"id": "<uuid>", "username": "alice", "email": "alice@example.com", "...": true});
    check_shape(&reply, 200, &user_shape);
    let form = [("username", "alice"), ("password", "secret")];
    let reply = server.post("/token").form(&form).send();
    check_shape(&reply, 200, &json!({"access_token": "<token>", "token_type": "bearer"}));
    let token = reply.json()["access_token"].as_str().expect("a token").to_string();
    let desk = Desk { server, token };
    desk.check("GET", "/users/me", None, 200, &user_shape);
    desk.check("GET", "/chats/", None, 200, &json!([]));
    let path = desk.chat("T1");
    desk.check("GET", &path, None, 200, &chat_shape("T1", "", 0));
    desk.check("GET", "/chats/", None, 200, &json!([chat_shape("T1", "", 0)]));
    desk.check("GET", &format!("{path}/messages/"), None, 200, &json!([]));

    let messages = format!("{path}/messages/");
    let hello = json!({"content": "hello", "type": "text", "media_urls": []});
    let sent = desk.check("POST", &messages, Some(hello), 200, &message_shape("user", "hello"));
    // The client fetches the list at once, and finds the reply in it.
    let both = json!([message_shape("user", "hello"), message_shape("ai", "Echo: hello")]);
    let listed = desk.check("GET", &messages, None, 200, &both);
    assert_eq!(listed[0], sent);
    assert_eq!(listed[0]["timestamp"], listed[0]["created_at"]);
    let chat = desk.check("GET", &path, None, 200, &chat_shape("T1", "Echo: hello", 2));
    assert_eq!(chat["last_message_time"], listed[1]["timestamp"]);
    assert_eq!(
        (&chat["id"], &chat["id"]),
        (&listed[0]["chat_id"], &listed[1]["chat_id"])
    );
}

#[test]
fn what_comes_with_a_message_comes_back() {
    let desk = Desk::new();
    let path = desk.chat("media");
    let messages = format!("{path}/messages/");
    let body = json!({"content": "pic", "type": "image", "media_urls": ["/media/a.png", "https://b.example/ü"],
        "reply_to_id": "x", "unknown": 1});
    let mut shape = message_shape("user", "pic");
    shape["type"] = json!("image");
    shape["media_urls"] = body["media_urls"].clone();
    shape["reply_to_id"] = json!("x");
    let sent = desk.check("POST", &messages, Some(body), 200, &shape);
    let reply = message_shape("ai", "Echo: pic");
    let listed = desk.check("GET", &messages, None, 200, &json!([shape, reply]));
    assert_eq!(listed[0], sent);
    // The other door shows the same message under its integer id.
    let other = desk.call("GET", &format!("{path}/messages")).send().json();
    assert!(other[0]["id"].is_i64());
    for key in ["type", "media_urls", "reply_to_id", "content", "timestamp", "chat_id"] {
        assert_eq!(other[0][key], sent[key], "{key}");
    }
    // Null where something is optional; an empty text is a text.
    let empty = json!({"content": "", "media_urls": null, "reply_to_id": null});
    desk.check("POST", &messages, Some(empty), 200, &message_shape("user", ""));
}

#[test]
fn what_is_wrong_with_a_message_is_said() {
    let desk = Desk::new();
    let messages = format!("{}/messages/", desk.chat("wrong"));
    let long = "x".repeat(2049);
    let cases = [
        (json!({}), "missing", json!(["body", "content"])),
        (json!({"content": null}), "string_type", json!(["body", "content"])),
        (json!({"content": 5}), "string_type", json!(["body", "content"])),
        (
            json!({"content": "x", "type": 5}),
            "string_type",
            json!(["body", "type"]),
        ),
        (
            json!({"content": "x", "type": ""}),
            "string_too_short",
            json!(["body", "type"]),
        ),
        (
            json!({"content": "x", "type": "y".repeat(33)}),
            "string_too_long",
            json!(["body", "type"]),
        ),
        (
            json!({"content": "x", "media_urls": "a"}),
            "list_type",
            json!(["body", "media_urls"]),
        ),
        (
            json!({"content": "x", "media_urls": ["a", 5]}),
            "string_type",
            json!(["body", "media_urls", 1]),
        ),
        (
            json!({"content": "x", "media_urls": [long]}),
            "string_too_long",
            json!(["body", "media_urls", 0]),
        ),
        (
            json!({"content": "x", "media_urls": vec!["a"; 11]}),
            "too_long",
            json!(["body", "media_urls"]),
        ),
        (
            json!({"content": "x", "reply_to_id": [5]}),
            "string_type",
            json!(["body", "reply_to_id"]),
        ),
        (
            json!({"content": "x", "reply_to_id": "y".repeat(65)}),
            "string_too_long",
            json!(["body", "reply_to_id"]),
        ),
        (json!([]), "model_attributes_type", json!(["body"])),
    ];
    for (body, kind, loc) in cases {
        let entry = json!({"type": kind, "loc": loc, "msg": "<filled>", "input": "<any>", "...": ["ctx"]});
        desk.check("POST", &messages, Some(body), 422, &json!({"detail": [entry]}));
    }
    let nothing = desk.call("POST", &messages).send();
    check_shape(
        &nothing,
        422,
        &json!({"detail": [invalid("missing", &json!(["body"]), "Field required", &json!(null))]}),
    );
    let broken = desk.call("POST", &messages).body("{\"content\":").send();
    assert_eq!(
        (broken.status, &broken.json()["detail"][0]["type"]),
        (422, &json!("json_invalid"))
    );
    desk.check("GET", &messages, None, 200, &json!([]));
}

#[test]
fn a_chat_needs_a_title() {
    let desk = Desk::new();
    let missing = invalid("missing", &json!(["body", "title"]), "Field required", &json!({}));
    desk.check("POST", "/chats/", Some(json!({})), 422, &json!({"detail": [missing]}));
    let no_text = invalid(
        "string_type",
        &json!(["body", "title"]),
        "Input should be a valid string",
        &json!(null),
    );
    desk.check(
        "POST",
        "/chats/",
        Some(json!({"title": null})),
        422,
        &json!({"detail": [no_text]}),
    );
    let long = json!({"title": "x".repeat(201)});
    assert_eq!(desk.call("POST", "/chats/").json(&long).send().status, 422);
    // Without the slash it is the other family's route, which needs none and answers 201.
    assert_eq!(desk.call("POST", "/chats").json(&json!({})).send().status, 201);
    assert_eq!(desk.listed_titles(), [json!(null)]);
    assert!(desk.call("GET", "/chats").send().json()["chats"].is_array());
}

#[test]
fn chats_are_listed_pinned_first_then_by_activity() {
    let desk = Desk::new();
    let [one, two, _three] = ["one", "two", "three"].map(|title| desk.chat(title));
    assert_eq!(desk.listed_titles(), ["three", "two", "one"]);
    let hello = json!({"content": "hello"});
    assert_eq!(
        desk.call("POST", &format!("{one}/messages/"))
            .json(&hello)
            .send()
            .status,
        200
    );
    assert_eq!(desk.listed_titles(), ["one", "three", "two"]);
    let pinned = desk.call("PATCH", &two).json(&json!({"is_pinned": true})).send();
    assert_eq!(pinned.json()["is_pinned"], json!(true));
    assert_eq!(
        desk.call("POST", &format!("{one}/messages/"))
            .json(&hello)
            .send()
            .status,
        200
    );
    assert_eq!(desk.listed_titles(), ["two", "one", "three"]);
    assert_eq!(desk.call("DELETE", &two).send().status, 204);
    assert_eq!(desk.listed_titles(), ["one", "three"]);
}

#[test]
fn messages_are_paged() {
    let desk = Desk::new();
    let messages = format!("{}/messages/", desk.chat("long"));
    for number in 0..3 {
        let body = json!({"content": number.to_string()});
        assert_eq!(desk.call("POST", &messages).json(&body).send().status, 200);
    }
    let contents = |target: String| -> Vec<String> {
        let page = desk.call("GET", &target).send().json();
        let page = page.as_array().expect("a list");
        page.iter()
            .map(|row| row["content"].as_str().expect("text").to_string())
            .collect()
    };
    assert_eq!(contents(format!("{messages}?limit=3")), ["Echo: 1", "2", "Echo: 2"]);
    let all = desk.call("GET", &messages).send().json();
    let before = all[3]["id"].as_str().expect("an id");
    assert_eq!(
        contents(format!("{messages}?limit=2&before={before}")),
        ["Echo: 0", "1"]
    );
    for (query, kind) in [("limit=0", "greater_than_equal"), ("limit=501", "less_than_equal")] {
        let reply = desk.call("GET", &format!("{messages}?{query}")).send();
        assert_eq!((reply.status, &reply.json()["detail"][0]["type"]), (422, &json!(kind)));
    }
}

#[test]
fn reading_is_marked_under_either_id() {
    let desk = Desk::new();
    let path = desk.chat("read");
    let messages = format!("{path}/messages/");
    desk.call("POST", &messages).json(&json!({"content": "hello"})).send();
    let listed = desk.call("GET", &messages).send().json();
    let mut shape = message_shape("ai", "Echo: hello");
    shape["status"] = json!("read");
    let uuid = listed[1]["id"].as_str().expect("an id");
    let read = desk.check("PUT", &format!("/messages/{uuid}/read"), None, 200, &shape);
    assert_eq!(read["id"], listed[1]["id"]);
    // Once more, and with a slash, which is the same route.
    desk.check("PUT", &format!("/messages/{uuid}/read/"), None, 200, &shape);
    let number = desk.call("GET", &format!("{path}/messages")).send().json()[0]["id"].to_string();
    let mut shape = message_shape("user", "hello");
    shape["status"] = json!("read");
    desk.check("PUT", &format!("/messages/{number}/read"), None, 200, &shape);
    let listed = desk.call("GET", &messages).send().json();
    assert_eq!(
        (&listed[0]["status"], &listed[1]["status"]),
        (&json!("read"), &json!("read"))
    );
    let reply = desk.call("POST", &format!("/messages/{uuid}/read")).send();
    assert_eq!((reply.status, reply.header("Allow")), (405, Some("PUT")));
}

#[test]
fn what_is_not_there_and_what_is_not_yours_are_the_same() {
    let desk = Desk::new();
    let path = desk.chat("mine");
    let messages = format!("{path}/messages/");
    desk.call("POST", &messages).json(&json!({"content": "secret"})).send();
    let message = desk.call("GET", &messages).send().json()[0]["id"].clone();
    let message = message.as_str().expect("an id");
    let bob = desk.server.account("bob").token;
    let no_chat = json!({"detail": "Chat not found"});
    let no_message = json!({"detail": "Message not found"});
    let nowhere = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let chats = [messages.clone(), "/chats/1/messages/".into()];
    let unknown = [nowhere, "nope", "99", "1.5"].map(|id| format!("/chats/{id}/messages/"));
    for target in chats.iter().chain(&unknown) {
        check_shape(&desk.server.get(target).bearer(&bob).send(), 404, &no_chat);
        let body = json!({"content": "into yours"});
        check_shape(&desk.server.post(target).bearer(&bob).json(&body).send(), 404, &no_chat);
    }
    for id in [message, "1", nowhere, "nope"] {
        let target = format!("/messages/{id}/read");
        check_shape(&desk.server.call("PUT", &target).bearer(&bob).send(), 404, &no_message);
    }
    let listed = desk.check("GET", &messages, None, 200, &json!(["<any>", "<any>"]));
    assert_eq!(
        (&listed[0]["content"], &listed[0]["status"]),
        (&json!("secret"), &json!("sent"))
    );
    assert_eq!(desk.call("DELETE", &path).send().status, 204);
    desk.check("GET", &messages, None, 404, &no_chat);
    desk.check("PUT", &format!("/messages/{message}/read"), None, 404, &no_message);
}

#[test]
fn every_route_asks_for_a_token() {
    let desk = Desk::new();
    let expired = forge("another secret", &json!({"sub": "x", "exp": 1_000_000_000}));
    for (method, target) in [
        ("GET", "/chats/"),
        ("POST", "/chats/"),
        ("GET", "/chats/1/messages/"),
        ("POST", "/chats/1/messages/"),
        ("PUT", "/messages/1/read"),
    ] {
        let reply = desk.server.call(method, target).send();
        check_shape(&reply, 401, &json!({"detail": "Not authenticated"}));
        assert_eq!(reply.header("WWW-Authenticate"), Some("Bearer"));
        let reply = desk.server.call(method, target).bearer(&expired).send();
        check_shape(&reply, 401, &json!({"detail": "Could not validate credentials"}));
    }
}

#[test]
fn a_failing_model_is_said_and_the_question_kept() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-e500", &[]);
    let messages = format!("{}/messages/", desk.chat("failing"));
    let reply = desk.call("POST", &messages).json(&json!({"content": "hello?"})).send();
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(
        reply.detail().starts_with("Failed to get AI response: "),
        "{}",
        reply.text()
    );
    desk.check("GET", &messages, None, 200, &json!([message_shape("user", "hello?")]));
}

#[test]
fn the_reply_is_stored_before_the_message_is_returned() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-ttft200-n3", &[]);
    let messages = format!("{}/messages/", desk.chat("slow"));
    let sent = desk.check(
        "POST",
        &messages,
        Some(json!({"content": "hello?"})),
        200,
        &message_shape("user", "hello?"),
    );
    let listed = desk.call("GET", &messages).send().json();
    assert_eq!(listed[0], sent);
    assert_eq!(
        (&listed[1]["sender"], &listed[1]["content"], &listed[1]["state"]),
        (&json!("ai"), &json!("w0 w1 w2 "), &json!("complete"))
    );
}

#[test]
fn messages_are_limited_per_user() {
    let desk = Desk::at(Launch::new().args(&["--messages-per-minute", "2"]).start());
    let messages = format!("{}/messages/", desk.chat("limited"));
    let send = || desk.call("POST", &messages).json(&json!({"content": "hi"})).send();
    assert_eq!((send().status, send().status), (200, 200));
    let reply = send();
    check_shape(&reply, 429, &json!({"detail": "<filled>"}));
    assert!(reply.header("Retry-After").is_some());
    desk.check(
        "GET",
        &messages,
        None,
        200,
        &json!(["<any>", "<any>", "<any>", "<any>"]),
    );
}

/// The other surface's ids are understood, and never emitted.
#[test]
fn a_message_may_answer_another_by_either_id() {
    let desk = Desk::new();
    let chat = desk.chat("T");
    let messages = format!("{chat}/messages/");
    let send = |reply_to: Value| {
        let body = json!({"content": "x", "reply_to_id": reply_to});
        desk.call("POST", &messages).json(&body).send().json()
    };
    let first = send(Value::Null);
    let uuid = first["id"].as_str().expect("a UUID");
    for id in [json!(1), json!("1"), json!(uuid), json!(uuid.to_uppercase())] {
        assert_eq!(send(id.clone())["reply_to_id"], json!(uuid), "{id}");
    }
    assert_eq!(send(json!("4711"))["reply_to_id"], json!("4711"));
}
