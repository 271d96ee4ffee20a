//! The worker pool: who runs next. Requests that may write never take the last workers, so reads always find one.
//!
//! The first comes with the first job. One that takes a job and leaves nobody behind who waits for the next starts another
//! first, as long as there may be more: a server for two needs no threads for sixty.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};

use super::conn::Conn;
use super::figures::Waiting;
use super::inbox::Inbox;
use super::listener::Shared;
use super::request::Request;
use super::respond::{self, Responder};
use crate::error::Error;
use crate::system;

/// A handler needs little; what is large stands on the heap.
pub(super) const STACK_BYTES: usize = 256 * 1024;

/// How often a thread without work gives its turn away before it sleeps: a few microseconds on an idle machine, and
/// under load what it waits for is there when it comes back, without a sleep, a wake-up and two switches.
pub(super) const TURNS_GIVEN_MAX: u32 = 8;

/// Work for a worker.
pub(super) enum Job {
    /// A complete request and the way to answer it.
    Answer(Box<(Request, Responder)>),
    /// A reply's next piece must be read, since the socket has taken the last.
    Resume(Arc<Conn>),
    /// A socket's client has said something, or has left.
    Hear(Arc<Inbox>),
    /// It is time to look whether those with sockets may still be here.
    Patrol,
    /// Nobody has wanted anything for a moment.
    Rest,
}

/// A job that a worker has taken.
struct Taken {
    line: Line,
    job: Job,
    /// Nobody waits for the next one: whoever has taken this starts another worker, which is expected already.
    is_last: bool,
}

/// Which of the two lines a job stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// GET, HEAD, and sending on: short.
    Reads,
    /// Anything that may wait for a commit.
    Writes,
}

