//! Stopping: what is in flight is served, what is new is refused, and a second signal does not wait.

use std::time::Duration;

use serde_json::json;

use crate::rig::{Launch, PATIENCE, Server, Upstream, until};

fn with_upstream(upstream: &Upstream) -> Server {
    Launch::new()
        .env("OPENAI_BASE_URL", &upstream.url())
        .env("OPENAI_API_KEY", Upstream::KEY)
        .args(&["--default-model", "fake"])
        .start()
}

#[test]
fn signals_end_an_idle_server() {
    for name in ["TERM", "INT"] {
        let server = Server::start();
        let idle = server.connect();
        server.signal(name);
        let mut server = server;
        let exit = server.wait(Duration::from_secs(10));
        assert_eq!(exit.code, Some(0), "SIG{name}: {}", exit.stderr);
        drop(idle);
    }
}

#[test]
fn a_request_in_flight_is_served_before_the_end() {
    let upstream = Upstream::start();
    let mut server = with_upstream(&upstream);
    let account = server.account("ann");
    let mut connection = server.connect();
    connection.send(
        &server
            .post("/chat")
            .bearer(&account.token)
            .json(&json!({"message": "wait for me", "model": "fake-hold"}))
            .bytes(),
    );
    upstream.wait_for(1);
    server.signal("TERM");
    let address = server.address;
    until(
        PATIENCE,
        "new connections are refused",
        || match std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            Ok(late) => {
                // It may still be in the backlog of a socket that is being closed, but nobody serves it.
                late.set_read_timeout(Some(Duration::from_millis(50)))
                    .expect("a timeout");
                None
            }
            Err(_) => Some(()),
        },
    );
    upstream.release();
    let reply = connection.reply("POST");
    assert_eq!(
        (reply.status, reply.json()["reply"].clone()),
        (200, json!("fake reply to: wait for me"))
    );
    let exit = server.wait(Duration::from_secs(20));
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    let chat = reply.json()["chat_id"].as_str().expect("an id").to_string();
    server.restart();
    assert_eq!(server.messages(&account.token, &chat).len(), 2);
}

#[test]
fn a_hung_turn_does_not_keep_the_server_and_its_question_is_kept() {
    let upstream = Upstream::start();
    let mut server = with_upstream(&upstream);
    let token = server.account("ann").token;
    let chat = server.chat(&token, "hung")["id"].as_str().expect("an id").to_string();
    let mut connection = server.connect();
    connection.send(
        &server
            .post("/chat")
            .bearer(&token)
            .json(&json!({"message": "hello?", "model": "fake-hang", "chat_id": chat}))
            .bytes(),
    );
    upstream.wait_for(1);
    server.signal("TERM");
    let exit = server.wait(Duration::from_secs(15));
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    server.restart();
    assert_eq!(
        server.messages(&token, &chat)[0],
        ("user".to_string(), "hello?".to_string())
    );
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let upstream = Upstream::start();
    let mut server = with_upstream(&upstream);
    let token = server.account("ann").token;
    let mut connection = server.connect();
    connection.send(
        &server
            .post("/chat")
            .bearer(&token)
            .json(&json!({"message": "hello?", "model": "fake-hang"}))
            .bytes(),
    );
    upstream.wait_for(1);
    server.signal("TERM");
    let address = server.address;
    until(PATIENCE, "the first signal is heard", || {
        std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).err()
    });
    server.signal("TERM");
    server.wait(Duration::from_secs(3));
}
