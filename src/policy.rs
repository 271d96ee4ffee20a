//! What administrators change while the server runs: who may sign up, and how much a user may send and keep. It is stored,
//! and holds after a restart. What was given at start, by flag or variable, decides before it: whoever starts the server
//! has the last word, also when an administrator's account has fallen into wrong hands.

use std::sync::{Mutex, PoisonError, RwLock};

use crate::cli::{Settings, Signup};
use crate::error::{Error, Kind};
use crate::store::{self, Store};

/// Bytes that all uploaded files of a user may take, where nobody says otherwise.
const UPLOAD_QUOTA_MIB: u32 = 1024;

/// Messages a user may send in a minute where strangers may be users.
pub const MESSAGES_PER_MINUTE: u32 = 60;

/// The names under which the store keeps them.
const SIGNUP: &str = "signup";
const MESSAGES: &str = "messages_per_minute";
const QUOTA: &str = "upload_quota_mib";

/// Rules, each of which somebody has set or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether visitors may make an account; unset: when local.
    pub signup: Option<Signup>,
    /// Messages a user may send in a minute, 0 for no limit; unset: off when local, else [`MESSAGES_PER_MINUTE`].
    pub messages_per_minute: Option<u32>,
    /// What all uploaded files of a user may take together, in MiB.
    pub upload_quota_mib: Option<u32>,
}

/// The rules given at start, and behind them those that administrators have stored.
pub struct Policy {
    given: Rules,
    stored: RwLock<Rules>,
    /// Held while one change is stored: of two at once the one stored last is the one that holds. Who reads the rules does
    /// not wait for the disk.
    saving: Mutex<()>,
}

impl Policy {
    /// Reads what is stored.
    ///
    /// # Errors
    /// Those of the store.
    pub fn load(settings: &Settings, store: &Store) -> Result<Policy, Error> {
        let find = |name| store.read(|read| store::find_setting(read, name));
        let stored = Rules {
            signup: match find(SIGNUP)?.as_deref() {
                Some("open") => Some(Signup::Open),
                Some("closed") => Some(Signup::Closed),
                _ => None,
            },
            messages_per_minute: find(MESSAGES)?.and_then(|text| text.parse().ok()),
            upload_quota_mib: find(QUOTA)?.and_then(|text| text.parse().ok()),
        };
        let given = Rules {
            signup: settings.signup,
            messages_per_minute: settings.messages_per_minute,
            upload_quota_mib: settings.upload_quota_mib,
        };
        Ok(Policy {
            given,
            stored: RwLock::new(stored),
            saving: Mutex::new(()),
        })
    }

    /// What was given at start.
    pub fn given(&self) -> Rules {
        self.given
    }

    /// What holds, as far as somebody has set it.
    pub fn rules(&self) -> Rules {
        let (given, stored) = (self.given, *self.stored.read().unwrap_or_else(PoisonError::into_inner));
        Rules {
            signup: given.signup.or(stored.signup),
            messages_per_minute: given.messages_per_minute.or(stored.messages_per_minute),
            upload_quota_mib: given.upload_quota_mib.or(stored.upload_quota_mib),
        }
    }

    /// Bytes that all uploaded files of a user may take together.
    pub fn upload_quota_bytes(&self) -> u64 {
        let mib = self.rules().upload_quota_mib.unwrap_or(UPLOAD_QUOTA_MIB);
        u64::from(mib) * 1024 * 1024
    }

    /// Stores who may sign up; `None` is the default again.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when that was given at start; those of the store.
    pub fn set_signup(&self, store: &Store, signup: Option<Signup>) -> Result<(), Error> {
        if self.given.signup.is_some() {
            return Err(is_given("--signup"));
        }
        let text = signup.map(|signup| match signup {
            Signup::Open => "open".to_owned(),
            Signup::Closed => "closed".to_owned(),
        });
        self.save(store, vec![(SIGNUP, text)], |rules| rules.signup = signup)
    }

    /// Stores the limits; `None` is the default again.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when one that changes was given at start; those of the store.
    pub fn set_limits(
        &self,
        store: &Store,
        messages_per_minute: Option<u32>,
        quota_mib: Option<u32>,
    ) -> Result<(), Error> {
        let given = self.given;
        if given.messages_per_minute.is_some() && given.messages_per_minute != messages_per_minute {
            return Err(is_given("--messages-per-minute"));
        }
        if given.upload_quota_mib.is_some() && given.upload_quota_mib != quota_mib {
            return Err(is_given("--upload-quota"));
        }
        let text = |number: Option<u32>| number.map(|number| number.to_string());
        let new = vec![(MESSAGES, text(messages_per_minute)), (QUOTA, text(quota_mib))];
        self.save(store, new, |rules| {
            rules.messages_per_minute = messages_per_minute;
            rules.upload_quota_mib = quota_mib;
        })
    }

    /// Stores first: what holds is what would hold after a restart.
    fn save(
        &self,
        store: &Store,
        new: Vec<(&'static str, Option<String>)>,
        change: impl FnOnce(&mut Rules),
    ) -> Result<(), Error> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        store.write(move |tx| {
            let mut settings = new.iter();
            settings.try_for_each(|(name, value)| store::save_setting(tx, name, value.as_deref()))
        })?;
        change(&mut self.stored.write().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

fn is_given(flag: &str) -> Error {
    let message =
        format!("{flag} was given when the server was started, and decides; start it without to change this here");
    Error::new(Kind::Conflict, message)
}
