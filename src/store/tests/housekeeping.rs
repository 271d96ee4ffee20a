//! Clearing away: what is over goes, what can still be asked for stays.

use super::super::housekeeping::{BATCH_ROWS_MAX, Left, clear_batch};
use super::super::{
    NewSession, NewUsage, Scope, Session, delete_conversation, insert_session, insert_usage, restore_conversation,
};
use super::*;

const DAY_S: i64 = 24 * 3600;

/// So many days from now.
fn in_days(days: i64) -> String {
    Clock.now().plus_s(days * DAY_S).text()
}

impl Rig {
    /// A conversation of so many messages, deleted some days ago.
    fn deleted(&self, owner: i64, messages: usize, days_ago: i64) -> i64 {
        let id = self.conversation(owner, 1);
        self.write(move |tx| {
            for _ in 0..messages {
                insert_message(tx, &new_message(id, owner, "text"), None, None)?;
            }
            delete_conversation(tx, owner, &Ref::Id(id), &in_days(-days_ago))
        })
        .unwrap()
    }

    /// Batch after batch until nothing is left; returns how many it took.
    pub(super) fn clear_away(&self) -> usize {
        let batches = (1..).find(|_| self.write(clear_batch).unwrap() == Left::Nothing);
        batches.unwrap()
    }

    fn rows(&self, table: &str) -> i64 {
        self.value(&format!("SELECT count(*) FROM {table}"))
    }
}

#[test]
fn a_deleted_conversation_goes_after_thirty_days() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let kept = rig.deleted(ann.id, 2, 29);
    let shown = rig.conversation(ann.id, 1);
    let gone = rig.deleted(ann.id, 3, 31);
    let usage = NewUsage {
        user_id: ann.id,
        api_key: None,
        scope: Scope::Final,
        price: 0.0,
        model: "m".into(),
        input_tokens: 1,
        output_tokens: 2,
        cached_tokens: 0,
        is_estimated: false,
        created_at: at(0),
    };
    let last = format!("SELECT max(id) FROM messages WHERE conversation_id = {gone}");
    let message: i64 = rig.value(&last);
    rig.write(move |tx| insert_usage(tx, message, &usage)).unwrap();
    rig.clear_away();
    assert_eq!(
        rig.value::<String>("SELECT group_concat(id ORDER BY id) FROM conversations"),
        format!("{kept},{shown}")
    );
    assert_eq!(rig.rows("messages"), 2);
    // What was spent stays spent.
    assert_eq!(
        rig.rows("usage_details WHERE message_id IS NULL AND output_tokens = 2"),
        1
    );
    assert_eq!(rig.rows("usage_details"), 1);
    assert_eq!(rig.value::<i64>("SELECT conversation_count FROM users"), 1);
    rig.clear_away();
    assert_eq!(rig.rows("conversations"), 2);
}

#[test]
fn a_long_conversation_goes_a_batch_at_a_time() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let gone = rig.deleted(ann.id, 5 * BATCH_ROWS_MAX as usize, 31);
    assert_eq!(rig.write(clear_batch).unwrap(), Left::More);
    assert_eq!(rig.value::<u32>("SELECT count(*) FROM messages"), 4 * BATCH_ROWS_MAX);
    // What has lost its end already does not come back.
    let restored = rig.write(move |tx| restore_conversation(tx, ann.id, &Ref::Id(gone)));
    check_kind(restored, Kind::NotFound);
    assert_eq!(rig.clear_away(), 5);
    assert_eq!((rig.rows("conversations"), rig.rows("messages")), (0, 0));
}

#[test]
fn large_messages_make_small_batches() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    rig.deleted(ann.id, 8, 31);
    rig.batch("UPDATE messages SET content = hex(zeroblob(512 * 1024))");
    assert_eq!(rig.write(clear_batch).unwrap(), Left::More);
    assert_eq!(rig.rows("messages"), 4);
    rig.clear_away();
    assert_eq!((rig.rows("conversations"), rig.rows("messages")), (0, 0));
}

