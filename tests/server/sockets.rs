//! The WebSocket: who may open one, the frames in both directions, that they reach all of a user's devices and nobody
//! else's, and that a socket ends with its session.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::Message;

use crate::rig::{
    Account, Connection, Launch, Server, Socket, Upstream, check_refused, check_shape, crowd, descriptors_max, forge,
    slow, until,
};

/// A second, with tenfold slack.
const SOON: Duration = Duration::from_secs(10);

fn new_chat(server: &Server, token: &str) -> String {
    let reply = server
        .post("/chats/")
        .bearer(token)
        .json(&json!({"title": "socket"}))
        .send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["id"].as_str().expect("an id").to_string()
}

#[track_caller]
fn say(server: &Server, token: &str, chat: &str, content: &str) -> Value {
    let reply = server
        .post(&format!("/chats/{chat}/messages/"))
        .bearer(token)
        .json(&json!({"content": content}))
        .send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn messages(server: &Server, token: &str, chat: &str) -> Value {
    server
        .get(&format!("/chats/{chat}/messages/"))
        .bearer(token)
        .send()
        .json()
}

fn start_with(upstream: &Upstream, model: &str) -> Server {
    Launch::new()
        .env("OPENAI_BASE_URL", &upstream.url())
        .env("OPENAI_API_KEY", Upstream::KEY)
        .args(&["--default-model", model])
        .start()
}

#[test]
fn a_token_may_come_in_three_ways() {
    let server = Server::start();
    let token = server.account("ann").token;
    Socket::open(&server, &token).check_quiet();
    let bearer = format!("Bearer {token}");
    let (mut socket, chosen) = Socket::open_with(&server, "/ws", &[("Authorization", &bearer)]);
    socket.check_quiet();
    assert_eq!(chosen, None);
    let offered = format!("bearer, {token}");
    let (mut socket, chosen) = Socket::open_with(&server, "/ws/", &[("Sec-WebSocket-Protocol", &offered)]);
    socket.check_quiet();
    assert_eq!(chosen.as_deref(), Some("bearer"));
}

#[test]
fn a_bad_token_is_refused_before_the_upgrade() {
    let secret = "a secret of more than thirty-two bytes, for tests";
    let server = Launch::new().env("JWT_SECRET_KEY", secret).start();
    let account = server.account("ann");
    let expired = forge(
        secret,
        &json!({"sub": account.id, "jti": "1", "ver": 1, "exp": 1_000_000_000}),
    );
    let stranger = forge(
        secret,
        &json!({"sub": "nobody", "jti": "1", "ver": 1, "exp": 4_000_000_000u64}),
    );
    for target in [
        "/ws".to_string(),
        "/ws?token=".into(),
        "/ws?token=a.b.c".into(),
        format!("/ws?token={expired}"),
        format!("/ws?token={stranger}"),
    ] {
        check_shape(
            &Socket::ask(&server, &target).send(),
            403,
            &json!({"detail": "<filled>"}),
        );
    }
    check_refused(&Socket::ask(&server, "/ws").bearer("nonsense").send(), 403);
    let offered = Socket::ask(&server, "/ws").header("Sec-WebSocket-Protocol", "bearer, nonsense");
    check_refused(&offered.send(), 403);
    // One that was good until it was logged out.
    assert_eq!(server.post("/auth/logout").bearer(&account.token).send().status, 200);
    let target = format!("/ws?token={}", account.token);
    check_refused(&Socket::ask(&server, &target).send(), 403);
    assert!(!server.stderr().contains(&account.token), "a token in the log");
}

#[test]
fn what_asks_for_no_socket_gets_none() {
    let server = Server::start();
    let target = format!("/ws?token={}", server.account("ann").token);
    let plain = server.get(&target).send();
    check_refused(&plain, 426);
    assert_eq!(plain.header("Upgrade"), Some("websocket"));
    let old = server
        .get(&target)
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Version", "8")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let old = old.send();
    check_refused(&old, 426);
    assert_eq!(old.header("Sec-WebSocket-Version"), Some("13"));
    let bad_key = server
        .get(&target)
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "short");
    check_refused(&bad_key.send(), 400);
    assert_eq!(server.post(&target).send().status, 405);
}

