//! The table of every setting, and its reading for the README. A list of data: as long as there are settings.

use crate::models::PRESETS;

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
        "messages-per-day",
        "FIRESIDE_MESSAGES_PER_DAY",
        "N",
        "off",
        "Messages a user may send in a day (UTC); 0 is no limit",
    ),
    row(
        "budget-usd-month",
        "FIRESIDE_BUDGET_USD_MONTH",
        "USD",
        "off",
        "US dollars that a user's replies may cost in a month (UTC); 0 is no limit",
    ),
    row(
        "max-upload",
        "FIRESIDE_MAX_UPLOAD",
        "MIB",
        "25",
        "Size of an uploaded file, at most, in MiB",
    ),
    row(
        "max-import",
        "FIRESIDE_MAX_IMPORT",
        "MIB",
        "250",
        "Size of a file that is imported, at most, in MiB; fireside import, while no server runs, takes any",
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
        "backup-every",
        "FIRESIDE_BACKUP_EVERY",
        "TIME",
        "off",
        "Copy the database this often, such as 24h, 30m or 7d",
    ),
    row(
        "backup-keep",
        "FIRESIDE_BACKUP_KEEP",
        "N",
        "7",
        "Copies that are kept of those that --backup-every makes",
    ),
    row(
        "backup-dir",
        "FIRESIDE_BACKUP_DIR",
        "DIR",
        "backups, in the data folder",
        "Folder for the copies of --backup-every; another disk is better",
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
        "FIRESIDE_KEY",
        "KEY",
        "none",
        "API key for commands that ask another server (--url)",
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
