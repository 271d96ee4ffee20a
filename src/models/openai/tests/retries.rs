//! Requests that are sent again, and those that are not.

use std::io::Write as _;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::super::super::failure::FailureKind;
use super::super::super::fake_upstream::{STREAM, Then, Upstream, ask, chunks, client, client_with, stream, whole};
use super::super::super::{Failure, Provider, Stop, Usage};
use super::{HELLO, event};

/// Asks a server that answers every request before the `good` one with these bytes; returns what failed, and how many
/// requests there were.
fn ask_after(bytes: &str, then: fn() -> Then, good: usize) -> (Option<Failure>, usize) {
    let bytes = bytes.to_owned();
    let upstream = Upstream::start(move |received, stream_| {
        if received.number < good {
            stream_.write_all(bytes.as_bytes()).unwrap();
            return then();
        }
        stream_.write_all(&stream(HELLO)).unwrap();
        Then::KeepAlive
    });
    let outcome = ask(&upstream.client(), &Stop::new());
    let count = upstream.requests.lock().unwrap().len();
    if outcome.result.is_ok() {
        assert_eq!(outcome.text, "naïve 🦊");
    }
    (outcome.result.err(), count)
}

#[test]
fn what_may_pass_is_asked_twice_more() {
    for status in [429, 500, 502, 503, 529] {
        let bytes = whole(&format!("{status} No"), "", "");
        assert_eq!(ask_after(&bytes, || Then::KeepAlive, 2), (None, 3), "{status}");
    }
    assert_eq!(ask_after("", || Then::Reset, 2), (None, 3));
    // The first bytes of a head are not an answer yet.
    assert_eq!(ask_after("HTTP/1.1 2", || Then::Reset, 1), (None, 2));
    let (failure, count) = ask_after("", || Then::Close, 9);
    assert_eq!(failure.map(|failure| failure.kind), Some(FailureKind::Broken));
    assert_eq!(count, 3);
}

#[test]
fn what_does_not_pass_is_asked_once() {
    for status in [400, 401, 403, 404, 408, 501, 504] {
        let bytes = whole(&format!("{status} No"), "", "");
        let (failure, count) = ask_after(&bytes, || Then::KeepAlive, 1);
        assert_eq!(
            failure.map(|failure| failure.kind),
            Some(FailureKind::Refused),
            "{status}"
        );
        assert_eq!(count, 1, "{status}");
    }
    let half = String::from_utf8([STREAM.as_bytes(), &chunks(&event("half"), 1000)].concat()).unwrap();
    let (failure, count) = ask_after(&half, || Then::Reset, 1);
    assert_eq!(
        (failure.map(|failure| failure.kind), count),
        (Some(FailureKind::Broken), 1)
    );
    let (failure, count) = ask_after("", || Then::Hang, 1);
    assert_eq!(
        (failure.map(|failure| failure.kind), count),
        (Some(FailureKind::Timeout), 1)
    );
}

#[test]
fn the_server_says_when() {
    let started = Instant::now();
    let soon = whole("429 No", "retry-after: 1\r\n", "");
    assert_eq!(ask_after(&soon, || Then::KeepAlive, 1), (None, 2));
    assert!(started.elapsed() >= Duration::from_secs(1));
    for late in ["11", "99999999999", "Tue, 31 Dec 2199 23:59:59 GMT"] {
        let (failure, count) = ask_after(
            &whole("503 No", &format!("retry-after: {late}\r\n"), ""),
            || Then::KeepAlive,
            1,
        );
        assert!(failure.and_then(|failure| failure.retry_after_s) >= Some(11), "{late}");
        assert_eq!(count, 1, "{late}");
    }
}

#[test]
fn stop_ends_the_pause() {
    let (arrived, arrival) = channel();
    let upstream = Upstream::start(move |_, stream_| {
        stream_
            .write_all(whole("429 No", "retry-after: 9\r\n", "").as_bytes())
            .unwrap();
        arrived.send(()).unwrap();
        Then::KeepAlive
    });
    let stop = Stop::new();
    let stopper = thread::spawn({
        let stop = stop.clone();
        move || {
            arrival.recv().unwrap();
            stop.stop();
        }
    });
    let started = Instant::now();
    let failure = ask(&upstream.client(), &stop).result.unwrap_err();
    stopper.join().unwrap();
    assert_eq!(failure.kind, FailureKind::Stopped);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(upstream.requests.lock().unwrap().len(), 1);
}

#[test]
fn an_error_whose_body_does_not_end_is_an_error() {
    let upstream = Upstream::with("HTTP/1.1 401 No\r\ncontent-length: 99\r\n\r\n{\"error\":", || {
        Then::Hang
    });
    let patient = client_with(&upstream.base_url(), Duration::from_secs(60));
    let started = Instant::now();
    let failure = ask(&patient, &Stop::new()).result.unwrap_err();
    assert_eq!(failure.message, "openai refused with status 401");
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn vectors_are_asked_for_in_the_same_way() {
    let upstream = Upstream::start(|received, stream_| {
        let bytes = match received.number {
            0 => whole("503 Loading", "", ""),
            1 => whole(
                "200 OK",
                "content-type: application/json\r\n",
                r#"{"data":[{"embedding":[1.5]}]}"#,
            ),
            2 => whole(
                "200 OK",
                "content-type: application/json\r\n",
                r#"{"data":[{"embedding":[1.5]}],"usage":{"prompt_tokens":10000000000000000000}}"#,
            ),
            3 => whole(
                "200 OK",
                "content-type: application/json\r\n",
                r#"{"error":{"message":"no"}}"#,
            ),
            4 => whole("200 OK", "content-type: text/html\r\n", "<html>"),
            _ => whole("200 OK", "", "oops"),
        };
        stream_.write_all(bytes.as_bytes()).unwrap();
        Then::KeepAlive
    });
    let body = serde_json::json!({"model": "e-1", "input": ["a"]});
    let body = body.as_object().unwrap();
    let client = client(&upstream.base_url());
    let (answer, completion) = client.embed(body, &Stop::new()).unwrap();
    assert_eq!(
        (completion.model.as_str(), completion.usage),
        ("e-1", Usage::guess(1, 0))
    );
    assert_eq!(answer["data"][0]["embedding"][0], 1.5);
    // A server may claim anything.
    let (_, completion) = client.embed(body, &Stop::new()).unwrap();
    assert_eq!(
        (completion.usage.input_tokens, completion.usage.estimated),
        (1_000_000_000, false)
    );
    for words in ["reports: no", "web page", "malformed JSON"] {
        let failure = client.embed(body, &Stop::new()).unwrap_err();
        assert!(failure.message.contains(words), "{failure}");
    }
    let requests = upstream.requests.lock().unwrap();
    assert!(
        requests
            .iter()
            .all(|request| request.head.starts_with("POST /v1/embeddings "))
    );
    assert_eq!(requests[1].body, r#"{"model":"e-1","input":["a"]}"#);
}
