//! OpenAI's door: what its clients send and read, in their own form, whole and as a stream; that nothing is kept but what
//! it cost; and how it fails.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Connection, Desk, Launch, PATIENCE, Reply, Server, Upstream, check_shape, until};

const CHAT: &str = "/v1/chat/completions";

/// Two seconds, with tenfold slack.
const SOON: Duration = Duration::from_secs(20);

/// A picture of one pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn question(model: &str, text: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": text }] })
}

fn streamed(model: &str, text: &str) -> Value {
    let mut body = question(model, text);
    body["stream"] = json!(true);
    body
}

impl Desk {
    fn complete(&self, body: &Value) -> Reply {
        self.call("POST", CHAT).json(body).send()
    }

    /// Exchanges that were accounted for: model, and whether a message goes with it.
    fn accounts(&self) -> Vec<(String, bool, f64)> {
        let database = rusqlite::Connection::open(self.server.launch().database()).expect("a database");
        let sql = "SELECT model, message_id IS NOT NULL, price FROM usage_details ORDER BY id";
        let mut statement = database.prepare(sql).expect("a statement");
        let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        rows.and_then(Iterator::collect).expect("rows")
    }

    fn chats(&self) -> Value {
        self.call("GET", "/chats").send().json()["total"].clone()
    }
}

/// The events of a stream, and whether it came to its end.
fn events(text: &str) -> (Vec<Value>, bool) {
    let mut events = Vec::new();
    let mut is_done = false;
    for event in text
        .split("\n\n")
        .filter(|event| !event.is_empty() && !event.starts_with(':'))
    {
        let data = event
            .strip_prefix("data: ")
            .unwrap_or_else(|| panic!("no data: {event}"));
        assert!(!is_done, "something comes after the end: {text}");
        match data {
            "[DONE]" => is_done = true,
            data => events.push(serde_json::from_str(data).expect(data)),
        }
    }
    (events, is_done)
}

/// What the chunks say, one after the other.
fn content(events: &[Value]) -> String {
    let piece = |event: &Value| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    events.iter().filter_map(piece).collect()
}

#[track_caller]
fn check_error(reply: &Reply, status: u16, kind: &str, code: &Value) -> Value {
    let shape = json!({ "error": { "message": "<filled>", "type": kind, "param": "<any>", "code": code } });
    check_shape(reply, status, &shape);
    reply.json()["error"].clone()
}

fn usage_shape() -> Value {
    json!({
        "prompt_tokens": "<int>", "completion_tokens": "<int>", "total_tokens": "<int>",
        "prompt_tokens_details": { "cached_tokens": "<int>" },
    })
}

#[test]
fn the_models_are_listed() {
    let desk = Desk::new();
    let reply = desk.call("GET", "/v1/models").send();
    let model = json!({ "id": "<filled>", "object": "model", "created": "<int>", "owned_by": "<filled>" });
    check_shape(
        &reply,
        200,
        &json!({ "object": "list", "data": [model.clone(), model.clone()] }),
    );
    let listed = reply.json();
    assert_eq!(listed["data"][0]["id"], json!("echo"));
    for model in listed["data"].as_array().expect("a list") {
        let id = model["id"].as_str().expect("an id");
        for slash in ["", "/"] {
            let one = desk.call("GET", &format!("/v1/models/{id}{slash}")).send();
            assert_eq!((one.status, &one.json()), (200, model));
        }
    }
    assert_eq!(desk.call("GET", "/v1/models/").send().json(), listed);
    let reply = desk.call("GET", "/v1/models/some/other").send();
    check_error(&reply, 404, "invalid_request_error", &json!("model_not_found"));
}

#[test]
fn a_reply_comes_whole() {
    let desk = Desk::new();
    let reply = desk.complete(&question("echo", "Hi"));
    let message = json!({ "role": "assistant", "content": "Echo: Hi", "refusal": null });
    let choice = json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": "stop" });
    let shape = json!({
        "id": "<filled>", "object": "chat.completion", "created": "<int>", "model": "echo", "choices": [choice],
        "usage": usage_shape(),
    });
    check_shape(&reply, 200, &shape);
    let completion = reply.json();
    assert!(completion["id"].as_str().expect("an id").starts_with("chatcmpl-"));
    let usage = &completion["usage"];
    let count = |name: &str| usage[name].as_u64().expect("a count");
    assert_eq!(
        count("total_tokens"),
        count("prompt_tokens") + count("completion_tokens")
    );
    // Nothing of it is kept but what it cost.
    assert_eq!(desk.chats(), json!(0));
    assert_eq!(desk.accounts(), [("echo".to_owned(), false, 0.0)]);
}

