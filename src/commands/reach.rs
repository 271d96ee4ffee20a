//! How commands reach a server: the one that runs on the data folder, another one that `--url` names, or, while none runs,
//! this very process, which serves on a loopback port for as long as the command takes. One way through the house for
//! all three: HTTP.
//!
//! Whoever can read the data folder is the owner of the machine: the lock file holds a secret that signs in. Elsewhere an
//! API key does.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Failed;
use super::client::Client;
use super::interrupt::{self, Pending};
use super::lock::{Held, Lock, Running, check_owner, is_made, lock};
use super::serve::{Ready, clear_spool, in_between, listen};
use crate::app::App;
use crate::cli::{Door, Settings};
use crate::error::{Error, Kind};
use crate::http::Nudge;

/// How long a server may take to start or stop, or another command to finish, before this one gives up.
const TURN_TIME: Duration = Duration::from_secs(30);

/// Between two looks at whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Signing in and out: a row each, without a password to be hashed.
const SIGN_TIME: Duration = Duration::from_secs(10);

/// Signing out when a signal has come: whoever sent it does not want to wait.
const LEAVE_TIME: Duration = Duration::from_secs(2);

/// How long models that run on this machine are looked for before a question is asked: they answer in milliseconds.
const FINDING_TIME: Duration = Duration::from_secs(1);

/// Requests at a time of a server that serves one command.
const OWN_WORKERS: usize = 8;

/// Bytes of a file that holds an API key.
const KEY_BYTES_MAX: u64 = 4096;

/// A server that can be asked. When this goes, the session ends that [`Reach::sign_in`] has begun, and the server with it
/// if it is this process's own.
pub(super) struct Reach {
    client: Client,
    /// What signs in, unless an API key already has.
    secret: Option<String>,
    /// What ends the session if a signal comes before this has.
    session: Option<Pending>,
    own: Option<Own>,
}

/// The server in this process.
struct Own {
    app: Arc<App>,
    stop: Arc<AtomicBool>,
    nudge: Nudge,
    thread: Option<JoinHandle<Result<(), Error>>>,
    /// What empties its folder of temporary files if a signal comes before it has ended.
    _spool: Pending,
}

