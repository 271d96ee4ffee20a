//! The setup code: made once, used once, for a quarter of an hour.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::secret::{digest_hex, random_code};
use crate::error::{Error, Kind};

/// How long a code can be used, in seconds.
const LIFETIME_S: u64 = 15 * 60;

/// Keeps the one-time code that makes the first account off loopback.
#[derive(Default)]
pub struct SetupCode(Mutex<Option<Code>>);

struct Code {
    text: String,
    expires_s: u64,
}

impl SetupCode {
    /// Makes a code at `now`, in seconds since 1970.
    pub fn make(&self, now: u64) -> String {
        let text = random_code();
        *self.code() = Some(Code {
            text: text.clone(),
            expires_s: now + LIFETIME_S,
        });
        text
    }

    /// Whether there is a code, and nobody is using it.
    pub fn is_there(&self, now: u64) -> bool {
        self.code().as_ref().is_some_and(|code| now < code.expires_s)
    }

    /// Uses the code for `work`; if that fails the code stays. `work` may take its time: nobody waits for it, and of two
    /// visitors with the same code one finds none.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] when the code is wrong, used, being used or too old; those of `work`.
    pub fn use_for<T>(&self, text: &str, now: u64, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        // Digests are compared, so that the time this takes says nothing about the code.
        let is_right =
            |code: &mut Code| now < code.expires_s && digest_hex(code.text.as_bytes()) == digest_hex(text.as_bytes());
        let code = self.code().take_if(is_right);
        if code.is_none() {
            return Err(Error::new(Kind::Forbidden, "Registration is closed"));
        }
        let mut taken = Taken { from: self, code };
        let done = work()?;
        taken.code = None;
        Ok(done)
    }

    fn code(&self) -> MutexGuard<'_, Option<Code>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The code while it is being used. It goes back unless it has been used up, also after a panic: without it nobody
/// becomes the administrator.
struct Taken<'c> {
    from: &'c SetupCode,
    code: Option<Code>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(code) = self.code.take() {
            *self.from.code() = Some(code);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::patience::until;

    fn fails() -> Result<(), Error> {
        Err(Error::new(Kind::Conflict, "no"))
    }

    #[test]
    fn a_code_is_used_once_and_not_for_long() {
        let setup = SetupCode::default();
        assert!(!setup.is_there(0));
        let code = setup.make(100);
        for (text, now) in [("", 100), (&code[1..], 100), (&code, 100 + LIFETIME_S)] {
            let refused = setup.use_for(text, now, || Ok(())).unwrap_err();
            assert_eq!(refused.kind(), Kind::Forbidden);
        }
        assert!(setup.is_there(99 + LIFETIME_S) && !setup.is_there(100 + LIFETIME_S));
        assert_eq!(setup.use_for(&code, 100, fails).unwrap_err().kind(), Kind::Conflict);
        setup.use_for(&code, 100, || Ok(())).unwrap();
        assert!(!setup.is_there(100) && setup.use_for(&code, 100, || Ok(())).is_err());
    }

    #[test]
    fn nobody_waits_for_whoever_uses_it() {
        let setup = Arc::new(SetupCode::default());
        let code = setup.make(0);
        let outcome = setup.use_for(&code, 0, || {
            let other = thread::spawn({
                let (setup, code) = (Arc::clone(&setup), code.clone());
                move || (setup.is_there(0), setup.use_for(&code, 0, || Ok(())))
            });
            // If it had to wait, then for as long as a password is hashed and an account stored.
            until("the other visitor is answered", || other.is_finished());
            let (is_there, second) = other.join().unwrap();
            assert!(!is_there);
            assert_eq!(second.unwrap_err().kind(), Kind::Forbidden);
            fails()
        });
        assert_eq!(outcome.unwrap_err().kind(), Kind::Conflict);
        assert!(setup.is_there(0), "it failed, so the code stays");
    }
}
