//! The ChatAI family: conversations here; what they cost, the models and the context in the modules below. Messages are
//! made with `POST /chat` and JSON, which every family shares.

mod context;
mod models;
mod usage;

use serde_json::{Value, json};

use crate::rig::{Desk, check_shape, invalid};

impl Desk {
    /// The same without a body.
    #[track_caller]
    fn check_plain(&self, method: &str, target: &str, status: u16, shape: &Value) -> Value {
        self.check(method, target, None, status, shape)
    }

    /// Creates a conversation and returns its id.
    #[track_caller]
    fn create(&self, body: &Value) -> i64 {
        let reply = self.call("POST", "/conversations/").json(body).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json().as_i64().expect("the bare id")
    }

    #[track_caller]
    fn tell(&self, conversation: i64, message: &str) {
        self.ask(conversation, message, None);
    }

    #[track_caller]
    fn ask(&self, conversation: i64, message: &str, model: Option<&str>) {
        let body = json!({"message": message, "chat_id": conversation, "model": model});
        let reply = self.call("POST", "/chat").json(&body).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// The messages of a conversation as they are listed.
    #[track_caller]
    fn messages(&self, conversation: i64, query: &str) -> Vec<Value> {
        let reply = self
            .call("GET", &format!("/conversations/{conversation}/messages{query}"))
            .send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["messages"].as_array().expect("a list").clone()
    }
}

fn conversation_shape(title: &Value, summary: &Value, count: u64) -> Value {
    json!({
        "id": "<int>", "chat_id": "<uuid>", "title": title, "summary": summary, "created_at": "<time>",
        "updated_at": "<time>", "message_count": count,
    })
}

fn question_shape(conversation: i64, text: &str, model: &Value) -> Value {
    json!({
        "id": "<int>", "conversation_id": conversation, "request_id": null, "role": "user", "text": text, "summary": null,
        "created_at": "<time>", "input_tokens": null, "output_tokens": null, "cached_tokens": null, "model": model,
        "price": null, "attachments": [], "state": "complete", "error": null,
    })
}

fn reply_shape(conversation: i64, question: &Value, text: &str) -> Value {
    json!({
        "id": "<int>", "conversation_id": conversation, "request_id": question, "role": "assistant", "text": text,
        "summary": null, "created_at": "<time>", "input_tokens": "<int>", "output_tokens": "<int>", "cached_tokens": 0,
        "model": "echo", "price": 0.0, "attachments": [], "state": "complete", "error": null,
    })
}

fn not_found(what: &str) -> Value {
    json!({"detail": format!("{what} not found")})
}

/// The routes of the family that name a conversation.
const OF_A_CONVERSATION: &[(&str, &str, &str)] = &[
    ("GET", "/conversations/", "/messages"),
    ("PUT", "/conversations/", "/rename?new_title=x"),
    ("GET", "/conversations/", "/context"),
    ("GET", "/chat/", "/usage-details"),
    ("DELETE", "/conversations/", ""),
];

#[test]
fn a_conversation_from_its_first_day_to_its_last() {
    let desk = Desk::new();
    desk.check_plain("GET", "/conversations/", 200, &json!([]));
    let id = desk.create(&json!({"title": "Manual"}));
    assert_eq!(id, 1);
    let empty = json!({"conversation_id": id, "messages": []});
    desk.check_plain("GET", &format!("/conversations/{id}/messages"), 200, &empty);
    desk.check_plain("GET", &format!("/conversations/{id}/context"), 200, &json!(""));
    let nothing = json!({"usage_details": []});
    desk.check_plain("GET", &format!("/chat/{id}/usage-details"), 200, &nothing);
    let list = json!([conversation_shape(&json!("Manual"), &json!(null), 0)]);
    desk.check_plain("GET", "/conversations/", 200, &list);

    desk.tell(id, "Hi there");
    let messages = desk.messages(id, "");
    let shape = json!({"conversation_id": id, "messages": [
        question_shape(id, "Hi there", &json!("echo")),
        reply_shape(id, &messages[0]["id"], "Echo: Hi there"),
    ]});
    desk.check_plain("GET", &format!("/conversations/{id}/messages"), 200, &shape);

    let renamed = json!({"detail": "Conversation renamed successfully"});
    let path = format!("/conversations/{id}");
    desk.check_plain("PUT", &format!("{path}/rename?new_title=Renamed%20it"), 200, &renamed);
    let summary = json!("Hi there — Echo: Hi there");
    let list = json!([conversation_shape(&json!("Renamed it"), &summary, 2)]);
    desk.check_plain("GET", "/conversations/", 200, &list);

    desk.check_plain("DELETE", &path, 200, &json!({"detail": "Conversation deleted"}));
    desk.check_plain("DELETE", &path, 404, &not_found("Conversation"));
    desk.check_plain("GET", "/conversations/", 200, &json!([]));
    for (method, before, after) in OF_A_CONVERSATION {
        let target = format!("{before}{id}{after}");
        desk.check_plain(method, &target, 404, &not_found("Conversation"));
    }
    for message in &messages {
        let target = format!("/chat/messages/{}/usage-details", message["id"]);
        desk.check_plain("GET", &target, 404, &not_found("Message"));
    }
}

#[test]
fn the_list_is_newest_first_whatever_happens_to_the_old() {
    let desk = Desk::new();
    let ids: Vec<i64> = ["a", "b", "c"]
        .map(|title| desk.create(&json!({"title": title})))
        .into();
    desk.tell(ids[0], "activity");
    desk.call("PUT", &format!("/conversations/{}/rename?new_title=z", ids[1]))
        .send();
    let titles = |target: &str| -> Vec<Value> {
        let list = desk.call("GET", target).send().json();
        let list = list.as_array().expect("a list");
        list.iter().map(|conversation| conversation["title"].clone()).collect()
    };
    assert_eq!(titles("/conversations/"), ["c", "z", "a"]);
    assert_eq!(titles("/conversations"), ["c", "z", "a"]);
    assert_eq!(titles("/conversations/?limit=1&offset=1"), ["z"]);
    for (query, kind) in [
        ("limit=0", "greater_than_equal"),
        ("limit=501", "less_than_equal"),
        ("offset=-1", "greater_than_equal"),
        ("limit=x", "int_parsing"),
    ] {
        let reply = desk.call("GET", &format!("/conversations/?{query}")).send();
        let rule = reply.json()["detail"][0]["type"].clone();
        assert_eq!((reply.status, rule), (422, json!(kind)), "{query}");
    }
}

#[test]
fn creating_takes_a_title_and_a_summary_or_neither() {
    let desk = Desk::new();
    for body in [json!({}), json!({"title": null, "summary": null}), json!({"else": 1})] {
        desk.create(&body);
        let list = desk.call("GET", "/conversations/?limit=1").send().json();
        assert_eq!((&list[0]["title"], &list[0]["summary"]), (&json!(null), &json!(null)));
    }
    let id = desk.create(&json!({"title": "t", "summary": "mine"}));
    // What was given is kept; what was not is taken from the first exchange.
    desk.tell(id, "question");
    let list = desk.call("GET", "/conversations/?limit=1").send().json();
    assert_eq!((&list[0]["title"], &list[0]["summary"]), (&json!("t"), &json!("mine")));
    let missing = invalid("missing", &json!(["body"]), "Field required", &json!(null));
    desk.check_plain("POST", "/conversations/", 422, &json!({"detail": [missing]}));
    for (body, loc, kind) in [
        (json!({"title": 5}), "title", "string_type"),
        (json!({"title": "x".repeat(201)}), "title", "string_too_long"),
        (json!({"summary": []}), "summary", "string_type"),
        (json!({"summary": "x".repeat(2001)}), "summary", "string_too_long"),
    ] {
        let reply = desk.call("POST", "/conversations/").json(&body).send();
        let issue = &reply.json()["detail"][0];
        assert_eq!((reply.status, &issue["type"]), (422, &json!(kind)), "{}", reply.text());
        assert_eq!(issue["loc"], json!(["body", loc]));
    }
}

#[test]
fn a_summary_is_taken_from_the_first_exchange_alone() {
    let desk = Desk::new();
    let id = desk.create(&json!({}));
    let long = "What is a lighthouse? ".to_string() + &"It stands somewhere and shines. ".repeat(20);
    desk.tell(id, &long);
    let summary = || desk.call("GET", "/conversations/").send().json()[0]["summary"].clone();
    let first = summary();
    let text = first.as_str().expect("a text");
    assert!(
        text.starts_with("What is a lighthouse? It stands somewhere and shines. "),
        "{text}"
    );
    assert!(text.ends_with('.') && text.chars().count() <= 210, "{text}");
    desk.tell(id, "something else");
    assert_eq!(summary(), first);
}

#[test]
fn renaming_needs_a_title() {
    let desk = Desk::new();
    let id = desk.create(&json!({"title": "before"}));
    let path = format!("/conversations/{id}/rename");
    let missing = invalid(
        "missing",
        &json!(["query", "new_title"]),
        "Field required",
        &json!(null),
    );
    desk.check_plain("PUT", &path, 422, &json!({"detail": [missing]}));
    for (title, kind) in [
        (String::new(), "string_too_short"),
        ("x".repeat(201), "string_too_long"),
    ] {
        let reply = desk.call("PUT", &format!("{path}?new_title={title}")).send();
        let issue = &reply.json()["detail"][0];
        assert_eq!((reply.status, &issue["type"]), (422, &json!(kind)), "{}", reply.text());
    }
    // What is wrong with the request comes before whether there is such a conversation.
    assert_eq!(desk.call("PUT", "/conversations/99999/rename").send().status, 422);
    assert_eq!(desk.server.put("/conversations/99999/rename").send().status, 401);
    let list = desk.call("GET", "/conversations/").send().json();
    assert_eq!(list[0]["title"], json!("before"));
}

#[test]
fn messages_are_paged_back_from_the_newest() {
    let desk = Desk::new();
    let id = desk.create(&json!({}));
    for text in ["a", "b", "c"] {
        desk.tell(id, text);
    }
    let texts = |query: &str| -> Vec<Value> {
        let messages = desk.messages(id, query);
        messages.iter().map(|message| message["text"].clone()).collect()
    };
    let all = ["a", "Echo: a", "b", "Echo: b", "c", "Echo: c"];
    assert_eq!(texts(""), all);
    assert_eq!(texts("?limit=2"), all[4..]);
    let newest = desk.messages(id, "?limit=2");
    assert_eq!(texts(&format!("?limit=3&before={}", newest[0]["id"])), all[1..4]);
    // A question keeps the model that answered it also when the reply is on another page.
    assert_eq!(
        desk.messages(id, &format!("?limit=1&before={}", newest[1]["id"]))[0]["model"],
        json!("echo")
    );
    for (query, kind) in [
        ("?limit=0", "greater_than_equal"),
        ("?limit=501", "less_than_equal"),
        ("?before=x", "int_parsing"),
    ] {
        let reply = desk.call("GET", &format!("/conversations/{id}/messages{query}")).send();
        let rule = reply.json()["detail"][0]["type"].clone();
        assert_eq!((reply.status, rule), (422, json!(kind)), "{query}");
    }
}

#[test]
fn either_kind_of_id_names_a_conversation_and_a_message() {
    let desk = Desk::new();
    let id = desk.create(&json!({}));
    desk.tell(id, "Hi");
    let uuid = desk.call("GET", "/conversations/").send().json()[0]["chat_id"].clone();
    let uuid = uuid.as_str().expect("a UUID");
    let by_id = desk.messages(id, "");
    for name in [uuid.to_string(), uuid.to_ascii_uppercase()] {
        let path = format!("/conversations/{name}/messages");
        let shape = json!({"conversation_id": id, "messages": by_id.clone()});
        desk.check_plain("GET", &path, 200, &shape);
        desk.check_plain(
            "GET",
            &format!("/conversations/{name}/context"),
            200,
            &json!("<filled>"),
        );
        desk.check_plain(
            "GET",
            &format!("/chat/{name}/usage-details"),
            200,
            &json!({"usage_details": ["<any>"]}),
        );
    }
    let renamed = json!({"detail": "Conversation renamed successfully"});
    desk.check_plain(
        "PUT",
        &format!("/conversations/{uuid}/rename?new_title=u"),
        200,
        &renamed,
    );
    desk.check_plain(
        "DELETE",
        &format!("/conversations/{uuid}"),
        200,
        &json!({"detail": "Conversation deleted"}),
    );
}

#[test]
fn impossible_ids_are_no_integers_and_unknown_ones_are_not_found() {
    let desk = Desk::new();
    desk.create(&json!({}));
    let nothing = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let numbers = ["99999", "0", "-1", "9223372036854775807", "99999999999999999999999"];
    for (method, before, after) in OF_A_CONVERSATION {
        for id in numbers.iter().chain([&nothing]) {
            desk.check_plain(method, &format!("{before}{id}{after}"), 404, &not_found("Conversation"));
        }
        for id in ["abc", "1.5", "1x", "%20"] {
            let text = id.replace("%20", " ");
            let msg = "Input should be a valid integer, unable to parse string as an integer";
            let issue = invalid("int_parsing", &json!(["path", "conversation_id"]), msg, &json!(text));
            desk.check_plain(
                method,
                &format!("{before}{id}{after}"),
                422,
                &json!({"detail": [issue]}),
            );
        }
    }
    for id in numbers.iter().chain([&nothing]) {
        let target = format!("/chat/messages/{id}/usage-details");
        desk.check_plain("GET", &target, 404, &not_found("Message"));
    }
    let reply = desk.call("GET", "/chat/messages/abc/usage-details").send();
    assert_eq!(
        (reply.status, reply.json()["detail"][0]["loc"].clone()),
        (422, json!(["path", "message_id"]))
    );
}

#[test]
fn what_is_somebody_elses_does_not_exist() {
    let desk = Desk::new();
    let id = desk.create(&json!({"title": "private"}));
    desk.tell(id, "secret");
    let uuid = desk.call("GET", "/conversations/").send().json()[0]["chat_id"].clone();
    let messages = desk.messages(id, "");
    let ben = desk.server.account("ben").token;
    let ask = |method: &str, target: &str| desk.server.call(method, target).bearer(&ben).send();
    let known: Vec<String> = vec![id.to_string(), uuid.as_str().expect("a UUID").to_string()];
    for (method, before, after) in OF_A_CONVERSATION {
        let unknown = ask(method, &format!("{before}99999{after}"));
        for name in &known {
            let foreign = ask(method, &format!("{before}{name}{after}"));
            assert_eq!(
                (foreign.status, &foreign.body),
                (404, &unknown.body),
                "{method} {before}{after}"
            );
        }
    }
    for message in &messages {
        let foreign = ask("GET", &format!("/chat/messages/{}/usage-details", message["id"]));
        check_shape(&foreign, 404, &not_found("Message"));
    }
    check_shape(&ask("GET", "/conversations/"), 200, &json!([]));
    // Nothing has become of it.
    assert_eq!(desk.messages(id, ""), messages);
    let list = desk.call("GET", "/conversations/").send().json();
    assert_eq!(list[0]["title"], json!("private"));
}

#[test]
fn every_route_wants_a_token_before_anything_else() {
    let desk = Desk::new();
    let no_token = json!({"detail": "Not authenticated"});
    for (method, before, after) in OF_A_CONVERSATION {
        for id in ["1", "abc"] {
            let reply = desk.server.call(method, &format!("{before}{id}{after}")).send();
            check_shape(&reply, 401, &no_token);
            assert_eq!(reply.header("WWW-Authenticate"), Some("Bearer"));
        }
    }
    for (method, target) in [
        ("GET", "/conversations/"),
        ("POST", "/conversations/"),
        ("GET", "/chat/messages/1/usage-details"),
    ] {
        check_shape(&desk.server.call(method, target).send(), 401, &no_token);
    }
    let reply = desk.server.put("/conversations/").bearer(&desk.token).send();
    check_shape(&reply, 405, &json!({"detail": "Method Not Allowed"}));
}
