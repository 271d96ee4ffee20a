//! Temporary files: bodies on their way in, and replies that slow clients have not taken yet. Owns how much of the disk
//! all of them may take together.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::RequestId;

/// Makes temporary files.
pub(super) struct Spools {
    folder: PathBuf,
    /// Bytes that all files have, or were promised.
    claimed: Arc<AtomicU64>,
    bytes_max: u64,
}

/// A temporary file that goes away with its last use.
#[derive(Debug)]
pub(super) struct Spool {
    pub(super) file: File,
    /// Bytes that were written.
    pub(super) length: u64,
    path: PathBuf,
    claim: Claim,
}

/// A part of what all files may take together.
#[derive(Debug)]
struct Claim {
    all: Arc<AtomicU64>,
    own: u64,
    bytes_max: u64,
}

impl Spools {
    pub(super) fn new(folder: PathBuf, bytes_max: u64) -> Spools {
        Spools {
            folder,
            claimed: Arc::default(),
            bytes_max,
        }
    }

    /// A new file, in which so many bytes find room for certain; more may.
    ///
    /// # Errors
    /// [`ErrorKind::QuotaExceeded`] when all files together take too much already; the system's.
    pub(super) fn make(&self, id: RequestId, bytes: u64) -> std::io::Result<Spool> {
        let mut claim = Claim {
            all: Arc::clone(&self.claimed),
            own: 0,
            bytes_max: self.bytes_max,
        };
        claim.grow_to(bytes)?;
        let path = self.folder.join(format!("{id}.part"));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(Spool {
            file,
            length: 0,
            path,
            claim,
        })
    }
}

impl Claim {
    fn grow_to(&mut self, bytes: u64) -> std::io::Result<()> {
        let more = bytes.saturating_sub(self.own);
        let grow = |all: u64| all.checked_add(more).filter(|all| *all <= self.bytes_max);
        if more > 0
            && self
                .all
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow)
                .is_err()
        {
            return Err(ErrorKind::QuotaExceeded.into());
        }
        self.own += more;
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
    }
}

impl Spool {
    /// Adds these bytes at the end.
    ///
    /// # Errors
    /// As [`Spools::make`].
    pub(super) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let length = self.length + bytes.len() as u64;
        self.claim.grow_to(length)?;
        self.file.write_all(bytes)?;
        self.length = length;
        Ok(())
    }

    /// Reads the file from its beginning; it goes away with the reader.
    pub(super) fn into_reader(mut self) -> std::io::Result<impl Read + Send> {
        struct Reader(Spool);
        impl Read for Reader {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0.file.read(buffer)
            }
        }
        self.file.seek(SeekFrom::Start(0))?;
        Ok(Reader(self))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            log::warn!("a temporary file was not removed: {}: {error}", self.path.display());
        }
    }
}
