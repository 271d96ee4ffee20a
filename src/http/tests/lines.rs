//! Who is served when: requests of one connection in their order, reads past writes, and an end to all waiting.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// So many workers, one of which is kept for reads.
fn few_workers(workers: usize, waiting_writes_max: usize) -> Limits {
    Limits {
        workers,
        workers_for_reads: 1,
        waiting_writes_max,
        ..Limits::default()
    }
}

/// A rig whose POSTs to `/wait` hold their worker until they are released, one by one.
struct Waiting {
    rig: Rig,
    /// A worker has begun with one.
    begun: Receiver<()>,
    release: Sender<()>,
}

impl Waiting {
    fn new(limits: Limits) -> Waiting {
        let (begins, begun) = channel();
        let (release, released) = channel::<()>();
        let released = Mutex::new(released);
        let rig = Rig::with(
            limits,
            |_| Ok(0),
            move |request, respond| {
                if request.path() == "/wait" {
                    begins.send(()).unwrap();
                    // An error: the test has ended early.
                    released.lock().unwrap().recv().ok();
                }
                respond.send(text(request.path()));
            },
        );
        Waiting { rig, begun, release }
    }

    /// Two connections, one whose request holds a worker and one whose request waits for it.
    fn fill(&self) -> [Client; 2] {
        let mut first = self.rig.client();
        first.ask("POST", "/wait");
        self.begun.recv_timeout(PATIENCE).unwrap();
        let mut second = self.rig.client();
        second.ask("POST", "/second");
        [first, second]
    }

