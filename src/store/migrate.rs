//! The schema: its sections, and bringing an older database up to date with a copy of it kept beside it.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::failed;
use super::open::{newer, refused};
use crate::error::{Error, Kind};
use crate::system;

/// The schema, embedded.
pub(super) const SCHEMA: &str = include_str!("../../schema.sql");

/// One `-- vN: reason` section of the schema.
pub(super) struct Section<'s> {
    pub(super) version: i32,
    sql: &'s str,
}

/// Splits the schema at its headings.
pub(super) fn sections(schema: &str) -> Vec<Section<'_>> {
    let mut next = 0;
    let lines = schema.split_inclusive('\n').map(|line| {
        let at = next;
        next += line.len();
        (at, line)
    });
    let headings = lines.filter_map(|(at, line)| {
        let (number, _) = line.strip_prefix("-- v")?.split_once(':')?;
        Some((at, number.parse().ok()?))
    });
    let starts: Vec<(usize, i32)> = headings.collect();
    let ends = starts.iter().skip(1).map(|start| start.0).chain([schema.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&(start, version), end)| Section {
            version,
            sql: &schema[start..end],
        })
        .collect()
}

/// Brings the schema up to date in one transaction, after a snapshot beside the database if there is anything to lose.
pub(super) fn migrate(connection: &mut Connection, sections: &[Section<'_>], path: &Path) -> Result<(), Error> {
    let failed = |error| failed(error).about(&path.display().to_string());
    let newest = sections.last().map_or(0, |section| section.version);
    let current: i32 = connection
        .query_row("PRAGMA user_version", (), |row| row.get(0))
        .map_err(|error| refused(path, error))?;
    if current == newest {
        return Ok(());
    }
    if current > newest {
        return Err(newer(path, current));
    }
    if current > 0 {
        snapshot(connection, path, current)?;
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    for section in sections.iter().filter(|section| section.version > current) {
        transaction.execute_batch(section.sql).map_err(|error| {
            let message = format!(
                "The database could not be brought to schema {}. Nothing was changed",
                section.version
            );
            Error::new(Kind::Unavailable, message).caused_by(error)
        })?;
    }
    if current == 0 {
        let installation = uuid::Uuid::new_v4().simple().to_string();
        transaction
            .execute(
                "INSERT INTO settings (key, value) VALUES ('installation', ?1)",
                [&installation[..8]],
            )
            .map_err(failed)?;
    }
    transaction
        .execute(
            "INSERT INTO settings (key, value) VALUES ('written_by', ?1)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [env!("CARGO_PKG_VERSION")],
        )
        .map_err(failed)?;
    transaction
        .pragma_update(None, "user_version", newest)
        .map_err(failed)?;
    let check: String = transaction
        .query_row("PRAGMA integrity_check", (), |row| row.get(0))
        .map_err(failed)?;
    if check != "ok" {
        // Dropping the transaction rolls it back: the file is as it was.
        let message = format!("The database is damaged ({check}). Nothing was changed; restore a backup");
        return Err(Error::new(Kind::Unavailable, message));
    }
    transaction.commit().map_err(failed)?;
    // The version must be in the file itself: `check_header` reads it from there.
    let truncated = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
    truncated.map_err(failed)
}

/// Copies the database beside itself before a migration, in place of what an earlier attempt may have left: the
/// database may have changed since.
fn snapshot(connection: &Connection, path: &Path, version: i32) -> Result<(), Error> {
    let copy = beside(path, &format!(".before-v{}", version + 1));
    // A start that is killed here leaves half a copy, so only a whole one that is on disk gets the name.
    let half = beside(path, ".before.part");
    let made = copy_whole(connection, &half).and_then(|()| {
        std::fs::rename(&half, &copy)?;
        system::sync_folder(copy.parent().unwrap_or(Path::new(".")))
    });
    made.map_err(|error| {
        // The space it took may be what was missing. If this fails, the next start removes it.
        std::fs::remove_file(&half).ok();
        let message = format!(
            "The database could not be copied to {} before its migration",
            copy.display()
        );
        Error::new(Kind::Unavailable, message).caused_by(error)
    })
}

fn copy_whole(connection: &Connection, to: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(to) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let name = to
        .to_str()
        .ok_or_else(|| std::io::Error::other("the path is not UTF-8"))?;
    connection
        .execute("VACUUM INTO ?1", [name])
        .map_err(std::io::Error::other)?;
    // SQLite does not wait for the disk here. For writing: Windows syncs no other kind of file.
    File::options().write(true).open(to)?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::super::open::{check_header, prepare_writer};
    use super::*;

    const SECOND: &str = "-- v1: first\nCREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT);\nCREATE TABLE a (x);\n\
                          -- v2: second\nALTER TABLE a ADD COLUMN y;\n";

    /// A database in a folder of its own, with the first section of a schema and one row.
    fn first(name: &str, sections: &[Section<'_>]) -> (PathBuf, Connection) {
        let folder = std::env::temp_dir().join(format!("fireside-migrate-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("fireside.db");
        let mut connection = Connection::open(&path).unwrap();
        prepare_writer(&connection, true).unwrap();
        migrate(&mut connection, &sections[..1], &path).unwrap();
        connection.execute("INSERT INTO a VALUES (7)", ()).unwrap();
        (path, connection)
    }

    fn remove(path: &Path) {
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    fn rows(path: &Path) -> i64 {
        let copy = Connection::open(path).unwrap();
        copy.query_row("SELECT count(*) FROM a", (), |row| row.get(0)).unwrap()
    }

    #[test]
    fn schema_sections_are_numbered_from_one() {
        let versions: Vec<i32> = sections(SCHEMA).iter().map(|section| section.version).collect();
        let expected: Vec<i32> = (1..).take(versions.len()).collect();
        assert_eq!(versions, expected);
    }

    #[test]
    fn a_database_of_the_first_version_becomes_as_a_new_one() {
        let all = sections(SCHEMA);
        let folder = std::env::temp_dir().join(format!("fireside-migrate-{}-first", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let schema = |connection: &Connection| -> Vec<(String, String)> {
            let sql = "SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name";
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        };
        let make = |name: &str, steps: &[usize]| {
            let path = folder.join(name);
            let mut connection = Connection::open(&path).unwrap();
            prepare_writer(&connection, true).unwrap();
            for &count in steps {
                migrate(&mut connection, &all[..count], &path).unwrap();
            }
            connection
        };
        let new = make("new.db", &[all.len()]);
        let steps: Vec<usize> = (1..=all.len()).collect();
        let old = make("old.db", &steps[..1]);
        let user = "INSERT INTO users (uuid, role, created_at) VALUES ('u', 'user', '2026-01-01')";
        old.execute(user, ()).unwrap();
        old.execute_batch(
            "INSERT INTO conversations (uuid, user_id, title, created_at, updated_at) VALUES ('c', 1, 't', '', '');
             INSERT INTO messages (uuid, conversation_id, user_id, role, content, created_at)
             VALUES ('m', 1, 1, 'user', 'hello', '')",
        )
        .unwrap();
        drop(old);
        let old = make("old.db", &steps);
        assert_eq!(schema(&old), schema(&new));
        let kept: i64 = old
            .query_row("SELECT count(*) FROM users", (), |row| row.get(0))
            .unwrap();
        assert_eq!(kept, 1);
        // What was there before is to be indexed.
        let queued: String = old
            .query_row("SELECT group_concat(id) FROM search_queue", (), |row| row.get(0))
            .unwrap();
        assert_eq!(queued, "-1,1");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_older_schema_is_snapshotted_and_migrated() {
        let sections = sections(SECOND);
        let (path, mut connection) = first("older", &sections);
        migrate(&mut connection, &sections, &path).unwrap();
        let kept: i64 = connection
            .query_row("SELECT x FROM a WHERE y IS NULL", (), |row| row.get(0))
            .unwrap();
        assert_eq!(kept, 7);
        assert_eq!(rows(&beside(&path, ".before-v2")), 1);
        assert!(check_header(&path, 2).unwrap());
        let error = check_header(&path, 1).unwrap_err().to_string();
        assert!(error.contains("schema 2"), "{error}");
        remove(&path);
    }

    #[test]
    fn a_failing_migration_changes_nothing() {
        let failing = format!("{SECOND}ALTER TABLE nowhere ADD COLUMN z;\n");
        let sections = sections(&failing);
        let (path, mut connection) = first("failing", &sections);
        assert!(migrate(&mut connection, &sections, &path).is_err());
        assert!(connection.prepare("SELECT y FROM a").is_err());
        let version: i32 = connection
            .query_row("PRAGMA user_version", (), |row| row.get(0))
            .unwrap();
        assert_eq!(version, 1);
        remove(&path);
    }

    #[test]
    fn what_earlier_attempts_left_is_no_snapshot() {
        let sections = sections(SECOND);
        let (path, mut connection) = first("earlier", &sections);
        let (copy, half) = (beside(&path, ".before-v2"), beside(&path, ".before.part"));
        // One was killed while it copied; one copied, failed, and messages were written after it.
        std::fs::write(&half, b"SQLite format 3\0 and no more").unwrap();
        snapshot(&connection, &path, 1).unwrap();
        std::fs::write(&half, b"").unwrap();
        connection.execute("INSERT INTO a VALUES (8)", ()).unwrap();
        migrate(&mut connection, &sections, &path).unwrap();
        assert_eq!(rows(&copy), 2);
        assert!(!half.exists());
        remove(&path);
    }

    #[test]
    fn without_a_snapshot_nothing_is_migrated() {
        let sections = sections(SECOND);
        let (path, mut connection) = first("without", &sections);
        // What stands in its place cannot be replaced.
        std::fs::create_dir_all(beside(&path, ".before-v2").join("taken")).unwrap();
        let error = migrate(&mut connection, &sections, &path).unwrap_err().to_string();
        assert!(error.contains(".before-v2"), "{error}");
        assert!(connection.prepare("SELECT y FROM a").is_err());
        assert!(!beside(&path, ".before.part").exists());
        remove(&path);
    }
}
