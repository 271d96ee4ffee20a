//! `fireside import FILE…`: texts into an account's library, straight into the store while no server holds it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::lock::{Lock, lock};
use super::logger;
use super::serve::say;
use crate::cli::{Import, Settings};
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::library::{self, Added, FILE_BYTES_MAX, NewText};
use crate::store::{self, Store, User};

/// Texts of one file: no library holds more documents.
const TEXTS_MAX: usize = 10_000;

/// Adds the texts of files. Every file is read before the first text is added; what is there already is skipped, so
/// that an import which was cut short is simply run again.
///
/// # Errors
/// A sentence for the terminal.
pub fn import(settings: &Settings, import: &Import) -> Result<(), Error> {
    let _log = logger::start(settings.log)?;
    let mut texts: Vec<NewText> = Vec::new();
    for path in &import.files {
        let of_file = read(path).and_then(|found| found.iter().try_for_each(NewText::check).map(|()| found));
        texts.extend(of_file.map_err(|error| named(path, error))?);
    }
    let _lock = match lock(settings)? {
        Lock::Held(lock) => lock,
        Lock::Taken(other) => return Err(running(settings, other.map(|other| other.url).as_deref())),
    };
    if !settings.location.database.exists() {
        return Err(no_account());
    }
    let store = Store::open(&settings.location, 1)?;
    store.recover()?;
    let outcome = add_all(&store, import.account.as_deref(), &texts);
    store.close();
    outcome
}

fn add_all(store: &Store, account: Option<&str>, texts: &[NewText]) -> Result<(), Error> {
    let user = store.read(|read| find_account(read, account))?;
    let several = library::add_all(store, &Clock, user.id, texts);
    let (mut added, mut skipped) = (0_usize, 0_usize);
    for (outcome, text) in several.added.iter().zip(texts) {
        match outcome {
            Added::New(_) => added += 1,
            Added::Known(_) => {
                skipped += 1;
                say(&format!(
                    "Skipped, because it is in the library already: {}",
                    text.title
                ));
            }
        }
    }
    if let Some(error) = several.ended {
        let title = texts.get(several.added.len()).map_or("", |text| &text.title);
        let message = format!("{title}: {} ({added} added before it)", error.message());
        return Err(Error::new(error.kind(), message).caused_by(error));
    }
    let name = user.email.or(user.username).unwrap_or(user.uuid);
    say(&format!(
        "Added {added} documents to the library of {name}, skipped {skipped}"
    ));
    Ok(())
}

fn read(path: &Path) -> Result<Vec<NewText>, Error> {
    let failed = |error| Error::new(Kind::Malformed, "It cannot be read").caused_by(error);
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    let file = File::open(path).map_err(failed)?;
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!("It is larger than {} MiB", FILE_BYTES_MAX / (1024 * 1024));
        return Err(Error::new(Kind::TooLarge, message));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    library::read_file(&name.unwrap_or_default(), &bytes, TEXTS_MAX)
}

fn named(path: &Path, error: Error) -> Error {
    Error::new(error.kind(), format!("{}: {}", path.display(), error.message())).caused_by(error)
}

fn running(settings: &Settings, url: Option<&str>) -> Error {
    let folder = settings.location.folder.display();
    let at = url.map_or_else(String::new, |url| format!(" at {url}"));
    let message = format!(
        "Fireside is running on {folder}{at}: stop it and import again, or send it the text with POST /documents"
    );
    Error::new(Kind::Conflict, message)
}

fn no_account() -> Error {
    let message = "There is no account to import for; start fireside, make one, stop it and import again";
    Error::new(Kind::NotFound, message)
}

/// The account that is named, or the only one.
fn find_account(read: &store::Read<'_>, name: Option<&str>) -> Result<User, Error> {
    let Some(name) = name else {
        let mut users = store::list_first_users(read, 2)?;
        let message = "There is more than one account; say whose library it is with --account";
        return match (users.pop(), users.is_empty()) {
            (None, _) => Err(no_account()),
            (Some(user), true) => Ok(user),
            (Some(_), false) => Err(Error::new(Kind::Conflict, message)),
        };
    };
    let local = store::find_user_by_login(read, name)?.map(|(user, _)| user);
    let found = match local {
        Some(user) => Some(user),
        None => store::find_user_by_external_id(read, name)?,
    };
    found.ok_or_else(|| Error::new(Kind::NotFound, format!("There is no account {name:?}")))
}