#[test]
fn a_reply_comes_as_a_stream() {
    let desk = Desk::new();
    for has_usage in [false, true] {
        let mut body = streamed("echo", "Hi");
        if has_usage {
            body["stream_options"] = json!({ "include_usage": true });
        }
        let reply = desk.complete(&body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("Content-Type"), Some("text/event-stream"));
        assert_eq!(reply.header("Cache-Control"), Some("no-cache"));
        assert_eq!(reply.header("X-Accel-Buffering"), Some("no"));
        let (mut events, is_done) = events(&reply.text());
        assert!(is_done, "{}", reply.text());
        let id = events[0]["id"].clone();
        assert!(id.as_str().expect("an id").starts_with("chatcmpl-"));
        for event in &events {
            assert_eq!(
                (&event["id"], &event["object"], &event["model"], &event["created"]),
                (
                    &id,
                    &json!("chat.completion.chunk"),
                    &json!("echo"),
                    &events[0]["created"]
                )
            );
            assert_eq!(event.get("usage").is_some(), has_usage, "{event}");
        }
        if has_usage {
            let last = events.pop().expect("a chunk with what it cost");
            assert_eq!(last["choices"], json!([]));
            assert!(last["usage"]["total_tokens"].as_u64() > Some(0), "{last}");
            assert!(events.iter().all(|event| event["usage"].is_null()));
        }
        let choices: Vec<&Value> = events.iter().map(|event| &event["choices"][0]).collect();
        let (first, last) = (choices[0], choices[choices.len() - 1]);
        assert_eq!(first["delta"]["role"], json!("assistant"));
        assert_eq!((&last["delta"], &last["finish_reason"]), (&json!({}), &json!("stop")));
        let before = &choices[..choices.len() - 1];
        assert!(
            before
                .iter()
                .all(|choice| choice["finish_reason"].is_null() && choice["index"] == 0)
        );
        assert_eq!(content(&events), "Echo: Hi");
    }
}

#[test]
fn pieces_are_passed_on_as_they_come() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    let reply = desk.complete(&streamed("fake-n50-gap1", "Hi"));
    let (events, is_done) = events(&reply.text());
    assert!(is_done, "{}", reply.text());
    let expected: String = (0..50).map(|index| format!("w{index} ")).collect();
    assert_eq!(content(&events), expected);
    assert!(events.len() > 25, "only {} chunks", events.len());
    let whole = desk.complete(&question("fake-n50-gap1", "Hi"));
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert_eq!(whole.json()["choices"][0]["message"]["content"], json!(expected));
}

#[test]
fn the_whole_conversation_is_passed_on() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    let parts = json!([{ "type": "text", "text": "one" }, { "type": "text", "text": "two" }]);
    let body = json!({
        "model": "openai/fake", "temperature": 0.5, "max_completion_tokens": 77, "unknown_to_us": { "a": [1] },
        "messages": [
            { "role": "system", "content": "Be brief" },
            { "role": "user", "content": "Hello", "name": "ann" },
            { "role": "assistant", "content": "Hi" },
            { "role": "developer", "content": "Briefer" },
            { "role": "user", "content": parts },
        ],
    });
    let reply = desk.complete(&body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["model"], json!("fake"));
    let asked = &upstream.completions()[0];
    let said = [
        ("system", "Be brief"),
        ("user", "Hello"),
        ("assistant", "Hi"),
        ("system", "Briefer"),
        ("user", "one\ntwo"),
    ];
    let said = said.map(|(role, text)| (role.to_owned(), text.to_owned()));
    assert_eq!(asked.messages(), said);
    assert_eq!(
        (&asked.body["temperature"], &asked.body["max_tokens"]),
        (&json!(0.5), &json!(77))
    );
    assert_eq!(
        asked.header("Authorization"),
        Some(&*format!("Bearer {}", Upstream::KEY))
    );
}

