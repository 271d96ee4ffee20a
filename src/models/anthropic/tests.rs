//! Calls over real sockets against a server that speaks the Messages API, and the forms of what is asked.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::failure::FailureKind;
use super::super::fake_upstream::{KEY, Outcome, STREAM, Then, Upstream, ask, chunks, server, stream, whole};
use super::super::room::Room;
use super::super::{Document, Image, Prompt, PromptMessage, Provider, Role, Stop, ToolCall, Usage};
use super::Anthropic;
use super::question::Question;

fn client(base_url: &str) -> Anthropic {
    Anthropic::new(server("anthropic", base_url, Duration::from_millis(400))).unwrap()
}

/// Events as the server sends them.
fn events(events: &[Value]) -> String {
    let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(event).collect()
}

fn start() -> Value {
    json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude", "stop_reason": null,
        "usage": {"input_tokens": 5, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 1}
    }})
}

fn block(index: u32, block: &Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn piece(index: u32, delta: &Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop_block(index: u32) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn end(reason: &str) -> [Value; 2] {
    let delta = json!({"stop_reason": reason, "stop_sequence": null});
    [
        json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ]
}

/// Thoughts, a text and a call of a tool.
fn reply() -> Vec<Value> {
    let mut all = vec![
        start(),
        block(0, &json!({"type": "thinking", "thinking": "", "signature": ""})),
        json!({"type": "ping"}),
        piece(0, &json!({"type": "thinking_delta", "thinking": "Hm. "})),
        piece(0, &json!({"type": "signature_delta", "signature": "abc"})),
        stop_block(0),
        block(1, &json!({"type": "text", "text": ""})),
        piece(1, &json!({"type": "text_delta", "text": "naïve "})),
        piece(1, &json!({"type": "text_delta", "text": "🦊"})),
        stop_block(1),
        block(2, &json!({"type": "tool_use", "id": "t1", "name": "add", "input": {}})),
        piece(2, &json!({"type": "input_json_delta", "partial_json": ""})),
        piece(2, &json!({"type": "input_json_delta", "partial_json": "{\"a\": "})),
        piece(2, &json!({"type": "input_json_delta", "partial_json": "1}"})),
        stop_block(2),
        json!({"type": "something_new", "content": 7}),
    ];
    all.extend(end("tool_use"));
    all
}

#[track_caller]
fn check_reply(outcome: Outcome) {
    assert_eq!(
        (outcome.text.as_str(), outcome.reasoning.as_str()),
        ("naïve 🦊", "Hm. ")
    );
    let call = ToolCall {
        id: "t1".to_owned(),
        name: "add".to_owned(),
        arguments: "{\"a\": 1}".to_owned(),
    };
    assert_eq!(outcome.calls, [call]);
    let completion = outcome.result.unwrap();
    assert_eq!(completion.finish_reason.as_deref(), Some("tool_calls"));
    let usage = Usage {
        input_tokens: 10,
        output_tokens: 9,
        cached_tokens: 2,
        estimated: false,
    };
    assert_eq!(completion.usage, usage);
}

#[test]
fn a_stream_arrives_whole_however_it_is_cut() {
    let text = events(&reply());
    for size in [1, 7, 1000] {
        let body = [STREAM.as_bytes(), &chunks(&text, size), b"0\r\n\r\n"].concat();
        let upstream = Upstream::with(body, || Then::KeepAlive);
        let client = client(&upstream.base_url());
        check_reply(ask(&client, &Stop::new()));
        check_reply(ask(&client, &Stop::new()));
        assert_eq!(upstream.connections(), 1, "kept alive");
    }
}

#[test]
fn the_request_is_what_the_protocol_says() {
    let upstream = Upstream::with(stream(&events(&reply())), || Then::KeepAlive);
    // With the root of the paths in the base URL, and without.
    for base_url in [upstream.base_url(), upstream.base_url().replace("/v1", "/")] {
        check_reply(ask(&client(&base_url), &Stop::new()));
    }
    for request in upstream.requests.lock().unwrap().iter() {
        let head = request.head.to_lowercase();
        assert!(head.starts_with("post /v1/messages http/1.1\r\n"), "{head}");
        for header in [
            &format!("x-api-key: {KEY}"),
            "anthropic-version: 2023-06-01",
            "content-type: application/json",
        ] {
            assert!(head.contains(&format!("{header}\r\n")), "{header}: {head}");
        }
        assert!(!head.contains("authorization"), "{head}");
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let expected = json!({
            "model": "m-1",
            "max_tokens": 64,
            "system": "Be kind.",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
            "stream": true,
            "temperature": 0.5,
        });
        assert_eq!(body, expected);
    }
}

#[test]
fn an_answer_in_one_piece() {
    let body = json!({"type": "message", "role": "assistant", "stop_reason": "max_tokens", "content": [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}}
    ], "usage": {"input_tokens": 4, "output_tokens": 2}});
    let json_of = |body: &Value| whole("200 OK", "content-type: application/json\r\n", &body.to_string());
    let upstream = Upstream::with(json_of(&body), || Then::Close);
    let outcome = ask(&client(&upstream.base_url()), &Stop::new());
    assert_eq!((outcome.text.as_str(), outcome.reasoning.as_str()), ("Hi", "Hm."));
    assert_eq!(outcome.calls[0].arguments, "{\"a\":1}");
    let completion = outcome.result.unwrap();
    assert_eq!(completion.finish_reason.as_deref(), Some("length"));
    assert_eq!((completion.usage.input_tokens, completion.usage.estimated), (4, false));

    for (body, words) in [
        (json!({}), "without a reply"),
        (json!([]), "malformed"),
        (
            json!({"type": "error", "error": {"type": "x", "message": "no"}}),
            "reports: no",
        ),
    ] {
        let upstream = Upstream::with(json_of(&body), || Then::Close);
        let failure = ask(&client(&upstream.base_url()), &Stop::new()).result.unwrap_err();
        assert!(failure.message.contains(words), "{failure}");
    }
}

