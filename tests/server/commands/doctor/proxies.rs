//! Proxies that do one thing wrong, and what doctor says of each.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::super::Tool;
use super::{check_state, examine};
use crate::rig::{Launch, Server};

/// What a proxy does to what passes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Says for whom it asks, and all else as it should.
    Forwards,
    /// Ends what is silent for a few seconds.
    Hasty,
    /// Lets WebSockets open, and passes nothing that a client says on them.
    Deaf,
    /// Answers handshakes as if to somebody else.
    Confused,
}

/// Starts one; returns its address.
fn proxy(server: SocketAddr, manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // The test may be over.
            thread::spawn(move || pass(client, server, manner).ok());
        }
    });
    url
}

fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// One request, with the connections on both sides for itself.
fn pass(mut client: TcpStream, server: SocketAddr, manner: Manner) -> io::Result<()> {
    let head = read_head(&mut client)?;
    let is_socket = head.to_ascii_lowercase().contains("upgrade: websocket");
    let mut upstream = TcpStream::connect(server)?;
    let close = if is_socket { "" } else { "Connection: close\r\n" };
    let forwarded = match manner {
        Manner::Forwards => "X-Forwarded-For: 203.0.113.9\r\n",
        _ => "",
    };
    write!(upstream, "{}\r\n{close}{forwarded}\r\n", head.trim_end())?;
    let (mut from, mut to) = (client.try_clone()?, upstream.try_clone()?);
    if !(is_socket && manner == Manner::Deaf) {
        thread::spawn(move || io::copy(&mut from, &mut to));
    }
    let mut reply = read_head(&mut upstream)?;
    if is_socket && manner == Manner::Confused {
        reply = reply.replace("Accept: ", "Accept: x");
    }
    client.write_all(reply.as_bytes())?;
    if manner == Manner::Hasty {
        upstream.set_read_timeout(Some(Duration::from_secs(4)))?;
    }
    let ended = io::copy(&mut upstream, &mut client);
    client.shutdown(Shutdown::Both)?;
    ended.map(drop)
}

/// Whether a check is in this state behind such a proxy, with these words.
#[track_caller]
fn check(manner: Manner, checks: &[(&str, &str)], words: &str) {
    let server = Server::start();
    server.account("ann");
    let url = proxy(server.address, manner);
    let found = examine(&Tool::beside(server.launch()), &["--public-url", &url]);
    for (check, state) in checks {
        check_state(&found, check, state);
    }
    assert!(found.0.stdout.contains(words), "no {words:?} in {}", found.0.stdout);
}

#[test]
fn one_that_ends_what_is_silent() {
    let checks = [("streams", "ok"), ("silent streams", "fail"), ("uploads", "ok")];
    check(Manner::Hasty, &checks, "proxy_read_timeout");
}

#[test]
fn one_that_passes_no_frames() {
    let checks = [("WebSockets", "fail"), ("streams", "ok")];
    check(Manner::Deaf, &checks, "they open, but no frame comes back");
}

#[test]
fn one_that_answers_handshakes_wrongly() {
    let checks = [("WebSockets", "fail"), ("uploads", "ok")];
    check(Manner::Confused, &checks, "they do not open");
}

/// Whoever asks through a proxy that is not trusted counts as that proxy.
#[test]
fn one_that_says_for_whom_it_asks() {
    let all = |state| {
        let sound = ["WebSockets", "uploads", "streams", "silent streams"];
        let mut checks: Vec<(&str, &str)> = sound.into_iter().map(|check| (check, "ok")).collect();
        checks.push(("X-Forwarded-For", state));
        checks
    };
    check(Manner::Forwards, &all("warn"), "--trusted-proxy 127.0.0.1");
    let server = Launch::new().args(&["--trusted-proxy", "127.0.0.1"]).start();
    // A server behind a proxy lets nobody make an account.
    let tool = Tool::beside(server.launch());
    tool.add("ann");
    let found = examine(&tool, &["--public-url", &proxy(server.address, Manner::Forwards)]);
    for (check, state) in all("ok") {
        check_state(&found, check, state);
    }
    // Straight past the proxy: as from one that does not say it.
    check_state(
        &examine(&tool, &["--public-url", &server.origin()]),
        "X-Forwarded-For",
        "warn",
    );
}
