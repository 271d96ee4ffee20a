//! What a file is, told by what stands in it and never by what it is called, and the way of each kind into the
//! [`Intake`]. Every list is read twice: first to see that it is whole, with nothing stored.

use std::io::{Read, Seek};
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::files::{self, Files, Opened};
use super::intake::{Destination, Intake};
use super::items::{Item, check, items};
use super::report::{Label, Outcome, Report};
use super::sources::{Source, fields, source_of};
use super::zip::{self, Entry};
use super::{logs, malformed, ours, unreadable};
use crate::error::{Error, Kind};
use crate::library::{self, FILE_BYTES_MAX};
use crate::store::DOCUMENTS_MAX;
use crate::system;

/// Bytes that tell what a file is.
const START_BYTES: u64 = 4096;

/// Lists in one archive that are opened; the largest exports are split into some hundred.
const LISTS_MAX: usize = 1_000;

/// Bytes of all of them together, unpacked. Two gigabytes are read within a minute.
const UNPACKED_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// What the report calls texts.
const TEXTS: &str = "texts";

/// Stores what a file holds that is not here yet. `open` gives it from its beginning each time; `name` is what it is
/// called.
///
/// # Errors
/// [`Kind::Malformed`] when it is nothing that can be imported: then nothing was stored. Those of the store: then what
/// came before stays, and a second import takes up from there.
pub fn import<R: Read + Seek + 'static>(to: &Destination, name: &str, open: impl Fn() -> R) -> Result<Report, Error> {
    let mut start = Vec::new();
    open().take(START_BYTES).read_to_end(&mut start).map_err(unreadable)?;
    if start.starts_with(logs::MAGIC) {
        return import_log(to, open());
    }
    if zip::is_archive(&start) {
        return import_archive(to, open);
    }
    let is_json = name.to_ascii_lowercase().ends_with(".json");
    match recognise(&start, open()) {
        Ok(Recognised::Ours) => {
            let mut intake = Intake::new(to, ours::NAME);
            ours::import(&mut intake, &open)?;
            intake.finish()
        }
        Ok(Recognised::Foreign(source)) => {
            check(open())?;
            let mut intake = Intake::new(to, source.name);
            import_list(&mut intake, source, open(), &Files::default())?;
            intake.finish()
        }
        Ok(Recognised::Unknown) => import_texts(to, name, open()),
        // Broken JSON; a text, on the other hand, may begin with a bracket as well.
        Err(error) if is_json || error.kind() != Kind::Malformed => Err(error),
        Err(_) => import_texts(to, name, open()),
    }
}

