//! How a stream ends: stopped, failed, deleted, with its session, with the server.

use super::*;
use crate::rig::slow;

#[test]
fn a_reply_is_stopped_as_far_as_it_came() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let chat = desk.new_chat();
    let nothing = desk.stop(&chat).send();
    assert_eq!(
        (nothing.status, nothing.detail().as_str()),
        (409, "No reply is being written")
    );
    let (mut stream, start) = desk.half(&chat);
    let started = Instant::now();
    let stopped = desk.stop(&chat).send();
    // A fifth of a second, with tenfold slack.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(stopped.status, 200, "{}", stopped.text());
    let message = stopped.json();
    assert_eq!(message["id"], start["response_message_id"]);
    assert_eq!(
        (&message["content"], &message["state"]),
        (&json!("w0 w1 "), &json!("stopped"))
    );
    let (events, end) = stream.rest();
    assert_eq!((events.len(), end), (1, End::Whole));
    assert_eq!(
        (events[0].name.as_str(), &events[0].data["message"]),
        ("done", &message)
    );
    // Its server could not say what it cost, and it was not for nothing.
    let usage = &events[0].data["usage"];
    assert_eq!(
        (&usage["output_tokens"], &usage["estimated"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(desk.said(&chat), said(&[("hi", "complete"), ("w0 w1 ", "stopped")]));
    assert_eq!(desk.stop(&chat).send().status, 409);
    // The conversation goes on.
    upstream.release();
    let (events, _) = Stream::events(desk.message(&chat, "again")).rest();
    assert_eq!(text_of(&events), WORDS);
}

#[test]
fn a_reply_is_stopped_before_its_first_word() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-hang", &[]);
    let chat = desk.new_chat();
    let mut stream = Stream::events(desk.message(&chat, "hi"));
    stream.expect("start");
    upstream.wait_for(1);
    let message = desk.stop(&chat).send().json();
    assert_eq!(
        (&message["content"], &message["state"]),
        (&json!(""), &json!("stopped"))
    );
    assert_eq!(stream.expect("done").data["message"], message);
}

#[test]
fn a_failure_is_the_last_event() {
    let upstream = Upstream::start();
    for (model, text, left) in [
        ("fake-e400", "", said(&[("hi", "complete")])),
        (
            "fake-reset",
            "fake reply ",
            said(&[("hi", "complete"), ("fake reply ", "failed")]),
        ),
    ] {
        let desk = Desk::with_upstream(&upstream, model, &[]);
        let chat = desk.new_chat();
        let mut stream = Stream::events(desk.message(&chat, "hi"));
        let start = stream.expect("start");
        let (events, end) = stream.rest();
        assert_eq!(end, End::Whole);
        assert_eq!(text_of(&events), text);
        let last = events.last().expect("an event");
        assert_eq!(last.name, "error");
        assert!(
            last.data["detail"]
                .as_str()
                .expect("a sentence")
                .starts_with("Failed to get AI response: ")
        );
        assert!(!last.data["kind"].as_str().expect("a word").is_empty());
        assert_eq!(last.position(), (start.position().0, text.len()));
        assert_eq!(desk.said(&chat), left);
        // Who comes back for it is told the same, if there is anything to tell.
        let again = desk.events(&chat).header("Last-Event-ID", &start.id);
        if text.is_empty() {
            assert_eq!(again.send().status, 204);
        } else {
            let (events, end) = Stream::events(again).rest();
            assert_eq!((text_of(&events).as_str(), end), (text, End::Whole));
            assert_eq!(events.last().expect("an event").name, "error");
        }
    }
}

#[test]
fn a_stall_is_the_last_event() {
    if !slow() {
        println!("skipped: it takes the minute in which a model may say nothing; FIRESIDE_TEST_SLOW=1 runs it");
        return;
    }
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-hangmid", &[]);
    let chat = desk.new_chat();
    let mut stream = Stream::events(desk.message(&chat, "hi"));
    let start = stream.expect("start");
    let (events, end) = stream.rest();
    assert_eq!((text_of(&events).as_str(), end), ("fake reply ", End::Whole));
    let last = events.last().expect("an event");
    assert_eq!((last.name.as_str(), &last.data["kind"]), ("error", &json!("timeout")));
    assert_eq!(last.position(), (start.position().0, "fake reply ".len()));
    assert_eq!(desk.said(&chat), said(&[("hi", "complete"), ("fake reply ", "failed")]));
}

#[test]
fn bare_text_fails_with_a_status_or_breaks_off() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-e400", &[]);
    let reply = desk
        .message(&desk.new_chat(), "hi")
        .header("Accept", "text/plain")
        .send();
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(
        reply.detail().starts_with("Failed to get AI response: "),
        "{}",
        reply.text()
    );
    let desk = Desk::with_upstream(&upstream, "fake-cut", &[]);
    let mut stream = Stream::open(&desk.message(&desk.new_chat(), "hi").header("Accept", "text/plain"));
    assert_eq!(stream.status, 200);
    assert_eq!(stream.rest_of_text(), ("fake reply ".to_owned(), End::Broken));
}

