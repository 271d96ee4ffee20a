//! Bodies: small ones in memory, large ones asked about, received into a file, and read back.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::channel;

use super::*;

/// More than is collected while a connection is parked.
const LARGE: usize = 1024 * 1024 + 3;

/// Answers with the body, read back in both ways.
fn echo(mut request: Request, respond: Responder) {
    let length = request.body_length();
    let whole = request.body(length).unwrap().into_owned();
    let source = Arc::new(request.take_body());
    for _ in 0..2 {
        let mut again = Vec::new();
        source.reader().read_to_end(&mut again).unwrap();
        assert!(whole == again && whole.len() as u64 == length);
    }
    // Where it was kept goes away with its last use.
    drop((request, source));
    respond.send(Reply::bytes(200, "image/png", whole));
}

/// A request's head, for a body of this length.
fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n")
}

fn post_chunked(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
}

/// A body in chunks of this size.
fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut framed = Vec::new();
    for chunk in body.chunks(size) {
        framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
}

#[test]
fn bodies_of_any_size_are_read_back() {
    let rig = Rig::new(echo);
    let mut client = rig.client();
    for length in [0, 1, 65_535, 65_536, 65_537, LARGE] {
        let body = pattern(length);
        client.write(post("/", length));
        client.write(&body);
        let answered = client.answer();
        assert!(
            answered.status == 200 && answered.body == body,
            "{length}: {}",
            answered.head
        );
    }
    until("no file is left", || rig.files() == 0);
}

#[test]
fn chunked_bodies_of_any_size_are_read_back() {
    let rig = Rig::new(echo);
    let mut client = rig.client();
    for (length, size) in [(0, 1), (100, 1), (65_536, 1000), (65_537, 70_000), (LARGE, 7001)] {
        let body = pattern(length);
        client.write(post_chunked("/"));
        client.write(chunked(&body, size));
        let answered = client.answer();
        assert!(
            answered.status == 200 && answered.body == body,
            "{length}: {}",
            answered.head
        );
    }
}

#[test]
fn a_large_body_waits_in_a_file_and_a_small_one_does_not() {
    let (waiting, requests) = channel();
    let rig = Rig::new(move |request, respond| waiting.send((request, respond)).unwrap());
    let mut client = rig.client();
    for (length, files) in [(65_536, 0), (LARGE, 1)] {
        client.write(post("/", length));
        client.write(pattern(length));
        let (request, respond) = requests.recv_timeout(PATIENCE).unwrap();
        assert_eq!((request.body_length(), rig.files()), (length as u64, files));
        // Nobody has read it; it goes all the same.
        drop(request);
        assert_eq!(rig.files(), 0);
        respond.send(text("seen"));
        client.answer().check(200, "seen");
    }
}

