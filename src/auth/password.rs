//! Password hashing: argon2id on two threads of its own, behind a bounded queue.
//!
//! A hash costs about 20 ms of a core and 19 MiB. Two at a time bound the memory, and the workers' small stacks
//! and the other cores stay free. Knows no users: who an unknown name belongs to is asked with `None`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use argon2::password_hash::Error as HashError;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};

use crate::error::{Error, Kind};

/// Two hashes at a time: 38 MiB at worst, and on the smallest machines at most half of the cores.
const THREADS: usize = 2;
/// A full queue takes about a second to work off, which is what the refused are told to wait.
const QUEUE_JOBS_MAX: usize = 64;
/// A caller that has waited this long has been given up by its own client.
const DEADLINE: Duration = Duration::from_secs(30);
/// Argon2 keeps its blocks on the heap; its frames and ours stay far below this (the default would be 2 MiB).
const STACK_BYTES: usize = 256 * 1024;

/// OWASP's first choice for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What a password is verified against when there is no such user: the same cost, and a tag that no password has
/// (finding one that does is a preimage of 256 zero bits).
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

type Job = Box<dyn FnOnce() + Send>;

/// The hash threads. They end when the last caller has dropped this.
pub struct Hasher {
    jobs: SyncSender<Job>,
}

impl Hasher {
    /// Starts the threads. [`Kind::Internal`] if the system has none left.
    pub fn start() -> Result<Hasher, Error> {
        let (jobs, queue) = sync_channel(QUEUE_JOBS_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for n in 0..THREADS {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("hash-{n}"))
                .stack_size(STACK_BYTES)
                .spawn(move || work(&queue))
                .map_err(|error| Error::internal("cannot start a hash thread", error))?;
        }
        Ok(Hasher { jobs })
    }

    /// The password as a PHC string with a fresh random salt. Blocks for the hash and for those queued before it.
    ///
    /// [`Kind::Unavailable`] when the queue is full or the deadline of 30 s has passed.
    pub fn hash(&self, password: &str) -> Result<String, Error> {
        let password = password.to_owned();
        self.run(move || {
            let hash = argon2()?
                .hash_password(password.as_bytes())
                .map_err(|error| Error::internal("hashing a password failed", error))?;
            Ok(hash.to_string())
        })
    }

    /// Whether `password` is the one that `stored`, a PHC string, was made from. `None` (no such user) takes as long
    /// and is false. Blocks as [`Hasher::hash`] does.
    ///
    /// [`Kind::Unavailable`] as there; [`Kind::Internal`] if `stored` is not a PHC string of argon2.
    pub fn verify(&self, password: &str, stored: Option<&str>) -> Result<bool, Error> {
        let password = password.to_owned();
        let known = stored.is_some();
        let stored = stored.unwrap_or(DUMMY).to_owned();
        self.run(move || {
            let unusable = |error| Error::internal("a stored password hash is not usable", error);
            let stored = PasswordHash::new(&stored).map_err(HashError::from).map_err(unusable)?;
            match argon2()?.verify_password(password.as_bytes(), &stored) {
                Ok(()) => Ok(known),
                Err(HashError::PasswordInvalid) => Ok(false),
                Err(error) => Err(unusable(error)),
            }
        })
    }

    /// Runs `task` on a hash thread and waits for its answer.
    fn run<T: Send + 'static>(&self, task: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
        let (answer, answered) = sync_channel(1);
        let deadline = Instant::now() + DEADLINE;
        let job = move || {
            if Instant::now() >= deadline {
                return; // Nobody waits for this one any more.
            }
            let result = catch_unwind(AssertUnwindSafe(task))
                .unwrap_or_else(|_| Err(Error::new(Kind::Internal, "a hash job panicked")));
            // The caller may have given up meanwhile.
            drop(answer.send(result));
        };
        self.jobs.try_send(Box::new(job)).map_err(|error| match error {
            TrySendError::Full(_) => busy(),
            TrySendError::Disconnected(_) => Error::new(Kind::Internal, "the hash threads are gone"),
        })?;
        answered.recv_timeout(DEADLINE).map_err(|error| match error {
            RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected => busy(),
        })?
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        // Waiting inside the lock is how std's channel serves two threads: one waits for a job, the other for the lock.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| Error::internal("argon2 refuses its parameters", HashError::from(error)))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn busy() -> Error {
    Error::new(Kind::Unavailable, "Too many logins at once. Try again in a moment.").retry_after(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn a_hash_verifies_and_is_salted() {
        let hasher = Hasher::start().unwrap();
        let stored = hasher.hash("correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_ne!(stored, hasher.hash("correct horse").unwrap());
        assert!(hasher.verify("correct horse", Some(&stored)).unwrap());
        assert!(!hasher.verify("battery staple", Some(&stored)).unwrap());
    }

    #[test]
    fn an_unknown_user_costs_the_same_and_never_matches() {
        let hasher = Hasher::start().unwrap();
        let real = PasswordHash::new(DUMMY).unwrap();
        assert_eq!(Params::try_from(&real).unwrap().m_cost(), MEMORY_KIB);
        assert!(!hasher.verify("", None).unwrap());
        assert!(!hasher.verify("anything", None).unwrap());
    }

    #[test]
    fn a_stored_string_that_is_no_hash_is_our_mistake() {
        let hasher = Hasher::start().unwrap();
        for stored in [
            "",
            "plain",
            "$2b$12$abcdefghijklmnopqrstuv",
            "$argon2id$v=19$m=1,t=0,p=1$AAAA$AAAA",
        ] {
            let error = hasher.verify("x", Some(stored)).unwrap_err();
            assert_eq!(error.kind(), Kind::Internal, "{stored}");
        }
    }

    #[test]
    fn a_panicking_job_is_an_internal_error_and_the_thread_goes_on() {
        let hasher = Hasher::start().unwrap();
        for _ in 0..3 {
            let error = hasher.run::<()>(|| panic!("on purpose")).unwrap_err();
            assert_eq!(error.kind(), Kind::Internal);
        }
        assert_eq!(hasher.run(|| Ok(7)).unwrap(), 7);
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let hasher = Arc::new(Hasher::start().unwrap());
        let gate = Arc::new(Barrier::new(THREADS + 1));
        for _ in 0..THREADS {
            let gate = Arc::clone(&gate);
            hasher
                .jobs
                .send(Box::new(move || {
                    gate.wait();
                }))
                .unwrap();
        }
        let mut queued = 0;
        while hasher.jobs.try_send(Box::new(|| ())).is_ok() {
            queued += 1;
            assert!(queued <= QUEUE_JOBS_MAX + THREADS);
        }
        assert!(queued >= QUEUE_JOBS_MAX - THREADS);
        let error = hasher.hash("x").unwrap_err();
        assert_eq!((error.kind(), error.retry_after_s()), (Kind::Unavailable, Some(1)));
        gate.wait();
    }
}
