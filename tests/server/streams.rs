//! Replies read while they are written: events and bare text, from any device, after any disconnect.

mod branches;
mod endings;
mod resuming;

use std::net::Shutdown;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{Call, Desk, End, Multipart, PATIENCE, Stream, Upstream, text_of, until};

impl Desk {
    /// One whose replies have five words and stop after the first two until the upstream is released.
    fn pausing(upstream: &Upstream) -> Desk {
        Desk::with_upstream(upstream, "fake-n5-pause2", &[])
    }

    fn new_chat(&self) -> Value {
        self.server.chat(&self.token, "a chat")
    }

    /// A message to a chat, as family A sends it.
    fn message(&self, chat: &Value, text: &str) -> Call {
        let body = json!({"message": text, "chat_id": chat["id"]});
        self.call("POST", "/chat").json(&body)
    }

    /// A reply that is being written: its first two words have come.
    #[track_caller]
    fn half(&self, chat: &Value) -> (Stream, Value) {
        let mut stream = Stream::events(self.message(chat, "hi"));
        let start = stream.expect("start").data;
        assert_eq!(stream.expect("delta").data, json!({"text": "w0 "}));
        assert_eq!(stream.expect("delta").data, json!({"text": "w1 "}));
        (stream, start)
    }

    fn events(&self, chat: &Value) -> Call {
        let id = &chat["conversation_id"];
        self.call("GET", &format!("/conversations/{id}/events"))
    }

    fn stop(&self, chat: &Value) -> Call {
        let id = &chat["conversation_id"];
        self.call("POST", &format!("/conversations/{id}/stop"))
    }

    /// The texts of a chat, and the states of its messages.
    #[track_caller]
    fn said(&self, chat: &Value) -> Vec<(String, String)> {
        let id = chat["id"].as_str().expect("an id");
        let reply = self.call("GET", &format!("/chats/{id}/messages")).send();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let rows = reply.json().as_array().expect("a list").clone();
        rows.iter()
            .map(|row| (text(&row["content"]), text(&row["state"])))
            .collect()
    }
}

fn said(texts: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(text, state): &(&str, &str)| ((*text).to_owned(), (*state).to_owned());
    texts.iter().map(owned).collect()
}

const WORDS: &str = "w0 w1 w2 w3 w4 ";

#[test]
fn a_reply_comes_event_by_event() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-n5-counts", &[]);
    let chat = desk.new_chat();
    let mut stream = Stream::events(desk.message(&chat, "hi"));
    for (name, value) in [
        ("Cache-Control", "no-cache"),
        ("X-Accel-Buffering", "no"),
        ("Transfer-Encoding", "chunked"),
    ] {
        assert_eq!(stream.header(name), Some(value), "{}", stream.head);
    }
    let (events, end) = stream.rest();
    assert_eq!(end, End::Whole);
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["start", "delta", "delta", "delta", "delta", "delta", "done"]);
    let start = &events[0].data;
    assert_eq!(start["conversation_id"], chat["conversation_id"]);
    assert_eq!(start["chat_id"], chat["id"]);
    assert_eq!(start["model"], "fake-n5-counts");
    let reply = start["response_message_id"].as_i64().expect("an integer");
    assert!(start["request_message_id"].as_i64().expect("an integer") < reply);
    let positions: Vec<_> = events.iter().map(|event| event.position()).collect();
    let wanted: Vec<_> = [0, 3, 6, 9, 12, 15, 15].map(|bytes| (reply, bytes)).into();
    assert_eq!(positions, wanted);
    assert_eq!(text_of(&events), WORDS);
    let done = &events[6].data;
    let message = &done["message"];
    assert_eq!((&message["id"], &message["content"]), (&json!(reply), &json!(WORDS)));
    assert_eq!(
        (&message["role"], &message["state"]),
        (&json!("assistant"), &json!("complete"))
    );
    assert_eq!(message["chat_id"], chat["id"]);
    let usage = &done["usage"];
    assert_eq!(
        (&usage["input_tokens"], &usage["cached_tokens"], &usage["output_tokens"]),
        (&json!(400), &json!(600), &json!(100))
    );
    assert!(usage["price"].is_number(), "{usage}");
    assert_eq!(desk.said(&chat), said(&[("hi", "complete"), (WORDS, "complete")]));
}

