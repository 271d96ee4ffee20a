//! Sessions (one per token minted), tokens of other systems that were logged out here, and clearing away what is over.

use rusqlite::params;

use super::users::{self, User};
use super::{Read, Tx};
use crate::clock::Clock;
use crate::error::Error;

/// Deleted conversations are kept this long, in seconds, so that a deletion can be undone.
const DELETED_KEPT_S: i64 = 30 * 24 * 3600;

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
}

/// Who a session belongs to.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The account.
    pub user: User,
    /// The session's version is the account's.
    pub is_current: bool,
}

/// Stores a session.
///
/// # Errors
/// Those of the store.
pub fn insert_session(tx: &Tx<'_>, new: &NewSession) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO sessions (id, user_id, version, user_agent, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            new.session.id,
            new.user_id,
            new.version,
            new.session.user_agent,
            new.session.created_at,
            new.session.expires_at
        ],
    )?;
    Ok(())
}

/// The account of a session that has not been ended. Expiry is the token's own business.
///
/// # Errors
/// Those of the store.
pub fn find_session(read: &Read<'_>, id: &str) -> Result<Option<SignedIn>, Error> {
    let sql = ", sessions.version FROM sessions JOIN users ON users.id = sessions.user_id WHERE sessions.id = ?1";
    read.first(&users::select(sql), [id], |row| {
        let user = users::map(row)?;
        let version: i64 = row.get(users::COLUMN_COUNT)?;
        let is_current = version == user.session_version;
        Ok(SignedIn { user, is_current })
    })
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

/// Removes what nobody can ask for any more. Run by the writer every hour; little at a time, because others wait.
pub(super) fn clear_away(tx: &Tx<'_>) -> Result<(), Error> {
    let now = Clock.now();
    let over = now.text();
    tx.execute("DELETE FROM sessions WHERE expires_at < ?1", [&over])?;
    tx.execute("DELETE FROM revocations WHERE expires_at < ?1", [&over])?;
    super::attachments::clear_unsent(tx, &now)?;
    let deleted: Vec<i64> = tx.all(
        "SELECT id FROM conversations WHERE deleted_at < ?1 ORDER BY deleted_at LIMIT 100",
        [now.plus_s(-DELETED_KEPT_S).text()],
        |row| row.get(0),
    )?;
    for conversation in deleted {
        // From the newest on. The other way SQLite goes from each message to the one that hangs on it, and gives up
        // ("triggers nested too deep") in a conversation of a thousand.
        let sql = "SELECT id FROM messages WHERE conversation_id = ?1 ORDER BY id DESC";
        let messages: Vec<i64> = tx.all(sql, [conversation], |row| row.get(0))?;
        for message in messages {
            tx.execute("DELETE FROM messages WHERE id = ?1", [message])?;
        }
        tx.execute("DELETE FROM conversations WHERE id = ?1", [conversation])?;
    }
    Ok(())
}
