//! A disk that loses what was not synced, and one that fails: `layer.c` under the server. What the server acknowledges,
//! and what it then still has, is the tests' part.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::rig::{Exit, Launch, PATIENCE, Server};

/// The library, built once; `None` with a printed reason where it cannot be.
fn library() -> Option<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        if !cfg!(target_os = "linux") {
            return Err("its layer below the program is for Linux".to_string());
        }
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fireside-disk.so");
        // Another run of the tests may be building it, too.
        let part = library.with_extension(format!("{}.so", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/durability/layer.c");
        let done = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
            .args([&part, &source])
            .args(["-ldl", "-lpthread"])
            .output()
            .map_err(|error| format!("no C compiler: cc: {error}"))?;
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "layer.c: {said}");
        std::fs::rename(&part, &library).expect("a library");
        Ok(library)
    });
    match built {
        Ok(library) => Some(library),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// How much of what was not synced the disk has after a cut, in sixty-fourths: a disk may have kept any part of it.
const KEPT: [usize; 5] = [0, 8, 32, 56, 63];

/// The disk below the servers of one folder.
pub(crate) struct Disk {
    plain: Launch,
    library: &'static Path,
}

impl Disk {
    /// A disk below whatever `launch` starts; `None` with a printed reason where there can be none.
    pub(crate) fn below(launch: &Launch) -> Option<Disk> {
        let library = library()?;
        std::fs::create_dir_all(launch.data()).expect("a folder");
        Some(Disk {
            plain: launch.clone(),
            library,
        })
    }

    fn state(&self) -> PathBuf {
        self.plain.home().join("disk")
    }

    /// The server on this disk, which keeps these rules from the start; see `layer.c` for what they are.
    pub(crate) fn launch(&self, rules: &[String]) -> Launch {
        // What an earlier run has left.
        std::fs::remove_dir_all(self.state()).ok();
        std::fs::create_dir(self.state()).expect("a folder");
        let text = |path: &Path| path.display().to_string();
        let launch = self.plain.clone().env("LD_PRELOAD", &text(self.library));
        let launch = launch.env("DISK_DATA", &text(&self.plain.data()));
        let launch = launch.env("DISK_STATE", &text(&self.state()));
        launch.env("DISK_RULES", &rules.join(";"))
    }

    /// Gives the disk of a running server one more rule; returns how many failures have struck.
    pub(super) fn rule(&self, rule: &str) -> u64 {
        let mut socket = UnixStream::connect(self.state().join("control")).expect("the layer listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.write_all(format!("{rule}\n").as_bytes()).expect("a rule");
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).expect("an answer");
        line.trim().parse().expect("a number")
    }

    /// Where the server has connected to, once each.
    pub(crate) fn connections(&self) -> BTreeSet<String> {
        let log = std::fs::read_to_string(self.state().join("connections")).unwrap_or_default();
        log.lines().map(str::to_string).collect()
    }

    /// Cuts the power, unless it is gone already.
    pub(super) fn cut(&self, kept: usize, seed: u64) {
        if let Ok(mut socket) = UnixStream::connect(self.state().join("control")) {
            // Nobody hears an answer.
            socket.write_all(format!("cut 0 {kept} {seed}\n").as_bytes()).ok();
        }
    }

    /// Cuts the power under a running server; the folder becomes what the disk holds.
    pub(super) fn cut_under(&self, mut server: Server, kept: usize, seed: u64) -> Exit {
        self.cut(kept, seed);
        let exit = server.wait(PATIENCE);
        self.swap();
        exit
    }

    /// After a cut: the folder becomes what the disk holds.
    pub(super) fn swap(&self) {
        std::fs::remove_dir_all(self.plain.data()).expect("the folder");
        std::fs::rename(self.state().join("image"), self.plain.data()).expect("the power was cut");
    }
}

/// How much is kept in one round.
pub(super) fn kept(round: usize) -> usize {
    KEPT[round % KEPT.len()]
}
