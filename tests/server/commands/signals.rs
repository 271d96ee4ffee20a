//! Commands that are ended half-way: what they leave, and what the next one finds.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::strangers::half_exported;
use super::{Tool, finish};
use crate::rig::{Launch, Multipart, PATIENCE, Server, TempDir, until};

pub(super) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .stderr(Stdio::null())
        .status();
    assert!(sent.expect("kill").success());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// A server with enough in its database that a copy takes a while.
fn full() -> Server {
    let server = Server::start();
    let ann = server.account("ann");
    // Not to be packed, and each part another one.
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()[4]
    };
    for number in 0..3 {
        let bytes: Vec<u8> = (0..20 * 1024 * 1024).map(|_| next()).collect();
        let form = Multipart::new().field("text", "a file").file(
            "files",
            &format!("{number}.bin"),
            "application/octet-stream",
            &bytes,
        );
        let reply = form.on(server.post("/chat/").bearer(&ann.token)).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    server
}

#[test]
fn a_signal_leaves_no_part_of_a_file() {
    let server = full();
    let tool = Tool::beside(server.launch());
    for (words, ending) in [(["backup", "a.db"], "INT"), (["backup", "b.db"], "HUP")] {
        let home = TempDir::new();
        let path = home.join(words[1]).display().to_string();
        let child = tool.spawn(&[words[0], &path]);
        until(PATIENCE, "a part is there", || {
            (!files(&home.join("")).is_empty()).then_some(())
        });
        signal(&child, ending);
        let exit = finish(child);
        let number = match ending {
            "INT" => 2,
            _ => 1,
        };
        // One that was quicker than the signal has its file whole.
        let left = files(&home.join(""));
        if exit.code == Some(0) {
            assert_eq!(left, [PathBuf::from(&path)], "{exit:?}");
        } else {
            assert_eq!(
                (exit.code, left),
                (Some(128 + number), Vec::new()),
                "{words:?}: {exit:?}"
            );
        }
    }
    // And one that cannot be quicker.
    let home = TempDir::new();
    let (child, _server) = half_exported(&[], &home.join("a.json"));
    signal(&child, "TERM");
    let exit = finish(child);
    assert_eq!(
        (exit.code, files(&home.join(""))),
        (Some(128 + 15), Vec::new()),
        "{exit:?}"
    );
    assert_eq!(sessions(&tool), 0, "the sessions of the commands have ended");
}

/// A folder has its name only when all of it is there.
#[test]
fn a_folder_that_was_not_filled_has_no_name() {
    let server = full();
    let tool = Tool::beside(server.launch());
    for (ending, code) in [("TERM", Some(143)), ("KILL", None)] {
        let home = TempDir::new();
        let folder = home.join("notes");
        let mut child = tool.spawn(&["export", "--markdown", &folder.display().to_string()]);
        until(PATIENCE, "it unpacks, or is done", || {
            let unpacks = files(&home.join("")).iter().any(|path| path.is_dir());
            (unpacks || child.try_wait().expect("a child").is_some()).then_some(())
        });
        signal(&child, ending);
        let exit = finish(child);
        if exit.code == Some(0) {
            assert_eq!(files(&folder.join("files")).len(), 3, "{exit:?}");
        } else {
            assert_eq!((exit.code, folder.exists()), (code, false), "{exit:?}");
            assert!(ending == "KILL" || files(&home.join("")).is_empty());
        }
    }
}

/// The command line's sessions that have not ended.
fn sessions(tool: &Tool) -> u32 {
    let database = rusqlite::Connection::open(tool.data().join("fireside.db")).expect("a database");
    let sql = "SELECT count(*) FROM sessions WHERE user_agent = 'command line'";
    database.query_row(sql, (), |row| row.get(0)).expect("a number")
}

