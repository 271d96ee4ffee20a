//! `fireside doctor`.

mod proxies;

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::SystemTime;

use serde_json::Value;

use super::{Tool, finish_within};
use crate::rig::{Exit, Launch, PATIENCE, Server, Upstream};

/// Runs it; returns how it ended, and the state of each check by name.
#[track_caller]
fn examine(tool: &Tool, words: &[&str]) -> (Exit, Vec<(String, String)>) {
    // It waits for a sign of life, which comes after 15 seconds.
    let exit = finish_within(tool.spawn(&[&["doctor", "--json"], words].concat()), 3 * PATIENCE);
    assert!(!exit.stderr.contains("panicked"), "{exit:?}");
    let found: Value = serde_json::from_str(&exit.stdout).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let states = found.as_array().expect("a list").iter();
    let states = states
        .map(|finding| (text(&finding["check"]), text(&finding["state"])))
        .collect();
    (exit, states)
}

#[track_caller]
fn check_state(found: &(Exit, Vec<(String, String)>), check: &str, state: &str) {
    let one = found.1.iter().find(|(name, _)| name == check);
    assert_eq!(
        one.map(|(_, state)| state.as_str()),
        Some(state),
        "{check}: {}",
        found.0.stdout
    );
}

#[test]
fn an_empty_folder_is_no_illness_and_stays_empty() {
    let tool = Tool::alone();
    let found = examine(&tool, &[]);
    assert_eq!(found.0.code, Some(0), "{:?}", found.0);
    check_state(&found, "database", "ok");
    assert!(!tool.data().exists());
}

#[test]
fn a_healthy_server_and_its_providers() {
    let upstream = Upstream::start();
    let launch = Launch::new()
        .env("OPENAI_BASE_URL", &upstream.url())
        .env("OPENAI_API_KEY", Upstream::KEY);
    let server = launch.start();
    server.account("ann");
    let found = examine(&Tool::beside(&launch), &["--public-url", &server.origin()]);
    assert_eq!(found.0.code, Some(0), "{:?}", found.0);
    for check in [
        "data folder",
        "permissions",
        "secret",
        "clock",
        "database",
        "port",
        "provider openai",
        "public address",
        "streams",
        "silent streams",
        "X-Forwarded-For",
        "WebSockets",
        "uploads",
    ] {
        check_state(&found, check, "ok");
    }
    assert!(!found.0.stdout.contains(Upstream::KEY));
    // The same for people, and without a server.
    drop(server);
    let tool = Tool::beside(&launch)
        .env("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
        .env("OPENAI_API_KEY", Upstream::KEY);
    let exit = tool.run(&["doctor"]);
    assert_eq!(exit.code, Some(1), "{exit:?}");
    assert!(
        exit.stdout
            .contains("\nfail  provider openai: http://127.0.0.1:1/v1 is down"),
        "{exit:?}"
    );
    assert!(exit.stdout.contains("\nok    database: whole; schema "), "{exit:?}");
}

#[test]
fn what_is_wrong_is_named() {
    let tool = Tool::alone();
    tool.add("ann");
    let secret = tool.data().join("secret");
    std::fs::write(&secret, "short").expect("a file");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o644)).expect("a mode");
    let found = examine(&tool, &[]);
    assert_eq!(found.0.code, Some(1));
    check_state(&found, "permissions", "fail");
    check_state(&found, "secret", "fail");
    assert!(found.0.stdout.contains("chmod go-rwx"), "{}", found.0.stdout);

    let tool = Tool::alone();
    tool.add("ann");
    let database = tool.data().join("fireside.db");
    let mut bytes = std::fs::read(&database).expect("a database");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xff);
    std::fs::write(&database, &bytes).expect("a file");
    let found = examine(&tool, &[]);
    check_state(&found, "database", "fail");
    assert_eq!(
        std::fs::read(&database).expect("a database"),
        bytes,
        "it was looked at, not touched"
    );
    std::fs::write(
        &database,
        "something else, and long enough to be taken for a database that is not ours",
    )
    .expect("a file");
    check_state(&examine(&tool, &[]), "database", "fail");
}

