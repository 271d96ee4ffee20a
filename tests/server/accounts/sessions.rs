//! How sessions end, and the cookie of the web page: where it is set, what it says, and when it counts.

use serde_json::json;

use super::{check_401, check_me};
use crate::rig::{Reply, Server, check_shape};

const REFUSED: &str = "Could not validate credentials";

#[test]
fn logging_out_ends_this_session_only() {
    let mut server = Server::start();
    let ann = server.account("ann");
    let (one, two) = (server.login(&ann), server.login(&ann));
    assert_ne!(one, two);
    check_shape(
        &server.post("/auth/logout").bearer(&one).send(),
        200,
        &json!({"detail": "Logged out"}),
    );
    check_401(&server.get("/users/me").bearer(&one).send(), REFUSED);
    check_401(&server.post("/auth/logout").bearer(&one).send(), REFUSED);
    check_me(&server, &two, &ann);
    server.restart();
    check_401(&server.get("/users/me").bearer(&one).send(), REFUSED);
    check_me(&server, &two, &ann);
}

#[test]
fn a_new_password_ends_every_other_session() {
    let server = Server::start();
    let ann = server.account("ann");
    let bob = server.account("bob");
    let (one, two) = (server.login(&ann), server.login(&ann));
    let cookie = cookie_of(
        &server
            .post("/auth/session")
            .json(&json!({"email": ann.email, "password": ann.password}))
            .send(),
    );
    let body = json!({"password": "the new one", "current_password": ann.password});
    assert_eq!(server.patch("/users/me").bearer(&two).json(&body).send().status, 200);
    for token in [&ann.token, &one] {
        check_401(&server.get("/users/me").bearer(token).send(), REFUSED);
    }
    assert_eq!(
        server
            .get("/users/me")
            .header("Cookie", &cookie)
            .header("Sec-Fetch-Site", "same-origin")
            .send()
            .status,
        401
    );
    check_me(&server, &two, &ann);
    check_me(&server, &bob.token, &bob);
    let login = |password: &str| {
        server
            .post("/auth/login")
            .json(&json!({"email": ann.email, "password": password}))
            .send()
            .status
    };
    assert_eq!((login("the new one"), login(&ann.password)), (200, 401));
}

/// The `name=value` of the one cookie that a reply sets, after its attributes have been checked.
#[track_caller]
fn cookie_of(reply: &Reply) -> String {
    assert_eq!(reply.count("Set-Cookie"), 1, "{:?}", reply.headers);
    let header = reply.header("Set-Cookie").unwrap_or_default();
    let parts: Vec<&str> = header.split(';').map(str::trim).collect();
    let (name, value) = parts[0].split_once('=').expect("a name and a value");
    let digits = name.strip_prefix("fireside_").unwrap_or_else(|| panic!("{header}"));
    assert!(
        digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{header}"
    );
    assert!(value.len() > 40, "{header}");
    let has = |wanted: &str| parts.iter().any(|part| part.eq_ignore_ascii_case(wanted));
    assert!(has("HttpOnly") && has("SameSite=Strict") && has("Path=/"), "{header}");
    assert!(
        !parts.iter().any(|part| part.to_ascii_lowercase().starts_with("domain")),
        "{header}"
    );
    parts[0].to_string()
}

#[test]
fn the_session_cookie_signs_the_page_in_and_out() {
    let server = Server::start();
    let ann = server.account("ann");
    let reply = server
        .post("/auth/session")
        .json(&json!({"email": ann.email, "password": ann.password}))
        .send();
    assert_eq!((reply.status, reply.body.len()), (204, 0), "{}", reply.text());
    let cookie = cookie_of(&reply);
    let me = |cookie: &str| {
        server
            .get("/users/me")
            .header("Cookie", cookie)
            .header("Sec-Fetch-Site", "same-origin")
            .send()
    };
    assert_eq!(me(&cookie).json()["id"], json!(ann.id));
    assert_eq!(
        me(&format!("other=1; {cookie}; theme=dark")).json()["id"],
        json!(ann.id)
    );
    let write = server
        .post("/chats")
        .header("Cookie", &cookie)
        .header("Origin", &server.origin())
        .json(&json!({"title": "by cookie"}))
        .send();
    assert_eq!(write.status, 201, "{}", write.text());
    let out = server
        .delete("/auth/session")
        .header("Cookie", &cookie)
        .header("Origin", &server.origin())
        .send();
    assert_eq!(out.status, 204);
    assert_eq!(me(&cookie).status, 401, "the session outlived its end");
    check_me(&server, &ann.token, &ann);
    let wrong = server
        .post("/auth/session")
        .json(&json!({"email": ann.email, "password": "wrong"}))
        .send();
    check_401(&wrong, "Incorrect username or password");
    assert_eq!(wrong.count("Set-Cookie"), 0);
}

