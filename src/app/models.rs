//! What administrators have stored about models, on its way from the store to the registry.

use std::sync::PoisonError;

use super::App;
use crate::error::Error;
use crate::models::{Alias, ApiKey, Origin, Protocol, ProviderConfig, StoredModels};
use crate::store::{self, Read, StoredProvider};

impl App {
    /// Makes what is stored about models what is asked.
    ///
    /// # Errors
    /// Those of the store.
    pub fn reload_models(&self) -> Result<(), Error> {
        // Of two administrators, the one who reads last has read the other's change too.
        let _one_at_a_time = self.reloading_models.lock().unwrap_or_else(PoisonError::into_inner);
        self.models.store(self.store.read(find)?);
        Ok(())
    }
}

/// What is stored, for the registry.
///
/// # Errors
/// Those of the store.
pub(super) fn find(read: &Read<'_>) -> Result<StoredModels, Error> {
    let (providers, settings) = (store::list_providers(read)?, store::find_model_settings(read)?);
    let alias = |(name, models)| Alias { name, models };
    Ok(StoredModels {
        providers: providers.into_iter().map(provider).collect(),
        aliases: settings.aliases.into_iter().map(alias).collect(),
        default_model: settings.default_model,
    })
}

/// A stored provider as the registry knows it.
fn provider(stored: StoredProvider) -> ProviderConfig {
    ProviderConfig {
        id: Some(stored.id),
        name: stored.name,
        // The table holds no other.
        protocol: Protocol::parse(&stored.protocol).unwrap_or(Protocol::OpenAi),
        base_url: stored.base_url,
        key: stored.api_key.as_deref().and_then(ApiKey::new),
        origin: Origin::Stored,
        is_enabled: stored.is_enabled,
    }
}