#[test]
fn what_goes_wrong() {
    let half = || vec![start(), block(0, &json!({"type": "text", "text": "half"}))];
    let overloaded = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let calling = block(1, &json!({"type": "tool_use", "id": "t1", "name": "add", "input": {}}));
    let with = |more: &[Value]| stream(&events(&[half(), more.to_vec()].concat()));
    let error = |status: &str, kind: &str, message: &str| {
        let body = json!({"type": "error", "error": {"type": kind, "message": message}});
        whole(status, "content-type: application/json\r\n", &body.to_string()).into_bytes()
    };
    let cases: Vec<(Vec<u8>, FailureKind, &str, &str)> = vec![
        (with(&[]), FailureKind::Broken, "half", "cut off"),
        (with(&[overloaded]), FailureKind::Refused, "half", "reports: Overloaded"),
        // A call that is not whole is none.
        (with(&[calling]), FailureKind::Broken, "half", "cut off"),
        (
            stream("data: {\"type\": \"mess\n\n"),
            FailureKind::Broken,
            "",
            "malformed JSON",
        ),
        (
            error(
                "401 Unauthorized",
                "authentication_error",
                &format!("invalid x-api-key {KEY}"),
            ),
            FailureKind::Refused,
            "",
            "invalid x-api-key [key]",
        ),
        (
            error("404 Not Found", "not_found_error", "model: claude-9"),
            FailureKind::UnknownModel,
            "",
            "model: claude-9",
        ),
        (
            error("529 Overloaded", "overloaded_error", "Overloaded"),
            FailureKind::Refused,
            "",
            "status 529: Overloaded",
        ),
        (
            whole("200 OK", "content-type: text/html\r\n", "<html>").into_bytes(),
            FailureKind::Broken,
            "",
            "web page",
        ),
    ];
    for (bytes, kind, text, words) in cases {
        let upstream = Upstream::with(bytes, || Then::Close);
        let outcome = ask(&client(&upstream.base_url()), &Stop::new());
        let failure = outcome.result.expect_err(words);
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(words), "{failure}");
        assert_eq!(outcome.text, text, "{words}");
        assert!(outcome.calls.is_empty(), "{words}");
    }
}

#[test]
fn reasons_to_end_have_openais_names() {
    for (theirs, ours) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
        ("new_one", "new_one"),
    ] {
        let mut all = vec![start(), block(0, &json!({"type": "text", "text": "Hi"})), stop_block(0)];
        all.extend(end(theirs));
        // The last event may be missing.
        all.pop();
        let upstream = Upstream::with(stream(&events(&all)), || Then::Close);
        let completion = ask(&client(&upstream.base_url()), &Stop::new()).result.unwrap();
        assert_eq!(completion.finish_reason.as_deref(), Some(ours));
    }
}

