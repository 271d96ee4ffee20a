//! What listing, opening, sending and searching take among 1 000 to 1 000 000 messages, in this process: the store's own
//! work, without HTTP. Prints a table, draws it (`cargo bench --bench growth -- --draw FILE`) and asserts nothing;
//! `-- 100000` stops at so many messages. Four out of five messages are those of the user who does all this.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

#[expect(dead_code, reason = "what is found is told elsewhere")]
mod sea;

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use fireside::clock::Clock;
use fireside::store::{
    Branch, MessageDetails, NewMessage, Page, Ref, Role, State, find_conversation, insert_message, list_branch,
    list_conversations_pinned_first,
};

use sea::questions::{QUESTIONS, ask, ms};
use sea::{Folder, Outcome, Sea};

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// How often each thing is done at each size, and each kind of search.
const TIMES: usize = 500;
const SEARCHES: usize = 100;

/// The page of messages that is opened.
const PAGE: i64 = 20;

/// What a search may take.
const SEARCH_MS_MAX: f64 = 50.0;

const NAMES: [&str; 4] = ["list", "open", "send", "search"];

/// Milliseconds: the median, and the 99th percentile; of searches that of the slowest kind.
type Figures = [(f64, f64); 4];

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if !words.iter().any(|word| word == "--bench") {
        // `cargo test --benches`: there is nothing to test.
        return Ok(());
    }
    let most = words.iter().find_map(|word| word.parse().ok()).unwrap_or(usize::MAX);
    let folder = Folder::make()?;
    let mut sea = Sea::new(&folder)?;
    let mut rows: Vec<(usize, Figures)> = Vec::new();
    println!("| messages | list 50 | open | send | search | the slowest search |");
    println!("|--:|--:|--:|--:|--:|---|");
    for size in SIZES.into_iter().filter(|size| *size <= most) {
        sea.fill(size)?;
        let (found, slowest) = search(&mut sea)?;
        let figures = [list(&sea)?, open(&mut sea)?, send(&mut sea)?, found];
        let [list, open, send, search] = figures.map(|(p50, p99)| format!("{p50:.2} / {p99:.2}"));
        println!("| {size} | {list} | {open} | {send} | {search} | {slowest} |");
        rows.push((size, figures));
    }
    println!("\nmilliseconds, p50 / p99; {}", load());
    let draw_to = words.iter().skip_while(|word| *word != "--draw").nth(1);
    if let Some(path) = draw_to {
        fs::write(path, draw(&rows))?;
    }
    Ok(())
}

/// How busy the machine is.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("the machine's load: {}", load.split(' ').next().unwrap_or("?"))
}

fn percentiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    (ms(&times, 50), ms(&times, 99))
}

fn list(sea: &Sea) -> Outcome<(f64, f64)> {
    let page = Page { limit: 50, offset: 0 };
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let begin = Instant::now();
        sea.store
            .read(|read| list_conversations_pinned_first(read, sea.owner(), page, |listed| listed.uuid.to_owned()))?;
        times.push(begin.elapsed());
    }
    Ok(percentiles(times))
}

/// Any of the conversations, old or new.
fn open(sea: &mut Sea) -> Outcome<(f64, f64)> {
    let own = sea.own_conversations();
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let id = Ref::Id(own[sea.dice.below(own.len())]);
        let begin = Instant::now();
        sea.store.read(|read| {
            let conversation = find_conversation(read, sea.owner(), &id)?;
            let branch = Branch {
                conversation_id: conversation.id,
                leaf_id: conversation.leaf_id,
                before: None,
                limit: PAGE,
            };
            list_branch(read, &branch)
        })?;
        times.push(begin.elapsed());
    }
    Ok(percentiles(times))
}

/// A question and its reply, until both are on disk. What was sent before is indexed meanwhile.
fn send(sea: &mut Sea) -> Outcome<(f64, f64)> {
    let own = sea.own_conversations();
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let (conversation_id, user_id) = (own[sea.dice.below(own.len())], sea.owner());
        let rows = [(Role::User, 15), (Role::Assistant, 80)].map(|(role, words)| NewMessage {
            uuid: Clock.uuid(),
            conversation_id,
            user_id,
            role,
            content: sea.language.text(&mut sea.dice, words),
            state: State::Complete,
            model: None,
            error: None,
            created_at: Clock.now().text(),
            details: MessageDetails::default(),
        });
        let begin = Instant::now();
        sea.store.write(move |tx| {
            for row in &rows {
                insert_message(tx, row, None, None)?;
            }
            Ok(())
        })?;
        times.push(begin.elapsed());
    }
    Ok(percentiles(times))
}

