//! What becomes of what was said: deleted and brought back, said anew, answered by another model, gone on with; and that
//! every screen on the conversation sees it.

use super::last;
use crate::model::Model;
use crate::rig::{Page, start_with};

const COUNT: &str = "document.querySelectorAll('.message').length";

#[test]
fn what_was_said_can_be_taken_back_on_every_screen() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    for text in ["First things first", "Then the second"] {
        page.send(text);
        page.wait_for_end();
    }
    let other = Page::open(&browser, &format!("{}{}", server.origin, page.path()));
    other.wait("the conversation", &format!("{COUNT} === 4"));
    deleting(&page, &other);
    turning(&page, &other);
    for screen in [&page, &other] {
        screen.assert_quiet(&server.origin, "/sync.js");
    }
}

/// The actions of the last message, or of the last but one.
fn action(label: &str, of: i32) -> String {
    format!("[...document.querySelectorAll('.message')].at({of})?.querySelector('.actions [aria-label={label:?}]')")
}

fn deleting(page: &Page, other: &Page) {
    page.press_button(&action("Delete", -2));
    for screen in [page, other] {
        screen.wait("the second question gone, with its reply", &format!("{COUNT} === 2"));
    }
    take_back(page);
    for screen in [page, other] {
        screen.wait("both of them back", &format!("{COUNT} === 4"));
        screen.wait(
            "the reply that was there",
            &format!("{}?.textContent.trim() === 'Then the second'", last(".text")),
        );
    }
    // All of it can go; what stands there then says so, and the next message begins anew.
    page.press_button(&action("Delete", 0));
    for screen in [page, other] {
        screen.wait(
            "an empty conversation",
            "document.querySelector('.placeholder') !== null",
        );
    }
    take_back(page);
    page.wait("all of it back", &format!("{COUNT} === 4"));
}

/// Takes the way back that is offered for some seconds.
fn take_back(page: &Page) {
    page.press_button("document.querySelector('.toast .link')");
}

/// A second reply, by another model; turning between them; and one of them deleted.
fn turning(page: &Page, other: &Page) {
    page.press_button(&last("[aria-haspopup=menu]"));
    page.click(".menu-item:nth-child(2)");
    page.fill(".picker .search", "looking");
    page.wait(
        "the one that is called so",
        "document.querySelectorAll('.picker [role=option]').length === 1",
    );
    page.press("Enter");
    let shown = |place: &str| format!("{}?.textContent.includes('{place}')", last(".branches"));
    for screen in [page, other] {
        screen.wait("two versions", &shown("2 / 2"));
    }
    page.wait_for_end();
    page.wait(
        "who made the second",
        &format!("{}?.textContent.includes('looking-glass')", last(".about")),
    );
    page.press_button(&last(".branches button:first-child"));
    for screen in [page, other] {
        screen.wait("the first version", &shown("1 / 2"));
    }
    page.press_button(&action("Delete", -1));
    for screen in [page, other] {
        screen.wait(
            "the other version alone",
            &format!("({} ?? null) === null && {COUNT} === 4", last(".branches")),
        );
    }
}

#[test]
fn messages_are_said_anew_in_their_place() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.send("A first word");
    page.wait_for_end();
    let edit = "document.querySelector('.message.own [aria-label=Edit]')";
    // Left alone it is as it was.
    page.press_button(edit);
    page.wait("the field", "document.activeElement.matches('.edit-text')");
    page.press("Escape");
    page.wait("the message again", "document.querySelector('.edit-text') === null");
    page.press_button(edit);
    page.fill(".edit-text", "A better word");
    page.eval(
        "(document.querySelector('.edit-text').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', ctrlKey: true, bubbles: true })), 1)",
    );
    page.wait_for_texts(&["A better word", "A better word"]);
    page.wait_for_end();
    // A text that cannot be sent is in its field again, with the reason.
    page.eval("(window.reach = window.fetch, window.fetch = () => Promise.reject(new TypeError('away')), 1)");
    page.press_button(edit);
    page.fill(".edit-text", "The best word");
    page.press("Enter");
    page.wait(
        "the reason",
        "document.querySelector('#composer-problem').textContent.includes('could not be reached')",
    );
    page.wait(
        "what was written",
        "document.querySelector('.edit-text')?.value === 'The best word'",
    );
    page.eval("(window.fetch = window.reach, document.querySelector('.edit-text').focus(), 1)");
    page.press("Enter");
    page.wait_for_texts(&["The best word", "The best word"]);
    page.wait_for_end();
    page.wait(
        "three versions",
        "document.querySelector('.own .branches').textContent.includes('3 / 3')",
    );
    page.press_button(&action("Delete", -1));
    page.wait("the question alone", &format!("{COUNT} === 1"));
    page.shot("message-deleted-light");
}

