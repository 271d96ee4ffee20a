//! What a model is told of what was sent.

use super::*;
use crate::reading::Until;
use crate::store::{Attachment, NewAttachment, Reading, Tx};

/// A model that keeps what it is told.
#[derive(Default)]
struct Listener {
    heard: Mutex<Vec<PromptMessage>>,
}

impl Provider for Listener {
    fn name(&self) -> &str {
        "listener"
    }

    fn instant(&self) -> bool {
        false
    }

    fn complete(
        &self,
        prompt: &Prompt,
        stop: &Stop,
        on_delta: &mut dyn FnMut(Delta<'_>),
    ) -> Result<Completion, Failure> {
        self.heard.lock().unwrap().clone_from(&prompt.messages);
        if stop.is_stopped() {
            return Err(stopped());
        }
        on_delta(Delta::Text("I see"));
        Ok(Completion {
            provider: "test".into(),
            model: "listener".into(),
            finish_reason: None,
            usage: Usage::estimate(prompt, 1),
        })
    }
}

impl Rig {
    /// An upload that was not sent yet.
    fn upload(&self, filename: &str, content_type: &str, bytes: &[u8]) -> Attachment {
        let new = NewAttachment {
            uuid: Clock.uuid(),
            user_id: self.user.id,
            filename: filename.into(),
            content_type: content_type.into(),
            created_at: Clock.now().text(),
        };
        self.stored.store.keep_file(&new, u64::MAX, || bytes).unwrap()
    }

