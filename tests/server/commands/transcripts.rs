//! What somebody new reads: every command's help, and what is said when something goes wrong. Kept as transcripts, to be
//! read whole: each error says what has happened and what to do.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;

use super::Tool;
use super::strangers::{answering, reply};
use crate::rig::{Exit, Launch, Server, TempDir};

/// Sessions at a terminal, one after the other.
struct Transcript {
    text: String,
    /// What differs from one machine to the next, and what stands for it.
    names: Vec<(String, &'static str)>,
}

impl Transcript {
    fn new() -> Transcript {
        Transcript {
            text: String::new(),
            names: vec![
                (
                    concat!("Fireside ", env!("CARGO_PKG_VERSION")).to_owned(),
                    "Fireside VERSION",
                ),
                (
                    concat!("this is ", env!("CARGO_PKG_VERSION")).to_owned(),
                    "this is VERSION",
                ),
            ],
        }
    }

    fn name(&mut self, text: impl ToString, name: &'static str) {
        self.names.push((text.to_string(), name));
    }

    fn chapter(&mut self, title: &str) {
        write!(self.text, "\n# {title}\n\n").expect("a text");
    }

    #[track_caller]
    fn note(&mut self, words: &[&str], exit: &Exit) {
        assert!(!exit.stderr.contains("panicked"), "{exit:?}");
        // What doctor finds in order differs from one machine and one minute to the next.
        let stdout: String = exit
            .stdout
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("ok "))
            .collect();
        let mut text = format!("$ fireside {}\n{stdout}{}", words.join(" "), exit.stderr);
        if !text.ends_with('\n') {
            text.push('\n');
        }
        if let Some(code) = exit.code.filter(|code| *code != 0) {
            writeln!(text, "[exit code {code}]").expect("a text");
        }
        // The longest first: one folder's name may be the beginning of another's.
        let mut names: Vec<&(String, &str)> = self.names.iter().collect();
        names.sort_by_key(|(from, _)| Reverse(from.len()));
        for (from, to) in names {
            text = text.replace(from, to);
        }
        self.text += &text;
        self.text.push('\n');
    }

    /// Runs something that goes wrong.
    #[track_caller]
    fn fails(&mut self, tool: &Tool, words: &[&str]) {
        let exit = tool.run(words);
        assert_ne!(exit.code, Some(0), "{words:?}: {exit:?}");
        self.note(words, &exit);
    }

    #[track_caller]
    fn check(self, name: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/transcripts")
            .join(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(&path, &self.text).expect("a file");
        }
        let kept = std::fs::read_to_string(&path).expect("a transcript");
        let difference = self.text.lines().zip(kept.lines()).find(|(now, kept)| now != kept);
        assert!(
            self.text == kept,
            "{name} has changed; UPDATE=1 cargo test --test server transcripts writes it anew: {difference:?}"
        );
    }
}

/// The help of a command, and that of all that it names.
fn help(tool: &Tool, transcript: &mut Transcript, command: &[&str]) {
    let words = [command, &["--help"][..]].concat();
    let exit = tool.run(&words);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    transcript.note(&words, &exit);
    let lines = exit.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
    let named = lines.map_while(|line| line.strip_prefix("  "));
    // What an explanation goes on with stands further in.
    let named = named.filter(|line| !line.starts_with(' '));
    for name in named.filter_map(|line| line.split_whitespace().next()) {
        if name != "help" {
            help(tool, transcript, &[command, &[name]].concat());
        }
    }
}

#[test]
fn every_commands_help() {
    let (tool, mut transcript) = (Tool::alone(), Transcript::new());
    help(&tool, &mut transcript, &[]);
    let commands = transcript.text.matches("$ fireside ").count();
    assert!(commands > 20, "only {commands} were found");
    assert!(!tool.data().exists(), "help makes nothing");
    transcript.check("help.txt");
}

#[test]
fn what_goes_wrong_says_what_to_do() {
    let mut transcript = Transcript::new();
    let home = TempDir::new();
    transcript.name(home.join("").display().to_string().trim_end_matches('/'), "HOME");
    words(&mut transcript);
    nothing_is_there(&mut transcript);
    accounts(&mut transcript);
    questions(&mut transcript, &home);
    imports(&mut transcript, &home);
    files(&mut transcript, &home);
    other_servers(&mut transcript, &home);
    a_server_runs(&mut transcript);
    transcript.check("errors.txt");
}

