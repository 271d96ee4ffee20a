//! What model servers say on the wire, and what becomes of it: forms of answers that differ, refusals that pass, and
//! Anthropic's own protocol.

use serde_json::{Value, json};

use crate::rig::{Account, Launch, Multipart, Reply, Scripted, Server, Upstream, streamed, whole};

/// The server before a model server of this protocol.
fn before(upstream: &Scripted, protocol: &str) -> (Server, Account) {
    let server = Launch::new()
        .env("FIRESIDE_PROVIDER", &format!("box={protocol}{}", upstream.url()))
        .env("FIRESIDE_PROVIDER_BOX_KEY", Upstream::KEY)
        .args(&["--log", "trace"])
        .start();
    let ann = server.account("ann");
    (server, ann)
}

fn ask(server: &Server, account: &Account) -> Reply {
    let body = json!({"message": "hello?", "model": "box/claude-m"});
    server.post("/chat").bearer(&account.token).json(&body).send()
}

/// The rows of the only chat.
fn rows(server: &Server, account: &Account) -> Vec<Value> {
    let list = server.get("/chats").bearer(&account.token).send().json();
    let chat = list["chats"][0]["id"].as_str().expect("an id").to_string();
    let path = format!("/chats/{chat}/messages");
    let rows = server.get(&path).bearer(&account.token).send().json();
    rows.as_array().expect("a list").clone()
}

/// What is said and stored when the model server's stream has these events: the reply, or the failure and the text that
/// was kept.
#[track_caller]
fn check(protocol: &str, events: &[&str], wanted: Result<&str, (&str, Option<&str>)>) {
    let upstream = Scripted::start(vec![streamed(events)]);
    let (server, ann) = before(&upstream, protocol);
    let reply = ask(&server, &ann);
    let rows = rows(&server, &ann);
    match wanted {
        Ok(text) => {
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(reply.json()["reply"], json!(text));
            assert_eq!(
                (&rows[1]["content"], &rows[1]["state"]),
                (&json!(text), &json!("complete"))
            );
        }
        Err((words, kept)) => {
            assert_eq!(reply.status, 503, "{}", reply.text());
            assert!(reply.detail().contains(words), "{}", reply.detail());
            assert_eq!(
                rows.get(1).map(|row| row["content"].clone()),
                kept.map(|kept| json!(kept))
            );
            if kept.is_some() {
                assert_eq!(rows[1]["state"], json!("failed"));
            }
        }
    }
    assert!(!reply.text().contains(Upstream::KEY), "the key is in the reply");
    let exit = server.stop();
    assert!(!exit.stderr.contains(Upstream::KEY), "the key is in the log");
}

const HI: &str = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#;
const THINK: &str = r#"{"choices":[{"index":0,"delta":{"content":"<think>Hm.</think>\n\n"}}]}"#;
const CALL: &str = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"add","arguments":"{}"}}]}}]}"#;
const OUT: &str = r#"{"error":{"message":"out of memory","type":"server_error"}}"#;

#[test]
fn streams_that_end_in_their_own_way() {
    check("", &[HI, STOP], Ok("Hi"));
    check("", &[HI, STOP, USAGE, "[DONE]"], Ok("Hi"));
    check("", &[HI, "[DONE]"], Ok("Hi"));
    check("", &[HI, STOP, "[DONE]", "{oops"], Ok("Hi"));
    check("", &[HI], Err(("cut off", Some("Hi"))));
    check("", &[HI, OUT], Err(("out of memory", Some("Hi"))));
    check("", &[OUT], Err(("out of memory", None)));
    check("", &[HI, "{oops"], Err(("malformed JSON", Some("Hi"))));
}

#[test]
fn what_a_model_thinks_is_not_what_it_says() {
    check("", &[THINK, HI, CALL, STOP, "[DONE]"], Ok("Hi"));
    let reasoning = r#"{"choices":[{"index":0,"delta":{"reasoning_content":"Hm."}}]}"#;
    check("", &[reasoning, HI, STOP, "[DONE]"], Ok("Hi"));
}

