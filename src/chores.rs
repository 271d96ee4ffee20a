//! Long work that one request asks for: backups, exports, imports. Each gets a thread of its own, off the workers, and of
//! each kind only so many run at a time. What is made for a client waits in a temporary file, so that a slow client keeps
//! neither memory nor the database.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Kind};
use crate::system;

/// Seconds after which it makes sense to ask again when too much is under way.
const RETRY_S: u32 = 10;

/// One kind of long work, or of what it leaves behind for a while.
#[derive(Debug)]
pub struct Chores {
    /// For whom, each as often as there are.
    running: Mutex<Vec<i64>>,
    max: usize,
    max_each: usize,
    refusal: &'static str,
}

/// The right to do one piece of such work. Given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    chores: Arc<Chores>,
    user_id: i64,
}

impl Chores {
    /// A kind of which `max` may be at the same time, and `max_each` of one user; whoever wants more reads `refusal`.
    pub fn new(max: usize, max_each: usize, refusal: &'static str) -> Arc<Chores> {
        Arc::new(Chores {
            running: Mutex::new(Vec::new()),
            max,
            max_each,
            refusal,
        })
    }

    /// Begins one.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when there are as many as may be.
    pub fn begin(self: &Arc<Chores>, user_id: i64) -> Result<Permit, Error> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let own = running.iter().filter(|other| **other == user_id).count();
        if running.len() >= self.max || own >= self.max_each {
            return Err(Error::new(Kind::Unavailable, self.refusal).retry_after(RETRY_S));
        }
        running.push(user_id);
        Ok(Permit {
            chores: Arc::clone(self),
            user_id,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut running = self.chores.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = running.iter().position(|other| *other == self.user_id) {
            running.swap_remove(at);
        }
    }
}

/// Runs `work` on a thread of its own.
///
/// # Errors
/// [`Kind::Unavailable`] when the system gives no thread.
pub fn run(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|error| {
        let error = Error::new(Kind::Unavailable, "The system has no thread left; try again").caused_by(error);
        error.retry_after(RETRY_S)
    })
}

/// A file that only its owner may read, and that goes away with this.
#[derive(Debug)]
pub struct Temporary {
    /// To be written, and read from its beginning after [`Temporary::finish`].
    pub file: File,
    path: PathBuf,
    _permit: Permit,
}

impl Temporary {
    /// An empty one in the folder of temporary files, which is cleared at every start of what ends like it.
    /// `permit`, one of those for such files, lasts until nobody reads it any more.
    ///
    /// # Errors
    /// [`Kind::StorageFull`] and [`Kind::Unavailable`].
    pub fn new(folder: &Path, permit: Permit) -> Result<Temporary, Error> {
        let path = folder.join(format!("{}.part", uuid::Uuid::new_v4().simple()));
        let made = system::create_private_file(&path).and_then(|_| File::options().read(true).write(true).open(&path));
        let file = made.map_err(|error| unwritable(&error))?;
        Ok(Temporary {
            file,
            path,
            _permit: permit,
        })
    }

    /// Where it stands, for those who open it themselves.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ready to be read from its beginning, with its length in bytes.
    ///
    /// # Errors
    /// [`Kind::StorageFull`] and [`Kind::Unavailable`].
    pub fn finish(mut self) -> Result<(Temporary, u64), Error> {
        let length = self.file.flush().and_then(|()| self.file.metadata());
        let length = length.map_err(|error| unwritable(&error))?.len();
        self.file.seek(SeekFrom::Start(0)).map_err(|error| unwritable(&error))?;
        // Where files may go while they are open it goes now: a server that is killed leaves nothing behind.
        std::fs::remove_file(&self.path).ok();
        Ok((self, length))
    }
}

/// Why a temporary file could not be written, as an error.
pub fn unwritable(error: &std::io::Error) -> Error {
    let cause = error.to_string();
    if system::is_full(error) {
        let message = "There is no room on the server's disk for the file that was asked for";
        return Error::new(Kind::StorageFull, message).caused_by(cause);
    }
    if error.kind() == std::io::ErrorKind::InvalidInput {
        return Error::new(
            Kind::TooLarge,
            format!("The file that was asked for is too large: {cause}"),
        );
    }
    Error::new(Kind::Unavailable, "The server cannot write its temporary files").caused_by(cause)
}

impl Read for Temporary {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // If this fails, the next start removes it.
        std::fs::remove_file(&self.path).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_at_a_time() {
        let chores = Chores::new(2, 1, "Later");
        let first = chores.begin(1).unwrap();
        assert_eq!(chores.begin(1).unwrap_err().kind(), Kind::Unavailable);
        let second = chores.begin(2).unwrap();
        assert_eq!(chores.begin(3).unwrap_err().message(), "Later");
        drop(first);
        chores.begin(3).unwrap();
        assert!(chores.begin(2).is_err());
        drop(second);
        chores.begin(2).unwrap();
    }

    #[test]
    fn a_temporary_file_goes_with_its_reader() {
        let folder = std::env::temp_dir();
        let chores = Chores::new(1, 1, "Later");
        let mut temporary = Temporary::new(&folder, chores.begin(1).unwrap()).unwrap();
        let path = temporary.path().to_owned();
        temporary.file.write_all(b"some bytes").unwrap();
        assert!(path.exists());
        let (mut temporary, length) = temporary.finish().unwrap();
        let mut text = String::new();
        temporary.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), length), ("some bytes", 10));
        assert!(chores.begin(1).is_err());
        drop(temporary);
        assert!(chores.begin(1).is_ok() && !path.exists());
    }
}
