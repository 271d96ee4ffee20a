//! `GET /health` on the release server beside the smallest server that tiny_http makes: what Fireside's engine costs, and
//! what it gains, over the library whose types it uses. Prints a table and asserts nothing.
//!
//! Both are processes of their own and take turns within one run, so that whatever else the machine does meets both.
//! The peer is this program again, as tiny_http's documentation shows a server: one loop, or four threads that receive;
//! the better of the two counts. The load comes from one thread over non-blocking sockets, one request at a time on
//! each connection.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// Open connections, each with a request under way.
const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// How often each server is measured at each number of connections.
const ROUNDS: usize = 3;

/// How long one measurement takes.
const ROUND_TIME: Duration = Duration::from_secs(3);

/// Not counted: connections come to be, caches fill.
const WARM_UP: Duration = Duration::from_millis(300);

/// A server that says nothing for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// `USER_HZ`, the unit of times in `/proc`: 100 on every Linux.
const TICKS_PER_S: u32 = 100;

/// What makes this program the peer: then come the number of threads and the body to answer with.
const PEER: &str = "--peer";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words[..] {
        [word, threads, body] if word == PEER => serve(threads.parse()?, body),
        words if words.iter().any(|word| word == "--bench") => compare(),
        // `cargo test --benches`: there is nothing to test.
        _ => Ok(()),
    }
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn compare() -> Outcome<()> {
    let folder = Folder::make()?;
    let fireside = Server::fireside(&folder)?;
    let body = fireside.body()?;
    let peers = [Server::peer(1, &body)?, Server::peer(4, &body)?];
    println!("| connections | server | req/s | ratio | CPU µs/request | p50 µs | p99 µs |");
    println!("|--:|---|--:|--:|--:|--:|--:|");
    for connections in CONNECTIONS {
        let mut measured: [Vec<Round>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for (server, rounds) in std::iter::once(&fireside).chain(&peers).zip(&mut measured) {
                rounds.push(measure(server, connections)?);
            }
        }
        let [ours, one, four] = measured.map(Figures::new);
        let (peer, name) = if four.requests_per_s > one.requests_per_s {
            (four, "tiny_http, 4 threads")
        } else {
            (one, "tiny_http, 1 loop")
        };
        let ratio = ours.requests_per_s / peer.requests_per_s;
        println!("{}", ours.row(connections, "Fireside", &format!("{ratio:.2}")));
        println!("{}", peer.row(connections, name, ""));
    }
    Ok(())
}

/// The peer, as tiny_http's documentation has it.
#[expect(
    clippy::print_stdout,
    reason = "the address is for the process that started this one"
)]
fn serve(threads: usize, body: &str) -> Outcome<()> {
    let server = tiny_http::Server::http("127.0.0.1:0").map_err(|error| error.to_string())?;
    println!("http://{}", server.server_addr());
    let answer = |request: tiny_http::Request| {
        let json = tiny_http::Header::from_bytes("Content-Type", "application/json");
        let mut response = tiny_http::Response::from_string(body);
        response.add_header(json.map_err(|()| "no header")?);
        // Fails when the client has left.
        drop(request.respond(response));
        Ok(())
    };
    if threads == 1 {
        return server.incoming_requests().try_for_each(answer);
    }
    let server = Arc::new(server);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let server = Arc::clone(&server);
            scope.spawn(move || while server.recv().map_err(Into::into).and_then(answer).is_ok() {});
        }
    });
    Ok(())
}

/// A temporary folder for the server's data and log.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Outcome<Folder> {
        let path = std::env::temp_dir().join(format!("fireside-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in a temporary folder does no harm.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A server process, which ends with this value.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Server {
    /// The release build with its default settings; its log goes to a file, as a service's does.
    fn fireside(folder: &Folder) -> Outcome<Server> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fireside"));
        command
            .args(["serve", "--port", "0", "--data"])
            .arg(folder.0.join("data"));
        command.current_dir(&folder.0).env_clear();
        command.stderr(File::create(folder.0.join("log"))?);
        Server::start(command)
    }

    fn peer(threads: usize, body: &str) -> Outcome<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([PEER, &threads.to_string(), body]);
        Server::start(command)
    }

    /// Starts a program that says where it listens.
    fn start(mut command: Command) -> Outcome<Server> {
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut said = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        let mut server = Server {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let url = said
            .split("http://")
            .nth(1)
            .ok_or_else(|| format!("no address in {said:?}"))?;
        server.address = url.trim().trim_end_matches('/').parse()?;
        Ok(server)
    }

    fn request(&self) -> Vec<u8> {
        format!("GET /health HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).into_bytes()
    }

    /// What it answers: the peer is to answer the same.
    fn body(&self) -> Outcome<String> {
        let mut stream = std::net::TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.write_all(&self.request())?;
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        while reply_end(&answer)?.is_none() {
            let count = stream.read(&mut piece)?;
            answer.extend_from_slice(&piece[..count]);
        }
        let text = String::from_utf8(answer)?;
        Ok(text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
    }

    /// Processor time so far; `None` where there is no `/proc`.
    fn cpu_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).ok()?;
        // After the name, which may hold anything: state, …, utime and stime as the 12th and 13th.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u32>);
        let ticks = ticks.next()?.ok()? + ticks.next()?.ok()?;
        Some(Duration::from_secs(1) * ticks / TICKS_PER_S)
    }
}

