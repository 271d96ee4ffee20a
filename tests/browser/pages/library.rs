//! The library: documents come in by file, by hand and several at once; they are read, found, cited and deleted.

use serde_json::{Value, json};

use super::{ask, open, pick, wait_for_words};
use crate::rig::{Page, start};

#[test]
fn documents_come_are_found_and_go() {
    let Some((server, browser)) = start() else {
        return;
    };
    let page = Page::open(&browser, &format!("{}/", server.origin));
    page.sign_up();
    open(&page, "library", ".list-note");
    super::look(&page, "library-empty");
    a_note(&page);
    files(&page);
    a_drop(&page);
    finding(&page);
    deleting(&page);
    a_passage(&page, &server.origin);
    page.assert_quiet(&server.origin, "/page-library.js");
}

fn a_note(page: &Page) {
    page.click(".adding summary");
    page.fill("#note-title", "The kettle book");
    page.fill("#note-text", "A kettle sings when the water is nearly hot.");
    page.shot("library-note-light");
    page.click(".adding .form-foot .button");
    wait_for_words(page, ".rows a", "The kettle book");
    page.click(".rows a");
    wait_for_words(page, ".plain-text", "sings");
    page.wait("its name", "document.title.startsWith('The kettle book')");
    page.click(".way-back");
    wait_for_words(page, ".rows a", "The kettle book");
}

/// Two that can be read and one that cannot: each has its word.
fn files(page: &Page) {
    let long = "The fire wants three things.\n\n".repeat(400);
    page.eval(
        "(() => { const bar = document.querySelector('.drop-zone progress'); \
         new MutationObserver(() => (window.wasShown ||= !bar.hidden)).observe(bar, { attributes: true }); return 1; })()",
    );
    pick(
        page,
        &[
            ("fire.md", &long),
            ("ash.txt", "Ash feeds the garden."),
            ("empty.txt", ""),
        ],
    );
    wait_for_words(page, ".drop-zone [role=status]", "2 documents added");
    wait_for_words(page, ".drop-zone [role=status]", "empty");
    page.wait("three documents", "document.querySelectorAll('.rows li').length === 3");
    page.wait("no bar", "document.querySelector('.drop-zone progress').hidden");
    assert_eq!(page.eval("window.wasShown"), true, "nobody saw how far it was");
    page.shot("library-added-light");
    // That one of them was refused.
    page.complaints.lock().unwrap().clear();
}

/// Dropped anywhere on the page.
fn a_drop(page: &Page) {
    page.eval(
        "(() => { const box = new DataTransfer(); box.items.add(new File(['Soot is warm snow.'], 'soot.txt')); \
         document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: box, bubbles: true, cancelable: true })); return 1; })()",
    );
    wait_for_words(page, ".drop-zone [role=status]", "1 document added");
    page.wait("four documents", "document.querySelectorAll('.rows li').length === 4");
    page.press_button("document.querySelector('.rows .icon-button')");
    page.wait("it gone", "document.querySelector('.rows li').hidden");
    open(page, "usage", "h1");
    open(page, "library", ".rows li");
}

fn finding(page: &Page) {
    page.fill(".filter", "kettle");
    page.wait("the one", "document.querySelectorAll('.rows li').length === 1");
    page.fill(".filter", "garden");
    page.wait(
        "what says so inside",
        "document.querySelector('.rows a')?.textContent.startsWith('ash')",
    );
    page.fill(".filter", "zzz");
    wait_for_words(page, ".list-note", "No document");
    page.fill(".filter", "");
    page.wait("all three", "document.querySelectorAll('.rows li').length === 3");
}

fn deleting(page: &Page) {
    let shown = "document.querySelectorAll('.rows li:not([hidden])').length";
    page.click(".rows .icon-button");
    page.wait("it gone", &format!("{shown} === 2"));
    page.click(".toast .link");
    page.wait("it back", &format!("{shown} === 3"));
    page.click(".rows .icon-button");
    page.wait("it gone", &format!("{shown} === 2"));
    // Leaving the page does it, also for good.
    page.reload();
    page.wait(
        "one less on the server",
        "(fetch('/documents').then((got) => got.json()).then(({ total }) => (window.total = total)), window.total === 2)",
    );
    open(page, "usage", "h1");
    open(page, "library", ".rows li");
    page.wait("two", "document.querySelectorAll('.rows li').length === 2");
}

/// The address of a passage leads to it, from a link in the page and from outside.
fn a_passage(page: &Page, origin: &str) {
    let (_, list) = ask(page, "GET", "/documents", &Value::Null);
    let documents = list["documents"].as_array().expect("documents");
    let long = documents
        .iter()
        .find(|document| document["chunk_count"].as_i64() > Some(2))
        .expect("a long one");
    let address = format!("library/{}#passage-2", long["uuid"].as_str().unwrap());
    page.visit(origin, &address);
    let there = "document.querySelector('#passage-2[aria-current]') !== null && document.activeElement.id === 'passage-2' \
        && document.activeElement.getBoundingClientRect().top < innerHeight";
    page.wait("the passage", there);
    page.shot("library-passage-light");
    assert_eq!(
        page.eval("document.querySelectorAll('.passage').length"),
        json!(long["chunk_count"])
    );
    page.press_button("document.querySelector('.way-back')");
    page.wait("the list", "document.querySelector('.rows li') !== null");
    page.eval(&format!(
        "(document.querySelector('.rows a').setAttribute('href', '/ui/{address}'), 1)"
    ));
    page.click(".rows a");
    page.wait("the passage again", there);
}