pub(super) struct Jobs {
    lines: Mutex<Lines>,
    workers_max: usize,
    writes_at_once: usize,
    waiting_writes_max: usize,
    /// There is a worker: nobody who has a job needs to look whether it is the first.
    has_begun: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Lines {
    reads: VecDeque<(u64, Job)>,
    writes: VecDeque<(u64, Job)>,
    arrived: u64,
    reading: usize,
    writing: usize,
    /// The oldest read has not moved for a tick: those who read must be waiting for something after all.
    is_stuck: bool,
    /// The oldest read at the last tick.
    oldest_read: Option<u64>,
    /// Workers asleep. The last to fall asleep is woken first: a few workers do all the work, with warm caches, and the
    /// memory of the others is never touched.
    idle: Vec<Thread>,
    /// Whether a worker is awake, or being woken, to look for work: then nobody else needs to be.
    is_sought: bool,
    /// Workers that there are, and the one that is expected.
    started: usize,
    /// One of them has not come here yet.
    is_one_coming: bool,
    /// A patrol is in line or on its way.
    is_patrolling: bool,
    open: bool,
}

impl Jobs {
    pub(super) fn new(workers: usize, for_reads: usize, waiting_writes_max: usize) -> Jobs {
        Jobs {
            lines: Mutex::new(Lines {
                reads: VecDeque::new(),
                writes: VecDeque::new(),
                arrived: 0,
                reading: 0,
                writing: 0,
                is_stuck: false,
                oldest_read: None,
                idle: Vec::new(),
                is_sought: false,
                started: 0,
                is_one_coming: false,
                is_patrolling: false,
                open: true,
            }),
            workers_max: workers.max(1),
            writes_at_once: workers.saturating_sub(for_reads).max(1),
            waiting_writes_max,
            has_begun: AtomicBool::new(false),
            threads: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many jobs stand in line.
    pub(super) fn waiting(&self) -> Waiting {
        let lines = self.lock();
        Waiting {
            reads: lines.reads.len(),
            writes: lines.writes.len(),
        }
    }

    /// Puts a job in line; gives it back when too many stand there.
    fn push(&self, line: Line, job: Job) -> Result<(), Job> {
        let mut lines = self.lock();
        let number = lines.arrived;
        lines.arrived += 1;
        match line {
            Line::Reads => lines.reads.push_back((number, job)),
            Line::Writes if lines.writes.len() >= self.waiting_writes_max => return Err(job),
            Line::Writes => lines.writes.push_back((number, job)),
        }
        self.wake_helper(lines);
        Ok(())
    }

    /// Puts a patrol in line, unless the last one is still about: a store that hangs must not take a worker a tick.
    pub(super) fn patrol(&self) {
        if std::mem::replace(&mut self.lock().is_patrolling, true) {
            return;
        }
        // This line takes everything.
        drop(self.push(Line::Reads, Job::Patrol));
    }

    /// A patrol that is over when this is dropped, also by a panic.
    fn patrolling(&self) -> Patrolling<'_> {
        Patrolling(self)
    }

    /// Wakes a sleeping worker if there is work that may be done now and nobody awake is looking for it.
    fn wake_helper(&self, mut lines: MutexGuard<'_, Lines>) {
        // More of them awake than there are connections to the database only take turns.
        let is_room = || lines.reading < system::reads_at_once() || lines.is_stuck;
        let reads = !lines.reads.is_empty() && is_room();
        let writes = !lines.writes.is_empty() && lines.writing < self.writes_at_once;
        let helper = if (reads || writes) && !lines.is_sought {
            lines.idle.pop()
        } else {
            None
        };
        // From here on it is awake, also while it is still on its way: the next job does not wake another.
        lines.is_sought |= helper.is_some();
        drop(lines);
        if let Some(helper) = helper {
            helper.unpark();
        }
    }

    /// The line whose first job is next in order of arrival, as far as the lines allow.
    fn first(&self, lines: &Lines) -> Option<Line> {
        let read = lines.reads.front().map(|(number, _)| *number);
        let write = lines.writes.front().map(|(number, _)| *number);
        match (read, write.filter(|_| lines.writing < self.writes_at_once)) {
            (Some(read), Some(write)) if write < read => Some(Line::Writes),
            (Some(_), _) => Some(Line::Reads),
            (None, Some(_)) => Some(Line::Writes),
            (None, None) => None,
        }
    }

    /// The next job. `None`: the pool is closed. `done` is the line of the last one, for who has had any.
    ///
    /// One worker without work stays awake for a moment and gives its turn away before it sleeps.
    fn next(&self, done: Option<Line>) -> Option<Taken> {
        let mut lines = self.lock();
        match done {
            Some(Line::Reads) => lines.reading -= 1,
            Some(Line::Writes) => lines.writing -= 1,
            None => lines.is_one_coming = false,
        }
        let mut turns_given = 0;
        let mut is_seeker = false;
        loop {
            if let Some(line) = self.first(&lines) {
                if is_seeker {
                    lines.is_sought = false;
                }
                let job = match line {
                    Line::Reads => lines.reads.pop_front(),
                    Line::Writes => lines.writes.pop_front(),
                };
                match line {
                    Line::Reads => lines.reading += 1,
                    Line::Writes => lines.writing += 1,
                }
                let is_alone = lines.idle.is_empty() && !lines.is_sought && !lines.is_one_coming;
                let is_last = is_alone && lines.open && lines.started < self.workers_max;
                lines.started += usize::from(is_last);
                lines.is_one_coming |= is_last;
                self.wake_helper(lines);
                return job.map(|(_, job)| Taken { line, job, is_last });
            }
            if !lines.open {
                return None;
            }
            if (is_seeker || !lines.is_sought) && turns_given < TURNS_GIVEN_MAX {
                lines.is_sought = true;
                is_seeker = true;
                turns_given += 1;
                drop(lines);
                thread::yield_now();
                lines = self.lock();
                continue;
            }
            if is_seeker {
                lines.is_sought = false;
            }
            let own = thread::current();
            let id = own.id();
            lines.idle.push(own);
            while lines.idle.iter().any(|idle| idle.id() == id) {
                drop(lines);
                thread::park();
                lines = self.lock();
            }
            is_seeker = true;
            turns_given = 0;
        }
    }

    /// Whether there is no worker yet; whoever is told so starts the first.
    fn expects_first(&self) -> bool {
        let mut lines = self.lock();
        let is_first = lines.started == 0;
        lines.started += usize::from(is_first);
        lines.is_one_coming |= is_first;
        is_first
    }

    /// The worker that is expected did not start: the next to take a job, or to have one, tries again.
    fn expect_nobody(&self) {
        let mut lines = self.lock();
        lines.started -= 1;
        lines.is_one_coming = false;
    }

    /// Looks, at every tick of the poll thread, whether reads stand still behind readers that wait (for a disk, for a
    /// lock), and wakes others until they move again.
    pub(super) fn hurry(&self) {
        let mut lines = self.lock();
        let oldest = lines.reads.front().map(|(number, _)| *number);
        lines.is_stuck = oldest.is_some() && oldest == lines.oldest_read;
        lines.oldest_read = oldest;
        self.wake_helper(lines);
    }

    /// Lets the workers end once the lines are empty. Returns their threads.
    pub(super) fn close(&self) -> Vec<JoinHandle<()>> {
        let mut lines = self.lock();
        lines.open = false;
        for idle in lines.idle.drain(..) {
            idle.unpark();
        }
        drop(lines);
        std::mem::take(&mut self.threads())
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Patrolling<'j>(&'j Jobs);

impl Drop for Patrolling<'_> {
    fn drop(&mut self) {
        self.0.lock().is_patrolling = false;
    }
}

/// Puts a job in line; gives it back when too many stand there, or when there is no worker and the system gives none.
pub(super) fn push(shared: &Arc<Shared>, line: Line, job: Job) -> Result<(), Job> {
    let jobs = &shared.jobs;
    if !jobs.has_begun.load(Ordering::Relaxed) && jobs.expects_first() {
        if let Err(error) = start(shared) {
            log::error!("{error}");
            return Err(job);
        }
        jobs.has_begun.store(true, Ordering::Relaxed);
    }
    jobs.push(line, job)
}

/// Starts the worker that is expected.
///
/// # Errors
/// [`crate::error::Kind::Internal`] when the system gives no thread.
fn start(shared: &Arc<Shared>) -> Result<(), Error> {
    let mut threads = shared.jobs.threads();
    let worker = thread::Builder::new()
        .name(format!("worker-{}", threads.len()))
        .stack_size(STACK_BYTES)
        .spawn({
            let shared = Arc::clone(shared);
            move || work(&shared)
        });
    match worker {
        Ok(worker) => {
            threads.push(worker);
            Ok(())
        }
        Err(error) => {
            shared.jobs.expect_nobody();
            Err(Error::internal("a worker thread did not start", error))
        }
    }
}

fn work(shared: &Arc<Shared>) {
    let mut done = None;
    while let Some(Taken { line, job, is_last }) = shared.jobs.next(done) {
        if is_last && let Err(error) = start(shared) {
            log::warn!("{error}");
        }
        run(|| match job {
            Job::Answer(job) => {
                let (request, responder) = *job;
                shared.handler.handle(request, responder);
            }
            Job::Resume(conn) => respond::resume(shared, &conn),
            Job::Hear(inbox) => inbox.work(),
            Job::Patrol => {
                let _turn = shared.jobs.patrolling();
                shared.handler.patrol();
            }
            Job::Rest => system::rest(),
        });
        done = Some(line);
    }
}

/// Runs a handler. One that panics drops its responder, which answers 500; its thread goes on.
pub(super) fn run(handler: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(handler)).is_err() {
        log::error!("a handler panicked; its client was answered 500");
    }
}
