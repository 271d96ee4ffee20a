//! `GET /health` on the release server beside the smallest server that tiny_http makes: what Fireside's engine costs, and
//! what it gains, over the library whose types it uses. Prints a table and asserts nothing.
//!
//! Both are processes of their own and take turns within one run, so that whatever else the machine does meets both.
//! The peer is this program again, as tiny_http's documentation shows a server: one loop, or four threads that receive;
//! the better of the two counts. The load is [`load`]'s.

mod load;

use std::process::Command;
use std::sync::Arc;

use load::{Figures, Folder, Outcome, Round, Server, measure};

/// Open connections, each with a request under way.
const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// How often each server is measured at each number of connections.
const ROUNDS: usize = 3;

/// What makes this program the peer: then come the number of threads and the body to answer with.
const PEER: &str = "--peer";

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
    let body = fireside.answer(&fireside.request("/health", None, None))?;
    let peers = [peer(1, &body)?, peer(4, &body)?];
    println!("| connections | server | req/s | ratio | CPU µs/request | p50 µs | p99 µs |");
    println!("|--:|---|--:|--:|--:|--:|--:|");
    for connections in CONNECTIONS {
        let mut measured: [Vec<Round>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for (server, rounds) in std::iter::once(&fireside).chain(&peers).zip(&mut measured) {
                let requests = vec![server.request("/health", None, None); connections];
                rounds.push(measure(server, &requests)?);
            }
        }
        let [ours, one, four] = measured.map(Figures::new);
        let (best, name) = if four.requests_per_s > one.requests_per_s {
            (four, "tiny_http, 4 threads")
        } else {
            (one, "tiny_http, 1 loop")
        };
        let ratio = ours.requests_per_s / best.requests_per_s;
        println!("{}", ours.row(connections, "Fireside", &format!("{ratio:.2}")));
        println!("{}", best.row(connections, name, ""));
    }
    Ok(())
}

/// This program as the peer, which answers the same.
fn peer(threads: usize, body: &str) -> Outcome<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([PEER, &threads.to_string(), body]);
    Server::start(command)
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
