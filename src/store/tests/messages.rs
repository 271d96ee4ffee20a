//! Messages: the branch that is shown, and paging through it.

mod replies;

use super::super::{Message, delete_conversation, find_message, mark_read};
use super::*;

impl Rig {
    /// A page of the branch that ends at `leaf_id`.
    fn page(&self, conversation_id: i64, leaf_id: i64, before: Option<Ref>, limit: i64) -> Vec<Message> {
        let branch = Branch {
            conversation_id,
            leaf_id: Some(leaf_id),
            before,
            limit,
        };
        self.read(|read| list_branch(read, &branch)).unwrap()
    }

    /// A conversation of `ann`, with these texts as its messages.
    fn talk(&self, texts: &[&str]) -> Talk {
        let ann = self.user("ann").id;
        let id = self.conversation(ann, 1);
        let messages = texts.iter().map(|text| self.message(id, ann, text)).collect();
        Talk { ann, id, messages }
    }

    /// What lists say of a conversation's end.
    fn end(&self, talk: &Talk) -> (i64, String, Option<String>) {
        let name = Ref::Id(talk.id);
        let found = self.read(|read| find_conversation(read, talk.ann, &name)).unwrap();
        (found.message_count, found.last_message_content, found.last_message_time)
    }
}

struct Talk {
    ann: i64,
    id: i64,
    messages: Vec<i64>,
}

fn ids(page: &[Message]) -> Vec<i64> {
    page.iter().map(|message| message.id).collect()
}

#[test]
fn a_branch_is_listed_oldest_first_from_its_end() {
    let rig = Rig::new();
    let talk = rig.talk(&["a", "b", "c", "d", "e"]);
    let [.., d, e] = talk.messages[..] else { unreachable!() };
    assert_eq!(rig.branch(talk.id, talk.ann), ["a", "b", "c", "d", "e"]);
    assert_eq!(ids(&rig.page(talk.id, e, None, 2)), [d, e]);
    let page = rig.page(talk.id, e, None, 50);
    let parents: Vec<Option<i64>> = page.iter().map(|message| message.parent_id).collect();
    let expected: Vec<Option<i64>> = std::iter::once(None)
        .chain(talk.messages.iter().copied().map(Some))
        .collect();
    assert_eq!(parents, expected[..5]);
}

#[test]
fn before_is_either_id() {
    let rig = Rig::new();
    let talk = rig.talk(&["a", "b", "c", "d"]);
    let [a, b, c, d] = talk.messages[..] else {
        unreachable!()
    };
    let uuid = rig.page(talk.id, c, None, 1)[0].uuid.clone();
    for before in [Ref::Id(c), Ref::Uuid(uuid)] {
        assert_eq!(ids(&rig.page(talk.id, d, Some(before.clone()), 50)), [a, b]);
        assert_eq!(ids(&rig.page(talk.id, d, Some(before), 1)), [b]);
    }
    let nothing: [i64; 0] = [];
    assert_eq!(ids(&rig.page(talk.id, d, Some(Ref::Id(a)), 50)), nothing);
    for unknown in [Ref::Id(99), Ref::Uuid("c".into())] {
        assert_eq!(ids(&rig.page(talk.id, d, Some(unknown), 50)), nothing);
    }
    // Another conversation's message is unknown here.
    let other = rig.conversation(talk.ann, 2);
    rig.message(other, talk.ann, "z");
    let last = rig.message(other, talk.ann, "y");
    assert_eq!(ids(&rig.page(talk.id, d, Some(Ref::Id(last)), 50)), nothing);
}

#[test]
fn an_empty_conversation_has_an_empty_branch() {
    let rig = Rig::new();
    let talk = rig.talk(&[]);
    assert_eq!(rig.branch(talk.id, talk.ann), [""; 0]);
    assert_eq!(rig.end(&talk), (0, String::new(), None));
}

