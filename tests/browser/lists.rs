//! The list of conversations: a thousand of them, by day, in this time zone and past midnight; by keyboard; and what
//! happens to it and to what is being written when the server goes away.

use headless_chrome::browser::tab::ModifierKey;
use serde_json::{Value, json};

use crate::import::{conversation, import};
use crate::rig::{PHONE, Page, start};
use crate::server::Server;

/// Enough that a row for each would be felt, and that the list comes in a dozen pages.
const MANY: usize = 1000;
/// Rows that may be there at a time: some three screens of them.
const ROWS_MAX: usize = 120;

const ROWS: &str = "document.querySelectorAll('.row').length";
const FOCUS: &str = "(document.activeElement.closest('.row')?.querySelector('.row-title')?.textContent ?? '')";

/// Minutes apart, the newest first; the last is pinned.
fn a_thousand() -> Vec<Value> {
    let mut all: Vec<Value> = (0..MANY)
        .map(|i| {
            let (day, hour, minute) = (28 - i / 60 % 28, 23 - i / 1680 % 24, 59 - i % 60);
            conversation(
                &format!("Number {i}"),
                &format!("2025-03-{day:02}T{hour:02}:{minute:02}:00Z"),
            )
        })
        .collect();
    all[MANY - 1]["is_pinned"] = json!(true);
    all
}

#[test]
fn a_thousand_conversations_cost_what_a_screenful_does() {
    let Some((server, browser)) = start() else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    import(&page, &a_thousand());
    // It is on the last page, and still comes first.
    page.wait(
        "what is pinned",
        &format!(
            "document.querySelector('[aria-label=Pinned] .row-title').textContent === 'Number {}'",
            MANY - 1
        ),
    );
    to_the_end(&page);
    by_keyboard(&page);
    page.assert_accessible();
    page.shot("list-end-light");
    found_page_by_page(&page);
    page.resize(PHONE);
    page.click(".sidebar-open");
    page.wait("rows in the drawer", &format!("{ROWS} > 10"));
    page.assert_fits();
    page.shot("list-phone-light");
    page.assert_quiet(&server.origin, "/list.js");
}

fn to_the_end(page: &Page) {
    let most = "(window.most = Math.max(window.most ?? 0, document.querySelectorAll('.row').length))";
    let step = "((list) => (list.scrollTop += list.clientHeight * 2))(document.querySelector('.list-scroll'))";
    let last = "[...document.querySelectorAll('[aria-label=Older] .row')].at(-1)";
    page.wait(
        "the last of them",
        &format!(
            "({step}, {most}, {last}?.getAttribute('aria-posinset') === '{0}' && {last}.getAttribute('aria-setsize') === '{0}')",
            MANY - 1
        ),
    );
    let most = page.eval("window.most").as_u64().unwrap_or_default();
    assert!((1..=ROWS_MAX as u64).contains(&most), "{most} rows at once");
    let shown = "[...document.querySelectorAll('.row')].filter((row) => { const at = row.getBoundingClientRect(); \
        const list = document.querySelector('.list-scroll').getBoundingClientRect(); return at.top < list.bottom && at.bottom > list.top }).length";
    page.wait("rows in view", &format!("{shown} > 10"));
}

fn by_keyboard(page: &Page) {
    page.eval("document.querySelector('.list-scroll').scrollTop = 0");
    page.wait(
        "the first row",
        "document.querySelector('[aria-label=Pinned] .row a') !== null",
    );
    page.eval("document.querySelector('[aria-label=Pinned] .row a').focus()");
    page.press("ArrowDown");
    page.wait("the next group", &format!("{FOCUS} === 'Number 0'"));
    page.press("End");
    page.wait("the last row", &format!("{FOCUS} === 'Number {}'", MANY - 2));
    page.press("ArrowUp");
    page.wait("the one before", &format!("{FOCUS} === 'Number {}'", MANY - 3));
    // Whoever scrolls away keeps the focus, and goes on from there.
    page.eval("document.querySelector('.list-scroll').scrollTop = 0");
    page.wait(
        "the beginning",
        "document.querySelector('[aria-label=Pinned] .row a') !== null",
    );
    assert_eq!(page.eval(FOCUS), format!("Number {}", MANY - 3), "the focus is lost");
    page.press("ArrowUp");
    page.wait("back where it was", &format!("{FOCUS} === 'Number {}'", MANY - 4));
    assert!(
        page.eval("document.querySelector('.list-scroll').scrollTop > 10000") == true,
        "out of view"
    );
    page.press("Home");
    page.wait("the first", &format!("{FOCUS} === 'Number {}'", MANY - 1));
    page.press("Enter");
    page.wait("its page", "document.querySelector('.placeholder') !== null");
}

