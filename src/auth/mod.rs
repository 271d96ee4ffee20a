//! Who somebody is: passwords, tokens, and how often they may try.
//!
//! The only place that names argon2 and jwt-simple. Knows neither HTTP nor the store: the clock comes in as
//! seconds, identities go out as plain ids, and whether a user still exists is the caller's question.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod last_use;
mod password;
mod run_secret;
mod secret;
mod setup;
mod throttle;
mod token;

pub use last_use::LastUse;
pub use password::{Hasher, Hashing};
pub use run_secret::RunSecret;
pub use secret::{API_KEY_START, digest_hex, new_api_key, random_secret};
pub use setup::SetupCode;
pub use throttle::{RateLimit, Throttle};
pub use token::{Algorithm, Identity, NewToken, TokenConfig, Tokens};
