//! Our own document: read once to see whether it is one, with nothing stored; then what it holds, item by item. What is
//! wrong with one item is reported, and the others come in all the same.

use std::fmt;
use std::io::{BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::intake::Intake;
use super::{FORMAT, PortableAccount, PortableAttachment, PortableDocument, VERSION, malformed, unreadable};
use crate::error::Error;
use crate::library::NewText;
use crate::store::PortableConversation;

/// What the report calls it.
pub(super) const NAME: &str = "Fireside";

/// The field that it alone has.
pub(super) const MARK: &str = "format";

/// Reads all of it. `open` gives it from its beginning each time.
///
/// # Errors
/// [`crate::error::Kind::Malformed`] when it is no such document: then nothing was stored. Those of the store: then what
/// came before stays, and a second import takes up from there.
pub(super) fn import<R: Read>(intake: &mut Intake<'_>, open: impl Fn() -> R) -> Result<(), Error> {
    let mut check = Check::default();
    read(open(), &mut check)?;
    if !check.is_ours {
        return Err(malformed("it has no \"format\": \"fireside-export\""));
    }
    // Before the conversations, wherever they stand: messages point to them.
    read(open(), &mut Attachments(intake))?;
    read(open(), &mut Rest(intake))
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
        (None, Err(error)) if error.is_io() => Err(unreadable(error.into())),
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
struct Attachments<'i, 'd>(&'i mut Intake<'d>);

impl Reader for Attachments<'_, '_> {
    fn attachment(&mut self, item: PortableAttachment) -> Result<(), Error> {
        self.0.attachment(item)
    }

    fn wants(&self, list: &str) -> bool {
        list == "attachments"
    }
}

/// The third reading: everything else.
struct Rest<'i, 'd>(&'i mut Intake<'d>);

impl Reader for Rest<'_, '_> {
    fn account(&mut self, account: PortableAccount) {
        self.0.account(account);
    }

    fn settings(&mut self, settings: &RawValue) {
        self.0.settings(settings);
    }

    fn conversation(&mut self, item: PortableConversation) -> Result<(), Error> {
        self.0.conversation(item)
    }

    fn document(&mut self, document: PortableDocument) -> Result<(), Error> {
        self.0.document(&NewText {
            title: document.title,
            author: document.author,
            source: document.source,
            content: document.content,
        })
    }

    fn wants(&self, list: &str) -> bool {
        list != "attachments"
    }
}
