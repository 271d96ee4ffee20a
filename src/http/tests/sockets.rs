//! Connections that became WebSockets: what clients say arrives whole, in order and on a worker; what is wrong ends the
//! socket with the code for it; and nobody waits for a client that does not read, or is silent, or says too much.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::super::{Handshake, Listen, Said, Socket as Sending};
use super::*;

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FINAL: u8 = 0x80;

/// What a listener was told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Said(Said),
    Closed,
}

fn said(text: impl Into<String>) -> Told {
    Told::Said(Said::Text(text.into()))
}

/// What is done with what was said.
type Work = Box<dyn Fn(&Sending, &Said) + Send + Sync>;

/// Passes on what it is told, after `work` was done.
struct Ear {
    told: Mutex<Sender<Told>>,
    work: Work,
}

impl Listen for Ear {
    fn heard(&self, socket: &Sending, said: Said) {
        (self.work)(socket, &said);
        self.told.lock().unwrap().send(Told::Said(said)).ok();
    }

    fn closed(&self) {
        self.told.lock().unwrap().send(Told::Closed).ok();
    }
}

/// A rig that makes a socket of every request, with what its listeners are told and the sockets' sending ends.
struct Talk {
    rig: Rig,
    told: Receiver<Told>,
    sockets: Receiver<Sending>,
}

impl Talk {
    fn new(work: impl Fn(&Sending, &Said) + Clone + Send + Sync + 'static) -> Talk {
        Talk::with(Limits::default(), work)
    }

    fn with(limits: Limits, work: impl Fn(&Sending, &Said) + Clone + Send + Sync + 'static) -> Talk {
        let (tell, told) = channel();
        let (hand, sockets) = channel();
        let tell = Mutex::new(tell);
        let answer = move |request: Request, respond: Responder| {
            let handshake = match Handshake::read(&request) {
                Ok(handshake) => handshake,
                Err(reply) => return respond.send(reply),
            };
            respond.upgrade(&handshake, |socket| {
                hand.send(socket.clone()).unwrap();
                Box::new(Ear {
                    told: Mutex::new(tell.lock().unwrap().clone()),
                    work: Box::new(work.clone()),
                })
            });
        };
        let rig = Rig::with(limits, |_| Ok(0), answer);
        Talk { rig, told, sockets }
    }

    /// A client whose connection has become a socket, and the other end of it.
    #[track_caller]
    fn join(&self) -> (Client, Sending) {
        let mut client = self.rig.client();
        client.write(ASK);
        assert!(client.head().starts_with("HTTP/1.1 101 "));
        (client, self.sockets.recv_timeout(PATIENCE).unwrap())
    }

    #[track_caller]
    fn told(&self) -> Told {
        self.told.recv_timeout(PATIENCE).unwrap()
    }
}

/// Does nothing with what it hears.
fn listen(_: &Sending, _: &Said) {}

fn echo(socket: &Sending, said: &Said) {
    if let Said::Text(text) = said {
        socket.send(text).unwrap();
    }
}

/// A frame as a client sends it: masked.
fn frame(start: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [7, 77, 177, 251];
    let mut bytes = vec![start];
    match payload.len() {
        length @ ..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..65536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn text_frame(text: &str) -> Vec<u8> {
    frame(FINAL | TEXT, text.as_bytes())
}

/// The next frame of the server, which sends whole and unmasked ones.
#[track_caller]
fn read(client: &mut Client) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    client.0.read_exact(&mut head).unwrap();
    assert_eq!(head[0] & 0xf0, FINAL, "not a whole frame");
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            client.0.read_exact(&mut length).unwrap();
            usize::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            client.0.read_exact(&mut length).unwrap();
            usize::try_from(u64::from_be_bytes(length)).unwrap()
        }
        length => usize::from(length),
    };
    assert!(head[1] < 128, "a masked frame");
    let mut payload = vec![0; length];
    client.0.read_exact(&mut payload).unwrap();
    (head[0] & 0x0f, payload)
}

