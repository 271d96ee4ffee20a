//! What is acknowledged is on the disk, and the disk may hold anything: files that are not ours, not whole or not to be
//! written here; crashes, power cuts, a full disk and a locked database in the modules below.

mod crashes;
mod disk;
mod failing;
pub(crate) mod layer;
mod power;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::rig::{Account, Dice, Exit, Launch, PATIENCE, Server, TempDir, until};

fn check_integrity(database: &Path) {
    let connection = rusqlite::Connection::open(database).expect("the database");
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a verdict");
    assert_eq!(verdict, "ok");
    let orphans = connection
        .prepare("PRAGMA foreign_key_check")
        .expect("the pragma")
        .query_map([], |_| Ok(()))
        .expect("rows")
        .count();
    assert_eq!(orphans, 0);
}

/// The program leaves quickly, not with success, and says why in a sentence that holds these words.
#[track_caller]
fn check_refusal(exit: &Exit, words: &[&str]) {
    assert!(exit.code.is_some_and(|code| code != 0), "{exit:?}");
    assert!(exit.after < Duration::from_secs(10), "{exit:?}");
    assert!(
        exit.stderr.contains(' ') && !exit.stderr.contains("panicked"),
        "{exit:?}"
    );
    for word in words {
        assert!(exit.stderr.contains(word), "no {word:?} in {}", exit.stderr);
    }
    assert!(!exit.stdout.contains("http://"), "{}", exit.stdout);
}

#[test]
fn a_second_server_says_so_and_leaves() {
    let server = Server::start();
    let ann = server.account("ann");
    let data = server.launch().data().display().to_string();
    check_refusal(&server.launch().run(), &[&data]);
    server.login(&ann);
    let launch = server.launch().clone();
    server.stop();
    // The lock was not left behind.
    launch.start().login(&ann);
}

/// Starts on a data directory whose database holds `bytes`, which must stay as they are.
#[track_caller]
fn check_untouched(launch: &Launch, bytes: &[u8], words: &[&str]) {
    std::fs::create_dir_all(launch.data()).expect("a folder");
    std::fs::write(launch.database(), bytes).expect("a file");
    let exit = launch.run();
    check_refusal(&exit, words);
    assert!(
        std::fs::read(launch.database()).expect("still there") == bytes,
        "the file was changed: {}",
        exit.stderr
    );
}

#[test]
fn a_file_that_is_not_ours_is_refused_untouched() {
    let mut dice = Dice::new(7);
    let noise: Vec<u8> = (0..20_000).map(|_| dice.byte()).collect();
    check_untouched(&Launch::new(), &noise, &["fireside.db"]);
    check_untouched(&Launch::new(), b"hello, this is a text file\n", &["fireside.db"]);
    let header = [b"SQLite format 3\0".as_slice(), &noise].concat();
    check_untouched(&Launch::new(), &header, &["fireside.db"]);
    let folder = TempDir::new();
    let foreign = folder.join("ai_chat.db");
    let connection = rusqlite::Connection::open(&foreign).expect("a database");
    connection
        .execute_batch("CREATE TABLE chats (id TEXT PRIMARY KEY, title TEXT); INSERT INTO chats VALUES ('x', 'theirs')")
        .expect("a table");
    drop(connection);
    check_untouched(
        &Launch::new(),
        &std::fs::read(&foreign).expect("its bytes"),
        &["fireside.db"],
    );
}

/// A data directory with an account in it, and the bytes of its database after a clean stop.
fn used() -> (Launch, Account, Vec<u8>) {
    let server = Server::start();
    let ann = server.account("ann");
    let chat = server.chat(&ann.token, "kept")["id"].clone();
    for index in 0..20 {
        let body = json!({"message": format!("{index} {}", "y".repeat(3000)), "chat_id": chat});
        assert_eq!(server.post("/chat").bearer(&ann.token).json(&body).send().status, 200);
    }
    let launch = server.launch().clone();
    assert_eq!(server.stop().code, Some(0));
    let bytes = std::fs::read(launch.database()).expect("the database");
    (launch, ann, bytes)
}

