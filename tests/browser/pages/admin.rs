//! The administration: people, who may come in, where replies come from, and how the server is.

use serde_json::{Value, json};

use super::{ask, open, wait_for_words};
use crate::model::Model;
use crate::rig::{Page, start, start_with};

#[test]
fn a_provider_is_tried_as_its_key_is_pasted() {
    let Some((server, browser)) = start() else {
        return;
    };
    let model = Model::start();
    let page = Page::open(&browser, &format!("{}/", server.origin));
    page.sign_up();
    open(&page, "admin/providers", "#provider-key");
    wait_for_words(&page, ".list-note", "No provider yet");
    page.shot("admin-providers-empty-light");

    describe(&page, "office", &model.address());
    paste(&page, "sk-wrong");
    wait_for_words(&page, ".page form [role=status]", "does not answer");
    wait_for_words(&page, ".rows .bad", "key");
    super::look(&page, "admin-providers-wrong-key");
    // The right one takes the place of the wrong one.
    choose(&page, "office", "Change");
    page.wait("the key's field", "document.activeElement.id === 'provider-key'");
    paste(&page, "sk-right");
    wait_for_words(&page, ".page form [role=status]", "office works: 2 models");
    wait_for_words(&page, ".rows .hint", "looking-glass");
    assert_eq!(page.eval("document.querySelector('#provider-key').value"), "");

    describe(&page, "attic", "http://127.0.0.1:9/v1");
    page.click(".page form .button");
    wait_for_words(&page, ".rows .bad", "cannot be reached");
    page.press_button("document.querySelector('.rows li:last-child .icon-button')");
    wait_for_words(&page, ".rows .bad", "cannot be reached");
    aliases(&page);
    open(&page, "admin/providers", ".rows li");
    choose(&page, "attic", "Disable");
    wait_for_words(&page, ".rows .off .badge", "Disabled");
    choose(&page, "attic", "Enable");
    page.wait("it on again", "document.querySelector('.rows .off') === null");
    choose(&page, "attic", "Remove");
    let shown = "document.querySelectorAll('.rows li:not([hidden])').length";
    page.wait("it gone", &format!("{shown} === 1"));
    page.click(".toast .link");
    page.wait("it back", &format!("{shown} === 2"));
    page.assert_quiet(&server.origin, "/page-providers.js");
}

/// Takes an entry of the menu that the row of this name has.
fn choose(page: &Page, name: &str, label: &str) {
    let row = format!(
        "[...document.querySelectorAll('.rows li')].find((node) => node.querySelector('strong').textContent === {name:?})"
    );
    page.press_button(&format!("{row}?.querySelector('[aria-haspopup]')"));
    page.press_button(&format!(
        "[...document.querySelectorAll('.menu:popover-open .menu-item')].find((node) => node.textContent.trim() === {label:?})"
    ));
}

fn describe(page: &Page, name: &str, address: &str) {
    page.eval("(() => { const kind = document.querySelector('#provider-kind'); kind.value = 'other'; kind.dispatchEvent(new Event('change')); return 1; })()");
    page.fill("#provider-name", name);
    page.fill("#provider-url", address);
}

/// Pasting is enough: nothing is pressed.
fn paste(page: &Page, key: &str) {
    page.fill("#provider-key", key);
    page.eval("(document.querySelector('#provider-key').dispatchEvent(new ClipboardEvent('paste')), 1)");
}

/// A name for others, and what answers where nothing is chosen.
fn aliases(page: &Page) {
    open(page, "admin/models", ".aliases");
    page.press_button("document.querySelector('.form-foot .quiet')");
    page.fill(".alias input", "quick");
    page.fill(".alias textarea", "attic/none\noffice/mirror");
    page.click(".page .button.wide");
    page.wait("the models", "document.querySelector('dialog [role=option]') !== null");
    page.fill(".search", "looking-glass");
    page.press("Enter");
    wait_for_words(page, ".page .button.wide", "looking-glass");
    page.click(".form-foot .button:not(.quiet)");
    wait_for_words(page, ".toast", "Saved");
    let (_, models) = ask(page, "GET", "/admin/models", &Value::Null);
    assert_eq!(models["aliases"][0]["name"], "quick");
    let (status, reply) = ask(
        page,
        "POST",
        "/chat",
        &json!({ "message": "Who is there?", "model": "quick" }),
    );
    assert_eq!((status, &reply["reply"]), (200, &json!("Who is there?")));
    page.reload();
    page.wait(
        "what was saved",
        "document.querySelector('.alias input')?.value === 'quick'",
    );
    wait_for_words(page, ".page .button.wide", "looking-glass");
    super::look(page, "admin-models");
    page.fill(".alias textarea", "");
    page.click(".form-foot .button:not(.quiet)");
    wait_for_words(page, ".toast", "Saved");
    let (_, models) = ask(page, "GET", "/admin/models", &Value::Null);
    assert_eq!(models["aliases"], json!([]));
}

#[test]
fn people_limits_and_health() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &format!("{}/", server.origin));
    page.sign_up();
    people(&page);
    access(&page);
    log(&page);
    health(&page);
    page.assert_quiet(&server.origin, "/page-admin.js");
}

