//! The settings: each does what it says.

use serde_json::{Value, json};

use super::{ask, open, pick, wait_for_words};
use crate::model::Model;
use crate::rig::{PASSWORD, Page, start_with};

#[test]
fn every_setting_does_what_it_says() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &format!("{}/", server.origin));
    page.sign_up();
    the_look(&page);
    what_replies_are_made_with(&page);
    the_profile(&page);
    sessions(&page);
    keys(&page);
    a_list_that_does_not_come(&page);
    data(&page);
    what_another_program_exported(&page);
    // The request that tried a key after it was deleted.
    page.complaints.lock().unwrap().retain(|line| !line.contains("401"));
    page.assert_quiet(&server.origin, "/pages.js");
    the_password(&page);
}

/// The page was opened at the root: the files of the settings are found all the same.
fn the_look(page: &Page) {
    page.click(".account");
    page.wait("the menu", "document.querySelector('.menu:popover-open') !== null");
    page.press_button("[...document.querySelectorAll('.menu-item')].find((node) => node.textContent === 'Settings')");
    page.wait(
        "the page in its dress",
        "getComputedStyle(document.querySelector('.page .choices')).display === 'flex'",
    );
    let is_dark = "getComputedStyle(document.body).backgroundColor === 'rgb(30, 26, 23)'";
    page.click("input[value=dark]");
    page.wait("the dark", is_dark);
    page.reload();
    page.wait("the dark after a reload", is_dark);
    page.click("input[name=theme][value=system]");
    page.wait("the light", &format!("!({is_dark})"));
    let height = "document.querySelector('.page h1').getBoundingClientRect().height";
    let before = page.eval(height).as_f64().unwrap();
    page.click("input[name=size][value=huge]");
    page.wait("larger words", &format!("{height} > {}", before * 1.2));
    page.click("input[name=size][value=normal]");
    page.wait("words as before", &format!("{height} === {before}"));
    page.press("?");
    page.wait("the keys", "document.querySelector('dialog[open] kbd') !== null");
    page.press("Escape");
    page.wait("no dialog", "document.querySelector('dialog') === null");
}

fn what_replies_are_made_with(page: &Page) {
    open(page, "settings/replies", "#default-prompt");
    page.click(".page .button.wide");
    page.wait("the models", "document.querySelector('dialog [role=option]') !== null");
    page.fill(".search", "looking");
    page.wait(
        "the one",
        "document.querySelectorAll('dialog [role=option]').length === 1",
    );
    page.press("Enter");
    wait_for_words(page, ".page .button.wide", "looking-glass");
    page.fill("#default-prompt", "Answer in verse.");
    page.click(".page form .form-foot .button");
    wait_for_words(page, ".toast", "Saved");
    let (_, me) = ask(page, "GET", "/users/me", &Value::Null);
    assert_eq!(me["system_prompt"], "Answer in verse.");
    let (_, settings) = ask(page, "GET", "/settings", &Value::Null);
    assert_eq!(
        settings["default_model"]
            .as_str()
            .map(|name| name.ends_with("looking-glass")),
        Some(true),
        "{settings}"
    );
    page.reload();
    page.wait(
        "what was saved",
        "document.querySelector('#default-prompt')?.value === 'Answer in verse.'",
    );
    wait_for_words(page, ".page .button.wide", "looking-glass");
}

fn the_profile(page: &Page) {
    open(page, "settings/account", "#display-name");
    page.fill("#display-name", "Ada");
    page.fill("#user-name", "a@b");
    page.click(".page form .button");
    page.wait(
        "what is wrong, at its field",
        "[...document.querySelectorAll('.field:has(#user-name) .problem')].some((node) => node.textContent !== '')",
    );
    page.fill("#user-name", "ada");
    page.click(".page form .button");
    wait_for_words(page, ".account", "Ada");
    page.fill("#account-email", "ada@fireside.example");
    page.fill("#email-password", "not this one");
    page.press("Enter");
    wait_for_words(page, ".page .problem", "not right");
    page.fill("#email-password", PASSWORD);
    page.press("Enter");
    wait_for_words(page, ".toast", "Saved");
    let (_, me) = ask(page, "GET", "/users/me", &Value::Null);
    assert_eq!(
        [&me["email"], &me["username"], &me["display_name"]],
        ["ada@fireside.example", "ada", "Ada"]
    );
    page.complaints.lock().unwrap().clear();
}

