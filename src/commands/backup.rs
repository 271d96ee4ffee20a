//! `fireside backup`: the database into one file. It reads the database itself, whether a server runs or not: the copy is
//! one transaction's view, and nobody waits for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::part::{Part, unwritable};
use super::progress::Progress;
use super::{Failed, terminal};
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
    let part = Part::beside(&file);
    part.create().map_err(|error| unwritable(&file, error))?;
    copy(database, &part)?;
    let named = part
        .name(&file)
        .and_then(|()| system::sync_folder(file.parent().unwrap_or(Path::new("."))));
    named.map_err(|error| unwritable(&file, error))?;
    let bytes = fs::metadata(&file).map_or(0, |file| file.len());
    terminal::print(&format!("{}\n", file.display()));
    let (mib, seconds) = (bytes.div_ceil(1024 * 1024), began.elapsed().as_secs_f64());
    terminal::note(&format!("{mib} MiB in {seconds:.1} s, checked"));
    Ok(())
}

fn copy(database: &Path, part: &Part) -> Result<(), Error> {
    let total = fs::metadata(database).map_or(0, |file| file.len());
    let grown = part.path().to_owned();
    let measure = move || fs::metadata(&grown).map_or(0, |file| file.len());
    let _progress = Progress::new("Copying", total, Some(Box::new(measure)));
    store::copy_database(database, part.path())
}