/// The server says goodbye with this code, and nothing after it.
#[track_caller]
fn check_close(client: &mut Client, code: u16) {
    let (opcode, payload) = read(client);
    assert_eq!((opcode, payload.get(..2)), (CLOSE, Some(&code.to_be_bytes()[..])));
    assert_eq!(client.rest(), b"");
}

#[test]
fn messages_of_every_length_go_both_ways() {
    let talk = Talk::new(echo);
    let (mut client, _) = talk.join();
    for length in [0, 1, 125, 126, 127, 255, 256, 300, 4096, 65_535, 65_536] {
        let text = "ä".repeat(length / 2) + if length % 2 == 1 { "x" } else { "" };
        client.write(text_frame(&text));
        assert_eq!(talk.told(), said(&*text));
        let (opcode, payload) = read(&mut client);
        assert_eq!((opcode, payload.len()), (TEXT, length));
        assert!(payload == text.as_bytes());
    }
}

#[test]
fn a_message_may_come_in_pieces() {
    let talk = Talk::new(listen);
    let (mut client, _) = talk.join();
    // A letter of two bytes is cut in two, and a ping comes between the pieces.
    client.write(frame(TEXT, b"gr\xc3"));
    client.write(frame(FINAL | PING, b"there?"));
    client.write(frame(CONTINUATION, b"\xbc"));
    client.write(frame(CONTINUATION, b""));
    client.write(frame(FINAL | CONTINUATION, b"n"));
    assert_eq!(read(&mut client), (PONG, b"there?".to_vec()));
    assert_eq!(talk.told(), said("grün"));
    for byte in text_frame("byte by byte") {
        client.write([byte]);
    }
    assert_eq!(talk.told(), said("byte by byte"));
}

#[test]
fn many_messages_come_in_order() {
    let talk = Talk::new(listen);
    let (mut client, _) = talk.join();
    let frames: Vec<u8> = (0..2000).flat_map(|number| text_frame(&number.to_string())).collect();
    let mut writer = client.0.get_ref().try_clone().unwrap();
    let writing = thread::spawn(move || writer.write_all(&frames).unwrap());
    for number in 0..2000 {
        assert_eq!(talk.told(), said(number.to_string()));
    }
    writing.join().unwrap();
    client.write(frame(FINAL | BINARY, b"\0\xff"));
    assert_eq!(talk.told(), Told::Said(Said::Binary));
}

#[test]
fn a_client_may_speak_before_it_is_answered() {
    let talk = Talk::new(echo);
    let mut client = talk.rig.client();
    let mut bytes = ASK.as_bytes().to_vec();
    bytes.extend(text_frame("early"));
    client.write(bytes);
    client.head();
    assert_eq!(read(&mut client), (TEXT, b"early".to_vec()));
}

#[test]
fn pings_are_answered_and_pongs_are_not() {
    let talk = Talk::new(listen);
    let (mut client, _) = talk.join();
    client.write(frame(FINAL | PONG, b"unasked"));
    client.write(frame(FINAL | PING, b""));
    client.write(frame(FINAL | PING, &[b'p'; 125]));
    assert_eq!(read(&mut client), (PONG, Vec::new()));
    assert_eq!(read(&mut client), (PONG, vec![b'p'; 125]));
}

#[test]
fn a_closing_is_answered_with_its_code() {
    let talk = Talk::new(listen);
    let (mut client, socket) = talk.join();
    client.write(text_frame("last words"));
    client.write(frame(FINAL | CLOSE, &1000_u16.to_be_bytes()));
    check_close(&mut client, 1000);
    assert_eq!((talk.told(), talk.told()), (said("last words"), Told::Closed));
    assert!(socket.send("too late").is_err());
    let (mut client, _) = talk.join();
    client.write(frame(FINAL | CLOSE, b""));
    assert_eq!(read(&mut client), (CLOSE, Vec::new()));
    assert_eq!((client.rest(), talk.told()), (Vec::new(), Told::Closed));
    // Told once.
    assert!(talk.told.recv_timeout(Duration::from_millis(50)).is_err());
}

