//! Ways to a reply other than a new message: regenerating, editing, going on; and the branches that come of it.

use serde_json::{Value, json};

use super::said;
use crate::rig::{Call, Desk, Multipart, Stream, Upstream, text_of};

impl Desk {
    fn of_message(&self, method: &str, id: &Value, what: &str, body: &Value) -> Call {
        self.call(method, &format!("/messages/{id}{what}")).json(body)
    }

    /// Sends it and returns the reply that came of it.
    #[track_caller]
    fn replied(&self, call: Call) -> Value {
        let reply = call.send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// The messages that are shown, with their place in the tree.
    fn shown(&self, chat: &Value) -> Vec<Value> {
        let id = chat["id"].as_str().expect("an id");
        let reply = self.call("GET", &format!("/chats/{id}/messages?tree=1")).send();
        reply.json().as_array().expect("a list").clone()
    }

    /// What lists say of the chat: its length, and how it ends.
    fn end(&self, chat: &Value) -> (u64, String) {
        let chat = self
            .call("GET", &format!("/chats/{}", chat["id"].as_str().expect("an id")))
            .send()
            .json();
        let last = chat["last_message_content"].as_str().expect("text");
        (chat["message_count"].as_u64().expect("a number"), last.to_owned())
    }

    fn show(&self, chat: &Value, message: &Value) {
        let path = format!("/conversations/{}/leaf", chat["conversation_id"]);
        let shown = self.call("PUT", &path).json(&json!({"message_id": message})).send();
        assert_eq!(shown.status, 200, "{}", shown.text());
    }
}

/// A desk whose replies come from an upstream, a chat of two questions there, and its messages.
fn told(upstream: &Upstream) -> (Desk, Value, Vec<Value>) {
    let desk = Desk::with_upstream(upstream, "fake", &[]);
    let chat = desk.new_chat();
    for text in ["one", "two"] {
        assert_eq!(desk.message(&chat, text).send().status, 200);
    }
    let messages = desk.shown(&chat);
    (desk, chat, messages)
}

#[test]
fn a_question_is_answered_once_more() {
    let upstream = Upstream::start();
    let (desk, chat, messages) = told(&upstream);
    let (question, reply) = (&messages[2]["id"], &messages[3]["id"]);
    let again = desk.replied(desk.of_message("POST", reply, "/regenerate", &json!({"model": "fake-n2"})));
    assert_eq!(
        (&again["content"], &again["model"], &again["state"]),
        (&json!("w0 w1 "), &json!("fake-n2"), &json!("complete"))
    );
    assert_eq!(
        (&again["parent_id"], &again["siblings"]),
        (question, &json!([reply, again["id"]]))
    );
    // The model is asked what it was asked before, and not told its other reply.
    let asked = upstream.completions();
    assert_eq!(asked[1].messages(), asked[2].messages());
    let shown = |texts: &[&str]| {
        let texts: Vec<(&str, &str)> = texts.iter().map(|text| (*text, "complete")).collect();
        said(&texts)
    };
    assert_eq!(desk.said(&chat), shown(&["one", "fake reply to: one", "two", "w0 w1 "]));
    assert_eq!(desk.end(&chat), (4, "w0 w1 ".into()));
    // By the question, without a body, at an earlier place: what came after it stays on its own branch.
    let third = desk
        .call("POST", &format!("/messages/{}/regenerate", messages[0]["id"]))
        .send();
    assert_eq!(third.json()["content"], json!("fake reply to: one"), "{}", third.text());
    assert_eq!(desk.said(&chat), shown(&["one", "fake reply to: one"]));
    assert_eq!(desk.end(&chat).0, 2);
    assert_eq!(desk.message(&chat, "other").send().status, 200);
    assert_eq!(
        desk.said(&chat),
        shown(&["one", "fake reply to: one", "other", "fake reply to: other"])
    );
    desk.show(&chat, &messages[1]["id"]);
    assert_eq!(desk.said(&chat), shown(&["one", "fake reply to: one", "two", "w0 w1 "]));
    desk.show(&chat, reply);
    assert_eq!(desk.shown(&chat)[3]["content"], json!("fake reply to: two"));
    assert_eq!(desk.end(&chat), (4, "fake reply to: two".into()));
}

#[test]
fn a_regeneration_of_which_nothing_comes_leaves_what_there_was() {
    let upstream = Upstream::start();
    let (desk, chat, messages) = told(&upstream);
    let failed = desk
        .of_message(
            "POST",
            &messages[3]["id"],
            "/regenerate",
            &json!({"model": "fake-e400"}),
        )
        .send();
    assert_eq!(failed.status, 503, "{}", failed.text());
    assert_eq!(desk.shown(&chat), messages);
    assert_eq!(desk.end(&chat), (4, "fake reply to: two".into()));
    let unknown = desk
        .of_message("POST", &messages[3]["id"], "/regenerate", &json!({"model": "nobody/x"}))
        .send();
    assert_eq!(unknown.status, 422, "{}", unknown.text());
}

#[test]
fn an_edited_question_is_a_branch_of_its_own() {
    let upstream = Upstream::start();
    let (desk, chat, messages) = told(&upstream);
    let edited = desk.replied(desk.of_message("PATCH", &messages[0]["id"], "", &json!({"content": "uno"})));
    assert_eq!(edited["content"], json!("fake reply to: uno"));
    assert_eq!(
        desk.said(&chat),
        said(&[("uno", "complete"), ("fake reply to: uno", "complete")])
    );
    let shown = desk.shown(&chat);
    assert_eq!(shown[0]["siblings"], json!([messages[0]["id"], shown[0]["id"]]));
    assert_eq!((&edited["parent_id"], desk.end(&chat).0), (&shown[0]["id"], 2));
    assert_eq!(
        upstream.completions().pop().expect("a request").messages(),
        [("user".to_owned(), "uno".to_owned())]
    );
    let tree = desk
        .call("GET", &format!("/conversations/{}/tree", chat["conversation_id"]))
        .send()
        .json();
    assert_eq!(tree["messages"].as_array().map(Vec::len), Some(6));
    assert_eq!(
        (&tree["leaf_id"], &tree["messages"][4]["sibling_index"]),
        (&edited["id"], &json!(1))
    );
    desk.show(&chat, &messages[0]["id"]);
    let back: Vec<Value> = desk
        .shown(&chat)
        .iter()
        .map(|message| message["content"].clone())
        .collect();
    let before: Vec<Value> = messages.iter().map(|message| message["content"].clone()).collect();
    assert_eq!(back, before);
    // What a model said is nobody's to edit.
    let refused = desk
        .of_message("PATCH", &messages[1]["id"], "", &json!({"content": "x"}))
        .send();
    assert_eq!(refused.status, 409, "{}", refused.text());
    let blank = desk
        .of_message("PATCH", &messages[0]["id"], "", &json!({"content": ""}))
        .send();
    assert_eq!(blank.status, 422, "{}", blank.text());
}

#[test]
fn an_edited_question_keeps_its_files() {
    let desk = Desk::new();
    let form = Multipart::new()
        .field("text", "read this")
        .file("files", "notes.txt", "text/plain", b"of boats");
    let sent = form.on(desk.call("POST", "/chat/")).send().json();
    let edit = desk.of_message(
        "PATCH",
        &sent["request_message_id"],
        "",
        &json!({"content": "read that"}),
    );
    let reply = desk.replied(edit);
    assert_eq!(reply["content"], json!("Echo: read that"));
    let path = format!("/conversations/{}/messages", sent["conversation_id"]);
    let files = |desk: &Desk| desk.call("GET", &path).send().json()["messages"][0]["attachments"].clone();
    let edited = files(&desk);
    assert_eq!(edited[0]["filename"], json!("notes.txt"));
    let leaf = format!("/conversations/{}/leaf", sent["conversation_id"]);
    let body = json!({"message_id": sent["request_message_id"]});
    assert_eq!(desk.call("PUT", &leaf).json(&body).send().status, 200);
    assert_eq!(files(&desk), edited);
}

#[test]
fn a_reply_that_was_stopped_goes_on() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let chat = desk.new_chat();
    let (_stream, start) = desk.half(&chat);
    let id = &start["response_message_id"];
    let early = desk.of_message("POST", id, "/continue", &json!({})).send();
    assert_eq!(
        (early.status, early.detail().as_str()),
        (409, "A reply is being written")
    );
    assert_eq!(desk.stop(&chat).send().status, 200);
    assert_eq!(desk.said(&chat), said(&[("hi", "complete"), ("w0 w1 ", "stopped")]));
    let mut stream = Stream::events(desk.of_message("POST", id, "/continue", &json!({"model": "fake-n3"})));
    assert_eq!(stream.expect("start").data["response_message_id"], *id);
    let (events, _) = stream.rest();
    // Whoever reads it from here on has all of it, and its ids go on from where it ended.
    let whole = "w0 w1 w0 w1 w2 ";
    assert_eq!(text_of(&events), whole);
    let positions: Vec<_> = events.iter().map(|event| event.position().1).collect();
    assert_eq!(positions, [6, 9, 12, 15, 15]);
    assert_eq!(desk.said(&chat), said(&[("hi", "complete"), (whole, "complete")]));
    assert_eq!(desk.end(&chat), (2, whole.into()));
    let asked = upstream.completions().pop().expect("a request").messages();
    assert_eq!(
        asked,
        [
            ("user".to_owned(), "hi".to_owned()),
            ("assistant".to_owned(), "w0 w1 ".to_owned())
        ]
    );
    let complete = desk.of_message("POST", id, "/continue", &json!({})).send();
    assert_eq!(
        (complete.status, complete.detail().as_str()),
        (409, "The reply is complete")
    );
    let question = desk
        .of_message("POST", &start["request_message_id"], "/continue", &json!({}))
        .send();
    assert_eq!(question.status, 409, "{}", question.text());
}

