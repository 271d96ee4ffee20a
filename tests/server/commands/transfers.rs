//! `fireside import`, `export`, `backup` and `restore`: with a server and without, there and back, and what they refuse.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::Tool;
use crate::rig::{Account, Dice, Launch, Multipart, PATIENCE, Server, TempDir, slow, until};

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/imports")
        .join(name);
    path.display().to_string()
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

#[test]
fn what_other_programs_export_comes_in() {
    let tool = Tool::alone();
    tool.add("ann");
    let (claude, chatgpt) = (fixture("claude.json"), fixture("chatgpt.json"));
    let words = ["import", "--dry-run", &claude];
    let said = tool.run(&words);
    assert!(
        said.stdout
            .contains("conversations: 2 would be imported, 1 failed (5 new messages)"),
        "{said:?}"
    );
    assert!(said.stderr.contains("Empty: Nothing is said in it"), "{said:?}");
    // What is wrong with one of its conversations shows in the exit code.
    let exit = tool.run(&["import", &claude, &chatgpt]);
    assert_eq!(exit.code, Some(1), "{exit:?}");
    assert!(
        exit.stdout.contains("claude.json (Claude)") && exit.stdout.contains("chatgpt.json (ChatGPT)"),
        "{exit:?}"
    );
    let llama = fixture("llama-cpp.json");
    let said = tool.does(&["import", &llama]);
    assert!(said.contains("conversations: 1 imported (3 new messages)"), "{said}");
    let again = tool.json(&["import", "--json", &llama]);
    assert_eq!(
        again["conversations"],
        json!({"imported": 0, "updated": 0, "skipped": 1, "failed": 0})
    );
    tool.refuses(&["import"], 2, &["FILE"]);
    tool.refuses(&["import", "nowhere.zip"], 2, &["nowhere.zip", "no such file"]);
    let help = tool.does(&["import", "--help"]);
    for word in [
        "ChatGPT",
        "Claude",
        "Open WebUI",
        "llama.cpp",
        "logs.db",
        "--dry-run",
        "Exit codes",
    ] {
        assert!(help.contains(word), "{help}");
    }
}

#[test]
fn what_goes_out_comes_in_and_goes_out_the_same() {
    let (tool, home) = (Tool::alone(), TempDir::new());
    tool.add("ann");
    tool.does(&["import", &fixture("llama-cpp.json")]);
    let first = text(home.join("first.json"));
    assert_eq!(tool.does(&["export", &first]), format!("{first}\n"));
    tool.refuses(&["export", &first], 2, &["first.json", "already"]);
    let other = Tool::alone();
    other.add("ann");
    other.does(&["import", &first]);
    let second = other.does(&["export", "-"]);
    assert!(std::fs::read_to_string(&first).expect("a file") == second);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(std::fs::metadata(&first).expect("a file").mode() & 0o777, 0o600);
    }
}

#[test]
fn a_folder_of_markdown() {
    let server = Server::start();
    let ann = server.account("ann");
    let tool = Tool::beside(server.launch());
    tool.does(&["import", &fixture("llama-cpp.json")]);
    let home = TempDir::new();
    let notes = text(home.join("notes.md"));
    std::fs::write(&notes, "# Notes/../on knots\n\nA bend joins two ropes.").expect("a file");
    tool.does(&["import", &notes]);
    let form = Multipart::new()
        .field("text", "with a file")
        .file("files", "a b.txt", "text/plain", b"rope");
    assert_eq!(form.on(server.post("/chat/").bearer(&ann.token)).send().status, 200);
    let folder = home.join("out");
    // As shells complete the name of a folder.
    let said = tool.does(&["export", "--markdown", &format!("{}/", text(&folder))]);
    assert!(said.ends_with("(4 files)\n"), "{said}");
    let knots = std::fs::read_to_string(folder.join("conversations/2024-05-01 Knots.md")).expect("a file");
    assert!(
        knots.starts_with("# Knots\n\n2024-05-01 10:00\n\n## You · 2024-05-01 10:00\n\nWhich knot?"),
        "{knots}"
    );
    assert!(
        knots.contains("\n\nA figure eight. ⛵\n") && !knots.contains("A bowline"),
        "{knots}"
    );
    let library = std::fs::read_to_string(folder.join("library/Notes .. on knots.md")).expect("a file");
    assert!(library.contains("A bend joins two ropes."));
    assert_eq!(std::fs::read(folder.join("files/a b.txt")).expect("a file"), b"rope");
    let day = &server.get("/chats").bearer(&ann.token).send().json()["chats"][0]["created_at"]
        .as_str()
        .expect("a time")[..10]
        .to_owned();
    let chat = std::fs::read_to_string(folder.join(format!("conversations/{day} with a file.md"))).expect("a file");
    assert!(chat.contains("[a b.txt](<../files/a b.txt>)"), "{chat}");
    assert!(!home.join("out.zip.part").exists());
    tool.refuses(
        &["export", "--markdown", &text(&folder)],
        2,
        &["holds something already"],
    );
    // An empty one that is there, however it is named, stays and is filled.
    let empty = home.join("empty");
    std::fs::create_dir(&empty).expect("a folder");
    let named = format!("{}/", text(&empty));
    assert!(tool.does(&["export", "--markdown", &named]).ends_with("(4 files)\n"));
    assert_eq!(std::fs::read(empty.join("files/a b.txt")).expect("a file"), b"rope");
    for folder in [home.join(""), empty] {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().display().to_string())
            .collect();
        assert!(!names.iter().any(|name| name.ends_with(".part")), "{names:?}");
    }
}

