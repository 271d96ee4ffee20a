//! What was good once: every route × each way in which a session, a key or an account can have ended, and a good token
//! in a place where none belongs. The one who asks was an administrator, so that all routes were open before.

use fireside::api::{self, RouteFacts};
use fireside::http::Auth;
use serde_json::{Value, json};

use super::SECRET;
use super::estate::{Estate, Request, api_key, requests, text};
use crate::rig::{Account, Call, Launch, Server, Socket, claims, forge};

/// What each route that asks for a token takes about this account's things.
fn guarded(server: &Server, owner: &Account) -> Vec<(RouteFacts, Request)> {
    let document = server.get("/openapi.json").send().json();
    let estate = Estate::new(server, owner);
    let routes = api::routes().filter(|route| route.auth.needs_token());
    let guarded: Vec<_> = routes
        .flat_map(|route| {
            requests(&document, &route, &estate)
                .into_iter()
                .map(move |it| (route, it))
        })
        .collect();
    assert!(guarded.len() > 80, "only {} requests ask for a token", guarded.len());
    guarded
}

/// How many there are of what requests could make or take away.
fn tally(server: &Server) -> Vec<i64> {
    let database = rusqlite::Connection::open(server.launch().database()).expect("the database");
    let tables = [
        "users",
        "sessions",
        "api_keys",
        "conversations",
        "messages",
        "attachments",
        "documents",
        "providers",
        "audit",
    ];
    let count = |table: &str| database.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0));
    tables.iter().map(|table| count(table).expect(table)).collect()
}

#[track_caller]
fn check_status(call: &Call, status: u16) {
    let reply = call.send();
    assert_eq!(reply.status, status, "{}", reply.text());
}

fn patch_user(server: &Server, admin: &Account, user: &Account, body: &Value) {
    let call = server.patch(&format!("/admin/users/{}", user.id)).bearer(&admin.token);
    check_status(&call.json(body), 200);
}

/// Tokens that were good, each with how it came to its end.
fn spent(server: &Server, admin: &Account, owner: &Account) -> Vec<(&'static str, String)> {
    let key = |token: &str| api_key(server, token).0;
    let (out, ended) = (server.login(owner), server.login(owner));
    check_status(&server.post("/auth/logout").bearer(&out), 200);
    let session = text(&claims(&ended)["jti"]);
    check_status(
        &server.delete(&format!("/sessions/{session}")).bearer(&owner.token),
        204,
    );
    let (before, key_before, last) = (server.login(owner), key(&owner.token), server.login(owner));
    let body = json!({"password": "the new password", "current_password": owner.password});
    check_status(&server.patch("/users/me").bearer(&last).json(&body), 200);
    let key_last = key(&last);
    let mut newer = claims(&last);
    newer["ver"] = json!(newer["ver"].as_i64().expect("a number") + 1);
    let mut of_another = claims(&last);
    of_another["jti"] = claims(&admin.token)["jti"].clone();
    let mut of_nobody = claims(&last);
    of_nobody["jti"] = json!("00000000-0000-4000-8000-000000000000");

    let gone = server.account("gone");
    let key_gone = key(&gone.token);
    check_status(
        &server.delete(&format!("/admin/users/{}", gone.id)).bearer(&admin.token),
        204,
    );
    patch_user(server, admin, owner, &json!({"disabled": true}));
    vec![
        ("logged out", out),
        ("ended from elsewhere", ended),
        ("before the new password", before),
        ("a key from before the new password", key_before),
        ("a disabled account's", last),
        ("a disabled account's key", key_last),
        ("of a version that is still to come", forge(SECRET, &newer)),
        ("another user's session", forge(SECRET, &of_another)),
        ("a session that never was", forge(SECRET, &of_nobody)),
        ("a deleted account's", gone.token),
        ("a deleted account's key", key_gone),
    ]
}

