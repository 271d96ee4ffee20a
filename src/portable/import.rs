//! Reading the document: once to see whether it is one, with nothing stored; then what it holds, item by item. What is
//! wrong with one item is reported, and the others come in all the same.

use std::collections::HashSet;
use std::fmt;
use std::io::{BufReader, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FORMAT, PortableAccount, PortableAttachment, PortableDocument, VERSION};
use crate::clock::{Clock, Moment};
use crate::error::{Error, Kind};
use crate::library::{self, Added, NewText};
use crate::store::{self, Arrival, Naming, NewAttachment, PortableConversation, PortableMessage, SharedStore, User};

/// Messages of one conversation: it is stored in one transaction, for which everybody else waits about a second.
const MESSAGES_MAX: usize = 20_000;

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
    /// `conversation`, `attachment` or `document`.
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
            store.write(move |tx| store::import_settings(tx, owner, settings.as_ref(), prompt.as_deref()))?;
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
    fn settings(&mut self, _settings: Value) {}
    fn attachment(&mut self, _attachment: WithBytes) -> Result<(), Error> {
        Ok(())
    }
    fn conversation(&mut self, _conversation: WithMessages) -> Result<(), Error> {
        Ok(())
    }
    fn document(&mut self, _document: PortableDocument) -> Result<(), Error> {
        Ok(())
    }
    /// Whether items of this list are looked at; what is not is skipped without being kept.
    fn wants(&self, list: &str) -> bool;
}

#[derive(Deserialize)]
struct WithBytes {
    #[serde(flatten)]
    attachment: PortableAttachment,
    #[serde(default)]
    bytes: Option<String>,
}

#[derive(Deserialize)]
struct WithMessages {
    #[serde(flatten)]
    conversation: PortableConversation,
    #[serde(default)]
    messages: Vec<PortableMessage>,
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
                    self.reader.settings(map.next_value()?);
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
    fn attachment(&mut self, item: WithBytes) -> Result<(), Error> {
        let (uuid, title) = (item.attachment.uuid.clone(), item.attachment.filename.clone());
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
    fn keep(&self, item: WithBytes) -> Result<Outcome, Error> {
        let Some(uuid) = parse_uuid(&item.attachment.uuid) else {
            return Ok(Outcome::failed("Its id is not a UUID"));
        };
        let derived = store::derived_uuid(self.owner, &uuid);
        let (holder, is_derived_here) = self.store.read(|read| {
            let derived = store::owner_of_attachment(read, &derived)?;
            Ok((store::owner_of_attachment(read, &uuid)?, derived.is_some()))
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
        let attachment = item.attachment;
        if i64::try_from(bytes.len()) != Ok(attachment.size) {
            return Ok(Outcome::failed("It has not as many bytes as it says"));
        }
        let now = Clock.now().text();
        let new = NewAttachment {
            uuid: if holder.is_some() { derived } else { uuid },
            user_id: self.owner,
            filename: attachment
                .filename
                .chars()
                .filter(|char| !char.is_control())
                .take(200)
                .collect(),
            content_type: attachment.content_type,
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
    settings: Option<Value>,
    report: &'i mut Report,
}

impl Reader for Rest<'_> {
    fn account(&mut self, account: PortableAccount) {
        self.prompt = account.system_prompt;
    }

    fn settings(&mut self, settings: Value) {
        self.settings = settings.is_object().then_some(settings);
    }

    fn conversation(&mut self, item: WithMessages) -> Result<(), Error> {
        let (uuid, title) = (item.conversation.uuid.clone(), item.conversation.title.clone());
        let outcome = match check(item) {
            Ok((conversation, messages)) => self.store_conversation(conversation, messages)?,
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
    fn store_conversation(
        &self,
        conversation: PortableConversation,
        messages: Vec<PortableMessage>,
    ) -> Result<Outcome, Error> {
        let whole = std::sync::Arc::new((conversation, messages));
        for naming in [Naming::Kept, Naming::Derived] {
            let (owner, whole, is_last) = (self.owner, std::sync::Arc::clone(&whole), naming == Naming::Derived);
            let stored = self
                .store
                .write(move |tx| store::import_conversation(tx, owner, &whole.0, &whole.1, &naming));
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

/// A UUID in the form that is stored.
fn parse_uuid(text: &str) -> Option<String> {
    uuid::Uuid::try_parse(text)
        .ok()
        .map(|uuid| uuid.hyphenated().to_string())
}

/// A conversation as it can be stored, or what is wrong with it.
fn check(item: WithMessages) -> Result<(PortableConversation, Vec<PortableMessage>), &'static str> {
    let (mut conversation, mut messages) = (item.conversation, item.messages);
    if messages.len() > MESSAGES_MAX {
        return Err("It has more than 20 000 messages");
    }
    conversation.uuid = parse_uuid(&conversation.uuid).ok_or("Its id is not a UUID")?;
    conversation.created_at = time(&conversation.created_at)?;
    conversation.updated_at = time(&conversation.updated_at)?;
    let mut known = HashSet::new();
    for message in &mut messages {
        message.uuid = parse_uuid(&message.uuid).ok_or("A message's id is not a UUID")?;
        message.created_at = time(&message.created_at)?;
        if let Some(parent) = &message.parent {
            let parent = parse_uuid(parent).filter(|parent| known.contains(parent));
            message.parent = Some(parent.ok_or("A message stands before the one it comes after")?);
        }
        let is_one_of = |word: &str, words: &[&str]| words.contains(&word);
        if !is_one_of(&message.role, &["user", "assistant"])
            || !is_one_of(
                &message.state,
                &["complete", "streaming", "interrupted", "stopped", "failed"],
            )
            || !is_one_of(&message.status, &["sent", "delivered", "read"])
        {
            return Err("A message has a role, state or status that does not exist");
        }
        if !known.insert(message.uuid.clone()) {
            return Err("Two of its messages have the same id");
        }
    }
    conversation.leaf = match &conversation.leaf {
        Some(leaf) => {
            let leaf = parse_uuid(leaf).filter(|leaf| known.contains(leaf));
            Some(leaf.ok_or("Its newest message is not among its messages")?)
        }
        None => messages.last().map(|message| message.uuid.clone()),
    };
    Ok((conversation, messages))
}

fn time(text: &str) -> Result<String, &'static str> {
    let moment = Moment::parse(text).ok_or("A time is not in RFC 3339")?;
    Ok(moment.text())
}
