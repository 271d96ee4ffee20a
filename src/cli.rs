//! Every flag, environment variable and default, once: the parser, `--help`, the README's table and the settings
//! themselves are read from [`SETTINGS`].
//!
//! Precedence: flag, environment, `.env`, default. An empty variable counts as unset.

mod models;

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::auth::Algorithm;
use crate::error::{Error, Kind};
use crate::http::parse_origin;
use crate::models::{Alias, ApiKey, Discovery, NamedProvider, PRESETS};
use crate::store::{DATABASE_FILE, Location};

/// Sizes are given in these.
const MIB: u64 = 1024 * 1024;

/// One setting: how it is given and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// `--flag`; empty when there is only a variable (secrets do not belong on a command line, where others see them).
    pub flag: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// What stands for the value in help; empty for a switch.
    pub value: &'static str,
    /// The default, in words.
    pub default: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// How often it may be given. A variable holds several values with commas between them.
    pub many: Many,
}

/// Whether a setting holds one value or a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Many {
    /// One value.
    No,
    /// A list.
    Yes,
}

const fn row(
    flag: &'static str,
    variable: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        flag,
        variable,
        value,
        default,
        help,
        many: Many::No,
    }
}

const fn list(setting: Setting) -> Setting {
    Setting {
        many: Many::Yes,
        ..setting
    }
}

/// The table: what is ours, and a key for each provider that asks for one.
pub const SETTINGS: &[Setting] = &{
    let mut table = [OWN[0]; OWN.len() + KEYS];
    let mut at = 0;
    while at < OWN.len() {
        table[at] = OWN[at];
        at += 1;
    }
    let mut preset = 0;
    while preset < PRESETS.len() {
        if let Some(key) = PRESETS[preset].key {
            table[at] = row("", key.variable, "KEY", "none", key.help);
            at += 1;
        }
        preset += 1;
    }
    table
};

/// How many providers ask for a key.
const KEYS: usize = {
    let (mut keys, mut preset) = (0, 0);
    while preset < PRESETS.len() {
        if PRESETS[preset].key.is_some() {
            keys += 1;
        }
        preset += 1;
    }
    keys
};

