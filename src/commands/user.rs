//! `fireside user`: accounts, through the administrators' routes.

use serde_json::{Map, Value, json};

use super::reach::Reach;
use super::{Failed, terminal};
use crate::cli::{Consent, Door, Form, Role, Settings, UserTask};
use crate::error::{Error, Kind};

/// Accounts that are asked for at a time: as many as the route gives.
const PAGE: usize = 100;

/// Does what was asked for with accounts.
///
/// # Errors
/// The server's sentence.
pub(super) fn user(settings: &Settings, task: &UserTask) -> Result<(), Failed> {
    // Asked for before a server is started for it.
    let password = match task {
        UserTask::Add { password, .. } | UserTask::Passwd { password, .. } => terminal::new_password(*password)?,
        _ => String::new(),
    };
    let mut reach = Reach::open(settings, &Door::default())?;
    match task {
        UserTask::Add {
            email, username, role, ..
        } => {
            let new = json!({ "email": email, "username": username, "password": password });
            add(&mut reach, new, *role)
        }
        UserTask::List(form) => list(&mut reach, *form),
        UserTask::Passwd { who, .. } => {
            let name = change(&mut reach, who, &json!({ "password": password }))?;
            terminal::note(&format!(
                "{name} has a new password; its sessions and API keys have ended"
            ));
            Ok(())
        }
        UserTask::Disable(who) => {
            let name = change(&mut reach, who, &json!({ "disabled": true }))?;
            terminal::note(&format!("{name} is disabled; fireside user enable lets it in again"));
            Ok(())
        }
        UserTask::Enable(who) => {
            let name = change(&mut reach, who, &json!({ "disabled": false }))?;
            terminal::note(&format!("{name} may sign in"));
            Ok(())
        }
        UserTask::Limit {
            who,
            messages_per_day,
            budget_usd_month,
            upload_quota_mib,
        } => {
            let asked = [
                ("messages_per_day", messages_per_day),
                ("budget_usd_month", budget_usd_month),
                ("upload_quota_mib", upload_quota_mib),
            ];
            let name = change(&mut reach, who, &limits(&asked)?)?;
            terminal::note(&format!("{name} has other limits from now on"));
            Ok(())
        }
        UserTask::Delete { who, consent } => delete(&mut reach, who, *consent),
    }
}

/// The limits that are named, as the route takes them.
fn limits(asked: &[(&str, &Option<String>)]) -> Result<Value, Failed> {
    let mut patch = Map::new();
    for (name, text) in asked {
        let Some(text) = text else { continue };
        let number = || text.parse().ok().filter(Value::is_number);
        let limit = if text == "default" { Some(Value::Null) } else { number() };
        let limit = limit.ok_or_else(|| {
            let message = format!("--{}: {text:?} is neither a number nor default", name.replace('_', "-"));
            Failed::usage(Error::new(Kind::Malformed, message))
        })?;
        patch.insert((*name).to_owned(), limit);
    }
    Ok(Value::Object(patch))
}

/// Signs in as an administrator.
fn administer(reach: &mut Reach) -> Result<(), Failed> {
    let me = reach.sign_in(None)?;
    if me["role"] == "admin" {
        return Ok(());
    }
    let message = "There is no administrator who can sign in; make one with fireside user add EMAIL --admin";
    Err(Failed::from(Error::new(Kind::Forbidden, message)))
}

/// The first account is an administrator's, and so is the one that is made where no administrator can sign in any more.
fn add(reach: &mut Reach, mut new: Value, role: Role) -> Result<(), Failed> {
    let has_admin = match reach.sign_in(None) {
        Ok(me) => me["role"] == "admin",
        Err(failed) if matches!(failed.error.kind(), Kind::NotFound | Kind::Conflict) => false,
        Err(failed) => return Err(failed),
    };
    let email = terminal::harmless(new["email"].as_str().unwrap_or("?"));
    let made = if has_admin {
        new["role"] = json!(if role == Role::Admin { "admin" } else { "user" });
        reach.client().send("POST", "/admin/users", &new)
    } else {
        new["setup_code"] = json!(reach.secret());
        reach.client().send("POST", "/auth/register", &new)
    };
    let made = made.map_err(|failed| match failed.error.kind() {
        Kind::Conflict => {
            let message = format!(
                "{email}: {}; fireside user list shows who is here, and fireside user passwd gives an \
                                   account a new password",
                failed.error.message()
            );
            Failed::from(Error::new(Kind::Conflict, message))
        }
        _ => failed,
    })?;
    let what = if made["role"] == "admin" {
        "administrator"
    } else {
        "account"
    };
    let name = terminal::harmless(made["email"].as_str().unwrap_or("?"));
    terminal::note(&format!("Made the {what} {name}"));
    Ok(())
}

