//! What is different on a terminal. `script` plays one.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Tool, finish};
use crate::rig::{Exit, Launch, Scripted, TempDir, Upstream, streamed};

/// Runs a line of shell on a terminal; `type_in` types. `None` where there is no `script`.
#[track_caller]
fn on_terminal(tool: &Tool, line: &str, type_in: impl FnOnce(&mut Typist)) -> Option<Exit> {
    let found = Command::new("sh").args(["-c", "command -v script"]).output();
    if !found.is_ok_and(|found| found.status.success()) {
        eprintln!("skipped: there is no script here, which plays a terminal");
        return None;
    }
    // Shells have what they start in the background ignore Ctrl-C, and all that it starts inherits that.
    #[expect(unsafe_code, reason = "signal(2) takes numbers")]
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_DFL);
    }
    let mut child = Command::new("script")
        .args(["-qec", line, "/dev/null"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(tool.env.iter().map(|(name, value)| (name, value)))
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .env("FIRESIDE", env!("CARGO_BIN_EXE_fireside"))
        .env("FIRESIDE_DATA", tool.data())
        .env("FIRESIDE_NO_DISCOVERY", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("script starts");
    let mut typist = Typist {
        seen: String::new(),
        screen: child.stdout.take().expect("its stdout"),
        keys: child.stdin.take().expect("its stdin"),
    };
    type_in(&mut typist);
    let Typist {
        mut seen,
        mut screen,
        keys,
    } = typist;
    screen.read_to_string(&mut seen).expect("text");
    drop(keys);
    Some(Exit {
        stdout: seen,
        ..finish(child)
    })
}

/// Somebody at the terminal.
struct Typist {
    seen: String,
    screen: std::process::ChildStdout,
    keys: std::process::ChildStdin,
}

impl Typist {
    /// Waits until this is on the screen, and types then.
    #[track_caller]
    fn when(&mut self, wanted: &str, keys: &str) {
        while !self.seen.contains(wanted) {
            let mut piece = [0; 256];
            let count = self.screen.read(&mut piece).expect("a screen");
            assert!(count > 0, "no {wanted:?} in {}", self.seen);
            self.seen += &String::from_utf8_lossy(&piece[..count]);
        }
        self.keys.write_all(keys.as_bytes()).expect("a keyboard");
    }
}

#[test]
fn a_password_is_typed_twice_and_never_shown() {
    let tool = Tool::alone();
    let exit = on_terminal(&tool, "\"$FIRESIDE\" user add ann@example.com", |typist| {
        typist.when("Password: ", "hush hush\n");
        typist.when("Again: ", "hush hush\n");
    });
    let Some(exit) = exit else { return };
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert!(
        exit.stdout.contains("Made the administrator") && !exit.stdout.contains("hush"),
        "{exit:?}"
    );
    let exit = on_terminal(&tool, "\"$FIRESIDE\" user passwd ann@example.com", |typist| {
        typist.when("Password: ", "one\n");
        typist.when("Again: ", "another\n");
    });
    let exit = exit.expect("a script");
    assert_eq!(exit.code, Some(1));
    assert!(exit.stdout.contains("The two passwords differ"), "{exit:?}");
}

#[test]
fn ctrl_c_at_the_password_leaves_the_terminal_as_it_was() {
    let line = "trap : INT; \"$FIRESIDE\" user add ann@example.com; echo \"code $?\"; stty -a";
    let exit = on_terminal(&Tool::alone(), line, |typist| typist.when("Password: ", "\x03"));
    let Some(exit) = exit else { return };
    assert!(exit.stdout.contains("code 130"), "{exit:?}");
    assert!(
        exit.stdout.contains(" echo ") && !exit.stdout.contains("-echo "),
        "{exit:?}"
    );
}

#[test]
fn ctrl_c_while_a_reply_streams_stops_it_on_the_server() {
    let upstream = Upstream::start();
    let launch = Launch::new()
        .env("OPENAI_BASE_URL", &upstream.url())
        .env("OPENAI_API_KEY", Upstream::KEY);
    let server = launch.start();
    let ann = server.account("ann");
    let line = "trap : INT; \"$FIRESIDE\" ask -m fake-n5-pause2 hi < /dev/null; echo \"code $?\"; stty -a";
    let exit = on_terminal(&Tool::beside(&launch), line, |typist| typist.when("w1 ", "\x03"));
    let Some(exit) = exit else { return };
    for part in [
        "\r\nfireside: the reply is stopped\r\n",
        "code 130",
        " echo ",
        " icanon ",
    ] {
        assert!(exit.stdout.contains(part), "no {part:?} in {exit:?}");
    }
    let chats = server.get("/chats").bearer(&ann.token).send().json();
    let said = server.messages(&ann.token, chats["chats"][0]["id"].as_str().expect("an id"));
    assert_eq!(said[1], ("assistant".to_owned(), "w0 w1 ".to_owned()), "{said:?}");
}

/// Another process works on the data folder, for which the command waits.
#[test]
fn ctrl_c_after_the_password_ends_the_wait_and_shows_again_what_is_typed() {
    let tool = Tool::alone();
    std::fs::create_dir(tool.data()).expect("a folder");
    let lock = std::fs::File::create(tool.data().join("fireside.lock")).expect("a file");
    lock.lock().expect("a lock");
    let line = "trap : INT; \"$FIRESIDE\" user add ann@example.com; echo \"code $?\"; stty -a";
    let exit = on_terminal(&tool, line, |typist| {
        typist.when("Password: ", "hush\n");
        typist.when("Again: ", "hush\n");
        typist.when("Again: \r\n", "\x03");
    });
    let Some(exit) = exit else { return };
    assert!(exit.stdout.contains("code 130"), "{exit:?}");
    assert!(
        exit.stdout.contains(" echo ") && !exit.stdout.contains("-echo "),
        "{exit:?}"
    );
    drop(lock);
    tool.add("ann");
}

/// The line that shows how far something has come is written over, never wider than a terminal, and gone at the end.
#[test]
fn progress_is_one_line_of_a_terminal_and_nothing_elsewhere() {
    let tool = Tool::alone();
    tool.add("ann");
    let server = Launch::new().start();
    server.account("ann");
    let beside = Tool::beside(server.launch());
    let file = TempDir::new();
    let path = file.join("conversations.json");
    let mapping = json!({"a": {"message": {"author": {"role": "user"}, "content": {"parts": ["x".repeat(2000)]}}}});
    let list: Vec<Value> = (0..5000)
        .map(|number| json!({"id": number, "mapping": mapping}))
        .collect();
    std::fs::write(&path, Value::Array(list).to_string()).expect("a file");
    let path = path.display().to_string();
    let line = format!("stty cols 80; \"$FIRESIDE\" import '{path}'");
    let Some(exit) = on_terminal(&beside, &line, |_| {}) else {
        return;
    };
    assert_eq!(exit.code, Some(0), "{exit:?}");
    let shown: Vec<&str> = exit.stdout.split("\r\x1b[K").collect();
    assert!(shown.len() > 2, "{exit:?}");
    let (last, pieces) = shown.split_last().expect("pieces");
    for piece in pieces {
        assert!(piece.chars().count() < 80 && !piece.contains('\n'), "{piece:?}");
    }
    assert!(last.contains("5000 imported"), "{last:?}");
    let exit = tool.run(&["import", &path]);
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), ""), "{exit:?}");
}

