//! The one way into the store: whatever was read, of whichever source, is checked, stored (or only rehearsed) and
//! reported here.

use std::io::Write;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::check::{check, check_prompt, check_settings, parse_uuid};
use super::report::{Label, Outcome, Report};
use super::thread::Thread;
use super::{PortableAccount, PortableAttachment};
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::hex::hex;
use crate::library::{self, Added, NewText};
use crate::store::{self, Arrival, Known, NewAttachment, PortableConversation, SharedStore};

/// Conversations and bytes that are stored together: on a memory card a commit takes as long as hundreds of
/// messages do, and for this many nobody else waits long.
const TOGETHER_MAX: usize = 64;
const TOGETHER_BYTES_MAX: usize = 1024 * 1024;

/// Attachments that are dated together.
const DATED_TOGETHER: usize = 500;

/// Whether anything is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What is not here yet comes in.
    Store,
    /// Nothing does; the report says what would.
    Rehearse,
}

/// Where an import goes.
#[derive(Clone)]
pub struct Destination {
    /// All data.
    pub store: SharedStore,
    /// Whose it will be: the integer id of the user.
    pub owner: i64,
    /// What all files of the user may take together, in bytes.
    pub quota_bytes: u64,
    /// The folder of temporary files.
    pub scratch: PathBuf,
    /// Whether anything is stored.
    pub mode: Mode,
}

/// An import under way.
pub(super) struct Intake<'d> {
    to: &'d Destination,
    pub(super) report: Report,
    waiting: Vec<PortableConversation>,
    waiting_bytes: usize,
    /// The attachments that are new, and when they were.
    dates: Vec<(String, String)>,
    prompt: Option<String>,
    settings: Option<String>,
}

