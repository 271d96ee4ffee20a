//! What administrators change while the server runs: who may sign up, and how much a user may send and keep. It is stored,
//! and holds after a restart. What was given at start, by flag or variable, decides before it: whoever starts the server
//! has the last word, also when an administrator's account has fallen into wrong hands. A user's own limit holds instead of
//! what administrators have set for everybody; of one that was given at start it can only be the narrower part.

use std::sync::{Mutex, PoisonError, RwLock};

use serde_json::{Value, json};

use crate::cli::{Settings, Signup};
use crate::error::{Error, Kind};
use crate::store::{self, Act, Allowance, Doer, Read, Store, Subject, UserLimits};

/// Bytes that all uploaded files of a user may take, where nobody says otherwise.
pub const UPLOAD_QUOTA_MIB: u32 = 1024;

/// Messages a user may send in a minute where strangers may be users.
pub const MESSAGES_PER_MINUTE: u32 = 60;

/// The names under which the store keeps them.
const SIGNUP: &str = "signup";
const MESSAGES: &str = "messages_per_minute";
const MESSAGES_DAY: &str = "messages_per_day";
const BUDGET: &str = "budget_usd_month";
const QUOTA: &str = "upload_quota_mib";

/// Rules, each of which somebody has set or not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rules {
    /// Whether visitors may make an account; unset: when local.
    pub signup: Option<Signup>,
    /// Messages a user may send in a minute, 0 for no limit; unset: off when local, else [`MESSAGES_PER_MINUTE`].
    pub messages_per_minute: Option<u32>,
    /// Messages a user may send in a day (UTC), 0 or unset for no limit.
    pub messages_per_day: Option<u32>,
    /// US dollars that a user's replies may cost in a calendar month (UTC), 0 or unset for no limit.
    pub budget_usd_month: Option<f64>,
    /// What all uploaded files of a user may take together, in MiB.
    pub upload_quota_mib: Option<u32>,
}

impl Rules {
    /// Those that are stored.
    ///
    /// # Errors
    /// Those of the store.
    pub fn find(read: &Read<'_>) -> Result<Rules, Error> {
        let find = |name| store::find_setting(read, name);
        Ok(Rules {
            signup: match find(SIGNUP)?.as_deref() {
                Some("open") => Some(Signup::Open),
                Some("closed") => Some(Signup::Closed),
                _ => None,
            },
            messages_per_minute: find(MESSAGES)?.and_then(|text| text.parse().ok()),
            messages_per_day: find(MESSAGES_DAY)?.and_then(|text| text.parse().ok()),
            budget_usd_month: find(BUDGET)?.and_then(|text| text.parse().ok()),
            upload_quota_mib: find(QUOTA)?.and_then(|text| text.parse().ok()),
        })
    }

    /// The limits as they are stored: names, and texts of those that are set.
    fn limits(self) -> Vec<(&'static str, Option<String>)> {
        vec![
            (MESSAGES, self.messages_per_minute.map(|number| number.to_string())),
            (MESSAGES_DAY, self.messages_per_day.map(|number| number.to_string())),
            (BUDGET, self.budget_usd_month.map(|number| number.to_string())),
            (QUOTA, self.upload_quota_mib.map(|number| number.to_string())),
        ]
    }