#[test]
fn every_family_streams_the_same() {
    let desk = Desk::new();
    let chat = desk.new_chat();
    let (id, number) = (chat["id"].as_str().expect("an id"), &chat["conversation_id"]);
    let me = desk.call("GET", "/users/me").send().json()["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let number = number.to_string();
    let form = [("text", "hi"), ("conversation_id", number.as_str())];
    let calls = [
        desk.message(&chat, "hi"),
        desk.call("POST", "/chat/").form(&form),
        form.iter()
            .fold(Multipart::new(), |form, (name, value)| form.field(name, value))
            .on(desk.call("POST", "/chat")),
        desk.call("POST", &format!("/chats/{id}/messages/"))
            .json(&json!({"content": "hi"})),
        desk.call("POST", &format!("/api/{me}/chat"))
            .json(&json!({"message": "hi", "conversation_id": chat["conversation_id"]})),
    ];
    for call in calls {
        let (events, end) = Stream::events(call).rest();
        assert_eq!(end, End::Whole);
        let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(names, ["start", "delta", "done"]);
        assert_eq!(text_of(&events), "Echo: hi");
        assert_eq!(events[0].data["chat_id"], chat["id"]);
        let message = &events[2].data["message"];
        assert_eq!(message["id"], events[0].data["response_message_id"]);
        assert_eq!(message["content"], "Echo: hi");
    }
    assert_eq!(desk.said(&chat).len(), 10);
}

#[test]
fn who_asks_how_is_answered_so() {
    let desk = Desk::new();
    let body = json!({"message": "hi"});
    for (target, accept, wanted) in [
        ("/chat", "*/*", "application/json"),
        ("/chat", "application/json, text/plain, */*", "application/json"),
        ("/chat", "text/event-stream", "text/event-stream"),
        ("/chat", "text/plain", "text/plain; charset=utf-8"),
        ("/chat?stream=true", "*/*", "text/event-stream"),
        ("/chat?stream=true", "application/json", "text/event-stream"),
        ("/chat?stream=false", "text/event-stream", "application/json"),
    ] {
        let call = desk.call("POST", target).json(&body).header("Accept", accept);
        let reply = call.send();
        assert_eq!(
            (reply.status, reply.header("Content-Type")),
            (200, Some(wanted)),
            "{target} {accept}"
        );
        if wanted.starts_with("text/plain") {
            assert_eq!(reply.text(), "Echo: hi");
        }
    }
    let reply = desk.call("POST", "/chat?stream=perhaps").json(&body).send();
    assert_eq!(
        (reply.status, &reply.json()["detail"][0]["type"]),
        (422, &json!("bool_parsing"))
    );
}

#[test]
fn what_cannot_begin_has_its_own_status() {
    let desk = Desk::new();
    let events = |call: Call| call.header("Accept", "text/event-stream").send();
    let sent = |body: &Value| events(desk.call("POST", "/chat").json(body));
    assert_eq!(
        events(desk.server.post("/chat").json(&json!({"message": "hi"}))).status,
        401
    );
    assert_eq!(sent(&json!({"message": ""})).status, 422);
    assert_eq!(sent(&json!({"message": "hi", "chat_id": "nothing"})).status, 404);
    assert_eq!(sent(&json!({"message": "hi", "model": "nobody/knows"})).status, 422);
    let missing = desk.call("GET", "/conversations/99/events").send();
    assert_eq!(
        (missing.status, missing.detail().as_str()),
        (404, "Conversation not found")
    );
    assert_eq!(desk.call("POST", "/conversations/99/stop").send().status, 404);
}

#[test]
fn bare_text_comes_as_it_is_written() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let chat = desk.new_chat();
    let mut stream = Stream::open(&desk.message(&chat, "hi").header("Accept", "text/plain"));
    assert_eq!(stream.header("Content-Type"), Some("text/plain; charset=utf-8"));
    assert_eq!(stream.text(6), "w0 w1 ");
    upstream.release();
    assert_eq!(stream.rest_of_text(), ("w2 w3 w4 ".to_owned(), End::Whole));
}

#[test]
fn http_1_0_gets_what_is_said_as_it_is() {
    let desk = Desk::new();
    for accept in ["text/event-stream", "text/plain"] {
        let call = desk.message(&desk.new_chat(), "hi").header("Accept", accept);
        let bytes = String::from_utf8(call.bytes())
            .expect("text")
            .replace("HTTP/1.1", "HTTP/1.0");
        let mut stream = Stream::open_with(&call, bytes.as_bytes());
        assert!(stream.head.starts_with("HTTP/1.0 200 "), "{}", stream.head);
        assert_eq!(
            (stream.header("Transfer-Encoding"), stream.header("Content-Length")),
            (None, None)
        );
        let (text, end) = stream.rest_of_text();
        assert_eq!(end, End::Whole);
        assert!(text.contains("Echo: hi"), "{text}");
    }
}

