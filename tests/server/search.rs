//! `GET /search`: what it finds, for whom, and how soon.

use serde_json::{Value, json};

use crate::rig::{Desk, PATIENCE, check_shape, invalid, percent, until};

impl Desk {
    fn search(&self, query: &str) -> Vec<Value> {
        let reply = self.call("GET", &format!("/search?q={}", percent(query))).send();
        assert_eq!(reply.status, 200, "{query:?}: {}", reply.text());
        reply.json().as_array().expect("a list").clone()
    }

    /// Searches until there are so many results.
    #[track_caller]
    fn find(&self, query: &str, count: usize) -> Vec<Value> {
        until(PATIENCE, &format!("{count} results of {query:?}"), || {
            let found = self.search(query);
            (found.len() == count).then_some(found)
        })
    }

    /// Sends a message to a new chat and returns the chat's id.
    fn ask_anew(&self, text: &str) -> String {
        let reply = self.call("POST", "/chat").json(&json!({"message": text})).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["chat_id"].as_str().expect("an id").to_owned()
    }
}

/// A snippet with its matches in brackets.
fn shown(found: &Value) -> String {
    let pieces = found["snippet"].as_array().expect("pieces").iter();
    let text = |piece: &Value| piece["text"].as_str().expect("a text").to_owned();
    pieces
        .map(|piece| match piece["is_match"].as_bool().expect("a truth value") {
            true => format!("[{}]", text(piece)),
            false => text(piece),
        })
        .collect()
}

#[test]
fn messages_titles_and_documents_are_found() {
    let desk = Desk::new();
    let chat = desk.ask_anew("Where does the narwhal live?");
    let document = json!({"title": "Whales of the north", "content": "A narwhal has one long tooth."});
    let reply = desk.call("POST", "/documents").json(&document).send();
    assert_eq!(reply.status, 201, "{}", reply.text());
    // The question, the echo of it, the title that is made of the question, and the document.
    let found = desk.find("narwhal", 4);
    for one in &found {
        let bracketed = if one["kind"] == "document" {
            "A [narwhal] has"
        } else {
            "Where does the [narwhal] live?"
        };
        assert!(shown(one).contains(bracketed), "{one}");
    }
    let kinds = |kind: &str| found.iter().filter(|one| one["kind"] == kind).count();
    assert_eq!((kinds("message"), kinds("conversation"), kinds("document")), (2, 1, 1));
    let roles: Vec<&Value> = found
        .iter()
        .map(|one| &one["role"])
        .filter(|role| role.is_string())
        .collect();
    assert!(
        roles.contains(&&json!("user")) && roles.contains(&&json!("assistant")),
        "{roles:?}"
    );
    let message = found.iter().find(|one| one["role"] == "user").expect("a question");
    assert_eq!(message["chat_id"], json!(chat));
    let listed = desk.call("GET", &format!("/chats/{chat}/messages")).send().json();
    assert_eq!(message["message_id"], listed[0]["id"]);
    assert_eq!(
        found.iter().find(|one| one["kind"] == "document").expect("it")["title"],
        "Whales of the north"
    );
}

#[test]
fn the_language_of_queries() {
    let desk = Desk::new();
    desk.ask_anew("the white whale");
    desk.ask_anew("a whale that is white");
    desk.find("whale", 6);
    assert_eq!(desk.search("white whale").len(), 6);
    assert_eq!(desk.search("\"white whale\"").len(), 3);
    assert_eq!(desk.search("WHITE wha").len(), 6);
    assert_eq!(desk.search("whit whale").len(), 0);
    assert_eq!(desk.search("whale -white").len(), 6);
    for harmless in [
        "",
        " ",
        "\"",
        "\"\"",
        "*",
        "a*b",
        "NEAR(a b)",
        "col:x",
        "^a",
        "a AND",
        "OR",
        "'; --",
        "(",
        "{a b}:c",
        "\0",
        "😀",
        "%",
        "_",
    ] {
        desk.search(harmless);
    }
    let long = desk.call("GET", &format!("/search?q={}", "x".repeat(1001))).send();
    assert_eq!(long.status, 422, "{}", long.text());
    for (limit, status) in [("0", 422), ("101", 422), ("x", 422), ("2", 200)] {
        let reply = desk.call("GET", &format!("/search?q=whale&limit={limit}")).send();
        assert_eq!(reply.status, status, "{}", reply.text());
        if status == 200 {
            assert_eq!(reply.json().as_array().expect("a list").len(), 2);
        }
    }
    let missing = desk.call("GET", "/search").send();
    let issue = invalid("missing", &json!(["query", "q"]), "Field required", &Value::Null);
    check_shape(&missing, 422, &json!({"detail": [issue]}));
}

#[test]
fn a_text_cannot_forge_a_mark() {
    let desk = Desk::new();
    desk.ask_anew("<mark>narwhal</mark> \u{1}<script>\u{2}");
    let found = desk.find("narwhal", 3);
    let message = found.iter().find(|one| one["kind"] == "message").expect("one");
    assert!(shown(message).contains("<mark>[narwhal]</mark>"), "{message}");
}

#[test]
fn only_the_owner_finds_what_is_there() {
    let desk = Desk::new();
    let chat = desk.ask_anew("a narwhal");
    desk.find("narwhal", 3);
    let stranger = desk.server.account("stranger");
    let reply = desk.server.get("/search?q=narwhal").bearer(&stranger.token).send();
    assert_eq!(reply.json(), json!([]));
    // Deleted it is gone at once, restored it is back at once.
    assert_eq!(desk.call("DELETE", &format!("/chats/{chat}")).send().status, 204);
    assert_eq!(desk.search("narwhal").len(), 0);
    assert_eq!(desk.call("POST", &format!("/chats/{chat}/restore")).send().status, 200);
    assert_eq!(desk.search("narwhal").len(), 3);
    let patched = desk
        .call("PATCH", &format!("/chats/{chat}"))
        .json(&json!({"title": "squid"}))
        .send();
    assert_eq!(patched.status, 200);
    desk.find("squid", 1);
    desk.find("narwhal", 2);
}

#[test]
fn a_crash_loses_nothing_of_the_index() {
    let mut desk = Desk::new();
    for number in 0..20 {
        desk.ask_anew(&format!("narwhal {number}"));
    }
    desk.server.kill();
    desk.server.restart();
    desk.find("narwhal 7", 3);
    until(PATIENCE, "all are indexed", || {
        let found = desk.call("GET", "/search?q=narwhal&limit=100").send().json();
        (found.as_array().expect("a list").len() == 60).then_some(())
    });
}