/// What JSON may be.
enum Recognised {
    Ours,
    Foreign(&'static Source),
    /// A list of books, a text, or nonsense.
    Unknown,
}

fn recognise(start: &[u8], source: impl Read) -> Result<Recognised, Error> {
    let text = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(start);
    let names = match text.trim_ascii_start().first() {
        Some(b'{') => fields(source).map_err(|error| match error.is_io() {
            true => unreadable(error.into()),
            false => malformed(&error.to_string()),
        })?,
        Some(b'[') => {
            let mut names = Vec::new();
            items(source, |first| {
                if let Item::Whole(bytes) = first {
                    names = fields(bytes).unwrap_or_default();
                }
                Ok(ControlFlow::Break(()))
            })?;
            // Ours is no list.
            names.retain(|name| name != ours::MARK);
            names
        }
        _ => Vec::new(),
    };
    if names.iter().any(|name| name == ours::MARK) {
        return Ok(Recognised::Ours);
    }
    Ok(source_of(&names).map_or(Recognised::Unknown, Recognised::Foreign))
}

/// The conversations of a list that another program wrote.
fn import_list(intake: &mut Intake<'_>, source: &Source, list: impl Read, files: &Files<'_>) -> Result<(), Error> {
    items(list, |item| {
        match item {
            Item::Whole(bytes) => import_item(intake, source, bytes, files)?,
            Item::TooLarge => intake.refuse(
                "conversation",
                None,
                "It has more than 64 MiB, or more than 1 000 000 values",
            ),
        }
        Ok(ControlFlow::Continue(()))
    })
}

fn import_item(intake: &mut Intake<'_>, source: &Source, bytes: &[u8], files: &Files<'_>) -> Result<(), Error> {
    match (source.read)(bytes) {
        Ok(thread) => intake.thread(thread, files),
        Err(error) => {
            let reason = format!("It is not as {} writes conversations: {error}", source.name);
            intake.refuse("conversation", None, &reason);
            Ok(())
        }
    }
}

/// What an archive holds.
struct Contents {
    /// Lists of conversations.
    lists: Vec<(&'static Source, Entry)>,
    /// Other lists, and why they are passed over.
    others: Vec<(String, &'static str)>,
    /// What the files were called.
    names: Option<Entry>,
    /// Everything that is no list.
    files: Vec<Entry>,
}

/// All lists of conversations in an archive, and the files that they name.
fn import_archive<R: Read + Seek + 'static>(to: &Destination, open: impl Fn() -> R) -> Result<Report, Error> {
    let contents = look_through(&open)?;
    let Some((first, _)) = contents.lists.first() else {
        return Err(malformed("it is an archive without a list of conversations"));
    };
    let files_count = contents.files.len();
    let unpack = |entry: &Entry| -> Opened { Ok(Box::new(zip::open(open(), entry)?)) };
    let mut files = Files::new(contents.files, &unpack);
    if let Some(entry) = &contents.names {
        files.learn_names(unpack(entry)?)?;
    }
    let mut intake = Intake::new(to, first.name);
    for (source, entry) in &contents.lists {
        import_list(&mut intake, source, unpack(entry)?, &files)?;
    }
    for (name, reason) in contents.others {
        let label = Label::new("file", None, Some(&name));
        intake.report.note(label, Outcome::skipped(reason));
    }
    let unnamed = files_count.saturating_sub(intake.files_found());
    if unnamed > 0 {
        let reason = format!("No conversation that came in names it: so with {unnamed} of the archive's files");
        let label = Label::new("file", None, None);
        intake.report.note(label, Outcome::Skipped(reason));
    }
    intake.finish()
}

fn look_through<R: Read + Seek>(open: impl Fn() -> R) -> Result<Contents, Error> {
    let is_list = |name: &str| name.to_ascii_lowercase().ends_with(".json") && !files::is_sent(name);
    let (lists, files): (Vec<_>, Vec<_>) = zip::list(open())?.into_iter().partition(|entry| is_list(&entry.name));
    let unpacked = lists.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.size));
    if lists.len() > LISTS_MAX || unpacked > UNPACKED_BYTES_MAX {
        return Err(malformed(
            "it is an archive whose lists are more than 1000 or unpack to more than 2 GiB; unpack it and import them",
        ));
    }
    let mut contents = Contents {
        lists: Vec::new(),
        others: Vec::new(),
        names: None,
        files,
    };
    for entry in lists {
        if files::is_list_of_names(&entry.name) {
            contents.names = Some(entry);
            continue;
        }
        let mut start = Vec::new();
        let unpack = || zip::open(open(), &entry);
        unpack()?
            .take(START_BYTES)
            .read_to_end(&mut start)
            .map_err(unreadable)?;
        match recognise(&start, unpack()?) {
            Ok(Recognised::Foreign(source)) => {
                check(unpack()?)?;
                contents.lists.push((source, entry));
            }
            Ok(Recognised::Ours | Recognised::Unknown) => {
                contents.others.push((entry.name, "It holds no conversations"));
            }
            Err(error) if error.kind() == Kind::Malformed => contents.others.push((entry.name, "It cannot be read")),
            Err(error) => return Err(error),
        }
    }
    Ok(contents)
}

/// A text, or a list of books, for the library.
fn import_texts(to: &Destination, name: &str, source: impl Read) -> Result<Report, Error> {
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    source.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > FILE_BYTES_MAX {
        let most = FILE_BYTES_MAX / (1024 * 1024);
        return Err(malformed(&format!(
            "it is no list of conversations, and for a text larger than {most} MiB"
        )));
    }
    if bytes.trim_ascii().is_empty() {
        return Err(malformed("it is empty"));
    }
    let texts = library::read_file(name, &bytes, usize::try_from(DOCUMENTS_MAX).unwrap_or(usize::MAX));
    let texts =
        texts.map_err(|error| malformed(&format!("it is neither conversations nor text ({})", error.message())))?;
    if texts.is_empty() {
        return Err(malformed("its list is empty"));
    }
    let mut intake = Intake::new(to, TEXTS);
    for text in &texts {
        intake.document(text)?;
    }
    intake.finish()
}

/// A database: the log of another program, copied to where it can be opened.
fn import_log(to: &Destination, mut source: impl Read) -> Result<Report, Error> {
    let scratch = Scratch(to.scratch.join(format!("{}.part", uuid::Uuid::new_v4().simple())));
    let copied = system::create_private_file(&scratch.0).and_then(|mut file| std::io::copy(&mut source, &mut file));
    copied.map_err(|error| crate::chores::unwritable(&error))?;
    let mut intake = Intake::new(to, logs::NAME);
    logs::import(&mut intake, &scratch.0)?;
    intake.finish()
}

/// A file that goes away with this.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // If this fails, the next start removes it.
        std::fs::remove_file(&self.0).ok();
    }
}
