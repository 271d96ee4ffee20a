//! Connections handed over: what is pushed arrives in order, and nobody waits for a client that does not read.

use std::sync::mpsc::{Receiver, channel};

use super::super::{Either, EventStream, Gone, Later, Media, Push, Typed};
use super::*;

type Respond = Later<Either<Typed<()>, EventStream>>;

/// A rig that hands every connection over, and where the handed-over ends arrive.
fn handing_over() -> (Rig, Receiver<Option<Push>>) {
    handing_over_with(Media::Events, Limits::default())
}

fn handing_over_with(media: Media, limits: Limits) -> (Rig, Receiver<Option<Push>>) {
    let (handed, pushes) = channel();
    let rig = Rig::with(
        limits,
        |_| Ok(0),
        move |_, respond| {
            let push = Respond::from(respond).stream(media, &[("X-More", "yes")]);
            handed.send(push).unwrap();
        },
    );
    (rig, pushes)
}

/// A client whose connection was handed over; it has read the head. It speaks HTTP/1.0, where what is pushed comes as it
/// is.
fn hand_over(rig: &Rig, pushes: &Receiver<Option<Push>>) -> (Client, Push) {
    let (client, push, _) = hand_over_to(rig, pushes, "HTTP/1.0");
    (client, push)
}

fn hand_over_to(rig: &Rig, pushes: &Receiver<Option<Push>>, version: &str) -> (Client, Push, Answered) {
    let mut client = rig.client();
    client.write(format!("GET /events {version}\r\nHost: test\r\n\r\n"));
    let push = pushes.recv_timeout(PATIENCE).unwrap().unwrap();
    let answered = client.answer_to_head();
    (client, push, answered)
}

/// The next chunk; an empty one is the end.
#[track_caller]
fn chunk(client: &mut Client) -> String {
    let mut line = String::new();
    client.0.read_line(&mut line).unwrap();
    let length = usize::from_str_radix(line.trim_end(), 16).unwrap_or_else(|_| panic!("{line:?}"));
    let mut chunk = vec![0; length + 2];
    client.0.read_exact(&mut chunk).unwrap();
    let chunk = String::from_utf8(chunk).unwrap();
    chunk.strip_suffix("\r\n").unwrap().to_owned()
}

#[test]
fn the_head_of_a_stream_keeps_nothing_back() {
    for (media, content_type) in [
        (Media::Events, "text/event-stream"),
        (Media::Text, "text/plain; charset=utf-8"),
    ] {
        let (rig, pushes) = handing_over_with(media, Limits::default());
        for (version, encoding) in [("HTTP/1.1", Some("chunked")), ("HTTP/1.0", None)] {
            let (_client, _push, answered) = hand_over_to(&rig, &pushes, version);
            assert!(answered.head.starts_with(version), "{}", answered.head);
            let fields = [
                ("Content-Type", Some(content_type)),
                ("Cache-Control", Some("no-cache")),
                ("X-Accel-Buffering", Some("no")),
                ("X-More", Some("yes")),
                ("Connection", Some("close")),
                ("Transfer-Encoding", encoding),
                ("Content-Length", None),
            ];
            for (name, value) in fields {
                assert_eq!(answered.header(name), value, "{version} {name}: {}", answered.head);
            }
        }
    }
}

#[test]
fn head_is_answered_with_the_head_alone() {
    let (rig, pushes) = handing_over();
    let mut client = rig.client();
    for _ in 0..2 {
        client.ask("HEAD", "/events");
        assert!(pushes.recv_timeout(PATIENCE).unwrap().is_none());
        let answered = client.answer_to_head();
        assert_eq!(answered.header("Content-Type"), Some("text/event-stream"));
        assert_eq!(answered.header("Transfer-Encoding"), Some("chunked"));
    }
}

