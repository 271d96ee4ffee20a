//! One request that two readers could take for two: behind a proxy the second would be somebody else's. Whatever is sent,
//! what was hidden in a body is never answered, and an ambiguous request is refused once and its connection closed.

use std::time::Duration;

use fireside::api;
use serde_json::json;

use super::framing::{SMUGGLED, check_refused};
use crate::rig::{Ending, PATIENCE, Server, crowd, parse_replies, until};

/// Says that a hidden `GET /health` was answered.
const FOUND: &str = "{\"status\":\"healthy\"";

/// Heads that two readers could end differently, without the first line and `Host`. What is hidden follows.
const AMBIGUOUS: &[(&str, &str)] = &[
    (
        "CL.TE",
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    ),
    ("TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2c\r\n"),
    ("CL.0", "Content-Length: 0\r\nContent-Length: 44\r\n\r\n"),
    ("two that agree", "Content-Length: 44\r\nContent-Length: 44\r\n\r\n"),
    ("a list", "Content-Length: 0, 44\r\n\r\n"),
    ("a sign", "Content-Length: +44\r\n\r\n"),
    ("minus nothing", "Content-Length: -0\r\n\r\n"),
    ("hexadecimal", "Content-Length: 0x2c\r\n\r\n"),
    ("a fraction", "Content-Length: 44.0\r\n\r\n"),
    ("an underscore", "Content-Length: 4_4\r\n\r\n"),
    ("a space between digits", "Content-Length: 4 4\r\n\r\n"),
    ("a vertical tab", "Content-Length: 44\u{b}\r\n\r\n"),
    ("NUL behind the digits", "Content-Length: 44\0\r\n\r\n"),
    ("digits of another script", "Content-Length: \u{664}\u{664}\r\n\r\n"),
    ("nothing", "Content-Length:\r\n\r\n"),
    ("beyond 64 bits", "Content-Length: 18446744073709551660\r\n\r\n"),
    ("a space before the colon", "Content-Length : 44\r\n\r\n"),
    ("a folded length", "Content-Length:\r\n 44\r\n\r\n"),
    ("a folded name", "X: y\r\n Content-Length: 44\r\n\r\n"),
    ("a bare CR in the name", "Content\r-Length: 44\r\n\r\n"),
    ("a bare LF before the length", "X: y\nContent-Length: 44\r\n\r\n"),
    ("a bare CR before the length", "X: y\rContent-Length: 44\r\n\r\n"),
    ("a head that ends with LF LF", "X: y\n\n"),
    ("a head that ends with CR LF LF", "X: y\r\n\n"),
    ("a head that ends with LF CR LF", "X: y\n\r\n"),
    ("TE.TE, unknown", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("TE.TE, cut", "Transfer-Encoding: chunke\r\n\r\n0\r\n\r\n"),
    (
        "TE.TE, twice",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE.TE, the other first",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("TE.TE, a list", "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    (
        "TE.TE, another list",
        "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    ),
    ("TE.TE, an empty item", "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
    ("TE.TE, a parameter", "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"),
    ("TE.TE, quoted", "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    (
        "TE.TE, a vertical tab",
        "Transfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
    ),
    ("TE.TE, a form feed", "Transfer-Encoding: chunked\u{c}\r\n\r\n0\r\n\r\n"),
    ("TE.TE, NUL", "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n"),
    (
        "TE.TE, a no-break space",
        "Transfer-Encoding: \u{a0}chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE.TE, a capital of another script",
        "Transfer-Encoding: \u{212a}chunked\r\n\r\n0\r\n\r\n",
    ),
    ("TE.TE, folded", "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    (
        "TE.TE, in a folded line",
        "X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE.TE, a space before the colon",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    ("TE.TE, a bare LF", "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (
        "TE.TE, a bare LF in the name",
        "Transfer-Encoding\n: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("TE.TE, nothing", "Transfer-Encoding:\r\n\r\n0\r\n\r\n"),
    ("TE.TE, identity", "Transfer-Encoding: identity\r\n\r\n"),
    (
        "TE.TE, with an HTTP/2 length",
        "Transfer-Encoding: chunked\r\nContent-Length: 44\r\n\r\n0\r\n\r\n",
    ),
    ("NUL in a name", "Con\0tent-Length: 44\r\n\r\n"),
    ("0x80 in a name", "Content-Length\u{80}: 44\r\n\r\n"),
    ("a comma in a name", "Content-Length,: 44\r\n\r\n"),
    ("a bracket in a name", "Content[Length]: 44\r\n\r\n"),
    ("no name", ": 44\r\n\r\n"),
    ("a line without a colon", "Content-Length 44\r\n\r\n"),
    ("a second request line", "GET /health HTTP/1.1\r\n\r\n"),
    ("two hosts", "Host: evil.example\r\n\r\n"),
    ("a host in another case", "hOST: localhost\r\n\r\n"),
];

/// Bodies in chunks that two readers could end differently.
const CHUNKS: &[(&str, &str)] = &[
    ("a sign", "+5\r\nhello\r\n0\r\n\r\n"),
    ("minus", "-5\r\nhello\r\n0\r\n\r\n"),
    ("0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a space before", " 5\r\nhello\r\n0\r\n\r\n"),
    ("a space behind", "5 \r\nhello\r\n0\r\n\r\n"),
    ("a tab behind", "5\t\r\nhello\r\n0\r\n\r\n"),
    ("NUL behind", "5\0\r\nhello\r\n0\r\n\r\n"),
    ("an underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
    ("digits of another script", "\u{665}\r\nhello\r\n0\r\n\r\n"),
    ("seventeen digits", "00000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("a bare LF behind the size", "5\nhello\r\n0\r\n\r\n"),
    ("a bare CR behind the size", "5\rhello\r\n0\r\n\r\n"),
    ("a bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n"),
    ("a bare CR in an extension", "5;a\r\rhello\r\n0\r\n\r\n"),
    ("NUL in an extension", "5;a=\0\r\nhello\r\n0\r\n\r\n"),
    ("an endless extension", "5;"),
    ("a bare LF behind the data", "5\r\nhello\n0\r\n\r\n"),
    ("nothing behind the data", "5\r\nhello0\r\n\r\n"),
    ("more data than was said", "5\r\nhello!\r\n0\r\n\r\n"),
    ("an empty size", "\r\n\r\n"),
    ("a bare LF at the end", "0\r\n\n"),
    ("LF LF at the end", "0\n\n"),
    ("a bare LF in a trailer", "0\r\nX: y\n\r\n"),
    ("NUL in a trailer", "0\r\nX: \0\r\n\r\n"),
];

/// Bodies that are right, if strange: all of it belongs to the one request.
const WHOLE: &[(&str, &str)] = &[
    ("a length with zeros before it", "Content-Length: 00000002\r\n\r\n{}"),
    ("space around a length", "Content-Length: \t 2 \t\r\n\r\n{}"),
    (
        "chunks",
        "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    ),
    ("another case", "tRANSFER-eNCODING: CHUNKED\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    (
        "space around chunked",
        "Transfer-Encoding: \t chunked \t\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ),
    (
        "extensions",
        "Transfer-Encoding: chunked\r\n\r\n2;a=b;c=\"d;e\"\r\n{}\r\n0;x\r\n\r\n",
    ),
    (
        "trailers",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nContent-Length: 44\r\nTransfer-Encoding: x\r\nHost: evil\r\n\r\n",
    ),
    (
        "sixteen digits",
        "Transfer-Encoding: chunked\r\n\r\n0000000000000002\r\n{}\r\n0\r\n\r\n",
    ),
];

fn request(method: &str, path: &str, rest: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{rest}").into_bytes()
}

#[test]
fn what_two_readers_would_read_differently_is_refused() {
    let server = Server::start();
    let refused = |status: u16| (400..500).contains(&status) || status == 501;
    for (name, rest) in AMBIGUOUS {
        for (method, path) in [
            ("POST", "/auth/login"),
            ("GET", "/health"),
            ("DELETE", "/auth/session"),
            ("POST", "/nothing"),
        ] {
            let bytes = [request(method, path, rest), SMUGGLED.into()].concat();
            let reply = check_refused(&server, &format!("{method} {path} {name}"), &bytes, refused);
            assert!(!reply.text().contains(FOUND), "{name}");
        }
    }
    for (name, body) in CHUNKS {
        let padding = if body.ends_with(';') {
            "a".repeat(70_000)
        } else {
            String::new()
        };
        for path in ["/auth/login", "/chats", "/nothing"] {
            let head = request("POST", path, "Transfer-Encoding: chunked\r\n\r\n");
            let bytes = [&head, body.as_bytes(), padding.as_bytes(), SMUGGLED.as_bytes()].concat();
            check_refused(&server, &format!("{path} {name}"), &bytes, refused);
        }
    }
    server.check_alive();
}

#[test]
fn a_strange_but_whole_body_is_one_body() {
    let server = Server::start();
    let token = server.account("ann").token;
    for (name, rest) in WHOLE {
        let mut connection = server.connect();
        let signed = format!("Authorization: Bearer {token}\r\n{rest}");
        connection.send(&[request("POST", "/chats", &signed), server.get("/next").bytes()].concat());
        assert_eq!(connection.reply("POST").status, 201, "{name}");
        // What follows is the next request, and nothing was lost or found between the two.
        assert_eq!(connection.reply("GET").json(), json!({"detail": "Not Found"}), "{name}");
    }
}

#[test]
fn what_is_looked_for_can_be_found() {
    let server = Server::start();
    assert!(server.get("/health").send().text().contains(FOUND));
}

/// A reply before the body was looked at, to whoever may not or where nothing is: the body is read over all the same, or
/// the connection ends.
#[test]
fn what_is_hidden_in_a_body_is_never_answered() {
    let server = Server::start();
    let hidden = SMUGGLED.repeat(1600);
    let mut served = 0;
    let routes = api::routes().map(|route| (route.method, route.path.replace("...}", "}")));
    let others = [
        ("GET", "/nothing".to_owned()),
        ("PUT", "/health".to_owned()),
        ("BREW", "/chats".to_owned()),
    ];
    for (method, path) in routes.chain(others) {
        let path = path
            .split('/')
            .map(|part| if part.starts_with('{') { "1" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        if path == "/health" && method == "GET" {
            continue;
        }
        for body in [SMUGGLED, hidden.as_str()] {
            for framing in [
                format!("Content-Length: {}\r\n\r\n{body}", body.len()),
                format!(
                    "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                ),
            ] {
                let mut connection = server.connect();
                connection.send(&[request(method, &path, &framing), server.get("/next").bytes()].concat());
                connection.finish_sending();
                let (answer, ending) = connection.rest(PATIENCE);
                let at = format!("{method} {path} with {} bytes", body.len());
                assert_ne!(ending, Ending::Open, "{at}");
                let text = String::from_utf8_lossy(&answer).into_owned();
                assert!(!text.contains(FOUND), "{at}: {text}");
                // Its end may be lost in a reset.
                let replies = parse_replies(&answer).unwrap_or_default();
                assert!(replies.len() <= 2, "{at}: {text}");
                served += replies.len();
            }
        }
    }
    assert!(served > 300, "only {served} replies came");
    server.check_alive();
}

/// No other protocol is spoken on a connection than the one that it began with.
#[test]
fn nobody_is_led_to_another_protocol() {
    let server = Server::start();
    for upgrade in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ] {
        let mut connection = server.connect();
        connection.send(
            &[
                request("GET", "/health", &format!("{upgrade}\r\n")),
                server.get("/next").bytes(),
            ]
            .concat(),
        );
        assert_eq!(connection.reply("GET").status, 200, "{upgrade}");
        assert_eq!(connection.reply("GET").status, 404, "{upgrade}");
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let bytes = [preface, SMUGGLED.as_bytes()].concat();
    check_refused(&server, "the HTTP/2 preface and a frame", &bytes, |status| {
        status == 505 || status == 400
    });
    // A method that opens a tunnel elsewhere opens none here.
    for target in ["localhost:22", "127.0.0.1:22", "/health"] {
        let mut connection = server.connect();
        connection.send(format!("CONNECT {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        connection.finish_sending();
        let status = connection.reply("CONNECT").status;
        assert!((400..500).contains(&status), "{target}: {status}");
    }
}

/// A hundred at once, gone before they are accepted, in the middle of a head, or behind a request.
#[test]
fn crowds_that_leave_at_once_leave_nothing_behind() {
    let server = Server::start();
    let token = server.account("ann").token;
    let _turn = crowd();
    let (descriptors, threads) = (server.descriptors(), server.threads());
    let whole = server.get("/chats").bearer(&token).bytes();
    for round in 0..6 {
        let mut burst: Vec<_> = (0..100).map(|_| server.connect()).collect();
        for (number, connection) in burst.iter_mut().enumerate() {
            match (number + round) % 4 {
                0 => {}
                1 => drop(connection.send(&whole[..20])),
                2 => drop(connection.send(&whole)),
                _ => drop(connection.send(&whole.repeat(20))),
            }
        }
        burst.into_iter().for_each(crate::rig::Connection::reset);
        server.check_alive();
    }
    until(
        Duration::from_secs(30),
        "descriptors and threads are given back",
        || (server.descriptors() <= descriptors + 2 && server.threads() <= threads + 2).then_some(()),
    );
}