#[test]
fn a_reply_that_cannot_go_on_is_kept() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake-hang", &[]);
    let chat = desk.new_chat();
    let mut stream = Stream::events(desk.message(&chat, "hi"));
    let start = stream.expect("start").data;
    upstream.wait_for(1);
    assert_eq!(desk.stop(&chat).send().status, 200);
    // Nothing had come of it, and whoever stopped it is shown that.
    assert_eq!(desk.said(&chat), said(&[("hi", "complete"), ("", "stopped")]));
    let refused = json!({"model": "fake-e400"});
    let failed = desk
        .of_message("POST", &start["response_message_id"], "/continue", &refused)
        .send();
    assert_ne!(failed.status, 200);
    assert_eq!(desk.said(&chat), said(&[("hi", "complete"), ("", "failed")]));
}

#[test]
fn a_reply_that_something_was_said_after_does_not_go_on() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let chat = desk.new_chat();
    let (_stream, start) = desk.half(&chat);
    assert_eq!(desk.stop(&chat).send().status, 200);
    upstream.release();
    assert_eq!(desk.message(&chat, "never mind").send().status, 200);
    let late = desk
        .of_message("POST", &start["response_message_id"], "/continue", &json!({}))
        .send();
    assert_eq!(
        (late.status, late.detail().as_str()),
        (409, "Something was said after this reply")
    );
    assert_eq!(desk.shown(&chat)[1]["state"], json!("stopped"));
}

