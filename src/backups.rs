//! Copies of the database that the server makes by itself, every so often, into a folder of their own. A copy that fails
//! is logged, tried again and visible, and never stops anything else. Of the folder's files only copies of this database
//! are ever removed, and the oldest of them only once a new one is whole and on disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::error::{Error, Kind};
use crate::store::{SharedStore, Store};
use crate::system;

/// How soon one that failed is tried again, at the latest: whoever frees the disk need not do anything else.
const RETRY_S: i64 = 15 * 60;

/// How often the thread looks at the clock, which may have been set, or have run on while the machine slept.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Bytes that stay free for what is written while a copy is made.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// The form of a time in a copy's name: no colons, which some systems do not take.
const STAMP: &str = "0000-00-00T00-00-00Z";

/// When copies are made, and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The time between two.
    pub every: Duration,
    /// How many are kept.
    pub keep: usize,
    /// Their folder.
    pub folder: PathBuf,
}

/// How it has gone so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The newest whole copy, RFC 3339.
    pub last_at: Option<String>,
    /// Its bytes.
    pub last_bytes: Option<u64>,
    /// When the next is due, RFC 3339; `None`: it is being made.
    pub next_at: Option<String>,
    /// Why the last attempt failed, if it did.
    pub problem: Option<String>,
}

/// The copies under way.
pub struct Backups {
    schedule: Schedule,
    store: SharedStore,
    /// The beginning of all copies' names.
    prefix: String,
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    progress: Progress,
    is_over: bool,
}

impl Backups {
    /// For this store.
    pub fn new(store: SharedStore, schedule: Schedule) -> Arc<Backups> {
        Arc::new(Backups {
            prefix: format!("fireside-{}-", store.installation()),
            schedule,
            store,
            state: Mutex::default(),
            bell: Condvar::new(),
        })
    }

    /// Begins: at once, if the newest copy is older than it may be.
    ///
    /// # Errors
    /// [`Kind::Internal`] when the system gives no thread.
    pub fn start(self: &Arc<Backups>) -> Result<(), Error> {
        let own = Arc::clone(self);
        let started = std::thread::Builder::new()
            .name("backups".into())
            .spawn(move || own.run());
        let thread = started.map_err(|error| Error::internal("the backup thread did not start", error))?;
        // Nobody waits for it: a copy that is cut short is no copy, and the next start removes what is left.
        drop(thread);
        Ok(())
    }

    /// How it has gone.
    pub fn progress(&self) -> Progress {
        self.lock().progress.clone()
    }

    /// No further copy is begun.
    pub fn close(&self) {
        self.lock().is_over = true;
        self.bell.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let every = i64::try_from(self.schedule.every.as_secs()).unwrap_or(i64::MAX);
        let now = Clock.now();
        let mut copies = list(&self.schedule.folder, &self.prefix);
        // What a clock that was wrong has dated in the future says nothing.
        copies.retain(|(at, _)| *at <= now);
        let newest = copies.pop();
        let mut due = newest.as_ref().map_or(now, |(at, _)| at.plus_s(every));
        if let Some((at, path)) = newest {
            let mut state = self.lock();
            state.progress.last_at = Some(at.text());
            state.progress.last_bytes = std::fs::metadata(path).ok().map(|file| file.len());
        }
        loop {
            // A clock that was set back must not put it off for longer than usual.
            due = due.min(Clock.now().plus_s(every));
            if !self.wait(due) {
                return;
            }
            self.lock().progress.next_at = None;
            let outcome = self.make();
            let mut state = self.lock();
            match outcome {
                Ok((at, bytes)) => {
                    state.progress = Progress {
                        last_at: Some(at.text()),
                        last_bytes: Some(bytes),
                        ..Progress::default()
                    };
                    due = at.plus_s(every);
                }
                Err(error) => {
                    log::error!("no backup was made: {error}");
                    state.progress.problem = Some(error.message().to_owned());
                    due = Clock.now().plus_s(every.min(RETRY_S));
                }
            }
        }
    }

