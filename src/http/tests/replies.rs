//! Replies: from any thread, from handlers that fail, and larger than any buffer.

use std::io::Cursor;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// More than sockets, pieces and outboxes hold.
const LARGE: usize = 6 * 1024 * 1024 + 7;

#[test]
fn a_handler_answers_there_and_then() {
    let rig = Rig::new(|request, respond| respond.send(text(request.path())));
    let mut client = rig.client();
    for path in ["/a", "/b?c=d", "/e"] {
        client.ask("GET", path);
        client.answer().check(200, path.split('?').next().unwrap());
    }
}

#[test]
fn an_answer_may_come_later_from_another_thread() {
    let (waiting, responders) = channel();
    let rig = Rig::new(move |_, respond| waiting.send(respond).unwrap());
    let mut clients = [rig.client(), rig.client(), rig.client()];
    let responders: Vec<Responder> = clients
        .iter_mut()
        .map(|client| {
            client.ask("POST", "/");
            responders.recv_timeout(PATIENCE).unwrap()
        })
        .collect();
    // The last one first: no client waits for another.
    let answering = thread::spawn(move || {
        for (number, respond) in responders.into_iter().enumerate().rev() {
            respond.send(text(&number.to_string()));
        }
    });
    for (number, client) in clients.iter_mut().enumerate().rev() {
        client.answer().check(200, &number.to_string());
    }
    answering.join().unwrap();
}

#[test]
fn an_error_has_its_status_and_its_sentence() {
    let rig = Rig::new(|_, respond| {
        let error = Error::new(Kind::RateLimited, "Too many").retry_after(7);
        respond.send_result(Err(error));
    });
    let answered = rig.ask("GET", "/");
    answered.check(429, r#"{"detail":"Too many"}"#);
    assert_eq!(answered.header("Retry-After"), Some("7"));
}

/// A 500 says nothing but the id that the log has.
#[track_caller]
fn check_internal(answered: &Answered) {
    assert_eq!(answered.status, 500);
    let id = answered.header("X-Request-Id").unwrap();
    assert_eq!(
        answered.text(),
        format!(r#"{{"detail":"Internal Server Error","request_id":"{id}"}}"#)
    );
}

#[test]
fn a_handler_that_panics_answers_500_and_the_server_goes_on() {
    let limits = Limits {
        workers: 2,
        workers_for_reads: 1,
        ..Limits::default()
    };
    let rig = Rig::with(
        limits,
        |_| Ok(0),
        |request, respond| {
            assert!(request.path() != "/panic", "on purpose");
            respond.send(text("fine"));
        },
    );
    let mut client = rig.client();
    for method in ["GET", "POST", "GET", "POST", "GET"] {
        client.ask(method, "/panic");
        check_internal(&client.answer());
    }
    // The same connection and the same workers.
    client.ask("POST", "/");
    client.answer().check(200, "fine");
}

#[test]
fn a_responder_that_is_dropped_answers_500() {
    let rig = Rig::new(|request, respond| match request.path() {
        "/later" => drop(thread::spawn(move || drop(respond))),
        _ => drop(respond),
    });
    let mut client = rig.client();
    for path in ["/now", "/later", "/now"] {
        client.ask("GET", path);
        check_internal(&client.answer());
    }
}

/// A source that tells how much of it was read.
struct Counted(Cursor<Vec<u8>>, Arc<AtomicUsize>);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.fetch_add(count, Ordering::Relaxed);
        Ok(count)
    }
}

#[test]
fn a_stream_is_read_as_its_client_takes_it() {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let (sent, was_sent) = channel();
    let rig = Rig::new(move |_, respond| {
        let source = Counted(Cursor::new(pattern(LARGE)), Arc::clone(&counter));
        respond.send(Reply::stream(200, "image/png", LARGE as u64, Box::new(source)));
        sent.send(()).unwrap();
    });
    let mut client = rig.client();
    client.ask("GET", "/");
    // The worker is free again while the client has read nothing, and little was read for it.
    was_sent.recv_timeout(PATIENCE).unwrap();
    assert!(taken.load(Ordering::Relaxed) < 1024 * 1024, "{taken:?}");
    assert_eq!(rig.files(), 0);
    let answered = client.answer();
    assert!(answered.body == pattern(LARGE));
    assert_eq!(taken.load(Ordering::Relaxed), LARGE);
    client.ask("GET", "/");
    assert!(
        client.answer().body == pattern(LARGE),
        "the next reply on the same connection"
    );
}

#[test]
fn a_large_reply_waits_in_a_file_for_a_slow_client() {
    let (sent, was_sent) = channel();
    let rig = Rig::new(move |_, respond| {
        respond.send(Reply::bytes(200, "text/plain", pattern(LARGE)));
        sent.send(()).unwrap();
    });
    let mut clients = [rig.client(), rig.client()];
    for (number, client) in clients.iter_mut().enumerate() {
        client.ask("GET", "/");
        was_sent.recv_timeout(PATIENCE).unwrap();
        assert_eq!(rig.files(), number + 1);
    }
    for client in &mut clients {
        assert!(client.answer().body == pattern(LARGE));
    }
    until("the files are gone", || rig.files() == 0);
    clients[0].ask("GET", "/");
    was_sent.recv_timeout(PATIENCE).unwrap();
    assert!(
        clients[0].answer().body == pattern(LARGE),
        "the next reply on the same connection"
    );
}