#[test]
fn one_reply_at_a_time_here_too() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let chat = desk.new_chat();
    let (mut stream, start) = desk.half(&chat);
    let id = &start["request_message_id"];
    for call in [
        desk.of_message("POST", id, "/regenerate", &json!({})),
        desk.of_message("PATCH", id, "", &json!({"content": "ho"})),
    ] {
        let busy = call.send();
        assert_eq!((busy.status, busy.detail().as_str()), (409, "A reply is being written"));
    }
    upstream.release();
    let queued = desk.replied(desk.of_message("POST", id, "/regenerate", &json!({"queue": true})));
    assert_eq!(queued["siblings"], json!([start["response_message_id"], queued["id"]]));
    stream.expect("delta");
    let eve = desk.server.account("eve").token;
    for (method, what) in [("POST", "/regenerate"), ("POST", "/continue"), ("PATCH", "")] {
        let path = format!("/messages/{id}{what}");
        let refused = desk
            .server
            .call(method, &path)
            .bearer(&eve)
            .json(&json!({"content": "x"}))
            .send();
        assert_eq!((refused.status, refused.detail().as_str()), (404, "Message not found"));
    }
}

#[test]
fn nothing_is_deleted_while_a_reply_is_written() {
    let upstream = Upstream::start();
    let desk = Desk::pausing(&upstream);
    let chat = desk.new_chat();
    let (mut stream, start) = desk.half(&chat);
    let (question, reply) = (&start["request_message_id"], &start["response_message_id"]);
    for id in [question, reply] {
        let busy = desk.call("DELETE", &format!("/messages/{id}")).send();
        assert_eq!((busy.status, busy.detail().as_str()), (409, "A reply is being written"));
    }
    upstream.release();
    stream.rest();
    assert_eq!(desk.call("DELETE", &format!("/messages/{reply}")).send().status, 204);
    assert_eq!(desk.end(&chat), (1, "hi".into()));
    // The question can be answered anew; the reply that was deleted is then another one to it.
    let again = desk.replied(desk.of_message("POST", question, "/regenerate", &json!({"model": "fake-n2"})));
    assert_eq!(again["siblings"], json!([again["id"]]));
    let restored = desk.call("POST", &format!("/messages/{reply}/restore")).send();
    assert_eq!(restored.status, 200, "{}", restored.text());
    let shown = desk.shown(&chat);
    assert_eq!(
        (&shown[1]["id"], &shown[1]["siblings"]),
        (reply, &json!([reply, again["id"]]))
    );
    assert_eq!(desk.call("DELETE", &format!("/messages/{reply}")).send().status, 204);
    assert_eq!(desk.shown(&chat)[1]["content"], json!("w0 w1 "));
}
