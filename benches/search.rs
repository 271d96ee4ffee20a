//! What a search takes among 1 000 to 1 000 000 messages, what the index takes on disk, and what it costs those who send.
//! Prints tables and asserts nothing. `cargo bench --bench search -- 100000` stops at so many messages.
//!
//! Messages are of 4 to 140 words, drawn by Zipf's law from 100 000 made-up ones; four out of five are one user's, whose
//! searches are measured: in this process, as the route calls them. Each search of a row asks for other words.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "the tables are what this program is for, and its numbers are small"
)]

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fireside::clock::{Clock, Moment};
use fireside::search::{Query, search};
use fireside::store::{
    Admin, Location, MessageDetails, NewConversation, NewMessage, NewUser, Page, Role, State, Store, database_path,
    insert_conversation, insert_message, insert_user,
};
use rusqlite::Connection;

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// Searches of each row: the 99th percentile is the second slowest.
const SEARCHES: usize = 200;

/// Made-up words.
const WORDS: usize = 100_000;

const USERS: usize = 5;

/// Messages of one conversation.
const TOGETHER: usize = 12;

/// Messages that are stored with one write while the store is filled.
const AT_ONCE: usize = 600;

const MODELS: [&str; 4] = ["echo", "maker/small", "maker/large", "other/rare"];

/// Sends of one round, and rounds with the index and without, in turn.
const SENDS: usize = 300;
const ROUNDS: usize = 10;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if !words.iter().any(|word| word == "--bench") {
        // `cargo test --benches`: there is nothing to test.
        return Ok(());
    }
    let most = words.iter().find_map(|word| word.parse().ok()).unwrap_or(usize::MAX);
    let folder = Folder::make()?;
    let mut sea = Sea::new(&folder)?;
    println!("| messages | search | p50 ms | p99 ms | found |");
    println!("|--:|---|--:|--:|--:|");
    let sizes = SIZES.iter().filter(|size| **size <= most);
    let mut filled = Vec::new();
    for size in sizes {
        let took = sea.fill(*size)?;
        filled.push((*size, took, sea.index_bytes()?));
        sea.measure()?;
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

/// A folder that goes with its value.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Outcome<Folder> {
        let path = std::env::temp_dir().join(format!("fireside-search-{}", std::process::id()));
        fs::create_dir_all(path.join("without"))?;
        Ok(Folder(path))
    }

    fn location(&self, inner: &str) -> Location {
        let folder = self.0.join(inner);
        Location {
            database: database_path(&folder),
            folder,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Numbers that are as good as random, and the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next()).unwrap_or(0) % count
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        self.next() as f64 / f64::from(u32::MAX >> 1)
    }
}

/// Words, the commonest first, and how likely each or one before it is.
struct Language {
    words: Vec<String>,
    sums: Vec<f64>,
}

impl Language {
    fn new() -> Language {
        let mut sum = 0.0;
        let sums = (0..WORDS).map(|rank| {
            sum += 1.0 / (rank as f64 + 2.7);
            sum
        });
        Language {
            sums: sums.collect(),
            words: (0..WORDS).map(word).collect(),
        }
    }

    fn pick(&self, dice: &mut Dice) -> &str {
        let at = dice.share() * self.sums.last().copied().unwrap_or_default();
        let rank = self.sums.partition_point(|sum| *sum < at);
        &self.words[rank.min(WORDS - 1)]
    }

    fn text(&self, dice: &mut Dice, count: usize) -> String {
        let words: Vec<&str> = (0..count).map(|_| self.pick(dice)).collect();
        words.join(" ")
    }

    /// A word as common as the `rank`th, roughly: another every time.
    fn near(&self, dice: &mut Dice, rank: usize) -> &str {
        &self.words[rank + dice.below(rank / 2 + 5)]
    }
}

/// Made of syllables: words begin alike as those of a language do.
fn word(rank: usize) -> String {
    const SOUNDS: [&[u8]; 2] = [b"bcdfghklmnprstvw", b"aeiou"];
    let mut dice = Dice(rank as u64 * 2 + 88_172_645_463_325_253);
    for _ in 0..3 {
        dice.next();
    }
    let syllables = 1 + usize::from(rank > 100) + dice.below(3);
    let mut word = String::new();
    for _ in 0..syllables {
        word.extend(SOUNDS.map(|sounds| char::from(sounds[dice.below(sounds.len())])));
    }
    word.push(char::from(SOUNDS[0][dice.below(16)]));
    word
}

struct Sea {
    store: Store,
    language: Language,
    dice: Dice,
    owners: Vec<i64>,
    conversations: Vec<(i64, i64)>,
    count: usize,
    location: Location,
}

impl Sea {
    fn new(folder: &Folder) -> Outcome<Sea> {
        let location = folder.location("");
        let store = Store::open(&location, 4)?;
        let mut owners = Vec::new();
        for number in 0..USERS {
            let new = NewUser {
                uuid: Clock.uuid(),
                external_id: None,
                username: Some(format!("user{number}")),
                email: None,
                display_name: None,
                password_hash: None,
                admin: Admin::No,
                created_at: Clock.now().text(),
            };
            owners.push(store.write(move |tx| insert_user(tx, &new))?.id);
        }
        Ok(Sea {
            store,
            language: Language::new(),
            dice: Dice(88_172_645_463_325_252),
            owners,
            conversations: Vec::new(),
            count: 0,
            location,
        })
    }

    /// Stores messages until there are so many, and waits until they are indexed.
    fn fill(&mut self, count: usize) -> Outcome<Duration> {
        let begin = Instant::now();
        while self.count < count {
            let mut rows = Vec::new();
            while rows.len() < AT_ONCE && self.count < count {
                let row = self.message()?;
                rows.push(row);
                self.count += 1;
            }
            self.store.write(move |tx| {
                for row in &rows {
                    insert_message(tx, row, None, None)?;
                }
                Ok(())
            })?;
        }
        let connection = Connection::open(&self.location.database)?;
        while connection.query_row("SELECT count(*) FROM search_queue", (), |row| row.get::<_, i64>(0))? > 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(begin.elapsed())
    }

