//! The rules of the house: who may sign up, and what users may send and keep. Administrators set them; everybody sees how far
//! they have come with their own.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Ctx;
use crate::cli::Signup;
use crate::error::{Error, Kind};
use crate::http::{Auth, Body, Json, Route, get, put};
use crate::policy::{Rules, UPLOAD_QUOTA_MIB};
use crate::store;

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get(
        "/limits",
        Auth::User,
        "What the caller may send and keep, and has sent, spent and kept already",
        &Json(read_own),
    ),
    get(
        "/admin/signup",
        Auth::Admin,
        "Whether visitors may make an account",
        &Json(read_signup),
    ),
    put(
        "/admin/signup",
        Auth::Admin,
        "Open or close registration",
        &Json(set_signup),
    )
    .fails(&[Kind::Conflict]),
    get(
        "/admin/limits",
        Auth::Admin,
        "What a user may send and keep",
        &Json(read_limits),
    ),
    put(
        "/admin/limits",
        Auth::Admin,
        "Set what a user may send and keep",
        &Json(set_limits),
    )
    .fails(&[Kind::Conflict]),
];

/// Messages in a minute or a day at most: beyond that a limit is none.
pub(super) const MESSAGES_MAX: u32 = 1_000_000;

/// US dollars in a month.
pub(super) const BUDGETS_USD: RangeInclusive<f64> = 0.0..=1_000_000.0;

/// What all uploaded files of a user may take: there is no limitless disk, so 0 is no quota.
pub(super) const QUOTAS_MIB: RangeInclusive<u32> = 1..=1_000_000;

/// Who may sign up, and who said so.
#[derive(Serialize, JsonSchema)]
struct SignupView {
    #[schemars(extend("enum" = ["open", "closed"]))]
    signup: &'static str,
    /// `flag`: given at start, and not to be changed here; `stored`: set here; `default`: open when local.
    #[schemars(extend("enum" = ["flag", "stored", "default"]))]
    source: &'static str,
}

fn read_signup(ctx: &Ctx, (): ()) -> Result<SignupView, Error> {
    let policy = &ctx.app.policy;
    let source = match (policy.given().signup, policy.rules().signup) {
        (Some(_), _) => "flag",
        (None, Some(_)) => "stored",
        (None, None) => "default",
    };
    let signup = if ctx.app.signup(&ctx.request).is_some() {
        "open"
    } else {
        "closed"
    };
    Ok(SignupView { signup, source })
}

#[derive(Deserialize, JsonSchema)]
struct SetSignup {
    /// Null: the default again.
    signup: Option<SignupName>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum SignupName {
    Open,
    Closed,
}

fn set_signup(ctx: &Ctx, Body(body): Body<SetSignup>) -> Result<SignupView, Error> {
    let signup = body.signup.map(|name| match name {
        SignupName::Open => Signup::Open,
        SignupName::Closed => Signup::Closed,
    });
    ctx.app.policy.set_signup(&ctx.app.store, signup, ctx.doer()?)?;
    read_signup(ctx, ())
}

/// What a user may send and keep.
#[derive(Serialize, JsonSchema)]
struct LimitsView {
    /// 0: no limit; null: none when local, else 60.
    messages_per_minute: Option<u32>,
    /// From midnight to midnight, UTC; 0 or null: no limit.
    messages_per_day: Option<u32>,
    /// US dollars that a user's replies may cost in a calendar month, UTC; 0 or null: no limit.
    budget_usd_month: Option<f64>,
    /// What all uploaded files of a user may take together; null: the default.
    upload_quota_mib: Option<u32>,
    /// What holds where neither a flag nor an administrator says how much.
    default_upload_quota_mib: u32,
    /// Those that were given at start, and cannot be changed here.
    given: Vec<&'static str>,
}

fn read_limits(ctx: &Ctx, (): ()) -> Result<LimitsView, Error> {
    let policy = &ctx.app.policy;
    let rules = policy.rules();
    Ok(LimitsView {
        messages_per_minute: rules.messages_per_minute,
        messages_per_day: rules.messages_per_day,
        budget_usd_month: rules.budget_usd_month,
        upload_quota_mib: rules.upload_quota_mib,
        default_upload_quota_mib: UPLOAD_QUOTA_MIB,
        given: policy.given().limits_set(),
    })
}

/// Users may have limits of their own, which hold instead; beside one that was given at start only a narrower one does. Those
/// that were given at start are best left out: another value is refused, and none is stored.
#[derive(Deserialize, JsonSchema)]
struct SetLimits {
    /// 0: no limit; null or left out: the default again.
    #[serde(default)]
    #[schemars(range(max = MESSAGES_MAX))]
    messages_per_minute: Option<u32>,
    /// 0: no limit; null or left out: the default again, which is none.
    #[serde(default)]
    #[schemars(range(max = MESSAGES_MAX))]
    messages_per_day: Option<u32>,
    /// US dollars; 0: no limit; null or left out: the default again, which is none.
    #[serde(default)]
    #[schemars(range(min = *BUDGETS_USD.start(), max = *BUDGETS_USD.end()))]
    budget_usd_month: Option<f64>,
    /// Null or left out: the default again.
    #[serde(default)]
    #[schemars(range(min = *QUOTAS_MIB.start(), max = *QUOTAS_MIB.end()))]
    upload_quota_mib: Option<u32>,
}

fn set_limits(ctx: &Ctx, Body(body): Body<SetLimits>) -> Result<LimitsView, Error> {
    let rules = Rules {
        signup: None,
        messages_per_minute: body.messages_per_minute,
        messages_per_day: body.messages_per_day,
        budget_usd_month: body.budget_usd_month,
        upload_quota_mib: body.upload_quota_mib,
    };
    ctx.app.policy.set_limits(&ctx.app.store, rules, ctx.doer()?)?;
    read_limits(ctx, ())
}

/// What the caller may send and keep, and how much of it is used.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OwnLimits")]
struct OwnLimits {
    /// Since midnight, UTC.
    messages_today: i64,
    /// Null: no limit.
    messages_per_day: Option<u32>,
    /// When a new day begins.
    #[schemars(extend("format" = "date-time"))]
    day_ends_at: String,
    /// US dollars, to seven digits, since the first of the month, UTC.
    spent_usd_month: f64,
    /// US dollars; null: no limit.
    budget_usd_month: Option<f64>,
    /// When a new month begins.
    #[schemars(extend("format" = "date-time"))]
    month_ends_at: String,
    upload_bytes: i64,
    upload_quota_bytes: u64,
}

fn read_own(ctx: &Ctx, (): ()) -> Result<OwnLimits, Error> {
    let (user, now, policy) = (ctx.user()?, ctx.app.clock.now(), &ctx.app.policy);
    let allowance = policy.allowance(user.limits);
    let store = &ctx.app.store;
    let consumed = store.read(|read| store::find_consumption(read, user.id, now))?;
    Ok(OwnLimits {
        messages_today: consumed.messages_today,
        messages_per_day: Some(allowance.messages_per_day).filter(|limit| *limit > 0),
        day_ends_at: now.tomorrow().text(),
        spent_usd_month: (consumed.spent_usd_month * 1e7).round() / 1e7,
        budget_usd_month: Some(allowance.budget_usd_month).filter(|budget| *budget > 0.0),
        month_ends_at: now.next_month().text(),
        upload_bytes: consumed.upload_bytes,
        upload_quota_bytes: policy.upload_quota_bytes(user.limits),
    })
}
