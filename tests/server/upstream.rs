//! Providers that fail, lie, hang and talk too much: the caller gets a sentence, the question is kept, the key shows up
//! nowhere, and nobody else notices.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{Account, Connection, Launch, PATIENCE, Reply, Server, Upstream, check_shape, slow, until};

const FAILED: &str = "Failed to get AI response: ";

fn start(upstream: &Upstream, args: &[&str]) -> Server {
    let launch = Launch::new()
        .env("OPENAI_BASE_URL", &upstream.url())
        .env("OPENAI_API_KEY", Upstream::KEY);
    launch
        .args(&["--default-model", "fake", "--log", "trace"])
        .args(args)
        .start()
}

fn ask(server: &Server, account: &Account, chat: &str, model: &str) -> Reply {
    let body = json!({"message": "hello?", "chat_id": chat, "model": model});
    server.post("/chat").bearer(&account.token).json(&body).send()
}

fn new_chat(server: &Server, account: &Account) -> String {
    server.chat(&account.token, "upstream")["id"]
        .as_str()
        .expect("an id")
        .to_string()
}

/// Sends the question and leaves the connection open, for turns that do not end.
fn ask_and_wait(server: &Server, account: &Account, chat: &str, model: &str) -> Connection {
    let mut connection = server.connect();
    let body = json!({"message": "hello?", "chat_id": chat, "model": model, "queue": true});
    connection.send(&server.post("/chat").bearer(&account.token).json(&body).bytes());
    connection
}

fn rows(server: &Server, account: &Account, chat: &str) -> Vec<Value> {
    let reply = server
        .get(&format!("/chats/{chat}/messages"))
        .bearer(&account.token)
        .send();
    reply.json().as_array().expect("a list").clone()
}

/// The question is there and complete; if anything of a reply was kept, it says that it is not whole, and it is the
/// beginning of what the provider said.
#[track_caller]
fn check_kept(server: &Server, account: &Account, chat: &str) {
    let rows = rows(server, account, chat);
    assert_eq!(
        (&rows[0]["role"], &rows[0]["content"]),
        (&json!("user"), &json!("hello?"))
    );
    for reply in &rows[1..] {
        assert_eq!(reply["role"], json!("assistant"));
        let state = reply["state"].as_str().unwrap_or_default();
        assert!(["failed", "interrupted"].contains(&state), "{reply}");
        assert!(
            "fake reply to: hello?".starts_with(reply["content"].as_str().expect("a string")),
            "{reply}"
        );
    }
    assert!(rows.len() <= 2, "{rows:?}");
}

#[test]
fn every_way_to_fail_is_a_503_that_keeps_the_question() {
    let upstream = Upstream::start();
    let server = start(&upstream, &[]);
    let ann = server.account("ann");
    let rss = server.rss_kib();
    for model in [
        "fake-e500",
        "fake-e429",
        "fake-e401",
        "fake-e403",
        "fake-e400",
        "fake-e503",
        "fake-badjson",
        "fake-empty",
        "fake-wrong",
        "fake-html",
        "fake-redirect",
        "fake-reset",
        "fake-cut",
        "fake-hugeline",
        "fake-bomb",
    ] {
        let chat = new_chat(&server, &ann);
        let reply = ask(&server, &ann, &chat, model);
        check_shape(&reply, 503, &json!({"detail": "<filled>"}));
        let detail = reply.detail();
        assert!(
            detail.starts_with(FAILED) && detail.len() > FAILED.len(),
            "{model}: {detail}"
        );
        assert!(
            detail.len() < 600 && !detail.contains('<') && !detail.contains("panicked"),
            "{model}: {detail}"
        );
        assert!(
            !reply.text().contains(Upstream::KEY),
            "{model}: the key is in the reply"
        );
        check_kept(&server, &ann, &chat);
        // And the conversation goes on.
        assert_eq!(ask(&server, &ann, &chat, "fake").status, 200, "after {model}");
    }
    assert_eq!(upstream.strays(), Vec::<String>::new(), "a redirect was followed");
    let after = server.rss_kib();
    assert!(
        after < rss + 96 * 1024,
        "resident memory went from {rss} to {after} KiB"
    );
    let launch = server.launch().clone();
    let exit = server.stop();
    assert!(
        !exit.stderr.contains(Upstream::KEY) && !exit.stdout.contains(Upstream::KEY),
        "the key is in the log"
    );
    let mut looked_at = 0;
    for entry in std::fs::read_dir(launch.data()).expect("a folder").flatten() {
        if entry.path().is_file() {
            let bytes = std::fs::read(entry.path()).expect("a file");
            let key = Upstream::KEY.as_bytes();
            assert!(
                !bytes.windows(key.len()).any(|part| part == key),
                "the key is in {entry:?}"
            );
            looked_at += 1;
        }
    }
    assert!(looked_at > 0, "nothing was stored");
}

