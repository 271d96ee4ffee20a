//! The tree of a conversation: its branches, which of them is shown, and what lists say of it.

use super::super::{
    Conversation, Message, find_message, insert_sibling, list_around, list_tree, resume_reply, show_branch,
    withdraw_reply,
};
use super::*;

/// A conversation whose first question was answered twice and edited once, told in this order:
///
/// ```text
/// ask ─┬─ first ── more ── again
///      └─ second
/// edit ── third
/// ```
pub(super) struct Told {
    pub(super) rig: Rig,
    pub(super) ann: i64,
    pub(super) id: i64,
    /// `ask` and all others in the order in which they came.
    pub(super) ids: [i64; 7],
}

const TEXTS: [&str; 7] = ["ask", "first", "more", "again", "second", "edit", "third"];

impl Told {
    pub(super) fn new() -> Told {
        let rig = Rig::new();
        let ann = rig.user("ann").id;
        let id = rig.conversation(ann, 0);
        let new = |place: usize| NewMessage {
            created_at: at(place),
            ..new_message(id, ann, TEXTS[place])
        };
        let say = |place: usize, parent| rig.insert(new(place), parent).unwrap();
        let ask = say(0, None);
        let first = say(1, None);
        let more = say(2, None);
        let again = say(3, None);
        let second = say(4, Some(ask));
        let sibling = new(5);
        let (asked, _) = rig.read(|read| find_message(read, ann, &Ref::Id(ask))).unwrap();
        let edit = rig.write(move |tx| insert_sibling(tx, &sibling, &asked)).unwrap();
        let third = say(6, None);
        let ids = [ask, first, more, again, second, edit, third];
        Told { rig, ann, id, ids }
    }

    pub(super) fn conversation(&self) -> Conversation {
        let which = Ref::Id(self.id);
        self.rig.read(|read| find_conversation(read, self.ann, &which)).unwrap()
    }

    /// Shows the branch with the message at this place, and says where it ends.
    pub(super) fn show(&self, place: usize) -> usize {
        let (id, which) = (self.id, Ref::Id(self.ids[place]));
        let leaf = self.rig.write(move |tx| show_branch(tx, id, &which)).unwrap();
        assert_eq!(self.conversation().leaf_id, Some(leaf));
        self.ids.iter().position(|id| *id == leaf).unwrap()
    }

    /// Checks the branch that is shown, and what lists say of it.
    #[track_caller]
    pub(super) fn check_shown(&self, places: &[usize]) {
        let texts: Vec<&str> = places.iter().map(|place| TEXTS[*place]).collect();
        assert_eq!(self.rig.branch(self.id, self.ann), texts);
        let found = self.conversation();
        let last = places[places.len() - 1];
        assert_eq!(
            (
                found.message_count,
                found.last_message_content.as_str(),
                found.last_message_time
            ),
            (i64::try_from(places.len()).unwrap(), TEXTS[last], Some(at(last)))
        );
    }
}

#[test]
fn every_branch_can_be_shown() {
    let told = Told::new();
    told.check_shown(&[5, 6]);
    let updated_at = told.conversation().updated_at;
    for (chosen, leaf, branch) in [
        (4, 4, &[0, 4][..]),
        // Of all below it, the newest is where its branch ends.
        (0, 4, &[0, 4]),
        (1, 3, &[0, 1, 2, 3]),
        (3, 3, &[0, 1, 2, 3]),
        (5, 6, &[5, 6]),
    ] {
        assert_eq!(told.show(chosen), leaf);
        told.check_shown(branch);
    }
    // Turning to another branch is no news.
    assert_eq!(told.conversation().updated_at, updated_at);
}

