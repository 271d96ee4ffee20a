//! What is known of a provider, from its list and from calls, on a fake upstream.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::fake_upstream::{KEY, Then, Upstream, ask, stream, whole};
use super::super::{ApiKey, Protocol};
use super::*;

const REPLY: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n";

fn making() -> Making {
    Making {
        connections_max: 8,
        timeouts: Timeouts {
            connect: Duration::from_secs(2),
            first_byte: Duration::from_secs(10),
            between_bytes: Duration::from_secs(10),
            whole: Duration::from_secs(30),
        },
        pictures: Arc::default(),
    }
}

fn config(name: &str, origin: Origin, upstream: &Upstream) -> ProviderConfig {
    ProviderConfig {
        id: None,
        name: name.to_owned(),
        protocol: Protocol::OpenAi,
        base_url: upstream.base_url(),
        key: ApiKey::new(KEY),
        origin,
        is_enabled: true,
    }
}

/// A provider at this upstream.
pub(in super::super) fn member(upstream: &Upstream) -> Member {
    Member::new(config("openai", Origin::Environment, upstream), &making()).unwrap()
}

/// A server whose list is the next of these each time, the last one for good.
fn lists(bodies: &'static [&'static str]) -> Upstream {
    let asked = AtomicUsize::new(0);
    Upstream::start(move |received, socket| {
        let bytes = if received.head.starts_with("POST ") {
            stream(REPLY)
        } else {
            let at = asked.fetch_add(1, Ordering::SeqCst).min(bodies.len() - 1);
            whole("200 OK", "", bodies[at]).into_bytes()
        };
        socket.write_all(&bytes).unwrap();
        Then::Close
    })
}

#[track_caller]
fn check(member: &Member, state: State, models: &[&str]) -> Option<String> {
    let status = member.status();
    assert_eq!(status.state, state, "{:?}", status.reason);
    assert_eq!(*status.models, models);
    assert_eq!(status.since.is_some(), state != State::Unknown);
    assert_eq!(status.reason.is_some(), state == State::Down);
    status.reason
}

#[test]
fn every_form_of_a_list_is_read() {
    let upstream = lists(&[
        r#"{"object":"list","data":[{"id":"a"},{"id":"b","owned_by":"x"}]}"#,
        r#"[{"id":"together"}]"#,
        r#"{"object":"list","data":null}"#,
        r#"{"data":[{"id":"models/gemini"}]}"#,
    ]);
    let member = member(&upstream);
    check(&member, State::Unknown, &[]);
    for models in [&["a", "b"][..], &["together"], &[], &["gemini"]] {
        member.refresh(&Stop::new());
        check(&member, State::Up, models);
    }
    assert!(member.knows("gemini") && !member.knows("a"));
    let requests = upstream.requests.lock().unwrap();
    assert!(requests.iter().all(|request| request.head.contains(KEY)));
}

#[test]
fn a_list_that_is_none_makes_it_down_and_keeps_what_was_known() {
    let upstream = lists(&[r#"{"data":[{"id":"a"}]}"#, "<html>hello</html>", r#"{"models":[]}"#]);
    let member = member(&upstream);
    member.refresh(&Stop::new());
    check(&member, State::Up, &["a"]);
    for _ in 0..2 {
        member.refresh(&Stop::new());
        let reason = check(&member, State::Down, &["a"]).unwrap();
        assert!(reason.contains("malformed list") && !reason.contains(KEY), "{reason}");
    }
    // It answers, so it is there.
    ask(&member, &Stop::new()).result.unwrap();
    check(&member, State::Up, &["a"]);
}

#[test]
fn a_call_that_finds_nobody_says_so_at_once() {
    let upstream = lists(&[r#"{"data":[]}"#]);
    let mut config = config("box", Origin::Environment, &upstream);
    // Bound and not listening: nobody can take it meanwhile.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket
        .bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    config.base_url = format!("http://127.0.0.1:{port}/v1");
    let member = Member::new(config, &making()).unwrap();
    let failure = ask(&member, &Stop::new()).result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    let reason = check(&member, State::Down, &[]).unwrap();
    assert!(reason.contains("connection refused"), "{reason}");
    assert!(member.is_down());
}

#[test]
fn a_stopped_refresh_says_nothing() {
    let upstream = lists(&[r#"{"data":[]}"#]);
    let member = member(&upstream);
    let stop = Stop::new();
    stop.stop();
    member.refresh(&stop);
    check(&member, State::Unknown, &[]);
    assert!(member.is_due(Instant::now()).is_err(), "it was asked");
}

#[test]
fn it_is_asked_once_a_minute() {
    let upstream = lists(&[r#"{"data":[]}"#]);
    let member = member(&upstream);
    assert!(member.is_due(Instant::now()).is_ok());
    member.refresh(&Stop::new());
    let due = member.is_due(Instant::now()).unwrap_err();
    assert!(due > Instant::now() + LIST_EVERY / 2);
    assert!(member.is_due(due).is_ok());
}

#[test]
fn only_what_says_that_it_is_one_is_found() {
    for (name, body, found) in [
        (
            "llamacpp",
            r#"{"object":"list","data":[{"id":"m","owned_by":"llamacpp"}]}"#,
            true,
        ),
        (
            "llamacpp",
            r#"{"object":"list","data":[{"id":"m","owned_by":"vllm"}]}"#,
            false,
        ),
        ("llamacpp", r#"{"object":"list","data":[]}"#, false),
        ("llamacpp", "<html>It works!</html>", false),
        (
            "lmstudio",
            r#"{"data":[{"id":"m","owned_by":"organization_owner"}]}"#,
            true,
        ),
        ("lmstudio", r#"{"data":[{"id":"m","owned_by":"llamacpp"}]}"#, false),
        (
            "ollama",
            r#"{"object":"list","data":[{"id":"m:8b","owned_by":"library"}]}"#,
            true,
        ),
        ("ollama", r#"{"object":"list","data":null}"#, true),
        ("ollama", r#"{"data":[{"id":"m"}]}"#, false),
    ] {
        let upstream = Upstream::with(whole("200 OK", "", body), || Then::Close);
        let member = Member::new(config(name, Origin::Found, &upstream), &making()).unwrap();
        assert!(!member.is_present());
        member.refresh(&Stop::new());
        assert_eq!(member.is_present(), found, "{name} {body}");
        assert_eq!(member.knows("m"), found && body.contains("\"m\""), "{name} {body}");
    }
}

#[test]
fn a_stranger_at_its_port_is_not_what_was_there_before() {
    let upstream = lists(&[
        r#"{"object":"list","data":[{"id":"m","owned_by":"llamacpp"}]}"#,
        r#"{"object":"list","data":[{"id":"m","owned_by":"somebody"}]}"#,
    ]);
    let member = Member::new(config("llamacpp", Origin::Found, &upstream), &making()).unwrap();
    member.refresh(&Stop::new());
    assert!(member.is_present());
    member.refresh(&Stop::new());
    assert!(!member.is_present() && !member.knows("m"));
}