#[test]
fn other_sites_open_none() {
    let server = Server::start();
    let target = format!("/ws?token={}", server.account("ann").token);
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        check_refused(&Socket::ask(&server, &target).header("Origin", origin).send(), 403);
    }
    check_refused(
        &Socket::ask(&server, &target)
            .header("Sec-Fetch-Site", "cross-site")
            .send(),
        403,
    );
    check_refused(&Socket::ask(&server, &target).host("evil.example").send(), 421);
    let own = server.origin();
    let (mut socket, _) = Socket::open_with(&server, &target, &[("Origin", &own)]);
    socket.check_quiet();
}

#[test]
fn the_cookie_of_our_own_pages_counts() {
    let server = Server::start();
    let account = server.account("ann");
    let body = json!({"email": account.email, "password": account.password});
    let reply = server.post("/auth/session").json(&body).send();
    let cookie = reply.header("Set-Cookie").expect("a cookie");
    let cookie = cookie.split(';').next().expect("its value").to_string();
    let own = server.origin();
    let (mut socket, _) = Socket::open_with(&server, "/ws", &[("Origin", &own), ("Cookie", &cookie)]);
    socket.check_quiet();
    let other = Socket::ask(&server, "/ws")
        .header("Origin", "https://evil.example")
        .header("Cookie", &cookie);
    check_refused(&other.send(), 403);
    let ended = server.delete("/auth/session").header("Cookie", &cookie).send();
    assert_eq!(ended.status, 204);
    assert_eq!(socket.close_code(SOON), 1008);
}

#[test]
fn five_devices_see_every_message() {
    let server = Server::start();
    let (ann, bob) = (server.account("ann"), server.account("bob"));
    let chat = new_chat(&server, &ann.token);
    let mut devices: Vec<Socket> = (0..5)
        .map(|number| match number {
            0 | 1 => Socket::open(&server, &ann.token),
            _ => Socket::open(&server, &server.login(&ann)),
        })
        .collect();
    let mut stranger = Socket::open(&server, &bob.token);
    let sent = say(&server, &ann.token, &chat, "hello");
    let listed = messages(&server, &ann.token, &chat);
    for device in &mut devices {
        assert_eq!(device.receive(), json!({"type": "message", "data": sent}));
        assert_eq!(device.receive(), json!({"type": "message", "data": listed[1]}));
    }
    // Whichever door a message comes in by.
    let body = json!({"message": "by another door", "chat_id": chat});
    assert_eq!(server.post("/chat").bearer(&ann.token).json(&body).send().status, 200);
    for device in &mut devices {
        let data = device.receive_type("message");
        assert_eq!(
            (&data["content"], &data["sender"]),
            (&json!("by another door"), &json!("user"))
        );
        assert_eq!(
            device.receive_type("message")["content"],
            json!("Echo: by another door")
        );
        device.check_quiet();
    }
    stranger.check_quiet();
}

