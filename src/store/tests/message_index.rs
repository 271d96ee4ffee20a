//! Indexing behind the commits, and what is found.

use std::ops::ControlFlow;

use super::super::{
    Among, Candidate, Ending, Phrase, Read, Sought, Within, delete_branch, delete_conversation, finish_message,
    list_texts, restore_branch, restore_conversation, seek, update_conversation,
};
use super::*;
use crate::store::ConversationPatch;

fn phrase(words: &[&str]) -> Phrase {
    Phrase {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        is_prefix: false,
    }
}

/// What is found, in the order in which it is.
fn walk(read: &Read<'_>, among: Among, sought: &Sought<'_>) -> Result<Vec<Candidate>, Error> {
    let mut found = Vec::new();
    seek(read, among, sought, &mut |candidate| {
        found.push(candidate);
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

impl Rig {
    /// The texts of what is found, in the order in which it is.
    fn texts(&self, among: Among, sought: &Sought<'_>) -> Vec<String> {
        self.read(|read| {
            let ids: Vec<i64> = walk(read, among, sought)?.iter().map(|found| found.id).collect();
            let mut texts = list_texts(read, among, sought.owner, &ids)?;
            texts.sort_by_key(|(id, _)| ids.iter().position(|found| found == id));
            Ok(texts.into_iter().map(|(_, text)| text).collect())
        })
        .unwrap()
    }

    /// What is found of the owner's, messages by their texts and titles by theirs.
    fn hits(&self, owner: i64, phrases: &[Phrase]) -> Vec<String> {
        let sought = Sought {
            owner,
            phrases,
            ending: Ending::Open,
            within: &Within::default(),
        };
        let kinds = [Among::Messages, Among::Titles];
        kinds.iter().flat_map(|among| self.texts(*among, &sought)).collect()
    }

    /// The owner's messages with the word "whale", somewhere.
    fn whales(&self, owner: i64, within: &Within) -> Vec<String> {
        let phrases = [phrase(&["whale"])];
        let sought = Sought {
            owner,
            phrases: &phrases,
            ending: Ending::Open,
            within,
        };
        self.texts(Among::Messages, &sought)
    }

    /// Waits until nothing is left to be indexed.
    fn indexed(&self) {
        until("everything is indexed", || {
            self.value::<i64>("SELECT count(*) FROM search_queue") == 0
        });
    }

    fn entries(&self) -> i64 {
        self.value("SELECT (SELECT count(*) FROM message_index_docsize) + (SELECT count(*) FROM title_index_docsize)")
    }
}

#[test]
fn the_log_is_folded_in_while_an_archive_is_indexed_and_nobody_writes() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let conversation = rig.conversation(ann, 1);
    rig.batch(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO messages (uuid, conversation_id, user_id, role, content, created_at)
         SELECT printf('%d', i), {conversation}, {ann}, 'user', 'a whale ' || i || ' in the sea ' || i * 7, '2026-03-01'
         FROM n"
    ));
    rig.indexed();
    // Begun anew since: all batches are more than this.
    let connection = rusqlite::Connection::open(&rig.location.database).unwrap();
    let in_log: i64 = connection
        .query_row("PRAGMA wal_checkpoint", (), |row| row.get(1))
        .unwrap();
    assert!(in_log < 1_500, "{in_log} pages of log");
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
fn what_is_stored_after_indexing_is_synced() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let conversation = rig.conversation(ann.id, 1);
    let synchronous = || {
        let level = rig.write(|tx| tx.first("PRAGMA synchronous", (), |row| row.get::<_, i64>(0)));
        level.unwrap()
    };
    const FULL: i64 = 2;
    assert_eq!(synchronous(), Some(FULL));
    for _ in 0..3 {
        rig.message(conversation, ann.id, "whale");
        rig.indexed();
        assert_eq!(synchronous(), Some(FULL));
    }
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

/// Or what is asked of few titles would be read of all messages.
#[test]
fn titles_are_indexed_apart_from_messages() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let conversation = rig.conversation(ann, 1);
    for number in 0..3 {
        rig.message(conversation, ann, &format!("whale {number}"));
    }
    rig.batch("UPDATE conversations SET title = 'whales'");
    rig.indexed();
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM message_index_docsize"), 3);
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM title_index_docsize"), 1);
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
        let sought = Sought {
            owner: ann.id,
            phrases: &phrases,
            ending: Ending::Open,
            within: &Within::default(),
        };
        again.read(|read| walk(read, Among::Messages, &sought)).unwrap().len()
    };
    assert!(left > 0, "the queue was empty before the store was closed");
    until("all are indexed", || found() == 300);
    again.close();
}

/// A day with a message at its first and one at its last moment, at hours since 1970.
const DAY: std::ops::Range<i64> = 20_089 * 24..20_090 * 24;

