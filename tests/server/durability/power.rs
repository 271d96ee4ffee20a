//! The power goes: what was acknowledged before is there after it. With `synchronous = NORMAL`, which the same disk can
//! play, it would not be; if that lost nothing, the disk would not lose what it should, and nothing would be proven.

use serde_json::{Value, json};

use super::check_integrity;
use super::layer::{Disk, kept};
use crate::rig::{Account, Dice, Launch, Multipart, Server, slow};

const WRITERS: usize = 6;

/// What was acknowledged in one conversation, and the files beside it.
struct Log {
    chat: String,
    messages: Vec<String>,
    /// Addresses, and the seeds of what is there.
    files: Vec<(String, u64)>,
}

/// A hundred kilobytes or so that nobody else has.
fn content(seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut bytes: Vec<u8> = (0..12_000).flat_map(|_| dice.next().to_le_bytes()).collect();
    bytes.extend_from_slice(&seed.to_le_bytes());
    bytes
}

/// Sends messages, and now and then a file, until the server is gone.
fn write_until_it_dies(server: &Server, token: &str, name: &str, seed: u64) -> Option<Log> {
    let call = server.post("/chats").bearer(token).json(&json!({"title": name}));
    let made = call.try_send().ok()?;
    assert_eq!(made.status, 201, "{}", made.text());
    let mut log = Log {
        chat: made.json()["id"].as_str().expect("an id").to_string(),
        messages: Vec::new(),
        files: Vec::new(),
    };
    for number in 0..4_000u64 {
        if number % 8 == 3 {
            let seed = seed + number;
            let form = Multipart::new().file("file", "a.bin", "application/octet-stream", &content(seed));
            let Ok(reply) = form.on(server.post("/upload/").bearer(token)).try_send() else {
                break;
            };
            assert_eq!(reply.status, 200, "{}", reply.text());
            let url = reply.json()["url"].as_str().expect("an address").to_string();
            log.files.push((url, seed));
        }
        let message = format!("{name} {number}");
        let body = json!({"message": message, "chat_id": log.chat});
        let Ok(reply) = server.post("/chat").bearer(token).json(&body).try_send() else {
            break;
        };
        assert_eq!(reply.status, 200, "{}", reply.text());
        log.messages.push(message);
    }
    Some(log)
}

/// What came of some cuts.
#[derive(Debug, Default)]
struct Figures {
    cuts: usize,
    messages: usize,
    files: usize,
    lost: usize,
    doubled: usize,
}

impl Figures {
    /// Compares what was acknowledged with what is there.
    fn audit(&mut self, server: &Server, token: &str, log: &Log) {
        let path = format!("/chats/{}/messages", log.chat);
        let reply = server.get(&path).bearer(token).send();
        assert!([200, 404].contains(&reply.status), "{}", reply.text());
        let rows = reply.json();
        let stored: Vec<&str> = rows
            .as_array()
            .into_iter()
            .flatten()
            .filter(|row| row["role"] == json!("user"))
            .filter_map(|row| row["content"].as_str())
            .collect();
        for message in &log.messages {
            let count = stored.iter().filter(|text| *text == message).count();
            self.lost += usize::from(count == 0);
            self.doubled += count.saturating_sub(1);
        }
        // The one that was on its way when the power went may be there, too.
        self.doubled += stored.len().saturating_sub(log.messages.len() + 1);
        self.messages += log.messages.len();
        for (url, seed) in &log.files {
            let reply = server.get(url).bearer(token).send();
            self.lost += usize::from(reply.status != 200 || reply.body != content(*seed));
        }
        self.files += log.files.len();
    }
}

/// Cuts the power so often, at moments that the dice choose, each time under the server that the last cut has left, and
/// asks the server without the disk below it what is there.
fn cut_again_and_again(disk: &Disk, plain: &Launch, ann: &Account, cuts: usize, rules: &[&str]) -> Figures {
    let mut dice = Dice::new(2_026);
    let mut figures = Figures::default();
    for round in 0..cuts {
        // A message is some 35 operations, a log that is folded in 2 500, and a start some ten at the most.
        let after = 1 + dice.below(if is_early(round) { 12 } else { 3_500 });
        let mut given: Vec<String> = rules.iter().map(|rule| (*rule).to_string()).collect();
        given.push(format!("cut {after} {} {}", kept(round), dice.next() >> 1));
        let mut logs: Vec<Log> = Vec::new();
        let exit = disk.launch(&given).run_briefly(|server| {
            logs = std::thread::scope(|scope| {
                let write = |writer: usize| {
                    let name = format!("r{round}w{writer}");
                    let seed = (round * WRITERS + writer) as u64 * 1_000_000 + 1;
                    write_until_it_dies(server, &ann.token, &name, seed)
                };
                let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
                let logs = writers
                    .into_iter()
                    .filter_map(|writer| writer.join().expect("a writer"));
                logs.collect()
            });
        });
        assert_eq!(exit.code, None, "round {round}: the power did not go: {}", exit.stderr);
        assert!(!exit.stderr.contains("panicked"), "{}", exit.stderr);
        figures.cuts += 1;
        disk.swap();
        let server = plain.start();
        for log in &logs {
            figures.audit(&server, &ann.token, log);
        }
        let me = server.get("/users/me").bearer(&ann.token).send();
        assert_eq!(me.status, 200, "round {round}: {}", me.text());
        if is_early(round + 1) {
            // So that the next one has something to recover.
            let chat = server.chat(&ann.token, "killed");
            let body = json!({"message": "hello?", "chat_id": chat["id"]});
            assert_eq!(server.post("/chat").bearer(&ann.token).json(&body).send().status, 200);
            drop(server);
        } else {
            server.stop();
            check_integrity(&plain.database());
        }
    }
    figures
}

