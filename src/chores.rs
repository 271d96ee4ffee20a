//! Long work that one request asks for: backups, exports, imports. Each gets a thread of its own, off the workers, and of
//! each kind only so many run at a time. What is made for a client waits in a temporary file, so that a slow client keeps
//! neither memory nor the database.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Kind};
use crate::system;

/// Seconds after which it makes sense to ask again when too much is under way.
const RETRY_S: u32 = 10;

/// One kind of long work.
#[derive(Debug)]
pub struct Chores {
    running: AtomicUsize,
    max: usize,
}

/// The right to do one piece of such work. Given back when it is dropped.
#[derive(Debug)]
pub struct Permit(Arc<Chores>);

impl Chores {
    /// A kind of which so many may run at the same time.
    pub fn new(max: usize) -> Arc<Chores> {
        Arc::new(Chores {
            running: AtomicUsize::new(0),
            max,
        })
    }

    /// Begins one.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when there are as many as may be.
    pub fn begin(self: &Arc<Chores>) -> Result<Permit, Error> {
        if self.running.fetch_add(1, Ordering::AcqRel) >= self.max {
            self.running.fetch_sub(1, Ordering::AcqRel);
            let message = "Another request of this kind is being worked on; try again when it is done";
            return Err(Error::new(Kind::Unavailable, message).retry_after(RETRY_S));
        }
        Ok(Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
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
    permit: Option<Permit>,
}

impl Temporary {
    /// An empty one in the folder of temporary files, which is cleared at every start of what ends like it.
    ///
    /// # Errors
    /// [`Kind::StorageFull`] and [`Kind::Unavailable`].
    pub fn new(folder: &Path) -> Result<Temporary, Error> {
        let path = folder.join(format!("{}.part", uuid::Uuid::new_v4().simple()));
        let made = system::create_private_file(&path).and_then(|_| File::options().read(true).write(true).open(&path));
        let file = made.map_err(|error| unwritable(&error))?;
        Ok(Temporary {
            file,
            path,
            permit: None,
        })
    }

    /// Where it stands, for those who open it themselves.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ready to be read from its beginning, with its length in bytes; `permit` lasts until nobody reads it any more.
    ///
    /// # Errors
    /// [`Kind::StorageFull`] and [`Kind::Unavailable`].
    pub fn finish(mut self, permit: Permit) -> Result<(Temporary, u64), Error> {
        let length = self.file.flush().and_then(|()| self.file.metadata());
        let length = length.map_err(|error| unwritable(&error))?.len();
        self.file.seek(SeekFrom::Start(0)).map_err(|error| unwritable(&error))?;
        self.permit = Some(permit);
        // Where files may go while they are open it goes now: a server that is killed leaves nothing behind.
        std::fs::remove_file(&self.path).ok();
        Ok((self, length))
    }
}

/// Why a temporary file could not be written, as an error.
pub fn unwritable(error: &std::io::Error) -> Error {
    let cause = error.to_string();
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            let message = "There is no room on the server's disk for the file that was asked for";
            Error::new(Kind::StorageFull, message).caused_by(cause)
        }
        _ => Error::new(Kind::Unavailable, "The server cannot write its temporary files").caused_by(cause),
    }
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
        let chores = Chores::new(1);
        let first = chores.begin().unwrap();
        assert_eq!(chores.begin().unwrap_err().kind(), Kind::Unavailable);
        drop(first);
        chores.begin().unwrap();
    }

    #[test]
    fn a_temporary_file_goes_with_its_reader() {
        let folder = std::env::temp_dir();
        let chores = Chores::new(1);
        let mut temporary = Temporary::new(&folder).unwrap();
        let path = temporary.path().to_owned();
        temporary.file.write_all(b"some bytes").unwrap();
        assert!(path.exists());
        let (mut temporary, length) = temporary.finish(chores.begin().unwrap()).unwrap();
        let mut text = String::new();
        temporary.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), length), ("some bytes", 10));
        assert!(chores.begin().is_err());
        drop(temporary);
        assert!(chores.begin().is_ok() && !path.exists());
    }
}
