//! Files: kept once, found by their owner, read back part by part, cleared away when nobody uses them.

use std::io::Read as _;

use super::super::housekeeping::clear_batch;
use super::super::{
    Attachment, AttachmentReader, NewAttachment, Reading, blobs, delete_attachment, delete_conversation, delete_unsent,
    find_attachment, find_reading, list_attachments, save_reading, send_attachments,
};
use super::*;

const PART: usize = 256 * 1024;
const MIB: u64 = 1024 * 1024;

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn new_attachment(user_id: i64, created_at: String) -> NewAttachment {
    NewAttachment {
        uuid: Clock.uuid(),
        user_id,
        filename: "a.txt".into(),
        content_type: "text/plain".into(),
        created_at,
    }
}

/// An attachment's two ids.
fn both(kept: &Attachment) -> [Ref; 2] {
    [Ref::Id(kept.id), Ref::Uuid(kept.uuid.clone())]
}

impl Rig {
    fn keep(&self, user_id: i64, bytes: &[u8]) -> Result<Attachment, Error> {
        let new = new_attachment(user_id, Clock.now().text());
        self.keep_file(&new, 16 * MIB, || bytes)
    }

    fn read_back(&self, attachment: &Attachment, offset: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut reader = AttachmentReader::open(&self.store, attachment, offset).unwrap();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Clears away until nothing is left to do, as the writer does in time.
    fn collect(&self) {
        self.write(blobs::abandon_unused).unwrap();
        while self.read(blobs::has_garbage).unwrap() {
            self.write(blobs::collect).unwrap();
        }
    }

    fn left(&self) -> (i64, i64, i64) {
        let count = |table: &str| self.value(&format!("SELECT count(*) FROM {table}"));
        (count("attachments"), count("blobs"), count("blob_parts"))
    }
}

#[test]
fn files_of_any_size_are_read_back() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    for length in [0, 1, PART - 1, PART, PART + 1, 3 * PART + 5] {
        let bytes = content(length);
        let kept = rig.keep(ann.id, &bytes).unwrap();
        assert_eq!(kept.size, i64::try_from(length).unwrap());
        assert!(rig.read_back(&kept, 0) == bytes, "{length}");
        for offset in [1, PART, PART + 3] {
            let rest = bytes.get(offset..).unwrap_or_default();
            assert!(rig.read_back(&kept, offset as u64) == rest, "{length} from {offset}");
        }
    }
    assert_eq!(rig.left(), (6, 6, 1 + 1 + 1 + 2 + 4));
}

#[test]
fn the_same_content_is_kept_once() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    let bytes = content(PART + 1);
    let first = rig.keep(ann.id, &bytes).unwrap();
    let second = rig.keep(bob.id, &bytes).unwrap();
    assert!(first.id != second.id && first.sha256 == second.sha256);
    assert_eq!(rig.left(), (2, 1, 2));
    // What is held against the quota is held against both.
    let used: String = rig.value("SELECT group_concat(attachment_bytes) FROM users");
    assert_eq!(used, format!("{0},{0}", bytes.len()));
    rig.write(move |tx| delete_unsent(tx, ann.id, &[first.id])).unwrap();
    rig.collect();
    assert!(rig.read_back(&second, 0) == bytes);
    rig.write(move |tx| delete_unsent(tx, bob.id, &[second.id])).unwrap();
    rig.collect();
    assert_eq!(rig.left(), (0, 0, 0));
    assert_eq!(rig.value::<i64>("SELECT sum(attachment_bytes) FROM users"), 0);
}

