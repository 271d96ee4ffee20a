//! Several models behind one name: the next one is tried when one fails before its first word.
//!
//! After that its words are with whoever reads, and another model's cannot take their place.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::failure::{Failure, FailureKind, cut};
use super::{Choice, Completion, Delta, Prompt, Provider, Stop};

/// Characters of each failure in the sentence about all of them.
const REASON_CHARS_MAX: usize = 120;

/// The models of an alias, in the order in which they are tried.
pub(super) struct Fallback {
    alias: String,
    choices: Vec<Choice>,
}

impl Fallback {
    pub(super) fn new(alias: &str, choices: Vec<Choice>) -> Fallback {
        Fallback {
            alias: alias.to_owned(),
            choices,
        }
    }

    /// Nobody answered: why each of them did not.
    fn all_failed(&self, failures: Vec<Failure>) -> Failure {
        let failures = match <[Failure; 1]>::try_from(failures) {
            Ok([failure]) => return failure,
            Err(failures) => failures,
        };
        let is_unknown = |failure: &Failure| failure.kind == FailureKind::UnknownModel;
        let kind = match failures.iter().rev().find(|failure| !is_unknown(failure)) {
            Some(failure) => failure.kind,
            None => FailureKind::UnknownModel,
        };
        let reasons: Vec<String> = failures
            .iter()
            .map(|failure| cut(&failure.message, REASON_CHARS_MAX))
            .collect();
        let message = format!("No model of {:?} answers: {}", self.alias, reasons.join("; "));
        Failure {
            // One of them may be asked again by then.
            retry_after_s: failures.iter().filter_map(|failure| failure.retry_after_s).min(),
            ..Failure::new(kind, message)
        }
    }
}

impl Provider for Fallback {
    fn name(&self) -> &str {
        &self.alias
    }

    /// Whether all of them answer at once: else a thread that may not wait would have to, for the others.
    fn instant(&self) -> bool {
        self.choices.iter().all(|choice| choice.provider.instant())
    }

    fn quotes_library(&self) -> bool {
        self.choices.iter().any(|choice| choice.provider.quotes_library())
    }

    fn complete(
        &self,
        prompt: &Prompt,
        stop: &Stop,
        on_delta: &mut dyn FnMut(Delta<'_>),
    ) -> Result<Completion, Failure> {
        let mut prompt = prompt.clone();
        let mut failures = Vec::new();
        for choice in &self.choices {
            prompt.model.clone_from(&choice.model);
            let mut has_begun = false;
            let outcome = choice.provider.complete(&prompt, stop, &mut |delta| {
                has_begun = true;
                on_delta(delta);
            });
            match outcome {
                Err(failure) if !has_begun && failure.kind != FailureKind::Stopped => failures.push(failure),
                outcome => return outcome.map_err(|failure| failure.of(choice.provider.name(), &choice.model)),
            }
        }
        Err(self.all_failed(failures))
    }

    fn embed(&self, body: &Map<String, Value>, stop: &Stop) -> Result<(Value, Completion), Failure> {
        let mut body = body.clone();
        let mut failures = Vec::new();
        for choice in &self.choices {
            body.insert("model".to_owned(), choice.model.clone().into());
            match choice.provider.embed(&body, stop) {
                Err(failure) if failure.kind != FailureKind::Stopped => failures.push(failure),
                outcome => return outcome.map_err(|failure| failure.of(choice.provider.name(), &choice.model)),
            }
        }
        Err(self.all_failed(failures))
    }
}

/// A provider that is named, and not there.
pub(super) struct Absent {
    name: String,
    reason: String,
}

impl Absent {
    pub(super) fn choice(name: &str, model: &str, reason: String) -> Choice {
        Choice {
            provider: Arc::new(Absent {
                name: name.to_owned(),
                reason,
            }),
            model: model.to_owned(),
        }
    }
}

impl Provider for Absent {
    fn name(&self) -> &str {
        &self.name
    }

    fn instant(&self) -> bool {
        false
    }

