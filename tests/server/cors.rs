//! Sharing with other sites' pages: off unless asked for, then for those that are named; never for the cookie.

use serde_json::json;

use crate::rig::{Call, Launch, Reply, Server};

const APP: &str = "http://localhost:3000";

const HOSTILE: &[&str] = &[
    "http://evil.example",
    "https://localhost:3000",
    "http://localhost:3001",
    "http://localhost",
    "http://localhost:3000.evil.example",
    "http://localhost:30000",
    "http://localhost:3000/",
    "xhttp://localhost:3000",
    "http://localhost:3000, http://evil.example",
    "null",
    "*",
    "",
];

fn server(origins: &[&str]) -> Server {
    let flags: Vec<&str> = origins.iter().flat_map(|origin| ["--cors-origin", origin]).collect();
    Launch::new().args(&flags).start()
}

fn preflight(server: &Server, path: &str, origin: &str) -> Call {
    server
        .call("OPTIONS", path)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "POST")
}

fn has_fields(reply: &Reply) -> bool {
    let mut names = reply.headers.iter().map(|(name, _)| name.to_ascii_lowercase());
    names.any(|name| name.starts_with("access-control-"))
}

fn varies(reply: &Reply) -> bool {
    let fields = reply.headers.iter();
    let mut vary = fields.filter(|(name, _)| name.eq_ignore_ascii_case("vary"));
    vary.any(|(_, value)| value.split(',').any(|name| name.trim().eq_ignore_ascii_case("origin")))
}

#[track_caller]
fn check_shared(reply: &Reply, origin: &str) {
    assert_eq!(
        reply.header("Access-Control-Allow-Origin"),
        Some(origin),
        "{}",
        reply.status
    );
    assert_eq!(reply.header("Access-Control-Allow-Credentials"), Some("true"));
    assert_eq!(reply.count("Access-Control-Allow-Origin"), 1);
    assert!(varies(reply), "{:?}", reply.headers);
}

#[track_caller]
fn check_withheld(reply: &Reply) {
    assert!(!has_fields(reply), "{} {:?}", reply.status, reply.headers);
    assert!(varies(reply), "{:?}", reply.headers);
}

#[test]
fn it_is_off_by_default() {
    let server = Server::start();
    let account = server.account("ada");
    let reply = preflight(&server, "/chats", APP).send();
    assert_eq!(reply.status, 405);
    assert!(!has_fields(&reply) && !varies(&reply));
    let reply = server.get("/chats").bearer(&account.token).header("Origin", APP).send();
    assert_eq!(reply.status, 200);
    assert!(!has_fields(&reply) && !varies(&reply));
    let reply = server.post("/chats").bearer(&account.token).header("Origin", APP);
    assert_eq!(reply.json(&json!({})).send().status, 403);
}

#[test]
fn a_preflight_is_answered() {
    let server = server(&[APP]);
    for path in ["/chats", "/chats/", "/chat", "/nowhere"] {
        let call = preflight(&server, path, APP);
        let reply = call
            .header("Access-Control-Request-Headers", "authorization,x-mine")
            .send();
        assert_eq!(reply.status, 200, "{path}");
        check_shared(&reply, APP);
        assert_eq!(
            reply.header("Access-Control-Allow-Headers"),
            Some("authorization,x-mine")
        );
        assert_eq!(reply.header("Access-Control-Max-Age"), Some("600"));
        let methods = reply.header("Access-Control-Allow-Methods").unwrap();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            assert!(methods.split(", ").any(|name| name == method), "{methods}");
        }
        assert_eq!(reply.text(), "OK");
    }
    let plain = preflight(&server, "/chats", APP).send();
    assert_eq!(plain.header("Access-Control-Allow-Headers"), None);
    for origin in HOSTILE {
        let reply = preflight(&server, "/chats", origin).send();
        assert_eq!(reply.status, 400, "{origin}");
        check_withheld(&reply);
    }
    // Without the question it is a method like any other.
    let reply = server.call("OPTIONS", "/chats").header("Origin", APP).send();
    assert_eq!(reply.status, 405);
    check_shared(&reply, APP);
}