#[test]
fn a_body_above_what_the_handler_wants_is_too_large() {
    let rig = Rig::new(|mut request, respond| {
        let outcome = request.body(65_536).map(|body| text(&body.len().to_string()));
        respond.send_result(outcome);
    });
    let mut client = rig.client();
    client.write(post("/", 65_536));
    client.write(pattern(65_536));
    client.answer().check(200, "65536");
    client.write(post("/", 65_537));
    client.write(pattern(65_537));
    client
        .answer()
        .check(413, r#"{"detail":"The body is larger than 64 KiB"}"#);
    client.ask("POST", "/");
    client.answer().check(200, "0");
}

/// Refuses one path, takes little on another.
fn admit(request: &Request) -> Result<u64, Error> {
    assert_eq!(request.body_length(), 0, "nothing is read before the handler was asked");
    match request.path() {
        "/forbidden" => Err(Error::new(Kind::Forbidden, "Not you")),
        "/little" => Ok(100 * 1024),
        _ => Ok(64 * 1024 * 1024),
    }
}

/// Gets the answer although its body was not taken, and then the end.
#[track_caller]
fn check_refused(client: &mut Client, status: u16, detail: &str) {
    let answered = client.answer();
    answered.check(status, &format!(r#"{{"detail":"{detail}"}}"#));
    assert_eq!(answered.header("Connection"), Some("close"));
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_refused_body_is_not_read() {
    let rig = Rig::with(Limits::default(), admit, |_, respond| respond.send(text("handled")));
    let mut client = rig.client();
    client.write(post("/forbidden", LARGE));
    check_refused(&mut client, 403, "Not you");
    let mut client = rig.client();
    client.write(post("/little", 100 * 1024 + 1));
    check_refused(&mut client, 413, "The body is larger than 100 KiB");
    let mut client = rig.client();
    client.write(post("/", 256 * 1024 * 1024 + 1));
    check_refused(&mut client, 413, "The body is larger than this server accepts");
    // One that is already on its way gets the answer too.
    let mut client = rig.client();
    client.write(post("/forbidden", LARGE));
    client.write(pattern(300_000));
    check_refused(&mut client, 403, "Not you");
}

#[test]
fn a_chunked_body_is_refused_once_it_is_too_large() {
    let rig = Rig::with(Limits::default(), admit, |_, respond| respond.send(text("handled")));
    let mut client = rig.client();
    client.write(post_chunked("/little"));
    client.write(chunked(&pattern(100 * 1024), 1000));
    client.answer().check(200, "handled");
    client.write(post_chunked("/little"));
    client.write(chunked(&pattern(300_000), 1000));
    assert_eq!(client.answer().status, 413);
    assert_eq!(client.rest(), b"");
    let mut client = rig.client();
    client.write(post_chunked("/"));
    let whole = chunked(&pattern(200_000), 1000);
    client.write(whole.strip_suffix(b"0\r\n\r\n").unwrap());
    client.write("and no chunk");
    let answered = client.answer();
    assert_eq!(answered.status, 400, "{}", answered.text());
}

#[test]
fn a_client_that_waits_for_a_sign_gets_one() {
    let rig = Rig::with(Limits::default(), admit, echo);
    let mut client = rig.client();
    for length in [5, LARGE] {
        let head = post("/", length).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
        client.write(head);
        assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
        client.write(pattern(length));
        assert!(client.answer().body == pattern(length));
    }
    // And no sign when it is not wanted.
    let head = post("/forbidden", LARGE).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    client.write(head);
    check_refused(&mut client, 403, "Not you");
}

#[test]
fn a_body_that_is_cut_off_is_nobodys() {
    let handled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&handled);
    let rig = Rig::new(move |_, respond| {
        counter.fetch_add(1, Ordering::Relaxed);
        respond.send(text("handled"));
    });
    let mut client = rig.client();
    client.write(post("/", LARGE));
    client.write(pattern(LARGE / 2));
    until("it is being received", || rig.files() == 1);
    client.0.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    client.answer().check(400, r#"{"detail":"The body was cut off"}"#);
    let mut client = rig.client();
    client.write(post("/", LARGE));
    client.write(pattern(LARGE / 2));
    until("it is being received", || rig.files() == 1);
    drop(client);
    until("its file is gone", || rig.files() == 0);
    assert_eq!(handled.load(Ordering::Relaxed), 0);
}

#[test]
fn a_body_that_stops_arriving_is_given_up() {
    let limits = Limits {
        stall_time: Duration::from_millis(50),
        ..Limits::default()
    };
    let rig = Rig::with(
        limits,
        |_| Ok(64 * 1024 * 1024),
        |_, respond| respond.send(text("handled")),
    );
    let mut client = rig.client();
    client.write(post("/", LARGE));
    client.write(pattern(LARGE / 2));
    client.answer().check(400, r#"{"detail":"The body was cut off"}"#);
}

#[test]
fn a_request_may_follow_right_behind_a_large_body() {
    let rig = Rig::new(echo);
    let mut client = rig.client();
    let mut bytes = post("/", LARGE).into_bytes();
    bytes.extend_from_slice(&pattern(LARGE));
    bytes.extend_from_slice(post("/", 5).as_bytes());
    bytes.extend_from_slice(b"hello");
    bytes.extend_from_slice(post_chunked("/").as_bytes());
    bytes.extend_from_slice(&chunked(&pattern(LARGE), 5000));
    bytes.extend_from_slice(post("/", 3).as_bytes());
    bytes.extend_from_slice(b"end");
    let mut writing = Client(BufReader::new(client.0.get_ref().try_clone().unwrap()));
    let writing = thread::spawn(move || writing.write(bytes));
    assert!(client.answer().body == pattern(LARGE));
    client.answer().check(200, "hello");
    assert!(client.answer().body == pattern(LARGE));
    client.answer().check(200, "end");
    writing.join().unwrap();
}

#[test]
fn more_large_bodies_than_receivers() {
    let rig = Rig::new(echo);
    let mut clients: Vec<Client> = (0..7).map(|_| rig.client()).collect();
    for client in &mut clients {
        client.write(post("/", 100_000));
        client.write(pattern(50_000));
    }
    until("every receiver has one", || rig.files() == 4);
    // Small requests pass them by.
    rig.ask("POST", "/").check(200, "");
    for client in &mut clients {
        client.write(&pattern(100_000)[50_000..]);
    }
    for client in &mut clients {
        assert!(client.answer().body == pattern(100_000));
    }
}

#[test]
fn a_chunked_body_never_passes_admit_by() {
    let rig = Rig::with(Limits::default(), admit, |_, respond| respond.send(text("handled")));
    for length in [65_537, 110_000] {
        let mut client = rig.client();
        client.write(post_chunked("/forbidden"));
        client.write(chunked(&pattern(length), length));
        check_refused(&mut client, 403, "Not you");
    }
    let mut client = rig.client();
    client.write(post_chunked("/little"));
    client.write(chunked(&pattern(110_000), 110_000));
    assert_eq!(client.answer().status, 413);
}

#[test]
fn a_handler_that_panics_when_it_is_asked_answers_500() {
    let panicking: Admit = |request| {
        assert!(request.path() != "/panic", "on purpose");
        Ok(LARGE as u64)
    };
    let rig = Rig::with(Limits::default(), panicking, echo);
    // More often than there are receivers.
    for _ in 0..5 {
        let mut client = rig.client();
        client.write(post("/panic", LARGE));
        assert_eq!(client.answer().status, 500);
        assert_eq!(client.rest(), b"");
    }
    let mut client = rig.client();
    client.write(post("/", LARGE));
    client.write(pattern(LARGE));
    assert!(client.answer().body == pattern(LARGE));
}

/// The route's limit is asked for when more than that has come already, and the next chunk's size is compared with it.
#[test]
fn a_chunked_body_that_was_too_large_before_anybody_asked() {
    let little: Admit = |_| Ok(2048);
    let rig = Rig::with(Limits::default(), little, echo);
    for _ in 0..5 {
        let mut client = rig.client();
        client.write(post_chunked("/"));
        let whole = chunked(&pattern(70_000), 70_000);
        client.write(whole.strip_suffix(b"0\r\n\r\n").unwrap());
        client.write("5\r\nhello\r\n");
        let answered = client.answer();
        answered.check(413, r#"{"detail":"The body is larger than 2 KiB"}"#);
    }
}

#[test]
fn all_temporary_files_together_have_a_limit() {
    let limits = Limits {
        body_bytes_max: 200_000,
        spooled_bodies_max: 1,
        ..Limits::default()
    };
    let rig = Rig::with(limits, |_| Ok(200_000), echo);
    let mut first = rig.client();
    first.write(post("/", 150_000));
    until("it is being received", || rig.files() == 1);
    for _ in 0..3 {
        let mut second = rig.client();
        second.write(post("/", 150_000));
        let answer = second.answer();
        answer.check(
            503,
            r#"{"detail":"Too much is being uploaded at this moment; try again"}"#,
        );
        assert_eq!(answer.header("Retry-After"), Some("5"));
    }
    // A chunked one has what is left.
    let mut chunks = rig.client();
    chunks.write(post_chunked("/"));
    chunks.0.get_mut().write_all(&chunked(&pattern(150_000), 10_000)).ok();
    assert_eq!(chunks.answer().status, 503);
    first.write(pattern(150_000));
    assert_eq!(first.answer().status, 200);
    until("there is room again", || rig.files() == 0);
    let mut third = rig.client();
    third.write(post("/", 150_000));
    third.write(pattern(150_000));
    assert_eq!(third.answer().status, 200);
}