    fn complete(&self, _: &Prompt, _: &Stop, _: &mut dyn FnMut(Delta<'_>)) -> Result<Completion, Failure> {
        Err(Failure::new(FailureKind::Unreachable, self.reason.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake_upstream::ask;
    use super::super::{LIBRARY, Usage};
    use super::*;

    /// Says this, and then ends so.
    struct Script {
        name: &'static str,
        says: Option<Delta<'static>>,
        ends: Result<(), FailureKind>,
    }

    impl Provider for Script {
        fn name(&self) -> &str {
            self.name
        }

        fn instant(&self) -> bool {
            self.name == LIBRARY
        }

        fn complete(
            &self,
            prompt: &Prompt,
            _: &Stop,
            on_delta: &mut dyn FnMut(Delta<'_>),
        ) -> Result<Completion, Failure> {
            if let Some(delta) = self.says {
                on_delta(delta);
            }
            self.ends.map_err(|kind| Failure {
                retry_after_s: Some(7),
                ..Failure::new(kind, format!("{} would not", self.name))
            })?;
            Ok(Completion {
                provider: self.name.to_owned(),
                model: prompt.model.clone(),
                finish_reason: None,
                usage: Usage::estimate(prompt, 1),
            })
        }

        fn embed(&self, body: &Map<String, Value>, _: &Stop) -> Result<(Value, Completion), Failure> {
            self.ends.map_err(|kind| Failure::new(kind, "no vectors"))?;
            let completion = Completion {
                provider: self.name.to_owned(),
                model: body["model"].to_string(),
                finish_reason: None,
                usage: Usage::guess(1, 0),
            };
            Ok((body["model"].clone(), completion))
        }
    }

    fn refuses(kind: FailureKind) -> Script {
        Script {
            name: "refuses",
            says: None,
            ends: Err(kind),
        }
    }

    fn answers() -> Script {
        Script {
            name: "answers",
            says: Some(Delta::Text("Hi")),
            ends: Ok(()),
        }
    }

    fn fallback(scripts: Vec<Script>) -> Fallback {
        let choice = |script: Script| Choice {
            model: format!("m-of-{}", script.name),
            provider: Arc::new(script),
        };
        Fallback::new("fast", scripts.into_iter().map(choice).collect())
    }

    #[test]
    fn the_next_one_answers_and_is_named() {
        for kind in [
            FailureKind::Unreachable,
            FailureKind::Timeout,
            FailureKind::Refused,
            FailureKind::Broken,
            FailureKind::UnknownModel,
        ] {
            let outcome = ask(&fallback(vec![refuses(kind), refuses(kind), answers()]), &Stop::new());
            let completion = outcome.result.unwrap();
            assert_eq!((outcome.text.as_str(), completion.provider.as_str()), ("Hi", "answers"));
            assert_eq!(completion.model, "m-of-answers");
        }
    }

    #[test]
    fn after_the_first_word_nobody_else_is_asked() {
        for delta in [Delta::Text("Hm"), Delta::Reasoning("Hm")] {
            let broken = Script {
                says: Some(delta),
                ..refuses(FailureKind::Broken)
            };
            let outcome = ask(&fallback(vec![broken, answers()]), &Stop::new());
            let failure = outcome.result.unwrap_err();
            assert_eq!(failure.message, "refuses would not");
            // What has come is paid for to whoever it came from.
            let ran = failure.ran.unwrap();
            assert_eq!((ran.provider.as_str(), ran.model.as_str()), ("refuses", "m-of-refuses"));
            assert_eq!(outcome.text + &outcome.reasoning, "Hm");
        }
        let outcome = ask(&fallback(vec![refuses(FailureKind::Stopped), answers()]), &Stop::new());
        let failure = outcome.result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Stopped);
        assert_eq!(failure.ran.unwrap().model, "m-of-refuses");
    }

    #[test]
    fn when_all_fail_it_says_why_each_did() {
        let scripts = vec![refuses(FailureKind::Refused), refuses(FailureKind::UnknownModel)];
        let failure = ask(&fallback(scripts), &Stop::new()).result.unwrap_err();
        assert_eq!((failure.kind, failure.retry_after_s), (FailureKind::Refused, Some(7)));
        assert_eq!(
            failure.message,
            "No model of \"fast\" answers: refuses would not; refuses would not"
        );
        let scripts = vec![refuses(FailureKind::UnknownModel), refuses(FailureKind::UnknownModel)];
        let failure = ask(&fallback(scripts), &Stop::new()).result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::UnknownModel);
    }

    #[test]
    fn vectors_are_made_by_the_next_one_too() {
        let body = Map::from_iter([("model".to_owned(), Value::from("fast"))]);
        let both = fallback(vec![refuses(FailureKind::Refused), answers()]);
        assert_eq!(both.embed(&body, &Stop::new()).unwrap().0, "m-of-answers");
        let neither = fallback(vec![refuses(FailureKind::Refused)]);
        assert_eq!(neither.embed(&body, &Stop::new()).unwrap_err().message, "no vectors");
    }

    #[test]
    fn it_waits_if_one_of_them_does() {
        let instant = || Script {
            name: LIBRARY,
            ..answers()
        };
        assert!(fallback(vec![instant(), instant()]).instant());
        assert!(!fallback(vec![instant(), answers()]).instant());
    }

    #[test]
    fn whoever_is_absent_says_so() {
        let choice = Absent::choice("ollama", "m", "ollama was not found".to_owned());
        let failure = ask(&*choice.provider, &Stop::new()).result.unwrap_err();
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (FailureKind::Unreachable, "ollama was not found")
        );
    }
}