/// What is imported has young ids and old dates.
#[test]
fn the_newest_come_first_whatever_their_ids() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let conversation = rig.conversation(ann.id, 1);
    for (time, text) in [
        ("2026-01-02T03:04:05.000000+00:00", "whale of now"),
        ("2020-01-02T03:04:05.000000+00:00", "old whale"),
        ("1969-12-31T23:59:59.000000+00:00", "whale before time"),
        ("2025-01-01T00:00:00.000000+00:00", "first whale of a day"),
        ("2025-01-01T23:59:59.999999+00:00", "last whale of a day"),
        ("2400-01-01T00:00:00.000000+00:00", "whale to come"),
    ] {
        let new = NewMessage {
            created_at: time.into(),
            ..new_message(conversation, ann.id, text)
        };
        rig.insert(new, None).unwrap();
    }
    rig.indexed();
    let of_a_day = ["last whale of a day", "first whale of a day"];
    assert_eq!(
        rig.whales(ann.id, &Within::default()),
        [
            "whale to come",
            "whale of now",
            of_a_day[0],
            of_a_day[1],
            "old whale",
            "whale before time"
        ]
    );
    let hours = |hours| Within {
        hours,
        ..Within::default()
    };
    assert_eq!(rig.whales(ann.id, &hours(DAY)), of_a_day);
    assert_eq!(rig.whales(ann.id, &hours(DAY.end..i64::MAX)).len(), 2);
    assert_eq!(rig.whales(ann.id, &hours(i64::MIN..DAY.start)).len(), 2);
    assert_eq!(rig.whales(ann.id, &hours(0..0)), [""; 0]);
}

#[test]
fn filters_cut_lists_with_one_another() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    let conversations = [rig.conversation(ann.id, 1), rig.conversation(ann.id, 2)];
    for (place, model, text) in [
        (0, None, "whale asked"),
        (0, Some("Maker/Big-1.5:x"), "whale big"),
        (1, Some("echo"), "whale echoed"),
        (1, Some("maker/small"), "whale small"),
    ] {
        let new = NewMessage {
            role: model.map_or(Role::User, |_| Role::Assistant),
            model: model.map(str::to_owned),
            ..new_message(conversations[place], ann.id, text)
        };
        rig.insert(new, None).unwrap();
    }
    rig.indexed();
    let models = |models: &[&str]| Within {
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        ..Within::default()
    };
    for (named, found) in [
        (&["maker/big-1.5:X"][..], &["whale big"][..]),
        (&["BIG-1.5:x"], &["whale big"]),
        (&["big"], &[]),
        (&["maker"], &[]),
        (&["echo", "small"], &["whale small", "whale echoed"]),
        (&["\" OR \"whale", "\0"], &[]),
    ] {
        assert_eq!(rig.whales(ann.id, &models(named)), found, "{named:?}");
    }
    let role = |role| Within {
        roles: vec![role],
        ..Within::default()
    };
    assert_eq!(rig.whales(ann.id, &role(Role::User)), ["whale asked"]);
    assert_eq!(rig.whales(ann.id, &role(Role::Assistant)).len(), 3);
    let places = |ids: &[i64]| Within {
        conversations: Some(ids.to_vec()),
        ..Within::default()
    };
    assert_eq!(
        rig.whales(ann.id, &places(&conversations[..1])),
        ["whale big", "whale asked"]
    );
    assert_eq!(rig.whales(ann.id, &places(&conversations)).len(), 4);
    assert_eq!(rig.whales(ann.id, &places(&[])), [""; 0]);
    assert_eq!(rig.whales(bob.id, &places(&conversations)), [""; 0]);
    let all = Within {
        roles: vec![Role::Assistant],
        ..places(&conversations[..1])
    };
    let sought = Sought {
        owner: ann.id,
        phrases: &[],
        ending: Ending::Open,
        within: &all,
    };
    assert_eq!(rig.texts(Among::Messages, &sought), ["whale big"]);
}

/// A branch that is deleted is moved to a hidden conversation, and back.
#[test]
fn what_moves_is_found_where_it_is() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let conversation = rig.conversation(ann, 1);
    let first = rig.message(conversation, ann, "first whale");
    let second = rig
        .insert(new_message(conversation, ann, "second whale"), Some(first))
        .unwrap();
    rig.indexed();
    let within = Within {
        conversations: Some(vec![conversation]),
        ..Within::default()
    };
    assert_eq!(rig.whales(ann, &within).len(), 2);
    let now = Clock.now().text();
    let uuid = Clock.uuid();
    rig.write(move |tx| delete_branch(tx, ann, &Ref::Id(second), &uuid, &now))
        .unwrap();
    assert_eq!(rig.whales(ann, &within), ["first whale"]);
    rig.indexed();
    assert_eq!(rig.whales(ann, &within), ["first whale"]);
    rig.write(move |tx| restore_branch(tx, ann, &Ref::Id(second))).unwrap();
    rig.indexed();
    assert_eq!(rig.whales(ann, &within).len(), 2);
}

#[test]
fn what_takes_too_long_is_stopped_and_nothing_else() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let conversation = rig.conversation(ann.id, 1);
    for number in 0..500 {
        rig.message(conversation, ann.id, &format!("whale {number}"));
    }
    rig.indexed();
    let phrases = [phrase(&["whale"])];
    let within = Within::default();
    let sought = Sought {
        owner: ann.id,
        phrases: &phrases,
        ending: Ending::Open,
        within: &within,
    };
    let outcome = rig.read_within(Duration::ZERO, |read| walk(read, Among::Messages, &sought));
    let error = check_kind(outcome, Kind::Unavailable);
    assert!(error.to_string().contains("took too long"), "{error}");
    // Every connection of the pool is as it was.
    for _ in 0..4 {
        assert_eq!(rig.whales(ann.id, &within).len(), 500);
    }
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
