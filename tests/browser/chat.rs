//! Conversations as people have them: replies that come while they are read, are stopped, asked for again, gone on with and
//! branched off; two screens on one conversation; files; drafts; what is found again.

mod branches;
mod composing;
mod reading;

use crate::model::Model;
use crate::rig::{EMAIL, PASSWORD, Page, start_with};

/// Markdown of every kind, in a reply that waits in its middle.
const RICH: &str = "# Counting words\n\nIt walks over the text **once**.\n\n```rust\nfn main() {\n    let words = 3;\n}\n```\n\n\
    | Text | Words |\n|---|---:|\n| A haiku | 11 |\n\n PAUSE \n\n- [x] Counts\n- [ ] Sleeps\n\nThe end.";

#[test]
fn replies_are_written_stopped_and_branched() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    a_reply_while_it_comes(&page, &model);
    another_screen(
        &page,
        &Page::open(&browser, &format!("{}{}", server.origin, page.path())),
        &model,
    );
    stopping_and_going_on(&page);
    asking_again(&page);
    editing(&page);
    page.assert_quiet(&server.origin, "/follow.js");
}

fn live() -> &'static str {
    "document.querySelector('.message[data-live]')"
}

fn last(selector: &str) -> String {
    format!("[...document.querySelectorAll('.message')].at(-1)?.querySelector({selector:?})")
}

fn a_reply_while_it_comes(page: &Page, model: &Model) {
    page.send(RICH);
    page.wait(
        "the first half",
        &format!("{}?.querySelector('table') !== null", live()),
    );
    page.wait(
        "code with its head",
        &format!("{} !== null", last(".code .code-language")),
    );
    page.wait("a button that stops", "document.querySelector('.send.stop') !== null");
    page.shot("chat-streaming-light");
    model.let_go();
    page.wait_for_end();
    page.wait(
        "the second half",
        &format!(
            "{}.length === 2",
            "document.querySelectorAll('.block input[type=checkbox]')"
        ),
    );
    page.wait(
        "tokens",
        &format!("{}?.textContent.includes('812 in, 37 out')", last(".about")),
    );
    page.assert_fits();
    page.assert_accessible();
    page.shot("chat-light");
}

/// A second tab, opened in the middle of a reply, shows the whole of it; so does the first after a reload.
fn another_screen(page: &Page, other: &Page, model: &Model) {
    other.wait("the conversation", "document.querySelectorAll('.message').length === 2");
    page.send("One PAUSE two");
    page.wait("the first word", &format!("{}?.textContent.includes('One')", live()));
    other.wait(
        "the first word on the other screen",
        &format!("{}?.textContent.includes('One')", live()),
    );
    page.reload();
    page.wait(
        "the first word after a reload",
        &format!("{}?.textContent.includes('One')", live()),
    );
    model.let_go();
    for screen in [page, other] {
        screen.wait_for_end();
        screen.wait(
            "all of it",
            &format!("{}?.textContent.trim().endsWith('two')", last(".text")),
        );
    }
}

fn stopping_and_going_on(page: &Page) {
    page.send("Half PAUSE never");
    page.wait("half of it", &format!("{}?.textContent.includes('Half')", live()));
    page.click(".send.stop");
    page.wait(
        "that it stopped",
        &format!("{}?.textContent.startsWith('Stopped')", last(".state")),
    );
    page.wait("a way to go on", &format!("{} !== null", last(".small-button")));
}

fn asking_again(page: &Page) {
    let count = page.eval("document.querySelectorAll('.message').length");
    page.send("Say it twice");
    page.wait_for_end();
    page.press_button(&last("[aria-haspopup=menu]"));
    page.click(".menu-item:first-child");
    page.wait(
        "two versions",
        &format!("{}?.textContent.includes('2 / 2')", last(".branches")),
    );
    page.press_button(&last(".branches button:first-child"));
    page.wait(
        "the first version",
        &format!("{}?.textContent.includes('1 / 2')", last(".branches")),
    );
    page.wait(
        "no message more",
        &format!("document.querySelectorAll('.message').length === {count} + 2"),
    );
}