    /// The names of the limits that are set.
    pub fn limits_set(self) -> Vec<&'static str> {
        let limits = self.limits().into_iter();
        limits
            .filter(|(_, text)| text.is_some())
            .map(|(name, _)| name)
            .collect()
    }
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
    /// What is given, before what is stored.
    pub fn new(settings: &Settings, stored: Rules) -> Policy {
        let given = Rules {
            signup: settings.signup,
            messages_per_minute: settings.messages_per_minute,
            messages_per_day: settings.messages_per_day,
            budget_usd_month: settings.budget_usd_month,
            upload_quota_mib: settings.upload_quota_mib,
        };
        Policy {
            given,
            stored: RwLock::new(stored),
            saving: Mutex::new(()),
        }
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
            messages_per_day: given.messages_per_day.or(stored.messages_per_day),
            budget_usd_month: given.budget_usd_month.or(stored.budget_usd_month),
            upload_quota_mib: given.upload_quota_mib.or(stored.upload_quota_mib),
        }
    }

    /// What a user with these limits of their own may send.
    pub fn allowance(&self, own: UserLimits) -> Allowance {
        let (given, rules) = (self.given, self.rules());
        Allowance {
            messages_per_day: holds(given.messages_per_day, own.messages_per_day, rules.messages_per_day),
            budget_usd_month: holds(given.budget_usd_month, own.budget_usd_month, rules.budget_usd_month),
        }
    }

    /// Bytes that all uploaded files of a user with these limits of their own may take together.
    pub fn upload_quota_bytes(&self, own: UserLimits) -> u64 {
        let everybodys = self.rules().upload_quota_mib.or(Some(UPLOAD_QUOTA_MIB));
        let mib = holds(self.given.upload_quota_mib, own.upload_quota_mib, everybodys);
        u64::from(mib) * 1024 * 1024
    }

    /// Stores who may sign up; `None` is the default again.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when that was given at start; those of the store.
    pub fn set_signup(&self, store: &Store, signup: Option<Signup>, doer: Doer) -> Result<(), Error> {
        if self.given.signup.is_some() {
            return Err(is_given("--signup"));
        }
        let text = signup.map(|signup| match signup {
            Signup::Open => "open".to_owned(),
            Signup::Closed => "closed".to_owned(),
        });
        let change = Change {
            act: Act::SignupUpdate,
            settings: vec![(SIGNUP, text)],
        };
        self.save(store, change, doer, |rules| rules.signup = signup)
    }

    /// Stores the limits of these rules; `None` is the default again. Those that were given at start are left alone: what
    /// is stored of them holds once the server is started without.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when another one is asked for than was given at start; those of the store.
    pub fn set_limits(&self, store: &Store, new: Rules, doer: Doer) -> Result<(), Error> {
        let flags = [
            "--messages-per-minute",
            "--messages-per-day",
            "--budget-usd-month",
            "--upload-quota",
        ];
        let mut settings = Vec::new();
        for (flag, (given, asked)) in flags.iter().zip(self.given.limits().into_iter().zip(new.limits())) {
            if given.1.is_none() {
                settings.push(asked);
            } else if asked.1.is_some() && asked != given {
                return Err(is_given(flag));
            }
        }
        let change = Change {
            act: Act::LimitsUpdate,
            settings,
        };
        let given = self.given;
        self.save(store, change, doer, |rules| {
            *rules = Rules {
                signup: rules.signup,
                messages_per_minute: unless(
                    given.messages_per_minute,
                    new.messages_per_minute,
                    rules.messages_per_minute,
                ),
                messages_per_day: unless(given.messages_per_day, new.messages_per_day, rules.messages_per_day),
                budget_usd_month: unless(given.budget_usd_month, new.budget_usd_month, rules.budget_usd_month),
                upload_quota_mib: unless(given.upload_quota_mib, new.upload_quota_mib, rules.upload_quota_mib),
            };
        })
    }

    /// Stores first: what holds is what would hold after a restart.
    fn save(&self, store: &Store, change: Change, doer: Doer, adopt: impl FnOnce(&mut Rules)) -> Result<(), Error> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        store.write(move |tx| {
            let mut differences = Vec::new();
            for (name, value) in &change.settings {
                let before = told(store::find_setting(tx, name)?.as_deref());
                let after = told(value.as_deref());
                differences.extend(store::differences(&json!({ *name: before }), &json!({ *name: after })));
                store::save_setting(tx, name, value.as_deref())?;
            }
            store::insert_changes(tx, &doer, change.act, &Subject::default(), differences)
        })?;
        adopt(&mut self.stored.write().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

/// The limit that holds for a user; 0 is none.
fn holds<T: Copy + Default + PartialOrd>(given: Option<T>, own: Option<T>, everybodys: Option<T>) -> T {
    match (given, own) {
        (Some(given), Some(own)) => narrower(given, own),
        _ => own.or(everybodys).unwrap_or_default(),
    }
}

fn narrower<T: Copy + Default + PartialOrd>(one: T, other: T) -> T {
    let none = T::default();
    if one == none || (other != none && other < one) {
        other
    } else {
        one
    }
}

/// What is stored from now on: `new`, or where the limit was given at start, what is stored already.
fn unless<T>(given: Option<T>, new: Option<T>, stored: Option<T>) -> Option<T> {
    if given.is_some() { stored } else { new }
}

/// What is stored anew, and how the log of administrators calls that.
struct Change {
    act: Act,
    settings: Vec<(&'static str, Option<String>)>,
}

/// A stored text as the log of administrators has it: a number, where it is one.
fn told(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| text.parse().unwrap_or_else(|_| text.into()))
}

fn is_given(flag: &str) -> Error {
    let message =
        format!("{flag} was given when the server was started, and decides; start it without to change this here");
    Error::new(Kind::Conflict, message)
}