/// Makes the page believe in another time, from its first moment on: `now` is a JavaScript expression.
fn believe(page: &Page, now: &str) {
    page.before_each_page(&format!(
        "(() => {{ const Real = Date; const shift = ({now}) - Real.now(); \
         window.Date = class extends Real {{ constructor(...given) {{ given.length ? super(...given) : super(Real.now() + shift); }} \
         static now() {{ return Real.now() + shift; }} }}; }})()"
    ));
}

fn group_of(title: &str) -> String {
    format!(
        "[...document.querySelectorAll('.row')].find((row) => row.textContent === {title:?})?.closest('section')?.getAttribute('aria-label')"
    )
}

#[test]
fn days_are_those_of_the_reader() {
    let Some((server, browser)) = start() else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    believe(&page, "Date.parse('2026-03-10T12:00:00Z')");
    let times = [
        "2026-03-10T11:30:00Z",
        "2026-03-10T09:00:00Z",
        "2026-03-09T09:00:00Z",
        "2026-03-04T12:00:00Z",
        "2026-02-20T12:00:00Z",
        "2025-12-31T12:00:00Z",
    ];
    page.live_in("Etc/UTC");
    let all: Vec<Value> = times.iter().map(|time| conversation(time, time)).collect();
    import(&page, &all);
    let rest = ["Previous 7 days", "Previous 30 days", "Older"];
    // Noon here is two in the morning in Hawaii, and two in the next morning on Kiritimati.
    for (zone, first) in [
        ("Etc/UTC", ["Today", "Today", "Yesterday"]),
        ("Pacific/Honolulu", ["Today", "Yesterday", "Previous 7 days"]),
        ("Pacific/Kiritimati", ["Today", "Yesterday", "Previous 7 days"]),
        // The clocks went forward two days before.
        ("America/New_York", ["Today", "Today", "Yesterday"]),
    ] {
        page.live_in(zone);
        page.reload();
        for (time, group) in times.iter().zip(first.iter().chain(&rest)) {
            page.wait(
                &format!("{time} under {group} in {zone}"),
                &format!("{} === {group:?}", group_of(time)),
            );
        }
    }
}

/// A page left open over night moves its conversations on.
#[test]
fn midnight_passes_by_itself() {
    let Some((server, browser)) = start() else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.live_in("Europe/Helsinki");
    import(&page, &[conversation("Late", "2026-03-10T12:00:00Z")]);
    // Midnight there is at ten in the evening. A minute is left until the page is told otherwise.
    believe(&page, "window.name ? +window.name : Date.parse('2026-03-10T21:59:00Z')");
    page.reload();
    page.wait(
        "the last minute of the day",
        &format!("{} === 'Today'", group_of("Late")),
    );
    page.eval("(window.name = Date.parse('2026-03-10T21:59:58Z'), 1)");
    page.reload();
    page.wait("the day after", &format!("{} === 'Yesterday'", group_of("Late")));
}

#[test]
fn everything_is_done_by_keyboard() {
    let Some((server, browser)) = start() else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    let names = ["Ash", "Birch", "Cedar"];
    let all: Vec<Value> = (0..)
        .zip(names)
        .map(|(i, name)| conversation(name, &format!("2025-03-1{i}T12:00:00Z")))
        .collect();
    import(&page, &all);
    in_the_list(&page);
    tags(&page);
    palette(&page);
    page.assert_quiet(&server.origin, "/palette.js");
    // The browser itself complains of the query that is refused.
    filters(&page);
}

fn titles() -> &'static str {
    "[...document.querySelectorAll('section .row-title')].map((title) => title.textContent).join()"
}

