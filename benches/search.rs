//! What a search takes among 1 000 to 1 000 000 messages, what the index takes on disk, and what it costs those who send.
//! Prints tables and asserts nothing. `cargo bench --bench search -- 100000` stops at so many messages.
//!
//! Four out of five messages are one user's, whose searches are measured: in this process, as the route calls them. Each
//! search of a row asks for other words.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "the tables are what this program is for, and its numbers are small"
)]

mod sea;

use std::fs;
use std::time::Instant;

use fireside::clock::Clock;
use fireside::store::{MessageDetails, NewMessage, Role, State, Store, insert_message};
use rusqlite::Connection;

use sea::questions::{QUESTIONS, ask, ms};
use sea::{Folder, Outcome, Sea};

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// Searches of each row: the 99th percentile is the second slowest.
const SEARCHES: usize = 200;

/// Sends of one round, and rounds with the index and without, in turn.
const SENDS: usize = 300;
const ROUNDS: usize = 10;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if !words.iter().any(|word| word == "--bench") {
        // `cargo test --benches`: there is nothing to test.
        return Ok(());
    }
    let most = words.iter().find_map(|word| word.parse().ok()).unwrap_or(usize::MAX);
    let folder = Folder::make()?;
    let mut sea = Sea::new(&folder)?;
    println!("| messages | search | p50 ms | p99 ms | CPU, p50 ms | p99 ms | found |");
    println!("|--:|---|--:|--:|--:|--:|--:|");
    let sizes = SIZES.iter().filter(|size| **size <= most);
    let mut filled = Vec::new();
    for size in sizes {
        let took = sea.fill(*size)?;
        filled.push((*size, took, sea.index_bytes()?));
        for (name, question) in QUESTIONS {
            let asked = ask(&mut sea, question, SEARCHES)?;
            let [p50, p99] = [50, 99].map(|hundredths| ms(&asked.times, hundredths));
            let [cpu50, cpu99] = [50, 99].map(|hundredths| ms(&asked.cpu_times, hundredths));
            let found = asked.found;
            println!("| {size} | {name} | {p50:.2} | {p99:.2} | {cpu50:.2} | {cpu99:.2} | {found:.1} |");
        }
    }
    println!("\n| messages | stored and indexed, messages/s | index, bytes/message |\n|--:|--:|--:|");
    for (size, took, bytes) in filled {
        let count = size as f64;
        println!(
            "| {size} | {:.0} | {:.0} |",
            count / took.as_secs_f64(),
            bytes as f64 / count
        );
    }
    sends(sea, &folder)
}

/// What it takes to store a question and its reply, with the index and in a copy that has none, in turn.
fn sends(sea: Sea, folder: &Folder) -> Outcome<()> {
    let Sea {
        store,
        language,
        mut dice,
        conversations,
        location,
        ..
    } = sea;
    store.close();
    drop(store);
    let bare = folder.location("without")?;
    fs::copy(&location.database, &bare.database)?;
    Connection::open(&bare.database)?.execute_batch(
        "DROP TRIGGER message_to_search; DROP TRIGGER message_completed; DROP TRIGGER title_to_search;
         DROP TRIGGER title_changed;",
    )?;
    let stores = [Store::open(&location)?, Store::open(&bare)?];
    let mut times: [Vec<f64>; 2] = Default::default();
    for _ in 0..ROUNDS {
        for (store, times) in stores.iter().zip(&mut times) {
            for _ in 0..SENDS {
                let place = conversations[dice.below(conversations.len())];
                let begin = Instant::now();
                for (role, count) in [(Role::User, 15), (Role::Assistant, 80)] {
                    let row = NewMessage {
                        uuid: Clock.uuid(),
                        conversation_id: place.0,
                        user_id: place.1,
                        role,
                        content: language.text(&mut dice, count),
                        state: State::Complete,
                        model: None,
                        error: None,
                        created_at: Clock.now().text(),
                        details: MessageDetails::default(),
                    };
                    store.write(move |tx| insert_message(tx, &row, None, None))?;
                }
                times.push(begin.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64;
    let [with, without] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        (times[times.len() / 2], mean(&times))
    });
    println!("\n| a send (two durable writes) | with the index, ms | without, ms | ratio |\n|---|--:|--:|--:|");
    for (name, with, without) in [("median", with.0, without.0), ("mean", with.1, without.1)] {
        println!("| {name} | {with:.3} | {without:.3} | {:.3} |", with / without);
    }
    Ok(())
}
