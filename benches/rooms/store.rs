//! Sends that share an fsync, and reading: lists, a conversation that is opened, its pages.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use divan::{Bencher, black_box};
use fireside::store::{
    Branch, Conversation, Page, Ref, find_conversation, insert_message, list_branch, list_conversations_pinned_first,
};

use super::{Desk, message};

const CONVERSATIONS: usize = 1_000;
const MESSAGES: usize = 1_000;

/// Somebody with much.
static MUCH: LazyLock<(Desk, Vec<Conversation>)> = LazyLock::new(|| {
    let desk = Desk::new();
    let mut conversations: Vec<Conversation> = (1..CONVERSATIONS).map(|_| desk.conversation(4)).collect();
    conversations.push(desk.conversation(MESSAGES));
    (desk, conversations)
});

/// A message, until it is on disk; each writer has a conversation of its own.
#[divan::bench(threads = [1, 8, 64], sample_count = 64, sample_size = 16)]
fn send(bencher: Bencher<'_, '_>) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let (desk, conversations) = &*MUCH;
    bencher.bench(|| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let conversation = &conversations[number % CONVERSATIONS / 2];
        let row = message(conversation.id, desk.user.id, 1_000 + number);
        desk.store
            .write(move |tx| insert_message(tx, &row, None, None))
            .unwrap()
    });
}

#[divan::bench]
fn list_of_50(bencher: Bencher<'_, '_>) {
    let (desk, _) = &*MUCH;
    let page = Page { limit: 50, offset: 0 };
    bencher.bench(|| {
        let list = desk
            .store
            .read(|read| list_conversations_pinned_first(read, desk.user.id, page, |listed| listed.uuid.to_owned()));
        list.unwrap()
    });
}

#[divan::bench(args = [20, 500])]
fn open(bencher: Bencher<'_, '_>, limit: i64) {
    let (desk, conversations) = &*MUCH;
    let id = Ref::Id(conversations[CONVERSATIONS - 1].id);
    bencher.bench(|| {
        let opened = desk.store.read(|read| {
            let conversation = find_conversation(read, desk.user.id, black_box(&id))?;
            let branch = Branch {
                conversation_id: conversation.id,
                leaf_id: conversation.leaf_id,
                before: None,
                limit,
            };
            list_branch(read, &branch)
        });
        opened.unwrap()
    });
}

/// A page in the middle of a long conversation.
#[divan::bench]
fn page_of_50(bencher: Bencher<'_, '_>) {
    let (desk, conversations) = &*MUCH;
    let conversation = &conversations[CONVERSATIONS - 1];
    let branch = Branch {
        conversation_id: conversation.id,
        leaf_id: conversation.leaf_id,
        before: conversation.leaf_id.map(|newest| Ref::Id(newest - 500)),
        limit: 50,
    };
    bencher.bench(|| desk.store.read(|read| list_branch(read, &branch)).unwrap());
}
