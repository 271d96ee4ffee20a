//! `GET /search`: what it finds, for whom, and how soon.

use serde_json::{Value, json};

use crate::rig::{Desk, Multipart, PATIENCE, check_shape, invalid, percent, until};

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

/// A user's and a model's words about whales, once a year from 2020 on, as an export has them: all that is imported is as
/// old as it says.
fn whales() -> Value {
    let id = |number: usize| format!("00000000-0000-4000-8000-{number:012x}");
    let message = |year: usize, place: usize| {
        let is_reply = place == 1;
        let number = year * 2 + place;
        json!({
            "uuid": id(number), "parent": is_reply.then(|| id(number - 1)), "state": "complete",
            "role": if is_reply { "assistant" } else { "user" },
            "model": is_reply.then_some(if year.is_multiple_of(2) { "maker/Even" } else { "maker/odd" }),
            "content": format!("A whale of {year}"), "created_at": format!("{year}-06-30T23:30:00Z")
        })
    };
    let conversation = |year: usize| {
        let time = format!("{year}-06-30T23:30:00Z");
        json!({
            "uuid": id(year), "title": format!("The year {year}"), "created_at": time, "updated_at": time,
            "messages": [message(year, 0), message(year, 1)], "leaf": id(year * 2 + 1)
        })
    };
    // Not in order of time.
    let conversations: Vec<Value> = [2022, 2020, 2025, 2021, 2024, 2023].map(conversation).to_vec();
    json!({
        "format": "fireside-export", "version": 1, "attachments": [], "documents": [], "conversations": conversations
    })
}

fn with_whales() -> Desk {
    let desk = Desk::new();
    let form = Multipart::new().file(
        "file",
        "export.json",
        "application/json",
        whales().to_string().as_bytes(),
    );
    let reply = form.on(desk.call("POST", "/import")).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    desk.find("whale", 12);
    desk.find("year in:titles", 6);
    desk
}

/// The texts of messages, or the titles of conversations.
fn texts(found: &[Value]) -> Vec<String> {
    found.iter().map(|one| shown(one).replace(['[', ']'], "")).collect()
}

#[test]
fn filters_say_where() {
    let desk = with_whales();
    let of = |years: &[usize]| -> Vec<String> { years.iter().map(|year| format!("A whale of {year}")).collect() };
    for (filter, years) in [
        ("role:user", &[2025, 2024, 2023, 2022, 2021, 2020][..]),
        ("role:user model:even", &[]),
        ("model:EVEN", &[2024, 2022, 2020]),
        ("model:maker/odd", &[2025, 2023, 2021]),
        ("model:maker", &[]),
        ("role:user before:2022", &[2021, 2020]),
        ("role:user after:2023-06-30", &[2025, 2024, 2023]),
        ("role:user after:2023-07", &[2025, 2024]),
        ("role:user after:2021 before:2022-07-01", &[2022, 2021]),
        ("role:user before:2022-06-30", &[2021, 2020]),
        ("role:user in:\"year 2021\"", &[2021]),
        ("role:user in:2021 in:\"2023\"", &[2023]),
        ("role:user in:year", &[2025, 2024, 2023, 2022, 2021, 2020]),
    ] {
        assert_eq!(texts(&desk.search(&format!("whale {filter}"))), of(years), "{filter}");
        assert_eq!(texts(&desk.search(filter)), of(years), "{filter} alone");
    }
    let chat = &desk.search("whale role:user after:2025")[0];
    for id in [&chat["conversation_id"], &chat["chat_id"]] {
        let id = id.to_string().replace('"', "");
        assert_eq!(texts(&desk.search(&format!("in:{id}"))), of(&[2025, 2025]));
        // To others it is not there.
        let stranger = desk.server.account(&format!("of{}", id.len()));
        let target = format!("/search?q=whale+in:{id}");
        let reply = desk.server.get(&target).bearer(&stranger.token).send();
        assert_eq!((reply.status, reply.json()), (200, json!([])));
    }
    assert_eq!(
        texts(&desk.search("year in:titles before:2022")),
        ["The year 2021", "The year 2020"]
    );
    assert_eq!(texts(&desk.search("in:titles after:2025")), ["The year 2025"]);
    let document = json!({"title": "Log", "content": "A whale was seen."});
    assert_eq!(desk.call("POST", "/documents").json(&document).send().status, 201);
    for (query, count) in [
        ("whale in:documents", 1),
        ("in:documents", 1),
        ("whale role:user in:documents", 0),
    ] {
        assert_eq!(desk.search(query).len(), count, "{query}");
    }
}

