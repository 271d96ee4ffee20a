//! Heads that are malformed, too large or of another protocol: one refusal and a closed connection, at once.

use super::framing::{SMUGGLED, check_refused};
use crate::rig::Server;

#[track_caller]
fn check_400(server: &Server, name: &str, bytes: &[u8]) {
    check_refused(server, name, bytes, |status| status == 400);
}

#[test]
fn heads_have_limits() {
    let server = Server::start();
    let fields = |count: usize| (0..count).map(|index| format!("X-{index}: y\r\n")).collect::<String>();
    let request =
        |target: &str, more: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n").into_bytes();
    let mut connection = server.connect();
    connection.send(&request("/health", &fields(90)));
    assert_eq!(connection.reply("GET").status, 200);
    check_refused(&server, "102 fields", &request("/health", &fields(101)), |status| {
        status == 431
    });
    check_refused(&server, "500 fields", &request("/health", &fields(500)), |status| {
        status == 431
    });
    check_refused(
        &server,
        "a field of 20 KiB",
        &request("/health", &format!("X: {}\r\n", "y".repeat(20 << 10))),
        |status| status == 431,
    );
    check_refused(
        &server,
        "a name of 20 KiB",
        &request("/health", &format!("{}: y\r\n", "X".repeat(20 << 10))),
        |status| status == 431,
    );
    check_refused(
        &server,
        "no end in sight",
        format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}", "y".repeat(20 << 10)).as_bytes(),
        |status| status == 431,
    );
    check_refused(
        &server,
        "a target of 20 KiB",
        &request(&format!("/{}", "a".repeat(20 << 10)), ""),
        |status| status == 414,
    );
    check_refused(
        &server,
        "a query of 20 KiB",
        &request(&format!("/health?{}", "a".repeat(20 << 10)), ""),
        |status| status == 414,
    );
    server.check_alive();
}

#[test]
fn malformed_heads_are_refused_once() {
    let server = Server::start();
    let get = |more: &str| format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{more}\r\n{SMUGGLED}").into_bytes();
    let cases: &[(&str, Vec<u8>)] = &[
        ("a folded line", get("X: a\r\n b\r\n")),
        ("a line folded with a tab", get("X: a\r\n\tb\r\n")),
        (
            "the first line folded",
            format!("GET /health HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n{SMUGGLED}").into_bytes(),
        ),
        ("a bare CR in a value", get("X: a\rb\r\n")),
        ("a bare CR before the end of a line", get("X: a\r\r\n")),
        ("a bare LF as a line end", get("X: a\nY: b\r\n")),
        ("a space before the colon", get("X : a\r\n")),
        ("a tab before the colon", get("X\t: a\r\n")),
        ("no colon", get("X\r\n")),
        ("no name", get(": a\r\n")),
        ("NUL in a value", get("X: a\0b\r\n")),
        ("NUL in a name", get("X\0: a\r\n")),
        ("a control byte in a value", get("X: a\u{1}b\r\n")),
        ("DEL in a value", get("X: a\u{7f}b\r\n")),
        ("a name with a slash", get("X/Y: a\r\n")),
        ("a name that is not ASCII", get("Ünï: a\r\n")),
        (
            "NUL in the target",
            format!("GET /hea\0lth HTTP/1.1\r\nHost: localhost\r\n\r\n{SMUGGLED}").into_bytes(),
        ),
        (
            "a control byte in the target",
            format!("GET /hea\u{1}lth HTTP/1.1\r\nHost: localhost\r\n\r\n{SMUGGLED}").into_bytes(),
        ),
        (
            "a space in the target",
            format!("GET /hea lth HTTP/1.1\r\nHost: localhost\r\n\r\n{SMUGGLED}").into_bytes(),
        ),
        (
            "a method with a control byte",
            format!("G\u{1}T /health HTTP/1.1\r\nHost: localhost\r\n\r\n{SMUGGLED}").into_bytes(),
        ),
        (
            "no method",
            format!(" /health HTTP/1.1\r\nHost: localhost\r\n\r\n{SMUGGLED}").into_bytes(),
        ),
        (
            "no target",
            format!("GET HTTP/1.1\r\nHost: localhost\r\n\r\n{SMUGGLED}").into_bytes(),
        ),
        ("two Host", get("Host: localhost\r\n")),
        ("garbage", b"\x80\x81\x82\x83 /health\r\n\r\n".to_vec()),
    ];
    for (name, bytes) in cases {
        check_400(&server, name, bytes);
    }
    server.check_alive();
}

#[test]
fn other_protocols_are_refused() {
    let server = Server::start();
    let not_ours = |status: u16| status == 400 || status == 505;
    let get = |version: &str| format!("GET /health {version}\r\nHost: localhost\r\n\r\n{SMUGGLED}").into_bytes();
    check_refused(
        &server,
        "the HTTP/2 preface",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        not_ours,
    );
    for version in [
        "HTTP/3.0",
        "HTTP/2.0",
        "HTTP/1.2",
        "HTTP/0.9",
        "HTTP/1.10",
        "HTTP/11.1",
        "http/1.1",
        "HTTP/1",
        "FTP/1.1",
    ] {
        check_refused(&server, version, &get(version), not_ours);
    }
    check_refused(&server, "HTTP/0.9", b"GET /health\r\n\r\n", not_ours);
    let hello = [&[0x16, 3, 1, 0, 0xf4, 1, 0, 0, 0xf0, 3, 3][..], &[7; 233]].concat();
    check_refused(&server, "a TLS hello", &hello, not_ours);
    let missing = b"GET /health HTTP/1.1\r\n\r\n";
    check_refused(&server, "no Host", missing, |status| status == 400 || status == 421);
}
