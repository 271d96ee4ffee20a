//! `fireside serve`, and `fireside` alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::logger;
use crate::api::Service;
use crate::app::App;
use crate::cli::Settings;
use crate::error::{Error, Kind};
use crate::http::{Engine, Limits, body_bytes_max};
use crate::system;

/// Says which server has the data folder, and at which address.
const LOCK_FILE: &str = "fireside.lock";

/// Ports that `fireside` alone tries after its own.
const FURTHER_PORTS: u16 = 9;

/// `fireside serve`: on the address and port that the settings name, until a signal.
///
/// # Errors
/// A sentence for the terminal.
pub fn serve(settings: Settings) -> Result<(), Error> {
    let _log = logger::start(settings.log)?;
    let lock = match lock(&settings)? {
        Lock::Held(lock) => lock,
        Lock::Taken(url) => {
            let at = url.map_or_else(String::new, |url| format!(" at {url}"));
            let folder = settings.location.folder.display();
            return Err(Error::new(
                Kind::Conflict,
                format!("Fireside is already running on {folder}{at}"),
            ));
        }
    };
    let listener = listen(settings.host, settings.port)?;
    let is_wanted = settings.open;
    run(settings, lock, listener, is_wanted)
}

/// `fireside` alone: serve on the first free port, or open what runs on this data folder already.
///
/// # Errors
/// A sentence for the terminal.
pub fn start(settings: Settings) -> Result<(), Error> {
    let _log = logger::start(settings.log)?;
    let lock = match lock(&settings)? {
        Lock::Held(lock) => lock,
        Lock::Taken(Some(url)) => {
            say(&format!("Fireside is already running at {url}"));
            open_browser(&url);
            return Ok(());
        }
        Lock::Taken(None) => {
            return Err(Error::new(
                Kind::Conflict,
                "Fireside is just starting or stopping; try again in a moment",
            ));
        }
    };
    let last = settings.port.saturating_add(FURTHER_PORTS);
    let mut outcome = listen(settings.host, settings.port);
    for port in settings.port.saturating_add(1)..=last {
        if outcome.is_ok() {
            break;
        }
        outcome = listen(settings.host, port);
    }
    run(settings, lock, outcome?, true)
}

fn run(settings: Settings, mut lock: File, listener: TcpListener, is_browser_wanted: bool) -> Result<(), Error> {
    let spool = settings.spool();
    clear_spool(&spool)?;
    let mut limits = Limits {
        workers: settings.workers,
        workers_for_reads: (settings.workers / 8).clamp(1, 8),
        connections_max: settings.max_connections.min(system::raise_descriptor_limit()),
        body_bytes_max: body_bytes_max(settings.max_upload_bytes),
        base_path: settings.base_path.clone(),
        spool,
        ..Limits::default()
    };
    let address = listener
        .local_addr()
        .map_err(|error| Error::internal("the socket has no address", error))?;
    let own_url = format!("http://{}{}", reachable(address), settings.base_path);
    let url = settings.public_url.clone().unwrap_or_else(|| own_url.clone());
    let app = Arc::new(App::new(settings)?);
    limits.figures = Arc::clone(&app.figures);
    let engine = Engine::new(listener, limits, Arc::new(Service::new(Arc::clone(&app))))?;
    let stop = Arc::new(AtomicBool::new(false));
    system::stop_on_signals(&stop).map_err(|error| Error::internal("signals cannot be handled", error))?;
    app.models.watch()?;
    let start = announce(&app, &own_url, &url)?;
    if let Err(error) = write_lock(&mut lock, &url) {
        log::warn!("the lock file could not be written: {error}");
    }
    if is_browser_wanted {
        open_browser(&start);
    }
    let outcome = engine.run(&stop);
    app.models.close();
    app.turns.close();
    app.store.close();
    outcome
}

/// The first lines people read: where it is, and how to make the first account. Gives the address to begin at.
fn announce(app: &App, own_url: &str, url: &str) -> Result<String, Error> {
    say(&format!("Fireside is ready at {own_url}/"));
    if url != own_url {
        say(&format!("People open it at {url}/"));
    }
    let Some(code) = app.make_setup_code()? else {
        return Ok(url.to_owned());
    };
    let start = format!("{url}/ui/#setup={code}");
    say(&format!("Make the first account at {start} (within 15 minutes)"));
    Ok(start)
}

/// A line to stdout. Nobody may be reading it.
pub(super) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}

fn open_browser(url: &str) {
    if system::has_display()
        && let Err(error) = webbrowser::open(url)
    {
        log::warn!("the browser did not open: {error}");
    }
}

pub(super) enum Lock {
    Held(File),
    /// Another server has it; its address, once it has written it.
    Taken(Option<String>),
}

/// Takes the data folder for this process. The lock is a file of its own: closing any descriptor of the database
/// would drop SQLite's own locks.
pub(super) fn lock(settings: &Settings) -> Result<Lock, Error> {
    let folder = &settings.location.folder;
    let failed = |error| {
        let message = format!("The data folder {} cannot be used", folder.display());
        Error::new(Kind::Unavailable, message).caused_by(error)
    };
    system::prepare();
    system::create_private_folder(folder).map_err(failed)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join(LOCK_FILE))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(failed)?;
            Ok(Lock::Held(file))
        }
        Err(TryLockError::WouldBlock) => {
            let mut url = String::new();
            file.read_to_string(&mut url).map_err(failed)?;
            let url = url.trim();
            Ok(Lock::Taken((!url.is_empty()).then(|| url.to_owned())))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn write_lock(lock: &mut File, url: &str) -> std::io::Result<()> {
    lock.rewind()?;
    writeln!(lock, "{url}/")
}

fn listen(host: IpAddr, port: u16) -> Result<TcpListener, Error> {
    Engine::listen(SocketAddr::new(host, port)).map_err(|error| {
        let hint = if error.kind() == std::io::ErrorKind::AddrInUse {
            ": another program uses it. Name another port with --port"
        } else {
            ""
        };
        Error::new(Kind::Unavailable, format!("Cannot listen on {host} port {port}{hint}")).caused_by(error)
    })
}

/// An address that a browser on this machine can open.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Makes the folder of temporary files, without what an earlier run may have left there.
fn clear_spool(spool: &Path) -> Result<(), Error> {
    let failed = |error| {
        let message = format!("The folder {} cannot be used", spool.display());
        Error::new(Kind::Unavailable, message).caused_by(error)
    };
    system::create_private_folder(spool).map_err(failed)?;
    for entry in std::fs::read_dir(spool).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "part") {
            std::fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}