/// So many conversations of Claude's, each of four messages.
fn list(count: u32) -> String {
    let message = |conversation: u32, number: u32| {
        let sender = if number.is_multiple_of(2) { "human" } else { "assistant" };
        json!({"uuid": format!("m-{conversation}-{number}"), "sender": sender,
            "text": format!("{sender} says {number} in {conversation}: {}", "a few words ".repeat(50))})
    };
    let conversation = |number: u32| {
        let messages: Vec<Value> = (0..4).map(|at| message(number, at)).collect();
        json!({"uuid": format!("c-{number}"), "name": format!("Conversation {number}"),
            "created_at": "2025-05-01T10:00:00Z", "chat_messages": messages})
    };
    Value::Array((0..count).map(conversation).collect()).to_string()
}

#[test]
fn an_import_that_is_killed_leaves_whole_conversations_and_goes_on_the_next_time() {
    const CONVERSATIONS: u32 = 4_000;
    let home = TempDir::new();
    let path = home.join("claude.json").display().to_string();
    std::fs::write(&path, list(CONVERSATIONS)).expect("a file");
    let launch = Launch::new();
    let mut server = launch.start();
    server.account("ann");
    let tool = Tool::beside(&launch);
    let count = || -> (u32, u32, u32) {
        let database = rusqlite::Connection::open(tool.data().join("fireside.db")).expect("a database");
        let sql = "SELECT count(*), coalesce(sum(message_count), 0),
             (SELECT count(*) FROM messages) FROM conversations";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        database.query_row(sql, (), row).expect("numbers")
    };
    let child = tool.spawn(&["import", &path]);
    until(PATIENCE, "some are here", || (count().0 > 0).then_some(()));
    server.kill();
    let exit = finish(child);
    let (conversations, shown, messages) = count();
    assert!(conversations < CONVERSATIONS, "it was killed in the middle: {exit:?}");
    assert_ne!(exit.code, Some(0), "{exit:?}");
    assert_eq!(
        (shown, messages),
        (4 * conversations, 4 * conversations),
        "none is half here"
    );
    let said = tool.does(&["import", &path]);
    let rest = CONVERSATIONS - conversations;
    let expected = format!("{rest} imported, {conversations} skipped ({} new messages)", 4 * rest);
    assert!(said.contains(&expected), "no {expected:?} in {said}");
    assert_eq!(count(), (CONVERSATIONS, 4 * CONVERSATIONS, 4 * CONVERSATIONS));
    assert!(
        tool.does(&["import", &path])
            .contains("0 imported, 4000 skipped (0 new messages)")
    );
}

#[test]
fn an_import_without_a_server_leaves_no_copy_when_a_signal_ends_it() {
    let tool = Tool::alone();
    tool.add("ann");
    let home = TempDir::new();
    let path = home.join("claude.json").display().to_string();
    std::fs::write(&path, list(4_000)).expect("a file");
    let child = tool.spawn(&["import", &path]);
    let copies = || files(&tool.data().join("tmp"));
    until(PATIENCE, "a copy is there", || (!copies().is_empty()).then_some(()));
    signal(&child, "TERM");
    let exit = finish(child);
    assert_eq!((exit.code, copies()), (Some(128 + 15), Vec::new()), "{exit:?}");
    assert!(tool.does(&["import", &path]).contains("claude.json"));
}

#[test]
fn a_file_that_a_server_does_not_take_comes_in_without_one() {
    let home = TempDir::new();
    let path = home.join("claude.json").display().to_string();
    std::fs::write(&path, list(1_500)).expect("a file");
    let launch = Launch::new().args(&["--max-import", "1"]);
    let server = launch.start();
    server.account("ann");
    let tool = Tool::beside(&launch).env("FIRESIDE_MAX_IMPORT", "1");
    let exit = tool.refuses(&["import", &path], 1, &["larger than", "--max-import", "any size"]);
    assert!(exit.stdout.is_empty(), "{exit:?}");
    server.stop();
    assert!(tool.does(&["import", &path]).contains("1500 imported"));
}