#[test]
fn a_backup_takes_the_place_of_a_database() {
    let server = Server::start();
    let ann = server.account("ann");
    let tool = Tool::beside(server.launch());
    let home = TempDir::new();
    let backup = text(home.join("a.db"));
    server.chat(&ann.token, "before");
    assert_eq!(tool.does(&["backup", &backup]), format!("{backup}\n"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(std::fs::metadata(&backup).expect("a file").mode() & 0o777, 0o600);
    }
    tool.refuses(&["backup", &backup], 2, &["a.db", "already"]);
    server.chat(&ann.token, "after");
    tool.refuses(&["restore", &backup], 1, &["is running", "stop it"]);
    let launch = server.launch().clone();
    server.stop();
    tool.refuses(&["restore", &backup], 1, &["already", "--replace"]);
    let said = tool.run(&["restore", "--replace", &backup]);
    assert!(said.code == Some(0) && said.stderr.contains(".replaced-"), "{said:?}");
    let titles = |server: &Server, account: &Account| {
        let token = server.login(account);
        let page = server.get("/chats").bearer(&token).send().json();
        page["chats"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|chat| chat["title"].clone())
            .collect::<Vec<Value>>()
    };
    let server = launch.start();
    assert_eq!(titles(&server, &ann), ["before"]);
    let token = server.login(&ann);
    let log = server.get("/admin/audit").bearer(&token).send().json();
    let newest = &log["entries"][0];
    let told = (&newest["act"], &newest["means"], &newest["user_id"]);
    assert_eq!(told, (&json!("database.restore"), &json!("command_line"), &Value::Null));
    server.stop();
    // What was put aside is a database as well.
    let aside = std::fs::read_dir(launch.data())
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path());
    let aside = aside
        .filter(|path| text(path).contains(".replaced-"))
        .find(|path| !text(path).ends_with("-wal") && !text(path).ends_with("-shm"));
    tool.does(&["restore", "--replace", &text(aside.expect("a file"))]);
    let server = launch.start();
    assert_eq!(titles(&server, &ann).len(), 2);
}

#[test]
fn what_is_no_backup_is_not_restored() {
    let (tool, home) = (Tool::alone(), TempDir::new());
    tool.add("ann");
    let good = text(home.join("good.db"));
    tool.does(&["backup", &good]);
    let bytes = std::fs::read(&good).expect("a file");
    let write = |name: &str, bytes: &[u8]| {
        let path = text(home.join(name));
        std::fs::write(&path, bytes).expect("a file");
        path
    };
    let mut torn = bytes.clone();
    torn[4096 * 3..4096 * 5].fill(0xaa);
    let mut newer = bytes.clone();
    newer[60..64].copy_from_slice(&99_i32.to_be_bytes());
    let before = std::fs::read(tool.data().join("fireside.db")).expect("a file");
    for (path, words) in [
        (write("empty.db", b""), "is empty"),
        (
            write(
                "text.db",
                b"not a database at all, but long enough to be looked at as if it were one, perhaps",
            ),
            "not a Fireside",
        ),
        (write("cut.db", &bytes[..bytes.len() / 2]), "damaged"),
        (write("torn.db", &torn), "damaged"),
        (write("newer.db", &newer), "schema 99"),
    ] {
        tool.refuses(&["restore", "--replace", &path], 1, &["cannot be restored", words]);
    }
    tool.refuses(
        &["restore", &text(home.join("nowhere.db"))],
        2,
        &["nowhere.db", "no such file"],
    );
    let names: Vec<_> = std::fs::read_dir(tool.data())
        .expect("a folder")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().contains("re") && name.to_string_lossy().contains("part")),
        "{names:?}"
    );
    assert!(std::fs::read(tool.data().join("fireside.db")).expect("a file") == before);
    Tool::alone().refuses(&["backup"], 1, &["no database", "--data"]);
    // Into a folder that does not exist yet.
    let new = Tool::alone();
    new.does(&["restore", &good]);
    assert!(new.does(&["user", "list"]).contains("ann@example.com"));
}

