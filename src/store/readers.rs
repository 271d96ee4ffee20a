//! The pool of read-only connections. Each is taken for one query and given back at once.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{Read, failed, open};
use crate::error::{Error, Kind};
use crate::system;

/// How long a request waits for a connection. Queries take milliseconds, so five seconds mean that something is wrong.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Steps of SQLite's machine between two looks at the clock, where a query's time is limited: some hundredths of a
/// millisecond. FTS5 makes some whenever it reads a page of its index.
const STEPS_BETWEEN_LOOKS: i32 = 100;

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Idle>,
    returned: Condvar,
}

#[derive(Default)]
struct Idle {
    connections: Vec<Connection>,
    /// Those that there are, idle or not, and those that are being opened.
    opened: usize,
    /// Requests that wait for one. Nobody is woken without need: that is a system call each time.
    waiting: usize,
}

impl Readers {
    /// Nobody reads yet. Each connection is opened when all others are in use: SQLite reads the whole schema for it, and
    /// keeps that in memory.
    pub(super) fn new(path: &Path) -> Readers {
        Readers {
            path: path.to_owned(),
            idle: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    fn put(&self, connection: Connection) {
        let mut idle = self.idle();
        idle.connections.push(connection);
        let is_awaited = idle.waiting > 0;
        drop(idle);
        if is_awaited {
            self.returned.notify_one();
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&Read<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let lent = self.take()?;
        match &lent.connection {
            Some(connection) => work(&Read(connection)),
            None => Err(Error::new(Kind::Internal, "a lent connection is missing")),
        }
    }

    /// As [`Readers::with`], but stops what `work` asks when the time is over.
    pub(super) fn within<T, E: From<Error>>(
        &self,
        time_max: Duration,
        work: impl FnOnce(&Read<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut lent = self.take()?;
        lent.limit(time_max)?;
        match &lent.connection {
            Some(connection) => work(&Read(connection)),
            None => Err(Error::new(Kind::Internal, "a lent connection is missing").into()),
        }
    }

    fn take(&self) -> Result<Lent<'_>, Error> {
        let lent = |connection| Lent {
            pool: self,
            connection: Some(connection),
            is_limited: false,
        };
        let deadline = Instant::now() + WAIT_MAX;
        let mut may_open = true;
        let mut idle = self.idle();
        loop {
            if let Some(connection) = idle.connections.pop() {
                return Ok(lent(connection));
            }
            if may_open && idle.opened < system::reads_at_once() {
                idle.opened += 1;
                drop(idle);
                let error = match open::open_reader(&self.path) {
                    Ok(connection) => return Ok(lent(connection)),
                    Err(error) => error,
                };
                idle = self.idle();
                idle.opened -= 1;
                if idle.opened == 0 {
                    return Err(error);
                }
                log::warn!("a reader is missing: {error}");
                may_open = false;
                // One may have come back meanwhile.
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let error = Error::new(Kind::Unavailable, "The server is busy; try again");
                return Err(error.retry_after(1));
            }
            idle.waiting += 1;
            let waited = self.returned.wait_timeout(idle, left);
            idle = waited.unwrap_or_else(PoisonError::into_inner).0;
            idle.waiting -= 1;
        }
    }
}

/// A connection on loan. Comes back also when the query panics.
struct Lent<'p> {
    pool: &'p Readers,
    connection: Option<Connection>,
    is_limited: bool,
}

impl Lent<'_> {
    /// Stops whatever the connection is asked when the time is over.
    fn limit(&mut self, time_max: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + time_max;
        let is_over = move || Instant::now() >= deadline;
        self.is_limited = true;
        match &mut self.connection {
            Some(connection) => connection
                .progress_handler(STEPS_BETWEEN_LOOKS, Some(is_over))
                .map_err(failed),
            None => Ok(()),
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            if self.is_limited
                && let Err(error) = connection.progress_handler(0, None::<fn() -> bool>)
            {
                log::error!("a reader keeps its limit: {error}");
            }
            self.pool.put(connection);
        }
    }
}