fn picture(url: &str) -> Value {
    let parts =
        json!([{ "type": "text", "text": "What is it?" }, { "type": "image_url", "image_url": { "url": url } }]);
    json!({ "model": "fake-vision", "messages": [{ "role": "user", "content": parts }] })
}

#[test]
fn pictures_are_passed_on_and_never_fetched() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    let url = format!("data:image/png;base64,{PNG}");
    let reply = desk.complete(&picture(&url));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let asked = upstream.completions()[0].body["messages"][0]["content"].clone();
    assert!(asked.to_string().contains(&url), "{asked}");
    let elsewhere = format!("{}/a.png", upstream.url());
    let no_picture = "data:image/png;base64,UE5H".to_owned();
    let svg = "data:image/svg+xml;base64,PHN2Zy8+".to_owned();
    for url in [
        elsewhere,
        no_picture,
        svg,
        "data:image/png,PNG".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let error = check_error(
            &desk.complete(&picture(&url)),
            400,
            "invalid_request_error",
            &Value::Null,
        );
        assert_eq!(error["param"], json!("messages[0].content[1]"), "{url}");
    }
    assert_eq!(upstream.completions().len(), 1);
    assert_eq!(upstream.strays(), [] as [String; 0]);
}

#[test]
fn a_request_may_be_as_large_as_its_pictures() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    // A picture of 3 MiB, as far as its first bytes go.
    let png = format!("{PNG}{}", "A".repeat(4 * 1024 * 1024)).replace("==", "AA");
    let url = format!("data:image/png;base64,{png}");
    let reply = desk.complete(&picture(&url));
    assert_eq!(reply.status, 200, "{:.300}", reply.text());
    let asked = upstream.completions()[0].body["messages"][0]["content"].to_string();
    assert!(asked.contains(&url), "{} bytes were sent", asked.len());
    let text = "x".repeat(33 * 1024 * 1024);
    check_error(
        &desk.complete(&question("fake", &text)),
        413,
        "invalid_request_error",
        &Value::Null,
    );
    // Elsewhere a message is as large as it was.
    let body = json!({ "message": "x".repeat(2 * 1024 * 1024) });
    assert_eq!(desk.call("POST", "/chat").json(&body).send().status, 413);
}

#[test]
fn errors_come_in_openais_form() {
    let desk = Desk::new();
    let invalid = "invalid_request_error";
    let anonymous = desk.server.post(CHAT).json(&question("echo", "Hi")).send();
    check_error(&anonymous, 401, invalid, &json!("invalid_api_key"));
    assert_eq!(anonymous.header("WWW-Authenticate"), Some("Bearer"));
    let wrong = desk.server.get("/v1/models").bearer("fs-0000").send();
    check_error(&wrong, 401, invalid, &json!("invalid_api_key"));
    for (method, path) in [
        ("GET", "/v1"),
        ("GET", "/v1/"),
        ("POST", "/v1/completions"),
        ("GET", "/v1/files/x"),
    ] {
        check_error(&desk.call(method, path).send(), 404, invalid, &json!("unknown_url"));
    }
    let reply = desk.call("GET", CHAT).send();
    check_error(&reply, 405, invalid, &json!("method_not_allowed"));
    assert_eq!(reply.header("Allow"), Some("POST"));
    check_error(&desk.call("POST", CHAT).body("{").send(), 400, invalid, &Value::Null);
    let refuse = |body: Value, param: &str| {
        let error = check_error(&desk.complete(&body), 400, invalid, &Value::Null);
        assert_eq!(error["param"], json!(param), "{body}");
    };
    refuse(json!({ "model": "echo" }), "messages");
    refuse(json!({ "model": "echo", "messages": [] }), "messages");
    refuse(json!({ "model": "echo", "messages": "Hi" }), "messages");
    refuse(json!({ "messages": [{ "content": "Hi" }] }), "messages[0].role");
    refuse(
        json!({ "messages": [{ "role": "robot", "content": "Hi" }] }),
        "messages[0].role",
    );
    refuse(json!({ "messages": [{ "role": "user" }] }), "messages[0].content");
    refuse(
        json!({ "messages": [{ "role": "tool", "content": "Hi" }] }),
        "messages[0].tool_call_id",
    );
    let audio = json!([{ "type": "input_audio", "input_audio": {} }]);
    refuse(
        json!({ "messages": [{ "role": "user", "content": audio }] }),
        "messages[0].content[0]",
    );
    for (name, value) in [
        ("n", json!(2)),
        ("functions", json!([{}])),
        ("temperature", json!("hot")),
        ("max_tokens", json!(0)),
    ] {
        let mut body = question("echo", "Hi");
        body[name] = value;
        refuse(body, name);
    }
    for model in ["nobody", "nobody/nothing"] {
        let error = check_error(
            &desk.complete(&question(model, "Hi")),
            404,
            invalid,
            &json!("model_not_found"),
        );
        assert!(error["message"].as_str().expect("a message").contains(model), "{error}");
    }
    let body = json!({ "model": "echo", "input": "Hi" });
    let reply = desk.call("POST", "/v1/embeddings").json(&body).send();
    check_error(&reply, 404, invalid, &json!("model_not_found"));
    assert_eq!(desk.accounts(), []);
}