#[test]
fn a_newer_database_is_refused_untouched() {
    let (launch, _, _) = used();
    let connection = rusqlite::Connection::open(launch.database()).expect("the database");
    connection
        .execute_batch("PRAGMA user_version = 9999; PRAGMA wal_checkpoint(TRUNCATE)")
        .expect("a version");
    drop(connection);
    let bytes = std::fs::read(launch.database()).expect("the database");
    check_untouched(&launch, &bytes, &["fireside.db", "9999"]);
}

/// Every schema there has been, as `schema.sql` keeps them: the sections up to each one's number.
fn schemas() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.sql");
    let text = std::fs::read_to_string(path).expect("the schema");
    let starts: Vec<usize> = text.match_indices("\n-- v").map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    ends.map(|end| text[..end].to_string()).collect()
}

/// A database of every older version, with an account and what it said, comes up with all of it; beside it stands what
/// it was.
#[test]
fn every_older_database_is_migrated_with_what_is_in_it() {
    let (_launch, ann, bytes) = used();
    let folder = TempDir::new();
    let newest = folder.join("newest.db");
    std::fs::write(&newest, bytes).expect("a copy");
    let newest = rusqlite::Connection::open(&newest).expect("a database");
    let hash: String = newest
        .query_row("SELECT password_hash FROM users", (), |row| row.get(0))
        .expect("a hash");
    let mark: i32 = newest
        .query_row("PRAGMA application_id", (), |row| row.get(0))
        .expect("a mark");
    let version: u32 = newest
        .query_row("PRAGMA user_version", (), |row| row.get(0))
        .expect("a version");
    let schemas = schemas();
    assert_eq!(schemas.len(), version as usize, "the sections of schema.sql");
    for (number, schema) in (1..version).zip(&schemas) {
        let launch = Launch::new();
        std::fs::create_dir_all(launch.data()).expect("a folder");
        let old = rusqlite::Connection::open(launch.database()).expect("a database");
        old.execute_batch(&format!("PRAGMA application_id = {mark}; PRAGMA journal_mode = WAL;"))
            .expect("a mark");
        old.execute_batch(schema).expect("an older schema");
        let fill = format!(
            "PRAGMA user_version = {number};
             INSERT INTO settings (key, value) VALUES ('installation', 'abcdef01'), ('written_by', 'an older one');
             INSERT INTO users (uuid, email, role, password_hash, created_at)
                 VALUES ('00000000-0000-4000-8000-000000000001', '{}', 'admin', '{hash}', '2025-01-01T00:00:00.000000Z');
             INSERT INTO conversations (uuid, user_id, title, created_at, updated_at)
                 VALUES ('00000000-0000-4000-8000-000000000002', 1, 'old', '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z');
             INSERT INTO messages (uuid, conversation_id, user_id, role, content, created_at)
                 VALUES ('00000000-0000-4000-8000-000000000003', 1, 1, 'user', 'from long ago', '2025-01-01T00:00:00.000000Z');
             UPDATE conversations SET leaf_id = 1;",
            ann.email
        );
        old.execute_batch(&fill).expect("rows");
        drop(old);
        let server = launch.start();
        let token = server.login(&ann);
        let chat = "00000000-0000-4000-8000-000000000002";
        let expected = [("user".to_string(), "from long ago".to_string())];
        assert_eq!(server.messages(&token, chat), expected, "version {number}");
        let body = json!({"message": "and now", "chat_id": chat});
        assert_eq!(server.post("/chat").bearer(&token).json(&body).send().status, 200);
        let found = until(PATIENCE, "old messages are found", || {
            let found = server.get("/search?q=long").bearer(&token).send().text();
            found.contains("from").then_some(found)
        });
        assert!(found.contains(chat), "version {number}: {found}");
        assert_eq!(server.stop().code, Some(0));
        check_integrity(&launch.database());
        let kept = launch.data().join(format!("fireside.db.before-v{}", number + 1));
        let kept = rusqlite::Connection::open(kept).expect("what it was");
        let was: u32 = kept
            .query_row("PRAGMA user_version", (), |row| row.get(0))
            .expect("a version");
        assert_eq!(was, number);
    }
}

