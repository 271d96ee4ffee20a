//! `fireside backup`: the database into one file. It reads the database itself, whether a server runs or not: the copy is
//! one transaction's view, and nobody waits for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::progress::Progress;
use super::{Failed, part, terminal};
use crate::backups::stamp;
use crate::cli::Settings;
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::{store, system};

/// Copies the database into a file that is not there yet.
///
/// # Errors
/// That there is no database, or the file is there already; those of the disk.
pub(super) fn backup(settings: &Settings, file: Option<&Path>) -> Result<(), Failed> {
    system::prepare();
    let database = &settings.location.database;
    if !database.is_file() {
        let message = format!(
            "There is no database at {}; name the data folder with --data",
            database.display()
        );
        return Err(Failed::from(Error::new(Kind::NotFound, message)));
    }
    let default = || PathBuf::from(format!("fireside-backup-{}.db", stamp(Clock.now())));
    let file = file.map_or_else(default, Path::to_owned);
    if file.exists() {
        let message = format!("{} is there already; name another file", file.display());
        return Err(Failed::usage(Error::new(Kind::Conflict, message)));
    }
    let began = Instant::now();
    let part = part::beside(&file);
    let made = copy(database, &part).and_then(|()| {
        let named =
            part::name(&part, &file).and_then(|()| system::sync_folder(file.parent().unwrap_or(Path::new("."))));
        named.map_err(|error| unwritable(&file, error))
    });
    if let Err(error) = made {
        fs::remove_file(&part).ok();
        return Err(Failed::from(error));
    }
    let bytes = fs::metadata(&file).map_or(0, |file| file.len());
    terminal::print(&format!("{}\n", file.display()));
    let (mib, seconds) = (bytes.div_ceil(1024 * 1024), began.elapsed().as_secs_f64());
    terminal::note(&format!("{mib} MiB in {seconds:.1} s, checked"));
    Ok(())
}

fn copy(database: &Path, part: &Path) -> Result<(), Error> {
    system::create_private_file(part).map_err(|error| unwritable(part, error))?;
    let total = fs::metadata(database).map_or(0, |file| file.len());
    let grown = part.to_owned();
    let measure = move || fs::metadata(&grown).map_or(0, |file| file.len());
    let _progress = Progress::new("Copying", total, Some(Box::new(measure)));
    store::copy_database(database, part)
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    let message = format!("{} cannot be written", path.display());
    Error::new(Kind::Unavailable, message).caused_by(error)
}