#[test]
fn so_many_messages_a_minute_and_no_more() {
    let desk = Desk::at(Launch::new().args(&["--messages-per-minute", "2"]).start());
    let replies = [0; 3].map(|_| desk.complete(&question("echo", "Hi")));
    assert_eq!((replies[0].status, replies[1].status), (200, 200));
    check_error(&replies[2], 429, "rate_limit_error", &json!("rate_limit_exceeded"));
    assert!(replies[2].header("Retry-After").is_some());
}

#[test]
fn a_budget_counts_what_is_not_kept() {
    let upstream = Upstream::start();
    let launch = Launch::new().env("OPENAI_BASE_URL", &upstream.url());
    let prices = launch.home().join("prices.json");
    let price = r#"{"fake": {"version": "1", "input": 100000, "cached_input": 100000, "output": 100000}}"#;
    std::fs::write(&prices, price).expect("a file");
    let desk = Desk::at(
        launch
            .args(&["--default-model", "fake", "--pricing", &prices.display().to_string()])
            .start(),
    );
    let body = json!({ "name": "small", "budget_usd_month": 0.01 });
    let made = desk.call("POST", "/api-keys").json(&body).send().json();
    let key = made["key"].as_str().expect("a key");
    let ask = || desk.server.post(CHAT).bearer(key).json(&question("fake", "Hi")).send();
    assert_eq!(ask().status, 200);
    check_error(&ask(), 402, "insufficient_quota", &json!("insufficient_quota"));
    assert_eq!(upstream.completions().len(), 1);
    let accounts = desk.accounts();
    assert!(
        matches!(&accounts[..], [(model, false, price)] if model == "fake" && *price > 0.01),
        "{accounts:?}"
    );
    let keys = desk.call("GET", "/api-keys").send().json();
    assert_eq!(keys[0]["spent_usd_month"], json!(accounts[0].2));
}

#[test]
fn what_fails_before_the_first_word_has_a_status() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    // A server that says when to come back is busy; others are broken.
    for model in ["fake-e500", "fake-html", "fake-badjson", "fake-e401"] {
        for body in [question(model, "Hi"), streamed(model, "Hi")] {
            let reply = desk.complete(&body);
            let status = if reply.header("Retry-After").is_some() {
                503
            } else {
                502
            };
            let error = check_error(&reply, status, "server_error", &json!("<any>"));
            assert!(!error.to_string().contains(Upstream::KEY), "{error}");
        }
    }
    for body in [question("nofake", "Hi"), streamed("nofake", "Hi")] {
        check_error(
            &desk.complete(&body),
            404,
            "invalid_request_error",
            &json!("model_not_found"),
        );
    }
}