/// Every row but the keys of known providers.
const OWN: &[Setting] = &[
    row(
        "host",
        "FIRESIDE_HOST",
        "ADDRESS",
        "127.0.0.1",
        "Address to listen on; 0.0.0.0 is every network",
    ),
    row(
        "port",
        "FIRESIDE_PORT",
        "PORT",
        "8000",
        "Port to listen on; 0 lets the system choose",
    ),
    row(
        "data",
        "FIRESIDE_DATA",
        "DIR",
        "the platform's data folder",
        "Folder of the database, the secret and the lock",
    ),
    row(
        "workers",
        "FIRESIDE_WORKERS",
        "N",
        "64",
        "Requests handled at the same time, at least 2",
    ),
    row(
        "max-turns",
        "FIRESIDE_MAX_TURNS",
        "N",
        "256",
        "Replies being written at the same time; more are told to come back",
    ),
    row(
        "max-connections",
        "FIRESIDE_MAX_CONNECTIONS",
        "N",
        "10000",
        "Open connections; beyond it the longest idle one makes room",
    ),
    row(
        "messages-per-minute",
        "FIRESIDE_MESSAGES_PER_MINUTE",
        "N",
        "off when local, else 60",
        "Messages a user may send in a minute; 0 is no limit",
    ),
    row(
        "max-upload",
        "FIRESIDE_MAX_UPLOAD",
        "MIB",
        "25",
        "Size of an uploaded file, at most, in MiB",
    ),
    row(
        "upload-quota",
        "FIRESIDE_UPLOAD_QUOTA",
        "MIB",
        "1024",
        "What all uploaded files of a user may take together, in MiB",
    ),
    row(
        "default-model",
        "FIRESIDE_DEFAULT_MODEL",
        "MODEL",
        "the first configured, else echo",
        "Model that answers when none is named",
    ),
    list(row(
        "provider",
        "FIRESIDE_PROVIDER",
        "NAME=URL",
        "none",
        "Further server of models; anthropic+URL if it speaks Anthropic's protocol, a known name alone (ollama, vllm) for \
         its usual address; may be given again",
    )),
    list(row(
        "alias",
        "FIRESIDE_ALIAS",
        "NAME=MODEL,…",
        "fast, balanced, smart",
        "Name for a model (provider/id), or for several that are tried in turn; may be given again",
    )),
    row(
        "no-discovery",
        "FIRESIDE_NO_DISCOVERY",
        "",
        "off",
        "Do not look for Ollama, llama.cpp and LM Studio on this machine",
    ),
    row(
        "context-messages",
        "FIRESIDE_CONTEXT_MESSAGES",
        "N",
        "100",
        "Earlier messages a model is given, at most",
    ),
    list(row(
        "trusted-proxy",
        "FIRESIDE_TRUSTED_PROXY",
        "ADDRESS",
        "none",
        "Proxy whose X-Forwarded-For is believed; may be given again",
    )),
    row(
        "signup",
        "FIRESIDE_SIGNUP",
        "open|closed",
        "open when local, else closed",
        "Whether visitors may make an account",
    ),
    list(row(
        "allowed-host",
        "FIRESIDE_ALLOWED_HOST",
        "NAME",
        "none",
        "Further host name to answer to; may be given again",
    )),
    list(row(
        "cors-origin",
        "FIRESIDE_CORS_ORIGIN",
        "ORIGIN",
        "none",
        "Other site whose pages may use the API, such as http://localhost:3000; * is every site; may be given again",
    )),
    row(
        "public-url",
        "FIRESIDE_PUBLIC_URL",
        "URL",
        "none",
        "Address that people open, when a proxy stands in front",
    ),
    row(
        "base-path",
        "FIRESIDE_BASE_PATH",
        "PATH",
        "that of --public-url",
        "Path that people find the server below, such as /fire; the proxy in front may pass it on or take it off",
    ),
    row(
        "log",
        "FIRESIDE_LOG",
        "LEVEL",
        "info",
        "error, warn, info (a line per request), debug, trace or off",
    ),
    row(
        "open",
        "FIRESIDE_OPEN",
        "",
        "off",
        "Open the browser once the server is ready",
    ),
    row(
        "assets",
        "FIRESIDE_ASSETS",
        "DIR",
        "built in",
        "Serve the web UI from this folder, while working on it",
    ),
    row(
        "pricing",
        "FIRESIDE_PRICING",
        "FILE",
        "built in",
        "Prices of models, in the form of examples/pricing_data.json",
    ),
    row(
        "",
        "DATABASE_URL",
        "URL",
        "none",
        "sqlite:///PATH names the database file; --data wins over it",
    ),
    row(
        "",
        "JWT_SECRET_KEY",
        "TEXT",
        "random, kept in the data folder",
        "Secret that tokens are signed with",
    ),
    row("", "JWT_ALGORITHM", "NAME", "HS256", "HS256, HS384 or HS512"),
    row("", "JWT_ACCESS_TOKEN_MINUTES", "N", "1440", "How long a token lasts"),
    row(
        "",
        "BETTER_AUTH_SECRET",
        "TEXT",
        "none",
        "Accept HS256 tokens of another system that are signed with this secret",
    ),
    row(
        "",
        "FIRESIDE_PROVIDER_<NAME>_KEY",
        "KEY",
        "none",
        "Key of the --provider of this name, in capitals and with _ for what is no letter or digit",
    ),
    row(
        "",
        "OPENAI_BASE_URL",
        "URL",
        "https://api.openai.com/v1",
        "Any OpenAI-compatible server (Ollama: http://127.0.0.1:11434/v1)",
    ),
];

