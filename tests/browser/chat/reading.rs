//! Reading a conversation: what a reply is made of and what can be done with it, that nothing moves while it comes, that all
//! of it fits a small screen, and which models there are to choose from.

use super::{last, live};
use crate::model::Model;
use crate::rig::{DESKTOP, Page, start_with};

const SMALL: (u32, u32) = (320, 640);

/// What is hard to fit: a wide table, long formulas, a word without an end, lists in lists, both directions of writing.
const WIDE: &str = "<think>Let me see what is wide.</think>\n\n| One | Two | Three | Four | Five |\n|---|---|---|---|---|\n\
    | a_long_identifier_1 | a_long_identifier_2 | a_long_identifier_3 | a_long_identifier_4 | a_long_identifier_5 |\n\n\
    $$\n\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2} + a_1 + a_2 + a_3 + a_4 + a_5 + a_6 + a_7 + a_8\n$$\n\n\
    Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft and \
    https://example.com/a/very/long/address/that/goes/on/and/on/and/on/without/any/space/at/all\n\n\
    ```rust\nfn main() { println!(\"a line of code that is certainly longer than three hundred and twenty pixels\"); }\n```\n\n\
    - one\n  - two\n    - three\n\n\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{5e2}\u{5d5}\u{5dc}\u{5dd}\n\nIt burns.[^1] More.[^2]\n\n\
    [^1]: Below 20 %.\n[^2]: Above it.";

#[test]
fn everything_in_a_reply_can_be_read_and_used() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.send(WIDE);
    page.wait_for_end();
    reasoning(&page);
    code(&page);
    footnotes(&page);
    costs(&page);
    page.assert_accessible();
    on_a_small_screen(&page);
    page.assert_quiet(&server.origin, "/html.js");
}

fn reasoning(page: &Page) {
    let reasoning = "document.querySelector('.reasoning')";
    page.wait("it folded", &format!("{reasoning}?.open === false"));
    page.press_button(&format!("{reasoning}.querySelector('summary')"));
    page.wait(
        "what was thought",
        &format!("{reasoning}.open && {reasoning}.textContent.includes('Let me see what is wide.')"),
    );
}

fn code(page: &Page) {
    let code = "document.querySelector('.code')";
    let button = |place: usize| format!("document.querySelectorAll('.code-button')[{place}]");
    page.wait(
        "its language",
        &format!("{code}.querySelector('.code-language').textContent === 'rust'"),
    );
    page.wait("colours", &format!("{code}.querySelector('.k') !== null"));
    page.press_button(&button(0));
    page.wait("wrapped lines", &format!("{button}.getAttribute('aria-pressed') === 'true' && getComputedStyle({code}.querySelector('pre')).whiteSpace === 'pre-wrap'", button = button(0)));
    page.press_button(&button(0));
    page.wait(
        "lines as they are",
        &format!("getComputedStyle({code}.querySelector('pre')).whiteSpace === 'pre'"),
    );
    // A headless browser has nobody to ask for the clipboard.
    page.eval("(navigator.clipboard.writeText = async (text) => { window.copied = text; }, 1)");
    page.press_button(&button(1));
    page.wait(
        "the code",
        "window.copied?.startsWith('fn main()') && !window.copied.endsWith('\\n')",
    );
    page.wait(
        "the word that it was",
        &format!("{}.textContent === 'Copied'", button(1)),
    );
    page.press_button(&last("[aria-label=Copy]"));
    page.wait("the reply as it was written", "window.copied.includes('| One | Two |')");
}

/// There and back, without a trace in the address.
fn footnotes(page: &Page) {
    let address = page.eval("location.href");
    let length = page.eval("history.length");
    page.press_button("document.querySelectorAll('.note a, a.note')[1]");
    page.wait("the second note", "/^fn-\\d+-2$/.test(document.activeElement.id)");
    page.press_button("document.activeElement.querySelector('.back')");
    page.wait(
        "where it was referred to",
        "/^fr-\\d+-2$/.test(document.activeElement.id)",
    );
    assert_eq!(
        (page.eval("location.href"), page.eval("history.length")),
        (address, length)
    );
}

