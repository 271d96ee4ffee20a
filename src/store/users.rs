//! Accounts.

use rusqlite::{Row, params};

use super::{Read, Tx, UserLimits, violates};
use crate::error::{Error, Kind};

/// An account, without its secrets.
#[derive(Clone, Debug)]
pub struct User {
    /// The row's id; never leaves the house.
    pub id: i64,
    /// The id that clients see.
    pub uuid: String,
    /// The identity in another system's tokens, if the user comes from there.
    pub external_id: Option<String>,
    /// A chosen name; without one the e-mail address serves.
    pub username: Option<String>,
    /// The e-mail address (external users have none).
    pub email: Option<String>,
    /// The name to show.
    pub display_name: Option<String>,
    /// Whether the user administers this server.
    pub admin: Admin,
    /// Sessions of another version have ended.
    pub session_version: i64,
    /// Conversations that are not deleted.
    pub conversation_count: i64,
    /// The user's default system prompt.
    pub system_prompt: Option<String>,
    /// Whether an administrator has locked the account.
    pub disabled: bool,
    /// RFC 3339.
    pub created_at: String,
    /// What the user may send and keep, where that is not as for everybody.
    pub limits: UserLimits,
}

impl User {
    /// What people call the account.
    pub fn name(&self) -> &str {
        let names = [&self.username, &self.email, &self.external_id];
        names.into_iter().flatten().next().unwrap_or(&self.uuid)
    }
}

/// A user's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admin {
    /// May administer the server.
    Yes,
    /// May not.
    No,
    /// May if no local account exists yet; for [`NewUser`] only.
    IfFirst,
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The id that clients will see.
    pub uuid: String,
    /// Set for users of another system.
    pub external_id: Option<String>,
    /// A chosen name.
    pub username: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The name to show.
    pub display_name: Option<String>,
    /// PHC string.
    pub password_hash: Option<String>,
    /// Decided inside the transaction, so that of two first visitors one is the administrator.
    pub admin: Admin,
    /// RFC 3339.
    pub created_at: String,
}

/// What to change about an account; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct UserPatch {
    /// The name to show.
    pub display_name: Option<String>,
    /// The chosen name.
    pub username: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// PHC string.
    pub password_hash: Option<String>,
    /// The default system prompt.
    pub system_prompt: Option<String>,
}

const COLUMNS: &str = "users.id, users.uuid, users.external_id, users.username, users.email, \
    users.display_name, users.role = 'admin', users.session_version, users.conversation_count, \
    users.system_prompt, users.disabled_at IS NOT NULL, users.created_at, \
    users.messages_per_day, users.budget_usd_month, users.upload_quota_mib";

/// How many of [`COLUMNS`] there are: a join's own columns come after them.
pub(super) const COLUMN_COUNT: usize = 15;

pub(super) fn select(rest: &str) -> String {
    format!("SELECT {COLUMNS} {rest}")
}

/// The same with one more column behind them.
pub(super) fn select_with(column: &str, rest: &str) -> String {
    format!("SELECT {COLUMNS}, {column} {rest}")
}

pub(super) fn map(row: &Row<'_>) -> rusqlite::Result<User> {
    let admin = if row.get(6)? { Admin::Yes } else { Admin::No };
    Ok(User {
        id: row.get(0)?,
        uuid: row.get(1)?,
        external_id: row.get(2)?,
        username: row.get(3)?,
        email: row.get(4)?,
        display_name: row.get(5)?,
        admin,
        session_version: row.get(7)?,
        conversation_count: row.get(8)?,
        system_prompt: row.get(9)?,
        disabled: row.get(10)?,
        created_at: row.get(11)?,
        limits: UserLimits {
            messages_per_day: row.get(12)?,
            budget_usd_month: row.get(13)?,
            upload_quota_mib: row.get(14)?,
        },
    })
}

/// Makes an account.
///
/// # Errors
/// [`Kind::Conflict`] when the e-mail address, user name or external id is taken.
pub fn insert_user(tx: &Tx<'_>, new: &NewUser) -> Result<User, Error> {
    let admin = match new.admin {
        Admin::Yes => true,
        Admin::No => false,
        Admin::IfFirst => count_users(tx)? == 0,
    };
    let id = tx
        .insert(
            "INSERT INTO users (uuid, external_id, username, email, display_name, password_hash, role, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                new.uuid,
                new.external_id,
                new.username,
                new.email,
                new.display_name,
                new.password_hash,
                if admin { "admin" } else { "user" },
                new.created_at
            ],
        )
        .map_err(taken)?;
    find_user_by_id(tx, id)?.ok_or_else(|| Error::new(Kind::Internal, "a new user is missing"))
}

