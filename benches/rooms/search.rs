//! Reading a question, and looking for it among ten thousand messages.

use std::sync::{LazyLock, Mutex, PoisonError};

use divan::Bencher;
use fireside::search::{Query, search};
use fireside::store::Page;

use super::sea::questions::QUESTIONS;
use super::sea::{Folder, Sea};

const MESSAGES: usize = 10_000;

static SEA: LazyLock<Mutex<(Sea, Folder)>> = LazyLock::new(|| {
    let folder = Folder::make().unwrap();
    let mut sea = Sea::new(&folder).unwrap();
    sea.fill(MESSAGES).unwrap();
    Mutex::new((sea, folder))
});

#[divan::bench]
fn parse() -> Query {
    let text = "\"white whale\" ahab in:\"the sea\" model:small after:2024-02 before:2025 résumé unfin";
    Query::parse(divan::black_box(text)).unwrap()
}

#[divan::bench(args = QUESTIONS.map(|(name, _)| name))]
fn find(bencher: Bencher<'_, '_>, name: &str) {
    let mut sea = SEA.lock().unwrap_or_else(PoisonError::into_inner);
    let (sea, _) = &mut *sea;
    let (_, ask) = QUESTIONS.into_iter().find(|(known, _)| *known == name).unwrap();
    let own = sea.own_conversations();
    let (text, offset) = ask(&sea.language, &mut sea.dice, &own);
    let query = Query::parse(&text).unwrap();
    let page = Page { limit: 30, offset };
    bencher.bench_local(|| search(&sea.store, sea.owner(), &query, page).unwrap());
}
