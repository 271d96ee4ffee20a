//! The pages of the documentation: signing in and trying a route in Swagger UI, and reading the reference.

use crate::rig::{DESKTOP, EMAIL, PASSWORD, Page, start};

/// A small phone.
const PHONE: (u32, u32) = (360, 740);

#[test]
fn a_route_can_be_tried() {
    let Some((server, browser)) = start() else {
        return;
    };
    // With a slash at its end the page is a folder deeper, and finds its files all the same.
    for path in ["/docs", "/docs/"] {
        let page = Page::open(&browser, &format!("{}{path}", server.origin));
        register(&page);
        page.shot("docs-light");
        authorize(&page);
        execute(&page, "get_users_me", "200");
        let reply = "document.querySelector('.live-responses-table tbody .response-col_description').textContent";
        page.wait("the account", &format!("{reply}.includes('{EMAIL}')"));
        page.shot("docs-tried");
        page.prefer("dark");
        page.wait(
            "the dark dress",
            "document.documentElement.classList.contains('dark-mode')",
        );
        page.shot("docs-dark");
        page.resize(PHONE);
        page.shot("docs-phone-dark");
        assert_wide_enough(&page);
        page.prefer("light");
        page.eval("(scrollTo({ top: 0, behavior: 'instant' }), 1)");
        page.shot("docs-phone-light");
        page.assert_quiet(&server.origin, "/swagger-ui-bundle.js");
    }
}

/// Makes the account, or finds it made.
fn register(page: &Page) {
    page.wait("the operations", "document.querySelectorAll('.opblock').length > 20");
    let body = format!("JSON.stringify({{ email: '{EMAIL}', password: '{PASSWORD}' }})");
    page.eval(&format!(
        "(fetch('/users/me').then(() => fetch('/auth/register', {{ method: 'POST', body: {body} }})).then(() => window.isMade = true), 1)"
    ));
    page.wait("the account", "window.isMade === true");
    // What this asked without a token and twice is no mistake of the page's.
    page.complaints.lock().unwrap().clear();
}

fn authorize(page: &Page) {
    page.click(".scheme-container .authorize");
    page.fill("#oauth_username", EMAIL);
    page.fill("#oauth_password", PASSWORD);
    page.shot("docs-authorize");
    press(page, ".modal-ux .auth-btn-wrapper .authorize");
    page.wait(
        "that it is authorized",
        "document.querySelector('.modal-ux').textContent.includes('Logout')",
    );
    press(page, ".modal-ux .btn-done");
    page.wait("no dialog", "document.querySelector('.modal-ux') === null");
}

fn execute(page: &Page, operation: &str, status: &str) {
    let operation = format!("[id$=-{operation}]");
    press(page, &format!("{operation} .opblock-summary-control"));
    press(page, &format!("{operation} .try-out__btn"));
    press(page, &format!("{operation} .execute"));
    let shown = "document.querySelector('.live-responses-table tbody .response-col_status')?.textContent";
    page.wait("a reply", &format!("({shown} ?? '').startsWith('{status}')"));
}

/// Clicks what may be out of sight.
fn press(page: &Page, selector: &str) {
    let element = format!("document.querySelector({selector:?})");
    page.wait(selector, &format!("{element} !== null"));
    page.eval(&format!(
        "({element}.scrollIntoView({{ block: 'center', behavior: 'instant' }}), 1)"
    ));
    page.click(selector);
}

#[test]
fn the_reference_can_be_read() {
    let Some((server, browser)) = start() else {
        return;
    };
    let page = Page::open(&browser, &format!("{}/redoc", server.origin));
    page.wait(
        "the operations",
        "document.querySelectorAll('article.operation').length > 40",
    );
    assert_wide_enough(&page);
    page.assert_accessible();
    page.shot("redoc-light");
    page.prefer("dark");
    page.assert_accessible();
    page.shot("redoc-dark");
    find(&page);
    page.resize(PHONE);
    page.wait("folded contents", "!document.querySelector('.contents details').open");
    assert_wide_enough(&page);
    page.assert_accessible();
    page.shot("redoc-phone-dark");
    page.prefer("light");
    page.eval("(location.hash = 'post_auth_register', 1)");
    page.shot("redoc-phone-light");
    page.resize(DESKTOP);
    page.eval("(location.hash = 'schema-MessageWithIntegerId', 1)");
    page.wait(
        "the schema",
        "document.querySelector('#schema-MessageWithIntegerId').getBoundingClientRect().top < innerHeight",
    );
    page.shot("redoc-schema-light");
    page.assert_quiet(&server.origin, "/openapi.json");

    let deeper = Page::open(&browser, &format!("{}/redoc/#get_sessions", server.origin));
    deeper.wait(
        "the operation that the address names",
        "document.querySelector('#get_sessions')?.getBoundingClientRect().top < innerHeight",
    );
    deeper.assert_quiet(&server.origin, "/openapi.json");
}

/// The box is reached by its key, and leaves what has all the words.
fn find(page: &Page) {
    let shown = "[...document.querySelectorAll('article.operation')].filter((node) => !node.hidden)";
    page.press("/");
    page.wait("the focus in the box", "document.activeElement.id === 'filter'");
    page.fill("#filter", "undo post message");
    page.wait(
        "the one operation",
        &format!("{shown}.map((node) => node.id).join() === 'post_messages_message_id_restore'"),
    );
    page.shot("redoc-found-dark");
    page.fill("#filter", "zzz");
    page.wait(
        "that there is none",
        "document.querySelector('[role=status]').textContent !== ''",
    );
    page.fill("#filter", "");
    page.wait("all of them", &format!("{shown}.length > 40"));
}

fn assert_wide_enough(page: &Page) {
    let over = page.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert_eq!(over, 0, "the page is wider than the window");
}
