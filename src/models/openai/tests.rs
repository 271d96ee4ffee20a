//! Calls over real sockets against servers that behave and servers that do not.

mod connections;
mod forms;
mod retries;
mod stops;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::super::failure::FailureKind;
use super::super::fake_upstream::{KEY, STREAM, Then, Upstream, ask, chunks, client, prompt, stream, whole};
use super::super::room::Room;
use super::super::{Image, Provider, Stop, Usage};
use super::OpenAi;

const HELLO: &str = concat!(
    ": ping\n\n",
    r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
    "\n\n",
    r#"data: {"choices":[{"delta":{"reasoning_content":"Hm. ","reasoning":"Hm. "}}]}"#,
    "\n\n",
    "data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"na\u{ef}ve \"}}]}\n\n",
    r#"data: {"choices":[{"delta":{"content":"🦊"},"message":{"content":"naïve 🦊"},"finish_reason":null}],"error":null}"#,
    "\r\n\r\n",
    r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
    "\n\n",
    r#"data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":8}}}"#,
    "\n\ndata: [DONE]\n\n"
);

/// A stream's event with this text.
fn event(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":{text:?}}}}}]}}\n\n")
}

fn check_failure(upstream: &Upstream, kind: FailureKind, text: &str, words: &str) {
    let outcome = ask(&upstream.client(), &Stop::new());
    let failure = outcome.result.expect_err(words);
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains(words), "{failure}");
    assert_eq!(outcome.text, text);
}

#[test]
fn a_stream_arrives_whole_however_it_is_cut() {
    for size in [1, 7, 1000] {
        let body = [STREAM.as_bytes(), &chunks(HELLO, size), b"0\r\n\r\n"].concat();
        let upstream = Upstream::with(body, || Then::KeepAlive);
        let client = upstream.client();
        for _ in 0..3 {
            let outcome = ask(&client, &Stop::new());
            assert_eq!(
                (outcome.text.as_str(), outcome.reasoning.as_str()),
                ("naïve 🦊", "Hm. ")
            );
            let completion = outcome.result.unwrap();
            assert_eq!(completion.model, "m-1");
            assert_eq!(completion.finish_reason.as_deref(), Some("stop"));
            let usage = Usage {
                input_tokens: 9,
                output_tokens: 4,
                cached_tokens: 8,
                estimated: false,
            };
            assert_eq!(completion.usage, usage);
        }
        assert_eq!(upstream.connections(), 1, "kept alive");
    }
}

#[test]
fn the_request_is_what_every_compatible_server_reads() {
    let upstream = Upstream::with(stream(HELLO), || Then::Close);
    ask(&upstream.client(), &Stop::new()).result.unwrap();
    let requests = upstream.requests.lock().unwrap();
    let head = requests[0].head.to_lowercase();
    assert!(head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{head}");
    for header in [
        &format!("authorization: bearer {KEY}"),
        "content-type: application/json",
        "accept-encoding: identity",
    ] {
        assert!(head.contains(&format!("{header}\r\n")), "{header}: {head}");
    }
    let body: serde_json::Value = serde_json::from_str(&requests[0].body).unwrap();
    let expected = serde_json::json!({
        "model": "m-1",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}],
        "stream": true,
        "stream_options": {"include_usage": true},
        "temperature": 0.5,
        "max_tokens": 64,
    });
    assert_eq!(body, expected);
}

#[test]
fn a_server_that_ignores_stream_answers_in_one_piece() {
    let json = r#"{"object":"chat.completion","choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"length"}]}"#;
    let upstream = Upstream::with(whole("200 OK", "content-type: application/json\r\n", json), || {
        Then::KeepAlive
    });
    let outcome = ask(&upstream.client(), &Stop::new());
    assert_eq!(outcome.text, "Hi");
    let completion = outcome.result.unwrap();
    assert_eq!(completion.finish_reason.as_deref(), Some("length"));
    assert_eq!(
        completion.usage,
        Usage {
            input_tokens: 4,
            output_tokens: 1,
            cached_tokens: 0,
            estimated: true
        }
    );

    for (json, words) in [
        ("{\"choices\":[{\"mess", "malformed JSON"),
        ("{\"choices\":[]}", "without a reply"),
        ("[]", "malformed"),
    ] {
        let upstream = Upstream::with(whole("200 OK", "content-type: application/json\r\n", json), || {
            Then::Close
        });
        check_failure(&upstream, FailureKind::Broken, "", words);
    }
}

