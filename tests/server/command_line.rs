//! Flags, variables and `.env`: what wins, and the sentence that a wrong one gets.

use std::time::Duration;

use crate::rig::{Exit, Launch, TempDir, Upstream, forge};

/// Runs a command that must fail quickly, with a sentence on stderr that holds these words.
#[track_caller]
fn check_refused(launch: &Launch, words: &[&str]) -> Exit {
    let exit = launch.run();
    assert!(exit.code.is_some_and(|code| code != 0), "{exit:?}");
    assert!(exit.after < Duration::from_secs(5), "{exit:?}");
    assert!(
        !exit.stderr.contains("panicked") && !exit.stderr.contains("RUST_BACKTRACE"),
        "{}",
        exit.stderr
    );
    for word in words {
        assert!(exit.stderr.contains(word), "no {word:?} in {}", exit.stderr);
    }
    assert!(!exit.stdout.contains("http://"), "{}", exit.stdout);
    exit
}

const FLAGS: &[&str] = &[
    "--host",
    "--port",
    "--data",
    "--workers",
    "--max-turns",
    "--max-connections",
    "--messages-per-minute",
    "--default-model",
    "--context-messages",
    "--trusted-proxy",
    "--signup",
    "--allowed-host",
    "--cors-origin",
    "--public-url",
    "--log",
    "--open",
    "--pricing",
];

