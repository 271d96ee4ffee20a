//! The one writer and its group commit.
//!
//! The writer takes everything that is queued, runs it in one transaction, commits once (one fsync), then answers all
//! callers. Where a job fails, what the group has done is taken back, and each is run again in a savepoint: so that it
//! rolls back alone, and nobody pays for savepoints (SQLite copies each page that is changed behind one) while nothing
//! fails. But a full disk, an I/O error or memory exhaustion roll back the *whole* transaction under SQLite's feet: a
//! SAVEPOINT after that would open and commit a transaction of its own. So after any failed job we look whether the
//! transaction still stands; if not, every job of the group has failed, and those that had not failed by themselves are
//! run once more, each in its own transaction.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::housekeeping::{Left, clear_batch};
use super::pen::{Pen, alone, begun, guarded, run_sql};
use super::{Read, Tx, blobs, failed, message_index, open};
use crate::error::{Error, Kind};

/// How long a caller waits for its job to begin. Twice SQLite's own patience with a lock.
const BEGIN_MAX: Duration = Duration::from_secs(10);

/// How long a caller waits once its job has begun: it may already be on disk, so giving up says less than waiting.
const FINISH_MAX: Duration = Duration::from_secs(60);

/// Jobs in one transaction. Beyond this the fsync is a small part of the cost, and the first in line waits for the last.
const GROUP_MAX: usize = 256;

/// Jobs that may wait. More than all workers and turns can have in flight at their defaults.
const QUEUE_MAX: usize = 1024;

/// How often a store that failed is tried again while nobody writes.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// How often old sessions and deleted conversations are looked for.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(3600);

/// How long a start goes on before what earlier runs have left is cleared away.
const TIDY_AFTER: Duration = Duration::from_secs(1);

/// The pause between two batches of housekeeping: the disk is mostly the others'.
const HOUSEKEEPING_PAUSE: Duration = Duration::from_millis(100);

/// How often blobs that nobody uses any more are looked for.
const COLLECT_EVERY: Duration = Duration::from_secs(60);

/// How long what is new waits to be indexed: messages come in pairs, and a batch of them costs hardly more than one.
const INDEX_AFTER: Duration = Duration::from_secs(1);

/// How long others come first after a batch of indexing while there are any, in times of what the batch took: a twentieth
/// of the time goes to it, and yet more messages are indexed than a disk takes.
const INDEX_PAUSE: u32 = 19;

/// How long nobody must have written for others to be gone: at a thousand messages a second there are moments without any.
const QUIET_AFTER: Duration = Duration::from_millis(200);

/// How long a job waits that can wait for others: some commits.
pub(super) const GATHER: Duration = Duration::from_millis(2);

/// How soon indexing is tried again when it has failed.
const INDEX_RETRY: Duration = Duration::from_secs(10);