    /// The next one: two minutes after the last, a million of them in four years.
    fn message(&mut self) -> Outcome<NewMessage> {
        let seconds = 1_650_000_000.0 + self.count as f64 * 120.0;
        let created_at = Moment::from_seconds(seconds).unwrap_or(Clock.now()).text();
        if self.count.is_multiple_of(TOGETHER) {
            let user_id = match self.dice.below(5) {
                0 => self.owners[1 + self.dice.below(USERS - 1)],
                _ => self.owners[0],
            };
            let new = NewConversation {
                user_id,
                uuid: Clock.uuid(),
                title: Some(self.language.text(&mut self.dice, 4)),
                created_at: created_at.clone(),
            };
            let id = self.store.write(move |tx| insert_conversation(tx, &new))?;
            self.conversations.push((id, user_id));
        }
        let (conversation_id, user_id) = self.conversations.last().copied().unwrap_or_default();
        let is_reply = self.count % 2 == 1;
        let words = if is_reply {
            20 + self.dice.below(120)
        } else {
            4 + self.dice.below(30)
        };
        let model = match self.dice.below(1_000) {
            0 => MODELS[3],
            some => MODELS[some % 3],
        };
        Ok(NewMessage {
            uuid: Clock.uuid(),
            conversation_id,
            user_id,
            role: if is_reply { Role::Assistant } else { Role::User },
            content: self.language.text(&mut self.dice, words),
            state: State::Complete,
            model: is_reply.then(|| model.to_owned()),
            error: None,
            created_at,
            details: MessageDetails::default(),
        })
    }

    fn index_bytes(&self) -> Outcome<i64> {
        let connection = Connection::open(&self.location.database)?;
        let sql = "SELECT (SELECT sum(length(block)) FROM message_index_data)
                       + (SELECT sum(length(sz) + 16) FROM message_index_docsize)";
        Ok(connection.query_row(sql, (), |row| row.get(0))?)
    }

    /// One row of the table for each kind of question.
    fn measure(&mut self) -> Outcome<()> {
        let own: Vec<i64> = self
            .conversations
            .iter()
            .filter(|(_, owner)| *owner == self.owners[0])
            .map(|(id, _)| *id)
            .collect();
        type Ask = fn(&Language, &mut Dice, &[i64]) -> (String, i64);
        let rows: [(&str, Ask); 14] = [
            ("the commonest", |l, d, _| (format!("\"{}\"", l.near(d, 0)), 0)),
            ("common", |l, d, _| (format!("\"{}\"", l.near(d, 100)), 0)),
            ("rare", |l, d, _| (format!("\"{}\"", l.near(d, 50_000)), 0)),
            ("no such word", |_, d, _| (format!("\"zz{}\"", d.below(1000)), 0)),
            ("two of the commonest", |l, d, _| {
                (format!("{} \"{}\"", l.near(d, 0), l.near(d, 0)), 0)
            }),
            ("rare and commonest", |l, d, _| {
                (format!("{} \"{}\"", l.near(d, 30_000), l.near(d, 0)), 0)
            }),
            ("beginning, 3 letters", |l, d, _| (l.near(d, 100)[..3].into(), 0)),
            ("phrase of common words", |l, d, _| {
                (format!("\"{} {}\"", l.near(d, 2), l.near(d, 10)), 0)
            }),
            ("role: and commonest", |l, d, _| {
                (format!("role:user \"{}\"", l.near(d, 0)), 0)
            }),
            ("rare model: and commonest", |l, d, _| {
                (format!("model:rare \"{}\"", l.near(d, 0)), 0)
            }),
            ("in: and commonest", |l, d, ids| {
                (format!("in:{} \"{}\"", ids[d.below(ids.len())], l.near(d, 0)), 0)
            }),
            ("before: and commonest", |l, d, _| {
                (format!("before:2022-05 \"{}\"", l.near(d, 0)), 0)
            }),
            ("filter alone", |_, _, _| ("role:assistant".into(), 0)),
            ("commonest, page behind 1 000", |l, d, _| {
                (format!("in:messages \"{}\"", l.near(d, 0)), 1_500)
            }),
        ];
        for (name, ask) in rows {
            let (mut times, mut found) = (Vec::new(), 0);
            for _ in 0..SEARCHES {
                let (text, offset) = ask(&self.language, &mut self.dice, &own);
                let begin = Instant::now();
                let query = Query::parse(&text).map_err(|bad| bad.0)?;
                let page = Page { limit: 30, offset };
                let page =
                    search(&self.store, self.owners[0], &query, page).map_err(|refusal| format!("{refusal:?}"))?;
                found += page.len();
                times.push(begin.elapsed().as_secs_f64() * 1e3);
            }
            times.sort_by(f64::total_cmp);
            let (p50, p99) = (times[SEARCHES / 2], times[SEARCHES - 2]);
            let found = found as f64 / SEARCHES as f64;
            println!("| {} | {name} | {p50:.2} | {p99:.2} | {found:.1} |", self.count);
        }
        Ok(())
    }
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
    let bare = folder.location("without");
    fs::copy(&location.database, &bare.database)?;
    Connection::open(&bare.database)?.execute_batch(
        "DROP TRIGGER message_to_search; DROP TRIGGER message_completed; DROP TRIGGER title_to_search;
         DROP TRIGGER title_changed;",
    )?;
    let stores = [Store::open(&location, 1)?, Store::open(&bare, 1)?];
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
