//! API keys: long-lived tokens for programs, each with a name, and, if wanted, an end and a monthly budget.
//!
//! A key does what its owner does, except what would let whoever steals it stay for good or go further: it makes and
//! deletes no keys, ends no sessions, changes neither password nor e-mail address, and is no administrator. Those routes
//! are `Auth::Session` or `Auth::Admin`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Ctx, sockets};
use crate::auth::{self, API_KEY_START};
use crate::clock::Moment;
use crate::error::{Error, Issue, Kind};
use crate::http::{Auth, Body, Created, Json, NoContent, Path, Route, delete, get, post};
use crate::store::{self, ApiKey, NewApiKey};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get("/api-keys", Auth::Session, "List the caller's API keys", &Json(list)),
    post(
        "/api-keys",
        Auth::Session,
        "Make an API key; it is shown this once",
        &Created(create),
    )
    .fails(&[Kind::Conflict]),
    delete(
        "/api-keys/{key_id}",
        Auth::Session,
        "Delete an API key; what uses it is cut off",
        &NoContent(remove),
    ),
];

/// Characters behind the beginning that the list shows of a key: enough to tell a hundred apart, 32 of its 256 bits.
const HINT_CHARS: usize = 8;

#[derive(Deserialize, JsonSchema)]
struct CreateKey {
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// When it ends; without it, never.
    #[serde(default)]
    #[schemars(extend("format" = "date-time"))]
    expires_at: Option<String>,
    /// US dollars that its replies may cost in a calendar month (UTC): beyond it messages are refused with 402. Replies
    /// that are being written when it is reached are finished.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0))]
    budget_usd_month: Option<f64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
struct KeyView {
    id: String,
    name: String,
    /// How the key begins.
    hint: String,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    #[schemars(extend("format" = "date-time"))]
    expires_at: Option<String>,
    /// To the minute.
    #[schemars(extend("format" = "date-time"))]
    last_used_at: Option<String>,
    budget_usd_month: Option<f64>,
    /// US dollars that its replies have cost in this calendar month (UTC).
    spent_usd_month: f64,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> KeyView {
        KeyView {
            id: key.uuid,
            name: key.name,
            hint: key.hint,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            budget_usd_month: key.budget_usd_month,
            spent_usd_month: key.spent_usd_month,
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewApiKey")]
struct NewKeyView {
    #[serde(flatten)]
    view: KeyView,
    /// The key itself. It is kept nowhere and never shown again.
    key: String,
}

#[derive(Deserialize, JsonSchema)]
struct KeyPath {
    key_id: String,
}

fn list(ctx: &Ctx, (): ()) -> Result<Vec<KeyView>, Error> {
    let user_id = ctx.user()?.id;
    let month = ctx.app.clock.now().month_text();
    let keys = ctx.app.store.read(|read| store::list_api_keys(read, user_id, &month))?;
    Ok(keys.into_iter().map(KeyView::from).collect())
}

fn create(ctx: &Ctx, Body(body): Body<CreateKey>) -> Result<NewKeyView, Error> {
    let user_id = ctx.user()?.id;
    let now = ctx.app.clock.now();
    let expires_at = body.expires_at.as_deref();
    let expires_at = expires_at.map(|text| check_end(text, now)).transpose()?;
    let budget_usd_month = body.budget_usd_month.map(check_budget).transpose()?;
    let key = auth::new_api_key();
    let new = NewApiKey {
        uuid: ctx.app.clock.uuid(),
        user_id,
        name: body.name,
        hint: key.chars().take(API_KEY_START.len() + HINT_CHARS).collect(),
        sha256: auth::digest_hex(key.as_bytes()),
        budget_usd_month,
        created_at: now.text(),
        expires_at,
    };
    let view = KeyView {
        id: new.uuid.clone(),
        name: new.name.clone(),
        hint: new.hint.clone(),
        created_at: new.created_at.clone(),
        expires_at: new.expires_at.clone(),
        last_used_at: None,
        budget_usd_month,
        spent_usd_month: 0.0,
    };
    ctx.app.store.write(move |tx| store::insert_api_key(tx, &new))?;
    Ok(NewKeyView { view, key })
}

fn problem(rule: &'static str, field: &'static str, msg: &'static str, input: Value) -> Error {
    Error::invalid(vec![Issue {
        rule: rule.into(),
        loc: vec!["body".into(), field.into()],
        msg: msg.into(),
        input,
        ctx: None,
    }])
}

/// When a key ends, as the store keeps times.
fn check_end(text: &str, now: Moment) -> Result<String, Error> {
    let is_wrong = |rule, msg| problem(rule, "expires_at", msg, text.into());
    let moment = Moment::parse(text).ok_or_else(|| {
        let msg = "Input should be a valid datetime with its offset, such as 2030-01-01T00:00:00Z";
        is_wrong("datetime_parsing", msg)
    })?;
    if moment <= now {
        return Err(is_wrong("datetime_future", "Input should be in the future"));
    }
    Ok(moment.text())
}

fn check_budget(usd: f64) -> Result<f64, Error> {
    if usd.is_finite() && usd > 0.0 {
        return Ok(usd);
    }
    let msg = "Input should be greater than 0";
    Err(problem("greater_than", "budget_usd_month", msg, json!(usd)))
}

fn remove(ctx: &Ctx, Path(path): Path<KeyPath>) -> Result<(), Error> {
    let user_id = ctx.user()?.id;
    ctx.app
        .store
        .write(move |tx| store::delete_api_key(tx, user_id, &path.key_id))?;
    sockets::recheck(&ctx.app, user_id);
    Ok(())
}
