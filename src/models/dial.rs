//! Connections to model servers, made so that [`Stop`] can end even that.
//!
//! ureq's own connector blocks until a machine answers or the timeout has passed, and nobody can reach it meanwhile: a
//! reply from a machine that is switched off could not be stopped for seconds.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, ShutdownHandle, Transport,
};
use ureq::{Error, Timeout};

use super::stop::Stop;
use super::transport::current_stop;

/// How long a connection is waited for in one piece. On the same machine it is made or refused by then.
const FIRST_LOOK: Duration = Duration::from_millis(5);
/// Between two looks at one that takes longer: little of what a distant machine takes anyway.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Bytes that are held back at first, to be sent with those that follow: the head and the body of most requests then go in
/// one piece.
const HELD_BYTES_MAX: usize = 16 * 1024;

/// Opens TCP connections, unless one through a proxy is there.
#[derive(Debug, Default)]
pub(super) struct Dialler;

impl<In: Transport> Connector<In> for Dialler {
    type Out = Either<In, Line>;

    fn connect(&self, details: &ConnectionDetails<'_>, proxied: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(proxied) = proxied {
            return Ok(Some(Either::A(proxied)));
        }
        let stop = current_stop().unwrap_or_default();
        let budget = details.timeout.not_zero().map(|budget| *budget);
        let stream = dial(&details.addrs, budget, details.timeout.reason, &stop)?;
        stream.set_nodelay(true)?;
        let stream = Arc::new(stream);
        let handle: Weak<TcpStream> = Arc::downgrade(&stream);
        (details.register_shutdown)(handle as Weak<dyn ShutdownHandle>)?;
        let config = details.config;
        Ok(Some(Either::B(Line {
            stream,
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            held: Vec::new(),
            read_timeout: None,
            write_timeout: None,
        })))
    }
}

/// Tries one address after the other; each may take its share of the time that is left.
fn dial(addresses: &[SocketAddr], budget: Option<Duration>, reason: Timeout, stop: &Stop) -> Result<TcpStream, Error> {
    let ends = budget.and_then(|budget| Instant::now().checked_add(budget));
    let mut failed = Error::HostNotFound;
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = ends.map(|ends| Instant::now() + ends.saturating_duration_since(Instant::now()) / left);
        match dial_one(address, share, stop) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => failed = Error::Timeout(reason),
            Err(error) => failed = error.into(),
        }
        if stop.is_stopped() {
            break;
        }
    }
    Err(failed)
}

fn dial_one(address: &SocketAddr, ends: Option<Instant>, stop: &Stop) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?;
    match socket.connect_timeout(&(*address).into(), FIRST_LOOK) {
        // It goes on in the background.
        Err(error) if error.kind() == io::ErrorKind::TimedOut => await_connection(&socket, ends, stop)?,
        outcome => outcome?,
    }
    Ok(socket.into())
}

fn await_connection(socket: &Socket, ends: Option<Instant>, stop: &Stop) -> io::Result<()> {
    while socket.peer_addr().is_err() {
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        if ends.is_some_and(|ends| Instant::now() >= ends) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if !stop.pause(LOOK_EVERY) {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "stopped"));
        }
    }
    Ok(())
}

/// A connection. What ureq's own does, which nobody else can make.
#[derive(Debug)]
pub(super) struct Line {
    /// Shared, weakly, with whoever may end the call.
    stream: Arc<TcpStream>,
    buffers: LazyBuffers,
    /// What goes with what comes next: a request's head, whose body follows at once.
    held: Vec<u8>,
    /// As they are set, so that they are set only when they change.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Line {
    /// Sends what is held, and behind it so much of the output.
    fn send(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let wanted = left(timeout)?;
        if wanted != self.write_timeout {
            self.stream.set_write_timeout(wanted)?;
            self.write_timeout = wanted;
        }
        let held = std::mem::take(&mut self.held);
        let mut stream = &*self.stream;
        let sent = stream.write_all(&held);
        sent.and_then(|()| stream.write_all(&self.buffers.output()[..amount]))
            .map_err(|error| named(error, timeout))
    }
}