#[test]
fn the_cookie_counts_on_same_origin_requests_only() {
    let server = Server::start();
    let ann = server.account("ann");
    let cookie = cookie_of(
        &server
            .post("/auth/session")
            .json(&json!({"email": ann.email, "password": ann.password}))
            .send(),
    );
    let origin = server.origin();
    let check = |headers: &[(&str, &str)], is_signed_in: bool| {
        for (method, path) in [("GET", "/users/me"), ("GET", "/chats"), ("POST", "/chats")] {
            let call = server.call(method, path).header("Cookie", &cookie).json(&json!({}));
            let reply = headers
                .iter()
                .fold(call, |call, (name, value)| call.header(name, value))
                .send();
            assert_eq!(
                reply.status < 300,
                is_signed_in,
                "{method} {path} {headers:?}: {} {}",
                reply.status,
                reply.text()
            );
        }
    };
    check(&[("Sec-Fetch-Site", "same-origin")], true);
    check(&[("Sec-Fetch-Site", "same-origin"), ("Origin", &origin)], true);
    check(&[("Sec-Fetch-Site", "cross-site")], false);
    check(&[("Sec-Fetch-Site", "same-site")], false);
    check(&[("Origin", "http://evil.example")], false);
    check(&[("Origin", "null")], false);
    // Another port of the same machine is same-site to a browser, and still not our page.
    check(
        &[("Sec-Fetch-Site", "same-site"), ("Origin", "http://127.0.0.1:1")],
        false,
    );
}

#[test]
fn the_page_registers_without_seeing_a_token() {
    let server = Server::start();
    let reply = server
        .post("/auth/register?session=1")
        .json(&json!({"email": "ann@example.com", "password": "x"}))
        .send();
    assert_eq!(reply.status, 201, "{}", reply.text());
    let user = reply.json();
    assert!(user.get("access_token").is_none(), "{user}");
    let cookie = cookie_of(&reply);
    let (_, value) = cookie.split_once('=').expect("a value");
    assert!(!reply.text().contains(value), "the token is in the body");
    let me = server
        .get("/users/me")
        .header("Cookie", &cookie)
        .header("Sec-Fetch-Site", "same-origin")
        .send();
    assert_eq!(me.json()["id"], user["id"]);
    let again = server
        .post("/auth/register?session=1")
        .json(&json!({"email": "ann@example.com", "password": "x"}))
        .send();
    assert_eq!((again.status, again.count("Set-Cookie")), (409, 0));
}

#[test]
fn nothing_else_sets_a_cookie() {
    let server = Server::start();
    let ann = server.account("ann");
    let login = json!({"email": ann.email, "password": ann.password});
    let calls = [
        server
            .post("/auth/register")
            .json(&json!({"email": "bob@example.com", "password": "x"})),
        server.post("/auth/login").json(&login),
        server.post("/auth/login?session=1").json(&login),
        server
            .post("/token?session=1")
            .form(&[("username", &ann.email), ("password", &ann.password)]),
        server
            .post("/users/?session=1")
            .json(&json!({"username": "cat", "email": "cat@example.com", "password": "x"})),
        server.get("/users/me").bearer(&ann.token),
        server.get("/").header("Accept", "text/html"),
        server.get("/health"),
        server.post("/chat").bearer(&ann.token).json(&json!({"message": "hi"})),
        server.post("/auth/logout").bearer(&ann.token),
    ];
    for call in calls {
        let reply = call.send();
        assert!(reply.status < 300, "{}", reply.text());
        assert_eq!(reply.count("Set-Cookie"), 0, "{:?}", reply.headers);
    }
}

#[test]
fn two_servers_on_one_machine_have_two_cookies() {
    let (one, two) = (Server::start(), Server::start());
    let cookie = |server: &Server| {
        let body = json!({"email": "ann@example.com", "password": "x"});
        cookie_of(&server.post("/auth/register?session=1").json(&body).send())
    };
    let (first, second) = (cookie(&one), cookie(&two));
    assert_ne!(first.split('=').next(), second.split('=').next());
    let me = two
        .get("/users/me")
        .header("Cookie", &first)
        .header("Sec-Fetch-Site", "same-origin")
        .send();
    assert_eq!(me.status, 401);
}
