//! The README's pictures: `readme-*.png` among the screenshots.

use std::path::Path;

use serde_json::json;

use super::states::{REPLY, converse};
use super::{ask, open, usage};
use crate::model::Model;
use crate::rig::{PATIENCE, Page, start_with};

/// What people have open beside each other; and a phone with room for a whole thought.
const WINDOW: (u32, u32) = (1200, 860);
const PHONE: (u32, u32) = (420, 860);

#[test]
fn the_pictures_of_the_readme_show_what_they_say() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let page = Page::open(&browser, &format!("{}/", server.origin));
    page.sign_up();
    usage::remember(&server.database(), 45);
    super::states::furnish(&page);
    // As much of it as a window holds.
    let reply = REPLY.split("\n> ").next().unwrap_or(REPLY);
    let id = converse(&page, &server.origin, reply);
    let answered = ask(
        &page,
        "PUT",
        "/admin/models/balanced",
        &json!({ "models": ["openai/mirror"] }),
    )
    .0;
    let chosen = ask(&page, "PATCH", &format!("/chats/{id}"), &json!({ "model": "balanced" })).0;
    assert_eq!((answered, chosen), (200, 200));
    over_some_days(&page, &server.database());
    page.resize(WINDOW);
    page.wait("the code", "document.querySelector('.message .code') !== null");
    page.eval("(document.activeElement.blur(), 1)");
    page.shot("readme-chat");
    open(&page, "usage", ".plot-name");
    page.resize((WINDOW.0, WINDOW.1 + 60));
    page.shot("readme-usage");
    page.eval("(history.back(), 1)");
    page.wait("the reply", "document.querySelector('.message table') !== null");
    page.prefer("dark");
    page.resize(PHONE);
    page.eval("(document.activeElement.blur(), 1)");
    page.shot("readme-phone");
    page.assert_quiet(&server.origin, "/plot.js");
}

/// As a list looks that has been used for a while.
fn over_some_days(page: &Page, database: &Path) {
    let db = rusqlite::Connection::open(database).expect("the database");
    db.busy_timeout(PATIENCE).expect("a timeout");
    let sql = "UPDATE conversations SET is_pinned = title = 'Kettle descaling',
        updated_at = strftime('%Y-%m-%dT%H:%M:%S.000000+00:00', updated_at,
                              '-' || (SELECT count(*) * 2 - 1 FROM conversations AS later WHERE later.id > conversations.id) || ' days')
        WHERE title <> 'A fire through the night'";
    db.execute(sql, []).expect("earlier days");
    page.reload();
    page.wait(
        "the days",
        "document.querySelectorAll('.list h2, .sidebar h2').length >= 3",
    );
}