#[test]
fn a_damaged_database_is_served_or_refused_but_never_overwritten() {
    let (launch, ann, whole) = used();
    let mut dice = Dice::new(99);
    for round in 0..12 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => bytes.truncate(dice.below(whole.len())),
            1 => (0..20).for_each(|_| bytes[dice.below(whole.len())] ^= 0x41),
            _ => {
                let page = 4096 * dice.below(whole.len() / 4096);
                bytes[page..page + 4096].fill(0);
            }
        }
        for beside in ["fireside.db-wal", "fireside.db-shm"] {
            // Only there when the last round was killed.
            std::fs::remove_file(launch.data().join(beside)).ok();
        }
        std::fs::write(launch.database(), &bytes).expect("the database");
        let exit = launch.clone().args(&["--workers", "9"]).run_briefly(|server| {
            for call in [
                server.get("/chats").bearer(&ann.token),
                server.get("/health"),
                server.post("/chats").bearer(&ann.token).json(&json!({})),
            ] {
                let reply = call.send();
                assert!(
                    !reply.text().contains("SELECT") && !reply.text().contains("panicked"),
                    "{}",
                    reply.text()
                );
            }
        });
        assert!(!exit.stderr.contains("panicked"), "round {round}: {}", exit.stderr);
        if exit.code != Some(0) {
            check_refusal(&exit, &["fireside.db"]);
            assert!(
                std::fs::read(launch.database()).expect("the database") == bytes,
                "round {round}: refused and changed"
            );
        }
    }
    std::fs::write(launch.database(), &whole).expect("the database");
    launch.start().login(&ann);
}

/// A log beside the database that is not its own, or not whole any more.
#[test]
fn a_foreign_log_is_not_believed() {
    let (launch, ann, whole) = used();
    let log_of = |bytes: &[u8]| {
        let other = Launch::new();
        std::fs::create_dir_all(other.data()).expect("a folder");
        std::fs::write(other.database(), bytes).expect("a database");
        let mut server = other.start();
        server.chat(&server.login(&ann), "of another machine");
        server.kill();
        std::fs::read(other.data().join("fireside.db-wal")).expect("a log")
    };
    let own = log_of(&whole);
    assert!(own.len() > 8_000, "{} bytes of log", own.len());
    let mut dice = Dice::new(5);
    let noise: Vec<u8> = (0..50_000).map(|_| dice.byte()).collect();
    let mut torn = own.clone();
    torn[40] ^= 1;
    for (name, log) in [
        ("noise", noise.as_slice()),
        ("text", b"hello, this is a text file\n"),
        ("nothing", b""),
        ("half a head", &own[..20]),
        ("a bit flipped", &torn),
        ("cut short", &own[..own.len() / 2 + 7]),
    ] {
        std::fs::remove_file(launch.data().join("fireside.db-shm")).ok();
        std::fs::write(launch.database(), &whole).expect("the database");
        std::fs::write(launch.data().join("fireside.db-wal"), log).expect("a log");
        let exit = launch.run_briefly(|server| {
            let token = server.login(&ann);
            let list = server.get("/chats").bearer(&token).send();
            assert_eq!((list.status, &list.json()["total"]), (200, &json!(1)), "{name}");
            server.chat(&token, "goes on");
        });
        assert!(!exit.stderr.contains("panicked"), "{name}: {}", exit.stderr);
        assert_eq!(exit.code, Some(0), "{name}: {}", exit.stderr);
        check_integrity(&launch.database());
    }
}

#[test]
fn an_empty_file_is_a_new_database() {
    let launch = Launch::new();
    std::fs::create_dir_all(launch.data()).expect("a folder");
    std::fs::write(launch.database(), b"").expect("a file");
    launch.start().account("ann");
}

#[test]
fn places_where_no_database_can_be() {
    let launch = Launch::new();
    std::fs::create_dir_all(launch.database()).expect("a folder in the place of the file");
    check_refusal(&launch.run(), &["fireside.db"]);
    let launch = Launch::new();
    std::fs::write(launch.data(), "a file in the place of the folder").expect("a file");
    check_refusal(&launch.run(), &[&launch.data().display().to_string()]);
    let nowhere = Launch::command(&["serve", "--port", "0", "--data", "/proc/fireside/data"]);
    check_refusal(&nowhere.run(), &["/proc/fireside"]);
}

