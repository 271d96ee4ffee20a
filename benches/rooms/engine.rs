//! The engine over one loopback connection, in this process: many requests at a time, so that what is measured is their
//! heads, bodies, routes and replies, and little of the system's.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use divan::Bencher;
use divan::counter::ItemsCount;
use fireside::api::Service;
use fireside::cli::{self, Environment, Order};
use fireside::error::Error;
use fireside::http::{Engine, Handler, Limits, Reply, Request, Responder};

/// Requests that are sent with one write.
const AT_ONCE: usize = 32;

/// What a browser says beside what is asked for.
const BROWSER: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0\r\n\
    Accept: application/json\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Cache-Control: no-cache\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n\
    Sec-Ch-Ua: \"Chromium\";v=\"140\"\r\nSec-Ch-Ua-Mobile: ?0\r\nSec-Ch-Ua-Platform: \"Linux\"\r\nDnt: 1\r\n\
    Cookie: fireside_0123abcd=eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl\r\n";

/// Answers with the body it is sent, and nothing else.
struct Mirror;

impl Handler for Mirror {
    fn handle(&self, mut request: Request, respond: Responder) {
        let body = request.body(1024 * 1024).map(|body| body.into_owned());
        respond.send_result(body.map(|body| Reply::bytes(200, "text/plain", body)));
    }

    fn admit(&self, _: &Request) -> Result<u64, Error> {
        Ok(0)
    }

    fn knows_host(&self, _: &str) -> bool {
        true
    }

    fn hurry(&self) {}

    fn patrol(&self) {}
}

/// An engine that runs, with one client.
struct Line {
    client: TcpStream,
    stop: Arc<AtomicBool>,
    engine: Option<JoinHandle<Result<(), Error>>>,
    folder: PathBuf,
    /// Bytes of the replies to all requests of one write.
    answer_bytes: usize,
}

impl Line {
    fn new(handler: Arc<dyn Handler>, folder: PathBuf) -> Line {
        let listener = Engine::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Limits {
            spool: folder.clone(),
            ..Limits::default()
        };
        let engine = Engine::new(listener, limits, handler).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let engine = std::thread::spawn(move || engine.run(&is_over, || Ok(())));
        let client = TcpStream::connect(address).unwrap();
        client.set_nodelay(true).unwrap();
        Line {
            client,
            stop,
            engine: Some(engine),
            folder,
            answer_bytes: 0,
        }
    }

    fn mirror() -> Line {
        Line::new(Arc::new(Mirror), folder("mirror"))
    }

    /// Sends the requests of one write and reads as many bytes as their replies have.
    fn ask(&mut self, requests: &[u8]) {
        self.client.write_all(requests).unwrap();
        let mut answer = vec![0; self.answer_bytes];
        self.client.read_exact(&mut answer).unwrap();
    }

    /// Measures requests that are all answered alike.
    fn measure(mut self, bencher: Bencher<'_, '_>, request: &str, status: u16) {
        let one = self.answer(request);
        assert!(one.starts_with(&format!("HTTP/1.1 {status} ")), "{one}");
        self.answer_bytes = one.len() * AT_ONCE;
        let requests = request.repeat(AT_ONCE).into_bytes();
        bencher
            .counter(ItemsCount::new(AT_ONCE))
            .bench_local(|| self.ask(&requests));
    }

    /// What one request is answered with.
    fn answer(&mut self, request: &str) -> String {
        self.client.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let count = self.client.read(&mut piece).unwrap();
            answer.extend_from_slice(&piece[..count]);
            let text = String::from_utf8_lossy(&answer);
            let whole = text.split_once("\r\n\r\n").and_then(|(head, body)| {
                let (_, rest) = head.split_once("Content-Length: ")?;
                let length: usize = rest.lines().next()?.parse().ok()?;
                (body.len() == length).then(|| text.to_string())
            });
            if let Some(whole) = whole {
                return whole;
            }
            assert!(count > 0, "{text}");
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(engine) = self.engine.take() {
            engine.join().unwrap().unwrap();
        }
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("fireside-rooms-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[divan::bench]
fn short_head(bencher: Bencher<'_, '_>) {
    Line::mirror().measure(bencher, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200);
}

#[divan::bench]
fn browsers_head(bencher: Bencher<'_, '_>) {
    let request = format!("GET /a/b?c=d HTTP/1.1\r\nHost: x\r\n{BROWSER}\r\n");
    Line::mirror().measure(bencher, &request, 200);
}

#[divan::bench]
fn body_with_length(bencher: Bencher<'_, '_>) {
    let request = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1024\r\n\r\n{}",
        "x".repeat(1024)
    );
    Line::mirror().measure(bencher, &request, 200);
}

#[divan::bench]
fn body_in_16_chunks(bencher: Bencher<'_, '_>) {
    let chunks = format!("40\r\n{}\r\n", "x".repeat(64)).repeat(16);
    let request = format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    Line::mirror().measure(bencher, &request, 200);
}

/// All routes behind it, as `fireside serve` has them.
fn service(name: &str) -> Line {
    let folder = folder(name);
    let words = ["serve".into(), "--data".into(), folder.clone().into_os_string()];
    let order = cli::parse(words, &Environment::load().unwrap()).unwrap();
    let Order::Serve(settings) = order else {
        panic!("no settings: {order:?}");
    };
    Line::new(Arc::new(Service::open(*settings).unwrap()), folder)
}

#[divan::bench]
fn route_health(bencher: Bencher<'_, '_>) {
    let request = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    service("health").measure(bencher, request, 200);
}

#[divan::bench]
fn route_missing(bencher: Bencher<'_, '_>) {
    let request = "GET /nothing/of/the/kind HTTP/1.1\r\nHost: localhost\r\n\r\n";
    service("missing").measure(bencher, request, 404);
}

#[divan::bench]
fn route_refused(bencher: Bencher<'_, '_>) {
    let request = "GET /chats/12/messages?limit=20 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    service("refused").measure(bencher, request, 401);
}
