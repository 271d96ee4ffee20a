//! What a first visit costs: how much comes over the wire, in how many requests, and that nothing has to wait for anything
//! else to be found. No times: those depend on the machine (`cargo bench --bench page`).

use crate::import::{conversation, import};
use crate::rig::{Page, start};

/// Requests and bytes, compressed and with their heads: "one blink on a Raspberry Pi".
struct Budget {
    requests: usize,
    bytes: f64,
}

const SIGN_IN: Budget = Budget {
    requests: 8,
    bytes: 60_000.0,
};
const CHAT: Budget = Budget {
    requests: 30,
    bytes: 120_000.0,
};

#[test]
fn pages_are_light_and_load_in_one_go() {
    let Some((server, browser)) = start() else {
        return;
    };
    let page = Page::open(&browser, &format!("{}/", server.origin));
    page.wait("the form", "document.querySelector('.sign-in form') !== null");
    check(&page, "sign-in", &SIGN_IN);
    page.sign_up();

    page.load_anew();
    page.wait("the empty conversation", "document.querySelector('.welcome') !== null");
    check(&page, "chat", &CHAT);

    page.send("Something to read");
    page.wait_for_end();
    // A list that is longer than its first page, as most are.
    let title = |i: usize| format!("A conversation with a name of some length, number {i}");
    let many: Vec<_> = (0..100)
        .map(|i| conversation(&title(i), "2025-03-10T12:00:00Z"))
        .collect();
    import(&page, &many);
    page.load_anew();
    page.wait("the messages", "document.querySelectorAll('.message').length === 2");
    check(&page, "conversation", &CHAT);
    page.assert_quiet(&server.origin, "/list.js");
}

fn check(page: &Page, name: &str, budget: &Budget) {
    let transfers = page.transfers();
    let bytes: f64 = transfers.iter().map(|(_, bytes)| bytes).sum();
    assert!(bytes > 10_000.0, "{name}: sizes are not seen: {transfers:#?}");
    assert!(bytes <= budget.bytes, "{name}: {bytes} bytes: {transfers:#?}");
    assert!(
        transfers.len() <= budget.requests,
        "{name}: {} requests: {transfers:#?}",
        transfers.len()
    );
    // A file that only another file names is found one round trip too late.
    let unnamed = "(() => { const named = new Set([...document.querySelectorAll('link[rel=modulepreload], link[rel=stylesheet], script[src]')]
        .map((node) => node.href || node.src)); return performance.getEntriesByType('resource').map(({ name }) => name)
        .filter((name) => /\\.(js|css)$/.test(name) && !named.has(name)); })()";
    assert_eq!(
        page.eval(unnamed),
        serde_json::json!([]),
        "{name}: not named in the shell"
    );
}
