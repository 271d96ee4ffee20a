//! What a conversation chooses for itself (the model, the prompt, how it is asked), and what clients keep for their user.

use serde_json::{Value, json};

use crate::rig::{Desk, Server, Upstream, check_shape, invalid};

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_string()
}

/// A chat and the two paths it can be changed at.
fn chat(desk: &Desk) -> (Value, [String; 2]) {
    let chat = desk.server.chat(&desk.token, "settings");
    let paths = [
        format!("/chats/{}", text(&chat["id"])),
        format!("/conversations/{}", chat["conversation_id"]),
    ];
    (chat, paths)
}

const NAMES: [&str; 6] = ["model", "system_prompt", "temperature", "max_tokens", "library", "tags"];

#[test]
fn a_conversation_shows_what_it_has_chosen() {
    let desk = Desk::new();
    let (chat, paths) = chat(&desk);
    assert!(NAMES.iter().all(|name| chat.get(name).is_none()), "{chat}");
    for path in &paths {
        let chosen = json!({
            "model": "echo", "system_prompt": "In verse", "temperature": 0.5, "max_tokens": 100, "library": true,
            "tags": ["boats", "Work"],
        });
        let patched = desk.call("PATCH", path).json(&chosen).send();
        assert_eq!(patched.status, 200, "{}", patched.text());
        let read = desk.call("GET", &paths[0]).send().json();
        for name in NAMES {
            assert_eq!(
                (&patched.json()[name], &read[name]),
                (&chosen[name], &chosen[name]),
                "{name}"
            );
        }
        // Lists show it too, but for what may be long.
        let lists = ["/chats", "/chats/", "/conversations/"].map(|list| desk.call("GET", list).send().json());
        for listed in [&lists[0]["chats"][0], &lists[1][0], &lists[2][0]] {
            assert_eq!((&listed["model"], &listed["tags"]), (&chosen["model"], &chosen["tags"]));
            assert!(listed.get("system_prompt").is_none(), "{listed}");
        }
        // What is not named stays, what is null goes.
        let one = desk
            .call("PATCH", path)
            .json(&json!({"temperature": null, "title": null}))
            .send();
        assert!(one.json().get("temperature").is_none(), "{}", one.text());
        assert_eq!(
            (&one.json()["max_tokens"], &one.json()["title"]),
            (&json!(100), &json!("settings"))
        );
        let none = json!({"model": null, "system_prompt": null, "max_tokens": null, "library": null, "tags": null});
        let none = desk.call("PATCH", path).json(&none).send().json();
        assert!(NAMES.iter().all(|name| none.get(name).is_none()), "{none}");
    }
}

#[test]
fn what_cannot_be_chosen_is_refused_whole() {
    let desk = Desk::new();
    let (_, paths) = chat(&desk);
    let many: Vec<String> = (0..21).map(|tag| format!("tag {tag}")).collect();
    for (field, value, rule, at) in [
        (
            "temperature",
            json!(-0.1),
            "greater_than_equal",
            json!(["body", "temperature"]),
        ),
        (
            "temperature",
            json!(2.01),
            "less_than_equal",
            json!(["body", "temperature"]),
        ),
        (
            "temperature",
            json!("warm"),
            "float_parsing",
            json!(["body", "temperature"]),
        ),
        (
            "max_tokens",
            json!(0),
            "greater_than_equal",
            json!(["body", "max_tokens"]),
        ),
        (
            "max_tokens",
            json!(1_000_001),
            "less_than_equal",
            json!(["body", "max_tokens"]),
        ),
        (
            "max_tokens",
            json!(1.5),
            "int_from_float",
            json!(["body", "max_tokens"]),
        ),
        ("model", json!("nobody/serves-this"), "enum", json!(["body", "model"])),
        ("model", json!(5), "string_type", json!(["body", "model"])),
        ("library", json!("perhaps"), "bool_parsing", json!(["body", "library"])),
        ("tags", json!("one"), "list_type", json!(["body", "tags"])),
        ("tags", json!(many), "too_long", json!(["body", "tags"])),
        (
            "tags",
            json!(["good", " "]),
            "string_too_short",
            json!(["body", "tags", 1]),
        ),
        (
            "tags",
            json!(["x".repeat(51)]),
            "string_too_long",
            json!(["body", "tags", 0]),
        ),
        ("tags", json!(["two\nlines"]), "value_error", json!(["body", "tags", 0])),
    ] {
        for path in &paths {
            let reply = desk
                .call("PATCH", path)
                .json(&json!({field: value, "title": "changed"}))
                .send();
            let detail = &reply.json()["detail"][0];
            assert_eq!(
                (reply.status, &detail["type"], &detail["loc"]),
                (422, &json!(rule), &at),
                "{}",
                reply.text()
            );
        }
    }
    let message = "Input should be 'fast', 'balanced' or 'smart'";
    let entry = invalid("enum", &json!(["body", "model"]), message, &json!("nobody/x"));
    let body = json!({"model": "nobody/x"});
    desk.check("PATCH", &paths[0], Some(body), 422, &json!({ "detail": [entry] }));
    let untouched = desk.call("GET", &paths[0]).send().json();
    assert_eq!(untouched["title"], json!("settings"));
    assert!(NAMES.iter().all(|name| untouched.get(name).is_none()), "{untouched}");
    for edge in [
        json!({"temperature": 0, "max_tokens": 1}),
        json!({"temperature": 2, "max_tokens": 1_000_000}),
    ] {
        assert_eq!(desk.call("PATCH", &paths[0]).json(&edge).send().status, 200);
    }
}