impl<'d> Intake<'d> {
    pub(super) fn new(to: &'d Destination, source: &'static str) -> Intake<'d> {
        Intake {
            to,
            report: Report {
                source,
                dry_run: to.mode == Mode::Rehearse,
                ..Report::default()
            },
            waiting: Vec::new(),
            waiting_bytes: 0,
            dates: Vec::new(),
            prompt: None,
            settings: None,
        }
    }

    pub(super) fn refuse(&mut self, kind: &'static str, id: Option<String>, reason: &str) {
        self.report.note(Label::new(kind, id, None), Outcome::failed(reason));
    }

    pub(super) fn account(&mut self, account: PortableAccount) {
        match account.system_prompt.map(check_prompt).transpose() {
            Ok(prompt) => self.prompt = prompt,
            Err(reason) => self.refuse("account", None, reason),
        }
    }

    pub(super) fn settings(&mut self, settings: &RawValue) {
        match check_settings(settings) {
            Ok(settings) => self.settings = settings,
            Err(reason) => self.refuse("settings", None, reason),
        }
    }

    /// Takes a conversation of another program. Files that are only named in it are reported.
    pub(super) fn thread(&mut self, thread: Thread) -> Result<(), Error> {
        let label = Label::new("conversation", thread.id.clone(), thread.title.as_deref());
        let files = thread.files();
        match thread.into_portable(self.report.source) {
            Ok(conversation) => {
                for file in files {
                    let reason = "Only its name came in: exports of other programs hold files apart, or not at all";
                    let label = Label::new("attachment", None, Some(&file));
                    self.report.note(label, Outcome::skipped(reason));
                }
                self.conversation(conversation)
            }
            Err(reason) => {
                self.report.note(label, Outcome::failed(reason));
                Ok(())
            }
        }
    }

    /// Takes a conversation. It is stored with those that come with it.
    pub(super) fn conversation(&mut self, item: PortableConversation) -> Result<(), Error> {
        let label = Label::new("conversation", Some(item.uuid.clone()), item.title.as_deref());
        match check(item) {
            Err(reason) => self.report.note(label, Outcome::failed(reason)),
            Ok((mut conversation, bytes)) => {
                conversation.sha256 = Some(digest(&conversation)?);
                self.waiting_bytes += bytes;
                self.waiting.push(conversation);
                if self.waiting.len() >= TOGETHER_MAX || self.waiting_bytes >= TOGETHER_BYTES_MAX {
                    self.store_waiting()?;
                }
            }
        }
        Ok(())
    }

    fn store_waiting(&mut self) -> Result<(), Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.waiting_bytes = 0;
        let labels: Vec<Label> = self
            .waiting
            .iter()
            .map(|one| Label::new("conversation", Some(one.uuid.clone()), one.title.as_deref()))
            .collect();
        let (owner, waiting) = (self.to.owner, std::mem::take(&mut self.waiting));
        // Files that came only now may belong to messages that are here already.
        let known = if self.dates.is_empty() {
            Known::Unchanged
        } else {
            Known::Never
        };
        let arrivals = match self.to.mode {
            Mode::Store => {
                let job = move |tx: &store::Tx<'_>| store::import_conversations(tx, owner, &waiting, known);
                self.to.store.write(job)?
            }
            Mode::Rehearse => {
                let job = move |tx: &store::Tx<'_>| store::import_conversations(tx, owner, &waiting, known);
                self.to.store.rehearse(job)?
            }
        };
        for (label, arrival) in labels.into_iter().zip(arrivals) {
            let outcome = match arrival {
                Arrival::New(messages) => {
                    self.report.messages += messages;
                    Outcome::Imported
                }
                Arrival::Grown(messages) => {
                    self.report.messages += messages;
                    Outcome::Updated
                }
                Arrival::Known => Outcome::skipped("It is here already"),
                Arrival::Deleted => Outcome::skipped("It was deleted here; restore it instead"),
                Arrival::Torn => Outcome::failed("A message of it belongs to another conversation here"),
                Arrival::Taken => Outcome::failed("Its id is somebody else's here"),
            };
            self.report.note(label, outcome);
        }
        Ok(())
    }

    pub(super) fn attachment(&mut self, item: PortableAttachment) -> Result<(), Error> {
        let label = Label::new("attachment", Some(item.uuid.clone()), Some(&item.filename));
        let outcome = self.keep(item)?;
        self.report.note(label, outcome);
        Ok(())
    }

    fn keep(&mut self, item: PortableAttachment) -> Result<Outcome, Error> {
        let (to, owner) = (self.to, self.to.owner);
        let Some(uuid) = parse_uuid(&item.uuid) else {
            return Ok(Outcome::failed("Its id is not a UUID"));
        };
        let derived = store::derived_uuid(owner, &uuid);
        let (holder, is_derived_here) = to.store.read(|read| {
            let derived = store::owner_of_attachment(read, &derived)?;
            Ok((store::owner_of_attachment(read, &uuid)?, derived == Some(owner)))
        })?;
        if is_derived_here || holder == Some(owner) {
            return Ok(Outcome::skipped("It is here already"));
        }
        let Some(bytes) = item.bytes else {
            return Ok(Outcome::skipped("The export was made without the files' bytes"));
        };
        let Ok(bytes) = STANDARD.decode(bytes.as_bytes()) else {
            return Ok(Outcome::failed("Its bytes are not Base64"));
        };
        if i64::try_from(bytes.len()) != Ok(item.size) {
            return Ok(Outcome::failed("It has not as many bytes as it says"));
        }
        let new = NewAttachment {
            uuid: if holder.is_some() { derived } else { uuid },
            user_id: owner,
            filename: item
                .filename
                .chars()
                .filter(|char| !char.is_control())
                .take(200)
                .collect(),
            content_type: item.content_type,
            // Not when it was made: what is old and not sent yet is cleared away.
            created_at: Clock.now().text(),
        };
        let kept = match to.mode {
            Mode::Store => to.store.keep_file(&new, to.quota_bytes, || bytes.as_slice()).map(drop),
            Mode::Rehearse => {
                let check = |read: &store::Read<'_>| store::check_quota(read, owner, item.size, to.quota_bytes);
                to.store.read(check).map(drop)
            }
        };
        match kept {
            Ok(()) => {
                if let Some(moment) = crate::clock::Moment::parse(&item.created_at) {
                    self.dates.push((new.uuid, moment.text()));
                }
                Ok(Outcome::Imported)
            }
            Err(error) if error.kind() == Kind::TooLarge => Ok(Outcome::failed(error.message())),
            Err(error) => Err(error),
        }
    }

    pub(super) fn document(&mut self, text: &NewText) -> Result<(), Error> {
        let added = match self.to.mode {
            Mode::Store => {
                library::add(&self.to.store, &Clock, self.to.owner, text).map(|added| matches!(added, Added::New(_)))
            }
            Mode::Rehearse => text.check().and_then(|()| {
                let (owner, digest) = (self.to.owner, text.digest());
                let known = |read: &store::Read<'_>| store::find_document_by_content(read, owner, &digest);
                self.to.store.read(known).map(|known| known.is_none())
            }),
        };
        let outcome = match added {
            Ok(true) => Outcome::Imported,
            Ok(false) => Outcome::skipped("It is here already"),
            Err(error) if matches!(error.kind(), Kind::TooLarge | Kind::Malformed) => Outcome::failed(error.message()),
            Err(error) => return Err(error),
        };
        self.report
            .note(Label::new("document", None, Some(&text.title)), outcome);
        Ok(())
    }

    /// Stores what still waits, and what hangs on all of it.
    pub(super) fn finish(mut self) -> Result<Report, Error> {
        self.store_waiting()?;
        let (to, owner) = (self.to, self.to.owner);
        if to.mode == Mode::Store {
            for dates in self.dates.chunks(DATED_TOGETHER) {
                let dates = dates.to_vec();
                to.store.write(move |tx| store::date_attachments(tx, owner, &dates))?;
            }
        }
        let (settings, prompt) = (self.settings, self.prompt);
        if settings.is_some() || prompt.is_some() {
            let job =
                move |tx: &store::Tx<'_>| store::import_settings(tx, owner, settings.as_deref(), prompt.as_deref());
            self.report.settings = match to.mode {
                Mode::Store => to.store.write(job)?,
                Mode::Rehearse => to.store.rehearse(job)?,
            };
        }
        Ok(self.report)
    }
}

/// What tells a conversation from every other: the digest of all of it.
fn digest(conversation: &PortableConversation) -> Result<String, Error> {
    struct Pen(Sha256);
    impl Write for Pen {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut pen = Pen(Sha256::new());
    let written = serde_json::to_writer(&mut pen, conversation)
        .and_then(|()| serde_json::to_writer(&mut pen, &conversation.messages));
    written.map_err(|error| Error::internal("a conversation has no digest", error))?;
    Ok(hex(&pen.0.finalize()))
}
