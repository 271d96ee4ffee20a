//! `block` events: a reply as HTML while it is written.

use super::*;

const MARKDOWN: &str = "# Title\n\nSome *words*\nin lines.\n\n- a\n- b\n\n  c\n\n```rust\nfn main() {}\n```\n\n| a | b |\n|---|---|\n\
    | 1 | 2 |\n\nlast **word**";

/// The blocks of a stream put together, as a client does.
#[track_caller]
fn painted(events: &[Event]) -> String {
    let mut blocks: Vec<String> = Vec::new();
    let mut ended = 0;
    for event in events.iter().filter(|event| event.name == "block") {
        let index = event.data["index"]
            .as_u64()
            .and_then(|index| usize::try_from(index).ok());
        let index = index.expect("a place");
        assert!(
            (ended..=blocks.len()).contains(&index),
            "block {index} of {}",
            blocks.len()
        );
        ended = index;
        blocks.truncate(index);
        blocks.push(event.data["html"].as_str().expect("HTML").to_owned());
    }
    blocks.concat()
}

/// The HTML of the message that a stream ends with.
#[track_caller]
fn last(events: &[Event]) -> &str {
    let last = events.last().expect("an event");
    assert_eq!(last.name, "done");
    last.data["message"]["html"].as_str().expect("HTML")
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[test]
fn blocks_come_beside_the_text_and_add_up_to_the_message() {
    let desk = Desk::new();
    let said = json!({"message": MARKDOWN, "model": "echo"});
    let (events, end) = Stream::events(desk.call("POST", "/chat?stream=1&html=1").json(&said)).rest();
    assert_eq!(end, End::Whole);
    assert_eq!(text_of(&events), format!("Echo: {MARKDOWN}"));
    let html = last(&events);
    assert!(
        html.contains("<ul>") && html.contains("<table>") && html.contains("class=\"language-rust\""),
        "{html}"
    );
    assert_eq!(painted(&events), html);
    // It is what everybody gets who asks for the message later.
    let chat = events[0].data["chat_id"].as_str().expect("an id");
    let list = desk
        .call("GET", &format!("/chats/{chat}/messages?html=1"))
        .send()
        .json();
    assert_eq!(list[1]["html"], *html);
}

#[test]
fn blocks_come_while_it_is_written() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-n5-pause2", &[]);
    let said = json!({"message": "hi"});
    let mut stream = Stream::events(
        desk.call("POST", "/chat?html=1")
            .header("Accept", "text/event-stream")
            .json(&said),
    );
    let mut events = Vec::new();
    while painted(&events) != "<p>w0 w1 </p>\n" && painted(&events) != "<p>w0 w1</p>\n" {
        events.push(stream.next().expect("an event"));
    }
    assert!(!names(&events).contains(&"done"));
    upstream.release();
    events.extend(stream.rest().0);
    assert_eq!(
        (painted(&events).as_str(), last(&events)),
        ("<p>w0 w1 w2 w3 w4</p>\n", "<p>w0 w1 w2 w3 w4</p>\n")
    );
}

#[test]
fn who_comes_back_is_shown_all_blocks_and_told_the_rest() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-n5-pause2", &[]);
    let mut stream = Stream::events(desk.call("POST", "/chat?stream=1").json(&json!({"message": "hi"})));
    let id = stream.expect("start").data["conversation_id"].clone();
    let first = stream.expect("delta");
    stream.expect("delta");
    let path = format!("/conversations/{id}/events?html=1");
    let attach = || desk.call("GET", &path).header("Last-Event-ID", &first.id);
    let mut back = Stream::events(attach());
    let mut events = vec![back.next().expect("an event")];
    assert_eq!(
        (events[0].name.as_str(), &events[0].data),
        ("delta", &json!({"text": "w1 "}))
    );
    upstream.release();
    events.extend(back.rest().0);
    // Once more when all is over.
    for events in [events, Stream::events(attach()).rest().0] {
        assert_eq!(text_of(&events), "w1 w2 w3 w4 ");
        assert_eq!(painted(&events), "<p>w0 w1 w2 w3 w4</p>\n");
        assert_eq!(last(&events), "<p>w0 w1 w2 w3 w4</p>\n");
    }
    // Those who did not ask are shown none.
    let (events, _) = stream.rest();
    assert_eq!(names(&events), ["delta", "delta", "delta", "done"]);
    assert!(events[3].data["message"].get("html").is_none());
}

#[test]
fn what_is_stopped_or_sent_is_answered_with_html() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-n5-pause2", &[]);
    let mut stream = Stream::events(desk.call("POST", "/chat?stream=1").json(&json!({"message": "hi"})));
    let id = stream.expect("start").data["conversation_id"].clone();
    stream.expect("delta");
    stream.expect("delta");
    let stopped = desk
        .call("POST", &format!("/conversations/{id}/stop?html=1"))
        .send()
        .json();
    assert_eq!(
        (&stopped["state"], &stopped["html"]),
        (&json!("stopped"), &json!("<p>w0 w1</p>\n"))
    );
    upstream.release();
    let chat = desk.server.chat(&desk.token, "a chat");
    let path = format!("/chats/{}/messages/?html=1", chat["id"].as_str().expect("an id"));
    let sent = desk.call("POST", &path).json(&json!({"content": "*hi*"})).send();
    assert_eq!(
        (sent.status, &sent.json()["html"]),
        (200, &json!("<p><em>hi</em></p>\n"))
    );
}

#[test]
fn a_reply_that_fails_says_so_after_its_blocks() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-reset", &[]);
    let (events, _) = Stream::events(
        desk.call("POST", "/chat?stream=1&html=1")
            .json(&json!({"message": "hi"})),
    )
    .rest();
    assert_eq!(names(&events).last(), Some(&"error"), "{events:?}");
    assert!(!text_of(&events).is_empty());
}