#[test]
fn slow_and_split_replies_are_whole() {
    let upstream = Upstream::start();
    let server = start(&upstream, &[]);
    let ann = server.account("ann");
    let counted: String = (0..64).map(|index| format!("w{index} ")).collect();
    for (model, text) in [
        ("fake", "fake reply to: hello?"),
        ("fake-ttft200", "fake reply to: hello?"),
        ("fake-gap20", "fake reply to: hello?"),
        ("fake-split", "fake reply to: hello? – ☃ 🔥"),
        ("fake-n64", counted.as_str()),
    ] {
        let chat = new_chat(&server, &ann);
        let reply = ask(&server, &ann, &chat, model);
        assert_eq!(
            (reply.status, reply.json()["reply"].clone()),
            (200, json!(text)),
            "{model}"
        );
        let rows = rows(&server, &ann, &chat);
        assert_eq!(
            (&rows[1]["content"], &rows[1]["state"]),
            (&json!(text), &json!("complete")),
            "{model}"
        );
    }
}

#[test]
fn a_refused_connection_fails_at_once() {
    // A port that is held and not listened on.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let held = TcpStream::connect(listener.local_addr().expect("an address")).expect("connects");
    let gone = held.local_addr().expect("an address");
    for url in [format!("http://{gone}/v1"), "http://nothing.invalid/v1".to_string()] {
        let server = Launch::new()
            .env("OPENAI_BASE_URL", &url)
            .env("OPENAI_API_KEY", Upstream::KEY)
            .args(&["--default-model", "fake"])
            .start();
        let ann = server.account("ann");
        let chat = new_chat(&server, &ann);
        let started = Instant::now();
        let reply = ask(&server, &ann, &chat, "fake");
        assert!(
            [502, 503].contains(&reply.status),
            "{url}: {} {}",
            reply.status,
            reply.text()
        );
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{url}: only after {:?}",
            started.elapsed()
        );
        assert!(!reply.text().contains(Upstream::KEY));
        check_kept(&server, &ann, &chat);
        // Echo needs no provider.
        assert_eq!(ask(&server, &ann, &chat, "echo").status, 200);
    }
}