fn list(reach: &mut Reach, form: Form) -> Result<(), Failed> {
    administer(reach)?;
    let users = all(reach)?;
    if form == Form::Json {
        terminal::print(&format!("{}\n", Value::Array(users)));
        return Ok(());
    }
    let cell = |user: &Value, name: &str| match &user[name] {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    let rows = users.iter().map(|user| {
        let name = if user["email"].is_null() {
            "external_id"
        } else {
            "email"
        };
        let state = if user["disabled"] == true {
            "disabled"
        } else {
            "enabled"
        };
        let made = cell(user, "created_at").chars().take("2026-11-21".len()).collect();
        let chats = cell(user, "conversation_count");
        vec![
            cell(user, name),
            cell(user, "role"),
            state.to_owned(),
            chats,
            made,
            own_limits(user),
            cell(user, "id"),
        ]
    });
    let head = ["account", "role", "state", "conversations", "made", "limits", "id"];
    terminal::print(&terminal::table(&head, &rows.collect::<Vec<_>>()));
    Ok(())
}

/// The limits that an account has of its own; the others are everybody's.
fn own_limits(user: &Value) -> String {
    let limit = |name: &str, before: &str, after: &str| match user[name].as_f64()? {
        0.0 => Some(format!("no limit{after}")),
        number => Some(format!("{before}{number}{after}")),
    };
    let limits = [
        limit("messages_per_day", "", "/day"),
        limit("budget_usd_month", "$", "/month"),
        limit("upload_quota_mib", "", " MiB"),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    if limits.is_empty() {
        return "–".to_owned();
    }
    limits.join(", ")
}

/// Every account, page by page.
fn all(reach: &Reach) -> Result<Vec<Value>, Failed> {
    let mut users: Vec<Value> = Vec::new();
    loop {
        let path = format!("/admin/users?limit={PAGE}&offset={}", users.len());
        let mut page = reach.client().call("GET", &path)?;
        match page["users"].as_array_mut() {
            Some(more) if !more.is_empty() => users.append(more),
            _ => return Ok(users),
        }
    }
}

/// An account's id and name.
fn find(reach: &Reach, who: &str) -> Result<(String, String), Failed> {
    let is_it = |user: &&Value| {
        ["id", "email", "username", "external_id"]
            .iter()
            .any(|name| user[*name].as_str().is_some_and(|text| text.eq_ignore_ascii_case(who)))
    };
    let users = all(reach)?;
    let text = |user: &Value, name: &str| user[name].as_str().unwrap_or_default().to_owned();
    let found: Vec<&Value> = users.iter().filter(is_it).collect();
    match found[..] {
        [] => {
            let message = format!("There is no account {who:?}; fireside user list shows them");
            Err(Failed::from(Error::new(Kind::NotFound, message)))
        }
        [user] => {
            let name = ["email", "external_id", "username"]
                .map(|name| text(user, name))
                .into_iter()
                .find(|name| !name.is_empty());
            Ok((text(user, "id"), terminal::harmless(&name.unwrap_or_default())))
        }
        // People choose their own names, also such as are somebody else's address.
        _ => {
            let ids: Vec<String> = found.iter().map(|user| text(user, "id")).collect();
            let message = format!(
                "{who:?} may be any of these accounts; name one by its id: {}",
                ids.join(", ")
            );
            Err(Failed::usage(Error::new(Kind::Conflict, message)))
        }
    }
}

fn change(reach: &mut Reach, who: &str, patch: &Value) -> Result<String, Failed> {
    administer(reach)?;
    let (id, name) = find(reach, who)?;
    reach.client().send("PATCH", &format!("/admin/users/{id}"), patch)?;
    Ok(name)
}

fn delete(reach: &mut Reach, who: &str, consent: Consent) -> Result<(), Failed> {
    administer(reach)?;
    let (id, name) = find(reach, who)?;
    let question = format!("Delete {name} ({id}) and everything it holds, for good?");
    if consent == Consent::Asked && !terminal::agrees(&question)? {
        return Err(Failed::from(Error::new(Kind::Malformed, "Nothing was deleted")));
    }
    reach.client().call("DELETE", &format!("/admin/users/{id}"))?;
    terminal::note(&format!("Deleted {name}"));
    Ok(())
}
