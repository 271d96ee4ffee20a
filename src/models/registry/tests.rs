//! Names and the models that answer to them. Nothing here connects.

use super::*;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn local() -> ModelsConfig {
    ModelsConfig {
        openai_base_url: some("http://127.0.0.1:9/v1/"),
        ..ModelsConfig::default()
    }
}

fn openai() -> ModelsConfig {
    ModelsConfig {
        openai_api_key: some("sk-test"),
        ..ModelsConfig::default()
    }
}

fn groq() -> ModelsConfig {
    ModelsConfig {
        groq_api_key: some("gsk-test"),
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
        groq_api_key: some("gsk"),
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
    let error = Registry::new(config("gpt-4o")).err().unwrap();
    assert!(error.message().contains("\"gpt-4o\""), "{}", error.message());
    let own = ModelsConfig {
        default_model: some("llama3"),
        ..local()
    };
    check(own, &[("", "openai/llama3"), ("other", "openai/other")]);
}

#[test]
fn what_is_known_needs_no_network() {
    assert_eq!(Registry::new(local()).unwrap().known(), ["echo", "library"]);
    let known = Registry::new(groq()).unwrap().known();
    assert_eq!(known.first().map(String::as_str), Some("llama-3.3-70b-versatile"));
    assert_eq!(known.last().map(String::as_str), Some("library"));
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