#[test]
fn the_list_of_models() {
    let list = r#"{"data":[{"type":"model","id":"claude-a"},{"id":"claude-b"}],"has_more":false}"#;
    let upstream = Upstream::with(whole("200 OK", "", list), || Then::KeepAlive);
    let models = client(&upstream.base_url()).list(&Stop::new()).unwrap();
    let ids: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!(ids, ["claude-a", "claude-b"]);
    let requests = upstream.requests.lock().unwrap();
    assert!(
        requests[0].head.starts_with("GET /v1/models?limit=1000 "),
        "{}",
        requests[0].head
    );
}

#[test]
fn it_makes_no_embeddings() {
    let failure = client("http://127.0.0.1:1").embed(&serde_json::Map::new(), &Stop::new());
    assert_eq!(failure.unwrap_err().message, "anthropic does not make embeddings");
}

/// A prompt as it is sent to a model.
fn wire(model: &str, prompt: &Prompt, room: &Arc<Room>) -> Value {
    let model = model.to_owned();
    let prompt = Prompt {
        model,
        ..prompt.clone()
    };
    serde_json::to_value(Question::new(&prompt, room)).unwrap()
}

fn say(role: Role, text: &str) -> PromptMessage {
    PromptMessage::text(role, text)
}

fn spoken(messages: Vec<PromptMessage>) -> Value {
    let prompt = Prompt {
        messages,
        ..Prompt::default()
    };
    wire("claude-sonnet-4-5", &prompt, &Arc::default())
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[test]
fn user_and_model_speak_by_turns() {
    let request = spoken(vec![
        say(Role::System, "Be kind."),
        say(Role::Assistant, "Welcome"),
        say(Role::User, "a"),
        say(Role::User, " "),
        say(Role::System, "Be brief."),
        say(Role::User, "b"),
        say(Role::Assistant, "c \n"),
    ]);
    assert_eq!(request["system"], "Be kind.\n\nBe brief.");
    assert_eq!(request["max_tokens"], 8192);
    let wanted = json!([
        {"role": "user", "content": [text("…")]},
        {"role": "assistant", "content": [text("Welcome")]},
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": [text("c")]}
    ]);
    assert_eq!(request["messages"], wanted);
    let prompt = Prompt::default();
    assert_eq!(
        wire("claude-3-haiku-20240307", &prompt, &Arc::default())["max_tokens"],
        4096
    );
}

#[test]
fn tools_their_calls_and_answers() {
    let call = |id: &str, arguments: &str| ToolCall {
        id: id.to_owned(),
        name: "add".to_owned(),
        arguments: arguments.to_owned(),
    };
    let called = PromptMessage {
        tool_calls: vec![call("t1", r#"{"a": 1}"#), call("t2", "oops")],
        ..say(Role::Assistant, "")
    };
    let answered = |id: &str, text: &str| PromptMessage {
        tool_call_id: Some(id.to_owned()),
        ..say(Role::Tool, text)
    };
    let prompt = Prompt {
        messages: vec![
            say(Role::User, "1 + 2?"),
            called,
            answered("t1", "3"),
            answered("t2", ""),
            say(Role::User, "Go on"),
        ],
        tools: vec![
            json!({"type": "function", "function": {"name": "add", "description": "adds", "parameters": {"type": "object"}}}),
            json!({"type": "function", "function": {"name": "now"}}),
            json!({"type": "web_search"}),
        ],
        ..Prompt::default()
    };
    let request = wire("claude-sonnet-4-5", &prompt, &Arc::default());
    let wanted = json!([
        {"role": "user", "content": [text("1 + 2?")]},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
            {"type": "tool_use", "id": "t2", "name": "add", "input": {}}
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "3"},
            {"type": "tool_result", "tool_use_id": "t2", "content": ""},
            text("Go on")
        ]}
    ]);
    assert_eq!(request["messages"], wanted);
    let wanted = json!([
        {"name": "add", "description": "adds", "input_schema": {"type": "object"}},
        {"name": "now", "input_schema": {"type": "object", "properties": {}}}
    ]);
    assert_eq!(request["tools"], wanted);
}