    /// Sends a text with files, and returns what a model was told.
    fn told(&self, to: &Target, text: &str, files: &[Attachment]) -> Vec<PromptMessage> {
        let listener = Arc::new(Listener::default());
        let provider: Arc<dyn Provider> = Arc::<Listener>::clone(&listener);
        let choice = Choice {
            provider,
            model: "listener".into(),
        };
        let (answer, answered) = channel();
        let ask = Ask {
            attachments: files.iter().map(|file| file.id).collect(),
            ..self.ask(to, text, choice)
        };
        self.turns
            .begin(ask, Box::new(move |outcome| drop(answer.send(outcome))));
        outcome(&answered).expect("a reply");
        let heard = listener.heard.lock().unwrap();
        heard.clone()
    }
}

/// The text of the last message.
#[track_caller]
fn last(told: &[PromptMessage]) -> &str {
    &told.last().expect("a message").content
}

#[test]
fn a_picture_needs_no_words() {
    let rig = Rig::new();
    let to = rig.conversation();
    let png = b"\x89PNG\r\n\x1a\n";
    let first = rig.told(&to, "", &[rig.upload("a.png", "image/png", png)]);
    rig.told(&to, "", &[]);
    let later = rig.told(&to, "And this?", &[rig.upload("b.png", "image/png", png)]);
    let names = |told: &[PromptMessage]| -> Vec<(String, Vec<String>)> {
        let of = |message: &PromptMessage| message.images.iter().map(|image| image.filename.clone()).collect();
        told.iter()
            .map(|message| (message.content.clone(), of(message)))
            .collect()
    };
    let a = || (String::new(), vec!["a.png".to_owned()]);
    assert_eq!(names(&first), [a()]);
    let reply = || ("I see".to_owned(), Vec::new());
    let b = ("And this?".to_owned(), vec!["b.png".to_owned()]);
    // The message without anything in it is left out.
    assert_eq!(names(&later), [a(), reply(), reply(), b]);
    let image = &later[0].images[0];
    assert_eq!((image.fetch)().as_deref(), Some(&png[..]));
    assert_eq!(context::text(&later[..2]), "user: [a.png]\n---\nassistant: I see");
}

/// Which of the two a model gets, its provider decides.
#[test]
fn a_document_goes_along_as_a_file_and_as_its_text() {
    let rig = Rig::new();
    let to = rig.conversation();
    let upload = |name: &str, bytes: &[u8]| {
        let file = rig.upload(name, "application/pdf", bytes);
        let (id, text) = (file.id, Reading::Text(format!("It says {name}")));
        let save = move |tx: &Tx<'_>| store::save_reading(tx, id, &text);
        rig.stored.store.write(save).unwrap();
        file
    };
    let pdf = b"%PDF-1.4";
    let large = [&pdf[..], &vec![b' '; 5 * 1024 * 1024]].concat();
    let told = rig.told(&to, "Read", &[upload("a.pdf", pdf), upload("b.pdf", &large)]);
    let message = told.last().expect("a message");
    let text = |name: &str| format!("\n\n<attachment name=\"{name}\">\nIt says {name}\n</attachment>");
    assert_eq!(message.content, format!("Read{}", text("b.pdf")));
    let [document] = &message.documents[..] else {
        panic!("{message:?}");
    };
    assert_eq!(
        (document.filename.as_str(), document.text.clone()),
        ("a.pdf", text("a.pdf"))
    );
    assert_eq!((document.fetch)().as_deref(), Some(&pdf[..]));
    // What only says that it is one is not sent as one.
    let told = rig.told(&rig.conversation(), "", &[upload("c.pdf", b"words")]);
    let message = told.last().expect("a message");
    assert_eq!((message.content.as_str(), message.documents.len()), ("", 1));
    assert_eq!((message.documents[0].fetch)(), None);
}

#[test]
fn a_file_that_is_gone_costs_its_text_and_not_the_reply() {
    let rig = Rig::new();
    let to = rig.conversation();
    let file = rig.upload("a.txt", "text/plain", b"AAA");
    rig.stored.batch("ALTER TABLE blobs RENAME TO lost");
    let told = rig.told(&to, "question", &[file]);
    let wanted = "question\n\n[A file was attached: a.txt. Its text is missing: it could not be read just now.]";
    assert_eq!(last(&told), wanted);
}

/// The route is a GET, answered by threads of which there are few.
#[test]
fn whoever_looks_at_the_context_reads_no_file() {
    let rig = Rig::new();
    let to = rig.conversation();
    let Target::Existing { id, .. } = &to else {
        unreachable!()
    };
    let context = || {
        let which = Ref::Id(*id);
        let find = |read: &store::Read<'_>| store::find_conversation(read, rig.user.id, &which);
        let conversation = rig.stored.store.read(find).unwrap();
        rig.turns.context(&rig.user, &conversation).unwrap()
    };
    let ask = Ask {
        attachments: vec![rig.upload("a.txt", "text/plain", b"AAA").id],
        ..rig.ask(&to, "question", choice(true, |_, _| Ok(())))
    };
    rig.turns.begin(ask, Box::new(|outcome| drop(outcome.unwrap())));
    assert!(
        context().contains("Its text is missing: it has not been read yet."),
        "{}",
        context()
    );
    assert_eq!(rig.rows("attachments WHERE text IS NOT NULL OR problem IS NOT NULL"), 0);
    rig.told(&to, "next", &[]);
    assert!(context().contains("AAA"), "{}", context());
}

#[test]
fn a_reply_that_is_stopped_reads_no_file() {
    let rig = Rig::new();
    let to = rig.conversation();
    let file = rig.upload("a.txt", "text/plain", b"AAA");
    let (reader, deadline) = (Reader::default(), Instant::now() + PATIENCE);
    let read = |is_stopped: bool| {
        let until = Until {
            deadline,
            is_stopped: &|| is_stopped,
        };
        let mut branch = rig.turns.branch(1, Some(1)).unwrap();
        let files = attached::Source::Files(&reader, until);
        attached::read_into(&rig.stored.store, files, &mut branch).unwrap();
        branch.swap_remove(0).content
    };
    let ask = Ask {
        attachments: vec![file.id],
        ..rig.ask(&to, "question", choice(true, |_, _| Ok(())))
    };
    rig.turns.begin(ask, Box::new(|outcome| drop(outcome.unwrap())));
    assert!(read(true).contains("could not be read just now"));
    assert!(read(false).contains("AAA"));
}
