//! The log of what administrators do: who, when, from where, what to whom. Each entry is written in the transaction that it
//! is about, and nothing but time takes one away again, unless there are [`ENTRIES_HARD_MAX`].

use rusqlite::{Row, params};
use serde_json::{Value, json};

use super::{Read, Tx, User};
use crate::clock::Clock;
use crate::error::Error;

/// Entries are kept this long, in seconds: a year, and some days to look back at its beginning.
const KEPT_S: i64 = 400 * 24 * 3600;

/// Entries beyond which only those of the last [`KEPT_ANYWAY_S`] stay: some tens of megabytes, and a list that is still
/// counted in a moment.
const ENTRIES_MAX: i64 = 100_000;

/// How long entries are kept however many come, in seconds: whoever makes a hundred thousand of them in an hour, to push out
/// what they have done, is seen at it for a month.
const KEPT_ANYWAY_S: i64 = 30 * 24 * 3600;

/// Entries that are kept at most: what a disk has room for, some hundreds of megabytes.
const ENTRIES_HARD_MAX: i64 = 10 * ENTRIES_MAX;

/// Entries that are looked at in one batch of housekeeping.
const BATCH_ROWS_MAX: u32 = 200;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Act {
    UserCreate,
    UserUpdate,
    UserDelete,
    UserActFor,
    SignupUpdate,
    LimitsUpdate,
    ProviderCreate,
    ProviderUpdate,
    ProviderDelete,
    ProviderTest,
    ModelUpdate,
    AliasUpdate,
    AliasDelete,
    BackupCreate,
    DatabaseRestore,
}

impl Act {
    /// As it stands in the table and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Act::UserCreate => "user.create",
            Act::UserUpdate => "user.update",
            Act::UserDelete => "user.delete",
            Act::UserActFor => "user.act_for",
            Act::SignupUpdate => "signup.update",
            Act::LimitsUpdate => "limits.update",
            Act::ProviderCreate => "provider.create",
            Act::ProviderUpdate => "provider.update",
            Act::ProviderDelete => "provider.delete",
            Act::ProviderTest => "provider.test",
            Act::ModelUpdate => "model.update",
            Act::AliasUpdate => "alias.update",
            Act::AliasDelete => "alias.delete",
            Act::BackupCreate => "backup.create",
            Act::DatabaseRestore => "database.restore",
        }
    }
}

/// How somebody came to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// Signed in with the password.
    Session,
    /// As the owner of the data folder, by one of the program's commands.
    CommandLine,
    /// By making the first account, or with the setup code.
    Setup,
}

impl Means {
    /// As it stands in the table and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Means::Session => "session",
            Means::CommandLine => "command_line",
            Means::Setup => "setup",
        }
    }
}

/// Who does something, when, and how.
#[derive(Clone, Debug)]
pub struct Doer {
    /// RFC 3339.
    pub at: String,
    /// UUID; `None`: whoever owns the data folder.
    pub user_id: Option<String>,
    /// What the account is called at the time.
    pub user_name: String,
    /// The client's address; `None`: not over the network.
    pub address: Option<String>,
    /// How.
    pub means: Means,
}

impl Doer {
    /// Somebody with an account. Who comes with the secret of the data folder has none, whichever one they use.
    pub fn new(at: String, user: &User, address: String, means: Means) -> Doer {
        if means == Means::CommandLine {
            return Doer::owner(at);
        }
        Doer {
            at,
            user_id: Some(user.uuid.clone()),
            user_name: user.name().to_owned(),
            address: Some(address),
            means,
        }
    }

    /// Whoever owns the data folder.
    pub fn owner(at: String) -> Doer {
        Doer {
            at,
            user_id: None,
            user_name: "owner of the data folder".to_owned(),
            address: None,
            means: Means::CommandLine,
        }
    }
}

/// What it is done to.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    id: Option<String>,
    name: Option<String>,
}

impl Subject {
    /// A user.
    pub fn user(user: &User) -> Subject {
        Subject {
            id: Some(user.uuid.clone()),
            name: Some(user.name().to_owned()),
        }
    }

    /// Something else that has a name.
    pub fn named(name: &str) -> Subject {
        Subject {
            id: None,
            name: Some(name.to_owned()),
        }
    }
}

/// The fields in which two objects differ, as entries hold them.
pub fn differences(before: &Value, after: &Value) -> Vec<Value> {
    let fields = after.as_object().into_iter().flatten();
    let changed = fields.filter(|(name, value)| before[name.as_str()] != **value);
    changed
        .map(|(name, value)| json!({ "field": name, "from": before[name.as_str()], "to": value }))
        .collect()
}

