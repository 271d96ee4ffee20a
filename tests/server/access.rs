//! The access matrix: every route of the program's own tables × no token, a bad one, an expired one, an unsigned one,
//! API keys that are dead and that are not, and another user's token. What is sent is made from `/openapi.json`, so a new route needs nothing here, unless it is open
//! ([`OPEN`]) or names a kind of thing that no route named before ([`Estate::id`]).

mod ended;
pub(crate) mod estate;
mod fields;

use std::collections::BTreeSet;

use fireside::api;
use fireside::http::Auth;
use serde_json::json;

use crate::rig::{Account, Algorithm, Launch, PATIENCE, Server, claims, forge, forge_with, until};
use estate::{Estate, MARK, api_key, is_served, name, requests};

/// Routes that ask for no token, and why.
const OPEN: &[(&str, &str)] = &[
    (
        "GET /",
        "a greeting and the UI's shell, which hold nothing of anybody's",
    ),
    ("GET /health", "asked by supervisors, who have no account"),
    ("GET /api/version", "tells the UI whether visitors may sign up"),
    ("POST /auth/register", "comes before there is a token"),
    ("POST /users/", "comes before there is a token"),
    ("POST /auth/login", "gives the token"),
    ("POST /auth/token", "gives the token"),
    ("POST /token", "gives the token"),
    ("POST /auth/session", "gives the cookie"),
    (
        "POST /auth/local",
        "asks for the secret of the lock file, which only the data folder's owner can read",
    ),
    ("DELETE /auth/session", "takes the cookie also when its session is over"),
    (
        "GET /ws",
        "checks its token itself: a bad one is 403 before the upgrade",
    ),
    (
        "GET /metrics",
        "for programs on this machine; elsewhere it asks for an administrator's token itself",
    ),
    ("GET /models", "names what everybody may choose from"),
    ("GET /openapi.json", "the same for everybody, as it is in the source"),
    ("GET /docs", "the same for everybody"),
    ("GET /docs/{file}", "the same for everybody"),
    ("GET /redoc", "the same for everybody"),
    ("GET /ui", "the page that asks who somebody is"),
    ("GET /ui/{path...}", "the page that asks who somebody is"),
    ("GET /assets/{version}/{path...}", "the same for everybody"),
];

const SECRET: &str = "a secret of more than thirty-two bytes, for tests";

#[test]
fn only_these_routes_are_open() {
    let open = api::routes().filter(|route| !route.auth.needs_token());
    let open: BTreeSet<String> = open.map(|route| name(&route)).collect();
    let listed: BTreeSet<String> = OPEN.iter().map(|(route, _)| (*route).to_owned()).collect();
    assert_eq!(
        open, listed,
        "a route without a token belongs into OPEN, with the reason"
    );
}

#[test]
fn nobody_gets_in_without_a_token_that_is_valid() {
    let server = Launch::new().env("JWT_SECRET_KEY", SECRET).start();
    let document = server.get("/openapi.json").send().json();
    let owner = server.account("owner");
    let estate = Estate::new(&server, &owner);
    let before = estate.state();
    let mut tokens = invalid_tokens(&owner);
    tokens.extend(dead_keys(&server, &owner));
    for route in api::routes() {
        let asks = route.auth.needs_token();
        for request in requests(&document, &route, &estate) {
            for (kind, token) in &tokens {
                for target in [request.target.clone(), with_other_slash(&request.target)] {
                    // Signing in answers 401 as well, to a wrong password: only what asks for a token gets a body.
                    let call = if asks {
                        request.call(&server, &target)
                    } else {
                        server.call(route.method, &target)
                    };
                    let reply = token.iter().fold(call, |call, token| call.bearer(token)).send();
                    let at = format!("{} {target}, {kind}: {}", route.method, reply.text());
                    assert_eq!(reply.status == 401, asks, "{at}");
                    if asks {
                        assert_eq!(reply.header("WWW-Authenticate"), Some("Bearer"), "{at}");
                        let body = reply.json();
                        let words = [&body["detail"], &body["error"]["message"]];
                        assert!(words.iter().any(|words| words.is_string()), "{at}");
                    }
                }
            }
        }
    }
    assert_eq!(estate.state(), before, "the owner still has what there was");
}

