//! The server as a child process with a folder of its own (`data`, `work` as its working directory, `home`), an
//! environment that holds nothing but what the test gives it, and its output captured. It is killed and waited for on drop.

use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Call, Connection, PATIENCE, TempDir, until};

/// What to start, and where.
#[derive(Clone)]
pub(crate) struct Launch {
    home: Arc<TempDir>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    prelude: Option<String>,
    uid: Option<u32>,
    program: PathBuf,
}

impl Launch {
    /// `serve` on a free port with a data directory of its own.
    pub(crate) fn new() -> Launch {
        let mut launch = Launch::command(&["serve", "--port", "0"]);
        let data = launch.data().display().to_string();
        launch.args.extend(["--data".to_string(), data]);
        launch
    }

    /// Exactly these words.
    pub(crate) fn command(words: &[&str]) -> Launch {
        let home = Arc::new(TempDir::new());
        for folder in ["work", "home"] {
            std::fs::create_dir(home.join(folder)).expect("a folder");
        }
        let args = words.iter().map(|word| (*word).to_string()).collect();
        Launch {
            home,
            args,
            env: Vec::new(),
            prelude: None,
            uid: None,
            program: env!("CARGO_BIN_EXE_fireside").into(),
        }
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Launch {
        self.args.extend(args.iter().map(|arg| (*arg).to_string()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Launch {
        self.env.push((name.to_string(), value.to_string()));
        self
    }

    /// A shell command to run in the child before it becomes the server, such as `umask 000`.
    pub(crate) fn prelude(mut self, command: &str) -> Launch {
        self.prelude = Some(command.to_string());
        self
    }

    /// Another user to run as, and a copy of the program which that user can reach.
    pub(crate) fn user(mut self, uid: u32, program: &Path) -> Launch {
        self.uid = Some(uid);
        self.program = program.to_path_buf();
        self
    }

    /// Another build of the program, and the shell command that runs it, where `"$0" "$@"` is the program and its words.
    pub(crate) fn program(mut self, program: &Path, command: &str) -> Launch {
        self.program = program.to_path_buf();
        self.prelude(&format!("exec {command}"))
    }

    /// The `.env` file of the working directory.
    pub(crate) fn dotenv(self, text: &str) -> Launch {
        std::fs::write(self.home.join("work/.env"), text).expect("a .env file");
        self
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.home.join("data/fireside.db")
    }

    /// Starts the server and waits until it says that it is ready.
    #[track_caller]
    pub(crate) fn start(&self) -> Server {
        let mut process = self.spawn();
        let address = until(PATIENCE, "the line that says the server is ready", || {
            let text = process.stdout();
            if let Some(status) = process.exited() {
                panic!("the server left with {status}\n{text}{}", process.stderr());
            }
            text.lines().filter(|_| text.ends_with('\n')).find_map(address_of)
        });
        Server {
            address,
            process,
            launch: self.clone(),
        }
    }

    /// Runs the program to its end, which must come within the usual patience.
    #[track_caller]
    pub(crate) fn run(&self) -> Exit {
        let mut process = self.spawn();
        process.exit(PATIENCE)
    }

    /// Runs the program until it leaves by itself or, once it is ready, until `visit` is over and it has been stopped.
    #[track_caller]
    pub(crate) fn run_briefly(&self, visit: impl FnOnce(&Server)) -> Exit {
        let mut process = self.spawn();
        let address = until(PATIENCE, "the server is ready or leaves", || {
            let ready = process.stdout().lines().find_map(address_of).map(Some);
            ready.or_else(|| process.exited().map(|_| None))
        });
        let Some(address) = address else {
            return process.exit(PATIENCE);
        };
        let server = Server {
            address,
            process,
            launch: self.clone(),
        };
        visit(&server);
        server.stop()
    }

    fn spawn(&self) -> Process {
        let mut command = match &self.prelude {
            None => Command::new(&self.program),
            Some(prelude) => {
                let mut shell = Command::new("sh");
                shell
                    .arg("-c")
                    .arg(format!("{prelude}; exec \"$0\" \"$@\""))
                    .arg(&self.program);
                shell
            }
        };
        command.args(&self.args).env_clear().current_dir(self.home.join("work"));
        command
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.join("home"))
            // Whatever else runs on this machine is nothing to the tests.
            .env("FIRESIDE_NO_DISCOVERY", "true");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        let mut child = command.spawn().expect("the program starts");
        let stdout = Collector::new(child.stdout.take().expect("its stdout"));
        let stderr = Collector::new(child.stderr.take().expect("its stderr"));
        Process {
            child,
            started: Instant::now(),
            stdout,
            stderr,
        }
    }
}

/// The port of a line that holds an address; all servers here are reached over loopback.
fn address_of(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    let authority = rest.split(|c: char| c == '/' || c.is_whitespace()).next()?;
    let (_, port) = authority.rsplit_once(':')?;
    Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)))
}

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Exit {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) after: Duration,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

struct Process {
    child: Child,
    started: Instant,
    stdout: Collector,
    stderr: Collector,
}

impl Process {
    fn stdout(&self) -> String {
        self.stdout.text()
    }

    fn stderr(&self) -> String {
        self.stderr.text()
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child can be asked")
    }

