//! The web UI in a real browser, on the real binary: from the first account to signing out and in again. Its modules do
//! the same to conversations, pages, hostile texts, and the pages of the documentation.
//!
//! Along the way nothing may be logged as an error, no policy (CSP, Trusted Types) may be violated, and no
//! request may leave the server's origin. Where no Chromium is installed the test says so and passes, unless
//! `FIRESIDE_TEST_BROWSER=required`. `FIRESIDE_SCREENSHOTS=DIR` keeps a picture of each state.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says why it was skipped"
)]

#[cfg(test)]
mod canary;
#[cfg(test)]
mod chat;
#[path = "../server/rig/chunks.rs"]
mod chunks;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod hostile;
mod import;
#[cfg(test)]
mod lists;
mod model;
#[cfg(test)]
mod pages;
mod rig;
mod server;
#[cfg(test)]
mod start;
#[cfg(test)]
mod weight;

use rig::{DESKTOP, EMAIL, PASSWORD, PHONE, Page, start};

#[test]
fn from_the_first_account_to_signing_in_again() {
    let Some((server, browser)) = start() else {
        return;
    };
    let page = Page::open(&browser, &format!("{}/", server.origin));

    sign_up(&page);
    converse(&page);
    rename(&page);
    delete_and_undo(&page);
    sign_out_and_in(&page);
    on_a_phone(&page);
    in_the_dark(&page);

    page.assert_quiet(&server.origin, "/app.js");
}

/// The mark is drawn as a file, as the page's icon and in the page; drawings of it that differ would be a mistake.
#[test]
fn the_mark_is_the_same_everywhere() {
    let file = include_str!("../../assets/icon.svg");
    let path = file
        .split(" d=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("one path");
    assert_eq!(include_str!("../../assets/index.html").matches(path).count(), 2);
    let manifest = include_str!("../../assets/manifest.webmanifest");
    assert_eq!(manifest.matches(path).count(), 1);
}

fn sign_up(page: &Page) {
    page.wait("the sign-up form", "document.querySelector('.sign-in form') !== null");
    page.assert_fits();
    page.shot("sign-up-light");
    page.click("button[type=submit]");
    page.wait(
        "a complaint under each empty field",
        "document.querySelectorAll('[aria-invalid=true]').length === 2",
    );
    page.fill("#email", EMAIL);
    page.fill("#password", PASSWORD);
    page.press("Enter");
    page.wait("the empty conversation", "document.querySelector('.welcome') !== null");
    page.wait("the loaded list", "document.querySelector('.list-note') !== null");
    page.shot("welcome-light");
}

fn converse(page: &Page) {
    page.fill("#message", "What does the kettle sing?");
    page.press("Enter");
    page.wait_for_texts(&["What does the kettle sing?", "Echo: What does the kettle sing?"]);
    page.wait("an address of its own", "location.pathname.startsWith('/ui/c/')");
    page.fill("#message", "Text, <b>not markup</b>");
    page.press("Enter");
    let all = [
        "What does the kettle sing?",
        "Echo: What does the kettle sing?",
        "Text, <b>not markup</b>",
        "Echo: Text, <b>not markup</b>",
    ];
    page.wait_for_texts(&all);
    page.wait(
        "the row of the conversation",
        "document.querySelectorAll('.row').length === 1",
    );
    page.assert_fits();
    page.shot("conversation-light");

    page.fill("#message", "Not sent yet");
    page.reload();
    page.wait_for_texts(&all);
    page.wait(
        "the draft",
        "document.querySelector('#message').value === 'Not sent yet'",
    );
    page.fill("#message", "");
}

fn rename(page: &Page) {
    page.click(".row-more");
    page.wait("the menu", "document.querySelector('.menu:popover-open') !== null");
    page.shot("menu-light");
    page.click(".menu-item:first-child");
    page.wait("the field for the name", "document.activeElement.matches('.rename')");
    page.fill(".rename", "Kettles");
    page.press("Enter");
    page.wait(
        "the new name",
        "document.querySelector('.row-title')?.textContent === 'Kettles'",
    );
    page.wait("the new title", "document.title.startsWith('Kettles')");
    page.reload();
    page.wait(
        "the new name after a reload",
        "document.querySelector('.row-title')?.textContent === 'Kettles'",
    );
}

fn delete_and_undo(page: &Page) {
    let address = page.eval("location.pathname");
    page.click(".row-more");
    page.click(".menu-item.danger");
    page.wait("an empty list", "document.querySelectorAll('.row').length === 0");
    page.wait("the empty conversation", "document.querySelector('.welcome') !== null");
    page.shot("deleted-light");
    page.click(".toast .link");
    page.wait(
        "the conversation again",
        "document.querySelector('.row-title')?.textContent === 'Kettles'",
    );
    page.wait("its messages", "document.querySelectorAll('.message').length === 4");
    assert_eq!(page.eval("location.pathname"), address);
}

fn sign_out_and_in(page: &Page) {
    page.click(".account");
    page.click(".menu-item:last-child");
    page.wait(
        "the sign-in form",
        "document.querySelector('#password[autocomplete=current-password]') !== null",
    );
    assert_eq!(page.eval("localStorage.length"), 0, "signing out leaves nothing behind");
    page.shot("sign-in-light");
    page.fill("#email", EMAIL);
    page.fill("#password", PASSWORD);
    page.press("Enter");
    page.wait(
        "the conversation after signing in",
        "document.querySelector('.row-title')?.textContent === 'Kettles'",
    );
    page.click(".row a");
    page.wait("its messages", "document.querySelectorAll('.message').length === 4");
}

fn on_a_phone(page: &Page) {
    page.resize(PHONE);
    page.wait(
        "the button of the drawer",
        "document.querySelector('.sidebar-open')?.offsetWidth > 0",
    );
    page.assert_fits();
    page.shot("phone-light");
    page.click(".sidebar-open");
    page.wait(
        "the drawer",
        "document.querySelector('.frame').hasAttribute('data-sidebar-open')",
    );
    page.assert_fits();
    page.shot("phone-drawer-light");
    page.press("Escape");
    page.wait(
        "no drawer",
        "!document.querySelector('.frame').hasAttribute('data-sidebar-open')",
    );
}

fn in_the_dark(page: &Page) {
    let brightness =
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((sum, n) => sum + +n, 0)";
    page.wait("a light ground", &format!("{brightness} > 600"));
    page.prefer("dark");
    page.wait("a dark ground", &format!("{brightness} < 150"));
    page.shot("phone-dark");
    page.resize(DESKTOP);
    page.wait(
        "the sidebar",
        "document.querySelector('.frame').hasAttribute('data-sidebar-open')",
    );
    page.shot("conversation-dark");
}
