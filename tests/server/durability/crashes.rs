//! Crashes and stops under load: nothing acknowledged is lost or doubled.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::check_integrity;
use crate::rig::{Desk, Dice, End, PATIENCE, Server, Stream, Upstream, slow, until};

const WRITERS: usize = 8;

/// A server that is asked to end has left by then.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// What one writer was told had been stored, and where.
struct Log {
    chat: String,
    acknowledged: Vec<String>,
}

/// Sends messages until the server dies, and keeps what was acknowledged.
fn write_until_it_dies(server: &Server, token: &str, name: &str, count: &AtomicUsize) -> Log {
    let chat = server.chat(token, name)["id"].as_str().expect("an id").to_string();
    let mut log = Log {
        chat,
        acknowledged: Vec::new(),
    };
    let mut connection = server.connect();
    for number in 0..200 {
        let message = format!("{name} {number}");
        let body = json!({"message": message, "chat_id": log.chat, "model": "echo"});
        connection.send(&server.post("/chat").bearer(token).json(&body).bytes());
        match connection.reply_within("POST", PATIENCE) {
            Ok(reply) => assert_eq!(reply.status, 200, "{}", reply.text()),
            Err(_) => break,
        }
        log.acknowledged.push(message);
        count.fetch_add(1, Ordering::Relaxed);
    }
    log
}

/// Every acknowledged message once, with its reply; at most one more, the one that was under way.
#[track_caller]
fn check_log(server: &Server, token: &str, log: &Log) {
    let rows = server.messages(token, &log.chat);
    let of = |role: &str| {
        rows.iter()
            .filter(|(row_role, _)| row_role == role)
            .map(|(_, content)| content.clone())
            .collect::<Vec<_>>()
    };
    let (questions, replies) = (of("user"), of("assistant"));
    assert!(
        questions.starts_with(&log.acknowledged),
        "lost: acknowledged {:?}, stored {questions:?}",
        log.acknowledged
    );
    assert!(questions.len() <= log.acknowledged.len() + 1, "doubled: {questions:?}");
    let expected: Vec<String> = log
        .acknowledged
        .iter()
        .map(|message| format!("Echo: {message}"))
        .collect();
    assert!(
        replies.starts_with(&expected) && replies.len() <= questions.len(),
        "{replies:?}"
    );
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kill_9() {
    let mut server = Server::start();
    let token = server.account("ann").token;
    let mut dice = Dice::new(20);
    let mut logs: Vec<Log> = Vec::new();
    for round in 0..if slow() { 25 } else { 5 } {
        let count = AtomicUsize::new(0);
        let enough = 20 + dice.below(150);
        let written: Vec<Log> = std::thread::scope(|scope| {
            let (server_ref, token, count) = (&server, &token, &count);
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    scope.spawn(move || write_until_it_dies(server_ref, token, &format!("r{round}w{writer}"), count))
                })
                .collect();
            until(PATIENCE, "enough acknowledgements", || {
                (count.load(Ordering::Relaxed) >= enough).then_some(())
            });
            server.signal("KILL");
            writers
                .into_iter()
                .map(|writer| writer.join().expect("a writer"))
                .collect()
        });
        logs.extend(written);
        server.kill();
        let down = Instant::now();
        server.restart();
        server.check_alive();
        assert!(
            down.elapsed() < Duration::from_secs(10),
            "back only after {:?}",
            down.elapsed()
        );
        logs.iter().for_each(|log| check_log(&server, &token, log));
    }
    let launch = server.launch().clone();
    server.stop();
    check_integrity(&launch.database());
}

#[test]
fn sigterm_under_load_loses_nothing() {
    let mut server = Server::start();
    let token = server.account("ann").token;
    let count = AtomicUsize::new(0);
    let mut asked = Instant::now();
    let logs: Vec<Log> = std::thread::scope(|scope| {
        let (server, token, count) = (&server, &token, &count);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write_until_it_dies(server, token, &format!("w{writer}"), count)))
            .collect();
        until(PATIENCE, "enough acknowledgements", || {
            (count.load(Ordering::Relaxed) >= 60).then_some(())
        });
        asked = Instant::now();
        server.signal("TERM");
        writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer"))
            .collect()
    });
    let exit = server.wait(LEAVE_MAX.saturating_sub(asked.elapsed()));
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    server.restart();
    logs.iter().for_each(|log| check_log(&server, &token, log));
}

/// Writers and readers at once: who is in the middle of a reply is told how it ended, and what was acknowledged is there.
#[test]
fn sigterm_amid_streams_and_posts_loses_nothing() {
    let upstream = Upstream::start();
    let Desk { mut server, token } = Desk::with_upstream(&upstream, "fake-n5-pause2", &[]);
    let chats: Vec<String> = (0..4)
        .map(|_| server.chat(&token, "half")["id"].as_str().expect("an id").to_string())
        .collect();
    let mut streams: Vec<Stream> = chats
        .iter()
        .map(|chat| {
            let body = json!({"message": "hi", "chat_id": chat});
            let mut stream = Stream::events(server.post("/chat").bearer(&token).json(&body));
            stream.expect("start");
            stream.expect("delta");
            stream.expect("delta");
            stream
        })
        .collect();
    let count = AtomicUsize::new(0);
    let mut asked = Instant::now();
    let logs: Vec<Log> = std::thread::scope(|scope| {
        let (server, token, count) = (&server, &token, &count);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write_until_it_dies(server, token, &format!("w{writer}"), count)))
            .collect();
        until(PATIENCE, "enough acknowledgements", || {
            (count.load(Ordering::Relaxed) >= 40).then_some(())
        });
        asked = Instant::now();
        server.signal("TERM");
        let logs = writers.into_iter().map(|writer| writer.join().expect("a writer"));
        logs.collect()
    });
    for stream in &mut streams {
        let (events, end) = stream.rest();
        let last = events.last().expect("an event");
        assert_eq!(
            (end, &last.data["message"]["state"]),
            (End::Whole, &json!("interrupted"))
        );
    }
    let exit = server.wait(LEAVE_MAX.saturating_sub(asked.elapsed()));
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    server.restart();
    logs.iter().for_each(|log| check_log(&server, &token, log));
    for chat in &chats {
        let kept = [("user", "hi"), ("assistant", "w0 w1 ")].map(|(role, text)| (role.to_string(), text.to_string()));
        assert_eq!(server.messages(&token, chat), kept);
    }
}
