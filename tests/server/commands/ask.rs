//! `fireside ask`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};

use serde_json::{Value, json};

use super::{Tool, finish};
use crate::rig::{Exit, Launch, TempDir, Upstream};

/// A tool with an account and a fake upstream.
fn with_upstream(upstream: &Upstream) -> Tool {
    let tool = Tool::alone()
        .env("OPENAI_BASE_URL", &upstream.url())
        .env("OPENAI_API_KEY", Upstream::KEY);
    tool.add("ann");
    tool
}

fn events(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn without_a_server_it_opens_the_folder_and_the_server_finds_what_was_said() {
    let launch = Launch::new();
    let tool = Tool::beside(&launch);
    tool.refuses(&["ask", "hi"], 1, &["There is no account", "fireside user add"]);
    tool.add("ann");
    assert_eq!(
        tool.does(&["ask", "why", "is the sky", "blue?"]),
        "Echo: why is the sky blue?\n"
    );
    assert_eq!(
        tool.does_with(&["ask", "-c", "last", "summarise"], "a report\n"),
        "Echo: summarise\n\na report\n"
    );
    assert_eq!(tool.does_with(&["ask"], "only this"), "Echo: only this\n");
    let server = launch.start();
    let body = json!({"email": "ann@example.com", "password": "the password of ann"});
    let token = server.post("/auth/login").json(&body).send().json()["access_token"].clone();
    let token = token.as_str().expect("a token");
    let chats = server.get("/chats").bearer(token).send().json();
    assert_eq!(chats["total"], json!(2));
    // And beside it.
    let first = chats["chats"][1]["id"].as_str().expect("an id");
    assert_eq!(tool.does(&["ask", "-c", first, "more"]), "Echo: more\n");
    let said: Vec<String> = server
        .messages(token, first)
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    assert_eq!(said.len(), 6);
    assert_eq!(said[4..], ["more", "Echo: more"]);
}

#[test]
fn events_are_lines_of_json() {
    let upstream = Upstream::start();
    let tool = with_upstream(&upstream);
    let printed = events(&tool.does(&["ask", "--json", "-m", "fake-n3", "hi"]));
    let names: Vec<&str> = printed.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!((names[0], names[1], names[names.len() - 1]), ("start", "delta", "done"));
    let text: String = printed.iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(text, "w0 w1 w2 ");
    assert_eq!(printed[names.len() - 1]["message"]["content"], json!(text));
    let failed = tool.refuses(&["ask", "--json", "-m", "fake-e500", "hi"], 1, &[]);
    let last = events(&failed.stdout).pop();
    assert!(
        last.is_none_or(|last| last["event"] == "error") && !failed.stderr.contains(Upstream::KEY),
        "{}",
        failed.stderr
    );
}

#[test]
fn what_fails_says_so() {
    let upstream = Upstream::start();
    let tool = with_upstream(&upstream);
    tool.refuses(&["ask"], 2, &["There is no question", "fireside ask"]);
    tool.refuses(&["ask", "-m", "fake-e500", "hi"], 1, &["fireside: "]);
    tool.refuses(&["ask", "-m", "nobody/knows", "hi"], 1, &["model"]);
    tool.refuses(&["ask", "-c", "last", "-c", "1", "hi"], 2, &["--continue"]);
    tool.refuses(
        &["ask", "-c", "99999", "hi"],
        1,
        &["There is no conversation", "-c last"],
    );
    tool.refuses(&["ask", "--file", "/nowhere", "hi"], 2, &["/nowhere cannot be read"]);
    tool.refuses(&["ask", "--file", "/", "hi"], 2, &["/ is no file"]);
    tool.refuses(
        &["ask", "--account", "cleo", "hi"],
        1,
        &["There is no account", "user list"],
    );
    let binary = tool.run_with(&["ask"], "\u{0}");
    assert_eq!(binary.code, Some(0), "a NUL is text: {binary:?}");
}

#[test]
fn files_go_along() {
    let upstream = Upstream::start();
    let tool = with_upstream(&upstream);
    let folder = TempDir::new();
    let (one, two) = (folder.join("one.txt"), folder.join("two \"quoted\".md"));
    std::fs::write(&one, "the first file").expect("a file");
    std::fs::write(&two, "the second file").expect("a file");
    let paths = [one.display().to_string(), two.display().to_string()];
    tool.does(&["ask", "-m", "fake", "compare", "--file", &paths[0], "--file", &paths[1]]);
    let asked = upstream.completions()[0].body.to_string();
    for part in ["compare", "the first file", "the second file"] {
        assert!(asked.contains(part), "no {part:?} in {asked}");
    }
}

/// Reads a child's stdout until this has come.
fn read_until(child: &mut Child, wanted: &str) -> BufReader<std::process::ChildStdout> {
    let mut stdout = BufReader::new(child.stdout.take().expect("its stdout"));
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(wanted) {
        let count = stdout.read_until(b' ', &mut text).expect("bytes");
        assert!(count > 0, "no {wanted:?} in {}", String::from_utf8_lossy(&text));
    }
    stdout
}

/// Ctrl-C, as the terminal sends it.
fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(status.expect("kill").success());
}

