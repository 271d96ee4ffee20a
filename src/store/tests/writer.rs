//! The one writer: what is grouped is committed once, what fails fails alone, and a full disk hurts nobody else.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::*;

/// A write that is not over yet.
type Waiting<T> = JoinHandle<Result<T, Error>>;

/// Keeps the writer busy, so that what comes after stands in one group.
struct Blocked<'r> {
    rig: &'r Rig,
    release: Sender<()>,
    blocker: Waiting<()>,
}

impl<'r> Blocked<'r> {
    fn begin(rig: &'r Rig) -> Blocked<'r> {
        let (begun, has_begun) = channel();
        let (release, released): (_, Receiver<()>) = channel();
        let store = SharedStore::clone(&rig.store);
        let blocker = thread::spawn(move || {
            store.write(move |_| {
                begun.send(()).unwrap();
                released.recv().unwrap();
                Ok(())
            })
        });
        has_begun.recv().unwrap();
        Blocked { rig, release, blocker }
    }

    /// Puts a job behind those that wait already.
    fn queue<T: Send + 'static>(&self, work: impl Fn(&Tx<'_>) -> Result<T, Error> + Send + 'static) -> Waiting<T> {
        let before = self.rig.writer.waiting();
        let store = SharedStore::clone(&self.rig.store);
        let job = thread::Builder::new().stack_size(128 * 1024);
        let job = job.spawn(move || store.write(work)).unwrap();
        until("the job is in line", || self.rig.writer.waiting() > before);
        job
    }

    fn release(self) {
        self.release.send(()).unwrap();
        self.blocker.join().unwrap().unwrap();
    }
}

fn add(tx: &Tx<'_>, count: i64) -> Result<(), Error> {
    let sql = "UPDATE settings SET value = value + ?1 WHERE key = 'count'";
    tx.execute(sql, [count]).map(drop)
}

/// A job that adds to the count and notes how often it was run.
fn counted(count: i64) -> (Arc<AtomicUsize>, impl Fn(&Tx<'_>) -> Result<(), Error> + Send + 'static) {
    let runs = Arc::new(AtomicUsize::new(0));
    let noted = Arc::clone(&runs);
    let job = move |tx: &Tx<'_>| {
        noted.fetch_add(1, Ordering::Relaxed);
        add(tx, count)
    };
    (runs, job)
}

/// A rig with a row that can be counted in without a new page.
fn counting() -> Rig {
    let rig = Rig::new();
    rig.batch("INSERT INTO settings VALUES ('count', 0)");
    rig
}

fn count(rig: &Rig) -> i64 {
    rig.value("SELECT CAST(value AS INTEGER) FROM settings WHERE key = 'count'")
}

/// One row: a full disk ends the whole transaction.
const LARGE: &str = "INSERT INTO settings (key, value) VALUES ('x', zeroblob(1000000))";

/// A row and what a trigger adds: a full disk undoes the statement only.
const LARGE_WITH_TRIGGER: &str = "INSERT INTO conversations (uuid, user_id, title, created_at, updated_at)
    SELECT 'x', id, hex(zeroblob(1000000)), '', '' FROM users LIMIT 1";

#[test]
fn many_threads_at_once() {
    let rig = counting();
    let ids: HashSet<i64> = thread::scope(|scope| {
        let writing: Vec<_> = (0..16)
            .map(|thread| {
                let rig = &rig;
                let job = move |turn| {
                    let new = new_user(&format!("user{thread}x{turn}"));
                    rig.write(move |tx| add(tx, 1).and_then(|()| insert_user(tx, &new)))
                };
                scope.spawn(move || (0..20).map(|turn| job(turn).unwrap().id).collect::<Vec<i64>>())
            })
            .collect();
        writing.into_iter().flat_map(|ids| ids.join().unwrap()).collect()
    });
    assert_eq!((ids.len(), count(&rig)), (320, 320));
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM users"), 320);
    assert_eq!(rig.trouble(), None);
}

#[test]
fn a_group_is_one_transaction() {
    let rig = counting();
    let blocked = Blocked::begin(&rig);
    let store = SharedStore::clone(&rig.store);
    let first = blocked.queue(|tx| add(tx, 1));
    let last = blocked.queue(move |tx| {
        let sql = "SELECT CAST(value AS INTEGER) FROM settings WHERE key = 'count'";
        let here = tx.first(sql, (), |row| row.get(0))?;
        let outside: Option<i64> = store.read(|read| read.first(sql, (), |row| row.get(0)))?;
        Ok((here, outside))
    });
    blocked.release();
    first.join().unwrap().unwrap();
    // The second job saw the first one's work when nobody else did.
    assert_eq!(last.join().unwrap().unwrap(), (Some(1), Some(0)));
}

