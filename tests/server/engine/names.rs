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
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:0:0:1]",
        "localhost.",
        "LocalHost.",
        "127.0.0.1.",
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
        // This machine in spellings that no browser sends, and names that only look like it.
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.1",
        "::1",
        "[::1].evil.example",
        "[::1]evil.example",
        "[127.0.0.1]",
        "[[::1]]",
        "[::1%25lo]",
        "[::1%lo]",
        "[::1",
        "::1]",
        "[]",
        "localhost..",
        ".localhost.evil.example",
        "localhost.localdomain",
        "localhost%00.evil.example",
        "localhost%2eevil.example",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost,evil.example",
        "localhost evil.example",
        "localhost/evil.example",
        "localhost\\evil.example",
        "localhost#evil.example",
        "localhost?evil.example",
        "evil.example#localhost",
        "http://localhost",
        "l\u{43e}calhost",
        "\u{ff4c}ocalhost",
        "\u{2460}27.0.0.1",
        "localhost\u{3002}",
        "xn--localhost-",
        "%6c%6f%63%61%6c%68%6f%73%74",
        "*",
        "*.localhost.evil.example",
        "0",
    ] {
        check_host(&server, host, false);
        check_host(&server, &format!("{host}:{port}"), false);
    }
}

/// A port is digits; what else stands behind the colon is no port, and the whole no name of ours.
#[test]
fn ports_are_digits() {
    let server = Server::start();
    for host in [
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "[::1]:1",
        "127.0.0.1:00080",
    ] {
        check_host(&server, host, true);
    }
    for host in [
        "localhost:80:80",
        "localhost:evil.example",
        "localhost:80evil",
        "localhost: 80",
        "localhost:-1",
        "[::1]:x",
        "127.0.0.1:80.evil.example",
        "::1:80",
    ] {
        check_host(&server, host, false);
    }
}

/// Which of two names is meant, a proxy may see differently.
#[test]
fn two_names_are_none() {
    let server = Server::start();
    for (first, second) in [
        ("localhost", "evil.example"),
        ("evil.example", "localhost"),
        ("localhost", "localhost"),
        ("localhost", ""),
    ] {
        let reply = server.get("/health").host(first).header("hoSt", second).send();
        assert_eq!(reply.status, 400, "{first} and {second}");
    }
    for target in [
        "http://localhost/health",
        "http://127.0.0.1/health",
        "HTTP://[::1]:1/health",
    ] {
        assert_eq!(server.get(target).host("evil.example").send().status, 421, "{target}");
        assert_eq!(server.get(target).host("localhost").send().status, 200, "{target}");
    }
    for target in [
        "http://evil.example/health",
        "https://evil.example/health",
        "http://[::1].evil.example/health",
        "http://localhost.evil.example/health",
        "http://evil.example@localhost/health",
        "http://2130706433/health",
    ] {
        assert_eq!(server.get(target).host("localhost").send().status, 421, "{target}");
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
        "file:///etc/passwd",
        "about:blank",
        "data:text/html,x",
        "blob:http://127.0.0.1/x",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "http://localhost.evil.example",
        "http://evil.example#127.0.0.1",
        "*",
        &format!("{origin}/"),
        &format!("{origin}/path"),
        &format!("{origin}0"),
        &format!("{origin}#"),
        &format!("{origin}@evil.example"),
        &format!(" {origin} http://evil.example"),
        &format!("http://sub.{}", &origin[7..]),
        &format!("http://evil.example@{}", &origin[7..]),
        &format!("http://localhost:{}", server.address.port()),
        &format!("http://[::1]:{}", server.address.port()),
        &format!("http://2130706433:{}", server.address.port()),
        &origin[7..],
        &format!("//{}", &origin[7..]),
        &format!("{origin}.evil.example"),
        &format!("{origin}, http://evil.example"),
    ] {
        check_write(&server, &[("Origin", origin)], true);
        check_write(&server, &[("Origin", origin), ("Sec-Fetch-Site", "same-origin")], true);
    }
    check_write(&server, &[("Sec-Fetch-Site", "cross-site")], true);
    check_write(&server, &[("Sec-Fetch-Site", "Cross-Site")], true);
    // A form that another site's page submits for a visitor who clicks.
    let form = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-User", "?1"),
    ];
    check_write(&server, &form, true);
    check_write(
        &server,
        &[("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Site", "cross-site")],
        true,
    );
    // The second does not mend the first.
    check_write(&server, &[("Origin", "http://evil.example"), ("Origin", &origin)], true);
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

/// A page that asks first, for a browser that guards the local network or for any, gets no leave.
#[test]
fn preflights_give_no_leave() {
    let server = Server::start();
    let routes = fireside::api::routes().map(|route| (route.method, route.path));
    for (method, path) in routes.chain([("POST", "/nothing")]) {
        let asked = server
            .call("OPTIONS", path)
            .header("Origin", "http://evil.example")
            .header("Access-Control-Request-Method", method)
            .header("Access-Control-Request-Headers", "authorization,content-type")
            .header("Access-Control-Request-Private-Network", "true")
            .header("Access-Control-Request-Local-Network", "true");
        let reply = asked.send();
        assert!((400..500).contains(&reply.status), "{method} {path}: {}", reply.status);
        let given = reply
            .headers
            .iter()
            .find(|(name, _)| name.to_ascii_lowercase().starts_with("access-control-"));
        assert_eq!(given, None, "{method} {path}");
    }
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
