//! Inputs that are small to write and were meant to be large to read.

use std::time::{Duration, Instant};

use super::{html, inspect};

/// How long one may take; ten times of it when the machine is busy.
const TIME: Duration = Duration::from_secs(1);

/// The largest message that is rendered at all, and the largest that can be sent.
const SIZES: [usize; 2] = [256 * 1024, 1024 * 1024];

fn fill(piece: &str, bytes: usize) -> String {
    piece.repeat(bytes / piece.len())
}

fn halves(first: &str, second: &str, bytes: usize) -> String {
    fill(first, bytes / 2) + &fill(second, bytes / 2)
}

/// Lists in lists, 32 levels a line, and then many lines that all of them are asked about.
fn deep(bytes: usize) -> String {
    let mut text = String::new();
    for level in (0..).step_by(32) {
        let line = format!("{}{}\n", " ".repeat(3 * level), "1. ".repeat(32));
        if text.len() + line.len() > bytes / 2 {
            break;
        }
        text.push_str(&line);
    }
    text + &fill("a\n", bytes / 2)
}

fn counted(bytes: usize, piece: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for n in 0.. {
        let next = piece(n);
        if text.len() + next.len() > bytes {
            break;
        }
        text.push_str(&next);
    }
    text
}

/// Each repeated until it fills a message.
const PIECES: &[&str] = &[
    ">",
    "> ",
    "<div>",
    "<div>\n",
    "<b>",
    "</b>",
    "*a ",
    "**a *",
    "a**b c* ",
    "_*",
    "~~a ",
    "[a](",
    "[",
    "![",
    "![[]()",
    "](",
    "[a][b]",
    "[]()",
    "[a](http://b)",
    "<http://a>",
    "http://a ",
    "|",
    "`",
    "``` \n",
    "$",
    "$a",
    "$$a ",
    "${a",
    "&",
    "\"",
    "&amp;",
    "\\",
    "<!--",
    "<?",
    "<![CDATA[",
    "<a ",
    "<a b=\"c",
    "[^a]",
    "[^a]: ",
    "[^a]: x\n\n",
    "[a]: x\n",
    "[a]:\n",
    "- > ",
    "1. > - ",
    "- a\n",
    "- ",
    "-\n",
    "a\n-\n",
    "a\n=\n",
    "#",
    "# a\n",
    "a\n\n",
    "---\n",
    "\t",
    "\n",
    "(",
    "[ ] ",
    "- [ ] a\n",
    "![a](http://b)",
    "\u{202e}",
    "<br>",
    "a  \n",
    "'",
    "*",
    "_",
    "a_b*c",
    "\u{fdd0}",
    "1) ",
    "http",
    "https://)",
];

fn bombs(bytes: usize) -> Vec<(&'static str, String)> {
    let mut bombs: Vec<(&str, String)> = PIECES.iter().map(|piece| (*piece, fill(piece, bytes))).collect();
    bombs.extend([
        ("quotes, then short lines", halves("> ", "a\n", bytes)),
        ("items, then short lines", halves("- a ", "a\n", bytes)),
        (
            "- - - a, then short lines",
            fill("- ", bytes / 2) + &fill("a\n", bytes / 2),
        ),
        ("1. 1. 1., then short lines", halves("1. ", "a\n", bytes)),
        ("[^a]: [^a]:, then short lines", halves("[^a]: ", "a\n", bytes)),
        ("quotes, then quoted fences", halves("> ", "> ```\n", bytes)),
        ("lists in lists", deep(bytes)),
        ("emphasis opened, then closed", halves("*a ", "a* ", bytes)),
        ("emphasis of two kinds", halves("*a **b ", "c** d* ", bytes)),
        ("brackets opened, then closed", halves("[", "]", bytes)),
        ("brackets, then addresses", halves("[", "](a)", bytes)),
        (
            "runs of backticks",
            counted(bytes, |n| format!("{}a", "`".repeat(n + 1))),
        ),
        (
            "a long address for short names",
            format!(
                "[a]: http://{}\n\n{}",
                "x".repeat(bytes / 2 - 20),
                fill("[a] ", bytes / 2)
            ),
        ),
        ("many addresses", counted(bytes, |n| format!("[{n}]: http://x\n"))),
        (
            "many names of one address",
            format!("[a]: http://x\n\n{}", fill("[a]", bytes - 20)),
        ),
        ("many notes", counted(bytes, |n| format!("[^{n}]\n\n[^{n}]: x\n\n"))),
        (
            "many references to one note",
            format!("[^a]: x\n\n{}", fill("[^a]", bytes - 20)),
        ),
        ("notes in notes", counted(bytes, |n| format!("[^{n}]: [^{}]\n", n + 1))),
        ("a wide table of empty rows", {
            let columns = bytes / 8 - 1;
            format!(
                "{}|\n{}|\n{}",
                "|a".repeat(columns),
                "|-".repeat(columns),
                fill("|\n", bytes / 2)
            )
        }),
        (
            "a table of narrow columns",
            format!("{0}\n{0}\n{1}", "|-".repeat(50), fill("||||||||||\n", bytes - 210)),
        ),
        (
            "a long table",
            format!("|a|b|\n|-|-:|\n{}", fill("|1|2|\n", bytes - 20)),
        ),
        ("code of many colours", format!("```js\n{}", fill("1 ", bytes - 10))),
        ("little code, often", fill("```js\n1 '' if // a\n```\n", bytes)),
        ("one long line of code", format!("```rust\n{}", fill("'", bytes - 10))),
        (
            "lists, each one deeper",
            counted(bytes, |n| format!("{}- a\n", " ".repeat(2 * n))),
        ),
        (
            "a title that does not end",
            format!("[a]: x {}", fill("'a\n", bytes - 10)),
        ),
    ]);
    bombs
}

#[test]
fn what_is_meant_to_take_long_does_not() {
    let mut slowest = (Duration::ZERO, String::new());
    let mut largest = (0.0, String::new());
    for bytes in SIZES {
        for (name, text) in bombs(bytes) {
            assert!(text.len() <= bytes, "{name} has {} bytes", text.len());
            let started = Instant::now();
            let html = html(&text);
            let (took, growth) = (started.elapsed(), html.len() as f64 / text.len() as f64);
            if std::env::var_os("FIRESIDE_TEST_FIGURES").is_some() {
                eprintln!(
                    "{:>7.1} ms  {growth:4.1}×  {bytes:>7} B  {name:?}",
                    took.as_secs_f64() * 1e3
                );
            }
            assert!(took < TIME * 10, "{name:?}, {bytes} bytes: {took:?}");
            assert!(
                html.len() <= 8 * text.len() + 32 * 1024,
                "{name:?} has grown to {} bytes",
                html.len()
            );
            assert_eq!(inspect(&html), Ok(()), "{name:?}");
            if took > slowest.0 {
                slowest = (took, format!("{name:?} of {bytes} bytes"));
            }
            if growth > largest.0 {
                largest = (growth, format!("{name:?} of {bytes} bytes"));
            }
        }
    }
    eprintln!("the slowest: {slowest:?}; what grew most: {largest:?}");
}
