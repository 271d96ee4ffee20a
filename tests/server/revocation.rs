//! The end of whatever is open when a session, a key or an account comes to its end: every kind of stream × every way to
//! end it. Who was reading reads no more, and others read on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{
    Account, Algorithm, Call, Connection, Desk, Ending, PATIENCE, Server, Socket, Stream, Upstream, claims,
};
use crate::rig::{End, Launch, forge_with, text_of, until};

/// A second, with tenfold slack.
const SOON: Duration = Duration::from_secs(10);

const SECRET: &str = "the secret of the other application, 32 bytes and more";

/// Words of a reply that come before it waits for the end of the test, and words that come after it.
const BEFORE: &str = "w1";
const AFTER: &str = "w2";

/// Who is about to be shut out: an account, another session of it, and what its streams are opened with.
struct Guest {
    account: Account,
    other: String,
    token: String,
    key_id: Option<String>,
}

/// By the store's account of it alone: the time that the token itself names has not come.
const EXPIRED: &str = "a session that has expired";

type Way = fn(&Desk, &Guest);

/// The ways out, each of which ends what was opened with a session's token, an API key, or another application's token.
const WAYS: &[(&str, Opener, Way)] = &[
    ("logging out", Opener::Session, |desk, guest| {
        done(&desk.server.post("/auth/logout").bearer(&guest.token));
    }),
    ("ending the session from another", Opener::Session, |desk, guest| {
        let session = claims(&guest.token)["jti"].as_str().expect("an id").to_owned();
        done(&desk.server.delete(&format!("/sessions/{session}")).bearer(&guest.other));
    }),
    (EXPIRED, Opener::Session, |desk, _| {
        sql(desk, "UPDATE sessions SET expires_at = created_at WHERE user_id > 1");
    }),
    ("a new password", Opener::Session, new_password),
    ("a new password, and a key", Opener::Key, new_password),
    ("a password that the administrator sets", Opener::Session, set_password),
    ("the same, and a key", Opener::Key, set_password),
    ("disabling the account", Opener::Session, disable),
    ("disabling it, and a key", Opener::Key, disable),
    ("disabling another application's user", Opener::Elsewhere, disable),
    ("deleting the account", Opener::Session, delete),
    ("deleting it, and a key", Opener::Key, delete),
    ("deleting the key", Opener::Key, |desk, guest| {
        let id = guest.key_id.as_deref().expect("a key");
        done(&desk.server.delete(&format!("/api-keys/{id}")).bearer(&guest.other));
    }),
    ("a key that has expired", Opener::Key, |desk, _| {
        sql(desk, "UPDATE api_keys SET expires_at = created_at");
    }),
    (
        "logging out of another application's token",
        Opener::Elsewhere,
        |desk, guest| {
            done(&desk.server.post("/auth/logout").bearer(&guest.token));
        },
    ),
];

#[derive(Clone, Copy, PartialEq)]
enum Opener {
    Session,
    Key,
    Elsewhere,
}

fn new_password(desk: &Desk, guest: &Guest) {
    let body = json!({"password": "the new one", "current_password": guest.account.password});
    done(&desk.server.patch("/users/me").bearer(&guest.other).json(&body));
}

fn set_password(desk: &Desk, guest: &Guest) {
    let path = format!("/admin/users/{}", guest.account.id);
    done(
        &desk
            .call("PATCH", &path)
            .json(&json!({"password": "the administrator's"})),
    );
}

fn disable(desk: &Desk, guest: &Guest) {
    let path = format!("/admin/users/{}", guest.account.id);
    done(&desk.call("PATCH", &path).json(&json!({"disabled": true})));
}

fn delete(desk: &Desk, guest: &Guest) {
    done(&desk.call("DELETE", &format!("/admin/users/{}", guest.account.id)));
}

#[track_caller]
fn done(call: &Call) {
    let reply = call.send();
    assert!((200..300).contains(&reply.status), "{} {}", reply.status, reply.text());
}

fn sql(desk: &Desk, sql: &str) {
    let database = rusqlite::Connection::open(desk.server.launch().database()).expect("the database");
    database.busy_timeout(PATIENCE).expect("patience");
    database.execute(sql, ()).expect(sql);
}

impl Guest {
    fn new(desk: &Desk, number: usize, opener: Opener) -> Guest {
        let server = &desk.server;
        let account = server.account(&format!("guest-{number}"));
        let other = server.login(&account);
        match opener {
            Opener::Session => Guest {
                token: server.login(&account),
                account,
                other,
                key_id: None,
            },
            Opener::Key => {
                let call = server.post("/api-keys").bearer(&other);
                let made = call.json(&json!({"name": "lent"})).send().json();
                let text = |field: &str| made[field].as_str().expect("text").to_owned();
                Guest {
                    token: text("key"),
                    account,
                    other,
                    key_id: Some(text("id")),
                }
            }
            Opener::Elsewhere => {
                let claims = json!({"sub": format!("elsewhere-{number}")});
                let token = forge_with(Algorithm::Hs256, "HS256", SECRET, &claims);
                let me = server.get("/users/me").bearer(&token).send().json();
                let id = me["id"].as_str().expect("an id").to_owned();
                Guest {
                    account: Account { id, ..account },
                    other,
                    token,
                    key_id: None,
                }
            }
        }
    }
}

