//! The binary of `examples/raspberry-pi.sh`, run by qemu: that it starts, keeps what it has acknowledged and finds a
//! provider by its name, which a static glibc does with modules of the system that it finds there. `FIRESIDE_TEST_ARM64`
//! names the binary; without it, and without qemu, the test says that it is skipped.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::rig::{End, Launch, Server, Stream, TempDir, Upstream, text_of};

/// The emulator of a single program; Debian's package of it is qemu-user-static.
const QEMU: &str = "qemu-aarch64-static";

/// A name that only the hosts file of [`system`] knows.
const NAME: &str = "models.fireside.test";

fn binary() -> Option<PathBuf> {
    let Some(binary) = std::env::var_os("FIRESIDE_TEST_ARM64") else {
        println!("skipped: FIRESIDE_TEST_ARM64 names no binary (sh examples/raspberry-pi.sh builds one)");
        return None;
    };
    if Command::new(QEMU).arg("--version").output().is_err() {
        println!("skipped: no {QEMU} on this machine (apt install qemu-user-static)");
        return None;
    }
    // The program is started in a folder of its own.
    Some(std::fs::canonicalize(binary).expect("FIRESIDE_TEST_ARM64 names a file"))
}

/// What the program finds in `/etc` instead of this machine's. As on Raspberry Pi OS a module is asked first that a
/// static program has to load, and here cannot.
fn system() -> TempDir {
    let root = TempDir::new();
    std::fs::create_dir(root.join("etc")).expect("a folder");
    std::fs::write(root.join("etc/hosts"), format!("127.0.0.1 localhost {NAME}\n")).expect("a file");
    std::fs::write(root.join("etc/nsswitch.conf"), "hosts: elsewhere files\n").expect("a file");
    root
}

#[track_caller]
fn ask(server: &Server, token: &str, chat: &str, model: &str, text: &str) {
    let body = json!({"message": text, "chat_id": chat, "model": model});
    let reply = server.post("/chat").bearer(token).json(&body).send();
    assert_eq!(reply.status, 200, "{}\n{}", reply.text(), server.stderr());
}

#[test]
fn the_binary_for_a_raspberry_pi_works() {
    let Some(binary) = binary() else {
        return;
    };
    let (root, upstream) = (system(), Upstream::start());
    let launch = Launch::new()
        .program(&binary, &format!("{QEMU} \"$0\" \"$@\""))
        .env("QEMU_LD_PREFIX", &root.path().display().to_string())
        .env("OPENAI_BASE_URL", &upstream.url().replace("127.0.0.1", NAME))
        .env("OPENAI_API_KEY", Upstream::KEY);
    let mut server = launch.start();
    server.check_alive();
    let ann = server.account("ann");
    let chat = server.chat(&ann.token, "on a Pi")["id"]
        .as_str()
        .expect("an id")
        .to_string();

    ask(&server, &ann.token, &chat, "echo", "hello");
    let body = json!({"message": "as it comes", "chat_id": chat, "model": "echo"});
    let mut stream = Stream::events(server.post("/chat").bearer(&ann.token).json(&body));
    let (events, end) = stream.rest();
    assert_eq!((text_of(&events).as_str(), end), ("Echo: as it comes", End::Whole));
    ask(&server, &ann.token, &chat, "fake-n2", "by name");
    assert_eq!(upstream.completions().len(), 1);

    let written = server.messages(&ann.token, &chat);
    assert_eq!(written.len(), 6, "{written:?}");
    assert_eq!(written[1].1, "Echo: hello");
    server.kill();
    server.restart();
    assert_eq!(server.messages(&ann.token, &chat), written);
    let token = server.login(&ann);
    ask(&server, &token, &chat, "echo", "still there?");

    let exit = server.stop();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    let log = std::fs::metadata(launch.data().join("fireside.db-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0, "the log was folded in");
}
