//! A WebSocket as a browser opens one, over whatever connection the client's other requests take: ureq resolves the name
//! and goes through proxies and TLS, and the line is taken from it before a request is written.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tungstenite::client::IntoClientRequest;
use tungstenite::{Error, HandshakeError, Message};
use ureq::Agent;
use ureq::http::header::{AUTHORIZATION, HeaderValue};
use ureq::http::uri::Authority;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::time::Instant;
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport, TransportAdapter,
};

use super::Client;

/// How far a WebSocket did not come, and why.
pub(in super::super) enum Mute {
    /// It was not opened.
    Refused(String),
    /// It was, and then no frame came through.
    Silent(String),
}

impl Client {
    /// Opens a WebSocket, says `question`, and waits for `answer`, all within `whole`.
    ///
    /// # Errors
    /// How far that came.
    pub(in super::super) fn exchange(
        &self,
        path: &str,
        question: &str,
        answer: &str,
        whole: Duration,
    ) -> Result<(), Mute> {
        let refused = |error: &dyn std::fmt::Display| Mute::Refused(error.to_string());
        let line = self.line(path, whole).map_err(|error| refused(&error))?;
        // http becomes ws, and https wss.
        let address = format!("ws{}{path}", self.base.trim_start_matches("http"));
        let mut request = address.into_client_request().map_err(|error| refused(&error))?;
        if let Some(token) = &self.token {
            let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| refused(&error))?;
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let opened = tungstenite::client(request, line).map_err(|error| match error {
            HandshakeError::Failure(Error::Http(response)) => {
                Mute::Refused(format!("status {}", response.status().as_u16()))
            }
            HandshakeError::Failure(error) => refused(&error),
            HandshakeError::Interrupted(_) => refused(&"no answer came in time"),
        });
        let mut socket = opened?.0;
        let silent = |error: Error| Mute::Silent(error.to_string());
        socket.send(Message::text(question)).map_err(silent)?;
        // What happens to the account's conversations meanwhile comes along.
        while socket.read().map_err(silent)? != Message::text(answer) {}
        // Heard: whether the other end hears the farewell matters to nobody.
        drop(socket.close(None).and_then(|()| socket.flush()));
        Ok(())
    }

    /// A connection to the server on which nothing has been said.
    fn line(&self, path: &str, whole: Duration) -> Result<TransportAdapter, ureq::Error> {
        let uri: ureq::http::Uri = format!("{}{path}", self.base)
            .parse()
            .map_err(|_| ureq::Error::BadUri(self.base.clone()))?;
        let taken = Taken::default();
        let taker = Taker {
            wanted: uri.authority().cloned(),
            taken: Arc::clone(&taken),
        };
        let connector = DefaultConnector::default().chain(taker);
        let agent = Agent::with_parts(self.agent.config().clone(), connector, DefaultResolver::default());
        let outcome = agent.get(uri).call();
        let line = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(line) = line else {
            return Err(outcome.err().unwrap_or(ureq::Error::ConnectionFailed));
        };
        let mut line = TransportAdapter::new(line, Arc::new(Instant::now));
        line.set_timeout(NextTimeout {
            after: whole.into(),
            ..NextTimeout::default()
        });
        Ok(line)
    }
}

type Taken = Arc<Mutex<Option<Box<dyn Transport>>>>;

/// Takes the connection to a server, and lets those to proxies on the way pass.
#[derive(Debug)]
struct Taker {
    wanted: Option<Authority>,
    taken: Taken,
}

impl<In: Transport> Connector<In> for Taker {
    type Out = In;

    fn connect(&self, details: &ConnectionDetails<'_>, line: Option<In>) -> Result<Option<In>, ureq::Error> {
        if details.uri.authority() != self.wanted.as_ref() {
            return Ok(line);
        }
        let line = line.map(|line| Box::new(line) as Box<dyn Transport>);
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = line;
        Err(ureq::Error::ConnectionFailed)
    }
}