#[test]
fn replies_and_errors_can_be_read() {
    let server = server(&[APP, "https://app.example.com"]);
    let account = server.account("ada");
    let bearer = |call: Call| call.bearer(&account.token);
    let deep = "{\"a\":".repeat(10);
    for (call, status) in [
        (server.get("/health"), 200),
        (server.get("/"), 200),
        (bearer(server.get("/chats")), 200),
        (bearer(server.post("/chats")).json(&json!({"title": "x"})), 201),
        (server.get("/chats"), 401),
        (server.get("/chats").bearer("nonsense"), 401),
        (bearer(server.get("/chats/7")), 404),
        (server.get("/nowhere"), 404),
        (server.post("/health"), 405),
        (bearer(server.get("/chats?limit=0")), 422),
        (bearer(server.post("/chats")).body(deep), 422),
        (bearer(server.post("/chats")).body(vec![b' '; 2 * 1024 * 1024]), 413),
    ] {
        for origin in [APP, "https://app.example.com", "HTTPS://APP.example.com"] {
            let reply = call.clone().header("Origin", origin).send();
            assert_eq!(reply.status, status, "{}", reply.text());
            check_shared(&reply, origin);
        }
    }
    let reply = server.get("/health").send();
    check_withheld(&reply);
}

#[test]
fn refusals_before_any_route_can_be_read() {
    let server = server(&[APP]);
    let reply = server.get("/health").host("evil.example").header("Origin", APP).send();
    assert_eq!(reply.status, 421);
    // What never became a request may go without.
    assert!(
        reply
            .header("Access-Control-Allow-Origin")
            .is_none_or(|origin| origin == APP)
    );
}

#[test]
fn others_get_nothing_and_change_nothing() {
    let server = server(&[APP]);
    let account = server.account("ada");
    for origin in HOSTILE {
        let reply = server
            .get("/chats")
            .bearer(&account.token)
            .header("Origin", origin)
            .send();
        assert_eq!(reply.status, 200);
        check_withheld(&reply);
        let call = server.post("/chats").bearer(&account.token).header("Origin", origin);
        let reply = call.json(&json!({"title": "theirs"})).send();
        assert_eq!(reply.status, 403, "{origin}");
        check_withheld(&reply);
    }
    let list = server.get("/chats").bearer(&account.token).send();
    assert_eq!(list.json()["total"], 0);
}