#[test]
fn a_waiting_reply_is_seen_to_come() {
    let upstream = Upstream::start();
    let server = start_with(&upstream, "fake-gap20-n8");
    let token = server.account("ann").token;
    let chat = new_chat(&server, &token);
    let mut device = Socket::open(&server, &token);
    let sent = say(&server, &token, &chat, "hello?");
    let reply = messages(&server, &token, &chat)[1].clone();
    let typing =
        |is_typing: bool| json!({"type": "typing", "data": {"chat_id": chat, "sender": "ai", "is_typing": is_typing}});
    assert_eq!(device.receive(), json!({"type": "message", "data": sent}));
    assert_eq!(device.receive(), typing(true));
    let mut text = String::new();
    let mut count = 0;
    let last = loop {
        let frame = device.receive();
        if frame["type"] != "delta" {
            break frame;
        }
        let data = &frame["data"];
        assert_eq!((&data["chat_id"], &data["message_id"]), (&json!(chat), &reply["id"]));
        text.push_str(data["text"].as_str().expect("text"));
        count += 1;
    };
    assert_eq!(last, json!({"type": "message", "data": reply}));
    assert_eq!(
        (json!(text), &reply["state"]),
        (reply["content"].clone(), &json!("complete"))
    );
    assert!(count > 1, "{count} deltas");
    assert_eq!(device.receive(), typing(false));
    device.check_quiet();
}

#[test]
fn a_failing_model_stops_typing() {
    let upstream = Upstream::start();
    let server = start_with(&upstream, "fake-e500");
    let token = server.account("ann").token;
    let chat = new_chat(&server, &token);
    let mut device = Socket::open(&server, &token);
    let path = format!("/chats/{chat}/messages/");
    let reply = server
        .post(&path)
        .bearer(&token)
        .json(&json!({"content": "hello?"}))
        .send();
    assert_eq!(reply.status, 503);
    assert_eq!(device.receive()["data"]["content"], json!("hello?"));
    assert_eq!(device.receive()["data"]["is_typing"], json!(true));
    assert_eq!(device.receive()["data"]["is_typing"], json!(false));
    device.check_quiet();
}

#[test]
fn what_came_of_a_reply_that_broke_off_is_seen() {
    let upstream = Upstream::start();
    let server = start_with(&upstream, "fake-n8-cut");
    let token = server.account("ann").token;
    let chat = new_chat(&server, &token);
    let mut device = Socket::open(&server, &token);
    let call = server.post(&format!("/chats/{chat}/messages/")).bearer(&token);
    assert_eq!(call.json(&json!({"content": "hello?"})).send().status, 503);
    let kept = messages(&server, &token, &chat)[1].clone();
    assert_eq!(kept["state"], json!("failed"));
    assert_eq!(device.receive_type("message")["content"], json!("hello?"));
    let delta = device.receive_type("delta");
    assert_eq!(delta["message_id"], kept["id"]);
    assert_eq!(device.receive_type("message"), kept);
    assert_eq!(device.receive_type("typing")["is_typing"], json!(false));
    device.check_quiet();
}

#[test]
fn typing_is_seen_on_the_other_devices() {
    let server = Server::start();
    let (ann, bob) = (server.account("ann"), server.account("bob"));
    let chat = new_chat(&server, &ann.token);
    let mut writing = Socket::open(&server, &ann.token);
    let mut watching = Socket::open(&server, &ann.token);
    let mut stranger = Socket::open(&server, &bob.token);
    let number = messages_number(&server, &ann, &chat);
    for (frame, is_typing) in [
        (
            json!({"type": "typing", "data": {"chat_id": chat, "is_typing": true}}),
            true,
        ),
        (
            json!({"type": "typing", "data": {"chat_id": chat, "is_typing": false}}),
            false,
        ),
        (json!({"type": "typing", "data": {"chat_id": number}}), true),
        (json!({"type": "typing", "chat_id": chat, "is_typing": false}), false),
        (
            json!({"type": "typing", "data": {"chat_id": chat, "is_typing": true, "sender": "ai"}}),
            true,
        ),
    ] {
        writing.send(&frame);
        let wanted = json!({"chat_id": chat, "sender": "user", "is_typing": is_typing});
        assert_eq!(watching.receive(), json!({"type": "typing", "data": wanted}));
    }
    writing.check_quiet();
    // Nobody types into somebody else's chat.
    stranger.send(&json!({"type": "typing", "data": {"chat_id": chat, "is_typing": true}}));
    assert_eq!(
        stranger.receive(),
        json!({"type": "error", "data": {"detail": "Chat not found"}})
    );
    watching.check_quiet();
}

