//! API keys: making, listing and deleting them; that they sign in wherever a token does, and what they may not do; their
//! end, their budgets, and that everything that goes by a key ends with it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Account, Desk, Launch, Reply, Server, Socket, Upstream, check_refused, check_shape, invalid, until};

/// A second, with tenfold slack.
const SOON: Duration = Duration::from_secs(10);

const REFUSED: &str = "Could not validate credentials";

fn key_shape(name: &str) -> Value {
    json!({
        "id": "<uuid>", "name": name, "hint": "<string>", "created_at": "<time>", "expires_at": null,
        "last_used_at": null, "budget_usd_month": null, "spent_usd_month": 0.0,
    })
}

impl Desk {
    /// Makes a key; returns the whole answer.
    #[track_caller]
    fn make_key(&self, body: Value) -> Value {
        let reply = self.call("POST", "/api-keys").json(&body).send();
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()
    }

    /// A key, and its id.
    #[track_caller]
    fn key(&self, name: &str) -> (String, String) {
        let made = self.make_key(json!({ "name": name }));
        (text(&made["key"]), text(&made["id"]))
    }

    fn keys(&self) -> Vec<Value> {
        let keys = self.call("GET", "/api-keys").send().json();
        keys.as_array().expect("a list").clone()
    }

    #[track_caller]
    fn delete_key(&self, id: &str) {
        let reply = self.call("DELETE", &format!("/api-keys/{id}")).send();
        assert_eq!(reply.status, 204, "{}", reply.text());
    }

