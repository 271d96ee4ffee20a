//! What must hold of whatever is looked for: it finds, or a sentence says what was wrong with it; what is shown of a text
//! stands in it.

#![expect(clippy::expect_used, reason = "to panic is what these functions are for")]

use std::time::{Duration, Instant};

use super::query::Query;
use super::snippet::{Likeness, snippet};
use super::{Refusal, search as look_for};
use crate::clock::Clock;
use crate::error::Kind;
use crate::fuzzing::Scratch;
use crate::store::{self, MessageDetails, NewConversation, NewMessage, Page, Role, State};

thread_local! {
    static SCRATCH: Scratch = with_messages();
}

/// Words of several scripts, some of them twice.
const TEXTS: [&str; 4] = [
    "Call me Ishmael. The white whale's eye, \"so\" NEAR the file_name.rs: don't OR do",
    "吾輩は猫である。名前はまだ無い。 Résumé 3.14 white sea",
    "col:d ^e -c a* (b) {x} 12:30 std::io https://example.org/a?b=c",
    "हिन्दी में ไทย weißer Wal ÄÖÜ \u{1f600}",
];

/// A query, and behind its first line a text in which it is to be seen.
pub(crate) fn search(bytes: &[u8]) {
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let asked = String::from_utf8_lossy(&bytes[..line]);
    let text = String::from_utf8_lossy(bytes.get(line + 1..).unwrap_or_default());
    let Ok(query) = Query::parse(&asked) else {
        return;
    };
    assert!(query.phrases.iter().map(|phrase| phrase.words.len()).sum::<usize>() <= 24);
    assert!(query.phrases.iter().all(|phrase| !phrase.words.is_empty()));
    for likeness in [Likeness::Same, Likeness::Forms] {
        check_snippet(&text, &query, likeness);
    }
    let page = Page { limit: 10, offset: 0 };
    let found = SCRATCH.with(|scratch| look_for(&scratch.store, scratch.owner, &query, page));
    if let Err(Refusal::Store(error)) = found {
        assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
    }
}

fn check_snippet(text: &str, query: &Query, likeness: Likeness) {
    let one_line = |text: &str| {
        let is_space = |char: char| char.is_whitespace() || char.is_control();
        text.split(is_space)
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .concat()
    };
    let pieces = snippet(text, &query.phrases, likeness);
    let shown: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
    assert!(!shown.contains(|char: char| char.is_control()), "{shown:?}");
    assert!(shown.chars().count() < 400, "{shown:?}");
    let shown = one_line(shown.trim_matches('…'));
    assert!(one_line(text).contains(&shown), "{shown:?} does not stand in it");
}

fn with_messages() -> Scratch {
    let scratch = Scratch::new("search");
    let user_id = scratch.owner;
    let new = NewConversation {
        user_id,
        uuid: Clock.uuid(),
        title: Some("The white sea".to_owned()),
        created_at: Clock.now().text(),
    };
    let told = scratch.store.write(move |tx| {
        let conversation_id = store::insert_conversation(tx, &new)?;
        for text in TEXTS {
            let new = NewMessage {
                uuid: Clock.uuid(),
                conversation_id,
                user_id,
                role: Role::User,
                content: text.to_owned(),
                state: State::Complete,
                model: None,
                error: None,
                created_at: Clock.now().text(),
                details: MessageDetails::default(),
            };
            store::insert_message(tx, &new, None, None)?;
        }
        Ok(())
    });
    told.expect("messages");
    // Indexed after they are stored. Without all of them less would be looked for.
    let begun = Instant::now();
    let page = Page { limit: 10, offset: 0 };
    for last_word in ["don", "sea", "https", "wal"] {
        let query = Query::parse(last_word).expect("a query");
        while look_for(&scratch.store, user_id, &query, page).is_ok_and(|found| found.is_empty()) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{last_word} is not indexed");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    scratch
}
