//! Clearing away: what is over goes, what can still be asked for stays.

use super::super::{NewSession, NewUsage, Scope, Session, delete_conversation, insert_session, insert_usage, sessions};
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
            delete_conversation(tx, owner, &ConversationRef::Id(id), &in_days(-days_ago))
        })
        .unwrap()
    }

    fn clear_away(&self) {
        self.write(sessions::clear_away).unwrap();
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
        rig.value::<String>("SELECT group_concat(id) FROM conversations"),
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

/// Each message hangs on the one before it: SQLite follows such a chain only so far.
#[test]
fn a_long_conversation_goes_too() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    rig.deleted(ann.id, 5000, 31);
    rig.clear_away();
    assert_eq!((rig.rows("conversations"), rig.rows("messages")), (0, 0));
}

#[test]
fn a_little_at_a_time() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    for days in 0..120 {
        rig.deleted(ann.id, 1, 31 + days);
    }
    rig.clear_away();
    // The oldest first.
    assert_eq!(rig.rows("conversations"), 20);
    assert_eq!(rig.value::<i64>("SELECT min(id) FROM conversations"), 1);
    rig.clear_away();
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
