//! Providers and names for models: what is unique, what a change of address does to the key, how many there may be.

use super::super::{
    ModelSettings, NewProvider, ProviderPatch, StoredProvider, delete_provider, find_model_settings, find_provider,
    insert_provider, list_providers, save_model_settings, update_provider,
};
use super::*;

const KEY: &str = "sk-canary";

fn new_provider(name: &str) -> NewProvider {
    NewProvider {
        name: name.into(),
        protocol: "openai".into(),
        base_url: "http://10.0.0.7/v1".into(),
        api_key: Some(KEY.into()),
        created_at: at(0),
    }
}

impl Rig {
    fn add_provider(&self, name: &str) -> Result<i64, Error> {
        let new = new_provider(name);
        self.write(move |tx| insert_provider(tx, &new))
    }

    fn patch_provider(&self, id: i64, patch: ProviderPatch) -> Result<StoredProvider, Error> {
        self.write(move |tx| update_provider(tx, id, &patch))?;
        self.read(|read| find_provider(read, id))
    }
}

#[test]
fn a_provider_is_kept_until_it_is_removed() {
    let rig = Rig::new();
    let id = rig.add_provider("box").unwrap();
    let other = rig.add_provider("other").unwrap();
    let found = rig.read(list_providers).unwrap();
    assert_eq!(
        found.iter().map(|provider| provider.id).collect::<Vec<_>>(),
        [id, other]
    );
    assert_eq!(found[0].api_key.as_deref(), Some(KEY));
    assert!(found[0].is_enabled);
    assert!(!format!("{found:?}").contains(KEY));
    check_kind(rig.add_provider("BOX"), Kind::Conflict);
    let rename = ProviderPatch {
        name: Some("Other".into()),
        ..ProviderPatch::default()
    };
    check_kind(rig.patch_provider(id, rename), Kind::Conflict);
    rig.write(move |tx| delete_provider(tx, id)).unwrap();
    check_kind(rig.write(move |tx| delete_provider(tx, id)), Kind::NotFound);
    check_kind(rig.patch_provider(id, ProviderPatch::default()), Kind::NotFound);
    check_kind(rig.read(|read| find_provider(read, id)), Kind::NotFound);
    // Not its own id again: whoever holds it must not change another one.
    assert!(rig.add_provider("box").unwrap() > other);
}

/// A key goes nowhere but to the address it was entered for.
#[test]
fn another_address_has_no_key() {
    let rig = Rig::new();
    let id = rig.add_provider("box").unwrap();
    let key = |patch| rig.patch_provider(id, patch).unwrap().api_key;
    let moved = |base_url: &str, api_key: Option<Option<&str>>| ProviderPatch {
        base_url: Some(base_url.into()),
        api_key: api_key.map(|key| key.map(Into::into)),
        ..ProviderPatch::default()
    };
    let off = ProviderPatch {
        is_enabled: Some(false),
        protocol: Some("anthropic".into()),
        name: Some("bax".into()),
        ..ProviderPatch::default()
    };
    assert_eq!(key(off).as_deref(), Some(KEY));
    assert_eq!(key(moved("http://10.0.0.7/v1", None)).as_deref(), Some(KEY));
    assert_eq!(
        key(moved("http://10.0.0.8/v1", Some(Some("new")))).as_deref(),
        Some("new")
    );
    assert_eq!(key(moved("http://10.0.0.9/v1", None)), None);
    assert_eq!(key(moved("http://10.0.0.8/v1", None)), None, "it does not come back");
    assert_eq!(
        key(moved("http://10.0.0.8/v1", Some(Some("new")))).as_deref(),
        Some("new")
    );
    assert_eq!(key(moved("http://10.0.0.8/v1", Some(None))), None);
    let found = rig.read(|read| find_provider(read, id)).unwrap();
    assert_eq!((found.name.as_str(), found.protocol.as_str()), ("bax", "anthropic"));
    assert!(!found.is_enabled);
}

#[test]
fn there_are_only_so_many() {
    let rig = Rig::new();
    for count in 0..50 {
        rig.add_provider(&format!("box{count}")).unwrap();
    }
    let error = check_kind(rig.add_provider("one-more"), Kind::Conflict);
    assert!(error.message().contains("50"), "{error}");
    let settings = ModelSettings {
        aliases: (0..101)
            .map(|count| (format!("a{count}"), vec!["echo".into()]))
            .collect(),
        ..ModelSettings::default()
    };
    check_kind(rig.write(move |tx| save_model_settings(tx, &settings)), Kind::Conflict);
}

#[test]
fn names_and_the_default_are_replaced_as_a_whole() {
    let rig = Rig::new();
    assert_eq!(rig.read(find_model_settings).unwrap(), ModelSettings::default());
    for default_model in [Some("box/m".to_owned()), None] {
        let settings = ModelSettings {
            default_model,
            aliases: vec![("fast".into(), vec!["box/a".into(), "echo".into()])],
        };
        let saved = settings.clone();
        rig.write(move |tx| save_model_settings(tx, &saved)).unwrap();
        assert_eq!(rig.read(find_model_settings).unwrap(), settings);
    }
}
