//! API keys: what programs sign in with, and what each may spend in a month. Keys themselves are never here, only their
//! SHA-256.

use rusqlite::params;

use super::users::{self, User};
use super::{Read, Tx};
use crate::error::{Error, Kind};

/// Keys of one user: one for each program, machine and colleague, and a list that is still read at a glance.
const KEYS_MAX: i64 = 100;

/// A key, as its owner sees it.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The id that clients see.
    pub uuid: String,
    /// What its owner calls it.
    pub name: String,
    /// Its first characters, by which people tell their keys apart.
    pub hint: String,
    /// US dollars that its replies may cost in a calendar month (UTC).
    pub budget_usd_month: Option<f64>,
    /// US dollars that its replies have cost this month.
    pub spent_usd_month: f64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; `None`: never.
    pub expires_at: Option<String>,
    /// RFC 3339, to the minute.
    pub last_used_at: Option<String>,
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The id that clients will see.
    pub uuid: String,
    /// Whose it is.
    pub user_id: i64,
    /// What its owner calls it.
    pub name: String,
    /// Its first characters.
    pub hint: String,
    /// The key's SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// US dollars that its replies may cost in a calendar month (UTC).
    pub budget_usd_month: Option<f64>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; `None`: never.
    pub expires_at: Option<String>,
}

/// A key as it signs somebody in.
#[derive(Clone, Debug)]
pub struct KeyHolder {
    /// Whose it is.
    pub user: User,
    /// The key's row.
    pub api_key: i64,
    /// RFC 3339; `None`: never.
    pub expires_at: Option<String>,
}

/// Stores a key.
///
/// # Errors
/// [`Kind::Conflict`] when its owner has as many as may be.
pub fn insert_api_key(tx: &Tx<'_>, new: &NewApiKey) -> Result<(), Error> {
    let inserted = tx.execute(
        "INSERT INTO api_keys (uuid, user_id, name, hint, key_sha256, budget_usd_month, created_at, expires_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE (SELECT count(*) FROM api_keys WHERE user_id = ?2) < ?9",
        params![
            new.uuid,
            new.user_id,
            new.name,
            new.hint,
            new.sha256,
            new.budget_usd_month,
            new.created_at,
            new.expires_at,
            KEYS_MAX
        ],
    )?;
    if inserted == 1 {
        return Ok(());
    }
    let message = format!("There are {KEYS_MAX} API keys already; delete one that is not needed any more");
    Err(Error::new(Kind::Conflict, message))
}

/// A user's keys, newest first, and what each has cost since `month`.
///
/// # Errors
/// Those of the store.
pub fn list_api_keys(read: &Read<'_>, user_id: i64, month: &str) -> Result<Vec<ApiKey>, Error> {
    read.all(
        "SELECT uuid, name, hint, budget_usd_month, created_at, expires_at, last_used_at,
             (SELECT total(price) FROM usage_details
              WHERE api_key_id = api_keys.id AND usage_details.created_at >= ?2)
         FROM api_keys WHERE user_id = ?1 ORDER BY id DESC",
        params![user_id, month],
        |row| {
            Ok(ApiKey {
                uuid: row.get(0)?,
                name: row.get(1)?,
                hint: row.get(2)?,
                budget_usd_month: row.get(3)?,
                created_at: row.get(4)?,
                expires_at: row.get(5)?,
                last_used_at: row.get(6)?,
                spent_usd_month: row.get(7)?,
            })
        },
    )
}

/// Deletes one of a user's keys. What was spent with it stays spent.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn delete_api_key(tx: &Tx<'_>, user_id: i64, uuid: &str) -> Result<(), Error> {
    let sql = "DELETE FROM api_keys WHERE uuid = ?1 AND user_id = ?2";
    match tx.execute(sql, params![uuid, user_id])? {
        1 => Ok(()),
        _ => Err(Error::new(Kind::NotFound, "API key not found")),
    }
}

/// Deletes all of a user's keys.
///
/// # Errors
/// Those of the store.
pub fn delete_api_keys(tx: &Tx<'_>, user_id: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM api_keys WHERE user_id = ?1", [user_id])?;
    Ok(())
}

/// Whom the key with this SHA-256 (hexadecimal digits) signs in. Whether it has expired, or its owner may still sign in,
/// is the caller's question.
///
/// # Errors
/// Those of the store.
pub fn find_key_holder(read: &Read<'_>, sha256: &str) -> Result<Option<KeyHolder>, Error> {
    let sql = ", api_keys.id, api_keys.expires_at FROM api_keys JOIN users ON users.id = api_keys.user_id
        WHERE key_sha256 = ?1";
    read.first(&users::select(sql), [sha256], |row| {
        Ok(KeyHolder {
            user: users::map(row)?,
            api_key: row.get(users::COLUMN_COUNT)?,
            expires_at: row.get(users::COLUMN_COUNT + 1)?,
        })
    })
}

/// Remembers when a key was used.
///
/// # Errors
/// Those of the store.
pub fn touch_api_key(tx: &Tx<'_>, api_key: i64, now: &str) -> Result<(), Error> {
    tx.execute(
        "UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1",
        params![api_key, now],
    )?;
    Ok(())
}

/// Refuses a key whose replies have cost its budget since `month`. Replies that are being written are not counted yet: it
/// is overshot by what they cost.
///
/// # Errors
/// [`Kind::OverBudget`].
pub fn check_budget(read: &Read<'_>, api_key: i64, month: &str) -> Result<(), Error> {
    let sql = "SELECT budget_usd_month <= (SELECT total(price) FROM usage_details
            WHERE api_key_id = ?1 AND usage_details.created_at >= ?2)
        FROM api_keys WHERE id = ?1 AND budget_usd_month IS NOT NULL";
    let is_spent: Option<bool> = read.first(sql, params![api_key, month], |row| row.get(0))?;
    if is_spent != Some(true) {
        return Ok(());
    }
    let message = "This month's budget of the API key is spent. Nothing was stored";
    Err(Error::new(Kind::OverBudget, message))
}
