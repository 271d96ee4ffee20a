//! Writing and sending: while a reply is written, while files are on their way, when the server cannot or will not; and that
//! nothing that was written is ever lost.

use super::last;
use crate::model::Model;
use crate::rig::{Page, start_with};

const FIELD: &str = "document.querySelector('#message')";
const PROBLEM: &str = "document.querySelector('#composer-problem').textContent";

fn written(text: &str) -> String {
    format!("{FIELD}.value === {text:?}")
}

#[test]
fn what_is_sent_early_goes_out_in_its_turn() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.fill("#message", "   ");
    page.wait("nothing to send", "document.querySelector('.send').disabled");
    behind_a_reply(&page, &model);
    behind_an_upload(&page);
    after_a_refusal(&page, &model);
}

fn behind_a_reply(page: &Page, model: &Model) {
    page.send("One PAUSE two");
    page.wait(
        "its beginning",
        &format!("{}?.textContent.includes('One')", last(".text")),
    );
    page.fill("#message", "And three");
    page.press("Enter");
    page.wait(
        "that it waits",
        "document.querySelector('.queued').textContent.includes('when this reply is done')",
    );
    page.shot("queued-light");
    // Taken back it stays where it was written.
    page.press_button("document.querySelector('.queued .link')");
    page.wait(
        "that it does not",
        "document.querySelector('.queued').textContent === ''",
    );
    page.wait("the text", &written("And three"));
    page.press_button("document.querySelector('.send:not(.stop)')");
    model.let_go();
    page.wait_for_texts(&["One PAUSE two", "One two", "And three", "And three"]);
    page.wait_for_end();
    page.wait("an empty field", &written(""));
}

/// Files go up when the test lets them.
const HOLD: &str = "(window.held = [], window.post = XMLHttpRequest.prototype.send, \
    XMLHttpRequest.prototype.send = function (body) { held.push({ xhr: this, go: () => post.call(this, body) }); }, 1)";

fn paste(page: &Page, name: &str) {
    page.eval(&format!(
        "(() => {{ const data = new DataTransfer(); data.items.add(new File(['Wood, paper, a match.'], {name:?}, {{ type: 'text/plain' }})); \
        {FIELD}.dispatchEvent(new ClipboardEvent('paste', {{ clipboardData: data, bubbles: true, cancelable: true }})); }})()"
    ));
}

fn behind_an_upload(page: &Page) {
    page.eval(HOLD);
    paste(page, "hearth.txt");
    page.wait("the file on its way", "window.held.length === 1");
    page.fill("#message", "What do I need?");
    page.press("Enter");
    page.wait(
        "that it waits",
        "document.querySelector('.queued').textContent.includes('when the files are there')",
    );
    page.eval("(held.pop().go(), 1)");
    page.wait(
        "the message with its file",
        "[...document.querySelectorAll('.own')].at(-1)?.querySelector('.file-name')?.textContent === 'hearth.txt'",
    );
    page.wait_for_end();
    // Editing keeps the file.
    page.press_button("[...document.querySelectorAll('.own [aria-label=Edit]')].at(-1)");
    page.wait(
        "the file above the field",
        "document.querySelector('.own:has(.edit-text) .file-name') !== null",
    );
    page.fill(".edit-text", "What else?");
    page.press("Enter");
    page.wait(
        "the new text",
        "[...document.querySelectorAll('.own .text')].at(-1)?.textContent === 'What else?'",
    );
    page.wait_for_end();
    page.wait(
        "the file still",
        "[...document.querySelectorAll('.own')].at(-1)?.querySelector('.file-name')?.textContent === 'hearth.txt'",
    );
    // One that was not uploaded holds the message back, in words.
    paste(page, "lost.txt");
    page.wait("the next file", "window.held.length === 1");
    page.eval("(held.pop().xhr.onerror(), 1)");
    page.wait(
        "that it failed",
        "document.querySelector('.pending [data-failed]') !== null",
    );
    page.fill("#message", "Without it, then");
    page.press("Enter");
    page.wait("why it is not sent", &format!("{PROBLEM}.includes('was not uploaded')"));
    page.press_button("document.querySelector('.pending [aria-label=\"Remove lost.txt\"]')");
    page.wait("no file", "document.querySelector('.pending').hidden");
    page.eval("(XMLHttpRequest.prototype.send = post, 1)");
    page.send("Without it, then");
    page.wait_for_end();
}

/// A reply that fails leaves what was to follow it to its writer.
fn after_a_refusal(page: &Page, model: &Model) {
    page.send("Wait PAUSE here and BREAK");
    page.wait(
        "its beginning",
        &format!("{}?.textContent.includes('Wait')", last(".text")),
    );
    page.fill("#message", "Not by itself");
    page.press("Enter");
    page.wait("that it waits", "document.querySelector('.queued').textContent !== ''");
    model.let_go();
    page.wait(
        "the reason",
        &format!("{}?.textContent.includes('The reason')", last(".state")),
    );
    page.wait(
        "that it waits no longer",
        "document.querySelector('.queued').textContent === ''",
    );
    page.wait("the text", &written("Not by itself"));
}

