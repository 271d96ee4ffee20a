//! Conversations: whose they are, how they are listed, and the counters that the triggers keep.

use super::super::{
    Conversation, ConversationPatch, Page, delete_conversation, list_conversations, list_conversations_pinned_first,
    owner_of_conversation, restore_conversation, update_conversation,
};
use super::*;

impl Rig {
    fn find(&self, owner: i64, which: &Ref) -> Result<Conversation, Error> {
        self.read(|read| find_conversation(read, owner, which))
    }

    fn list(&self, owner: i64, limit: i64, offset: i64) -> Vec<i64> {
        let page = Page { limit, offset };
        self.read(|read| list_conversations(read, owner, page, |listed| listed.id))
            .unwrap()
    }

    fn delete(&self, owner: i64, which: &Ref) -> Result<i64, Error> {
        let which = which.clone();
        self.write(move |tx| delete_conversation(tx, owner, &which, &Clock.now().text()))
    }

    fn restore(&self, owner: i64, which: &Ref) -> Result<Conversation, Error> {
        let which = which.clone();
        self.write(move |tx| restore_conversation(tx, owner, &which))
    }

    fn update(&self, owner: i64, which: &Ref, patch: ConversationPatch) -> Result<Conversation, Error> {
        let which = which.clone();
        self.write(move |tx| update_conversation(tx, owner, &which, &patch, &at(500)))
    }

    fn count(&self, user: &User) -> i64 {
        let user = self.read(|read| find_user_by_id(read, user.id)).unwrap();
        user.unwrap().conversation_count
    }

    /// Both names of a conversation.
    fn names(&self, owner: i64, id: i64) -> [Ref; 2] {
        let uuid = self.find(owner, &Ref::Id(id)).unwrap().uuid;
        [Ref::Id(id), Ref::Uuid(uuid)]
    }
}

#[test]
fn somebody_elses_conversation_does_not_exist() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    let id = rig.conversation(ann.id, 1);
    for name in rig.names(ann.id, id) {
        check_kind(rig.find(bob.id, &name), Kind::NotFound);
        let patch = ConversationPatch {
            title: Some("mine".into()),
            ..ConversationPatch::default()
        };
        check_kind(rig.update(bob.id, &name, patch), Kind::NotFound);
        check_kind(rig.delete(bob.id, &name), Kind::NotFound);
        let owner = rig.read(|read| owner_of_conversation(read, &name)).unwrap();
        assert_eq!(owner, Some(ann.id));
        rig.delete(ann.id, &name).unwrap();
        check_kind(rig.restore(bob.id, &name), Kind::NotFound);
        check_kind(rig.find(ann.id, &name), Kind::NotFound);
        let owner = rig.read(|read| owner_of_conversation(read, &name)).unwrap();
        assert_eq!(owner, None);
        assert_eq!(rig.restore(ann.id, &name).unwrap().title, None);
    }
    check_kind(rig.insert(new_message(id, bob.id, "mine"), None), Kind::NotFound);
    assert_eq!(rig.branch(id, ann.id), [""; 0]);
    assert_eq!((rig.list(ann.id, 10, 0), rig.list(bob.id, 10, 0)), (vec![id], vec![]));
}

#[test]
fn either_name_finds_it() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let (one, other) = (rig.conversation(ann.id, 1), rig.conversation(ann.id, 2));
    for id in [one, other] {
        for name in rig.names(ann.id, id) {
            assert_eq!(rig.find(ann.id, &name).unwrap().id, id);
        }
    }
    for name in [Ref::Id(99), Ref::Id(-1), Ref::Uuid(one.to_string())] {
        check_kind(rig.find(ann.id, &name), Kind::NotFound);
    }
}

