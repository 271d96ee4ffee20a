//! The log of the `llm` command line tool, an SQLite database that somebody brings along: `conversations`, `responses`,
//! and in newer versions what was attached, which tools were called and which fragments were used. It is a stranger's
//! file: nothing in it runs (no view, no trigger), and every table is read as what it says it is or not at all.

use std::cell::Cell;
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row};

use super::failed;
use crate::error::{Error, Kind};

/// Replies in one log: a lifetime's. Their ids are held in memory.
const RESPONSES_MAX: usize = 1_000_000;

/// Bytes of all that is read of one conversation, and of all ids together.
const TEXTS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of one value, twice the longest reply that is stored: columns that are computed make any number out of none.
const VALUE_BYTES_MAX: i32 = 16 * 1024 * 1024;

/// Characters of an id and of a time that are looked at.
const WORD_CHARS: u32 = 200;

/// What SQLite may take for reading all of it: some times what the largest log needs on a slow machine.
const READING_MAX: Duration = Duration::from_secs(120);

/// Steps of SQLite between two looks at the clock: well under a millisecond.
const STEPS: i32 = 1000;

/// Files, calls and fragments of one reply that are looked at.
const PARTS_MAX: u32 = 100;

/// What the parts of a reply are looked up by.
const INDEXED: [(&str, &str); 7] = [
    ("conversations", "id"),
    ("attachments", "id"),
    ("fragments", "id"),
    ("prompt_attachments", "response_id"),
    ("prompt_fragments", "response_id"),
    ("tool_calls", "response_id"),
    ("tool_results", "tool_call_id"),
];

/// A log, opened.
pub struct LlmLogs {
    connection: Connection,
    tables: HashSet<String>,
    columns: HashSet<String>,
    /// Bytes that may still be read.
    room: Cell<usize>,
    deadline: Deadline,
}

/// When SQLite must have read all of it; put off by what is done with it meanwhile.
#[derive(Clone)]
struct Deadline(Arc<Mutex<Instant>>);

impl Deadline {
    fn get(&self) -> MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A conversation of the log.
#[derive(Debug, Default)]
pub struct LlmConversation {
    /// Its id there.
    pub id: String,
    /// What it is called.
    pub name: Option<String>,
    /// Its replies, oldest first.
    pub responses: Vec<LlmResponse>,
}

/// A prompt and the reply to it.
#[derive(Debug, Default)]
pub struct LlmResponse {
    /// Its id there.
    pub id: String,
    /// The model that replied.
    pub model: Option<String>,
    /// What was asked.
    pub prompt: String,
    /// The system prompt.
    pub system: Option<String>,
    /// The reply.
    pub response: String,
    /// When, in UTC, as the tool writes it.
    pub at: Option<String>,
    /// Names of the files that went with it.
    pub attachments: Vec<String>,
    /// Texts that went with it, each with where it came from.
    pub fragments: Vec<(String, String)>,
    /// Tools that were called: the name, what it was given as JSON, what it answered.
    pub calls: Vec<(String, String, Option<String>)>,
}

/// What of a log is read next.
#[derive(Debug)]
pub enum LlmItem {
    /// A conversation.
    Conversation(LlmConversation),
    /// One that cannot be read: its id, and why.
    Unreadable(String, &'static str),
}

impl LlmLogs {
    /// Opens a copy of the log that belongs to the caller alone; `None` when it is a database of another kind.
    ///
    /// # Errors
    /// [`Kind::Malformed`] when it is damaged; those of the disk.
    pub fn open(path: &Path) -> Result<Option<LlmLogs>, Error> {
        LlmLogs::open_until(path, Instant::now() + READING_MAX)
    }

    fn open_until(path: &Path, deadline: Instant) -> Result<Option<LlmLogs>, Error> {
        // For writing too, or a log in WAL mode would leave files beside it.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(unreadable)?;
        let deadline = confine(&mut connection, deadline).map_err(unreadable)?;
        let names = |sql: &str| -> Result<HashSet<String>, Error> {
            let mut statement = connection.prepare(sql).map_err(unreadable)?;
            let names = statement.query_map((), |row| row.get(0)).map_err(unreadable)?;
            names.collect::<rusqlite::Result<_>>().map_err(unreadable)
        };
        // Real tables only: a virtual one runs code.
        let tables = names("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE TABLE%'")?;
        if !tables.contains("responses") {
            return Ok(None);
        }
        let columns = names("SELECT name FROM pragma_table_info('responses') WHERE name NOT LIKE '%\"%'")?;
        let is_log = ["id", "model", "prompt", "response"]
            .iter()
            .all(|name| columns.contains(*name));
        Ok(is_log.then_some(LlmLogs {
            connection,
            tables,
            columns,
            room: Cell::new(TEXTS_BYTES_MAX),
            deadline,
        }))
    }

