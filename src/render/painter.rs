//! A reply as blocks of HTML while it is written. Taking a piece costs its copy, on the thread that writes the reply; the
//! blocks are made on the render thread, at most every 50 ms, and seldomer the longer they take.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Block, Growing, Renderer};

/// Nobody sees more than twenty changes in a second.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// Between two looks passes this many times of what the last one took: a reply that is one long block costs a tenth of
/// the thread, however long it grows, and leaves the rest to others.
const PAUSE_FACTOR: u32 = 10;

/// HTML that one reader is sent in a second, in bytes, about: what slow connections take. A large block that grows is sent
/// as a whole every time.
const SHOWN_BYTES_PER_S: usize = 64 * 1024;

/// Even so something happens on the slowest machines.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Who is shown the blocks that have changed; false when nobody looks any more.
type Show = Box<dyn FnMut(Vec<Block>) -> bool + Send>;

/// One reply, for one who reads it.
pub struct Painter {
    renderer: Arc<Renderer>,
    easel: Arc<Easel>,
}

struct Easel {
    inbox: Mutex<Inbox>,
    /// Only ever held on the render thread, while it looks.
    canvas: Mutex<Canvas>,
}

struct Inbox {
    /// What has come since the last look.
    pieces: String,
    /// Whether a look is on its way.
    is_called: bool,
    /// No look before this.
    next: Instant,
}

struct Canvas {
    text: String,
    growing: Growing,
    /// None when nobody looks any more.
    show: Option<Show>,
}

impl Painter {
    /// For the reply with this id, from its beginning.
    pub fn new(
        renderer: &Arc<Renderer>,
        message_id: i64,
        show: impl FnMut(Vec<Block>) -> bool + Send + 'static,
    ) -> Painter {
        Painter {
            renderer: Arc::clone(renderer),
            easel: Arc::new(Easel {
                inbox: Mutex::new(Inbox {
                    pieces: String::new(),
                    is_called: false,
                    next: Instant::now(),
                }),
                canvas: Mutex::new(Canvas {
                    text: String::new(),
                    growing: Growing::new(message_id),
                    show: Some(Box::new(show)),
                }),
            }),
        }
    }

    /// More of the text has come. Does not wait.
    pub fn push(&self, piece: &str) {
        let mut inbox = self.easel.inbox();
        inbox.pieces.push_str(piece);
        if inbox.is_called {
            return;
        }
        inbox.is_called = true;
        let due = inbox.next.max(Instant::now());
        drop(inbox);
        let easel = Arc::clone(&self.easel);
        self.renderer.run_at(due, Box::new(move |until| easel.look(until)));
    }

    /// The text has ended: shows its last blocks, and then does `then`, on the render thread; here and without them when
    /// too much waits for that. Nothing is shown after it.
    pub fn finish(self, then: impl FnOnce() + Send + 'static) {
        let easel = self.easel;
        let last = move |until: Option<Instant>| {
            easel.look(until);
            easel.canvas().show = None;
            then();
        };
        self.renderer.run(Box::new(last));
    }
}

impl Easel {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn canvas(&self) -> MutexGuard<'_, Canvas> {
        self.canvas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what has come, if there is time for it.
    fn look(&self, until: Option<Instant>) {
        let mut inbox = self.inbox();
        inbox.is_called = false;
        if until.is_none() {
            return;
        }
        let pieces = std::mem::take(&mut inbox.pieces);
        drop(inbox);
        let started = Instant::now();
        let shown = self.canvas().take(&pieces);
        let work = started.elapsed() * PAUSE_FACTOR;
        let way = Duration::from_secs_f64(shown as f64 / SHOWN_BYTES_PER_S as f64);
        let pause = work.max(way).clamp(PAUSE_MIN, PAUSE_MAX);
        self.inbox().next = Instant::now() + pause;
    }
}

impl Canvas {
    /// Shows what has changed with these pieces; returns how many bytes of HTML that was.
    fn take(&mut self, pieces: &str) -> usize {
        let Some(show) = &mut self.show else {
            return 0;
        };
        self.text.push_str(pieces);
        let changed = self.growing.look(&self.text);
        let bytes = changed.iter().map(|block| block.html.len()).sum();
        if !changed.is_empty() && !show(changed) {
            self.show = None;
            self.text = String::new();
        }
        bytes
    }
}