#[test]
fn refusals_that_pass_are_not_noticed() {
    let busy = || whole(503, "", r#"{"error":{"message":"Loading model"}}"#);
    let slow_down = whole(429, "Retry-After: 0\r\n", "");
    let upstream = Scripted::start(vec![busy(), slow_down, streamed(&[HI, STOP, "[DONE]"])]);
    let (server, ann) = before(&upstream, "");
    assert_eq!(ask(&server, &ann).json()["reply"], json!("Hi"));
    assert_eq!(upstream.heard().len(), 3);
    let bodies: Vec<Value> = upstream.heard().into_iter().map(|heard| heard.body).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!(rows(&server, &ann).len(), 2);

    let upstream = Scripted::start(vec![busy()]);
    let (server, ann) = before(&upstream, "");
    let reply = ask(&server, &ann);
    assert_eq!(reply.status, 503);
    assert!(reply.detail().contains("Loading model"), "{}", reply.detail());
    assert_eq!(upstream.heard().len(), 3);

    // What is wrong with the question stays wrong, and who wants to be left alone for a minute is.
    for answer in [
        whole(401, "", ""),
        whole(400, "", ""),
        whole(429, "Retry-After: 60\r\n", ""),
    ] {
        let upstream = Scripted::start(vec![answer]);
        let (server, ann) = before(&upstream, "");
        assert_eq!(ask(&server, &ann).status, 503);
        assert_eq!(upstream.heard().len(), 1);
    }
}

const BEGIN: &str = r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}"#;
const WORDS: &str = r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hi"}}"#;
const THOUGHT: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}"#;
const ENDING: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#;
const END: &str = r#"{"type":"message_stop"}"#;
const OVERLOADED: &str = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;

#[test]
fn anthropics_streams() {
    let own = "anthropic+";
    check(
        own,
        &[BEGIN, r#"{"type":"ping"}"#, THOUGHT, WORDS, ENDING, END],
        Ok("Hi"),
    );
    check(own, &[BEGIN, WORDS, ENDING], Ok("Hi"));
    check(own, &[BEGIN, WORDS], Err(("cut off", Some("Hi"))));
    check(own, &[BEGIN, WORDS, OVERLOADED], Err(("Overloaded", Some("Hi"))));
    check(own, &[BEGIN, "{oops"], Err(("malformed JSON", None)));
}

#[test]
fn anthropic_is_asked_in_its_own_form() {
    let upstream = Scripted::start(vec![streamed(&[BEGIN, WORDS, ENDING, END])]);
    let (server, ann) = before(&upstream, "anthropic+");
    let profile = json!({"system_prompt": "Be kind."});
    let patched = server.patch("/users/me").bearer(&ann.token).json(&profile).send();
    assert_eq!(patched.status, 200, "{}", patched.text());
    let form = Multipart::new()
        .field("text", "Read this")
        .field("model", "box/claude-m")
        .file("files", "a.pdf", "application/pdf", b"%PDF-1.4 of no sense")
        .file("files", "a.png", "image/png", b"\x89PNG\r\n\x1a\n");
    let reply = form.on(server.post("/chat/").bearer(&ann.token)).send();
    assert_eq!(reply.json()["answer"], json!("Hi"), "{}", reply.text());
    let heard = upstream.heard();
    assert_eq!(heard.len(), 1);
    let head = heard[0].head.to_ascii_lowercase();
    assert!(head.starts_with("post /v1/messages http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("x-api-key: {}\r\n", Upstream::KEY)), "{head}");
    assert!(head.contains("anthropic-version: 2023-06-01\r\n"), "{head}");
    let body = &heard[0].body;
    assert_eq!((&body["model"], &body["stream"]), (&json!("claude-m"), &json!(true)));
    assert!(body["max_tokens"].as_u64() > Some(0), "{body}");
    assert!(
        body["system"]
            .as_str()
            .is_some_and(|system| system.starts_with("Be kind.")),
        "{body}"
    );
    let [message] = &body["messages"].as_array().expect("a list")[..] else {
        panic!("{body}");
    };
    let blocks = message["content"].as_array().expect("a list");
    let of_type = |kind: &str| {
        blocks
            .iter()
            .find(|block| block["type"] == kind)
            .unwrap_or(&Value::Null)
    };
    assert_eq!(message["role"], json!("user"));
    assert_eq!(of_type("text")["text"], json!("Read this"));
    assert_eq!(
        of_type("document")["source"]["data"],
        json!("JVBERi0xLjQgb2Ygbm8gc2Vuc2U=")
    );
    assert_eq!(of_type("image")["source"]["media_type"], json!("image/png"));
}
