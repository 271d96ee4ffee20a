//! A conversation as a tree: all of its messages, and the branch that is shown.

use serde_json::{Value, json};

use crate::rig::{Desk, Multipart, Socket};

impl Desk {
    /// A chat in which these were said and echoed, and its messages with their place in the tree.
    fn told(&self, texts: &[&str]) -> (Value, Vec<Value>) {
        let chat = self.server.chat(&self.token, "tree");
        for text in texts {
            let body = json!({"message": text, "chat_id": chat["id"]});
            assert_eq!(self.call("POST", "/chat").json(&body).send().status, 200);
        }
        let messages = self.messages_of(&chat, "?tree=1");
        (chat, messages)
    }

    #[track_caller]
    fn messages_of(&self, chat: &Value, query: &str) -> Vec<Value> {
        let reply = self
            .call(
                "GET",
                &format!("/conversations/{}/messages{query}", chat["conversation_id"]),
            )
            .send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["messages"].as_array().expect("a list").clone()
    }
}

#[test]
fn the_tree_shows_every_message() {
    let desk = Desk::new();
    let long = "☃".repeat(300);
    let (chat, messages) = desk.told(&["one", &long]);
    let ids: Vec<&Value> = messages.iter().map(|message| &message["id"]).collect();
    let node = |place: usize, role: &str, preview: &str, model: &Value| {
        json!({
            "id": ids[place], "uuid": "<uuid>", "parent_id": place.checked_sub(1).map(|place| ids[place]),
            "children": ids.get(place + 1).into_iter().collect::<Vec<_>>(), "sibling_index": 0, "sibling_count": 1,
            "role": role, "state": "complete", "model": model, "created_at": "<time>", "preview": preview,
        })
    };
    let start: String = "☃".repeat(200);
    let reply: String = format!("Echo: {long}").chars().take(200).collect();
    let tree = json!({
        "conversation_id": chat["conversation_id"], "chat_id": chat["id"], "leaf_id": ids[3], "is_truncated": false,
        "messages": [
            node(0, "user", "one", &json!(null)), node(1, "assistant", "Echo: one", &json!("echo")),
            node(2, "user", &start, &json!(null)), node(3, "assistant", &reply, &json!("echo")),
        ],
    });
    for id in [&chat["conversation_id"], &chat["id"]] {
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        desk.check("GET", &format!("/conversations/{id}/tree"), None, 200, &tree);
    }
    let (empty, _) = desk.told(&[]);
    let tree = json!({
        "conversation_id": empty["conversation_id"], "chat_id": empty["id"], "leaf_id": null, "is_truncated": false,
        "messages": [],
    });
    desk.check(
        "GET",
        &format!("/conversations/{}/tree", empty["conversation_id"]),
        None,
        200,
        &tree,
    );
    let missing = json!({"detail": "Conversation not found"});
    desk.check("GET", "/conversations/999/tree", None, 404, &missing);
}

#[test]
fn messages_say_what_stands_around_them_when_asked() {
    let desk = Desk::new();
    let (chat, messages) = desk.told(&["one", "two"]);
    for (place, message) in messages.iter().enumerate() {
        let parent = place.checked_sub(1).map(|place| &messages[place]["id"]);
        assert_eq!(message.get("parent_id"), parent, "{message}");
        assert_eq!(message["siblings"], json!([message["id"]]));
    }
    let path = format!("/chats/{}/messages", chat["id"].as_str().expect("an id"));
    for path in [format!("{path}/"), path] {
        let plain = desk.call("GET", &path).send().json();
        let with_tree = desk.call("GET", &format!("{path}?tree=true&limit=3")).send().json();
        for (place, message) in with_tree.as_array().expect("a list").iter().enumerate() {
            // The page's first says what stands before the page.
            assert_eq!(message["parent_id"], plain[place]["id"], "{message}");
            assert_eq!(message["siblings"], json!([message["id"]]));
            assert_eq!(message["id"], plain[place + 1]["id"]);
            assert!(plain[place].get("siblings").is_none() && plain[place].get("parent_id").is_none());
        }
    }
}

#[test]
fn any_message_stands_for_its_branch() {
    let desk = Desk::new();
    let (chat, messages) = desk.told(&["one", "two"]);
    let path = format!("/conversations/{}/leaf", chat["conversation_id"]);
    let before = desk
        .call("GET", &format!("/chats/{}", chat["id"].as_str().expect("an id")))
        .send()
        .json();
    for message in &messages {
        // The newest message below each of them is the same: nothing changes.
        let body = json!({"message_id": message["id"]});
        desk.check("PUT", &path, Some(body), 200, &before);
    }
    let missing = json!({"detail": "Message not found"});
    let (_, elsewhere) = desk.told(&["elsewhere"]);
    for id in [
        json!(999),
        elsewhere[0]["id"].clone(),
        json!("7d444840-9dc0-11d1-b245-5ffdce74fad2"),
    ] {
        desk.check("PUT", &path, Some(json!({"message_id": id})), 404, &missing);
    }
    assert_eq!(desk.call("PUT", &path).json(&json!({})).send().status, 422);
    let eve = desk.server.account("eve").token;
    let body = json!({"message_id": messages[0]["id"]});
    let refused = desk.server.put(&path).bearer(&eve).json(&body).send();
    assert_eq!(
        (refused.status, refused.detail().as_str()),
        (404, "Conversation not found")
    );
    assert_eq!(desk.messages_of(&chat, "?tree=1"), messages);
}

