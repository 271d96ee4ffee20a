//! `fireside import FILE…`: each file is sent to the server, which finds out what it is.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::client::Sent;
use super::form::Form;
use super::progress::Progress;
use super::reach::Reach;
use super::{FAILED, Failed, terminal};
use crate::cli::{self, Import, Rehearsal, Settings};
use crate::error::{Error, Kind};

/// Bytes of a report: a thousand items that did not come in.
const REPORT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Items that did not come in that are shown to people.
const SHOWN_MAX: usize = 20;

/// Imports files, each for itself: one that cannot be imported keeps none of the others out. Returns the exit code: not 0
/// when anything failed.
///
/// # Errors
/// That no server can be reached, or nobody signed in.
pub(super) fn import(settings: &Settings, import: &Import) -> Result<u8, Failed> {
    if let Some(missing) = import.files.iter().find(|file| !file.is_file()) {
        let why = if missing.is_dir() {
            "it is a folder; name the archive that it was unpacked from, or the files in it"
        } else {
            "there is no such file"
        };
        let message = format!("{} cannot be read: {why}", missing.display());
        return Err(Failed::usage(Error::new(Kind::Malformed, message)));
    }
    let mut reach = Reach::open(settings, &import.door)?;
    reach.sign_in(import.door.account.as_deref())?;
    let mut code = 0;
    for file in &import.files {
        let name = file.display().to_string();
        match send(&reach, file, import.rehearsal) {
            Ok(report) => {
                if import.form == cli::Form::Json {
                    terminal::print(&format!("{report}\n"));
                } else {
                    show(&name, &report);
                }
                if count_failed(&report) > 0 {
                    code = FAILED;
                }
            }
            // A server that is gone is gone for all.
            Err(failed) if failed.code != FAILED => return Err(failed),
            Err(failed) => {
                let error = explain(failed.error);
                terminal::note(&format!("fireside: {name}: {}", terminal::harmless(error.message())));
                code = FAILED;
            }
        }
    }
    Ok(code)
}

fn send(reach: &Reach, file: &Path, rehearsal: Rehearsal) -> Result<Value, Failed> {
    let form = Form::new().file("file", file)?;
    let path = match rehearsal {
        Rehearsal::Yes => "/import?dry_run=true",
        Rehearsal::No => "/import",
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut report = Vec::new();
    form.send(|sent| {
        let progress = Progress::new(&format!("Importing {name}"), sent.bytes.unwrap_or(0), None);
        let mut body = progress.through(sent.body);
        let sent = Sent {
            media_type: sent.media_type,
            bytes: sent.bytes,
            body: &mut body,
        };
        let answer = reach.client().post(path, "application/json", sent)?;
        let read = answer.take(REPORT_BYTES_MAX).read_to_end(&mut report);
        read.map_err(|error| {
            let message = "The server's report could not be read; import the same again to see what is here";
            Failed::from(Error::new(Kind::Unavailable, message).caused_by(error))
        })
    })?;
    serde_json::from_slice(&report).map_err(|error| {
        let error = Error::new(Kind::Unavailable, "The server answered with what is no report").caused_by(error);
        Failed::unreachable(error)
    })
}

/// What there is to be done about a file that is too large.
fn explain(error: Error) -> Error {
    if error.kind() != Kind::TooLarge {
        return error;
    }
    let message = format!(
        "{}. Start the server with a larger --max-import; or stop it for a while: on its data folder this command takes files \
         of any size",
        error.message()
    );
    Error::new(Kind::TooLarge, message)
}

fn count(report: &Value, kind: &str, what: &str) -> u64 {
    report[kind][what].as_u64().unwrap_or(0)
}

fn count_failed(report: &Value) -> u64 {
    let of = ["conversations", "documents"].map(|kind| count(report, kind, "failed"));
    of.iter().sum()
}

/// What came in to stdout, and why the rest did not to stderr.
fn show(name: &str, report: &Value) {
    let source = report["source"].as_str().unwrap_or_default();
    let would = if report["dry_run"] == true { "would be " } else { "" };
    let mut lines = format!("{name} ({source})\n");
    for kind in ["conversations", "documents", "attachments"] {
        let of = |what| count(report, kind, what);
        let (imported, updated, skipped, failed) = (of("imported"), of("updated"), of("skipped"), of("failed"));
        if imported + updated + skipped + failed == 0 {
            continue;
        }
        lines += &format!("  {kind}: {imported} {would}imported");
        for (number, word) in [(updated, "continued"), (skipped, "skipped"), (failed, "failed")] {
            if number > 0 {
                lines += &format!(", {number} {word}");
            }
        }
        if kind == "conversations" {
            lines += &format!(" ({} new messages)", report["messages"].as_u64().unwrap_or(0));
        }
        lines.push('\n');
    }
    terminal::print(&terminal::harmless(&lines));
    let known = "It is here already";
    let others = report["not_imported"].as_array().into_iter().flatten();
    let others: Vec<&Value> = others.filter(|item| item["reason"] != known).collect();
    for item in others.iter().take(SHOWN_MAX) {
        let field = |name: &str| item[name].as_str().unwrap_or_default();
        let what = [field("title"), field("id")].into_iter().find(|text| !text.is_empty());
        let line = format!("  {} {}: {}", field("kind"), what.unwrap_or("?"), field("reason"));
        terminal::note(&terminal::harmless(&line).replace('\n', " "));
    }
    if others.len() > SHOWN_MAX {
        terminal::note(&format!("  … and {} more; --json shows them", others.len() - SHOWN_MAX));
    }
}
