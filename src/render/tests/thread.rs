//! The thread: what it makes, keeps and leaves out.

use std::sync::Arc;
use std::sync::mpsc::channel;

use super::super::{Renderer, VERSION};
use crate::patience::PATIENCE;
use crate::store::tests::Rig;
use crate::store::{self, Branch, Message, State};

/// A conversation with these texts, the last of it first asked for.
struct Talk {
    rig: Rig,
    renderer: Renderer,
    conversation_id: i64,
    leaf_id: i64,
}

impl Talk {
    fn new(texts: &[&str]) -> Talk {
        let rig = Rig::new();
        let ann = rig.user("ann").id;
        let conversation_id = rig.conversation(ann, 1);
        let ids: Vec<i64> = texts
            .iter()
            .map(|text| rig.message(conversation_id, ann, text))
            .collect();
        let renderer = Renderer::new(Arc::clone(&rig));
        Talk {
            renderer,
            conversation_id,
            leaf_id: ids[ids.len() - 1],
            rig,
        }
    }

    fn messages(&self) -> Vec<Message> {
        let branch = Branch {
            conversation_id: self.conversation_id,
            leaf_id: Some(self.leaf_id),
            before: None,
            limit: 500,
        };
        self.rig.read(|read| store::list_branch(read, &branch)).unwrap()
    }

    fn filled(&self, messages: Vec<Message>) -> Vec<Option<String>> {
        let (sender, filled) = channel();
        self.renderer
            .fill(messages, move |messages| sender.send(messages).unwrap());
        let messages = filled.recv_timeout(PATIENCE).unwrap();
        messages.into_iter().map(|message| message.html).collect()
    }

    fn kept(&self) -> usize {
        let ids: Vec<i64> = self.messages().iter().map(|message| message.id).collect();
        let kept = self.rig.read(|read| store::list_html(read, &ids, VERSION, usize::MAX));
        kept.unwrap().len()
    }

    /// Waits until the thread has done all that was given to it.
    fn settle(&self) {
        let (sender, settled) = channel();
        self.renderer.run(Box::new(move |_| sender.send(()).unwrap()));
        settled.recv_timeout(PATIENCE).unwrap();
        // What it has handed to the writer is done before this.
        self.rig.write(|_| Ok(())).unwrap();
    }
}

#[test]
fn messages_come_back_in_their_order_with_html_which_is_kept() {
    let talk = Talk::new(&["*a*\nb", "", "`c`"]);
    let expected = ["<p><em>a</em><br>\nb</p>\n", "", "<p><code>c</code></p>\n"].map(|html| Some(html.to_owned()));
    assert_eq!(talk.filled(talk.messages()), expected);
    talk.settle();
    assert_eq!(talk.kept(), 3);
    assert_eq!(talk.filled(talk.messages()), expected);
}

#[test]
fn what_is_being_written_is_shown_and_not_kept() {
    let talk = Talk::new(&["a", "b"]);
    let mut messages = talk.messages();
    messages[1].state = State::Streaming;
    messages[1].content.push_str(" **c");
    let expected = ["<p>a</p>\n", "<p>b **c</p>\n"].map(|html| Some(html.to_owned()));
    assert_eq!(talk.filled(messages), expected);
    talk.settle();
    assert_eq!(talk.kept(), 1);
}

/// Nobody is kept waiting behind others without bound, and nobody is refused: messages come as they are.
#[test]
fn who_comes_when_too_many_wait_does_without() {
    let talk = Talk::new(&["a"]);
    let (let_go, held) = channel::<()>();
    let (sender, started) = channel();
    talk.renderer.run(Box::new(move |_| {
        sender.send(()).unwrap();
        // Ends as well when the test has failed.
        let _let_go = held.recv();
    }));
    started.recv_timeout(PATIENCE).unwrap();
    for _ in 0..super::super::thread::QUEUE_TASKS_MAX {
        talk.renderer.run(Box::new(|_| {}));
    }
    assert_eq!(talk.filled(talk.messages()), [None]);
    drop(let_go);
    // As many as wait are done first, for this one waits itself.
    loop {
        if let [Some(html)] = &talk.filled(talk.messages())[..] {
            break assert_eq!(html, "<p>a</p>\n");
        }
        std::thread::yield_now();
    }
}

#[test]
fn nobody_waits_for_the_writer() {
    let talk = Talk::new(&["a"]);
    let (let_go, held) = channel::<()>();
    talk.rig.write_later(move |_| {
        // Ends as well when the test has failed.
        let _let_go = held.recv();
        Ok(())
    });
    for _ in 0..30 {
        assert_eq!(talk.filled(talk.messages()), [Some("<p>a</p>\n".to_owned())]);
    }
    drop(let_go);
    talk.settle();
    assert_eq!(talk.kept(), 1);
}

#[test]
fn a_task_that_panics_does_not_end_the_thread() {
    let talk = Talk::new(&["a"]);
    talk.renderer.run(Box::new(|_| panic!("a task of the render thread")));
    assert_eq!(talk.filled(talk.messages()), [Some("<p>a</p>\n".to_owned())]);
}
