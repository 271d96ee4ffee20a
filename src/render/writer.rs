//! Markdown's events as HTML, one top-level block after the other. Raw HTML becomes text, images become links, and what
//! nests too deep becomes text. Writes only what [`super::clean`] lets through; that room has the last word.

mod inline;

use pulldown_cmark::{Alignment, CodeBlockKind, CowStr, Event, HeadingLevel, Tag, TagEnd};

use super::clean::{self, LANGUAGE_CHARS_MAX};
use super::escape::{push_text, shown};
use super::highlight::{Class, highlight};
use super::nesting::LEVELS_MAX;
use super::notes::Notes;
use super::{Breaks, Source};

/// HTML may be so much longer than its text: a table of narrow columns takes about five times as much. What grows more
/// is made to grow.
const GROWTH_MAX: usize = 8;

/// And so much besides, in bytes: a message of one link.
const GROWTH_FREE: usize = 16 * 1024;

/// Elements of one message. The sanitiser keeps some 200 bytes for each of a block's.
const ELEMENTS_MAX: usize = 50_000;

/// Of those, as many may colour code.
const SPANS_MAX: usize = 25_000;

/// Code that is longer stays in one colour: nobody reads it here.
const HIGHLIGHTED_BYTES_MAX: usize = 64 * 1024;

/// What stands around a footnote, in bytes.
const NOTE_BYTES: usize = 128;

/// The message's HTML would be too large.
#[derive(Debug)]
pub(super) struct TooMuch;

/// What a message becomes.
pub(super) struct Writer {
    out: String,
    blocks: Vec<String>,
    /// What ends the elements that are open, the outermost first; nothing for one that was left out.
    open: Vec<&'static str>,
    breaks: Breaks,
    notes: Notes,
    /// What was being written when a footnote began, and the footnote's label.
    behind_note: Vec<(String, String)>,
    /// Of the table that is being written.
    alignments: Vec<Alignment>,
    column: usize,
    cell: &'static str,
    code: Option<Code>,
    image: Option<Image>,
    /// Whether what is written stands in a link, in which no other may stand.
    in_link: bool,
    bytes_left: usize,
    elements_left: usize,
    spans_left: usize,
}

struct Code {
    language: String,
    text: String,
}

struct Image {
    url: String,
    alt: String,
    /// Images within its description.
    inner: usize,
}

impl Writer {
    pub(super) fn new(source: &Source<'_>) -> Writer {
        Writer {
            out: String::new(),
            blocks: Vec::new(),
            open: Vec::new(),
            breaks: source.breaks,
            notes: Notes::of(source.message_id),
            behind_note: Vec::new(),
            alignments: Vec::new(),
            column: 0,
            cell: "",
            code: None,
            image: None,
            in_link: false,
            bytes_left: source.text.len() * GROWTH_MAX + GROWTH_FREE,
            elements_left: ELEMENTS_MAX,
            spans_left: SPANS_MAX,
        }
    }

    /// Writes one event.
    ///
    /// # Errors
    /// [`TooMuch`], after which nothing of it is of use.
    pub(super) fn write(&mut self, event: Event<'_>) -> Result<(), TooMuch> {
        match event {
            Event::Start(Tag::FootnoteDefinition(label)) => self.begin_note(&label),
            Event::End(TagEnd::FootnoteDefinition) => self.end_note(),
            event => self.write_counted(event),
        }
        if self.bytes_left == 0 || self.elements_left == 0 {
            return Err(TooMuch);
        }
        if self.open.is_empty() && self.behind_note.is_empty() {
            self.end_block();
        }
        Ok(())
    }

    fn write_counted(&mut self, event: Event<'_>) {
        let before = self.out.len();
        match event {
            event if self.image.is_some() => self.write_alt(event),
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            event => self.write_leaf(event),
        }
        self.bytes_left = self.bytes_left.saturating_sub(self.out.len() - before);
    }

    /// All blocks; the footnotes are the last.
    pub(super) fn finish(mut self) -> Vec<String> {
        self.notes.write(&mut self.out);
        self.end_block();
        self.blocks
    }

    fn end_block(&mut self) {
        if !self.out.is_empty() {
            self.blocks.push(clean::clean(&self.out));
            self.out.clear();
        }
    }

    fn element(&mut self, start: &str) {
        self.elements_left = self.elements_left.saturating_sub(1);
        self.out.push_str(start);
    }

    fn open(&mut self, start: &str, end: &'static str) {
        self.element(start);
        self.open.push(end);
    }

    /// Opens what may stand in itself, unless too much is open already. The last two levels are left to what stands in
    /// the innermost: a list's item, a paragraph's link.
    fn open_level(&mut self, start: &str, end: &'static str) {
        if self.open.len() + 2 < LEVELS_MAX {
            self.open(start, end);
        } else {
            self.open.push("");
        }
    }

