//! `fireside key`: an account's API keys.

use serde_json::{Value, json};

use super::reach::Reach;
use super::{Failed, terminal};
use crate::cli::{Door, Form, KeyTask, Settings};
use crate::clock::{Clock, Moment};
use crate::error::{Error, Kind};

/// Does what was asked for with an account's keys.
///
/// # Errors
/// The server's sentence.
pub(super) fn key(settings: &Settings, account: Option<&str>, task: &KeyTask) -> Result<(), Failed> {
    // Looked at before a server is started for it.
    let new = match task {
        KeyTask::Create {
            name,
            expires_at,
            budget_usd_month,
        } => {
            let budget = budget_usd_month.as_deref().map(dollars).transpose()?;
            expires_at.as_deref().map_or(Ok(()), check_end)?;
            json!({ "name": name, "expires_at": expires_at, "budget_usd_month": budget })
        }
        KeyTask::List(_) | KeyTask::Revoke(_) => Value::Null,
    };
    let mut reach = Reach::open(settings, &Door::default())?;
    reach.sign_in(account)?;
    match task {
        KeyTask::Create { .. } => create(&reach, &new),
        KeyTask::List(form) => list(&reach, *form),
        KeyTask::Revoke(which) => revoke(&reach, which),
    }
}

fn check_end(end: &str) -> Result<(), Failed> {
    if Moment::parse(end).is_some_and(|end| end > Clock.now()) {
        return Ok(());
    }
    let message = format!("--expires: {end:?} is no time that is still to come, such as 2099-01-01T00:00:00Z");
    Err(Failed::usage(Error::new(Kind::Malformed, message)))
}

fn dollars(text: &str) -> Result<f64, Failed> {
    let budget = text.parse().ok().filter(|usd: &f64| usd.is_finite() && *usd > 0.0);
    budget.ok_or_else(|| {
        let message = format!("--budget: {text:?} is not a number of US dollars above 0, such as 5 or 2.50");
        Failed::usage(Error::new(Kind::Malformed, message))
    })
}

/// The key to stdout, for whatever reads it; the rest to the terminal.
fn create(reach: &Reach, new: &Value) -> Result<(), Failed> {
    let made = reach.client().send("POST", "/api-keys", new)?;
    terminal::print(&format!("{}\n", made["key"].as_str().unwrap_or_default()));
    terminal::note("This key is shown this once; it is kept nowhere");
    Ok(())
}

fn list(reach: &Reach, form: Form) -> Result<(), Failed> {
    let keys = reach.client().call("GET", "/api-keys")?;
    if form == Form::Json {
        terminal::print(&format!("{keys}\n"));
        return Ok(());
    }
    let cell = |key: &Value, name: &str| match &key[name] {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    let date = |key: &Value, name: &str| cell(key, name).chars().take("2026-11-21".len()).collect::<String>();
    let rows = keys.as_array().into_iter().flatten().map(|key| {
        vec![
            cell(key, "name"),
            format!("{}…", cell(key, "hint")),
            date(key, "created_at"),
            date(key, "expires_at"),
            date(key, "last_used_at"),
            cell(key, "budget_usd_month"),
            cell(key, "spent_usd_month"),
            cell(key, "id"),
        ]
    });
    let head = ["name", "key", "made", "ends", "used", "budget $", "spent $", "id"];
    terminal::print(&terminal::table(&head, &rows.collect::<Vec<_>>()));
    Ok(())
}

fn revoke(reach: &Reach, which: &str) -> Result<(), Failed> {
    let keys = reach.client().call("GET", "/api-keys")?;
    let keys: Vec<&Value> = keys
        .as_array()
        .into_iter()
        .flatten()
        .filter(|key| key["id"] == which || key["name"] == which)
        .collect();
    let key = match keys[..] {
        [key] => key,
        [] => {
            let message = format!("There is no key {which:?}; fireside key list shows them");
            return Err(Failed::from(Error::new(Kind::NotFound, message)));
        }
        _ => {
            let message =
                format!("There are several keys {which:?}; name one by its id, which fireside key list shows");
            return Err(Failed::from(Error::new(Kind::Conflict, message)));
        }
    };
    let id = key["id"].as_str().unwrap_or_default();
    reach.client().call("DELETE", &format!("/api-keys/{id}"))?;
    let name = terminal::harmless(key["name"].as_str().unwrap_or_default());
    terminal::note(&format!("Revoked {name}"));
    Ok(())
}