#[test]
fn a_client_that_vanishes_is_told_of() {
    let talk = Talk::new(listen);
    let (client, socket) = talk.join();
    drop(client);
    assert_eq!(talk.told(), Told::Closed);
    assert!(socket.send("anyone?").is_err());
    // And one that vanishes rudely.
    let (client, _) = talk.join();
    SockRef::from(client.0.get_ref())
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(client);
    assert_eq!(talk.told(), Told::Closed);
}

#[test]
fn what_is_wrong_ends_the_socket_with_its_code() {
    let too_long = vec![b'x'; 64 * 1024 + 1];
    let half = vec![b'x'; 40_000];
    let in_pieces = [frame(TEXT, &half), frame(FINAL | CONTINUATION, &half)].concat();
    let mut unmasked = text_frame("x");
    unmasked.splice(1..6, [1]);
    let endless = [&[FINAL | TEXT, 0xff][..], &[0x7f; 8], &[0; 4]].concat();
    let cases = [
        (1009, frame(FINAL | TEXT, &too_long)),
        (1009, frame(FINAL | BINARY, &too_long)),
        (1009, in_pieces),
        (1009, endless),
        (1007, frame(FINAL | TEXT, b"\xff\xfe")),
        (1007, [frame(TEXT, b"\xc3"), frame(FINAL | CONTINUATION, b"(")].concat()),
        (1002, unmasked),
        (1002, frame(FINAL | 0x40 | TEXT, b"x")),
        (1002, frame(FINAL | 0x3, b"x")),
        (1002, frame(FINAL | 0xb, b"")),
        (1002, frame(FINAL | CONTINUATION, b"x")),
        (1002, [frame(TEXT, b"x"), frame(FINAL | TEXT, b"y")].concat()),
        (1002, frame(PING, b"x")),
        (1002, frame(FINAL | PING, &[0; 126])),
        (1002, frame(FINAL | CLOSE, &[3])),
        (1002, frame(FINAL | CLOSE, &5_u16.to_be_bytes())),
    ];
    let talk = Talk::new(listen);
    for (code, bytes) in cases {
        let (mut client, _) = talk.join();
        client.write(text_frame("before"));
        // The rest of what is too long may find the connection closed.
        client.0.get_mut().write_all(&bytes).ok();
        assert_eq!(talk.told(), said("before"));
        check_close(&mut client, code);
        assert_eq!(talk.told(), Told::Closed, "{code}");
    }
}

#[test]
fn we_may_end_a_socket() {
    let talk = Talk::new(listen);
    let (mut client, socket) = talk.join();
    socket.send("before").unwrap();
    socket.dismiss();
    socket.dismiss();
    assert!(socket.send("after").is_err());
    assert_eq!(read(&mut client), (TEXT, b"before".to_vec()));
    check_close(&mut client, 1008);
    assert_eq!(talk.told(), Told::Closed);
}

#[test]
fn stopping_says_goodbye() {
    let talk = Talk::new(listen);
    let (mut client, _) = talk.join();
    talk.rig.stop.store(true, Ordering::Relaxed);
    check_close(&mut client, 1001);
    assert_eq!(talk.told(), Told::Closed);
}

#[test]
fn a_client_that_stops_reading_is_dropped() {
    let talk = Talk::new(listen);
    let (mut client, socket) = talk.join();
    let text = "x".repeat(8192);
    let started = Instant::now();
    let mut sent = 0;
    while socket.send(&text).is_ok() {
        sent += text.len();
    }
    assert!(started.elapsed() < PATIENCE / 2, "sending waited for the client");
    let outbox = Limits::default().outbox_bytes_max;
    assert!(sent >= outbox - 8192 && sent < outbox + 32 * SOCKET_BYTES, "{sent}");
    assert_eq!(talk.told(), Told::Closed);
    assert!(client.rest().len() <= sent + sent / 100);
    // The others are served.
    let (mut client, socket) = talk.join();
    socket.send("hello").unwrap();
    assert_eq!(read(&mut client), (TEXT, b"hello".to_vec()));
}

