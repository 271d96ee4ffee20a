//! Coming back to a reply: at any point, at any time, without a gap or a repeat.

use super::*;
use crate::rig::Dice;

/// The rest of a reply after an event.
#[track_caller]
fn resume(desk: &Desk, chat: &Value, last: &str) -> (String, Vec<crate::rig::Event>) {
    let (events, end) = Stream::events(desk.events(chat).header("Last-Event-ID", last)).rest();
    assert_eq!(end, End::Whole);
    (text_of(&events), events)
}

#[test]
fn who_comes_back_while_it_is_written_misses_nothing() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-gap1-n400", &[]);
    let chat = desk.new_chat();
    let mut dice = Dice::new(7);
    let mut stream = Stream::events(desk.message(&chat, "hi"));
    let mut last = stream.expect("start").id;
    let mut text = String::new();
    let mut visits = 0;
    'reading: loop {
        for _ in 0..=dice.below(12) {
            let event = stream.next().expect("an event");
            text += event.data["text"].as_str().unwrap_or_default();
            if event.name == "done" {
                assert_eq!(event.data["message"]["content"], json!(text));
                break 'reading;
            }
            last = event.id;
        }
        visits += 1;
        stream = Stream::events(desk.events(&chat).header("Last-Event-ID", &last));
    }
    assert!(visits > 5, "{visits} visits");
    assert_eq!(desk.said(&chat).pop().expect("a reply"), (text, "complete".into()));
}

#[test]
fn who_comes_back_later_gets_the_rest() {
    let upstream = Upstream::start();
    // Characters of several bytes at its end.
    let mut desk = Desk::with_upstream(&upstream, "fake-split", &[]);
    let chat = desk.new_chat();
    let (events, _) = Stream::events(desk.message(&chat, "hi")).rest();
    let (reply, _) = events[0].position();
    let whole = text_of(&events);
    assert_eq!(whole, "fake reply to: hi – ☃ 🔥");
    for is_restarted in [false, true] {
        if is_restarted {
            desk.server.restart();
        }
        for at in 0..=whole.len() + 3 {
            let (rest, events) = resume(&desk, &chat, &format!("{reply}:{at}"));
            // What is inside a character is told again from its beginning; what is beyond the end is the end.
            let from = (0..=at.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at));
            assert_eq!(rest, whole[from.expect("the beginning")..], "from {at}");
            let done = events.last().expect("an event");
            assert_eq!((done.name.as_str(), done.position()), ("done", (reply, whole.len())));
            assert_eq!(done.data["message"]["content"], json!(whole));
        }
        // The same without a header field.
        let target = format!(
            "/conversations/{}/events?last_event_id={reply}:5",
            chat["conversation_id"]
        );
        let (events, _) = Stream::events(desk.call("GET", &target)).rest();
        assert_eq!(text_of(&events), whole[5..]);
    }
}

#[test]
fn events_of_something_else_are_none() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let (chat, other) = (desk.new_chat(), desk.new_chat());
    let (mut stream, start) = desk.half(&chat);
    let (question, reply) = (&start["request_message_id"], &start["response_message_id"]);
    // Of a reply elsewhere, of a question, of nothing, of nobody.
    for last in [
        format!("{reply}:0"),
        "99:0".into(),
        "nonsense".into(),
        "1:2:3".into(),
        String::new(),
    ] {
        let call = desk.events(&other).header("Last-Event-ID", &last);
        assert_eq!(call.send().status, 204, "{last:?}");
    }
    assert_eq!(
        desk.events(&chat)
            .header("Last-Event-ID", &format!("{question}:0"))
            .send()
            .status,
        204
    );
    // What is no id at all does not keep anybody from reading along.
    let mut second = Stream::events(desk.events(&chat).header("Last-Event-ID", "nonsense"));
    assert_eq!(second.expect("start").data, start);
    upstream.release();
    assert_eq!(text_of(&stream.rest().0), "w2 w3 w4 ");
    assert_eq!(text_of(&second.rest().0), WORDS);
}

#[test]
fn what_a_crash_has_left_is_told_as_interrupted() {
    let upstream = Upstream::start();
    let mut desk = Desk::with_upstream(&upstream, "fake-gap20-n500", &[]);
    let chat = desk.new_chat();
    let mut stream = Stream::events(desk.message(&chat, "hi"));
    let mut last = stream.expect("start").id;
    // Saved four times a second: by then there is something.
    until(PATIENCE, "something is saved", || {
        last = stream.expect("delta").id;
        (!desk.said(&chat).pop().expect("a reply").0.is_empty()).then_some(())
    });
    desk.server.kill();
    desk.server.restart();
    let (text, state) = desk.said(&chat).pop().expect("a reply");
    assert_eq!(state, "interrupted");
    let (_, events) = resume(&desk, &chat, &last);
    let message = &events.last().expect("an event").data["message"];
    assert_eq!(
        (&message["state"], &message["content"]),
        (&json!("interrupted"), &json!(text))
    );
    let (reply, _) = last.split_once(':').expect("an id");
    assert_eq!(resume(&desk, &chat, &format!("{reply}:3")).0, text[3..]);
}