/// What it took stands below the reply for those who point at it, and in the tab order of all others.
fn costs(page: &Page) {
    let about = last(".about");
    page.wait("tokens", &format!("{about}?.textContent.includes('812 in, 37 out')"));
    let visible = format!("getComputedStyle({about}).opacity === '1'");
    page.eval("(document.activeElement.blur(), 1)");
    page.wait("them out of the way", &format!("!({visible})"));
    page.eval(&format!("({}.focus(), 1)", last("[aria-label=Copy]")));
    page.wait("them by keyboard", &visible);
}

fn on_a_small_screen(page: &Page) {
    page.resize(SMALL);
    page.wait("the small screen", "innerWidth === 320");
    page.assert_fits();
    // Only boxes of their own scroll sideways: the conversation never does.
    assert_eq!(
        page.eval(
            "document.querySelector('.conversation').scrollWidth - document.querySelector('.conversation').clientWidth"
        ),
        0
    );
    for wide in [".table-box", "code.math.display", ".code pre"] {
        page.wait(
            wide,
            &format!("document.querySelector({wide:?}).scrollWidth > document.querySelector({wide:?}).clientWidth"),
        );
    }
    let hebrew =
        "[...document.querySelectorAll('.block p, .block > *')].find((node) => node.textContent.startsWith('\u{5e9}'))";
    page.wait(
        "right to left",
        &format!("getComputedStyle({hebrew}).direction === 'rtl'"),
    );
    page.eval("(document.querySelector('.table-box').scrollIntoView(), 1)");
    page.shot("wide-tiny-light");
    page.prefer("dark");
    page.shot("wide-tiny-dark");
    page.prefer("light");
    page.resize(DESKTOP);
}

#[test]
fn nothing_moves_while_a_reply_comes() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.send("To begin with\n\nand a second line");
    page.wait_for_end();
    page.eval(
        "(window.moved = [], new PerformanceObserver((list) => { for (const { sources } of list.getEntries()) \
        for (const { node } of sources) if (node?.parentElement?.closest('.messages') && !node.parentElement.closest('[data-live]')) \
        moved.push((node.parentElement.closest('.message')?.textContent ?? node.textContent).slice(0, 60)); }) \
        .observe({ type: 'layout-shift', buffered: false }), 1)",
    );
    let rows = "| a | b |\n|---|---|\n| 1 | 2 |";
    page.send(&format!("Some words first.\n\n```rust\nfn main() {{\n PAUSE \n    let a = 1;\n PAUSE \n}}\n```\n\n{rows}\n PAUSE \n| 3 | 4 |\n\nThe end."));
    page.wait(
        "code that grows",
        &format!("{}?.querySelector('.code') !== null", live()),
    );
    // What somebody does with it meanwhile stays.
    page.press_button(&format!("{}.querySelector('.code-button')", live()));
    page.eval(&format!("(window.grown = {}.querySelector('.code'), 1)", live()));
    model.let_go();
    page.wait(
        "the second line of it",
        &format!("{}?.textContent.includes('let a')", live()),
    );
    page.wait(
        "the same block, still wrapped",
        "window.grown.isConnected && window.grown.hasAttribute('data-wraps')",
    );
    model.let_go();
    page.wait("a table", &format!("{}?.querySelector('td') !== null", live()));
    model.let_go();
    page.wait_for_end();
    page.wait(
        "the same block at the end",
        "window.grown.isConnected && window.grown.hasAttribute('data-wraps')",
    );
    assert_eq!(
        page.eval("window.moved"),
        serde_json::json!([]),
        "moved while a reply came"
    );
}

#[test]
fn whoever_reads_above_is_left_there() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    let long = "A paragraph of some words.\n\n".repeat(60);
    page.send(&format!("{long} PAUSE {long} PAUSE The end."));
    let view = "document.querySelector('.conversation')";
    let left = format!("({view}.scrollHeight - {view}.scrollTop - {view}.clientHeight)");
    page.wait(
        "the first half, followed",
        &format!("{}?.textContent.length > 1000 && {left} < 2", live()),
    );
    page.eval(&format!("({view}.scrollTop = 200, 1)"));
    let latest = "document.querySelector('.latest')";
    page.wait(
        "a way to the end",
        &format!("{latest}.hidden === false && {view}.scrollTop === 200"),
    );
    model.let_go();
    page.wait("the second half", &format!("{}?.textContent.length > 3000", live()));
    assert_eq!(page.eval(&format!("{view}.scrollTop")), 200);
    page.shot("jump-to-latest-light");
    page.press_button(latest);
    page.wait("the end", &format!("{left} < 2 && {latest}.hidden"));
    model.let_go();
    page.wait_for_end();
    page.wait("the end still", &format!("{left} < 2"));
}

