//! Names and the models that answer to them. Nothing here connects.

use super::super::config::NamedProvider;
use super::super::{ApiKey, Protocol};
use super::*;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn key(name: &str) -> (String, ApiKey) {
    (name.to_owned(), ApiKey::new("sk-test-canary").unwrap())
}

fn local() -> ModelsConfig {
    ModelsConfig {
        openai_base_url: some("http://127.0.0.1:9/v1/"),
        ..ModelsConfig::default()
    }
}

fn openai() -> ModelsConfig {
    ModelsConfig {
        keys: vec![key("openai")],
        ..ModelsConfig::default()
    }
}

fn groq() -> ModelsConfig {
    ModelsConfig {
        keys: vec![key("groq")],
        ..ModelsConfig::default()
    }
}

fn check(config: ModelsConfig, names: &[(&str, &str)]) {
    let registry = Registry::new(config).unwrap();
    for (name, choice) in names {
        match registry.resolve(Some(name)) {
            Ok(resolved) => assert_eq!(format!("{resolved:?}"), *choice, "{name}"),
            Err(unknown) => assert_eq!((unknown.requested.as_str(), "?"), (*name, *choice)),
        }
    }
    assert_eq!(
        format!("{:?}", registry.default_model()),
        format!("{:?}", registry.resolve(None).unwrap())
    );
}

#[test]
fn with_nothing_configured_default_names_echo() {
    check(
        ModelsConfig::default(),
        &[
            ("", "echo/echo"),
            ("echo", "echo/echo"),
            ("library", "library/library"),
            ("gpt-4.1-nano", "echo/echo"),
            ("smart", "echo/echo"),
            ("gpt-4.1", "?"),
            ("openai/gpt-4.1", "?"),
            ("ECHO", "?"),
        ],
    );
}

#[test]
fn presets_map_aliases_ids_and_anything_under_their_name() {
    check(
        openai(),
        &[
            (" ", "openai/gpt-4.1-nano"),
            ("balanced", "openai/gpt-4.1-mini"),
            ("gpt-5", "openai/gpt-5"),
            ("openai/next-year's", "openai/next-year's"),
            ("openai/", "?"),
            ("next-year's", "?"),
            ("groq/x", "?"),
            ("echo", "echo/echo"),
        ],
    );
    check(
        groq(),
        &[
            ("", "groq/llama-3.3-70b-versatile"),
            ("fast", "groq/llama-3.1-8b-instant"),
            // Nobody serves it here.
            ("gpt-4.1-nano", "groq/llama-3.3-70b-versatile"),
            // Known as it stands; there is no provider `openai`.
            ("openai/gpt-oss-20b", "groq/openai/gpt-oss-20b"),
            ("groq/a/b", "groq/a/b"),
        ],
    );
    let both = ModelsConfig {
        keys: vec![key("groq"), key("openai")],
        ..openai()
    };
    check(
        both,
        &[
            ("fast", "openai/gpt-4.1-nano"),
            ("llama-3.1-8b-instant", "groq/llama-3.1-8b-instant"),
        ],
    );
}

#[test]
fn a_server_of_ones_own_is_asked_for_everything_else() {
    check(
        local(),
        &[
            // The first it lists, found out by the call.
            ("", "openai/"),
            ("gpt-4.1-nano", "openai/gpt-4.1-nano"),
            ("fast", "openai/fast"),
            ("llama3:8b", "openai/llama3:8b"),
            ("openai/llama3:8b", "openai/llama3:8b"),
            ("meta/llama", "openai/meta/llama"),
            ("gpt-4.1", "openai/gpt-4.1"),
            ("echo", "echo/echo"),
        ],
    );
    let elsewhere = ModelsConfig {
        default_model: some("echo"),
        ..local()
    };
    check(
        elsewhere,
        &[("", "echo/echo"), ("fast", "echo/echo"), ("llama3", "openai/llama3")],
    );
    let preset_url = ModelsConfig {
        openai_base_url: some("https://api.openai.com/v1/"),
        ..openai()
    };
    check(preset_url, &[("", "openai/gpt-4.1-nano"), ("llama3", "?")]);
}

#[test]
fn the_configured_default_resolves_or_the_start_fails() {
    let config = |default| ModelsConfig {
        default_model: some(default),
        ..groq()
    };
    check(
        config("smart"),
        &[
            ("", "groq/openai/gpt-oss-120b"),
            ("gpt-4.1-nano", "groq/openai/gpt-oss-120b"),
        ],
    );
    let error = Registry::new(config("gpt-4o")).unwrap().check_default().unwrap_err();
    assert!(error.message().contains("\"gpt-4o\""), "{}", error.message());
    let own = ModelsConfig {
        default_model: some("llama3"),
        ..local()
    };
    check(own, &[("", "openai/llama3"), ("other", "openai/other")]);
}

