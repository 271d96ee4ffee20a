//! `POST /chat`: what is accepted, what is stored, which model answers and with which context.

use serde_json::{Value, json};

use super::{chat_shape, text};
use crate::rig::{Desk, Launch, Server, Upstream, check_shape, invalid};

fn reply_shape(reply: &str) -> Value {
    json!({"reply": reply, "chat_id": "<uuid>"})
}

#[test]
fn a_message_without_a_chat_makes_one() {
    let desk = Desk::new();
    let long = "word ".repeat(30);
    for (message, title) in [
        ("Hello, AI!", "Hello, AI!"),
        ("ünï ☃", "ünï ☃"),
        (&"x".repeat(50), &"x".repeat(50)),
        (&"☃".repeat(51), &("☃".repeat(50) + "...")),
    ] {
        let sent = desk.check(
            "POST",
            "/chat",
            Some(json!({"message": message})),
            200,
            &reply_shape(&format!("Echo: {message}")),
        );
        desk.check(
            "GET",
            &format!("/chats/{}", text(&sent["chat_id"])),
            None,
            200,
            &chat_shape(&json!(title), 2),
        );
    }
    let sent = desk.check(
        "POST",
        "/chat",
        Some(json!({"message": long, "chat_id": null, "model": null})),
        200,
        &reply_shape(&format!("Echo: {long}")),
    );
    let chat = desk
        .call("GET", &format!("/chats/{}", text(&sent["chat_id"])))
        .send()
        .json();
    assert!(text(&chat["title"]).starts_with("word word"), "{chat}");
    assert_eq!(
        text(&chat["last_message_content"]).chars().count(),
        format!("Echo: {long}").len().min(200)
    );
}

#[test]
fn the_last_message_is_cut_to_two_hundred_characters() {
    let desk = Desk::new();
    let sent = desk.check(
        "POST",
        "/chat",
        Some(json!({"message": "☃".repeat(300)})),
        200,
        &json!({"reply": "<filled>", "chat_id": "<uuid>"}),
    );
    let chat = desk
        .call("GET", &format!("/chats/{}", text(&sent["chat_id"])))
        .send()
        .json();
    let start: String = format!("Echo: {}", "☃".repeat(300)).chars().take(197).collect();
    let shown = text(&chat["last_message_content"]);
    assert!(shown.starts_with(&start) && shown.chars().count() <= 200, "{shown}");
}

#[test]
fn a_given_title_stays() {
    let desk = Desk::new();
    let chat = desk.server.chat(&desk.token, "chosen");
    desk.say(&chat["id"], "this is not the title");
    desk.check(
        "GET",
        &format!("/chats/{}", text(&chat["id"])),
        None,
        200,
        &chat_shape(&json!("chosen"), 2),
    );
}

#[test]
fn content_comes_back_as_it_was_sent() {
    let desk = Desk::new();
    let chat = desk.server.chat(&desk.token, "odd");
    let odd = [
        " ",
        "\n\n",
        "<script>alert(1)</script>",
        "'; DROP TABLE messages; --",
        "\u{0}",
        "a\u{0}b",
        "\u{202e}right to left",
        "👩‍👩‍👧‍👦",
        "\u{feff}mark",
        "\\u0000 \\n",
        "\u{7f}\u{1b}[31m",
        "\u{ffff}",
        "%00",
        "{\"data\": 1}",
    ];
    for message in odd {
        desk.say(&chat["id"], message);
    }
    let page = desk.page(&format!("/chats/{}/messages", text(&chat["id"])));
    let expected: Vec<String> = odd
        .iter()
        .flat_map(|message| [(*message).to_string(), format!("Echo: {message}")])
        .collect();
    assert_eq!(page, expected);
}