#[test]
fn what_fails_later_is_the_last_word() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    for model in ["fake-cut", "fake-reset"] {
        let reply = desk.complete(&streamed(model, "Hi"));
        assert_eq!(reply.status, 200);
        let (events, is_done) = events(&reply.text());
        assert!(!is_done, "{model} has not come to its end");
        let (last, before) = events.split_last().expect("events");
        assert_eq!(last["error"]["type"], json!("server_error"), "{model}: {last}");
        assert!(!content(before).is_empty(), "{model}: what came before it");
        assert!(
            before
                .iter()
                .all(|event| event["choices"][0]["finish_reason"].is_null())
        );
        let whole = desk.complete(&question(model, "Hi"));
        check_error(&whole, 502, "server_error", &json!("upstream_error"));
    }
}

/// Sends a request and leaves it without an answer.
fn ask_on(server: &Server, token: &str, body: &Value) -> Connection {
    let mut connection = server.connect();
    let call = server.post(CHAT).bearer(token).json(body);
    assert!(connection.send(&call.bytes()));
    connection
}

#[test]
fn so_many_replies_at_a_time_and_no_more() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &["--max-turns", "1"]);
    let mut held = ask_on(&desk.server, &desk.token, &question("fake-hold", "Hi"));
    upstream.wait_for(1);
    let reply = desk.complete(&question("fake", "Hi"));
    check_error(&reply, 503, "server_error", &Value::Null);
    assert!(reply.header("Retry-After").is_some());
    // What does not wait needs no place.
    assert_eq!(desk.complete(&question("echo", "Hi")).status, 200);
    upstream.release();
    assert_eq!(held.reply("POST").status, 200);
    until(PATIENCE, "its place is free", || {
        Some(()).filter(|()| desk.complete(&question("fake", "Hi")).status == 200)
    });
}

#[test]
fn a_client_that_leaves_is_not_written_for() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &["--max-turns", "1"]);
    let bodies = [
        question("fake-hang", "Hi"),
        streamed("fake-hang", "Hi"),
        streamed("fake-hangmid", "Hi"),
    ];
    for (count, body) in bodies.iter().enumerate() {
        let connection = ask_on(&desk.server, &desk.token, body);
        // One that has asked the only model there is room for.
        upstream.wait_for(2 * count + 1);
        drop(connection);
        until(SOON, "the upstream is let go of", || {
            Some(()).filter(|()| desk.complete(&question("fake", "Hi")).status == 200)
        });
    }
    desk.server.check_alive();
}

impl Desk {
    fn complete_in(&self, conversation: &str, body: &Value) -> Reply {
        let call = self.call("POST", CHAT).header("X-Conversation-Id", conversation);
        call.json(body).send()
    }
}

#[test]
fn an_exchange_is_kept_for_those_who_ask() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    let mut body = question("echo", "first");
    let reply = desk.complete_in("new", &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["choices"][0]["message"]["content"], json!("Echo: first"));
    assert!(
        reply.json()["usage"]["total_tokens"].as_u64() > Some(0),
        "{}",
        reply.text()
    );
    let id = reply.header("X-Conversation-Id").expect("an id").to_owned();
    let chat = desk.call("GET", &format!("/chats/{id}")).send().json();
    assert_eq!((&chat["title"], &chat["message_count"]), (&json!("first"), &json!(2)));
    // The model is asked with what the client sends, whatever is stored.
    body = streamed("fake-counts", "second");
    body["stream_options"] = json!({ "include_usage": true });
    body["messages"] = json!([{ "role": "system", "content": "Be brief" }, { "role": "user", "content": "second" }]);
    let reply = desk.complete_in(&chat["conversation_id"].to_string(), &body);
    assert_eq!(reply.header("X-Conversation-Id"), Some(&*id), "{}", reply.text());
    let (events, is_done) = events(&reply.text());
    assert!(is_done, "{}", reply.text());
    assert_eq!(content(&events), "fake reply to: second");
    let usage = &events.last().expect("usage")["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"]),
        (&json!(1000), &json!(100))
    );
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], json!(600));
    let asked = upstream.completions()[0].messages();
    assert_eq!(asked.len(), 2, "{asked:?}");
    let kept = ["first", "Echo: first", "second", "fake reply to: second"];
    let stored = desk.server.messages(&desk.token, &id);
    assert!(stored.iter().map(|(_, text)| text.as_str()).eq(kept), "{stored:?}");
    assert!(desk.accounts().iter().all(|(_, has_message, _)| *has_message));
    // Somebody else's, and none at all, are not there.
    let stranger = desk.server.account("bob").token;
    let call = desk
        .server
        .post(CHAT)
        .bearer(&stranger)
        .header("X-Conversation-Id", &id);
    let body = question("echo", "Hi");
    check_error(
        &call.json(&body).send(),
        404,
        "invalid_request_error",
        &json!("not_found"),
    );
    for nowhere in ["0", "nonsense", "", "00000000-0000-0000-0000-000000000000"] {
        check_error(
            &desk.complete_in(nowhere, &body),
            404,
            "invalid_request_error",
            &json!("not_found"),
        );
    }
    let reply = json!({ "messages": [{ "role": "user", "content": "Hi" }, { "role": "assistant", "content": "Yes" }] });
    check_error(
        &desk.complete_in(&id, &reply),
        400,
        "invalid_request_error",
        &Value::Null,
    );
    assert_eq!(desk.server.messages(&desk.token, &id), stored);
}

