//! Footnotes of one message: numbered in the order in which they are first referred to, and written at its end.

use std::collections::HashMap;
use std::fmt::Write as _;

/// All of a message's footnotes.
#[derive(Default)]
pub(super) struct Notes {
    /// The message's id, which makes the notes' ids unique on a page with many messages.
    message_id: i64,
    by_label: HashMap<String, Note>,
    numbered: usize,
}

#[derive(Default)]
struct Note {
    /// 0: nobody has referred to it yet.
    number: usize,
    references: usize,
    html: Option<String>,
}

impl Notes {
    pub(super) fn of(message_id: i64) -> Notes {
        Notes {
            message_id,
            ..Notes::default()
        }
    }

    /// Counts a reference; returns the note's number and the reference's own id.
    pub(super) fn refer(&mut self, label: &str) -> (usize, String) {
        let note = self.by_label.entry(label.to_owned()).or_default();
        if note.number == 0 {
            self.numbered += 1;
            note.number = self.numbered;
        }
        note.references += 1;
        let (message, number) = (self.message_id, note.number);
        let id = match note.references {
            1 => format!("fr-{message}-{number}"),
            count => format!("fr-{message}-{number}-{count}"),
        };
        (number, id)
    }

    /// The id of a note.
    pub(super) fn id(&self, number: usize) -> String {
        format!("fn-{}-{number}", self.message_id)
    }

    /// Keeps what a note says; the first one to say something under a label is the one that counts.
    pub(super) fn define(&mut self, label: &str, html: String) {
        let note = self.by_label.entry(label.to_owned()).or_default();
        note.html.get_or_insert(html);
    }

    /// The notes that something refers to, as the end of the message.
    pub(super) fn write(&self, out: &mut String) {
        let said = self.by_label.values().filter(|note| note.number > 0);
        let mut notes: Vec<(usize, &str)> = said
            .filter_map(|note| note.html.as_deref().map(|html| (note.number, html)))
            .collect();
        if notes.is_empty() {
            return;
        }
        notes.sort_unstable();
        out.push_str("<section class=\"footnotes\"><ol>\n");
        for (number, html) in notes {
            let (id, message) = (self.id(number), self.message_id);
            // Writing to a string does not fail.
            let _ = writeln!(
                out,
                "<li id=\"{id}\">{html}<a href=\"#fr-{message}-{number}\" class=\"back\">↩</a></li>"
            );
        }
        out.push_str("</ol></section>\n");
    }
}
