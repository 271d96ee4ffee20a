//! Who writes when, who waits, and how many may.

use std::thread;
use std::time::Duration;

use super::*;

#[test]
fn sends_wait_their_turn_up_to_a_limit_in_a_conversation() {
    let rig = Rig::new();
    let to = rig.conversation();
    let first = rig.send(&to, "0", silent());
    let behind: Vec<_> = (0..16)
        .map(|n| rig.send(&to, format!("{}", n + 1), saying("reply")))
        .collect();
    check_refused(&rig.send(&to, "too many", saying("reply")), "in this conversation");
    let Target::Existing { id, .. } = to else {
        unreachable!()
    };
    until("the question is stored", || !rig.branch(&to).is_empty());
    rig.turns.stop(id);
    assert!(matches!(outcome(&first), Err(Fault::Model(_))));
    for answered in &behind {
        outcome(answered).expect("a reply");
    }
    let branch = rig.branch(&to);
    let expected: Vec<String> = ["0".to_owned(), String::new()]
        .into_iter()
        .chain((1..=16).flat_map(|n| [n.to_string(), "reply".to_owned()]))
        .collect();
    assert_eq!(branch, expected);
}

#[test]
fn sends_that_wait_are_limited_in_number_altogether() {
    let rig = Rig::new();
    let places: Vec<Target> = (0..65).map(|_| rig.conversation()).collect();
    let mut answers: Vec<_> = places.iter().map(|to| rig.send(to, "0", silent())).collect();
    for to in &places[..64] {
        answers.extend((0..16).map(|_| rig.send(to, "behind", saying("reply"))));
    }
    check_refused(
        &rig.send(&places[64], "one too many", saying("reply")),
        "wait for a reply; try",
    );
    // Whoever leaves the line makes room in it.
    let Target::Existing { id, .. } = places[0] else {
        unreachable!()
    };
    until("the question is stored", || !rig.branch(&places[0]).is_empty());
    rig.turns.stop(id);
    for answered in answers.drain(65..81) {
        outcome(&answered).expect("a reply");
    }
    answers.push(rig.send(&places[64], "behind", saying("reply")));
    assert_eq!(rig.turns.live().waiting(), (1024 - 16 + 1, 6 * (1024 - 16 + 1)));
    rig.turns.close();
    answers.iter().for_each(|answered| drop(outcome(answered)));
    until("the places are given back", || rig.turns.live().is_empty());
}

#[test]
fn sends_that_wait_are_limited_in_bytes_altogether() {
    let rig = Rig::new();
    let places: Vec<Target> = (0..3).map(|_| rig.conversation()).collect();
    let mut answers: Vec<_> = places.iter().map(|to| rig.send(to, "0", silent())).collect();
    for n in 0..32 {
        answers.push(rig.send(&places[n % 2], "x".repeat(1024 * 1024), saying("reply")));
    }
    check_refused(&rig.send(&places[2], "x", saying("reply")), "wait for a reply; try");
    rig.turns.close();
    for answered in &answers[3..] {
        check_refused(answered, "nothing was stored");
    }
    assert_eq!(rig.rows("messages WHERE content LIKE 'x%'"), 0);
    until("the places are given back", || rig.turns.live().is_empty());
}