fn taken(error: Error) -> Error {
    if violates(&error, "users.email") {
        Error::new(Kind::Conflict, "Email already registered")
    } else if violates(&error, "users.username") {
        Error::new(Kind::Conflict, "Username already registered")
    } else if violates(&error, "users.external_id") {
        Error::new(Kind::Conflict, "User already exists")
    } else {
        error
    }
}

/// Changes an account. A new password ends every session that does not have the new version (see [`super::end_other_sessions`]).
///
/// # Errors
/// [`Kind::Conflict`] when the e-mail address or user name is taken; [`Kind::NotFound`].
pub fn update_user(tx: &Tx<'_>, id: i64, patch: &UserPatch) -> Result<User, Error> {
    let changed = tx
        .execute(
            "UPDATE users SET display_name = coalesce(?2, display_name), username = coalesce(?3, username),
                 email = coalesce(?4, email), password_hash = coalesce(?5, password_hash),
                 session_version = session_version + (?5 IS NOT NULL),
                 system_prompt = coalesce(?6, system_prompt)
             WHERE id = ?1",
            params![
                id,
                patch.display_name,
                patch.username,
                patch.email,
                patch.password_hash,
                patch.system_prompt
            ],
        )
        .map_err(taken)?;
    match find_user_by_id(tx, id)? {
        Some(user) if changed == 1 => Ok(user),
        _ => Err(Error::new(Kind::NotFound, "User not found")),
    }
}

/// The account with this row id.
///
/// # Errors
/// Those of the store.
pub fn find_user_by_id(read: &Read<'_>, id: i64) -> Result<Option<User>, Error> {
    read.first(&select("FROM users WHERE id = ?1"), [id], map)
}

/// The account with this UUID.
///
/// # Errors
/// Those of the store.
pub fn find_user_by_uuid(read: &Read<'_>, uuid: &str) -> Result<Option<User>, Error> {
    read.first(&select("FROM users WHERE uuid = ?1"), [uuid], map)
}

/// The account of another system's user.
///
/// # Errors
/// Those of the store.
pub fn find_user_by_external_id(read: &Read<'_>, id: &str) -> Result<Option<User>, Error> {
    read.first(&select("FROM users WHERE external_id = ?1"), [id], map)
}

/// The account that signs in with this e-mail address or user name, and its password's hash.
///
/// # Errors
/// Those of the store.
pub fn find_user_by_login(read: &Read<'_>, login: &str) -> Result<Option<(User, Option<String>)>, Error> {
    // A chosen user name holds no "@", so no name can stand for somebody's address.
    let sql = format!("SELECT {COLUMNS}, password_hash FROM users WHERE email = ?1 OR username = ?1");
    read.first(&sql, [login], |row| Ok((map(row)?, row.get(COLUMN_COUNT)?)))
}

/// The account that the owner of the machine is taken for: the first administrator who can sign in, else the only account
/// that can.
///
/// # Errors
/// [`Kind::NotFound`] when there is no account; [`Kind::Conflict`] when there are several and none is an administrator's.
pub fn find_account_of_owner(read: &Read<'_>) -> Result<User, Error> {
    let sql = select(
        "FROM users WHERE removed_at IS NULL AND disabled_at IS NULL
         ORDER BY external_id IS NULL AND role = 'admin' DESC, id LIMIT 2",
    );
    let mut first = read.all(&sql, (), map)?.into_iter();
    match (first.next(), first.next()) {
        (None, _) => {
            let message = "There is no account that can sign in; make one with fireside user add EMAIL --admin";
            Err(Error::new(Kind::NotFound, message))
        }
        (Some(user), Some(_)) if user.admin != Admin::Yes => {
            let message = "There are several accounts, and none is an administrator's; say which with --account EMAIL";
            Err(Error::new(Kind::Conflict, message))
        }
        (Some(user), _) => Ok(user),
    }
}

/// How many administrators there are.
///
/// # Errors
/// Those of the store.
pub fn count_admins(read: &Read<'_>) -> Result<i64, Error> {
    let sql = "SELECT count(*) FROM users WHERE external_id IS NULL AND role = 'admin'";
    Ok(read.first(sql, (), |row| row.get(0))?.unwrap_or(0))
}

/// How many local accounts there are (users of other systems do not count: they cannot administer this one).
///
/// # Errors
/// Those of the store.
pub fn count_users(read: &Read<'_>) -> Result<i64, Error> {
    let sql = "SELECT count(*) FROM users WHERE external_id IS NULL";
    Ok(read.first(sql, (), |row| row.get(0))?.unwrap_or(0))
}
