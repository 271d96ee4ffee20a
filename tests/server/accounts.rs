//! Accounts from the wire: bodies that are no accounts, reading and changing oneself, requests without a token here;
//! registering, signing in, sessions, tokens and the rules of who may register in the modules below.

mod forgeries;
mod policy;
mod registering;
mod sessions;
mod signing_in;
mod tokens;

use serde_json::{Value, json};

use crate::rig::{Account, Launch, Reply, Server, check_shape, forge, invalid};

fn user_shape(email: &str, username: &str, role: &str) -> Value {
    json!({
        "id": "<uuid>", "username": username, "email": email, "display_name": "<any>", "role": role, "created_at": "<time>",
    })
}

/// The same object as its owner gets it.
fn own_shape(email: &str, username: &str, role: &str) -> Value {
    let mut shape = user_shape(email, username, role);
    shape["system_prompt"] = Value::Null;
    shape
}

/// The same object with the token that registering adds.
fn registered_shape(email: &str, role: &str) -> Value {
    let mut shape = user_shape(email, email, role);
    shape["access_token"] = json!("<token>");
    shape["token_type"] = json!("bearer");
    shape
}

fn token_shape() -> Value {
    json!({"access_token": "<token>", "token_type": "bearer"})
}

#[track_caller]
fn check_401(reply: &Reply, detail: &str) {
    check_shape(reply, 401, &json!({"detail": detail}));
    assert_eq!(reply.header("WWW-Authenticate"), Some("Bearer"));
}

/// Sends `body` and checks that it is refused with 422 and exactly these entries.
#[track_caller]
fn check_422(server: &Server, path: &str, body: &Value, entries: &[Value]) {
    let reply = server.post(path).json(body).send();
    check_shape(&reply, 422, &json!({"detail": entries}));
}

#[track_caller]
fn check_me(server: &Server, token: &str, account: &Account) {
    for path in ["/users/me", "/auth/me"] {
        let reply = server.get(path).bearer(token).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(
            (&reply.json()["id"], &reply.json()["email"]),
            (&json!(account.id), &json!(account.email))
        );
    }
}

#[test]
fn bodies_that_are_not_json_objects() {
    let server = Server::start();
    let no_body = json!({"detail": [invalid("missing", &json!(["body"]), "Field required", &json!(null))]});
    for path in ["/auth/register", "/auth/login", "/users/", "/auth/session"] {
        check_shape(&server.post(path).send(), 422, &no_body);
        check_shape(
            &server.post(path).header("Content-Type", "application/json").send(),
            422,
            &no_body,
        );
        for text in [
            "{nope",
            "{",
            "",
            "{\"email\": \"a@b.c\",}",
            "{\"email\" \"x\"}",
            "{'email': 1}",
            "\u{feff}{",
            "{} {}",
            "[1, 2",
            "nul",
        ]
        .iter()
        .filter(|text| !text.is_empty())
        {
            let reply = server.post(path).body(*text).send();
            let entry = json!({"type": "json_invalid", "loc": ["body", "<int>"], "msg": "<filled>", "input": {}, "ctx": {"error": "<filled>"}});
            check_shape(&reply, 422, &json!({"detail": [entry]}));
        }
        for value in [
            json!([]),
            json!([{"email": "a@b.c"}]),
            json!("text"),
            json!(5),
            json!(true),
        ] {
            let entry = invalid(
                "model_attributes_type",
                &json!(["body"]),
                "Input should be a valid dictionary or object to extract fields from",
                // It may be a password.
                &Value::Null,
            );
            check_422(&server, path, &value, &[entry]);
        }
    }
}

/// Nothing that a client may send as JSON makes an internal error.
#[test]
fn strange_json_is_refused_or_kept_exactly() {
    let server = Server::start();
    let token = server.account("ann").token;
    let deep = "[".repeat(100_000);
    let bodies: Vec<Vec<u8>> = vec![
        deep.clone().into_bytes(),
        format!("{{\"email\": {deep}").into_bytes(),
        "{\"a\":".repeat(50_000).into_bytes(),
        b"{\"email\": \"\xff\xfe@example.com\", \"password\": \"x\"}".to_vec(),
        b"{\"email\": \"a@example.com\", \"password\": \"\xc3\x28\"}".to_vec(),
        br#"{"email": "a@example.com", "password": "\ud800"}"#.to_vec(),
        br#"{"email": "\udc00\ud800@example.com", "password": "x"}"#.to_vec(),
        br#"{"email": 1e999, "password": NaN}"#.to_vec(),
        br#"{"email": "a@example.com", "password": "x", "password": 5}"#.to_vec(),
        b"\xff\xfe{\0}\0".to_vec(),
        vec![0; 64],
    ];
    for path in [
        "/auth/register",
        "/auth/login",
        "/users/",
        "/auth/session",
        "/chats",
        "/chat",
    ] {
        for body in &bodies {
            let reply = server
                .post(path)
                .bearer(&token)
                .header("Content-Type", "application/json")
                .body(body.clone())
                .send();
            let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            if path == "/chats" && start.ends_with("\"password\": 5}") {
                // Well-formed JSON whose keys this route does not know: they are ignored.
                assert_eq!(reply.status, 201, "{}", reply.text());
                continue;
            }
            assert!(
                (400..500).contains(&reply.status),
                "{path} {start}: {} {}",
                reply.status,
                reply.text()
            );
        }
    }
    server.check_alive();
}