#[test]
fn the_help_names_every_flag_and_the_version_is_ours() {
    for (words, wanted) in [(&["serve", "--help"][..], FLAGS), (&["--help"], &["serve", "import"])] {
        let exit = Launch::command(words).run();
        assert_eq!(exit.code, Some(0), "{}", exit.stderr);
        for flag in wanted {
            assert!(exit.stdout.contains(flag), "{words:?}: no {flag} in\n{}", exit.stdout);
        }
    }
    let exit = Launch::command(&["--version"]).run();
    assert_eq!(
        (exit.code, exit.stdout.trim()),
        (Some(0), concat!("fireside ", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn unknown_words_are_named() {
    for (args, word) in [
        (&["--bogus"][..], "--bogus"),
        (&["--prot", "8000"], "--prot"),
        (&["stray"], "stray"),
        (&["--port"], "--port"),
    ] {
        check_refused(&Launch::new().args(args), &[word]);
    }
    check_refused(&Launch::command(&["frobnicate"]), &["frobnicate"]);
    check_refused(&Launch::command(&["--bogus"]), &["--bogus"]);
}

const MALFORMED: &[(&str, &str, &str)] = &[
    ("--port", "FIRESIDE_PORT", "abc"),
    ("--port", "FIRESIDE_PORT", "70000"),
    ("--port", "FIRESIDE_PORT", "-1"),
    ("--workers", "FIRESIDE_WORKERS", "many"),
    ("--workers", "FIRESIDE_WORKERS", "0"),
    ("--workers", "FIRESIDE_WORKERS", "1"),
    ("--max-turns", "FIRESIDE_MAX_TURNS", "1.5"),
    ("--max-connections", "FIRESIDE_MAX_CONNECTIONS", "1e3"),
    ("--messages-per-minute", "FIRESIDE_MESSAGES_PER_MINUTE", "often"),
    ("--messages-per-day", "FIRESIDE_MESSAGES_PER_DAY", "1.5"),
    ("--budget-usd-month", "FIRESIDE_BUDGET_USD_MONTH", "-1"),
    ("--context-messages", "FIRESIDE_CONTEXT_MESSAGES", "all"),
    ("--signup", "FIRESIDE_SIGNUP", "maybe"),
    ("--log", "FIRESIDE_LOG", "loud"),
    ("--public-url", "FIRESIDE_PUBLIC_URL", "not-a-url"),
    ("--public-url", "FIRESIDE_PUBLIC_URL", "ftp://chat.example.org"),
    ("--base-path", "FIRESIDE_BASE_PATH", "/fi?re"),
    ("--base-path", "FIRESIDE_BASE_PATH", "/../fire"),
    ("--trusted-proxy", "FIRESIDE_TRUSTED_PROXY", "nonsense"),
];

#[test]
fn a_malformed_value_is_named_with_its_flag() {
    for (flag, _, value) in MALFORMED {
        // With `=`, so that a leading dash is a value.
        let launch = Launch::command(&["serve"]).args(&[&format!("{flag}={value}")]);
        check_refused(&launch, &[flag, value]);
    }
}

#[test]
fn a_malformed_value_is_named_with_its_variable() {
    for (_, variable, value) in MALFORMED {
        check_refused(&Launch::command(&["serve"]).env(variable, value), &[variable, value]);
        check_refused(
            &Launch::command(&["serve"]).dotenv(&format!("{variable}={value}\n")),
            &[variable, value],
        );
    }
    for (variable, value) in [
        ("JWT_ALGORITHM", "RS256"),
        ("JWT_ALGORITHM", "none"),
        ("JWT_ALGORITHM", "HS1"),
        ("JWT_ACCESS_TOKEN_MINUTES", "abc"),
        ("JWT_ACCESS_TOKEN_MINUTES", "-5"),
        ("OPENAI_BASE_URL", "not a url"),
        ("OPENAI_BASE_URL", "file:///etc/passwd"),
    ] {
        check_refused(&Launch::new().env(variable, value), &[variable, value]);
    }
}

/// The start of a newer version with a slip in its settings must not migrate what an older one could still read.
#[test]
fn prices_that_cannot_be_read_leave_the_database_alone() {
    let launch = Launch::new().args(&["--pricing", "nowhere.json"]);
    check_refused(&launch, &["nowhere.json"]);
    assert!(!launch.database().exists());
}

/// Metadata addresses are no providers, in whichever spelling.
#[test]
fn a_provider_at_a_metadata_address_is_refused() {
    for host in [
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "0xa9fea9fe",
        "2852039166",
        "[::ffff:a9fe:a9fe]",
    ] {
        let launch = Launch::new()
            .env("OPENAI_BASE_URL", &format!("http://{host}/v1"))
            .env("OPENAI_API_KEY", Upstream::KEY)
            .args(&["--default-model", "fake"]);
        let exit = check_refused(&launch, &["OPENAI_BASE_URL"]);
        assert!(!exit.stderr.contains(Upstream::KEY), "{}", exit.stderr);
    }
}

/// Which of the folders a server made its database in, when it was told of some of them.
fn chosen(flag: bool, variable: Option<&str>, dotenv: bool) -> Vec<&'static str> {
    let folders = TempDir::new();
    let folder = |name: &str| folders.join(name).display().to_string();
    let mut launch = Launch::command(&["serve", "--port", "0"]);
    if flag {
        launch = launch.args(&["--data", &folder("flag")]);
    }
    if let Some(value) = variable {
        launch = launch.env(
            "FIRESIDE_DATA",
            &if value.is_empty() { String::new() } else { folder(value) },
        );
    }
    if dotenv {
        launch = launch.dotenv(&format!("FIRESIDE_DATA={}\n", folder("dotenv")));
    }
    let server = launch.start();
    server.check_alive();
    let default = launch.home().join("home/.local/share/fireside");
    let places = [
        ("flag", folders.join("flag")),
        ("variable", folders.join("variable")),
        ("dotenv", folders.join("dotenv")),
        ("default", default),
    ];
    places
        .iter()
        .filter(|(_, path)| path.join("fireside.db").exists())
        .map(|(name, _)| *name)
        .collect()
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    assert_eq!(chosen(true, Some("variable"), true), ["flag"]);
    assert_eq!(chosen(false, Some("variable"), true), ["variable"]);
    assert_eq!(chosen(false, None, true), ["dotenv"]);
    assert_eq!(chosen(false, None, false), ["default"]);
    assert_eq!(chosen(true, None, true), ["flag"]);
    // Empty is unset.
    assert_eq!(chosen(false, Some(""), false), ["default"]);
}

#[test]
fn empty_variables_are_unset() {
    let launch = MALFORMED
        .iter()
        .fold(Launch::new(), |launch, (_, variable, _)| launch.env(variable, ""));
    let server = [
        "JWT_SECRET_KEY",
        "JWT_ALGORITHM",
        "JWT_ACCESS_TOKEN_MINUTES",
        "BETTER_AUTH_SECRET",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "GROQ_API_KEY",
        "DATABASE_URL",
        "FIRESIDE_HOST",
        "FIRESIDE_DATA",
        "FIRESIDE_DEFAULT_MODEL",
        "FIRESIDE_ALLOWED_HOST",
    ]
    .iter()
    .fold(launch, |launch, variable| launch.env(variable, ""))
    .start();
    let ann = server.account("ann");
    let reply = server
        .post("/chat")
        .bearer(&ann.token)
        .json(&serde_json::json!({"message": "hi"}))
        .send();
    assert_eq!(reply.json()["reply"], serde_json::json!("Echo: hi"));
}

#[test]
fn two_workers_are_enough() {
    let server = Launch::new().args(&["--workers", "2"]).start();
    let ann = server.account("ann");
    assert!(server.chat(&ann.token, "ours")["id"].is_string());
    server.check_alive();
}

/// Keys and passwords may hold a `$`. Between single quotes it stands for itself; elsewhere it begins the name of a
/// variable, unless a backslash goes before it.
#[test]
fn dollar_signs_in_the_file() {
    const ENDING: &str = "-and-enough-bytes-for-a-secret-of-hmac";
    for (written, meant) in [
        ("'pa$FIRESIDE_PORT$$word{}'", "pa$FIRESIDE_PORT$$word"),
        ("'${HOME}{}'", "${HOME}"),
        ("pa\\$FIRESIDE_PORT{}", "pa$FIRESIDE_PORT"),
        ("\"pa\\$FIRESIDE_PORT{}\"", "pa$FIRESIDE_PORT"),
        ("\"pa${MEANT}{}\"", "paword"),
        ("pa${MEANT}{}", "paword"),
    ] {
        let secret = written.replace("{}", ENDING);
        let dotenv = format!("MEANT=word\nBETTER_AUTH_SECRET={secret}\n");
        let server = Launch::new().dotenv(&dotenv).start();
        let token = forge(&format!("{meant}{ENDING}"), &serde_json::json!({"sub": "user123"}));
        let reply = server.get("/users/me").bearer(&token).send();
        assert_eq!(reply.status, 200, "{secret}: {}", reply.text());
    }
}

#[test]
fn the_other_names_of_settings_are_read_from_the_file_too() {
    let upstream = Upstream::start();
    let dotenv = format!(
        "# a comment\nOPENAI_BASE_URL=\"{}\"\nOPENAI_API_KEY={}\nFIRESIDE_DEFAULT_MODEL=fake-n1\n\nJWT_ACCESS_TOKEN_MINUTES=7\n",
        upstream.url(),
        Upstream::KEY
    );
    let server = Launch::new().dotenv(&dotenv).start();
    let ann = server.account("ann");
    let reply = server
        .post("/chat")
        .bearer(&ann.token)
        .json(&serde_json::json!({"message": "hi"}))
        .send();
    assert_eq!(
        reply.json()["reply"].as_str().map(str::trim),
        Some("w0"),
        "{}",
        reply.text()
    );
    assert_eq!(
        upstream.completions()[0].header("Authorization"),
        Some(format!("Bearer {}", Upstream::KEY).as_str())
    );
}
