//! `fireside version`: what this program is.

use serde_json::json;

use super::terminal;
use crate::cli::Form;
use crate::store;

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