/// That a field was set of which neither value may be known.
pub fn changed_secret(field: &str) -> Value {
    json!({ "field": field })
}

/// Writes an entry. Of texts that an administrator may choose freely, only names and addresses belong into `changes`, and no
/// secrets.
///
/// # Errors
/// Those of the store.
pub fn insert_entry(tx: &Tx<'_>, doer: &Doer, act: Act, subject: &Subject, changes: Vec<Value>) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO audit (at, user_id, user_name, address, means, act, subject_id, subject, changes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            doer.at,
            doer.user_id,
            doer.user_name,
            doer.address,
            doer.means.name(),
            act.name(),
            subject.id,
            subject.name,
            Value::Array(changes).to_string()
        ],
    )?;
    Ok(())
}

/// Writes an entry about what has changed; where nothing has, there is none: empty ones would only push others out.
///
/// # Errors
/// Those of the store.
pub fn insert_changes(tx: &Tx<'_>, doer: &Doer, act: Act, subject: &Subject, changes: Vec<Value>) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    insert_entry(tx, doer, act, subject, changes)
}

/// An entry, as it is read.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Higher than those of all older ones.
    pub id: i64,
    /// RFC 3339.
    pub at: String,
    /// UUID of who did it; `None`: whoever owns the data folder.
    pub user_id: Option<String>,
    /// What the account was called at the time.
    pub user_name: String,
    /// The client's address; `None`: not over the network.
    pub address: Option<String>,
    /// [`Means::name`].
    pub means: String,
    /// [`Act::name`].
    pub act: String,
    /// UUID of the user that it was done to, if it was one.
    pub subject_id: Option<String>,
    /// The name of what it was done to.
    pub subject: Option<String>,
    /// JSON: `[{field, from, to}]`.
    pub changes: String,
}

/// Which entries are meant; `None`: all.
#[derive(Clone, Debug, Default)]
pub struct EntryFilter {
    /// [`Act::name`].
    pub act: Option<String>,
    /// UUID of a user who did it, or to whom it was done.
    pub user_id: Option<String>,
    /// Only those that are older than the one with this id.
    pub before: Option<i64>,
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        at: row.get(1)?,
        user_id: row.get(2)?,
        user_name: row.get(3)?,
        address: row.get(4)?,
        means: row.get(5)?,
        act: row.get(6)?,
        subject_id: row.get(7)?,
        subject: row.get(8)?,
        changes: row.get(9)?,
    })
}

/// Entries, newest first. Filters go through all there are, about [`ENTRIES_MAX`]: indexes would cost every act more than they
/// save the few who look back. Pages go on from an id: others come in at the head meanwhile.
///
/// # Errors
/// Those of the store.
pub fn list_entries(read: &Read<'_>, filter: &EntryFilter, limit: i64) -> Result<Vec<Entry>, Error> {
    read.all(
        "SELECT id, at, user_id, user_name, address, means, act, subject_id, subject, changes FROM audit
         WHERE id < ?3 AND act = coalesce(?1, act) AND iif(?2 IS NULL, 1, ?2 IN (user_id, subject_id))
         ORDER BY id DESC LIMIT ?4",
        params![filter.act, filter.user_id, filter.before.unwrap_or(i64::MAX), limit],
        entry,
    )
}

/// How many entries there are.
///
/// # Errors
/// Those of the store.
pub fn count_entries(read: &Read<'_>, filter: &EntryFilter) -> Result<i64, Error> {
    let sql = "SELECT count(*) FROM audit
        WHERE id < ?3 AND act = coalesce(?1, act) AND iif(?2 IS NULL, 1, ?2 IN (user_id, subject_id))";
    let before = filter.before.unwrap_or(i64::MAX);
    let count = read.first(sql, params![filter.act, filter.user_id, before], |row| row.get(0))?;
    Ok(count.unwrap_or(0))
}

/// Removes a batch of entries that are too old, or too many; returns how many went.
pub(super) fn clear_old(tx: &Tx<'_>) -> Result<usize, Error> {
    let now = Clock.now();
    // Only the oldest are looked at: they were written in order of time. Nothing counts them: ids are given one after the other.
    tx.execute(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?5)
         AND iif(at < ?1, 1, id <= (SELECT max(id) FROM audit) - iif(at < ?2, ?3, ?4))",
        params![
            now.plus_s(-KEPT_S).text(),
            now.plus_s(-KEPT_ANYWAY_S).text(),
            ENTRIES_MAX,
            ENTRIES_HARD_MAX,
            BATCH_ROWS_MAX
        ],
    )
}