#[test]
fn siblings_are_not_shown() {
    let rig = Rig::new();
    let talk = rig.talk(&["question", "first answer", "thanks"]);
    let question = talk.messages[0];
    let again = new_message(talk.id, talk.ann, "second answer");
    let again = rig.insert(again, Some(question)).unwrap();
    assert_eq!(rig.branch(talk.id, talk.ann), ["question", "second answer"]);
    let next = rig.message(talk.id, talk.ann, "and then");
    assert_eq!(rig.branch(talk.id, talk.ann), ["question", "second answer", "and then"]);
    assert_eq!(ids(&rig.page(talk.id, next, None, 50)), [question, again, next]);
    // The other branch is still there for whoever asks for its end.
    assert_eq!(ids(&rig.page(talk.id, talk.messages[2], None, 50)), talk.messages);
}

#[test]
fn paging_back_through_a_thousand_messages_finds_each_once() {
    let rig = Rig::new();
    let talk = rig.talk(&[]);
    let (ann, id) = (talk.ann, talk.id);
    let texts: Vec<NewMessage> = (0..1000)
        .map(|number| new_message(id, ann, &number.to_string()))
        .collect();
    let leaf = rig
        .write(move |tx| {
            let mut leaf = 0;
            for new in &texts {
                leaf = insert_message(tx, new, None, None)?;
            }
            Ok(leaf)
        })
        .unwrap();
    let mut pages = Vec::new();
    let mut before = None;
    loop {
        let page = rig.page(id, leaf, before, 37);
        let Some(oldest) = page.first() else {
            break;
        };
        assert!(page.len() == 37 || oldest.parent_id.is_none());
        before = Some(if pages.len() % 2 == 0 {
            Ref::Id(oldest.id)
        } else {
            Ref::Uuid(oldest.uuid.clone())
        });
        pages.push(page);
    }
    let texts: Vec<String> = pages
        .into_iter()
        .rev()
        .flatten()
        .map(|message| message.content)
        .collect();
    let expected: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    assert_eq!(texts, expected);
    assert_eq!(rig.end(&talk).0, 1000);
}

#[test]
fn a_page_ends_before_it_grows_too_large() {
    let rig = Rig::new();
    let talk = rig.talk(&[]);
    let large = "x".repeat(3 * 1024 * 1024);
    let messages: Vec<i64> = (0..5).map(|_| rig.message(talk.id, talk.ann, &large)).collect();
    let newest = rig.page(talk.id, messages[4], None, 50);
    assert_eq!(ids(&newest), messages[3..]);
    let older = rig.page(talk.id, messages[4], Some(Ref::Id(messages[3])), 50);
    assert_eq!(ids(&older), messages[1..3]);
    // One that is larger than a page is a page.
    let huge = rig.message(talk.id, talk.ann, &"x".repeat(9 * 1024 * 1024));
    assert_eq!(ids(&rig.page(talk.id, huge, None, 50)), [huge]);
}

#[test]
fn the_first_message_names_the_conversation() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let id = rig.conversation(ann, 1);
    let title = || {
        let name = Ref::Id(id);
        rig.read(|read| find_conversation(read, ann, &name)).unwrap().title
    };
    let insert = |text: &'static str| {
        let new = new_message(id, ann, text);
        rig.write(move |tx| insert_message(tx, &new, None, Some(text))).unwrap();
    };
    rig.message(id, ann, "says nothing of a title");
    assert_eq!(title(), None);
    insert("the first");
    insert("the second");
    assert_eq!(title().as_deref(), Some("the first"));
}

#[test]
fn the_preview_is_cut_between_characters() {
    let rig = Rig::new();
    let talk = rig.talk(&[]);
    for (text, preview) in [
        ("ä".repeat(199), "ä".repeat(199)),
        ("🦊".repeat(200), "🦊".repeat(200)),
        ("é🦊".repeat(150), "é🦊".repeat(100)),
        ("漢".repeat(5000), "漢".repeat(200)),
        (String::new(), String::new()),
    ] {
        let id = rig.message(talk.id, talk.ann, &text);
        assert_eq!(rig.end(&talk).1, preview);
        assert_eq!(rig.page(talk.id, id, None, 1)[0].content, text);
    }
}

