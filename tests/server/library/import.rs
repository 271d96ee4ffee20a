//! `fireside import FILE…`: with the data folder to itself, beside a running server, and with files that are no texts.

use serde_json::json;

use super::{document, quote, titles};
use crate::rig::{Account, Exit, Launch, Server};

const BOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/books.json");

/// A folder with accounts in it and no server on it.
fn folder(names: &[&str]) -> (Launch, Vec<Account>) {
    let server = Server::start();
    let accounts = names.iter().map(|name| server.account(name)).collect();
    let launch = server.launch().clone();
    server.stop();
    (launch, accounts)
}

/// Runs `fireside import` on the data of a server that was started by `launch`.
fn import(launch: &Launch, words: &[&str]) -> Exit {
    let data = launch.data().display().to_string();
    Launch::command(&["import", "--data", &data]).args(words).run()
}

/// A file beside the data, by its path.
fn file(launch: &Launch, name: &str, bytes: &[u8]) -> String {
    let path = launch.home().join(name);
    std::fs::write(&path, bytes).expect("a file");
    path.display().to_string()
}

#[track_caller]
fn check_refused(exit: &Exit, code: i32, words: &[&str]) {
    assert_eq!(exit.code, Some(code), "{exit:?}");
    assert_eq!(
        exit.stderr
            .lines()
            .filter(|line| line.starts_with("fireside: "))
            .count(),
        1,
        "{exit:?}"
    );
    for word in words {
        assert!(exit.stderr.contains(word), "no {word:?} in {}", exit.stderr);
    }
}

#[test]
fn books_are_imported_once_and_answer() {
    let (launch, accounts) = folder(&["ann"]);
    let exit = import(&launch, &[BOOKS]);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert!(exit.stdout.contains("books.json (texts)"), "{}", exit.stdout);
    let notes = file(&launch, "notes.md", b"# My notes\n\nThe key is under the mat.\n");
    let exit = import(&launch, &[&notes, BOOKS]);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert!(exit.stdout.contains("documents: 1 imported\n"), "{}", exit.stdout);
    assert!(exit.stdout.contains("documents: 0 imported, "), "{}", exit.stdout);
    let server = launch.start();
    assert_eq!(titles(&server, &accounts[0], "/documents?limit=1"), ["My notes"]);
    let said = quote(&server, &accounts[0], "Which captain hunts the white whale?");
    assert!(said.contains("Moby-Dick") && said.contains("Herman Melville"), "{said}");
    let said = quote(&server, &accounts[0], "Where is the key?");
    assert!(said.contains("> The key is under the mat.\n\n— **My notes**"), "{said}");
}

#[test]
fn beside_a_running_server_it_goes_through_that() {
    let server = Server::start();
    let ann = server.account("ann");
    document(&server, &ann, "Kept", "As it was.");
    let notes = file(server.launch(), "notes.txt", b"Hello.");
    let exit = import(server.launch(), &[&notes]);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert_eq!(titles(&server, &ann, "/documents"), ["notes", "Kept"]);
}

#[test]
fn it_is_said_whose_library() {
    let (launch, accounts) = folder(&["ann", "bob"]);
    let notes = file(&launch, "notes.txt", b"Hello.");
    check_refused(&import(&launch, &[&notes, "--account", "carol"]), 1, &["carol"]);
    assert_eq!(import(&launch, &[&notes, "--account", "bob@example.com"]).code, Some(0));
    let server = launch.start();
    assert!(titles(&server, &accounts[0], "/documents").is_empty());
    let list = server.get("/documents").bearer(&accounts[1].token).send().json();
    assert_eq!(list["documents"][0]["source"], json!("notes.txt"));
    assert_eq!(list["documents"][0]["title"], json!("notes"));
}

#[test]
fn without_an_account_or_a_file_it_says_what_to_do() {
    let nowhere = Launch::new();
    check_refused(&import(&nowhere, &[BOOKS]), 1, &["no account", "fireside user add"]);
    let missing = nowhere.home().join("missing.txt").display().to_string();
    check_refused(&import(&nowhere, &[&missing]), 2, &["missing.txt", "cannot be read"]);
}

#[test]
fn one_bad_file_keeps_no_other_out() {
    let (launch, accounts) = folder(&["ann"]);
    let mut kept = Vec::new();
    for (name, bytes, words) in [
        ("a.bin", &b"\xff\xfe\x00"[..], "not text"),
        ("empty.txt", b" \n", "it is empty"),
        ("b.json", b"[\n{\"title\": \"T\"\n", "ends too soon"),
        (
            "c.json",
            br#"[{"title": "T", "short_summary": "s"}, {"title": "U"}]"#,
            "Entry 2: \"U\"",
        ),
    ] {
        let good = file(&launch, &format!("good-{name}.txt"), name.as_bytes());
        let bad = file(&launch, name, bytes);
        check_refused(
            &import(&launch, &[&bad, &good]),
            1,
            &[name, words, "Nothing was imported"],
        );
        kept.insert(0, format!("good-{name}"));
    }
    let long = file(&launch, "d.txt", &[b'x'; 2 * 1024 * 1024 + 1]);
    let exit = import(&launch, &[&long]);
    assert!(exit.code == Some(1) && exit.stderr.contains("2 MiB"), "{exit:?}");
    let server = launch.start();
    assert_eq!(titles(&server, &accounts[0], "/documents"), kept);
}
