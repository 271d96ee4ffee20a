//! What replies cost: tokens and price, one row per call of a model.

use rusqlite::{Row, params};

use super::{Read, Tx, allowance, json_list};
use crate::error::Error;

/// Rows of a conversation that are read at most, the newest: some thousands of exchanges, or two megabytes of JSON.
const ROWS_MAX: i64 = 10_000;

/// What a model was called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To name a conversation.
    Title,
    /// To find out what a message is after.
    Intent,
    /// To sum up.
    Summary,
    /// To use a tool.
    Tool,
    /// To write the reply.
    Final,
}

impl Scope {
    /// As it stands in the table and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Title => "title",
            Scope::Intent => "intent",
            Scope::Summary => "summary",
            Scope::Tool => "tool",
            Scope::Final => "final",
        }
    }

    fn parse(name: &str) -> Scope {
        match name {
            "title" => Scope::Title,
            "intent" => Scope::Intent,
            "summary" => Scope::Summary,
            "tool" => Scope::Tool,
            _ => Scope::Final,
        }
    }
}

/// One call of a model, to be accounted for.
#[derive(Clone, Debug)]
pub struct NewUsage {
    /// Who pays.
    pub user_id: i64,
    /// The API key that asked, if one did; its budget pays.
    pub api_key: Option<i64>,
    /// What it was for.
    pub scope: Scope,
    /// The model that ran.
    pub model: String,
    /// Tokens read, the cached ones included.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Of the tokens read, those that the provider had kept.
    pub cached_tokens: u64,
    /// Counted by us, because the model's server did not say.
    pub is_estimated: bool,
    /// US dollars; what the call cost when it was made stays what it cost.
    pub price: f64,
    /// RFC 3339.
    pub created_at: String,
}

/// One call of a model, as it was accounted for.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageDetail {
    /// The integer id.
    pub id: i64,
    /// The reply it was made for.
    pub message_id: i64,
    /// What it was for.
    pub scope: Scope,
    /// The model that ran.
    pub model: String,
    /// Tokens read, the cached ones included.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// Of the tokens read, those that the provider had kept.
    pub cached_tokens: i64,
    /// Counted by us, because the model's server did not say.
    pub is_estimated: bool,
    /// US dollars.
    pub price: f64,
    /// RFC 3339.
    pub created_at: String,
}

const COLUMNS: &str = "usage_details.id, message_id, scope, usage_details.model, input_tokens, output_tokens, \
    cached_tokens, estimated, price, usage_details.created_at";

fn map(row: &Row<'_>) -> rusqlite::Result<UsageDetail> {
    let scope: String = row.get(2)?;
    Ok(UsageDetail {
        id: row.get(0)?,
        message_id: row.get(1)?,
        scope: Scope::parse(&scope),
        model: row.get(3)?,
        input_tokens: row.get(4)?,
        output_tokens: row.get(5)?,
        cached_tokens: row.get(6)?,
        is_estimated: row.get(7)?,
        price: row.get(8)?,
        created_at: row.get(9)?,
    })
}

/// Accounts for a call that was made for the reply `message_id`; `None`: for an exchange that is not kept.
///
/// # Errors
/// Those of the store.
pub fn insert_usage(tx: &Tx<'_>, message_id: impl Into<Option<i64>>, new: &NewUsage) -> Result<(), Error> {
    // The reply and the key may be deleted by now; what was spent is to be known all the same.
    tx.execute(
        "INSERT INTO usage_details (message_id, user_id, scope, model, input_tokens, output_tokens, cached_tokens,
             estimated, price, created_at, api_key_id)
         VALUES ((SELECT id FROM messages WHERE id = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
             (SELECT id FROM api_keys WHERE id = ?11))",
        params![
            message_id.into(),
            new.user_id,
            new.scope.name(),
            new.model,
            signed(new.input_tokens),
            signed(new.output_tokens),
            signed(new.cached_tokens),
            new.is_estimated,
            new.price,
            new.created_at,
            new.api_key
        ],
    )?;
    allowance::spend(tx, new.user_id, new.price, &new.created_at)
}

/// What some messages cost, in the order the calls were made. The messages must have been found for their owner.
///
/// # Errors
/// Those of the store.
pub fn list_usage(read: &Read<'_>, message_ids: &[i64]) -> Result<Vec<UsageDetail>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM usage_details WHERE message_id IN (SELECT value FROM json_each(?1)) ORDER BY id"
    );
    read.all(&sql, [json_list(message_ids)], map)
}

/// What a conversation cost, on all of its branches, in the order the calls were made. The conversation must have been
/// found for its owner.
///
/// # Errors
/// Those of the store.
pub fn list_conversation_usage(read: &Read<'_>, conversation_id: i64) -> Result<Vec<UsageDetail>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM messages CROSS JOIN usage_details ON usage_details.message_id = messages.id
         WHERE conversation_id = ?1 ORDER BY usage_details.id DESC LIMIT ?2"
    );
    let mut details = read.all(&sql, params![conversation_id, ROWS_MAX], map)?;
    details.reverse();
    Ok(details)
}

/// Whose usage is summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageOf {
    /// One user's, by the row's id.
    User(i64),
    /// All users'.
    Everybody,
}

/// What usage is summed up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageBy {
    /// The day (UTC).
    Day,
    /// The model that ran.
    Model,
}

/// A time: from its beginning to just before its end. RFC 3339 in UTC, as the store writes times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRange {
    /// The beginning.
    pub from: String,
    /// The end.
    pub to: String,
}

/// What some calls of models came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageSum {
    /// The day (`2026-01-31`) or the model.
    pub label: String,
    /// How many.
    pub calls: i64,
    /// Tokens read, the cached ones included.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// Of the tokens read, those that the provider had kept.
    pub cached_tokens: i64,
    /// US dollars, to seven digits.
    pub price: f64,
}

/// Usage in a time, summed up, in order of the labels.
///
/// # Errors
/// Those of the store.
pub fn sum_usage(read: &Read<'_>, of: UsageOf, range: &UsageRange, by: UsageBy) -> Result<Vec<UsageSum>, Error> {
    let (first, last) = match of {
        UsageOf::User(id) => (id, id),
        UsageOf::Everybody => (0, i64::MAX),
    };
    let by = match by {
        UsageBy::Day => "day",
        UsageBy::Model => "model",
    };
    // User by user: there is no index by time alone, which every reply would have to keep up.
    read.all(
        "SELECT CASE ?5 WHEN 'day' THEN substr(calls.created_at, 1, 10) ELSE calls.model END AS label, count(*),
             sum(input_tokens), sum(output_tokens), sum(cached_tokens), round(sum(price), 7)
         FROM users CROSS JOIN usage_details AS calls ON calls.user_id = users.id
             AND calls.created_at >= ?1 AND calls.created_at < ?2
         WHERE users.id BETWEEN ?3 AND ?4
         GROUP BY label ORDER BY label",
        params![range.from, range.to, first, last, by],
        |row| {
            Ok(UsageSum {
                label: row.get(0)?,
                calls: row.get(1)?,
                input_tokens: row.get(2)?,
                output_tokens: row.get(3)?,
                cached_tokens: row.get(4)?,
                price: row.get(5)?,
            })
        },
    )
}

/// SQLite's integers are signed.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
