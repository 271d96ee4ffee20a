//! A message's Markdown as HTML that may stand in a page: parse, write, sanitise. The only place that names
//! pulldown-cmark, beside the writer.

use pulldown_cmark::{Event, Options, Parser, TextMergeWithOffset};

use super::escape::push_text;
use super::writer::{TooMuch, Writer};
use super::{Source, clean, nesting};

/// Longer messages are shown as plain text: books, not answers.
pub(super) const RENDERED_BYTES_MAX: usize = 256 * 1024;

const EXTENSIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_MATH);

/// The HTML of a whole message.
pub fn render(source: &Source<'_>) -> String {
    blocks(source).concat()
}

/// The HTML of a message's top-level blocks, and of its footnotes as the last.
pub(super) fn blocks(source: &Source<'_>) -> Vec<String> {
    if source.text.len() > RENDERED_BYTES_MAX {
        return vec![plain(source.text)];
    }
    write(source).unwrap_or_else(|TooMuch| vec![plain(source.text)])
}

fn write(source: &Source<'_>) -> Result<Vec<String>, TooMuch> {
    let text = nesting::limit(source.text);
    let mut writer = Writer::new(source);
    for (event, _) in events(&text) {
        writer.write(event)?;
    }
    Ok(writer.finish())
}

/// Where the text's top-level blocks begin.
pub(super) fn top_level(text: &str) -> impl Iterator<Item = usize> {
    let mut depth = 0_usize;
    Parser::new_ext(text, EXTENSIONS)
        .into_offset_iter()
        .filter_map(move |(event, at)| {
            let is_top = depth == 0;
            match event {
                Event::Start(_) => depth += 1,
                Event::End(_) => {
                    depth = depth.saturating_sub(1);
                    return None;
                }
                _ => {}
            }
            is_top.then_some(at.start)
        })
}

fn events(text: &str) -> impl Iterator<Item = (Event<'_>, std::ops::Range<usize>)> {
    TextMergeWithOffset::new(Parser::new_ext(text, EXTENSIONS).into_offset_iter())
}

/// Any text as it is.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8 + 64);
    out.push_str("<pre><code class=\"plain\">");
    push_text(&mut out, text);
    out.push_str("</code></pre>\n");
    clean::clean(&out)
}