    fn sql(&self, sql: &str) {
        let database = rusqlite::Connection::open(self.server.launch().database()).expect("a database");
        database.busy_timeout(SOON).expect("a timeout");
        database.execute_batch(sql).expect("a change");
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn me(server: &Server, key: &str) -> Reply {
    server.get("/users/me").bearer(key).send()
}

#[track_caller]
fn check_dead(server: &Server, key: &str) {
    let reply = me(server, key);
    check_shape(&reply, 401, &json!({ "detail": REFUSED }));
    assert_eq!(reply.header("WWW-Authenticate"), Some("Bearer"));
    check_refused(&Socket::ask(server, &format!("/ws?token={key}")).send(), 403);
}

#[test]
fn a_key_is_shown_once() {
    let desk = Desk::new();
    let mut shape = key_shape("laptop");
    shape["key"] = json!("<string>");
    let made = desk.check("POST", "/api-keys", Some(json!({ "name": "laptop" })), 201, &shape);
    let key = text(&made["key"]);
    let secret = key.strip_prefix("fs-").unwrap_or_else(|| panic!("{key}"));
    assert!(secret.len() >= 43, "not 256 bits: {key}");
    assert!(
        key.starts_with(&text(&made["hint"])) && text(&made["hint"]).len() < 16,
        "{made}"
    );
    let other = desk.key("laptop").0;
    assert_ne!(key, other, "two keys of one name are two keys");
    let listed = desk.check(
        "GET",
        "/api-keys",
        None,
        200,
        &json!([key_shape("laptop"), key_shape("laptop")]),
    );
    assert_eq!(listed[1]["id"], made["id"], "the newest comes first");
    assert!(!listed.to_string().contains(secret));
    // Nor is it anywhere on disk.
    for file in std::fs::read_dir(desk.server.launch().data()).expect("a folder") {
        let bytes = std::fs::read(file.expect("an entry").path()).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
    desk.delete_key(&text(&made["id"]));
    assert_eq!(desk.keys().len(), 1);
    let gone = format!("/api-keys/{}", text(&made["id"]));
    desk.check("DELETE", &gone, None, 404, &json!({ "detail": "<string>" }));
    desk.check(
        "DELETE",
        "/api-keys/nonsense",
        None,
        404,
        &json!({ "detail": "<string>" }),
    );
}

#[test]
fn what_a_key_is_made_with_is_checked() {
    let desk = Desk::new();
    let refuse = |body: Value, field: &str, rule: &str| {
        let reply = desk.call("POST", "/api-keys").json(&body).send();
        assert_eq!(reply.status, 422, "{body}: {}", reply.text());
        let issue = &reply.json()["detail"][0];
        assert_eq!(
            (&issue["type"], &issue["loc"]),
            (&json!(rule), &json!(["body", field])),
            "{body}"
        );
    };
    let issue = invalid("missing", &json!(["body", "name"]), "Field required", &json!({}));
    desk.check("POST", "/api-keys", Some(json!({})), 422, &json!({ "detail": [issue] }));
    refuse(json!({ "name": "" }), "name", "string_too_short");
    refuse(json!({ "name": "x".repeat(101) }), "name", "string_too_long");
    refuse(json!({ "name": 5 }), "name", "string_type");
    for end in ["soon", "2030-01-01T00:00:00", "2030-13-01T00:00:00Z", ""] {
        refuse(
            json!({ "name": "a", "expires_at": end }),
            "expires_at",
            "datetime_parsing",
        );
    }
    refuse(
        json!({ "name": "a", "expires_at": "2020-01-01T00:00:00Z" }),
        "expires_at",
        "datetime_future",
    );
    for budget in [0.0, -1.0] {
        refuse(
            json!({ "name": "a", "budget_usd_month": budget }),
            "budget_usd_month",
            "greater_than",
        );
    }
    assert_eq!(desk.keys(), [] as [Value; 0]);
    let made = desk.make_key(json!({
        "name": "ü".repeat(100), "expires_at": "2999-12-31T23:00:00-01:00", "budget_usd_month": 2.5,
    }));
    assert_eq!(made["expires_at"], json!("3000-01-01T00:00:00.000000+00:00"));
    assert_eq!(made["budget_usd_month"], json!(2.5));
}

#[test]
fn a_user_has_a_hundred_keys_and_no_more() {
    let desk = Desk::new();
    for number in 0..100 {
        desk.key(&number.to_string());
    }
    let body = json!({ "name": "one too many" });
    desk.check(
        "POST",
        "/api-keys",
        Some(body.clone()),
        409,
        &json!({ "detail": "<string>" }),
    );
    let bob = server_account_key(&desk.server, "bob");
    assert_eq!(me(&desk.server, &bob.1).json()["id"], json!(bob.0.id));
    desk.delete_key(&text(&desk.keys()[50]["id"]));
    desk.make_key(body);
}

/// Somebody else, and a key of theirs.
fn server_account_key(server: &Server, name: &str) -> (Account, String) {
    let account = server.account(name);
    let body = json!({ "name": "theirs" });
    let made = server.post("/api-keys").bearer(&account.token).json(&body).send();
    let key = text(&made.json()["key"]);
    (account, key)
}

#[test]
fn a_key_signs_in_wherever_a_token_does() {
    let mut desk = Desk::new();
    let (key, _) = desk.key("laptop");
    let id = me(&desk.server, &desk.token).json()["id"].clone();
    assert_eq!(me(&desk.server, &key).json()["id"], id);
    let chat = desk.server.chat(&key, "by key");
    let body = json!({ "message": "hi", "chat_id": chat["id"] });
    let reply = desk.server.post("/chat").bearer(&key).json(&body).send();
    assert_eq!(reply.json()["reply"], json!("Echo: hi"));
    let path = format!("/api/{}/chat", text(&id));
    let reply = desk
        .server
        .post(&path)
        .bearer(&key)
        .json(&json!({ "message": "hi" }))
        .send();
    assert_eq!(reply.json()["response"], json!("Echo: hi"));
    Socket::open(&desk.server, &key).check_quiet();
    Socket::open_with(&desk.server, "/ws", &[("Authorization", &format!("bearer {key}"))]);
    assert_eq!(desk.server.chat(&desk.token, "mine")["user_id"], id);
    // Not as a cookie, which is the pages' own; and not but for a character.
    let cookie = format!("{}={key}", cookie_name(&desk));
    let by_cookie = desk.server.get("/users/me").header("Cookie", &cookie);
    assert_eq!(by_cookie.header("Sec-Fetch-Site", "same-origin").send().status, 401);
    for wrong in [
        &key[..key.len() - 1],
        &format!("{key}0"),
        &key.to_uppercase(),
        "fs-",
        &key[3..],
    ] {
        check_dead(&desk.server, wrong);
    }
    desk.server.restart();
    assert_eq!(me(&desk.server, &key).json()["id"], id);
}

/// What this server calls its cookie.
fn cookie_name(desk: &Desk) -> String {
    let body = json!({ "email": "cookie@example.com", "password": "x" });
    let reply = desk.server.post("/auth/register?session=1").json(&body).send();
    let cookie = reply.header("Set-Cookie").expect("a cookie").to_owned();
    cookie.split('=').next().expect("a name").to_owned()
}

#[test]
fn a_key_does_not_take_the_account() {
    let server = Server::start();
    let account = server.account("ann");
    let desk = Desk {
        token: account.token.clone(),
        server,
    };
    let (key, id) = desk.key("stolen");
    let (other, other_id) = desk.key("other");
    let session = server_session(&desk);
    let refuse = |method: &str, target: &str, body: Value| {
        let reply = desk.server.call(method, target).bearer(&key).json(&body).send();
        check_shape(&reply, 403, &json!({ "detail": "<string>" }));
    };
    refuse("POST", "/api-keys", json!({ "name": "another" }));
    refuse("POST", "/api-keys", json!({}));
    refuse("GET", "/api-keys", Value::Null);
    refuse("DELETE", &format!("/api-keys/{other_id}"), Value::Null);
    refuse("DELETE", &format!("/api-keys/{id}"), Value::Null);
    refuse("DELETE", &format!("/sessions/{session}"), Value::Null);
    refuse("POST", "/auth/logout", Value::Null);
    let password = account.password.as_str();
    refuse(
        "PATCH",
        "/users/me",
        json!({ "password": "x", "current_password": password }),
    );
    refuse(
        "PATCH",
        "/users/me",
        json!({ "email": "x@example.com", "current_password": password }),
    );
    for token in [&key, &other, &desk.token] {
        assert_eq!(me(&desk.server, token).json()["email"], json!(account.email));
    }
    assert_eq!(desk.keys().len(), 2);
    // The rest of the account is no way to take it.
    let named = desk
        .server
        .patch("/users/me")
        .bearer(&key)
        .json(&json!({ "display_name": "Ann" }))
        .send();
    assert_eq!(named.json()["display_name"], json!("Ann"));
}

/// The id of a session of the desk's own.
fn server_session(desk: &Desk) -> String {
    let sessions = desk.call("GET", "/sessions").send().json();
    text(&sessions[0]["id"])
}

#[test]
fn keys_are_their_owners() {
    let desk = Desk::new();
    let (bob, bobs) = server_account_key(&desk.server, "bob");
    assert_eq!(desk.keys(), [] as [Value; 0]);
    let listed = desk.server.get("/api-keys").bearer(&bob.token).send().json();
    let target = format!("/api-keys/{}", text(&listed[0]["id"]));
    desk.check("DELETE", &target, None, 404, &json!({ "detail": "<string>" }));
    assert_eq!(me(&desk.server, &bobs).status, 200);
}

#[test]
fn a_deleted_key_is_dead_with_all_that_goes_by_it() {
    let desk = Desk::new();
    let (key, id) = desk.key("laptop");
    let (other, _) = desk.key("phone");
    let mut socket = Socket::open(&desk.server, &key);
    let mut mine = Socket::open(&desk.server, &desk.token);
    let mut others = Socket::open(&desk.server, &other);
    desk.delete_key(&id);
    check_dead(&desk.server, &key);
    assert_eq!(socket.close_code(SOON), 1008);
    others.check_quiet();
    mine.check_quiet();
}

#[test]
fn a_key_ends_when_it_was_to_end() {
    let desk = Desk::new();
    let made = desk.make_key(json!({ "name": "a", "expires_at": "2999-01-01T00:00:00Z" }));
    let key = text(&made["key"]);
    let mut socket = Socket::open(&desk.server, &key);
    desk.sql("UPDATE api_keys SET expires_at = created_at");
    check_dead(&desk.server, &key);
    assert_eq!(socket.close_code(SOON), 1008);
    assert_eq!(desk.keys()[0]["expires_at"], made["created_at"], "it can still be seen");
}

#[test]
fn a_disabled_account_has_no_keys() {
    let desk = Desk::new();
    let (key, _) = desk.key("laptop");
    let mut socket = Socket::open(&desk.server, &key);
    desk.sql("UPDATE users SET disabled_at = created_at");
    check_dead(&desk.server, &key);
    assert_eq!(socket.close_code(SOON), 1008);
    desk.sql("UPDATE users SET disabled_at = NULL");
    assert_eq!(me(&desk.server, &key).status, 200);
}

#[test]
fn a_new_password_ends_the_keys() {
    let server = Server::start();
    let ann = server.account("ann");
    let (bob, bobs) = server_account_key(&server, "bob");
    let desk = Desk {
        token: ann.token.clone(),
        server,
    };
    let (key, _) = desk.key("laptop");
    let mut socket = Socket::open(&desk.server, &key);
    let body = json!({ "password": "the new one", "current_password": ann.password });
    assert_eq!(desk.call("PATCH", "/users/me").json(&body).send().status, 200);
    check_dead(&desk.server, &key);
    assert_eq!(socket.close_code(SOON), 1008);
    assert_eq!(desk.keys(), [] as [Value; 0]);
    assert_eq!(me(&desk.server, &bobs).json()["id"], json!(bob.id));
}

#[test]
fn when_a_key_was_used_is_remembered() {
    let desk = Desk::new();
    let (key, _) = desk.key("laptop");
    let (_, _) = desk.key("never used");
    assert_eq!(me(&desk.server, &key).status, 200);
    let used = until(SOON, "the use is stored", || {
        let keys = desk.keys();
        assert_eq!(keys[0]["last_used_at"], Value::Null);
        keys[1]["last_used_at"].as_str().map(str::to_owned)
    });
    assert!(used >= text(&desk.keys()[1]["created_at"]), "{used}");
}

/// What a budget is spent by.
const PRICES: &str = r#"{"fake": {"version": "1", "input": 100000, "cached_input": 100000, "output": 100000}}"#;

#[test]
fn a_spent_budget_stops_its_key_and_nobody_else() {
    let upstream = Upstream::start();
    let launch = Launch::new().env("OPENAI_BASE_URL", &upstream.url());
    let prices = launch.home().join("prices.json");
    std::fs::write(&prices, PRICES).expect("a file");
    let launch = launch.args(&["--default-model", "fake", "--pricing", &prices.display().to_string()]);
    let desk = Desk::at(launch.start());
    let small = desk.make_key(json!({ "name": "small", "budget_usd_month": 0.01 }));
    let (small, free) = (text(&small["key"]), desk.key("free").0);
    let chat = desk.server.chat(&desk.token, "c");
    let (id, number) = (text(&chat["id"]), &chat["conversation_id"]);
    let user = text(&chat["user_id"]);
    let say = |key: &str| {
        let body = json!({ "message": "hi", "chat_id": id });
        desk.server.post("/chat").bearer(key).json(&body).send()
    };
    assert_eq!(say(&small).status, 200, "nothing is spent yet");
    let stored = desk.server.messages(&desk.token, &id).len();
    let asked = upstream.completions().len();
    let refusals = [
        say(&small),
        desk.server
            .post(&format!("/chats/{id}/messages/"))
            .bearer(&small)
            .json(&json!({ "content": "hi" }))
            .send(),
        desk.server
            .post(&format!("/api/{user}/chat"))
            .bearer(&small)
            .json(&json!({ "message": "hi", "conversation_id": number }))
            .send(),
        desk.server
            .post("/chat/")
            .bearer(&small)
            .form(&[("text", "hi"), ("conversation_id", &number.to_string())])
            .send(),
    ];
    for reply in refusals {
        check_shape(&reply, 402, &json!({ "detail": "<string>" }));
    }
    assert_eq!(
        desk.server.messages(&desk.token, &id).len(),
        stored,
        "something was stored"
    );
    assert_eq!(upstream.completions().len(), asked, "the model was asked");
    // It still reads; and other keys, and the owner, go on.
    assert_eq!(me(&desk.server, &small).status, 200);
    assert_eq!((say(&free).status, say(&desk.token).status), (200, 200));
    let keys = desk.keys();
    let spent = |index: usize| keys[index]["spent_usd_month"].as_f64().expect("a number");
    assert!(spent(1) > 0.01 && spent(0) > 0.0, "{keys:?}");
    // Another month, another budget.
    desk.sql("UPDATE usage_details SET created_at = '2020-01-31T23:59:59.999999+00:00'");
    assert_eq!(desk.keys()[1]["spent_usd_month"], json!(0.0));
    assert_eq!(say(&small).status, 200);
}
