//! A text that grows, cut at every character, by those who read along.

use std::time::Instant;

use super::super::{Block, Growing};
use super::{html, inspect};

/// Puts together what it is shown.
#[derive(Default)]
struct Reader {
    blocks: Vec<String>,
    /// Blocks that may not change any more.
    ended: usize,
}

impl Reader {
    fn take(&mut self, changed: Vec<Block>) {
        for Block { index, html } in changed {
            assert_eq!(inspect(&html), Ok(()), "{html}");
            assert!(
                index >= self.ended && index <= self.blocks.len(),
                "block {index} of {:?}",
                self.blocks
            );
            self.ended = index;
            self.blocks.truncate(index);
            self.blocks.push(html);
        }
    }
}

/// What one reads in the end who reads along, in pieces of so many characters.
#[track_caller]
fn grown(text: &str, step: usize) -> String {
    let (mut growing, mut reader) = (Growing::new(7), Reader::default());
    let ends: Vec<usize> = text.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
    for (n, end) in ends.iter().enumerate() {
        if n % step == 0 || n + 1 == ends.len() {
            reader.take(growing.look(&text[..*end]));
        }
    }
    reader.blocks.concat()
}

/// What ends as it began, whatever comes after it.
const TEXTS: &[&str] = &[
    "",
    "a",
    "one\ntwo\n\nthree  \nfour\n",
    "# Title\ntext\nSetext\n===\nmore\n---\n\n---\n***\nend",
    "- a\n- b\n\n- c\n  - d\n\n    e\n\nf\n* g\n+ h\n1. i\n2. j\n\n\n3) k",
    "text\n- a\n  lazy\nlazy\n\n      code in an item\n    not code\n",
    "```rust\nfn main() {\n\n    let a = \"b\";\n}\n```\nafter\n~~~\nopen\n\n# no heading",
    "    indented\n\n    code\ntext\n    continued\n\n\tcode",
    "# a\n    code\n\n> q\nlazy\n> > r\n\n> s\n\nt",
    "| a | b |\n|---|--:|\n| 1 | 2 |\n3 | 4\n\nafter\n| a | b |\ntext",
    "text\na | b\n--|--\nc | d\n# e",
    "<div>\n*a*\n\n*b*\n</div>\n<!-- c\n\nd -->\ne <br> f\n<script>\n\ng</script>\nh",
    "**bold *both* bold** `code` ~~gone~~ [a](http://b) ![c](http://d) <http://e> http://f.g/h_i.",
    "$x$ and $$\ny\n$$\n\n$$z$$\n\nprices: $5, $6",
    "- [x] done\n- [ ] open\n\ntext\n\n1. one\n\n   two\n\n   ```\n   three\n   ```\n4. four",
    "é☃ \u{1f600}\n\n- ü\n\n\u{202e}x\r\ny\r\n\r\nz",
    "&amp; &lt;b&gt; \\* \\\\ \\\n&copy\n\n&#0;",
    "a\n\n\n\n\nb\n \n\t\nc",
    "*open\n\nnever closed**\n\n`nor this\n\n[nor](this\n\n<nor",
    "1. a\n1. b\n- c\n\n  d\n\n\n  e\nf\n\n-\n\n- g",
    "```\ra\n~~~\n    b\n```\ra\n~~~\n    c\n",
];

#[test]
fn blocks_that_are_put_together_are_the_whole() {
    for text in TEXTS {
        for step in [1, 2, 3, 7, 40, 1000] {
            assert_eq!(grown(text, step), html(text), "{text:?} in pieces of {step}");
        }
    }
    let all = TEXTS.join("\n\n");
    assert_eq!(grown(&all, 5), html(&all));
}

/// Any two, one behind the other: what ends the first begins the second.
#[test]
fn texts_that_follow_each_other_are_the_whole() {
    for first in TEXTS {
        for second in TEXTS {
            let text = format!("{first}\n{second}");
            assert_eq!(grown(&text, 3), html(&text), "{text:?}");
        }
    }
}

/// What stands in another block than what it belongs to is told at the end alone.
#[test]
fn names_of_other_blocks_are_words_until_the_end() {
    assert_eq!(grown("[a]\n\nb\n\n[a]: http://c", 1), "<p>[a]</p>\n<p>b</p>\n");
    assert_eq!(grown("a[^1]\n\n[^1]: b\n\nc", 1), "<p>a[^1]</p>\n<p>c</p>\n");
}

#[test]
fn blocks_that_have_ended_are_not_made_again() {
    let mut growing = Growing::new(7);
    let block = |index, html: &str| Block {
        index,
        html: html.to_owned(),
    };
    assert_eq!(growing.look("a"), [block(0, "<p>a</p>\n")]);
    assert_eq!(growing.look("a\n"), []);
    assert_eq!(growing.look("a\n\n# b"), [block(0, "<p>a</p>\n<h1>b</h1>\n")]);
    assert_eq!(
        growing.look("a\n\n# b\n"),
        [block(0, "<p>a</p>\n"), block(1, "<h1>b</h1>\n")]
    );
    assert_eq!(
        growing.look("a\n\n# b\n- c"),
        [block(1, "<h1>b</h1>\n<ul>\n<li>c</li>\n</ul>\n")]
    );
    assert_eq!(
        growing.look("a\n\n# b\n- c\n***\nd\n"),
        [
            block(1, "<h1>b</h1>\n"),
            block(2, "<ul>\n<li>c</li>\n</ul>\n"),
            block(3, "<hr>\n"),
            block(4, "<p>d</p>\n")
        ]
    );
}

/// A long answer of short blocks costs what it is long, not its square.
#[test]
fn what_has_ended_is_not_read_again() {
    let text = "some *words* and `code`\n\n".repeat(8000);
    let started = Instant::now();
    let mut growing = Growing::new(7);
    for end in (0..=text.len()).step_by(50) {
        growing.look(&text[..end]);
    }
    // Read from the beginning every time, it would be 400 MB.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
