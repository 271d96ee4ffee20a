//! Replies: stored while they are written, and how they end.

use std::collections::HashSet;

use super::super::super::{
    NewUsage, Scope, finish_message, insert_usage, interrupt_streaming, save_partial, save_thoughts, withdraw_reply,
};
use super::*;

/// A reply that is being written.
fn streaming(talk: &Talk, text: &str) -> NewMessage {
    NewMessage {
        role: Role::Assistant,
        state: State::Streaming,
        model: Some("asked for".into()),
        created_at: at(20),
        ..new_message(talk.id, talk.ann, text)
    }
}

#[test]
fn a_reply_is_saved_while_it_is_written() {
    let rig = Rig::new();
    let talk = rig.talk(&["question"]);
    let id = rig.insert(streaming(&talk, "so"), Some(talk.messages[0])).unwrap();
    rig.write(move |tx| save_partial(tx, id, "so far")).unwrap();
    let reply = rig.page(talk.id, id, None, 1).remove(0);
    assert_eq!(
        (reply.content.as_str(), reply.state, reply.role),
        ("so far", State::Streaming, Role::Assistant)
    );
    let last = NewMessage {
        state: State::Complete,
        model: Some("ran".into()),
        created_at: at(40),
        ..streaming(&talk, "so far so good")
    };
    let usage = NewUsage {
        user_id: talk.ann,
        api_key: None,
        scope: Scope::Final,
        price: 0.0,
        model: "ran".into(),
        input_tokens: 3,
        output_tokens: u64::MAX,
        cached_tokens: 1,
        is_estimated: true,
        created_at: at(40),
    };
    rig.write(move |tx| {
        finish_message(tx, id, &last)?;
        insert_usage(tx, id, &usage)
    })
    .unwrap();
    // Too late: it is complete.
    rig.write(move |tx| save_partial(tx, id, "so")).unwrap();
    let reply = rig.page(talk.id, id, None, 1).remove(0);
    assert_eq!(
        (reply.content.as_str(), reply.state),
        ("so far so good", State::Complete)
    );
    assert_eq!((reply.model.as_deref(), reply.created_at), (Some("ran"), at(20)));
    assert_eq!(rig.end(&talk), (2, "so far so good".into(), Some(at(40))));
    let spent =
        "SELECT group_concat(scope || input_tokens || '/' || output_tokens || '/' || cached_tokens || estimated)
                 FROM usage_details WHERE message_id IS NOT NULL";
    assert_eq!(rig.value::<String>(spent), format!("final3/{}/11", i64::MAX));
}

#[test]
fn a_reply_without_words_leaves_lists_as_they_are() {
    let rig = Rig::new();
    let talk = rig.talk(&["question"]);
    let before = rig.end(&talk);
    let id = rig.insert(streaming(&talk, ""), Some(talk.messages[0])).unwrap();
    assert_eq!(rig.end(&talk), (2, before.1.clone(), before.2.clone()));
    assert_eq!(rig.page(talk.id, id, None, 2).len(), 2);
    rig.write(move |tx| withdraw_reply(tx, id)).unwrap();
    assert_eq!(rig.end(&talk), before);
    let leaf: i64 = rig.value("SELECT leaf_id FROM conversations");
    assert_eq!(leaf, talk.messages[0]);
    // Once more, and one that has ended: neither is there to be taken back.
    let ended = NewMessage {
        state: State::Complete,
        ..streaming(&talk, "")
    };
    let ended = rig.insert(ended, None).unwrap();
    for id in [id, ended] {
        rig.write(move |tx| withdraw_reply(tx, id)).unwrap();
    }
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM messages"), 2);
}

#[test]
fn thoughts_and_tools_are_kept_beside_the_text() {
    let rig = Rig::new();
    let talk = rig.talk(&["question"]);
    let id = rig.insert(streaming(&talk, "so"), None).unwrap();
    rig.write(move |tx| save_thoughts(tx, id, Some("hm"), Some("[]")))
        .unwrap();
    let reply = rig.page(talk.id, id, None, 1).remove(0);
    assert_eq!(
        (reply.reasoning.as_deref(), reply.tool_calls.as_deref()),
        (Some("hm"), Some("[]"))
    );
    rig.write(move |tx| save_thoughts(tx, id, Some("hm, so"), None))
        .unwrap();
    let reply = rig.page(talk.id, id, None, 1).remove(0);
    assert_eq!((reply.reasoning.as_deref(), reply.tool_calls), (Some("hm, so"), None));
}

#[test]
fn finishing_an_earlier_reply_leaves_the_end_alone() {
    let rig = Rig::new();
    let talk = rig.talk(&["question"]);
    let id = rig.insert(streaming(&talk, ""), None).unwrap();
    rig.insert(
        NewMessage {
            created_at: at(30),
            ..new_message(talk.id, talk.ann, "newer")
        },
        None,
    )
    .unwrap();
    let failed = NewMessage {
        state: State::Failed,
        error: Some("The model failed".into()),
        ..streaming(&talk, "half")
    };
    rig.write(move |tx| finish_message(tx, id, &failed)).unwrap();
    assert_eq!(rig.end(&talk), (3, "newer".into(), Some(at(30))));
    let reply = rig.page(talk.id, id, None, 1).remove(0);
    assert_eq!(
        (reply.state, reply.error.as_deref()),
        (State::Failed, Some("The model failed"))
    );
    let last = streaming(&talk, "");
    check_kind(rig.write(move |tx| finish_message(tx, 99, &last)), Kind::NotFound);
}

#[test]
fn a_start_marks_what_was_being_written() {
    let rig = Rig::new();
    let talk = rig.talk(&["question"]);
    let id = rig.insert(streaming(&talk, "half an ans"), None).unwrap();
    let others: Vec<i64> = [State::Complete, State::Stopped, State::Failed, State::Interrupted]
        .map(|state| {
            rig.insert(
                NewMessage {
                    state,
                    ..streaming(&talk, "")
                },
                None,
            )
            .unwrap()
        })
        .into();
    rig.close();
    let again = rig.another();
    let branch = Branch {
        conversation_id: talk.id,
        leaf_id: Some(others[3]),
        before: None,
        limit: 50,
    };
    let page = again.read(|read| list_branch(read, &branch)).unwrap();
    let states: Vec<State> = page.iter().map(|message| message.state).collect();
    assert_eq!(
        states,
        [
            State::Complete,
            State::Interrupted,
            State::Complete,
            State::Stopped,
            State::Failed,
            State::Interrupted
        ]
    );
    assert_eq!((page[1].id, page[1].content.as_str()), (id, "half an ans"));
    again.write(interrupt_streaming).unwrap();
    again.close();
}

#[test]
fn every_state_and_role_is_read_as_it_was_written() {
    let rig = Rig::new();
    let talk = rig.talk(&[]);
    let mut seen = HashSet::new();
    for role in [Role::User, Role::Assistant] {
        for state in [
            State::Complete,
            State::Streaming,
            State::Interrupted,
            State::Stopped,
            State::Failed,
        ] {
            let id = rig
                .insert(
                    NewMessage {
                        role,
                        state,
                        ..new_message(talk.id, talk.ann, "")
                    },
                    None,
                )
                .unwrap();
            let message = rig.page(talk.id, id, None, 1).remove(0);
            assert_eq!((message.role, message.state), (role, state));
            assert!(seen.insert(format!("{} {}", role.name(), state.name())));
        }
    }
}
