//! What a model is told: a conversation's newest turns, read and cut to what fits.

use std::sync::Arc;

use divan::Bencher;
use fireside::clock::Clock;
use fireside::pricing::Pricing;
use fireside::turn::{Hub, Limits, Turns};

use super::Desk;

#[divan::bench(args = [4, 20, 200])]
fn of_a_conversation(bencher: Bencher<'_, '_>, messages: usize) {
    let desk = Desk::new();
    let limits = Limits {
        turns_max: 1,
        context_messages: 100,
    };
    let pricing = Arc::new(Pricing::built_in().unwrap());
    let turns = Turns::new(
        Arc::clone(&desk.store),
        Arc::new(Hub::default()),
        pricing,
        Clock,
        limits,
    );
    let conversation = desk.conversation(messages);
    bencher.bench(|| turns.context(&desk.user, &conversation).unwrap());
}
