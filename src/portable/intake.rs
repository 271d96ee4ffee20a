//! The one way into the store: whatever was read, of whichever source, is checked, stored (or only rehearsed) and
//! reported here.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::check::{check, check_prompt, check_settings, parse_uuid};
use super::files::{Files, Found};
use super::report::{Label, Outcome, Report};
use super::thread::{Named, SentFile, Thread, uuid_of};
use super::{PortableAccount, PortableAttachment};
use crate::clock::{Clock, Moment};
use crate::error::{Error, Kind};
use crate::hex::hex;
use crate::library::{self, Added, NewText};
use crate::limits::FILES_MAX;
use crate::store::{self, Arrival, Known, NewAttachment, PortableConversation, SharedStore};

/// Conversations and bytes that are stored together: on a memory card a commit takes as long as hundreds of
/// messages do, and for this many nobody else waits long.
const TOGETHER_MAX: usize = 64;
const TOGETHER_BYTES_MAX: usize = 1024 * 1024;

/// Attachments that are dated together.
const DATED_TOGETHER: usize = 500;

/// Why something is passed over.
const HERE: &str = "It is here already";

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
    /// What a file of another program's export may have, in bytes: as much as an upload.
    pub file_bytes_max: u64,
    /// The folder of temporary files.
    pub scratch: PathBuf,
    /// Whether anything is stored.
    pub mode: Mode,
}

/// What becomes of a message that names a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is here, or comes in.
    Arrives,
    /// It does not come in, or was deleted here.
    Stays,
}