/// The integer id of a chat.
fn messages_number(server: &Server, account: &Account, chat: &str) -> Value {
    let reply = server.get(&format!("/chats/{chat}")).bearer(&account.token).send();
    reply.json()["conversation_id"].clone()
}

#[test]
fn reading_is_seen_everywhere() {
    let server = Server::start();
    let (ann, bob) = (server.account("ann"), server.account("bob"));
    let chat = new_chat(&server, &ann.token);
    say(&server, &ann.token, &chat, "hello");
    let listed = messages(&server, &ann.token, &chat);
    let mut devices = [0, 1].map(|_| Socket::open(&server, &ann.token));
    let frame = |id: &Value| json!({"type": "read", "data": {"message_id": id, "chat_id": chat}});
    devices[0].send(&json!({"type": "read", "data": {"message_id": listed[1]["id"]}}));
    for device in &mut devices {
        assert_eq!(device.receive(), frame(&listed[1]["id"]));
    }
    let path = format!("/messages/{}/read", listed[0]["id"].as_str().expect("an id"));
    assert_eq!(server.call("PUT", &path).bearer(&ann.token).send().status, 200);
    for device in &mut devices {
        assert_eq!(device.receive(), frame(&listed[0]["id"]));
    }
    let listed = messages(&server, &ann.token, &chat);
    assert_eq!(
        (&listed[0]["status"], &listed[1]["status"]),
        (&json!("read"), &json!("read"))
    );
    let mut stranger = Socket::open(&server, &bob.token);
    stranger.send(&json!({"type": "read", "data": {"message_id": listed[1]["id"]}}));
    assert_eq!(
        stranger.receive(),
        json!({"type": "error", "data": {"detail": "Message not found"}})
    );
    devices[0].check_quiet();
}

#[test]
fn frames_that_make_no_sense_are_answered_and_forgiven() {
    let server = Server::start();
    let token = server.account("ann").token;
    let mut socket = Socket::open(&server, &token);
    let error = json!({"type": "error", "data": {"detail": "<filled>"}});
    for text in [
        "",
        "{",
        "hello",
        "5",
        "null",
        "[]",
        "{}",
        r#"{"type": 5}"#,
        r#"{"type": "media", "data": {"url": "/media/a.png"}}"#,
        r#"{"type": "message", "data": {"content": "x"}}"#,
        r#"{"type": "typing"}"#,
        r#"{"type": "typing", "data": "x"}"#,
        r#"{"type": "typing", "data": {"chat_id": "nope"}}"#,
        r#"{"type": "typing", "data": {"chat_id": null}}"#,
        r#"{"type": "typing", "data": {"chat_id": 1, "is_typing": "yes"}}"#,
        r#"{"type": "read"}"#,
        r#"{"type": "read", "data": {}}"#,
        r#"{"type": "read", "data": {"message_id": "nope"}}"#,
        r#"{"type": "read", "data": {"message_id": 1.5}}"#,
        r#"{"type": "read", "data": {"message_id": "0f8fad5b-d9cb-469f-a165-70867728950e"}}"#,
    ] {
        socket.say(Message::text(text));
        check_frame(&socket.receive(), &error, text);
    }
    let deep = "[".repeat(60_000);
    let unknown = json!({"type": "ü".repeat(20_000)}).to_string();
    for (what, text) in [("nested", deep), ("a long type", unknown)] {
        socket.say(Message::text(text));
        let frame = socket.receive();
        check_frame(&frame, &error, what);
        assert!(frame.to_string().len() < 500, "the text is sent back");
    }
    socket.say(Message::binary(vec![0, 159, 146, 150]));
    check_frame(&socket.receive(), &error, "bytes");
    socket.check_quiet();
}

