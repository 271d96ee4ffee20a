//! Reading the document: once to see whether it is one, with nothing stored; then what it holds, item by item. What is
//! wrong with one item is reported, and the others come in all the same.

use std::fmt;
use std::io::{BufReader, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::check::{check, check_prompt, check_settings, parse_uuid};
use super::{FORMAT, PortableAccount, PortableAttachment, PortableDocument, VERSION};
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::library::{self, Added, NewText};
use crate::store::{self, Arrival, Naming, NewAttachment, PortableConversation, SharedStore, User};

/// Items that were not imported and are named in the report; the others are only counted.
const FAILURES_MAX: usize = 1_000;

/// Characters of a title that the report shows.
const TITLE_CHARS: usize = 100;

/// How many items of a kind came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Tally {
    /// New here.
    pub imported: usize,
    /// Here already, or not wanted.
    pub skipped: usize,
    /// Not to be stored.
    pub failed: usize,
}

/// An item that did not come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Failure {
    /// `conversation`, `attachment`, `document`, `account` or `settings`.
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
    /// Conversations.
    pub conversations: Tally,
    /// Files.
    pub attachments: Tally,
    /// Documents.
    pub documents: Tally,
    /// Whether settings or the system prompt were taken over; only where there were none.
    pub settings: bool,
    /// What was skipped or failed, the first thousand.
    pub not_imported: Vec<Failure>,
}

/// Stores what the document holds that is not here yet. `open` gives it from its beginning each time; `quota` is what the
/// user's files may take, in bytes.
///
/// # Errors
/// [`Kind::Malformed`] when it is no such document: then nothing was stored. Those of the store: then what came before
/// stays, and a second import takes up from there.
pub fn import<R: Read>(store: &SharedStore, user: &User, quota: u64, open: impl Fn() -> R) -> Result<Report, Error> {
    let mut check = Check::default();
    read(open(), &mut check)?;
    if !check.is_ours {
        return Err(malformed("it has no \"format\": \"fireside-export\""));
    }
    let mut report = Report::default();
    let mut files = Attachments {
        store,
        owner: user.id,
        quota,
        report: &mut report,
    };
    // Before the conversations, wherever they stand: messages point to them.
    read(open(), &mut files)?;
    let mut rest = Rest {
        store,
        owner: user.id,
        prompt: None,
        settings: None,
        report: &mut report,
    };
    read(open(), &mut rest)?;
    let (owner, settings, prompt) = (user.id, rest.settings, rest.prompt);
    if settings.is_some() || prompt.is_some() {
        report.settings =
            store.write(move |tx| store::import_settings(tx, owner, settings.as_deref(), prompt.as_deref()))?;
    }
    Ok(report)
}

fn malformed(why: &str) -> Error {
    Error::new(
        Kind::Malformed,
        format!("The file is no export of Fireside: {why}. Nothing was imported"),
    )
}

/// What is done with each item as it is read. An error ends the reading.
trait Reader {
    fn head(&mut self, _format: Option<&str>, _version: Option<u32>) -> Result<(), Error> {
        Ok(())
    }
    fn account(&mut self, _account: PortableAccount) {}
    fn settings(&mut self, _settings: &RawValue) {}
    fn attachment(&mut self, _attachment: PortableAttachment) -> Result<(), Error> {
        Ok(())
    }
    fn conversation(&mut self, _conversation: PortableConversation) -> Result<(), Error> {
        Ok(())
    }
    fn document(&mut self, _document: PortableDocument) -> Result<(), Error> {
        Ok(())
    }
    /// Whether items of this list are looked at; what is not is skipped without being kept.
    fn wants(&self, list: &str) -> bool;
}

/// Reads the whole document once.
fn read(source: impl Read, reader: &mut dyn Reader) -> Result<(), Error> {
    let mut ended = None;
    let mut deserializer = serde_json::Deserializer::from_reader(BufReader::with_capacity(64 * 1024, source));
    let whole = Whole {
        reader,
        ended: &mut ended,
    };
    let outcome = deserializer.deserialize_map(whole).and_then(|()| deserializer.end());
    match (ended, outcome) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) if error.is_io() => Err(Error::internal("an upload cannot be read", error)),
        (None, Err(error)) => Err(malformed(&error.to_string())),
    }
}