fn alone(transcript: &mut Transcript) -> Tool {
    let tool = Tool::alone();
    transcript.name(tool.data().display(), "DATA");
    tool
}

fn with_ann(transcript: &mut Transcript) -> Tool {
    let tool = alone(transcript);
    tool.add("ann");
    tool
}

fn words(transcript: &mut Transcript) {
    transcript.chapter("Words that make no sense");
    let tool = alone(transcript);
    for words in [
        &["asks", "hi"][..],
        &["ask", "--modell", "x", "hi"],
        &["ask"],
        &["serve", "--port", "http"],
        &["serve", "--backup-every", "soon"],
        &["serve", "--public-url", "fireside.example.com"],
        &["completions", "tcsh"],
        &["user", "add"],
        &["key", "create", "laptop", "--budget", "much"],
        &["key", "create", "laptop", "--expires", "tomorrow"],
        &["ask", "--url", "http://127.0.0.1:1", "--account", "ann", "hi"],
    ] {
        transcript.fails(&tool, words);
    }
    let tool = tool.env("FIRESIDE_PORT", "http");
    transcript.fails(&tool, &["health"]);
}

fn nothing_is_there(transcript: &mut Transcript) {
    transcript.chapter("No server, no database, no account");
    let tool = alone(transcript).env("FIRESIDE_PORT", "1");
    transcript.fails(&tool, &["health"]);
    transcript.fails(&tool, &["backup"]);
    transcript.fails(&tool, &["doctor", "--public-url", "https://fireside.example.com"]);
    transcript.fails(&tool, &["ask", "hi"]);
    transcript.fails(&tool, &["user", "list"]);
    transcript.fails(&tool, &["export", "-"]);
    transcript.fails(&tool, &["ask", "hi", "--data", "/etc/passwd"]);
    transcript.fails(&tool, &["serve", "--data", "/etc/passwd"]);
}

fn accounts(transcript: &mut Transcript) {
    transcript.chapter("Accounts and keys");
    let tool = with_ann(transcript);
    transcript.fails(&tool, &["user", "add", "bob@example.com"]);
    for (words, typed) in [
        (["user", "add", "bob@example.com", "--password-stdin"], "\n"),
        (["user", "add", "bob", "--password-stdin"], "hush\n"),
        (["user", "add", "ann@example.com", "--password-stdin"], "hush\n"),
        (["user", "passwd", "bob@example.com", "--password-stdin"], "hush\n"),
    ] {
        let exit = tool.run_with(&words, typed);
        assert_ne!(exit.code, Some(0), "{exit:?}");
        transcript.note(&words, &exit);
    }
    for words in [
        &["user", "disable", "ann@example.com"][..],
        &["user", "delete", "ann@example.com"],
        &["user", "delete", "ann@example.com", "--yes"],
        &["key", "revoke", "laptop"],
        &["key", "create", "laptop", "--expires", "2020-01-01T00:00:00Z"],
        &["key", "list", "--account", "bob@example.com"],
    ] {
        transcript.fails(&tool, words);
    }
}

