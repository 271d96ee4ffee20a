//! What those are told who read along.

use super::*;

/// Sends on what it hears, in words.
struct Ear(std::sync::mpsc::Sender<String>);

impl Listen for Ear {
    fn hear(&mut self, heard: &Heard<'_>, at: Position) -> bool {
        let words = match heard {
            Heard::Start(start) => format!("start {}", start.response_message_id),
            Heard::Text(text) => format!("{} {text}", at.text),
            Heard::Reasoning(text) => format!("({} {text})", at.reasoning),
            Heard::Tool(call) => format!("[{} {}]", at.tools, call.name),
            Heard::Done(ended) => format!("done {} {}", ended.message.state.name(), ended.message.content),
            Heard::Failed(Fault::Store(error) | Fault::Kept(error)) => format!("failed {error}"),
            Heard::Failed(Fault::Model(failure)) => format!("failed {failure}"),
        };
        // The test may have ended.
        drop(self.0.send(words));
        true
    }
}

fn ear() -> (Box<dyn Listen>, Receiver<String>) {
    let (heard, hearing) = channel();
    (Box::new(Ear(heard)), hearing)
}

#[track_caller]
fn check(hearing: &Receiver<String>, wanted: &[&str]) {
    for words in wanted {
        assert_eq!(hearing.recv_timeout(PATIENCE).expect(words), *words);
    }
}

/// Nothing more, and nobody is left who could say it.
#[track_caller]
fn check_over(hearing: &Receiver<String>) {
    assert!(hearing.recv_timeout(PATIENCE).is_err());
}

fn id_of(to: &Target) -> i64 {
    let Target::Existing { id, .. } = to else {
        panic!("a conversation that is stored")
    };
    *id
}

impl Rig {
    /// Sends something and listens; the end itself comes with the listener's words.
    fn stream(&self, to: &Target, choice: Choice) -> (Receiver<String>, Receiver<Result<Done, Fault>>) {
        let (listener, hearing) = ear();
        let (answer, answered) = channel();
        let ask = self.ask(to, "question", choice);
        self.turns
            .stream(ask, listener, Box::new(move |outcome| drop(answer.send(outcome))));
        (hearing, answered)
    }
}

/// A model that says `one`, waits until it is told to go on or is stopped, and says `two`.
fn halting() -> (Choice, std::sync::mpsc::Sender<()>) {
    let (go, may_go) = channel::<()>();
    let may_go = Mutex::new(may_go);
    let model = choice(false, move |stop, say| {
        say("one ");
        let may_go = may_go.lock().unwrap();
        until("it may go on, or is stopped", || {
            may_go.try_recv().is_ok() || stop.is_stopped()
        });
        if stop.is_stopped() {
            return Err(stopped());
        }
        say("two");
        Ok(())
    });
    (model, go)
}

#[test]
fn a_reply_is_told_from_its_start_to_its_end() {
    let rig = Rig::new();
    for is_instant in [false, true] {
        let model = choice(is_instant, |_, say| {
            say("one ");
            say("two");
            Ok(())
        });
        let (hearing, answered) = rig.stream(&rig.conversation(), model);
        let done = outcome(&answered).expect("a reply");
        let start = format!("start {}", done.response_message_id);
        // What never waits has no pieces.
        let pieces: &[&str] = if is_instant {
            &["7 one two"]
        } else {
            &["4 one ", "7 two"]
        };
        check(
            &hearing,
            &[&[start.as_str()], pieces, &["done complete one two"]].concat(),
        );
        check_over(&hearing);
        assert_eq!(done.text, "one two");
    }
}

#[test]
fn who_comes_later_is_told_what_it_has_missed() {
    let rig = Rig::new();
    let to = rig.conversation();
    let (listener, _) = ear();
    assert!(
        rig.turns.attach(id_of(&to), listener, Since::Start).is_err(),
        "nobody writes"
    );
    let (model, go) = halting();
    let (hearing, answered) = rig.stream(&to, model);
    let start = hearing.recv_timeout(PATIENCE).unwrap();
    check(&hearing, &["4 one "]);
    let (listener, second) = ear();
    assert!(rig.turns.attach(id_of(&to), listener, Since::Start).is_ok());
    check(&second, &[&start, "4 one "]);
    go.send(()).unwrap();
    for hearing in [&hearing, &second] {
        check(hearing, &["7 two", "done complete one two"]);
        check_over(hearing);
    }
    outcome(&answered).expect("a reply");
}

#[test]
fn a_reply_that_is_stopped_is_told_as_far_as_it_came() {
    let rig = Rig::new();
    let to = rig.conversation();
    let (model, _go) = halting();
    let (hearing, answered) = rig.stream(&to, model);
    hearing.recv_timeout(PATIENCE).unwrap();
    check(&hearing, &["4 one "]);
    let (listener, stopping) = ear();
    assert!(rig.turns.stop_for(id_of(&to), listener).is_ok());
    for hearing in [&hearing, &stopping] {
        check(hearing, &["done stopped one "]);
    }
    assert!(matches!(outcome(&answered), Err(Fault::Model(_))));
    let (listener, _) = ear();
    assert!(rig.turns.stop_for(id_of(&to), listener).is_err(), "it has ended");
    // Nothing had come of this one, and it is kept all the same: somebody asked for it.
    let (hearing, answered) = rig.stream(&to, silent());
    hearing.recv_timeout(PATIENCE).unwrap();
    rig.turns.stop(id_of(&to));
    check(&hearing, &["done stopped "]);
    assert!(outcome(&answered).is_err());
    assert_eq!(rig.branch(&to), ["question", "one ", "question", ""]);
}