#[test]
fn deleting_a_conversation_ends_its_reply() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let chat = desk.new_chat();
    let (mut stream, _) = desk.half(&chat);
    let id = chat["id"].as_str().expect("an id");
    assert_eq!(desk.call("DELETE", &format!("/chats/{id}")).send().status, 204);
    let (events, end) = stream.rest();
    assert_eq!((events.len(), end), (1, End::Whole));
    assert_eq!(
        (events[0].name.as_str(), &events[0].data["kind"]),
        ("error", &json!("not_found"))
    );
    assert_eq!(desk.events(&chat).send().status, 404);
}

#[test]
fn a_stream_ends_with_its_session() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let chat = desk.new_chat();
    let account = desk.server.account("bob");
    let theirs = Desk {
        token: desk.server.login(&account),
        server: desk.server,
    };
    let desk = Desk {
        server: theirs.server,
        token: desk.token,
    };
    let (mut stays, _) = desk.half(&chat);
    let body = json!({"message": "hi"});
    let call = desk.server.post("/chat").bearer(&theirs.token).json(&body);
    let mut sender = Stream::events(call);
    let start = sender.expect("start").data;
    let target = format!("/conversations/{}/events", start["conversation_id"]);
    let mut reader = Stream::events(desk.server.get(&target).bearer(&theirs.token));
    let mut other = Stream::events(desk.server.get(&target).bearer(&account.token));
    let logged_out = desk.server.post("/auth/logout").bearer(&theirs.token).send();
    assert_eq!(logged_out.status, 200);
    let started = Instant::now();
    for stream in [&mut sender, &mut reader] {
        assert_eq!(stream.rest().1, End::Broken);
    }
    // A second, with tenfold slack.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    // The reply itself goes on, for those who may read it, and other people's do.
    upstream.release();
    let (events, end) = other.rest();
    assert_eq!((text_of(&events).as_str(), end), (WORDS, End::Whole));
    assert_eq!(stays.rest().1, End::Whole);
}

#[test]
fn a_server_that_stops_ends_its_streams() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let chat = desk.new_chat();
    let (mut stream, _) = desk.half(&chat);
    let started = Instant::now();
    let mut desk = desk;
    desk.server.signal("TERM");
    let (events, end) = stream.rest();
    assert_eq!((events.len(), end), (1, End::Whole));
    assert_eq!(events[0].data["message"]["state"], "interrupted");
    let exit = desk.server.wait(PATIENCE);
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    assert!(started.elapsed() < Duration::from_secs(11), "{:?}", started.elapsed());
    desk.server.restart();
    assert_eq!(desk.said(&chat), said(&[("hi", "complete"), ("w0 w1 ", "interrupted")]));
}

#[test]
fn who_does_not_read_is_left_behind_and_may_come_back() {
    let upstream = Upstream::start();
    // More than sockets and the outbox hold.
    let desk = Desk::with_upstream(&upstream, "fake-n120000", &[]);
    let chat = desk.new_chat();
    let call = desk.message(&chat, "hi").header("Accept", "text/event-stream");
    let mut stream = Stream::narrow(&call);
    let start = stream.expect("start");
    until(PATIENCE, "the reply is whole", || {
        (desk.said(&chat).last().expect("a reply").1 == "complete").then_some(())
    });
    let whole = desk.said(&chat).pop().expect("a reply").0;
    let mut text = String::new();
    let mut last = start.id;
    // What had been sent before it was dropped still arrives, and perhaps half an event.
    while let Ok(Some(event)) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stream.next())) {
        last.clone_from(&event.id);
        text += event.data["text"].as_str().unwrap_or_default();
    }
    assert!(text.len() < whole.len(), "it was all sent to nobody");
    let (events, end) = Stream::events(desk.events(&chat).header("Last-Event-ID", &last)).rest();
    assert_eq!(end, End::Whole);
    assert!(text + &text_of(&events) == whole, "a gap or a repeat");
}
