//! What people look for in the sea: kinds of questions, each asked with other words every time.

use std::time::{Duration, Instant};

use fireside::search::{Query, search};
use fireside::store::Page;

use super::{Dice, Language, Outcome, Sea};

/// Makes up a question, given some conversations, and how much of its answer is skipped.
type Ask = fn(&Language, &mut Dice, &[i64]) -> (String, i64);

/// A last word is open: it may be the beginning of another. (The words of the sea that are common have three letters or
/// more, and three begin some hundred of the others.)
pub(crate) const QUESTIONS: [(&str, Ask); 23] = [
    ("the commonest", |l, d, _| (l.near(d, 0).into(), 0)),
    ("the commonest, in quotes", |l, d, _| {
        (format!("\"{}\"", l.near(d, 0)), 0)
    }),
    ("common", |l, d, _| (l.near(d, 100).into(), 0)),
    ("rare", |l, d, _| (l.near(d, 50_000).into(), 0)),
    ("no such word", |_, d, _| (format!("zz{}", d.below(1000)), 0)),
    ("two of the commonest", |l, d, _| {
        (format!("{} {}", l.near(d, 0), l.near(d, 0)), 0)
    }),
    ("rare and commonest", |l, d, _| {
        (format!("{} {}", l.near(d, 30_000), l.near(d, 0)), 0)
    }),
    ("rare and a common beginning", |l, d, _| {
        (format!("{} {}", l.near(d, 30_000), begin(l.near(d, 0))), 0)
    }),
    ("less rare and a common beginning", |l, d, _| {
        (format!("{} {}", l.near(d, 3_000), begin(l.near(d, 0))), 0)
    }),
    ("common and a common beginning", |l, d, _| {
        (format!("{} {}", l.near(d, 300), begin(l.near(d, 0))), 0)
    }),
    ("beginning, 3 letters", |l, d, _| (begin(l.near(d, 100)).into(), 0)),
    ("phrase of common words", |l, d, _| {
        (format!("\"{} {}\"", l.near(d, 2), l.near(d, 10)), 0)
    }),
    ("phrase that ends in a common beginning", |l, d, _| {
        (format!("\"{} {}", l.near(d, 3_000), begin(l.near(d, 0))), 0)
    }),
    ("role: and commonest", |l, d, _| {
        (format!("role:user {}", l.near(d, 0)), 0)
    }),
    ("rare model: and commonest", |l, d, _| {
        (format!("model:rare {}", l.near(d, 0)), 0)
    }),
    ("rare model: and a common beginning", |l, d, _| {
        (format!("model:rare {}", begin(l.near(d, 0))), 0)
    }),
    ("in: and commonest", |l, d, ids| {
        (format!("in:{} {}", ids[d.below(ids.len())], l.near(d, 0)), 0)
    }),
    ("in: and a common beginning", |l, d, ids| {
        (format!("in:{} {}", ids[d.below(ids.len())], begin(l.near(d, 0))), 0)
    }),
    ("before: and commonest", |l, d, _| {
        (format!("before:2022-05 {}", l.near(d, 0)), 0)
    }),
    ("before: and a common beginning", |l, d, _| {
        (format!("before:2022-05 {}", begin(l.near(d, 0))), 0)
    }),
    ("filter alone", |_, _, _| ("role:assistant".into(), 0)),
    ("commonest, page behind 1 000", |l, d, _| {
        (format!("in:messages {}", l.near(d, 0)), 1_500)
    }),
    ("common beginning, page behind 1 000", |l, d, _| {
        (format!("in:messages {}", begin(l.near(d, 0))), 1_500)
    }),
];

fn begin(word: &str) -> &str {
    &word[..3]
}

/// How long searches took, and what they found on an average page.
pub(crate) struct Asked {
    /// By the clock, the quickest first.
    pub(crate) times: Vec<Duration>,
    /// The processor's, likewise: what the clock would say on a machine that does nothing else. None where there is no
    /// `/proc`.
    pub(crate) cpu_times: Vec<Duration>,
    pub(crate) found: f64,
}

/// A percentile of times in their order, in milliseconds.
pub(crate) fn ms(times: &[Duration], hundredths: usize) -> f64 {
    let time = times.get(times.len() * hundredths / 100);
    time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// What this thread has had of the processor.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

/// Asks so many questions of one kind, in this process, as the route does.
pub(crate) fn ask(sea: &mut Sea, ask: Ask, count: usize) -> Outcome<Asked> {
    let own = sea.own_conversations();
    let (mut times, mut cpu_times, mut found) = (Vec::new(), Vec::new(), 0);
    for _ in 0..count {
        let (text, offset) = ask(&sea.language, &mut sea.dice, &own);
        let (cpu_before, begin) = (cpu_time(), Instant::now());
        let query = Query::parse(&text).map_err(|bad| bad.0)?;
        let page = Page { limit: 30, offset };
        let page = search(&sea.store, sea.owner(), &query, page).map_err(|refusal| format!("{refusal:?}"))?;
        found += page.len();
        times.push(begin.elapsed());
        cpu_times.extend(cpu_time().zip(cpu_before).map(|(after, before)| after - before));
    }
    times.sort_unstable();
    cpu_times.sort_unstable();
    let found = f64::from(u32::try_from(found)?) / f64::from(u32::try_from(count)?);
    Ok(Asked {
        times,
        cpu_times,
        found,
    })
}
