//! `fireside service`, and the files in `examples/` that put the server somewhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Tool;
use crate::rig::TempDir;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// Whether a tool is there; says so if not, as this is why a test looks at less.
fn has(tool: &str) -> bool {
    let found = Command::new("sh").arg("-c").arg(format!("command -v {tool}")).output();
    let is_there = found.is_ok_and(|found| found.status.success());
    if !is_there {
        eprintln!("skipped: there is no {tool} here");
    }
    is_there
}

/// The unit as it would be on a machine that has the program where packages put it.
fn printed(scope: &[&str]) -> String {
    let unit = Tool::alone().does(&[&["service", "install", "--dry-run"], scope].concat());
    let program = Path::new(env!("CARGO_BIN_EXE_fireside"))
        .canonicalize()
        .expect("the program");
    unit.replace(&program.display().to_string(), "/usr/local/bin/fireside")
}

#[test]
fn the_unit_is_the_one_among_the_examples() {
    let unit = printed(&["--system"]);
    let path = example("fireside.service");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &unit).expect("a file");
    }
    let kept = std::fs::read_to_string(&path).expect("a unit");
    assert_eq!(unit, kept, "UPDATE=1 cargo test --test server the_unit_is");
}

#[test]
fn systemd_takes_the_units() {
    let own = printed(&[]);
    assert!(
        own.contains("WantedBy=default.target") && !own.contains("DynamicUser"),
        "{own}"
    );
    if !has("systemd-analyze") {
        return;
    }
    let folder = TempDir::new();
    for (flag, unit) in [("--system", printed(&["--system"])), ("--user", own)] {
        let path = folder.join("fireside.service");
        // What it starts must be there.
        std::fs::write(&path, unit.replace("/usr/local/bin/fireside", "/bin/true")).expect("a file");
        let verified = Command::new("systemd-analyze")
            .args([flag, "verify", "--man=no", "--recursive-errors=no"])
            .arg(&path)
            .env("XDG_RUNTIME_DIR", folder.path())
            .output()
            .expect("systemd-analyze");
        let said = String::from_utf8_lossy(&verified.stderr);
        let about_it: Vec<&str> = said.lines().filter(|line| line.contains("fireside.service")).collect();
        assert!(about_it.is_empty(), "{flag}: {said}");
    }
}

#[test]
fn without_systemd_it_says_what_to_do() {
    if Path::new("/run/systemd/system").exists() {
        eprintln!("skipped: systemd runs this machine, and nothing is to be installed on it");
        return;
    }
    let tool = Tool::alone();
    for words in [
        &["service", "install"][..],
        &["service", "uninstall"],
        &["service", "status", "--system"],
    ] {
        tool.refuses(
            words,
            1,
            &["systemd does not run this machine", "fireside serve", "--dry-run"],
        );
    }
    tool.refuses(&["service"], 2, &["install", "uninstall", "status"]);
}

#[test]
fn proxies_take_their_examples() {
    let folder = TempDir::new();
    if has("nginx") {
        let whole = format!(
            "pid {0}/pid; error_log stderr; events {{}} http {{ access_log off; include {1}; }}",
            folder.path().display(),
            example("nginx.conf").display()
        );
        let path = folder.join("nginx.conf");
        std::fs::write(&path, whole).expect("a file");
        let tested = Command::new("nginx")
            .arg("-t")
            .arg("-c")
            .arg(&path)
            .output()
            .expect("nginx");
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    }
    if has("caddy") {
        let path = example("Caddyfile");
        let tested = Command::new("caddy")
            .args(["validate", "--adapter", "caddyfile", "--config"])
            .arg(&path)
            .output();
        let tested = tested.expect("caddy");
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    }
    if has("desktop-file-validate") {
        let tested = Command::new("desktop-file-validate")
            .arg(example("fireside.desktop"))
            .output();
        let tested = tested.expect("desktop-file-validate");
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
    }
}

/// What doctor tells people to write stands in the examples, and the container asks for its health.
#[test]
fn the_examples_say_what_doctor_says() {
    let text = |name: &str| std::fs::read_to_string(example(name)).expect("an example");
    for (name, lines) in [
        (
            "nginx.conf",
            &[
                "proxy_buffering off;",
                "proxy_set_header Upgrade $http_upgrade;",
                "client_max_body_size 30m;",
                "client_max_body_size 260m;",
            ][..],
        ),
        ("Caddyfile", &["flush_interval -1", "max_size 30MB", "max_size 260MiB"]),
        (
            "Dockerfile",
            &["FROM scratch", "HEALTHCHECK", "\"/fireside\", \"health\""],
        ),
        (
            "fireside.desktop",
            &["[Desktop Entry]", "Type=Application", "Exec=fireside"],
        ),
    ] {
        let text = text(name);
        for line in lines {
            assert!(text.contains(line), "no {line:?} in {name}");
        }
    }
    for name in ["nginx.conf", "Caddyfile"] {
        assert!(
            text(name).contains("--public-url"),
            "{name}: behind a proxy the server must know its address"
        );
    }
}
