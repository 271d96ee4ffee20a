//! Connections handed over: what is pushed arrives in order, and nobody waits for a client that does not read.

use std::sync::mpsc::{Receiver, channel};

use super::super::{Gone, Push};
use super::*;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// A rig that hands every connection over, and where the handed-over ends arrive.
fn handing_over() -> (Rig, Receiver<Option<Push>>) {
    let (handed, pushes) = channel();
    let rig = Rig::new(move |_, respond| handed.send(respond.push(HEAD)).unwrap());
    (rig, pushes)
}

/// A client whose connection was handed over; it has read the head.
fn hand_over(rig: &Rig, pushes: &Receiver<Option<Push>>) -> (Client, Push) {
    let mut client = rig.client();
    client.ask("GET", "/events");
    let push = pushes.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(client.head().as_bytes(), HEAD);
    (client, push)
}

/// Pushes pieces until the client is gone; returns how many bytes were taken from us.
fn flood(push: &Push) -> usize {
    let piece = [b'x'; 8192];
    let mut sent = 0;
    while push.send(&piece).is_ok() {
        sent += piece.len();
    }
    sent
}

#[test]
fn what_is_pushed_arrives_as_it_is() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    for piece in ["data: one\n\n", "", "data: two\n\n", "data: thr", "ee\n\n"] {
        push.send(piece.as_bytes()).unwrap();
        let mut arrived = vec![0; piece.len()];
        client.0.read_exact(&mut arrived).unwrap();
        assert_eq!(arrived, piece.as_bytes());
    }
}

#[test]
fn several_threads_may_push() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    thread::scope(|scope| {
        for name in ['a', 'b', 'c', 'd'] {
            let push = &push;
            let line = format!("{}\n", name.to_string().repeat(50));
            scope.spawn(move || (0..100).for_each(|_| push.send(line.as_bytes()).unwrap()));
        }
    });
    drop(push);
    let rest = String::from_utf8(client.rest()).unwrap();
    let is_whole = |line: &str| line.len() == 50 && line.bytes().all(|byte| byte == line.as_bytes()[0]);
    assert!(rest.lines().all(is_whole), "{rest}");
    assert_eq!(rest.lines().count(), 400);
}

#[test]
fn dropping_a_push_ends_the_connection() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    push.send(b"last words").unwrap();
    drop(push);
    assert_eq!(client.rest(), b"last words");
}

#[test]
fn what_waits_is_sent_before_the_connection_ends() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    // More than the sockets hold.
    let waiting = pattern(250_000);
    for piece in waiting.chunks(10_000) {
        push.send(piece).unwrap();
    }
    drop(push);
    assert!(client.rest() == waiting);
}

#[test]
fn a_client_that_stops_reading_is_gone() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    let started = Instant::now();
    let sent = flood(&push);
    assert!(started.elapsed() < PATIENCE / 2, "pushing waited for the client");
    // The outbox, and what the system keeps in the sockets.
    let outbox = Limits::default().outbox_bytes_max;
    assert!(sent >= outbox - 8192 && sent < outbox + 32 * SOCKET_BYTES, "{sent}");
    assert_eq!(push.send(b"x"), Err(Gone));
    let rest = client.rest();
    assert!(rest.len() <= sent && rest.iter().all(|byte| *byte == b'x'));
    // The others are served.
    hand_over(&rig, &pushes).1.send(b"x").unwrap();
}

#[test]
fn a_client_that_reads_on_is_not_gone() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    let piece = pattern(100_000);
    for _ in 0..30 {
        push.send(&piece).unwrap();
        let mut arrived = vec![0; piece.len()];
        client.0.read_exact(&mut arrived).unwrap();
        assert!(arrived == piece);
    }
}

#[test]
fn a_client_that_leaves_is_gone_soon() {
    let (rig, pushes) = handing_over();
    let (client, push) = hand_over(&rig, &pushes);
    push.send(b"x").unwrap();
    let left = Instant::now();
    drop(client);
    until("pushing fails", || push.send(b"x").is_err());
    // A second, with tenfold slack.
    assert!(left.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_the_client_says_is_read_over() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    let noise = vec![b'\n'; 300_000];
    client.write(&noise);
    client.ask("GET", "/another");
    push.send(b"still here").unwrap();
    let mut arrived = [0; 10];
    client.0.read_exact(&mut arrived).unwrap();
    assert_eq!(&arrived, b"still here");
    drop(push);
    assert_eq!(client.rest(), b"");
    assert!(pushes.try_recv().is_err(), "no second request was read");
}

#[test]
fn a_silent_push_outlasts_every_deadline() {
    let (handed, pushes) = channel();
    let short = Duration::from_millis(10);
    let limits = Limits {
        head_time: short,
        idle_time: short,
        stall_time: short,
        ..Limits::default()
    };
    let rig = Rig::with(
        limits,
        |_| Ok(0),
        move |_, respond| handed.send(respond.push(HEAD)).unwrap(),
    );
    let mut idle = rig.client();
    let (mut client, push) = hand_over(&rig, &pushes);
    // A connection that is only idle ends by its deadline; the one handed over was looked at just as often.
    assert_eq!(idle.rest(), b"");
    push.send(b"still here").unwrap();
    drop(push);
    assert_eq!(client.rest(), b"still here");
}

#[test]
fn an_event_may_be_larger_than_the_outbox() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    let event = pattern(1_000_000);
    push.send(&event).unwrap();
    let mut arrived = vec![0; event.len()];
    client.0.read_exact(&mut arrived).unwrap();
    assert!(arrived == event);
    push.send(b"and on").unwrap();
    drop(push);
    assert_eq!(client.rest(), b"and on");
}

/// Bytes of memory that this process holds. Other tests run beside this one, so small changes mean nothing.
#[cfg(target_os = "linux")]
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_is_always_behind_costs_no_more_than_its_outbox() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    let mut piece = pattern(16 * 1024);
    // What the sockets take, and half an outbox.
    for _ in 0..13 {
        push.send(&piece).unwrap();
    }
    let before = resident_bytes();
    for _ in 0..8192 {
        client.0.read_exact(&mut piece).unwrap();
        push.send(&piece).unwrap();
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(
        grown < 64 * 1024 * 1024,
        "128 MiB were pushed, and {grown} bytes are held"
    );
}
