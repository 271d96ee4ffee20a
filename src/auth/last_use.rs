//! Which API keys have been used within the current minute: when a key was last used is remembered to the minute, since a
//! write for every request would cost more than the request.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The keys of the current minute: as many as are used in one, and there are so many per user.
#[derive(Default)]
pub struct LastUse {
    minute: Mutex<(u64, HashSet<i64>)>,
}

impl LastUse {
    /// Whether this is the first use of the key in the minute that `now_s` (seconds since 1970) is in.
    pub fn is_first(&self, api_key: i64, now_s: u64) -> bool {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now_s / 60;
        if minute.0 != now {
            *minute = (now, HashSet::new());
        }
        minute.1.insert(api_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_used_first_once_a_minute() {
        let uses = LastUse::default();
        let asked = [(1, 600), (1, 659), (2, 659), (1, 660), (2, 661), (2, 719), (1, 600)];
        let first = asked.map(|(api_key, now_s)| uses.is_first(api_key, now_s));
        assert_eq!(first, [true, false, true, true, true, false, true]);
    }
}