fn questions(transcript: &mut Transcript, home: &TempDir) {
    transcript.chapter("Questions");
    let down = with_ann(transcript)
        .env("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
        .env("OPENAI_API_KEY", "a key");
    transcript.fails(&down, &["ask", "-m", "openai/gpt-4.1", "hi"]);
    let tool = with_ann(transcript);
    let missing = home.join("chart.png").display().to_string();
    for words in [
        &["ask", "-m", "gpt-99", "hi"][..],
        &["ask", "-c", "last", "hi"],
        &["ask", "-c", "999", "hi"],
        &["ask", "-c", "that one", "hi"],
        &["ask", "--file", &missing, "hi"],
        &["ask", "--file", "/etc", "hi"],
        &["ask", "--account", "bob@example.com", "hi"],
    ] {
        transcript.fails(&tool, words);
    }
    let long = "words ".repeat(200_000);
    transcript.note(&["ask"], &tool.run_with(&["ask"], &long));
}

fn imports(transcript: &mut Transcript, home: &TempDir) {
    transcript.chapter("Imports");
    let tool = with_ann(transcript);
    for (name, bytes) in [
        ("noise.bin", &b"\x00\xff\xfe\x01 noise \x80"[..]),
        ("empty.json", b""),
        ("cut.json", b"[{\"mapping\": {}},"),
        ("unknown.json", b"[{\"a\": 1}]"),
        ("cut.zip", b"PK\x03\x04 and no more"),
        ("newer.json", b"{\"format\": \"fireside-export\", \"version\": 99}"),
        ("other.db", b"SQLite format 3\0 but not for long"),
    ] {
        let path = home.join(name);
        std::fs::write(&path, bytes).expect("a file");
        transcript.fails(&tool, &["import", &path.display().to_string()]);
    }
    transcript.fails(&tool, &["import", &home.join("nowhere.zip").display().to_string()]);
    transcript.fails(&tool, &["import", &home.join("").display().to_string()]);
}

fn files(transcript: &mut Transcript, home: &TempDir) {
    transcript.chapter("Files that are written, and backups");
    let tool = with_ann(transcript);
    let path = |name: &str| home.join(name).display().to_string();
    let (there, nowhere, noise) = (path("cut.zip"), path("no/folder/a.file"), path("noise.bin"));
    let backup = path("a backup.db");
    tool.does(&["backup", &backup]);
    let mut newer = std::fs::read(&backup).expect("a file");
    let torn = &newer[..newer.len() / 2];
    std::fs::write(home.join("torn.db"), torn).expect("a file");
    newer[60..64].copy_from_slice(&99_i32.to_be_bytes());
    std::fs::write(home.join("newer.db"), newer).expect("a file");
    for words in [
        &["backup", &there][..],
        &["backup", &nowhere],
        &["export", &there],
        &["export", &nowhere],
        &["export", "--markdown", &path("")],
        &["export", "--markdown", &nowhere],
        &["export", "--markdown", &there],
        &["restore", &path("nowhere.db")],
        &["restore", &backup],
        &["restore", "--replace", &noise],
        &["restore", "--replace", &path("empty.json")],
        &["restore", "--replace", &path("torn.db")],
        &["restore", "--replace", &path("newer.db")],
    ] {
        transcript.fails(&tool, words);
    }
    // A limit on the size of files is the same full disk on every machine.
    let data = tool.data().display().to_string();
    for words in [&["backup", &path("full.db")][..], &["restore", "--replace", &backup]] {
        let limited = Launch::command(words)
            .env("FIRESIDE_DATA", &data)
            .prelude("ulimit -f 64");
        let exit = limited.run();
        assert_eq!(exit.code, Some(1), "{words:?}: {exit:?}");
        transcript.note(words, &exit);
    }
}

fn other_servers(transcript: &mut Transcript, home: &TempDir) {
    transcript.chapter("Other servers");
    let server = Server::start();
    let tool = alone(transcript);
    let key = home.join("key").display().to_string();
    std::fs::write(&key, "fs-wrong").expect("a file");
    let origin = server.origin();
    transcript.name(&origin, "http://HOST");
    transcript.fails(&tool, &["ask", "--url", &origin, "hi"]);
    transcript.fails(&tool, &["ask", "--url", &origin, "--key-file", "nowhere", "hi"]);
    transcript.fails(&tool, &["ask", "--url", &origin, "--key-file", &key, "hi"]);
    transcript.fails(&tool, &["ask", "--url", "http://127.0.0.1:1", "--key-file", &key, "hi"]);
    transcript.fails(&tool, &["ask", "--url", "127.0.0.1 8000", "--key-file", &key, "hi"]);
    transcript.fails(&tool, &["ask", "--url", "ftp://example.com", "--key-file", &key, "hi"]);
    for (head, name) in [
        ("200 OK", "http://OTHER"),
        ("404 Not Found\r\nX-Request-Id: 1", "http://OLD"),
    ] {
        let url = answering(move |_, client| reply(client, head, "{\"detail\":\"Not Found\"}"));
        transcript.name(&url, name);
        transcript.fails(&tool, &["export", "-", "--url", &url, "--key-file", &key]);
    }
}

fn a_server_runs(transcript: &mut Transcript) {
    transcript.chapter("While a server runs");
    let launch = Launch::new();
    let server = launch.start();
    server.account("ann");
    let tool = Tool::beside(&launch);
    transcript.name(server.origin(), "http://HOST");
    transcript.name(tool.data().display(), "DATA");
    transcript.fails(&tool, &["serve", "--port", "0"]);
    transcript.fails(&tool, &["restore", "--replace", "/etc/passwd"]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    transcript.name(&port, "PORT");
    let other = alone(transcript);
    transcript.fails(&other, &["serve", "--port", &port]);
}