#[test]
fn the_same_content_at_the_same_time() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let bytes = content(8 * PART);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| rig.keep(ann.id, &bytes).unwrap());
        }
    });
    rig.collect();
    assert_eq!(rig.left(), (4, 1, 8));
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing_to_be_found() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let bytes = content(20 * PART);
    // The second time it is opened (the first is for the digest) it ends early.
    let opened = std::cell::Cell::new(0);
    let new = new_attachment(ann.id, at(0));
    let outcome = rig.keep_file(&new, 16 * MIB, || {
        opened.set(opened.get() + 1);
        if opened.get() == 1 {
            &bytes[..]
        } else {
            &bytes[..18 * PART]
        }
    });
    assert!(outcome.is_err());
    assert_eq!(rig.left(), (0, 0, 0));
    // The process ends in the middle: the next start makes its parts garbage.
    rig.batch(
        "INSERT INTO blobs (touched_at) VALUES ('9999-01-01T00:00:00.000000+00:00');
         INSERT INTO blob_parts (blob_id, part, bytes) SELECT max(id), 0, x'00' FROM blobs;",
    );
    assert!(!rig.read(blobs::has_garbage).unwrap());
    let other = rig.another();
    until("what nobody keeps is given up", || {
        other.read(blobs::has_garbage).unwrap() || rig.left() == (0, 0, 0)
    });
    rig.collect();
    assert_eq!(rig.left(), (0, 0, 0));
}

#[test]
fn the_quota_holds() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let keep = |length: usize| {
        let bytes = content(length);
        rig.keep_file(&new_attachment(ann.id, at(0)), MIB, || &bytes[..])
    };
    keep(3 * PART).unwrap();
    assert_eq!(keep(PART + 1).unwrap_err().kind(), Kind::TooLarge);
    assert_eq!(rig.left(), (1, 1, 3));
    // The smallest files count as 4 KiB each.
    for _ in 0..64 {
        keep(1).unwrap();
    }
    let refused = keep(1).unwrap_err();
    assert_eq!(refused.kind(), Kind::TooLarge);
    assert!(refused.message().contains("1 MiB"), "{refused}");
}

#[test]
fn only_their_owner_finds_them_and_not_once_deleted() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    let kept = rig.keep(ann.id, b"x").unwrap();
    let find = |owner| {
        let [by_id, by_uuid] = both(&kept).map(|which| rig.read(|read| find_attachment(read, owner, &which)).is_ok());
        assert_eq!(by_uuid, by_id);
        by_id
    };
    assert!(find(ann.id) && !find(bob.id));
    let conversation = rig.conversation(ann.id, 1);
    let message = rig.message(conversation, ann.id, "see this");
    let id = kept.id;
    let send = |owner| rig.write(move |tx| send_attachments(tx, owner, message, &[id]));
    assert_eq!(send(bob.id).unwrap_err().kind(), Kind::NotFound);
    send(ann.id).unwrap();
    assert_eq!(send(ann.id).unwrap_err().kind(), Kind::NotFound, "once only");
    let listed = rig.read(|read| list_attachments(read, &[message])).unwrap();
    assert_eq!((listed.len(), listed[0].id), (1, id));
    rig.write(move |tx| delete_unsent(tx, ann.id, &[id])).unwrap();
    assert!(find(ann.id), "what was sent stays");
    let which = Ref::Id(conversation);
    rig.write(move |tx| delete_conversation(tx, ann.id, &which, &at(9)))
        .unwrap();
    assert!(!find(ann.id));
    // Deleted in January: purged with its files.
    rig.write(clear_batch).unwrap();
    rig.collect();
    assert_eq!(rig.left(), (0, 0, 0));
}

#[test]
fn naming_an_uploads_address_sends_it() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    let (own, foreign) = (rig.keep(ann.id, b"x").unwrap(), rig.keep(bob.id, b"y").unwrap());
    let conversation = rig.conversation(ann.id, 1);
    let urls = serde_json::json!([
        format!("http://localhost:8000/media/{}.png", own.uuid),
        format!("/media/{}.png", foreign.uuid),
        "/media/a.png",
        7
    ]);
    naming(&rig, conversation, ann.id, &urls);
    let sent = |id: i64| rig.value::<i64>(&format!("SELECT sent_count FROM attachments WHERE id = {id}"));
    assert_eq!((sent(own.id), sent(foreign.id)), (1, 0));
}

/// A message that names these addresses.
fn naming(rig: &Rig, conversation: i64, owner: i64, urls: &serde_json::Value) {
    let uuid = Clock.uuid();
    rig.batch(&format!(
        "INSERT INTO messages (uuid, conversation_id, user_id, role, content, media_urls, created_at)
         VALUES ('{uuid}', {conversation}, {owner}, 'user', 'pic', '{urls}', '')"
    ));
}

