//! `fireside doctor`: what could keep the server from working, one line each, and what to do about it.

mod proxy;

use std::fmt::Display;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use super::client::Client;
use super::reach::Reach;
use super::{FAILED, Failed, lock, terminal};
use crate::cli::{Door, Form, Settings};
use crate::clock::Clock;
use crate::error::Error;
use crate::store::{self, Inspection};
use crate::system;

/// Below this there is soon no room for what people write.
const FREE_BYTES_ADVISED: u64 = 1024 * 1024 * 1024;
/// Below this a backup or an upload may already find none.
const FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// This program did not exist before 2026: a clock that says so has lost its battery.
const NOW_S_MIN: u64 = 1_767_225_600;

/// Seconds that clocks of two machines differ without harm.
const CLOCK_S_TOLERATED: u64 = 60;

/// Bytes of a secret that cannot be guessed.
const SECRET_BYTES_MIN: u64 = 32;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        }
    }
}

/// What was found.
struct Finding {
    what: String,
    state: State,
    says: String,
    /// What to do about it.
    advice: Option<String>,
}

impl Finding {
    fn ok(what: &str, says: impl Display) -> Finding {
        Finding {
            what: what.to_owned(),
            state: State::Ok,
            says: says.to_string(),
            advice: None,
        }
    }

    fn warn(what: &str, says: impl Display, advice: impl Display) -> Finding {
        Finding {
            state: State::Warn,
            advice: Some(advice.to_string()),
            ..Finding::ok(what, says)
        }
    }

    fn fail(what: &str, says: impl Display, advice: impl Display) -> Finding {
        Finding {
            state: State::Fail,
            ..Finding::warn(what, says, advice)
        }
    }

    fn line(&self) -> String {
        let advice = self
            .advice
            .as_ref()
            .map_or_else(String::new, |advice| format!(" → {advice}"));
        terminal::harmless(&format!(
            "{:<5} {}: {}{advice}",
            self.state.name(),
            self.what,
            self.says
        ))
    }
}

/// Looks at everything. Returns the exit code.
///
/// # Errors
/// None of what is found: that is said.
pub(super) fn doctor(settings: &Settings, public_url: Option<&str>, form: Form) -> Result<u8, Failed> {
    let public_url = public_url.or(settings.public_url.as_deref());
    let mut findings = Findings { all: Vec::new(), form };
    let folder = &settings.location.folder;
    findings.add(data_folder(folder));
    let mut is_ours = true;
    if folder.is_dir() {
        let permissions = permissions(folder);
        is_ours = permissions.state != State::Warn;
        findings.add(permissions);
        findings.add(disk(folder));
    }
    findings.add(secret(settings));
    findings.add(clock(&settings.location.database));
    findings.add(port(settings));
    if is_ours || lock::peek(settings).is_some() {
        look_inside(settings, public_url, &mut findings);
    } else {
        // SQLite makes files beside the database for whoever looks: the server could not write to these.
        let advice = "run this as that user, or while the server runs";
        findings.add(Finding::warn(
            "database",
            "not looked at, because it is another user's",
            advice,
        ));
    }
    findings.finish()
}

/// What was found so far; for people, each is said as it is found.
struct Findings {
    all: Vec<Finding>,
    form: Form,
}

impl Findings {
    fn add(&mut self, finding: Finding) {
        if self.form == Form::Text {
            terminal::print(&format!("{}\n", finding.line()));
        }
        self.all.push(finding);
    }

    fn finish(self) -> Result<u8, Failed> {
        let is_failed = self.all.iter().any(|finding| finding.state == State::Fail);
        if self.form == Form::Json {
            let all = self.all.iter().map(|finding| {
                json!({
                    "check": finding.what, "state": finding.state.name(), "detail": finding.says, "advice": finding.advice,
                })
            });
            terminal::print(&format!("{}\n", Value::Array(all.collect())));
        }
        Ok(if is_failed { FAILED } else { 0 })
    }
}

