//! Indexing behind the commits, and what is found.

use super::super::{
    Phrase, delete_conversation, finish_message, restore_conversation, search_messages, search_titles,
    update_conversation,
};
use super::*;
use crate::store::ConversationPatch;

fn phrase(words: &[&str]) -> Phrase {
    Phrase {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        is_prefix: false,
    }
}

impl Rig {
    /// What is found of the owner's, messages by their texts and titles by theirs.
    fn hits(&self, owner: i64, phrases: &[Phrase]) -> Vec<String> {
        self.read(|read| {
            let messages = search_messages(read, owner, phrases, 100)?;
            let titles = search_titles(read, owner, phrases, 100)?;
            let messages = messages.into_iter().map(|message| message.content);
            Ok(messages.chain(titles.into_iter().map(|title| title.title)).collect())
        })
        .unwrap()
    }

    /// Waits until nothing is left to be indexed.
    fn indexed(&self) {
        until("everything is indexed", || {
            self.value::<i64>("SELECT count(*) FROM search_queue") == 0
        });
    }

    fn entries(&self) -> i64 {
        self.value("SELECT count(*) FROM message_index_docsize")
    }
}

#[test]
fn of_a_long_text_the_beginning_is_indexed() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let conversation = rig.conversation(ann.id, 1);
    // The limit falls into a character of three bytes.
    let text = format!("whale x{} squid", "猫".repeat(100_000));
    rig.message(conversation, ann.id, &text);
    rig.indexed();
    assert_eq!(rig.hits(ann.id, &[phrase(&["whale"])]).len(), 1);
    assert_eq!(rig.hits(ann.id, &[phrase(&["squid"])]).len(), 0);
}

#[test]
fn words_phrases_and_prefixes_are_found() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let conversation = rig.conversation(ann.id, 1);
    for text in ["The white Whale", "a whale, white with age", "Résumé"] {
        rig.message(conversation, ann.id, text);
    }
    rig.indexed();
    assert_eq!(rig.hits(ann.id, &[phrase(&["whale"]), phrase(&["WHITE"])]).len(), 2);
    assert_eq!(rig.hits(ann.id, &[phrase(&["white", "whale"])]), ["The white Whale"]);
    assert_eq!(rig.hits(ann.id, &[phrase(&["resume"])]), ["Résumé"]);
    assert_eq!(rig.hits(ann.id, &[phrase(&["wha"])]), [""; 0]);
    let prefix = Phrase {
        is_prefix: true,
        ..phrase(&["wha"])
    };
    assert_eq!(rig.hits(ann.id, &[prefix]).len(), 2);
}

#[test]
fn nobody_finds_what_is_somebody_elses() {
    let rig = Rig::new();
    // Ids of which one begins with the other.
    let users: Vec<User> = (0..12).map(|number| rig.user(&format!("user{number}"))).collect();
    for user in &users {
        let conversation = rig.conversation(user.id, 1);
        rig.message(conversation, user.id, &format!("secret of {}", user.id));
    }
    rig.indexed();
    for user in &users {
        let own = format!("secret of {}", user.id);
        assert_eq!(rig.hits(user.id, &[phrase(&["secret"])]), [own]);
        for hostile in ["2qsecret", "secret\" OR \"1qsecret", "NEAR(", "a\0b"] {
            assert_eq!(rig.hits(user.id, &[phrase(&[hostile])]), [""; 0]);
        }
    }
}

#[test]
fn a_reply_is_found_once_it_is_complete() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let conversation = rig.conversation(ann.id, 1);
    let reply = NewMessage {
        role: Role::Assistant,
        state: State::Streaming,
        ..new_message(conversation, ann.id, "a beginning")
    };
    let id = rig.insert(reply.clone(), None).unwrap();
    // A younger message is indexed before the reply ends.
    rig.message(conversation, ann.id, "younger");
    rig.indexed();
    assert_eq!(rig.hits(ann.id, &[phrase(&["beginning"])]), [""; 0]);
    let last = NewMessage {
        state: State::Complete,
        content: "a beginning and an end".into(),
        ..reply
    };
    rig.write(move |tx| finish_message(tx, id, &last)).unwrap();
    rig.indexed();
    assert_eq!(rig.hits(ann.id, &[phrase(&["end"])]), ["a beginning and an end"]);
    // It goes on: until it has ended again nobody finds it.
    rig.batch("UPDATE messages SET state = 'streaming' WHERE state = 'complete' AND content LIKE '%end'");
    assert_eq!(rig.hits(ann.id, &[phrase(&["end"])]), [""; 0]);
    rig.batch("UPDATE messages SET state = 'complete', content = 'otherwise' WHERE state = 'streaming'");
    rig.indexed();
    assert_eq!(rig.hits(ann.id, &[phrase(&["otherwise"])]), ["otherwise"]);
    assert_eq!(rig.hits(ann.id, &[phrase(&["end"])]), [""; 0]);
    assert_eq!(rig.entries(), 2);
}