fn in_the_list(page: &Page) {
    page.wait("the newest first", &format!("{} === 'Cedar,Birch,Ash'", titles()));
    page.eval("document.querySelector('.row a').focus()");
    page.press("F2");
    page.wait("the field", "document.activeElement.matches('.rename')");
    page.fill(".rename", "Cider");
    page.press("Escape");
    page.wait("the name as it was, in focus", &format!("{FOCUS} === 'Cedar'"));
    page.press("F2");
    page.fill(".rename", "Larch");
    page.press("Enter");
    page.wait("the new name, in focus", &format!("{FOCUS} === 'Larch'"));
    page.press("Delete");
    page.wait(
        "the focus on its neighbour",
        &format!("{FOCUS} === 'Birch' && {} === 'Birch,Ash'", titles()),
    );
    page.press_with(ModifierKey::Ctrl, "z");
    page.wait("it back", &format!("{} === 'Larch,Birch,Ash'", titles()));

    page.eval("[...document.querySelectorAll('.row a')].at(-1).focus()");
    menu(page, "Pin");
    page.wait(
        "it pinned, before all others, in focus",
        &format!(
            "{} === 'Ash,Larch,Birch' && {FOCUS} === 'Ash' && {} === 'Pinned'",
            titles(),
            group_of("Ash")
        ),
    );
    page.reload();
    page.wait(
        "the same after a reload",
        &format!("{} === 'Ash,Larch,Birch'", titles()),
    );
    page.eval("document.querySelector('.row a').focus()");
    menu(page, "Unpin");
    page.wait("it among the days", &format!("{} === 'Today'", group_of("Ash")));

    page.eval("document.querySelector('.row a').focus()");
    menu(page, "Archive");
    page.wait(
        "it put away",
        &format!("{} === 'Larch,Birch' && {FOCUS} === 'Larch'", titles()),
    );
    page.eval("document.querySelector('.archived summary').focus()");
    page.press("Enter");
    page.wait(
        "the archive open",
        "document.querySelector('.archived .row-title')?.textContent === 'Ash'",
    );
    page.shot("archive-light");
    page.eval("document.querySelector('.archived .row a').focus()");
    menu(page, "Take out of the archive");
    page.wait("it back among the days", &format!("{} === 'Today'", group_of("Ash")));
}

/// From the row in focus: its menu is the next stop of the Tab key, and opens on Enter.
fn menu(page: &Page, entry: &str) {
    page.press("Tab");
    page.press("Enter");
    page.wait("the menu", "document.activeElement.matches('.menu-item')");
    for _ in 0..10 {
        if page.eval("document.activeElement.textContent") == entry {
            page.press("Enter");
            return page.wait("no menu", "document.querySelector('.menu') === null");
        }
        page.press("ArrowDown");
    }
    panic!(
        "no {entry} in {}",
        page.eval("document.querySelector('.menu').innerText")
    );
}

fn tags(page: &Page) {
    let tag = |title: &str, tags: &str| {
        page.eval(&format!(
            "[...document.querySelectorAll('.row')].find((row) => row.textContent === {title:?}).querySelector('a').focus()"
        ));
        menu(page, "Conversation settings");
        page.fill("#chat-tags", tags);
        page.press("Enter");
        page.wait("no dialog", "document.querySelector('dialog') === null");
    };
    tag("Ash", "winter, garden");
    tag("Larch", "winter");
    let chips = "[...document.querySelectorAll('.tag')].map((tag) => tag.textContent).join()";
    page.wait("the tags", &format!("{chips} === 'garden,winter'"));
    page.shot("tags-light");
    page.eval("document.querySelector('.tag').focus()");
    page.press("Enter");
    page.wait("those in the garden", &format!("{} === 'Ash'", titles()));
    page.wait(
        "the tag still in focus, and pressed",
        "document.activeElement.matches('.tag[aria-pressed=true]') && document.activeElement.textContent === 'garden'",
    );
    page.press("Enter");
    page.wait("all of them", &format!("{ROWS} === 3"));
    tag("Ash", "winter");
    page.wait("one tag less", &format!("{chips} === 'winter'"));
}

fn palette(page: &Page) {
    let options =
        "[...document.querySelectorAll('.palette [role=option] .option-name')].map((name) => name.textContent)";
    page.eval("document.activeElement.blur()");
    page.press_with(ModifierKey::Ctrl, "k");
    page.wait("the palette", "document.activeElement.matches('.palette .search')");
    for wanted in [
        "New conversation",
        "Library",
        "Settings",
        "Usage",
        "Administration",
        "Keyboard shortcuts",
        "Sign out",
        "Larch",
    ] {
        assert_eq!(
            page.eval(&format!("{options}.includes({wanted:?})")),
            true,
            "{wanted}: {}",
            page.eval(options)
        );
    }
    page.assert_accessible();
    page.press("Escape");
    page.wait("no palette", "document.querySelector('.palette') === null");
    for (text, path) in [
        ("usag", "/ui/usage"),
        ("librar", "/ui/library"),
        ("sessions", "/ui/settings/sessions"),
        ("providers", "/ui/admin/providers"),
        ("new con", "/ui/"),
    ] {
        page.press_with(ModifierKey::Ctrl, "k");
        page.fill(".palette .search", text);
        page.wait(
            "what was found",
            &format!("{options}.length > 0 && {options}.length < 4"),
        );
        page.press("Enter");
        page.wait(path, &format!("location.pathname === {path:?}"));
    }
    page.press_with(ModifierKey::Ctrl, "k");
    page.fill(".palette .search", "dark");
    page.wait("the theme", &format!("{options}.join() === 'Theme: Dark'"));
    page.press("Enter");
    page.wait("the dark", "document.documentElement.dataset.theme === 'dark'");
    page.press_with(ModifierKey::Ctrl, "k");
    page.fill(".palette .search", "Birch");
    page.wait("the conversation", &format!("{options}.join() === 'Birch'"));
    page.press("Enter");
    page.wait(
        "its page",
        "document.querySelector('.topbar h1').textContent === 'Birch'",
    );
}