#[test]
fn oneself_can_be_changed_a_field_at_a_time() {
    let server = Server::start();
    let ann = server.account("ann");
    server.account("bob");
    let patch = |body: Value| server.patch("/users/me").bearer(&ann.token).json(&body).send();
    let mut shape = own_shape("ann@example.com", "ann@example.com", "admin");
    shape["id"] = json!(ann.id);
    shape["display_name"] = json!("Ann ☃");
    check_shape(
        &patch(json!({"display_name": "Ann ☃", "role": "user", "id": "x", "created_at": "x"})),
        200,
        &shape,
    );
    shape["username"] = json!("ann");
    check_shape(&patch(json!({"username": "ann"})), 200, &shape);
    check_shape(&patch(json!({})), 200, &shape);
    shape["system_prompt"] = json!("Answer briefly.");
    check_shape(&patch(json!({"system_prompt": "Answer briefly."})), 200, &shape);
    for body in [
        json!({"username": "a@b"}),
        json!({"username": ""}),
        json!({"username": 5}),
        json!({"display_name": []}),
        json!({"email": "nope", "current_password": ann.password}),
    ] {
        assert_eq!(patch(body.clone()).status, 422, "{body}");
    }
    for body in [
        json!({"username": "bob@example.com"}),
        json!({"email": "BOB@example.com", "current_password": ann.password}),
    ] {
        assert!((400..500).contains(&patch(body.clone()).status), "{body}");
    }
    for body in [
        json!({"email": "new@example.com"}),
        json!({"email": "new@example.com", "current_password": "wrong"}),
        json!({"password": "new"}),
        json!({"password": "new", "current_password": "wrong"}),
    ] {
        let reply = patch(body.clone());
        assert!(
            (400..500).contains(&reply.status) && reply.status != 409,
            "{body}: {}",
            reply.text()
        );
    }
    check_shape(&server.get("/users/me").bearer(&ann.token).send(), 200, &shape);
}

#[test]
fn a_new_address_needs_the_password_and_signs_in() {
    let server = Server::start();
    let ann = server.account("ann");
    let patch = |body: Value| server.patch("/users/me").bearer(&ann.token).json(&body).send();
    let mut shape = own_shape("ann@example.com", "<filled>", "admin");
    shape["email"] = json!("new@example.com");
    check_shape(
        &patch(json!({"email": "new@example.com", "current_password": ann.password})),
        200,
        &shape,
    );
    let user = server.get("/users/me").bearer(&ann.token).send().json();
    assert_eq!(user["id"], json!(ann.id));
    let login = |name: &str| {
        server
            .post("/auth/login")
            .json(&json!({"email": name, "password": ann.password}))
            .send()
            .status
    };
    assert_eq!((login("new@example.com"), login("ann@example.com")), (200, 401));
}

const ROUTES_OF_USERS: &[(&str, &str)] = &[
    ("GET", "/users/me"),
    ("GET", "/auth/me"),
    ("PATCH", "/users/me"),
    ("POST", "/auth/logout"),
    ("GET", "/chats"),
    ("POST", "/chats"),
    ("GET", "/chats/1"),
    ("PATCH", "/chats/1"),
    ("DELETE", "/chats/1"),
    ("GET", "/chats/1/messages"),
    ("POST", "/chats/1/restore"),
    ("POST", "/chat"),
    ("POST", "/api/user123/chat"),
];

#[test]
fn requests_without_a_good_token_are_told_why() {
    let secret = "a secret of more than thirty-two bytes, for tests";
    let server = Launch::new().env("JWT_SECRET_KEY", secret).start();
    let claims = json!({"sub": "00000000-0000-4000-8000-000000000000", "exp": 4_000_000_000u64});
    let (stranger, long) = (forge(secret, &claims), "x".repeat(5_000));
    let schemes = ["Basic YW5uOng=", "Token abc", "abc", "Bearerabc", "Bearer", "Bearer "];
    let tokens = ["nonsense", "..", "e30.e30.e30", "a b", &long];
    for (method, path) in ROUTES_OF_USERS {
        let call = server.call(method, path);
        check_401(&call.send(), "Not authenticated");
        // Before what is wrong with the body or the query.
        check_401(&call.clone().json(&json!([])).send(), "Not authenticated");
        let bearers = tokens.map(|token| format!("Bearer {token}"));
        for value in schemes.into_iter().chain(bearers.iter().map(String::as_str)) {
            let reply = call.clone().header("Authorization", value).send();
            let challenge = reply.header("WWW-Authenticate");
            assert_eq!((reply.status, challenge), (401, Some("Bearer")), "{path} {value}");
        }
        let bad = call.clone().bearer("a.b.c").send();
        check_401(&bad, "Could not validate credentials");
        check_401(&call.bearer(&stranger).send(), "User not found");
    }
}

#[test]
fn a_token_comes_in_one_header_in_any_case() {
    let server = Server::start();
    let token = server.account("ann").token;
    for scheme in ["Bearer", "bearer", "BEARER", "BeArEr"] {
        let value = format!("{scheme} {token}");
        let reply = server.get("/users/me").header("Authorization", &value).send();
        assert_eq!(reply.status, 200, "{scheme}");
    }
    let query = format!("/users/me?token={token}&access_token={token}");
    assert_eq!(
        server.get(&query).send().status,
        401,
        "a token in the address is not a token"
    );
}
