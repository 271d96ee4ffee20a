//! Branches that are deleted and put back: what is shown meanwhile, and that nobody finds what is gone.

use super::super::{
    Conversation, delete_branch, delete_conversation, find_message, insert_sibling, list_tree, restore_branch,
    restore_conversation,
};
use super::tree::Told;
use super::*;

impl Told {
    /// Deletes the branch that begins with the message at this place.
    fn delete(&self, place: usize) -> Conversation {
        let (ann, which, now) = (self.ann, Ref::Id(self.ids[place]), Clock.now().text());
        let uuid = Clock.uuid();
        let deleted = self.rig.write(move |tx| delete_branch(tx, ann, &which, &uuid, &now));
        deleted.unwrap()
    }

    fn restore(&self, place: usize) -> Result<Conversation, Error> {
        let (ann, which) = (self.ann, Ref::Id(self.ids[place]));
        self.rig.write(move |tx| restore_branch(tx, ann, &which))
    }

    /// The places of all messages that the tree holds.
    fn tree(&self) -> Vec<usize> {
        let tree = self.rig.read(|read| list_tree(read, self.id)).unwrap();
        let place = |id: i64| self.ids.iter().position(|known| *known == id).unwrap();
        tree.nodes.iter().map(|node| place(node.id)).collect()
    }

    fn count_hidden(&self) -> i64 {
        self.rig
            .value("SELECT count(*) FROM conversations WHERE cut_from_id IS NOT NULL")
    }
}

#[test]
fn a_deleted_branch_gives_way_to_its_sibling_and_comes_back() {
    let told = Told::new();
    for (shown, deleted, left, tree) in [
        // The question before is where a branch without siblings ends.
        (3, 2, &[0, 1][..], &[0, 1, 4, 5, 6][..]),
        (3, 1, &[0, 4], &[0, 4, 5, 6]),
        // The first message has a sibling too; the older one comes first.
        (6, 5, &[0, 4], &[0, 1, 2, 3, 4]),
        // What is not shown goes without a trace.
        (4, 1, &[0, 4], &[0, 4, 5, 6]),
    ] {
        told.show(shown);
        let before = told.rig.branch(told.id, told.ann);
        told.delete(deleted);
        told.check_shown(left);
        assert_eq!(told.tree(), tree);
        for gone in (0..7).filter(|place| !tree.contains(place)) {
            let which = Ref::Id(told.ids[gone]);
            check_kind(
                told.rig.read(|read| find_message(read, told.ann, &which)),
                Kind::NotFound,
            );
        }
        told.restore(deleted).unwrap();
        assert_eq!(told.rig.branch(told.id, told.ann), before);
        assert_eq!(told.tree(), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(told.count_hidden(), 0);
        check_kind(told.restore(deleted), Kind::NotFound);
    }
}

#[test]
fn a_conversation_can_lose_all_that_was_said() {
    let told = Told::new();
    told.delete(5);
    let left = told.delete(0);
    assert_eq!(
        (
            left.leaf_id,
            left.message_count,
            left.last_message_content.as_str(),
            left.last_message_time
        ),
        (None, 0, "", None)
    );
    told.rig.message(told.id, told.ann, "anew");
    assert_eq!(told.rig.branch(told.id, told.ann), ["anew"]);
    told.restore(0).unwrap();
    told.check_shown(&[0, 4]);
}

#[test]
fn what_was_not_shown_is_where_nothing_else_is_left() {
    let told = Told::new();
    told.show(4);
    told.delete(5);
    told.delete(0);
    let back = told.restore(5).unwrap();
    assert_eq!((back.leaf_id, back.message_count), (Some(told.ids[6]), 2));
    told.check_shown(&[5, 6]);
    told.restore(0).unwrap();
    told.check_shown(&[0, 4]);
}

#[test]
fn what_hung_on_a_deleted_message_waits_for_it() {
    let told = Told::new();
    told.show(3);
    told.delete(2);
    told.delete(1);
    check_kind(told.restore(2), Kind::Conflict);
    // Only the message that was deleted can be put back, not one that went with it.
    check_kind(told.restore(3), Kind::NotFound);
    told.restore(1).unwrap();
    told.restore(2).unwrap();
    told.check_shown(&[0, 1, 2, 3]);
}

#[test]
fn nothing_is_said_below_a_deleted_message() {
    let told = Told::new();
    told.show(3);
    let (id, ann) = (told.id, told.ann);
    let (more, _) = told
        .rig
        .read(|read| find_message(read, ann, &Ref::Id(told.ids[2])))
        .unwrap();
    told.delete(1);
    let new = || new_message(id, ann, "late");
    check_kind(told.rig.insert(new(), Some(told.ids[1])), Kind::NotFound);
    let edited = new();
    check_kind(
        told.rig.write(move |tx| insert_sibling(tx, &edited, &more)),
        Kind::NotFound,
    );
    told.check_shown(&[0, 4]);
}

#[test]
fn a_deleted_branch_is_its_owners_and_goes_with_its_conversation() {
    let told = Told::new();
    told.delete(1);
    let bob = told.rig.user("bob").id;
    let (which, ann, id) = (Ref::Id(told.ids[1]), told.ann, told.id);
    let of_bob = which.clone();
    check_kind(
        told.rig.write(move |tx| restore_branch(tx, bob, &of_bob)),
        Kind::NotFound,
    );
    // Where it is kept is no conversation that anybody could restore.
    let hidden = told
        .rig
        .value::<i64>("SELECT id FROM conversations WHERE cut_from_id IS NOT NULL");
    check_kind(
        told.rig
            .write(move |tx| restore_conversation(tx, ann, &Ref::Id(hidden))),
        Kind::NotFound,
    );
    told.rig
        .write(move |tx| delete_conversation(tx, ann, &Ref::Id(id), &at(9)))
        .unwrap();
    check_kind(told.restore(1), Kind::NotFound);
}

#[test]
fn a_deleted_branch_is_cleared_away_after_its_time() {
    let told = Told::new();
    told.delete(1);
    told.rig.batch(
        "UPDATE conversations SET deleted_at = '2026-01-01T00:00:00.000000+00:00' WHERE cut_from_id IS NOT NULL",
    );
    check_kind(told.restore(1), Kind::NotFound);
    told.rig.clear_away();
    assert_eq!(told.count_hidden(), 0);
    assert_eq!(told.rig.value::<i64>("SELECT count(*) FROM messages"), 4);
}
