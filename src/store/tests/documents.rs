//! Documents, their chunks and the index: whose they are, what is found, and that nothing is left behind.

use std::ops::ControlFlow;

use super::super::housekeeping::{Left, clear_batch};
use super::super::{
    Among, DOCUMENTS_MAX, Ending, IndexWords, LIBRARY_BYTES_MAX, LibrarySize, NewChunk, NewDocument, Page, Phrase, Ref,
    Removal, Sought, Within, find_document, hide_document, index_word, insert_chunks, insert_document, is_stopped,
    list_chunks, list_documents, list_hits, measure_library, read_document, remove_hidden, seek, show_document,
};
use super::*;

fn new_document(owner: i64, title: &str) -> NewDocument {
    NewDocument {
        user_id: owner,
        uuid: Clock.uuid(),
        title: title.into(),
        author: None,
        source: None,
        size: 10,
        sha256: format!("of {title}"),
        chunk_count: 1,
        created_at: Clock.now(),
    }
}

fn new_chunk(owner: i64, position: i64, text: &str) -> NewChunk {
    let words: Vec<String> = text.split(' ').map(|word| index_word(owner, word)).collect();
    NewChunk {
        position,
        heading: None,
        text: text.into(),
        words: IndexWords {
            text: words.join(" "),
            ..IndexWords::default()
        },
    }
}

impl Rig {
    /// A document that is still hidden, of these chunks.
    fn hidden(&self, owner: i64, title: &str, texts: &[&str]) -> i64 {
        let new = new_document(owner, title);
        let chunks: Vec<NewChunk> = (0..).zip(texts).map(|(at, text)| new_chunk(owner, at, text)).collect();
        self.write(move |tx| {
            let id = insert_document(tx, &new)?;
            insert_chunks(tx, owner, id, &chunks)?;
            Ok(id)
        })
        .unwrap()
    }

    fn document(&self, owner: i64, title: &str, texts: &[&str]) -> i64 {
        let id = self.hidden(owner, title, texts);
        self.write(move |tx| show_document(tx, owner, id)).unwrap().id
    }

    /// The texts of the owner's chunks that hold a word.
    fn documents_with(&self, owner: i64, word: &str) -> Vec<String> {
        self.read(|read| {
            let ids: Vec<i64> = list_hits(read, owner, word)?.iter().map(|hit| hit.chunk_id).collect();
            let mut texts: Vec<String> = list_chunks(read, owner, &ids)?
                .into_iter()
                .map(|chunk| chunk.text)
                .collect();
            texts.sort();
            Ok(texts)
        })
        .unwrap()
    }
}

#[test]
fn words_are_found_in_all_their_forms() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    rig.document(
        ann,
        "d",
        &["Whales hunted éternellement", "the king's ring हिन्दी 吾輩 １２"],
    );
    for (word, count) in [
        ("whale", 1),
        ("WHALES", 1),
        ("hunting", 1),
        ("eternellement", 1),
        ("e\u{301}ternellement", 1),
        ("kings", 1),
        ("ring", 1),
        ("हिन्दी", 1),
        ("吾輩", 1),
        ("sea", 0),
        ("", 0),
    ] {
        assert_eq!(rig.documents_with(ann, word).len(), count, "{word}");
    }
}

#[test]
fn nothing_in_a_word_is_syntax() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    rig.document(ann, "d", &["whale"]);
    for word in [
        "\"",
        "whale\" OR \"1q",
        "text:whale",
        "*",
        "NEAR(whale)",
        "^",
        "-",
        "\0",
        "wh*",
        "(",
        "'",
    ] {
        let outcome = rig.read(|read| list_hits(read, ann, word));
        assert!(outcome.is_ok(), "{word}: {outcome:?}");
    }
    assert!(rig.documents_with(ann, "wh*").is_empty());
}

#[test]
fn nobody_finds_what_is_not_theirs() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann").id, rig.user("bob").id);
    let id = rig.document(ann, "d", &["whale ship"]);
    rig.document(bob, "d", &["whale boat"]);
    assert_eq!(rig.documents_with(ann, "whale"), ["whale ship"]);
    assert_eq!(rig.documents_with(bob, "whale"), ["whale boat"]);
    assert!(rig.documents_with(bob, "ship").is_empty());
    // Nor by way of another's ids.
    let chunk: i64 = rig.value(&format!("SELECT id FROM chunks WHERE document_id = {id}"));
    assert!(rig.read(|read| list_chunks(read, bob, &[chunk])).unwrap().is_empty());
    check_kind(rig.read(|read| find_document(read, bob, &Ref::Id(id))), Kind::NotFound);
    let hide = move |tx: &Tx<'_>| hide_document(tx, bob, &Ref::Id(id), &at(1));
    check_kind(rig.write(hide), Kind::NotFound);
    let chunks = [new_chunk(bob, 5, "x")];
    check_kind(rig.write(move |tx| insert_chunks(tx, bob, id, &chunks)), Kind::NotFound);
}

