//! Sessions (one per token minted), and tokens of other systems that were logged out here.

use std::collections::HashSet;

use rusqlite::params;

use super::users::{self, User};
use super::{Means, Read, Tx, json_list};
use crate::error::Error;

/// A session that lasts.
#[derive(Clone, Debug)]
pub struct Session {
    /// The token's `jti`.
    pub id: String,
    /// The browser or program, as it named itself.
    pub user_agent: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub expires_at: String,
}

/// A session to be made.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Who, and of which version the session is.
    pub user_id: i64,
    /// `users.session_version` at the time.
    pub version: i64,
    /// The session itself.
    pub session: Session,
    /// How whoever has it signed in.
    pub means: Means,
}

/// Who a session belongs to.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The account.
    pub user: User,
    /// The session's version is the account's.
    pub is_current: bool,
    /// How whoever has the session signed in.
    pub means: Means,
}

/// What tells a session from all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SessionKey {
    /// One of ours, by id.
    Local(String),
    /// An API key, by its row.
    ApiKey(i64),
    /// Another system's token.
    External {
        /// The token's SHA-256, in hexadecimal digits.
        digest: String,
        /// When it ends (RFC 3339); `None`: never.
        expires_at: Option<String>,
    },
}

/// A session and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionOf {
    /// The account.
    pub user_id: i64,
    /// The session.
    pub key: SessionKey,
}

/// Stores a session.
///
/// # Errors
/// Those of the store.
pub fn insert_session(tx: &Tx<'_>, new: &NewSession) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO sessions (id, user_id, version, user_agent, created_at, expires_at, is_owners)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            new.session.id,
            new.user_id,
            new.version,
            new.session.user_agent,
            new.session.created_at,
            new.session.expires_at,
            new.means == Means::CommandLine
        ],
    )?;
    Ok(())
}

/// The account of a session that has not been ended. Expiry is the token's own business.
///
/// # Errors
/// Those of the store.
pub fn find_session(read: &Read<'_>, id: &str) -> Result<Option<SignedIn>, Error> {
    let sql =
        ", sessions.version, is_owners FROM sessions JOIN users ON users.id = sessions.user_id WHERE sessions.id = ?1";
    read.first(&users::select(sql), [id], |row| {
        let user = users::map(row)?;
        let version: i64 = row.get(users::COLUMN_COUNT)?;
        let is_current = version == user.session_version;
        let is_owners: bool = row.get(users::COLUMN_COUNT + 1)?;
        Ok(SignedIn {
            user,
            is_current,
            means: if is_owners { Means::CommandLine } else { Means::Session },
        })
    })
}

/// Those of some sessions that are over: ended, expired, or of an account that may no longer sign in. Four queries,
/// however many they are.
///
/// # Errors
/// Those of the store.
pub fn list_ended_sessions(read: &Read<'_>, asked: &[SessionOf], now: &str) -> Result<Vec<SessionOf>, Error> {
    let mut local = Vec::new();
    let mut external = Vec::new();
    let mut users = Vec::new();
    let mut keys = Vec::new();
    for session in asked {
        match &session.key {
            SessionKey::Local(id) => local.push(id.as_str()),
            SessionKey::ApiKey(id) => keys.push(*id),
            SessionKey::External { digest, .. } => {
                external.push(digest.as_str());
                users.push(session.user_id);
            }
        }
    }
    let over: Vec<String> = read.all(
        "SELECT value FROM json_each(?1) WHERE NOT EXISTS (
             SELECT 1 FROM sessions JOIN users ON users.id = sessions.user_id
             WHERE sessions.id = value AND sessions.version = users.session_version
                 AND sessions.expires_at > ?2 AND users.disabled_at IS NULL
         )",
        params![json_list(&local), now],
        |row| row.get(0),
    )?;
    let over: HashSet<String> = over.into_iter().collect();
    let revoked: Vec<String> = read.all(
        "SELECT token_sha256 FROM revocations WHERE token_sha256 IN (SELECT value FROM json_each(?1))",
        [json_list(&external)],
        |row| row.get(0),
    )?;
    let revoked: HashSet<String> = revoked.into_iter().collect();
    let gone: Vec<i64> = read.all(
        "SELECT value FROM json_each(?1)
         WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = value AND disabled_at IS NULL)",
        [json_list(&users)],
        |row| row.get(0),
    )?;
    let dead: Vec<i64> = read.all(
        "SELECT value FROM json_each(?1) WHERE NOT EXISTS (
             SELECT 1 FROM api_keys JOIN users ON users.id = api_keys.user_id
             WHERE api_keys.id = value AND users.disabled_at IS NULL
                 AND coalesce(api_keys.expires_at, 'for ever') > ?2
         )",
        params![json_list(&keys), now],
        |row| row.get(0),
    )?;
    let is_over = |session: &&SessionOf| match &session.key {
        SessionKey::Local(id) => over.contains(id),
        SessionKey::ApiKey(id) => dead.contains(id),
        SessionKey::External { digest, expires_at } => {
            revoked.contains(digest)
                || gone.contains(&session.user_id)
                || expires_at.as_deref().is_some_and(|expires_at| expires_at <= now)
        }
    };
    Ok(asked.iter().filter(is_over).cloned().collect())
}

/// A user's sessions, newest first.
///
/// # Errors
/// Those of the store.
pub fn list_sessions(read: &Read<'_>, user: &User, now: &str) -> Result<Vec<Session>, Error> {
    read.all(
        "SELECT id, user_agent, created_at, expires_at FROM sessions
         WHERE user_id = ?1 AND version = ?2 AND expires_at > ?3 ORDER BY created_at DESC LIMIT 500",
        params![user.id, user.session_version, now],
        |row| {
            Ok(Session {
                id: row.get(0)?,
                user_agent: row.get(1)?,
                created_at: row.get(2)?,
                expires_at: row.get(3)?,
            })
        },
    )
}

/// Ends one of a user's sessions; returns whether there was such a one.
///
/// # Errors
/// Those of the store.
pub fn delete_session(tx: &Tx<'_>, user_id: i64, id: &str) -> Result<bool, Error> {
    let sql = "DELETE FROM sessions WHERE id = ?1 AND user_id = ?2";
    Ok(tx.execute(sql, params![id, user_id])? == 1)
}

/// Ends every session of a user but `kept`, which is raised to the account's version.
///
/// # Errors
/// Those of the store.
pub fn end_other_sessions(tx: &Tx<'_>, user: &User, kept: Option<&str>) -> Result<(), Error> {
    tx.execute(
        "DELETE FROM sessions WHERE user_id = ?1 AND id IS NOT ?2",
        params![user.id, kept],
    )?;
    tx.execute(
        "UPDATE sessions SET version = ?2 WHERE user_id = ?1",
        params![user.id, user.session_version],
    )?;
    Ok(())
}

/// Remembers that a token of another system was logged out here.
///
/// # Errors
/// Those of the store.
pub fn insert_revocation(tx: &Tx<'_>, token_sha256: &str, expires_at: Option<&str>) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO revocations (token_sha256, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![token_sha256, expires_at],
    )?;
    Ok(())
}

/// Whether a token of another system was logged out here.
///
/// # Errors
/// Those of the store.
pub fn find_revocation(read: &Read<'_>, token_sha256: &str) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM revocations WHERE token_sha256 = ?1";
    Ok(read.first(sql, [token_sha256], |_| Ok(()))?.is_some())
}
