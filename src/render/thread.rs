//! The render thread, which comes with the first task. Nobody waits for it: what is to be done with the HTML is done
//! there. Who asks when too many have asked before gets messages without it, and has their text.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::{Source, VERSION, render};
use crate::crew::Crew;
use crate::error::Error;
use crate::store::{self, Message, Rendered, SharedStore, State};
use crate::system;

/// Tasks that wait. Most take less than a millisecond.
pub(super) const QUEUE_TASKS_MAX: usize = 256;

/// Who has waited this long does without.
const DEADLINE: Duration = Duration::from_secs(5);

/// What one page of messages may take, after which the oldest of it do without: the next who asks finds the others, and
/// makes these. Ten pages of ordinary messages.
const PAGE_TIME_MAX: Duration = Duration::from_secs(1);

/// HTML of one page, in bytes, twice the text that a page may hold; the oldest beyond it do without.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// HTML that one job of the writer stores, in bytes: some ten milliseconds.
const SAVED_AT_ONCE_BYTES: usize = 1024 * 1024;

/// Such jobs of all pages that wait for the writer. While it has no time, what is made is not kept and made anew for the
/// next who asks.
const SAVES_WAITING_MAX: usize = 16;

/// A task that takes longer has had the sanitiser keep megabytes of small pieces.
const SPARING_TIME_MAX: Duration = Duration::from_millis(50);

/// The parsers keep what is open on the heap; this is a multiple of what the deepest message needs.
const STACK_BYTES: usize = 1024 * 1024;

/// Tasks that are to be done at a later moment: one for each reply that somebody reads as HTML while it is written, of
/// which there are at most as many as connections.
const LATER_TASKS_MAX: usize = 10_000;

/// What is done there: with the time until which it may work, or with none if it has no time at all.
type Task = Box<dyn FnOnce(Option<Instant>) + Send>;

/// The render thread. It ends when this is dropped.
pub struct Renderer {
    store: SharedStore,
    /// Held once more by each job that waits for the writer.
    saves: Arc<()>,
    tasks: SyncSender<Queued>,
    /// The thread's, which locks it for good.
    queue: Arc<Mutex<Receiver<Queued>>>,
    crew: Crew,
}

/// A task on its way to the thread.
struct Queued {
    /// Not before this.
    due: Instant,
    task: Task,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Queued) -> bool {
        self.due == other.due
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Queued) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Queued) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

impl Renderer {
    /// Nothing is to be rendered yet.
    pub fn new(store: SharedStore) -> Renderer {
        let (tasks, queue) = sync_channel(QUEUE_TASKS_MAX);
        Renderer {
            store,
            saves: Arc::new(()),
            tasks,
            queue: Arc::new(Mutex::new(queue)),
            crew: Crew::new("render", STACK_BYTES, 1),
        }
    }

    /// Hands these messages of one page on to `then`, oldest first as they are, with their HTML: here and now if it is
    /// kept, or else from the render thread, which keeps what it makes. Those for which there was no time come without.
    pub fn fill(&self, mut messages: Vec<Message>, then: impl FnOnce(Vec<Message>) + Send + 'static) {
        if let Err(error) = self.find_kept(&mut messages) {
            log::warn!("kept HTML could not be read: {error}");
            return then(messages);
        }
        if messages.iter().all(|message| message.html.is_some()) {
            return then(messages);
        }
        let (store, saves) = (SharedStore::clone(&self.store), Arc::downgrade(&self.saves));
        self.run(Box::new(move |until| {
            let made = until.map_or_else(Vec::new, |until| fill_missing(&mut messages, until));
            then(messages);
            keep(&store, made, &saves);
        }));
    }

    fn find_kept(&self, messages: &mut [Message]) -> Result<(), Error> {
        // What is being written changes with every look.
        let ended = messages.iter().filter(|message| message.state != State::Streaming);
        let ids: Vec<i64> = ended.map(|message| message.id).collect();
        let found = self
            .store
            .read(|read| store::list_html(read, &ids, VERSION, PAGE_BYTES_MAX))?;
        let mut found: HashMap<i64, String> = found.into_iter().collect();
        for message in messages {
            message.html = found.remove(&message.id);
        }
        Ok(())
    }

    /// Runs a task on the thread, after those queued before it; here and now, without any time, when the queue is full or the
    /// system gives no thread.
    pub(super) fn run(&self, task: Task) {
        self.run_at(Instant::now(), task);
    }

    /// The same, not before that moment, and after all that is due at once: pages go before what is still being written.
    pub(super) fn run_at(&self, due: Instant, task: Task) {
        let queue = Arc::clone(&self.queue);
        let thread = move || work(&queue.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = self.crew.grow(thread) {
            log::warn!("nothing is rendered: {error}");
            return task(None);
        }
        match self.tasks.try_send(Queued { due, task }) {
            Ok(()) => {}
            Err(TrySendError::Full(queued) | TrySendError::Disconnected(queued)) => (queued.task)(None),
        }
    }
}

/// The thread.
fn work(queue: &Receiver<Queued>) {
    let mut later = BinaryHeap::<Reverse<Queued>>::new();
    loop {
        let next = match later.peek() {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(Reverse(first)) => queue.recv_timeout(first.due.saturating_duration_since(Instant::now())),
        };
        match next {
            Ok(queued) if queued.due > Instant::now() && later.len() < LATER_TASKS_MAX => later.push(Reverse(queued)),
            Ok(queued) => work_on(queued),
            Err(RecvTimeoutError::Timeout) => later.pop().into_iter().for_each(|Reverse(queued)| work_on(queued)),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn work_on(Queued { due, task }: Queued) {
    let started = Instant::now();
    let until = (due.elapsed() < DEADLINE).then_some(started + PAGE_TIME_MAX);
    if catch_unwind(AssertUnwindSafe(|| task(until))).is_err() {
        log::error!("a task of the render thread panicked");
    }
    if started.elapsed() > SPARING_TIME_MAX {
        system::trim_memory();
    }
}

/// Renders what has no HTML yet, the newest first; returns what may be kept of it.
fn fill_missing(messages: &mut [Message], until: Instant) -> Vec<Rendered> {
    let kept = messages.iter().filter_map(|message| message.html.as_ref());
    let mut bytes: usize = kept.map(String::len).sum();
    let mut made = Vec::new();
    let missing = messages.iter_mut().rev().filter(|message| message.html.is_none());
    for message in missing {
        if Instant::now() >= until || bytes >= PAGE_BYTES_MAX {
            break;
        }
        let html = render(&Source::from(&*message));
        bytes += html.len();
        if message.state != State::Streaming {
            made.push(Rendered {
                message_id: message.id,
                content_bytes: message.content.len(),
                html: html.clone(),
            });
        }
        message.html = Some(html);
    }
    made
}

/// Has what was made stored, a part at a time. Who asks next does not wait for the writer.
fn keep(store: &SharedStore, made: Vec<Rendered>, saves: &Weak<()>) {
    let mut made = made.into_iter().peekable();
    // One of them is the renderer's.
    while made.peek().is_some()
        && saves.strong_count() <= SAVES_WAITING_MAX
        && let Some(save) = saves.upgrade()
    {
        let (mut part, mut bytes) = (Vec::new(), 0);
        while let Some(rendered) = made.next_if(|_| bytes < SAVED_AT_ONCE_BYTES) {
            bytes += rendered.html.len();
            part.push(rendered);
        }
        store.write_later(move |tx| {
            let _waits = &save;
            part.iter()
                .try_for_each(|rendered| store::save_html(tx, rendered, VERSION))
        });
    }
}
