//! The HTTP engine seen from outside: connections, methods, paths and the access log here; framing, names, crowds,
//! static files and stopping in the modules below.

mod crowds;
mod files;
mod framing;
mod heads;
mod mutations;
mod names;
mod smuggling;
mod stop;

use fireside::api;
use serde_json::json;

use crate::rig::{Connection, Launch, PATIENCE, Server, check_shape, crowd, invalid, until};

/// Method and path of every route that takes a body, for the tests that must hold on all of them.
pub(crate) fn routes_with_bodies() -> Vec<(&'static str, String)> {
    let routes = api::routes().filter(|route| matches!(route.method, "POST" | "PUT" | "PATCH"));
    let filled = |path: &str| {
        let parts = path
            .split('/')
            .map(|part| if part.starts_with('{') { "1" } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    let routes: Vec<_> = routes.map(|route| (route.method, filled(route.path))).collect();
    assert!(routes.len() > 35, "only {} routes take a body", routes.len());
    routes
}

/// Sends a request without a body and checks the status and the `Allow` header.
#[track_caller]
fn check_method(server: &Server, method: &str, path: &str, status: u16, allow: &[&str]) {
    let reply = server.call(method, path).send();
    assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
    let header = reply.header("Allow").unwrap_or_default().to_string();
    let allowed: Vec<&str> = header.split(',').map(str::trim).collect();
    for method in allow {
        assert!(allowed.contains(method), "{path}: Allow: {header}");
    }
    assert!(!allowed.contains(&method), "{path}: Allow: {header}");
}

#[test]
fn unknown_paths_are_404_and_wrong_methods_405_with_allow() {
    let server = Server::start();
    for path in [
        "/nothing",
        "/chats/1/nothing",
        "/health/nothing",
        "/api",
        "/api/user123",
        "/auth",
        "/..",
        "/%2e%2e/etc/passwd",
        "//health",
        "/chats//messages",
        "/chats//",
        "/health//",
        "//",
    ] {
        let reply = server.get(path).send();
        check_shape(&reply, 404, &json!({"detail": "Not Found"}));
    }
    let not_allowed = json!({"detail": "Method Not Allowed"});
    check_shape(&server.call("PUT", "/health").send(), 405, &not_allowed);
    check_method(&server, "DELETE", "/health", 405, &["GET"]);
    check_method(&server, "PUT", "/chats/1", 405, &["GET", "PATCH", "DELETE"]);
    check_method(&server, "GET", "/chat", 405, &["POST"]);
    check_method(&server, "GET", "/api/user123/chat", 405, &["POST"]);
    check_method(&server, "PUT", "/chats/1/messages", 405, &["GET", "POST"]);
    check_method(&server, "PATCH", "/auth/login", 405, &["POST"]);
    check_method(&server, "PUT", "/users/me", 405, &["GET", "PATCH"]);
    check_method(&server, "BREW", "/auth/session", 405, &["POST", "DELETE"]);
}

/// Who nobody is, is not told what is wrong with the rest; then it is no more than a value that does not fit.
#[test]
fn a_query_that_cannot_be_decoded() {
    let server = Server::start();
    let ann = server.account("ann");
    for (value, input) in [("%zz", "%zz"), ("%", "%"), ("%f", "%f"), ("%ff", "\u{fffd}")] {
        let path = format!("/chats?limit={value}");
        assert_eq!(server.get(&path).send().status, 401, "{path}");
        let issue = invalid(
            "int_parsing",
            &json!(["query", "limit"]),
            "Input should be a valid integer, unable to parse string as an integer",
            &json!(input),
        );
        check_shape(
            &server.get(&path).bearer(&ann.token).send(),
            422,
            &json!({ "detail": [issue] }),
        );
    }
    let many = (0..1100).map(|index| format!("n{index}=&")).collect::<String>();
    let path = format!("/chats?{many}");
    assert_eq!(server.get(&path).send().status, 401);
    assert_eq!(server.get(&path).bearer(&ann.token).send().status, 400);
}

#[test]
fn both_slash_forms_are_served_and_never_redirected() {
    let server = Server::start();
    let token = server.account("ann").token;
    for path in ["/health", "/api/version", "/chats", "/users/me", "/auth/me"] {
        for target in [path.to_string(), format!("{path}/"), format!("{path}/?limit=5")] {
            assert_eq!(server.get(&target).bearer(&token).send().status, 200, "{target}");
        }
    }
    let chat = server.chat(&token, "slashes")["id"]
        .as_str()
        .expect("an id")
        .to_string();
    assert_eq!(server.get(&format!("/chats/{chat}/")).bearer(&token).send().status, 200);
    assert_eq!(
        server
            .get(&format!("/chats/{chat}/messages/"))
            .bearer(&token)
            .send()
            .status,
        200
    );
    assert_eq!(
        server
            .post("/chat/")
            .bearer(&token)
            .json(&json!({"message": "hi"}))
            .send()
            .status,
        200
    );
    let credentials = json!({"email": "ann@example.com", "password": "the password of ann"});
    assert_eq!(server.post("/auth/login/").json(&credentials).send().status, 200);
    for path in ["/users", "/users/"] {
        let user = json!({"username": format!("u{}", path.len()), "email": format!("u{}@example.com", path.len()), "password": "x"});
        assert_eq!(server.post(path).json(&user).send().status, 200, "{path}");
    }
}

#[test]
fn a_connection_serves_many_requests() {
    let server = Server::start();
    let mut connection = server.connect();
    for _ in 0..50 {
        connection.send(&server.get("/health").bytes());
        assert_eq!(connection.reply("GET").status, 200);
    }
    connection.send(&server.get("/health").header("Connection", "close").bytes());
    let reply = connection.reply("GET");
    assert_eq!(
        reply.header("Connection").map(str::to_ascii_lowercase).as_deref(),
        Some("close")
    );
    assert!(until(PATIENCE, "the close that was asked for", || {
        connection.is_gone().then_some(true)
    }));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let token = server.account("ann").token;
    let mut connection = server.connect();
    let requests: Vec<u8> = (1000..1032)
        .flat_map(|id| server.get(&format!("/chats/{id}")).bearer(&token).bytes())
        .collect();
    connection.send(&requests);
    for id in 1000..1032 {
        check_shape(
            &connection.reply("GET"),
            404,
            &json!({"detail": format!("Chat with id '{id}' not found")}),
        );
    }
    // A write and the read behind it: the read must see it.
    let write = server
        .post("/chats")
        .bearer(&token)
        .json(&json!({"title": "one"}))
        .bytes();
    connection.send(&[write, server.get("/chats").bearer(&token).bytes()].concat());
    assert_eq!(connection.reply("POST").status, 201);
    assert_eq!(connection.reply("GET").json()["total"], json!(1));
}

#[test]
fn a_bad_request_behind_good_ones_ends_the_connection_after_them() {
    let server = Server::start();
    let mut connection = server.connect();
    let good = server.get("/health").bytes();
    connection.send(
        &[
            good.as_slice(),
            &good,
            b"GET /health HTTP/1.1\r\nHost : x\r\n\r\n",
            &good,
        ]
        .concat(),
    );
    assert_eq!(connection.reply("GET").status, 200);
    assert_eq!(connection.reply("GET").status, 200);
    assert_eq!(connection.reply("GET").status, 400);
    let (rest, _) = connection.rest(PATIENCE);
    assert_eq!(rest, b"", "something after the refusal");
}

#[test]
fn a_request_may_come_byte_by_byte_and_half_closed() {
    let server = Server::start();
    let token = server.account("ann").token;
    let request = server
        .post("/chats")
        .bearer(&token)
        .json(&json!({"title": "slow but whole"}))
        .bytes();
    let mut connection = server.connect();
    for byte in &request {
        assert!(connection.send(&[*byte]));
    }
    connection.finish_sending();
    assert_eq!(connection.reply("POST").json()["title"], json!("slow but whole"));
    assert_eq!(connection.rest(PATIENCE).0, b"");
}

#[test]
fn head_answers_as_get_without_the_body() {
    let server = Server::start();
    let token = server.account("ann").token;
    let mut connection = server.connect();
    for path in [
        "/health",
        "/",
        "/api/version",
        "/chats",
        "/chats/1",
        "/users/me",
        "/nothing",
    ] {
        let get = server.get(path).bearer(&token).send();
        connection.send(&server.call("HEAD", path).bearer(&token).bytes());
        let head = connection.reply("HEAD");
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("Content-Type"), get.header("Content-Type"), "{path}");
        if let Some(length) = head.header("Content-Length") {
            assert_eq!(Some(length), get.header("Content-Length"), "{path}");
        }
    }
    // Nothing of a body is left on the connection.
    connection.send(&server.get("/health").bytes());
    assert_eq!(connection.reply("GET").status, 200);
    assert_eq!(server.call("HEAD", "/chat").send().status, 405);
}

#[test]
fn http_1_0_is_served_and_closed() {
    let server = Server::start();
    for request in [
        "GET /health HTTP/1.0\r\n\r\n",
        "GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.0\r\nAccept: text/html\r\n\r\n",
    ] {
        let mut connection = server.connect();
        connection.send(request.as_bytes());
        let reply = connection.reply("GET");
        assert_eq!(reply.status, 200, "{request:?}");
        assert_eq!(reply.header("Transfer-Encoding"), None, "{request:?}");
        assert_eq!(connection.rest(PATIENCE).0, b"");
    }
}

#[test]
fn bursts_are_all_served() {
    let server = Server::start();
    let _turn = crowd();
    for _ in 0..5 {
        let mut burst: Vec<Connection> = (0..100).map(|_| server.connect()).collect();
        burst
            .iter_mut()
            .for_each(|connection| assert!(connection.send(&server.get("/health").bytes())));
        for connection in &mut burst {
            assert_eq!(connection.reply("GET").status, 200);
        }
    }
}

#[test]
fn the_access_log_has_a_line_per_request_and_no_query() {
    let server = Launch::new().args(&["--log", "info"]).start();
    assert_eq!(server.get("/health?token=canary-in-the-query").send().status, 200);
    assert_eq!(
        server
            .get("/canary%0aforged%1b[31m?x=canary-in-the-query")
            .send()
            .status,
        404
    );
    let log = until(PATIENCE, "two lines in the log", || {
        Some(server.stderr()).filter(|log| log.contains("404"))
    });
    let line = log
        .lines()
        .find(|line| line.contains("/health"))
        .expect("a line for /health");
    assert!(line.contains("GET") && line.contains("200"), "{line}");
    assert!(!log.contains("canary-in-the-query"), "{log}");
    assert!(
        !log.contains('\u{1b}') && !log.lines().any(|line| line.starts_with("forged")),
        "{log:?}"
    );
}

/// What never became a request is in the log all the same, by its name as far as it has one.
#[test]
fn refused_requests_are_in_the_log_too() {
    let server = Launch::new().args(&["--log", "info"]).start();
    for (bytes, status, line) in [
        (
            "GET /canary/one?x=canary-in-the-query HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
            400,
            "GET /canary/one 400 ",
        ),
        (
            "POST /canary/two HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            421,
            "POST /canary/two 421 ",
        ),
        (
            "POST /canary/three HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnothing\r\n",
            400,
            "POST /canary/three 400 ",
        ),
        ("\u{16}\u{3}\u{1} canary", 400, " - - 400 "),
    ] {
        let mut connection = server.connect();
        connection.send(bytes.as_bytes());
        assert_eq!(connection.reply("GET").status, status, "{bytes:?}");
        until(PATIENCE, line, || server.stderr().contains(line).then_some(()));
    }
    assert!(!server.stderr().contains("canary-in-the-query"));
}

/// The other end of stderr may be a terminal that was stopped, or a program that hangs.
#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let server = Launch::new()
        .args(&["--log", "info"])
        .prelude("mkfifo unread && exec 2<>unread")
        .start();
    let host = server.address;
    let path = "x".repeat(4000);
    // More than the pipe holds and than what is gathered: first of lines that workers write, then of those that are
    // written for what never became a request.
    for (host, status) in [(host.to_string(), 404), ("evil.example".to_string(), 421)] {
        for _ in 0..50 {
            let mut connection = server.connect();
            connection.send(format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
            assert_eq!(connection.reply("GET").status, status);
        }
    }
    server.check_alive();
    let exit = server.stop();
    assert_eq!(exit.code, Some(0));
}

#[test]
fn a_request_that_ends_too_early_is_told_so() {
    let server = Server::start();
    for (path, kind) in [
        ("/chats", "application/json"),
        ("/auth/login", "application/json"),
        ("/upload/", "multipart/form-data; boundary=x"),
        ("/documents", "application/json"),
    ] {
        for framing in [
            "Content-Length: 100\r\n\r\n{\"title\":",
            "Transfer-Encoding: chunked\r\n\r\n20\r\n{\"title\":",
        ] {
            let mut connection = server.connect();
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\n{framing}",
                server.address
            );
            connection.send(head.as_bytes());
            connection.finish_sending();
            let reply = connection.reply("POST");
            assert_eq!(reply.status, 400, "{path}: {}", reply.text());
            assert!(reply.detail().contains("ended before"), "{}", reply.detail());
            assert!(connection.is_gone());
        }
    }
}