/// Whether this round's cut comes with the first things that the server writes.
fn is_early(round: usize) -> bool {
    round % 4 == 3
}

/// A folder with an account in it, and the disk below it.
fn prepared() -> Option<(Disk, Launch, Account)> {
    let plain = Launch::new();
    let disk = Disk::below(&plain)?;
    let server = plain.start();
    let ann = server.account("ann");
    assert_eq!(server.stop().code, Some(0));
    Some((disk, plain, ann))
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes() {
    let Some((disk, plain, ann)) = prepared() else {
        return;
    };
    let figures = cut_again_and_again(&disk, &plain, &ann, if slow() { 200 } else { 9 }, &[]);
    println!("power cuts: {figures:?}");
    assert_eq!((figures.lost, figures.doubled), (0, 0), "{figures:?}");
    assert!(
        figures.messages > 10 * figures.cuts,
        "too little was written: {figures:?}"
    );
    assert!(figures.files > figures.cuts / 2, "too few files: {figures:?}");
}

/// The control: without it the test above could pass on a disk that loses nothing.
#[test]
fn the_same_disk_loses_what_normal_does_not_sync() {
    let Some((disk, plain, ann)) = prepared() else {
        return;
    };
    let figures = cut_again_and_again(&disk, &plain, &ann, if slow() { 60 } else { 4 }, &["normal"]);
    println!("power cuts with synchronous = NORMAL: {figures:?}");
    assert!(figures.lost > 0, "void: this disk loses nothing: {figures:?}");
    assert_eq!(figures.doubled, 0, "{figures:?}");
}

/// A new database, and the secret that signs its tokens, are on the disk before anybody is told that they have an
/// account; and wherever the first start is cut off, the next one is the first.
#[test]
fn a_first_start_that_is_cut_off_is_made_up_for() {
    let mut dice = Dice::new(11);
    for round in 0..if slow() { 60 } else { 6 } {
        let plain = Launch::new();
        let Some(disk) = Disk::below(&plain) else {
            return;
        };
        let after = 1 + dice.below(if slow() { 700 } else { 500 });
        let rule = format!("cut {after} {} {}", kept(round), dice.next() >> 1);
        let exit = disk.launch(&[rule]).run_briefly(|server| {
            // It may be that a start makes fewer operations.
            server.get("/health").try_send().ok();
            disk.cut(kept(round), dice.next() >> 1);
        });
        assert_eq!(exit.code, None, "round {round}: {}", exit.stderr);
        disk.swap();
        let server = disk.launch(&[]).start();
        let ann = server.account("ann");
        let exit = disk.cut_under(server, kept(round + 1), dice.next() >> 1);
        assert_eq!(exit.code, None, "{}", exit.stderr);
        let server = plain.start();
        let me = server.get("/users/me").bearer(&ann.token).send();
        assert_eq!(me.status, 200, "round {round}, cut at {after}: {}", me.text());
        let found: Value = me.json();
        assert_eq!(found["email"], json!(ann.email));
        server.login(&ann);
        server.stop();
        check_integrity(&plain.database());
    }
}

/// Nobody has to sign in again because of it: what is told to have ended has ended, too.
#[test]
fn a_session_that_was_ended_stays_ended_when_the_power_goes() {
    let Some((disk, plain, ann)) = prepared() else {
        return;
    };
    let server = disk.launch(&[]).start();
    let other = server.login(&ann);
    assert_eq!(server.post("/auth/logout").bearer(&ann.token).send().status, 200);
    disk.cut_under(server, 0, 1);
    let server = plain.start();
    assert_eq!(server.get("/users/me").bearer(&ann.token).send().status, 401);
    assert_eq!(server.get("/users/me").bearer(&other).send().status, 200);
    assert_eq!(server.stop().code, Some(0));
}