/// Tokens that are the owner's own but for what makes them invalid.
fn invalid_tokens(owner: &Account) -> Vec<(&'static str, Option<String>)> {
    let (signed, signature) = owner.token.rsplit_once('.').expect("a signature");
    let valid = claims(&owner.token);
    let mut expired = valid.clone();
    expired["exp"] = json!(1_000_000_000);
    let reversed: String = signature.chars().rev().collect();
    let unsigned = |alg: &str| Some(forge_with(Algorithm::Unsigned, alg, SECRET, &valid));
    vec![
        ("no token", None),
        ("no token at all", Some("nonsense".to_owned())),
        ("a bad signature", Some(format!("{signed}.{reversed}"))),
        ("another secret", Some(forge(&SECRET.to_uppercase(), &valid))),
        ("expired", Some(forge(SECRET, &expired))),
        ("alg none", unsigned("none")),
        ("alg NONE", unsigned("NONE")),
        ("no signature", unsigned("HS256")),
    ]
}

/// Keys that the owner made and deleted, or that have expired.
fn dead_keys(server: &Server, owner: &Account) -> [(&'static str, Option<String>); 2] {
    let (deleted, id) = api_key(server, &owner.token);
    let (expired, _) = api_key(server, &owner.token);
    let target = format!("/api-keys/{id}");
    assert_eq!(server.delete(&target).bearer(&owner.token).send().status, 204);
    rusqlite::Connection::open(server.launch().database())
        .and_then(|database| database.execute("UPDATE api_keys SET expires_at = created_at", ()))
        .expect("an update");
    [("a deleted key", Some(deleted)), ("an expired key", Some(expired))]
}

#[test]
fn an_api_key_opens_what_is_not_about_the_account() {
    let server = Server::start();
    let document = server.get("/openapi.json").send().json();
    let admin = server.account("admin");
    for route in api::routes().filter(|route| route.auth.needs_token()) {
        let estate = Estate::new(&server, &admin).ready_for(&route);
        for request in requests(&document, &route, &estate) {
            let (key, id) = api_key(&server, &admin.token);
            let reply = request.call(&server, &request.target).bearer(&key).send();
            let at = format!("{} {}: {} {}", route.method, request.target, reply.status, reply.text());
            if route.auth == Auth::User {
                assert!(is_served(&route, &reply), "{at}");
            } else {
                assert_eq!(reply.status, 403, "{at}");
            }
            let target = format!("/api-keys/{id}");
            assert_eq!(server.delete(&target).bearer(&admin.token).send().status, 204, "{at}");
        }
    }
}

#[test]
fn nobody_reaches_what_is_somebody_elses() {
    let server = Launch::new().env("JWT_SECRET_KEY", SECRET).start();
    let document = server.get("/openapi.json").send().json();
    // The first account is the admin: the stranger is somebody without rights, and then somebody with them.
    let admin = server.account("admin");
    let owner = server.account("owner");
    let stranger = server.account("stranger");
    let mut refused = 0;
    let routes = api::routes().filter(|route| matches!(route.auth, Auth::User | Auth::Session));
    for route in routes {
        let estate = Estate::new(&server, &owner).ready_for(&route);
        for request in requests(&document, &route, &estate) {
            for other in [&stranger, &admin] {
                let reply = request
                    .call(&server, &request.target)
                    .bearer(&server.login(other))
                    .send();
                let at = format!("{} {}: {} {}", route.method, request.target, reply.status, reply.text());
                if request.names_owned {
                    assert!(matches!(reply.status, 403 | 404), "{at}");
                    refused += 1;
                } else {
                    assert!(is_served(&route, &reply), "{at}");
                }
                for mark in [MARK, &owner.email, &owner.id, &owner.token] {
                    assert!(!reply.text().contains(mark), "{at}");
                }
            }
            // That it was refused says something only if the owner is not.
            let reply = request
                .call(&server, &request.target)
                .bearer(&server.login(&owner))
                .send();
            let at = format!("{} {}: {} {}", route.method, request.target, reply.status, reply.text());
            assert!(is_served(&route, &reply), "{at}");
        }
    }
    assert!(refused >= 16, "only {refused} requests were about the owner's things");
    server.check_alive();
}

#[test]
fn only_administrators_administer() {
    let server = Launch::new().start();
    let document = server.get("/openapi.json").send().json();
    let admin = server.account("admin");
    let user = server.account("user");
    let estate = Estate::new(&server, &user);
    let mut count = 0;
    for route in api::routes().filter(|route| route.auth == Auth::Admin) {
        for request in requests(&document, &route, &estate) {
            // A body that is none is not looked at either: what an administrator may say is nobody else's business.
            let bare = server.call(route.method, &request.target);
            for call in [request.call(&server, &request.target), bare] {
                let at = format!("{} {}", route.method, request.target);
                let reply = call.clone().send();
                assert_eq!(reply.status, 401, "{at}: {}", reply.text());
                let reply = call.bearer(&user.token).send();
                assert_eq!(reply.status, 403, "{at}: {}", reply.text());
                assert!(!reply.text().contains(&admin.email), "{at}");
                count += 1;
            }
        }
    }
    assert!(count >= 16, "only {count} requests to administrators' routes");
    server.check_alive();
}

/// Whatever an administrator asks for, by the routes that are theirs alone or by those that are everybody's, what others
/// say and keep is not in the answer.
#[test]
fn administrators_read_nothing_that_others_keep() {
    /// A copy of the whole database is one: whoever may have it is trusted with everything, as the README says.
    const WHOLE: &str = "/admin/backup";
    let server = Launch::new().env("JWT_SECRET_KEY", SECRET).start();
    let document = server.get("/openapi.json").send().json();
    let admin = server.account("admin");
    let mut count = 0;
    for route in api::routes().filter(|route| route.auth == Auth::Admin && route.path != WHOLE) {
        // One of the routes takes the account away.
        let owner = server.account(&format!("owner-{count}"));
        let estate = Estate::new(&server, &owner);
        for request in requests(&document, &route, &estate) {
            let reply = request
                .call(&server, &request.target)
                .bearer(&server.login(&admin))
                .send();
            let at = format!("{} {}: {} {}", route.method, request.target, reply.status, reply.text());
            assert_ne!(reply.status, 401, "{at}");
            assert!(reply.status < 500 && !reply.text().contains(MARK), "{at}");
            count += 1;
        }
    }
    assert!(count >= 16, "only {count} requests to administrators' routes");
    let owner = server.account("owner");
    let estate = Estate::new(&server, &owner);
    let token = server.login(&admin);
    let usage = format!("/usage?user={}", owner.id);
    let asked = [
        "/search?q=between",
        "/export",
        "/export?format=markdown",
        "/tags",
        "/settings",
        "/documents",
        "/chats",
    ];
    for target in asked.iter().copied().chain([usage.as_str()]) {
        let reply = server.get(target).bearer(&token).send();
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        assert!(!reply.text().contains(MARK), "{target}: {}", reply.text());
    }
    // That it is not there says something only if its owner finds it.
    until(PATIENCE, "the owner finds it", || {
        estate.get("/search?q=between").text().contains(MARK).then_some(())
    });
    let found = server.get("/search?q=between").bearer(&token).send();
    assert!(!found.text().contains(MARK), "{}", found.text());
}

/// The same path with a slash at its end, or without it.
fn with_other_slash(target: &str) -> String {
    let (path, query) = target
        .split_once('?')
        .map_or((target, ""), |(path, query)| (path, query));
    let path = match path.strip_suffix('/') {
        Some("") => "/".to_owned(),
        Some(path) => path.to_owned(),
        None => format!("{path}/"),
    };
    if query.is_empty() {
        path
    } else {
        format!("{path}?{query}")
    }
}