#[test]
fn replies_are_made_with_what_the_conversation_has_chosen() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    let (chat, paths) = chat(&desk);
    let me = json!({"system_prompt": "In verse"});
    assert_eq!(desk.call("PATCH", "/users/me").json(&me).send().status, 200);
    let last = || upstream.completions().pop().expect("a request");
    // As the user and the server have it.
    let send = |body: &Value| {
        let mut body = body.clone();
        body["message"] = json!("hi");
        body["chat_id"] = chat["id"].clone();
        let reply = desk.call("POST", "/chat").json(&body).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    send(&json!({}));
    let plain = last();
    assert_eq!(plain.body["model"], json!("fake"));
    assert!(
        plain.body.get("temperature").is_none_or(Value::is_null),
        "{}",
        plain.body
    );
    assert_eq!(plain.messages()[0], ("system".into(), "In verse".into()));
    // As the conversation has it.
    let chosen = json!({"model": "fake-vision", "system_prompt": "In prose", "temperature": 0.25, "max_tokens": 77});
    assert_eq!(desk.call("PATCH", &paths[0]).json(&chosen).send().status, 200);
    let by_form = [
        ("text", "hi"),
        ("conversation_id", &chat["conversation_id"].to_string()),
    ];
    let sends: [&dyn Fn() -> u16; 4] = [
        &|| {
            send(&json!({}));
            200
        },
        &|| desk.call("POST", "/chat/").form(&by_form).send().status,
        &|| {
            let body = json!({"content": "hi"});
            desk.call("POST", &format!("{}/messages/", paths[0]))
                .json(&body)
                .send()
                .status
        },
        &|| {
            let body = json!({"message": "hi", "conversation_id": chat["conversation_id"]});
            let id = desk.call("GET", "/users/me").send().json()["id"].clone();
            desk.call("POST", &format!("/api/{}/chat", text(&id)))
                .json(&body)
                .send()
                .status
        },
    ];
    for (family, send) in sends.iter().enumerate() {
        let before = upstream.completions().len();
        assert_eq!(
            (send(), upstream.completions().len()),
            (200, before + 1),
            "family {family}"
        );
        let request = last();
        let body = &request.body;
        assert_eq!(
            (&body["model"], &body["temperature"]),
            (&json!("fake-vision"), &json!(0.25)),
            "family {family}"
        );
        let most = [&body["max_tokens"], &body["max_completion_tokens"]];
        assert!(most.contains(&&json!(77)), "family {family}: {body}");
        assert_eq!(request.messages()[0], ("system".into(), "In prose".into()));
    }
    // A message that names a model is answered by that one, and only that message.
    send(&json!({"model": "fake-counts"}));
    assert_eq!(last().body["model"], json!("fake-counts"));
    send(&json!({}));
    assert_eq!(last().body["model"], json!("fake-vision"));
    // No prompt at all is a choice too.
    assert_eq!(
        desk.call("PATCH", &paths[0])
            .json(&json!({"system_prompt": ""}))
            .send()
            .status,
        200
    );
    send(&json!({}));
    assert_eq!(last().messages()[0].0, "user");
    // Another conversation knows nothing of it.
    assert_eq!(
        desk.call("POST", "/chat")
            .json(&json!({"message": "alone"}))
            .send()
            .status,
        200
    );
    assert_eq!(last().body["model"], json!("fake"));
}

