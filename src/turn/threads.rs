//! The threads that turns run on. One that has run its turn waits a moment for the next: a thread that is
//! made and ended for each takes a twentieth of what a short reply takes otherwise.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::system;

use super::live;

/// Stack of a turn's thread: TLS and JSON need little, and there may be hundreds.
const STACK_BYTES: usize = 256 * 1024;

/// How long a thread waits for a turn. What it holds meanwhile is its stack.
const REST_MAX: Duration = Duration::from_secs(1);

type Work = Box<dyn FnOnce() + Send>;

/// As many threads as there is work, and those that rest from it.
pub(super) struct Threads {
    stack_bytes: usize,
    resting: Mutex<Resting>,
    came: Condvar,
}

#[derive(Default)]
struct Resting {
    /// How many rest whom no work has been given.
    count: usize,
    /// Work for the others.
    given: Vec<Work>,
}

impl Threads {
    /// None yet.
    pub(super) fn new() -> Arc<Threads> {
        Threads::with_stack(STACK_BYTES)
    }

    /// The same, with stacks of this size.
    pub(super) fn with_stack(stack_bytes: usize) -> Arc<Threads> {
        Arc::new(Threads {
            stack_bytes,
            resting: Mutex::default(),
            came: Condvar::new(),
        })
    }

    /// Does `run` with `work` on a thread of its own.
    ///
    /// # Errors
    /// The work, with which nothing has been done, and [`Kind::Unavailable`](crate::error::Kind::Unavailable): no thread
    /// came to be.
    pub(super) fn start<W: Send + 'static>(
        self: &Arc<Self>,
        work: W,
        run: impl FnOnce(W) + Send + 'static,
    ) -> Result<(), (W, Error)> {
        let mut resting = self.resting();
        if resting.count > 0 {
            resting.count -= 1;
            resting.given.push(Box::new(move || run(work)));
            drop(resting);
            self.came.notify_one();
            return Ok(());
        }
        drop(resting);
        // Shared, because a thread that does not come to be does not give back what it was to run with.
        let work = Arc::new(Mutex::new(Some(work)));
        let take = |work: &Mutex<Option<W>>| work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (taken, threads) = (Arc::clone(&work), Arc::clone(self));
        let spawned = thread::Builder::new()
            .name("turn".into())
            .stack_size(self.stack_bytes)
            .spawn(move || {
                // A reply comes in hundreds of pieces. If each woke a thread at once, in the middle of what the others do
                // (among them, perhaps, the model), a busy machine would do little else.
                system::interrupt_nobody();
                take(&taken).map(run);
                while let Some(work) = threads.rest() {
                    work();
                }
            });
        let Err(error) = spawned else {
            return Ok(());
        };
        log::error!("a turn's thread did not start: {error}");
        let message = "The server has no thread left to write a reply on; try again";
        match take(&work) {
            Some(work) => Err((work, live::unavailable(message, 5))),
            None => Ok(()),
        }
    }

    /// Waits for more work. Without any the thread may end.
    fn rest(&self) -> Option<Work> {
        let mut resting = self.resting();
        resting.count += 1;
        let waited = self
            .came
            .wait_timeout_while(resting, REST_MAX, |resting| resting.given.is_empty());
        let (mut resting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let work = resting.given.pop();
        if work.is_none() {
            resting.count -= 1;
        }
        work
    }

    fn resting(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::ThreadId;
    use std::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Work that tells its thread and ends when it may.
    fn work(threads: &Arc<Threads>) -> (Receiver<ThreadId>, Sender<()>) {
        let (tell, told) = channel();
        let (end, may_end) = channel();
        let run = move |tell: Sender<ThreadId>| {
            tell.send(thread::current().id()).ok();
            // Either may have nobody left at its other end.
            may_end.recv().ok();
        };
        assert!(threads.start(tell, run).is_ok());
        (told, end)
    }

    fn wait_for_resting(threads: &Threads, count: usize) {
        let begun = Instant::now();
        while threads.resting().count != count {
            assert!(begun.elapsed() < PATIENCE, "{} rest", threads.resting().count);
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn who_has_rested_works_again() {
        let threads = Threads::new();
        let begun = [work(&threads), work(&threads)];
        let first: Vec<ThreadId> = begun
            .iter()
            .map(|(told, _)| told.recv_timeout(PATIENCE).unwrap())
            .collect();
        assert_ne!(first[0], first[1]);
        drop(begun);
        wait_for_resting(&threads, 2);
        // More work than there are threads: nobody waits for another's end.
        let again: Vec<_> = (0..3).map(|_| work(&threads)).collect();
        let ids: Vec<ThreadId> = again
            .iter()
            .map(|(told, _)| told.recv_timeout(PATIENCE).unwrap())
            .collect();
        assert_eq!(ids.iter().filter(|id| first.contains(id)).count(), 2);
        drop(again);
    }

    #[test]
    fn who_has_nothing_to_do_ends() {
        let threads = Threads::new();
        drop(work(&threads));
        let begun = Instant::now();
        while Arc::strong_count(&threads) > 1 {
            assert!(begun.elapsed() < PATIENCE);
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(threads.resting().count, 0);
    }

    #[test]
    fn who_works_interrupts_nobody() {
        let (tell, told) = channel();
        assert!(
            Threads::new()
                .start((), move |()| tell.send(system::interrupts()).unwrap())
                .is_ok()
        );
        let does = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(does, cfg!(not(all(target_os = "linux", target_env = "gnu"))));
        assert!(system::interrupts());
    }

    #[test]
    fn what_panics_takes_no_other_with_it() {
        let threads = Threads::new();
        assert!(threads.start((), |()| panic!("on purpose")).is_ok());
        let (told, _end) = work(&threads);
        told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(threads.resting().count, 0);
    }

    #[test]
    fn work_comes_back_where_no_thread_comes_to_be() {
        // No machine has a stack of this size.
        let threads = Threads::with_stack(1 << 60);
        let (work, error) = threads.start("work", |_| ()).unwrap_err();
        assert_eq!(work, "work");
        assert!(error.to_string().contains("no thread left"), "{error}");
    }
}
