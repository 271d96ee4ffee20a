//! The Todo assistant family: `POST /api/{user_id}/chat`, with tokens of another system.

use serde_json::{Value, json};

use crate::rig::{Launch, Server, Upstream, check_shape, forge, invalid, percent};

const SECRET: &str = "the secret of the todo application, 32 bytes and more";

fn server() -> Server {
    Launch::new().env("BETTER_AUTH_SECRET", SECRET).start()
}

fn token(identity: &str) -> String {
    forge(SECRET, &json!({"user_id": identity}))
}

/// Posts `body` to the path of `path_id` with the token of `identity`, and checks status and shape.
#[track_caller]
fn check(server: &Server, (identity, path_id): (&str, &str), body: &Value, status: u16, shape: &Value) -> Value {
    let reply = server
        .post(&format!("/api/{}/chat", percent(path_id)))
        .bearer(&token(identity))
        .json(body)
        .send();
    check_shape(&reply, status, shape);
    reply.json()
}

fn answer(conversation: &Value, message: &str) -> Value {
    json!({"conversation_id": conversation, "response": format!("Echo: {message}"), "tool_calls": []})
}

fn detail(sentence: &str) -> Value {
    json!({"detail": sentence})
}

const USER: (&str, &str) = ("user123", "user123");

#[test]
fn a_conversation_begins_and_goes_on() {
    let mut server = server();
    check(
        &server,
        USER,
        &json!({"message": "Hello, how are you?"}),
        200,
        &answer(&json!(1), "Hello, how are you?"),
    );
    check(
        &server,
        USER,
        &json!({"message": "Tell me more about yourself", "conversation_id": 1}),
        200,
        &answer(&json!(1), "Tell me more about yourself"),
    );
    check(
        &server,
        USER,
        &json!({"message": "another", "conversation_id": null}),
        200,
        &answer(&json!(2), "another"),
    );
    // Nothing is kept in memory between requests.
    server.kill();
    server.restart();
    check(
        &server,
        USER,
        &json!({"message": "still there?", "conversation_id": 1}),
        200,
        &answer(&json!(1), "still there?"),
    );
    assert_eq!(server.messages(&token("user123"), "1").len(), 6);
    check(
        &server,
        USER,
        &json!({"message": "new"}),
        200,
        &answer(&json!(3), "new"),
    );
}

#[test]
fn the_rows_are_where_the_application_looks_for_them() {
    let server = server();
    check(
        &server,
        USER,
        &json!({"message": "Hello, how are you?"}),
        200,
        &answer(&json!(1), "Hello, how are you?"),
    );
    check(
        &server,
        USER,
        &json!({"message": "more", "conversation_id": 1}),
        200,
        &answer(&json!(1), "more"),
    );
    let database = rusqlite::Connection::open(server.launch().database()).expect("the database");
    let mut query = database
        .prepare("SELECT * FROM messages WHERE conversation_id = 1 ORDER BY created_at DESC LIMIT 5")
        .expect("the query");
    let names: Vec<String> = query.column_names().map(ToString::to_string).collect();
    for name in ["id", "conversation_id", "user_id", "role", "content", "created_at"] {
        assert!(names.iter().any(|column| column == name), "no column {name}: {names:?}");
    }
    let rows: Vec<(String, String)> = query
        .query_map([], |row| Ok((row.get("role")?, row.get("content")?)))
        .expect("rows")
        .map(|row| row.expect("a row"))
        .collect();
    let expected = [
        ("assistant", "Echo: more"),
        ("user", "more"),
        ("assistant", "Echo: Hello, how are you?"),
        ("user", "Hello, how are you?"),
    ];
    assert_eq!(
        rows,
        expected.map(|(role, content)| (role.to_string(), content.to_string()))
    );
    let title: String = database
        .query_row("SELECT title FROM conversations WHERE id = 1", [], |row| row.get(0))
        .expect("a conversation");
    assert_eq!(title, "Hello, how are you?");
    database
        .query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0))
        .expect("users");
    // Another program that reads does not keep the server from writing.
    check(
        &server,
        USER,
        &json!({"message": "and on", "conversation_id": 1}),
        200,
        &answer(&json!(1), "and on"),
    );
}

#[test]
fn a_title_is_the_first_fifty_characters() {
    let server = server();
    let cases = [
        ("short".to_string(), "short".to_string()),
        ("x".repeat(50), "x".repeat(50)),
        ("x".repeat(51), "x".repeat(50) + "..."),
        ("☃".repeat(60), "☃".repeat(50) + "..."),
    ];
    for (message, title) in cases {
        let id = check(
            &server,
            USER,
            &json!({"message": message}),
            200,
            &answer(&json!("<int>"), &message),
        )["conversation_id"]
            .clone();
        let chat = server
            .get(&format!("/chats/{id}"))
            .bearer(&token("user123"))
            .send()
            .json();
        assert_eq!(chat["title"], json!(title));
    }
}