/// Exactly one frame says that the chat has changed, and nothing else is said.
#[track_caller]
fn check_told(device: &mut Socket, chat: &Value) {
    assert_eq!(
        device.receive(),
        json!({"type": "changed", "data": {"chat_id": chat["id"]}})
    );
    device.check_quiet();
}

#[test]
fn a_deleted_message_takes_what_follows_and_comes_back_whole() {
    let desk = Desk::new();
    let (chat, messages) = desk.told(&["one", "two"]);
    let chat_path = format!("/chats/{}", chat["id"].as_str().expect("an id"));
    let before = desk.call("GET", &chat_path).send().json();
    let cost = |query: &str| desk.call("GET", &format!("/usage?{query}")).send().json();
    let spent = cost("group=day");
    let mut device = Socket::open(&desk.server, &desk.token);
    let path = |place: usize| format!("/messages/{}", messages[place]["id"]);
    assert_eq!(desk.call("DELETE", &path(2)).send().status, 204);
    check_told(&mut device, &chat);
    assert_eq!(desk.messages_of(&chat, "?tree=1"), messages[..2]);
    let shorter = desk.call("GET", &chat_path).send().json();
    assert_eq!(
        (&shorter["message_count"], &shorter["last_message_content"]),
        (&json!(2), &json!("Echo: one"))
    );
    let tree = format!("/conversations/{}/tree", chat["conversation_id"]);
    let tree = desk.call("GET", &tree).send().json();
    assert_eq!(tree["messages"].as_array().map(Vec::len), Some(2), "{tree}");
    let export = desk.call("GET", "/export").send().text();
    assert!(export.contains("Echo: one") && !export.contains("two"), "{export}");
    let chats = desk.call("GET", "/chats").send().json();
    assert_eq!(
        (&chats["total"], chats["chats"].as_array().map(Vec::len)),
        (&json!(1), Some(1))
    );
    // What was spent stays spent.
    assert_eq!(cost("group=day"), spent);
    // Whatever went with it is gone for every other route too, and what is gone cannot go again.
    let missing = json!({"detail": "Message not found"});
    for (method, target) in [
        ("DELETE", path(2)),
        ("DELETE", path(3)),
        ("POST", path(3) + "/regenerate"),
        ("POST", path(3) + "/restore"),
        ("PUT", path(3) + "/read"),
        ("POST", path(0) + "/restore"),
        ("DELETE", "/messages/999".into()),
    ] {
        desk.check(method, &target, None, 404, &missing);
    }
    let restored = desk.check("POST", &(path(2) + "/restore"), None, 200, &before);
    assert_eq!(restored["message_count"], json!(4));
    check_told(&mut device, &chat);
    assert_eq!(desk.messages_of(&chat, "?tree=1"), messages);
}

#[test]
fn turning_to_another_branch_is_told() {
    let desk = Desk::new();
    let (chat, messages) = desk.told(&["one"]);
    let mut device = Socket::open(&desk.server, &desk.token);
    let path = format!("/conversations/{}/leaf", chat["conversation_id"]);
    let body = json!({"message_id": messages[0]["id"]});
    assert_eq!(desk.call("PUT", &path).json(&body).send().status, 200);
    check_told(&mut device, &chat);
}

#[test]
fn only_its_owner_deletes_a_message_or_brings_it_back() {
    let desk = Desk::new();
    let (chat, messages) = desk.told(&["one"]);
    let eve = desk.server.account("eve").token;
    let path = format!("/messages/{}", messages[1]["id"]);
    assert_eq!(desk.server.delete(&path).bearer(&eve).send().status, 404);
    assert_eq!(desk.messages_of(&chat, "?tree=1"), messages);
    assert_eq!(desk.call("DELETE", &path).send().status, 204);
    let restore = format!("{path}/restore");
    assert_eq!(desk.server.post(&restore).bearer(&eve).send().status, 404);
    assert_eq!(desk.call("POST", &restore).send().status, 200);
    // With its conversation it is gone for good.
    assert_eq!(desk.call("DELETE", &path).send().status, 204);
    let chat_path = format!("/chats/{}", chat["id"].as_str().expect("an id"));
    assert_eq!(desk.call("DELETE", &chat_path).send().status, 204);
    assert_eq!(desk.call("POST", &restore).send().status, 404);
}

#[test]
fn an_import_does_not_bring_back_what_was_deleted() {
    let desk = Desk::new();
    let (chat, messages) = desk.told(&["one", "two", "three"]);
    let export = desk.call("GET", "/export").send().text();
    let tree = format!("/conversations/{}/tree", chat["conversation_id"]);
    let tree = desk.call("GET", &tree).send().json();
    let last = tree["messages"][5]["uuid"].as_str().expect("an id").to_owned();
    let path = format!("/messages/{}", messages[2]["id"]);
    assert_eq!(desk.call("DELETE", &path).send().status, 204);
    // In the second the last reply, which stood below what was deleted, is one that is not known here.
    let newer = export.replace(&last, "7d444840-9dc0-11d1-b245-5ffdce74fad2");
    for file in [export, newer] {
        let form = Multipart::new().file("file", "export.json", "application/json", file.as_bytes());
        let reply = form.on(desk.call("POST", "/import")).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(desk.messages_of(&chat, "?tree=1"), messages[..2], "{}", reply.text());
    }
    assert_eq!(desk.call("POST", &format!("{path}/restore")).send().status, 200);
    assert_eq!(desk.messages_of(&chat, "?tree=1"), messages);
}