#[test]
fn a_client_that_takes_nothing_is_dropped_in_time() {
    let limits = Limits {
        stall_time: Duration::from_millis(200),
        ..Limits::default()
    };
    let talk = Talk::with(limits, listen);
    let (_client, socket) = talk.join();
    // More than the sockets hold, and less than may wait.
    let text = "x".repeat(200_000);
    for _ in 0..2 {
        socket.send(&text).ok();
    }
    assert_eq!(talk.told(), Told::Closed);
}

#[test]
fn a_client_that_reads_on_gets_all() {
    let talk = Talk::new(listen);
    let (mut client, socket) = talk.join();
    let text = "y".repeat(1_000_000);
    for _ in 0..10 {
        socket.send(&text).unwrap();
        let (opcode, payload) = read(&mut client);
        assert_eq!((opcode, payload.len()), (TEXT, text.len()));
    }
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    let limits = Limits {
        stall_time: Duration::from_millis(200),
        ..Limits::default()
    };
    let talk = Talk::with(limits, listen);
    let (mut client, _) = talk.join();
    let pings = frame(FINAL | PING, &[b'p'; 125]).repeat(500);
    // Until the connection is cut under it.
    let mut written = 0;
    while client.0.get_mut().write_all(&pings).is_ok() {
        written += pings.len();
        assert!(
            written < 100 * Limits::default().outbox_bytes_max,
            "everything is taken"
        );
    }
    assert_eq!(talk.told(), Told::Closed);
}

#[test]
fn who_says_too_much_is_read_later() {
    let (open, gate) = channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let talk = Talk::new(move |_: &Sending, _: &Said| {
        // Until the gate is open.
        gate.lock().unwrap().recv().unwrap_err();
    });
    let (mut client, _) = talk.join();
    let message = text_frame(&"z".repeat(60_000));
    client.0.get_mut().set_nonblocking(true).unwrap();
    let mut written = 0;
    let mut quiet_since = Instant::now();
    // As much as is taken, until nothing more is for a while.
    while quiet_since.elapsed() < Duration::from_millis(200) {
        let at = written % message.len();
        match client.0.get_mut().write(&message[at..]) {
            Ok(count) => {
                written += count;
                quiet_since = Instant::now();
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                thread::sleep(Duration::from_millis(1));
            }
        }
        // The system's own buffers may take some megabytes.
        assert!(written < 400 * message.len(), "everything is taken");
    }
    // Somebody else is served meanwhile.
    assert_eq!(talk.rig.ask("GET", "/").status, 426);
    drop(open);
    client.0.get_mut().set_nonblocking(false).unwrap();
    client.write(&message[written % message.len()..]);
    for _ in 0..=written / message.len() {
        assert!(matches!(talk.told(), Told::Said(Said::Text(text)) if text.len() == 60_000));
    }
    client.write(text_frame("and on"));
    assert_eq!(talk.told(), said("and on"));
}

#[test]
fn a_panic_of_a_listener_is_not_the_end() {
    let talk = Talk::new(|_: &Sending, said: &Said| assert_ne!(*said, Said::Text("panic".into())));
    let (mut client, _) = talk.join();
    client.write(text_frame("panic"));
    client.write(text_frame("go on"));
    assert_eq!(talk.told(), said("go on"));
    drop(client);
    assert_eq!(talk.told(), Told::Closed);
}

#[test]
fn silent_clients_are_asked_and_dropped_if_they_do_not_answer() {
    let limits = Limits {
        ping_time: Duration::from_millis(100),
        silence_time: Duration::from_millis(2500),
        head_time: Duration::from_millis(100),
        idle_time: Duration::from_millis(100),
        ..Limits::default()
    };
    let talk = Talk::with(limits, listen);
    let (mut dead, _) = talk.join();
    let (mut alive, _) = talk.join();
    for _ in 0..3 {
        assert_eq!(read(&mut alive), (PING, Vec::new()));
        alive.write(frame(FINAL | PONG, b""));
    }
    assert_eq!(read(&mut dead), (PING, Vec::new()));
    let started = Instant::now();
    until("the silent one is dropped", || talk.told.try_recv().is_ok());
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(dead.rest(), b"");
    alive.write(text_frame("still here"));
    assert_eq!(talk.told(), said("still here"));
}