#[track_caller]
fn check_frame(frame: &Value, shape: &Value, what: &str) {
    let (detail, wanted) = (frame["data"]["detail"].as_str(), &shape["type"]);
    assert_eq!(&frame["type"], wanted, "{what}: {frame}");
    assert!(detail.is_some_and(|detail| !detail.is_empty()), "{what}: {frame}");
}

#[test]
fn what_breaks_the_protocol_ends_the_socket() {
    let server = Server::start();
    let token = server.account("ann").token;
    let mut large = Socket::open(&server, &token);
    // The largest that is taken, and one byte more.
    let text = |length: usize| format!("{{\"type\":\"ping\",\"x\":\"{}\"}}", "x".repeat(length - 22));
    assert_eq!(text(65_536).len(), 65_536);
    large.say(Message::text(text(65_536)));
    assert_eq!(large.receive(), json!({"type": "pong"}));
    large.say(Message::text(text(65_537)));
    assert_eq!(large.close_code(SOON), 1009);
    let mut garbled = Socket::open(&server, &token);
    garbled.send_raw(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]);
    assert_eq!(garbled.close_code(SOON), 1007);
    let mut unmasked = Socket::open(&server, &token);
    unmasked.send_raw(&[0x81, 0x01, b'x']);
    assert_eq!(unmasked.close_code(SOON), 1002);
    let mut polite = Socket::open(&server, &token);
    polite.say(Message::Close(None));
    assert_eq!(polite.close_code(SOON), 1005);
    Socket::open(&server, &token).check_quiet();
    server.check_alive();
}

#[test]
fn logging_out_ends_that_sessions_sockets() {
    let server = Server::start();
    let ann = server.account("ann");
    let other = server.login(&ann);
    let mut ended = [0, 1].map(|_| Socket::open(&server, &ann.token));
    let mut lasting = Socket::open(&server, &other);
    assert_eq!(server.post("/auth/logout").bearer(&ann.token).send().status, 200);
    let started = Instant::now();
    for socket in &mut ended {
        assert_eq!(socket.close_code(SOON), 1008);
    }
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    lasting.check_quiet();
    // Ended from another of the account's sessions.
    let sessions = server.get("/sessions").bearer(&other).send().json();
    let mine = server.login(&ann);
    let id = sessions[0]["id"].as_str().expect("an id");
    assert_eq!(
        server.delete(&format!("/sessions/{id}")).bearer(&mine).send().status,
        204
    );
    assert_eq!(lasting.close_code(SOON), 1008);
}

#[test]
fn a_new_password_ends_the_other_sockets() {
    let server = Server::start();
    let ann = server.account("ann");
    let mut other = Socket::open(&server, &server.login(&ann));
    let mut own = Socket::open(&server, &ann.token);
    let body = json!({"password": "another password", "current_password": ann.password});
    let reply = server.patch("/users/me").bearer(&ann.token).json(&body).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(other.close_code(SOON), 1008);
    own.check_quiet();
}

#[test]
fn a_disabled_account_has_no_sockets() {
    let server = Server::start();
    let (ann, bob) = (server.account("ann"), server.account("bob"));
    let mut sockets = [0, 1].map(|_| Socket::open(&server, &ann.token));
    let mut other = Socket::open(&server, &bob.token);
    let database = rusqlite::Connection::open(server.launch().database()).expect("the database");
    database
        .execute("UPDATE users SET disabled_at = created_at WHERE uuid = ?1", [&ann.id])
        .expect("an update");
    for socket in &mut sockets {
        assert_eq!(socket.close_code(SOON), 1008);
    }
    other.check_quiet();
}