/// Asks for a reply that pauses in the middle, reads its beginning, and does something then.
#[track_caller]
fn check_cut_short(tool: &Tool, cut: impl FnOnce(&mut Child, BufReader<std::process::ChildStdout>)) -> Exit {
    let mut child = tool.spawn(&["ask", "-m", "fake-n5-pause2", "hi"]);
    drop(child.stdin.take());
    let stdout = read_until(&mut child, "w1 ");
    cut(&mut child, stdout);
    finish(child)
}

fn last_state(tool: &Tool) -> (String, String) {
    let printed = events(&tool.does(&["ask", "--json", "-c", "last", "-m", "fake", "and then?"]));
    let database = rusqlite::Connection::open(tool.data().join("fireside.db")).expect("a database");
    assert!(printed.len() > 2);
    let sql = "SELECT state, content FROM messages WHERE role = 'assistant' ORDER BY id LIMIT 1";
    database
        .query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("a reply")
}

#[test]
fn ctrl_c_stops_the_reply() {
    let upstream = Upstream::start();
    let tool = with_upstream(&upstream);
    let exit = check_cut_short(&tool, |child, mut stdout| {
        interrupt(child);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "\n");
    });
    assert_eq!(exit.code, Some(130), "{exit:?}");
    assert!(exit.stderr.contains("the reply is stopped"), "{exit:?}");
    assert_eq!(last_state(&tool), ("stopped".to_owned(), "w0 w1 ".to_owned()));
}

/// What came before is kept, and the sentence says how to go on with it.
#[test]
fn a_server_that_is_killed_leaves_a_way_to_go_on() {
    let upstream = Upstream::start();
    let launch = Launch::new()
        .env("OPENAI_BASE_URL", &upstream.url())
        .env("OPENAI_API_KEY", Upstream::KEY);
    let mut server = launch.start();
    let ann = server.account("ann");
    let tool = Tool::beside(&launch);
    let exit = check_cut_short(&tool, |_, mut stdout| {
        server.kill();
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "\n");
    });
    assert_eq!(exit.code, Some(1), "{exit:?}");
    let (_, advice) = exit.stderr.split_once("fireside ask ").expect("what to do");
    let id = advice.split(' ').nth(1).expect("an id");
    server.restart();
    assert_eq!(tool.does(&["ask", "-m", "echo", "-c", id, "go on"]), "Echo: go on\n");
    let chats = server.get("/chats").bearer(&ann.token).send().json();
    let said = server.messages(&ann.token, chats["chats"][0]["id"].as_str().expect("an id"));
    assert_eq!(said[0], ("user".to_owned(), "hi".to_owned()), "{said:?}");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let upstream = Upstream::start();
    let tool = with_upstream(&upstream);
    let exit = check_cut_short(&tool, |_, stdout| {
        drop(stdout);
        upstream.release();
    });
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), ""), "{exit:?}");
}

/// Nothing is coloured where no terminal is.
#[test]
fn there_are_no_escapes_without_a_terminal() {
    let tool = Tool::alone();
    tool.add("ann");
    for words in [
        &["ask", "hi"][..],
        &["user", "list"],
        &["key", "list"],
        &["ask", "--help"],
    ] {
        let exit = tool.run(words);
        assert!(
            !exit.stdout.contains('\x1b') && !exit.stderr.contains('\x1b'),
            "{exit:?}"
        );
    }
}

/// One command at a time opens the folder; another waits for its turn instead of failing.
#[test]
fn commands_take_turns() {
    let upstream = Upstream::start();
    let tool = with_upstream(&upstream);
    let mut first = tool.spawn(&["ask", "-m", "fake-n5-pause2", "hi"]);
    drop(first.stdin.take());
    let mut stdout = read_until(&mut first, "w1 ");
    let second = tool.spawn(&["ask", "-m", "echo", "me too"]);
    upstream.release();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "w2 w3 w4 \n");
    assert_eq!(finish(first).code, Some(0));
    let second = finish(second);
    assert_eq!(
        (second.code, second.stdout.as_str()),
        (Some(0), "Echo: me too\n"),
        "{second:?}"
    );
}