/// A provider that is down, or never answers, delays no start.
#[test]
fn a_server_starts_without_its_provider() {
    let deaf = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1", deaf.local_addr().expect("an address"));
    let started = Instant::now();
    let server = Launch::new()
        .env("OPENAI_BASE_URL", &url)
        .env("OPENAI_API_KEY", Upstream::KEY)
        .start();
    server.check_alive();
    assert_eq!(server.get("/").header("Accept", "text/html").send().status, 200);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn hung_turns_delay_nobody_else() {
    let upstream = Upstream::start();
    let server = start(&upstream, &["--workers", "10"]);
    let ann = server.account("ann");
    let threads = server.threads();
    let mut hung = Vec::new();
    for index in 0..16 {
        let chat = new_chat(&server, &ann);
        let model = if index % 2 == 0 { "fake-hang" } else { "fake-hangmid" };
        hung.push((ask_and_wait(&server, &ann, &chat, model), chat));
    }
    upstream.wait_for(16);
    let started = Instant::now();
    for _ in 0..10 {
        server.check_alive();
        server.login(&ann);
        let chat = new_chat(&server, &ann);
        assert_eq!(ask(&server, &ann, &chat, "fake").status, 200);
        assert_eq!(ask(&server, &ann, &chat, "echo").status, 200);
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    for (_, chat) in &hung {
        // The question is there while the reply is awaited.
        assert_eq!(rows(&server, &ann, chat)[0]["content"], json!("hello?"));
    }
    // When the provider goes away, all of them end.
    drop(upstream);
    for (connection, chat) in &mut hung {
        let reply = connection.reply("POST");
        assert!([502, 503, 504].contains(&reply.status), "{}", reply.text());
        check_kept(&server, &ann, chat);
    }
    until(PATIENCE, "the turns' threads are given back", || {
        (server.threads() <= threads + 2).then_some(())
    });
}

#[test]
fn a_silent_provider_is_given_up() {
    if !slow() {
        println!("skipped: it takes the minute of the first-byte timeout; FIRESIDE_TEST_SLOW=1 runs it");
        return;
    }
    let upstream = Upstream::start();
    let server = start(&upstream, &[]);
    let ann = server.account("ann");
    for model in ["fake-hang", "fake-hangmid"] {
        let chat = new_chat(&server, &ann);
        let mut connection = ask_and_wait(&server, &ann, &chat, model);
        let reply = connection
            .reply_within("POST", Duration::from_secs(90))
            .unwrap_or_else(|why| panic!("{model}: {why}"));
        assert!([503, 504].contains(&reply.status), "{model}: {}", reply.text());
        check_kept(&server, &ann, &chat);
    }
}

#[test]
fn turns_beyond_the_limit_are_turned_away_before_anything_is_stored() {
    let upstream = Upstream::start();
    let server = start(&upstream, &["--max-turns", "2"]);
    let ann = server.account("ann");
    let held: Vec<Connection> = (0..2)
        .map(|_| ask_and_wait(&server, &ann, &new_chat(&server, &ann), "fake-hold"))
        .collect();
    upstream.wait_for(2);
    let chat = new_chat(&server, &ann);
    let reply = ask(&server, &ann, &chat, "fake");
    check_shape(&reply, 503, &json!({"detail": "<filled>"}));
    assert!(
        reply
            .header("Retry-After")
            .and_then(|value| value.parse::<u64>().ok())
            .is_some(),
        "{:?}",
        reply.headers
    );
    assert_eq!(rows(&server, &ann, &chat), Vec::<Value>::new());
    let before = server.get("/chats").bearer(&ann.token).send().json()["total"].clone();
    for (path, body) in [
        ("/chat".to_string(), json!({"message": "hello?"})),
        (format!("/api/{}/chat", ann.id), json!({"message": "hello?"})),
    ] {
        let reply = server.post(&path).bearer(&ann.token).json(&body).send();
        assert!(
            reply.status == 503 && reply.header("Retry-After").is_some(),
            "{path}: {} {}",
            reply.status,
            reply.text()
        );
    }
    assert_eq!(
        server.get("/chats").bearer(&ann.token).send().json()["total"],
        before,
        "a chat was made for a refused turn"
    );
    // A model that never waits needs no turn thread.
    assert_eq!(ask(&server, &ann, &chat, "echo").status, 200);
    upstream.release();
    for mut connection in held {
        assert_eq!(connection.reply("POST").status, 200);
    }
    assert_eq!(ask(&server, &ann, &chat, "fake").status, 200);
}

#[test]
fn a_turn_outlives_the_client_that_asked() {
    let upstream = Upstream::start();
    let server = start(&upstream, &[]);
    let ann = server.account("ann");
    server.check_alive();
    let (descriptors, threads) = (server.descriptors(), server.threads());
    let chats: Vec<String> = (0..6).map(|_| new_chat(&server, &ann)).collect();
    for (index, chat) in chats.iter().enumerate() {
        let connection = ask_and_wait(&server, &ann, chat, "fake-hold");
        upstream.wait_for(index + 1);
        if index % 2 == 0 {
            connection.reset();
        }
    }
    upstream.release();
    for chat in &chats {
        until(PATIENCE, "the reply is stored", || {
            let rows = rows(&server, &ann, chat);
            (rows.len() == 2
                && rows[1]["state"] == json!("complete")
                && rows[1]["content"] == json!("fake reply to: hello?"))
            .then_some(())
        });
    }
    // Connections to the provider may be kept for the next turn.
    until(PATIENCE, "descriptors and threads are given back", || {
        (server.descriptors() <= descriptors + 2 + chats.len() && server.threads() <= threads + 2).then_some(())
    });
}

#[test]
fn a_chat_that_is_deleted_while_a_message_waits_is_not_found() {
    let upstream = Upstream::start();
    let server = start(&upstream, &[]);
    let ann = server.account("ann");
    let chat = new_chat(&server, &ann);
    let mut first = ask_and_wait(&server, &ann, &chat, "fake-hang");
    upstream.wait_for(1);
    let mut behind = ask_and_wait(&server, &ann, &chat, "fake");
    until(PATIENCE, "the second message waits", || {
        behind.reply_within("POST", Duration::from_millis(200)).err()
    });
    let path = format!("/chats/{chat}");
    assert_eq!(server.delete(&path).bearer(&ann.token).send().status, 204);
    let detail = json!({ "detail": format!("Chat with id '{chat}' not found") });
    check_shape(&first.reply("POST"), 404, &detail);
    check_shape(&behind.reply("POST"), 404, &detail);
}

/// Each family says so in its own words, whether anything of the reply had come or not.
#[test]
fn a_chat_that_is_deleted_while_its_reply_is_written_is_not_found() {
    for model in ["fake-hang", "fake-hangmid"] {
        let upstream = Upstream::start();
        let server = Launch::new()
            .env("OPENAI_BASE_URL", &upstream.url())
            .args(&["--default-model", model])
            .start();
        let ann = server.account("ann");
        let chat = server.chat(&ann.token, "ours");
        let me = server.get("/users/me").bearer(&ann.token).send().json();
        let path = format!("/api/{}/chat", me["id"].as_str().expect("an id"));
        let sends = [
            ("/chat", json!({"message": "hello?", "chat_id": chat["id"]})),
            ("/chat", json!({"message": "a chat of its own?"})),
            (&path, json!({"message": "hello?"})),
        ];
        let mut sending: Vec<Connection> = sends
            .iter()
            .enumerate()
            .map(|(index, (path, body))| {
                let mut connection = server.connect();
                connection.send(&server.post(path).bearer(&ann.token).json(body).bytes());
                upstream.wait_for(index + 1);
                connection
            })
            .collect();
        let list = server.get("/chats").bearer(&ann.token).send().json();
        for chat in list["chats"].as_array().expect("a list") {
            let path = format!("/chats/{}", chat["id"].as_str().expect("an id"));
            assert_eq!(server.delete(&path).bearer(&ann.token).send().status, 204);
        }
        let missing = format!("Chat with id '{}' not found", chat["id"].as_str().expect("an id"));
        let details = [missing.as_str(), "Chat not found", "Conversation not found"];
        for (connection, detail) in sending.iter_mut().zip(details) {
            check_shape(&connection.reply("POST"), 404, &json!({ "detail": detail }));
        }
    }
}

#[test]
fn a_crash_in_mid_turn_keeps_the_question() {
    let upstream = Upstream::start();
    let mut server = start(&upstream, &[]);
    let ann = server.account("ann");
    let chat = new_chat(&server, &ann);
    let mut connection = ask_and_wait(&server, &ann, &chat, "fake-hang");
    upstream.wait_for(1);
    server.kill();
    server.restart();
    assert!(connection.reply_within("POST", PATIENCE).is_err());
    check_kept(&server, &ann, &chat);
    assert_eq!(ask(&server, &ann, &chat, "fake").status, 200);
    let context = upstream.completions().pop().expect("a request").messages();
    assert_eq!(context.last(), Some(&("user".to_string(), "hello?".to_string())));
}
