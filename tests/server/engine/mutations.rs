//! A corpus of random mutations with a fixed seed, and connections that are reset at every moment: the server answers
//! or closes, never with a 500, and is alive afterwards.

use std::time::Duration;

use serde_json::json;

use crate::rig::{Dice, Ending, PATIENCE, Server, parse_replies, until};

fn mutate(dice: &mut Dice, request: &[u8]) -> Vec<u8> {
    const SPICE: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b":",
        b" ",
        b"\t",
        b"%00",
        b"%",
        b"99999999999",
        b"-1",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 7\r\n",
        b"\xff\xfe",
        b"{",
        b"\"",
        b"..%2f",
    ];
    let mut bytes = request.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(6) {
            0 => bytes[at] = dice.byte(),
            1 => bytes[at] ^= 1 << dice.below(8),
            2 => drop(bytes.drain(at..(at + 1 + dice.below(8)).min(bytes.len()))),
            3 => bytes.truncate(at + 1),
            4 => drop(bytes.splice(at..at, SPICE[dice.below(SPICE.len())].iter().copied())),
            _ => {
                let end = (at + 1 + dice.below(40)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, piece));
            }
        }
    }
    bytes
}

fn corpus(server: &Server, token: &str) -> Vec<Vec<u8>> {
    let login = json!({"email": "ann@example.com", "password": "wrong"});
    let chunked = format!(
        "POST /chats HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{{\"ti\r\n8\r\ntle\":\"x\"\r\n1\r\n}}\r\n0\r\n\r\n"
    );
    vec![
        server.get("/health").bytes(),
        server
            .get("/")
            .header("Accept", "text/html")
            .header("Accept-Encoding", "gzip")
            .bytes(),
        server.get("/chats?limit=5&offset=1").bearer(token).bytes(),
        server.post("/auth/login").json(&login).bytes(),
        server
            .post("/auth/token")
            .form(&[("username", "ann@example.com"), ("password", "wrong")])
            .bytes(),
        server
            .post("/auth/token")
            .multipart(&[("username", "ann@example.com"), ("password", "wrong")])
            .bytes(),
        server
            .post("/chat")
            .bearer(token)
            .json(&json!({"message": "hi – ☃", "chat_id": 1}))
            .bytes(),
        server
            .patch("/chats/1")
            .bearer(token)
            .json(&json!({"title": "t", "is_pinned": true}))
            .bytes(),
        server
            .post("/api/user123/chat")
            .bearer(token)
            .json(&json!({"message": "hi", "conversation_id": "1"}))
            .bytes(),
        chunked.into_bytes(),
        [
            server.get("/health").bytes(),
            server.delete("/chats/77").bearer(token).bytes(),
        ]
        .concat(),
    ]
}

#[test]
fn mutated_requests_are_answered_or_refused() {
    let server = Server::start();
    let token = server.account("ann").token;
    server.chat(&token, "the first");
    let corpus = corpus(&server, &token);
    let mut dice = Dice::new(0x0f1e_51de);
    for round in 0..600 {
        let bytes = mutate(&mut dice, &corpus[round % corpus.len()]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut connection = server.connect();
        connection.send(&bytes);
        connection.finish_sending();
        let (answer, ending) = connection.rest(PATIENCE);
        assert_ne!(ending, Ending::Open, "round {round}: left open: {text:?}");
        // A mutation may turn the method into HEAD, whose reply has no body; everything else must parse.
        let replies = if text.contains("HEAD") {
            Vec::new()
        } else {
            parse_replies(&answer).unwrap_or_else(|why| panic!("round {round}: {why}: {text:?}"))
        };
        assert!(
            replies.iter().all(|reply| reply.status != 500),
            "round {round}: {text:?}: {replies:?}"
        );
        let refusals = replies
            .iter()
            .filter(|reply| reply.status == 400 && reply.header("Connection") == Some("close"))
            .count();
        assert!(refusals <= 1, "round {round}: two refusals: {text:?}");
    }
    server.check_alive();
}

#[test]
fn resets_at_any_moment_leave_nothing_behind() {
    let server = Server::start();
    let token = server.account("ann").token;
    server.check_alive();
    let (descriptors, threads) = (server.descriptors(), server.threads());
    let request = server
        .post("/chat")
        .bearer(&token)
        .json(&json!({"message": "gone before the answer"}))
        .bytes();
    for round in 0..300 {
        let mut connection = server.connect();
        connection.send(&request[..round % (request.len() + 1)]);
        connection.reset();
    }
    server.check_alive();
    until(
        Duration::from_secs(20),
        "descriptors and threads are given back",
        || (server.descriptors() <= descriptors + 2 && server.threads() <= threads + 2).then_some(()),
    );
}
