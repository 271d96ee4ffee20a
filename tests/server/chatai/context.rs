//! The compact context: what is shown is what is sent.

use serde_json::{Value, json};

use crate::rig::{Desk, Upstream};

impl Desk {
    #[track_caller]
    fn context(&self, conversation: i64) -> String {
        let reply = self
            .call("GET", &format!("/conversations/{conversation}/context"))
            .send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        match reply.json() {
            Value::String(text) => text,
            other => panic!("not a string: {other}"),
        }
    }

    /// Sends a message, and checks that what was shown before went out before it.
    #[track_caller]
    fn check_sent(&self, upstream: &Upstream, conversation: i64, message: &str) -> String {
        let shown = self.context(conversation);
        self.tell(conversation, message);
        let mut sent = upstream.completions().pop().expect("a request").messages();
        assert_eq!(sent.pop(), Some(("user".to_string(), message.to_string())));
        let lines: Vec<String> = sent.iter().map(|(role, text)| format!("{role}: {text}")).collect();
        assert_eq!(shown, lines.join("\n---\n"));
        shown
    }
}

#[test]
fn the_context_reads_as_the_recorded_one() {
    let desk = Desk::new();
    let id = desk.create(&json!({}));
    assert_eq!(desk.context(id), "");
    desk.tell(id, "Hi there");
    desk.tell(id, "u");
    assert_eq!(
        desk.context(id),
        "user: Hi there\n---\nassistant: Echo: Hi there\n---\nuser: u\n---\nassistant: Echo: u"
    );
}

#[test]
fn what_is_shown_is_what_the_next_message_is_sent_behind() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &["--context-messages", "4"]);
    let id = desk.create(&json!({}));
    assert_eq!(desk.check_sent(&upstream, id, "one"), "");
    for message in ["two", "three", "four"] {
        desk.check_sent(&upstream, id, message);
    }
    let shown = desk.check_sent(&upstream, id, "five");
    assert!(shown.starts_with("user: three\n---\n"), "{shown}");
    let prompt = json!({"system_prompt": "Answer in verse."});
    let reply = desk.call("PATCH", "/users/me").json(&prompt).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let shown = desk.check_sent(&upstream, id, "six");
    assert!(
        shown.starts_with("system: Answer in verse.\n---\nuser: four\n---\n"),
        "{shown}"
    );
}

#[test]
fn the_oldest_turns_make_room() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    let id = desk.create(&json!({}));
    // About 2 500 tokens each, with as many again in the reply that repeats it.
    for letter in ["a", "b", "c"] {
        desk.tell(id, &letter.repeat(10_000));
    }
    let shown = desk.check_sent(&upstream, id, "short");
    assert!(shown.starts_with("user: ccc"), "{}", &shown[..40]);
    let turns: Vec<&str> = shown.split("\n---\n").collect();
    assert_eq!(turns.len(), 2, "whole turns alone");
}
