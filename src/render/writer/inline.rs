//! What stands within a block: text, links, images that become links, references to footnotes.

use pulldown_cmark::{Event, LinkType, Tag, TagEnd};

use super::Writer;
use crate::render::Breaks;
use crate::render::clean::{self, REL_BYTES};
use crate::render::escape::{push_text, push_value, shown};
use crate::render::links::{self, Piece};

impl Writer {
    pub(super) fn write_leaf(&mut self, event: Event<'_>) {
        match event {
            Event::Text(text) => match &mut self.code {
                Some(code) => code.text.push_str(&text),
                None if self.in_link => push_text(&mut self.out, &text),
                None => self.write_text(&text),
            },
            Event::Code(text) => self.write_inline_code("<code>", &text),
            // With its marks: what only looks like a formula (prices, most often) loses nothing.
            Event::InlineMath(text) => self.write_inline_code("<code class=\"math\">", &format!("${text}$")),
            Event::DisplayMath(text) => self.write_inline_code("<code class=\"math display\">", &format!("$${text}$$")),
            Event::Html(html) => self.write_lines(&html),
            // The one element that models write where Markdown has no other way: in cells of tables.
            Event::InlineHtml(html) if matches!(&*html, "<br>" | "<br/>" | "<br />") => self.element("<br>\n"),
            Event::InlineHtml(html) => push_text(&mut self.out, &html),
            Event::SoftBreak => match self.breaks {
                Breaks::Kept => self.element("<br>\n"),
                Breaks::Folded => self.out.push('\n'),
            },
            Event::HardBreak => self.element("<br>\n"),
            Event::Rule => self.element("<hr>\n"),
            Event::TaskListMarker(true) => self.element("<input type=\"checkbox\" disabled checked> "),
            Event::TaskListMarker(false) => self.element("<input type=\"checkbox\" disabled> "),
            Event::FootnoteReference(label) => self.write_reference(&label),
            Event::Start(_) | Event::End(_) => {}
        }
    }

    fn write_text(&mut self, text: &str) {
        for piece in links::pieces(text) {
            match piece {
                Piece::Text(text) => push_text(&mut self.out, text),
                Piece::Link(url) => {
                    self.write_link_start(&shown(url));
                    push_text(&mut self.out, url);
                    self.out.push_str("</a>");
                }
            }
        }
    }

    fn write_inline_code(&mut self, start: &str, text: &str) {
        self.element(start);
        push_text(&mut self.out, text);
        self.out.push_str("</code>");
    }

    /// Raw HTML, line by line, as text.
    fn write_lines(&mut self, html: &str) {
        for line in html.split_inclusive('\n') {
            push_text(&mut self.out, line.trim_end_matches('\n'));
            if line.ends_with('\n') {
                self.element("<br>\n");
            }
        }
    }

    pub(super) fn start_link(&mut self, link_type: LinkType, url: &str) {
        let mut url = shown(url);
        if link_type == LinkType::Email {
            url.insert_str(0, "mailto:");
        }
        if self.in_link || !clean::is_link(&url) {
            // Its text stands for itself: nobody is sent anywhere.
            return self.open.push("");
        }
        self.in_link = true;
        self.write_link_start(&url);
        self.open.push("</a>");
    }

    fn write_link_start(&mut self, url: &str) {
        self.element("<a href=\"");
        push_value(&mut self.out, url);
        self.out.push_str("\">");
        self.bytes_left = self.bytes_left.saturating_sub(REL_BYTES);
    }

    /// What stands in an image's description, as plain text.
    pub(super) fn write_alt(&mut self, event: Event<'_>) {
        let Some(image) = &mut self.image else {
            return;
        };
        match event {
            Event::Start(Tag::Image { .. }) => image.inner += 1,
            Event::End(TagEnd::Image) if image.inner > 0 => image.inner -= 1,
            Event::End(TagEnd::Image) => self.end_image(),
            Event::Text(text)
            | Event::Code(text)
            | Event::InlineHtml(text)
            | Event::Html(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text) => image.alt.push_str(&text),
            Event::SoftBreak | Event::HardBreak => image.alt.push(' '),
            Event::Start(_) | Event::End(_) | Event::FootnoteReference(_) | Event::Rule | Event::TaskListMarker(_) => {}
        }
    }

    /// An image loads when it is shown, and tells its server what its address was made of. So nothing is loaded: it is a
    /// link, which shows where it leads.
    fn end_image(&mut self) {
        let Some(image) = self.image.take() else {
            return;
        };
        push_text(&mut self.out, &image.alt);
        let is_link = clean::is_link(&image.url) && !image.url.starts_with("mailto:");
        if !is_link {
            if image.alt.is_empty() {
                self.out.push_str("[image]");
            }
        } else if image.alt.is_empty() {
            self.write_image_link(&image.url);
        } else {
            self.out.push_str(" (");
            self.write_image_link(&image.url);
            self.out.push(')');
        }
        self.close();
    }

    fn write_image_link(&mut self, url: &str) {
        if self.in_link {
            return push_text(&mut self.out, url);
        }
        self.write_link_start(url);
        push_text(&mut self.out, url);
        self.out.push_str("</a>");
    }

    fn write_reference(&mut self, label: &str) {
        let (number, id) = self.notes.refer(label);
        if self.in_link {
            return self.element(&format!("<sup class=\"note\">{number}</sup>"));
        }
        let note = self.notes.id(number);
        self.element(&format!(
            "<sup class=\"note\"><a id=\"{id}\" href=\"#{note}\">{number}</a></sup>"
        ));
        self.bytes_left = self.bytes_left.saturating_sub(REL_BYTES);
    }
}