#[test]
fn what_is_said_next_goes_on_from_what_is_shown() {
    let told = Told::new();
    told.show(1);
    told.rig.message(told.id, told.ann, "and now");
    assert_eq!(
        told.rig.branch(told.id, told.ann),
        ["ask", "first", "more", "again", "and now"]
    );
    assert_eq!(told.conversation().message_count, 5);
    // The branch that was last written in is the one that its first message stands for.
    assert_eq!(told.conversation().leaf_id, Some(told.ids[6] + 1));
    told.show(5);
    told.rig
        .write({
            let (id, which) = (told.id, Ref::Id(told.ids[0]));
            move |tx| show_branch(tx, id, &which)
        })
        .unwrap();
    assert_eq!(told.conversation().leaf_id, Some(told.ids[6] + 1));
}

#[test]
fn only_the_conversations_own_messages_can_be_shown() {
    let told = Told::new();
    let other = told.rig.conversation(told.ann, 9);
    let elsewhere = told.rig.message(other, told.ann, "elsewhere");
    let id = told.id;
    for which in [Ref::Id(elsewhere), Ref::Id(99), Ref::Uuid("nothing".into())] {
        check_kind(told.rig.write(move |tx| show_branch(tx, id, &which)), Kind::NotFound);
    }
    told.check_shown(&[5, 6]);
    let (message, _) = told
        .rig
        .read(|read| find_message(read, told.ann, &Ref::Id(told.ids[4])))
        .unwrap();
    told.rig
        .write(move |tx| show_branch(tx, id, &Ref::Uuid(message.uuid.clone())))
        .unwrap();
    told.check_shown(&[0, 4]);
}

#[test]
fn the_tree_holds_every_message() {
    let told = Told::new();
    let tree = told.rig.read(|read| list_tree(read, told.id)).unwrap();
    assert!(!tree.is_truncated);
    let nodes: Vec<(i64, Option<i64>, &str)> = tree
        .nodes
        .iter()
        .map(|node| (node.id, node.parent_id, node.preview.as_str()))
        .collect();
    let [ask, first, more, _, _, edit, _] = told.ids.map(Some);
    let parents = [None, ask, first, more, ask, None, edit];
    let wanted: Vec<(i64, Option<i64>, &str)> = (0..7).map(|i| (told.ids[i], parents[i], TEXTS[i])).collect();
    assert_eq!(nodes, wanted);
    // Long ones with their beginning.
    told.rig.message(told.id, told.ann, &"é".repeat(5000));
    let tree = told.rig.read(|read| list_tree(read, told.id)).unwrap();
    assert_eq!(tree.nodes[7].preview, "é".repeat(200));
    let empty = told.rig.conversation(told.ann, 9);
    assert!(told.rig.read(|read| list_tree(read, empty)).unwrap().nodes.is_empty());
}

#[test]
fn a_tree_that_is_too_large_is_cut_at_its_oldest_end() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let id = rig.conversation(ann, 1);
    let sql = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n <= 10000)
         INSERT INTO messages (id, uuid, conversation_id, user_id, parent_id, role, content, created_at)
         SELECT n, 'uuid' || n, {id}, {ann}, nullif(n - 1, 0), 'user', 'text', '{}' FROM numbers",
        at(1)
    );
    rig.batch(&sql);
    let tree = rig.read(|read| list_tree(read, id)).unwrap();
    let ends = (tree.nodes[0].id, tree.nodes[9999].id);
    assert_eq!((tree.nodes.len(), tree.is_truncated, ends), (10_000, true, (2, 10_001)));
    rig.batch("DELETE FROM messages WHERE id = 10001");
    let tree = rig.read(|read| list_tree(read, id)).unwrap();
    assert_eq!((tree.nodes.len(), tree.is_truncated), (10_000, false));
}

