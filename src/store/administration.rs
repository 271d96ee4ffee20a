//! What administrators do: look at all accounts, change and remove them, and keep settings of the whole server.

use rusqlite::params;

use super::api_keys::delete_api_keys;
use super::housekeeping::{BATCH_ROWS_MAX, Left};
use super::{Admin, Page, Read, Tx, User, UserLimits, find_user_by_uuid, users};
use crate::error::{Error, Kind};

/// An account as administrators see it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The account itself.
    pub user: User,
    /// What its uploaded files take, in bytes.
    pub attachment_bytes: i64,
}

/// What an administrator changes about an account; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct AccountPatch {
    /// Whether it administers this server.
    pub admin: Option<Admin>,
    /// Whether it may sign in.
    pub access: Option<Access>,
    /// The name to show.
    pub display_name: Option<String>,
    /// PHC string.
    pub password_hash: Option<String>,
    /// Of each, whether it is changed, and to what.
    pub limits: LimitsPatch,
}

/// What an administrator changes about what a user may send and keep; `None` leaves a limit as it is, `Some(None)` is
/// everybody's.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitsPatch {
    /// Messages in a day (UTC); 0: no limit.
    pub messages_per_day: Option<Option<u32>>,
    /// US dollars that replies may cost in a calendar month (UTC); 0: no limit.
    pub budget_usd_month: Option<Option<f64>>,
    /// What all uploaded files may take together, in MiB.
    pub upload_quota_mib: Option<Option<u32>>,
}

impl LimitsPatch {
    fn applied_to(self, limits: UserLimits) -> UserLimits {
        UserLimits {
            messages_per_day: self.messages_per_day.unwrap_or(limits.messages_per_day),
            budget_usd_month: self.budget_usd_month.unwrap_or(limits.budget_usd_month),
            upload_quota_mib: self.upload_quota_mib.unwrap_or(limits.upload_quota_mib),
        }
    }
}

/// Whether an account may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It may.
    Enabled,
    /// It may not, and its sessions have ended.
    Disabled,
}

/// Accounts, oldest first.
///
/// # Errors
/// Those of the store.
pub fn list_accounts(read: &Read<'_>, page: Page) -> Result<Vec<Account>, Error> {
    let sql = users::select_with(
        "attachment_bytes",
        "FROM users WHERE removed_at IS NULL ORDER BY id LIMIT ?1 OFFSET ?2",
    );
    read.all(&sql, params![page.limit, page.offset], |row| {
        Ok(Account {
            user: users::map(row)?,
            attachment_bytes: row.get(users::COLUMN_COUNT)?,
        })
    })
}

/// How many accounts there are.
///
/// # Errors
/// Those of the store.
pub fn count_accounts(read: &Read<'_>) -> Result<i64, Error> {
    let sql = "SELECT count(*) FROM users WHERE removed_at IS NULL";
    Ok(read.first(sql, (), |row| row.get(0))?.unwrap_or(0))
}

/// One account.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn find_account(read: &Read<'_>, uuid: &str) -> Result<Account, Error> {
    let sql = users::select_with("attachment_bytes", "FROM users WHERE uuid = ?1 AND removed_at IS NULL");
    let found = read.first(&sql, [uuid], |row| {
        Ok(Account {
            user: users::map(row)?,
            attachment_bytes: row.get(users::COLUMN_COUNT)?,
        })
    })?;
    found.ok_or_else(missing)
}

fn missing() -> Error {
    Error::new(Kind::NotFound, "User not found")
}

/// Changes an account. A new password or a lock ends all of its sessions.
///
/// # Errors
/// [`Kind::NotFound`]; [`Kind::Conflict`] when nobody would be left who administers this server, or for what accounts of
/// other systems cannot have.
pub fn update_account(tx: &Tx<'_>, uuid: &str, patch: &AccountPatch, now: &str) -> Result<Account, Error> {
    let Account { user, .. } = find_account(tx, uuid)?;
    let is_foreign = user.external_id.is_some();
    if is_foreign && (patch.admin == Some(Admin::Yes) || patch.password_hash.is_some()) {
        let message = "This account is another system's: it has no password here and cannot administer this server";
        return Err(Error::new(Kind::Conflict, message));
    }
    let role = patch
        .admin
        .map(|admin| if admin == Admin::Yes { "admin" } else { "user" });
    let limits = patch.limits.applied_to(user.limits);
    let ends_sessions = patch.password_hash.is_some() || patch.access == Some(Access::Disabled);
    tx.execute(
        "UPDATE users SET role = coalesce(?2, role), display_name = coalesce(?3, display_name),
             password_hash = coalesce(?4, password_hash), session_version = session_version + ?5,
             disabled_at = CASE ?6 WHEN 1 THEN coalesce(disabled_at, ?7) WHEN 0 THEN NULL ELSE disabled_at END,
             messages_per_day = ?8, budget_usd_month = ?9, upload_quota_mib = ?10
         WHERE id = ?1",
        params![
            user.id,
            role,
            patch.display_name,
            patch.password_hash,
            ends_sessions,
            patch.access.map(|access| access == Access::Disabled),
            now,
            limits.messages_per_day,
            limits.budget_usd_month,
            limits.upload_quota_mib
        ],
    )?;
    if ends_sessions {
        tx.execute("DELETE FROM sessions WHERE user_id = ?1", [user.id])?;
    }
    // As when its owner changes the password: whoever knew the old one may have made keys.
    if patch.password_hash.is_some() {
        delete_api_keys(tx, user.id)?;
    }
    require_admin(tx, &user)?;
    find_account(tx, uuid)
}