    #[track_caller]
    fn exit(&mut self, patience: Duration) -> Exit {
        let status = until(patience, "the program ends", || self.exited());
        let after = self.started.elapsed();
        self.stdout.finish();
        self.stderr.finish();
        assert!(status.code().is_some() || status.signal().is_some(), "{status}");
        Exit {
            code: status.code(),
            after,
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killing fails only when it has already ended.
        self.child.kill().ok();
        self.child.wait().expect("the child is waited for");
        self.stdout.finish();
        self.stderr.finish();
    }
}

/// A thread that reads a pipe to its end.
struct Collector {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    fn new(mut pipe: impl Read + Send + 'static) -> Collector {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let thread = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                sink.lock()
                    .expect("no one panics with it")
                    .extend_from_slice(&chunk[..count]);
            }
        });
        Collector {
            bytes,
            thread: Some(thread),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no one panics with it")).into_owned()
    }

    fn finish(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the reader ends with its pipe");
        }
    }
}

/// An account of a test and a token for it.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) token: String,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    process: Process,
    launch: Launch,
}

impl Server {
    #[track_caller]
    pub(crate) fn start() -> Server {
        Launch::new().start()
    }

    pub(crate) fn launch(&self) -> &Launch {
        &self.launch
    }

    pub(crate) fn call(&self, method: &str, target: &str) -> Call {
        Call::new(self.address, method, target)
    }

    pub(crate) fn get(&self, target: &str) -> Call {
        self.call("GET", target)
    }

    pub(crate) fn post(&self, target: &str) -> Call {
        self.call("POST", target)
    }

    pub(crate) fn patch(&self, target: &str) -> Call {
        self.call("PATCH", target)
    }

    pub(crate) fn put(&self, target: &str) -> Call {
        self.call("PUT", target)
    }

    pub(crate) fn delete(&self, target: &str) -> Call {
        self.call("DELETE", target)
    }

    #[track_caller]
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Registers `<name>@example.com`.
    #[track_caller]
    pub(crate) fn account(&self, name: &str) -> Account {
        let (email, password) = (format!("{name}@example.com"), format!("the password of {name}"));
        let reply = self
            .post("/auth/register")
            .json(&json!({"email": email, "password": password}))
            .send();
        assert_eq!(reply.status, 201, "{}", reply.text());
        let user = reply.json();
        let field = |name: &str| user[name].as_str().expect("a string").to_string();
        Account {
            id: field("id"),
            token: field("access_token"),
            email,
            password,
        }
    }

    /// Logs in once more: another session of the same account.
    #[track_caller]
    pub(crate) fn login(&self, account: &Account) -> String {
        let body = json!({"email": account.email, "password": account.password});
        let reply = self.post("/auth/login").json(&body).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["access_token"].as_str().expect("a token").to_string()
    }

    /// Creates a chat and returns the object.
    #[track_caller]
    pub(crate) fn chat(&self, token: &str, title: &str) -> Value {
        let reply = self.post("/chats").bearer(token).json(&json!({"title": title})).send();
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()
    }

    /// The messages of a chat as (role, content), oldest first.
    #[track_caller]
    pub(crate) fn messages(&self, token: &str, chat: &str) -> Vec<(String, String)> {
        let reply = self.get(&format!("/chats/{chat}/messages")).bearer(token).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let text = |value: &Value| value.as_str().expect("a string").to_string();
        reply
            .json()
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| (text(&row["role"]), text(&row["content"])))
            .collect()
    }

    #[track_caller]
    pub(crate) fn check_alive(&self) {
        assert_eq!(self.get("/health").send().status, 200, "{}", self.stderr());
    }

    pub(crate) fn stdout(&self) -> String {
        self.process.stdout()
    }

    pub(crate) fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.process.child.id());
        let status = Command::new("sh").arg("-c").arg(line).status().expect("a shell");
        assert!(status.success(), "kill -{name}");
    }

    /// Waits for the end of a server that was told to stop.
    #[track_caller]
    pub(crate) fn wait(&mut self, patience: Duration) -> Exit {
        self.process.exit(patience)
    }

    /// SIGTERM and wait.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Exit {
        self.signal("TERM");
        self.wait(PATIENCE)
    }

    /// SIGKILL and wait.
    pub(crate) fn kill(&mut self) {
        self.process.child.kill().ok();
        self.process.child.wait().expect("the child is waited for");
    }

    /// Stops it if it still runs, with SIGTERM, and starts it again in the same folder, perhaps on another port.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        if self.process.exited().is_none() {
            self.signal("TERM");
            self.wait(PATIENCE);
        }
        let launch = self.launch.clone();
        *self = launch.start();
    }

    /// Resident memory in KiB.
    pub(crate) fn rss_kib(&self) -> u64 {
        self.status_of("VmRSS:")
    }

    /// The most it has been.
    pub(crate) fn peak_rss_kib(&self) -> u64 {
        self.status_of("VmHWM:")
    }

    /// Threads without those which come as they are needed, up to a number, and stay.
    pub(crate) fn threads(&self) -> usize {
        let folder = format!("/proc/{}/task", self.process.child.id());
        let threads = std::fs::read_dir(folder).expect("the child's threads").flatten();
        let names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
        let is_lasting = |name: &String| {
            let crews = ["worker-", "receiver-", "hash-", "render-"];
            !crews.iter().any(|crew| name.starts_with(crew))
        };
        names.filter(is_lasting).count()
    }

    /// Descriptors without those of the database, of which each reader that is needed, up to a number, has its own.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process.child.id());
        let descriptors = std::fs::read_dir(folder).expect("the child's descriptors").flatten();
        let targets = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
        targets
            .filter(|target| !target.to_string_lossy().contains("fireside.db"))
            .count()
    }

    fn status_of(&self, key: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).expect("the child's status");
        let line = status.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("a number")
    }
}