#[test]
fn what_is_kept_is_written_to_its_end() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    let chat = desk.server.chat(&desk.token, "c");
    let id = chat["id"].as_str().expect("an id");
    let call = desk
        .server
        .post(CHAT)
        .bearer(&desk.token)
        .header("X-Conversation-Id", id);
    let mut connection = desk.server.connect();
    assert!(connection.send(&call.json(&streamed("fake-hold", "Hi")).bytes()));
    upstream.wait_for(1);
    let busy = desk.complete_in(id, &question("fake", "Hi"));
    check_error(&busy, 409, "conflict_error", &Value::Null);
    drop(connection);
    upstream.release();
    until(PATIENCE, "the reply is stored", || {
        let stored = desk.server.messages(&desk.token, id);
        stored.get(1).filter(|(_, text)| text == "fake reply to: Hi").map(drop)
    });
}

#[test]
fn a_key_that_is_revoked_gets_no_more() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    for (count, model) in ["fake-hang", "fake-hangmid"].into_iter().enumerate() {
        let body = json!({ "name": "lent" });
        let made = desk.call("POST", "/api-keys").json(&body).send().json();
        let (key, id) = (
            made["key"].as_str().expect("a key"),
            made["id"].as_str().expect("an id"),
        );
        let mut connection = ask_on(&desk.server, key, &question(model, "Hi"));
        upstream.wait_for(count + 1);
        let revoked = desk.call("DELETE", &format!("/api-keys/{id}")).send();
        assert_eq!(revoked.status, 204);
        let reply = connection.reply("POST");
        check_error(&reply, 401, "invalid_request_error", &json!("invalid_api_key"));
    }
    desk.server.check_alive();
}

#[test]
fn a_kept_reply_that_is_stopped_is_none() {
    let upstream = Upstream::start();
    let desk = Desk::with_upstream(&upstream, "fake", &[]);
    let chat = desk.server.chat(&desk.token, "c");
    let id = chat["id"].as_str().expect("an id");
    let call = desk.server.post(CHAT).bearer(&desk.token);
    let call = call
        .header("X-Conversation-Id", id)
        .json(&question("fake-hangmid", "Hi"));
    let mut connection = desk.server.connect();
    assert!(connection.send(&call.bytes()));
    upstream.wait_for(1);
    let stopped = desk.call("POST", &format!("/conversations/{id}/stop")).send();
    assert_eq!(stopped.status, 200);
    check_error(&connection.reply("POST"), 503, "server_error", &Value::Null);
}

#[test]
fn no_other_model_may_run_than_the_one_that_is_paid_for() {
    let desk = Desk::new();
    for (name, value) in [
        ("models", json!(["large"])),
        ("route", json!("fallback")),
        ("provider", json!({ "order": ["dear"] })),
    ] {
        let mut body = question("echo", "Hi");
        body[name] = value;
        let error = check_error(&desk.complete(&body), 400, "invalid_request_error", &Value::Null);
        assert_eq!(error["param"], *name);
    }
}