/// An instant send is on its way when a turn begins: both keep their place on the branch that is shown.
#[test]
fn an_instant_send_is_not_hidden_by_the_turn_after_it() {
    let rig = Rig::new();
    let to = rig.conversation();
    let (entered, has_entered) = channel();
    let (go, may_go) = channel::<()>();
    let (entered, may_go) = (Mutex::new(entered), Mutex::new(may_go));
    let instant = choice(true, move |_, say| {
        entered.lock().unwrap().send(()).unwrap();
        may_go.lock().unwrap().recv().unwrap();
        say("instant reply");
        Ok(())
    });
    thread::scope(|scope| {
        let sending = scope.spawn(|| outcome(&rig.send(&to, "instant", instant)).map(drop));
        has_entered.recv_timeout(PATIENCE).unwrap();
        let (asked, is_asked) = channel();
        let (end, may_end) = channel::<()>();
        let (asked, may_end) = (Mutex::new(asked), Mutex::new(may_end));
        let answered = rig.send(
            &to,
            "turn",
            choice(false, move |_, say| {
                asked.lock().unwrap().send(()).unwrap();
                may_end.lock().unwrap().recv().unwrap();
                say("turn's reply");
                Ok(())
            }),
        );
        // A turn that did not wait would store its question in this time.
        is_asked.recv_timeout(Duration::from_millis(300)).ok();
        go.send(()).unwrap();
        sending.join().unwrap().expect("a reply");
        end.send(()).unwrap();
        outcome(&answered).expect("a reply");
    });
    assert_eq!(rig.branch(&to), ["instant", "instant reply", "turn", "turn's reply"]);
    until("the place is given back", || rig.turns.live().is_empty());
}

#[test]
fn a_new_conversation_is_busy_before_anybody_can_find_it() {
    let rig = Rig::new();
    let (go, may_go) = channel::<()>();
    let may_go = Mutex::new(may_go);
    let first = rig.send(
        &Target::New,
        "first",
        choice(false, move |_, say| {
            may_go.lock().unwrap().recv().unwrap();
            say("first reply");
            Ok(())
        }),
    );
    assert!(!rig.turns.live().is_empty(), "it has no place yet");
    until("the conversation is found", || !rig.conversations().is_empty());
    let to = Target::from(rig.conversations().remove(0));
    let second = rig.send(
        &to,
        "second",
        choice(true, |_, say| {
            say("second reply");
            Ok(())
        }),
    );
    go.send(()).unwrap();
    outcome(&first).expect("a reply");
    outcome(&second).expect("a reply");
    assert_eq!(rig.branch(&to), ["first", "first reply", "second", "second reply"]);
    until("the place is given back", || rig.turns.live().is_empty());
}

#[test]
fn a_new_conversations_reply_can_be_stopped() {
    let rig = Rig::new();
    let answered = rig.send(&Target::New, "question", silent());
    until("the reply is stopped", || {
        rig.conversations().iter().for_each(|found| rig.turns.stop(found.id));
        rig.turns.live().is_empty()
    });
    assert!(matches!(outcome(&answered), Err(Fault::Model(_))));
}

#[test]
fn without_a_thread_nothing_is_stored_and_the_place_is_given_back() {
    let rig = Rig::with(|turns| Turns {
        // No machine has a stack of this size.
        threads: Threads::with_stack(1 << 60),
        limits: Limits {
            turns_max: 1,
            ..turns.limits
        },
        ..turns
    });
    let to = rig.conversation();
    for to in [&to, &to, &Target::New] {
        check_refused(&rig.send(to, "question", saying("reply")), "no thread left");
    }
    assert_eq!((rig.rows("messages"), rig.rows("conversations")), (0, 1));
    until("the place is given back", || rig.turns.live().is_empty());
}

#[test]
fn a_turn_that_panics_gives_its_place_back() {
    let rig = Rig::new();
    let to = rig.conversation();
    let (go, may_go) = channel::<()>();
    let may_go = Mutex::new(may_go);
    let first = rig.send(
        &to,
        "first",
        choice(false, move |_, _| {
            may_go.lock().unwrap().recv().unwrap();
            panic!("on purpose")
        }),
    );
    let second = rig.send(&to, "second", saying("reply"));
    go.send(()).unwrap();
    first.recv_timeout(PATIENCE).expect_err("an answer that is dropped");
    check_refused(&second, "broke off");
    until("the place is given back", || rig.turns.live().is_empty());
    outcome(&rig.send(&to, "third", saying("reply"))).expect("a reply");
    assert_eq!(rig.branch(&to), ["first", "third", "reply"]);
}