#[test]
fn an_id_may_be_a_number_in_any_spelling() {
    let server = server();
    check(
        &server,
        USER,
        &json!({"message": "first"}),
        200,
        &answer(&json!(1), "first"),
    );
    for id in [json!(1), json!("1"), json!(1.0)] {
        check(
            &server,
            USER,
            &json!({"message": "x", "conversation_id": id}),
            200,
            &answer(&json!(1), "x"),
        );
    }
}

#[test]
fn an_id_that_is_no_number_or_nobodys() {
    let server = server();
    let loc = json!(["body", "conversation_id"]);
    let not_a_number = "Input should be a valid integer, unable to parse string as an integer";
    for id in ["0f8fad5b-d9cb-469f-a165", "one", ""] {
        let entry = invalid("int_parsing", &loc, not_a_number, &json!(id));
        check(
            &server,
            USER,
            &json!({"message": "x", "conversation_id": id}),
            422,
            &json!({"detail": [entry]}),
        );
    }
    let entry = json!({"type": "int_from_float", "loc": loc, "msg": "<filled>", "input": 1.5});
    check(
        &server,
        USER,
        &json!({"message": "x", "conversation_id": 1.5}),
        422,
        &json!({"detail": [entry]}),
    );
    for id in [json!([]), json!({"id": 1})] {
        let reply = server
            .post("/api/user123/chat")
            .bearer(&token("user123"))
            .json(&json!({"message": "x", "conversation_id": id}))
            .send();
        assert_eq!(
            (reply.status, reply.json()["detail"][0]["loc"].clone()),
            (422, loc.clone()),
            "{id}"
        );
    }
    for id in [json!(0), json!(-1), json!(999), json!("999"), json!(i64::MAX)] {
        check(
            &server,
            USER,
            &json!({"message": "x", "conversation_id": id}),
            404,
            &detail("Conversation not found"),
        );
    }
    for id in [json!(u64::MAX), json!(1e300), json!("99999999999999999999999999")] {
        let reply = server
            .post("/api/user123/chat")
            .bearer(&token("user123"))
            .json(&json!({"message": "x", "conversation_id": id}))
            .send();
        assert!([404, 422].contains(&reply.status), "{id}: {}", reply.text());
    }
}

/// A server, and a conversation of `user123` and one of `other` on it.
fn two_conversations() -> (Server, Value, Value) {
    let server = server();
    let begin = |identity: &str| {
        let shape = answer(&json!("<int>"), "hi");
        let reply = check(&server, (identity, identity), &json!({"message": "hi"}), 200, &shape);
        reply["conversation_id"].clone()
    };
    let (mine, theirs) = (begin("user123"), begin("other"));
    (server, mine, theirs)
}

/// Each body is wrong in every way that comes later in the order than the one that is answered.
#[test]
fn checks_come_in_order() {
    let (server, mine, theirs) = two_conversations();
    let path = "/api/somebody-else/chat";
    let reply = server.post(path).body("{nope").send();
    assert_eq!(
        (reply.status, reply.json()["detail"][0]["type"].clone()),
        (422, json!("json_invalid"))
    );
    let reply = server
        .post(path)
        .json(&json!({"message": 5, "conversation_id": "x"}))
        .send();
    check_shape(&reply, 401, &detail("Not authenticated"));
    let reply = server.post(path).bearer("a.b.c").json(&json!({})).send();
    check_shape(&reply, 401, &detail("Could not validate credentials"));
    let mismatch = ("user123", "other");
    let entry = invalid(
        "missing",
        &json!(["body", "message"]),
        "Field required",
        &json!({"conversation_id": theirs}),
    );
    check(
        &server,
        mismatch,
        &json!({"conversation_id": theirs}),
        422,
        &json!({"detail": [entry]}),
    );
    let denied = detail("Access denied. User ID mismatch.");
    check(
        &server,
        mismatch,
        &json!({"message": " ", "conversation_id": 999}),
        403,
        &denied,
    );
    check(
        &server,
        mismatch,
        &json!({"message": "x", "conversation_id": mine}),
        403,
        &denied,
    );
}

#[test]
fn a_blank_message_is_told_before_its_conversation() {
    let (server, mine, theirs) = two_conversations();
    let empty = detail("Message cannot be empty");
    for blank in ["", " ", "\n\t\r ", "\u{a0}\u{3000}\u{2003}"] {
        check(
            &server,
            USER,
            &json!({"message": blank, "conversation_id": 999}),
            400,
            &empty,
        );
        check(
            &server,
            USER,
            &json!({"message": blank, "conversation_id": theirs}),
            400,
            &empty,
        );
    }
    check(
        &server,
        USER,
        &json!({"message": "x", "conversation_id": 999}),
        404,
        &detail("Conversation not found"),
    );
    let foreign = detail("Access denied. Conversation does not belong to user.");
    check(
        &server,
        USER,
        &json!({"message": "x", "conversation_id": theirs}),
        403,
        &foreign,
    );
    check(
        &server,
        ("other", "other"),
        &json!({"message": "x", "conversation_id": mine}),
        403,
        &foreign,
    );
}