#[test]
fn the_most_recently_updated_come_first() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    let made: Vec<i64> = [5, 1, 9, 9, 3].map(|seconds| rig.conversation(ann.id, seconds)).into();
    rig.conversation(bob.id, 7);
    // Of two at the same moment, the newer one is first.
    let order = [made[3], made[2], made[0], made[4], made[1]];
    assert_eq!(rig.list(ann.id, 10, 0), order);
    let pages: Vec<i64> = (0..4).flat_map(|page| rig.list(ann.id, 2, page * 2)).collect();
    assert_eq!(pages, order);
    let pinned = ConversationPatch {
        is_pinned: Some(true),
        ..ConversationPatch::default()
    };
    rig.update(ann.id, &Ref::Id(made[1]), pinned).unwrap();
    assert_eq!(rig.list(ann.id, 1, 0), [made[1]]);
    rig.insert(
        NewMessage {
            created_at: at(600),
            ..new_message(made[4], ann.id, "x")
        },
        None,
    )
    .unwrap();
    assert_eq!(rig.list(ann.id, 2, 0), [made[4], made[1]]);
    // A message of an earlier moment (the clock was set back) does not send it down the list.
    rig.insert(
        NewMessage {
            created_at: at(2),
            ..new_message(made[4], ann.id, "y")
        },
        None,
    )
    .unwrap();
    assert_eq!(rig.list(ann.id, 1, 0), [made[4]]);
    rig.delete(ann.id, &Ref::Id(made[4])).unwrap();
    assert_eq!(rig.list(ann.id, 1, 0), [made[1]]);
}

#[test]
fn a_patch_changes_what_it_names() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let name = Ref::Id(rig.conversation(ann.id, 1));
    let titled = ConversationPatch {
        title: Some("Boats".into()),
        ..ConversationPatch::default()
    };
    let changed = rig.update(ann.id, &name, titled).unwrap();
    assert_eq!(
        (changed.title.as_deref(), changed.is_pinned, changed.is_archived),
        (Some("Boats"), false, false)
    );
    assert_eq!((changed.created_at, changed.updated_at), (at(1), at(500)));
    let archived = ConversationPatch {
        is_archived: Some(true),
        library: Some(true),
        is_pinned: Some(true),
        ..ConversationPatch::default()
    };
    rig.update(ann.id, &name, archived).unwrap();
    let back = ConversationPatch {
        is_archived: Some(false),
        ..ConversationPatch::default()
    };
    let changed = rig.update(ann.id, &name, back).unwrap();
    assert_eq!(
        (changed.title.as_deref(), changed.is_pinned, changed.is_archived),
        (Some("Boats"), true, false)
    );
}

#[test]
fn what_was_chosen_can_be_given_back() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let name = Ref::Id(rig.conversation(ann.id, 1));
    let chosen = ConversationPatch {
        model: Some(Some("groq/x".into())),
        system_prompt: Some(Some("In verse".into())),
        temperature: Some(Some(0.5)),
        max_tokens: Some(Some(7)),
        library: Some(true),
        ..ConversationPatch::default()
    };
    let facts = |found: Conversation| {
        let Conversation {
            model,
            system_prompt,
            temperature,
            max_tokens,
            library,
            ..
        } = found;
        (model, system_prompt, temperature, max_tokens, library)
    };
    let all = (Some("groq/x".into()), Some("In verse".into()), Some(0.5), Some(7), true);
    assert_eq!(facts(rig.update(ann.id, &name, chosen).unwrap()), all);
    let untouched = rig.update(ann.id, &name, ConversationPatch::default()).unwrap();
    assert_eq!(facts(untouched), all);
    let back = ConversationPatch {
        model: Some(None),
        temperature: Some(None),
        ..ConversationPatch::default()
    };
    let some = (None, Some("In verse".into()), None, Some(7), true);
    assert_eq!(facts(rig.update(ann.id, &name, back).unwrap()), some);
    let back = ConversationPatch {
        system_prompt: Some(None),
        max_tokens: Some(None),
        library: Some(false),
        ..ConversationPatch::default()
    };
    assert_eq!(
        facts(rig.update(ann.id, &name, back).unwrap()),
        (None, None, None, None, false)
    );
}

