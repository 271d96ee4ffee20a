//! The commands that move data in and out: import, export, backup, restore; their words, and what these mean.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::tasks::{Door, Form, Task};
use super::words::{EXIT_CODES, data, described, door, form, json, read_door, switch};

/// What is to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Into which server, and for whom.
    pub door: Door,
    /// The files.
    pub files: Vec<PathBuf>,
    /// Whether it is only said what would happen.
    pub rehearsal: Rehearsal,
    /// How the outcome is shown.
    pub form: Form,
}

/// Whether anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsal {
    /// It is only said what would happen.
    Yes,
    /// It is done.
    No,
}

/// What is to be exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// From which server, and whose.
    pub door: Door,
    /// Where it goes.
    pub to: ExportTo,
}

/// Where an export goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportTo {
    /// One JSON file; `None`: one that is named by the day. `-` is stdout.
    Json(Option<PathBuf>),
    /// A folder of Markdown.
    Markdown(PathBuf),
}

/// A backup that takes the place of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// The backup.
    pub file: PathBuf,
    /// Whether a database that is there may make room.
    pub present: Present,
}

/// What becomes of a database that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// It stays where it is, and nothing is restored.
    Kept,
    /// It is put aside.
    PutAside,
}

/// All of them.
pub(super) fn commands() -> [Command; 4] {
    described([
        (
            "import",
            "Bring in conversations of other programs, exports of Fireside, and texts for the library",
            import,
        ),
        (
            "export",
            "Write everything an account has into one JSON file, which fireside import takes, or a folder of Markdown",
            export,
        ),
        (
            "backup",
            "Copy the whole database into one file, while the server runs or not",
            backup,
        ),
        (
            "restore",
            "Put a backup in the place of the database, while no server runs",
            restore,
        ),
    ])
}

/// What the words of one of [`commands`] mean; `None` for those of others.
pub(super) fn read(name: &str, words: &ArgMatches) -> Option<Task> {
    let path = |name: &str| words.get_one::<PathBuf>(name).cloned();
    Some(match name {
        "import" => Task::Import(Import {
            door: read_door(words),
            files: words
                .get_many::<PathBuf>("FILE")
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            rehearsal: if words.get_flag("dry-run") {
                Rehearsal::Yes
            } else {
                Rehearsal::No
            },
            form: form(words),
        }),
        "export" => Task::Export(Export {
            door: read_door(words),
            to: path("markdown").map_or_else(|| ExportTo::Json(path("FILE")), ExportTo::Markdown),
        }),
        "backup" => Task::Backup(path("FILE")),
        "restore" => Task::Restore(Restore {
            file: path("FILE")?,
            present: if words.get_flag("replace") {
                Present::PutAside
            } else {
                Present::Kept
            },
        }),
        _ => return None,
    })
}

fn file(help: &'static str) -> Arg {
    Arg::new("FILE").value_parser(value_parser!(PathBuf)).help(help)
}

fn import(command: Command) -> Command {
    let files = file("Exports, archives, texts").required(true).num_args(1..);
    command
        .arg(files)
        .arg(switch("dry-run", "Only say what would happen"))
        .arg(json("Print each file's report as a line of JSON"))
        .args(door())
        .after_help(format!(
            "What a file is, is told by what stands in it:\n  ChatGPT       the zip as it was sent, or conversations*.json in \
             it\n  Claude        the zip, or conversations.json in it\n  Open WebUI    Settings, Chats, Export\n  llama.cpp     \
             the web UI's export\n  llm           its logs.db (llm logs path)\n  Fireside      fireside export\n  texts         \
             plain text, Markdown, a list of books (.json): into the library\n\nThe same file twice changes nothing; one that \
             was exported anew brings what is new. A conversation comes in whole or not at all, and what does not is named \
             with its reason. What was deleted here stays deleted for 30 days; after that nothing of it is left here, and \
             the same export brings it again. Pictures and other files that a zip holds come in with their messages.\n\nA \
             running server takes files of up to its --max-import; without one, this command takes any.\n\nExamples:\n  fireside import --dry-run chatgpt-export.zip\n  fireside import chatgpt-export.zip \
             notes.md\n\n{EXIT_CODES}"
        ))
}

fn export(command: Command) -> Command {
    let markdown = Arg::new("markdown")
        .long("markdown")
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .action(ArgAction::Set)
        .conflicts_with("FILE")
        .help("Write a folder of Markdown instead: for people, nothing reads it back");
    command
        .arg(file("The file to be written, or - for stdout [default: fireside-export-DAY.json here]"))
        .arg(markdown)
        .args(door())
        .after_help(format!(
            "Examples:\n  fireside export\n  fireside export --markdown ~/chats --account ann@example.com\n  fireside export - | gzip \
             > mine.json.gz\n\nA file that is there already is never overwritten.\n\n{EXIT_CODES}"
        ))
}

fn backup(command: Command) -> Command {
    command
        .arg(file("The file to be written [default: fireside-backup-TIME.db here]"))
        .arg(data())
        .after_help(format!(
            "The copy holds all accounts, conversations, uploaded files and settings as they were when it was begun; only its \
             owner can read it, and it is checked before this says that it is done. The secret that signs sessions is not in \
             it: after a restore elsewhere everybody signs in again. fireside serve --backup-every 24h does this by \
             itself.\n\nExamples:\n  fireside backup\n  fireside backup /mnt/usb/fireside.db\n\n{EXIT_CODES}"
        ))
}

fn restore(command: Command) -> Command {
    command
        .arg(file("The backup").required(true))
        .arg(switch(
            "replace",
            "Put a database that is there aside, under a name that says when, instead of refusing",
        ))
        .arg(data())
        .after_help(format!(
            "The backup is checked first, and stays as it is. Nothing is ever deleted.\n\nExamples:\n  fireside restore \
             fireside-backup-2026-11-21T05-17-02Z.db\n  fireside restore --replace backups/fireside-….db\n\n{EXIT_CODES}"
        ))
}
