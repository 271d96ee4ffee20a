//! The README's pictures: `readme-*.png` among the screenshots.

use super::states::converse;
use super::{open, usage};
use crate::model::Model;
use crate::rig::{Page, start_with};

/// What people have open beside each other; and a phone with room for a whole thought.
const WINDOW: (u32, u32) = (1200, 760);
const PHONE: (u32, u32) = (420, 760);

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
    converse(&page, &server.origin);
    page.resize(WINDOW);
    page.eval("(document.querySelector('.message').scrollIntoView(), document.activeElement.blur(), 1)");
    page.wait("the code", "document.querySelector('.message .code') !== null");
    page.shot("readme-chat");
    open(&page, "usage", ".plot-name");
    page.shot("readme-usage");
    page.eval("(history.back(), 1)");
    page.wait("the reply", "document.querySelector('.message table') !== null");
    page.prefer("dark");
    page.resize(PHONE);
    page.eval("(document.querySelector('.message').scrollIntoView(), document.activeElement.blur(), 1)");
    page.shot("readme-phone");
    page.assert_quiet(&server.origin, "/plot.js");
}
