//! Large pieces that wait for clients who read slowly: a reply of some MiB is told at once to whoever comes back to it. As
//! long as its client takes them they may wait, but what they take of the memory all together has a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What large pieces take of the memory, on all connections together.
#[derive(Default)]
pub(super) struct Backlogs {
    bytes: Arc<AtomicUsize>,
}

/// The share of one connection, given back when this is dropped.
pub(super) struct Backlog {
    all: Arc<AtomicUsize>,
    bytes: usize,
    /// Bytes of the outbox up to the end of the last large piece that the client has not taken.
    pub(super) left: usize,
    /// Latest moment for those to be out.
    pub(super) ends: Instant,
}

impl Backlogs {
    /// Has so many bytes wait until `ends`; `None` when there would be more than `bytes_max` of them together.
    pub(super) fn begin(&self, bytes: usize, bytes_max: usize, ends: Instant) -> Option<Backlog> {
        let add = |all: usize| all.checked_add(bytes).filter(|all| *all <= bytes_max);
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .ok()
            .map(|_| Backlog {
                all: Arc::clone(&self.bytes),
                bytes,
                left: bytes,
                ends,
            })
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_have_one_limit() {
        let backlogs = Backlogs::default();
        let begin = |bytes| backlogs.begin(bytes, 100, Instant::now());
        let first = begin(60).unwrap();
        assert!(begin(41).is_none());
        let second = begin(40).unwrap();
        assert!(begin(1).is_none() && begin(usize::MAX).is_none());
        drop(first);
        let third = begin(60).unwrap();
        drop((second, third));
        assert!(begin(100).is_some());
    }
}