fn people(page: &Page) {
    open(page, "admin", "#user-email");
    page.fill("#user-email", "grace@example.com");
    page.fill("#user-password", "compilers");
    page.click(".page form .button");
    wait_for_words(page, ".rows li", "grace@example.com");
    let sign_in = || {
        let body = json!({ "email": "grace@example.com", "password": "compilers" });
        ask(page, "POST", "/auth/login", &body).0
    };
    assert_eq!(sign_in(), 200);
    let choose = |label: &str| choose(page, "grace@example.com", label);
    choose("Make administrator");
    page.wait(
        "the badge",
        "document.querySelector('.rows li:nth-child(2) .badge')?.textContent === 'Administrator'",
    );
    choose("Make ordinary user");
    page.wait(
        "no badge",
        "document.querySelector('.rows li:nth-child(2) .badge') === null",
    );
    choose("Disable");
    page.wait(
        "the other badge",
        "document.querySelector('.rows li:nth-child(2) .badge.bad') !== null",
    );
    page.shot("admin-disabled-light");
    assert_ne!(sign_in(), 200);
    page.complaints.lock().unwrap().clear();
    choose("Enable");
    page.wait(
        "no badge",
        "document.querySelector('.rows li:nth-child(2) .badge') === null",
    );
    assert_eq!(sign_in(), 200);
    choose("Limits");
    page.wait("the field", "document.activeElement.id === 'own-messages_per_day'");
    super::look(page, "admin-user-limits");
    page.fill("#own-messages_per_day", "5");
    page.fill("#own-budget_usd_month", "2.5");
    page.fill("#own-upload_quota_mib", "0");
    page.click("dialog .button:not(.quiet)");
    // The browser itself refuses what is too little.
    page.wait(
        "the dialog still there",
        "document.querySelector('dialog #own-upload_quota_mib:invalid') !== null",
    );
    page.fill("#own-upload_quota_mib", "");
    page.click("dialog .button:not(.quiet)");
    wait_for_words(page, ".rows li:nth-child(2) .hint", "5 messages a day · $2.50 a month");
    page.fill("#user-email", "grace@example.com");
    page.fill("#user-password", "again");
    page.click(".page form .button");
    page.wait(
        "that it is taken",
        "[...document.querySelectorAll('.page form .problem')].some((node) => node.textContent !== '')",
    );
    page.complaints.lock().unwrap().clear();
    choose("Delete");
    page.wait("her gone", "document.querySelector('.rows li:nth-child(2)').hidden");
    page.click(".toast .link");
    page.wait("her back", "!document.querySelector('.rows li:nth-child(2)').hidden");
    choose("Delete");
    // Going elsewhere does at once what could still be undone.
    open(page, "admin/access", ".choices");
    page.wait(
        "one user",
        "(fetch('/admin/users').then((got) => got.json()).then(({ total }) => window.total = total), window.total === 1)",
    );
    assert_ne!(sign_in(), 200);
    page.complaints.lock().unwrap().clear();
}

fn access(page: &Page) {
    let register = || {
        ask(
            page,
            "POST",
            "/auth/register",
            &json!({ "email": "eve@example.com", "password": "x" }),
        )
        .0
    };
    open(page, "admin/access", "#limit-messages_per_minute");
    page.press_button("document.querySelector('.page input[value=closed]')");
    wait_for_words(page, ".toast", "Saved");
    assert_eq!(register(), 403);
    page.press_button("document.querySelector('.page input[value=open]')");
    page.wait(
        "open doors",
        "document.querySelector('.page input[value=open]').checked",
    );
    page.fill("#limit-messages_per_minute", "1");
    // Not where a message at the foot of the page may lie over it.
    page.press_button("document.querySelector('.page form .button')");
    page.wait(
        "the limit",
        "(fetch('/admin/limits').then((got) => got.json()).then((limits) => window.limits = limits), window.limits?.messages_per_minute === 1)",
    );
    let say = || ask(page, "POST", "/chat", &json!({ "message": "Hello", "model": "echo" })).0;
    assert_eq!((say(), say()), (200, 429));
    page.fill("#limit-messages_per_minute", "0");
    // Not where a message at the foot of the page may lie over it.
    page.press_button("document.querySelector('.page form .button')");
    page.wait(
        "no limit",
        "(fetch('/admin/limits').then((got) => got.json()).then((limits) => window.limits = limits), window.limits?.messages_per_minute === 0)",
    );
    assert_eq!((say(), say()), (200, 200));
    page.complaints.lock().unwrap().clear();
}

/// What the tests before this one have done stands in it.
fn log(page: &Page) {
    open(page, "admin/log", ".rows li");
    wait_for_words(page, ".rows", "Budget a month in US dollars: 2.5; Messages a day: 5");
    wait_for_words(page, ".rows li:last-child", "Made an account");
    wait_for_words(page, ".rows li:last-child .hint", "as the server was set up");
    page.eval(
        "(document.querySelector('#audit-act').value = 'user.delete', document.querySelector('#audit-act').dispatchEvent(new Event('change')), 1)",
    );
    page.wait("one entry", "document.querySelectorAll('.page .rows li').length === 1");
    wait_for_words(page, ".rows li", "grace@example.com");
    page.eval(
        "(document.querySelector('#audit-act').value = 'backup.create', document.querySelector('#audit-act').dispatchEvent(new Event('change')), 1)",
    );
    wait_for_words(page, ".page .list-note", "Nothing of this kind was done");
    super::look(page, "admin-log-empty");
}

fn health(page: &Page) {
    open(page, "admin/server", ".facts");
    wait_for_words(page, ".verdict", "Everything works");
    let link = "document.querySelector('.page a[download]').href";
    page.eval(&format!(
        "(fetch({link}).then((got) => got.arrayBuffer()).then((got) => window.kept = new TextDecoder().decode(got.slice(0, 15))), 1)"
    ));
    page.wait("the copy", "window.kept === 'SQLite format 3'");
}