/// Another session, which is ended here and over there.
fn sessions(page: &Page) {
    let body = json!({ "email": "ada@fireside.example", "password": PASSWORD });
    let (status, other) = ask(page, "POST", "/auth/login", &body);
    assert_eq!(status, 200);
    let token = other["access_token"].as_str().unwrap();
    let try_token = format!(
        "(delete window.tried, fetch('/users/me', {{ credentials: 'omit', headers: {{ Authorization: 'Bearer {token}' }} }}) \
         .then(({{ status }}) => window.tried = status), 1)"
    );
    page.eval(&try_token);
    page.wait("the other session", "window.tried === 200");
    open(page, "settings/sessions", ".rows li");
    page.wait("both sessions", "document.querySelectorAll('.rows li').length === 2");
    wait_for_words(page, ".rows li", "This session");
    page.click(".rows .button");
    page.wait("one session", "document.querySelectorAll('.rows li').length === 1");
    page.eval(&try_token);
    page.wait("the other session's end", "window.tried === 401");
    page.complaints.lock().unwrap().clear();
}

fn keys(page: &Page) {
    open(page, "settings/keys", "#key-name");
    page.wait("no keys", "document.querySelector('.list-box .list-note') !== null");
    page.fill("#key-name", "Scripts");
    page.fill("#key-budget", "2.5");
    page.eval("(document.querySelector('#key-expires').value = '30', 1)");
    page.click(".page form .button");
    page.wait(
        "the key",
        "document.querySelector('.secret code')?.textContent.startsWith('fs-')",
    );
    page.eval("(Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (text) => { window.copied = text; } } }), 1)");
    page.click(".secret .button");
    page.wait(
        "the copied key",
        "window.copied === document.querySelector('.secret code').textContent",
    );
    wait_for_words(page, ".rows li", "Scripts");
    wait_for_words(page, ".rows li .hint", "of $2.50");
    wait_for_words(page, ".rows li .hint", "ends ");
    let use_key = "(delete window.used, fetch('/v1/models', { credentials: 'omit', headers: { Authorization: `Bearer ${window.copied}` } }) \
        .then(({ status }) => window.used = status), 1)";
    page.eval(use_key);
    page.wait("the key at work", "window.used === 200");
    // It is shown once: not after a reload, and nowhere else.
    page.eval("(sessionStorage.setItem('copied', window.copied), 1)");
    page.reload();
    page.wait("its row", "document.querySelector('.rows li') !== null");
    assert_eq!(page.eval("document.querySelector('.secret')"), Value::Null);
    page.click(".rows .button");
    page.wait("it gone", "document.querySelector('.rows li').hidden");
    page.click(".toast .link");
    page.wait("it back", "!document.querySelector('.rows li').hidden");
    page.click(".rows .button");
    // Leaving does at once what could still be undone.
    open(page, "settings/data", ".part");
    page.eval("(window.copied = sessionStorage.getItem('copied'), sessionStorage.clear(), 1)");
    open(page, "usage", ".list-note, .page .figures");
    open(page, "settings/keys", "#key-name");
    page.wait("no keys", "document.querySelector('.list-box .list-note') !== null");
    page.eval(use_key);
    page.wait("the dead key", "window.used === 401");
}

