//! A server in a process of its own, and the load that is put on it: from one thread over non-blocking sockets, one
//! request at a time on each connection.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// How long one measurement takes.
const ROUND_TIME: Duration = Duration::from_secs(3);

/// Not counted: connections come to be, caches fill.
const WARM_UP: Duration = Duration::from_millis(300);

/// A server that says nothing for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Where a server keeps its data, within its folder.
pub(crate) const DATA: &str = "data";

/// `USER_HZ`, the unit of times in `/proc`: 100 on every Linux.
const TICKS_PER_S: u32 = 100;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// A temporary folder for the server's data and log.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Something in it.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn make() -> Outcome<Folder> {
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
pub(crate) struct Server {
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
    pub(crate) fn fireside(folder: &Folder) -> Outcome<Server> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fireside"));
        command.args(["serve", "--port", "0", "--data"]).arg(folder.place(DATA));
        command.current_dir(&folder.0).env_clear();
        command.stderr(File::create(folder.0.join("log"))?);
        Server::start(command)
    }

    /// Starts a program that says where it listens.
    pub(crate) fn start(mut command: Command) -> Outcome<Server> {
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

    /// A request: with a JSON body if there is one, as whoever has the token.
    pub(crate) fn request(&self, target: &str, token: Option<&str>, body: Option<&str>) -> Vec<u8> {
        let method = if body.is_some() { "POST" } else { "GET" };
        let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        let (kind, body) = body.map_or_else(Default::default, |body| {
            let length = body.len();
            (
                format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
                body,
            )
        });
        format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\n{token}{kind}\r\n{body}",
            self.address
        )
        .into_bytes()
    }

    /// What it answers.
    pub(crate) fn answer(&self, request: &[u8]) -> Outcome<String> {
        let mut stream = std::net::TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        while reply_end(&answer)?.is_none() {
            match stream.read(&mut piece)? {
                0 => return Err("the server has closed a connection".into()),
                count => answer.extend_from_slice(&piece[..count]),
            }
        }
        let text = String::from_utf8(answer)?;
        let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        Ok(body.to_owned())
    }

    fn cpu_time(&self) -> Option<Duration> {
        cpu_time(self.process.id())
    }
}

/// A process's processor time so far; `None` where there is no `/proc`.
pub(crate) fn cpu_time(process: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // After the name, which may hold anything: state, …, utime and stime as the 12th and 13th.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    let ticks = ticks.next()?.ok()? + ticks.next()?.ok()?;
    Some(Duration::from_secs(1) * ticks / TICKS_PER_S)
}

/// Where a reply ends; `None` while it is not whole. Anything but a success with a length is an error.
fn reply_end(bytes: &[u8]) -> Outcome<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..head])?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    let Some(length) = length.filter(|_| text.starts_with("HTTP/1.1 20")) else {
        return Err(text.into());
    };
    let end = head + 4 + length.parse::<usize>()?;
    Ok((end <= bytes.len()).then_some(end))
}

/// One measurement.
pub(crate) struct Round {
    pub(crate) requests_per_s: f64,
    pub(crate) cpu_us: Option<f64>,
    /// Of every request, in nanoseconds.
    latencies: Vec<u64>,
}

/// One of the load's connections.
struct Connection<'r> {
    stream: TcpStream,
    request: &'r [u8],
    answer: Vec<u8>,
    asked: Instant,
}

impl Connection<'_> {
    fn ask(&mut self) -> std::io::Result<()> {
        self.asked = Instant::now();
        // So little fits into the buffer of a socket on which nothing else is under way.
        self.stream.write_all(self.request)
    }
}

/// Keeps each of these requests under way, on a connection of its own, for as long as a round takes.
pub(crate) fn measure(server: &Server, requests: &[Vec<u8>]) -> Outcome<Round> {
    let mut connections = Vec::with_capacity(requests.len());
    let mut poll = Poll::new()?;
    for (key, request) in requests.iter().enumerate() {
        let stream = std::net::TcpStream::connect(server.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(key), Interest::READABLE)?;
        connections.push(Connection {
            stream,
            request,
            answer: Vec::new(),
            asked: Instant::now(),
        });
    }
    for connection in &mut connections {
        connection.ask()?;
    }
    load(&mut poll, &mut connections, WARM_UP)?;
    let (started, cpu_before) = (Instant::now(), server.cpu_time());
    let latencies = load(&mut poll, &mut connections, ROUND_TIME)?;
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
fn load(poll: &mut Poll, connections: &mut [Connection<'_>], time: Duration) -> Outcome<Vec<u64>> {
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
                connection.ask()?;
            }
        }
    }
    Ok(latencies)
}

/// The rounds of a server at one number of connections, as one row: medians, and the percentiles of all requests.
pub(crate) struct Figures {
    pub(crate) requests_per_s: f64,
    pub(crate) cpu_us: Option<f64>,
    latencies: Vec<u64>,
}

impl Figures {
    pub(crate) fn new(rounds: Vec<Round>) -> Figures {
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

    pub(crate) fn row(&self, connections: usize, name: &str, ratio: &str) -> String {
        let cpu = self.cpu_us.map_or("?".into(), |micros| format!("{micros:.1}"));
        format!(
            "| {connections} | {name} | {:.0} | {ratio} | {cpu} | {:.0} | {:.0} |",
            self.requests_per_s,
            self.us(50),
            self.us(99)
        )
    }

    /// A percentile of all requests' times, in microseconds.
    pub(crate) fn us(&self, hundredths: usize) -> f64 {
        let at = self.latencies.len() * hundredths / 100;
        self.latencies.get(at).map_or(0.0, |nanos| *nanos as f64 / 1000.0)
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