#[test]
fn anybody_of_the_account_reads_along() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let chat = desk.new_chat();
    assert_eq!(desk.events(&chat).send().status, 204);
    let (mut first, start) = desk.half(&chat);
    let mut second = Stream::events(desk.events(&chat));
    assert_eq!(second.expect("start").data, start);
    assert_eq!(second.expect("delta").data, json!({"text": "w0 w1 "}));
    let head = desk
        .server
        .call("HEAD", &format!("/conversations/{}/events", chat["conversation_id"]));
    let head = head.bearer(&desk.token).send();
    assert_eq!(
        (head.status, head.header("Content-Type")),
        (200, Some("text/event-stream"))
    );
    let stranger = desk.server.account("bob").token;
    let target = format!("/conversations/{}/events", chat["conversation_id"]);
    assert_eq!(desk.server.get(&target).bearer(&stranger).send().status, 404);
    upstream.release();
    let (rest, end) = first.rest();
    assert_eq!((second.rest(), end), ((rest.clone(), End::Whole), End::Whole));
    assert_eq!(text_of(&rest), "w2 w3 w4 ");
    assert_eq!(desk.events(&chat).send().status, 204);
}

#[test]
fn a_second_message_is_refused_or_waits() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let chat = desk.new_chat();
    let (mut stream, _) = desk.half(&chat);
    let number = chat["conversation_id"].to_string();
    let refused = [
        desk.message(&chat, "second"),
        desk.message(&chat, "second").header("Accept", "text/event-stream"),
        desk.message(&chat, "second").header("Accept", "text/plain"),
        desk.call("POST", "/chat/")
            .form(&[("text", "second"), ("conversation_id", &number)]),
    ];
    for call in refused {
        let reply = call.send();
        assert_eq!(
            (reply.status, reply.detail().as_str()),
            (409, "A reply is being written")
        );
    }
    let queued = json!({"message": "second", "chat_id": chat["id"], "queue": true});
    let queued = desk
        .call("POST", "/chat")
        .json(&queued)
        .header("Accept", "text/event-stream");
    let by_query = desk.call("POST", "/chat/?queue=true");
    let by_query = by_query.form(&[("text", "third"), ("conversation_id", &number)]);
    let (second, third) = std::thread::scope(|scope| {
        let second = scope.spawn(|| Stream::events(queued).rest());
        // The order in which they wait is that in which they come.
        let third = scope.spawn(|| by_query.send());
        upstream.release();
        (second.join().expect("events"), third.join().expect("a reply"))
    });
    assert_eq!((text_of(&second.0).as_str(), second.1), (WORDS, End::Whole));
    assert_eq!((third.status, &third.json()["answer"]), (200, &json!(WORDS)));
    assert_eq!(text_of(&stream.rest().0), "w2 w3 w4 ");
    assert_eq!(desk.said(&chat).len(), 6);
}

#[test]
fn too_many_replies_are_refused_before_anything_is_stored() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-n5-pause2", &["--max-turns", "1"]);
    let (_stream, _) = desk.half(&desk.new_chat());
    let chat = desk.new_chat();
    let reply = desk.message(&chat, "hi").header("Accept", "text/event-stream").send();
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(reply.header("Retry-After").is_some());
    assert_eq!(desk.said(&chat), said(&[]));
}

#[test]
fn those_who_leave_cost_nothing_and_lose_nothing() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let chats: Vec<Value> = (0..8).map(|_| desk.new_chat()).collect();
    desk.call("GET", "/chats").send();
    let (threads, descriptors) = (desk.server.threads(), desk.server.descriptors());
    for (index, chat) in chats.iter().enumerate() {
        let (stream, _) = desk.half(chat);
        if index % 2 == 0 {
            stream.socket().shutdown(Shutdown::Both).expect("shut down");
        }
    }
    upstream.release();
    for chat in &chats {
        until(PATIENCE, "the reply is whole", || {
            (desk.said(chat) == said(&[("hi", "complete"), (WORDS, "complete")])).then_some(())
        });
    }
    until(PATIENCE, "threads and descriptors are back", || {
        // Connections to the upstream are kept for the next reply.
        let is_back = desk.server.threads() <= threads + 2 && desk.server.descriptors() <= descriptors + 10;
        is_back.then_some(())
    });
}

#[test]
fn the_first_words_are_not_held_back() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let chat = desk.new_chat();
    // Nothing follows them, so whatever waits for more would wait for ever.
    let started = Instant::now();
    desk.half(&chat);
    assert!(started.elapsed() < Duration::from_secs(10));
}