#[test]
fn what_broke_off_goes_on() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.send("Half a PAUSE reply");
    page.wait(
        "half of it",
        &format!("{}?.textContent.includes('Half')", last(".text")),
    );
    page.press_button("document.querySelector('.send.stop')");
    page.wait(
        "that it stopped",
        &format!("{}?.textContent.startsWith('Stopped')", last(".state")),
    );
    model.let_go();
    let count = page.eval(COUNT);
    page.press_button(&last(".small-button"));
    page.wait_for_end();
    page.wait(
        "more of it in the same place",
        &format!("{}?.textContent.length > 10 && {COUNT} === {count}", last(".text")),
    );
    page.wait("that it is whole", &format!("({} ?? null) === null", last(".state")));
    // One that the model broke off says why, by the name that the provider has.
    page.send("Say this and BREAK off");
    page.wait(
        "the reason",
        &format!("{}?.textContent.includes('The reason: openai ')", last(".state")),
    );
    page.wait(
        "nothing that is not known",
        &format!("!{}.textContent.includes('0 in')", last(".about")),
    );
    page.shot("broken-off-light");
}

#[test]
fn a_reply_outlives_the_server_that_wrote_it() {
    let model = Model::start();
    let Some((mut server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.send("Half a PAUSE reply");
    page.wait(
        "half of it",
        &format!("{}?.textContent.includes('Half')", last(".text")),
    );
    server.go_away();
    model.let_go();
    server.come_back();
    // By itself the page finds out what has become of the reply, and offers to go on.
    page.wait(
        "that it was interrupted",
        &format!(
            "{}?.textContent.startsWith('The reply was interrupted')",
            last(".state")
        ),
    );
    page.shot("interrupted-light");
    model.let_go();
    page.press_button(&last(".small-button"));
    page.wait_for_end();
    page.wait(
        "that it is whole",
        &format!("({} ?? null) === null && {COUNT} === 2", last(".state")),
    );
}

#[test]
fn an_edit_is_where_the_keyboard_is() {
    let Some((server, browser)) = start_with(None) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.send("The first words");
    page.wait_for_end();
    let is_edited = "document.activeElement.matches('.edit-text')";
    for text in ["The first words", "The first words"] {
        page.eval("document.querySelector('#message').focus()");
        page.press("ArrowUp");
        page.wait(
            "the edit",
            &format!("{is_edited} && document.activeElement.value === '{text}'"),
        );
        page.fill(".edit-text", "Taken back");
        page.press("Escape");
        page.wait("the composer", "document.activeElement.id === 'message'");
    }
    page.press("ArrowUp");
    page.wait("the edit once more", is_edited);
    page.fill(".edit-text", "Half an edit");
    let address = page.path();
    page.click(".new-conversation");
    page.wait("another page", &format!("location.pathname !== '{address}'"));
    page.eval("history.back()");
    page.wait(
        "the edit as it was left",
        "document.querySelector('.edit-text')?.value === 'Half an edit'",
    );
}

#[test]
fn a_question_without_a_reply_says_why_and_is_asked_again() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.send("REFUSE me");
    let problem = "document.querySelector('.reply-problem')";
    page.wait(
        "the reason in words",
        &format!("{problem}?.textContent.includes('the mirror is fogged')"),
    );
    page.wait(
        "that it is kept",
        &format!("{problem}.textContent.includes('Your message is kept')"),
    );
    page.shot("refused-light");
    page.assert_accessible();
    page.press_button(&format!("{problem}.querySelector('.link')"));
    page.wait("another try", &format!("{problem} === null"));
    page.wait(
        "the same reason",
        &format!("{problem}?.textContent.includes('the mirror is fogged')"),
    );
    page.wait("no message more", &format!("{COUNT} === 1"));
}
