//! Opening the database file: is it ours, can we read it, and what must hold before anyone uses it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::migrate::{SCHEMA, migrate, sections};
use crate::error::{Error, Kind};

/// The database's name inside a data directory.
pub const DATABASE_FILE: &str = "fireside.db";

/// "Fire" in ASCII: `PRAGMA application_id` marks a file as ours.
const APPLICATION_ID: i32 = 0x4669_7265;

/// How long SQLite waits for another process's lock before it says "busy". Longer than a backup tool holds one,
/// shorter than [`super::writer`]'s deadline.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages of 4 KiB in the write-ahead log after which they are folded into the database: 4 MiB. A message that comes
/// alone is some 60 KiB of log, whatever this is; folding in four times as seldom spares 2 % of what is written to disk,
/// four times as often costs 6 %, and a large log is what a start after a power cut has to read.
pub(super) const FOLD_IN_AFTER_PAGES: i64 = 1000;

/// Bytes of the log that stay on disk when one large piece of writing has made it longer.
const LOG_BYTES_KEPT: i64 = 16 * 1024 * 1024;

/// Where the database, and with it the secret and the lock, stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The database file.
    pub database: PathBuf,
    /// Its folder: the secret and the lock stand beside the database.
    pub folder: PathBuf,
}

/// A database that may be written to.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) installation: String,
}

/// SQLite counts every byte of memory that it takes, for figures that nobody asks for, under one lock that all its
/// connections share; and it sets pages aside for each of them, which are written to when it is opened, though many a
/// connection never fills them. Must come before the first of them, and holds from then on.
fn spare_memory() {
    use rusqlite::ffi;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[expect(
            unsafe_code,
            reason = "sqlite3_config(2) takes numbers here, and no memory of ours; without effect once SQLite is in use"
        )]
        // SAFETY: the first option takes an int, the second a pointer that may be null and two ints.
        let codes = unsafe {
            [
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0),
                ffi::sqlite3_config(
                    ffi::SQLITE_CONFIG_PAGECACHE,
                    std::ptr::null_mut::<std::ffi::c_void>(),
                    0,
                    0,
                ),
            ]
        };
        if codes.iter().any(|code| *code != ffi::SQLITE_OK) {
            log::debug!("SQLite goes on counting its memory and setting pages aside");
        }
    });
}

/// Opens, creates or migrates the database.
pub(super) fn open(path: &Path) -> Result<Opened, Error> {
    spare_memory();
    let sections = sections(SCHEMA);
    let newest = sections.last().map_or(0, |section| section.version);
    let is_new = !check_header(path, newest)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| refused(path, error))?;
    prepare_writer(&connection, is_new).map_err(|error| refused(path, error))?;
    migrate(&mut connection, &sections, path)?;
    let installation = connection
        .query_row("SELECT value FROM settings WHERE key = 'installation'", (), |row| {
            row.get(0)
        })
        .map_err(|error| refused(path, error))?;
    Ok(Opened {
        connection,
        installation,
    })
}

/// A read-only connection with its caches warm: SQLite opens the write-ahead log's descriptor with the first query,
/// which would fail once descriptors have run out.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        keep_plans(&connection)?;
        // 512 KiB a connection: the file system's cache behind it is shared, this one is not.
        connection.execute_batch("PRAGMA cache_size = -512; PRAGMA mmap_size = 0; PRAGMA query_only = 1;")?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.query_row("SELECT count(*) FROM settings", (), |_| Ok(()))?;
        Ok(connection)
    };
    open().map_err(|error| refused(path, error))
}

/// Plans do not depend on the values that are bound. Otherwise SQLite plans a cached statement anew whenever it is
/// bound again (a third of the time of listing conversations).
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
}

/// The pragmas of the writer. `busy_timeout` first, since the others may already meet a lock.
pub(super) fn prepare_writer(connection: &Connection, is_new: bool) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    keep_plans(connection)?;
    if is_new {
        // Before WAL: so the mark is in the file itself and not only in its log.
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    connection.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA mmap_size = 0;
         PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY;",
    )?;
    connection.pragma_update(None, "wal_autocheckpoint", FOLD_IN_AFTER_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Reads the file's first bytes without SQLite, so that a file that is not ours is not touched at all.
/// Returns whether there is a database of ours.
pub(super) fn check_header(path: &Path, newest: i32) -> Result<bool, Error> {
    let mut header = [0; 72];
    // For writing too: SQLite would open a read-only file as such, and leave files beside it that nobody can write to.
    let mut file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(refused(path, error)),
    };
    let length = file.metadata().map_err(|error| refused(path, error))?.len();
    if length == 0 {
        return Ok(false);
    }
    let ours = file.read_exact(&mut header).is_ok()
        && header.starts_with(b"SQLite format 3\0")
        && big_endian(&header, 68) == APPLICATION_ID;
    if !ours {
        let message = format!(
            "{} is not a Fireside database, so it was left untouched. Name another folder with --data",
            path.display()
        );
        return Err(Error::new(Kind::Unavailable, message));
    }
    let version = big_endian(&header, 60);
    if version > newest {
        return Err(newer(path, version));
    }
    Ok(true)
}

fn big_endian(header: &[u8; 72], at: usize) -> i32 {
    i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

pub(super) fn newer(path: &Path, version: i32) -> Error {
    // "immutable": this look must not create or change anything beside the file either.
    let name = path.display().to_string();
    let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let uri = format!("file:{name}?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let writer: Option<String> = Connection::open_with_flags(uri, flags)
        .and_then(|connection| {
            let sql = "SELECT value FROM settings WHERE key = 'written_by'";
            connection.query_row(sql, (), |row| row.get(0))
        })
        .ok();
    let writer = writer.unwrap_or_else(|| "a newer version".into());
    let message = format!(
        "{} has schema {version}, written by Fireside {writer}; this is {}. Nothing was changed; run the newer version",
        path.display(),
        env!("CARGO_PKG_VERSION"),
    );
    Error::new(Kind::Unavailable, message)
}

pub(super) fn refused(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = format!("The database {} cannot be opened", path.display());
    Error::new(Kind::Unavailable, message).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_file_is_left_untouched() {
        let folder = std::env::temp_dir().join(format!("fireside-open-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("ai_chat.db");
        let foreign = Connection::open(&path).unwrap();
        foreign.execute_batch("CREATE TABLE theirs (x)").unwrap();
        drop(foreign);
        let before = std::fs::read(&path).unwrap();
        let error = check_header(&path, 1).unwrap_err().to_string();
        assert!(error.contains("not a Fireside database"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