/// One user's twelve is not a part of another's hundred and twenty-one.
#[test]
fn ids_do_not_run_into_words() {
    assert_ne!(index_word(12, "1x"), index_word(121, "x"));
    assert!(index_word(12, "1x").starts_with("12q"));
    assert_eq!(index_word(12, "1x22"), "12q1x22");
}

/// FTS5 ends a word at characters that belong to one for everybody else.
#[test]
fn nobody_puts_words_among_those_of_others() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann").id, rig.user("bob").id);
    for (number, end) in ['\u{ad}', '\u{b7}', '\u{2024}', '\u{ff0c}', '\u{24b6}', '\u{200d}', '本']
        .into_iter()
        .enumerate()
    {
        let word = format!("x{end}{ann}qwhale{end}{ann}");
        rig.document(bob, &format!("d{number}"), &[&word]);
        assert_eq!(rig.read(|read| list_hits(read, ann, "whale")).unwrap(), [], "{end:?}");
        assert!(rig.documents_with(bob, &word).contains(&word), "{end:?}");
    }
}

#[test]
fn a_word_saturates_whatever_others_keep() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann").id, rig.user("bob").id);
    rig.document(ann, "d", &["whale", "ship ship"]);
    let measure = || rig.read(|read| list_hits(read, ann, "whale")).unwrap()[0].saturation;
    let before = measure();
    assert!((0.3..0.8).contains(&before), "{before}");
    for number in 0..30 {
        rig.document(bob, &format!("d{number}"), &["whale", "whale", "ship ship"]);
    }
    assert!((measure() - before).abs() < 0.05, "{before} {}", measure());
}

#[test]
fn a_document_is_hidden_until_it_is_whole() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let id = rig.hidden(ann, "d", &["one ", "two"]);
    let all = Page { limit: 10, offset: 0 };
    let seen = || rig.read(|read| list_documents(read, ann, all)).unwrap().len();
    assert_eq!(seen(), 0);
    assert!(rig.documents_with(ann, "one").is_empty());
    rig.write(move |tx| show_document(tx, ann, id)).unwrap();
    assert_eq!((seen(), rig.documents_with(ann, "two").len()), (1, 1));
    assert_eq!(rig.read(|read| read_document(read, id)).unwrap(), "one two");
    // Whole is whole.
    let chunks = [new_chunk(ann, 2, "three")];
    check_kind(rig.write(move |tx| insert_chunks(tx, ann, id, &chunks)), Kind::NotFound);
}

#[test]
fn the_same_content_is_shown_once() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann").id, rig.user("bob").id);
    rig.document(ann, "d", &["x"]);
    rig.document(bob, "d", &["x"]);
    let again = rig.hidden(ann, "d", &["x"]);
    check_kind(rig.write(move |tx| show_document(tx, ann, again)), Kind::Conflict);
}

#[test]
fn removing_leaves_nothing_and_takes_steps() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let kept = rig.document(ann, "kept", &["whale"]);
    let texts = vec!["whale"; 600];
    let id = rig.document(ann, "gone", &texts);
    check_kind(
        rig.write(move |tx| {
            // What is not hidden is not removed.
            remove_hidden(tx, id)?;
            find_document(tx, ann, &Ref::Id(id))?;
            Err::<(), Error>(Error::new(Kind::Conflict, "it is there"))
        }),
        Kind::Conflict,
    );
    rig.write(move |tx| hide_document(tx, ann, &Ref::Id(id), &at(1)))
        .unwrap();
    assert_eq!(rig.documents_with(ann, "whale").len(), 1);
    let step = || rig.write(move |tx| remove_hidden(tx, id)).unwrap();
    assert_eq!(
        [step(), step(), step()],
        [Removal::Unfinished, Removal::Unfinished, Removal::Complete]
    );
    let rows = |table: &str| rig.value::<i64>(&format!("SELECT count(*) FROM {table}"));
    assert_eq!((rows("documents"), rows("chunks"), rows("library_index")), (1, 1, 1));
    assert_eq!(rig.read(|read| list_hits(read, ann, "whale")).unwrap().len(), 1);
    assert!(rig.read(|read| find_document(read, ann, &Ref::Id(kept))).is_ok());
}

