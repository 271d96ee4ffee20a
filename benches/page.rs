//! What the pages of the web UI cost in a browser: bytes, requests, paints, shifts and long tasks, for a first visit to each
//! (nothing in the browser's cache). Needs Chromium in `CHROME` or `PATH`. Prints a table and asserts nothing: the times are
//! the machine's as much as the page's. What must not grow is held by `tests/browser/weight.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement fails by panicking; the table is what this program is for"
)]

#[path = "../tests/server/rig/chunks.rs"]
mod chunks;
#[path = "../tests/browser/import.rs"]
mod import;
#[path = "../tests/browser/model.rs"]
#[expect(dead_code, reason = "the tests talk to it")]
mod model;
#[path = "../tests/browser/rig.rs"]
#[expect(dead_code, unused_imports, reason = "the tests do more than load pages")]
mod rig;
#[path = "../tests/browser/server.rs"]
#[expect(dead_code, reason = "the tests let it go away")]
mod server;

use serde_json::json;

use import::{conversation, import};
use rig::Page;

/// How often each page is loaded; the table has the medians.
const ROUNDS: usize = 5;
const CONVERSATIONS: usize = 10_000;
const MESSAGES: usize = 500;

/// Conversations that come in one file: the browser's protocol takes texts of some megabytes, not of any length.
const IN_ONE_FILE: usize = 2000;

const REPLY: &str = "It goes on in **three** steps with `code`.\n\n1. One\n2. Two\n\n```rust\nfn main() {}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |";

const WATCH: &str = "(() => { const seen = (window.seen = { lcp: 0, cls: 0, tasks: [] }); \
    const watch = (type, note) => new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type, buffered: true }); \
    watch('largest-contentful-paint', ({ startTime }) => (seen.lcp = startTime)); \
    watch('layout-shift', ({ value, hadRecentInput }) => (seen.cls += hadRecentInput ? 0 : value)); \
    watch('longtask', ({ duration }) => seen.tasks.push(duration)); })()";

const FIGURES: &str = "[performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0, seen.lcp, seen.cls, \
    seen.tasks.length, Math.max(0, ...seen.tasks)]";

fn main() {
    if !std::env::args().any(|word| word == "--bench") {
        // `cargo test --benches`: there is nothing to test.
        return;
    }
    let Some((server, browser)) = server::start() else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.before_each_page(WATCH);
    println!("| page | bytes | requests | FCP ms | LCP ms | CLS | long tasks | longest ms |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    measure(&page, "sign-in", "document.querySelector('.sign-in form') !== null");
    page.sign_up();
    measure(&page, "chat", "document.querySelector('.welcome') !== null");
    import(&page, &[long()]);
    page.press_button("document.querySelector('.row a')");
    measure(
        &page,
        &format!("{MESSAGES} messages"),
        "document.querySelectorAll('.message').length > 10",
    );
    for from in (0..CONVERSATIONS).step_by(IN_ONE_FILE) {
        let some: Vec<_> = (from..from + IN_ONE_FILE)
            .map(|i| conversation(&format!("Number {i}"), "2025-03-10T12:00:00Z"))
            .collect();
        import(&page, &some);
    }
    page.visit(&server.origin, "");
    measure(
        &page,
        &format!("list of {CONVERSATIONS}"),
        "document.querySelectorAll('.row').length > 10",
    );
}

/// A conversation of questions and rich replies.
fn long() -> serde_json::Value {
    let time = "2026-03-10T12:00:00Z";
    let id = |i: usize| format!("10000000-0000-4000-8000-{i:012x}");
    let message = |i: usize| {
        let (role, content) = if i.is_multiple_of(2) {
            ("user", "And then?")
        } else {
            ("assistant", REPLY)
        };
        json!({
            "uuid": id(i), "parent": i.checked_sub(1).map(id), "role": role, "content": content, "state": "complete",
            "created_at": time
        })
    };
    let mut long = conversation("Long", time);
    long["messages"] = (0..MESSAGES).map(message).collect();
    long["leaf"] = id(MESSAGES - 1).into();
    long
}

/// Loads the page anew, several times, and prints its row.
fn measure(page: &Page, name: &str, is_there: &str) {
    let mut rounds: Vec<Vec<f64>> = Vec::new();
    for _ in 0..ROUNDS {
        page.load_anew();
        page.wait(name, is_there);
        let transfers = page.transfers();
        let bytes: f64 = transfers.iter().map(|(_, bytes)| bytes).sum();
        let count = u32::try_from(transfers.len()).unwrap_or(u32::MAX);
        let seen = page.eval(FIGURES);
        let seen = seen
            .as_array()
            .expect("figures")
            .iter()
            .filter_map(serde_json::Value::as_f64);
        rounds.push([bytes, f64::from(count)].into_iter().chain(seen).collect());
    }
    let median = |column: usize| {
        let mut values: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let [bytes, count, fcp, lcp, cls, tasks, longest] = std::array::from_fn(median);
    println!("| {name} | {bytes:.0} | {count:.0} | {fcp:.0} | {lcp:.0} | {cls:.3} | {tasks:.0} | {longest:.0} |");
}