#[test]
fn what_is_available_begins_with_the_default() {
    let check = |config, first: &str, count: usize| {
        let available = Registry::new(config).unwrap().available();
        assert_eq!(available.first().map(String::as_str), Some(first));
        assert_eq!(available.len(), count, "{available:?}");
    };
    check(ModelsConfig::default(), "echo", 2);
    check(groq(), "llama-3.3-70b-versatile", 6);
    let smart = ModelsConfig {
        default_model: some("smart"),
        ..groq()
    };
    check(smart, "openai/gpt-oss-120b", 6);
    let own = ModelsConfig {
        default_model: some("llama3"),
        ..local()
    };
    check(own, "llama3", 3);
    // Which one is the first of a server's own is known when it has been asked.
    check(local(), "echo", 2);
}

fn named(name: &str, url: Option<&str>) -> NamedProvider {
    NamedProvider {
        name: name.to_owned(),
        protocol: None,
        base_url: url.map(str::to_owned),
        key: None,
    }
}

fn alias(name: &str, models: &[&str]) -> Alias {
    Alias {
        name: name.to_owned(),
        models: models.iter().map(|&model| model.to_owned()).collect(),
    }
}

#[test]
fn providers_are_named_with_an_address_or_known_by_name() {
    let config = ModelsConfig {
        providers: vec![named("box", Some("http://10.0.0.7:8000/v1/")), named("vllm", None)],
        ..groq()
    };
    check(
        config,
        &[
            ("", "groq/llama-3.3-70b-versatile"),
            ("box/llama", "box/llama"),
            ("vllm/meta/llama", "vllm/meta/llama"),
            ("other/llama", "box/other/llama"),
            ("llama", "box/llama"),
        ],
    );
    for (providers, why) in [
        (vec![named("box", None)], "base URL"),
        (vec![named("Box", Some("http://b/v1"))], "lower-case"),
        (vec![named("echo", Some("http://b/v1"))], "built in"),
        (
            vec![named("box", Some("http://169.254.169.254/v1"))],
            "never connected to",
        ),
        (vec![named("groq", None)], "two providers"),
    ] {
        let error = Registry::new(ModelsConfig { providers, ..groq() }).err().unwrap();
        assert!(error.message().contains(why), "{}", error.message());
    }
}

#[test]
fn an_alias_stands_for_models_and_goes_before_everything() {
    let config = ModelsConfig {
        aliases: vec![
            alias("fast", &["echo"]),
            alias("both", &["groq/a", "openai/b"]),
            alias("nobody", &["mistral/x"]),
            alias("some", &["mistral/x", "openai/gpt-5"]),
            alias("gpt-4.1", &["smart"]),
        ],
        keys: vec![key("groq"), key("openai")],
        ..ModelsConfig::default()
    };
    check(
        config.clone(),
        &[
            ("fast", "echo/echo"),
            ("balanced", "openai/gpt-4.1-mini"),
            ("both", "both/a"),
            ("nobody", "?"),
            ("some", "openai/gpt-5"),
            // An alias stands for models, not for aliases; this one's name is a model's.
            ("gpt-4.1", "openai/gpt-4.1"),
        ],
    );
    let broken = |alias| {
        Registry::new(ModelsConfig {
            aliases: vec![alias],
            ..config.clone()
        })
        .err()
    };
    for wrong in [
        alias("a/b", &["echo"]),
        alias("", &["echo"]),
        alias("echo", &["openai/x"]),
        alias("none", &[]),
        alias("many", &["echo"; 9]),
    ] {
        assert!(broken(wrong.clone()).is_some(), "{wrong:?}");
    }
}

fn stored(id: i64, name: &str, url: &str) -> ProviderConfig {
    ProviderConfig {
        id: Some(id),
        name: name.to_owned(),
        protocol: Protocol::OpenAi,
        base_url: url.to_owned(),
        key: ApiKey::new("sk-stored-canary"),
        origin: Origin::Stored,
        is_enabled: true,
    }
}

fn resolved(registry: &Registry, name: &str) -> String {
    registry
        .resolve(Some(name))
        .map_or("?".to_owned(), |choice| format!("{choice:?}"))
}

