//! The pages beside conversations: each in light and dark, on a desk and on a phone, and what can be done on them.

mod admin;
mod library;
mod picture;
mod settings;
mod states;
mod usage;

use crate::rig::{DESKTOP, PHONE, Page};

/// The smallest window that everything must fit into.
const TINY: (u32, u32) = (320, 640);
const WIDE: (u32, u32) = (2200, 1100);

/// Whatever the pages have in common holds here: it fits, it can be reached, and it is kept as a picture.
fn look(page: &Page, name: &str) {
    for (place, size) in [("", DESKTOP), ("-phone", PHONE)] {
        page.resize(size);
        page.assert_fits();
        assert_no_overflow(page, name);
        for theme in ["light", "dark"] {
            page.prefer(theme);
            page.assert_accessible();
            page.shot(&format!("{name}{place}-{theme}"));
        }
    }
    page.prefer("light");
    for (place, size) in [("-tiny", TINY), ("-wide", WIDE)] {
        page.resize(size);
        page.assert_fits();
        assert_no_overflow(page, name);
        page.shot(&format!("{name}{place}-light"));
    }
    page.resize(DESKTOP);
}

/// What scrolls down does not scroll sideways.
fn assert_no_overflow(page: &Page, name: &str) {
    let over = "[...document.querySelectorAll('.page-frame:not([hidden]), dialog')] \
        .filter((node) => node.scrollWidth > node.clientWidth).map((node) => node.className)";
    assert_eq!(page.eval(over), serde_json::json!([]), "{name} is cut off at the side");
}

/// What a request of the page's own session comes to: `[status, body]`, the body as text.
fn ask(page: &Page, method: &str, path: &str, body: &serde_json::Value) -> (u64, serde_json::Value) {
    let body = if body.is_null() {
        "undefined".to_owned()
    } else {
        format!("JSON.stringify({body})")
    };
    page.eval(&format!(
        "(delete window.answer, fetch({path:?}, {{ method: {method:?}, body: {body}, headers: {{ 'Content-Type': 'application/json' }} }}) \
         .then(async (got) => {{ const text = await got.text(); window.answer = [got.status, text]; }}), 1)"
    ));
    page.wait("an answer", "window.answer !== undefined");
    let answer = page.eval("window.answer");
    let text = answer[1].as_str().unwrap_or_default();
    let body = serde_json::from_str(text).unwrap_or_default();
    (answer[0].as_u64().expect("a status"), body)
}

/// Follows the link in the page that leads to `path`, without loading the page anew.
fn open(page: &Page, path: &str, landmark: &str) {
    page.eval(&format!(
        "(history.pushState(null, '', '/ui/{path}'), dispatchEvent(new PopStateEvent('popstate')), 1)"
    ));
    page.wait(path, &format!("document.querySelector('.page {landmark}') !== null"));
}

/// The words that a status or a complaint says.
fn wait_for_words(page: &Page, selector: &str, words: &str) {
    let said =
        format!("[...document.querySelectorAll({selector:?})].some((node) => node.textContent.includes({words:?}))");
    page.wait(&format!("{words:?} in {selector}"), &said);
}

/// Puts a file into the file field of the page, as picking it does.
fn pick(page: &Page, files: &[(&str, &str)]) {
    let made: Vec<String> = files
        .iter()
        .map(|(name, text)| format!("new File([{text:?}], {name:?})"))
        .collect();
    page.eval(&format!(
        "(() => {{ const input = document.querySelector('.page input[type=file]'); const box = new DataTransfer(); \
         for (const file of [{}]) box.items.add(file); input.files = box.files; \
         input.dispatchEvent(new Event('change')); return 1; }})()",
        made.join(", ")
    ));
}