#[test]
fn counters_follow_deleting_and_restoring() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    let names: Vec<Ref> = (0..3)
        .map(|second| rig.conversation(ann.id, second))
        .map(Ref::Id)
        .collect();
    rig.conversation(bob.id, 1);
    assert_eq!(rig.count(&ann), 3);
    rig.delete(ann.id, &names[0]).unwrap();
    rig.delete(ann.id, &names[1]).unwrap();
    assert_eq!(rig.count(&ann), 1);
    check_kind(rig.delete(ann.id, &names[1]), Kind::NotFound);
    assert_eq!(rig.count(&ann), 1);
    assert_eq!(rig.restore(ann.id, &names[0]).unwrap().created_at, at(0));
    assert_eq!(rig.count(&ann), 2);
    // It was not deleted any more: nothing to restore, nothing to count.
    check_kind(rig.restore(ann.id, &names[0]), Kind::NotFound);
    check_kind(rig.restore(ann.id, &Ref::Id(99)), Kind::NotFound);
    assert_eq!(rig.count(&ann), 2);
    // Removed for good, hidden or not, as clearing away and other programs do.
    rig.batch("DELETE FROM conversations WHERE deleted_at IS NOT NULL");
    assert_eq!(rig.count(&ann), 2);
    rig.batch("DELETE FROM conversations WHERE id = (SELECT max(id) FROM conversations WHERE user_id = 1)");
    assert_eq!((rig.count(&ann), rig.count(&bob)), (1, 1));
}

#[test]
fn restoring_brings_the_messages_back() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let id = rig.conversation(ann.id, 1);
    rig.message(id, ann.id, "one");
    rig.message(id, ann.id, "two");
    let name = Ref::Id(id);
    assert_eq!(rig.delete(ann.id, &name).unwrap(), id);
    let restored = rig.restore(ann.id, &name).unwrap();
    assert_eq!(
        (restored.message_count, restored.last_message_content.as_str()),
        (2, "two")
    );
    assert_eq!(rig.branch(id, ann.id), ["one", "two"]);
}

#[test]
fn what_was_deleted_long_ago_is_not_restored() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    for (days, is_kept) in [(29, true), (31, false)] {
        let name = Ref::Id(rig.conversation(ann.id, 1));
        let (which, then) = (name.clone(), Clock.now().plus_s(-days * 24 * 3600).text());
        rig.write(move |tx| delete_conversation(tx, ann.id, &which, &then))
            .unwrap();
        assert_eq!(rig.restore(ann.id, &name).is_ok(), is_kept, "{days} days");
    }
}

#[test]
fn ids_are_never_used_again() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let gone = rig.conversation(ann.id, 1);
    rig.batch("DELETE FROM conversations");
    assert!(rig.conversation(ann.id, 2) > gone);
}

#[test]
fn a_conversation_needs_an_owner() {
    let rig = Rig::new();
    let new = NewConversation {
        user_id: 99,
        uuid: Clock.uuid(),
        title: None,
        created_at: at(0),
    };
    let outcome = rig.write(move |tx| insert_conversation(tx, &new));
    check_kind(outcome, Kind::Internal);
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM conversations"), 0);
}

#[test]
fn pinned_conversations_come_first_where_that_is_asked_for() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let [oldest, old, new, newest] = [10, 20, 30, 40].map(|seconds| rig.conversation(ann, seconds));
    rig.conversation(rig.user("bob").id, 50);
    rig.batch(&format!(
        "UPDATE conversations SET is_pinned = 1 WHERE id IN ({oldest}, {old})"
    ));
    let list = |limit, offset| -> Vec<i64> {
        let page = Page { limit, offset };
        rig.read(|read| list_conversations_pinned_first(read, ann, page, |listed| listed.id))
            .unwrap()
    };
    assert_eq!(list(50, 0), [old, oldest, newest, new]);
    assert_eq!(list(3, 0), [old, oldest, newest]);
    assert_eq!(list(1, 0), [old]);
    // Pages follow each other across the border between the two.
    assert_eq!(list(2, 1), [oldest, newest]);
    assert_eq!(list(2, 2), [newest, new]);
    assert_eq!(list(2, 3), [new]);
    assert!(list(2, 4).is_empty());
}