    /// Waits until then; false when the server stops.
    fn wait(&self, due: Moment) -> bool {
        let mut state = self.lock();
        state.progress.next_at = Some(due.text());
        loop {
            if state.is_over {
                return false;
            }
            let left = due.since_us(Clock.now());
            let Ok(left) = u64::try_from(left) else {
                return true;
            };
            if left == 0 {
                return true;
            }
            let patience = LOOK_EVERY.min(Duration::from_micros(left));
            let waited = self.bell.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Makes a copy, and then removes those that are too many; returns when it was begun, and its bytes.
    fn make(&self) -> Result<(Moment, u64), Error> {
        let folder = &self.schedule.folder;
        let failed = |error: std::io::Error| {
            let message = format!("The folder for backups, {}, cannot be used", folder.display());
            Error::new(Kind::Unavailable, message).caused_by(error)
        };
        system::create_private_folder(folder).map_err(failed)?;
        clear_parts(folder, &self.prefix);
        let at = Clock.now();
        let path = folder.join(format!("{}{}.db", self.prefix, stamp(at)));
        let part = path.with_extension("db.part");
        let made = check_room(&self.store, folder).and_then(|()| {
            system::create_private_file(&part).map_err(failed)?;
            self.store.back_up(&part)?;
            let renamed = std::fs::rename(&part, &path).and_then(|()| system::sync_folder(folder));
            renamed.map_err(failed)
        });
        if let Err(error) = made {
            // The space it took may be what is missing.
            std::fs::remove_file(&part).ok();
            return Err(error);
        }
        let bytes = std::fs::metadata(&path).map_err(failed)?.len();
        log::info!("backup {} ({bytes} bytes)", path.display());
        let mut others = list(folder, &self.prefix);
        others.retain(|(_, other)| *other != path);
        // Those dated after this one come from a clock that was wrong: they go first.
        others.sort_by_key(|(other, _)| (*other <= at, *other));
        for (_, old) in others.iter().rev().skip(self.schedule.keep.saturating_sub(1)) {
            if let Err(error) = std::fs::remove_file(old) {
                log::warn!("the old backup {} stays: {error}", old.display());
            }
        }
        Ok((at, bytes))
    }
}

/// Whether a copy fits into a folder: it is no larger than the database. Where it does not fit, the disk is not filled up
/// first, on which the database may stand as well.
///
/// # Errors
/// [`Kind::StorageFull`] when it does not.
pub fn check_room(store: &Store, folder: &Path) -> Result<(), Error> {
    let bytes = std::fs::metadata(store.database()).map_or(0, |file| file.len());
    match system::free_bytes(folder) {
        Some(free) if free < bytes.saturating_add(RESERVE_BYTES) => {
            let message = format!(
                "There is no room for a backup in {}: it may take {} MiB, and {} MiB are free",
                folder.display(),
                bytes.div_ceil(1024 * 1024),
                free / (1024 * 1024)
            );
            Err(Error::new(Kind::StorageFull, message))
        }
        _ => Ok(()),
    }
}

/// A moment as it stands in names.
pub fn stamp(at: Moment) -> String {
    format!("{}Z", at.text()[..19].replace(':', "-"))
}

/// The moment that a name holds between its prefix and its ending, if it is one of ours.
fn moment_of(name: &str, prefix: &str) -> Option<Moment> {
    let stamp = name.strip_prefix(prefix)?.strip_suffix(".db")?;
    let has_form = stamp.len() == STAMP.len()
        && stamp.bytes().zip(STAMP.bytes()).all(|(found, form)| match form {
            b'0' => found.is_ascii_digit(),
            _ => found == form,
        });
    let (day, time) = stamp.split_once('T').filter(|_| has_form)?;
    Moment::parse(&format!("{day}T{}", time.replace('-', ":")))
}

/// All copies in a folder, the oldest first.
fn list(folder: &Path, prefix: &str) -> Vec<(Moment, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let at = moment_of(entry.file_name().to_str()?, prefix)?;
            entry.file_type().ok()?.is_file().then(|| (at, entry.path()))
        })
        .collect();
    found.sort();
    found
}