/// Every kind of question: the median of their medians, and the slowest.
fn search(sea: &mut Sea) -> Outcome<((f64, f64), &'static str)> {
    let mut medians = Vec::new();
    let mut slowest = (0.0, "");
    for (name, question) in QUESTIONS {
        let asked = ask(sea, question, SEARCHES)?;
        medians.push(ms(&asked.times, 50));
        let slow = ms(&asked.times, 99);
        if slow > slowest.0 {
            slowest = (slow, name);
        }
    }
    medians.sort_by(f64::total_cmp);
    Ok(((medians[medians.len() / 2], slowest.0), slowest.1))
}

/// The plane that is drawn in, and what its edges stand for: both axes are logarithmic.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 600.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 344.0;
const MESSAGES: (f64, f64) = (1e3, 1e6);
const MS: (f64, f64) = (0.01, 100.0);

/// Told apart on white and on black, and by those who see fewer colours.
const COLOURS: [&str; 4] = ["#3b82c4", "#2e9e78", "#c27c1a", "#c2559a"];

fn x(messages: f64) -> f64 {
    LEFT + (messages / MESSAGES.0).log10() / (MESSAGES.1 / MESSAGES.0).log10() * (RIGHT - LEFT)
}

fn y(ms: f64) -> f64 {
    let share = (ms.clamp(MS.0, MS.1) / MS.0).log10() / (MS.1 / MS.0).log10();
    BOTTOM - share * (BOTTOM - TOP)
}

fn draw(rows: &[(usize, Figures)]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title>What listing, opening, sending and searching take as messages grow</title>\n\
         <style>text {{ fill: #57606a }} .axis {{ stroke: #8b949e; stroke-opacity: .35 }} \
         @media (prefers-color-scheme: dark) {{ text {{ fill: #9da7b3 }} }}</style>\n"
    );
    axes(&mut svg);
    let mut labels: Vec<(f64, usize)> = Vec::new();
    for (index, name) in NAMES.iter().enumerate() {
        let line = |pick: fn(&(f64, f64)) -> f64| -> Vec<String> {
            let place = |(size, figures): &(usize, Figures)| {
                let size = u32::try_from(*size).map_or(f64::NAN, f64::from);
                format!("{:.1},{:.1}", x(size), y(pick(&figures[index])))
            };
            rows.iter().map(place).collect()
        };
        let (median, slow) = (line(|(p50, _)| *p50), line(|(_, p99)| *p99));
        let colour = COLOURS[index];
        push(
            &mut svg,
            &format!(
                "<g fill=\"none\" stroke=\"{colour}\"><title>{name}</title>\
                 <polyline stroke-width=\"2.5\" points=\"{}\"/>\
                 <polyline stroke-width=\"1.5\" stroke-dasharray=\"5 4\" points=\"{}\"/></g>",
                median.join(" "),
                slow.join(" ")
            ),
        );
        let last = rows.last().map_or(f64::NAN, |(_, figures)| figures[index].0);
        labels.push((y(last), index));
    }
    // From below upwards, each at least a line above the one before.
    labels.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut free = f64::INFINITY;
    for (at, index) in labels {
        let at = at.min(free - 16.0);
        free = at;
        let (colour, name) = (COLOURS[index], NAMES[index]);
        push(
            &mut svg,
            &format!(
                "<text x=\"{}\" y=\"{:.1}\" style=\"fill: {colour}\" font-weight=\"600\">{name}</text>",
                RIGHT + 10.0,
                at + 4.0
            ),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String) {
    for (ms, label) in [
        (0.01, "0.01 ms"),
        (0.1, "0.1 ms"),
        (1.0, "1 ms"),
        (10.0, "10 ms"),
        (100.0, "100 ms"),
    ] {
        let (at, end) = (y(ms), LEFT - 8.0);
        push(
            svg,
            &format!(
                "<path class=\"axis\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/>\
                 <text x=\"{end}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                at + 4.0
            ),
        );
    }
    for (messages, label) in [(1e3, "1 000"), (1e4, "10 000"), (1e5, "100 000"), (1e6, "1 000 000")] {
        let at = x(messages);
        push(
            svg,
            &format!(
                "<path class=\"axis\" d=\"M{at:.1} {TOP}V{BOTTOM}\"/>\
                 <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                BOTTOM + 20.0
            ),
        );
    }
    push(
        svg,
        &format!(
            "<path stroke=\"#c2559a\" stroke-dasharray=\"1 5\" d=\"M{LEFT} {0:.1}H{RIGHT}\"/>\
             <text x=\"{1}\" y=\"{2:.1}\">search: at most 50 ms</text>\
             <text x=\"{3}\" y=\"{4}\" text-anchor=\"middle\">messages in the database; \
             whole lines: the median, dashed: 99 of 100 are quicker</text>",
            y(SEARCH_MS_MAX),
            LEFT + 6.0,
            y(SEARCH_MS_MAX) - 5.0,
            (LEFT + RIGHT) / 2.0,
            BOTTOM + 44.0
        ),
    );
}

fn push(svg: &mut String, line: &str) {
    // Writing to a string does not fail.
    writeln!(svg, "{line}").ok();
}
