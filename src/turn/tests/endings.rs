//! How replies end when the store does not take them at once.

use super::*;
use crate::turn::reply::{Reply, SAVE_MAX};

/// More than a full disk has room for.
const LARGE: usize = 1_000_000;

/// A model whose reply is saved while it is written, and which then finds the disk full.
fn interrupted(rig: &Rig, end: impl Fn() -> Result<(), Failure> + Send + Sync + 'static) -> Choice {
    let (store, owner) = (Arc::clone(&rig.stored.store), rig.user.id);
    choice(false, move |_, say| {
        until("the reply is saved while it is written", || {
            say(".");
            let page = Page { limit: 1, offset: 0 };
            let list =
                |read: &store::Read<'_>| store::list_conversations(read, owner, page, |listed| listed.message_count);
            store.read(list).unwrap() == [2]
        });
        fill_disk(&store);
        say(&"x".repeat(LARGE));
        end()
    })
}

#[test]
fn a_reply_that_finds_the_disk_full_is_stored_when_there_is_room() {
    let rig = Rig::new();
    let to = rig.conversation();
    let answered = rig.send(&to, "question", interrupted(&rig, || Ok(())));
    until("the disk is full", || rig.stored.store.trouble().is_some());
    free_disk(&rig.stored.store);
    let done = outcome(&answered).expect("a reply");
    assert!(done.text.len() > LARGE);
    assert_eq!(rig.branch(&to), ["question".to_owned(), done.text]);
    assert_eq!(rig.rows("messages WHERE state = 'complete'"), 2);
    assert_eq!(rig.rows("usage_details"), 1);
}

#[test]
fn a_reply_that_failed_is_marked_when_there_is_room() {
    let rig = Rig::new();
    let to = rig.conversation();
    let failed = || {
        Err(Failure {
            kind: FailureKind::Broken,
            ..stopped()
        })
    };
    let answered = rig.send(&to, "question", interrupted(&rig, failed));
    until("the disk is full", || rig.stored.store.trouble().is_some());
    free_disk(&rig.stored.store);
    assert!(matches!(outcome(&answered), Err(Fault::Model(_))));
    assert!(rig.branch(&to)[1].len() > LARGE);
    assert_eq!(rig.rows("messages WHERE state = 'failed'"), 1);
}

#[test]
fn a_server_that_stops_does_not_wait_for_room() {
    let rig = Rig::new();
    let to = rig.conversation();
    let answered = rig.send(&to, "question", interrupted(&rig, || Ok(())));
    until("the disk is full", || rig.stored.store.trouble().is_some());
    let started = Instant::now();
    rig.turns.close();
    match outcome(&answered) {
        Err(Fault::Kept(error)) => assert_eq!(error.kind(), Kind::StorageFull),
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() < SAVE_MAX / 2, "{:?}", started.elapsed());
    free_disk(&rig.stored.store);
}

#[test]
fn stopping_waits_until_what_has_come_is_stored() {
    let rig = Rig::new();
    let to = rig.conversation();
    let (said, has_said) = channel();
    let said = Mutex::new(said);
    let model = choice(false, move |stop, say| {
        say("so far");
        said.lock().unwrap().send(()).unwrap();
        until("the turn is stopped", || stop.is_stopped());
        Err(stopped())
    });
    // Nobody listens.
    drop(rig.send(&to, "question", model));
    has_said.recv_timeout(PATIENCE).unwrap();
    rig.turns.close();
    assert_eq!(rig.branch(&to), ["question", "so far"]);
    assert_eq!(rig.rows("messages WHERE state = 'interrupted'"), 1);
}

/// The writer may say that it does not know, and have stored the reply all the same.
#[test]
fn an_end_that_is_saved_again_is_stored_once() {
    let rig = Rig::new();
    let to = rig.conversation();
    let Target::Existing { uuid, .. } = &to else {
        unreachable!()
    };
    let ask = rig.ask(&to, "question", saying("reply"));
    let question = rig.turns.begin_reply(uuid, &ask).unwrap();
    let feed = Feed::default();
    feed.take(Delta::Text("reply"));
    let mut reply = Reply {
        turns: &rig.turns,
        ask: &ask,
        question: &question,
        feed: &feed,
        saved: Instant::now(),
        chars: 0,
        ran: None,
        has_ended: false,
    };
    let completion = Completion {
        provider: "test".into(),
        model: "model".into(),
        finish_reason: None,
        usage: Usage {
            input_tokens: 1,
            output_tokens: 1,
            cached_tokens: 0,
            estimated: true,
        },
    };
    for _ in 0..2 {
        reply.complete(&completion).unwrap();
        assert_eq!((rig.rows("messages"), rig.rows("usage_details")), (2, 1));
        assert_eq!(rig.rows("messages WHERE state = 'streaming'"), 0);
    }
    assert_eq!(rig.branch(&to), ["question", "reply"]);
}

/// Whoever is told that nothing was stored sends the message again, and then has it there twice.
#[test]
fn a_question_that_is_stored_is_said_to_be() {
    let rig = Rig::new();
    let to = rig.conversation();
    rig.stored.batch("ALTER TABLE documents RENAME TO lost");
    let (answer, answered) = channel();
    let ask = Ask {
        library: Some(true),
        ..rig.ask(&to, "question", saying("reply"))
    };
    rig.turns
        .begin(ask, Box::new(move |outcome| drop(answer.send(outcome))));
    match outcome(&answered) {
        Err(Fault::Kept(_)) => assert_eq!(rig.branch(&to), ["question"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_model_wrote_is_paid_for_however_it_ended() {
    let broken = |kind| Failure { kind, ..stopped() };
    for (kind, says, rows) in [
        (FailureKind::Stopped, "so far", 1),
        (FailureKind::Stopped, "", 1),
        (FailureKind::Broken, "so far", 1),
        // It was never asked in earnest, or did not say so.
        (FailureKind::Broken, "", 0),
    ] {
        let rig = Rig::new();
        let to = rig.conversation();
        let model = choice(false, move |_, say| {
            if !says.is_empty() {
                say(says);
            }
            Err(broken(kind))
        });
        assert!(outcome(&rig.send(&to, "question", model)).is_err());
        until("the turn is over", || rig.turns.live().is_empty());
        let paid = "usage_details WHERE estimated = 1 AND input_tokens > 0 AND message_id IS NOT NULL";
        assert_eq!(rig.rows(paid), rows, "{kind:?} after {says:?}");
    }
}

#[test]
fn a_reply_whose_conversation_is_deleted_is_paid_for() {
    let rig = Rig::new();
    let (store, owner) = (Arc::clone(&rig.stored.store), rig.user.id);
    for ends in [Ok(()), Err(stopped())] {
        let (store, ends) = (Arc::clone(&store), ends.clone());
        let to = rig.conversation();
        let Target::Existing { id, .. } = to else {
            unreachable!()
        };
        let model = choice(false, move |_, say| {
            say("so far");
            let conversation = Ref::Id(id);
            let delete =
                store.write(move |tx| store::delete_conversation(tx, owner, &conversation, "2026-01-01T00:00:00Z"));
            delete.unwrap();
            ends.clone()
        });
        drop(outcome(&rig.send(&to, "question", model)));
    }
    assert_eq!(rig.rows("usage_details WHERE output_tokens > 0"), 2);
}
