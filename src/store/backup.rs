//! A copy of the whole database while it is in use, made on a connection of its own: neither readers nor the writer wait
//! for it. What was acknowledged before it began is in it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{Store, failed, open};
use crate::error::{Error, Kind};

impl Store {
    /// Copies the database into `to`, an empty file, and makes sure that the copy is whole.
    ///
    /// # Errors
    /// [`Kind::StorageFull`] when there is no room for it; those of the store.
    pub fn back_up(&self, to: &Path) -> Result<(), Error> {
        let name = to
            .to_str()
            .ok_or_else(|| Error::new(Kind::Unavailable, "The data folder's path is not UTF-8"))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let source = Connection::open_with_flags(&self.database, flags).map_err(failed)?;
        source.busy_timeout(open::BUSY_TIMEOUT).map_err(failed)?;
        let copied = source.execute("VACUUM INTO ?1", [name]);
        copied.map_err(failed).map_err(|error| match error.kind() {
            Kind::StorageFull => {
                let message = "There is no room on the server's disk for a copy of the database";
                Error::new(Kind::StorageFull, message).caused_by(error)
            }
            _ => error,
        })?;
        let copy = Connection::open_with_flags(to, flags).map_err(failed)?;
        let check: String = copy
            .query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))
            .map_err(failed)?;
        if check == "ok" {
            Ok(())
        } else {
            let message = "The copy of the database is damaged, and so, perhaps, is the database";
            Err(Error::new(Kind::Unavailable, message).caused_by(check))
        }
    }
}
