//! Markdown to HTML that may stand in a page.

use divan::Bencher;
use divan::counter::BytesCount;
use fireside::render::{Breaks, Source, render};

const REPLY: &str = "It goes on in **three** steps, see [the page](https://example.org/a?b=c):\n\n1. One, with `code`\n\
    2. Two, *with stress*\n3. Three\n\n> Somebody said so.\n\n| fjord | bay |\n|---|---|\n| deep | wide |\n\n";

const CODE: &str = "```rust\nfn main() {\n    let words: Vec<&str> = \"a b c\".split(' ').collect();\n    \
    for (at, word) in words.iter().enumerate() {\n        println!(\"{at}: {word} // {}\", 0x2a + 1);\n    }\n}\n```\n\n";

fn measure(bencher: Bencher<'_, '_>, text: &str) {
    bencher.counter(BytesCount::of_str(text)).bench(|| {
        render(&Source {
            text,
            message_id: 1,
            breaks: Breaks::Folded,
        })
    });
}

#[divan::bench]
fn typical(bencher: Bencher<'_, '_>) {
    measure(bencher, &format!("{REPLY}{CODE}And that is all.\n"));
}

#[divan::bench]
fn long(bencher: Bencher<'_, '_>) {
    measure(bencher, &REPLY.repeat(200));
}

#[divan::bench]
fn code_heavy(bencher: Bencher<'_, '_>) {
    measure(bencher, &format!("Here:\n\n{}", CODE.repeat(60)));
}
