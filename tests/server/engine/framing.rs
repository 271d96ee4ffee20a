//! Requests whose framing lies, is malformed or too large to read: each gets one refusal and a closed connection, at once.

use std::time::{Duration, Instant};

use serde_json::json;

use super::routes_with_bodies;
use crate::rig::{Ending, Reply, Server, check_shape, parse_replies};

/// The contract says 100 ms; ten times as much on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(1);

pub(super) const SMUGGLED: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sends raw bytes and checks that exactly one reply comes, that `is_right` accepts its status, and that the server then
/// closes, all at once.
#[track_caller]
pub(super) fn check_refused(server: &Server, name: &str, bytes: &[u8], is_right: impl Fn(u16) -> bool) -> Reply {
    let mut connection = server.connect();
    let started = Instant::now();
    connection.send(bytes);
    let (answer, ending) = connection.rest(Duration::from_secs(20));
    let took = started.elapsed();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let mut replies = parse_replies(&answer).unwrap_or_else(|why| panic!("{name}: {why}"));
    assert_eq!(replies.len(), 1, "{name}: {ending:?} after {took:?}: {text}");
    let reply = replies.remove(0);
    assert!(is_right(reply.status), "{name}: {text}");
    assert!(took < AT_ONCE, "{name}: refused, but only after {took:?}");
    reply
}

fn client_error(status: u16) -> bool {
    (400..500).contains(&status)
}

/// A POST head with these framing lines, the token if there is one, and `body`.
fn post(path: &str, token: Option<&str>, framing: &str, body: &str) -> Vec<u8> {
    sent("POST", path, token, framing, body)
}

/// The same with another method.
fn sent(method: &str, path: &str, token: Option<&str>, framing: &str, body: &str) -> Vec<u8> {
    let authorization = token
        .map(|token| format!("Authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{authorization}{framing}\r\n\r\n{body}").into_bytes()
}

#[test]
fn lying_lengths_are_refused_on_every_route() {
    let server = Server::start();
    let token = server.account("ann").token;
    let before = server.rss_kib();
    const LENGTHS: &[&str] = &[
        "1048577",
        "26214401",
        "30000000000",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
        "-1",
        "+5",
        "5, 5",
        "5,5",
        "abc",
        "",
        "5 5",
        "0x5",
        "5;",
        "5.0",
        "1e1",
        "\u{ff15}",
    ];
    for (method, path) in &routes_with_bodies() {
        for token in [None, Some(token.as_str())] {
            for length in LENGTHS
                .iter()
                .filter(|length| token.is_none() || !may_be_large(path, length))
            {
                let request = sent(method, path, token, &format!("Content-Length: {length}"), "");
                check_refused(
                    &server,
                    &format!("{method} {path} Content-Length: {length}"),
                    &request,
                    client_error,
                );
            }
            for (framing, body) in [
                ("Content-Length: 5\r\nContent-Length: 5", ""),
                ("Content-Length: 0\r\nContent-Length: 42", SMUGGLED),
                (
                    "Content-Length: 5\r\nTransfer-Encoding: chunked",
                    &format!("0\r\n\r\n{SMUGGLED}"),
                ),
                (
                    "Transfer-Encoding: chunked\r\nContent-Length: 5",
                    &format!("0\r\n\r\n{SMUGGLED}"),
                ),
            ] {
                let request = sent(method, path, token, framing, body);
                check_refused(&server, &format!("{method} {path} {framing}"), &request, client_error);
            }
        }
    }
    let after = server.rss_kib();
    assert!(
        after < before + 20 * 1024,
        "resident memory went from {before} to {after} KiB"
    );
    server.check_alive();
}

/// Bodies with pictures in them may be larger than others, of those who are signed in.
fn may_be_large(path: &str, length: &str) -> bool {
    path == "/v1/chat/completions" && length.parse::<u64>().is_ok_and(|length| length < 30_000_000)
}

#[test]
fn lengths_are_checked_where_no_body_is_wanted() {
    let server = Server::start();
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "BREW"] {
        for path in ["/health", "/chats", "/nothing"] {
            for framing in [
                "Content-Length: -1",
                "Content-Length: 30000000000",
                "Content-Length: 1\r\nContent-Length: 2",
                "Transfer-Encoding: chunked\r\nContent-Length: 3",
                "Transfer-Encoding: identity",
            ] {
                let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n");
                let mut connection = server.connect();
                connection.send(request.as_bytes());
                let reply = connection
                    .reply_within("HEAD", Duration::from_secs(20))
                    .unwrap_or_else(|why| panic!("{request:?}: {why}"));
                assert!(
                    (400..=501).contains(&reply.status) && reply.status != 500,
                    "{request:?}: {}",
                    reply.status
                );
            }
        }
    }
    server.check_alive();
}

