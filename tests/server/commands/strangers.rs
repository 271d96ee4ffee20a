//! What else may answer than a server that is well: proxies that refuse, and servers that break off or stop half-way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};

use super::{Tool, finish};
use crate::rig::{PATIENCE, TempDir, until};

/// What an export half-way has, and the rest of it.
const HALVES: [&str; 2] = ["{\"whole\": ", "true}"];

/// Answers every request by this, which is told its first line; returns the address.
pub(super) fn answering(mut answer: impl FnMut(&str, &mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut reader = BufReader::new(client.try_clone().expect("a socket"));
            let head: Vec<String> = reader
                .by_ref()
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let length = head.iter().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse().ok())?
            });
            // Closed with anything unread, the answer might not arrive.
            std::io::copy(&mut reader.take(length.unwrap_or(0)), &mut std::io::sink()).ok();
            answer(head.first().map_or("", String::as_str), &mut client);
        }
    });
    url
}

/// Says this to a client, who may be gone: the status and further fields, and a body.
pub(super) fn reply(client: &mut TcpStream, head: &str, body: &str) {
    let length = body.len();
    let text = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    client.write_all(text.as_bytes()).ok();
}

const OURS: &str = "200 OK\r\nX-Request-Id: 1";

/// A server whose exports stop half-way until this is told to go on, or broken off when it is dropped.
fn half_way() -> (String, Sender<()>) {
    let (sender, receiver) = channel();
    let url = answering(move |line, client| {
        if !line.starts_with("GET /export") {
            return reply(client, OURS, "{}");
        }
        let length = HALVES.concat().len();
        let head = format!("HTTP/1.1 {OURS}\r\nContent-Length: {length}\r\n\r\n{}", HALVES[0]);
        client.write_all(head.as_bytes()).ok();
        if receiver.recv().is_ok() {
            client.write_all(HALVES[1].as_bytes()).ok();
        }
    });
    (url, sender)
}

fn visitor() -> Tool {
    Tool::alone().env("FIRESIDE_KEY", "fs-a-key")
}

/// An export that has begun; started by this, if it is anything.
pub(super) fn half_exported(before: &[&str], file: &Path) -> (Child, Sender<()>) {
    let (url, sender) = half_way();
    let program = [env!("CARGO_BIN_EXE_fireside")];
    let file_name = file.display().to_string();
    let words = [before, &program, &["export", &file_name, "--url", &url]].concat();
    let child = visitor().start(Command::new(words[0]).args(&words[1..]));
    let folder = file.parent().expect("a folder");
    until(PATIENCE, "a part is there", || {
        let mut entries = std::fs::read_dir(folder).expect("a folder").flatten();
        entries
            .any(|entry| entry.file_name().to_string_lossy().ends_with(".part"))
            .then_some(())
    });
    (child, sender)
}

#[test]
fn what_is_started_to_ignore_a_hangup_survives_it() {
    let home = TempDir::new();
    let path = home.join("whole.json");
    let (child, server) = half_exported(&["nohup"], &path);
    // Where it is not ignored, the second ends the process at once.
    super::signals::signal(&child, "HUP");
    super::signals::signal(&child, "HUP");
    server.send(()).expect("the server waits");
    let exit = finish(child);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), HALVES.concat());
}

#[test]
fn a_server_that_breaks_off_is_not_taken_for_a_full_disk() {
    let (url, server) = half_way();
    drop(server);
    let tool = visitor();
    let exit = tool.refuses(
        &["export", "-", "--url", &url],
        1,
        &["The server broke off", "try again"],
    );
    assert_eq!(exit.stdout, HALVES[0], "{exit:?}");
    let home = TempDir::new();
    let path = home.join("a.json").display().to_string();
    tool.refuses(
        &["export", &path, "--url", &url],
        1,
        &["a.json", "the server broke off", "try again"],
    );
    assert_eq!(std::fs::read_dir(home.join("")).expect("a folder").count(), 0);
}

#[test]
fn a_proxy_that_lets_nothing_large_through_is_told_and_the_next_file_tried() {
    let home = TempDir::new();
    let paths = ["large.json", "small.json"].map(|name| {
        std::fs::write(home.join(name), "[]").expect("a file");
        home.join(name).display().to_string()
    });
    let mut is_first = true;
    let url = answering(move |line, client| {
        if line.starts_with("POST") && std::mem::take(&mut is_first) {
            return reply(client, "413 Request Entity Too Large", "<html>");
        }
        reply(client, OURS, "{\"source\": \"Claude\"}");
    });
    let words = ["import", &paths[0], &paths[1], "--url", &url];
    let exit = visitor().refuses(&words, 1, &["large.json", "proxy", "client_max_body_size", "max_size"]);
    assert!(!exit.stderr.contains("--max-import"), "{exit:?}");
    assert!(exit.stdout.contains("small.json (Claude)"), "{exit:?}");
}

#[test]
fn a_proxy_that_does_not_reach_its_server_is_no_foreign_server() {
    for (status, code, words) in [
        ("502 Bad Gateway", 3, "start the server"),
        ("503 Service Unavailable", 3, "start the server"),
        ("504 Gateway Timeout", 1, "proxy_read_timeout"),
    ] {
        let url = answering(move |_, client| reply(client, status, "<html>"));
        let exit = visitor().refuses(&["export", "-", "--url", &url], code, &["proxy", words]);
        assert!(!exit.stderr.contains("no Fireside"), "{exit:?}");
    }
}
