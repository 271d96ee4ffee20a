//! Files and folders that get their names once they are whole. What does not come so far goes away, also when a signal comes, and what
//! a killed command has left goes with the next one. Nothing that somebody else has put there is removed or overwritten.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::interrupt::{self, Pending};
use crate::error::{Error, Kind};
use crate::system;

/// What the names of parts have before their digits, and behind them.
const MARK: &str = ".fireside-";
const ENDING: &str = ".part";

/// What SQLite's files beside a database have behind its name.
const BESIDE: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Digits of a part's name.
const DIGITS: usize = 32;

/// A part that nobody has written to for so long is nobody's: the slowest disk is not as slow.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// A file that has not got its name yet.
pub(super) struct Part {
    path: PathBuf,
    _pending: Pending,
}

impl Part {
    /// A name beside a file that no other file has.
    pub(super) fn beside(file: &Path) -> Part {
        let folder = file.parent().unwrap_or(Path::new(""));
        clear_abandoned(folder);
        // Put together anew: a folder may be named with a slash behind it.
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(ending());
        let path = folder.join(name);
        let gone = path.clone();
        Part {
            path,
            _pending: interrupt::on_signal(move || remove(&gone)),
        }
    }

    /// Where it stands meanwhile.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, for its owner alone.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn create(&self) -> io::Result<File> {
        system::create_private_file(&self.path)
    }

    /// Gives it its name, unless something has that name by now.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`]; the system's.
    pub(super) fn name(self, file: &Path) -> io::Result<()> {
        match fs::hard_link(&self.path, file) {
            Ok(()) => fs::remove_file(&self.path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // Not every file system has hard links.
            Err(_) if file.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(&self.path, file),
        }
    }

    /// The same for a folder, which nothing else may stand in the place of.
    ///
    /// # Errors
    /// As for [`Part::name`].
    pub(super) fn name_folder(self, folder: &Path) -> io::Result<()> {
        if folder.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(&self.path, folder)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Why a file could not be written, and what to do.
pub(super) fn unwritable(path: &Path, error: io::Error) -> Error {
    let (kind, advice) = match error.kind() {
        _ if system::is_full(&error) => (Kind::StorageFull, "make room, or name a file on another disk"),
        io::ErrorKind::NotFound => (
            Kind::Unavailable,
            "make its folder first, or name a file in another one",
        ),
        io::ErrorKind::AlreadyExists => (Kind::Conflict, "somebody else has made it meanwhile: name another file"),
        io::ErrorKind::UnexpectedEof => (
            Kind::Unavailable,
            "the server broke off: try again, and look at its log",
        ),
        _ => (Kind::Unavailable, "name a file in a folder that you may write to"),
    };
    let message = format!("{} cannot be written; {advice}", path.display());
    Error::new(kind, message).caused_by(error)
}

/// Removes a file that may be a database, with what SQLite keeps beside one; or a folder with all that is in it.
pub(super) fn remove(path: &Path) {
    if fs::remove_file(path).is_err() && path.is_dir() {
        // Under another name first: whoever still fills it, while a signal ends the process, does not find it any more.
        let gone = path.with_file_name(ending());
        let gone = fs::rename(path, &gone).map_or(path, |()| gone.as_path());
        // One file may just have been on its way there.
        for _ in 0..3 {
            if fs::remove_dir_all(gone).is_ok() {
                break;
            }
        }
    }
    for suffix in BESIDE {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        fs::remove_file(PathBuf::from(beside)).ok();
    }
}

/// What tells a part's name from all others.
fn ending() -> String {
    format!("{MARK}{}{ENDING}", uuid::Uuid::new_v4().simple())
}

/// Whether a part of ours has this name.
fn is_part(name: &str) -> bool {
    let of = BESIDE.iter().find_map(|suffix| name.strip_suffix(suffix));
    let name = of.unwrap_or(name);
    let digits = name.strip_suffix(ENDING).and_then(|name| name.rsplit_once(MARK));
    digits.is_some_and(|(_, digits)| digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Removes what commands that were killed have left in a folder.
fn clear_abandoned(folder: &Path) {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(is_part) {
            continue;
        }
        let written = entry.metadata().and_then(|about| about.modified()).ok();
        if written
            .and_then(|time| time.elapsed().ok())
            .is_some_and(|age| age > ABANDONED_AFTER)
        {
            remove(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("fireside-part-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_is_there_by_now_stays() {
        let folder = folder("there");
        let file = folder.join("export.json");
        let part = Part::beside(&file);
        assert_ne!(part.path(), Part::beside(&file).path());
        fs::write(part.path(), "ours").unwrap();
        part.name(&file).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        let part = Part::beside(&file);
        fs::write(part.path(), "later").unwrap();
        assert_eq!(part.name(&file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).unwrap(), "ours");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_part_stands_beside_what_it_will_be() {
        for (file, beginning) in [
            ("/a/new/", "/a/new.fireside-"),
            ("/a/new", "/a/new.fireside-"),
            ("new/", "new.fireside-"),
        ] {
            let path = Part::beside(Path::new(file)).path().display().to_string();
            assert!(path.starts_with(beginning), "{path}");
        }
    }

    #[test]
    fn what_sqlite_keeps_beside_a_part_goes_with_it() {
        let folder = folder("beside");
        let part = Part::beside(&folder.join("a.db"));
        for suffix in ["", "-journal", "-wal", "-shm"] {
            fs::write(format!("{}{suffix}", part.path().display()), "ours").unwrap();
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4);
        drop(part);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_a_killed_command_has_left_goes_and_nothing_else_does() {
        let folder = folder("left");
        let digits = "0123456789abcdef0123456789abcdef";
        let make = |name: &str, age_s: u64| {
            let file = File::create(folder.join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age_s))
                .unwrap();
        };
        let ours = format!("a.db.fireside-{digits}.part");
        let journal = format!("{ours}-journal");
        let young = format!("b.db.fireside-{digits}.part");
        let others = [
            young.as_str(),
            "c.part",
            "d.fireside-0123.part",
            "e.0123456789abcdef0123456789abcdef.part",
        ];
        make(&ours, 7200);
        make(&journal, 7200);
        for other in others {
            make(other, if other == young { 60 } else { 7200 });
        }
        drop(Part::beside(&folder.join("new.db")));
        let mut left: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut expected = others.map(str::to_owned);
        expected.sort();
        assert_eq!(left, expected);
        fs::remove_dir_all(&folder).unwrap();
    }
}
