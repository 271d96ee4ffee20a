//! Every state of the UI that has an address, a menu or a dialog of its own, with real content in it: fit to be seen and
//! to be operated, in light and dark, on a desk and on a phone.

use serde_json::{Value, json};

use super::{ask, look, open, usage};
use crate::model::Model;
use crate::rig::{DESKTOP, EMAIL, PHONE, Page, start, start_with};

const PAGES: [(&str, &str); 14] = [
    ("settings", ".choices"),
    ("settings/replies", "#default-prompt"),
    ("settings/account", "#new-password"),
    ("settings/sessions", ".rows li"),
    ("settings/keys", ".rows li"),
    ("settings/data", ".steps"),
    ("usage", ".plot-name"),
    ("library", ".rows li"),
    ("admin", ".rows li"),
    ("admin/access", ".choices"),
    ("admin/providers", ".rows li"),
    ("admin/models", ".aliases"),
    ("admin/log", ".rows li"),
    ("admin/server", ".facts"),
];

/// What a model says when it is good at it.
pub(super) const REPLY: &str = include_str!("reply.md");
pub(super) const QUESTION: &str = "How do I keep a fire through the night?";

#[test]
fn every_page_is_fit_to_be_seen() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &format!("{}/", server.origin));
    page.wait("the sign-up form", "document.querySelector('.sign-in form') !== null");
    look(&page, "sign-up");
    page.sign_up();
    look(&page, "welcome");
    usage::remember(&server.database(), 60);
    furnish(&page);
    let id = converse(&page, &server.origin, REPLY);
    for (name, landmark) in PAGES {
        page.visit(&server.origin, name);
        page.wait(name, &format!("document.querySelector('.page {landmark}') !== null"));
        look(&page, &name.replace('/', "-"));
    }
    let (_, list) = ask(&page, "GET", "/documents", &Value::Null);
    open(
        &page,
        &format!("library/{}", list["documents"][0]["uuid"].as_str().unwrap()),
        ".passage",
    );
    look(&page, "library-document");
    page.visit(&server.origin, &format!("c/{id}"));
    page.wait("the reply", "document.querySelector('.message table') !== null");
    what_comes_up(&page);
    page.assert_quiet(&server.origin, "/pages.js");
}

#[test]
fn the_sign_in_page_is_fit_to_be_seen() {
    let Some((server, browser)) = start() else {
        return;
    };
    let page = Page::open(&browser, &format!("{}/", server.origin));
    page.sign_up();
    page.click(".account");
    page.click(".menu-item:last-child");
    page.wait(
        "the sign-in form",
        "document.querySelector('#password[autocomplete=current-password]') !== null",
    );
    page.fill("#email", EMAIL);
    page.fill("#password", "not this one");
    page.press("Enter");
    page.wait(
        "a complaint",
        "[...document.querySelectorAll('.problem')].some((node) => node.textContent !== '')",
    );
    look(&page, "sign-in-refused");
}

/// A system lets what it finds here be put among its programs.
#[test]
fn it_can_be_installed() {
    let Some((server, browser)) = start() else {
        return;
    };
    Page::open(&browser, &server.origin).sign_up();
    for path in ["/", "/ui/settings/account"] {
        let page = Page::open(&browser, &format!("{}{path}", server.origin));
        page.wait("the manifest", "document.querySelector('link[rel=manifest]') !== null");
        assert_eq!(page.installability_errors(), Vec::<String>::new(), "{path}");
        let sizes = "fetch(document.querySelector('link[rel=manifest]').href).then(async (got) => { const manifest = await got.json(); \
            const real = async ({ src, sizes }) => { const image = await createImageBitmap(await (await fetch(new URL(src, got.url))).blob()); \
            return `${image.width}x${image.height}` === sizes; }; \
            window.icons = await Promise.all(manifest.icons.filter(({ type }) => type === 'image/png').map(real)); \
            window.starts = new URL(manifest.start_url, got.url).pathname; })";
        page.eval(&format!("({sizes}, 1)"));
        page.wait(
            "icons as large as they say",
            "window.icons?.length === 3 && window.icons.every(Boolean)",
        );
        assert_eq!(page.eval("window.starts"), "/ui/");
    }
}

