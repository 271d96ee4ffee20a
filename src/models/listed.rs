//! A server whose first model answers, before it is known which one that is.
//!
//! Stands before a server of the administrator's own when nobody has named a model that it is known to serve, and it has
//! not listed any yet: the call asks for the list itself, once.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::failure::{Failure, FailureKind};
use super::member::Member;
use super::{Completion, Delta, Prompt, Provider, Stop};

/// Runs the model it is asked for if the server lists it, else the default, else the first one listed.
pub(super) struct Listed {
    server: Arc<Member>,
    default: Option<String>,
}

impl Listed {
    pub(super) fn new(server: Arc<Member>, default: Option<String>) -> Listed {
        Listed { server, default }
    }

    fn choose(&self, wish: &str, stop: &Stop) -> Result<String, Failure> {
        let ids = match (self.server.models_now(stop), &self.default) {
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
        first(&ids).cloned().ok_or_else(|| {
            let message = format!(
                "{} has no models yet. Load one, or name the default model.",
                self.name()
            );
            Failure::new(FailureKind::UnknownModel, message)
        })
    }
}

/// Parts of the names of models that cannot chat, which servers list among the others.
const MUTE: [&str; 10] = [
    "embed",
    "whisper",
    "tts",
    "dall-e",
    "moderation",
    "transcribe",
    "rerank",
    "gpt-image",
    "imagen",
    "sora-",
];

/// Whether a model of this name is one to chat with, as far as names say.
pub(super) fn chats(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    !MUTE.iter().any(|part| id.contains(part))
}

/// The model that answers when none is named.
pub(super) fn first(ids: &[String]) -> Option<&String> {
    ids.iter().find(|id| chats(id)).or(ids.first())
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
        let prompt = Prompt {
            model,
            ..prompt.clone()
        };
        let outcome = self.server.complete(&prompt, stop, on_delta);
        outcome.map_err(|failure| failure.of(self.server.name(), &prompt.model))
    }

    fn embed(&self, body: &Map<String, Value>, stop: &Stop) -> Result<(Value, Completion), Failure> {
        self.server.embed(body, stop)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::fake_upstream::{Then, Upstream, ask, stream, whole};
    use super::super::member::tests::member;
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
        let server = Arc::new(member(&upstream));
        let listed = Listed::new(Arc::clone(&server), default.map(str::to_owned));
        assert!(server.models().is_none());
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
        let known = server.models();
        assert_eq!(known.as_deref().map_or(&[][..], |known| known), ids);
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
        let failure = ask(&Listed::new(Arc::new(member(&upstream)), None), &Stop::new())
            .result
            .unwrap_err();
        assert_eq!(failure.kind, FailureKind::UnknownModel);
        assert!(failure.message.contains("no models yet"), "{failure}");
    }
}