#[test]
fn only_plain_chunked_is_a_transfer_encoding() {
    let server = Server::start();
    let token = server.account("ann").token;
    for encoding in [
        "gzip, chunked",
        "chunked, chunked",
        "chunked, gzip",
        "xchunked",
        "identity",
        "",
        "chunked;q=1",
        "\"chunked\"",
        "chunked\r\nTransfer-Encoding: chunked",
        "gzip\r\nTransfer-Encoding: chunked",
        "\u{b}chunked",
    ] {
        let request = post(
            "/chats",
            Some(&token),
            &format!("Transfer-Encoding: {encoding}"),
            &format!("0\r\n\r\n{SMUGGLED}"),
        );
        check_refused(&server, encoding, &request, |status| {
            client_error(status) || status == 501
        });
    }
    let old = format!("POST /auth/login HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}");
    check_refused(&server, "chunked in HTTP/1.0", old.as_bytes(), client_error);
}

#[test]
fn a_chunked_body_is_a_body() {
    let server = Server::start();
    let token = server.account("ann").token;
    let mut connection = server.connect();
    for body in [
        "8\r\n{\"title\"\r\n9\r\n: \"three\"\r\n1\r\n}\r\n0\r\n\r\n",
        "012\r\n{\"title\": \"three\"}\r\n0\r\n\r\n",
        "C\r\n{\"title\": \"t\r\n6\r\nhree\"}\r\n0\r\n\r\n",
    ] {
        connection.send(&post("/chats", Some(&token), "Transfer-Encoding: chunked", body));
        let reply = connection.reply("POST");
        assert_eq!(
            (reply.status, reply.json()["title"].clone()),
            (201, json!("three")),
            "{body:?}"
        );
    }
    connection.send(&server.get("/health").bytes());
    assert_eq!(connection.reply("GET").status, 200);
}

#[test]
fn malformed_chunks_are_refused() {
    let server = Server::start();
    let token = server.account("ann").token;
    let bodies = [
        "-1\r\n",
        "+5\r\n",
        "0x5\r\nhello\r\n",
        "5g\r\nhello\r\n",
        "\r\n",
        " 5\r\nhello\r\n",
        "5 5\r\nhello\r\n",
        "ffffffffffffffff\r\n",
        "10000000000000005\r\nhello\r\n",
        "8000000000000000\r\n",
        "5\r\nhelloworld\r\n",
        "5\nhello\n0\n\n",
        "2\r\n{}0\r\n\r\n",
        "2\r\n{}\n0\r\n\r\n",
        "5\r\r\nhello\r\n",
    ];
    for body in bodies {
        let request = post(
            "/chats",
            Some(&token),
            "Transfer-Encoding: chunked",
            &format!("{body}{SMUGGLED}"),
        );
        check_refused(&server, &format!("{body:?}"), &request, client_error);
    }
    assert_eq!(server.get("/chats").bearer(&token).send().json()["total"], json!(0));
}

#[test]
fn an_endless_chunked_body_is_cut_off() {
    let server = Server::start();
    let token = server.account("ann").token;
    let before = server.rss_kib();
    let chunk = ["10000\r\n".as_bytes(), &[b' '; 0x10000], b"\r\n"].concat();
    for (path, token) in [
        ("/chats", Some(token.as_str())),
        ("/chat", None),
        ("/auth/login", None),
        ("/nothing", None),
    ] {
        let mut connection = server.connect();
        connection.send(&post(path, token, "Transfer-Encoding: chunked", ""));
        let sent = (0..1024).take_while(|_| connection.send(&chunk)).count();
        assert!(sent < 512, "{path}: it took {sent} chunks of 64 KiB");
        let (answer, _) = connection.rest(Duration::from_secs(20));
        // The refusal may be lost in the reset that follows it; a success may not be there.
        for reply in parse_replies(&answer).expect("whole replies") {
            assert!(client_error(reply.status), "{path}: {}", reply.text());
        }
    }
    let after = server.rss_kib();
    assert!(
        after < before + 20 * 1024,
        "resident memory went from {before} to {after} KiB"
    );
    server.check_alive();
}