/// The cookie of a signed-in page of ours, as a browser would send it along.
fn cookie(server: &Server, name: &str) -> String {
    let account = server.account(name);
    let body = json!({"email": account.email, "password": account.password});
    let reply = server
        .post("/auth/session")
        .header("Origin", &server.origin())
        .json(&body)
        .send();
    assert_eq!(reply.status, 204, "{}", reply.text());
    reply
        .header("Set-Cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn the_cookie_never_counts_for_other_pages() {
    for allowed in [APP, "*"] {
        let server = server(&[allowed]);
        let cookie = cookie(&server, "ada");
        let own = server.get("/users/me").header("Cookie", &cookie).send();
        assert_eq!(own.status, 200);
        for call in [
            server.get("/users/me"),
            server.post("/auth/logout"),
            server.get("/sessions"),
        ] {
            let call = call.header("Cookie", &cookie).header("Origin", APP);
            for site in ["same-site", "cross-site", "same-origin"] {
                let reply = call.clone().header("Sec-Fetch-Site", site).send();
                assert_eq!(reply.status, 401, "{allowed} {site}");
            }
        }
        // Nor may they give one to their visitors, or take it away.
        let body = json!({"email": "ada@example.com", "password": "the password of ada"});
        for call in [server.post("/auth/session"), server.delete("/auth/session")] {
            let reply = call.header("Cookie", &cookie).header("Origin", APP).json(&body).send();
            assert_eq!(reply.status, 403, "{allowed}");
            assert_eq!(reply.header("Set-Cookie"), None);
            check_withheld(&reply);
        }
        let reply = preflight(&server, "/auth/session", APP).send();
        assert_eq!(reply.status, 400);
        check_withheld(&reply);
        let body = json!({"email": "eve@example.com", "password": "secret"});
        let reply = server
            .post("/auth/register?session=1")
            .header("Origin", APP)
            .json(&body)
            .send();
        assert_eq!((reply.status, reply.header("Set-Cookie")), (403, None));
        let kept = server.get("/users/me").header("Cookie", &cookie).send();
        assert_eq!(kept.status, 200, "the session is still there");
    }
}

#[test]
fn a_star_is_every_site() {
    let server = server(&["*"]);
    let account = server.account("ada");
    for origin in ["http://evil.example", "https://app.example.com", "null", APP] {
        check_shared(&preflight(&server, "/chats", origin).send(), origin);
        let call = server.post("/chats").bearer(&account.token).header("Origin", origin);
        let reply = call.json(&json!({"title": "x"})).send();
        assert_eq!(reply.status, 201, "{origin}");
        check_shared(&reply, origin);
    }
    check_withheld(&server.get("/health").send());
}

/// On a server for this machine alone the first account is the administrator's, and anyone may make one: which is meant
/// for the one who sits at it, not for every page that is open in a browser there.
#[test]
fn a_star_does_not_make_every_page_a_local_user() {
    let body = |name: &str| json!({"email": format!("{name}@example.com"), "password": "secret"});
    let register = |server: &Server, origin: &str, name: &str| {
        let call = server.post("/auth/register").header("Origin", origin);
        call.json(&body(name)).send()
    };
    let open = server(&["*"]);
    for origin in ["http://evil.example", "null", "http://localhost.evil.example"] {
        let reply = register(&open, origin, "eve");
        assert_eq!(reply.status, 403, "{origin}");
        assert_eq!(reply.detail(), "Registration is closed");
        check_shared(&reply, origin);
    }
    let reply = register(&open, "http://localhost:5173", "ada");
    assert_eq!((reply.status, reply.json()["role"].clone()), (201, json!("admin")));

    let named = server(&["https://app.example.com"]);
    let reply = register(&named, "https://app.example.com", "ada");
    assert_eq!((reply.status, reply.json()["role"].clone()), (201, json!("admin")));
}

#[test]
fn origins_may_come_from_the_environment() {
    let server = Launch::new()
        .env(
            "FIRESIDE_CORS_ORIGIN",
            "http://localhost:3000, https://App.example.com:443",
        )
        .start();
    for origin in [APP, "https://app.example.com"] {
        check_shared(&server.get("/health").header("Origin", origin).send(), origin);
    }
    check_withheld(&server.get("/health").header("Origin", "http://evil.example").send());
}

#[test]
fn what_is_no_origin_is_refused_by_name() {
    for value in [
        "localhost:3000",
        "http://a.example/",
        "http://a.example/path",
        "null",
        "http://*.example.com",
        "http://u:p@a.example",
        "http://",
        "http://a.example:99999",
    ] {
        let exit = Launch::new().args(&["--cors-origin", value]).run();
        assert!(exit.code.is_some_and(|code| code != 0), "{value}");
        assert!(
            exit.stderr.contains("--cors-origin") && exit.stderr.contains(value),
            "{}",
            exit.stderr
        );
    }
    let exit = Launch::new().env("FIRESIDE_CORS_ORIGIN", "http://a.example,nope").run();
    assert!(exit.code.is_some_and(|code| code != 0));
    assert!(
        exit.stderr.contains("FIRESIDE_CORS_ORIGIN") && exit.stderr.contains("nope"),
        "{}",
        exit.stderr
    );
}
