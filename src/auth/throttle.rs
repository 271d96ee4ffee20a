//! How often something may happen: failed logins per account and address, messages per user.
//!
//! Counts in memory only; a restart forgives. Knows neither users nor addresses, only keys, and no clock but the
//! seconds it is given.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Kind};

/// 10 000 keys of 10 or 60 times are at most 6 MiB. Whoever wants to push an account's failures out must make as many
/// failures of his own first, each of which costs him a password hash.
const KEYS_MAX: usize = 10_000;

/// Refuses after too many failures of one key (an account and an address) within a window.
///
/// A login asks [`check`](Throttle::check) before the slow verification *and again after it*, before it says whether the
/// password was right: guesses made in parallel then learn nothing beyond the limit.
pub struct Throttle {
    events: Events,
}

impl Throttle {
    /// Allows at most `limit` failures of a key within any `window` (whole seconds).
    pub fn new(limit: u32, window: Duration) -> Throttle {
        Throttle {
            events: Events::new(limit, window.as_secs()),
        }
    }

    /// [`Kind::RateLimited`] if the key has used up its failures.
    pub fn check(&self, key: &str, now_s: u64) -> Result<(), Error> {
        self.events.check(key, now_s).map_err(|wait_s| {
            let minutes = wait_s.div_ceil(60);
            let message = format!(
                "Too many attempts. Try again in {minutes} {}.",
                plural(minutes, "minute")
            );
            Error::new(Kind::RateLimited, message).retry_after(wait_s)
        })
    }

    /// Counts a failure.
    pub fn fail(&self, key: &str, now_s: u64) {
        self.events.add(key, now_s);
    }

    /// Forgets the key's failures, after a success.
    pub fn clear(&self, key: &str) {
        self.events.remove(key);
    }
}

/// Refuses a user's messages beyond so many a minute.
pub struct RateLimit {
    events: Events,
}

impl RateLimit {
    /// Allows `per_minute` messages of a user within any 60 seconds; 0 means no limit.
    pub fn new(per_minute: u32) -> RateLimit {
        RateLimit {
            events: Events::new(per_minute, 60),
        }
    }

    /// Allows so many from now on.
    pub fn set(&self, per_minute: u32) {
        self.events.limit.store(per_minute, Ordering::Relaxed);
    }

    /// Takes one message of the user with this id. [`Kind::RateLimited`] if none is left.
    pub fn take(&self, key: i64, now_s: u64) -> Result<(), Error> {
        if self.events.limit() == 0 {
            return Ok(());
        }
        self.events.take(&key, now_s).map_err(|wait_s| {
            let message = format!("Too many messages. Try again in {wait_s} {}.", plural(wait_s, "second"));
            Error::new(Kind::RateLimited, message).retry_after(wait_s)
        })
    }
}

/// The times of recent events by key: a sliding window, exact to the second.
struct Events {
    limit: AtomicU32,
    window_s: u64,
    /// Keyed digests instead of the keys: entries stay small whatever a client sends as its e-mail address, and
    /// nobody outside can make two keys collide.
    digests: RandomState,
    times_s: Mutex<HashMap<u64, VecDeque<u64>>>,
}

impl Events {
    fn new(limit: u32, window_s: u64) -> Events {
        Events {
            limit: AtomicU32::new(limit),
            window_s,
            digests: RandomState::new(),
            times_s: Mutex::default(),
        }
    }

    /// The seconds until the key may go on, as an error, if it has reached the limit.
    fn check(&self, key: &(impl Hash + ?Sized), now_s: u64) -> Result<(), u32> {
        let digest = self.digests.hash_one(key);
        match self.lock().get_mut(&digest) {
            Some(times_s) => self.admit(times_s, now_s),
            None => Ok(()),
        }
    }

    /// Counts an event whatever the limit says.
    fn add(&self, key: &(impl Hash + ?Sized), now_s: u64) {
        let digest = self.digests.hash_one(key);
        let mut keys = self.lock();
        let times_s = self.entry(&mut keys, digest, now_s);
        times_s.push_back(now_s);
        // Failures made in parallel may overshoot; the newest ones are what counts.
        while times_s.len() > self.limit() as usize {
            times_s.pop_front();
        }
    }

    /// [`check`](Events::check) and, if that passes, [`add`](Events::add), in one step.
    fn take(&self, key: &(impl Hash + ?Sized), now_s: u64) -> Result<(), u32> {
        let digest = self.digests.hash_one(key);
        let mut keys = self.lock();
        let times_s = self.entry(&mut keys, digest, now_s);
        self.admit(times_s, now_s)?;
        times_s.push_back(now_s);
        Ok(())
    }

    fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    fn remove(&self, key: &(impl Hash + ?Sized)) {
        let digest = self.digests.hash_one(key);
        self.lock().remove(&digest);
    }

    /// Forgets what has left the window, then compares with the limit.
    fn admit(&self, times_s: &mut VecDeque<u64>, now_s: u64) -> Result<(), u32> {
        while times_s.front().is_some_and(|&time_s| !self.counts(time_s, now_s)) {
            times_s.pop_front();
        }
        if times_s.len() < self.limit() as usize {
            return Ok(());
        }
        let oldest_s = times_s.front().copied().unwrap_or(now_s);
        let wait_s = (oldest_s + self.window_s).saturating_sub(now_s).max(1);
        Err(u32::try_from(wait_s).unwrap_or(u32::MAX))
    }

    /// Whether an event still counts. One from far in the future (the clock was set back) does not.
    fn counts(&self, time_s: u64, now_s: u64) -> bool {
        time_s.abs_diff(now_s) < self.window_s
    }

    /// The times of this key; makes room first if it is new and the table is full.
    fn entry<'a>(&self, keys: &'a mut HashMap<u64, VecDeque<u64>>, digest: u64, now_s: u64) -> &'a mut VecDeque<u64> {
        if keys.len() >= KEYS_MAX && !keys.contains_key(&digest) {
            keys.retain(|_, times_s| times_s.back().is_some_and(|&time_s| self.counts(time_s, now_s)));
            if keys.len() >= KEYS_MAX {
                let oldest = keys
                    .iter()
                    .min_by_key(|(_, times_s)| times_s.back().copied())
                    .map(|(&digest, _)| digest);
                oldest.and_then(|digest| keys.remove(&digest));
            }
        }
        keys.entry(digest).or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, VecDeque<u64>>> {
        self.times_s.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn plural(count: u32, noun: &str) -> String {
    if count == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(900);

    #[test]
    fn ten_failures_close_the_door_until_the_first_leaves_the_window() {
        let throttle = Throttle::new(10, WINDOW);
        for n in 0..10 {
            throttle.check("ann", 1_000 + n).unwrap();
            throttle.fail("ann", 1_000 + n);
        }
        let error = throttle.check("ann", 1_010).unwrap_err();
        assert_eq!(error.kind(), Kind::RateLimited);
        assert_eq!(error.message(), "Too many attempts. Try again in 15 minutes.");
        assert_eq!(error.retry_after_s(), Some(890));
        let error = throttle.check("ann", 1_899).unwrap_err();
        assert_eq!(error.message(), "Too many attempts. Try again in 1 minute.");
        throttle.check("ann", 1_900).unwrap();
        throttle.fail("ann", 1_900);
        assert_eq!(throttle.check("ann", 1_900).unwrap_err().retry_after_s(), Some(1));
        throttle.check("bob", 1_010).unwrap();
    }

    #[test]
    fn success_forgives() {
        let throttle = Throttle::new(1, WINDOW);
        throttle.fail("ann", 5);
        throttle.check("ann", 5).unwrap_err();
        throttle.clear("ann");
        throttle.check("ann", 5).unwrap();
    }

    #[test]
    fn a_clock_set_back_forgives_but_a_small_step_does_not() {
        let throttle = Throttle::new(1, WINDOW);
        throttle.fail("ann", 100_000);
        throttle.check("ann", 99_998).unwrap_err();
        throttle.check("ann", 50_000).unwrap();
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let throttle = Throttle::new(1, WINDOW);
        for n in 0..KEYS_MAX as u64 + 50 {
            throttle.fail(&format!("user {n}"), 1_000 + n / 100);
        }
        assert_eq!(throttle.events.lock().len(), KEYS_MAX);
        let last = format!("user {}", KEYS_MAX + 49);
        throttle.check(&last, 1_101).unwrap_err();
        // The expired are dropped before anyone who still counts.
        throttle.fail("late", 1_000 + 900 + 50);
        assert!(throttle.events.lock().len() < KEYS_MAX);
        throttle.check(&last, 1_101).unwrap_err();
    }

    #[test]
    fn messages_per_minute() {
        let limit = RateLimit::new(2);
        limit.take(1, 10).unwrap();
        limit.take(1, 30).unwrap();
        let error = limit.take(1, 40).unwrap_err();
        assert_eq!(error.message(), "Too many messages. Try again in 30 seconds.");
        assert_eq!(error.retry_after_s(), Some(30));
        limit.take(2, 40).unwrap();
        limit.take(1, 70).unwrap();
        limit.take(1, 71).unwrap_err();
        RateLimit::new(0).take(1, 0).unwrap();
    }
}
