//! Markdown that nobody wrote: pieces that mean something, thrown together by a seeded die, and cut and changed.

use super::{html, inspect};
use crate::render::clean::clean;

const PIECES: &[&str] = &[
    "*",
    "**",
    "_",
    "~~",
    "`",
    "``",
    "```\n",
    "```js\n",
    "~~~\n",
    "\n",
    "\n\n",
    "  \n",
    "    ",
    "\t",
    "> ",
    "- ",
    "+ ",
    "1. ",
    "99) ",
    "- [x] ",
    "# ",
    "### ",
    "===\n",
    "---\n",
    "|",
    "|-|-|\n",
    ":-:|",
    "[",
    "]",
    "(",
    ")",
    "![",
    "](",
    "](http://a)",
    "](javascript:x)",
    "][r]",
    "[r]: http://r\n",
    "[^n]",
    "[^n]: ",
    "<",
    ">",
    "</",
    "<b>",
    "<br>",
    "<div>\n",
    "<!--",
    "-->",
    "<a href=\"",
    "\"",
    "'",
    "<script>",
    "<http://u>",
    "<u@v.w>",
    "http://x.y/z",
    "&",
    "&lt;",
    "&#60;",
    "&colon;",
    "\\",
    "$",
    "$$",
    "{",
    "}",
    ":",
    "a",
    "b c",
    "é",
    "\u{1f600}",
    "\u{202e}",
    "\u{0}",
    "\u{fdd0}",
    "\r\n",
    "0",
];

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let thrown = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(thrown).unwrap() % bound.max(1)
    }
}

#[test]
fn whatever_is_written_what_comes_is_well_formed_and_clean() {
    let mut dice = Dice(0x0f1e_51de);
    for _ in 0..4000 {
        let mut text: String = (0..dice.below(60)).map(|_| PIECES[dice.below(PIECES.len())]).collect();
        for _ in 0..dice.below(4) {
            let cut = text.floor_char_boundary(dice.below(text.len() + 1));
            let tail = text.split_off(cut);
            let again = tail.repeat(dice.below(3));
            text.push_str(&again);
        }
        let html = html(&text);
        assert_eq!(inspect(&html), Ok(()), "{text:?} became {html}");
        assert_eq!(clean(&html), html, "cleaned again: {text:?}");
    }
}