/// Several of everything that the pages list.
pub(super) fn furnish(page: &Page) {
    let made = |path: &str, body: Value| {
        let (status, made) = ask(page, "POST", path, &body);
        assert!((200..300).contains(&status), "{path}: {status} {made}");
        made
    };
    for title in [
        "A week of suppers",
        "Rust lifetimes explained",
        "Letter to my aunt",
        "Kettle descaling",
    ] {
        let chat = made("/chats", json!({ "title": title }));
        let path = format!("/chats/{}/messages/", chat["id"].as_str().unwrap());
        made(&path, json!({ "content": format!("{title}: where do I begin?") }));
    }
    for (title, text) in [
        ("Kettles of the north", "A kettle sings when the water is nearly hot."),
        ("Notes on draught", "A chimney draws best when it is warm."),
        (
            "A treatise on keeping a fire through a long winter night",
            "The fire wants three things. ",
        ),
    ] {
        made("/documents", json!({ "title": title, "content": text.repeat(40) }));
    }
    made("/api-keys", json!({ "name": "Laptop scripts", "budget_usd_month": 5 }));
    made(
        "/api-keys",
        json!({ "name": "Nightly report", "expires_at": "2099-12-31T00:00:00+00:00" }),
    );
    for email in [
        "grace@example.com",
        "someone.with.a.long.address@an-equally-long-domain.example.org",
    ] {
        made("/admin/users", json!({ "email": email, "password": "compilers" }));
    }
    made(
        "/admin/providers",
        json!({ "name": "attic", "protocol": "openai", "base_url": "http://127.0.0.1:9/v1" }),
    );
    let (status, _) = ask(
        page,
        "PUT",
        "/admin/models/quick",
        &json!({ "models": ["openai/mirror", "openai/looking-glass"] }),
    );
    assert_eq!(status, 200);
}

/// A conversation with this reply, and its id.
pub(super) fn converse(page: &Page, origin: &str, reply: &str) -> String {
    let (_, chat) = ask(page, "POST", "/chats", &json!({ "title": "A fire through the night" }));
    let id = chat["id"].as_str().expect("an id").to_owned();
    let prompt = json!({ "system_prompt": format!("Say:{reply}") });
    assert_eq!(ask(page, "PATCH", &format!("/chats/{id}"), &prompt).0, 200);
    let path = format!("/chats/{id}/messages/");
    assert_eq!(ask(page, "POST", &path, &json!({ "content": QUESTION })).0, 200);
    page.visit(origin, &format!("c/{id}"));
    page.wait("the reply", "document.querySelector('.message table') !== null");
    id
}

/// A conversation, and over it what menus and dialogs there are: each is opened anew in each size.
fn what_comes_up(page: &Page) {
    look(page, "chat");
    let is_phone_too = [("", DESKTOP), ("-phone", PHONE)];
    for (name, opener, landmark) in [
        (
            "palette",
            "dispatchEvent(new KeyboardEvent('keydown', { key: 'k', ctrlKey: true, bubbles: true }))",
            "dialog[open] [role=option]",
        ),
        (
            "shortcuts",
            "dispatchEvent(new KeyboardEvent('keydown', { key: '?', bubbles: true }))",
            "dialog[open] kbd",
        ),
        (
            "menu-conversation",
            "querySelector('.topbar [aria-haspopup=menu]').click()",
            ".menu:popover-open",
        ),
        (
            "menu-account",
            "querySelector('.account').click()",
            ".menu:popover-open",
        ),
        (
            "models",
            "querySelector('.composer [aria-haspopup=dialog]').click()",
            "dialog[open] [role=option]",
        ),
        (
            "chat-settings",
            "querySelector('.topbar > .icon-button:nth-last-child(2)').click()",
            "dialog[open] textarea",
        ),
    ] {
        for (place, size) in is_phone_too {
            page.resize(size);
            page.eval(&format!("(document.{opener}, 1)"));
            page.wait(name, &format!("document.querySelector('{landmark}') !== null"));
            for theme in ["light", "dark"] {
                page.prefer(theme);
                page.assert_accessible();
                page.shot(&format!("{name}{place}-{theme}"));
            }
            page.prefer("light");
            page.press("Escape");
            page.wait(
                "it closed",
                "document.querySelector('dialog[open], .menu:popover-open') === null",
            );
        }
        page.resize(DESKTOP);
    }
}