/// Everything that can be set, with its types.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0: any.
    pub port: u16,
    /// Where the database stands.
    pub location: Location,
    /// Requests handled at the same time.
    pub workers: usize,
    /// Replies being written at the same time.
    pub max_turns: usize,
    /// Open connections.
    pub max_connections: usize,
    /// `None`: off when local, else 60. `Some(0)`: off.
    pub messages_per_minute: Option<u32>,
    /// Bytes of an uploaded file.
    pub max_upload_bytes: u64,
    /// What all uploaded files of a user may take, in MiB; `None`: as administrators say.
    pub upload_quota_mib: Option<u32>,
    /// Model that answers when none is named.
    pub default_model: Option<String>,
    /// Further servers of models, in order of preference.
    pub providers: Vec<NamedProvider>,
    /// Names for models.
    pub aliases: Vec<Alias>,
    /// Whether servers on this machine are looked for.
    pub discovery: Discovery,
    /// Earlier messages a model is given, at most.
    pub context_messages: usize,
    /// Proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// `None`: open when local, else closed.
    pub signup: Option<Signup>,
    /// Further names to answer to.
    pub allowed_hosts: Vec<String>,
    /// Other sites whose pages may use the API; `*` for all.
    pub cors_origins: Vec<String>,
    /// Address that people open, without a slash at its end.
    pub public_url: Option<String>,
    /// Path that the server stands below, without a slash at its end: empty at the root.
    pub base_path: String,
    /// How much is logged.
    pub log: log::LevelFilter,
    /// Open the browser once ready.
    pub open: bool,
    /// The UI's files, instead of those built in.
    pub assets: Option<PathBuf>,
    /// The table of prices, instead of the one built in.
    pub pricing: Option<PathBuf>,
    /// Secrets and providers, from variables only.
    pub secrets: Secrets,
}

impl Settings {
    /// Temporary files: of uploads, of slow clients, and of what is made for a download.
    pub fn spool(&self) -> PathBuf {
        self.location.folder.join("tmp")
    }
}

/// What only variables hold.
#[derive(Clone)]
pub struct Secrets {
    /// Secret of our tokens.
    pub jwt_secret: Option<String>,
    /// Their algorithm.
    pub jwt_algorithm: Algorithm,
    /// How long they last, in minutes.
    pub token_minutes: u32,
    /// Secret of another system's tokens.
    pub external_secret: Option<String>,
    /// Keys of providers that are known beforehand, by their names.
    pub provider_keys: Vec<(String, ApiKey)>,
    /// Another address for OpenAI's.
    pub openai_base_url: Option<String>,
}

impl std::fmt::Debug for Secrets {
    /// Never the secrets: this may end in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets { … }")
    }
}

/// Whether visitors may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signup {
    /// They may.
    Open,
    /// They may not.
    Closed,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Order {
    /// Serve, as the flags say.
    Serve(Box<Settings>),
    /// No words at all, or a double click: serve on the next free port, or open what runs already.
    Start(Box<Settings>),
    /// Add files to a library.
    Import(Box<Settings>, Import),
    /// Help or the version was asked for, or the words were wrong: print this.
    Say(clap::Error),
}

/// What is to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The files.
    pub files: Vec<PathBuf>,
    /// The e-mail address, user name or foreign id of the account; the only one if absent.
    pub account: Option<String>,
}

/// Variables of the process and, behind them, those of `.env`.
pub struct Environment {
    process: HashMap<String, String>,
    file: HashMap<String, String>,
}

impl Environment {
    /// The process's variables, and `.env` in the working directory.
    ///
    /// # Errors
    /// [`Kind::Malformed`] naming the line of `.env` that cannot be read.
    pub fn load() -> Result<Environment, Error> {
        let mut process = HashMap::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => drop(process.insert(name, value)),
                Err(_) if SETTINGS.iter().any(|setting| setting.variable == name) => {
                    return Err(Error::new(Kind::Malformed, format!("{name} is not UTF-8")));
                }
                Err(_) => {}
            }
        }
        // Of this folder only: a file of the folders above it belongs to something else.
        let text = match std::fs::read_to_string(".env") {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::new(Kind::Malformed, ".env cannot be read").caused_by(error)),
        };
        let mut file = HashMap::new();
        for line in dotenvy::from_read_iter(text.as_bytes()) {
            // dotenvy's own words would show the line, and with it perhaps a key.
            let (name, value) = line.map_err(|error| {
                let at = match &error {
                    dotenvy::Error::LineParse(line, _) => text.lines().position(|whole| whole.contains(line.trim())),
                    _ => None,
                };
                let place = at.map_or_else(String::new, |at| format!(": line {} is malformed", at + 1));
                Error::new(Kind::Malformed, format!(".env cannot be read{place}"))
            })?;
            file.insert(name, value);
        }
        Ok(Environment { process, file })
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut values = [&self.process, &self.file].into_iter().filter_map(|map| map.get(name));
        values.find(|value| !value.is_empty()).map(String::as_str)
    }

    /// The variables of keys of providers that were given names.
    fn provider_keys(&self) -> impl Iterator<Item = &str> {
        let names = self.process.iter().chain(&self.file);
        let names = names.filter(|(name, value)| models::is_provider_key(name) && !value.is_empty());
        names.map(|(name, _)| name.as_str())
    }

    /// A misspelt variable would silently do nothing.
    fn refuse_unknown(&self) -> Result<(), Error> {
        let known =
            |name: &str| SETTINGS.iter().any(|setting| setting.variable == name) || models::is_provider_key(name);
        let mut set = self
            .process
            .iter()
            .chain(&self.file)
            .filter(|(_, value)| !value.is_empty());
        match set.find(|(name, _)| name.starts_with("FIRESIDE_") && !known(name)) {
            Some((name, _)) => Err(Error::new(
                Kind::Malformed,
                format!("There is no setting {name}; see fireside serve --help"),
            )),
            None => Ok(()),
        }
    }
}

