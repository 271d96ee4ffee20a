//! What the engine counts of itself, for whoever watches it. A request costs one relaxed addition; everything else is
//! looked up when somebody asks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use super::listener::Shared;

/// The counters of one engine, which is given them with its limits.
#[derive(Default)]
pub struct Figures {
    /// Replies by the first digit of their status, from 1 on.
    by_class: [AtomicU64; 5],
    pub(super) connections: AtomicUsize,
    engine: OnceLock<Weak<Shared>>,
}

impl std::fmt::Debug for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Figures { … }")
    }
}

/// Requests that wait for a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Those that only read.
    pub reads: usize,
    /// Those that may write.
    pub writes: usize,
}

impl Figures {
    pub(super) fn watch(&self, engine: &Arc<Shared>) {
        // A second engine would not be counted; nobody gives one counter to two.
        drop(self.engine.set(Arc::downgrade(engine)));
    }

    pub(super) fn count(&self, status: u16) {
        if let Some(count) = usize::from(status / 100)
            .checked_sub(1)
            .and_then(|class| self.by_class.get(class))
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Replies so far, by the first digit of their status, from 1 to 5.
    pub fn replies(&self) -> [u64; 5] {
        self.by_class.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Requests in line.
    pub fn waiting(&self) -> Waiting {
        let engine = self.engine.get().and_then(Weak::upgrade);
        engine.map(|engine| engine.jobs.waiting()).unwrap_or_default()
    }
}