impl Reach {
    /// Finds a server, or becomes one.
    ///
    /// # Errors
    /// That none can be reached, and what to do.
    pub(super) fn open(settings: &Settings, door: &Door) -> Result<Reach, Failed> {
        if let Some(url) = &door.url {
            return elsewhere(url, settings, door);
        }
        // A lock that this made would be in the way of the server that the folder belongs to.
        if !is_made(settings) {
            check_owner(settings).map_err(Failed::unreachable)?;
        }
        let deadline = Instant::now() + TURN_TIME;
        loop {
            match lock(settings).map_err(Failed::unreachable)? {
                Lock::Held(held) => return own(settings, held).map_err(Failed::unreachable),
                Lock::Taken(Some(running)) => return Ok(here(running)),
                Lock::Taken(None) if Instant::now() >= deadline => {
                    return Err(Failed::unreachable(in_between(settings)));
                }
                Lock::Taken(None) => thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// Signs in as this account, or as the first administrator, or the only account. Returns the account. An API key is
    /// signed in already.
    ///
    /// # Errors
    /// The server's: no such account, or none at all, or a disabled one.
    pub(super) fn sign_in(&mut self, account: Option<&str>) -> Result<Value, Failed> {
        let Some(secret) = &self.secret else {
            return self.client.call("GET", "/users/me");
        };
        let body = json!({ "secret": secret, "account": account });
        let hurried = Client::direct(self.client.base(), Some(SIGN_TIME));
        let session = hurried.send("POST", "/auth/local", &body)?;
        let token = session["access_token"].as_str().unwrap_or_default();
        self.client.sign_in(token);
        let mut hurried = Client::direct(self.client.base(), Some(LEAVE_TIME));
        hurried.sign_in(token);
        self.session = Some(interrupt::on_signal(move || drop(hurried.call("POST", "/auth/logout"))));
        Ok(session)
    }

    /// What asks the server.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether it is this process that serves, for this command alone.
    pub(super) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// The secret of the server's run, which also makes an administrator where there is none.
    pub(super) fn secret(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// Has the models of this machine looked for, if nobody does that yet.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the system has no thread left.
    pub(super) fn find_models(&self) -> Result<(), Error> {
        match &self.own {
            None => Ok(()),
            Some(own) => {
                own.app.models.watch()?;
                own.app.models.settle(FINDING_TIME);
                Ok(())
            }
        }
    }
}

impl Drop for Reach {
    fn drop(&mut self) {
        if self.session.is_some()
            && let Err(failed) = self.client.call("POST", "/auth/logout")
        {
            log::debug!("the session was not ended: {}", failed.error);
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.nudge.nudge();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => log::warn!("{error}"),
            Some(Err(_)) => log::error!("the server's thread panicked"),
            Some(Ok(Ok(()))) | None => {}
        }
    }
}

/// The server that runs on the data folder.
fn here(running: Running) -> Reach {
    Reach {
        client: Client::direct(&running.local_url, None),
        secret: Some(running.secret),
        session: None,
        own: None,
    }
}

/// A server that an API key opens.
fn elsewhere(url: &str, settings: &Settings, door: &Door) -> Result<Reach, Failed> {
    let key = match &door.key_file {
        Some(path) => Some(read_key(path)?),
        None => settings.secrets.command_key.clone(),
    };
    let Some(key) = key else {
        let message = "Another server asks for an API key: put one into FIRESIDE_KEY, or into a file for --key-file. Its \
                       settings page makes one, and so does fireside key create on its machine";
        return Err(Failed::usage(Error::new(Kind::Unauthenticated, message)));
    };
    let mut client = Client::new(url, None);
    client.sign_in(&key);
    Ok(Reach {
        client,
        secret: None,
        session: None,
        own: None,
    })
}

fn read_key(path: &Path) -> Result<String, Failed> {
    let mut key = String::new();
    let read = File::open(path).and_then(|file| file.take(KEY_BYTES_MAX).read_to_string(&mut key));
    read.map_err(|error| {
        let message = format!("The key file {} cannot be read", path.display());
        Failed::usage(Error::new(Kind::Malformed, message).caused_by(error))
    })?;
    Ok(key.trim().to_owned())
}

/// This process as the server, for nobody but itself: it does not say where it is, so that no other command stands in
/// the middle of its work when it ends.
fn own(settings: &Settings, held: Held) -> Result<Reach, Error> {
    check_owner(settings)?;
    let mut settings = settings.clone();
    settings.host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    settings.port = 0;
    settings.public_url = None;
    settings.allowed_hosts.clear();
    settings.trusted_proxies.clear();
    settings.workers = OWN_WORKERS;
    // Whoever owns the disk decides what it is filled with.
    settings.max_import_bytes = u64::MAX / 64;
    let listener = listen(settings.host, settings.port)?;
    let spool = settings.spool();
    // Not stopped: a long import would keep whoever sent the signal waiting, and the database needs no farewell.
    let spool = interrupt::on_signal(move || drop(clear_spool(&spool)));
    let ready = Ready::new(settings, held, listener)?;
    let running = ready.running();
    let stop = Arc::new(AtomicBool::new(false));
    let (app, nudge, told) = (Arc::clone(ready.app()), ready.nudge(), Arc::clone(&stop));
    let spawned = thread::Builder::new()
        .name("server".into())
        .spawn(move || ready.run(&told, || Ok(())));
    let thread = spawned.map_err(|error| Error::internal("the server's thread did not start", error))?;
    let mut reach = here(running);
    reach.own = Some(Own {
        app,
        stop,
        nudge,
        thread: Some(thread),
        _spool: spool,
    });
    Ok(reach)
}
