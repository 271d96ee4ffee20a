//! The words of the commands that speak to a server, and of those about it: their parsers and their help, each beside what
//! its words mean. One file although it is long: an option stands in three places, and these should be seen together.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};

use super::tasks::{Ask, Consent, Door, Form, KeyTask, PasswordFrom, Role, Scope, ServiceTask, Task, UserTask};

pub(super) const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 the words make no sense, 3 no server can be reached, 128 and \
                          the number of the signal that ended it (130 is Ctrl-C).";

/// All of them.
pub(super) fn commands() -> [Command; 8] {
    described([
        (
            "ask",
            "Ask a model and read the reply as it comes; the conversation is there in the web UI, too",
            ask,
        ),
        (
            "user",
            "Accounts: add, list, passwd, disable, enable, limit, delete; with the server running or not",
            user,
        ),
        (
            "key",
            "API keys of an account: create, list, revoke; with the server running or not",
            key,
        ),
        (
            "doctor",
            "Look for what could keep the server from working: a line each, and what to do about it",
            doctor,
        ),
        (
            "service",
            "The server as a systemd service: install, uninstall, status",
            service,
        ),
        (
            "health",
            "Ask whether the server works, for supervisors and containers: a line, and within 2 seconds exit code 0 or 1",
            health,
        ),
        (
            "version",
            "What this program is: its version, commit, SQLite and target",
            version,
        ),
        (
            "completions",
            "Print a script that completes this program's words in a shell",
            completions,
        ),
    ])
}

/// A command's name, what it is about, and what puts its own words together.
pub(super) type Described = (&'static str, &'static str, fn(Command) -> Command);

/// Commands whose words are put together only when they are asked for: most starts are the server's.
pub(super) fn described<const N: usize>(commands: [Described; N]) -> [Command; N] {
    commands.map(|(name, about, words)| Command::new(name).about(about).defer(words))
}

/// What the words of one of [`commands`] mean; `None` for those of others.
pub(super) fn read(name: &str, words: &ArgMatches) -> Option<Task> {
    let text = |name: &str| words.get_one::<String>(name).cloned();
    Some(match name {
        "ask" => Task::Ask(read_ask(words)),
        "user" => Task::User(read_user(words)?),
        "key" => {
            let (_, inner) = words.subcommand()?;
            Task::Key {
                account: inner.get_one::<String>("account").cloned(),
                task: read_key(words)?,
            }
        }
        "doctor" => Task::Doctor {
            public_url: text("public-url"),
            form: form(words),
        },
        "service" => Task::Service(read_service(words)?),
        "health" => Task::Health(text("url")),
        "version" if words.get_flag("licenses") => Task::Licenses,
        "version" => Task::Version(form(words)),
        "completions" => Task::Completions(text("SHELL")?),
        _ => return None,
    })
}

fn value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

pub(super) fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

pub(super) fn data() -> Arg {
    value(
        "data",
        "DIR",
        "Folder of the database [default: as for serve] [env: FIRESIDE_DATA]",
    )
}

fn account() -> Arg {
    value(
        "account",
        "NAME",
        "E-mail address or user name of the account [default: the first administrator, or the only account]",
    )
}

pub(super) fn json(help: &'static str) -> Arg {
    switch("json", help)
}

pub(super) fn form(words: &ArgMatches) -> Form {
    if words.get_flag("json") { Form::Json } else { Form::Text }
}

/// Which server, and as whom: for commands that can ask others than the data folder's.
pub(super) fn door() -> [Arg; 4] {
    [
        data(),
        account(),
        value(
            "url",
            "URL",
            "Another server than the one of the data folder, with an API key [env: FIRESIDE_KEY]",
        )
        .conflicts_with_all(["data", "account"]),
        value(
            "key-file",
            "FILE",
            "File that holds the API key for --url [default: FIRESIDE_KEY]",
        )
        .value_parser(value_parser!(PathBuf))
        .requires("url"),
    ]
}

/// What the words of [`door`] mean.
pub(super) fn read_door(words: &ArgMatches) -> Door {
    Door {
        url: words.get_one::<String>("url").cloned(),
        key_file: words.get_one::<PathBuf>("key-file").cloned(),
        account: words.get_one::<String>("account").cloned(),
    }
}