#[test]
fn refused_messages_are_not_stored() {
    let (server, mine, theirs) = two_conversations();
    // Nothing of this was stored.
    for identity in ["user123", "other"] {
        assert_eq!(
            server.get("/chats").bearer(&token(identity)).send().json()["total"],
            json!(1)
        );
    }
    assert_eq!(server.messages(&token("other"), &theirs.to_string()).len(), 2);
    // A deleted conversation does not exist.
    assert_eq!(
        server
            .delete(&format!("/chats/{mine}"))
            .bearer(&token("user123"))
            .send()
            .status,
        204
    );
    check(
        &server,
        USER,
        &json!({"message": "x", "conversation_id": mine}),
        404,
        &detail("Conversation not found"),
    );
}

#[test]
fn what_a_body_must_hold() {
    let server = server();
    let loc = json!(["body", "message"]);
    for value in [json!(null), json!(5), json!([]), json!({}), json!(false)] {
        let entry = invalid("string_type", &loc, "Input should be a valid string", &value);
        check(
            &server,
            USER,
            &json!({"message": value}),
            422,
            &json!({"detail": [entry]}),
        );
    }
    check(
        &server,
        USER,
        &json!({}),
        422,
        &json!({"detail": [invalid("missing", &loc, "Field required", &json!({}))]}),
    );
    let both = [
        invalid("missing", &loc, "Field required", &json!({"conversation_id": "x"})),
        invalid(
            "int_parsing",
            &json!(["body", "conversation_id"]),
            "Input should be a valid integer, unable to parse string as an integer",
            &json!("x"),
        ),
    ];
    check(
        &server,
        USER,
        &json!({"conversation_id": "x"}),
        422,
        &json!({"detail": both}),
    );
    check(
        &server,
        USER,
        &json!({"message": " kept as it is ", "tools": ["x"], "user_id": "other"}),
        200,
        &answer(&json!(1), " kept as it is "),
    );
}

#[test]
fn both_slash_forms_and_only_post() {
    let server = server();
    for path in ["/api/user123/chat", "/api/user123/chat/"] {
        let reply = server
            .post(path)
            .bearer(&token("user123"))
            .json(&json!({"message": "x"}))
            .send();
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        for method in ["GET", "PUT", "DELETE", "PATCH"] {
            let reply = server.call(method, path).bearer(&token("user123")).send();
            check_shape(&reply, 405, &detail("Method Not Allowed"));
            assert_eq!(reply.header("Allow").map(|allow| allow.contains("POST")), Some(true));
        }
    }
}

#[test]
fn a_local_account_uses_its_own_id() {
    let server = server();
    let (ann, bob) = (server.account("ann"), server.account("bob"));
    let say = |path_id: &str, body: Value| {
        server
            .post(&format!("/api/{path_id}/chat"))
            .bearer(&ann.token)
            .json(&body)
            .send()
    };
    check_shape(&say(&ann.id, json!({"message": "hi"})), 200, &answer(&json!(1), "hi"));
    check_shape(
        &say(&bob.id, json!({"message": "hi"})),
        403,
        &detail("Access denied. User ID mismatch."),
    );
    for other in [
        "me",
        "ann@example.com",
        &percent("ann@example.com"),
        "1",
        &ann.id.to_uppercase(),
        "user123",
    ] {
        assert_eq!(say(other, json!({"message": "hi"})).status, 403, "{other}");
    }
    // The same conversation through the other family's door.
    let list = server.get("/chats").bearer(&ann.token).send().json();
    assert_eq!(
        (&list["total"], &list["chats"][0]["conversation_id"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn a_failing_model_keeps_the_question() {
    let upstream = Upstream::start();
    let launch = Launch::new()
        .env("BETTER_AUTH_SECRET", SECRET)
        .env("OPENAI_BASE_URL", &upstream.url());
    let server = launch.args(&["--default-model", "fake-e500"]).start();
    let reply = server
        .post("/api/user123/chat")
        .bearer(&token("user123"))
        .json(&json!({"message": "hello?"}))
        .send();
    assert!(
        [502, 503, 504].contains(&reply.status),
        "{}: {}",
        reply.status,
        reply.text()
    );
    assert!(!reply.detail().is_empty());
    assert_eq!(
        server.messages(&token("user123"), "1")[0],
        ("user".to_string(), "hello?".to_string())
    );
}

#[test]
fn many_at_once_share_nothing() {
    let server = server();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let identity = format!("user{client}");
                let who = (identity.as_str(), identity.as_str());
                let id = check(
                    server,
                    who,
                    &json!({"message": "0"}),
                    200,
                    &answer(&json!("<int>"), "0"),
                )["conversation_id"]
                    .clone();
                for count in 1..10 {
                    let message = format!("{client}-{count}");
                    check(
                        server,
                        who,
                        &json!({"message": message, "conversation_id": id}),
                        200,
                        &answer(&id, &message),
                    );
                }
                assert_eq!(server.messages(&token(&identity), &id.to_string()).len(), 20);
            });
        }
    });
}