/// How long others come first when there are more of them: each step may take as long as a large write.
const COLLECT_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Writer {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A writer that has nothing to write to yet.
pub(super) struct Starting<T> {
    /// Dropped before the writer, whose drop waits for its thread, which waits for this.
    give: SyncSender<Connection>,
    made: Receiver<T>,
    writer: Writer,
}

impl<T> Starting<T> {
    /// Runs `first` in a transaction of its own, on this thread.
    pub(super) fn run_here<R>(
        &self,
        connection: &Connection,
        first: impl FnOnce(&Tx<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        alone(&Pen::new(connection, &self.writer.queue.written), first)
    }

    /// Gives it the connection, and waits for what its thread has made meanwhile.
    pub(super) fn finish(self, connection: Connection) -> Result<(Writer, T), Error> {
        let Starting { give, made, writer } = self;
        // The only way to end without a word, or not to take it, is a panic.
        let made = made.recv().ok().filter(|_| give.send(connection).is_ok());
        let panicked = || Error::new(Kind::Internal, "what a server needs could not be prepared");
        Ok((writer, made.ok_or_else(panicked)?))
    }
}

struct Queue {
    inbox: Mutex<Inbox>,
    filled: Condvar,
    trouble: Mutex<Option<String>>,
    /// Something large is to be cleared away.
    is_untidy: AtomicBool,
    commits: AtomicU64,
    jobs: AtomicU64,
    /// Grows whenever something may have been written, before anybody is told so.
    written: AtomicU64,
}

/// What the writer has done since it was started, and has before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriterFigures {
    /// Transactions of jobs. Each is at most one fsync.
    pub commits: u64,
    /// Jobs in them, those that failed included.
    pub jobs: u64,
    /// Jobs that wait.
    pub waiting: usize,
}

struct Inbox {
    jobs: VecDeque<Box<dyn Job>>,
    /// When the writer takes them: at once, unless all of them can wait for company.
    due: Instant,
    open: bool,
}

/// A unit of writing that can be run again, and that somebody waits for.
trait Job: Send {
    /// False when the caller has given up: then the job must not run.
    fn begin(&self) -> bool;
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Error>;
    fn finish(self: Box<Self>, outcome: Result<(), Error>);
}

struct Work<T, F> {
    work: F,
    value: Option<T>,
    slot: Arc<Slot<T>>,
}

/// Where a caller waits for its answer.
struct Slot<T> {
    progress: Mutex<Progress<T>>,
    moved: Condvar,
}

enum Progress<T> {
    Waiting,
    Running,
    Abandoned,
    Done(Result<T, Error>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Send, F: Fn(&Tx<'_>) -> Result<T, Error> + Send> Job for Work<T, F> {
    fn begin(&self) -> bool {
        let mut progress = lock(&self.slot.progress);
        let wanted = !matches!(*progress, Progress::Abandoned);
        if wanted {
            *progress = Progress::Running;
        }
        wanted
    }

    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        self.value = Some((self.work)(tx)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        let answer = match (outcome, self.value) {
            (Ok(()), Some(value)) => Ok(value),
            (Ok(()), None) => Err(Error::new(Kind::Internal, "a job ended without a value")),
            (Err(error), _) => Err(error),
        };
        *lock(&self.slot.progress) = Progress::Done(answer);
        self.slot.moved.notify_one();
    }
}

impl<T> Slot<T> {
    /// Waits for the answer; leaves the job unrun when it has not begun in time.
    fn wait(&self) -> Result<T, Error> {
        let mut deadline = Instant::now() + BEGIN_MAX;
        let mut late = false;
        let mut progress = lock(&self.progress);
        loop {
            if let Progress::Done(_) = *progress
                && let Progress::Done(answer) = std::mem::replace(&mut *progress, Progress::Abandoned)
            {
                return answer;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                if late || matches!(*progress, Progress::Waiting) {
                    *progress = Progress::Abandoned;
                    let message = if late {
                        "The disk does not answer. Look again before you send this once more"
                    } else {
                        "The database is busy. Nothing was stored; try again"
                    };
                    return Err(Error::new(Kind::Unavailable, message).retry_after(5));
                }
                late = true;
                deadline = Instant::now() + FINISH_MAX;
                continue;
            }
            let waited = self.moved.wait_timeout(progress, left);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Writer {
    /// Starts the thread. Until there is something to write to, it does `meanwhile`.
    pub(super) fn start<T: Send + 'static>(
        meanwhile: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Starting<T>, Error> {
        let queue = Arc::new(Queue {
            inbox: Mutex::new(Inbox {
                jobs: VecDeque::new(),
                due: Instant::now(),
                open: true,
            }),
            filled: Condvar::new(),
            trouble: Mutex::new(None),
            is_untidy: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            jobs: AtomicU64::new(0),
            written: AtomicU64::new(1),
        });
        let served = Arc::clone(&queue);
        let (give, given) = mpsc::sync_channel(1);
        let (tell, made) = mpsc::sync_channel(1);
        let work = move || {
            // Whoever has given up opening wants neither.
            drop(tell.send(meanwhile()));
            if let Ok(connection) = given.recv() {
                serve(&Pen::new(&connection, &served.written), &served);
            }
        };
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(work)
            .map_err(|error| Error::internal("the writer thread did not start", error))?;
        let writer = Writer {
            queue,
            thread: Mutex::new(Some(thread)),
        };
        Ok(Starting { give, made, writer })
    }

    pub(super) fn run<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl Fn(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.queue(patience, work)?.wait()
    }

    /// Runs `work` at some time, unless too much waits already. Nobody learns what comes of it.
    pub(super) fn post<T: Send + 'static>(&self, work: impl Fn(&Tx<'_>) -> Result<T, Error> + Send + 'static) {
        drop(self.queue(Duration::ZERO, work));
    }

    fn queue<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl Fn(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<Arc<Slot<T>>, Error> {
        let slot = Arc::new(Slot {
            progress: Mutex::new(Progress::Waiting),
            moved: Condvar::new(),
        });
        let job = Box::new(Work {
            work,
            value: None,
            slot: Arc::clone(&slot),
        });
        let mut inbox = lock(&self.queue.inbox);
        if !inbox.open {
            return Err(Error::new(Kind::Unavailable, "The server is stopping").retry_after(5));
        }
        if inbox.jobs.len() >= QUEUE_MAX {
            let error = Error::new(Kind::Unavailable, "Too many writes are waiting; try again");
            return Err(error.retry_after(1));
        }
        let due = Instant::now() + patience;
        let is_sooner = inbox.jobs.is_empty() || due < inbox.due;
        if is_sooner {
            inbox.due = due;
        }
        inbox.jobs.push_back(job);
        drop(inbox);
        // The writer waits for nothing else while there are jobs.
        if is_sooner {
            self.queue.filled.notify_one();
        }
        Ok(slot)
    }

    pub(super) fn clear_away_soon(&self) {
        // Under the lock, or the writer could miss it between looking and falling asleep.
        let inbox = lock(&self.queue.inbox);
        self.queue.is_untidy.store(true, Ordering::Relaxed);
        drop(inbox);
        self.queue.filled.notify_one();
    }

    /// A number that grows whenever something may have been written, before anybody is told so.
    pub(super) fn written(&self) -> u64 {
        self.queue.written.load(Ordering::Acquire)
    }

    pub(super) fn figures(&self) -> WriterFigures {
        WriterFigures {
            commits: self.queue.commits.load(Ordering::Relaxed),
            jobs: self.queue.jobs.load(Ordering::Relaxed),
            waiting: lock(&self.queue.inbox).jobs.len(),
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.queue.trouble).clone()
    }

    /// How many jobs wait (tests fill a group with it); `None` once the queue is closed.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Option<usize> {
        let inbox = lock(&self.queue.inbox);
        inbox.open.then_some(inbox.jobs.len())
    }

    pub(super) fn close(&self) {
        lock(&self.queue.inbox).open = false;
        self.queue.filled.notify_one();
        if let Some(thread) = lock(&self.thread).take()
            && thread.join().is_err()
        {
            log::error!("the writer thread panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// The writer thread: groups until the queue is closed and empty.
fn serve(pen: &Pen<'_>, queue: &Queue) {
    let mut written_at = Instant::now();
    // A server that was stopped may have left something to each.
    let mut housekeeping = written_at + TIDY_AFTER;
    let mut collect_at = housekeeping;
    let mut index_at = Some(written_at + INDEX_AFTER);
    while let Some(group) = next_group(
        queue,
        index_at
            .iter()
            .fold(housekeeping.min(collect_at), |due, at| due.min(*at)),
    ) {
        let is_idle = group.is_empty();
        commit_group(pen, queue, group);
        let is_trouble = lock(&queue.trouble).is_some();
        if is_idle && is_trouble && alone(pen, probe).is_ok() {
            *lock(&queue.trouble) = None;
        }
        if !is_idle {
            written_at = Instant::now();
            index_at = index_at.or(Some(written_at + INDEX_AFTER));
        }
        if !is_trouble && index_at.is_some_and(|at| Instant::now() >= at) {
            let began = Instant::now();
            index_at = match index(pen) {
                Ok(Left::Nothing) => None,
                Ok(Left::More) if written_at.elapsed() >= QUIET_AFTER => {
                    // A job that folds the log in: without any, indexing all there is would make it as long as that.
                    if let Err(error) = alone(pen, probe) {
                        log::warn!("the log was not folded in: {error}");
                    }
                    Some(Instant::now())
                }
                Ok(Left::More) => Some(Instant::now() + began.elapsed() * INDEX_PAUSE),
                Err(error) => {
                    log::warn!("messages were not indexed: {error}");
                    Some(Instant::now() + INDEX_RETRY)
                }
            };
        }
        if queue.is_untidy.swap(false, Ordering::Relaxed) {
            housekeeping = Instant::now();
        }
        if !is_trouble && Instant::now() >= housekeeping {
            housekeeping = Instant::now() + clear_away(pen);
        }
        if !is_trouble && Instant::now() >= collect_at {
            let is_more = collect(pen);
            collect_at = Instant::now() + if is_more { COLLECT_PAUSE } else { COLLECT_EVERY };
        }
    }
    let folded = pen.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
    if let Err(error) = folded {
        log::warn!("the write-ahead log was not folded in: {error}");
    }
}

/// One batch of indexing, in a transaction of its own. Looks first, as [`collect`] does.
///
/// It waits for no fsync, and nobody's message waits for one of its: a batch that a power cut takes back stands in the
/// queue again, by the same transaction. The log is synced with the next job, and before it is folded in. Folding in is
/// left to that job as well: SQLite keeps to itself that a sync has failed there, which matters only as long as there is
/// something in the log that is not synced.
fn index(pen: &Pen<'_>) -> Result<Left, Error> {
    if !message_index::has_queued(&Read(pen))? {
        return Ok(Left::Nothing);
    }
    // Not through the cache of statements: these take effect when they are compiled.
    pen.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0")
        .map_err(failed)?;
    let outcome = alone(pen, message_index::index_batch);
    // No job may run before it is durable again. That it is refused is not expected; then they wait, each to its deadline.
    let fold_in = open::FOLD_IN_AFTER_PAGES;
    let again = format!("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {fold_in}");
    while let Err(error) = pen.execute_batch(&again) {
        log::error!("nothing can be stored: {error}");
        std::thread::sleep(PROBE_EVERY);
    }
    outcome
}

/// One batch of housekeeping, in a transaction of its own; returns when the next is due.
fn clear_away(pen: &Pen<'_>) -> Duration {
    match alone(pen, clear_batch) {
        Ok(Left::More) => HOUSEKEEPING_PAUSE,
        Ok(Left::Nothing) => HOUSEKEEPING_EVERY,
        Err(error) => {
            log::warn!("housekeeping failed: {error}");
            HOUSEKEEPING_EVERY
        }
    }
}

/// One step of clearing blobs away; returns whether there is more to do. Looks first: a store where nothing is to be
/// done is not written to.
fn collect(pen: &Pen<'_>) -> bool {
    match blobs::has_garbage(&Read(pen)) {
        Ok(false) => return false,
        Ok(true) => {}
        Err(error) => {
            log::warn!("unused blobs cannot be found: {error}");
            return false;
        }
    }
    let outcome = alone(pen, blobs::collect);
    if let Err(error) = &outcome {
        log::warn!("unused blobs were not cleared away: {error}");
    }
    outcome.is_ok()
}

/// The smallest write there is: whether the store works again shows without anybody having to send a message. Its value
/// is another each time, as SQLite does not write what is there already.
fn probe(tx: &Tx<'_>) -> Result<(), Error> {
    let sql = "INSERT INTO settings VALUES ('probed', 0) ON CONFLICT (key) DO UPDATE SET value = 1 - value";
    tx.execute(sql, ()).map(drop)
}

/// Waits for jobs. An empty group means that it is time to look around; `None` that the store is closed.
fn next_group(queue: &Queue, due: Instant) -> Option<Vec<Box<dyn Job>>> {
    let mut inbox = lock(&queue.inbox);
    if inbox.jobs.is_empty() && inbox.open && !queue.is_untidy.load(Ordering::Relaxed) {
        let patience = if lock(&queue.trouble).is_some() {
            PROBE_EVERY
        } else {
            due.saturating_duration_since(Instant::now())
        };
        let waited = queue.filled.wait_timeout(inbox, patience);
        inbox = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    while inbox.open && !inbox.jobs.is_empty() {
        let left = inbox.due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let waited = queue.filled.wait_timeout(inbox, left);
        inbox = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    if inbox.jobs.is_empty() && !inbox.open {
        return None;
    }
    let count = inbox.jobs.len().min(GROUP_MAX);
    Some(inbox.jobs.drain(..count).collect())
}

/// Runs a group, notes what is wrong with the store, if anything, and then answers the group's callers.
fn commit_group(pen: &Pen<'_>, queue: &Queue, mut group: Vec<Box<dyn Job>>) {
    group.retain(|job| job.begin());
    if !group.is_empty() {
        queue.commits.fetch_add(1, Ordering::Relaxed);
        queue.jobs.fetch_add(group.len() as u64, Ordering::Relaxed);
    }
    let outcomes = match group.as_mut_slice() {
        [] => return,
        [only] => vec![alone(pen, |tx| only.run(tx))],
        jobs => together(pen, jobs),
    };
    let is_trouble = |error: &&Error| matches!(error.kind(), Kind::StorageFull | Kind::Unavailable);
    let mut errors = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    let trouble = errors.rfind(is_trouble).map(Error::to_string);
    let mut last = lock(&queue.trouble);
    if *last != trouble {
        if let Some(trouble) = &trouble {
            log::error!("{trouble}");
        }
        *last = trouble;
    }
    drop(last);
    for (job, outcome) in group.into_iter().zip(outcomes) {
        job.finish(outcome);
    }
}

/// One transaction for a group. See the head of this file for what can go wrong.
fn together(pen: &Pen<'_>, jobs: &mut [Box<dyn Job>]) -> Vec<Result<(), Error>> {
    match pen.begin() {
        Ok(()) => {}
        Err(error) if error.kind() == Kind::Unavailable => return jobs.iter().map(|_| refused(&error)).collect(),
        Err(_) => return jobs.iter_mut().map(|job| alone(pen, |tx| job.run(tx))).collect(),
    }
    let ran = jobs.iter_mut().try_for_each(|job| {
        guarded(pen, |tx| job.run(tx))?;
        // It may have hidden what has ended the transaction.
        let ended = || Error::new(Kind::Internal, "the transaction was rolled back");
        (!pen.is_autocommit()).then_some(()).ok_or_else(ended)
    });
    match ran.and_then(|()| pen.commit()) {
        Ok(()) => jobs.iter().map(|_| Ok(())).collect(),
        Err(error) => {
            pen.take_back(&Err::<(), Error>(error));
            each_in_a_savepoint(pen, jobs)
        }
    }
}

/// What becomes of each job where the database is locked: it would only wait as long again.
fn refused(locked: &Error) -> Result<(), Error> {
    Err(Error::new(locked.kind(), locked.message().to_owned()).retry_after(5))
}

/// The same, where a job has failed: which one it is does not matter, as others may as well.
fn each_in_a_savepoint(pen: &Pen<'_>, jobs: &mut [Box<dyn Job>]) -> Vec<Result<(), Error>> {
    let mut outcomes: Vec<Result<(), Error>> = Vec::with_capacity(jobs.len());
    let beginning = pen.begin();
    let mut stands = beginning.is_ok();
    let mut locked = beginning.err().filter(|error| error.kind() == Kind::Unavailable);
    for job in jobs.iter_mut() {
        if !stands {
            break;
        }
        let outcome = in_savepoint(pen, job.as_mut());
        stands = !pen.is_autocommit();
        outcomes.push(outcome);
    }
    let committed = if stands { pen.commit() } else { Ok(()) };
    if stands && committed.is_ok() {
        return outcomes;
    }
    pen.take_back(&committed);
    let mut outcomes = outcomes.into_iter();
    let mut again = |job: &mut Box<dyn Job>| {
        if let Some(locked) = &locked {
            return refused(locked);
        }
        match pen.begin() {
            Ok(()) => begun(pen, |tx| job.run(tx)),
            Err(error) if error.kind() == Kind::Unavailable => refused(locked.insert(error)),
            Err(error) => Err(error),
        }
    };
    jobs.iter_mut()
        .map(|job| match outcomes.next() {
            Some(Err(error)) => Err(error),
            Some(Ok(())) | None => again(job),
        })
        .collect()
}

fn in_savepoint(connection: &Connection, job: &mut dyn Job) -> Result<(), Error> {
    run_sql(connection, "SAVEPOINT job")?;
    let outcome = guarded(connection, |tx| job.run(tx));
    if outcome.is_err() {
        if connection.is_autocommit() {
            return outcome;
        }
        run_sql(connection, "ROLLBACK TO job")?;
    }
    run_sql(connection, "RELEASE job")?;
    outcome
}
