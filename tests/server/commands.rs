//! The commands of the command line, with a server running on the data folder and without one.

mod ask;
mod doctor;
mod keys;
mod local;
mod plain;
mod service;
mod signals;
mod strangers;
mod terminal;
mod transcripts;
mod transfers;
mod users;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::rig::{Exit, Launch, PATIENCE, TempDir, until};

/// The program with a data folder, and an environment that holds nothing else.
struct Tool {
    data: PathBuf,
    env: Vec<(String, String)>,
    /// For a folder that is nobody else's.
    _home: Option<TempDir>,
}

impl Tool {
    /// On a folder that does not exist yet.
    fn alone() -> Tool {
        let home = TempDir::new();
        Tool {
            data: home.join("data"),
            env: Vec::new(),
            _home: Some(home),
        }
    }

    /// On the data folder of a server.
    fn beside(launch: &Launch) -> Tool {
        Tool {
            data: launch.data(),
            env: Vec::new(),
            _home: None,
        }
    }

    fn env(mut self, name: &str, value: &str) -> Tool {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn data(&self) -> &Path {
        &self.data
    }

    /// Starts it, with pipes.
    fn spawn(&self, words: &[&str]) -> Child {
        self.start(Command::new(env!("CARGO_BIN_EXE_fireside")).args(words))
    }

    /// Starts this, with what belongs to every command.
    fn start(&self, command: &mut Command) -> Child {
        command
            .env_clear()
            .env("FIRESIDE_DATA", &self.data)
            .env("FIRESIDE_NO_DISCOVERY", "true")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    }

    /// Runs it to its end with this on stdin.
    #[track_caller]
    fn run_with(&self, words: &[&str], stdin: &str) -> Exit {
        let mut child = self.spawn(words);
        // It may be gone without having read it.
        child.stdin.take().expect("its stdin").write_all(stdin.as_bytes()).ok();
        finish(child)
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> Exit {
        self.run_with(words, "")
    }

    /// What it prints when all goes well.
    #[track_caller]
    fn does_with(&self, words: &[&str], stdin: &str) -> String {
        let exit = self.run_with(words, stdin);
        assert_eq!(exit.code, Some(0), "{words:?}: {exit:?}");
        exit.stdout
    }

    #[track_caller]
    fn does(&self, words: &[&str]) -> String {
        self.does_with(words, "")
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.does(words)).expect("JSON")
    }

    /// It fails with this exit code and a sentence with these words, and without a panic.
    #[track_caller]
    fn refuses(&self, words: &[&str], code: i32, sentence: &[&str]) -> Exit {
        let exit = self.run(words);
        assert_eq!(exit.code, Some(code), "{words:?}: {exit:?}");
        for part in sentence {
            assert!(exit.stderr.contains(part), "{words:?}: no {part:?} in {}", exit.stderr);
        }
        assert!(!exit.stderr.contains("panicked"), "{}", exit.stderr);
        exit
    }

    /// Makes the account `<name>@example.com`.
    #[track_caller]
    fn add(&self, name: &str) -> Exit {
        let email = format!("{name}@example.com");
        let exit = self.run_with(
            &["user", "add", &email, "--password-stdin"],
            &format!("the password of {name}\n"),
        );
        assert_eq!(exit.code, Some(0), "{exit:?}");
        exit
    }
}

/// Waits for the end of a child, reading all that it writes.
#[track_caller]
fn finish(child: Child) -> Exit {
    finish_within(child, PATIENCE)
}

/// The same for what takes its time.
#[track_caller]
fn finish_within(mut child: Child, patience: Duration) -> Exit {
    let started = Instant::now();
    drop(child.stdin.take());
    let collect = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = String::new();
            pipe.into_iter().for_each(|mut pipe| {
                pipe.read_to_string(&mut text).expect("text");
            });
            text
        })
    };
    let stdout = collect(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = collect(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let status = until(patience, "the command ends", || {
        child.try_wait().expect("the child can be asked")
    });
    Exit {
        code: status.code(),
        after: started.elapsed(),
        stdout: stdout.join().expect("no panic"),
        stderr: stderr.join().expect("no panic"),
    }
}
