//! The pages beside conversations, each in light and dark and on a phone: what they show, and what can be done on them.

use crate::model::Model;
use crate::rig::{DESKTOP, PHONE, Page, start_with};

const PAGES: [(&str, &str); 12] = [
    ("settings", ".choices"),
    ("settings/replies", "#default-prompt"),
    ("settings/account", "#new-password"),
    ("settings/sessions", ".rows li"),
    ("settings/keys", "#key-name"),
    ("settings/data", ".part"),
    ("usage", ".figures"),
    ("library", ".rows li"),
    ("admin", ".rows li"),
    ("admin/access", ".choices"),
    ("admin/providers", "#provider-key"),
    ("admin/server", ".facts"),
];

#[test]
fn every_page_is_fit_to_be_seen() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.send("Something to count");
    page.wait_for_end();
    a_note(&page, &server.origin);
    a_key(&page, &server.origin);
    for (name, landmark) in PAGES {
        page.visit(&server.origin, name);
        page.wait(name, &format!("document.querySelector('.page {landmark}') !== null"));
        page.assert_fits();
        page.assert_accessible();
        let file = name.replace('/', "-");
        page.shot(&format!("{file}-light"));
        page.prefer("dark");
        page.assert_accessible();
        page.shot(&format!("{file}-dark"));
        page.resize(PHONE);
        page.assert_fits();
        page.shot(&format!("{file}-phone-dark"));
        page.resize(DESKTOP);
        page.prefer("light");
    }
    page.assert_quiet(&server.origin, "/pages.js");
    a_theme(&page, &server.origin);
}

fn a_note(page: &Page, origin: &str) {
    page.visit(origin, "library");
    page.click(".adding summary");
    page.fill("#note-title", "The kettle book");
    page.fill("#note-text", "A kettle sings when the water is nearly hot.");
    page.click(".adding .form-foot .button");
    page.wait(
        "the document",
        "document.querySelector('.rows a')?.textContent === 'The kettle book'",
    );
    page.click(".rows a");
    page.wait(
        "its text",
        "document.querySelector('.plain-text')?.textContent.includes('sings')",
    );
    page.click(".way-back");
    page.click(".rows .icon-button");
    page.wait("it gone", "document.querySelector('.rows li').hidden");
    page.click(".toast .link");
    page.wait("it back", "!document.querySelector('.rows li').hidden");
}

fn a_key(page: &Page, origin: &str) {
    page.visit(origin, "settings/keys");
    page.fill("#key-name", "Scripts");
    page.click(".page form .button");
    page.wait(
        "the key",
        "document.querySelector('.secret code')?.textContent.startsWith('fs-')",
    );
    page.wait(
        "its row",
        "document.querySelector('.rows strong')?.textContent === 'Scripts'",
    );
}

fn a_theme(page: &Page, origin: &str) {
    let is_dark = "getComputedStyle(document.body).backgroundColor === 'rgb(30, 26, 23)'";
    page.visit(origin, "settings");
    page.click("input[value=dark]");
    page.wait("the dark", is_dark);
    page.reload();
    page.wait("the dark after a reload", is_dark);
}