#[test]
fn chunks_tell_the_end_from_a_break() {
    let (rig, pushes) = handing_over();
    for is_finished in [true, false] {
        let (mut client, push, _) = hand_over_to(&rig, &pushes, "HTTP/1.1");
        for piece in ["data: one\n\n", "data: ☃\n\n"] {
            push.send(piece.as_bytes()).unwrap();
            assert_eq!(chunk(&mut client), piece);
        }
        // Nothing to say is not the end.
        push.send(b"").unwrap();
        if is_finished {
            push.finish();
            assert_eq!(chunk(&mut client), "");
        } else {
            drop(push);
        }
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn a_stream_of_events_shows_that_it_lives() {
    let limits = || Limits {
        heartbeat_time: Duration::from_millis(10),
        ..Limits::default()
    };
    let (rig, pushes) = handing_over_with(Media::Events, limits());
    let (mut client, push, _) = hand_over_to(&rig, &pushes, "HTTP/1.1");
    for _ in 0..2 {
        assert_eq!(chunk(&mut client), ": ping\n\n");
    }
    drop(push);
    // Text has no place for such signs: it is quiet while the other one ticks.
    let (texts, text_pushes) = handing_over_with(Media::Text, limits());
    let (mut reader, text, _) = hand_over_to(&texts, &text_pushes, "HTTP/1.1");
    let (mut client, push, _) = hand_over_to(&rig, &pushes, "HTTP/1.1");
    for _ in 0..2 {
        assert_eq!(chunk(&mut client), ": ping\n\n");
    }
    text.send(b"said").unwrap();
    assert_eq!(chunk(&mut reader), "said");
    drop(push);
}

#[test]
fn who_hangs_up_is_noticed_without_a_word() {
    let (handed, responders) = channel();
    let rig = Rig::new(move |_, respond| handed.send(Respond::from(respond)).unwrap());
    for is_streamed in [false, true] {
        for leaves_before in [false, true] {
            let mut client = rig.client();
            client.ask("POST", "/wait");
            let later = responders.recv_timeout(PATIENCE).unwrap();
            let (gone, is_gone) = channel();
            let (mut later, mut push) = (Some(later), None);
            if is_streamed {
                push = later.take().unwrap().stream(Media::Events, &[]);
            }
            let watch = || {
                let gone = move || gone.send(()).unwrap();
                match (&later, &push) {
                    (Some(later), _) => later.on_gone(gone),
                    (None, Some(push)) => push.on_gone(gone),
                    (None, None) => panic!("nobody to stream to"),
                }
            };
            if leaves_before {
                drop(client);
                watch();
            } else {
                watch();
                drop(client);
            }
            is_gone.recv_timeout(PATIENCE).unwrap();
        }
    }
}

#[test]
fn who_got_an_answer_is_not_gone() {
    let (handed, responders) = channel();
    let rig = Rig::new(move |_, respond| handed.send(Respond::from(respond)).unwrap());
    let (gone, is_gone) = channel::<()>();
    let mut client = rig.client();
    for path in ["/first", "/second"] {
        client.ask("GET", path);
        let later = responders.recv_timeout(PATIENCE).unwrap();
        let gone = gone.clone();
        later.on_gone(move || gone.send(()).unwrap());
        later.send(Ok(Either::This(Typed::json(&()).unwrap())));
        client.answer().check(200, "null");
    }
    drop((client, gone));
    // Both were let go of.
    assert!(is_gone.recv_timeout(PATIENCE).is_err());
}

#[test]
fn a_stream_is_waited_for_when_the_server_stops() {
    let (rig, pushes) = handing_over();
    let (mut client, push, _) = hand_over_to(&rig, &pushes, "HTTP/1.1");
    rig.stop.store(true, Ordering::Relaxed);
    until("nobody is let in any more", || TcpStream::connect(rig.address).is_err());
    push.send(b"the last").unwrap();
    push.finish();
    assert_eq!(
        (chunk(&mut client), chunk(&mut client)),
        ("the last".into(), String::new())
    );
}

/// Pushes pieces until the client is gone; returns how many bytes were taken from us.
fn flood(push: &Push) -> usize {
    let piece = [b'x'; 8192];
    let mut sent = 0;
    while push.send(&piece).is_ok() {
        sent += piece.len();
    }
    sent
}

#[test]
fn what_is_pushed_arrives_as_it_is() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    for piece in ["data: one\n\n", "", "data: two\n\n", "data: thr", "ee\n\n"] {
        push.send(piece.as_bytes()).unwrap();
        let mut arrived = vec![0; piece.len()];
        client.0.read_exact(&mut arrived).unwrap();
        assert_eq!(arrived, piece.as_bytes());
    }
}

#[test]
fn several_threads_may_push() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    thread::scope(|scope| {
        for name in ['a', 'b', 'c', 'd'] {
            let push = &push;
            let line = format!("{}\n", name.to_string().repeat(50));
            scope.spawn(move || (0..100).for_each(|_| push.send(line.as_bytes()).unwrap()));
        }
    });
    drop(push);
    let rest = String::from_utf8(client.rest()).unwrap();
    let is_whole = |line: &str| line.len() == 50 && line.bytes().all(|byte| byte == line.as_bytes()[0]);
    assert!(rest.lines().all(is_whole), "{rest}");
    assert_eq!(rest.lines().count(), 400);
}

