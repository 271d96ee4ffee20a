//! What replies cost: tokens and price, one row per call of a model.

use rusqlite::params;

use super::Tx;
use crate::error::Error;

/// One call of a model, to be accounted for.
#[derive(Clone, Debug)]
pub struct NewUsage {
    /// Who pays.
    pub user_id: i64,
    /// The model that ran.
    pub model: String,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Of the tokens read, those that the provider had kept.
    pub cached_tokens: u64,
    /// Counted by us, because the model's server did not say.
    pub is_estimated: bool,
    /// RFC 3339.
    pub created_at: String,
}

/// Accounts for the reply `message_id` (scope `final`: the call that wrote it).
///
/// # Errors
/// Those of the store.
pub fn insert_usage(tx: &Tx<'_>, message_id: i64, new: &NewUsage) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO usage_details
             (message_id, user_id, scope, model, input_tokens, output_tokens, cached_tokens, estimated, created_at)
         VALUES (?1, ?2, 'final', ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            message_id,
            new.user_id,
            new.model,
            signed(new.input_tokens),
            signed(new.output_tokens),
            signed(new.cached_tokens),
            new.is_estimated,
            new.created_at
        ],
    )?;
    Ok(())
}

/// SQLite's integers are signed.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