    fn close(&mut self) {
        if let Some(end) = self.open.pop() {
            self.out.push_str(end);
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.open("<p>", "</p>\n"),
            Tag::Heading { level, .. } => {
                let (start, end) = heading(level);
                self.open(start, end);
            }
            Tag::BlockQuote(_) => self.open_level("<blockquote>\n", "</blockquote>\n"),
            Tag::List(None) => self.open_level("<ul>\n", "</ul>\n"),
            Tag::List(Some(1)) => self.open_level("<ol>\n", "</ol>\n"),
            Tag::List(Some(first)) => self.open_level(&format!("<ol start=\"{first}\">\n"), "</ol>\n"),
            Tag::Item => match self.open.last() {
                Some(&"") | None => self.open.push(""),
                Some(_) => self.open("<li>", "</li>\n"),
            },
            Tag::Emphasis => self.open_level("<em>", "</em>"),
            Tag::Strong => self.open_level("<strong>", "</strong>"),
            Tag::Strikethrough => self.open_level("<del>", "</del>"),
            Tag::Table(alignments) => {
                self.alignments = alignments;
                self.open("<table>", "</tbody></table>\n");
            }
            Tag::TableHead => {
                (self.column, self.cell) = (0, "th");
                self.open("<thead><tr>", "</tr></thead><tbody>\n");
            }
            Tag::TableRow => {
                (self.column, self.cell) = (0, "td");
                self.open("<tr>", "</tr>\n");
            }
            Tag::TableCell => self.start_cell(),
            Tag::CodeBlock(kind) => {
                let language = match kind {
                    CodeBlockKind::Fenced(info) => language(&info),
                    CodeBlockKind::Indented => String::new(),
                };
                self.code = Some(Code {
                    language,
                    text: String::new(),
                });
                self.open.push("");
            }
            Tag::Link {
                link_type, dest_url, ..
            } => self.start_link(link_type, &dest_url),
            Tag::Image { dest_url, .. } => {
                self.image = Some(Image {
                    url: shown(&dest_url),
                    alt: String::new(),
                    inner: 0,
                });
                self.open.push("");
            }
            // These extensions are off.
            Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => self.open.push(""),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::CodeBlock => self.write_code(),
            TagEnd::Link => self.in_link = false,
            _ => {}
        }
        self.close();
    }

    fn start_cell(&mut self) {
        let align = match self.alignments.get(self.column) {
            Some(Alignment::Left) => " align=\"left\"",
            Some(Alignment::Center) => " align=\"center\"",
            Some(Alignment::Right) => " align=\"right\"",
            Some(Alignment::None) | None => "",
        };
        self.column += 1;
        let end = if self.cell == "th" { "</th>" } else { "</td>" };
        let start = format!("<{}{align}>", self.cell);
        self.open(&start, end);
    }

    fn write_code(&mut self) {
        let Some(code) = self.code.take() else {
            return;
        };
        self.element("<pre>");
        if code.language.is_empty() {
            self.element("<code>");
        } else {
            self.element(&format!("<code class=\"language-{}\">", code.language));
        }
        if code.language.is_empty() || code.text.len() > HIGHLIGHTED_BYTES_MAX {
            push_text(&mut self.out, &code.text);
        } else {
            highlight(&code.language, &code.text, &mut |class, piece| {
                self.write_piece(class, piece)
            });
        }
        self.out.push_str("</code></pre>\n");
    }

    fn write_piece(&mut self, class: Class, piece: &str) {
        match class.name() {
            Some(class) if self.spans_left > 0 && !piece.is_empty() => {
                self.spans_left -= 1;
                self.element(&format!("<span class=\"{class}\">"));
                push_text(&mut self.out, piece);
                self.out.push_str("</span>");
            }
            _ => push_text(&mut self.out, piece),
        }
    }

    fn begin_note(&mut self, label: &str) {
        let behind = std::mem::take(&mut self.out);
        self.behind_note.push((behind, label.to_owned()));
        self.open.push("");
    }

    fn end_note(&mut self) {
        self.close();
        if let Some((behind, label)) = self.behind_note.pop() {
            let html = std::mem::replace(&mut self.out, behind);
            self.notes.define(&label, html);
            self.bytes_left = self.bytes_left.saturating_sub(NOTE_BYTES);
        }
    }
}

fn heading(level: HeadingLevel) -> (&'static str, &'static str) {
    match level {
        HeadingLevel::H1 => ("<h1>", "</h1>\n"),
        HeadingLevel::H2 => ("<h2>", "</h2>\n"),
        HeadingLevel::H3 => ("<h3>", "</h3>\n"),
        HeadingLevel::H4 => ("<h4>", "</h4>\n"),
        HeadingLevel::H5 => ("<h5>", "</h5>\n"),
        HeadingLevel::H6 => ("<h6>", "</h6>\n"),
    }
}

/// The language that a fence names first, if it can be one.
fn language(info: &CowStr<'_>) -> String {
    let end = |c: char| c.is_whitespace() || matches!(c, ',' | '{' | ':');
    let name = info.trim_start_matches('{').trim_start_matches('.').split(end).next();
    let name = name.unwrap_or("").to_ascii_lowercase();
    if name.len() <= LANGUAGE_CHARS_MAX && name.chars().all(clean::is_language_char) {
        name
    } else {
        String::new()
    }
}
