//! What must hold of whatever a message says: its HTML, read as browsers read it, has elements and attributes of a list
//! and links to where links may lead. Read by html5ever, and against a list of its own, so that what is wrong with the
//! list that is kept to is seen too.

use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

use super::clean::clean;
use super::{Block, Breaks, Growing, Source, render};
use crate::floor::floor;
use crate::fuzzing::cuttings;

/// Elements and their attributes.
const ALLOWED: &[(&str, &[&str])] = &[
    ("a", &["href", "id", "class", "rel"]),
    ("blockquote", &[]),
    ("br", &[]),
    ("code", &["class"]),
    ("del", &[]),
    ("em", &[]),
    ("h1", &[]),
    ("h2", &[]),
    ("h3", &[]),
    ("h4", &[]),
    ("h5", &[]),
    ("h6", &[]),
    ("hr", &[]),
    ("input", &["type", "disabled", "checked"]),
    ("li", &["id", "class"]),
    ("ol", &["start"]),
    ("p", &[]),
    ("pre", &[]),
    ("section", &["class"]),
    ("span", &["class"]),
    ("strong", &[]),
    ("sup", &["class"]),
    ("table", &[]),
    ("tbody", &[]),
    ("td", &["align"]),
    ("th", &["align"]),
    ("thead", &[]),
    ("tr", &[]),
    ("ul", &[]),
];

/// A message, of a model and of a user, whole and as it grows.
pub(crate) fn markdown(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for breaks in [Breaks::Folded, Breaks::Kept] {
        let source = Source {
            text: &text,
            message_id: 7,
            breaks,
        };
        let html = render(&source);
        inspect(&html);
        // A second reading finds the same tree: nothing changes its meaning on the way into a page.
        assert_eq!(clean(&html), html, "cleaned again");
    }
    if text.len() > 4096 {
        return;
    }
    let [whole, _, pieces] = cuttings(text.as_bytes());
    let (whole, pieces) = (grow(&text, &whole), grow(&text, &pieces));
    // Where a name is defined, which block the definition belongs to depends on how much of it was there when somebody
    // looked; until the text ends that may be told either way.
    if !text.contains("]:") {
        assert_eq!(pieces, whole, "who reads along reads something else");
    }
}

/// What one reads in the end who reads along.
fn grow(text: &str, pieces: &[&[u8]]) -> String {
    let (mut growing, mut blocks) = (Growing::new(7), Vec::new());
    let mut end = 0;
    for piece in pieces {
        end += piece.len();
        // A piece of a character comes with the next.
        for Block { index, html } in growing.look(&text[..floor(text, end)]) {
            inspect(&html);
            blocks.truncate(index);
            assert_eq!(blocks.len(), index, "a block is left out");
            blocks.push(html);
        }
    }
    blocks.concat()
}

fn inspect(html: &str) {
    let tokenizer = Tokenizer::new(Inspector, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(html.into());
    drop(tokenizer.feed(&input));
    tokenizer.end();
}

/// Looks at every element as a browser would see it.
struct Inspector;

impl TokenSink for Inspector {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => inspect_tag(&tag),
            Token::CommentToken(_) | Token::DoctypeToken(_) | Token::NullCharacterToken => panic!("{token:?}"),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

fn inspect_tag(tag: &Tag) {
    let allowed = ALLOWED.iter().find(|(name, _)| *name == &*tag.name);
    let Some((_, allowed)) = allowed else {
        panic!("<{}>", tag.name);
    };
    for attribute in &tag.attrs {
        let (name, value) = (&*attribute.name.local, &*attribute.value);
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-'));
        let is_note = ["fn-7-", "fr-7-"]
            .iter()
            .any(|start| value.trim_start_matches('#').strip_prefix(start).is_some_and(is_number));
        let is_good = match name {
            "href" if value.starts_with('#') => is_note,
            // As browsers understand it: without the white space that they read over.
            "href" => {
                let address: String = value.chars().filter(|char| *char > ' ').collect();
                let address = address.to_ascii_lowercase();
                ["http://", "https://", "mailto:"]
                    .iter()
                    .any(|start| address.starts_with(start))
            }
            "id" => is_note && !value.starts_with('#'),
            "rel" => value == "noopener noreferrer nofollow",
            "type" => value == "checkbox",
            "start" => value.len() <= 10 && is_number(value),
            "align" => matches!(value, "left" | "center" | "right"),
            "class" => value.len() <= 64 && !value.contains(['<', '>', '"', '\'', '&']),
            "disabled" | "checked" => value.is_empty(),
            _ => false,
        };
        assert!(allowed.contains(&name) && is_good, "<{} {name}={value:?}>", tag.name);
    }
    let is_link = tag.attrs.iter().any(|attribute| &*attribute.name.local == "href");
    let has_rel = tag.attrs.iter().any(|attribute| &*attribute.name.local == "rel");
    assert!(!is_link || has_rel, "a link that opens without rel");
}
