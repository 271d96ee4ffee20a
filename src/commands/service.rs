//! `fireside service`: a systemd unit for the server, of the user who asks or of the whole machine.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{FAILED, Failed, terminal};
use crate::cli::{Scope, ServiceTask, Settings};
use crate::error::{Error, Kind};

/// What the unit is called.
const UNIT: &str = "fireside.service";

/// The first line of every unit that is written here: no other is overwritten or removed.
const MARK: &str = "# Made by fireside service install; fireside service uninstall removes it.";

/// There when systemd runs this machine.
const RUNNING: &str = "/run/systemd/system";

/// Does what was asked for with the service. Returns the exit code.
///
/// # Errors
/// What stands in the way, and what to do.
pub(super) fn service(settings: &Settings, task: ServiceTask) -> Result<u8, Failed> {
    match task {
        ServiceTask::Print(scope) => {
            terminal::print(&unit(scope, &program()?));
            Ok(0)
        }
        ServiceTask::Install(scope) => install(scope).map(|()| 0),
        ServiceTask::Uninstall(scope) => uninstall(settings, scope).map(|()| 0),
        ServiceTask::Status(scope) => status(scope),
    }
}

/// The unit. That of the machine runs as a user of its own who can write nothing but its data; that of a user keeps to
/// what systemd can do for a user without further rights.
fn unit(scope: Scope, program: &Path) -> String {
    let program = quoted(program);
    let (environment, own, wanted_by) = match scope {
        Scope::System => ("/etc/fireside/environment", SYSTEM, "multi-user.target"),
        Scope::User => ("%E/fireside/environment", "", "default.target"),
    };
    format!(
        "{MARK}\n\
         [Unit]\n\
         Description=Fireside, a chat server for AI models\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=exec\n\
         ExecStart={program} serve\n\
         # Settings and keys, one NAME=value a line; see fireside serve --help.\n\
         EnvironmentFile=-{environment}\n\
         Restart=on-failure\n\
         RestartSec=2\n\
         # It finishes what it is doing within 10 seconds.\n\
         TimeoutStopSec=20\n\
         LimitNOFILE=65536\n\
         UMask=0077\n\
         NoNewPrivileges=yes\n\
         LockPersonality=yes\n\
         MemoryDenyWriteExecute=yes\n\
         RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX\n\
         RestrictRealtime=yes\n\
         RestrictSUIDSGID=yes\n\
         SystemCallArchitectures=native\n\
         {own}\n\
         [Install]\n\
         WantedBy={wanted_by}\n"
    )
}

/// What only the system's manager can do for a service.
const SYSTEM: &str = "\
# A user of its own, and a folder of its own: /var/lib/fireside.
DynamicUser=yes
StateDirectory=fireside
StateDirectoryMode=0700
Environment=FIRESIDE_DATA=%S/fireside
WorkingDirectory=%S/fireside
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RestrictNamespaces=yes
CapabilityBoundingSet=
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
";

/// A path as systemd reads it.
fn quoted(path: &Path) -> String {
    let text = path
        .display()
        .to_string()
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%");
    if text.contains(char::is_whitespace) {
        format!("\"{text}\"")
    } else {
        text
    }
}

/// Where this program stands.
fn program() -> Result<PathBuf, Failed> {
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    program.map_err(|error| {
        let message = "This program does not find itself; start it by its whole path";
        Failed::from(Error::new(Kind::Unavailable, message).caused_by(error))
    })
}

fn folder(scope: Scope) -> Result<PathBuf, Failed> {
    if scope == Scope::System {
        return Ok(PathBuf::from("/etc/systemd/system"));
    }
    let given = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let config = given("XDG_CONFIG_HOME").or_else(|| given("HOME").map(|home| home.join(".config")));
    let config = config.ok_or_else(|| {
        let message = "There is no home folder for a user's service; install the machine's with --system";
        Failed::usage(Error::new(Kind::Malformed, message))
    })?;
    Ok(config.join("systemd/user"))
}

/// Nothing is written where nothing would read it.
fn require_systemd() -> Result<(), Failed> {
    if Path::new(RUNNING).is_dir() {
        return Ok(());
    }
    let message = "systemd does not run this machine. Have whatever starts programs here run fireside serve; \
                   fireside service install --dry-run prints the unit for another machine";
    Err(Failed::from(Error::new(Kind::Unavailable, message)))
}

