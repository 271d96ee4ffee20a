//! The usage page: nothing, one day, a month, a year; read by pointer, by key and as a table.

use std::path::Path;

use super::open;
use crate::rig::{Page, start};

/// Uses that lie in the past, which no request can make: `days` of them up to yesterday.
pub(super) fn remember(database: &Path, days: u32) {
    let db = rusqlite::Connection::open(database).expect("the database");
    db.busy_timeout(crate::rig::PATIENCE).expect("a timeout");
    // Weeks have a rhythm, and every model has its own share.
    let sql = "WITH RECURSIVE past (day) AS (SELECT 1 UNION ALL SELECT day + 1 FROM past WHERE day < ?1)
        INSERT INTO usage_details (user_id, scope, model, input_tokens, output_tokens, price, created_at)
        SELECT 1, 'final', model, share * (700 + day * 7919 % 1300), share * (90 + day * 104729 % 210),
               share * (700 + day * 7919 % 1300) * cost / 1000000.0,
               strftime('%Y-%m-%dT10:00:00.000000+00:00', 'now', '-' || day || ' days')
        FROM past JOIN (SELECT 'claude-sonnet-4-5' AS model, 9 AS share, 5.0 AS cost
                        UNION ALL SELECT 'gpt-4.1', 14, 3.0 UNION ALL SELECT 'qwen3-30b', 22, 0.0)
        WHERE day % 7 NOT IN (1, 2) OR share > 20";
    db.execute(sql, [days]).expect("a past");
}

#[test]
fn usage_can_be_seen_and_read() {
    let Some((server, browser)) = start() else {
        return;
    };
    let page = Page::open(&browser, &format!("{}/", server.origin));
    page.sign_up();
    open(&page, "usage", ".list-note");
    super::look(&page, "usage-empty");

    remember(&server.database(), 1);
    page.reload();
    page.wait("one model", "document.querySelectorAll('.figures-table').length === 2");
    page.shot("usage-one-day-light");

    remember(&server.database(), 300);
    page.reload();
    page.wait("all models", "document.querySelectorAll('.plot-name').length === 3");
    by_key(&page);
    by_pointer(&page);
    by_month(&page);
    as_a_table(&page);
    page.assert_quiet(&server.origin, "/plot.js");
}

fn by_key(page: &Page) {
    page.eval("(document.querySelector('.plot[role=slider]').focus(), 1)");
    let said = "document.querySelector('.plot').getAttribute('aria-valuetext')";
    let today = page.eval(said);
    page.press("ArrowLeft");
    page.wait("the day before", &format!("{said} !== {today} && /: .*K/.test({said})"));
    page.wait(
        "the same for those who see it",
        &format!("document.querySelector('.plot-said').textContent === {said}"),
    );
    page.press("Home");
    page.wait(
        "the first of thirty",
        "document.querySelector('.plot').getAttribute('aria-valuenow') === '1'",
    );
}

fn by_pointer(page: &Page) {
    // A price behind each bar in place of tokens.
    page.click("input[value=cost]");
    page.wait(
        "prices",
        "/\\$/.test(document.querySelector('.plot-label').textContent)",
    );
    page.click(".plot");
    page.wait(
        "what is under the pointer",
        "/: \\$/.test(document.querySelector('.plot-said:not([hidden])')?.textContent ?? '')",
    );
    page.shot("usage-pointer-light");
    page.click("input[value=tokens]");
}

fn by_month(page: &Page) {
    page.click("input[name=range][value='365']");
    let columns = "document.querySelectorAll('.plot-reach').length";
    page.wait("a bar a month", &format!("{columns} === 12 || {columns} === 13"));
    super::look(page, "usage-year");
    page.click("input[name=range][value='30']");
    page.wait("a bar a day", &format!("{columns} === 30"));
}

fn as_a_table(page: &Page) {
    page.click(".fold summary");
    page.wait(
        "a row a day",
        "document.querySelectorAll('.fold[open] tbody tr').length === 30",
    );
    let figures =
        "[...document.querySelectorAll('.fold[open] tbody tr:nth-child(2) .figure')].map((node) => node.textContent)";
    let figures = page.eval(figures);
    assert!(
        figures[2].as_str().is_some_and(|price| price.starts_with('$')),
        "{figures}"
    );
    page.shot("usage-table-light");
}
