//! The beginning: the first account on a server that others reach, what an empty page teaches, and life below a path of
//! another site.

use crate::rig::{EMAIL, PASSWORD, Page, start, start_with};
use crate::server::start_as;

/// A server that says of itself that a proxy stands in front: others reach it.
const REACHABLE: [&str; 2] = ["--trusted-proxy", "192.0.2.1"];

fn fill_and_send(page: &Page) {
    page.fill("#email", EMAIL);
    page.fill("#password", PASSWORD);
    page.press("Enter");
}

const FIELDS: &str = "[...document.querySelectorAll('.sign-in input')].filter((input) => input.offsetParent !== null).map((input) => input.id)";

#[test]
fn a_setup_code_makes_the_first_account_once() {
    let Some((server, browser)) = start_as(None, &REACHABLE) else {
        return;
    };
    let setup = server.setup.clone().expect("the address with the code");
    let (address, code) = setup.split_once("#setup=").expect("a code in the address");
    assert_eq!(address, format!("{}/ui/", server.origin));

    let page = Page::open(&browser, &format!("{address}#setup=wrong-code"));
    page.wait(
        "the form",
        &format!("JSON.stringify({FIELDS}) === '[\"email\",\"password\"]'"),
    );
    page.wait("an address without the code", "location.hash === ''");
    page.shot("setup-light");
    fill_and_send(&page);
    page.wait(
        "why it was refused, and the code",
        &format!("JSON.stringify({FIELDS}).includes('setup_code') && document.querySelector('.sign-in [role=alert]').textContent !== ''"),
    );
    page.shot("setup-refused-light");
    page.complaints.lock().unwrap().clear();
    page.fill("#setup_code", code);
    page.eval("document.querySelector('#password').focus()");
    page.press("Enter");
    page.wait(
        "the page of the administrator",
        "document.querySelector('.welcome') !== null",
    );
    page.assert_quiet(&server.origin, "/app.js");

    // The same address once more, by somebody who is not signed in.
    page.eval("(fetch('/auth/session', { method: 'DELETE' }).then(() => window.isOut = true), 1)");
    page.wait("the end of the session", "window.isOut === true");
    page.eval("localStorage.clear()");
    let again = Page::open(&browser, &setup);
    again.wait(
        "that the code is used up",
        "document.querySelector('.sign-in .lead')?.textContent.includes('has been used')",
    );
    again.wait(
        "a way in",
        "document.querySelector('#password[autocomplete=current-password]') !== null",
    );
}

#[test]
fn an_empty_page_says_what_can_be_done() {
    let Some((server, browser)) = start() else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.wait("three ways", "document.querySelectorAll('.beginning').length === 3");
    page.assert_fits();
    page.assert_accessible();
    page.shot("beginnings-light");
    page.press_button("document.querySelectorAll('.beginning')[1]");
    page.wait(
        "a text to begin with",
        "document.activeElement.matches('#message') && document.querySelector('#message').value !== ''",
    );
    page.press("Enter");
    page.wait_for_end();
    page.wait(
        "an echo",
        "document.querySelector('.message:last-child .text').textContent.includes('Echo: ')",
    );
    page.click(".new-conversation");
    page.wait("the ways again", "document.querySelectorAll('.beginning').length === 3");
    page.click(".beginning[href*=library]");
    page.wait("the library", "location.pathname.endsWith('/ui/library')");
    page.visit(&server.origin, "");
    page.click(".beginning[href*=providers]");
    page.wait(
        "where keys are pasted",
        "document.querySelector('#provider-key') !== null",
    );
    page.assert_quiet(&server.origin, "/welcome.js");
}

#[test]
fn a_page_with_a_model_says_which_and_suggests() {
    let model = crate::model::Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.reload();
    page.wait(
        "the provider",
        "document.querySelector('.connected .provider-name') !== null",
    );
    page.wait(
        "suggestions",
        "document.querySelectorAll('.suggestions li').length === 3",
    );
    page.shot("connected-light");
    page.send("Hello");
    page.wait_for_end();
    page.click(".new-conversation");
    page.wait(
        "a page that has said it all",
        "document.querySelector('.welcome') !== null && document.querySelector('.connected, .suggestions') === null",
    );
}

#[test]
fn below_a_path_everything_is_found() {
    let Some((server, browser)) = start_as(None, &["--base-path", "/fire"]) else {
        return;
    };
    let page = Page::open(&browser, &format!("{}/fire", server.origin));
    page.sign_up();
    assert!(page.path().starts_with("/fire/"), "{}", page.path());
    page.send("Below");
    page.wait_for_end();
    assert!(page.path().starts_with("/fire/ui/c/"), "{}", page.path());
    page.reload();
    page.wait_for_texts(&["Below", "Echo: Below"]);
    page.wait(
        "the list",
        "document.querySelector('.row a')?.pathname.startsWith('/fire/ui/c/')",
    );
    page.visit(&format!("{}/fire", server.origin), "settings");
    page.wait("a page", "document.querySelector('.choices') !== null");
    page.click(".account");
    page.click(".menu-item:last-child");
    page.wait(
        "the sign-in form",
        "document.querySelector('#password[autocomplete=current-password]') !== null",
    );
    assert!(page.path().starts_with("/fire/ui/"), "{}", page.path());
    let (all, below) = (page.requests(), format!("{}/fire", server.origin));
    let beside: Vec<_> = all
        .iter()
        .filter(|url| url.starts_with("http") && !url.starts_with(&below))
        .collect();
    assert!(beside.is_empty(), "requests beside the path: {beside:?}");
    page.assert_quiet(&server.origin, "/app.js");
}
