//! Replies that are painted while they are written.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::super::{Block, Painter, Renderer};
use super::html;
use crate::patience::PATIENCE;
use crate::store::tests::Rig;

/// The looks that a painter has shown, each with the blocks that had changed.
struct Studio {
    renderer: Arc<Renderer>,
    _rig: Rig,
}

impl Studio {
    fn new() -> Studio {
        let rig = Rig::new();
        let renderer = Arc::new(Renderer::new(Arc::clone(&rig)));
        Studio { renderer, _rig: rig }
    }

    /// A painter that shows so many looks at most.
    fn painter(&self, mut looks: usize) -> (Painter, Receiver<Vec<Block>>) {
        let (sender, shown) = channel();
        let painter = Painter::new(&self.renderer, 7, move |blocks| {
            assert!(looks > 0, "shown to nobody");
            looks -= 1;
            drop(sender.send(blocks));
            looks > 0
        });
        (painter, shown)
    }
}

fn finish(painter: Painter) {
    let (sender, ended) = channel();
    painter.finish(move || sender.send(()).unwrap());
    ended.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn all_that_is_shown_adds_up_and_nothing_comes_after_it() {
    let studio = Studio::new();
    let text = "some *words*\n\n- a\n- b\n\n".repeat(200);
    let started = Instant::now();
    let (painter, shown) = studio.painter(usize::MAX);
    for piece in text.split_inclusive(' ') {
        painter.push(piece);
    }
    finish(painter);
    let took = started.elapsed();
    let looks: Vec<Vec<Block>> = shown.try_iter().collect();
    // The first at once, the last at the end, and 50 ms between the others.
    assert!(
        looks.len() as u128 <= took.as_millis() / 50 + 2,
        "{} looks in {took:?}",
        looks.len()
    );
    let mut blocks: Vec<String> = Vec::new();
    for Block { index, html } in looks.into_iter().flatten() {
        blocks.truncate(index);
        blocks.push(html);
    }
    assert_eq!(blocks.concat(), html(&text));
    assert!(shown.recv().is_err(), "somebody still shows something");
}

#[test]
fn what_comes_is_shown_though_nothing_comes_behind_it() {
    let studio = Studio::new();
    let (painter, shown) = studio.painter(usize::MAX);
    for text in ["a", " b", " c"] {
        painter.push(text);
        assert_eq!(shown.recv_timeout(PATIENCE).unwrap().len(), 1, "{text}");
    }
    finish(painter);
}

#[test]
fn nobody_is_shown_anything_who_does_not_look() {
    let studio = Studio::new();
    let (painter, shown) = studio.painter(1);
    painter.push("a");
    assert_eq!(shown.recv_timeout(PATIENCE).unwrap().len(), 1);
    painter.push("b");
    finish(painter);
    assert!(shown.recv().is_err());
}