/// Reads the command line (without the program's name) and the environment.
///
/// # Errors
/// [`Kind::Malformed`] naming the flag or variable whose value cannot be used.
pub fn parse(args: impl IntoIterator<Item = OsString>, environment: &Environment) -> Result<Order, Error> {
    let words = std::iter::once(OsString::from("fireside")).chain(args);
    let matches = match command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => return Ok(Order::Say(error)),
    };
    environment.refuse_unknown()?;
    match matches.subcommand() {
        Some(("serve", matches)) => Ok(Order::Serve(Box::new(settings(Some(matches), environment)?))),
        Some(("import", matches)) => {
            let mut settings = settings(None, environment)?;
            if let Some(folder) = matches.get_one::<String>("data") {
                settings.location = inside(PathBuf::from(folder));
            }
            let files = matches.get_many::<PathBuf>("FILE").into_iter().flatten();
            let import = Import {
                files: files.cloned().collect(),
                account: matches.get_one::<String>("account").cloned(),
            };
            Ok(Order::Import(Box::new(settings), import))
        }
        _ => Ok(Order::Start(Box::new(settings(None, environment)?))),
    }
}

fn command() -> Command {
    let serve = SETTINGS.iter().filter(|setting| !setting.flag.is_empty()).fold(
        Command::new("serve").about("Serve on the address and port given"),
        |command, setting| {
            let help = format!(
                "{} [default: {}] [env: {}]",
                setting.help, setting.default, setting.variable
            );
            let arg = Arg::new(setting.flag).long(setting.flag).help(help);
            command.arg(if setting.value.is_empty() {
                arg.action(ArgAction::SetTrue)
            } else if setting.many == Many::Yes {
                arg.value_name(setting.value).action(ArgAction::Append)
            } else {
                arg.value_name(setting.value)
            })
        },
    );
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
    Command::new("fireside")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A chat server for AI models that is one file. Without a command: serve on this machine and open the browser.")
        .subcommand(serve.after_help(variables))
        .subcommand(import_command())
}

fn import_command() -> Command {
    let file = Arg::new("FILE")
        .required(true)
        .num_args(1..)
        .value_parser(clap::value_parser!(PathBuf))
        .help("Plain text, Markdown, or a list of books (.json)");
    let account = Arg::new("account")
        .long("account")
        .value_name("NAME")
        .help("E-mail address or user name of the account [default: the only one]");
    let data = Arg::new("data")
        .long("data")
        .value_name("DIR")
        .help("Folder of the database [default: as for serve] [env: FIRESIDE_DATA]");
    Command::new("import")
        .about("Add files to an account's library, while no server runs on the folder")
        .args([file, account, data])
}

/// Values as they were given, by flag or variable.
struct Given<'g> {
    matches: Option<&'g ArgMatches>,
    environment: &'g Environment,
}