/// An import under way.
pub(super) struct Intake<'d> {
    to: &'d Destination,
    pub(super) report: Report,
    waiting: Vec<PortableConversation>,
    waiting_bytes: usize,
    /// What became of the files that messages have named so far: the ids of those that are here.
    brought: HashMap<String, Option<String>>,
    /// Bytes that may still be unpacked of files, from the first of them on.
    unpacked_left: Option<u64>,
    /// Bytes of the files that would be stored.
    rehearsed_bytes: i64,
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
            brought: HashMap::new(),
            unpacked_left: None,
            rehearsed_bytes: 0,
            dates: Vec::new(),
            prompt: None,
            settings: None,
        }
    }

    /// Files of the archive that were named so far.
    pub(super) fn files_found(&self) -> usize {
        self.brought.len()
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

    /// Takes a conversation of another program, and of the archive it stands in the files that it names: only once it is
    /// known that it comes in, for files that no message has are cleared away.
    pub(super) fn thread(&mut self, thread: Thread, files: &Files<'_>) -> Result<(), Error> {
        let label = Label::new("conversation", thread.id.clone(), thread.title.as_deref());
        // With the names of all files it is at its longest: it fits whichever of them come in.
        let told = thread.into_portable(self.report.source);
        let checked = told.and_then(|told| Ok((check(told.conversation)?, told.named)));
        let ((mut conversation, bytes), named) = match checked {
            Ok(checked) => checked,
            Err(reason) => {
                self.report.note(label, Outcome::failed(reason));
                return Ok(());
            }
        };
        let arriving = self.arriving(&conversation, &named, files)?;
        for Named {
            message,
            text_bytes,
            files: sent,
        } in named
        {
            let message = &mut conversation.messages[message];
            message.content.truncate(text_bytes);
            let fate = if arriving.contains(&message.uuid) {
                Fate::Arrives
            } else {
                Fate::Stays
            };
            for (number, file) in sent.iter().enumerate() {
                let (attachment, outcome) = if number < FILES_MAX {
                    self.bring(file, fate, files)?
                } else {
                    let reason = "A message has at most 10 files; only its name came in";
                    (None, Some(Outcome::skipped(reason)))
                };
                match attachment {
                    Some(uuid) => message.attachments.push(uuid),
                    None => file.write(&mut message.content),
                }
                if let Some(outcome) = outcome {
                    let label = Label::new("attachment", file.id.clone(), Some(&file.name));
                    self.report.note(label, outcome);
                }
            }
        }
        self.take(conversation, bytes)
    }

    /// The messages that can have files which are not here yet. What comes in without such files is not tried out.
    fn arriving(
        &self,
        conversation: &PortableConversation,
        named: &[Named],
        files: &Files<'_>,
    ) -> Result<HashSet<String>, Error> {
        for file in named.iter().flat_map(|named| named.files.iter().take(FILES_MAX)) {
            let Some(found) = file.id.as_deref().and_then(|id| files.find(id)) else {
                continue;
            };
            let is_here = self.brought.contains_key(found.id) || self.place(self.uuid_of_file(&found))?.1;
            if !is_here {
                let (owner, conversation) = (self.to.owner, conversation.clone());
                let job = move |tx: &store::Tx<'_>| store::list_arriving(tx, owner, &conversation);
                return self.to.store.rehearse(job);
            }
        }
        Ok(HashSet::new())
    }

    /// What a file is known by here, unless somebody else has it too: the same conversation is the same for everybody.
    fn uuid_of_file(&self, found: &Found<'_>) -> String {
        uuid_of(&[self.report.source, "file", found.id])
    }

    /// Stores a file that a message names. Returns the attachment that it is here, and what became of it, the first time
    /// it is named.
    fn bring(
        &mut self,
        file: &SentFile,
        fate: Fate,
        files: &Files<'_>,
    ) -> Result<(Option<String>, Option<Outcome>), Error> {
        let Some(found) = file.id.as_deref().and_then(|id| files.find(id)) else {
            let outcome = Outcome::skipped(if files.is_archive() {
                "The archive does not hold it; only its name came in"
            } else {
                "Only its name came in: files are in the whole archive that was exported, if at all"
            });
            return Ok((None, Some(outcome)));
        };
        if let Some(attachment) = self.brought.get(found.id) {
            return Ok((attachment.clone(), None));
        }
        let uuid = self.uuid_of_file(&found);
        let (outcome, is_here) = match self.place(uuid.clone())? {
            (_, true) => (Outcome::skipped(HERE), true),
            // Another message may bring it.
            (_, false) if fate == Fate::Stays => {
                let reason = "The message that it went with does not come in, or was deleted here";
                return Ok((None, Some(Outcome::skipped(reason))));
            }
            (here, false) => match self.unpack(&found, here, file)? {
                Outcome::Imported => (Outcome::Imported, true),
                outcome => (outcome, false),
            },
        };
        let attachment = is_here.then_some(uuid);
        self.brought.insert(found.id.to_owned(), attachment.clone());
        Ok((attachment, Some(outcome)))
    }

    fn unpack(&mut self, found: &Found<'_>, uuid: String, file: &SentFile) -> Result<Outcome, Error> {
        if found.bytes > self.to.file_bytes_max {
            let most = self.to.file_bytes_max / (1024 * 1024);
            let reason = format!("It has more than {most} MiB, which is what a file may have (--max-upload)");
            return Ok(Outcome::Failed(reason));
        }
        let bytes = i64::try_from(found.bytes).unwrap_or(i64::MAX);
        // By what the archive says, before any of it is unpacked: no more than that will be.
        if let Err(error) = self.room_for(bytes) {
            return refused(error);
        }
        if !self.draw(found.bytes)? {
            return Ok(Outcome::skipped(
                "Files before it were damaged, and no more is unpacked than your files may take; import those that are left",
            ));
        }
        let looked = match found.look(&file.name) {
            Ok(looked) => looked,
            Err(error) if error.kind() == Kind::Malformed => {
                return Ok(Outcome::failed("It is damaged, or packed in an unusual way"));
            }
            Err(error) => return Err(error),
        };
        let new = self.new_attachment(uuid, &looked.filename, looked.content_type.to_owned());
        self.keep(new, bytes, file.at, || found.reader())
    }

    /// Bytes that are left of the quota once a file of so many is stored.
    fn room_for(&self, bytes: i64) -> Result<u64, Error> {
        let (owner, quota) = (self.to.owner, self.to.quota_bytes);
        let bytes = self.rehearsed_bytes.saturating_add(bytes);
        self.to
            .store
            .read(move |read| store::check_quota(read, owner, bytes, quota))
    }

    /// Takes so many bytes from those that may be unpacked, if as many are left: what the quota leaves, and one file more.
    /// What is stored keeps to the quota by itself; what is damaged does not, and any number of names in an archive may
    /// stand for the same bytes.
    fn draw(&mut self, bytes: u64) -> Result<bool, Error> {
        let left = match self.unpacked_left {
            Some(left) => left,
            None => self.room_for(0)?.saturating_add(self.to.file_bytes_max),
        };
        let rest = left.checked_sub(bytes);
        self.unpacked_left = Some(rest.unwrap_or(left));
        Ok(rest.is_some())
    }

    /// Takes a conversation. It is stored with those that come with it.
    pub(super) fn conversation(&mut self, item: PortableConversation) -> Result<(), Error> {
        let label = Label::new("conversation", Some(item.uuid.clone()), item.title.as_deref());
        match check(item) {
            Err(reason) => self.report.note(label, Outcome::failed(reason)),
            Ok((conversation, bytes)) => self.take(conversation, bytes)?,
        }
        Ok(())
    }

    fn take(&mut self, mut conversation: PortableConversation, bytes: usize) -> Result<(), Error> {
        conversation.sha256 = Some(digest(&conversation)?);
        self.waiting_bytes += bytes;
        self.waiting.push(conversation);
        if self.waiting.len() >= TOGETHER_MAX || self.waiting_bytes >= TOGETHER_BYTES_MAX {
            self.store_waiting()?;
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
                Arrival::Known => Outcome::skipped(HERE),
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
        let outcome = self.decode(item)?;
        self.report.note(label, outcome);
        Ok(())
    }

    /// Keeps a file whose bytes stand in our own document.
    fn decode(&mut self, item: PortableAttachment) -> Result<Outcome, Error> {
        let Some(uuid) = parse_uuid(&item.uuid) else {
            return Ok(Outcome::failed("Its id is not a UUID"));
        };
        let (uuid, is_here) = self.place(uuid)?;
        if is_here {
            return Ok(Outcome::skipped(HERE));
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
        let new = self.new_attachment(uuid, &item.filename, item.content_type);
        self.keep(new, item.size, Moment::parse(&item.created_at), || bytes.as_slice())
    }

    /// The id that a file of this id has here, and whether it is here already. What somebody else has under the same one
    /// gets another.
    fn place(&self, uuid: String) -> Result<(String, bool), Error> {
        let owner = self.to.owner;
        let derived = store::derived_uuid(owner, &uuid);
        let (holder, is_derived_here) = self.to.store.read(|read| {
            let derived = store::owner_of_attachment(read, &derived)?;
            Ok((store::owner_of_attachment(read, &uuid)?, derived == Some(owner)))
        })?;
        Ok(match holder {
            _ if is_derived_here => (derived, true),
            Some(holder) if holder == owner => (uuid, true),
            Some(_) => (derived, false),
            None => (uuid, false),
        })
    }

    fn new_attachment(&self, uuid: String, filename: &str, content_type: String) -> NewAttachment {
        NewAttachment {
            uuid,
            user_id: self.to.owner,
            filename: filename.chars().filter(|char| !char.is_control()).take(200).collect(),
            content_type,
            // Not when it was made: what is old and not sent yet is cleared away.
            created_at: Clock.now().text(),
        }
    }

    /// Stores a file, whose bytes `open` gives from their beginning each time, or looks whether it would fit.
    fn keep<R: Read>(
        &mut self,
        new: NewAttachment,
        bytes: i64,
        at: Option<Moment>,
        open: impl Fn() -> R,
    ) -> Result<Outcome, Error> {
        let to = self.to;
        let kept = match to.mode {
            Mode::Store => to.store.keep_file(&new, to.quota_bytes, open).map(drop),
            Mode::Rehearse => self
                .room_for(bytes)
                .map(|_| self.rehearsed_bytes = self.rehearsed_bytes.saturating_add(bytes)),
        };
        match kept {
            Ok(()) => {
                self.dates.extend(at.map(|at| (new.uuid, at.text())));
                Ok(Outcome::Imported)
            }
            Err(error) => refused(error),
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
            Ok(false) => Outcome::skipped(HERE),
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

/// What becomes of a file that the store does not take.
fn refused(error: Error) -> Result<Outcome, Error> {
    if error.kind() == Kind::TooLarge {
        Ok(Outcome::failed(error.message()))
    } else {
        Err(error)
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