fn data_folder(folder: &Path) -> Finding {
    let what = "data folder";
    let name = folder.display();
    match std::fs::metadata(folder) {
        Ok(about) if !about.is_dir() => Finding::fail(what, format!("{name} is no folder"), "name another with --data"),
        Ok(about) if about.permissions().readonly() => Finding::fail(
            what,
            format!("{name} cannot be written to"),
            "change its mode, or name another with --data",
        ),
        Ok(_) => Finding::ok(what, name),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Finding::ok(what, format!("{name} will be made at the first start"))
        }
        Err(error) => Finding::fail(
            what,
            format!("{name}: {error}"),
            "change its mode, or name another with --data",
        ),
    }
}

/// The folder and what stands in it is this user's, and nobody else's to read.
fn permissions(folder: &Path) -> Finding {
    let what = "permissions";
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = std::iter::once(folder.to_owned()).chain(entries.map(|entry| entry.path()));
    let mut seen = 0_u32;
    for path in paths {
        let Ok(privacy) = system::privacy(&path) else {
            continue;
        };
        seen += 1;
        let name = path.display();
        if !privacy.is_ours {
            let advice = format!(
                "run this as that user; or give all to you: chown -R $(id -u) {}",
                folder.display()
            );
            return Finding::warn(what, format!("{name} is another user's"), advice);
        }
        if privacy.is_open {
            return Finding::fail(what, format!("others can read {name}"), format!("chmod go-rwx {name}"));
        }
    }
    Finding::ok(
        what,
        format!("nobody else reads the folder and its {} files", seen.saturating_sub(1)),
    )
}

fn disk(folder: &Path) -> Finding {
    let what = "disk space";
    let Some(free) = system::free_bytes(folder) else {
        return Finding::ok(what, "this system does not say");
    };
    let says = format!("{} MiB free", free / (1024 * 1024));
    let advice = "free some; messages are refused while there is none";
    match free {
        ..FREE_BYTES_MIN => Finding::fail(what, says, advice),
        FREE_BYTES_MIN..FREE_BYTES_ADVISED => Finding::warn(what, says, advice),
        _ => Finding::ok(what, says),
    }
}

fn secret(settings: &Settings) -> Finding {
    let what = "secret";
    let (name, bytes) = match &settings.secrets.jwt_secret {
        Some(secret) => ("JWT_SECRET_KEY".to_owned(), secret.len() as u64),
        None => {
            let path = settings.location.folder.join("secret");
            match std::fs::metadata(&path) {
                Ok(about) => (path.display().to_string(), about.len()),
                Err(_) => return Finding::ok(what, "will be made at the first start"),
            }
        }
    };
    if bytes < SECRET_BYTES_MIN {
        let advice = "use 32 random bytes or more; remove the file to have a new one made (everyone signs in again)";
        return Finding::fail(
            what,
            format!("{name} has only {bytes} bytes: it can be guessed"),
            advice,
        );
    }
    Finding::ok(what, format!("{name}, {bytes} bytes"))
}

fn clock(database: &Path) -> Finding {
    let what = "clock";
    let now = Clock.now();
    let advice = "set it, for instance with timedatectl set-ntp true; sessions and lists go by it";
    if now.seconds() < NOW_S_MIN {
        return Finding::fail(what, format!("it says {}", now.text()), advice);
    }
    let written = std::fs::metadata(database).and_then(|about| about.modified()).ok();
    let written_s = written.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    if written_s.is_some_and(|time| time.as_secs() > now.seconds() + CLOCK_S_TOLERATED) {
        let says = format!("it says {}, and the database was written after that", now.text());
        return Finding::warn(what, says, advice);
    }
    Finding::ok(what, now.text())
}

/// The database, and what a server on it can say. One that would first be brought up to date is left as it is.
fn look_inside(settings: &Settings, public_url: Option<&str>, findings: &mut Findings) {
    let inspected = store::inspect(&settings.location);
    let is_usable =
        matches!(&inspected, Ok(Some(found)) if found.damage.is_none() && found.schema == found.newest_schema);
    findings.add(database(inspected));
    if is_usable {
        ask_server(settings, public_url, findings);
    } else if public_url.is_some() {
        let says = "there is no server to be reached by it";
        findings.add(Finding::fail("public address", says, "start the server first"));
    }
}