fn install(scope: Scope) -> Result<(), Failed> {
    require_systemd()?;
    let folder = folder(scope)?;
    let path = folder.join(UNIT);
    require_ours(&path)?;
    let unit = unit(scope, &program()?);
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, unit));
    written.map_err(|error| unwritable(&path, error))?;
    systemctl(scope, &["daemon-reload"])?;
    systemctl(scope, &["enable", "--now", UNIT])?;
    terminal::note(&format!("Installed {} and started it", path.display()));
    terminal::note(match scope {
        Scope::System => "Its settings are read from /etc/fireside/environment, its data are in /var/lib/fireside",
        Scope::User => {
            "Its settings are read from ~/.config/fireside/environment. It ends when you log out, unless: loginctl \
             enable-linger"
        }
    });
    Ok(())
}

fn uninstall(settings: &Settings, scope: Scope) -> Result<(), Failed> {
    require_systemd()?;
    let path = folder(scope)?.join(UNIT);
    if !path.exists() {
        let message = format!("{} is not there; nothing was changed", path.display());
        return Err(Failed::from(Error::new(Kind::NotFound, message)));
    }
    require_ours(&path)?;
    systemctl(scope, &["disable", "--now", UNIT])?;
    std::fs::remove_file(&path).map_err(|error| unwritable(&path, error))?;
    systemctl(scope, &["daemon-reload"])?;
    let data = match scope {
        Scope::System => "/var/lib/fireside".to_owned(),
        Scope::User => settings.location.folder.display().to_string(),
    };
    terminal::note(&format!("Removed {}; the data stay in {data}", path.display()));
    Ok(())
}

fn status(scope: Scope) -> Result<u8, Failed> {
    require_systemd()?;
    let path = folder(scope)?.join(UNIT);
    if !path.exists() {
        terminal::print("not installed; fireside service install does that\n");
        return Ok(FAILED);
    }
    let mut command = manager(scope);
    let state = command.args(["is-active", UNIT]).output().map_err(no_systemctl)?;
    let word = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    terminal::print(&format!("{word}: {}\n", path.display()));
    if state.status.success() {
        return Ok(0);
    }
    terminal::note(match scope {
        Scope::System => "What it says: journalctl -u fireside",
        Scope::User => "What it says: journalctl --user -u fireside",
    });
    Ok(FAILED)
}

/// A unit that somebody else has written is left alone.
fn require_ours(path: &Path) -> Result<(), Failed> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.starts_with(MARK) => Ok(()),
        Ok(_) => {
            let message = format!("{} was not made by this command; move it away first", path.display());
            Err(Failed::from(Error::new(Kind::Conflict, message)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unwritable(path, error)),
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Failed {
    let hint = if error.kind() == ErrorKind::PermissionDenied {
        ": run it again with sudo, or without --system"
    } else {
        ""
    };
    let message = format!("{} cannot be written{hint}", path.display());
    Failed::from(Error::new(Kind::Forbidden, message).caused_by(error))
}

fn manager(scope: Scope) -> Command {
    let mut command = Command::new("systemctl");
    if scope == Scope::User {
        command.arg("--user");
    }
    command
}

fn no_systemctl(error: std::io::Error) -> Failed {
    Failed::from(Error::new(Kind::Unavailable, "systemctl cannot be run; is systemd installed?").caused_by(error))
}

fn systemctl(scope: Scope, words: &[&str]) -> Result<(), Failed> {
    let output = manager(scope).args(words).output().map_err(no_systemctl)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let message = format!("systemctl {} failed", words.join(" "));
    Err(Failed::from(Error::new(Kind::Unavailable, message).caused_by(said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_as_systemd_reads_them() {
        assert_eq!(quoted(Path::new("/usr/bin/fireside")), "/usr/bin/fireside");
        assert_eq!(quoted(Path::new("/a b/100%\"x")), "\"/a b/100%%\\\"x\"");
    }

    #[test]
    fn a_unit_of_somebody_else_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("fireside-unit-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(UNIT);
        assert!(require_ours(&path).is_ok());
        std::fs::write(&path, unit(Scope::User, Path::new("/x"))).unwrap();
        assert!(require_ours(&path).is_ok());
        std::fs::write(&path, "[Unit]\n").unwrap();
        let refused = require_ours(&path).unwrap_err().error.to_string();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(refused.contains("move it away first"), "{refused}");
    }
}
