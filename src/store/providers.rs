//! What administrators have set about models: providers with their keys, names for models, the default.

use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use super::{Read, Tx, violates};
use crate::error::{Error, Kind};

/// Providers that may be stored: each is asked for its models once a minute.
const PROVIDERS_MAX: i64 = 50;

/// Names for models that may be stored: a list that is still read at a glance.
const ALIASES_MAX: usize = 100;

/// Where the names and the default stand in the table of settings.
const SETTING: &str = "models";

/// A stored provider.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredProvider {
    /// The integer id.
    pub id: i64,
    /// What stands before the slash in `provider/model`.
    pub name: String,
    /// `openai` or `anthropic`.
    pub protocol: String,
    /// Where it is.
    pub base_url: String,
    /// Its key, sent there only.
    pub api_key: Option<String>,
    /// Whether it may be asked.
    pub is_enabled: bool,
}

impl std::fmt::Debug for StoredProvider {
    /// Never the key: this may end in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.name, self.base_url)
    }
}

/// A provider to be stored.
#[derive(Clone)]
pub struct NewProvider {
    /// Unique without regard to case.
    pub name: String,
    /// `openai` or `anthropic`.
    pub protocol: String,
    /// Where it is.
    pub base_url: String,
    /// Its key.
    pub api_key: Option<String>,
    /// RFC 3339.
    pub created_at: String,
}

/// What to change about a provider; `None` leaves a field as it is.
#[derive(Clone, Default)]
pub struct ProviderPatch {
    /// Another name.
    pub name: Option<String>,
    /// Another protocol.
    pub protocol: Option<String>,
    /// Another address. The key stays behind unless a new one comes along: it was entered for the old one.
    pub base_url: Option<String>,
    /// Another key; `Some(None)` takes it away.
    pub api_key: Option<Option<String>>,
    /// Whether it may be asked.
    pub is_enabled: Option<bool>,
}

/// Names for models, and the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSettings {
    /// The model that answers when none is named.
    #[serde(default)]
    pub default_model: Option<String>,
    /// Names, and the models that are tried in turn for each.
    #[serde(default)]
    pub aliases: Vec<(String, Vec<String>)>,
}

const COLUMNS: &str = "id, name, protocol, base_url, api_key, is_enabled";

fn map(row: &Row<'_>) -> rusqlite::Result<StoredProvider> {
    Ok(StoredProvider {
        id: row.get(0)?,
        name: row.get(1)?,
        protocol: row.get(2)?,
        base_url: row.get(3)?,
        api_key: row.get(4)?,
        is_enabled: row.get(5)?,
    })
}

fn missing() -> Error {
    Error::new(Kind::NotFound, "Provider not found")
}

fn taken(error: Error) -> Error {
    if violates(&error, "providers.name") {
        Error::new(Kind::Conflict, "There is a provider of this name already")
    } else {
        error
    }
}

/// All stored providers, in the order they were added.
///
/// # Errors
/// Those of the store.
pub fn list_providers(read: &Read<'_>) -> Result<Vec<StoredProvider>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM providers ORDER BY id LIMIT ?1");
    read.all(&sql, [PROVIDERS_MAX], map)
}

/// The stored provider with this id.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn find_provider(read: &Read<'_>, id: i64) -> Result<StoredProvider, Error> {
    let sql = format!("SELECT {COLUMNS} FROM providers WHERE id = ?1");
    read.first(&sql, [id], map)?.ok_or_else(missing)
}

/// Stores a provider; returns its id.
///
/// # Errors
/// [`Kind::Conflict`] when the name is taken, or when there are as many as may be.
pub fn insert_provider(tx: &Tx<'_>, new: &NewProvider) -> Result<i64, Error> {
    let count: i64 = tx
        .first("SELECT count(*) FROM providers", (), |row| row.get(0))?
        .unwrap_or(0);
    if count >= PROVIDERS_MAX {
        let message = format!("There are {PROVIDERS_MAX} providers already; remove one");
        return Err(Error::new(Kind::Conflict, message));
    }
    tx.insert(
        "INSERT INTO providers (name, protocol, base_url, api_key, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![new.name, new.protocol, new.base_url, new.api_key, new.created_at],
    )
    .map_err(taken)
}

/// Changes a provider.
///
/// # Errors
/// [`Kind::NotFound`]; [`Kind::Conflict`] when the name is taken.
pub fn update_provider(tx: &Tx<'_>, id: i64, patch: &ProviderPatch) -> Result<(), Error> {
    let changed = tx
        .execute(
            "UPDATE providers SET name = coalesce(?2, name), protocol = coalesce(?3, protocol),
                 base_url = coalesce(?4, base_url), is_enabled = coalesce(?7, is_enabled),
                 api_key = CASE WHEN ?5 THEN ?6 WHEN coalesce(?4, base_url) = base_url THEN api_key END
             WHERE id = ?1",
            params![
                id,
                patch.name,
                patch.protocol,
                patch.base_url,
                patch.api_key.is_some(),
                patch.api_key.as_ref().and_then(Option::as_deref),
                patch.is_enabled
            ],
        )
        .map_err(taken)?;
    if changed == 0 { Err(missing()) } else { Ok(()) }
}

/// Removes a provider, and its key with it.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn delete_provider(tx: &Tx<'_>, id: i64) -> Result<(), Error> {
    match tx.execute("DELETE FROM providers WHERE id = ?1", [id])? {
        0 => Err(missing()),
        _ => Ok(()),
    }
}

/// Names for models, and the default; none of either if nobody has set any.
///
/// # Errors
/// Those of the store.
pub fn find_model_settings(read: &Read<'_>) -> Result<ModelSettings, Error> {
    let sql = "SELECT value FROM settings WHERE key = ?1";
    let json: Option<String> = read.first(sql, [SETTING], |row| row.get(0))?;
    match json {
        None => Ok(ModelSettings::default()),
        Some(json) => serde_json::from_str(&json)
            .map_err(|error| Error::internal("the stored settings of models cannot be read", error)),
    }
}

/// Stores names for models and the default in place of those there are.
///
/// # Errors
/// [`Kind::Conflict`] when there are more names than may be.
pub fn save_model_settings(tx: &Tx<'_>, settings: &ModelSettings) -> Result<(), Error> {
    if settings.aliases.len() > ALIASES_MAX {
        let message = format!("There are {ALIASES_MAX} aliases already; remove one");
        return Err(Error::new(Kind::Conflict, message));
    }
    let json = serde_json::to_string(settings).map_err(|error| Error::internal("settings are no JSON", error))?;
    tx.execute(
        "INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![SETTING, json],
    )?;
    Ok(())
}