    /// Gives `each` the conversations one after the other.
    ///
    /// # Errors
    /// [`Kind::Malformed`] when the log is damaged or has too many replies; those of `each`.
    pub fn read(&self, mut each: impl FnMut(LlmItem) -> Result<(), Error>) -> Result<(), Error> {
        let replies = self.list()?;
        for group in replies.chunk_by(|one, other| one.1 == other.1) {
            let id = &group[0].1;
            self.room.set(TEXTS_BYTES_MAX);
            let item = match self.conversation(id, group) {
                Ok(conversation) => LlmItem::Conversation(conversation),
                Err(error) if is_too_large(&error) => LlmItem::Unreadable(
                    id.clone(),
                    "It has more than 64 MiB, or one text of it more than 16 MiB",
                ),
                // A value is not what its column should hold.
                Err(rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..)) => {
                    LlmItem::Unreadable(id.clone(), "It holds what is no text")
                }
                Err(error) => return Err(unreadable(error)),
            };
            let begun = Instant::now();
            each(item)?;
            *self.deadline.get() += begun.elapsed();
        }
        Ok(())
    }

    /// Counts a text that is kept.
    fn keep(&self, text: String) -> rusqlite::Result<String> {
        let room = self.room.get().checked_sub(text.len()).ok_or_else(too_large)?;
        self.room.set(room);
        Ok(text)
    }

    /// Keeps a text of a row, if there is one.
    fn text(&self, row: &Row<'_>, at: usize) -> rusqlite::Result<Option<String>> {
        row.get::<_, Option<String>>(at)?
            .map(|text| self.keep(text))
            .transpose()
    }

    /// The rows of all replies, each with its conversation's id, or its own where it has none; one conversation's
    /// together, in the order of their times.
    fn list(&self) -> Result<Vec<(i64, String)>, Error> {
        let (conversation, at) = (self.column("conversation_id"), self.column("datetime_utc"));
        let sql = format!(
            "SELECT rowid, substr(CAST(coalesce({conversation}, id) AS TEXT), 1, {WORD_CHARS}) AS conversation
             FROM responses ORDER BY conversation, substr({at}, 1, {WORD_CHARS}), rowid LIMIT {}",
            RESPONSES_MAX + 1
        );
        let list = || -> rusqlite::Result<Vec<(i64, String)>> {
            let mut statement = self.connection.prepare(&sql)?;
            let rows = statement.query_map((), |row| Ok((row.get(0)?, self.keep(row.get(1)?)?)))?;
            rows.collect()
        };
        let replies = list().map_err(unreadable)?;
        if replies.len() > RESPONSES_MAX {
            return Err(Error::new(Kind::Malformed, "The log has more than 1 000 000 replies"));
        }
        Ok(replies)
    }

    /// A column of `responses`, or nothing where this version of the tool had none.
    fn column(&self, name: &'static str) -> &'static str {
        if self.columns.contains(name) { name } else { "NULL" }
    }

    fn conversation(&self, id: &str, replies: &[(i64, String)]) -> rusqlite::Result<LlmConversation> {
        let mut name = None;
        if self.tables.contains("conversations") {
            let sql = "SELECT CAST(name AS TEXT) FROM conversations WHERE id = ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            name = statement.query_row([id], |row| self.text(row, 0)).optional()?.flatten();
        }
        let mut conversation = LlmConversation {
            id: id.to_owned(),
            name,
            responses: Vec::new(),
        };
        for (row, _) in replies {
            conversation.responses.push(self.response(*row)?);
        }
        Ok(conversation)
    }

    fn response(&self, row: i64) -> rusqlite::Result<LlmResponse> {
        let sql = format!(
            "SELECT CAST(id AS TEXT), CAST(model AS TEXT), CAST(prompt AS TEXT), CAST({} AS TEXT), CAST(response AS TEXT),
                 CAST({} AS TEXT) FROM responses WHERE rowid = ?1",
            self.column("system"),
            self.column("datetime_utc")
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut response = statement.query_row([row], |row| {
            let text = |at: usize| self.text(row, at);
            Ok(LlmResponse {
                id: text(0)?.unwrap_or_default(),
                model: text(1)?,
                prompt: text(2)?.unwrap_or_default(),
                system: text(3)?,
                response: text(4)?.unwrap_or_default(),
                at: text(5)?,
                ..LlmResponse::default()
            })
        })?;
        let id = response.id.as_str();
        response.attachments = self.parts(
            &["prompt_attachments", "attachments"],
            "SELECT CAST(coalesce(path, url, type) AS TEXT) FROM prompt_attachments
             JOIN attachments ON attachments.id = attachment_id WHERE response_id = ?1 LIMIT ?2",
            id,
            |row| self.text(row, 0).map(Option::unwrap_or_default),
        )?;
        response.fragments = self.parts(
            &["prompt_fragments", "fragments"],
            "SELECT CAST(coalesce(source, 'fragment') AS TEXT), CAST(substr(content, 1, 1000000) AS TEXT)
             FROM prompt_fragments JOIN fragments ON fragments.id = fragment_id WHERE response_id = ?1 LIMIT ?2",
            id,
            |row| Ok((self.keep(row.get(0)?)?, self.text(row, 1)?.unwrap_or_default())),
        )?;
        response.calls = self.parts(
            &["tool_calls", "tool_results"],
            "SELECT CAST(name AS TEXT), CAST(coalesce(arguments, 'null') AS TEXT),
                 (SELECT CAST(output AS TEXT) FROM tool_results
                  WHERE tool_results.tool_call_id = tool_calls.tool_call_id LIMIT 1)
             FROM tool_calls WHERE response_id = ?1 LIMIT ?2",
            id,
            |row| Ok((self.keep(row.get(0)?)?, self.keep(row.get(1)?)?, self.text(row, 2)?)),
        )?;
        Ok(response)
    }

    /// What goes with a reply, where the log has these tables and they have the columns that are asked for.
    fn parts<T>(
        &self,
        tables: &[&str],
        sql: &str,
        response: &str,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        if !tables.iter().all(|table| self.tables.contains(*table)) {
            return Ok(Vec::new());
        }
        let Ok(mut statement) = self.connection.prepare_cached(sql) else {
            return Ok(Vec::new());
        };
        let rows = statement.query_map((response, PARTS_MAX), map)?;
        rows.collect()
    }
}

/// Keeps a stranger's file from running anything, and from taking more memory and time than it may.
fn confine(connection: &mut Connection, deadline: Instant) -> rusqlite::Result<Deadline> {
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)?;
    let deadline = Deadline(Arc::new(Mutex::new(deadline)));
    let own = deadline.clone();
    connection.progress_handler(STEPS, Some(move || Instant::now() > *own.get()))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    // Nobody can have given an index of theirs this name.
    let name = uuid::Uuid::new_v4().simple();
    for (table, column) in INDEXED {
        // Without these every reply would read the whole table. Where there is no such table there is no need.
        let sql = format!("CREATE INDEX fireside_{name}_{table} ON {table} ({column})");
        connection.execute(&sql, ()).ok();
    }
    connection.execute_batch("PRAGMA query_only = 1; PRAGMA cell_size_check = 1; PRAGMA mmap_size = 0;")?;
    Ok(deadline)
}

/// What SQLite says of a value that is too large, for all of them together.
fn too_large() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_TOOBIG), None)
}

