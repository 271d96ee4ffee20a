//! What models cost the caller, or for administrators anybody, by day or by model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Ctx, parse_id};
use crate::clock::Moment;
use crate::error::{Error, Issue, Kind};
use crate::http::{Auth, Json, Query, Route, get};
use crate::store::{self, Ref, UsageBy, UsageOf, UsageRange, UsageSum};

pub(super) const ROUTES: &[Route<Ctx>] = &[get(
    "/usage",
    Auth::User,
    "Tokens and price of a time, by day or by model",
    &Json(usage),
)
.fails(&[Kind::Forbidden])];

/// Seconds of a day.
const DAY_S: i64 = 24 * 3600;

/// Days of a range at most: a leap year. More is asked for in parts.
const DAYS_MAX: i64 = 366;

/// Days up to now, today included, when nobody says from when.
const DAYS: i64 = 30;

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    /// A date (UTC) or a time; else 29 days before the end.
    #[serde(default)]
    from: Option<String>,
    /// A date, which is meant with the whole day, or a time, which is not meant itself; else today.
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    group: Group,
    /// For administrators: a user's UUID, or `all`.
    #[serde(default)]
    user: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Group {
    #[default]
    Day,
    Model,
}

#[derive(Serialize, JsonSchema)]
struct Usage {
    #[schemars(extend("format" = "date-time"))]
    from: String,
    /// The end, which is not part of it.
    #[schemars(extend("format" = "date-time"))]
    to: String,
    group: Group,
    rows: Vec<Row>,
    total: Sum,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UsageRow")]
struct Row {
    /// With `group=day`.
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<String>,
    /// With `group=model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(flatten)]
    sum: Sum,
}

#[derive(Default, Serialize, JsonSchema)]
#[schemars(rename = "UsageSum")]
struct Sum {
    /// Of models.
    calls: i64,
    input_tokens: i64,
    output_tokens: i64,
    cached_tokens: i64,
    /// US dollars, to seven digits.
    price: f64,
}

fn usage(ctx: &Ctx, Query(wanted): Query<Wanted>) -> Result<Usage, Error> {
    let range = range(ctx.app.clock.now(), &wanted)?;
    let by = match wanted.group {
        Group::Day => UsageBy::Day,
        Group::Model => UsageBy::Model,
    };
    let of = whose(ctx, wanted.user.as_deref())?;
    let sums = ctx.app.store.read(|read| store::sum_usage(read, of, &range, by))?;
    let mut total = Sum::default();
    for sum in &sums {
        total.calls += sum.calls;
        total.input_tokens += sum.input_tokens;
        total.output_tokens += sum.output_tokens;
        total.cached_tokens += sum.cached_tokens;
        total.price += sum.price;
    }
    // Many small sums leave more digits than any of them has.
    total.price = (total.price * 1e7).round() / 1e7;
    Ok(Usage {
        from: range.from,
        to: range.to,
        group: wanted.group,
        rows: sums.into_iter().map(|sum| row(sum, wanted.group)).collect(),
        total,
    })
}

fn row(sum: UsageSum, group: Group) -> Row {
    let (day, model) = match group {
        Group::Day => (Some(sum.label), None),
        Group::Model => (None, Some(sum.label)),
    };
    Row {
        day,
        model,
        sum: Sum {
            calls: sum.calls,
            input_tokens: sum.input_tokens,
            output_tokens: sum.output_tokens,
            cached_tokens: sum.cached_tokens,
            price: sum.price,
        },
    }
}

/// Whose usage is asked for. Of others only administrators learn anything, also whether they are there.
fn whose(ctx: &Ctx, asked: Option<&str>) -> Result<UsageOf, Error> {
    let is_admin = ctx.caller()?.administers();
    let caller = ctx.user()?;
    match asked {
        None => Ok(UsageOf::User(caller.id)),
        Some("all") if is_admin => Ok(UsageOf::Everybody),
        Some("all") => Err(Error::new(Kind::Forbidden, "Only an administrator may do this")),
        Some(asked) => match parse_id(asked) {
            Some(Ref::Uuid(uuid)) if uuid == caller.uuid => Ok(UsageOf::User(caller.id)),
            Some(Ref::Uuid(uuid)) if is_admin => {
                let id = ctx.app.store.read(|read| store::find_user_id(read, &uuid))?;
                Ok(UsageOf::User(id))
            }
            _ => Err(Error::new(Kind::NotFound, "User not found")),
        },
    }
}

fn range(now: Moment, wanted: &Wanted) -> Result<UsageRange, Error> {
    let to = match &wanted.to {
        None => now.day().plus_s(DAY_S),
        Some(text) => match Moment::parse_day(text) {
            Some(day) => day.plus_s(DAY_S),
            None => moment("to", text)?,
        },
    };
    let from = match &wanted.from {
        None => to.plus_s(-1).day().plus_s(-(DAYS - 1) * DAY_S),
        Some(text) => moment("from", text)?,
    };
    let length_us = to.since_us(from);
    if length_us < 0 {
        return Err(problem("to", "The end is before the beginning", wanted.to.as_deref()));
    }
    if length_us > DAYS_MAX * DAY_S * 1_000_000 {
        return Err(problem(
            "from",
            "At most 366 days can be asked for at once",
            wanted.from.as_deref(),
        ));
    }
    Ok(UsageRange {
        from: from.text(),
        to: to.text(),
    })
}

fn moment(field: &'static str, text: &str) -> Result<Moment, Error> {
    let message = "Input should be a date such as 2026-01-31, or a date and time with an offset";
    let moment = Moment::parse_day(text).or_else(|| Moment::parse(text));
    moment.ok_or_else(|| problem(field, message, Some(text)))
}

fn problem(field: &'static str, message: &'static str, input: Option<&str>) -> Error {
    Error::invalid(vec![Issue {
        rule: "value_error".into(),
        loc: vec!["query".into(), field.into()],
        msg: format!("Value error, {message}").into(),
        input: input.into(),
        ctx: Some(serde_json::json!({ "error": message })),
    }])
}
