//! Room for pictures: how many of their bytes may be on their way to models' servers at a time, all calls together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of pictures in requests that wait for the head of their answer. In a request they are a third larger, and
/// there may be hundreds of turns. Three prompts with as much as one may have, or thirty with one photograph.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The room that is left.
#[derive(Debug)]
pub(super) struct Room {
    left: AtomicU64,
}

impl Default for Room {
    fn default() -> Room {
        Room::of(BYTES_MAX)
    }
}

impl Room {
    pub(super) fn of(bytes: u64) -> Room {
        Room {
            left: AtomicU64::new(bytes),
        }
    }

    /// Takes room for a picture; none when it does not fit right now.
    pub(super) fn take(self: &Arc<Room>, bytes: u64) -> Option<Held> {
        let take = |left: u64| left.checked_sub(bytes);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.ok().map(|_| Held {
            room: Arc::clone(self),
            bytes,
        })
    }

    #[cfg(test)]
    pub(super) fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }
}

/// Room that is taken. Given back when dropped.
pub(super) struct Held {
    room: Arc<Room>,
    bytes: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
