//! Tags: how they are spelled, found, renamed and taken away.

use super::super::{
    ConversationPatch, Page, Tag, count_tagged, delete_conversation, delete_tag, list_tagged, list_tags, rename_tag,
    restore_conversation, update_conversation,
};
use super::*;

impl Rig {
    fn tag(&self, owner: i64, id: i64, tags: &[&str]) -> Vec<String> {
        let patch = ConversationPatch {
            tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
            ..ConversationPatch::default()
        };
        let tagged = self.write(move |tx| update_conversation(tx, owner, &Ref::Id(id), &patch, &at(0)));
        tagged.unwrap().tags
    }

    fn tags(&self, owner: i64) -> Vec<(String, i64)> {
        let tags = self.read(|read| list_tags(read, owner)).unwrap();
        tags.into_iter().map(|tag| (tag.name, tag.conversation_count)).collect()
    }

    fn tags_of(&self, owner: i64, id: i64) -> Vec<String> {
        let found = self.read(|read| find_conversation(read, owner, &Ref::Id(id)));
        found.unwrap().tags
    }

    fn tagged(&self, owner: i64, name: &str) -> Vec<i64> {
        let page = Page { limit: 10, offset: 0 };
        let found = self
            .read(|read| list_tagged(read, owner, name, page, |listed| listed.id))
            .unwrap();
        let count = self.read(|read| count_tagged(read, owner, name)).unwrap();
        assert_eq!(usize::try_from(count).unwrap(), found.len());
        found
    }

    fn rename(&self, owner: i64, name: &'static str, new_name: &'static str) -> Result<Tag, Error> {
        self.write(move |tx| rename_tag(tx, owner, name, new_name))
    }
}

fn counts(tags: &[(&str, i64)]) -> Vec<(String, i64)> {
    tags.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn conversations_are_found_by_their_tags() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann").id, rig.user("bob").id);
    let [one, two] = [1, 2].map(|seconds| rig.conversation(ann, seconds));
    let other = rig.conversation(bob, 3);
    assert_eq!(rig.tag(ann, one, &["work", "Boats"]), ["work", "Boats"]);
    assert_eq!(rig.tag(ann, two, &["work"]), ["work"]);
    assert_eq!(rig.tag(bob, other, &["work", "secret"]), ["work", "secret"]);
    assert_eq!(rig.tags(ann), counts(&[("Boats", 1), ("work", 2)]));
    assert_eq!(rig.tagged(ann, "WORK"), [two, one]);
    assert_eq!(rig.tagged(ann, "boats"), [one]);
    assert_eq!(rig.tagged(ann, "secret"), [0; 0]);
    assert_eq!(rig.tagged(bob, "work"), [other]);
    assert_eq!(rig.tag(ann, one, &[]), [""; 0]);
    assert_eq!(rig.tags(ann), counts(&[("work", 1)]));
}

#[test]
fn a_tag_has_one_spelling() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let [one, two] = [1, 2].map(|seconds| rig.conversation(ann, seconds));
    assert_eq!(rig.tag(ann, one, &["Work", "WORK", "x", "work"]), ["Work", "x"]);
    assert_eq!(rig.tag(ann, two, &["wORK", "y"]), ["Work", "y"]);
    // Where nobody else has it, it is spelled anew.
    assert_eq!(rig.tag(ann, one, &["Work", "X"]), ["Work", "X"]);
    assert_eq!(rig.tags(ann), counts(&[("Work", 2), ("X", 1), ("y", 1)]));
}

#[test]
fn what_is_deleted_is_not_counted_and_keeps_its_tags() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let [one, two] = [1, 2].map(|seconds| rig.conversation(ann, seconds));
    rig.tag(ann, one, &["a", "b"]);
    rig.tag(ann, two, &["a"]);
    rig.write(move |tx| delete_conversation(tx, ann, &Ref::Id(one), &Clock.now().text()))
        .unwrap();
    assert_eq!(rig.tags(ann), counts(&[("a", 1)]));
    assert_eq!(rig.tagged(ann, "a"), [two]);
    check_kind(rig.rename(ann, "b", "c"), Kind::NotFound);
    // A tag that is renamed meanwhile is renamed there too.
    rig.rename(ann, "a", "z").unwrap();
    rig.write(move |tx| restore_conversation(tx, ann, &Ref::Id(one)))
        .unwrap();
    assert_eq!(rig.tags_of(ann, one), ["z", "b"]);
    assert_eq!(rig.tags(ann), counts(&[("b", 1), ("z", 2)]));
}

#[test]
fn renaming_joins_what_has_the_same_name_then() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann").id, rig.user("bob").id);
    let [one, two, three] = [1, 2, 3].map(|seconds| rig.conversation(ann, seconds));
    let other = rig.conversation(bob, 4);
    rig.tag(ann, one, &["x", "old", "y", "new"]);
    rig.tag(ann, two, &["old"]);
    rig.tag(ann, three, &["new", "z"]);
    rig.tag(bob, other, &["old"]);
    let tag = rig.rename(ann, "OLD", "New").unwrap();
    assert_eq!((tag.name.as_str(), tag.conversation_count), ("New", 3));
    assert_eq!(rig.tags_of(ann, one), ["x", "New", "y"]);
    assert_eq!(
        (rig.tags_of(ann, two), rig.tags_of(ann, three)),
        (vec!["New".into()], vec!["New".into(), "z".into()])
    );
    assert_eq!(rig.tags(ann), counts(&[("New", 3), ("x", 1), ("y", 1), ("z", 1)]));
    assert_eq!(rig.tags_of(bob, other), ["old"]);
    // Another case of the same name.
    assert_eq!(rig.rename(ann, "new", "NEW").unwrap().conversation_count, 3);
    assert_eq!(rig.tags_of(ann, one), ["x", "NEW", "y"]);
    check_kind(rig.rename(ann, "old", "older"), Kind::NotFound);
    check_kind(rig.rename(bob, "x", "mine"), Kind::NotFound);
}

#[test]
fn a_tag_goes_from_everywhere() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann").id, rig.user("bob").id);
    let [one, two] = [1, 2].map(|seconds| rig.conversation(ann, seconds));
    let other = rig.conversation(bob, 3);
    rig.tag(ann, one, &["a", "b", "c"]);
    rig.tag(ann, two, &["B"]);
    rig.tag(bob, other, &["b"]);
    rig.write(move |tx| delete_tag(tx, ann, "b")).unwrap();
    assert_eq!(
        (rig.tags_of(ann, one), rig.tags_of(ann, two)),
        (vec!["a".into(), "c".into()], vec![])
    );
    assert_eq!(rig.tags(ann), counts(&[("a", 1), ("c", 1)]));
    assert_eq!(rig.tags_of(bob, other), ["b"]);
    check_kind(rig.write(move |tx| delete_tag(tx, ann, "b")), Kind::NotFound);
}