fn is_too_large(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::TooBig)
}

/// Whatever is wrong with it is wrong with the file, unless the disk failed.
fn unreadable(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::SystemIoFailure | rusqlite::ErrorCode::DiskFull) => failed(error),
        Some(rusqlite::ErrorCode::OperationInterrupted) => {
            Error::new(Kind::Malformed, "Reading the database takes more than two minutes").caused_by(error)
        }
        _ => Error::new(Kind::Malformed, "The database is damaged").caused_by(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a log that this makes.
    fn read(name: &str, sql: &str) -> Vec<LlmItem> {
        let path = std::env::temp_dir().join(format!("fireside-logs-{}-{name}.db", std::process::id()));
        std::fs::remove_file(&path).ok();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let (logs, mut found) = (LlmLogs::open(&path).unwrap().unwrap(), Vec::new());
        logs.read(|item| {
            found.push(item);
            Ok(())
        })
        .unwrap();
        std::fs::remove_file(&path).unwrap();
        found
    }

    #[test]
    fn a_column_that_is_computed_fills_no_memory() {
        let found = read(
            "computed",
            "CREATE TABLE responses (id, model, prompt, response);
             CREATE TABLE conversations (id, name AS (hex(zeroblob(100000000))));
             INSERT INTO responses VALUES ('one', 'm', 'p', 'r');
             INSERT INTO conversations VALUES ('one');",
        );
        assert!(
            matches!(&found[..], [LlmItem::Unreadable(id, _)] if id == "one"),
            "{found:?}"
        );
    }

    #[test]
    fn parts_count_like_the_texts() {
        let found = read(
            "parts",
            "CREATE TABLE responses (id, model, prompt, response);
             CREATE TABLE tool_calls (response_id, tool_call_id, name, arguments AS (hex(zeroblob(1000000))));
             CREATE TABLE tool_results (tool_call_id, output);
             INSERT INTO responses VALUES ('one', 'm', 'p', 'r'), ('two', 'm', 'p', 'r');
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
             INSERT INTO tool_calls SELECT 'one', i, 'name' FROM n;",
        );
        let [LlmItem::Unreadable(id, _), LlmItem::Conversation(two)] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!((id.as_str(), two.responses.len()), ("one", 1));
    }

    /// SQLite looks at the time once in so many steps: a log that takes fewer is quicker than any deadline.
    #[test]
    fn a_log_that_takes_too_long_is_broken_off() {
        let path = std::env::temp_dir().join(format!("fireside-logs-{}-slow.db", std::process::id()));
        std::fs::remove_file(&path).ok();
        let sql = "CREATE TABLE responses (id, model, prompt, response);
             WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
             INSERT INTO responses SELECT n, 'm', 'p', 'r' FROM numbers;";
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let read = |deadline: Instant| {
            let logs = LlmLogs::open_until(&path, deadline)?;
            logs.map_or(Ok(()), |logs| logs.read(|_| Ok(())))
        };
        let refused = read(Instant::now()).unwrap_err();
        assert_eq!(refused.kind(), Kind::Malformed);
        assert!(refused.message().contains("more than two minutes"), "{refused}");
        std::fs::remove_file(&path).unwrap();
    }
}
