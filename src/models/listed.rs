//! A server that is asked which models it has.
//!
//! Stands before a server of the administrator's own when nobody has named a model that it is known to serve. Owns
//! the list and its age.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::failure::{Failure, FailureKind};
use super::openai::OpenAi;
use super::{Completion, Delta, Prompt, Provider, Stop};

/// A model that was just pulled or loaded shows up within a minute, and a busy server is asked once a minute.
const LIST_AGE_MAX: Duration = Duration::from_secs(60);

/// Runs the model it is asked for if the server lists it, else the default, else the first one listed.
pub(super) struct Listed {
    server: Arc<OpenAi>,
    default: Option<String>,
    list: Mutex<Option<(Instant, Vec<String>)>>,
}

impl Listed {
    pub(super) fn new(server: Arc<OpenAi>, default: Option<String>) -> Listed {
        Listed {
            server,
            default,
            list: Mutex::default(),
        }
    }

    /// What the server listed when it was last asked.
    pub(super) fn known(&self) -> Vec<String> {
        self.lock().as_ref().map_or_else(Vec::new, |(_, ids)| ids.clone())
    }

    fn choose(&self, wish: &str, stop: &Stop) -> Result<String, Failure> {
        let ids = match (self.ids(stop), &self.default) {
            (Ok(ids), _) => ids,
            // The default does not depend on a list.
            (Err(failure), Some(default)) if failure.kind != FailureKind::Stopped => {
                return Ok(default.clone());
            }
            (Err(failure), _) => return Err(failure),
        };
        if ids.iter().any(|id| id == wish) {
            return Ok(wish.to_owned());
        }
        if let Some(default) = &self.default {
            return Ok(default.clone());
        }
        // Local servers list embedding models, which cannot chat, among the others.
        let first = ids.iter().find(|id| !id.contains("embed")).or(ids.first());
        first.cloned().ok_or_else(|| {
            let message = format!(
                "{} has no models yet. Load one, or name the default model.",
                self.name()
            );
            Failure::new(FailureKind::UnknownModel, message)
        })
    }

    fn ids(&self, stop: &Stop) -> Result<Vec<String>, Failure> {
        if let Some((asked, ids)) = &*self.lock()
            && asked.elapsed() < LIST_AGE_MAX
        {
            return Ok(ids.clone());
        }
        // Asked outside the lock: a server that hangs must not hang those who only want to know.
        let ids = self.server.list(stop)?;
        *self.lock() = Some((Instant::now(), ids.clone()));
        Ok(ids)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Vec<String>)>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider for Listed {
    fn name(&self) -> &str {
        self.server.name()
    }

    fn instant(&self) -> bool {
        false
    }

    fn complete(
        &self,
        prompt: &Prompt,
        stop: &Stop,
        on_delta: &mut dyn FnMut(Delta<'_>),
    ) -> Result<Completion, Failure> {
        let model = self.choose(&prompt.model, stop)?;
        self.server.complete_with(&model, prompt, stop, on_delta)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::fake_upstream::{Then, Upstream, ask, stream, whole};
    use super::*;

    const REPLY: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n";

    /// A server with these models; an empty list of ids means that it cannot say.
    fn upstream(ids: &'static [&'static str]) -> Upstream {
        Upstream::start(move |received, stream_| {
            let list: Vec<String> = ids
                .iter()
                .map(|id| format!(r#"{{"id":"{id}","object":"model"}}"#))
                .collect();
            let bytes = if received.head.starts_with("POST ") {
                stream(REPLY)
            } else if ids.is_empty() {
                whole("500 Oops", "", "").into_bytes()
            } else {
                whole("200 OK", "", &format!(r#"{{"data":[{}]}}"#, list.join(","))).into_bytes()
            };
            stream_.write_all(&bytes).unwrap();
            Then::KeepAlive
        })
    }

    fn check(ids: &'static [&'static str], default: Option<&str>, ran: Result<&str, FailureKind>) {
        let upstream = upstream(ids);
        let listed = Listed::new(Arc::new(upstream.client()), default.map(str::to_owned));
        assert!(listed.known().is_empty());
        for _ in 0..2 {
            let result = ask(&listed, &Stop::new()).result;
            assert_eq!(
                result
                    .as_ref()
                    .map(|completion| completion.model.as_str())
                    .map_err(|failure| failure.kind),
                ran
            );
        }
        assert_eq!(listed.known(), ids);
        assert_eq!(upstream.connections(), 1);
        let requests = upstream.requests.lock().unwrap();
        let asked = requests
            .iter()
            .filter(|request| request.head.starts_with("GET /v1/models "))
            .count();
        assert_eq!(asked, if ids.is_empty() { 2 } else { 1 }, "the list is kept");
    }

    #[test]
    fn the_wish_then_the_default_then_the_first() {
        // The tests' prompts ask for m-1.
        check(&["a", "m-1"], None, Ok("m-1"));
        check(&["a", "m-1"], Some("a"), Ok("m-1"));
        check(&["a", "b"], Some("b"), Ok("b"));
        check(&["a", "b"], Some("unlisted"), Ok("unlisted"));
        check(&["nomic-embed-text", "b"], None, Ok("b"));
        check(&["nomic-embed-text"], None, Ok("nomic-embed-text"));
        check(&[], Some("b"), Ok("b"));
        check(&[], None, Err(FailureKind::Refused));
    }

    #[test]
    fn a_server_without_models_says_so() {
        let upstream = Upstream::with(whole("200 OK", "", r#"{"data":[]}"#), || Then::KeepAlive);
        let failure = ask(&Listed::new(Arc::new(upstream.client()), None), &Stop::new())
            .result
            .unwrap_err();
        assert_eq!(failure.kind, FailureKind::UnknownModel);
        assert!(failure.message.contains("no models yet"), "{failure}");
    }
}