#[test]
fn a_body_that_ends_too_soon_is_never_stored() {
    let server = Server::start();
    let token = server.account("ann").token;
    let body = r#"{"title": "half"}"#;
    for (method, path) in &routes_with_bodies() {
        for framing in [
            format!("Content-Length: {}", body.len() + 1),
            "Content-Length: 70000".to_string(),
            "Transfer-Encoding: chunked".to_string(),
        ] {
            let mut connection = server.connect();
            let body = if framing.starts_with('T') {
                format!("{:x}\r\n{body}\r\n", body.len())
            } else {
                body.to_string()
            };
            connection.send(&sent(method, path, Some(&token), &framing, &body));
            connection.finish_sending();
            let (answer, ending) = connection.rest(Duration::from_secs(20));
            let replies = parse_replies(&answer).expect("whole replies");
            assert!(
                replies.len() <= 1 && replies.iter().all(|reply| client_error(reply.status)),
                "{path} {framing}: {replies:?}"
            );
            assert_ne!(ending, Ending::Open, "{path} {framing}");
        }
    }
    assert_eq!(server.get("/chats").bearer(&token).send().json()["total"], json!(0));
}

#[test]
fn expect_continue_is_answered_when_the_body_is_wanted() {
    let server = Server::start();
    let token = server.account("ann").token;
    let body = r#"{"title": "asked first"}"#;
    let mut connection = server.connect();
    connection.send(&post(
        "/chats",
        Some(&token),
        &format!("Content-Length: {}\r\nExpect: 100-continue", body.len()),
        "",
    ));
    assert_eq!(connection.reply("POST").status, 100);
    connection.send(body.as_bytes());
    assert_eq!(connection.reply("POST").status, 201);
    // A body that will not be read is not asked for.
    for (name, token, length) in [
        ("too large", Some(token.as_str()), 3_000_000_000u64),
        ("not signed in", None, 500_000),
    ] {
        let request = post(
            "/chats",
            token,
            &format!("Content-Length: {length}\r\nExpect: 100-continue"),
            "",
        );
        check_refused(&server, name, &request, client_error);
    }
}

#[test]
fn json_bodies_may_have_one_mebibyte() {
    let server = Server::start();
    let token = server.account("ann").token;
    let body = |size: usize| {
        let frame = r#"{"message":""}"#.len();
        format!(r#"{{"message":"{}"}}"#, "m".repeat(size - frame))
    };
    for size in [65_536, 65_537, 300_000, 1 << 20] {
        let reply = server.post("/chat").bearer(&token).body(body(size)).send();
        assert_eq!(reply.status, 200, "{size} bytes: {}", reply.detail());
        let chat = reply.json()["chat_id"].as_str().expect("an id").to_string();
        let messages = server.messages(&token, &chat);
        assert_eq!(messages[0].1.len(), size - 14, "{size} bytes");
        assert_eq!(messages[1].1, format!("Echo: {}", messages[0].1), "{size} bytes");
    }
    let too_large = json!({"detail": "<filled>"});
    check_shape(
        &server.post("/chat").bearer(&token).body(body((1 << 20) + 1)).send(),
        413,
        &too_large,
    );
    check_shape(
        &server.post("/auth/login").body(body((1 << 20) + 1)).send(),
        413,
        &too_large,
    );
    // What is received into a file is not received for strangers.
    for open in ["/auth/login", "/auth/register", "/auth/session"] {
        let refused = server.post(open).body(body(100_000)).send();
        assert_eq!(refused.status, 413, "{open}");
        assert_ne!(server.post(open).body(body(10_000)).send().status, 413, "{open}");
    }
    let declared = post("/chats", Some(&token), "Content-Length: 1048577", "");
    check_refused(&server, "one byte too many", &declared, |status| status == 413);
    let chunks = format!("100001\r\n{}\r\n0\r\n\r\n", "x".repeat(0x10_0001));
    let mut connection = server.connect();
    connection.send(&post("/chats", Some(&token), "Transfer-Encoding: chunked", &chunks));
    assert_eq!(connection.reply("POST").status, 413);
}
