//! The way a call reaches its server: ureq's connectors, and our own for TCP, watched so that [`Stop`] can end the call.
//!
//! Each thread makes at most one call at a time, so the current call is found through the thread; a pooled connection
//! thereby belongs to whichever call uses it. Knows nothing of what is sent.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::unversioned::transport::time::Duration as UreqDuration;
use ureq::unversioned::transport::{
    Buffers, ChainedConnector, ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, RustlsConnector,
    ShutdownHandle, Transport,
};

use super::dial::Dialler;
use super::stop::Stop;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Call>>> = const { RefCell::new(None) };
}

/// What is known of the call that this thread makes.
pub(super) struct Call {
    stop: Stop,
    /// How far the current request has come.
    progress: Cell<Progress>,
    /// Whether the current request travels on a connection made for it, rather than one from the pool.
    fresh: Cell<bool>,
    /// When nothing more of the current response is waited for, if that is sooner than its timeouts say.
    ends: Cell<Option<Instant>>,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    /// There is no connection yet.
    Connecting,
    /// Some of the request has been sent.
    Sent,
    /// Some of the response has arrived.
    Received,
}

/// The call as its thread's current one, until this is dropped.
pub(super) struct Current {
    call: Rc<Call>,
    /// The call from whose deltas this one is made, if someone does that.
    outer: Option<Rc<Call>>,
}

impl Current {
    /// Makes a call the current one of this thread.
    pub(super) fn begin(stop: &Stop) -> Current {
        let call = Rc::new(Call {
            stop: stop.clone(),
            progress: Cell::new(Progress::Connecting),
            fresh: Cell::new(false),
            ends: Cell::new(None),
        });
        let outer = CURRENT.replace(Some(Rc::clone(&call)));
        Current { call, outer }
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.outer.take());
        self.call.stop.release();
    }
}

impl Deref for Current {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.call
    }
}

impl Call {
    /// The handle that can end this call.
    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Forgets an earlier request of the same call.
    pub(super) fn restart(&self) {
        self.progress.set(Progress::Connecting);
        self.fresh.set(false);
        self.ends.set(None);
    }

    /// How far the current request has come.
    pub(super) fn progress(&self) -> Progress {
        self.progress.get()
    }

    /// Whether the connection came from the pool and died without a byte of response: then the server had closed it
    /// between two calls, and the request deserves a fresh one.
    pub(super) fn was_stale(&self) -> bool {
        !self.fresh.get() && self.progress.get() == Progress::Sent
    }

    /// What is still to come of the current response is given up after this, however often a byte of it comes.
    pub(super) fn wait_no_longer_than(&self, patience: Duration) {
        self.ends.set(Instant::now().checked_add(patience));
    }

    fn hold(&self, socket: &Weak<dyn ShutdownHandle>) -> Result<(), Error> {
        if self.stop.hold(socket) {
            Ok(())
        } else {
            Err(Error::Io(io::Error::new(io::ErrorKind::ConnectionAborted, "stopped")))
        }
    }
}

/// What ends the call that this thread makes.
pub(super) fn current_stop() -> Option<Stop> {
    current().map(|call| call.stop.clone())
}

fn current() -> Option<Rc<Call>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Through a proxy if there is one, else directly; and with TLS if the server wants that.
type Way = ChainedConnector<
    (),
    ChainedConnector<(), ChainedConnector<(), (), ConnectProxyConnector>, Dialler>,
    RustlsConnector,
>;

/// Makes connections that belong to the current call while they are used.
#[derive(Debug)]
pub(super) struct WatchedConnector(Way);

impl Default for WatchedConnector {
    fn default() -> WatchedConnector {
        let way = ().chain(ConnectProxyConnector::default()).chain(Dialler).chain(RustlsConnector::default());
        WatchedConnector(way)
    }
}

impl Connector for WatchedConnector {
    type Out = Watched;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Watched>, Error> {
        let opened = Arc::new(Mutex::new(None));
        let register = {
            let opened = Arc::clone(&opened);
            let register = Arc::clone(&details.register_shutdown);
            // ureq calls this with every socket as soon as it is open, before TLS is agreed on.
            move |socket: Weak<dyn ShutdownHandle>| {
                if let Some(call) = current() {
                    call.hold(&socket)?;
                }
                *opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(Weak::clone(&socket));
                register(socket)
            }
        };
        let details = ConnectionDetails {
            uri: details.uri,
            addrs: details.addrs.clone(),
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: Arc::clone(&details.current_time),
            run_connector: Arc::clone(&details.run_connector),
            register_shutdown: Arc::new(register),
        };
        if let Some(call) = current() {
            call.fresh.set(true);
        }
        let Some(inner) = self.0.connect(&details, None)? else {
            return Ok(None);
        };
        let socket = opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        let socket = socket.ok_or(Error::ConnectionFailed)?;
        Ok(Some(Watched {
            inner: Box::new(inner),
            socket,
        }))
    }
}

/// A connection, TLS included, that tells the current call whenever it is used.
#[derive(Debug)]
pub(super) struct Watched {
    inner: Box<dyn Transport>,
    socket: Weak<dyn ShutdownHandle>,
}

impl Transport for Watched {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if let Some(call) = current() {
            call.hold(&self.socket)?;
            call.progress.set(call.progress.get().max(Progress::Sent));
        }
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, mut timeout: NextTimeout) -> Result<bool, Error> {
        let call = current();
        if let Some(call) = &call {
            call.hold(&self.socket)?;
            if let Some(ends) = call.ends.get() {
                let left = ends.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Error::Io(io::ErrorKind::TimedOut.into()));
                }
                if *timeout.after > left {
                    timeout.after = UreqDuration::Exact(left);
                }
            }
        }
        let more = self.inner.await_input(timeout)?;
        if let Some(call) = call.filter(|_| more) {
            call.progress.set(Progress::Received);
        }
        Ok(more)
    }

    /// ureq asks this on the way into the pool and out of it.
    fn is_open(&mut self) -> bool {
        if let Some(call) = current() {
            call.stop.release();
        }
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
