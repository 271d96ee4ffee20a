//! The library on a real store: what is added is found, once, by its owner.

use std::time::{Duration, Instant};

use super::*;
use crate::store::Page;
use crate::store::tests::Rig;

mod recall;

/// A store with two users.
pub(super) struct Shelf {
    pub(super) store: Rig,
    pub(super) ann: i64,
    pub(super) bob: i64,
}

impl Shelf {
    pub(super) fn new() -> Shelf {
        let store = Rig::new();
        let (ann, bob) = (store.user("ann").id, store.user("bob").id);
        Shelf { store, ann, bob }
    }

    pub(super) fn add(&self, owner: i64, text: &NewText) -> Result<Added, Error> {
        add(&self.store, &Clock, owner, text)
    }

    /// The titles that a question finds.
    pub(super) fn titles(&self, owner: i64, question: &str) -> Vec<String> {
        let passages = search(&self.store, owner, question, 10).unwrap();
        passages.into_iter().map(|passage| passage.chunk.title).collect()
    }
}

fn text(title: &str, content: &str) -> NewText {
    NewText {
        title: title.into(),
        content: content.into(),
        ..NewText::default()
    }
}

fn document(added: Added) -> Document {
    match added {
        Added::New(document) => document,
        Added::Known(document) => panic!("{document:?} was there already"),
    }
}

#[test]
fn what_is_added_is_kept_to_the_byte_and_found() {
    let shelf = Shelf::new();
    let content = format!(
        "\u{feff}# Sea\r\n\r\n{}\r\n## Whales\r\nA white whale sinks the ship.\0\r\n",
        "Waves and wind. ".repeat(400)
    );
    let added = document(shelf.add(shelf.ann, &text("Log", &content)).unwrap());
    assert!(added.chunk_count > 4, "{added:?}");
    assert_eq!(added.size, i64::try_from(content.len()).unwrap());
    let read = shelf.store.read(|read| store::read_document(read, added.id)).unwrap();
    assert_eq!(read, content);
    let passages = search(&shelf.store, shelf.ann, "Which whales sank it?", 3).unwrap();
    assert!(passages[0].chunk.text.contains("white whale"), "{passages:?}");
    assert_eq!(passages[0].chunk.document_uuid, added.uuid);
    // By its title too, and by nobody else.
    assert_eq!(shelf.titles(shelf.ann, "log"), ["Log", "Log"]);
    assert!(shelf.titles(shelf.bob, "whales").is_empty());
}

#[test]
fn the_same_text_is_added_once() {
    let shelf = Shelf::new();
    let first = document(shelf.add(shelf.ann, &text("T", "x")).unwrap());
    assert_eq!(
        shelf.add(shelf.ann, &text("T", "x")).unwrap(),
        Added::Known(first.clone())
    );
    document(shelf.add(shelf.ann, &text("U", "x")).unwrap());
    document(shelf.add(shelf.bob, &text("T", "x")).unwrap());
    // Removed and added again it is a new one.
    remove(&shelf.store, &Clock, shelf.ann, Ref::Uuid(first.uuid)).unwrap();
    let again = document(shelf.add(shelf.ann, &text("T", "x")).unwrap());
    assert!(again.id > first.id);
}

#[test]
fn many_at_once_add_it_once() {
    // In one job, and in several.
    for sentences in [10, 5_000] {
        let shelf = Shelf::new();
        let content = "All of them say the same thing at the same time. ".repeat(sentences);
        let long = text("T", &content);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| shelf.add(shelf.ann, &long).unwrap());
            }
        });
        let all = Page { limit: 9, offset: 0 };
        let list = |read: &store::Read<'_>| store::list_documents(read, shelf.ann, all);
        let found = shelf.store.read(list).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].chunk_count > i64::try_from(ADDED_AT_ONCE).unwrap(),
            sentences > 1_000
        );
        let whole = shelf.store.read(|read| store::read_document(read, found[0].id));
        assert_eq!(whole.unwrap(), content);
        // The copies that came too late have left nothing behind.
        let hits = shelf.store.read(|read| store::list_hits(read, shelf.ann, "same"));
        assert_eq!(hits.unwrap().len(), usize::try_from(found[0].chunk_count).unwrap());
    }
}