/// Removes what copies that were cut short have left.
fn clear_parts(folder: &Path, prefix: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let whole = name.to_str().and_then(|name| name.strip_suffix(".part"));
        if whole.is_some_and(|whole| moment_of(whole, prefix).is_some()) {
            std::fs::remove_file(entry.path()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patience::until;
    use crate::store::tests::Rig;

    fn schedule(folder: &Path) -> Schedule {
        Schedule {
            every: Duration::from_secs(3600),
            keep: 2,
            folder: folder.to_owned(),
        }
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("fireside-backups-{}-{name}", std::process::id()));
        std::fs::remove_dir_all(&folder).ok();
        folder
    }

    #[test]
    fn names_say_when() {
        let at = Moment::parse("2026-11-21T05:17:02Z").unwrap();
        assert_eq!(stamp(at), "2026-11-21T05-17-02Z");
        assert_eq!(moment_of("fireside-1-2026-11-21T05-17-02Z.db", "fireside-1-"), Some(at));
        for name in [
            "fireside-2-2026-11-21T05-17-02Z.db",
            "fireside-1-2026-11-21T05-17-02Z.db.part",
            "fireside-1-2026-13-21T05-17-02Z.db",
            "fireside-1-mine.db",
            "fireside-1-2026-11-21T05-17-02Zx.db",
            "fireside-1-.db",
        ] {
            assert_eq!(moment_of(name, "fireside-1-"), None, "{name}");
        }
    }

    #[test]
    fn the_oldest_go_and_nothing_else_does() {
        let (rig, folder) = (Rig::new(), folder("oldest"));
        let backups = Backups::new(SharedStore::clone(&rig.store), schedule(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        let own = |day: u32| folder.join(format!("{}2020-01-0{day}T00-00-00Z.db", backups.prefix));
        let part = folder.join(format!("{}2020-01-09T00-00-00Z.db.part", backups.prefix));
        let others = [
            folder.join("fireside-00000000-2020-01-01T00-00-00Z.db"),
            folder.join("notes.db"),
        ];
        for path in others.iter().chain([&own(1), &own(2), &part]) {
            std::fs::write(path, b"x").unwrap();
        }
        backups.make().unwrap();
        assert!(!own(1).exists() && own(2).exists() && !part.exists());
        assert!(others.iter().all(|path| path.exists()));
        let copies = list(&folder, &backups.prefix);
        assert_eq!(copies.len(), 2);
        crate::store::check_backup(&copies[1].1).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn one_dated_in_the_future_makes_way_for_the_new_one() {
        let (rig, folder) = (Rig::new(), folder("future"));
        let backups = Backups::new(SharedStore::clone(&rig.store), schedule(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        let own = |year: u32| folder.join(format!("{}{year}-01-01T00-00-00Z.db", backups.prefix));
        for year in [2020, 2098, 2099] {
            std::fs::write(own(year), b"x").unwrap();
        }
        let (at, _) = backups.make().unwrap();
        assert!(folder.join(format!("{}{}.db", backups.prefix, stamp(at))).exists());
        assert!(own(2020).exists() && !own(2098).exists() && !own(2099).exists());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_first_is_made_at_once_and_the_next_is_told() {
        let (rig, folder) = (Rig::new(), folder("first"));
        let backups = Backups::new(SharedStore::clone(&rig.store), schedule(&folder));
        backups.start().unwrap();
        until("a copy is there and the next is due", || {
            let progress = backups.progress();
            progress.last_at.is_some() && progress.next_at.is_some()
        });
        let progress = backups.progress();
        assert!(
            progress.problem.is_none() && progress.next_at > progress.last_at,
            "{progress:?}"
        );
        backups.close();
        // A server that starts again finds it.
        let again = Backups::new(SharedStore::clone(&rig.store), schedule(&folder));
        again.start().unwrap();
        until("the next is due", || again.progress().next_at.is_some());
        let last_at = again.progress().last_at.unwrap();
        assert_eq!(last_at[..19], progress.last_at.unwrap()[..19]);
        assert_eq!(list(&folder, &again.prefix).len(), 1);
        again.close();
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn one_that_fails_is_told_and_tried_again() {
        let (rig, folder) = (Rig::new(), folder("fails"));
        // A file stands where the folder should.
        std::fs::write(&folder, b"x").unwrap();
        let backups = Backups::new(SharedStore::clone(&rig.store), schedule(&folder));
        backups.start().unwrap();
        until("it is told", || {
            let progress = backups.progress();
            progress.problem.is_some() && progress.next_at.is_some()
        });
        assert!(backups.progress().problem.unwrap().contains("cannot be used"));
        assert_eq!(rig.trouble(), None);
        backups.close();
        std::fs::remove_file(folder).unwrap();
    }
}
