//! A copy of the whole database while it is in use, made on a connection of its own: neither readers nor the writer wait
//! for it. What was acknowledged before it began is in it. Attachments are rows, so that the copy is one file and whole.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::migrate::{SCHEMA, sections};
use super::{Act, Doer, Read, Store, Subject, Tx, failed, insert_entry, open};
use crate::error::{Error, Kind};

impl Store {
    /// Copies the database into `to`, an empty file, and makes sure that the copy is whole.
    ///
    /// # Errors
    /// Those of [`copy_database`].
    pub fn back_up(&self, to: &Path) -> Result<(), Error> {
        copy_database(&self.database, to)
    }
}

/// Copies a database, which others may be using, into `to`, an empty file, and makes sure that the copy is whole.
///
/// # Errors
/// [`Kind::StorageFull`] when there is no room for it; those of the store.
pub fn copy_database(from: &Path, to: &Path) -> Result<(), Error> {
    let name = to.to_str();
    let name = name.ok_or_else(|| Error::new(Kind::Unavailable, "The path of the copy is not UTF-8"))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(failed)?;
    source.busy_timeout(open::BUSY_TIMEOUT).map_err(failed)?;
    let copied = source.execute("VACUUM INTO ?1", [name]);
    copied.map_err(failed).map_err(|error| match error.kind() {
        Kind::StorageFull => {
            let message = "There is no room on the disk for a copy of the database; make some";
            Error::new(Kind::StorageFull, message).caused_by(error.message().to_owned())
        }
        _ => error,
    })?;
    // Windows syncs no file that is open for reading only.
    let synced = std::fs::File::options()
        .write(true)
        .open(to)
        .and_then(|file| file.sync_all());
    synced.map_err(|error| Error::new(Kind::Unavailable, "The copy is not on disk").caused_by(error))?;
    if check(to)? {
        Ok(())
    } else {
        let message = "The copy of the database is damaged, and so, perhaps, is the database";
        Err(Error::new(Kind::Unavailable, message))
    }
}

/// Whether a file is a whole database of ours that this version can use. Nobody else may be using it.
///
/// # Errors
/// [`Kind::Malformed`] or [`Kind::Unavailable`] with what it is instead: another file, a newer version's, a damaged one.
pub fn check_backup(path: &Path) -> Result<(), Error> {
    let newest = sections(SCHEMA).last().map_or(0, |section| section.version);
    if !open::check_header(path, newest)? {
        return Err(Error::new(Kind::Malformed, format!("{} is empty", path.display())));
    }
    match check(path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::new(Kind::Malformed, format!("{} is damaged", path.display()))),
        Err(error) => Err(Error::new(Kind::Malformed, format!("{} is damaged", path.display())).caused_by(error)),
    }
}

/// Writes into the log of a database that nobody else is using. One from before there was a log stays as it is.
///
/// # Errors
/// Those of the store.
pub fn note_in(path: &Path, doer: &Doer, act: Act) -> Result<(), Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags).map_err(failed)?;
    let tx = Tx(Read(&database));
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'audit'";
    match tx.first(sql, (), |_| Ok(()))? {
        Some(()) => insert_entry(&tx, doer, act, &Subject::default(), Vec::new()),
        None => Ok(()),
    }
}

/// Whether the pages of a database hang together. What indexes hold is not compared with what tables do: that takes as
/// long again for every index.
fn check(path: &Path) -> Result<bool, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let copy = Connection::open_with_flags(path, flags).map_err(failed)?;
    let found: String = copy
        .query_row("PRAGMA quick_check(1)", (), |row| row.get(0))
        .map_err(failed)?;
    Ok(found == "ok")
}