#[test]
fn the_longest_silent_socket_makes_room() {
    let limits = Limits {
        connections_max: 2,
        ..Limits::default()
    };
    let talk = Talk::with(limits, listen);
    let (mut first, _) = talk.join();
    let (mut second, _) = talk.join();
    first.write(text_frame("still here"));
    assert_eq!(talk.told(), said("still here"));
    assert_eq!(talk.rig.ask("GET", "/").status, 426);
    assert_eq!(second.rest(), b"");
    assert_eq!(talk.told(), Told::Closed);
    first.write(text_frame("and on"));
    assert_eq!(talk.told(), said("and on"));
}

/// A talk with one worker for reads and one for the rest, whose listener holds its worker with every message until it is
/// let go on. So many more writes may wait meanwhile.
fn holding(waiting_writes_max: usize) -> (Talk, Sender<()>, Receiver<()>) {
    let limits = Limits {
        workers: 2,
        workers_for_reads: 1,
        waiting_writes_max,
        ..Limits::default()
    };
    let (go_on, gate) = channel();
    let (begins, begun) = channel();
    let gate = Arc::new(Mutex::new(gate));
    let talk = Talk::with(limits, move |_: &Sending, _: &Said| {
        begins.send(()).ok();
        // An error: the test has ended early.
        gate.lock().unwrap().recv().ok();
    });
    (talk, go_on, begun)
}

#[test]
fn what_was_said_before_the_end_never_takes_the_workers_for_reads() {
    let (talk, go_on, begun) = holding(2);
    let (mut first, _) = talk.join();
    let (mut second, _) = talk.join();
    let next = || begun.recv_timeout(PATIENCE).unwrap();
    first.write(text_frame("holds a worker"));
    next();
    second.write([text_frame("one"), text_frame("two"), frame(FINAL | CLOSE, b"")].concat());
    assert_eq!((read(&mut second), second.rest()), ((CLOSE, Vec::new()), Vec::new()));
    first.write([text_frame("holds it again"), frame(FINAL | PING, b"")].concat());
    assert_eq!(read(&mut first), (PONG, Vec::new()));
    // The second has left. Its first word has its turn, then it is the first one's again.
    for _ in 0..2 {
        go_on.send(()).unwrap();
        next();
    }
    assert_eq!((talk.told(), talk.told()), (said("holds a worker"), said("one")));
    let another = begun.recv_timeout(Duration::from_millis(200));
    assert!(another.is_err(), "heard by a worker for reads");
    (0..2).for_each(|_| go_on.send(()).unwrap());
    assert_eq!(
        (talk.told(), talk.told(), talk.told()),
        (said("holds it again"), said("two"), Told::Closed)
    );
}

#[test]
fn a_full_line_loses_what_was_said_but_not_the_end() {
    let (talk, go_on, begun) = holding(1);
    let (mut first, _) = talk.join();
    let (mut second, _) = talk.join();
    first.write(text_frame("holds a worker"));
    begun.recv_timeout(PATIENCE).unwrap();
    // Takes the last place in line.
    let mut waiting = talk.rig.client();
    waiting.ask("POST", "/");
    until("the line is full", || talk.rig.ask("POST", "/").status == 503);
    second.write([text_frame("lost"), frame(FINAL | CLOSE, b"")].concat());
    assert_eq!(talk.told(), Told::Closed);
    go_on.send(()).unwrap();
    assert_eq!(talk.told(), said("holds a worker"));
    assert_eq!(waiting.answer().status, 426);
}

#[test]
fn who_is_dismissed_is_not_heard_any_more() {
    let (talk, go_on, begun) = holding(1);
    let (mut client, socket) = talk.join();
    client.write(text_frame("heard"));
    begun.recv_timeout(PATIENCE).unwrap();
    client.write([text_frame("too late"), frame(FINAL | PING, b"")].concat());
    // The ping came after it, so it waits to be heard.
    assert_eq!(read(&mut client), (PONG, Vec::new()));
    socket.dismiss();
    check_close(&mut client, 1008);
    go_on.send(()).unwrap();
    assert_eq!((talk.told(), talk.told()), (said("heard"), Told::Closed));
}