/// Removes an account: nobody can sign in to it any more, and its names are free. What it holds goes in batches of
/// housekeeping. Returns the account as it was.
///
/// # Errors
/// [`Kind::NotFound`]; [`Kind::Conflict`] when nobody would be left who administers this server.
pub fn remove_account(tx: &Tx<'_>, uuid: &str, now: &str) -> Result<User, Error> {
    let Account { user, .. } = find_account(tx, uuid)?;
    // The foreign id keeps it from being counted among the accounts of this server.
    tx.execute(
        "UPDATE users SET external_id = 'removed ' || uuid, email = NULL, username = NULL, display_name = NULL,
             password_hash = NULL, system_prompt = NULL, settings = NULL, role = 'user',
             session_version = session_version + 1, disabled_at = ?2, removed_at = ?2
         WHERE id = ?1",
        params![user.id, now],
    )?;
    tx.execute("DELETE FROM sessions WHERE user_id = ?1", [user.id])?;
    delete_api_keys(tx, user.id)?;
    require_admin(tx, &user)?;
    Ok(user)
}

/// Whoever was no administrator before cannot have been the last.
fn require_admin(tx: &Tx<'_>, before: &User) -> Result<(), Error> {
    if before.admin != Admin::Yes || before.disabled {
        return Ok(());
    }
    let sql = "SELECT count(*) FROM users WHERE external_id IS NULL AND role = 'admin' AND disabled_at IS NULL";
    match tx.first(sql, (), |row| row.get::<_, i64>(0))? {
        Some(1..) => Ok(()),
        _ => {
            let message = "This is the last administrator who can sign in; make another one first";
            Err(Error::new(Kind::Conflict, message))
        }
    }
}

/// Prepares what a removed account holds for the batches that clear things away, or removes a batch of it itself; with
/// the last of it goes the account.
pub(super) fn clear_removed(tx: &Tx<'_>) -> Result<Left, Error> {
    let sql = "SELECT id FROM users WHERE removed_at IS NOT NULL LIMIT 1";
    let Some(user): Option<i64> = tx.first(sql, (), |row| row.get(0))? else {
        return Ok(Left::Nothing);
    };
    for sql in [
        // As if they had been deleted long ago.
        "UPDATE conversations SET deleted_at = '' WHERE id IN
             (SELECT id FROM conversations WHERE user_id = ?1 AND deleted_at IS NULL LIMIT ?2)",
        "UPDATE conversations SET deleted_at = '' WHERE id IN
             (SELECT id FROM conversations WHERE user_id = ?1 AND deleted_at > '' LIMIT ?2)",
        "UPDATE documents SET hidden_at = '' WHERE id IN
             (SELECT id FROM documents WHERE user_id = ?1 AND coalesce(hidden_at, '-') > '' LIMIT ?2)",
        "DELETE FROM usage_details WHERE id IN (SELECT id FROM usage_details WHERE user_id = ?1 LIMIT ?2)",
    ] {
        if tx.execute(sql, params![user, BATCH_ROWS_MAX])? > 0 {
            return Ok(Left::More);
        }
    }
    // The batches that come after this one in line take these.
    for sql in [
        "SELECT 1 FROM conversations WHERE user_id = ?1 LIMIT 1",
        "SELECT 1 FROM documents WHERE user_id = ?1 LIMIT 1",
    ] {
        if tx.first(sql, [user], |_| Ok(()))?.is_some() {
            return Ok(Left::Nothing);
        }
    }
    let sql = "DELETE FROM attachments WHERE id IN (SELECT id FROM attachments WHERE user_id = ?1 LIMIT ?2)";
    if tx.execute(sql, params![user, BATCH_ROWS_MAX])? == 0 {
        tx.execute("DELETE FROM users WHERE id = ?1", [user])?;
    }
    Ok(Left::More)
}

/// Whether an account is being cleared away.
pub(super) fn left(read: &Read<'_>) -> Result<Left, Error> {
    let sql = "SELECT 1 FROM users WHERE removed_at IS NOT NULL LIMIT 1";
    let found = read.first(sql, (), |_| Ok(()))?;
    Ok(found.map_or(Left::Nothing, |()| Left::More))
}

/// A setting of the whole server.
///
/// # Errors
/// Those of the store.
pub fn find_setting(read: &Read<'_>, key: &str) -> Result<Option<String>, Error> {
    read.first("SELECT value FROM settings WHERE key = ?1", [key], |row| row.get(0))
}

/// Keeps a setting of the whole server; `None` forgets it.
///
/// # Errors
/// Those of the store.
pub fn save_setting(tx: &Tx<'_>, key: &str, value: Option<&str>) -> Result<(), Error> {
    let sql = match value {
        Some(_) => "INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
        None => "DELETE FROM settings WHERE key = ?1 AND ?2 IS NULL",
    };
    tx.execute(sql, params![key, value]).map(drop)
}

/// Whose usage is meant, by the UUID that administrators know.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn find_user_id(read: &Read<'_>, uuid: &str) -> Result<i64, Error> {
    let user = find_user_by_uuid(read, uuid)?;
    user.map(|user| user.id).ok_or_else(missing)
}