fn editing(page: &Page) {
    page.eval("document.querySelector('#message').focus()");
    page.press("ArrowUp");
    page.wait("the field", "document.activeElement.matches('.edit-text')");
    page.fill(".edit-text", "Say it *otherwise*");
    page.press("Enter");
    page.wait(
        "the reply to it",
        &format!("{}?.textContent === 'otherwise'", last(".text em")),
    );
    page.wait_for_end();
    page.wait(
        "versions of the question",
        "[...document.querySelectorAll('.own .branches')].at(-1)?.textContent.includes('2 / 2')",
    );
    page.shot("chat-branches-light");
}

#[test]
fn what_is_written_is_found_again() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    for text in ["The kettle sings in the morning", "A walk along the canal"] {
        page.send(text);
        page.wait_for_end();
        page.click(".new-conversation");
    }
    search(&page);
    organise(&page);
    a_file(&page);
    a_broken_reply(&page);
    page.complaints.lock().unwrap().clear();
    an_ended_session(&page);
}

fn search(page: &Page) {
    page.click(".way kbd");
    page.fill(".palette .search", "sings");
    page.wait(
        "what was sought, marked",
        "document.querySelector('.palette mark')?.textContent === 'sings'",
    );
    page.shot("search-light");
    page.press("Enter");
    page.wait(
        "the conversation",
        "document.querySelector('.message.own .text')?.textContent.includes('kettle')",
    );
}

fn organise(page: &Page) {
    page.click(".topbar [aria-label='Conversation settings']");
    page.fill("#chat-tags", "morning");
    page.fill("#chat-prompt", "Be brief.");
    page.shot("chat-settings-light");
    page.click(".dialog .form-foot .button:last-child");
    page.wait("the tag", "document.querySelector('.tag')?.textContent === 'morning'");
    page.click(".tag");
    page.wait(
        "its conversations alone",
        "document.querySelectorAll('.row').length === 1",
    );
    page.click(".tag");
    page.wait("all of them", "document.querySelectorAll('.row').length === 2");
    page.press_button("document.querySelector('.row .row-more')");
    page.wait("the menu", "document.querySelector('.menu:popover-open') !== null");
    page.press_button("[...document.querySelectorAll('.menu-item')].find((item) => item.textContent === 'Archive')");
    page.wait(
        "the archive",
        "document.querySelectorAll('.archived .row').length === 1",
    );
    page.click(".toast .link");
    page.wait("it back among the days", "document.querySelector('.archived') === null");
}

fn a_file(page: &Page) {
    let drop = "(() => { const data = new DataTransfer(); data.items.add(new File(['Wood, paper, a match.'], 'hearth.txt', { type: 'text/plain' })); \
        document.querySelector('#message').dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })); })()";
    page.eval(drop);
    page.wait(
        "the upload",
        "document.querySelector('.pending progress')?.hidden === true",
    );
    page.shot("attaching-light");
    page.reload();
    page.wait(
        "the file after a reload",
        "document.querySelector('.pending .file-name')?.textContent === 'hearth.txt'",
    );
    page.send("What do I need?");
    page.wait_for_end();
    page.wait(
        "the file at its message",
        "document.querySelector('.own .file-name')?.textContent === 'hearth.txt'",
    );
}

fn a_broken_reply(page: &Page) {
    page.send("This will BREAK off");
    page.wait(
        "the reason",
        "document.querySelector('.message:last-child .state, .reply-problem')?.textContent.length > 20",
    );
    page.shot("broken-light");
}

/// The session ends elsewhere: the page says so, and what was being written is there after signing in.
fn an_ended_session(page: &Page) {
    page.fill("#message", "Not sent yet");
    page.eval("(fetch('/auth/session', { method: 'DELETE' }), 1)");
    page.wait(
        "the sign-in form",
        "document.querySelector('.sign-in .lead')?.textContent.includes('session has ended')",
    );
    page.fill("#email", EMAIL);
    page.fill("#password", PASSWORD);
    page.press("Enter");
    page.wait(
        "the draft",
        "document.querySelector('#message')?.value === 'Not sent yet'",
    );
}