#[test]
fn a_reply_that_fails_before_its_first_word_is_taken_back() {
    let rig = Rig::new();
    let to = rig.conversation();
    let failing = |words: &'static str| {
        choice(false, move |_, say| {
            if !words.is_empty() {
                say(words);
            }
            Err(Failure {
                kind: FailureKind::Broken,
                message: "It broke".into(),
                ..stopped()
            })
        })
    };
    let (hearing, answered) = rig.stream(&to, failing(""));
    assert!(outcome(&answered).is_err());
    hearing.recv_timeout(PATIENCE).unwrap();
    check(&hearing, &["failed It broke"]);
    assert_eq!(rig.branch(&to), ["question"]);
    assert_eq!(rig.rows("messages"), 1);
    assert_eq!(rig.conversations()[0].message_count, 1);
    assert_eq!(rig.conversations()[0].last_message_content, "question");
    let (hearing, answered) = rig.stream(&to, failing("half"));
    assert!(outcome(&answered).is_err());
    hearing.recv_timeout(PATIENCE).unwrap();
    check(&hearing, &["4 half", "failed It broke"]);
    assert_eq!(rig.branch(&to), ["question", "question", "half"]);
}

#[test]
fn a_second_send_is_refused_or_waits() {
    let rig = Rig::new();
    let to = rig.conversation();
    let (model, go) = halting();
    let (hearing, answered) = rig.stream(&to, model);
    hearing.recv_timeout(PATIENCE).unwrap();
    for is_instant in [false, true] {
        let (answer, refused) = channel();
        let ask = Ask {
            queue: false,
            ..rig.ask(&to, "at once", choice(is_instant, |_, _| Ok(())))
        };
        rig.turns
            .begin(ask, Box::new(move |outcome| drop(answer.send(outcome))));
        match outcome(&refused) {
            Err(Fault::Store(error)) => {
                assert_eq!(
                    (error.kind(), error.message()),
                    (Kind::Conflict, "A reply is being written")
                );
            }
            other => panic!("{other:?}"),
        }
    }
    // It listens to its own reply, not to the one before it.
    let (behind, second) = rig.stream(&to, saying("reply"));
    go.send(()).unwrap();
    let done = outcome(&answered).expect("a reply");
    let done_behind = outcome(&second).expect("a reply");
    assert!(done_behind.response_message_id > done.response_message_id);
    let start = format!("start {}", done_behind.response_message_id);
    check(&behind, &[&start, "5 reply", "done complete reply"]);
    assert_eq!(rig.branch(&to), ["question", "one two", "question", "reply"]);
}

/// Whoever has seen the end may send the next message at once.
#[test]
fn the_place_is_free_when_the_end_is_told() {
    let rig = Rig::new();
    let to = rig.conversation();
    for _ in 0..50 {
        let (hearing, answered) = rig.stream(&to, saying("reply"));
        while !hearing.recv_timeout(PATIENCE).unwrap().starts_with("done") {}
        assert!(rig.turns.live().running(id_of(&to)).is_none());
        outcome(&answered).expect("a reply");
    }
}

#[test]
fn thoughts_and_tools_are_told_and_kept() {
    struct Thinker;
    impl Provider for Thinker {
        fn name(&self) -> &str {
            "thinker"
        }

        fn instant(&self) -> bool {
            false
        }

        fn complete(
            &self,
            prompt: &Prompt,
            _: &Stop,
            on_delta: &mut dyn FnMut(Delta<'_>),
        ) -> Result<Completion, Failure> {
            on_delta(Delta::Reasoning("hm"));
            on_delta(Delta::Text("so"));
            on_delta(Delta::Tool(&ToolCall {
                id: "call_1".into(),
                name: "look".into(),
                arguments: "{\"at\":[1]}".into(),
            }));
            Ok(Completion {
                provider: "thinker".into(),
                model: "thinker".into(),
                finish_reason: None,
                usage: Usage::estimate(prompt, 1),
            })
        }
    }
    let rig = Rig::new();
    let model = Choice {
        provider: Arc::new(Thinker),
        model: "thinker".into(),
    };
    let (hearing, answered) = rig.stream(&rig.conversation(), model);
    let done = outcome(&answered).expect("a reply");
    hearing.recv_timeout(PATIENCE).unwrap();
    check(&hearing, &["(2 hm)", "2 so", "[1 look]", "done complete so"]);
    let ended = rig.turns.find_ended(rig.user.id, done.response_message_id).unwrap();
    assert_eq!(ended.message.reasoning.as_deref(), Some("hm"));
    let stored = ended.message.tool_calls.as_deref();
    let wanted = r#"[{"id":"call_1","name":"look","arguments":{"at":[1]},"result":null}]"#;
    assert_eq!(stored, Some(wanted));
    assert_eq!(parse_tool_calls(stored), done.tools);
}