#[test]
fn what_has_ended_opens_nothing_any_more() {
    let server = Launch::new().env("JWT_SECRET_KEY", SECRET).start();
    let (admin, owner) = (server.account("admin"), server.account("owner"));
    patch_user(&server, &admin, &owner, &json!({"role": "admin"}));
    let guarded = guarded(&server, &owner);
    let tokens = spent(&server, &admin, &owner);
    let before = tally(&server);
    for (how, token) in &tokens {
        for (route, request) in &guarded {
            let reply = request.call(&server, &request.target).bearer(token).send();
            let at = format!(
                "{} {}, {how}: {} {}",
                route.method,
                request.target,
                reply.status,
                reply.text()
            );
            assert_eq!(reply.status, 401, "{at}");
        }
        let offered = format!("bearer, {token}");
        for call in [
            Socket::ask(&server, &format!("/ws?token={token}")),
            Socket::ask(&server, "/ws").bearer(token),
            Socket::ask(&server, "/ws").header("Sec-WebSocket-Protocol", &offered),
        ] {
            check_status(&call, 403);
        }
        // Where visitors are welcome it makes a visitor.
        for target in ["/health?verbose", "/models", "/api/version"] {
            let visitor = server.get(target).send();
            let reply = server.get(target).bearer(token).send();
            assert_eq!(
                (reply.status, reply.text()),
                (visitor.status, visitor.text()),
                "{target}, {how}"
            );
        }
    }
    assert_eq!(tally(&server), before, "something was made or taken away");
    // Each was refused for its end: with another one all is as it was.
    patch_user(&server, &admin, &owner, &json!({"disabled": false}));
    let owner = Account {
        password: "the new password".to_owned(),
        ..owner
    };
    check_status(&server.get("/admin/users").bearer(&server.login(&owner)), 200);
}

#[test]
fn who_is_no_administrator_any_more_administers_nothing() {
    let server = Server::start();
    let (admin, deputy) = (server.account("admin"), server.account("deputy"));
    patch_user(&server, &admin, &deputy, &json!({"role": "admin"}));
    let token = server.login(&deputy);
    check_status(&server.get("/admin/users").bearer(&token), 200);
    let guarded = guarded(&server, &deputy);
    patch_user(&server, &admin, &deputy, &json!({"role": "user"}));
    let mut count = 0;
    for (_, request) in guarded.iter().filter(|(route, _)| route.auth == Auth::Admin) {
        check_status(&request.call(&server, &request.target).bearer(&token), 403);
        count += 1;
    }
    assert!(count >= 16, "only {count} requests to administrators' routes");
}

/// Addresses are kept in logs and histories, and cookies are sent along by whoever asks.
#[test]
fn a_token_counts_only_where_it_belongs() {
    let server = Server::start();
    let (admin, owner) = (server.account("admin"), server.account("owner"));
    patch_user(&server, &admin, &owner, &json!({"role": "admin"}));
    let guarded = guarded(&server, &owner);
    let (token, (key, _)) = (server.login(&owner), api_key(&server, &owner.token));
    let body = json!({"email": owner.email, "password": owner.password});
    let signed_in = server.post("/auth/session").json(&body).send();
    let cookie = signed_in.header("Set-Cookie").and_then(|it| it.split(';').next());
    let cookie = cookie.expect("a cookie").to_owned();
    let (name, _) = cookie.split_once('=').expect("a name");
    let before = tally(&server);
    for (route, request) in &guarded {
        let separator = if request.target.contains('?') { '&' } else { '?' };
        let query = |token: &str| {
            format!(
                "{}{separator}token={token}&access_token={token}&api_key={token}",
                request.target
            )
        };
        let call = || request.call(&server, &request.target);
        for (place, call) in [
            ("in the query", request.call(&server, &query(&token))),
            ("a key in the query", request.call(&server, &query(&key))),
            (
                "in another header",
                call().header("X-Api-Key", &key).header("X-Auth-Token", &token),
            ),
            (
                "the proxy's",
                call().header("Proxy-Authorization", &format!("Bearer {token}")),
            ),
            ("of no scheme", call().header("Authorization", &token)),
            (
                "of another scheme",
                call().header("Authorization", &format!("Token {token}")),
            ),
            (
                "a name and a password",
                call().header("Authorization", "Basic b3duZXJAZXhhbXBsZS5jb206eA=="),
            ),
            (
                "in another cookie",
                call().header("Cookie", &format!("token={token}; fireside={token}")),
            ),
            ("a key in the cookie", call().header("Cookie", &format!("{name}={key}"))),
            (
                "another site's cookie",
                call().header("Cookie", &cookie).header("Sec-Fetch-Site", "same-site"),
            ),
            (
                "another port's cookie",
                call().header("Cookie", &cookie).header("Origin", "http://127.0.0.1:1"),
            ),
        ] {
            let reply = call.send();
            let at = format!(
                "{} {}, {place}: {} {}",
                route.method,
                request.target,
                reply.status,
                reply.text()
            );
            let is_foreign_write = reply.status == 403 && place.starts_with("another port") && route.method != "GET";
            assert!(reply.status == 401 || is_foreign_write, "{at}");
        }
    }
    assert_eq!(tally(&server), before, "something was made or taken away");
    check_status(&server.get("/users/me").header("Cookie", &cookie), 200);
    check_status(&server.get("/users/me").bearer(&key), 200);
}