/// The request with these options, without what it has anyway.
#[track_caller]
fn check_options(options: &Value, wanted: &Value) {
    let prompt = Prompt {
        temperature: Some(1.5),
        max_tokens: Some(100),
        tools: vec![json!({"function": {"name": "add"}})],
        options: options.as_object().unwrap().clone(),
        ..Prompt::default()
    };
    let mut request = wire("claude-sonnet-4-5", &prompt, &Arc::default());
    let request = request.as_object_mut().unwrap();
    for name in ["model", "messages", "stream", "tools"] {
        request.remove(name).unwrap();
    }
    assert_eq!(&Value::Object(request.clone()), wanted);
}

#[test]
fn options_are_translated_or_left_out() {
    let plain = || json!({"max_tokens": 100, "temperature": 1.0});
    let with = |name: &str, value: Value| {
        let mut request = plain();
        request[name] = value;
        request
    };
    let unknown = json!({"seed": 7, "response_format": {"type": "json_object"}, "model": "x", "stop": null, "n": 3});
    check_options(&unknown, &plain());
    check_options(&json!({"stop": "x"}), &with("stop_sequences", json!(["x"])));
    check_options(&json!({"stop": ["x", "\n"]}), &with("stop_sequences", json!(["x"])));
    check_options(&json!({"top_p": 0.5}), &with("top_p", json!(0.5)));
    check_options(&json!({"user": "u1"}), &with("metadata", json!({"user_id": "u1"})));
    for (theirs, ours) in [
        (json!("auto"), json!({"type": "auto"})),
        (json!("none"), json!({"type": "none"})),
        (json!("required"), json!({"type": "any"})),
        (
            json!({"type": "function", "function": {"name": "add"}}),
            json!({"type": "tool", "name": "add"}),
        ),
    ] {
        check_options(&json!({"tool_choice": theirs}), &with("tool_choice", ours));
    }
    check_options(
        &json!({"parallel_tool_calls": false}),
        &with(
            "tool_choice",
            json!({"type": "auto", "disable_parallel_tool_use": true}),
        ),
    );
    // Thoughts count as the reply does, and take no temperature.
    let thinking = json!({"type": "enabled", "budget_tokens": 2000});
    check_options(
        &json!({ "thinking": thinking }),
        &json!({"max_tokens": 2100, "thinking": thinking}),
    );
}

#[test]
fn pictures_and_documents_are_blocks() {
    let image = |size| Image {
        filename: "a.png".to_owned(),
        media_type: "image/png".to_owned(),
        size,
        fetch: Arc::new(|| Some(b"PNG".to_vec())),
    };
    let document = Document {
        filename: "a.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        size: 3,
        text: "\n\nPlan".to_owned(),
        fetch: Arc::new(|| Some(b"PDF".to_vec())),
    };
    let message = PromptMessage {
        images: vec![image(3), image(5_000_000)],
        documents: vec![document],
        ..say(Role::User, "Look")
    };
    let prompt = Prompt {
        messages: vec![message],
        ..Prompt::default()
    };
    let room = Arc::new(Room::of(6));
    let too_large = "[An image was attached: a.png. It is too large to be shown.]";
    let wanted = json!([
        {"type": "document", "title": "a.pdf",
         "source": {"type": "base64", "media_type": "application/pdf", "data": "UERG"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "UE5H"}},
        text(&format!("Look\n\n{too_large}"))
    ]);
    let content = |model: &str| wire(model, &prompt, &room)["messages"][0]["content"].clone();
    assert_eq!(content("claude-sonnet-4-5"), wanted);
    let blind = "[An image was attached: a.png. You cannot see it.]";
    assert_eq!(
        content("kimi-k2"),
        json!([text(&format!("Look\n\n{blind}\n\n{blind}\n\nPlan"))])
    );
    assert_eq!(room.left(), 6);
    let asked = Prompt {
        model: "claude-sonnet-4-5".to_owned(),
        ..prompt.clone()
    };
    let held = Question::new(&asked, &room).into_held();
    assert_eq!(room.left(), 0);
    let no_room = "[An image was attached: a.png. There is no room to show it now.]";
    let text_only = json!([text(&format!("Look\n\n{no_room}\n\n{too_large}\n\nPlan"))]);
    assert_eq!(content("claude-sonnet-4-5"), text_only);
    drop(held);
    assert_eq!(room.left(), 6);
}
