//! `fireside serve`, and `fireside` alone. [`Ready`] is the server that both run, and that commands run for themselves
//! while none does.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::lock::{Held, Lock, Running, lock};
use super::logger;
use crate::api::Service;
use crate::app::App;
use crate::cli::Settings;
use crate::error::{Error, Kind};
use crate::http::{Engine, Limits, Nudge};
use crate::system;

/// Ports that `fireside` alone tries after its own.
const FURTHER_PORTS: u16 = 9;

/// `fireside serve`: on the address and port that the settings name, until a signal.
///
/// # Errors
/// A sentence for the terminal.
pub fn serve(settings: Settings) -> Result<(), Error> {
    // First of all: from now on whoever is there already waits instead of being refused.
    let listener = listen(settings.host, settings.port);
    let _log = logger::start(settings.log)?;
    let lock = match lock(&settings)? {
        Lock::Held(lock) => lock,
        Lock::Taken(Some(running)) => {
            let folder = settings.location.folder.display();
            let message = format!(
                "Fireside is already running on {folder} at {}; open that, or name another folder with --data",
                running.url
            );
            return Err(Error::new(Kind::Conflict, message));
        }
        Lock::Taken(None) => return Err(in_between(&settings)),
    };
    let is_wanted = settings.open;
    run(settings, lock, listener?, is_wanted)
}

/// `fireside` alone: serve on the first free port, or open what runs on this data folder already.
///
/// # Errors
/// A sentence for the terminal.
pub fn start(settings: Settings) -> Result<(), Error> {
    let _log = logger::start(settings.log)?;
    let lock = match lock(&settings)? {
        Lock::Held(lock) => lock,
        Lock::Taken(Some(Running { url, .. })) => {
            say(&format!("Fireside is already running at {url}"));
            open_browser(&url);
            return Ok(());
        }
        Lock::Taken(None) => return Err(in_between(&settings)),
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

/// The folder is another process's, which has not said where it is.
pub(super) fn in_between(settings: &Settings) -> Error {
    let folder = settings.location.folder.display();
    let message = format!(
        "Fireside is already running on {folder}, and is just starting or stopping, or it is a command that works there; \
         try again in a moment"
    );
    Error::new(Kind::Conflict, message)
}

fn run(settings: Settings, lock: Held, listener: TcpListener, is_browser_wanted: bool) -> Result<(), Error> {
    let mut ready = Ready::new(settings, lock, listener)?;
    let stop = Arc::new(AtomicBool::new(false));
    system::stop_on_signals(&stop).map_err(|error| Error::internal("signals cannot be handled", error))?;
    // First: whoever has read that it is ready finds it.
    ready.announce();
    let start = ready.greet()?;
    if is_browser_wanted {
        open_browser(&start);
    }
    let app = Arc::clone(&ready.app);
    ready.run(&stop, || {
        app.models.watch()?;
        app.scheduled.as_ref().map_or(Ok(()), |backups| backups.start())
    })
}

/// A server with its socket and its store open.
pub(super) struct Ready {
    app: Arc<App>,
    engine: Engine,
    lock: Held,
    own_url: String,
    /// The address that people open.
    url: String,
}

impl Ready {
    /// Opens everything behind the listening socket, at which clients wait already.
    pub(super) fn new(settings: Settings, lock: Held, listener: TcpListener) -> Result<Ready, Error> {
        let spool = settings.spool();
        clear_spool(&spool)?;
        let mut limits = Limits {
            workers: settings.workers,
            workers_for_reads: (settings.workers / 8).clamp(1, 8),
            connections_max: settings.max_connections.min(system::raise_descriptor_limit()),
            body_bytes_max: settings.sizes().body_bytes_max(),
            base_path: settings.base_path.clone(),
            spool,
            ..Limits::default()
        };
        let address = listener
            .local_addr()
            .map_err(|error| Error::internal("the socket has no address", error))?;
        let own_url = format!("http://{}{}", reachable(address), settings.base_path);
        let url = settings.public_url.clone().unwrap_or_else(|| own_url.clone());
        let service = Service::open(settings)?;
        let app = Arc::clone(service.app());
        limits.figures = Arc::clone(&app.figures);
        let engine = Engine::new(listener, limits, Arc::new(service))?;
        Ok(Ready {
            app,
            engine,
            lock,
            own_url,
            url,
        })
    }

    pub(super) fn app(&self) -> &Arc<App> {
        &self.app
    }

    pub(super) fn nudge(&self) -> Nudge {
        self.engine.nudge()
    }

    /// How this machine's owner reaches it.
    pub(super) fn running(&self) -> Running {
        Running {
            url: format!("{}/", self.url),
            local_url: self.own_url.clone(),
            secret: self.app.run_secret.text().to_owned(),
        }
    }

    /// The first lines people read: where it is, and how to make the first account. Gives the address to begin at.
    fn greet(&self) -> Result<String, Error> {
        let url = &self.url;
        say(&format!("Fireside is ready at {}/", self.own_url));
        if *url != self.own_url {
            say(&format!("People open it at {url}/"));
        }
        let Some(code) = self.app.make_setup_code()? else {
            return Ok(url.clone());
        };
        let start = format!("{url}/ui/#setup={code}");
        say(&format!("Make the first account at {start} (within 15 minutes)"));
        Ok(start)
    }

    /// Tells further processes of this machine's owner where it is.
    fn announce(&mut self) {
        let running = self.running();
        if let Err(error) = self.lock.announce(&running) {
            log::warn!("the lock file could not be written: {error}");
        }
    }

    /// Serves until `stop` is set, and closes everything. `begin` does what can wait a moment.
    pub(super) fn run(self, stop: &AtomicBool, begin: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let outcome = self.engine.run(stop, begin);
        if let Some(backups) = &self.app.scheduled {
            backups.close();
        }
        self.app.models.close();
        self.app.turns.close();
        self.app.store.close();
        drop(self.lock);
        outcome
    }
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

pub(super) fn listen(host: IpAddr, port: u16) -> Result<TcpListener, Error> {
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
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Makes the folder of temporary files, without what an earlier run may have left there.
pub(super) fn clear_spool(spool: &Path) -> Result<(), Error> {
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