/// Says so, and comes when it is asked for again.
fn a_list_that_does_not_come(page: &Page) {
    page.eval("(window.honest = fetch, window.fetch = (path, options) => path.includes('/sessions') ? Promise.reject(new TypeError()) : honest(path, options), 1)");
    open(page, "settings/sessions", "[role=alert] .link");
    page.assert_accessible();
    page.shot("settings-sessions-away-light");
    page.eval("(window.fetch = honest, 1)");
    page.click(".page [role=alert] .link");
    page.wait("the list", "document.querySelector('.rows li') !== null");
}

/// What is exported comes back where it is missing.
fn data(page: &Page) {
    let (status, chat) = ask(page, "POST", "/chats", &json!({ "title": "Kept in a file" }));
    assert_eq!(status, 201);
    let body = json!({ "content": "Worth keeping", "model": "echo" });
    let path = format!("/chats/{}/messages/", chat["id"].as_str().unwrap());
    assert_eq!(ask(page, "POST", &path, &body).0, 200);
    open(page, "settings/data", ".part");
    let link = page.eval("document.querySelector('.page a[download]').getAttribute('href')");
    let (status, file) = ask(page, "GET", link.as_str().unwrap(), &Value::Null);
    assert_eq!((status, &file["format"]), (200, &json!("fireside-export")));
    pick(page, &[("broken.json", "{ this is not one")]);
    wait_for_words(page, ".page [role=status]", "Nothing was imported");
    page.complaints.lock().unwrap().clear();
    let foreign = file
        .to_string()
        .replace("Kept in a file", "Brought along")
        .replace(chat["id"].as_str().unwrap(), "01890a5d-ac96-774b-bcce-b302099a8057");
    pick(page, &[("export.json", &foreign)]);
    wait_for_words(page, ".page [role=status]", "Imported");
    page.wait(
        "what was imported, in the list",
        "[...document.querySelectorAll('.row-title')].some((node) => node.textContent === 'Brought along')",
    );
}

/// With a word on where it comes from and on what was left out, and why.
fn what_another_program_exported(page: &Page) {
    pick(
        page,
        &[("conversations.json", include_str!("../../data/imports/chatgpt.json"))],
    );
    wait_for_words(page, ".page [role=status]", "from ChatGPT");
    page.click(".page .fold summary");
    wait_for_words(page, ".fold[open] li", "Nothing is said in it");
    page.shot("settings-data-imported-light");
    page.wait(
        "what was imported, in the list",
        "[...document.querySelectorAll('.row-title')].some((node) => node.textContent === 'Untitled conversation')",
    );
    let link = page.eval("document.querySelectorAll('.page a[download]')[1].getAttribute('href')");
    assert_eq!(ask(page, "GET", link.as_str().unwrap(), &Value::Null).0, 200);
}

/// Ends every session but the one it is changed in.
fn the_password(page: &Page) {
    let sign_in = |password: &str| {
        let body = json!({ "email": "ada@fireside.example", "password": password });
        ask(page, "POST", "/auth/login", &body)
    };
    let (_, other) = sign_in(PASSWORD);
    open(page, "settings/account", "#new-password");
    page.fill("#old-password", "not this one");
    page.fill("#new-password", "another quiet evening");
    page.press("Enter");
    wait_for_words(page, ".page .problem", "not right");
    page.fill("#old-password", PASSWORD);
    page.press("Enter");
    wait_for_words(page, ".toast", "Password changed");
    assert_eq!((sign_in(PASSWORD).0, sign_in("another quiet evening").0), (401, 200));
    page.eval(&format!(
        "(fetch('/users/me', {{ credentials: 'omit', headers: {{ Authorization: 'Bearer {}' }} }}) \
         .then(({{ status }}) => window.ended = status), 1)",
        other["access_token"].as_str().unwrap()
    ));
    page.wait("the end of the other session", "window.ended === 401");
    page.reload();
    page.wait(
        "still signed in",
        "document.querySelector('.page #new-password') !== null",
    );
}
