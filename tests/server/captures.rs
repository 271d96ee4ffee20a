//! Replays recorded sessions of the four systems whose clients Fireside serves and compares reply by reply: status, keys,
//! types, and the texts that are part of the contract. Every difference must stand in `deviations` with its reason, and
//! every row there must occur. The recordings are not part of this repository: `FIRESIDE_CAPTURES` names the folder that
//! holds them.

mod ai_chat;
mod chatai;
mod deviations;
mod flutter;
mod recording;
mod todo;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use self::deviations::{DEVIATIONS, Deviation, SKIPPED, System};
use self::recording::{Entry, Name, parse, recorded_json};
use crate::rig::{Call, Reply};

const SECRET: &str = "one secret for both kinds of tokens, of 32 bytes and more";

/// How a recorded session is driven against us.
trait Session {
    /// The request behind a recorded line. `path` has our ids in it; `key` has placeholders.
    fn request(&self, entry: &Entry, key: &str, path: &str) -> Call;

    /// Keeps what later requests need of a reply, and says what has another name with us than in the recording.
    fn learn(&mut self, key: &str, recorded: &Value, ours: &Value) -> Option<Name> {
        let _ = (key, recorded, ours);
        None
    }
}

/// The two names of the id at `field`.
fn name_of(recorded: &Value, ours: &Value, field: &str, placeholder: &'static str) -> Option<Name> {
    let text = |value: &Value| value[field].as_str().map(str::to_string);
    Some(Name {
        recorded: text(recorded)?,
        ours: text(ours)?,
        placeholder,
    })
}

fn token_of(reply: &Value) -> String {
    reply["access_token"].as_str().expect("a token").to_string()
}

/// The differences between a recorded body and ours, each as one line. `is_cut` leaves the lengths of arrays out.
fn differences(at: &str, theirs: &Value, ours: &Value, is_cut: bool, found: &mut BTreeSet<String>) {
    const LITERAL: &[&str] = &[
        "detail",
        "type",
        "msg",
        "role",
        "token_type",
        "response",
        "conversation_id",
        "status",
        "answer",
        "scope",
    ];
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            found.extend(
                theirs
                    .keys()
                    .filter(|key| !ours.contains_key(*key))
                    .map(|key| format!("no {at}.{key}")),
            );
            found.extend(
                ours.keys()
                    .filter(|key| !theirs.contains_key(*key))
                    .map(|key| format!("new {at}.{key}")),
            );
            for (key, value) in theirs {
                if let Some(other) = ours.get(key) {
                    differences(&format!("{at}.{key}"), value, other, is_cut, found);
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            if theirs.len() != ours.len() && !is_cut {
                found.insert(format!("length {at}"));
            }
            for (value, other) in theirs.iter().zip(ours) {
                differences(&format!("{at}[]"), value, other, is_cut, found);
            }
        }
        _ if kind(theirs) != kind(ours) => found.extend([format!("{} for {} {at}", kind(ours), kind(theirs))]),
        _ => {
            let name = at.rsplit('.').next().unwrap_or_default().trim_end_matches("[]");
            if theirs != ours && (LITERAL.contains(&name) || at.ends_with(".loc[]")) {
                found.insert(format!("text {at}"));
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What differs between a recorded exchange and the same one with us.
fn compare(entry: &Entry, body: &str, reply: &Reply) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if reply.status != entry.status {
        return BTreeSet::from([format!("status {}", reply.status)]);
    }
    if entry.challenged && reply.header("WWW-Authenticate") != Some("Bearer") {
        found.insert("no WWW-Authenticate".to_string());
    }
    match recorded_json(body) {
        Some((theirs, is_cut)) => differences("$", &theirs, &reply.json(), is_cut, &mut found),
        None if reply.text() != body => found.extend(["text".to_string()]),
        None => {}
    }
    found
}

/// What a replay found.
#[derive(Default)]
struct Findings {
    /// Lines compared.
    compared: usize,
    complaints: Vec<String>,
    /// The row and the place in it of each difference that occurred.
    occurred: BTreeSet<(usize, usize)>,
}

impl Findings {
    /// The rows for an exchange.
    fn rows(system: System, key: &str) -> impl Iterator<Item = (usize, &'static Deviation)> {
        DEVIATIONS
            .iter()
            .enumerate()
            .filter(move |(_, row)| row.is_about(system, key))
    }

    fn compare(&mut self, system: System, key: &str, exchange: (&Entry, &str, &Reply)) {
        let (entry, body, reply) = exchange;
        self.compared += 1;
        for difference in compare(entry, body, reply) {
            let allowed: Vec<(usize, usize)> = Findings::rows(system, key)
                .filter_map(|(index, row)| Some((index, row.differences.iter().position(|one| *one == difference)?)))
                .collect();
            if allowed.is_empty() {
                self.complaints.push(format!(
                    "{system:?}: {key}: {difference}\n    recorded {} {}\n    got      {} {}",
                    entry.status,
                    entry.body,
                    reply.status,
                    reply.text()
                ));
            }
            self.occurred.extend(allowed);
        }
    }

    /// Complains about what is listed and does not occur.
    fn check_rows(&mut self, system: System) {
        let rows = DEVIATIONS.iter().enumerate().filter(|(_, row)| row.system == system);
        for (index, row) in rows {
            for (place, difference) in row.differences.iter().enumerate() {
                if !self.occurred.contains(&(index, place)) {
                    self.complaints.push(format!(
                        "listed but does not occur: {system:?}: {}: {difference} ({})",
                        row.exchange, row.reason
                    ));
                }
            }
        }
    }
}

/// Replays one recording.
fn replay(system: System, text: &str, session: &mut dyn Session) -> Findings {
    let mut findings = Findings::default();
    let mut names: Vec<Name> = Vec::new();
    for entry in parse(text) {
        let key = entry.key(&names);
        if SKIPPED.iter().any(|(skipped, _)| *skipped == key) {
            continue;
        }
        let recorded = recorded_json(&entry.body).map(|(value, _)| value);
        let ours = |text: &str| {
            names
                .iter()
                .fold(text.to_string(), |text, name| text.replace(&name.recorded, &name.ours))
        };
        let reply = session.request(&entry, &key, &ours(&entry.path)).send();
        findings.compare(system, &key, (&entry, &ours(&entry.body), &reply));
        if let Some(recorded) = recorded.filter(|_| reply.status < 300 && reply.status != 204) {
            names.extend(session.learn(&key, &recorded, &reply.json()));
        }
    }
    findings.check_rows(system);
    findings
}

/// Replays a recording if there is one, of which so many lines must be comparable.
#[track_caller]
fn check(system: System, lines_min: usize, session: &mut dyn Session) {
    let Some(folder) = std::env::var_os("FIRESIDE_CAPTURES").map(PathBuf::from) else {
        println!("skipped: FIRESIDE_CAPTURES names no folder with recordings");
        return;
    };
    let text = std::fs::read_to_string(folder.join(system.file())).expect("a recording");
    let findings = replay(system, &text, session);
    assert!(
        findings.complaints.is_empty(),
        "{} differences:\n{}",
        findings.complaints.len(),
        findings.complaints.join("\n")
    );
    let compared = findings.compared;
    assert!(compared >= lines_min, "only {compared} lines were compared");
}
