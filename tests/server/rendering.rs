//! `?html=1`: messages that carry their text as HTML, in every family.

mod blocks;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{Desk, End, Event, PATIENCE, Stream, Upstream, text_of, until};

/// What SECURITY gives the largest of them, ten times over.
const RENDERING: Duration = Duration::from_secs(10);

struct Talk {
    desk: Desk,
    /// The chat's UUID.
    chat: String,
    /// Its number.
    id: i64,
}

impl Talk {
    /// A chat in which this was said, and repeated by the model.
    fn new(text: &str) -> Talk {
        let desk = Desk::new();
        let said = json!({"message": text, "model": "echo"});
        let replied = desk.check(
            "POST",
            "/chat",
            Some(said),
            200,
            &json!({"reply": "<string>", "chat_id": "<uuid>"}),
        );
        let chat = replied["chat_id"].as_str().expect("an id").to_owned();
        let found = desk.call("GET", &format!("/chats/{chat}")).send().json();
        let id = found["conversation_id"].as_i64().expect("a number");
        Talk { desk, chat, id }
    }

    fn get(&self, target: &str) -> Value {
        let reply = self.desk.call("GET", target).send();
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        reply.json()
    }

    /// One of them, with HTML.
    fn list(&self) -> Value {
        self.get(&format!("/chats/{}/messages?html=1", self.chat))
    }

    /// Each family's list.
    fn lists(&self, query: &str) -> [Value; 3] {
        let (chat, id) = (&self.chat, self.id);
        [
            self.get(&format!("/chats/{chat}/messages{query}")),
            self.get(&format!("/chats/{chat}/messages/{query}")),
            self.get(&format!("/conversations/{id}/messages{query}"))["messages"].take(),
        ]
    }
}

#[test]
fn every_family_shows_html_to_those_who_ask() {
    let talk = Talk::new("**a**\nb <script>c</script>");
    let expected = [
        "<p><strong>a</strong><br>\nb &lt;script&gt;c&lt;/script&gt;</p>\n",
        "<p>Echo: <strong>a</strong>\nb &lt;script&gt;c&lt;/script&gt;</p>\n",
    ];
    // Made the first time, and kept.
    for _ in 0..2 {
        for list in talk.lists("?html=1") {
            let html: Vec<&str> = list
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|m| m["html"].as_str())
                .collect();
            assert_eq!(html, expected);
        }
    }
    for query in ["", "?html=0", "?html=false"] {
        for list in talk.lists(query) {
            let has_html = |message: &Value| message.get("html").is_some();
            assert!(!list.as_array().into_iter().flatten().any(has_html), "{list}");
        }
    }
}

#[test]
fn single_messages_show_it_as_well() {
    let talk = Talk::new("`a`");
    let messages = talk.get(&format!("/chats/{}/messages", talk.chat));
    let (question, reply) = (messages[0]["id"].to_string(), messages[1]["id"].to_string());
    let usage = talk.get(&format!("/chat/messages/{reply}/usage-details?html=true"));
    assert_eq!(usage["message"]["html"], "<p>Echo: <code>a</code></p>\n");
    assert_eq!(usage["message"]["text"], "Echo: `a`");
    let read = talk
        .desk
        .call("PUT", &format!("/messages/{question}/read?html=1"))
        .send();
    assert_eq!(read.json()["html"], "<p><code>a</code></p>\n");
    let read = talk.desk.call("PUT", &format!("/messages/{question}/read")).send();
    assert!(read.status == 200 && read.json().get("html").is_none());
    let missing = talk.desk.call("PUT", "/messages/999999/read?html=1").send();
    assert_eq!(
        (missing.status, missing.detail()),
        (404, "Message not found".to_owned())
    );
}

#[test]
fn a_query_that_is_no_yes_or_no_is_refused() {
    let talk = Talk::new("a");
    let reply = talk
        .desk
        .call("GET", &format!("/chats/{}/messages?html=maybe", talk.chat))
        .send();
    assert_eq!(reply.status, 422);
    assert_eq!(reply.json()["detail"][0]["type"], "bool_parsing");
}

/// HTML outlives the server, and so does the text it was made of.
#[test]
fn html_is_the_same_after_a_restart() {
    let mut talk = Talk::new("# a\n\n1. b");
    let before = talk.lists("?html=1");
    talk.desk.server.restart();
    assert_eq!(talk.lists("?html=1"), before);
}

#[test]
fn what_is_meant_to_take_long_holds_up_nobody() {
    // As JSON it stays within a body of 1 MiB; the reply, which is rendered as well, is a little longer.
    let bytes = 240 * 1024;
    for piece in [">", "<div>", "<b>", "*a ", "[a](", "|", "- ", "> ", "`", "![", "[^a]: "] {
        let talk = Talk::new(&piece.repeat(bytes / piece.len()));
        let asked = Instant::now();
        let list = talk.list();
        assert!(asked.elapsed() < RENDERING * 6, "{piece}: {:?}", asked.elapsed());
        assert!(list[1]["content"].as_str().is_some_and(|text| text.len() >= bytes - 10));
        // Whoever had to do without the first time has it in the end.
        until(PATIENCE, "HTML of both", || {
            let list = talk.list();
            let has_html = |n: usize| list[n]["html"].as_str().is_some_and(|html| !html.is_empty());
            (has_html(0) && has_html(1)).then_some(())
        });
    }
}

#[test]
fn health_is_well_while_a_page_is_rendered() {
    let talk = Talk::new(&"a\n\n".repeat(80_000));
    for _ in 0..2 {
        let said = json!({"message": "# a\n".repeat(60_000), "model": "echo", "chat_id": talk.chat});
        assert_eq!(talk.desk.call("POST", "/chat").json(&said).send().status, 200);
    }
    std::thread::scope(|scope| {
        let page = scope.spawn(|| talk.list());
        while !page.is_finished() {
            let asked = Instant::now();
            talk.desk.server.check_alive();
            assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        }
        let list = page.join().expect("a page");
        // The newest are what is looked at.
        assert!(
            list.as_array()
                .and_then(|list| list.last())
                .is_some_and(|last| last["html"].is_string())
        );
    });
}
