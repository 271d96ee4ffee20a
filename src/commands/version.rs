//! `fireside version`: what this program is, and what is linked into it.

use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::json;

use super::{Failed, terminal};
use crate::cli::Form;
use crate::error::Error;
use crate::store;

/// The crates that are linked and the texts of their licences. A test makes it (`tests/licenses.rs`) and holds it to what
/// cargo says, so that building needs neither cargo's folders nor a program of its own.
const LICENSES: &[u8] = include_bytes!("licenses.txt.gz");

/// The commit that it was built from, where whoever built it has said so.
const COMMIT: Option<&str> = option_env!("FIRESIDE_COMMIT");

/// Prints it.
pub(super) fn version(form: Form) {
    let version = env!("CARGO_PKG_VERSION");
    let sqlite = store::sqlite_version();
    let target = target();
    terminal::print(&match form {
        Form::Json => {
            let facts = json!({ "version": version, "commit": COMMIT, "sqlite": sqlite, "target": target });
            format!("{facts}\n")
        }
        Form::Text => format!(
            "fireside {version}\ncommit   {}\nSQLite   {sqlite}\ntarget   {target}\n",
            COMMIT.unwrap_or("not known")
        ),
    });
}

/// Prints what is linked, and the licences.
pub(super) fn licenses() -> Result<(), Failed> {
    let mut text = String::new();
    let read = GzDecoder::new(LICENSES).read_to_string(&mut text);
    read.map_err(|error| Error::internal("the list of licences is damaged", error))?;
    terminal::print(&text);
    Ok(())
}

/// The machine that it was built for, such as `x86_64-linux-gnu`.
fn target() -> String {
    let abi = match () {
        () if cfg!(target_env = "gnu") => "-gnu",
        () if cfg!(target_env = "musl") => "-musl",
        () if cfg!(target_env = "msvc") => "-msvc",
        () => "",
    };
    format!("{}-{}{abi}", std::env::consts::ARCH, std::env::consts::OS)
}
