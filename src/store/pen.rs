//! The writer's connection: transactions on it, and what is done when the disk has failed under one.
//!
//! Of all failures a sync's is the worst. Linux reports it once, and takes what was not written for written from then on:
//! the next sync succeeds, over a log with a hole in it, and all that stands behind a hole is lost with the power. So the
//! log is given up: what it holds, which can still be read, is folded into the database, and a new one is begun. Until that
//! has succeeded nothing is stored.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

use super::{Read, Tx, code, failed};
use crate::error::{Error, Kind};

/// The writer's connection, and whether its log may have a hole.
pub(super) struct Pen<'c> {
    connection: &'c Connection,
    /// Counts what may have been written ([`super::writer::Writer::written`]).
    written: &'c AtomicU64,
    is_doubtful: Cell<bool>,
}

impl std::ops::Deref for Pen<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl<'c> Pen<'c> {
    pub(super) fn new(connection: &'c Connection, written: &'c AtomicU64) -> Pen<'c> {
        Pen {
            connection,
            written,
            is_doubtful: Cell::new(false),
        }
    }

    /// Begins a transaction, on a log without holes.
    pub(super) fn begin(&self) -> Result<(), Error> {
        if self.is_doubtful.get() {
            self.start_over()?;
        }
        run_sql(self, "BEGIN IMMEDIATE")
    }

    /// Ends a transaction: from here on others see what it has written, if it could be stored.
    pub(super) fn commit(&self) -> Result<(), Error> {
        let outcome = run_sql(self, "COMMIT");
        self.written.fetch_add(1, Ordering::Release);
        outcome
    }

    /// Ends a transaction that is not to be.
    pub(super) fn take_back<T>(&self, outcome: &Result<T, Error>) {
        if !self.is_autocommit()
            && let Err(error) = run_sql(self, "ROLLBACK")
        {
            log::error!("a rollback failed: {error}");
        }
        self.heed(outcome);
    }

    /// Looks whether it was a sync that failed. Then the log is given up at once, if that is possible: what was refused
    /// is in it, and a server that is killed now would find it there.
    fn heed<T>(&self, outcome: &Result<T, Error>) {
        if outcome.as_ref().is_err_and(is_sync) {
            self.is_doubtful.set(true);
            if let Err(error) = self.start_over() {
                log::error!("the disk has lost some of the log, and nothing is stored until it works again: {error}");
            }
        }
    }

    /// Folds the log into the database, as far as it was committed, and begins a new one.
    fn start_over(&self) -> Result<(), Error> {
        let is_busy: bool = self
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))
            .map_err(failed)?;
        if is_busy {
            let message =
                "The disk reported an error, and others are using what it has to repair. Nothing was stored; try again";
            return Err(Error::new(Kind::Unavailable, message).retry_after(1));
        }
        self.is_doubtful.set(false);
        Ok(())
    }
}

/// Whether this is a sync that failed.
fn is_sync(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    let sqlite = source.and_then(|source| source.downcast_ref::<rusqlite::Error>());
    sqlite.and_then(code) == Some(rusqlite::ffi::SQLITE_IOERR_FSYNC)
}

/// A transaction for one job.
pub(super) fn alone<T>(pen: &Pen<'_>, work: impl FnOnce(&Tx<'_>) -> Result<T, Error>) -> Result<T, Error> {
    pen.begin()?;
    begun(pen, work)
}

/// The same, once it has begun.
pub(super) fn begun<T>(pen: &Pen<'_>, work: impl FnOnce(&Tx<'_>) -> Result<T, Error>) -> Result<T, Error> {
    let outcome = guarded(pen, work).and_then(|value| pen.commit().map(|()| value));
    if outcome.is_err() {
        pen.take_back(&outcome);
    }
    outcome
}

/// Runs a job; its panic becomes its error.
pub(super) fn guarded<T>(connection: &Connection, work: impl FnOnce(&Tx<'_>) -> Result<T, Error>) -> Result<T, Error> {
    let tx = Tx(Read(connection));
    catch_unwind(AssertUnwindSafe(|| work(&tx)))
        .unwrap_or_else(|_| Err(Error::new(Kind::Internal, "a write job panicked")))
}

pub(super) fn run_sql(connection: &Connection, sql: &str) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    statement.execute(()).map(|_| ()).map_err(failed)
}
