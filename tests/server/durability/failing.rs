//! A disk that reports errors, now and then or for a while: never a 2xx for what is not stored, no panic, and writes
//! again once the disk does. After a sync that failed, only what is written once more counts as written.

use serde_json::json;

use super::layer::{Disk, kept};
use super::{check_integrity, check_refusal};
use crate::rig::{Account, Dice, Launch, PATIENCE, Reply, Server, slow, until};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// A conversation, and what was acknowledged and refused in it.
struct Log {
    chat: String,
    stored: Vec<String>,
    refused: Vec<String>,
}

fn send(server: &Server, token: &str, chat: &str, message: &str) -> Reply {
    let body = json!({"message": message, "chat_id": chat});
    server.post("/chat").bearer(token).json(&body).send()
}

/// Sends some messages; each is stored, or refused with a sentence.
fn write_some(server: &Server, token: &str, chat: &str, name: &str) -> Log {
    let mut log = Log {
        chat: chat.to_string(),
        stored: Vec::new(),
        refused: Vec::new(),
    };
    for number in 0..5 {
        let message = format!("{name} {number}");
        let reply = send(server, token, chat, &message);
        match reply.status {
            200 => log.stored.push(message),
            503 | 507 => {
                assert!(
                    reply.detail().contains(' ') && reply.header("Retry-After").is_some(),
                    "{}",
                    reply.text()
                );
                log.refused.push(message);
            }
            other => panic!("{other}: {}", reply.text()),
        }
    }
    log
}

#[track_caller]
fn check_stored(server: &Server, token: &str, log: &Log, when: &str) {
    let rows = server.messages(token, &log.chat);
    let count = |text: &String| {
        let rows = rows.iter();
        rows.filter(|(role, content)| role == "user" && content == text).count()
    };
    for message in &log.stored {
        assert_eq!(
            count(message),
            1,
            "{when}: {message:?} was acknowledged, found {rows:?}"
        );
    }
    for message in &log.refused {
        assert!(count(message) <= 1, "{when}: {message:?} is there twice");
    }
}

/// One failure after the other on a running server, which then loses its power, too.
#[track_caller]
fn check_failures(disk: &Disk, plain: &Launch, ann: &Account, kind: &str, error: i32, dice: &mut Dice) {
    let (mut struck, mut refused) = (0, 0);
    let server = disk.launch(&[]).start();
    let mut logs: Vec<Log> = Vec::new();
    for round in 0..if slow() { 40 } else { 6 } {
        let chats: Vec<String> = (0..3)
            .map(|chat| {
                let made = server.chat(&ann.token, &format!("{kind} {error} {round} {chat}"));
                made["id"].as_str().expect("an id").to_string()
            })
            .collect();
        // A message is a sync or less, and some 35 writes.
        let nth = 1 + dice.below(if kind == "sync" { 8 } else { 200 });
        let count = [1, 2, 8][dice.below(3)];
        disk.rule(&format!("fail {kind} {error} {nth} {count}"));
        let written: Vec<Log> = std::thread::scope(|scope| {
            let server = &server;
            let writers: Vec<_> = chats
                .iter()
                .map(|chat| scope.spawn(move || write_some(server, &ann.token, chat, &format!("r{round}"))))
                .collect();
            let logs = writers.into_iter().map(|writer| writer.join().expect("a writer"));
            logs.collect()
        });
        // Reads go on, and as soon as the disk works, so do writes.
        assert_eq!(server.get("/chats").bearer(&ann.token).send().status, 200);
        struck = disk.rule(&format!("fail {kind} {error} 1 0"));
        until(PATIENCE, "writes after the failures", || {
            (send(&server, &ann.token, &chats[0], "again").status == 200).then_some(())
        });
        until(PATIENCE, "a server that is well", || {
            (server.get("/health").send().status == 200).then_some(())
        });
        for log in written {
            refused += log.refused.len();
            check_stored(&server, &ann.token, &log, "while it runs");
            logs.push(log);
        }
    }
    println!("{kind} {error}: {struck} failures struck, {refused} messages were refused");
    assert!(struck > 0, "void: no failure struck");
    let exit = disk.cut_under(server, kept(dice.below(5)), dice.next() >> 1);
    assert!(!exit.stderr.contains("panicked"), "{}", exit.stderr);
    let server = plain.start();
    for log in &logs {
        check_stored(&server, &ann.token, log, "after the power went");
    }
    server.stop();
    check_integrity(&plain.database());
}