#[test]
fn dropping_a_push_ends_the_connection() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    push.send(b"last words").unwrap();
    drop(push);
    assert_eq!(client.rest(), b"last words");
}

#[test]
fn what_waits_is_sent_before_the_connection_ends() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    // More than the sockets hold.
    let waiting = pattern(250_000);
    for piece in waiting.chunks(10_000) {
        push.send(piece).unwrap();
    }
    drop(push);
    assert!(client.rest() == waiting);
}

#[test]
fn a_client_that_stops_reading_is_gone() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    let started = Instant::now();
    let sent = flood(&push);
    assert!(started.elapsed() < PATIENCE / 2, "pushing waited for the client");
    // The outbox, and what the system keeps in the sockets.
    let outbox = Limits::default().outbox_bytes_max;
    assert!(sent >= outbox - 8192 && sent < outbox + 32 * SOCKET_BYTES, "{sent}");
    assert_eq!(push.send(b"x"), Err(Gone));
    let rest = client.rest();
    assert!(rest.len() <= sent && rest.iter().all(|byte| *byte == b'x'));
    // The others are served.
    hand_over(&rig, &pushes).1.send(b"x").unwrap();
}

#[test]
fn a_client_that_reads_on_is_not_gone() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    let piece = pattern(100_000);
    for _ in 0..30 {
        push.send(&piece).unwrap();
        let mut arrived = vec![0; piece.len()];
        client.0.read_exact(&mut arrived).unwrap();
        assert!(arrived == piece);
    }
}

#[test]
fn a_client_that_leaves_is_gone_soon() {
    let (rig, pushes) = handing_over();
    let (client, push) = hand_over(&rig, &pushes);
    push.send(b"x").unwrap();
    let left = Instant::now();
    drop(client);
    until("pushing fails", || push.send(b"x").is_err());
    // A second, with tenfold slack.
    assert!(left.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_the_client_says_is_read_over() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    let noise = vec![b'\n'; 300_000];
    client.write(&noise);
    client.ask("GET", "/another");
    push.send(b"still here").unwrap();
    let mut arrived = [0; 10];
    client.0.read_exact(&mut arrived).unwrap();
    assert_eq!(&arrived, b"still here");
    drop(push);
    assert_eq!(client.rest(), b"");
    assert!(pushes.try_recv().is_err(), "no second request was read");
}

#[test]
fn a_silent_push_outlasts_every_deadline() {
    let short = Duration::from_millis(10);
    let limits = Limits {
        head_time: short,
        idle_time: short,
        stall_time: short,
        ..Limits::default()
    };
    let (rig, pushes) = handing_over_with(Media::Events, limits);
    let mut idle = rig.client();
    let (mut client, push) = hand_over(&rig, &pushes);
    // A connection that is only idle ends by its deadline; the one handed over was looked at just as often.
    assert_eq!(idle.rest(), b"");
    push.send(b"still here").unwrap();
    drop(push);
    assert_eq!(client.rest(), b"still here");
}

#[test]
fn an_event_may_be_larger_than_the_outbox() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    let event = pattern(1_000_000);
    push.send(&event).unwrap();
    let mut arrived = vec![0; event.len()];
    client.0.read_exact(&mut arrived).unwrap();
    assert!(arrived == event);
    push.send(b"and on").unwrap();
    drop(push);
    assert_eq!(client.rest(), b"and on");
}