#[test]
fn a_filter_that_cannot_be_read_is_explained() {
    let desk = Desk::new();
    for (query, takes) in [
        ("whale role:model", "role: takes user or assistant"),
        ("before:tomorrow", "before: takes a date"),
        ("after:2026-13", "after: takes a date"),
        ("in:\"\"", "in: takes words of a conversation's title"),
        ("model:\"\"", "model: takes a model's name"),
    ] {
        let reply = desk.call("GET", &format!("/search?q={}", percent(query))).send();
        assert_eq!(reply.status, 422, "{query}: {}", reply.text());
        let issue = &reply.json()["detail"][0];
        assert_eq!(
            (&issue["type"], &issue["loc"]),
            (&json!("value_error"), &json!(["query", "q"]))
        );
        assert!(issue["msg"].as_str().expect("a text").contains(takes), "{issue}");
    }
    desk.ask_anew("use std::io from http://example.org: in: out");
    desk.find("std::io", 3);
    for words in ["http://example.org", "in: out", "\"role:model\"", "role:"] {
        desk.search(words);
    }
    assert_eq!(desk.search("example.org: in: out").len(), 3);
}

#[test]
fn pages_hold_everything_once() {
    let desk = with_whales();
    for query in ["whale", "role:user", "whale after:2022", "year"] {
        let target =
            |limit: usize, offset: usize| format!("/search?q={}&limit={limit}&offset={offset}", percent(query));
        let page = |limit, offset| -> Vec<Value> {
            let reply = desk.call("GET", &target(limit, offset)).send();
            assert_eq!(reply.status, 200, "{}", reply.text());
            reply.json().as_array().expect("a list").clone()
        };
        let whole = page(100, 0);
        assert!(whole.len() > 3, "{query}");
        let paged: Vec<Value> = (0..whole.len() + 5)
            .step_by(5)
            .flat_map(|offset| page(5, offset))
            .collect();
        assert_eq!(paged, whole, "{query}");
    }
    for (offset, status) in [("-1", 422), ("10001", 422), ("x", 422), ("10000", 200)] {
        let reply = desk.call("GET", &format!("/search?q=whale&offset={offset}")).send();
        assert_eq!(reply.status, status, "{}", reply.text());
    }
}

/// What a message says now is what it is found by, wherever it stands.
#[test]
fn what_was_edited_or_deleted_is_found_as_it_is() {
    let desk = Desk::new();
    let chat = desk.ask_anew("a narwhal");
    let question = desk.find("narwhal role:user", 1).remove(0);
    let target = format!("/messages/{}", question["message_id"]);
    let reply = desk.call("PATCH", &target).json(&json!({"content": "a beluga"})).send();
    assert!(reply.status < 300, "{}", reply.text());
    // An edit is another branch: both are there.
    desk.find("beluga role:user", 1);
    assert_eq!(desk.search("narwhal role:user").len(), 1);
    assert_eq!(desk.call("DELETE", &format!("/chats/{chat}")).send().status, 204);
    assert_eq!(desk.search(&format!("in:{chat}")).len(), 0);
    assert_eq!(desk.call("POST", &format!("/chats/{chat}/restore")).send().status, 200);
    assert!(desk.search(&format!("in:{chat}")).len() >= 3);
}
