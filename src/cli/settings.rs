//! The settings with their types, and how each is made of what was given.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;

use super::given::{Environment, Given, unusable};
use super::{models, place};
use crate::auth::Algorithm;
use crate::backups::Schedule;
use crate::error::{Error, Kind};
use crate::http::{Sizes, parse_origin};
use crate::models::{Alias, ApiKey, Discovery, NamedProvider};
use crate::store::{DATABASE_FILE, Location};

/// Seconds of a day.
const DAY_S: u64 = 24 * 60 * 60;

/// Sizes are given in these.
const MIB: u64 = 1024 * 1024;

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
    /// Bytes of a file that is imported.
    pub max_import_bytes: u64,
    /// What all uploaded files of a user may take, in MiB; `None`: as administrators say.
    pub upload_quota_mib: Option<u32>,
    /// Messages a user may send in a day (UTC), 0 for no limit; `None`: as administrators have set it.
    pub messages_per_day: Option<u32>,
    /// US dollars that a user's replies may cost in a month (UTC), 0 for no limit; `None`: as administrators have set it.
    pub budget_usd_month: Option<f64>,
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
    /// Copies of the database that are made by themselves; `None`: there are none.
    pub backups: Option<Schedule>,
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

    /// How large files may be that are sent.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            file_bytes_max: self.max_upload_bytes,
            transfer_bytes_max: self.max_import_bytes,
        }
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
    /// API key that commands reach another server with.
    pub command_key: Option<String>,
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

pub(super) fn read(matches: Option<&ArgMatches>, environment: &Environment) -> Result<Settings, Error> {
    let given = Given { matches, environment };
    let host_name = |text: &str| {
        let is_name = !text.is_empty()
            && text.split('.').all(|label| {
                !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            });
        is_name.then(|| text.to_ascii_lowercase())
    };
    let (public_url, base_path) = place::read(&given)?;
    let location = location(&given)?;
    Ok(Settings {
        backups: backups(&given, &location)?,
        host: given
            .parsed("host", "an IP address", |text| match text {
                "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                _ => text.parse().ok(),
            })?
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        port: given
            .parsed("port", "a port from 0 to 65535", |text| text.parse().ok())?
            .unwrap_or(8000),
        location,
        workers: given
            // One is kept for those who read.
            .parsed("workers", "a number from 2 to 1024", |text| {
                text.parse().ok().filter(|count| (2..=1024).contains(count))
            })?
            .unwrap_or(64),
        max_turns: given.number("max-turns", 1, 256)?,
        max_connections: given.number("max-connections", 1, 10_000)?,
        messages_per_minute: given.parsed("messages-per-minute", "a number", |text| text.parse().ok())?,
        messages_per_day: given.parsed("messages-per-day", "a number", |text| text.parse().ok())?,
        budget_usd_month: given.parsed("budget-usd-month", "a number of US dollars", |text| {
            text.parse().ok().filter(|usd: &f64| usd.is_finite() && *usd >= 0.0)
        })?,
        max_upload_bytes: MIB
            * given
                .parsed("max-upload", "a number from 1 to 1024", |text| {
                    text.parse().ok().filter(|mib| (1..=1024).contains(mib))
                })?
                .unwrap_or(25),
        max_import_bytes: MIB
            * given
                .parsed("max-import", "a number from 1 to 1048576", |text| {
                    text.parse().ok().filter(|mib| (1..=1_048_576).contains(mib))
                })?
                .unwrap_or(250),
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
            command_key: given.text("FIRESIDE_KEY"),
            provider_keys: models::provider_keys(&given),
            openai_base_url: given.text("OPENAI_BASE_URL"),
        },
    })
}

/// When the server copies the database by itself.
fn backups(given: &Given<'_>, location: &Location) -> Result<Option<Schedule>, Error> {
    let what = "a time such as 24h, 30m or 7d, from 1m to 365d, or off";
    let every = given.parsed("backup-every", what, |text| match text {
        "off" => Some(None),
        _ => duration(text).map(Some),
    })?;
    let keep = given.number("backup-keep", 1, 7)?;
    let folder = given.text("backup-dir").map(PathBuf::from);
    Ok(every.flatten().map(|every| Schedule {
        every,
        keep,
        folder: folder.unwrap_or_else(|| location.folder.join("backups")),
    }))
}

/// A number of minutes, hours or days, within a year.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit_s) = match text.char_indices().next_back()? {
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 60 * 60),
        (at, 'd') => (&text[..at], DAY_S),
        _ => return None,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(unit_s)?;
    (60..=365 * DAY_S)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
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

pub(super) fn inside(folder: PathBuf) -> Location {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_measure() {
        for (text, seconds) in [("24h", 86_400), ("30m", 1_800), ("7d", 604_800), ("1m", 60)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "h",
            "24",
            "0m",
            "-1h",
            "1.5h",
            "366d",
            "99999999999999999999d",
            "1w",
            "ü",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
