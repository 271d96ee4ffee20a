//! A made-up sea of messages, for those who measure among many: of 4 to 140 words, drawn by Zipf's law from 100 000
//! made-up ones; four out of five are one user's. It is the same in every run, but for ids.

pub(crate) mod questions;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fireside::clock::{Clock, Moment};
use fireside::store::{
    Admin, Location, MessageDetails, NewConversation, NewMessage, NewUser, Role, State, Store, database_path,
    insert_conversation, insert_message, insert_user,
};
use rusqlite::Connection;

/// Made-up words.
const WORDS: usize = 100_000;

const USERS: usize = 5;

/// Messages of one conversation.
const TOGETHER: usize = 12;

/// Messages that are stored with one write while the store is filled.
const AT_ONCE: usize = 600;

const MODELS: [&str; 4] = ["echo", "maker/small", "maker/large", "other/rare"];

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// A folder that goes with its value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn make() -> Outcome<Folder> {
        let path = std::env::temp_dir().join(format!("fireside-sea-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }

    pub(crate) fn location(&self, inner: &str) -> Outcome<Location> {
        let folder = self.0.join(inner);
        fs::create_dir_all(&folder)?;
        Ok(Location {
            database: database_path(&folder),
            folder,
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Numbers that are as good as random, and the same in every run (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next()).unwrap_or(0) % count
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        self.next() as f64 / f64::from(u32::MAX >> 1)
    }
}

/// Words, the commonest first, and how likely each or one before it is.
pub(crate) struct Language {
    words: Vec<String>,
    sums: Vec<f64>,
}

impl Language {
    pub(crate) fn new() -> Language {
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

    pub(crate) fn text(&self, dice: &mut Dice, count: usize) -> String {
        let words: Vec<&str> = (0..count).map(|_| self.pick(dice)).collect();
        words.join(" ")
    }

    /// A word as common as the `rank`th, roughly: another every time.
    pub(crate) fn near(&self, dice: &mut Dice, rank: usize) -> &str {
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

pub(crate) struct Sea {
    pub(crate) store: Store,
    pub(crate) language: Language,
    pub(crate) dice: Dice,
    /// The first is the one whose are most.
    owners: Vec<i64>,
    /// Each with its owner.
    pub(crate) conversations: Vec<(i64, i64)>,
    pub(crate) count: usize,
    pub(crate) location: Location,
}

impl Sea {
    pub(crate) fn new(folder: &Folder) -> Outcome<Sea> {
        let location = folder.location("")?;
        let store = Store::open(&location)?;
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
    pub(crate) fn fill(&mut self, count: usize) -> Outcome<Duration> {
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

    pub(crate) fn index_bytes(&self) -> Outcome<i64> {
        let connection = Connection::open(&self.location.database)?;
        let sql = "SELECT (SELECT sum(length(block)) FROM message_index_data)
                       + (SELECT sum(length(sz) + 16) FROM message_index_docsize)";
        Ok(connection.query_row(sql, (), |row| row.get(0))?)
    }

    /// The user whose are most.
    pub(crate) fn owner(&self) -> i64 {
        self.owners[0]
    }

    /// That user's conversations.
    pub(crate) fn own_conversations(&self) -> Vec<i64> {
        let own = self.conversations.iter().filter(|(_, owner)| *owner == self.owner());
        own.map(|(id, _)| *id).collect()
    }
}
