//! Tags: given to chats, listed, renamed, taken away, and lists of the chats that have one.

use serde_json::{Value, json};

use crate::rig::Desk;

impl Desk {
    /// A chat of this title and with these tags, and its path.
    fn tagged(&self, title: &str, tags: &[&str]) -> String {
        let chat = self.server.chat(&self.token, title);
        let path = format!("/chats/{}", chat["id"].as_str().expect("an id"));
        self.tag(&path, tags);
        path
    }

    /// Gives a chat these tags; returns those it has then.
    #[track_caller]
    fn tag(&self, path: &str, tags: &[&str]) -> Value {
        let reply = self.call("PATCH", path).json(&json!({ "tags": tags })).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["tags"].clone()
    }

    #[track_caller]
    fn check_tags(&self, tags: &[(&str, u64)]) {
        let tags: Vec<Value> = tags
            .iter()
            .map(|(name, count)| json!({"name": name, "conversation_count": count}))
            .collect();
        self.check("GET", "/tags", None, 200, &json!(tags));
    }

    /// The titles of the chats that a list holds, and its total.
    #[track_caller]
    fn listed(&self, target: &str) -> (Vec<String>, u64) {
        let reply = self.call("GET", target).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let list = reply.json();
        let titles = list["chats"].as_array().expect("a list").iter();
        let titles = titles.map(|chat| chat["title"].as_str().expect("a title").to_owned());
        (titles.collect(), list["total"].as_u64().expect("a number"))
    }
}

fn titles(titles: &[&str]) -> Vec<String> {
    titles.iter().map(|title| (*title).to_owned()).collect()
}

#[test]
fn chats_are_filed_under_tags() {
    let desk = Desk::new();
    desk.check_tags(&[]);
    let one = desk.tagged("one", &["work", "boats"]);
    let two = desk.tagged("two", &["work"]);
    desk.tagged("three", &[]);
    desk.check_tags(&[("boats", 1), ("work", 2)]);
    assert_eq!(desk.listed("/chats?tag=work"), (titles(&["two", "one"]), 2));
    assert_eq!(desk.listed("/chats?tag=WORK&limit=1&offset=1"), (titles(&["one"]), 2));
    assert_eq!(desk.listed("/chats?tag=boats"), (titles(&["one"]), 1));
    assert_eq!(desk.listed("/chats?tag=nothing"), (vec![], 0));
    assert_eq!(desk.listed("/chats?tag=").1, 3);
    // Deleted chats count for nothing, and have their tags when they are back.
    assert_eq!(desk.call("DELETE", &one).send().status, 204);
    desk.check_tags(&[("work", 1)]);
    assert_eq!(desk.listed("/chats?tag=work"), (titles(&["two"]), 1));
    let restored = desk.call("POST", &format!("{one}/restore")).send();
    assert_eq!(restored.json()["tags"], json!(["work", "boats"]));
    desk.check_tags(&[("boats", 1), ("work", 2)]);
    desk.tag(&two, &[]);
    desk.tag(&one, &["boats"]);
    desk.check_tags(&[("boats", 1)]);
}

#[test]
fn a_tag_is_one_whatever_its_case() {
    let desk = Desk::new();
    let one = desk.tagged("one", &[]);
    assert_eq!(
        desk.tag(&one, &["  Work ", "work", "WORK", "Zoë ☃"]),
        json!(["Work", "Zoë ☃"])
    );
    let two = desk.tagged("two", &["wOrk"]);
    assert_eq!(desk.call("GET", &two).send().json()["tags"], json!(["Work"]));
    desk.check_tags(&[("Work", 2), ("Zoë ☃", 1)]);
    let twenty: Vec<String> = (0..20).map(|tag| format!("{tag:050}")).collect();
    let twenty: Vec<&str> = twenty.iter().map(String::as_str).collect();
    assert_eq!(desk.tag(&one, &twenty), json!(twenty));
}

#[test]
fn tags_are_renamed_and_taken_away() {
    let desk = Desk::new();
    let one = desk.tagged("one", &["a/b c", "work", "x"]);
    let two = desk.tagged("two", &["work"]);
    let renamed = json!({"name": "Play & more", "conversation_count": 2});
    let body = json!({"name": " Play & more "});
    desk.check("PUT", "/tags/WORK", Some(body), 200, &renamed);
    desk.check_tags(&[("a/b c", 1), ("Play & more", 2), ("x", 1)]);
    // Two that have one name then are one.
    let renamed = json!({"name": "X", "conversation_count": 2});
    desk.check(
        "PUT",
        "/tags/Play%20%26%20more",
        Some(json!({"name": "X"})),
        200,
        &renamed,
    );
    assert_eq!(desk.call("GET", &one).send().json()["tags"], json!(["a/b c", "X"]));
    assert_eq!(desk.call("DELETE", "/tags/a%2Fb%20c").send().status, 204);
    desk.check_tags(&[("X", 2)]);
    let missing = json!({"detail": "Tag not found"});
    desk.check("DELETE", "/tags/work", None, 404, &missing);
    desk.check("PUT", "/tags/work", Some(json!({"name": "y"})), 404, &missing);
    for (name, rule) in [
        ("", "string_too_short"),
        ("  ", "string_too_short"),
        ("a\u{0}b", "value_error"),
    ] {
        let reply = desk.call("PUT", "/tags/X").json(&json!({ "name": name })).send();
        assert_eq!((reply.status, &reply.json()["detail"][0]["type"]), (422, &json!(rule)));
    }
    // Somebody else's tags are their own.
    let eve = desk.server.account("eve").token;
    assert_eq!(desk.server.get("/tags").bearer(&eve).send().json(), json!([]));
    assert_eq!(desk.server.delete("/tags/X").bearer(&eve).send().status, 404);
    assert_eq!(desk.call("DELETE", "/tags/x").send().status, 204);
    assert!(desk.call("GET", &two).send().json().get("tags").is_none());
}