#[test]
fn a_missing_data_directory_is_made() {
    let folder = TempDir::new();
    let deep = folder.join("a/b c/ünï");
    let server = Launch::command(&["serve", "--port", "0", "--data", &deep.display().to_string()]).start();
    server.account("ann");
    assert!(deep.join("fireside.db").is_file() && deep.join("fireside.lock").is_file());
}

/// The program where an unprivileged user can run it, and that user's id; `None` with a printed reason without root.
fn unprivileged(folder: &TempDir) -> Option<(PathBuf, u32)> {
    const NOBODY: u32 = 65_534;
    let program = folder.join("fireside");
    std::fs::copy(env!("CARGO_BIN_EXE_fireside"), &program).expect("a copy");
    let try_it = Launch::command(&["true"]);
    if std::os::unix::fs::chown(try_it.home(), Some(NOBODY), Some(NOBODY)).is_err() {
        println!("skipped: only root can become another user");
        return None;
    }
    Some((program, NOBODY))
}

fn own(path: &Path, uid: u32) {
    std::os::unix::fs::chown(path, Some(uid), Some(uid)).expect("root");
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder") {
            own(&entry.expect("an entry").path(), uid);
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("its owner or root");
}

#[test]
fn what_may_not_be_written_is_refused_with_a_sentence() {
    let folder = TempDir::new();
    let Some((program, uid)) = unprivileged(&folder) else {
        return;
    };
    let launch = Launch::new().user(uid, &program);
    own(launch.home(), uid);
    let server = launch.start();
    server.account("ann");
    assert_eq!(server.stop().code, Some(0));
    let bytes = std::fs::read(launch.database()).expect("the database");
    set_mode(&launch.database(), 0o400);
    check_refusal(&launch.run(), &["fireside.db"]);
    assert!(
        std::fs::read(launch.database()).expect("the database") == bytes,
        "a read-only file was changed"
    );
    set_mode(&launch.database(), 0o600);
    launch.start().check_alive();
    let launch = Launch::new().user(uid, &program);
    std::fs::create_dir(launch.data()).expect("a folder that is root's");
    check_refusal(&launch.run(), &[&launch.data().display().to_string()]);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let launch = Launch::command(&["serve", "--port", &port]);
    check_refusal(&launch.run(), &[&port]);
}

#[test]
fn the_database_url_names_the_file() {
    // Three slashes and a relative path, or four and an absolute one.
    for (url, file) in [
        ("./chat.db", "work/chat.db"),
        ("chat.db", "work/chat.db"),
        ("{home}/place/chat.db", "place/chat.db"),
    ] {
        let launch = Launch::command(&["serve", "--port", "0"]);
        let url = format!(
            "sqlite:///{}",
            url.replace("{home}", &launch.home().display().to_string())
        );
        let launch = launch.env("DATABASE_URL", &url);
        let server = launch.start();
        server.account("ann");
        let file = launch.home().join(file);
        assert!(file.is_file(), "{url}: no {}", file.display());
        assert!(
            file.with_file_name("fireside.lock").is_file(),
            "{url}: the lock stands elsewhere"
        );
        assert!(
            !launch.home().join("home/.local/share/fireside/fireside.db").exists(),
            "{url}"
        );
    }
    let launch = Launch::new().env("DATABASE_URL", "sqlite:///./chat.db");
    launch.start().check_alive();
    assert!(
        launch.database().is_file() && !launch.home().join("work/chat.db").exists(),
        "--data wins"
    );
    for url in [
        "postgres://ann:canary@db.example.org/chat",
        "postgresql+psycopg://ann:canary@h/c",
        "mysql://ann:canary@h/c",
        "nonsense",
    ] {
        let exit = Launch::command(&["serve", "--port", "0"])
            .env("DATABASE_URL", url)
            .run();
        check_refusal(&exit, &["DATABASE_URL", url.split(':').next().unwrap_or_default()]);
        assert!(!exit.stderr.contains("canary"), "a password is in {}", exit.stderr);
    }
}
