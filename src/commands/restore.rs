//! `fireside restore`: a backup in the place of the database. Nothing is deleted: what was there is put aside.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::lock::{Lock, check_owner, lock};
use super::part::remove;
use super::progress::Progress;
use super::serve::in_between;
use super::{Failed, interrupt, terminal};
use crate::backups::stamp;
use crate::cli::{Present, Restore, Settings};
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::store::{self, Act, Doer};
use crate::system;

/// What SQLite keeps beside a database, and the database, in the order in which they are moved: a log must never stand
/// beside a database that it does not belong to.
const BESIDE: [&str; 3] = ["-wal", "-shm", ""];

/// Puts a backup in the place of the database, once it has been copied beside it and checked.
///
/// # Errors
/// That a server runs, a database is there, or the file is no whole backup; those of the disk. Then nothing has changed.
pub(super) fn restore(settings: &Settings, restore: &Restore) -> Result<(), Failed> {
    let database = &settings.location.database;
    let backup = &restore.file;
    check_source(backup)?;
    check_owner(settings)?;
    let _lock = match lock(settings)? {
        Lock::Held(held) => held,
        Lock::Taken(Some(running)) => {
            let folder = settings.location.folder.display();
            let message = format!(
                "Fireside is running on {folder} at {}; stop it and restore again",
                running.url
            );
            return Err(Failed::from(Error::new(Kind::Conflict, message)));
        }
        Lock::Taken(None) => return Err(Failed::from(in_between(settings))),
    };
    let is_there = database.exists();
    if is_there && restore.present == Present::Kept {
        let message = format!(
            "There is a database at {} already; put it aside with --replace, or name another folder with --data",
            database.display()
        );
        return Err(Failed::from(Error::new(Kind::Conflict, message)));
    }
    let part = beside(database, ".restore.part");
    let removed = part.clone();
    let pending = interrupt::on_signal(move || remove(&removed));
    let checked = copy(backup, &part).and_then(|()| {
        let owner = Doer::owner(Clock.now().text());
        let whole = store::check_backup(&part).and_then(|()| store::note_in(&part, &owner, Act::DatabaseRestore));
        whole.map_err(|error| {
            // The copy is what was looked at; the backup is what people know.
            let why = error.to_string().replace(&part.display().to_string(), "it");
            // What the database says goes on with what to do about one that is in use.
            let why = why.split(". ").next().unwrap_or_default();
            let message = format!(
                "{} cannot be restored, and nothing was changed: {why}. Name another backup, or use the Fireside that wrote it",
                backup.display()
            );
            Error::new(error.kind(), message)
        })
    });
    if let Err(error) = checked {
        remove(&part);
        return Err(Failed::from(error));
    }
    let aside = beside(database, &format!(".replaced-{}", stamp(Clock.now())));
    drop(pending);
    // Between the first name and the last, no signal leaves it half done.
    let uninterrupted = interrupt::hold();
    let placed = put_in_place(database, &part, &aside);
    drop(uninterrupted);
    placed.map_err(|error| {
        let old = if aside.exists() { &aside } else { database };
        let message = format!(
            "The backup could not take the place of {}; it is at {}, and what was there is at {}",
            database.display(),
            part.display(),
            old.display()
        );
        Failed::from(Error::new(Kind::Unavailable, message).caused_by(error))
    })?;
    terminal::print(&format!("Restored {} to {}\n", backup.display(), database.display()));
    if is_there {
        terminal::note(&format!("What was there is now {}", aside.display()));
    }
    Ok(())
}

/// A file that is there, and complete in itself.
fn check_source(backup: &Path) -> Result<(), Failed> {
    if !backup.is_file() {
        let message = format!("{} cannot be read: there is no such file", backup.display());
        return Err(Failed::usage(Error::new(Kind::Malformed, message)));
    }
    if fs::metadata(beside(backup, "-wal")).is_ok_and(|log| log.len() > 0) {
        let message = format!(
            "{} is a database in use, whose newest part stands in a file beside it; make a backup of it with fireside backup",
            backup.display()
        );
        return Err(Failed::from(Error::new(Kind::Malformed, message)));
    }
    Ok(())
}

fn copy(backup: &Path, part: &Path) -> Result<(), Error> {
    remove(part);
    let copied = File::open(backup).and_then(|source| {
        let total = source.metadata()?.len();
        let progress = Progress::new("Copying", total, None);
        let mut file = system::create_private_file(part)?;
        io::copy(&mut progress.through(source), &mut file)?;
        file.sync_all()
    });
    copied.map_err(|error| {
        let (kind, advice) = if system::is_full(&error) {
            (Kind::StorageFull, "; make room on its disk")
        } else {
            (Kind::Unavailable, "")
        };
        let message = format!("{} cannot be copied to {}{advice}", backup.display(), part.display());
        Error::new(kind, message).caused_by(error)
    })
}

fn put_in_place(database: &Path, part: &Path, aside: &Path) -> io::Result<()> {
    let placed = place(database, part, aside);
    if placed.is_err() && part.exists() {
        // A database must not stand without its log.
        for suffix in BESIDE.into_iter().rev() {
            fs::rename(beside(aside, suffix), beside(database, suffix)).ok();
        }
    }
    placed
}

fn place(database: &Path, part: &Path, aside: &Path) -> io::Result<()> {
    for suffix in BESIDE {
        match fs::rename(beside(database, suffix), beside(aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // What looking at the copy may have left beside it.
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(beside(part, suffix)).ok();
    }
    fs::rename(part, database)?;
    system::sync_folder(database.parent().unwrap_or(Path::new(".")))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