#[test]
fn a_job_that_fails_rolls_back_alone() {
    let rig = counting();
    let blocked = Blocked::begin(&rig);
    let before = blocked.queue(|tx| add(tx, 1));
    let failing = blocked.queue(|tx| {
        add(tx, 10)?;
        Err::<(), Error>(Error::new(Kind::Conflict, "on purpose"))
    });
    let broken = blocked.queue(|tx| {
        add(tx, 100)?;
        tx.execute("INSERT INTO users (uuid, created_at) VALUES (NULL, '')", ())
    });
    let after = blocked.queue(|tx| add(tx, 1000));
    blocked.release();
    before.join().unwrap().unwrap();
    check_kind(failing.join().unwrap(), Kind::Conflict);
    check_kind(broken.join().unwrap(), Kind::Internal);
    after.join().unwrap().unwrap();
    assert_eq!(count(&rig), 1001);
    // The job's own mistake is not the store's trouble.
    assert_eq!(rig.trouble(), None);
}

#[test]
fn a_job_that_panics_rolls_back_alone() {
    let rig = counting();
    let panicking = |tx: &Tx<'_>| -> Result<(), Error> {
        add(tx, 10)?;
        panic!("on purpose")
    };
    check_kind(rig.write(panicking), Kind::Internal);
    let blocked = Blocked::begin(&rig);
    let before = blocked.queue(|tx| add(tx, 1));
    let middle = blocked.queue(panicking);
    let after = blocked.queue(|tx| add(tx, 1000));
    blocked.release();
    before.join().unwrap().unwrap();
    check_kind(middle.join().unwrap(), Kind::Internal);
    after.join().unwrap().unwrap();
    assert_eq!(count(&rig), 1001);
}

/// A group in which the third job finds the disk full. Its mates are committed once, whatever SQLite rolled back, and
/// `runs` says how often each was run for it.
#[track_caller]
fn check_full_disk(large: &'static str, ends_transaction: bool, runs: [usize; 3]) {
    let rig = counting();
    rig.user("ann");
    fill_disk(&rig);
    let blocked = Blocked::begin(&rig);
    let jobs = [counted(1), counted(10)].map(|(runs, job)| (runs, blocked.queue(job)));
    let (ended, has_ended) = channel();
    let full = blocked.queue(move |tx| {
        add(tx, 100)?;
        let outcome = tx.execute(large, ());
        ended.send(tx.0.0.is_autocommit()).unwrap();
        outcome
    });
    let (last_runs, last) = counted(1000);
    let last = blocked.queue(last);
    blocked.release();
    let error = check_kind(full.join().unwrap(), Kind::StorageFull);
    assert_eq!(error.retry_after_s(), Some(5));
    assert_eq!(has_ended.recv().unwrap(), ends_transaction);
    let [first, second] = jobs.map(|(runs, job)| {
        job.join().unwrap().unwrap();
        runs.load(Ordering::Relaxed)
    });
    last.join().unwrap().unwrap();
    assert_eq!([first, second, last_runs.load(Ordering::Relaxed)], runs);
    assert_eq!(count(&rig), 1011);
    assert!(rig.trouble().is_some_and(|trouble| trouble.contains("disk is full")));
    free_disk(&rig);
    assert_eq!(rig.trouble(), None);
    rig.write(move |tx| tx.execute(large, ())).unwrap();
    assert_eq!(count(&rig), 1011);
    assert_eq!(rig.value::<String>("PRAGMA integrity_check"), "ok");
}

#[test]
fn a_full_disk_that_ends_the_transaction() {
    check_full_disk(LARGE, true, [3, 3, 1]);
}

#[test]
fn a_full_disk_that_undoes_the_statement() {
    check_full_disk(LARGE_WITH_TRIGGER, false, [2, 2, 1]);
}

#[test]
fn a_full_disk_fails_a_job_alone() {
    let rig = counting();
    fill_disk(&rig);
    for large in [LARGE, LARGE] {
        check_kind(rig.write(move |tx| tx.execute(large, ())), Kind::StorageFull);
        assert!(rig.trouble().is_some());
    }
    // What needs no room still works, and says that the store does.
    rig.write(|tx| add(tx, 1)).unwrap();
    assert_eq!((count(&rig), rig.trouble()), (1, None));
}