/// What somebody reads from.
enum Open {
    Plain(Connection),
    Socket(Box<Socket>),
}

/// One of each kind of stream, each of a reply that is being written and has begun to come, if it comes in pieces.
fn open_all(server: &Server, token: &str) -> Vec<(&'static str, Open)> {
    let chat = || server.chat(token, "a chat");
    let say = |chat: &Value| {
        let body = json!({"message": "hi", "chat_id": chat["id"]});
        server.post("/chat").bearer(token).json(&body)
    };
    let complete = |is_stream: bool| {
        let messages = json!([{"role": "user", "content": "hi"}]);
        let body = json!({"model": "fake-n5-pause2", "stream": is_stream, "messages": messages});
        server.post("/v1/chat/completions").bearer(token).json(&body)
    };
    let sse = |call: Call| call.header("Accept", "text/event-stream");
    let watched = chat();
    let seen = format!("/conversations/{}/events", watched["conversation_id"]);
    let family = format!("/chats/{}/messages/", chat()["id"].as_str().expect("an id"));
    let said = json!({"content": "hi"});
    let calls = [
        ("events of one's own message", sse(say(&watched)), true),
        ("events of a conversation", sse(server.get(&seen).bearer(token)), true),
        (
            "events of another family",
            sse(server.post(&family).bearer(token).json(&said)),
            true,
        ),
        ("bare text", say(&chat()).header("Accept", "text/plain"), true),
        ("a completion as a stream", complete(true), true),
        ("a reply that is waited for", say(&chat()), false),
        ("a completion that is waited for", complete(false), false),
    ];
    let mut open: Vec<(&'static str, Open)> = Vec::new();
    for (kind, call, comes_in_pieces) in calls {
        let mut connection = server.connect();
        assert!(connection.send(&call.bytes()), "{kind}");
        if comes_in_pieces {
            connection.wait_for(BEFORE, PATIENCE);
        }
        open.push((kind, Open::Plain(connection)));
    }
    open.push(("a socket", Open::Socket(Box::new(Socket::open(server, token)))));
    open
}

fn is_waited_for(kind: &str) -> bool {
    kind.ends_with("waited for")
}

/// It ends, soon, and without a word of what was written after.
fn check_ended(way: &str, kind: &str, open: Open) {
    match open {
        Open::Plain(mut connection) => {
            // What is waited for is answered, with a refusal; its connection may serve somebody else next.
            if is_waited_for(kind) {
                let reply = connection.reply_within("POST", SOON);
                let reply = reply.unwrap_or_else(|why| panic!("{way}: {kind} goes on: {why}"));
                assert!(
                    reply.status >= 400 && !reply.text().contains(AFTER),
                    "{way}: {kind}: {reply:?}"
                );
                return;
            }
            let (rest, ending) = connection.rest(SOON);
            let rest = String::from_utf8_lossy(&rest).into_owned();
            assert_ne!(ending, Ending::Open, "{way}: {kind} goes on: {rest}");
            assert!(!rest.contains(AFTER), "{way}: {kind} heard of it: {rest}");
        }
        Open::Socket(mut socket) => assert_eq!(socket.close_code(SOON), 1008, "{way}: {kind}"),
    }
}

#[test]
fn every_stream_ends_with_what_opened_it() {
    let upstream = Upstream::start();
    let launch = Launch::new()
        .env("OPENAI_BASE_URL", &upstream.url())
        .env("BETTER_AUTH_SECRET", SECRET);
    let desk = Desk::at(launch.args(&["--default-model", "fake-n5-pause2"]).start());
    let body = json!({"message": "hi"});
    let mut witness = Stream::events(desk.call("POST", "/chat").json(&body));
    witness.expect("start");
    let mut slowest = Duration::ZERO;
    let mut asked = 1;
    for (number, (way, opener, end)) in WAYS.iter().enumerate() {
        let guest = Guest::new(&desk, number, *opener);
        let open = open_all(&desk.server, &guest.token);
        asked += 6;
        // Those that only wait have been asked for, too.
        until(PATIENCE, "every reply is being written", || {
            (upstream.completions().len() >= asked).then_some(())
        });
        end(&desk, &guest);
        let ended = Instant::now();
        for (kind, open) in open {
            check_ended(way, kind, open);
            slowest = slowest.max(ended.elapsed());
        }
        let reply = desk.server.get("/users/me").bearer(&guest.token).send();
        assert!(reply.status == 401 || *way == EXPIRED, "{way}: {}", reply.text());
    }
    println!(
        "{} ways; the last of a way's streams ended after {slowest:?} at the most",
        WAYS.len()
    );
    upstream.release();
    let (events, end) = witness.rest();
    assert_eq!((text_of(&events).as_str(), end), ("w0 w1 w2 w3 w4 ", End::Whole));
}