impl Transport for Line {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if amount > HELD_BYTES_MAX {
            return self.send(amount, timeout);
        }
        let is_first = self.held.is_empty();
        self.held.extend_from_slice(&self.buffers.output()[..amount]);
        if is_first { Ok(()) } else { self.send(0, timeout) }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if !self.held.is_empty() {
            self.send(0, timeout)?;
        }
        let timeout = timeout.for_read();
        let wanted = left(timeout)?;
        if wanted != self.read_timeout {
            self.stream.set_read_timeout(wanted)?;
            self.read_timeout = wanted;
        }
        let mut stream = &*self.stream;
        let amount = loop {
            match stream.read(self.buffers.input_append_buf()) {
                // A signal, which this program handles elsewhere.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                read => break read.map_err(|error| named(error, timeout))?,
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// Whether nothing has come since the last answer: bytes that nobody asked for are no good beginning of the next.
    fn is_open(&mut self) -> bool {
        let nothing_came = |stream: &TcpStream| -> io::Result<bool> {
            stream.set_nonblocking(true)?;
            let seen = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            Ok(seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
        };
        nothing_came(&self.stream).unwrap_or(false)
    }
}

/// What is left of a timeout, if it ever passes.
fn left(timeout: NextTimeout) -> Result<Option<Duration>, Error> {
    if timeout.after.is_zero() {
        return Err(Error::Timeout(timeout.reason));
    }
    Ok(timeout.not_zero().map(|left| *left))
}

/// An error, by the timeout that it was if it was one.
fn named(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::FailureKind;
    use super::super::fake_upstream::{ask, client};
    use super::*;

    /// An address where nobody answers, and what keeps it so: a listener whose queue is full.
    fn deaf() -> (SocketAddr, Socket, Vec<Socket>) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(1).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        while waiting.len() < 100 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let is_queued = socket.connect_timeout(&address.into(), Duration::from_millis(100));
            waiting.push(socket);
            if is_queued.is_err() {
                return (address, listener, waiting);
            }
        }
        panic!("the queue has no end");
    }

    #[test]
    fn a_connection_that_is_not_made_can_be_stopped() {
        let (address, _listener, _waiting) = deaf();
        let stop = Stop::new();
        let stopper = std::thread::spawn({
            let stop = stop.clone();
            move || {
                // The other thread may be anywhere in its call: it ends all the same.
                std::thread::yield_now();
                stop.stop();
                Instant::now()
            }
        });
        let outcome = ask(&client(&format!("http://{address}/v1")), &stop);
        let delay = stopper.join().unwrap().elapsed();
        assert_eq!(outcome.result.unwrap_err().kind, FailureKind::Stopped);
        // Half of what this client waits for a connection.
        assert!(delay < Duration::from_secs(1), "{delay:?}");
    }

    #[test]
    fn a_machine_that_does_not_answer_is_given_up() {
        let (address, _listener, _waiting) = deaf();
        let outcome = ask(&client(&format!("http://{address}/v1")), &Stop::new());
        let failure = outcome.result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unreachable);
        assert!(failure.message.ends_with("(no answer within 2 s)"), "{failure}");
    }

    #[test]
    fn the_next_address_is_tried() {
        let there = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        // A port that is held and not listened on: one merely let go of may be
        // given to another test meanwhile.
        let held = TcpStream::connect(there.local_addr().unwrap()).unwrap();
        let gone = held.local_addr().unwrap();
        let (deaf, _listener, _waiting) = deaf();
        let budget = Some(Duration::from_secs(3));
        let addresses = [gone, deaf, there.local_addr().unwrap()];
        let stream = dial(&addresses, budget, Timeout::Connect, &Stop::new()).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[2]);
        let refused = dial(&addresses[..1], budget, Timeout::Connect, &Stop::new()).unwrap_err();
        assert!(matches!(refused, Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused));
    }
}
