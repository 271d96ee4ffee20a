//! Commands that need no account: `health`, `version`, `completions`, and everybody's `--help`.

use std::time::Duration;

use serde_json::json;

use super::Tool;
use crate::rig::{PATIENCE, Server, until};

#[test]
fn health_is_a_line_and_an_exit_code() {
    let mut server = Server::start();
    let tool = Tool::beside(server.launch());
    assert!(tool.does(&["health"]).starts_with("healthy: Fireside "));
    let url = server.origin();
    let far = Tool::alone();
    assert!(far.does(&["health", "--url", &url]).contains(&url));
    let alone = far.env("FIRESIDE_PORT", &server.address.port().to_string());
    assert!(
        alone.does(&["health"]).starts_with("healthy"),
        "where serve would listen"
    );
    assert!(!alone.data().exists());
    let nowhere = Tool::alone().env("FIRESIDE_HOST", "::1").env("FIRESIDE_PORT", "1");
    let exit = nowhere.run(&["health"]);
    assert!(exit.stdout.contains("http://[::1]:1"), "{exit:?}");
    server.kill();
    // What a killed server has left in its lock file is no reason to believe in it.
    let exit = tool.run(&["health"]);
    assert_eq!(exit.code, Some(1));
    assert!(
        exit.stdout.starts_with("failing: ") && exit.stdout.contains("cannot be reached"),
        "{exit:?}"
    );
    assert!(
        tool.run(&["ask", "hi"]).stderr.contains("There is no account"),
        "the folder is free again"
    );
}

/// A server that takes connections and says nothing.
#[test]
fn health_does_not_wait_for_ever() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let exit = Tool::alone().run(&["health", "--url", &url]);
    assert_eq!(exit.code, Some(1), "{exit:?}");
    assert!(exit.after < Duration::from_secs(20), "{exit:?}");
}

#[test]
fn the_version_says_what_it_is_built_of() {
    let tool = Tool::alone();
    let facts = tool.json(&["version", "--json"]);
    assert_eq!(facts["version"], json!(env!("CARGO_PKG_VERSION")));
    assert!(
        facts["sqlite"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.")),
        "{facts}"
    );
    assert!(
        facts["target"]
            .as_str()
            .is_some_and(|target| target.contains(std::env::consts::ARCH))
    );
    assert!(tool.does(&["version"]).starts_with("fireside "));
    let licenses = tool.does(&["version", "--licenses"]);
    for held in [
        "\nrusqlite 0.",
        "\nSQLite, in ",
        "\nSwagger UI, in ",
        "Permission is hereby granted",
        "Apache License",
    ] {
        assert!(licenses.contains(held), "{held:?}");
    }
    assert!(!tool.data().exists());
}

#[test]
fn shells_complete_every_command() {
    let tool = Tool::alone();
    for shell in ["bash", "zsh", "fish"] {
        let script = tool.does(&["completions", shell]);
        for word in ["ask", "passwd", "revoke", "health", "max-turns"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
    tool.refuses(&["completions", "tcsh"], 2, &["tcsh", "bash"]);
    // bash takes it.
    let script = tool.does(&["completions", "bash"]);
    let check = std::process::Command::new("bash").args(["-n", "-c", &script]).status();
    assert!(check.is_ok_and(|status| status.success()));
}

#[test]
fn every_command_explains_itself() {
    let tool = Tool::alone();
    for words in [
        &["ask"][..],
        &["user"],
        &["user", "add"],
        &["user", "list"],
        &["user", "passwd"],
        &["user", "disable"],
        &["user", "enable"],
        &["user", "limit"],
        &["user", "delete"],
        &["key"],
        &["key", "create"],
        &["key", "list"],
        &["key", "revoke"],
        &["doctor"],
        &["service"],
        &["service", "install"],
        &["service", "uninstall"],
        &["service", "status"],
        &["health"],
        &["version"],
        &["completions"],
    ] {
        let help = tool.does(&[words, &["--help"]].concat());
        assert!(help.contains("Usage: fireside"), "{words:?}: {help}");
    }
    for words in [&["user"][..], &["key"], &["user", "frobnicate"], &["ask", "--bogus"]] {
        assert_eq!(tool.run(words).code, Some(2), "{words:?}");
    }
    assert!(!tool.data().exists());
}

/// A second server on the folder of one that runs says where that is; a command uses it.
#[test]
fn the_lock_file_says_where_the_server_is() {
    let server = Server::start();
    server.account("ann");
    let tool = Tool::beside(server.launch());
    let exit = tool.refuses(&["serve", "--port", "0"], 1, &["already running", &server.origin()]);
    assert!(exit.after < Duration::from_secs(10));
    tool.does(&["ask", "hi"]);
    until(PATIENCE, "the server has served the command", || {
        server.stderr().contains("/auth/logout").then_some(())
    });
}