#[test]
fn hidden_restored_and_purged() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let conversation = rig.conversation(ann.id, 1);
    rig.message(conversation, ann.id, "the whale");
    let named = |title: &'static str| {
        rig.write(move |tx| {
            let patch = ConversationPatch {
                title: Some(title.into()),
                ..ConversationPatch::default()
            };
            update_conversation(tx, ann.id, &Ref::Id(conversation), &patch, &at(9))
        })
        .unwrap()
    };
    named("A squid");
    named("A whale");
    rig.indexed();
    let whale = || rig.hits(ann.id, &[phrase(&["whale"])]);
    assert_eq!(whale(), ["the whale", "A whale"]);
    assert_eq!(rig.hits(ann.id, &[phrase(&["squid"])]), [""; 0]);
    let now = Clock.now().text();
    rig.write(move |tx| delete_conversation(tx, ann.id, &Ref::Id(conversation), &now))
        .unwrap();
    assert_eq!(whale(), [""; 0]);
    rig.write(move |tx| restore_conversation(tx, ann.id, &Ref::Id(conversation)))
        .unwrap();
    assert_eq!(whale().len(), 2);
    assert_eq!(rig.entries(), 2);
    rig.message(conversation, ann.id, "not indexed yet");
    rig.batch("DELETE FROM messages WHERE id > 0; DELETE FROM conversations WHERE id > 0");
    assert_eq!((rig.entries(), whale()), (0, vec![]));
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM search_queue"), 0);
}

#[test]
fn what_a_stop_leaves_is_taken_up_again() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let conversation = rig.conversation(ann.id, 1);
    for number in 0..300 {
        rig.message(conversation, ann.id, &format!("whale {number}"));
    }
    rig.close();
    let left: i64 = rig.value("SELECT count(*) FROM search_queue");
    let again = rig.another();
    let found = || {
        let phrases = [phrase(&["whale"])];
        again
            .read(|read| search_messages(read, ann.id, &phrases, 1000))
            .unwrap()
            .len()
    };
    assert!(left > 0, "the queue was empty before the store was closed");
    until("all are indexed", || found() == 300);
    again.close();
}

#[test]
fn what_is_new_comes_first_among_equals() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let conversation = rig.conversation(ann.id, 1);
    for (year, text) in [("2020", "one whale"), ("2026", "two whale"), ("2023", "six whale")] {
        let new = NewMessage {
            created_at: at(0).replace("2026", year),
            ..new_message(conversation, ann.id, text)
        };
        rig.insert(new, None).unwrap();
    }
    rig.message(conversation, ann.id, &"other words with a whale in them ".repeat(20));
    rig.indexed();
    let found = rig.hits(ann.id, &[phrase(&["whale"])]);
    let order = ["two whale", "six whale", "one whale"].map(|text| found.iter().position(|one| one == text));
    assert!(order.is_sorted() && order[0].is_some(), "{found:?}");
}

/// While others write without a pause, what they write is found soon all the same.
#[test]
fn a_steady_load_is_indexed_as_it_goes() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let conversation = rig.conversation(ann.id, 1);
    thread::scope(|scope| {
        let (stop, stopped) = channel::<()>();
        let rig = &rig;
        scope.spawn(move || {
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                rig.message(conversation, ann.id, "noise");
            }
        });
        rig.message(conversation, ann.id, "a whale");
        until("it is found", || rig.hits(ann.id, &[phrase(&["whale"])]).len() == 1);
        drop(stop);
    });
}