#[test]
fn a_user_takes_their_documents_along() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    rig.document(ann, "d", &["whale", "ship"]);
    rig.batch("DELETE FROM users");
    for table in ["documents", "chunks", "library_index"] {
        assert_eq!(rig.value::<i64>(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
}

#[test]
fn housekeeping_removes_what_an_interruption_left() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let old = rig.hidden(ann, "old", &["x"]);
    rig.hidden(ann, "being added", &["y"]);
    let long_ago = at(0);
    rig.batch(&format!(
        "UPDATE documents SET hidden_at = '{long_ago}' WHERE id = {old}"
    ));
    assert_eq!(rig.write(clear_batch).unwrap(), Left::More);
    assert_eq!(rig.write(clear_batch).unwrap(), Left::Nothing);
    assert_eq!(
        rig.value::<String>("SELECT group_concat(title) FROM documents"),
        "being added"
    );
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM chunks"), 1);
}

#[test]
fn a_library_has_an_end() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let mut large = new_document(ann, "large");
    large.size = LIBRARY_BYTES_MAX - 5;
    rig.write(move |tx| {
        let id = insert_document(tx, &large)?;
        show_document(tx, ann, id)
    })
    .unwrap();
    let size = rig.read(|read| measure_library(read, ann)).unwrap();
    let expected = LibrarySize {
        documents: 1,
        bytes: LIBRARY_BYTES_MAX - 5,
        chunks: 1,
    };
    assert_eq!(size, expected);
    let one_more = new_document(ann, "one more");
    let insert = move |tx: &Tx<'_>| insert_document(tx, &one_more);
    check_kind(rig.write(insert.clone()), Kind::TooLarge);
    // What is still being added will be there soon.
    rig.batch("UPDATE documents SET hidden_at = 'now'");
    check_kind(rig.write(insert), Kind::TooLarge);
    let bob = rig.user("bob").id;
    rig.batch(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {DOCUMENTS_MAX})
         INSERT INTO documents (uuid, user_id, title, size, sha256, chunk_count, created_at)
         SELECT 'u' || i, {bob}, 't', 1, i, 0, 'now' FROM n"
    ));
    let one_more = new_document(bob, "one more");
    check_kind(rig.write(move |tx| insert_document(tx, &one_more)), Kind::TooLarge);
}

/// Of documents of other times not even the words are looked up.
#[test]
fn hours_narrow_the_chunks_that_are_looked_at() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let texts = vec!["whale"; 1_000];
    rig.document(ann, "new", &texts);
    let count = "UPDATE documents SET chunk_count = (SELECT count(*) FROM chunks WHERE document_id = documents.id)";
    rig.batch(count);
    let hour = Clock.now().seconds() / 3600;
    let hour = i64::try_from(hour).unwrap();
    let whales = |hours, time_max| {
        let phrases = [Phrase {
            words: vec!["whale".into()],
            is_prefix: false,
        }];
        let within = Within {
            hours,
            ..Within::default()
        };
        let sought = Sought {
            owner: ann,
            phrases: &phrases,
            ending: Ending::Whole,
            within: &within,
        };
        let mut count = 0;
        let outcome = rig.read_within(time_max, |read| {
            seek(read, Among::Documents, &sought, &mut |_| {
                count += 1;
                ControlFlow::Continue(())
            })
        });
        outcome.map(|()| count)
    };
    let minute = Duration::from_secs(60);
    assert_eq!(whales(hour - 1..hour + 2, minute).unwrap(), 1_000);
    // To look at a thousand chunks takes time, and there is none.
    assert!(is_stopped(&whales(hour - 1..hour + 2, Duration::ZERO).unwrap_err()));
    assert_eq!(whales(0..hour - 1, Duration::ZERO).unwrap(), 0);
    // The newer of two: that is all there is.
    rig.batch("UPDATE documents SET created_at = '2020-01-02T03:04:05.000000+00:00'");
    rig.document(ann, "newer", &["whale", "whale"]);
    rig.batch(count);
    assert_eq!(whales(hour - 1..hour + 2, Duration::ZERO).unwrap(), 2);
    assert_eq!(whales(0..hour - 1, minute).unwrap(), 1_000);
    assert_eq!(whales(Within::default().hours, minute).unwrap(), 1_002);
}
