//! A server with one account, and the calls of that account. Each family adds what its own clients do.

use serde_json::Value;

use super::{Call, Launch, Server, Upstream, check_shape};

pub(crate) struct Desk {
    pub(crate) server: Server,
    pub(crate) token: String,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        Desk::at(Server::start())
    }

    pub(crate) fn at(server: Server) -> Desk {
        let token = server.account("ann").token;
        Desk { server, token }
    }

    /// One whose replies come from this model of an upstream.
    pub(crate) fn with_upstream(upstream: &Upstream, model: &str, args: &[&str]) -> Desk {
        let launch = Launch::new()
            .env("OPENAI_BASE_URL", &upstream.url())
            .env("OPENAI_API_KEY", Upstream::KEY);
        Desk::at(launch.args(&["--default-model", model]).args(args).start())
    }

    pub(crate) fn call(&self, method: &str, target: &str) -> Call {
        self.server.call(method, target).bearer(&self.token)
    }

    /// Sends it and checks status and shape.
    #[track_caller]
    pub(crate) fn check(&self, method: &str, target: &str, body: Option<Value>, status: u16, shape: &Value) -> Value {
        let call = self.call(method, target);
        let reply = body.iter().fold(call, |call, body| call.json(body)).send();
        check_shape(&reply, status, shape);
        reply.json()
    }
}