fn database(inspected: Result<Option<Inspection>, Error>) -> Finding {
    let what = "database";
    match inspected {
        Ok(None) => Finding::ok(what, "will be made at the first start"),
        Ok(Some(found)) => match found.damage {
            Some(damage) => Finding::fail(what, format!("it is damaged: {damage}"), "restore a backup"),
            None if found.schema < found.newest_schema => Finding::ok(
                what,
                format!(
                    "whole; schema {}, which the next start brings to {}",
                    found.schema, found.newest_schema
                ),
            ),
            None => Finding::ok(what, format!("whole; schema {}", found.schema)),
        },
        Err(error) => Finding::fail(what, error, "see there"),
    }
}

/// The port is free, or it is our own server that has it.
fn port(settings: &Settings) -> Finding {
    let what = "port";
    if let Some(running) = lock::peek(settings) {
        let health = Client::new(&running.local_url, Some(super::health::DEADLINE)).call("GET", "/health");
        return match health {
            Ok(_) => Finding::ok(what, format!("the server answers at {}", running.local_url)),
            Err(failed) => {
                let advice = "it was killed, or hangs: start it again";
                Finding::warn(what, failed.error, advice)
            }
        };
    }
    match TcpListener::bind((settings.host, settings.port)) {
        Ok(_) => Finding::ok(what, format!("{} is free for fireside serve", settings.port)),
        Err(error) => {
            let says = format!("{} cannot be listened on: {error}", settings.port);
            Finding::warn(what, says, "name another with --port, or stop the program that has it")
        }
    }
}

/// What only a server can say: the one that runs, or this process as one.
fn ask_server(settings: &Settings, public_url: Option<&str>, findings: &mut Findings) {
    let opened = Reach::open(settings, &Door::default()).and_then(|mut reach| {
        let me = reach.sign_in(None)?;
        reach.find_models()?;
        Ok((me["role"] == "admin", reach))
    });
    let reach = match opened {
        Ok((true, reach)) => reach,
        Ok((false, _)) => {
            let advice = "make one with fireside user add EMAIL --admin";
            return findings.add(Finding::warn("accounts", "there is no administrator", advice));
        }
        Err(failed) => return findings.add(Finding::fail("server", failed.error, "see there")),
    };
    for finding in providers(&reach) {
        findings.add(finding);
    }
    if reach.is_own() && public_url.is_some() {
        let advice = "start the server, and run this again";
        findings.add(Finding::fail(
            "public address",
            "no server runs on the data folder",
            advice,
        ));
    } else if let Some(url) = public_url {
        for finding in proxy::check(&reach, url) {
            findings.add(finding);
        }
    }
}

/// Each provider is asked for its models, as the server itself does it.
fn providers(reach: &Reach) -> Vec<Finding> {
    let listed = match reach.client().call("GET", "/admin/providers") {
        Ok(listed) => listed,
        Err(failed) => return vec![Finding::fail("providers", failed.error, "see the server's log")],
    };
    let listed = listed.as_array().into_iter().flatten();
    let asked = listed.filter(|provider| provider["is_enabled"] == true);
    let found: Vec<Finding> = asked.map(|provider| ask_provider(reach, provider)).collect();
    if found.is_empty() {
        let advice = "set a key or an address, such as OPENAI_API_KEY, or start Ollama";
        return vec![Finding::warn("providers", "none; only echo and library answer", advice)];
    }
    found
}

fn ask_provider(reach: &Reach, provider: &Value) -> Finding {
    let text = |name: &str| provider[name].as_str().unwrap_or_default().to_owned();
    let what = format!("provider {}", text("name"));
    let since = Instant::now();
    let tested = reach
        .client()
        .call("POST", &format!("/admin/providers/{}/test", text("name")));
    let took_ms = since.elapsed().as_millis();
    match tested {
        Ok(tested) if tested["state"] == "up" => {
            let count = tested["models"].as_array().map_or(0, Vec::len);
            Finding::ok(
                &what,
                format!("{count} models in {took_ms} ms from {}", text("base_url")),
            )
        }
        Ok(tested) => {
            let reason = tested["reason"].as_str().unwrap_or("it does not answer");
            let says = format!("{} is down: {reason}", text("base_url"));
            Finding::fail(&what, says, "check its address and key, and whether it runs")
        }
        Err(failed) => Finding::fail(&what, failed.error, "see the server's log"),
    }
}
