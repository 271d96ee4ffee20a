//! The rig: a server process, an HTTP client, a fake upstream, forged tokens and JSON shapes. It reports what happened
//! and never decides what should have; that is the tests' part.

mod chunks;
mod desk;
mod forge;
mod form;
mod http;
mod output;
mod scripted;
mod server;
mod shape;
mod socket;
mod stream;
mod upstream;

pub(crate) use desk::Desk;
pub(crate) use forge::{Algorithm, claims, forge, forge_raw, forge_with};
pub(crate) use form::Multipart;
pub(crate) use http::{Call, Connection, Ending, Reply, parse_replies, percent};
pub(crate) use output::check_output;
pub(crate) use scripted::{Scripted, streamed, whole};
pub(crate) use server::{Account, Exit, Launch, Server};
pub(crate) use shape::{check_shape, invalid};
pub(crate) use socket::{Socket, check_refused};
pub(crate) use stream::{End, Event, Stream, text_of};
pub(crate) use upstream::Upstream;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long anything may take that should be quick; generous, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that is removed on drop.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        loop {
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("fireside-test-{}-{count}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return TempDir(path),
                // Of a run that was killed, whose number has come round.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("no temp folder: {error}"),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// Asks `probe` until it answers, and fails the test with `what` when that takes longer than `patience`.
#[track_caller]
pub(crate) fn until<T>(patience: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Tests that open hundreds of sockets take turns, so that the test process stays within its own descriptors.
pub(crate) fn crowd() -> MutexGuard<'static, ()> {
    static CROWD: Mutex<()> = Mutex::new(());
    descriptors_max();
    CROWD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many descriptors this process may have, but for a few, once it has taken as many as it may.
pub(crate) fn descriptors_max() -> usize {
    static MAX: OnceLock<usize> = OnceLock::new();
    *MAX.get_or_init(fireside::system::raise_descriptor_limit)
}

/// Whether the long forms of the tests are asked for.
pub(crate) fn slow() -> bool {
    std::env::var_os("FIRESIDE_TEST_SLOW").is_some_and(|value| value == "1")
}

/// A small deterministic generator (xorshift64*): the same corpus on every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number in `0..bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).expect("below a usize")
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }
}