#[test]
fn a_conversation_that_is_gone_takes_no_message() {
    let rig = Rig::new();
    let talk = rig.talk(&["kept"]);
    let (ann, id) = (talk.ann, talk.id);
    rig.write(move |tx| delete_conversation(tx, ann, &Ref::Id(id), &at(9)))
        .unwrap();
    let late = || new_message(id, ann, "late");
    check_kind(rig.insert(late(), None), Kind::NotFound);
    check_kind(rig.insert(late(), Some(talk.messages[0])), Kind::NotFound);
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM messages"), 1);
    // Cleared away meanwhile, or never there.
    rig.batch("DELETE FROM conversations");
    check_kind(rig.insert(late(), None), Kind::NotFound);
    check_kind(rig.insert(late(), Some(talk.messages[0])), Kind::NotFound);
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM messages"), 0);
}

#[test]
fn messages_can_be_read_in_any_sqlite_shell() {
    let rig = Rig::new();
    let talk = rig.talk(&[]);
    for second in 0..8 {
        let new = NewMessage {
            created_at: at(second),
            ..new_message(talk.id, talk.ann, &format!("text {second}"))
        };
        rig.insert(new, None).unwrap();
    }
    let sql = "SELECT * FROM messages WHERE conversation_id = 1 ORDER BY created_at DESC LIMIT 5";
    let shell = rusqlite::Connection::open(&rig.location.database).unwrap();
    let mut statement = shell.prepare(sql).unwrap();
    let texts: Vec<String> = statement
        .query_map((), |row| row.get("content"))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(texts, ["text 7", "text 6", "text 5", "text 4", "text 3"]);
}

#[test]
fn what_clients_say_besides_is_kept() {
    let rig = Rig::new();
    let talk = rig.talk(&["plain"]);
    let new = NewMessage {
        details: MessageDetails {
            kind: Some("image".into()),
            media_urls: vec!["/media/a \"b\".png".into(), "ü".into()],
            reply_to_id: Some("x".into()),
        },
        ..new_message(talk.id, talk.ann, "look")
    };
    let id = rig.insert(new, None).unwrap();
    let page = rig.page(talk.id, id, None, 2);
    let facts = |message: &Message| {
        let urls = message.media_urls.clone();
        (message.kind.clone(), urls, message.reply_to_id.clone())
    };
    assert_eq!(facts(&page[0]), ("text".into(), None, None));
    let urls = r#"["/media/a \"b\".png","ü"]"#;
    assert_eq!(facts(&page[1]), ("image".into(), Some(urls.into()), Some("x".into())));
}

#[test]
fn a_message_is_found_and_marked_by_its_owner_alone() {
    let rig = Rig::new();
    let talk = rig.talk(&["question"]);
    let (id, bob) = (talk.messages[0], rig.user("bob").id);
    let uuid: String = rig.value("SELECT uuid FROM messages");
    let chat: String = rig.value("SELECT uuid FROM conversations");
    let names = [Ref::Id(id), Ref::Uuid(uuid)];
    for name in names.clone() {
        let (message, chat_id) = rig.read(|read| find_message(read, talk.ann, &name)).unwrap();
        assert_eq!((message.id, &*message.status, &chat_id), (id, "sent", &chat));
        check_kind(rig.read(|read| find_message(read, bob, &name)), Kind::NotFound);
        check_kind(rig.write(move |tx| mark_read(tx, bob, &name)), Kind::NotFound);
    }
    for name in names.clone() {
        let (message, chat_id) = rig.write(move |tx| mark_read(tx, talk.ann, &name)).unwrap();
        assert_eq!((message.id, &*message.status, &chat_id), (id, "read", &chat));
        assert_eq!(rig.value::<String>("SELECT status FROM messages"), "read");
    }
    rig.write(move |tx| delete_conversation(tx, talk.ann, &Ref::Id(talk.id), &at(9)))
        .unwrap();
    for name in names {
        check_kind(rig.read(|read| find_message(read, talk.ann, &name)), Kind::NotFound);
    }
}