    fn finish(&self, clients: [Client; 2]) {
        self.release.send(()).unwrap();
        for (mut client, path) in clients.into_iter().zip(["/wait", "/second"]) {
            client.answer().check(200, path);
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let rig = Rig::new(|request, respond| respond.send(text(request.path())));
    let requests: String = (0..200)
        .map(|number| {
            let method = ["GET", "POST"][number % 2];
            format!("{method} /{number} HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nxx")
        })
        .collect();
    for cut in [1, 37, 500, requests.len()] {
        let mut client = rig.client();
        for piece in requests.as_bytes().chunks(cut) {
            client.write(piece);
        }
        for number in 0..200 {
            client.answer().check(200, &format!("/{number}"));
        }
    }
}

#[test]
fn a_late_answer_keeps_its_place() {
    let (waiting, responders) = channel();
    let rig = Rig::new(move |request, respond| match request.path() {
        "/late" => waiting.send(respond).unwrap(),
        path => respond.send(text(path)),
    });
    let mut client = rig.client();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    let all = ["/1", "/late", "/3", "/late", "/5"];
    client.write(all.map(request).concat());
    client.answer().check(200, "/1");
    for after in ["/3", "/5"] {
        let respond = responders.recv_timeout(PATIENCE).unwrap();
        // Nothing comes before it: neither the next answer nor the next question.
        assert!(responders.try_recv().is_err());
        client.0.get_ref().set_nonblocking(true).unwrap();
        assert_eq!(client.0.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        client.0.get_ref().set_nonblocking(false).unwrap();
        thread::spawn(move || respond.send(text("late"))).join().unwrap();
        client.answer().check(200, "late");
        client.answer().check(200, after);
    }
}

#[test]
fn writes_never_take_the_last_worker() {
    let waiting = Waiting::new(few_workers(2, 100));
    let clients = waiting.fill();
    for _ in 0..10 {
        waiting.rig.ask("GET", "/read").check(200, "/read");
        let mut client = waiting.rig.client();
        client.ask("HEAD", "/read");
        assert_eq!(client.answer_to_head().status, 200);
    }
    assert!(waiting.begun.try_recv().is_err());
    waiting.finish(clients);
}

#[test]
fn too_many_waiting_writes_are_told_to_come_back() {
    let waiting = Waiting::new(few_workers(2, 1));
    let mut first = waiting.rig.client();
    first.ask("POST", "/wait");
    waiting.begun.recv_timeout(PATIENCE).unwrap();
    let (answering, answered) = channel();
    let asking: Vec<JoinHandle<()>> = (0..4)
        .map(|_| {
            let (mut client, answering) = (waiting.rig.client(), answering.clone());
            client.ask("POST", "/one-more");
            thread::spawn(move || drop(answering.send((client.answer(), client))))
        })
        .collect();
    // One of them stands in line. The others hear at once that there is no more room, and may stay.
    for _ in 0..3 {
        let (answer, mut client) = answered.recv_timeout(PATIENCE).unwrap();
        answer.check(503, r#"{"detail":"The server is busy; try again"}"#);
        assert_eq!(answer.header("Retry-After"), Some("1"));
        client.ask("GET", "/read");
        client.answer().check(200, "/read");
        client.ask("POST", "/again");
        assert_eq!(client.answer().status, 503);
    }
    waiting.release.send(()).unwrap();
    first.answer().check(200, "/wait");
    let (answer, mut client) = answered.recv_timeout(PATIENCE).unwrap();
    answer.check(200, "/one-more");
    client.ask("POST", "/again");
    client.answer().check(200, "/again");
    asking.into_iter().for_each(|asking| asking.join().unwrap());
}

#[test]
fn a_stop_answers_what_is_in_flight() {
    let waiting = Waiting::new(few_workers(3, 10));
    let [mut first, mut second] = waiting.fill();
    second.answer().check(200, "/second");
    waiting.rig.stop.store(true, Ordering::Relaxed);
    // Idle connections end at once, new ones are refused.
    assert_eq!(second.rest(), b"");
    until("nobody is let in", || TcpStream::connect(waiting.rig.address).is_err());
    waiting.release.send(()).unwrap();
    first.answer().check(200, "/wait");
    assert_eq!(first.rest(), b"");
}

#[test]
fn turned_away_requests_do_not_pile_up_on_the_stack() {
    let rig = Rig::with(
        few_workers(2, 0),
        |_| Ok(0),
        |request, respond| respond.send(text(request.path())),
    );
    let mut client = rig.client();
    // The first is answered by a worker, which has little stack, and takes what stands behind it.
    let mut requests = "GET /read HTTP/1.1\r\nHost: test\r\n\r\n".to_owned();
    requests.push_str(&"POST / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(2000));
    let mut writing = Client(BufReader::new(client.0.get_ref().try_clone().unwrap()));
    let writing = thread::spawn(move || writing.write(requests));
    client.answer().check(200, "/read");
    for _ in 0..2000 {
        assert_eq!(client.answer().status, 503);
    }
    writing.join().unwrap();
}

#[test]
fn what_can_wait_begins_though_nobody_asks() {
    let rig = Rig::new(|_, respond| respond.send(Reply::empty(204)));
    until("it has begun", || rig.has_begun.load(Ordering::Relaxed));
    assert_eq!(rig.ask("GET", "/").status, 204);
}

/// What comes of an engine that nobody asks, and whether what can wait has begun.
fn outcome(is_stopped: bool, begin: impl FnOnce() -> Result<(), Error> + Send + 'static) -> (Result<(), Error>, bool) {
    let doors = Doors {
        answer: Box::new(|_, respond| respond.send(Reply::empty(204))),
        admit: |_| Ok(0),
    };
    let listener = Engine::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let engine = Engine::new(listener, Limits::default(), Arc::new(doors)).unwrap();
    let has_begun = Arc::new(AtomicBool::new(false));
    let begun = Arc::clone(&has_begun);
    let running = thread::spawn(move || {
        engine.run(&AtomicBool::new(is_stopped), || {
            begun.store(true, Ordering::Relaxed);
            begin()
        })
    });
    until("the engine has ended", || running.is_finished());
    (running.join().unwrap(), has_begun.load(Ordering::Relaxed))
}

#[test]
fn what_cannot_begin_ends_the_engine() {
    let (outcome, _) = outcome(false, || Err(Error::new(Kind::Unavailable, "no thread")));
    assert_eq!(outcome.unwrap_err().to_string(), "no thread");
}

#[test]
fn nothing_begins_where_all_is_ending() {
    let (outcome, has_begun) = outcome(true, || Err(Error::new(Kind::Unavailable, "no thread")));
    outcome.unwrap();
    assert!(!has_begun);
}