#[test]
fn nothing_acknowledged_before_its_start_is_missing_in_a_backup() {
    let (rounds, writers) = if slow() { (20, 8) } else { (4, 4) };
    let server = Server::start();
    let ann = server.account("ann");
    let tool = Tool::beside(server.launch());
    let home = TempDir::new();
    let said = Mutex::new(Vec::<String>::new());
    let is_over = AtomicBool::new(false);
    let mut backups: Vec<(String, Vec<String>)> = Vec::new();
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let (server, ann, said, is_over) = (&server, &ann, &said, &is_over);
            scope.spawn(move || {
                let mut chat = Value::Null;
                for number in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let message = format!("writer {writer} number {number}");
                    let body = json!({"message": message, "chat_id": chat});
                    let reply = server.post("/chat").bearer(&ann.token).json(&body).send();
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    chat = reply.json()["chat_id"].clone();
                    said.lock().expect("no panic").push(message);
                }
            });
        }
        for round in 0..rounds {
            until(PATIENCE, "more is said", || {
                (said.lock().expect("no panic").len() > round * 20).then_some(())
            });
            let before = said.lock().expect("no panic").clone();
            let path = text(home.join(&format!("{round}.db")));
            tool.does(&["backup", &path]);
            backups.push((path, before));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    for (path, before) in backups {
        let new = Tool::alone();
        new.does(&["restore", &path]);
        let whole = new.does(&["export", "-", "--account", "ann@example.com"]);
        let missing: Vec<_> = before
            .iter()
            .filter(|message| !whole.contains(&format!("\"{message}\"")))
            .collect();
        assert!(
            missing.is_empty(),
            "{} of {} are missing, such as {:?}",
            missing.len(),
            before.len(),
            missing[0]
        );
    }
}

/// Files are in a backup that is made while others are uploaded, byte for byte.
#[test]
fn files_come_back_from_a_backup_as_they_were() {
    let server = Server::start();
    let ann = server.account("ann");
    let content = |seed: u64, length: usize| {
        let mut dice = Dice::new(seed);
        (0..length).map(|_| dice.byte()).collect::<Vec<u8>>()
    };
    let upload = |bytes: &[u8]| {
        let form = Multipart::new().file("file", "a.bin", "application/octet-stream", bytes);
        let reply = form.on(server.post("/upload/").bearer(&ann.token)).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["url"].as_str().expect("an address").to_owned()
    };
    let lengths = [0, 1, 262_144, 262_145, 1_500_000];
    let urls: Vec<String> = lengths.iter().map(|length| upload(&content(9, *length))).collect();
    let tool = Tool::beside(server.launch());
    let home = TempDir::new();
    let path = text(home.join("a.db"));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (upload, content, is_over) = (&upload, &content, &is_over);
        scope.spawn(move || {
            for seed in 100..200 {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                upload(&content(seed, 300_000));
            }
        });
        tool.does(&["backup", &path]);
        is_over.store(true, Ordering::Relaxed);
    });
    let new = Launch::new();
    Tool::beside(&new).does(&["restore", &path]);
    let restored = new.start();
    let token = restored.login(&ann);
    for (url, length) in urls.iter().zip(lengths) {
        let reply = restored.get(url).bearer(&token).send();
        assert!(
            reply.status == 200 && reply.body == content(9, length),
            "{length} bytes: {}",
            reply.status
        );
    }
}

#[test]
fn a_server_copies_itself_and_says_so() {
    let launch = Launch::new().args(&["--backup-every", "24h", "--backup-keep", "2"]);
    let server = launch.start();
    let ann = server.account("ann");
    let health = || server.get("/health?verbose").bearer(&ann.token).send().json()["backups"].clone();
    let told = until(PATIENCE, "a copy is there", || {
        Some(health()).filter(|told| told["next_at"].is_string() && told["last_at"].is_string())
    });
    assert_eq!(told["problem"], Value::Null);
    let copies: Vec<_> = std::fs::read_dir(launch.data().join("backups"))
        .expect("a folder")
        .flatten()
        .collect();
    assert_eq!(copies.len(), 1);
    assert_eq!(
        copies[0].metadata().expect("a file").len(),
        told["last_bytes"].as_u64().expect("a number")
    );
    let tool = Tool::alone();
    tool.does(&["restore", &text(copies[0].path())]);
    let (bad, nothing) = (Launch::new().args(&["--backup-every", "soon"]).run(), Server::start());
    assert!(
        bad.stderr.contains("--backup-every") && bad.stderr.contains("24h"),
        "{bad:?}"
    );
    let eve = nothing.account("eve");
    assert_eq!(
        nothing.get("/health?verbose").bearer(&eve.token).send().json()["backups"],
        Value::Null
    );
}

#[test]
fn a_copy_that_fails_stops_nothing() {
    let home = TempDir::new();
    let taken = text(home.join("taken"));
    std::fs::write(&taken, "a file").expect("a file");
    let server = Launch::new()
        .args(&["--backup-every", "24h", "--backup-dir", &taken])
        .start();
    let ann = server.account("ann");
    let problem = until(PATIENCE, "it is told", || {
        let told = server.get("/health?verbose").bearer(&ann.token).send().json();
        assert_eq!(told["status"], "healthy");
        told["backups"]["problem"].as_str().map(str::to_owned)
    });
    assert!(problem.contains("cannot be used"), "{problem}");
    assert!(server.stderr().contains("no backup was made"), "{}", server.stderr());
    server.chat(&ann.token, "still here");
}