#[test]
fn a_job_that_hides_a_full_disk_is_not_acknowledged() {
    let rig = counting();
    fill_disk(&rig);
    let hiding = |tx: &Tx<'_>| {
        add(tx, 100)?;
        drop(tx.execute(LARGE, ()));
        Ok(())
    };
    rig.write(hiding).expect_err("alone");
    let blocked = Blocked::begin(&rig);
    let before = blocked.queue(|tx| add(tx, 1));
    let middle = blocked.queue(hiding);
    let after = blocked.queue(|tx| add(tx, 1000));
    blocked.release();
    before.join().unwrap().unwrap();
    middle.join().unwrap().expect_err("in a group");
    after.join().unwrap().unwrap();
    assert_eq!(count(&rig), 1001);
}

#[test]
fn a_lock_that_another_program_holds() {
    let rig = counting();
    let patience = Duration::from_millis(100);
    rig.write(move |tx| tx.0.0.busy_timeout(patience).map_err(failed))
        .unwrap();
    let other = rusqlite::Connection::open(&rig.location.database).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let refused: Vec<_> = (0..4).map(|_| scope.spawn(|| rig.write(|tx| add(tx, 1)))).collect();
        for outcome in refused {
            let error = check_kind(outcome.join().unwrap(), Kind::Unavailable);
            assert!(error.message().contains("locked"), "{error}");
        }
    });
    assert!(rig.trouble().is_some_and(|trouble| trouble.contains("locked")));
    // Reading goes on meanwhile.
    assert_eq!(count(&rig), 0);
    other.execute_batch("ROLLBACK").unwrap();
    rig.write(|tx| add(tx, 1)).unwrap();
    assert_eq!((count(&rig), rig.trouble()), (1, None));
}

#[test]
fn closing_finishes_what_is_queued_and_refuses_what_comes() {
    let rig = counting();
    let blocked = Blocked::begin(&rig);
    let queued: Vec<Waiting<()>> = (0..5).map(|_| blocked.queue(|tx| add(tx, 1))).collect();
    let store = SharedStore::clone(&rig.store);
    let closing = thread::spawn(move || store.close());
    let late = || rig.write(|tx| add(tx, 100));
    // Before that, a late job would only stand in line behind the others.
    until("the queue is closed", || rig.writer.waiting().is_none());
    let error = check_kind(late(), Kind::Unavailable);
    assert_eq!(error.message(), "The server is stopping");
    blocked.release();
    for job in queued {
        job.join().unwrap().unwrap();
    }
    closing.join().unwrap();
    check_kind(late(), Kind::Unavailable);
    rig.close();
    assert_eq!(count(&rig), 5);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let rig = counting();
    let blocked = Blocked::begin(&rig);
    let queued: Vec<Waiting<()>> = (0..1024).map(|_| blocked.queue(|tx| add(tx, 1))).collect();
    let error = check_kind(rig.write(|tx| add(tx, 1)), Kind::Unavailable);
    assert_eq!(error.retry_after_s(), Some(1));
    blocked.release();
    for job in queued {
        job.join().unwrap().unwrap();
    }
    assert_eq!(count(&rig), 1024);
}

#[test]
fn a_caller_that_gave_up_is_not_surprised_later() {
    let rig = counting();
    let blocked = Blocked::begin(&rig);
    let (runs, job) = counted(1);
    // Ten seconds later: the writer has not begun with it.
    let error = check_kind(blocked.queue(job).join().unwrap(), Kind::Unavailable);
    assert!(error.message().contains("Nothing was stored"), "{error}");
    blocked.release();
    rig.write(|tx| add(tx, 10)).unwrap();
    assert_eq!((runs.load(Ordering::Relaxed), count(&rig)), (0, 10));
}

#[test]
fn what_can_wait_goes_with_what_cannot_and_is_stored_when_the_store_closes() {
    let rig = counting();
    let patient = |count| {
        let store = SharedStore::clone(&rig.store);
        let job = thread::spawn(move || store.writer.run(Duration::from_secs(60), move |tx| add(tx, count)));
        until("the job is in line", || rig.writer.waiting() == Some(1));
        job
    };
    let waiting = patient(1);
    let before = rig.figures().commits;
    rig.write(|tx| add(tx, 10)).unwrap();
    waiting.join().unwrap().unwrap();
    assert_eq!((count(&rig), rig.figures().commits - before), (11, 1));
    rig.store.write_in_company(|tx| add(tx, 100)).unwrap();
    let waiting = patient(1000);
    rig.store.close();
    waiting.join().unwrap().unwrap();
    assert_eq!(count(&rig), 1111);
}
