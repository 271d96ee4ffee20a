//! What users may send and keep, and what they have sent and spent already. That is kept in a row for each user, by the same
//! transactions that store messages and what replies cost: looking at it costs the same however much there is.

use rusqlite::params;

use super::{Read, Tx};
use crate::clock::Moment;
use crate::error::{Error, Kind};

/// What a single user may send and keep, where administrators have said so; `None`: as everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UserLimits {
    /// Messages in a day (UTC); 0: no limit.
    pub messages_per_day: Option<u32>,
    /// US dollars that replies may cost in a calendar month (UTC); 0: no limit.
    pub budget_usd_month: Option<f64>,
    /// What all uploaded files may take together, in MiB.
    pub upload_quota_mib: Option<u32>,
}

/// What a user may send.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Allowance {
    /// Messages in a day (UTC); 0: no limit.
    pub messages_per_day: u32,
    /// US dollars that replies may cost in a calendar month (UTC); 0: no limit.
    pub budget_usd_month: f64,
}

/// What a user has sent, spent and kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Consumption {
    /// Messages sent today (UTC).
    pub messages_today: i64,
    /// US dollars that replies have cost in this month (UTC).
    pub spent_usd_month: f64,
    /// What all uploaded files take together, in bytes.
    pub upload_bytes: i64,
}

/// What a user has sent and spent by `now`, and keeps. A day or month that is ahead of `now` counts as this one: clocks are set
/// back, and what was begun before midnight ends after it.
///
/// # Errors
/// Those of the store.
pub fn find_consumption(read: &Read<'_>, user_id: i64, now: Moment) -> Result<Consumption, Error> {
    let sql =
        "SELECT iif(day >= substr(?2, 1, 10), messages, 0), iif(month >= substr(?2, 1, 7), usd, 0.0), attachment_bytes
        FROM users LEFT JOIN consumption ON user_id = users.id WHERE users.id = ?1";
    let found = read.first(sql, params![user_id, now.text()], |row| {
        Ok(Consumption {
            messages_today: row.get(0)?,
            spent_usd_month: row.get(1)?,
            upload_bytes: row.get(2)?,
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// Refuses whoever has used up what they may send. Replies that are being written are not paid for yet: a budget is
/// overshot by what they cost.
///
/// # Errors
/// [`Kind::RateLimited`], which says when to try again.
pub fn check_allowance(read: &Read<'_>, user_id: i64, allowance: Allowance, now: Moment) -> Result<(), Error> {
    let (per_day, budget) = (allowance.messages_per_day, allowance.budget_usd_month);
    if per_day == 0 && budget <= 0.0 {
        return Ok(());
    }
    let consumed = find_consumption(read, user_id, now)?;
    if budget > 0.0 && consumed.spent_usd_month >= budget {
        let what = format!("This month's budget of {budget} US dollars is spent");
        return Err(shut(&what, now.next_month(), now));
    }
    if per_day > 0 && consumed.messages_today >= i64::from(per_day) {
        let plural = if per_day == 1 { "" } else { "s" };
        let what = format!("The limit of {per_day} message{plural} a day is reached");
        return Err(shut(&what, now.tomorrow(), now));
    }
    Ok(())
}

/// Counts a message of a user's, who may still send it. In the transaction that stores the message, so that of many at once
/// no more get in than may, and of those that waited none whose budget has been spent meanwhile.
///
/// # Errors
/// [`Kind::RateLimited`], which says when to try again.
pub fn count_message(tx: &Tx<'_>, user_id: i64, allowance: Allowance, now: Moment) -> Result<(), Error> {
    check_allowance(tx, user_id, allowance, now)?;
    tx.execute(
        "INSERT INTO consumption (user_id, day, messages) VALUES (?1, substr(?2, 1, 10), 1)
         ON CONFLICT (user_id) DO UPDATE SET messages = iif(excluded.day > day, 1, messages + 1),
             day = max(day, excluded.day)",
        params![user_id, now.text()],
    )?;
    Ok(())
}

/// Adds what a reply has cost to what its reader has spent this month. What comes late counts into the month that has begun:
/// it must not bring back the one before, whose sum is gone.
pub(super) fn spend(tx: &Tx<'_>, user_id: i64, usd: f64, at: &str) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO consumption (user_id, month, usd) VALUES (?1, substr(?2, 1, 7), ?3)
         ON CONFLICT (user_id) DO UPDATE SET usd = iif(excluded.month > month, 0.0, usd) + excluded.usd,
             month = max(month, excluded.month)",
        params![user_id, at, usd],
    )?;
    Ok(())
}

fn shut(what: &str, until: Moment, now: Moment) -> Error {
    let day = until.text();
    let message = format!(
        "{what}; it opens again on {} at 00:00 UTC. Nothing was stored",
        &day[..10]
    );
    let wait_s = until.seconds().saturating_sub(now.seconds()).max(1);
    Error::new(Kind::RateLimited, message).retry_after(u32::try_from(wait_s).unwrap_or(u32::MAX))
}
