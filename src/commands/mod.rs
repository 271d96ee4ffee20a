//! What the program can be told to do: a few lines each over the library, or over HTTP.

mod ask;
mod backup;
mod client;
mod doctor;
mod export;
mod form;
mod health;
mod import;
mod interrupt;
mod key;
mod lock;
mod logger;
mod part;
mod progress;
mod reach;
mod restore;
mod serve;
mod service;
mod terminal;
mod user;
mod version;

use log::LevelFilter;

pub use serve::{serve, start};

use crate::cli::{Settings, Task, completions};
use crate::error::Error;
use crate::system;

/// Why a command failed, and what the process says to whoever started it.
#[derive(Debug)]
pub struct Failed {
    /// What went wrong, for the terminal.
    pub error: Error,
    /// The process's exit code.
    pub code: u8,
}

/// It was done, or refused.
const FAILED: u8 = 1;
/// The words make no sense.
const USAGE: u8 = 2;
/// There is no server to be reached, and none could be made.
const UNREACHABLE: u8 = 3;
/// Ctrl-C, as shells say it.
const INTERRUPTED: u8 = 130;

impl Failed {
    /// The words make no sense.
    pub fn usage(error: Error) -> Failed {
        Failed { error, code: USAGE }
    }

    fn unreachable(error: Error) -> Failed {
        Failed {
            error,
            code: UNREACHABLE,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed { error, code: FAILED }
    }
}

/// Does what was asked for; returns the exit code.
///
/// # Errors
/// A sentence for the terminal, and the exit code that goes with it.
pub fn run(settings: &Settings, task: &Task) -> Result<u8, Failed> {
    system::fail_large_writes();
    // Whoever asks a question does not want to read what a server has to say about its day.
    let _log = logger::start(settings.log.min(LevelFilter::Warn))?;
    // A question has its own end: the reply is stopped, and what came of it stays.
    if !matches!(task, Task::Ask(_)) {
        interrupt::watch()?;
    }
    match task {
        Task::Ask(ask) => ask::ask(settings, ask),
        Task::User(task) => user::user(settings, task).map(|()| 0),
        Task::Key { account, task } => key::key(settings, account.as_deref(), task).map(|()| 0),
        Task::Import(import) => import::import(settings, import),
        Task::Export(export) => export::export(settings, export).map(|()| 0),
        Task::Backup(file) => backup::backup(settings, file.as_deref()).map(|()| 0),
        Task::Restore(restore) => restore::restore(settings, restore).map(|()| 0),
        Task::Health(url) => Ok(health::health(settings, url.as_deref())),
        Task::Doctor { public_url, form } => doctor::doctor(settings, public_url.as_deref(), *form),
        Task::Service(task) => service::service(settings, *task),
        Task::Version(form) => {
            version::version(*form);
            Ok(0)
        }
        Task::Licenses => version::licenses().map(|()| 0),
        Task::Completions(shell) => {
            terminal::print(&completions(shell));
            Ok(0)
        }
    }
}
