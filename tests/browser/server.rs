//! What the tests of the web UI run: a server process, which can go away and come back, and a browser.

use headless_chrome::{Browser, LaunchOptions};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::model::Model;
use crate::rig::{DESKTOP, PATIENCE};

/// A server and a browser; none where there is no Chromium.
pub(crate) fn start() -> Option<(Server, Browser)> {
    start_with(None)
}

/// The same, with replies from a model of the test's own.
pub(crate) fn start_with(model: Option<&Model>) -> Option<(Server, Browser)> {
    start_as(model, &[])
}

/// The same, with further flags.
pub(crate) fn start_as(model: Option<&Model>, flags: &[&str]) -> Option<(Server, Browser)> {
    let Some(chromium) = find_chromium() else {
        let required = std::env::var_os("FIRESIDE_TEST_BROWSER").is_some_and(|value| value == "required");
        assert!(
            !required,
            "FIRESIDE_TEST_BROWSER=required, but there is no Chromium in CHROME or PATH"
        );
        eprintln!("skipped: no Chromium in CHROME or PATH");
        return None;
    };
    let server = Server::start(model, flags);
    let browser = launch(&chromium, &server.dir.join("browser"));
    Some((server, browser))
}

/// The server on a port and a directory of its own, gone when dropped.
pub(crate) struct Server {
    child: Option<Child>,
    dir: PathBuf,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    /// Scheme, host and port, without a slash at the end.
    pub(crate) origin: String,
    /// Where the first account is made, if the server has said so.
    pub(crate) setup: Option<String>,
}

impl Server {
    fn start(model: Option<&Model>, flags: &[&str]) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "browser-{}-{}",
            std::process::id(),
            COUNTER.fetch_add(1, Ordering::Relaxed)
        );
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(dir.join("data")).expect("a directory for the test");
        let mut server = Self {
            child: None,
            dir,
            flags: flags.iter().map(ToString::to_string).collect(),
            environment: model.map(Model::environment).into_iter().flatten().collect(),
            origin: String::new(),
            setup: None,
        };
        server.run("0");
        server
    }

    fn run(&mut self, port: &str) {
        let child = Command::new(env!("CARGO_BIN_EXE_fireside"))
            .args(["serve", "--port", port, "--data"])
            .arg(self.dir.join("data"))
            .args(&self.flags)
            // The developer's own settings would change the server, and their keys make a real model answer.
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        // From here on a panic stops the server too.
        let stdout = self.child.insert(child).stdout.take().expect("a pipe");
        let (sender, lines) = mpsc::channel();
        // Reads to the end, so that the server never writes into a closed or a full pipe.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
        let address = || {
            let line: String = lines.recv_timeout(PATIENCE).expect("the server prints its address");
            let from = line.find("http://")?;
            Some(line[from..].split_whitespace().next().unwrap_or_default().to_owned())
        };
        let first = std::iter::repeat_with(address).flatten().next().unwrap_or_default();
        let authority = first["http://".len()..].split('/').next().unwrap_or_default();
        self.origin = format!("http://{authority}");
        // Both lines are written before the first request is taken.
        let is_private = !self.flags.iter().any(|flag| flag == "--trusted-proxy");
        self.setup = (!is_private).then(address).flatten();
    }

    /// The database, for what no request can make: the past.
    pub(crate) fn database(&self) -> PathBuf {
        self.dir.join("data/fireside.db")
    }

    /// Ends the server as a power cut would.
    pub(crate) fn go_away(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Runs it again where it was.
    pub(crate) fn come_back(&mut self) {
        let port = self.origin.rsplit(':').next().unwrap_or_default().to_owned();
        self.run(&port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.go_away();
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// The browser, ended by its own guard when dropped. The profile is thrown away with the server's directory.
fn launch(chromium: &Path, profile: &Path) -> Browser {
    fs::create_dir_all(profile).expect("a directory for the profile");
    // A headless browser has no mouse and would show what is meant for touch screens.
    let mouse =
        "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4";
    let options = LaunchOptions {
        path: Some(chromium.to_owned()),
        user_data_dir: Some(profile.to_owned()),
        sandbox: !runs_as_root(profile),
        window_size: Some(DESKTOP),
        idle_browser_timeout: PATIENCE * 4,
        args: ["--disable-component-update", "--no-first-run", mouse]
            .map(OsStr::new)
            .to_vec(),
        ..LaunchOptions::default()
    };
    Browser::new(options).expect("Chromium starts")
}

/// Chromium's sandbox does not work for root. What we have made belongs to us, which tells without a system call.
#[cfg(unix)]
fn runs_as_root(made: &Path) -> bool {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata(made).expect("what we have made is there")) == 0
}

#[cfg(not(unix))]
fn runs_as_root(_made: &Path) -> bool {
    false
}

fn find_chromium() -> Option<PathBuf> {
    if let Some(chrome) = std::env::var_os("CHROME") {
        return Some(chrome.into());
    }
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.iter().find_map(|name| {
        std::env::split_paths(&path)
            .map(|dir| dir.join(name))
            .find(|file| file.is_file())
    })
}