#[test]
fn what_cannot_be_added_says_why() {
    let shelf = Shelf::new();
    for (new, kind) in [
        (text(" ", "x"), Kind::Malformed),
        (text("T", " \n"), Kind::Malformed),
        (text(&"t".repeat(TITLE_CHARS_MAX + 1), "x"), Kind::TooLarge),
        (text("T", &"x".repeat(DOCUMENT_BYTES_MAX + 1)), Kind::TooLarge),
    ] {
        assert_eq!(shelf.add(shelf.ann, &new).unwrap_err().kind(), kind);
    }
    let largest = "word ".repeat(DOCUMENT_BYTES_MAX / 5);
    document(shelf.add(shelf.ann, &text("T", &largest)).unwrap());
}

/// Texts that cost more than they look: what is cut and looked up grows with their length, and with nothing else.
#[test]
fn hostile_texts_take_no_longer() {
    let shelf = Shelf::new();
    let fill = |pattern: &str| pattern.repeat(DOCUMENT_BYTES_MAX / 4 / pattern.len());
    let began = Instant::now();
    let plain = fill("A sentence of some words that say little. ");
    chunk::chunks(&plain);
    let usual = began.elapsed();
    for pattern in [
        ". ", ".", "a.", "A. ", "1.", "?!", "\n", "# x\n", "- ", "```\n", "e\u{301}", "\u{200d}", ")", "|\n",
    ] {
        let text = fill(pattern);
        let began = Instant::now();
        let chunks = chunk::chunks(&text);
        let took = began.elapsed();
        assert!(
            took < 30 * usual + Duration::from_secs(1),
            "{pattern:?}: {took:?}, not {usual:?}"
        );
        assert_eq!(chunks.iter().map(|chunk| chunk.text.len()).sum::<usize>(), text.len());
        let carried: usize = chunks
            .iter()
            .filter_map(|chunk| chunk.heading.as_ref())
            .map(String::len)
            .sum();
        assert!(
            carried < 2 * text.len(),
            "{pattern:?} carries {carried} bytes of headings"
        );
        crate::words::words(&text);
    }
    let began = Instant::now();
    let many: String = (0..100_000).map(|number| format!("w{number} ")).collect();
    search(&shelf.store, shelf.ann, &many, 5).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_removed_document_is_found_no_more() {
    let shelf = Shelf::new();
    let gone = document(shelf.add(shelf.ann, &text("Gone", "whale")).unwrap());
    document(shelf.add(shelf.ann, &text("Kept", "whale")).unwrap());
    let which = Ref::Id(gone.id);
    let theirs = remove(&shelf.store, &Clock, shelf.bob, which.clone());
    assert_eq!(theirs.unwrap_err().kind(), Kind::NotFound);
    remove(&shelf.store, &Clock, shelf.ann, which.clone()).unwrap();
    assert_eq!(shelf.titles(shelf.ann, "whale"), ["Kept"]);
    let again = remove(&shelf.store, &Clock, shelf.ann, which);
    assert_eq!(again.unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn a_question_may_say_anything() {
    let shelf = Shelf::new();
    document(shelf.add(shelf.ann, &text("T", "吾輩は猫である。whale")).unwrap());
    for question in [
        "",
        "?",
        "\" OR text:*",
        "the of and",
        "NEAR(whale, 2)",
        "\0",
        &"whale ".repeat(50_000),
    ] {
        search(&shelf.store, shelf.ann, question, 5).unwrap();
    }
    assert_eq!(shelf.titles(shelf.ann, "猫である"), ["T"]);
    assert_eq!(shelf.titles(shelf.ann, "\" OR whale"), ["T"]);
    assert!(shelf.titles(shelf.ann, "犬").is_empty());
}

#[test]
fn one_document_does_not_push_the_others_out() {
    let shelf = Shelf::new();
    // Far more chunks than are looked at together.
    let much = "The whale, the whale, the whale. ".repeat(10_000);
    document(shelf.add(shelf.ann, &text("Much", &much)).unwrap());
    document(
        shelf
            .add(
                shelf.ann,
                &text("Little", &format!("A whale. {}", "Sand. ".repeat(100))),
            )
            .unwrap(),
    );
    assert_eq!(shelf.titles(shelf.ann, "whale"), ["Much", "Much", "Little"]);
}

#[test]
fn what_is_hidden_does_not_push_the_others_out() {
    let shelf = Shelf::new();
    let much = "The whale, the whale, the whale. ".repeat(10_000);
    let going = document(shelf.add(shelf.ann, &text("Going", &much)).unwrap());
    let little = format!("A whale. {}", "Sand. ".repeat(100));
    document(shelf.add(shelf.ann, &text("Little", &little)).unwrap());
    let (ann, now) = (shelf.ann, Clock.now().text());
    let hide = move |tx: &store::Tx<'_>| store::hide_document(tx, ann, &Ref::Id(going.id), &now);
    shelf.store.write(hide).unwrap();
    assert_eq!(shelf.titles(shelf.ann, "whale"), ["Little"]);
}

#[test]
fn many_small_texts_share_commits() {
    let shelf = Shelf::new();
    let mut texts: Vec<NewText> = (0..300).map(|number| text(&format!("T{number}"), "Sand. ")).collect();
    texts.insert(7, text("Large", &"The whale sinks the ship. ".repeat(5_000)));
    texts.push(text("T0", "Sand. "));
    let several = add_all(&shelf.store, &Clock, shelf.ann, &texts);
    assert!(several.ended.is_none(), "{several:?}");
    let is_new = |added: &Added| matches!(added, Added::New(_));
    let title = |added: &Added| match added {
        Added::New(document) | Added::Known(document) => document.title.clone(),
    };
    assert!(several.added[..301].iter().all(is_new) && !is_new(&several.added[301]));
    let titles: Vec<String> = several.added.iter().map(title).collect();
    assert!(titles.iter().eq(texts.iter().map(|text| &text.title)));
    assert_eq!(shelf.titles(shelf.ann, "whale"), ["Large", "Large"]);
}

#[test]
fn what_ends_a_list_leaves_what_came_before() {
    let shelf = Shelf::new();
    let blank = [text("A", "Sand."), text("B", " ")];
    let refused = add_all(&shelf.store, &Clock, shelf.ann, &blank);
    assert!(refused.added.is_empty());
    assert_eq!(refused.ended.map(|error| error.kind()), Some(Kind::Malformed));

    let mut large = new_document(&Clock, shelf.ann, &text("Large", "Sand."), 0);
    large.size = store::LIBRARY_BYTES_MAX - 20;
    let fill = move |tx: &store::Tx<'_>| {
        let id = store::insert_document(tx, &large)?;
        store::show_document(tx, large.user_id, id)
    };
    shelf.store.write(fill).unwrap();
    let texts = ["A whale.", "More whales than can be kept.", "Whales!"].map(|content| text(content, content));
    let several = add_all(&shelf.store, &Clock, shelf.ann, &texts);
    assert_eq!(several.added.len(), 1);
    assert_eq!(several.ended.map(|error| error.kind()), Some(Kind::TooLarge));
    assert_eq!(shelf.titles(shelf.ann, "whale"), ["A whale."]);
}

#[test]
fn what_is_removed_is_gone_even_if_its_chunks_cannot_go_yet() {
    let shelf = Shelf::new();
    let gone = document(shelf.add(shelf.ann, &text("Gone", "whale")).unwrap());
    let stuck = "CREATE TRIGGER stuck BEFORE DELETE ON chunks BEGIN SELECT RAISE(ABORT, 'not now'); END";
    shelf.store.batch(stuck);
    remove(&shelf.store, &Clock, shelf.ann, Ref::Id(gone.id)).unwrap();
    assert!(shelf.titles(shelf.ann, "whale").is_empty());
    let left: i64 = shelf.store.value("SELECT count(*) FROM chunks");
    assert_eq!(left, 1);
}