#[test]
fn a_file_in_two_conversations_stays_until_the_second_goes() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let kept = rig.keep(ann.id, b"x").unwrap();
    let url = format!("/media/{}.png", kept.uuid);
    let (first, second) = (rig.conversation(ann.id, 1), rig.conversation(ann.id, 2));
    naming(&rig, first, ann.id, &serde_json::json!([url, url]));
    naming(&rig, second, ann.id, &serde_json::json!([url]));
    let listed = || {
        let ids: Vec<i64> = rig
            .read(|read| read.all("SELECT id FROM messages ORDER BY id", (), |row| row.get(0)))
            .unwrap();
        let found = rig.read(|read| list_attachments(read, &ids)).unwrap();
        (ids.len(), found.iter().map(|found| found.id).collect::<Vec<i64>>())
    };
    assert_eq!(listed(), (2, vec![kept.id; 2]));
    let is_found = || {
        rig.read(|read| find_attachment(read, ann.id, &Ref::Id(kept.id)))
            .is_ok()
    };
    for (conversation, rest) in [(first, 1), (second, 0)] {
        let which = Ref::Id(conversation);
        // Deleted in January: its time is over.
        rig.write(move |tx| delete_conversation(tx, ann.id, &which, &at(9)))
            .unwrap();
        assert_eq!(is_found(), rest == 1, "hidden with the last");
        rig.write(clear_batch).unwrap();
        rig.collect();
        assert_eq!((is_found(), listed().0), (rest == 1, usize::from(rest == 1)));
        assert_eq!(rig.left(), (rest, rest, rest));
    }
    assert_eq!(rig.value::<i64>("SELECT attachment_bytes FROM users"), 0);
}

#[test]
fn whoever_is_short_of_room_deletes_a_file() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    let delete = |owner, which: &Ref| {
        let which = which.clone();
        rig.write(move |tx| delete_attachment(tx, owner, &which))
    };
    let conversation = rig.conversation(ann.id, 1);
    for (by, is_hidden) in [(0, false), (1, false), (0, true)] {
        let kept = rig
            .keep_file(&new_attachment(ann.id, Clock.now().text()), MIB, || &[7; PART * 3][..])
            .unwrap();
        naming(
            &rig,
            conversation,
            ann.id,
            &serde_json::json!([format!("/media/{}.png", kept.uuid)]),
        );
        if is_hidden {
            let (which, now) = (Ref::Id(conversation), Clock.now().text());
            rig.write(move |tx| delete_conversation(tx, ann.id, &which, &now))
                .unwrap();
        }
        let which = &both(&kept)[by];
        assert_eq!(delete(bob.id, which).unwrap_err().kind(), Kind::NotFound);
        delete(ann.id, which).unwrap();
        assert_eq!(delete(ann.id, which).unwrap_err().kind(), Kind::NotFound, "once only");
        rig.collect();
        assert_eq!(rig.left().0, 0);
        assert_eq!(rig.value::<i64>("SELECT sum(attachment_bytes) FROM users"), 0);
        assert_eq!(rig.value::<i64>("SELECT count(*) FROM message_attachments"), 0);
    }
    assert_eq!(
        rig.value::<i64>("SELECT count(*) FROM messages WHERE content = 'pic'"),
        3
    );
}

#[test]
fn what_is_never_sent_goes_after_a_day() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let hours_ago = |hours: i64| Clock.now().plus_s(-hours * 3600).text();
    for hours in [23, 25] {
        let new = new_attachment(ann.id, hours_ago(hours));
        rig.keep_file(&new, MIB, || hours.to_string().leak().as_bytes())
            .unwrap();
    }
    rig.write(clear_batch).unwrap();
    rig.collect();
    assert_eq!(rig.left(), (1, 1, 1));
}

#[test]
fn what_was_read_is_remembered() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let id = rig.keep(ann.id, b"x").unwrap().id;
    let find = || rig.read(|read| find_reading(read, id)).unwrap();
    assert_eq!(find(), None);
    for reading in [Reading::Text("x".into()), Reading::Problem("no".into())] {
        let saved = reading.clone();
        rig.write(move |tx| save_reading(tx, id, &saved)).unwrap();
        assert_eq!(find(), Some(reading));
    }
}
