//! A look at the database file for whoever wants to know how it is: nothing is changed, nothing is brought up to date.

use rusqlite::{Connection, OpenFlags};

use super::migrate::{SCHEMA, sections};
use super::open::{self, Location};
use crate::error::Error;

/// How a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The version of its schema.
    pub schema: i32,
    /// The version that this program brings a database to.
    pub newest_schema: i32,
    /// The first thing that SQLite finds to be wrong with it.
    pub damage: Option<String>,
}

/// Reads the whole file, also while a server uses it: about a second for each gigabyte. `None` when there is none yet.
///
/// # Errors
/// [`crate::error::Kind::Unavailable`]: it is not ours, or a newer version's, or cannot be read.
pub fn inspect(location: &Location) -> Result<Option<Inspection>, Error> {
    let path = &location.database;
    let newest_schema = sections(SCHEMA).last().map_or(0, |section| section.version);
    if !open::check_header(path, newest_schema)? {
        return Ok(None);
    }
    let look = || -> rusqlite::Result<Inspection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(open::BUSY_TIMEOUT)?;
        let schema = connection.query_row("PRAGMA user_version", (), |row| row.get(0))?;
        let found: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
        Ok(Inspection {
            schema,
            newest_schema,
            damage: (found != "ok").then_some(found),
        })
    };
    look().map(Some).map_err(|error| open::refused(path, error))
}