/// Where a reply ends; `None` while it is not whole. Anything but a 200 with a length is an error.
fn reply_end(bytes: &[u8]) -> Outcome<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..head])?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    let Some(length) = length.filter(|_| text.starts_with("HTTP/1.1 200 ")) else {
        return Err(text.into());
    };
    let end = head + 4 + length.parse::<usize>()?;
    Ok((end <= bytes.len()).then_some(end))
}

/// One measurement.
struct Round {
    requests_per_s: f64,
    cpu_us: Option<f64>,
    /// Of every request, in nanoseconds.
    latencies: Vec<u64>,
}

/// One of the load's connections.
struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
    asked: Instant,
}

impl Connection {
    fn ask(&mut self, request: &[u8]) -> std::io::Result<()> {
        self.asked = Instant::now();
        // So little fits into the buffer of a socket on which nothing else is under way.
        self.stream.write_all(request)
    }
}

/// Keeps a request under way on each of `count` connections for as long as a round takes.
fn measure(server: &Server, count: usize) -> Outcome<Round> {
    let request = server.request();
    let mut connections = Vec::with_capacity(count);
    let mut poll = Poll::new()?;
    for key in 0..count {
        let stream = std::net::TcpStream::connect(server.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(key), Interest::READABLE)?;
        let (answer, asked) = (Vec::new(), Instant::now());
        connections.push(Connection { stream, answer, asked });
    }
    for connection in &mut connections {
        connection.ask(&request)?;
    }
    load(&mut poll, &mut connections, &request, WARM_UP)?;
    let (started, cpu_before) = (Instant::now(), server.cpu_time());
    let latencies = load(&mut poll, &mut connections, &request, ROUND_TIME)?;
    let (took, cpu_after) = (started.elapsed(), server.cpu_time());
    let requests = latencies.len() as f64;
    let cpu = cpu_after.zip(cpu_before).map(|(after, before)| after - before);
    Ok(Round {
        requests_per_s: requests / took.as_secs_f64(),
        cpu_us: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / requests),
        latencies,
    })
}

/// Asks again wherever an answer has come, for so long; returns how long each answer took.
fn load(poll: &mut Poll, connections: &mut [Connection], request: &[u8], time: Duration) -> Outcome<Vec<u64>> {
    let deadline = Instant::now() + time;
    let mut latencies = Vec::new();
    let mut events = Events::with_capacity(256);
    let mut piece = [0; 16 * 1024];
    while Instant::now() < deadline {
        poll.poll(&mut events, Some(SILENCE_MAX))?;
        if events.is_empty() {
            return Err("the server has fallen silent".into());
        }
        for event in &events {
            let connection = &mut connections[event.token().0];
            match connection.stream.read(&mut piece) {
                Ok(0) => return Err("the server has closed a connection".into()),
                Ok(count) => connection.answer.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            if reply_end(&connection.answer)?.is_some() {
                latencies.push(u64::try_from(connection.asked.elapsed().as_nanos())?);
                connection.answer.clear();
                connection.ask(request)?;
            }
        }
    }
    Ok(latencies)
}

/// The rounds of a server at one number of connections, as one row: medians, and the percentiles of all requests.
struct Figures {
    requests_per_s: f64,
    cpu_us: Option<f64>,
    latencies: Vec<u64>,
}

impl Figures {
    fn new(rounds: Vec<Round>) -> Figures {
        let cpu: Option<Vec<f64>> = rounds.iter().map(|round| round.cpu_us).collect();
        let requests_per_s = median(rounds.iter().map(|round| round.requests_per_s).collect());
        let mut latencies: Vec<u64> = rounds.into_iter().flat_map(|round| round.latencies).collect();
        latencies.sort_unstable();
        Figures {
            requests_per_s,
            cpu_us: cpu.map(median),
            latencies,
        }
    }

    fn row(&self, connections: usize, name: &str, ratio: &str) -> String {
        let cpu = self.cpu_us.map_or("?".into(), |micros| format!("{micros:.1}"));
        let percentile = |hundredths: usize| {
            let at = self.latencies.len() * hundredths / 100;
            self.latencies.get(at).map_or(0.0, |nanos| *nanos as f64 / 1000.0)
        };
        format!(
            "| {connections} | {name} | {:.0} | {ratio} | {cpu} | {:.0} | {:.0} |",
            self.requests_per_s,
            percentile(50),
            percentile(99)
        )
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