fn ask(command: Command) -> Command {
    let question = Arg::new("QUESTION")
        .num_args(0..)
        .help("The question; what comes on stdin is put behind it");
    let conversation = value(
        "continue",
        "ID",
        "Go on with a conversation: its id, or \"last\" for the newest",
    )
    .short('c');
    let model = value("model", "MODEL", "Model that answers [default: the server's]").short('m');
    let file = value("file", "FILE", "File to send along; may be given again")
        .short('f')
        .value_parser(value_parser!(PathBuf))
        .action(ArgAction::Append);
    command
        .args([question, conversation, model, file])
        .arg(json(
            "Print events instead of text, as one JSON object a line: start, delta, tool, done, error",
        ))
        .args(door())
        .after_help(format!(
            "Examples:\n  fireside ask \"why is the sky blue?\"\n  cat report.txt | fireside ask -c last \"summarise this\"\n  \
             fireside ask -m gpt-4.1 --file chart.png \"what does this show?\"\n\nWith a server running on the data folder it \
             is asked; without one, this command opens the folder itself. Ctrl-C stops the reply. What the model thinks goes \
             to stderr.\n\n{EXIT_CODES}"
        ))
}

fn read_ask(words: &ArgMatches) -> Ask {
    let question = words.get_many::<String>("QUESTION").into_iter().flatten();
    Ask {
        door: read_door(words),
        question: question.cloned().collect::<Vec<_>>().join(" "),
        conversation: words.get_one::<String>("continue").cloned(),
        model: words.get_one::<String>("model").cloned(),
        files: words
            .get_many::<PathBuf>("file")
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
        form: form(words),
    }
}

fn user(command: Command) -> Command {
    let who = || {
        Arg::new("WHO")
            .required(true)
            .help("E-mail address, user name or id of the account")
    };
    let email = Arg::new("EMAIL").required(true).help("Its e-mail address");
    let stdin = || switch("password-stdin", "Read the password from stdin instead of the terminal");
    let name = value("name", "NAME", "User name [default: the e-mail address]");
    let admin = switch("admin", "The account administers the server; the first one always does");
    let add = Command::new("add")
        .about("Make an account; its password is asked for")
        .args([email, name, admin, stdin()]);
    let list = Command::new("list").about("Show all accounts").arg(json("As JSON"));
    let passwd = Command::new("passwd")
        .about("Give an account a new password; its sessions and API keys end")
        .args([who(), stdin()]);
    let disable = Command::new("disable")
        .about("Keep an account out: its sessions end within a second, its API keys stop working")
        .arg(who());
    let enable = Command::new("enable")
        .about("Let a disabled account in again")
        .arg(who());
    let limit = Command::new("limit")
        .about("Set what an account may send and keep; 0 is no limit, default is what holds for everybody. Beside a limit that \
             the server was started with only a narrower one holds")
        .arg(who())
        .args([
            value("messages-per-day", "N", "Messages from midnight to midnight, UTC"),
            value(
                "budget-usd-month",
                "USD",
                "What its replies may cost in a calendar month, UTC",
            ),
            value(
                "upload-quota-mib",
                "N",
                "What all its uploaded files may take together, in MiB, at least 1",
            ),
        ])
        .group(
            ArgGroup::new("limits")
                .args(["messages-per-day", "budget-usd-month", "upload-quota-mib"])
                .multiple(true)
                .required(true),
        );
    let delete = Command::new("delete")
        .about("Delete an account and everything it holds, for good")
        .args([who(), switch("yes", "Do not ask whether that is meant")]);
    let tasks = [add, list, passwd, disable, enable, limit, delete].map(|task| task.arg(data()));
    command
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(tasks)
        .after_help(format!(
            "Examples:\n  fireside user add ann@example.com --admin\n  echo \"$PASSWORD\" | fireside user passwd \
             ann@example.com --password-stdin\n  fireside user limit ann@example.com --messages-per-day 50\n\nWhoever can read the data folder may do this.\n\n{EXIT_CODES}"
        ))
}

fn read_user(words: &ArgMatches) -> Option<UserTask> {
    let (name, words) = words.subcommand()?;
    let text = |name: &str| words.get_one::<String>(name).cloned();
    let password = || {
        if words.get_flag("password-stdin") {
            PasswordFrom::Stdin
        } else {
            PasswordFrom::Terminal
        }
    };
    Some(match name {
        "add" => UserTask::Add {
            email: text("EMAIL")?,
            username: text("name"),
            role: if words.get_flag("admin") {
                Role::Admin
            } else {
                Role::User
            },
            password: password(),
        },
        "list" => UserTask::List(form(words)),
        "passwd" => UserTask::Passwd {
            who: text("WHO")?,
            password: password(),
        },
        "disable" => UserTask::Disable(text("WHO")?),
        "enable" => UserTask::Enable(text("WHO")?),
        "limit" => UserTask::Limit {
            who: text("WHO")?,
            messages_per_day: text("messages-per-day"),
            budget_usd_month: text("budget-usd-month"),
            upload_quota_mib: text("upload-quota-mib"),
        },
        "delete" => UserTask::Delete {
            who: text("WHO")?,
            consent: if words.get_flag("yes") {
                Consent::Given
            } else {
                Consent::Asked
            },
        },
        _ => return None,
    })
}