struct Whole<'r> {
    reader: &'r mut dyn Reader,
    ended: &'r mut Option<Error>,
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let outcome = match key.as_str() {
                "format" => self.reader.head(Some(&map.next_value::<String>()?), None),
                "version" => self.reader.head(None, Some(map.next_value()?)),
                "account" => {
                    self.reader.account(map.next_value()?);
                    Ok(())
                }
                "settings" => {
                    self.reader.settings(&map.next_value::<Box<RawValue>>()?);
                    Ok(())
                }
                "attachments" | "conversations" | "documents" if self.reader.wants(&key) => {
                    map.next_value_seed(List {
                        key: &key,
                        reader: self.reader,
                        ended: self.ended,
                    })?;
                    Ok(())
                }
                _ => map.next_value::<IgnoredAny>().map(|_| Ok(()))?,
            };
            if let Err(error) = outcome {
                *self.ended = Some(error);
                return Err(A::Error::custom("ended"));
            }
        }
        Ok(())
    }
}

/// A list of the document, read item by item.
struct List<'r> {
    key: &'r str,
    reader: &'r mut dyn Reader,
    ended: &'r mut Option<Error>,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}", self.key)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        loop {
            let outcome = match self.key {
                "attachments" => seq.next_element()?.map(|item| self.reader.attachment(item)),
                "conversations" => seq.next_element()?.map(|item| self.reader.conversation(item)),
                _ => seq.next_element()?.map(|item| self.reader.document(item)),
            };
            match outcome {
                None => return Ok(()),
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    *self.ended = Some(error);
                    return Err(A::Error::custom("ended"));
                }
            }
        }
    }
}

/// The first reading: every item has its form.
#[derive(Default)]
struct Check {
    is_ours: bool,
}

impl Reader for Check {
    fn head(&mut self, format: Option<&str>, version: Option<u32>) -> Result<(), Error> {
        match (format, version) {
            (Some(FORMAT), _) => self.is_ours = true,
            (Some(_), _) => return Err(malformed("its format is another one")),
            (None, Some(version)) if version > VERSION => {
                return Err(malformed("a newer version of Fireside wrote it"));
            }
            (None, _) => {}
        }
        Ok(())
    }

    fn wants(&self, _: &str) -> bool {
        true
    }
}

/// The second reading: files.
struct Attachments<'i> {
    store: &'i SharedStore,
    owner: i64,
    quota: u64,
    report: &'i mut Report,
}

impl Reader for Attachments<'_> {
    fn attachment(&mut self, item: PortableAttachment) -> Result<(), Error> {
        let (uuid, title) = (item.uuid.clone(), item.filename.clone());
        let outcome = self.keep(item)?;
        let report = &mut *self.report;
        note(&mut report.attachments, &mut report.not_imported, outcome, || Failure {
            kind: "attachment",
            id: Some(uuid),
            title: Some(cut(&title)),
            reason: String::new(),
        });
        Ok(())
    }

    fn wants(&self, list: &str) -> bool {
        list == "attachments"
    }
}

impl Attachments<'_> {
    fn keep(&self, item: PortableAttachment) -> Result<Outcome, Error> {
        let Some(uuid) = parse_uuid(&item.uuid) else {
            return Ok(Outcome::failed("Its id is not a UUID"));
        };
        let derived = store::derived_uuid(self.owner, &uuid);
        let (holder, is_derived_here) = self.store.read(|read| {
            let derived = store::owner_of_attachment(read, &derived)?;
            Ok((store::owner_of_attachment(read, &uuid)?, derived == Some(self.owner)))
        })?;
        if is_derived_here || holder == Some(self.owner) {
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
        let now = Clock.now().text();
        let new = NewAttachment {
            uuid: if holder.is_some() { derived } else { uuid },
            user_id: self.owner,
            filename: item
                .filename
                .chars()
                .filter(|char| !char.is_control())
                .take(200)
                .collect(),
            content_type: item.content_type,
            // Not when it was made: what is old and not sent yet is cleared away.
            created_at: now,
        };
        match self.store.keep_file(&new, self.quota, || bytes.as_slice()) {
            Ok(_) => Ok(Outcome::Imported),
            Err(error) if error.kind() == Kind::TooLarge => Ok(Outcome::failed(error.message())),
            Err(error) => Err(error),
        }
    }
}