#[test]
fn messages_know_what_stands_around_them() {
    let told = Told::new();
    // Another conversation's beginning is nobody's sibling here.
    let other = told.rig.conversation(told.ann, 9);
    told.rig.message(other, told.ann, "elsewhere");
    for (leaf, siblings) in [
        (3, &[&[0, 5][..], &[1, 4], &[2], &[3]][..]),
        (6, &[&[0, 5], &[6]]),
        (4, &[&[0, 5], &[1, 4]]),
    ] {
        told.show(leaf);
        let branch = Branch {
            conversation_id: told.id,
            leaf_id: told.conversation().leaf_id,
            before: None,
            limit: 10,
        };
        let (page, around) = told
            .rig
            .read(|read| {
                let page: Vec<Message> = list_branch(read, &branch)?;
                let around = list_around(read, &page)?;
                Ok((page, around))
            })
            .unwrap();
        assert_eq!(page.len(), siblings.len());
        for (message, siblings) in page.iter().zip(siblings) {
            let around = &around[&message.id];
            let found: Vec<i64> = around.siblings.iter().map(|ids| ids.id).collect();
            let wanted: Vec<i64> = siblings.iter().map(|place| told.ids[*place]).collect();
            assert_eq!(found, wanted, "{}", message.content);
            let parent = around.parent.as_ref();
            assert_eq!(parent.map(|parent| parent.id), message.parent_id);
            assert!(parent.is_none_or(|parent| page.iter().any(|message| message.uuid == parent.uuid)));
        }
    }
}

impl Told {
    /// A further reply to the message at this place, in this state.
    fn reply(&self, place: usize, state: State, text: &str) -> i64 {
        let new = NewMessage {
            role: Role::Assistant,
            state,
            ..new_message(self.id, self.ann, text)
        };
        self.rig.insert(new, Some(self.ids[place])).unwrap()
    }

    fn resume(&self, id: i64) -> Result<Message, Error> {
        let owner = self.ann;
        self.rig.write(move |tx| resume_reply(tx, owner, id))
    }
}

#[test]
fn a_reply_that_is_withdrawn_gives_way_to_the_newest_beside_it() {
    let told = Told::new();
    let id = told.reply(0, State::Streaming, "");
    assert_eq!(told.rig.branch(told.id, told.ann), ["ask", ""]);
    told.rig.write(move |tx| withdraw_reply(tx, id)).unwrap();
    told.check_shown(&[0, 4]);
    // Where there is none beside it, to its question; and where another branch is shown, to nothing.
    let id = told.reply(6, State::Streaming, "");
    told.show(3);
    told.rig.write(move |tx| withdraw_reply(tx, id)).unwrap();
    told.check_shown(&[0, 1, 2, 3]);
    let id = told.reply(6, State::Streaming, "");
    told.rig.write(move |tx| withdraw_reply(tx, id)).unwrap();
    told.check_shown(&[5, 6]);
}

#[test]
fn only_a_reply_that_broke_off_goes_on() {
    let told = Told::new();
    for state in [State::Interrupted, State::Stopped, State::Failed] {
        let id = told.reply(3, state, "half");
        told.show(5);
        let partial = told.resume(id).unwrap();
        assert_eq!((partial.content.as_str(), partial.state), ("half", state));
        // It is shown again, and being written.
        assert_eq!(
            told.rig.branch(told.id, told.ann),
            ["ask", "first", "more", "again", "half"]
        );
        assert_eq!(told.conversation().message_count, 5);
        check_kind(told.resume(id), Kind::Conflict);
    }
    let bob = told.rig.user("bob").id;
    let stopped = told.reply(3, State::Stopped, "half");
    check_kind(told.rig.write(move |tx| resume_reply(tx, bob, stopped)), Kind::NotFound);
    told.rig.message(told.id, told.ann, "never mind");
    let error = check_kind(told.resume(stopped), Kind::Conflict);
    assert_eq!(error.message(), "Something was said after this reply");
    check_kind(told.resume(told.ids[0]), Kind::Conflict);
    check_kind(told.resume(told.reply(3, State::Complete, "whole")), Kind::Conflict);
    check_kind(told.resume(99), Kind::NotFound);
}
