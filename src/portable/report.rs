//! What an import came to: how much of each kind is here now, and of everything else why it is not.

use serde::Serialize;

/// Items that were not imported and are named in the report; the others are only counted.
const NAMED_MAX: usize = 1_000;

/// Characters of a title that the report shows.
const TITLE_CHARS: usize = 100;

/// How many items of a kind came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Tally {
    /// New here.
    pub imported: usize,
    /// Here before, and now with messages that it did not have.
    pub updated: usize,
    /// Here already, or not wanted.
    pub skipped: usize,
    /// Not to be stored.
    pub failed: usize,
}

/// An item that did not come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Failure {
    /// `conversation`, `attachment`, `document`, `account`, `settings` or `file`.
    pub kind: &'static str,
    /// What it is known by, as far as it says.
    pub id: Option<String>,
    /// What it is called.
    pub title: Option<String>,
    /// Why, in a sentence.
    pub reason: String,
}

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "ImportReport")]
pub struct Report {
    /// What the file was taken for.
    pub source: &'static str,
    /// Whether this is only what would happen.
    pub dry_run: bool,
    /// Conversations.
    pub conversations: Tally,
    /// Messages that are new here.
    pub messages: usize,
    /// Files.
    pub attachments: Tally,
    /// Documents.
    pub documents: Tally,
    /// Whether settings or the system prompt were taken over; only where there were none.
    pub settings: bool,
    /// What was skipped or failed, the first thousand.
    pub not_imported: Vec<Failure>,
}

/// What an item is known by in the report.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) kind: &'static str,
    pub(super) id: Option<String>,
    pub(super) title: Option<String>,
}

/// What became of an item.
#[derive(Debug)]
pub(super) enum Outcome {
    Imported,
    Updated,
    Skipped(String),
    Failed(String),
}

impl Outcome {
    pub(super) fn skipped(reason: &str) -> Outcome {
        Outcome::Skipped(reason.to_owned())
    }

    pub(super) fn failed(reason: &str) -> Outcome {
        Outcome::Failed(reason.to_owned())
    }
}

impl Label {
    pub(super) fn new(kind: &'static str, id: Option<String>, title: Option<&str>) -> Label {
        Label {
            kind,
            id,
            title: title.map(|title| title.chars().take(TITLE_CHARS).collect()),
        }
    }
}

impl Report {
    /// Counts an item and, where it did not come in, names it.
    pub(super) fn note(&mut self, label: Label, outcome: Outcome) {
        let mut uncounted = Tally::default();
        let tally = match label.kind {
            "conversation" => &mut self.conversations,
            "attachment" => &mut self.attachments,
            "document" => &mut self.documents,
            _ => &mut uncounted,
        };
        let reason = match outcome {
            Outcome::Imported => {
                tally.imported += 1;
                return;
            }
            Outcome::Updated => {
                tally.updated += 1;
                return;
            }
            Outcome::Skipped(reason) => {
                tally.skipped += 1;
                reason
            }
            Outcome::Failed(reason) => {
                tally.failed += 1;
                reason
            }
        };
        if self.not_imported.len() < NAMED_MAX {
            let Label { kind, id, title } = label;
            self.not_imported.push(Failure {
                kind,
                id,
                title,
                reason,
            });
        }
    }
}