#[test]
fn a_chosen_model_that_is_gone_is_not_replaced() {
    let upstream = Upstream::start();
    let mut desk = Desk::with_upstream(&upstream, "echo", &[]);
    let (chat, paths) = chat(&desk);
    let chosen = json!({"model": "openai/fake"});
    assert_eq!(desk.call("PATCH", &paths[0]).json(&chosen).send().status, 200);
    let launch = desk.server.launch().clone();
    desk.server.stop();
    desk.server = launch.env("OPENAI_BASE_URL", "").env("OPENAI_API_KEY", "").start();
    let body = json!({"message": "hi", "chat_id": chat["id"]});
    let reply = desk.call("POST", "/chat").json(&body).send();
    assert_eq!(
        (reply.status, &reply.json()["detail"][0]["input"]),
        (422, &json!("openai/fake"))
    );
    let body = json!({"message": "hi", "chat_id": chat["id"], "model": "echo"});
    assert_eq!(
        desk.call("POST", "/chat").json(&body).send().json()["reply"],
        json!("Echo: hi")
    );
}

#[test]
fn clients_keep_an_object_for_their_user() {
    let mut desk = Desk::new();
    desk.check("GET", "/settings", None, 200, &json!({}));
    let settings = json!({"theme": "dark", "data": {"deep": [1, null, 2.5, "ü"]}, "": false});
    desk.check("PUT", "/settings", Some(settings.clone()), 200, &settings);
    desk.check("GET", "/settings", None, 200, &settings);
    desk.server.restart();
    desk.check("GET", "/settings", None, 200, &settings);
    // It is replaced, not added to.
    desk.check("PUT", "/settings", Some(json!({"a": 1})), 200, &json!({"a": 1}));
    let eve = desk.server.account("eve");
    check_shape(&desk.server.get("/settings").bearer(&eve.token).send(), 200, &json!({}));
    for wrong in [json!([]), json!("x"), json!(null), json!(1)] {
        assert_eq!(desk.call("PUT", "/settings").json(&wrong).send().status, 422, "{wrong}");
    }
    let around = json!({"k": ""}).to_string().len();
    for (length, status) in [(64 * 1024 - around, 200), (64 * 1024 - around + 1, 413)] {
        let body = json!({"k": "x".repeat(length)});
        assert_eq!(desk.call("PUT", "/settings").json(&body).send().status, status);
    }
    let kept = desk.call("GET", "/settings").send().json();
    assert_eq!(kept["k"].as_str().map(str::len), Some(64 * 1024 - around));
}

#[test]
fn sessions_are_listed_and_ended() {
    let server = Server::start();
    let (ann, eve) = (server.account("ann"), server.account("eve"));
    let login = json!({"email": ann.email, "password": ann.password});
    let reply = server
        .post("/auth/login")
        .header("User-Agent", "A phone/1.0")
        .json(&login)
        .send();
    let phone = text(&reply.json()["access_token"]);
    let session = |agent: &Value, current: bool| json!({"id": "<filled>", "user_agent": agent, "created_at": "<time>", "expires_at": "<time>", "is_current": current});
    let list = server.get("/sessions").bearer(&ann.token).send();
    // The newest first; the one that asks is marked.
    check_shape(
        &list,
        200,
        &json!([session(&json!("A phone/1.0"), false), session(&json!(null), true)]),
    );
    let list = server.get("/sessions").bearer(&phone).send().json();
    assert_eq!(
        (&list[0]["is_current"], &list[1]["is_current"]),
        (&json!(true), &json!(false))
    );
    assert!(text(&list[0]["expires_at"]) > text(&list[0]["created_at"]), "{list}");
    let path = format!("/sessions/{}", text(&list[0]["id"]));
    let not_found = json!({"detail": "Session not found"});
    check_shape(&server.delete(&path).bearer(&eve.token).send(), 404, &not_found);
    let ended = server.delete(&path).bearer(&ann.token).send();
    assert_eq!((ended.status, ended.body.len()), (204, 0));
    check_shape(&server.delete(&path).bearer(&ann.token).send(), 404, &not_found);
    assert_eq!(server.get("/users/me").bearer(&phone).send().status, 401);
    let list = server.get("/sessions").bearer(&ann.token).send();
    check_shape(&list, 200, &json!([session(&json!(null), true)]));
    assert_eq!(
        server
            .get("/sessions")
            .bearer(&eve.token)
            .send()
            .json()
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}