impl Given<'_> {
    /// The values of a setting, and what they were given by.
    fn values(&self, name: &str) -> (String, Vec<String>) {
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.flag == name || setting.variable == name);
        let Some(setting) = setting else {
            return (name.to_owned(), Vec::new());
        };
        if !setting.flag.is_empty()
            && let Some(matches) = self.matches
        {
            let flag = format!("--{}", setting.flag);
            if setting.value.is_empty() {
                if matches.get_flag(setting.flag) {
                    return (flag, vec!["true".to_owned()]);
                }
            } else if let Some(values) = matches.get_many::<String>(setting.flag) {
                return (flag, values.cloned().collect());
            }
        }
        let values = match (self.environment.get(setting.variable), setting.many) {
            (None, _) => Vec::new(),
            (Some(value), Many::No) => vec![value.to_owned()],
            (Some(value), Many::Yes) => value.split(',').map(|part| part.trim().to_owned()).collect(),
        };
        (setting.variable.to_owned(), values)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.values(name).1.pop()
    }

    /// A value made of the text, or an error that names both.
    fn parsed<T>(&self, name: &str, what: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Error> {
        let (source, mut values) = self.values(name);
        values
            .pop()
            .map(|value| parse(&value).ok_or_else(|| unusable(&source, &value, what)))
            .transpose()
    }

    fn switch(&self, name: &str) -> Result<bool, Error> {
        let parse = |text: &str| match text {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        };
        Ok(self.parsed(name, "true or false", parse)?.unwrap_or(false))
    }

    fn number<T: FromStr + PartialOrd + std::fmt::Display>(&self, name: &str, min: T, default: T) -> Result<T, Error> {
        let parse = |text: &str| text.parse().ok().filter(|number| *number >= min);
        let what = format!("a number from {min}");
        Ok(self.parsed(name, &what, parse)?.unwrap_or(default))
    }

    fn all<T>(&self, name: &str, what: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Error> {
        let (source, values) = self.values(name);
        values
            .iter()
            .map(|value| parse(value).ok_or_else(|| unusable(&source, value, what)))
            .collect()
    }
}

fn unusable(source: &str, value: &str, what: &str) -> Error {
    Error::new(Kind::Malformed, format!("{source}: {value:?} is not {what}"))
}

fn settings(matches: Option<&ArgMatches>, environment: &Environment) -> Result<Settings, Error> {
    let given = Given { matches, environment };
    let host_name = |text: &str| {
        let is_name = !text.is_empty()
            && text.split('.').all(|label| {
                !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            });
        is_name.then(|| text.to_ascii_lowercase())
    };
    let (public_url, base_path) = place(&given)?;
    Ok(Settings {
        host: given
            .parsed("host", "an IP address", |text| match text {
                "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                _ => text.parse().ok(),
            })?
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        port: given
            .parsed("port", "a port from 0 to 65535", |text| text.parse().ok())?
            .unwrap_or(8000),
        location: location(&given)?,
        workers: given
            // One is kept for those who read.
            .parsed("workers", "a number from 2 to 1024", |text| {
                text.parse().ok().filter(|count| (2..=1024).contains(count))
            })?
            .unwrap_or(64),
        max_turns: given.number("max-turns", 1, 256)?,
        max_connections: given.number("max-connections", 1, 10_000)?,
        messages_per_minute: given.parsed("messages-per-minute", "a number", |text| text.parse().ok())?,
        max_upload_bytes: MIB
            * given
                .parsed("max-upload", "a number from 1 to 1024", |text| {
                    text.parse().ok().filter(|mib| (1..=1024).contains(mib))
                })?
                .unwrap_or(25),
        upload_quota_mib: given.parsed("upload-quota", "a number, at least 1", |text| {
            text.parse().ok().filter(|mib| *mib >= 1)
        })?,
        default_model: given.text("default-model"),
        providers: models::providers(&given)?,
        aliases: models::aliases(&given)?,
        discovery: if given.switch("no-discovery")? {
            Discovery::Off
        } else {
            Discovery::On
        },
        context_messages: given.number("context-messages", 1, 100)?,
        trusted_proxies: given.all("trusted-proxy", "an IP address", |text| text.parse().ok())?,
        signup: given.parsed("signup", "open or closed", |text| match text {
            "open" => Some(Signup::Open),
            "closed" => Some(Signup::Closed),
            _ => None,
        })?,
        allowed_hosts: given.all("allowed-host", "a host name", host_name)?,
        cors_origins: given.all(
            "cors-origin",
            "* or an origin such as https://app.example.com",
            |text| {
                if text == "*" {
                    Some(text.to_owned())
                } else {
                    parse_origin(text)
                }
            },
        )?,
        public_url,
        base_path,
        log: given
            .parsed("log", "error, warn, info, debug, trace or off", |text| {
                text.parse().ok()
            })?
            .unwrap_or(log::LevelFilter::Info),
        open: given.switch("open")?,
        assets: given.parsed("assets", "a folder", |text| {
            Some(PathBuf::from(text)).filter(|path| path.is_dir())
        })?,
        pricing: given.text("pricing").map(PathBuf::from),
        secrets: Secrets {
            jwt_secret: given.text("JWT_SECRET_KEY"),
            jwt_algorithm: given
                .parsed("JWT_ALGORITHM", "HS256, HS384 or HS512", |text| text.parse().ok())?
                .unwrap_or(Algorithm::Hs256),
            token_minutes: given.number("JWT_ACCESS_TOKEN_MINUTES", 1, 1440)?,
            external_secret: given.text("BETTER_AUTH_SECRET"),
            provider_keys: models::provider_keys(&given),
            openai_base_url: given.text("OPENAI_BASE_URL"),
        },
    })
}

/// Where people find the server: the address they open, if it is another than the socket's, and the path in it.
fn place(given: &Given<'_>) -> Result<(Option<String>, String), Error> {
    let url = given.parsed("public-url", "a URL such as https://chat.example.com", |text| {
        let (scheme, rest) = text.split_once("://")?;
        let host = rest.split('/').next()?;
        let is_url = matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains('@');
        is_url.then(|| text.trim_end_matches('/').to_owned())
    })?;
    let path = given.parsed("base-path", "a path such as /fire", base_path)?;
    let own = |url: &str| url.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
    match path {
        // An address without a path is where the proxy is; with one, it says all there is to say.
        Some(path) => {
            let whole = |url: String| if own(&url).is_empty() { url + &path } else { url };
            Ok((url.map(whole), path))
        }
        None => {
            let path = url.as_deref().and_then(|url| base_path(&own(url)));
            Ok((url, path.unwrap_or_default()))
        }
    }
}

/// A path as it is taken off requests and put into cookies: `/fire`, whether or not it was given with slashes around it.
fn base_path(text: &str) -> Option<String> {
    let path = text.trim_matches('/');
    let is_plain = |part: &str| {
        let mut chars = part.chars();
        !matches!(part, "" | "." | "..") && chars.all(|char| char.is_ascii_alphanumeric() || "-._~".contains(char))
    };
    match path {
        "" => Some(String::new()),
        path => path.split('/').all(is_plain).then(|| format!("/{path}")),
    }
}

/// `--data` names the folder; else `DATABASE_URL` names the file; else it is the platform's data folder.
fn location(given: &Given<'_>) -> Result<Location, Error> {
    if let Some(folder) = given.text("data") {
        return Ok(inside(PathBuf::from(folder)));
    }
    if let Some(url) = given.text("DATABASE_URL") {
        let database = database_file(&url)?;
        let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or_else(|| PathBuf::from("."), PathBuf::from);
        return Ok(Location { database, folder });
    }
    let folders = directories::ProjectDirs::from("", "", "fireside").ok_or_else(|| {
        Error::new(
            Kind::Malformed,
            "There is no home folder to keep data in; name a folder with --data",
        )
    })?;
    Ok(inside(folders.data_dir().to_owned()))
}

fn inside(folder: PathBuf) -> Location {
    Location {
        database: folder.join(DATABASE_FILE),
        folder,
    }
}

/// `sqlite:///relative.db`, `sqlite:////absolute.db`; a driver after a `+` is nothing to us.
fn database_file(url: &str) -> Result<PathBuf, Error> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    if scheme.split('+').next() != Some("sqlite") {
        // Only the scheme is named: the rest may hold a password.
        let message = format!("DATABASE_URL: {scheme} databases are not supported, only sqlite:///PATH");
        return Err(Error::new(Kind::Malformed, message));
    }
    let path = rest
        .strip_prefix("///")
        .map(|path| path.split('?').next().unwrap_or(path));
    match path {
        Some(path) if !path.is_empty() && path != ":memory:" => Ok(PathBuf::from(path)),
        _ => Err(unusable("DATABASE_URL", url, "sqlite:///PATH with the path of a file")),
    }
}

/// The table of settings for the README.
pub fn markdown() -> String {
    let mut text = String::from("| flag | variable | default | meaning |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        let flag = match (setting.flag, setting.value) {
            ("", _) => "–".to_owned(),
            (flag, "") => format!("`--{flag}`"),
            (flag, value) => format!("`--{flag} {}`", value.replace('|', "\\|")),
        };
        text += &format!(
            "| {flag} | `{}` | {} | {} |
",
            setting.variable, setting.default, setting.help
        );
    }
    text
}