#[test]
fn what_was_read_of_attachments_makes_small_batches_too() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    rig.deleted(ann.id, 8, 31);
    rig.batch(&format!(
        "INSERT INTO blobs (sha256, touched_at) VALUES ('x', '{now}');
         INSERT INTO attachments (uuid, user_id, filename, content_type, size, sha256, text, created_at)
         SELECT uuid, user_id, 'f', 'text/plain', 1, 'x', hex(zeroblob(512 * 1024)), '{now}' FROM messages;
         INSERT INTO message_attachments
         SELECT messages.id, attachments.id FROM messages JOIN attachments ON attachments.uuid = messages.uuid",
        now = in_days(0)
    ));
    assert_eq!(rig.write(clear_batch).unwrap(), Left::More);
    assert_eq!(rig.rows("messages"), 4);
    rig.clear_away();
    assert_eq!((rig.rows("messages"), rig.rows("attachments")), (0, 0));
}

#[test]
fn the_oldest_goes_first() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let batch = i64::from(BATCH_ROWS_MAX / 2);
    let ids: Vec<i64> = (0..=batch).map(|days| rig.deleted(ann.id, 1, 31 + days)).collect();
    assert_eq!(rig.write(clear_batch).unwrap(), Left::More);
    assert_eq!(rig.rows("conversations"), 1);
    assert_eq!(rig.value::<i64>("SELECT id FROM conversations"), ids[0]);
    rig.clear_away();
    assert_eq!((rig.rows("conversations"), rig.rows("messages")), (0, 0));
}

/// The writer's own batches, one after the other, with others' jobs between them.
#[test]
fn the_writer_clears_away_by_itself() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    rig.deleted(ann.id, 4 * BATCH_ROWS_MAX as usize, 31);
    let again = rig.another();
    let left = || again.read(|read| read.first("SELECT count(*) FROM messages", (), |row| row.get::<_, i64>(0)));
    let conversation = rig.conversation(ann.id, 1);
    let mut sent = 0;
    until("all has gone but what was sent meanwhile", || {
        let new = new_message(conversation, ann.id, "hello");
        again.write(move |tx| insert_message(tx, &new, None, None)).unwrap();
        sent += 1;
        left().unwrap() == Some(sent)
    });
    again.close();
}

/// Purging takes a conversation's messages from its end. Nothing else may take one out of the middle.
#[test]
fn a_message_that_was_answered_does_not_go_alone() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let conversation = rig.conversation(ann.id, 1);
    let question = rig.message(conversation, ann.id, "question");
    rig.message(conversation, ann.id, "answer");
    let gone = rig.write(move |tx| tx.execute("DELETE FROM messages WHERE id = ?1", [question]));
    assert!(gone.is_err());
    assert_eq!(rig.branch(conversation, ann.id), ["question", "answer"]);
    // With the whole account goes the whole chain, however long.
    rig.write(move |tx| {
        for _ in 0..3000 {
            insert_message(tx, &new_message(conversation, ann.id, "text"), None, None)?;
        }
        tx.execute("DELETE FROM users WHERE id = ?1", [ann.id])
    })
    .unwrap();
    assert_eq!((rig.rows("conversations"), rig.rows("messages")), (0, 0));
}

#[test]
fn sessions_and_revocations_that_are_over_go() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    for (id, days) in [("over", -1), ("lasting", 1)] {
        let new = NewSession {
            user_id: ann.id,
            version: 1,
            session: Session {
                id: id.into(),
                user_agent: None,
                created_at: at(0),
                expires_at: in_days(days),
            },
            means: Means::Session,
        };
        rig.write(move |tx| insert_session(tx, &new)).unwrap();
    }
    rig.batch(&format!(
        "INSERT INTO revocations VALUES ('over', '{}'), ('lasting', '{}'), ('for ever', NULL)",
        in_days(-1),
        in_days(1)
    ));
    rig.clear_away();
    assert_eq!(rig.value::<String>("SELECT group_concat(id) FROM sessions"), "lasting");
    let left = "SELECT group_concat(token_sha256) FROM revocations";
    assert_eq!(rig.value::<String>(left), "for ever,lasting");
}
