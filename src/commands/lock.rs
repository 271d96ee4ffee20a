//! The lock file: which process has the data folder, and, while it is a server, how this machine's owner reaches it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};

use serde::{Deserialize, Serialize};

use crate::cli::Settings;
use crate::error::{Error, Kind};
use crate::system;

/// Its name in the data folder.
const LOCK_FILE: &str = "fireside.lock";

/// Bytes of it that are read: two addresses and a secret are a tenth of it.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// What a server writes into the file. No `Debug`: the secret must not end in a log.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Running {
    /// The address that people open.
    pub(super) url: String,
    /// The address that it is reached at from this machine.
    pub(super) local_url: String,
    /// What whoever can read this signs in with at `POST /auth/local`; another one with every start.
    pub(super) secret: String,
}

/// Whose the data folder is.
pub(super) enum Lock {
    /// This process's, until this is dropped.
    Held(Held),
    /// Another's: a server, once it has said where it is. `None`: one that is just starting or stopping, or a command.
    Taken(Option<Running>),
}

/// The lock of this process.
pub(super) struct Held(File);

impl Held {
    /// Says where the server is. Only the folder's owner can read it, whoever has made the file.
    pub(super) fn announce(&mut self, running: &Running) -> std::io::Result<()> {
        system::make_private(&self.0)?;
        let mut text = serde_json::to_vec(running)?;
        text.push(b'\n');
        self.0.rewind()?;
        self.0.write_all(&text)
    }
}

impl Drop for Held {
    /// The secret has ended with the server; nobody needs to find it.
    fn drop(&mut self) {
        if let Err(error) = self.0.set_len(0) {
            log::warn!("the lock file could not be emptied: {error}");
        }
    }
}

/// Takes the data folder for this process. The lock is a file of its own: closing any descriptor of the database
/// would drop SQLite's own locks.
pub(super) fn lock(settings: &Settings) -> Result<Lock, Error> {
    let folder = &settings.location.folder;
    let failed = |error: std::io::Error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotADirectory => {
                "it is a file; name another with --data"
            }
            _ => "have this user own it, or name another with --data",
        };
        let message = format!("The data folder {} cannot be used: {advice}", folder.display());
        Error::new(Kind::Unavailable, message).caused_by(error)
    };
    system::prepare();
    system::create_private_folder(folder).map_err(failed)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join(LOCK_FILE))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(failed)?;
            Ok(Lock::Held(Held(file)))
        }
        Err(TryLockError::WouldBlock) => Ok(Lock::Taken(read(&mut file).map_err(failed)?)),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Refuses a folder of another user's: what this process (root's, say) would make there, whoever serves it could not
/// write to.
pub(super) fn check_owner(settings: &Settings) -> Result<(), Error> {
    let folder = &settings.location.folder;
    if system::privacy(folder).is_ok_and(|privacy| !privacy.is_ours) {
        let message = format!(
            "{} is another user's, and no server runs on it: start the server, or run this as that user",
            folder.display()
        );
        return Err(Error::new(Kind::Forbidden, message));
    }
    Ok(())
}

/// Whether there has been a lock of this folder yet.
pub(super) fn is_made(settings: &Settings) -> bool {
    settings.location.folder.join(LOCK_FILE).exists()
}

/// What the server that runs, or the one that was killed, has written. Takes nothing and makes nothing: whoever only looks
/// must not be in the way of a server that is just starting.
pub(super) fn peek(settings: &Settings) -> Option<Running> {
    let mut file = File::open(settings.location.folder.join(LOCK_FILE)).ok()?;
    read(&mut file).ok()?
}

/// What the server has written, if it has written all of it.
fn read(file: &mut File) -> std::io::Result<Option<Running>> {
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text).ok())
}
