//! Many clients, slow clients and clients that never read: others are served all the while, and what was taken is
//! given back. The counts are small forms; the bounds are the contract's with tenfold slack.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::rig::{Connection, Launch, PATIENCE, Server, crowd, slow, until};

/// Asks for `/health` on a new connection and returns how long it took.
#[track_caller]
fn check_served(server: &Server) -> Duration {
    let started = Instant::now();
    assert_eq!(server.get("/health").send().status, 200);
    started.elapsed()
}

#[test]
fn idle_and_trickling_clients_hold_nobody_up() {
    // The long form needs 11 100 descriptors in this process and as many in the server's.
    let (idle_count, trickling_count) = if slow() { (10_000, 1_000) } else { (500, 50) };
    let server = Launch::new().args(&["--max-connections", "12000"]).start();
    let token = server.account("ann").token;
    let _turn = crowd();
    let (rss, threads) = (server.rss_kib(), server.threads());
    let idle: Vec<Connection> = (0..idle_count).map(|_| server.connect()).collect();
    let head = format!(
        "GET /chats HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nX-Slow: {}",
        "x".repeat(400)
    );
    let mut trickling: Vec<Connection> = (0..trickling_count).map(|_| server.connect()).collect();
    let started = Instant::now();
    let mut waits: Vec<Duration> = Vec::new();
    for byte in head.as_bytes() {
        trickling.retain_mut(|connection| connection.send(&[*byte]) && !connection.is_gone());
        waits.push(check_served(&server));
        assert_eq!(server.get("/chats").bearer(&token).send().status, 200);
        if trickling.is_empty() {
            break;
        }
        assert!(
            started.elapsed() < Duration::from_secs(25),
            "{} heads still open",
            trickling.len()
        );
        std::thread::sleep(Duration::from_millis(100)); // the pace of the trickle
    }
    assert!(trickling.is_empty(), "the head was sent before its deadline");
    waits.sort_unstable();
    let (half, slowest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    println!("{idle_count} idle and {trickling_count} trickling: others waited {half:?}, at most {slowest:?}");
    assert!(
        slowest < Duration::from_millis(2_500),
        "others waited up to {slowest:?}"
    );
    assert!(server.threads() <= threads + 4, "idle clients cost threads");
    assert!(
        server.rss_kib() < rss + 64 * 1024,
        "from {rss} to {} KiB",
        server.rss_kib()
    );
    drop(idle);
}

#[test]
fn half_a_body_holds_nobody_up() {
    let server = Launch::new().args(&["--workers", "10"]).start();
    let token = server.account("ann").token;
    let _turn = crowd();
    let request = server
        .post("/chats")
        .bearer(&token)
        .json(&json!({"title": "x".repeat(40)}))
        .bytes();
    let large = server
        .post("/chat")
        .bearer(&token)
        .json(&json!({"message": "x".repeat(500_000)}))
        .bytes();
    let mut halves: Vec<Connection> = (0..60).map(|_| server.connect()).collect();
    for (index, connection) in halves.iter_mut().enumerate() {
        let bytes = if index % 3 == 0 {
            &large[..200_000]
        } else {
            &request[..request.len() - 5]
        };
        connection.send(bytes);
    }
    for _ in 0..20 {
        check_served(&server);
        assert_eq!(
            server
                .post("/chat")
                .bearer(&token)
                .json(&json!({"message": "a whole one"}))
                .send()
                .status,
            200
        );
    }
    // The small ones may still be finished.
    halves[1].send(&request[request.len() - 5..]);
    assert_eq!(halves[1].reply("POST").status, 201);
}

#[test]
fn a_client_that_never_reads_is_dropped_not_waited_for() {
    let server = Launch::new().args(&["--workers", "10"]).start();
    let token = server.account("ann").token;
    let chat = server.chat(&token, "long")["id"].as_str().expect("an id").to_string();
    for _ in 0..4 {
        let body = json!({"message": "m".repeat(500_000), "chat_id": chat});
        assert_eq!(server.post("/chat").bearer(&token).json(&body).send().status, 200);
    }
    let _turn = crowd();
    server.check_alive();
    let (rss, descriptors) = (server.rss_kib(), server.descriptors());
    let request = server.get(&format!("/chats/{chat}/messages")).bearer(&token).bytes();
    let mut deaf: Vec<Connection> = (0..20).map(|_| server.connect()).collect();
    for connection in &mut deaf {
        connection.send(&request.repeat(8));
    }
    for _ in 0..50 {
        assert!(check_served(&server) < Duration::from_secs(3));
    }
    assert_eq!(
        server
            .post("/chat")
            .bearer(&token)
            .json(&json!({"message": "still here"}))
            .send()
            .status,
        200
    );
    let after = server.rss_kib();
    assert!(
        after < rss + 160 * 1024,
        "resident memory went from {rss} to {after} KiB for 20 clients that do not read"
    );
    let patience = Duration::from_secs(if slow() { 150 } else { 75 });
    until(patience, "the deaf clients are dropped", || {
        (server.descriptors() <= descriptors + 2).then_some(())
    });
    drop(deaf);
}

#[test]
fn running_out_of_descriptors_is_survived() {
    let server = Launch::new().prelude("ulimit -n 64").start();
    let token = server.account("ann").token;
    let _turn = crowd();
    server.check_alive();
    let (descriptors, threads) = (server.descriptors(), server.threads());
    for round in 0..if slow() { 20 } else { 4 } {
        let mut many: Vec<Connection> = (0..500)
            .filter_map(|_| Connection::try_open(server.address).ok())
            .collect();
        for (index, connection) in many.iter_mut().enumerate() {
            if index % 2 == 0 {
                connection.send(&server.get("/health").bytes());
            }
        }
        drop(many);
        let released = Instant::now();
        until(PATIENCE, "a 200 after the crowd has left", || {
            server
                .get("/health")
                .try_send()
                .ok()
                .filter(|reply| reply.status == 200)
        });
        assert!(released.elapsed() < PATIENCE, "round {round}");
    }
    assert_eq!(
        server
            .post("/chat")
            .bearer(&token)
            .json(&json!({"message": "after the crowd"}))
            .send()
            .status,
        200
    );
    until(PATIENCE, "descriptors and threads are given back", || {
        (server.descriptors() <= descriptors + 2 && server.threads() <= threads + 2).then_some(())
    });
}

#[test]
fn connections_beyond_the_limit_cost_the_longest_idle_one() {
    let server = Launch::new().args(&["--max-connections", "40"]).start();
    let _turn = crowd();
    server.check_alive();
    let descriptors = server.descriptors();
    let mut idle: Vec<Connection> = (0..120).map(|_| server.connect()).collect();
    for _ in 0..10 {
        check_served(&server);
    }
    until(PATIENCE, "the server holds no more than it was allowed", || {
        (server.descriptors() <= descriptors + 44).then_some(())
    });
    let gone = until(PATIENCE, "the oldest are dropped", || {
        let gone: Vec<bool> = idle.iter_mut().map(Connection::is_gone).collect();
        (gone.iter().filter(|gone| **gone).count() >= 75).then_some(gone)
    });
    assert!(
        gone[..60].iter().all(|gone| *gone),
        "an old idle connection was kept before a newer one"
    );
}
