//! The log of what administrators do, for administrators to read. Nothing here changes it: entries are written by the routes
//! that they are about, in the same transaction ([`Ctx::doer`]).
//!
//! Failed sign-ins are not in it: strangers could fill it with them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Ctx;
use super::paging::default_limit;
use crate::error::Error;
use crate::http::{Auth, Json, Query, Route, get};
use crate::limits::NAME_CHARS_MAX;
use crate::store::{self, Doer, Entry, EntryFilter};

pub(super) const ROUTES: &[Route<Ctx>] = &[get(
    "/admin/audit",
    Auth::Admin,
    "What administrators have changed, newest first",
    &Json(list),
)];

impl Ctx {
    /// Who makes this request, as the log says it.
    ///
    /// # Errors
    /// [`crate::error::Kind::Unauthenticated`].
    pub(super) fn doer(&self) -> Result<Doer, Error> {
        let caller = self.caller()?;
        let address = self.client_address().to_string();
        Ok(Doer::new(self.now(), &caller.user, address, caller.means))
    }
}

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 100))]
    limit: i64,
    /// Id of an entry: only older ones. The next page begins before the last entry of this one.
    #[serde(default)]
    #[schemars(range(min = 1))]
    before: Option<i64>,
    /// What was done, such as `user.update`.
    #[serde(default)]
    #[schemars(length(max = NAME_CHARS_MAX))]
    act: Option<String>,
    /// UUID of a user who did it, or to whom it was done.
    #[serde(default)]
    #[schemars(length(max = NAME_CHARS_MAX))]
    user: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditLog")]
struct Log {
    entries: Vec<EntryView>,
    /// Those of this page and all after it.
    total: i64,
}

/// One thing that an administrator did.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
struct EntryView {
    id: i64,
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// Who did it; null: the owner of the data folder, without an account.
    #[schemars(extend("format" = "uuid"))]
    user_id: Option<String>,
    /// What the account was called at the time.
    user_name: String,
    /// The client's, behind trusted proxies; null: not over the network.
    address: Option<String>,
    /// `setup`: by making the first account, or one with the setup code.
    #[schemars(extend("enum" = ["session", "command_line", "setup"]))]
    means: String,
    act: String,
    /// The user that it was done to, if it was one.
    #[schemars(extend("format" = "uuid"))]
    subject_id: Option<String>,
    /// The name of what it was done to, as it was at the time.
    subject: Option<String>,
    changes: Vec<ChangeView>,
}

/// Of secrets neither value.
#[derive(Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "AuditChange")]
struct ChangeView {
    field: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    from: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    to: Option<Value>,
}

/// Tells `null` from nothing.
fn there<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

fn view(entry: Entry) -> Result<EntryView, Error> {
    let changes = serde_json::from_str(&entry.changes);
    Ok(EntryView {
        id: entry.id,
        at: entry.at,
        user_id: entry.user_id,
        user_name: entry.user_name,
        address: entry.address,
        means: entry.means,
        act: entry.act,
        subject_id: entry.subject_id,
        subject: entry.subject,
        changes: changes.map_err(|error| Error::internal("an entry of the log cannot be read", error))?,
    })
}

fn list(ctx: &Ctx, Query(wanted): Query<Wanted>) -> Result<Log, Error> {
    let filter = EntryFilter {
        act: wanted.act,
        user_id: wanted.user.map(|id| id.to_ascii_lowercase()),
        before: wanted.before,
    };
    let (entries, total) = ctx.app.store.read(|read| {
        Ok((
            store::list_entries(read, &filter, wanted.limit)?,
            store::count_entries(read, &filter)?,
        ))
    })?;
    Ok(Log {
        entries: entries.into_iter().map(view).collect::<Result<_, _>>()?,
        total,
    })
}