fn prepared() -> Option<(Disk, Launch, Account)> {
    let plain = Launch::new();
    let disk = Disk::below(&plain)?;
    let server = plain.start();
    let ann = server.account("ann");
    assert_eq!(server.stop().code, Some(0));
    Some((disk, plain, ann))
}

#[test]
fn a_write_that_fails_is_never_acknowledged() {
    let Some((disk, plain, ann)) = prepared() else {
        return;
    };
    let mut dice = Dice::new(31);
    for error in [EIO, ENOSPC] {
        check_failures(&disk, &plain, &ann, "write", error, &mut dice);
    }
}

#[test]
fn a_sync_that_fails_is_never_acknowledged() {
    let Some((disk, plain, ann)) = prepared() else {
        return;
    };
    let mut dice = Dice::new(32);
    for error in [EIO, ENOSPC] {
        check_failures(&disk, &plain, &ann, "sync", error, &mut dice);
    }
}

/// What is indexed waits for the next message's sync. If that fails, the log has a hole before whatever comes after it.
#[test]
fn what_a_failed_sync_has_lost_takes_nothing_with_it() {
    let Some((disk, plain, ann)) = prepared() else {
        return;
    };
    let server = disk.launch(&[]).start();
    let chat = server.chat(&ann.token, "a hole")["id"]
        .as_str()
        .expect("an id")
        .to_string();
    assert_eq!(send(&server, &ann.token, &chat, "heliotrope").status, 200);
    until(PATIENCE, "the message is indexed", || {
        let database = rusqlite::Connection::open(plain.database()).expect("the database");
        let waiting: u32 = database
            .query_row("SELECT count(*) FROM search_queue", (), |row| row.get(0))
            .expect("a number");
        (waiting == 0).then_some(())
    });
    disk.rule(&format!("fail sync {EIO} 1 1"));
    let refusal = send(&server, &ann.token, &chat, "refused");
    assert_eq!(refusal.status, 503, "{}", refusal.text());
    for message in ["first", "second"] {
        assert_eq!(send(&server, &ann.token, &chat, message).status, 200);
    }
    disk.cut_under(server, 0, 1);
    let server = plain.start();
    let rows = server.messages(&ann.token, &chat);
    let questions: Vec<&str> = rows
        .iter()
        .filter(|(role, _)| role == "user")
        .map(|(_, content)| content.as_str())
        .collect();
    // What was refused is not there either, as its refusal said.
    assert_eq!(questions, ["heliotrope", "first", "second"]);
}

/// A first start is writing: it succeeds, or is refused with a sentence, and the next one makes up for it.
#[test]
fn a_first_start_on_a_failing_disk_is_refused_or_whole() {
    let mut dice = Dice::new(33);
    let (mut refused, rounds) = (0, if slow() { 80 } else { 8 });
    for round in 0..rounds {
        let plain = Launch::new();
        let Some(disk) = Disk::below(&plain) else {
            return;
        };
        let (kind, nth) = [("write", 1 + dice.below(250)), ("sync", 1 + dice.below(4))][round % 2];
        let error = [EIO, ENOSPC][round / 2 % 2];
        let rule = format!("fail {kind} {error} {nth} {}", 1 + dice.below(40));
        let exit = disk.launch(&[rule]).run_briefly(|server| {
            assert_eq!(server.get("/openapi.json").send().status, 200);
        });
        assert!(!exit.stderr.contains("panicked"), "{}", exit.stderr);
        if exit.code != Some(0) {
            refused += 1;
            check_refusal(&exit, &["fireside.db"]);
        }
        let server = plain.start();
        let ann = server.account("ann");
        server.login(&ann);
        server.stop();
        check_integrity(&plain.database());
    }
    println!("{refused} of {rounds} first starts on a failing disk were refused");
    assert!(refused > 0, "void: no failure struck");
}