#[test]
fn tokens_from_elsewhere_open_sockets_that_end_with_them() {
    let secret = "the secret of the other application, 32 bytes and more";
    let server = Launch::new().env("BETTER_AUTH_SECRET", secret).start();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let lasting = forge(secret, &json!({"user_id": "user123", "exp": now + 600}));
    let ending = forge(secret, &json!({"user_id": "user123", "exp": now + 3}));
    let for_ever = forge(secret, &json!({"user_id": "user123"}));
    let [mut lasting_socket, mut ending_socket, mut logged_out] =
        [&lasting, &ending, &for_ever].map(|token| Socket::open(&server, token));
    let chat = new_chat(&server, &lasting);
    say(&server, &lasting, &chat, "hello");
    for socket in [&mut lasting_socket, &mut logged_out] {
        assert_eq!(socket.receive_type("message")["content"], json!("hello"));
    }
    assert_eq!(server.post("/auth/logout").bearer(&for_ever).send().status, 200);
    assert_eq!(logged_out.close_code(SOON), 1008);
    assert_eq!(ending_socket.close_code(SOON), 1008);
    assert_eq!(lasting_socket.receive_type("message")["content"], json!("Echo: hello"));
    lasting_socket.check_quiet();
}

#[test]
fn a_token_that_expires_ends_its_socket() {
    let server = Launch::new().env("JWT_ACCESS_TOKEN_MINUTES", "1").start();
    let ann = server.account("ann");
    let mut socket = Socket::open(&server, &ann.token);
    // The minute is over at once, by the store's account of it.
    let database = rusqlite::Connection::open(server.launch().database()).expect("the database");
    database
        .execute("UPDATE sessions SET expires_at = created_at", ())
        .expect("an update");
    assert_eq!(socket.close_code(SOON), 1008);
}

#[test]
fn stopping_says_goodbye_to_sockets() {
    let mut server = Server::start();
    let token = server.account("ann").token;
    let mut socket = Socket::open(&server, &token);
    server.signal("TERM");
    assert_eq!(socket.close_code(SOON), 1001);
    assert_eq!(server.wait(SOON).code, Some(0));
}

#[test]
fn a_device_that_does_not_read_holds_nobody_up() {
    let server = Server::start();
    let token = server.account("ann").token;
    let chat = new_chat(&server, &token);
    let mut deaf = Socket::open(&server, &token);
    let mut reading = Socket::open(&server, &token);
    let content = "x".repeat(500_000);
    // Each is sent twice, as itself and as its echo; the deaf one's sockets take some megabytes.
    for _ in 0..20 {
        say(&server, &token, &chat, &content);
        for _ in 0..2 {
            assert!(reading.receive_type("message")["content"].as_str().expect("text").len() >= 500_000);
        }
    }
    reading.check_quiet();
    // What had been sent is there to be read, and then it ends without a word.
    assert_eq!(deaf.close_code(SOON * 3), 0);
    server.check_alive();
}

#[test]
fn a_user_has_so_many_sockets_and_no_more() {
    let _turn = crowd();
    if descriptors_max() < 2_300 {
        println!("skipped: this process may have {} descriptors", descriptors_max());
        return;
    }
    let server = Server::start();
    let (ann, ben) = (server.account("ann"), server.account("ben"));
    let mut open: Vec<Socket> = (0..2048).map(|_| Socket::open(&server, &ann.token)).collect();
    let target = format!("/ws?token={}", ann.token);
    let refused = Socket::ask(&server, &target).send();
    check_refused(&refused, 429);
    assert!(refused.header("Retry-After").is_some());
    Socket::open(&server, &ben.token).check_quiet();
    // One that ends makes room.
    drop(open.pop());
    until(SOON, "room for another", || {
        let mut connection = server.connect();
        connection.send(&Socket::ask(&server, &target).bytes());
        (connection.reply("HEAD").status == 101).then_some(())
    });
    open[0].check_quiet();
}

