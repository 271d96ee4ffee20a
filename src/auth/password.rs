//! Password hashing: argon2id on two threads of its own, which come when there is something to hash, behind a bounded
//! queue. Nobody waits for them: what is to be done with a hash is done there.
//!
//! A hash costs about 20 ms of a core and 19 MiB. Two at a time bound the memory, and the workers' small stacks
//! and the other cores stay free. Knows no users: who an unknown name belongs to is asked with `None`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::password_hash::Error as HashError;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};

use crate::crew::Crew;
use crate::error::{Error, Kind};

/// Two hashes at a time: 38 MiB at worst, and on the smallest machines at most half of the cores.
const THREADS: usize = 2;
/// A full queue takes about a second to work off, which is what the refused are told to wait.
const QUEUE_TASKS_MAX: usize = 64;
/// Who has waited this long has been given up by its own client.
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

type Task = Box<dyn FnOnce(Result<&Hashing, Error>) + Send>;

/// The hash threads. They end when the last caller has dropped this.
pub struct Hasher {
    tasks: SyncSender<(Instant, Task)>,
    queue: Arc<Mutex<Receiver<(Instant, Task)>>>,
    crew: Crew,
}

/// The right to hash here and now, which only the hash threads have.
pub struct Hashing(());

impl Default for Hasher {
    /// Nobody has anything to hash yet.
    fn default() -> Hasher {
        let (tasks, queue) = sync_channel(QUEUE_TASKS_MAX);
        Hasher {
            tasks,
            queue: Arc::new(Mutex::new(queue)),
            crew: Crew::new("hash", STACK_BYTES, THREADS),
        }
    }
}

impl Hasher {
    /// Runs `task` on a hash thread, after those queued before it; does not wait. The task is always run: with
    /// [`Kind::Unavailable`], here and at once, when the queue is full, and there when 30 s have passed in it; with
    /// [`Kind::Internal`] if the system gives no thread.
    pub fn run(&self, task: impl FnOnce(Result<&Hashing, Error>) + Send + 'static) {
        let queue = Arc::clone(&self.queue);
        if let Err(error) = self.crew.grow(move || work(&queue)) {
            return task(Err(error));
        }
        match self.tasks.try_send((Instant::now(), Box::new(task))) {
            Ok(()) => {}
            Err(TrySendError::Full((_, task))) => task(Err(busy())),
            Err(TrySendError::Disconnected((_, task))) => {
                task(Err(Error::new(Kind::Internal, "the hash threads are gone")));
            }
        }
    }
}

impl Hashing {
    /// The password as a PHC string with a fresh random salt.
    ///
    /// # Errors
    /// [`Kind::Internal`].
    pub fn hash(&self, password: &str) -> Result<String, Error> {
        let hash = argon2()?
            .hash_password(password.as_bytes())
            .map_err(|error| Error::internal("hashing a password failed", error))?;
        Ok(hash.to_string())
    }

    /// Whether `password` is the one that `stored`, a PHC string, was made from. `None` (no such user) takes as long
    /// and is false.
    ///
    /// # Errors
    /// [`Kind::Internal`] if `stored` is not a PHC string of argon2.
    pub fn verify(&self, password: &str, stored: Option<&str>) -> Result<bool, Error> {
        let unusable = |error| Error::internal("a stored password hash is not usable", error);
        let hash = PasswordHash::new(stored.unwrap_or(DUMMY))
            .map_err(HashError::from)
            .map_err(unusable)?;
        match argon2()?.verify_password(password.as_bytes(), &hash) {
            Ok(()) => Ok(stored.is_some()),
            Err(HashError::PasswordInvalid) => Ok(false),
            Err(error) => Err(unusable(error)),
        }
    }
}

fn work(queue: &Mutex<Receiver<(Instant, Task)>>) {
    loop {
        // Waiting inside the lock is how std's channel serves two threads: one waits for a task, the other for the lock.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((queued, task)) = next else {
            return;
        };
        let right = if queued.elapsed() < DEADLINE {
            Ok(&Hashing(()))
        } else {
            Err(busy())
        };
        if catch_unwind(AssertUnwindSafe(|| task(right))).is_err() {
            log::error!("a task of the hash threads panicked");
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

    use crate::patience::PATIENCE;

    /// What comes of a task on a hash thread.
    fn on_thread<T: Send + 'static>(
        hasher: &Hasher,
        task: impl FnOnce(&Hashing) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = sync_channel(1);
        hasher.run(move |hashing| answer.send(hashing.and_then(task)).unwrap());
        answered.recv_timeout(PATIENCE).unwrap()
    }

    #[test]
    fn a_hash_verifies_and_is_salted() {
        let stored = Hashing(()).hash("correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_ne!(stored, Hashing(()).hash("correct horse").unwrap());
        assert!(Hashing(()).verify("correct horse", Some(&stored)).unwrap());
        assert!(!Hashing(()).verify("battery staple", Some(&stored)).unwrap());
    }

    #[test]
    fn an_unknown_user_costs_the_same_and_never_matches() {
        let real = PasswordHash::new(DUMMY).unwrap();
        assert_eq!(Params::try_from(&real).unwrap().m_cost(), MEMORY_KIB);
        assert!(!Hashing(()).verify("", None).unwrap());
        assert!(!Hashing(()).verify("anything", None).unwrap());
    }

    #[test]
    fn a_stored_string_that_is_no_hash_is_our_mistake() {
        for stored in [
            "",
            "plain",
            "$2b$12$abcdefghijklmnopqrstuv",
            "$argon2id$v=19$m=1,t=0,p=1$AAAA$AAAA",
        ] {
            let error = Hashing(()).verify("x", Some(stored)).unwrap_err();
            assert_eq!(error.kind(), Kind::Internal, "{stored}");
        }
    }

    #[test]
    fn a_task_that_panics_leaves_the_thread_to_the_next() {
        let hasher = Hasher::default();
        for _ in 0..THREADS + 1 {
            hasher.run(|_| panic!("on purpose"));
        }
        // The stack of a hash thread is enough.
        let verified = on_thread(&hasher, |hashing| {
            let stored = hashing.hash("correct horse")?;
            hashing.verify("correct horse", Some(&stored))
        });
        assert!(verified.unwrap());
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let hasher = Hasher::default();
        let gate = Arc::new(Barrier::new(THREADS + 1));
        for _ in 0..THREADS {
            let gate = Arc::clone(&gate);
            let (begun, has_begun) = sync_channel(1);
            hasher.run(move |_| {
                begun.send(()).unwrap();
                gate.wait();
            });
            has_begun.recv_timeout(PATIENCE).unwrap();
        }
        for _ in 0..QUEUE_TASKS_MAX {
            hasher.run(|hashing| assert!(hashing.is_ok()));
        }
        let error = on_thread(&hasher, |_| Ok(())).unwrap_err();
        assert_eq!((error.kind(), error.retry_after_s()), (Kind::Unavailable, Some(1)));
        gate.wait();
    }
}