#[test]
fn a_client_that_leaves_takes_its_file_with_it() {
    let (sent, was_sent) = channel();
    let rig = Rig::new(move |_, respond| {
        respond.send(Reply::bytes(200, "text/plain", pattern(LARGE)));
        sent.send(()).unwrap();
    });
    let mut client = rig.client();
    client.ask("GET", "/");
    was_sent.recv_timeout(PATIENCE).unwrap();
    assert_eq!(rig.files(), 1);
    client.0.read_exact(&mut [0; 100_000]).unwrap();
    drop(client);
    until("the file is gone", || rig.files() == 0);
}

#[test]
fn a_client_that_takes_nothing_is_dropped() {
    let limits = Limits {
        stall_time: Duration::from_millis(50),
        ..Limits::default()
    };
    let rig = Rig::with(
        limits,
        |_| Ok(0),
        |_, respond| {
            respond.send(Reply::bytes(200, "text/plain", pattern(LARGE)));
        },
    );
    let mut client = rig.client();
    client.ask("GET", "/");
    until("its reply waits", || rig.files() == 1);
    until("it is dropped", || rig.files() == 0);
    assert!(client.rest().len() < LARGE);
}

#[test]
fn head_is_answered_without_the_body() {
    let rig = Rig::new(|request, respond| match request.path() {
        "/stream" => respond.send(Reply::stream(200, "text/plain", 5, Box::new(&b"hello"[..]))),
        _ => respond.send(text("hello")),
    });
    let mut client = rig.client();
    for path in ["/", "/stream"] {
        client.ask("HEAD", path);
        let answered = client.answer_to_head();
        assert_eq!((answered.status, answered.header("Content-Length")), (200, Some("5")));
        client.ask("GET", path);
        client.answer().check(200, "hello");
    }
}

/// Reads well until it does not.
struct Breaking(Cursor<Vec<u8>>);

impl Read for Breaking {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(ErrorKind::Other.into()),
            count => Ok(count),
        }
    }
}

#[test]
fn a_stream_that_breaks_off_cuts_the_connection() {
    let rig = Rig::new(|_, respond| {
        let source = Breaking(Cursor::new(pattern(1_000_000)));
        respond.send(Reply::stream(200, "text/plain", 2_000_000, Box::new(source)));
    });
    let mut client = rig.client();
    client.ask("GET", "/");
    client.ask("GET", "/never-answered");
    client.head();
    // What was on its way when the connection was cut may be lost with it.
    assert!(pattern(1_000_000).starts_with(&client.rest()));
}

#[test]
fn a_stream_that_is_not_as_long_as_promised() {
    let rig = Rig::new(|request, respond| {
        let length = if request.path() == "/short" { 2000 } else { 500 };
        respond.send(Reply::stream(
            200,
            "text/plain",
            length,
            Box::new(Cursor::new(pattern(1000))),
        ));
    });
    let mut client = rig.client();
    // Too long: the rest is left out, and the next reply is where it should be.
    for _ in 0..2 {
        client.ask("GET", "/long");
        assert!(client.answer().body == pattern(500));
    }
    client.ask("GET", "/short");
    client.ask("GET", "/never-answered");
    client.head();
    assert!(pattern(1000).starts_with(&client.rest()));
}

#[test]
fn a_stream_through_a_small_outbox_is_whole() {
    let limits = Limits {
        outbox_bytes_max: 16 * 1024,
        ..Limits::default()
    };
    let rig = Rig::with(
        limits,
        |_| Ok(0),
        |_, respond| {
            respond.send(Reply::stream(
                200,
                "image/png",
                LARGE as u64,
                Box::new(Cursor::new(pattern(LARGE))),
            ));
        },
    );
    assert!(rig.ask("GET", "/").body == pattern(LARGE));
}

/// A source that waits before every piece until it may go on.
struct Slow(Mutex<Receiver<()>>);

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let go_on = self.0.lock().unwrap().recv_timeout(PATIENCE);
        go_on.map_err(std::io::Error::other)?;
        buffer[0] = b'x';
        Ok(1)
    }
}

#[test]
fn nobody_waits_for_another_clients_slow_disk() {
    let (go_on, gate) = channel();
    let (tell, reading) = channel();
    let gate = Mutex::new(Some(gate));
    let rig = Rig::new(move |request, respond| match request.path() {
        "/slow" => {
            let gate = gate.lock().unwrap().take().unwrap();
            tell.send(()).unwrap();
            respond.send(Reply::stream(200, "text/plain", 2, Box::new(Slow(Mutex::new(gate)))));
        }
        _ => respond.send(text("fine")),
    });
    let mut slow = rig.client();
    slow.ask("GET", "/slow");
    reading.recv_timeout(PATIENCE).unwrap();
    assert!(slow.head().starts_with("HTTP/1.1 200 "));
    // Its socket moves while its reply is being read from the disk.
    slow.ask("GET", "/next");
    let mut other = rig.client();
    let started = Instant::now();
    for _ in 0..20 {
        other.ask("GET", "/");
        other.answer().check(200, "fine");
    }
    assert!(started.elapsed() < PATIENCE / 2, "the others waited");
    (0..2).for_each(|_| go_on.send(()).unwrap());
    let mut body = [0; 2];
    slow.0.read_exact(&mut body).unwrap();
    assert_eq!(&body, b"xx");
    slow.answer().check(200, "fine");
}