#[test]
fn refusals_carry_the_servers_words_and_never_the_key() {
    let error =
        |message: &str, code: &str| format!(r#"{{"error":{{"message":"{message}","type":"x","code":"{code}"}}}}"#);
    let leak = format!("Incorrect API key provided: {KEY} (sk-c***7890).\\u0000\\nSee");
    let cases = [
        (
            "401 Unauthorized",
            error(&leak, "invalid_api_key"),
            FailureKind::Refused,
            "provided: [key] [key] See",
        ),
        (
            "404 Not Found",
            error("The model 'm-1' does not exist", "x"),
            FailureKind::UnknownModel,
            "'m-1' does not exist",
        ),
        (
            "400 Bad Request",
            error("No such thing", "model_not_found"),
            FailureKind::UnknownModel,
            "No such thing",
        ),
        (
            "404 Not Found",
            error("File Not Found", "x"),
            FailureKind::Refused,
            "File Not Found",
        ),
        (
            "404 Not Found",
            "<html>".into(),
            FailureKind::Refused,
            "Check its base URL",
        ),
        (
            "500 Internal Server Error",
            "<html><b>nginx</b>".into(),
            FailureKind::Refused,
            "openai refused with status 500",
        ),
        (
            "502 Bad Gateway",
            error("<html>no</html>", "x"),
            FailureKind::Refused,
            "openai refused with status 502",
        ),
        (
            "503 Busy",
            "{\"detail\":\"loading\"}".into(),
            FailureKind::Refused,
            "loading",
        ),
        ("500 Oops", error(&"a".repeat(5000), "x"), FailureKind::Refused, "aaa…"),
    ];
    for (status, body, kind, words) in cases {
        let upstream = Upstream::with(whole(status, "content-type: application/json\r\n", &body), || {
            Then::KeepAlive
        });
        check_failure(&upstream, kind, "", words);
    }
    let upstream = Upstream::with(
        whole("429 Slow", "retry-after: 70\r\n", &error("slow down", "x")),
        || Then::KeepAlive,
    );
    let failure = ask(&upstream.client(), &Stop::new()).result.unwrap_err();
    assert_eq!((failure.kind, failure.retry_after_s), (FailureKind::Refused, Some(70)));
    let upstream = Upstream::with(whole("200 OK", "content-type: text/html\r\n", "<html>"), || Then::Close);
    check_failure(&upstream, FailureKind::Broken, "", "web page");
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Upstream::with(stream(HELLO), || Then::Close);
    let location = format!("location: http://127.0.0.1:{}/v1/chat/completions\r\n", elsewhere.port);
    for status in ["302 Found", "307 Temporary Redirect"] {
        let upstream = Upstream::with(whole(status, &location, ""), || Then::Close);
        check_failure(&upstream, FailureKind::Refused, "", "redirects elsewhere");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn an_answer_that_breaks_off_keeps_what_has_arrived() {
    let half = [STREAM.as_bytes(), &chunks(&event("half"), 1000)].concat();
    check_failure(
        &Upstream::with(half.clone(), || Then::Close),
        FailureKind::Broken,
        "half",
        "cut off",
    );
    check_failure(
        &Upstream::with(half.clone(), || Then::Reset),
        FailureKind::Broken,
        "half",
        "cut off",
    );
    check_failure(
        &Upstream::with(half, || Then::Hang),
        FailureKind::Timeout,
        "half",
        "stopped sending",
    );

    let body = |text: &str| stream(&(event("half") + text));
    check_failure(
        &Upstream::with(body(""), || Then::Close),
        FailureKind::Broken,
        "half",
        "cut off",
    );
    let unfinished = body("data: {\"choices\":[{\"del");
    check_failure(
        &Upstream::with(unfinished, || Then::Close),
        FailureKind::Broken,
        "half",
        "malformed JSON",
    );
    let error = body("data: {\"error\":{\"message\":\"out of memory\"}}\n\ndata: [DONE]\n\n");
    check_failure(
        &Upstream::with(error, || Then::Close),
        FailureKind::Refused,
        "half",
        "reports: out of memory",
    );

    // A finish reason is an end, too.
    let upstream = Upstream::with(body("data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n"), || {
        Then::Close
    });
    let completion = ask(&upstream.client(), &Stop::new()).result.unwrap();
    assert_eq!(completion.usage.output_tokens, 1);
}

#[test]
fn silence_ends_at_the_timeout() {
    let started = Instant::now();
    check_failure(
        &Upstream::with("", || Then::Hang),
        FailureKind::Timeout,
        "",
        "did not answer",
    );
    check_failure(
        &Upstream::with("HTTP/1.1 200 OK\r\nx: ", || Then::Hang),
        FailureKind::Timeout,
        "",
        "stopped sending",
    );
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn no_answer_at_all() {
    check_failure(
        &Upstream::with("", || Then::Close),
        FailureKind::Broken,
        "",
        "without an answer",
    );
    check_failure(
        &Upstream::with("SSH-2.0-OpenSSH_9\r\n", || Then::Close),
        FailureKind::Broken,
        "",
        "not an HTTP answer",
    );
    let head = format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(5000));
    check_failure(
        &Upstream::with(head, || Then::Hang),
        FailureKind::Broken,
        "",
        "not an HTTP answer",
    );

    // A port that is held and not listened on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let held = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let closed = held.local_addr().unwrap();
    let failure = ask(&client(&format!("http://{closed}/v1")), &Stop::new())
        .result
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert_eq!(
        failure.message,
        format!("openai at {closed} cannot be reached (connection refused)")
    );
}

#[test]
fn endless_answers_are_given_up() {
    let line = "x".repeat(10 * 1024 * 1024);
    let body = [STREAM.as_bytes(), &chunks(&(event("half") + "data: " + &line), 60_000)].concat();
    check_failure(
        &Upstream::with(body, || Then::Hang),
        FailureKind::Broken,
        "half",
        "a line of more than",
    );

    let mut text = String::new();
    let piece = "y".repeat(512 * 1024);
    while text.len() <= 9 * 1024 * 1024 {
        text += &event(&piece);
    }
    let outcome = ask(&Upstream::with(stream(&text), || Then::Close).client(), &Stop::new());
    assert_eq!(outcome.text.len(), 8 * 1024 * 1024);
    assert!(outcome.result.unwrap_err().message.contains("does not end"));
}

#[test]
fn a_gzip_bomb_is_not_inflated() {
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let comments = format!(":{}\n", "z".repeat(1022)).repeat(1024);
    for _ in 0..70 {
        bomb.write_all(comments.as_bytes()).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1024 * 1024);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    );
    let upstream = Upstream::with([head.as_bytes(), &bomb].concat(), || Then::KeepAlive);
    check_failure(&upstream, FailureKind::Broken, "", "sent more than 67108864 bytes");
    let garbage = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\noops";
    check_failure(
        &Upstream::with(garbage, || Then::Close),
        FailureKind::Broken,
        "",
        "does not decompress",
    );
}

#[test]
fn a_server_that_refuses_stream_options_is_asked_without() {
    let upstream = Upstream::start(|received, stream_| {
        let refusal = whole(
            "400 Bad Request",
            "",
            r#"{"error":{"message":"Unrecognized field: stream_options"}}"#,
        );
        let bytes = if received.body.contains("stream_options") {
            refusal.into_bytes()
        } else {
            stream(HELLO)
        };
        stream_.write_all(&bytes).unwrap();
        Then::KeepAlive
    });
    let client = upstream.client();
    for _ in 0..2 {
        ask(&client, &Stop::new()).result.unwrap();
    }
    assert_eq!(upstream.requests.lock().unwrap().len(), 3, "remembered");
}

#[test]
fn a_small_stack_is_enough() {
    let upstream = Upstream::with(stream(HELLO), || Then::KeepAlive);
    let not_tls = Upstream::with("HTTP/1.1 400 Bad Request\r\n\r\n", || Then::Close);
    let thread = thread::Builder::new().stack_size(256 * 1024).spawn(move || {
        ask(&upstream.client(), &Stop::new()).result.unwrap();
        let secure = client(&not_tls.base_url().replace("http:", "https:"));
        ask(&secure, &Stop::new()).result.unwrap_err()
    });
    let failure = thread.unwrap().join().unwrap();
    assert_eq!(failure.kind, FailureKind::Unreachable, "{failure}");
}

/// A picture is in memory until the answer begins, not until it ends.
#[test]
fn pictures_hold_their_room_while_they_are_on_their_way() {
    let room = Arc::new(Room::of(10));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (sees, left) = (Arc::clone(&seen), Arc::clone(&room));
    let upstream = Upstream::start(move |received, stream_| {
        sees.lock().unwrap().push(left.left());
        let bytes = match received.number {
            0 => whole("400 Bad Request", "", "no stream_options").into_bytes(),
            1 => stream(HELLO),
            _ => whole("418 Teapot", "", "").into_bytes(),
        };
        stream_.write_all(&bytes).unwrap();
        Then::KeepAlive
    });
    let client = OpenAi {
        pictures: Arc::clone(&room),
        ..upstream.client()
    };
    let mut prompt = prompt("gpt-4o");
    prompt.messages[1].images.push(Image {
        filename: "a.png".to_owned(),
        media_type: "image/png".to_owned(),
        size: 3,
        fetch: Arc::new(|| Some(b"PNG".to_vec())),
    });
    let mut left_at_first = None;
    let replied = client.complete(&prompt, &Stop::new(), &mut |_| {
        left_at_first.get_or_insert(room.left());
    });
    replied.unwrap();
    assert_eq!(left_at_first, Some(10));
    client.complete(&prompt, &Stop::new(), &mut |_| {}).unwrap_err();
    assert_eq!(room.left(), 10);
    assert_eq!(*seen.lock().unwrap(), [7; 3]);
    let requests = upstream.requests.lock().unwrap();
    assert!(requests.iter().all(|request| request.body.contains("base64,UE5H")));
}