/// A search goes on by keyboard and by scrolling, and what is typed keeps the focus.
fn found_page_by_page(page: &Page) {
    let found = "document.querySelectorAll('.palette [role=option]').length";
    let last = "[...document.querySelectorAll('.palette [role=option]')].at(-1).textContent";
    let active = "document.querySelector('.palette [role=option][data-active]').id";
    let is_focused = "document.activeElement.matches('.palette .search')";
    page.press_with(ModifierKey::Ctrl, "k");
    page.fill(".palette .search", "number in:titles");
    page.wait(
        "a page, and more",
        &format!("{found} === 31 && {last} === 'More results'"),
    );
    page.shot("found-light");
    page.press("ArrowUp");
    page.wait(
        "the next page",
        &format!("{found} > 31 && {active} === 'found-30' && {is_focused}"),
    );
    page.eval("((list) => (list.scrollTop = list.scrollHeight))(document.querySelector('#found'))");
    page.wait("a page further", &format!("{found} > 61 && {is_focused}"));
    page.assert_accessible();
    page.press("Escape");
    page.wait("no palette", "document.querySelector('.palette') === null");
}

/// Filters are offered, can be clicked together, and say what they take.
fn filters(page: &Page) {
    let chips = "[...document.querySelectorAll('.palette .tag')].map((chip) => chip.textContent)";
    let value = "document.querySelector('.palette .search').value";
    let press = |text: &str| {
        page.eval(&format!(
            "[...document.querySelectorAll('.palette .tag')].find((chip) => chip.textContent === {text:?}).click()"
        ));
    };
    page.press_with(ModifierKey::Ctrl, "k");
    page.wait(
        "the filters",
        &format!("{chips}.join(' ') === 'in: model: role: before: after:'"),
    );
    page.fill(".palette .search", "Larch");
    press("in:");
    page.wait(
        "what it takes",
        &format!("{chips}.join(' ') === 'messages titles documents'"),
    );
    press("titles");
    page.wait(
        "both in the field, in focus",
        &format!("{value} === 'Larch in:titles ' && document.activeElement.matches('.palette .search')"),
    );
    let names = "[...document.querySelectorAll('.palette .option-name')].map((name) => name.textContent)";
    page.wait("what was found", &format!("{names}.join() === 'Larch'"));
    page.fill(".palette .search", "Larch role:model");
    page.wait(
        "what is wrong",
        "document.querySelector('.palette .list-note')?.textContent === 'role: takes user or assistant'",
    );
    page.assert_accessible();
    page.press("Escape");
    page.wait("no palette", "document.querySelector('.palette') === null");
}

#[test]
fn nothing_is_lost_while_the_server_is_away() {
    let Some((mut server, browser)) = start() else {
        return;
    };
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    page.send("Before the storm");
    page.wait_for_end();
    page.fill("#message", "Written in the dark");
    server.go_away();
    page.wait(
        "the banner",
        "document.querySelector('.offline')?.textContent.includes('Offline')",
    );
    page.shot("offline-light");
    page.press("Enter");
    page.wait(
        "that it was not sent, and is kept",
        "document.querySelector('#message').value === 'Written in the dark' && document.body.innerText.includes('still here')",
    );
    come_back(&mut server, &page);
    page.reload();
    page.wait(
        "the draft after a reload",
        "document.querySelector('#message')?.value === 'Written in the dark'",
    );
    page.press("Enter");
    page.wait_for_texts(&[
        "Before the storm",
        "Echo: Before the storm",
        "Written in the dark",
        "Echo: Written in the dark",
    ]);
}

/// By itself the page finds that the server is there again.
fn come_back(server: &mut Server, page: &Page) {
    server.come_back();
    page.wait("no banner", "document.querySelector('.offline').textContent === ''");
}