#[test]
fn idle_sockets_cost_no_threads() {
    let server = Server::start();
    let count = if slow() { 2000 } else { 200 };
    let accounts: Vec<Account> = (0..count / 50)
        .map(|number| server.account(&format!("ann{number}")))
        .collect();
    let chats: Vec<String> = accounts
        .iter()
        .map(|account| new_chat(&server, &account.token))
        .collect();
    say(&server, &accounts[0].token, &chats[0], "warm");
    let _turn = crowd();
    let (threads, rss, descriptors) = (server.threads(), server.rss_kib(), server.descriptors());
    let users = accounts.iter().cycle().take(count);
    let mut sockets: Vec<Socket> = users.map(|account| Socket::open(&server, &account.token)).collect();
    assert!(
        server.threads() <= threads,
        "{} threads, {threads} before",
        server.threads()
    );
    let grown = server.rss_kib().saturating_sub(rss);
    println!("{count} idle sockets: {grown} KiB more, {threads} threads before and after");
    // 40 MB for 2 000; of the rest a part does not depend on how many they are.
    let allowed = if slow() { 40_000_000 / 1024 } else { 10 * 1024 };
    assert!(grown <= allowed, "{grown} KiB more");
    // Connections from before may have been closed by now.
    assert!(server.descriptors() + 8 >= descriptors + count);
    for (account, chat) in accounts.iter().zip(&chats) {
        say(&server, &account.token, chat, "to all of them");
    }
    for socket in &mut sockets {
        assert_eq!(socket.receive_type("message")["content"], json!("to all of them"));
    }
    drop(sockets);
    until(SOON, "the descriptors are given back", || {
        (server.descriptors() <= descriptors + 2).then_some(())
    });
    server.check_alive();
}

/// Asks for `/health` on one connection until told to stop, or a minute is over; returns how often it was answered.
fn ask_for_health(server: &Server, is_over: &AtomicBool) -> u64 {
    let mut connection = Connection::open(server.address);
    let request = server.get("/health").bytes();
    let (started, mut count) = (Instant::now(), 0);
    while !is_over.load(Ordering::Relaxed) && started.elapsed() < Duration::from_secs(60) {
        connection.send(&request);
        assert_eq!(connection.reply("GET").status, 200);
        count += 1;
    }
    count
}

/// Sends a message, and returns how long it took to be on all of the devices.
fn spread(server: &Server, token: &str, chat: &str, content: &str, devices: &mut [Socket]) -> Duration {
    std::thread::scope(|scope| {
        let started = Instant::now();
        scope.spawn(|| say(server, token, chat, content));
        for device in &mut *devices {
            assert_eq!(device.receive_type("message")["content"], json!(content));
        }
        let took = started.elapsed();
        for device in devices {
            assert_eq!(
                device.receive_type("message")["content"],
                json!(format!("Echo: {content}"))
            );
        }
        took
    })
}

/// Every device gets every message also while others ask all they can. How soon is printed and not asserted: the
/// machine may be busy with something else.
#[test]
fn messages_arrive_on_all_devices_while_the_server_is_busy() {
    let server = Server::start();
    let token = server.account("ann").token;
    let chat = new_chat(&server, &token);
    let mut devices: Vec<Socket> = (0..5).map(|_| Socket::open(&server, &token)).collect();
    let rounds = if slow() { 200 } else { 20 };
    let is_over = AtomicBool::new(false);
    let (mut took, asked) = std::thread::scope(|scope| {
        let askers = [0, 1].map(|_| scope.spawn(|| ask_for_health(&server, &is_over)));
        let took: Vec<Duration> = (0..rounds)
            .map(|round| spread(&server, &token, &chat, &format!("message {round}"), &mut devices))
            .collect();
        is_over.store(true, Ordering::Relaxed);
        let asked = askers.map(|asker| asker.join().expect("answered"));
        (took, asked)
    });
    took.sort();
    let (median, last) = (took[rounds / 2], took[rounds - 1]);
    println!("on 5 devices after {median:?} (median of {rounds}, worst {last:?}), /health answered {asked:?} times");
    assert!(asked.iter().all(|count| *count > 0), "{asked:?}");
}
