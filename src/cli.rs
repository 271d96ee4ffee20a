//! Every flag, environment variable and default, once: the parser, `--help`, the README's table and the settings
//! themselves are read from [`SETTINGS`].
//!
//! Precedence: flag, environment, `.env`, default. An empty variable counts as unset.

mod given;
mod models;
mod place;
mod settings;
mod table;
mod tasks;
mod transfers;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};
use clap_complete::Shell;

pub use self::given::Environment;
pub use self::settings::{Secrets, Settings, Signup};
pub use self::table::{Many, SETTINGS, Setting, markdown};
pub use self::tasks::{Ask, Consent, Door, Form, KeyTask, PasswordFrom, Role, Scope, ServiceTask, Task, UserTask};
pub use self::transfers::{Export, ExportTo, Import, Present, Rehearsal, Restore};
use crate::error::Error;

/// What the command line asks for.
#[derive(Debug)]
pub enum Order {
    /// Serve, as the flags say.
    Serve(Box<Settings>),
    /// No words at all, or a double click: serve on the next free port, or open what runs already.
    Start(Box<Settings>),
    /// Something that is asked of a server.
    Task(Box<Settings>, Task),
    /// Help or the version was asked for, or the words were wrong: print this.
    Say(clap::Error),
}

/// Reads the command line (without the program's name) and the environment.
///
/// # Errors
/// [`Kind::Malformed`] naming the flag or variable whose value cannot be used.
pub fn parse(args: impl IntoIterator<Item = OsString>, environment: &Environment) -> Result<Order, Error> {
    let words: Vec<_> = std::iter::once(OsString::from("fireside")).chain(args).collect();
    let found = command().try_get_matches_from(&words);
    let matches = match found.or_else(|_| command_and_help().try_get_matches_from(words)) {
        Ok(matches) => matches,
        Err(error) => return Ok(Order::Say(error)),
    };
    environment.refuse_unknown()?;
    match matches.subcommand() {
        Some(("serve", matches)) => Ok(Order::Serve(Box::new(settings::read(Some(matches), environment)?))),
        Some((name, matches))
            if let Some(task) = words::read(name, matches).or_else(|| transfers::read(name, matches)) =>
        {
            Ok(Order::Task(Box::new(of_folder(matches, environment)?), task))
        }
        _ => Ok(Order::Start(Box::new(settings::read(None, environment)?))),
    }
}

/// The settings of commands that take nothing of them but the folder.
fn of_folder(matches: &ArgMatches, environment: &Environment) -> Result<Settings, Error> {
    let mut settings = settings::read(None, environment)?;
    // Commands have commands of their own.
    let inner = matches.subcommand().map_or(matches, |(_, inner)| inner);
    if let Ok(Some(folder)) = inner.try_get_one::<String>("data") {
        settings.location = settings::inside(PathBuf::from(folder));
    }
    Ok(settings)
}

/// The script that completes this program's words in a shell: bash, zsh or fish.
pub fn completions(shell: &str) -> String {
    let mut script = Vec::new();
    let (shell, command) = (shell.parse(), &mut command_and_help());
    clap_complete::generate(shell.unwrap_or(Shell::Bash), command, "fireside", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The settings that can be given on the command line.
fn flags() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| !setting.flag.is_empty())
}

/// All words. What the settings mean is not among them: a start, which has no use for it, would wait for it.
fn command() -> Command {
    let serve = flags().fold(
        Command::new("serve").about("Serve on the address and port given"),
        |command, setting| {
            let arg = Arg::new(setting.flag).long(setting.flag);
            command.arg(if setting.value.is_empty() {
                arg.action(ArgAction::SetTrue)
            } else if setting.many == Many::Yes {
                arg.value_name(setting.value).action(ArgAction::Append)
            } else {
                arg.value_name(setting.value)
            })
        },
    );
    Command::new("fireside")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A chat server for AI models that is one file. Without a command: serve on this machine and open the browser.")
        .subcommand(serve)
        .subcommands(transfers::commands())
        .subcommands(words::commands())
}

/// The same, with what the settings mean.
fn command_and_help() -> Command {
    let variables = SETTINGS.iter().filter(|setting| setting.flag.is_empty()).fold(
        String::from("Variables without a flag:\n"),
        |mut text, setting| {
            text += &format!(
                "  {:<26}{} [default: {}]\n",
                setting.variable, setting.help, setting.default
            );
            text
        },
    );
    let tell = |command: Command, setting: &Setting| {
        let help = format!(
            "{} [default: {}] [env: {}]",
            setting.help, setting.default, setting.variable
        );
        command.mut_arg(setting.flag, |arg| arg.help(help))
    };
    command().mut_subcommands(|command| match command.get_name() {
        "serve" => flags().fold(command, tell).after_help(&variables),
        _ => command,
    })
}