#[test]
fn what_is_refused_is_kept_with_the_reason() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.send("To begin with");
    page.wait_for_end();
    // More than the server takes with one message.
    page.eval(&format!(
        "({FIELD}.value = 'long '.repeat(300000), {FIELD}.dispatchEvent(new Event('input', {{ bubbles: true }})), 1)"
    ));
    page.press_button("document.querySelector('.send')");
    page.wait("that it is too long", &format!("{PROBLEM}.includes('too long')"));
    page.wait("all of it", &format!("{FIELD}.value.length > 1000000"));
    page.fill("#message", "");
    // More than one a minute.
    page.eval(
        "(fetch('/admin/limits', { method: 'PUT', headers: { 'Content-Type': 'application/json' }, \
        body: JSON.stringify({ messages_per_minute: 1 }) }).then(() => (window.limited = true)), 1)",
    );
    page.wait("the limit", "window.limited === true");
    page.send("Within the limit");
    page.wait_for_end();
    page.fill("#message", "Beyond it");
    page.press("Enter");
    page.wait(
        "when to try again",
        &format!("/try again in \\d+ second|minute/.test({PROBLEM})"),
    );
    page.wait("the text", &written("Beyond it"));
    page.shot("too-many-light");
    // Away: it says so, and keeps it too.
    page.eval("(window.reach = window.fetch, window.fetch = () => Promise.reject(new TypeError('away')), 1)");
    page.press("Enter");
    page.wait(
        "that it is away",
        &format!("{PROBLEM}.includes('could not be reached')"),
    );
    page.wait("the text still", &written("Beyond it"));
    page.eval("(window.fetch = window.reach, 1)");
    page.reload();
    page.wait("the text after a reload", &written("Beyond it"));
}

/// Saying the same once more is not the message that has arrived already.
#[test]
fn the_same_words_are_not_lost_when_a_conversation_is_read_again() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.send("Again");
    page.wait_for_end();
    page.click(".new-conversation");
    page.wait("an empty page", "document.querySelector('.welcome') !== null");
    // The answer to opening it comes after the first words.
    page.eval(
        "(window.reach = window.fetch, window.gate = new Promise((open) => (window.openGate = open)), \
        window.fetch = async (...asked) => (await gate, reach(...asked)), 1)",
    );
    page.press_button("document.querySelector('.row a')");
    page.wait(
        "its field",
        "location.pathname.startsWith('/ui/c/') && document.activeElement.matches('#message')",
    );
    page.fill("#message", "Again");
    page.eval("(openGate(), 1)");
    page.wait("its messages", "document.querySelectorAll('.message').length === 2");
    page.wait("the words still", &written("Again"));
    // So it is when another screen changes what is shown, and it is read once more.
    page.eval(
        "(window.fetch = async (...asked) => { const answer = await reach(...asked); \
        window.reread ||= String(asked[0]).includes('/messages?'); return answer; }, 1)",
    );
    page.eval(
        "(reach(location.pathname.replace('/ui/c/', '/conversations/') + '/messages').then((answer) => answer.json()) \
        .then(({ conversation_id: id, messages }) => reach('/conversations/' + id + '/leaf', { method: 'PUT', \
        headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ message_id: messages[0].id }) })), 1)",
    );
    page.wait("it read again", "window.reread === true");
    page.wait("the words after that", &written("Again"));
    page.press("Enter");
    page.wait_for_texts(&["Again", "Again", "Again", "Again"]);
}

/// Pictures are shown before and after they are sent, and as large as the window allows.
#[test]
fn pictures_are_dropped_and_opened() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    // Drawn by the page itself: a picture of 80 × 60.
    page.eval(
        "(() => { const canvas = document.createElement('canvas'); [canvas.width, canvas.height] = [80, 60]; \
        canvas.getContext('2d').fillRect(10, 10, 40, 30); canvas.toBlob((blob) => { const data = new DataTransfer(); \
        data.items.add(new File([blob], 'ember.png', { type: 'image/png' })); \
        for (const type of ['dragover', 'drop']) document.querySelector('.conversation') \
        .dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true })); }); })()",
    );
    page.wait(
        "its preview",
        "document.querySelector('.pending img')?.naturalWidth === 80",
    );
    page.wait("the upload", "document.querySelector('.pending progress').hidden");
    page.shot("picture-pending-light");
    page.send("What is this?");
    page.wait_for_end();
    page.wait(
        "the picture at its message",
        "document.querySelector('.own .thumb img')?.naturalWidth === 80",
    );
    page.reload();
    page.wait(
        "the picture from the server",
        "document.querySelector('.own .thumb img')?.naturalWidth === 80",
    );
    page.press_button("document.querySelector('.thumb')");
    page.wait(
        "it as large as may be",
        "document.querySelector('.lightbox[open] img')?.naturalWidth === 80",
    );
    page.shot("picture-open-light");
    page.assert_accessible();
    page.press("Escape");
    page.wait("the conversation", "document.querySelector('.lightbox') === null");
    page.assert_quiet(&server.origin, "/attachments.js");
}