/// Whoever opens a database of another user's leaves files there that this user cannot write to.
#[test]
fn another_users_folder_is_left_alone() {
    let tool = Tool::alone();
    tool.add("ann");
    let files = || -> BTreeMap<PathBuf, SystemTime> {
        let entries = std::fs::read_dir(tool.data()).expect("a folder");
        let entries = entries.map(|entry| entry.expect("an entry"));
        let is_database = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with("fireside.db");
        let changed = |entry: DirEntry| {
            let about = entry.metadata().expect("a file");
            (entry.path(), about.modified().expect("a time"))
        };
        entries.filter(is_database).map(changed).collect()
    };
    let backup = format!("{}.backup", tool.data().display());
    tool.does(&["backup", &backup]);
    let before = files();
    if std::os::unix::fs::chown(tool.data(), Some(12_345), None).is_err() {
        eprintln!("skipped: only root can give a folder away");
        return;
    }
    let found = examine(&tool, &[]);
    check_state(&found, "permissions", "warn");
    check_state(&found, "database", "warn");
    tool.refuses(&["ask", "hi"], 3, &["is another user's", "run this as that user"]);
    tool.refuses(
        &["restore", "--replace", &backup],
        1,
        &["is another user's", "as that user"],
    );
    assert_eq!(files(), before);
}

/// Whoever answers at a public address may be anybody: an administrator's token is for this server alone.
#[test]
fn a_stranger_is_sent_no_token() {
    let server = Server::start();
    server.account("ann");
    let tool = Tool::beside(server.launch());
    for field in ["", "X-Request-Id: 00000000-000001\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (heads, heard) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|count| count == 1) {
                    head.push(byte[0]);
                }
                // The test may be over.
                heads.send(String::from_utf8_lossy(&head).to_ascii_lowercase()).ok();
                let reply = format!("HTTP/1.1 200 OK\r\n{field}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}");
                client.write_all(reply.as_bytes()).ok();
            }
        });
        let found = examine(&tool, &["--public-url", &url]);
        check_state(&found, "public address", "fail");
        let heads: Vec<String> = heard.try_iter().collect();
        assert!(!heads.is_empty());
        assert!(
            heads
                .iter()
                .all(|head| !head.contains("authorization") && !head.contains("cookie")),
            "{heads:?}"
        );
    }
}

#[test]
fn a_port_that_another_program_has() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let tool = Tool::alone().env("FIRESIDE_PORT", &port);
    check_state(&examine(&tool, &[]), "port", "warn");
}

/// A proxy that does everything wrong: it waits for the whole of a reply, knows no upgrades and no large bodies.
fn bad_proxy(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // The test may be over.
            pass_badly(client, server).ok();
        }
    });
    address
}

fn pass_badly(mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let field = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let length: u64 = field("content-length")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    if length > 1024 * 1024 {
        // As nginx does: the body is not read.
        client.write_all(b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        std::io::copy(&mut client.take(length), &mut std::io::sink())?;
        return Ok(());
    }
    let is_kept = |line: &&str| {
        let line = line.to_ascii_lowercase();
        !line.starts_with("connection:") && !line.starts_with("upgrade:")
    };
    let kept: Vec<&str> = head.trim_end().lines().filter(is_kept).collect();
    let mut upstream = TcpStream::connect(server)?;
    write!(upstream, "{}\r\nConnection: close\r\n\r\n", kept.join("\r\n"))?;
    std::io::copy(&mut (&mut client).take(length), &mut upstream)?;
    let mut reply = Vec::new();
    upstream.read_to_end(&mut reply)?;
    client.write_all(&reply)
}

#[test]
fn a_bad_proxy_is_found_out() {
    let server = Server::start();
    server.account("ann");
    let tool = Tool::beside(server.launch());
    let url = format!("http://{}", bad_proxy(server.address));
    let found = examine(&tool, &["--public-url", &url]);
    assert_eq!(found.0.code, Some(1));
    check_state(&found, "public address", "ok");
    for check in ["streams", "WebSockets", "uploads"] {
        check_state(&found, check, "fail");
    }
    for line in ["proxy_buffering off", "$http_upgrade", "client_max_body_size"] {
        assert!(found.0.stdout.contains(line), "no {line} in {}", found.0.stdout);
    }
    check_state(
        &examine(&tool, &["--public-url", "http://127.0.0.1:1"]),
        "public address",
        "fail",
    );
    let other = Server::start();
    check_state(
        &examine(&tool, &["--public-url", &other.origin()]),
        "public address",
        "fail",
    );
}