#[test]
fn what_is_stored_comes_and_goes_while_the_server_runs() {
    let registry = Registry::new(groq()).unwrap();
    assert_eq!(resolved(&registry, "box/m"), "?");
    let one = StoredModels {
        providers: vec![
            stored(1, "box", "http://10.0.0.7/v1"),
            stored(2, "groq", "http://10.0.0.8/v1"),
            stored(3, "bad", "http://169.254.169.254/v1"),
            ProviderConfig {
                is_enabled: false,
                ..stored(4, "rest", "http://10.0.0.9/v1")
            },
        ],
        aliases: vec![alias("fast", &["box/m"])],
        default_model: Some("box/d".to_owned()),
    };
    registry.store(one.clone());
    assert_eq!(resolved(&registry, "fast"), "box/m");
    assert_eq!(resolved(&registry, ""), "box/d");
    assert_eq!(resolved(&registry, "groq/x"), "groq/x");
    assert_eq!(resolved(&registry, "rest/x"), "box/rest/x");
    let states: Vec<(String, State, bool)> = registry
        .providers()
        .into_iter()
        .map(|status| (status.config.name, status.state, status.reason.is_some()))
        .collect();
    assert_eq!(
        states,
        [
            ("groq".to_owned(), State::Unknown, false),
            ("box".to_owned(), State::Unknown, false),
            ("groq".to_owned(), State::Down, true),
            ("bad".to_owned(), State::Down, true),
            ("rest".to_owned(), State::Off, false),
        ]
    );
    // A call keeps its provider, and what stays the same stays.
    let before = registry.resolve(Some("box/m")).unwrap();
    registry.store(one);
    let same = registry.resolve(Some("box/m")).unwrap();
    assert!(Arc::ptr_eq(&before.provider, &same.provider));
    registry.store(StoredModels::default());
    assert_eq!(resolved(&registry, "box/m"), "?");
    assert_eq!(resolved(&registry, ""), "groq/llama-3.3-70b-versatile");
    assert_eq!(before.provider.name(), "box");
}

#[test]
fn the_environment_goes_before_what_is_stored() {
    let registry = Registry::new(ModelsConfig {
        default_model: some("smart"),
        aliases: vec![alias("fast", &["echo"])],
        ..groq()
    })
    .unwrap();
    registry.store(StoredModels {
        aliases: vec![alias("fast", &["groq/x"]), alias("own", &["groq/y"])],
        default_model: Some("echo".to_owned()),
        ..StoredModels::default()
    });
    assert_eq!(resolved(&registry, "fast"), "echo/echo");
    assert_eq!(resolved(&registry, "own"), "groq/y");
    assert_eq!(resolved(&registry, ""), "groq/openai/gpt-oss-120b");
    let origins: Vec<Origin> = registry.aliases().into_iter().map(|(_, origin)| origin).collect();
    assert_eq!(origins, [Origin::Environment, Origin::Stored]);
    assert_eq!(
        registry.default_setting(),
        Some(("smart".to_owned(), Origin::Environment))
    );
}

/// A default that was stored and has nobody to run it any more must not leave everybody without an answer.
#[test]
fn a_stored_default_that_is_gone_is_no_default() {
    let registry = Registry::new(groq()).unwrap();
    registry.store(StoredModels {
        default_model: Some("gone/m".to_owned()),
        ..StoredModels::default()
    });
    assert_eq!(resolved(&registry, ""), "groq/llama-3.3-70b-versatile");
}

#[test]
fn servers_of_this_machine_are_nobody_until_they_are_found() {
    let config = |default: Option<&str>| ModelsConfig {
        discovery: Discovery::On,
        default_model: default.map(str::to_owned),
        ..ModelsConfig::default()
    };
    let registry = Registry::new(config(None)).unwrap();
    assert_eq!(resolved(&registry, "ollama/llama3"), "?");
    assert_eq!(resolved(&registry, ""), "echo/echo");
    assert!(registry.providers().is_empty());
    assert_eq!(registry.available(), ["echo", "library"]);
    // Whoever wants one as the default may start it later.
    let registry = Registry::new(config(Some("ollama/llama3"))).unwrap();
    registry.check_default().unwrap();
    assert_eq!(resolved(&registry, ""), "ollama/llama3");
    assert!(
        Registry::new(config(Some("box/llama3")))
            .unwrap()
            .check_default()
            .is_err()
    );
}

#[test]
fn no_key_is_ever_printed() {
    let config = groq().configured().unwrap();
    let registry = Registry::new(groq()).unwrap();
    registry.store(StoredModels {
        providers: vec![stored(1, "box", "http://10.0.0.7/v1")],
        ..StoredModels::default()
    });
    let printed = format!("{config:?} {:?}", registry.providers());
    assert!(printed.contains("[key]") && !printed.contains("canary"), "{printed}");
}
