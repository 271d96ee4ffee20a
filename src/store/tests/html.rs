//! HTML that is kept with messages.

use super::super::{Rendered, finish_message, list_html, save_html};
use super::*;

const VERSION: i64 = 3;

impl Rig {
    fn keep_html(&self, message_id: i64, content: &str, html: &str) {
        let rendered = Rendered {
            message_id,
            content_bytes: content.len(),
            html: html.to_owned(),
        };
        self.write(move |tx| save_html(tx, &rendered, VERSION)).unwrap();
    }

    fn kept_html(&self, ids: &[i64], version: i64, bytes_max: usize) -> Vec<(i64, String)> {
        self.read(|read| list_html(read, ids, version, bytes_max)).unwrap()
    }
}

#[test]
fn html_is_kept_for_its_version_and_within_a_page() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let conversation = rig.conversation(ann, 1);
    let [a, b, c] = ["a", "b", "c"].map(|text| rig.message(conversation, ann, text));
    rig.keep_html(a, "a", "<p>a</p>");
    rig.keep_html(c, "c", "<p>c</p>");
    let [a_html, c_html] = [(a, "<p>a</p>".to_owned()), (c, "<p>c</p>".to_owned())];
    assert_eq!(
        rig.kept_html(&[a, b, c], VERSION, 100),
        [c_html.clone(), a_html.clone()]
    );
    assert_eq!(rig.kept_html(&[a, b], VERSION, 100), [a_html]);
    assert_eq!(rig.kept_html(&[a, b, c], VERSION, 15), [c_html]);
    assert_eq!(rig.kept_html(&[a, b, c], VERSION + 1, 100), []);
}

#[test]
fn html_of_another_text_is_not_kept() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let conversation = rig.conversation(ann, 1);
    let id = rig.message(conversation, ann, "longer by now");
    rig.keep_html(id, "long", "<p>long</p>");
    assert_eq!(rig.kept_html(&[id], VERSION, 100), []);
    rig.keep_html(id, "longer by now", "<p>longer by now</p>");
    assert_eq!(rig.kept_html(&[id], VERSION, 100).len(), 1);
    // Written on: it streams again, and ends with another text.
    let last = new_message(conversation, ann, "another");
    rig.write(move |tx| {
        tx.execute("UPDATE messages SET state = 'streaming' WHERE id = ?1", [id])?;
        finish_message(tx, id, &last)
    })
    .unwrap();
    assert_eq!(rig.kept_html(&[id], VERSION, 100), []);
}

#[test]
fn what_is_being_written_is_not_kept() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let conversation = rig.conversation(ann, 1);
    let id = rig.message(conversation, ann, "a");
    rig.write(move |tx| tx.execute("UPDATE messages SET state = 'streaming' WHERE id = ?1", [id]))
        .unwrap();
    rig.keep_html(id, "a", "<p>a</p>");
    assert_eq!(rig.kept_html(&[id], VERSION, 100), []);
}