#[test]
fn what_a_message_must_hold() {
    let desk = Desk::new();
    let check =
        |body: Value, entry: Value| drop(desk.check("POST", "/chat", Some(body), 422, &json!({"detail": [entry]})));
    check(
        json!({}),
        invalid("missing", &json!(["body", "message"]), "Field required", &json!({})),
    );
    check(
        json!({"message": ""}),
        json!({"type": "string_too_short", "loc": ["body", "message"], "msg": "String should have at least 1 character", "input": "", "ctx": {"min_length": 1}}),
    );
    for value in [json!(null), json!(5), json!(["hi"]), json!({"text": "hi"})] {
        check(
            json!({"message": value}),
            invalid(
                "string_type",
                &json!(["body", "message"]),
                "Input should be a valid string",
                &value,
            ),
        );
    }
    let no_body = json!({"detail": [invalid("missing", &json!(["body"]), "Field required", &json!(null))]});
    desk.check("POST", "/chat", None, 422, &no_body);
    desk.check("GET", "/chats", None, 200, &json!({"chats": [], "total": 0}));
}

#[test]
fn without_a_provider_the_default_names_are_answered_by_echo() {
    let desk = Desk::new();
    let chat = desk.server.chat(&desk.token, "models");
    for model in ["fast", "balanced", "smart", "gpt-4.1-nano", "echo"] {
        let body = json!({"message": "hi", "chat_id": chat["id"], "model": model});
        desk.check("POST", "/chat", Some(body), 200, &reply_shape("Echo: hi"));
    }
    let count = desk.call("GET", &format!("/chats/{}", text(&chat["id"]))).send().json()["message_count"].clone();
    for model in ["gpt-9", "FAST", "nobody/gpt-9"] {
        let reply = desk
            .call("POST", "/chat")
            .json(&json!({"message": "hi", "chat_id": chat["id"], "model": model}))
            .send();
        let entry = json!({"type": "enum", "loc": ["body", "model"], "msg": "<filled>", "input": model, "ctx": {"expected": "<filled>"}});
        check_shape(&reply, 422, &json!({"detail": [entry]}));
        let entry = &reply.json()["detail"][0];
        assert_eq!(
            text(&entry["msg"]),
            format!("Input should be {}", text(&entry["ctx"]["expected"]))
        );
    }
    assert_eq!(
        desk.call("POST", "/chat")
            .json(&json!({"message": "hi", "model": 5}))
            .send()
            .status,
        422
    );
    let after = desk.call("GET", &format!("/chats/{}", text(&chat["id"]))).send().json()["message_count"].clone();
    assert_eq!(after, count, "a refused model stored a message");
}

#[test]
fn a_provider_answers_by_alias_by_name_and_through_its_own() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    for (model, asked) in [
        (json!(null), "fake"),
        (json!("fast"), "fake"),
        (json!("gpt-4.1-nano"), "fake"),
        (json!("fake"), "fake"),
        (json!("fake-n3"), "fake-n3"),
        (json!("openai/fake-n2"), "fake-n2"),
    ] {
        let before = upstream.completions().len();
        let reply = desk
            .call("POST", "/chat")
            .json(&json!({"message": "hi", "model": model}))
            .send();
        assert_eq!(reply.status, 200, "{model}: {}", reply.text());
        let request = upstream.wait_for(before + 1).pop().expect("a request");
        assert_eq!(request.body["model"], json!(asked), "{model}");
        assert_eq!(
            request.header("Authorization"),
            Some(format!("Bearer {}", Upstream::KEY).as_str())
        );
        // Also when nobody reads along: what has come can be kept, and a slow model is told from a silent one.
        assert_eq!(request.body["stream"], json!(true));
    }
    assert_eq!(
        desk.call("POST", "/chat")
            .json(&json!({"message": "hi", "model": "echo"}))
            .send()
            .json()["reply"],
        json!("Echo: hi")
    );
    let reply = desk
        .call("POST", "/chat")
        .json(&json!({"message": "hi", "model": "gpt-9"}))
        .send();
    assert_eq!(
        (reply.status, reply.json()["detail"][0]["type"].clone()),
        (422, json!("enum")),
        "{}",
        reply.text()
    );
    assert_eq!(upstream.strays(), Vec::<String>::new());
}