#[test]
fn what_comes_behind_a_large_event_waits_with_it() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    let event = pattern(8 * 1024 * 1024);
    let mut expected = Vec::new();
    // Thoughts, text, a few words more, and a last event in which all stands again.
    for piece in [&event[..], &event, b"and", b" on", &event] {
        push.send(piece).unwrap();
        expected.extend_from_slice(piece);
    }
    push.finish();
    assert!(client.rest() == expected);
}

#[test]
fn who_does_not_read_a_large_event_is_gone() {
    let limits = Limits {
        stall_time: Duration::from_millis(10),
        ..Limits::default()
    };
    let (rig, pushes) = handing_over_with(Media::Events, limits);
    let (client, push) = hand_over(&rig, &pushes);
    let (gone, is_gone) = channel();
    push.on_gone(move || gone.send(()).unwrap());
    push.send(&pattern(8 * 1024 * 1024)).unwrap();
    is_gone.recv_timeout(PATIENCE).unwrap();
    assert_eq!(push.send(b"x"), Err(Gone));
    drop(client);
}

#[test]
fn behind_a_large_event_no_more_waits_than_elsewhere() {
    let (rig, pushes) = handing_over();
    let (_client, push) = hand_over(&rig, &pushes);
    push.send(&pattern(1024 * 1024)).unwrap();
    let sent = flood(&push);
    let outbox = Limits::default().outbox_bytes_max;
    assert!(sent >= outbox - 8192 && sent < outbox + 32 * SOCKET_BYTES, "{sent}");
}

#[test]
fn large_events_of_all_streams_have_one_limit() {
    let limits = Limits {
        backlog_bytes_max: 3 * 1024 * 1024,
        ..Limits::default()
    };
    let (rig, pushes) = handing_over_with(Media::Events, limits);
    let event = pattern(2 * 1024 * 1024);
    let (mut first, push) = hand_over(&rig, &pushes);
    push.send(&event).unwrap();
    let (mut second, refused) = hand_over(&rig, &pushes);
    assert_eq!(refused.send(&event), Err(Gone));
    drop(refused);
    // It has a beginning, with which it may come back.
    let beginning = second.rest();
    assert!(!beginning.is_empty() && beginning.len() < event.len() && event.starts_with(&beginning));
    drop(push);
    assert!(first.rest() == event);
    let (mut third, push) = hand_over(&rig, &pushes);
    push.send(&event).unwrap();
    drop(push);
    assert!(third.rest() == event);
}

/// Bytes of memory that this process holds. Other tests run beside this one, so small changes mean nothing.
#[cfg(target_os = "linux")]
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_is_always_behind_costs_no_more_than_its_outbox() {
    let (rig, pushes) = handing_over();
    let (mut client, push) = hand_over(&rig, &pushes);
    let mut piece = pattern(16 * 1024);
    // What the sockets take, and half an outbox.
    for _ in 0..13 {
        push.send(&piece).unwrap();
    }
    let before = resident_bytes();
    for _ in 0..8192 {
        client.0.read_exact(&mut piece).unwrap();
        push.send(&piece).unwrap();
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(
        grown < 64 * 1024 * 1024,
        "128 MiB were pushed, and {grown} bytes are held"
    );
}