fn key(command: Command) -> Command {
    let name = Arg::new("NAME").required(true).help("What the key is for");
    let which = Arg::new("KEY").required(true).help("The key's id, or its name");
    let expires = value(
        "expires",
        "TIME",
        "When it ends, such as 2030-01-01T00:00:00Z [default: never]",
    );
    let budget = value(
        "budget",
        "USD",
        "What its replies may cost in a calendar month [default: no limit]",
    );
    let create = Command::new("create")
        .about("Make a key; it is printed this once")
        .args([name, expires, budget]);
    let list = Command::new("list").about("Show the keys").arg(json("As JSON"));
    let revoke = Command::new("revoke")
        .about("Delete a key; what uses it is cut off within a second")
        .arg(which);
    let tasks = [create, list, revoke].map(|task| task.arg(account()).arg(data()));
    command
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(tasks)
        .after_help(format!(
            "Examples:\n  fireside key create laptop\n  fireside key create bot --account bot@example.com --budget 5\n\nOnly \
             the key goes to stdout.\n\n{EXIT_CODES}"
        ))
}

fn read_key(words: &ArgMatches) -> Option<KeyTask> {
    let (name, words) = words.subcommand()?;
    let text = |name: &str| words.get_one::<String>(name).cloned();
    Some(match name {
        "create" => KeyTask::Create {
            name: text("NAME")?,
            expires_at: text("expires"),
            budget_usd_month: text("budget"),
        },
        "list" => KeyTask::List(form(words)),
        "revoke" => KeyTask::Revoke(text("KEY")?),
        _ => return None,
    })
}

fn doctor(command: Command) -> Command {
    let public_url = value(
        "public-url",
        "URL",
        "Also try the way through a proxy from this address to the server [env: FIRESIDE_PUBLIC_URL]",
    );
    command
        .args([public_url, json("As JSON"), data()])
        .after_help(
            "Looks at the data folder, its permissions and disk, the secret, the clock, the whole database, the port, every \
             provider of models and, with --public-url, at streams, WebSockets and uploads through the proxy. Changes \
             nothing.\n\nExit codes: 0 nothing fails (there may be warnings), 1 something does, 2 the words make no sense.",
        )
}

fn service(command: Command) -> Command {
    let system = || switch("system", "The machine's service instead of your own; needs root");
    let dry_run = switch("dry-run", "Print the unit and do nothing");
    let install = Command::new("install")
        .about("Write a systemd unit, and start the server now and at every start of the machine")
        .args([system(), dry_run]);
    let uninstall = Command::new("uninstall")
        .about("Stop the server and remove the unit; the data stay")
        .args([system(), data()]);
    let status = Command::new("status")
        .about("Say whether the service runs; exit code 0 if so")
        .arg(system());
    command
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([install, uninstall, status])
        .after_help(
            "Examples:\n  fireside service install\n  sudo fireside service install --system\n  fireside service install \
             --dry-run\n\nThe machine's service runs as a user of its own, who can write to nothing but /var/lib/fireside.",
        )
}

fn read_service(words: &ArgMatches) -> Option<ServiceTask> {
    let (name, words) = words.subcommand()?;
    let scope = if words.get_flag("system") {
        Scope::System
    } else {
        Scope::User
    };
    Some(match name {
        "install" if words.get_flag("dry-run") => ServiceTask::Print(scope),
        "install" => ServiceTask::Install(scope),
        "uninstall" => ServiceTask::Uninstall(scope),
        "status" => ServiceTask::Status(scope),
        _ => return None,
    })
}

fn health(command: Command) -> Command {
    let url = value(
        "url",
        "URL",
        "Server to ask [default: the one of the data folder, else the address for serve]",
    );
    command.args([url, data()])
}

fn version(command: Command) -> Command {
    command.arg(json("As JSON")).arg(
        Arg::new("licenses")
            .long("licenses")
            .action(ArgAction::SetTrue)
            .conflicts_with("json")
            .help("What is linked into it, and the texts of the licences"),
    )
}

fn completions(command: Command) -> Command {
    let shell = Arg::new("SHELL")
        .required(true)
        .value_parser(["bash", "zsh", "fish"])
        .help("Whose completions");
    command.arg(shell).after_help(
        "Examples:\n  fireside completions bash > ~/.local/share/bash-completion/completions/fireside\n  \
             fireside completions zsh > \"${fpath[1]}/_fireside\"\n  \
             fireside completions fish > ~/.config/fish/completions/fireside.fish",
    )
}