/// The third reading: everything else.
struct Rest<'i> {
    store: &'i SharedStore,
    owner: i64,
    prompt: Option<String>,
    settings: Option<String>,
    report: &'i mut Report,
}

impl Reader for Rest<'_> {
    fn account(&mut self, account: PortableAccount) {
        match account.system_prompt.map(check_prompt).transpose() {
            Ok(prompt) => self.prompt = prompt,
            Err(reason) => self.refuse("account", reason),
        }
    }

    fn settings(&mut self, settings: &RawValue) {
        match check_settings(settings) {
            Ok(settings) => self.settings = settings,
            Err(reason) => self.refuse("settings", reason),
        }
    }

    fn conversation(&mut self, item: PortableConversation) -> Result<(), Error> {
        let (uuid, title) = (item.uuid.clone(), item.title.clone());
        let outcome = match check(item) {
            Ok(conversation) => self.store_conversation(conversation)?,
            Err(reason) => Outcome::failed(reason),
        };
        let report = &mut *self.report;
        note(&mut report.conversations, &mut report.not_imported, outcome, || {
            Failure {
                kind: "conversation",
                id: Some(uuid),
                title: title.as_deref().map(cut),
                reason: String::new(),
            }
        });
        Ok(())
    }

    fn document(&mut self, document: PortableDocument) -> Result<(), Error> {
        let title = document.title.clone();
        let text = NewText {
            title: document.title,
            author: document.author,
            source: document.source,
            content: document.content,
        };
        let outcome = match library::add(self.store, &Clock, self.owner, &text) {
            Ok(Added::New(_)) => Outcome::Imported,
            Ok(Added::Known(_)) => Outcome::skipped("It is here already"),
            Err(error) if matches!(error.kind(), Kind::TooLarge | Kind::Malformed) => Outcome::failed(error.message()),
            Err(error) => return Err(error),
        };
        let report = &mut *self.report;
        note(&mut report.documents, &mut report.not_imported, outcome, || Failure {
            kind: "document",
            id: None,
            title: Some(cut(&title)),
            reason: String::new(),
        });
        Ok(())
    }

    fn wants(&self, list: &str) -> bool {
        list != "attachments"
    }
}

impl Rest<'_> {
    fn refuse(&mut self, kind: &'static str, reason: &str) {
        if self.report.not_imported.len() < FAILURES_MAX {
            self.report.not_imported.push(Failure {
                kind,
                id: None,
                title: None,
                reason: reason.to_owned(),
            });
        }
    }

    fn store_conversation(&self, conversation: PortableConversation) -> Result<Outcome, Error> {
        let whole = std::sync::Arc::new(conversation);
        for naming in [Naming::Kept, Naming::Derived] {
            let (owner, whole, is_last) = (self.owner, std::sync::Arc::clone(&whole), naming == Naming::Derived);
            let stored = self
                .store
                .write(move |tx| store::import_conversation(tx, owner, &whole, &naming));
            return Ok(match stored {
                Ok(Arrival::New) => Outcome::Imported,
                Ok(Arrival::Known) => Outcome::skipped("It is here already"),
                Ok(Arrival::Deleted) => Outcome::skipped("It was deleted here; restore it instead"),
                Ok(Arrival::Taken) if !is_last => continue,
                Err(error) if error.kind() == Kind::Conflict && !is_last => continue,
                Ok(Arrival::Taken) => Outcome::failed("Its id is somebody else's here"),
                Err(error) if error.kind() == Kind::Conflict => Outcome::failed(error.message()),
                Err(error) => return Err(error),
            });
        }
        Ok(Outcome::failed("Its id is somebody else's here"))
    }
}

/// What became of an item.
enum Outcome {
    Imported,
    Skipped(String),
    Failed(String),
}

impl Outcome {
    fn skipped(reason: &str) -> Outcome {
        Outcome::Skipped(reason.to_owned())
    }

    fn failed(reason: &str) -> Outcome {
        Outcome::Failed(reason.to_owned())
    }
}

fn note(tally: &mut Tally, failures: &mut Vec<Failure>, outcome: Outcome, failure: impl FnOnce() -> Failure) {
    let reason = match outcome {
        Outcome::Imported => {
            tally.imported += 1;
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
    if failures.len() < FAILURES_MAX {
        failures.push(Failure { reason, ..failure() });
    }
}

fn cut(title: &str) -> String {
    title.chars().take(TITLE_CHARS).collect()
}
