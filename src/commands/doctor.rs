//! `fireside doctor`: what could keep the server from working, one line each, and what to do about it.

mod finding;
mod proxy;
mod server;

use std::net::TcpListener;
use std::path::Path;
use std::time::SystemTime;

use super::client::Client;
use super::{Failed, lock};
use crate::cli::{Form, Settings};
use crate::clock::Clock;
use crate::error::Error;
use crate::store::{self, Inspection};
use crate::system;

use finding::{Finding, Findings, State};
use server::ask_server;

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

/// Looks at everything. Returns the exit code.
///
/// # Errors
/// None of what is found: that is said.
pub(super) fn doctor(settings: &Settings, public_url: Option<&str>, form: Form) -> Result<u8, Failed> {
    let public_url = public_url.or(settings.public_url.as_deref());
    let mut findings = Findings::new(form);
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
            Some(damage) => Finding::fail(
                what,
                format!("it is damaged: {damage}"),
                "stop the server and put a backup in its place: fireside restore --replace FILE",
            ),
            None if found.schema < found.newest_schema => Finding::ok(
                what,
                format!(
                    "whole; schema {}, which the next start brings to {}",
                    found.schema, found.newest_schema
                ),
            ),
            None => Finding::ok(what, format!("whole; schema {}", found.schema)),
        },
        Err(error) => {
            let advice = "name another folder with --data, or do what it says";
            Finding::fail(what, error, advice)
        }
    }
}

/// The port is free, or it is our own server that has it.
fn port(settings: &Settings) -> Finding {
    let what = "port";
    if let Some(running) = lock::peek(settings) {
        let health = Client::direct(&running.local_url, Some(super::health::DEADLINE)).call("GET", "/health");
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
