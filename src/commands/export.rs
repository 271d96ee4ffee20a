//! `fireside export`: what an account has, into a file or a folder. What is there already is never overwritten.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::part::{Part, unwritable};
use super::progress::Progress;
use super::reach::Reach;
use super::{Failed, terminal};
use crate::cli::{Export, ExportTo, Settings};
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::{portable, system};

/// Writes what an account has.
///
/// # Errors
/// The server's sentence; that a file is there already, or cannot be written.
pub(super) fn export(settings: &Settings, export: &Export) -> Result<(), Failed> {
    // Before the server is asked to make it.
    match &export.to {
        ExportTo::Markdown(folder) if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) => {
            return Err(taken(folder, "holds something already; name a new folder"));
        }
        ExportTo::Markdown(folder) if folder.is_file() => {
            return Err(taken(folder, "is a file; name a new folder"));
        }
        ExportTo::Json(Some(file)) if file.exists() && file != Path::new("-") => {
            return Err(taken(file, "is there already; name another file"));
        }
        _ => {}
    }
    let mut reach = Reach::open(settings, &export.door)?;
    reach.sign_in(export.door.account.as_deref())?;
    match &export.to {
        ExportTo::Json(Some(file)) if file == Path::new("-") => {
            let (mut answer, _) = reach.client().fetch("/export")?;
            io::copy(&mut answer, &mut io::stdout().lock())
                .map(drop)
                .map_err(|error| {
                    let message = match error.kind() {
                        io::ErrorKind::UnexpectedEof => {
                            "The server broke off: what came to stdout is no whole export; try again"
                        }
                        _ => "stdout cannot be written to: what came there is no whole export",
                    };
                    Failed::from(Error::new(Kind::Unavailable, message).caused_by(error))
                })
        }
        ExportTo::Json(file) => {
            let day = Clock.now().text();
            let default = || PathBuf::from(format!("fireside-export-{}.json", &day[..10]));
            let file = file.clone().unwrap_or_else(default);
            if file.exists() {
                return Err(taken(&file, "is there already; name another file"));
            }
            let part = Part::beside(&file);
            let made = fetch(&reach, "/export", &part)?.and_then(|()| part.name(&file));
            made.map_err(|error| unwritable(&file, error))?;
            terminal::print(&format!("{}\n", file.display()));
            Ok(())
        }
        ExportTo::Markdown(folder) => {
            // "notes/" is what "notes" is, and has its parts beside it.
            let folder: &PathBuf = &folder.components().collect();
            let archive = Part::beside(folder);
            fetch(&reach, "/export?format=markdown", &archive)?.map_err(|error| unwritable(folder, error))?;
            let unpacked = unpack(archive.path(), folder)?;
            terminal::print(&format!("{} ({unpacked} files)\n", folder.display()));
            Ok(())
        }
    }
}

/// Unpacks into a folder that has its name, or its files, only once they are all there. Returns how many they are.
fn unpack(archive: &Path, folder: &Path) -> Result<usize, Error> {
    let is_new = folder.symlink_metadata().is_err();
    let part = if is_new {
        Part::beside(folder)
    } else {
        Part::beside(&folder.join("export"))
    };
    let failed = |error| unwritable(folder, error);
    system::create_private_folder(part.path()).map_err(failed)?;
    let count = portable::unpack(archive, part.path())?;
    if is_new {
        part.name_folder(folder).map_err(failed)?;
        return Ok(count);
    }
    for entry in fs::read_dir(part.path()).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        fs::rename(entry.path(), folder.join(entry.file_name())).map_err(failed)?;
    }
    Ok(count)
}

/// Writes what the server answers into a file that only its owner can read. The inner error is that of writing.
fn fetch(reach: &Reach, path: &str, part: &Part) -> Result<io::Result<()>, Failed> {
    let (answer, bytes) = reach.client().fetch(path)?;
    let write = || {
        let mut file = part.create()?;
        let progress = Progress::new("Exporting", bytes.unwrap_or(0), None);
        let written = io::copy(&mut progress.through(answer), &mut file)?;
        if bytes.is_some_and(|bytes| bytes != written) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server broke off"));
        }
        file.sync_all()
    };
    Ok(write())
}

fn taken(path: &Path, why: &str) -> Failed {
    Failed::usage(Error::new(Kind::Conflict, format!("{} {why}", path.display())))
}