#[test]
fn replies_quote_their_sources() {
    let Some((server, browser)) = start_with(None) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.eval(
        "(Promise.all([['Tide tables', 'High water is at noon.'], ['Sailing', 'At high water boats leave the harbour.']].map(([title, content]) => \
        fetch('/documents', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ title, content }) }))) \
        .then(() => (window.added = true)), 1)",
    );
    page.wait("two documents", "window.added === true");
    page.press_button("document.querySelector('.chip.model')");
    page.fill(".picker .search", "library");
    page.press("Enter");
    page.wait(
        "the model",
        "document.querySelector('.chip.model').textContent === 'library'",
    );
    page.send("When is high water?");
    page.wait_for_end();
    page.wait("two sources", "document.querySelectorAll('.source').length === 2");
    page.wait("them folded", "document.querySelectorAll('.source[open]').length === 0");
    page.assert_accessible();
    let second = "document.querySelectorAll('.source')[1]";
    page.press_button("[...document.querySelectorAll('.citation')].find((link) => link.textContent === '2')");
    page.wait(
        "the second, open",
        &format!("{second}.open && document.activeElement === {second}.querySelector('summary')"),
    );
    let title = page.eval(&format!("{second}.querySelector('.source-title').textContent"));
    page.wait(
        "its passage",
        &format!("{second}.querySelector('blockquote').textContent.includes('igh water')"),
    );
    page.shot("sources-light");
    page.prefer("dark");
    page.shot("sources-dark");
    page.prefer("light");
    page.reload();
    page.wait("the sources again", &format!("{second} !== undefined"));
    page.press_button(&format!("{second}.querySelector('.link')"));
    page.wait(
        "the document",
        &format!("document.querySelector('.page h1')?.textContent === {title}"),
    );
    page.assert_quiet(&server.origin, "/sources.js");
}

#[test]
fn models_are_found_liked_and_told_to_be_down() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.eval(
        "(fetch('/admin/providers', { method: 'POST', headers: { 'Content-Type': 'application/json' }, \
        body: JSON.stringify({ name: 'away', protocol: 'openai', base_url: 'http://127.0.0.1:1/v1' }) }) \
        .then(({ status }) => (window.added = status)), 1)",
    );
    page.wait("a provider that is down", "window.added === 201");
    page.press_button("document.querySelector('.chip.model')");
    let option = |name: &str| {
        format!(
            "[...document.querySelectorAll('.picker [role=option]')].find((node) => node.querySelector('.option-name').textContent.endsWith('{name}'))"
        )
    };
    let down = option("away");
    page.wait(
        "that it cannot be picked",
        &format!("{down}?.getAttribute('aria-disabled') === 'true'"),
    );
    page.wait(
        "why",
        &format!("{down}.querySelector('.option-about').textContent.length > 5"),
    );
    page.eval(&format!("({down}.click(), 1)"));
    page.wait("the dialog still", "document.querySelector('.picker[open]') !== null");
    page.assert_accessible();
    page.shot("models-light");
    // The last becomes a favourite, and stands first from then on.
    page.fill(".picker .search", "looking");
    page.press_button("document.querySelector('.picker footer .chip')");
    page.fill(".picker .search", "");
    page.wait(
        "the favourite first",
        "document.querySelector('.picker [role=option] .option-name').textContent.endsWith('looking-glass')",
    );
    page.eval("(document.querySelector('.picker .search').focus(), 1)");
    page.press("Home");
    page.eval(&format!("({}.click(), 1)", option("looking-glass")));
    page.wait(
        "it chosen",
        "document.querySelector('.chip.model').textContent === 'looking-glass'",
    );
    page.send("Who are you?");
    page.wait_for_end();
    page.wait(
        "who replied",
        &format!("{}?.textContent.includes('looking-glass')", last(".about")),
    );
    page.reload();
    page.wait(
        "the choice",
        "document.querySelector('.chip.model')?.textContent === 'looking-glass'",
    );
    page.press_button("document.querySelector('.chip.model')");
    page.wait(
        "the favourite still",
        "document.querySelector('.picker [role=option] .option-name')?.textContent.endsWith('looking-glass')",
    );
}
