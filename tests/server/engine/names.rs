//! Which names the server answers to and whose pages may make a browser write here: the `Host` allow-list against DNS
//! rebinding, `Origin` and `Sec-Fetch-Site` against drive-by requests.

use serde_json::json;

use crate::rig::{Launch, Server};

#[track_caller]
fn check_host(server: &Server, host: &str, is_ours: bool) {
    for path in [
        "/health",
        "/",
        "/nothing",
        "/assets/nothing",
        "/chats",
        "/ws",
        "/v1/models",
    ] {
        let status = server.get(path).host(host).send().status;
        let refused = status == 421 || (status == 400 && host.is_empty());
        assert_eq!(refused, !is_ours, "Host: {host} {path}: {status}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_being_told_it_listens_on_this_machine_alone() {
    let server = Server::start();
    let port = format!(":{:04X}", server.address.port());
    let mut listening = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // Where there is no IPv6 there is no second table.
        let table = std::fs::read_to_string(table).unwrap_or_default();
        let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        // The second column is the address here, the fourth the state; 0A is listening.
        let ours = rows.filter(|row| row.len() > 3 && row[3] == "0A" && row[1].ends_with(&port));
        listening.extend(ours.map(|row| row[1].trim_end_matches(&port).to_string()));
    }
    // 127.0.0.1 and ::1, as this table writes them.
    let home = ["0100007F", "00000000000000000000000001000000"];
    assert!(
        !listening.is_empty() && listening.iter().all(|address| home.contains(&address.as_str())),
        "{listening:?}"
    );
}

#[test]
fn only_names_of_this_machine_are_served() {
    let server = Server::start();
    let port = server.address.port();
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .unwrap_or_else(|_| "localhost".into())
        .trim()
        .to_string();
    for host in [
        "localhost",
        "LOCALHOST",
        "fireside.localhost",
        "a.b.localhost",
        "127.0.0.1",
        "127.8.9.10",
        "192.168.1.5",
        "[::1]",
        "[fe80::1]",
        &machine,
        &format!("{machine}.local"),
    ] {
        check_host(&server, host, true);
        check_host(&server, &format!("{host}:{port}"), true);
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io",
        "evillocalhost",
        "1.2.3",
        "chat.lan",
        "",
    ] {
        check_host(&server, host, false);
        check_host(&server, &format!("{host}:{port}"), false);
    }
}

#[test]
fn a_refused_name_gets_no_write_and_no_content() {
    let server = Server::start();
    let body = json!({"email": "eve@evil.example", "password": "x"});
    let reply = server.post("/auth/register").host("evil.example").json(&body).send();
    assert_eq!(reply.status, 421);
    assert!(!reply.detail().is_empty(), "{}", reply.text());
    // Eve did not become the first account.
    assert_eq!(
        server.post("/auth/register").json(&body).send().json()["role"],
        json!("admin")
    );
}

#[test]
fn absolute_targets_are_names_too() {
    let server = Server::start();
    let status = |target: &str, host: &str| server.get(target).host(host).send().status;
    assert_eq!(status("http://localhost/health", "localhost"), 200);
    assert_eq!(
        status(
            &format!("http://127.0.0.1:{}/health", server.address.port()),
            "localhost"
        ),
        200
    );
    assert_eq!(status("http://evil.example/health", "localhost"), 421);
    assert_eq!(status("http://evil.example:80/health", "127.0.0.1"), 421);
    assert_eq!(status("http://localhost@evil.example/health", "localhost") / 100, 4);
    for target in [
        "http://",
        "http:///health",
        "//evil.example/health",
        "evil.example:443",
        "localhost",
    ] {
        assert_eq!(status(target, "localhost") / 100, 4, "{target}");
    }
}

#[test]
fn configured_names_are_served() {
    let server = Launch::new()
        .args(&[
            "--allowed-host",
            "chat.lan",
            "--allowed-host",
            "other.lan",
            "--public-url",
            "https://chat.example.org",
        ])
        .start();
    for (host, is_ours) in [
        ("chat.lan", true),
        ("chat.lan:8000", true),
        ("CHAT.LAN", true),
        ("other.lan", true),
        ("chat.example.org", true),
        ("x.chat.lan", false),
        ("example.org", false),
        ("evil.example", false),
    ] {
        check_host(&server, host, is_ours);
    }
}

/// Sends a write with these headers; it is refused with 403 or gets as far as the handler.
#[track_caller]
fn check_write(server: &Server, headers: &[(&str, &str)], is_refused: bool) {
    let body = json!({"email": "nobody@example.com", "password": "wrong"});
    for (method, path) in [
        ("POST", "/auth/login"),
        ("POST", "/chats"),
        ("PATCH", "/users/me"),
        ("DELETE", "/chats/1"),
        ("DELETE", "/auth/session"),
    ] {
        let call = headers
            .iter()
            .fold(server.call(method, path).json(&body), |call, (name, value)| {
                call.header(name, value)
            });
        let reply = call.send();
        assert_eq!(
            reply.status == 403,
            is_refused,
            "{method} {path} {headers:?}: {} {}",
            reply.status,
            reply.text()
        );
        assert!(!is_refused || !reply.detail().is_empty(), "{}", reply.text());
        assert_eq!(reply.header("Access-Control-Allow-Origin"), None);
    }
}

#[test]
fn foreign_pages_cannot_write() {
    let server = Server::start();
    let origin = server.origin();
    let other_port = format!("http://127.0.0.1:{}", server.address.port().wrapping_add(1).max(1));
    for origin in [
        "http://evil.example",
        "https://evil.example",
        "null",
        "",
        &other_port,
        "http://127.0.0.1",
        "file://",
        &format!("{origin}.evil.example"),
        &format!("{origin}, http://evil.example"),
    ] {
        check_write(&server, &[("Origin", origin)], true);
        check_write(&server, &[("Origin", origin), ("Sec-Fetch-Site", "same-origin")], true);
    }
    check_write(&server, &[("Sec-Fetch-Site", "cross-site")], true);
    check_write(&server, &[("Sec-Fetch-Site", "Cross-Site")], true);
    for headers in [
        vec![],
        vec![("Origin", origin.as_str())],
        vec![("Origin", &origin), ("Sec-Fetch-Site", "same-origin")],
        vec![("Sec-Fetch-Site", "same-origin")],
        vec![("Sec-Fetch-Site", "none")],
    ] {
        check_write(&server, &headers, false);
    }
}

#[test]
fn foreign_pages_may_read_what_is_public_but_get_no_leave_to_see_it() {
    let server = Server::start();
    let reply = server.get("/health").header("Origin", "http://evil.example").send();
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .headers
            .iter()
            .all(|(name, _)| !name.to_ascii_lowercase().starts_with("access-control-")),
        "{:?}",
        reply.headers
    );
}

#[test]
fn the_public_url_is_our_own_origin() {
    let server = Launch::new()
        .args(&["--public-url", "https://chat.example.org"])
        .start();
    let status = |origin: &str| {
        let body = json!({"email": "nobody@example.com", "password": "wrong"});
        server
            .post("/auth/login")
            .host("chat.example.org")
            .header("Origin", origin)
            .json(&body)
            .send()
            .status
    };
    assert_eq!(status("https://chat.example.org"), 401);
    assert_eq!(status("https://chat.example.org.evil.example"), 403);
    assert_eq!(status("https://chat.example.org:8443"), 403);
}