#[test]
fn deleting_asks_first() {
    let tool = Tool::alone();
    tool.add("ann");
    tool.add("bob");
    let line = "\"$FIRESIDE\" user delete bob@example.com";
    let count = || tool.json(&["user", "list", "--json"]).as_array().map(Vec::len);
    let exit = on_terminal(&tool, line, |typist| typist.when("for good? [y/N] ", "\n"));
    let Some(exit) = exit else { return };
    assert_eq!((exit.code, count()), (Some(1), Some(2)), "{exit:?}");
    on_terminal(&tool, line, |typist| typist.when("for good? [y/N] ", "y\n"));
    assert_eq!(count(), Some(1));
}

/// What a model thinks is dim and on stderr, and what it says does not move the cursor.
#[test]
fn thoughts_are_dim_and_replies_harmless() {
    let upstream = Scripted::start(vec![streamed(&[
        r#"{"choices":[{"index":0,"delta":{"reasoning_content":"Hm."}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"a\u001b[2Jb"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ])]);
    let tool = Tool::alone()
        .env("OPENAI_BASE_URL", &upstream.url())
        .env("OPENAI_API_KEY", "a key");
    tool.add("ann");
    let exit = tool.run(&["ask", "-m", "openai/x", "hi"]);
    assert_eq!(
        (exit.stdout.as_str(), exit.stderr.as_str()),
        ("a\x1b[2Jb\n", "Hm.\n"),
        "{exit:?}"
    );
    let line = "\"$FIRESIDE\" ask -m openai/x hi < /dev/null";
    let Some(exit) = on_terminal(&tool, line, |_| {}) else {
        return;
    };
    assert!(exit.stdout.contains("\x1b[2mHm.\x1b[0m"), "{exit:?}");
    assert!(
        exit.stdout.contains("a[2Jb") && !exit.stdout.contains("\x1b[2J"),
        "{exit:?}"
    );
    let exit = on_terminal(&tool.env("NO_COLOR", "1"), line, |_| {}).expect("a script");
    assert!(exit.stdout.contains("Hm.") && !exit.stdout.contains('\x1b'), "{exit:?}");
}
