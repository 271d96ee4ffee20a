//! What users set for themselves in a client: one JSON object each, which nothing here looks into.

use rusqlite::params;

use super::{Read, Tx};
use crate::error::Error;

/// A user's settings as JSON; none if they have set nothing.
///
/// # Errors
/// Those of the store.
pub fn find_settings(read: &Read<'_>, user_id: i64) -> Result<Option<String>, Error> {
    let found = read.first("SELECT settings FROM users WHERE id = ?1", [user_id], |row| row.get(0))?;
    Ok(found.flatten())
}

/// Replaces a user's settings with this JSON.
///
/// # Errors
/// Those of the store.
pub fn update_settings(tx: &Tx<'_>, user_id: i64, settings: &str) -> Result<(), Error> {
    tx.execute(
        "UPDATE users SET settings = ?2 WHERE id = ?1",
        params![user_id, settings],
    )?;
    Ok(())
}