#[test]
fn a_base_url_alone_is_a_provider_and_an_empty_one_is_none() {
    let upstream = Upstream::start();
    let ask = |server: &Server| {
        let token = server.account("ann").token;
        server
            .post("/chat")
            .bearer(&token)
            .json(&json!({"message": "hi", "model": "fake"}))
            .send()
    };
    let local = Launch::new()
        .env("OPENAI_BASE_URL", &format!("{}/", upstream.url()))
        .start();
    assert_eq!(ask(&local).json()["reply"], json!("fake reply to: hi"));
    let request = upstream.completions().pop().expect("a request");
    assert!(
        request
            .header("Authorization")
            .is_none_or(|value| value.trim() == "Bearer"),
        "{:?}",
        request.headers
    );
    let none = Launch::new()
        .env("OPENAI_BASE_URL", "")
        .env("OPENAI_API_KEY", "")
        .env("GROQ_API_KEY", "")
        .start();
    assert_eq!(ask(&none).status, 422);
    // A key in the environment of the server is no reason to look for a proxy in it.
    let proxied = Launch::new()
        .env("OPENAI_BASE_URL", &upstream.url())
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("http_proxy", "http://127.0.0.1:1")
        .env("ALL_PROXY", "http://127.0.0.1:1")
        .start();
    assert_eq!(ask(&proxied).status, 200);
}

#[test]
fn the_context_is_the_conversation_in_order() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    let chat = desk.server.chat(&desk.token, "context");
    let mut expected: Vec<(String, String)> = Vec::new();
    for index in 0..5 {
        let message = format!("question {index}");
        let body = json!({"message": message, "chat_id": chat["id"]});
        desk.check(
            "POST",
            "/chat",
            Some(body),
            200,
            &reply_shape(&format!("fake reply to: {message}")),
        );
        expected.push(("user".into(), message.clone()));
        assert_eq!(upstream.completions().pop().expect("a request").messages(), expected);
        expected.push(("assistant".into(), format!("fake reply to: {message}")));
    }
    // Another conversation knows nothing of it, and neither does another user.
    let eve = desk.server.account("eve").token;
    for token in [&desk.token, &eve] {
        assert_eq!(
            desk.server
                .post("/chat")
                .bearer(token)
                .json(&json!({"message": "alone"}))
                .send()
                .status,
            200
        );
        assert_eq!(
            upstream.completions().pop().expect("a request").messages(),
            [("user".to_string(), "alone".to_string())]
        );
    }
    assert_eq!(
        desk.server
            .patch("/users/me")
            .bearer(&desk.token)
            .json(&json!({"system_prompt": "Answer in verse."}))
            .send()
            .status,
        200
    );
    assert_eq!(
        desk.call("POST", "/chat")
            .json(&json!({"message": "now"}))
            .send()
            .status,
        200
    );
    let context = upstream.completions().pop().expect("a request").messages();
    assert_eq!(
        context,
        [
            ("system".to_string(), "Answer in verse.".to_string()),
            ("user".to_string(), "now".to_string())
        ]
    );
}

#[test]
fn the_context_has_a_bound() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &["--context-messages", "4"]);
    let chat = desk.server.chat(&desk.token, "context");
    let mut history: Vec<(String, String)> = Vec::new();
    for index in 0..8 {
        let message = format!("question {index}");
        assert_eq!(
            desk.call("POST", "/chat")
                .json(&json!({"message": message, "chat_id": chat["id"]}))
                .send()
                .status,
            200
        );
        history.push(("user".into(), message.clone()));
        let context = upstream.completions().pop().expect("a request").messages();
        assert!(history.ends_with(&context), "not the end of the history: {context:?}");
        assert!(
            context.len() <= 5 && context.len() >= history.len().min(3),
            "{} of {} messages",
            context.len(),
            history.len()
        );
        history.push(("assistant".into(), format!("fake reply to: {message}")));
    }
}
