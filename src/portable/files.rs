//! The files that an archive holds beside its conversations. Programs put them into any folder and under many names; what
//! all of these have in common is that a part of them begins with what messages know the file by.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufReader, Read};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::unreadable;
use super::zip::{Entry, LISTED_MAX};
use crate::error::Error;
use crate::reading;

/// Bytes of the list of names: those of as many files as an archive may list.
const NAMES_BYTES_MAX: u64 = 20 * 1024 * 1024;

/// ChatGPT's list of what files were called that it exports as `.dat`.
const NAMES: &str = "conversation_asset_file_names.json";

/// Bytes by which a picture is told.
const START_BYTES: u64 = 16;

/// A file of the archive, from its beginning.
pub(super) type Opened = Result<Box<dyn Read>, Error>;

/// Names by what files are known by: what else stands in the list is never kept, however much of it there is.
struct Names(HashMap<String, String>);

/// A name, or nothing where something else stands.
struct Name(Option<String>);

/// Opens a file of the archive.
type Open<'o> = dyn Fn(&Entry) -> Opened + 'o;

/// The files of an archive, or none.
#[derive(Default)]
pub(super) struct Files<'o> {
    found: HashMap<String, Entry>,
    names: HashMap<String, String>,
    open: Option<&'o Open<'o>>,
}

/// A file that was found.
pub(super) struct Found<'f> {
    pub(super) id: &'f str,
    pub(super) bytes: u64,
    entry: &'f Entry,
    open: &'f Open<'f>,
    name: Option<&'f str>,
}

/// What a file is.
pub(super) struct Looked {
    pub(super) filename: String,
    pub(super) content_type: &'static str,
}

/// Whether a file of an archive is one that was sent, whatever its ending, and no list.
pub(super) fn is_sent(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.starts_with("file-") || last.starts_with("file_")
}

/// Whether a file of an archive is the list of the others' names.
pub(super) fn is_list_of_names(name: &str) -> bool {
    name.rsplit('/').next() == Some(NAMES)
}

impl<'o> Files<'o> {
    /// Those of an archive.
    pub(super) fn new(entries: Vec<Entry>, open: &'o Open<'o>) -> Files<'o> {
        let mut found = HashMap::new();
        for entry in entries {
            if let Some(id) = id_of(&entry.name) {
                found.entry(id.to_owned()).or_insert(entry);
            }
        }
        Files {
            found,
            names: HashMap::new(),
            open: Some(open),
        }
    }

    /// Learns what the files were called; a list that is broken teaches nothing.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) fn learn_names(&mut self, list: impl Read) -> Result<(), Error> {
        let mut list = serde_json::Deserializer::from_reader(BufReader::new(list.take(NAMES_BYTES_MAX)));
        match Names::deserialize(&mut list) {
            Ok(Names(names)) => self.names = names,
            Err(error) if error.is_io() => return Err(unreadable(error.into())),
            Err(_) => {}
        }
        Ok(())
    }

    /// Whether there is an archive.
    pub(super) fn is_archive(&self) -> bool {
        self.open.is_some()
    }

    /// The file that a message knows by this.
    pub(super) fn find(&self, pointer: &str) -> Option<Found<'_>> {
        let (id, entry) = self.found.get_key_value(id_of(pointer)?)?;
        Some(Found {
            id,
            bytes: entry.size,
            entry,
            open: self.open?,
            name: self.names.get(id).map(String::as_str),
        })
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(list: D) -> Result<Names, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = HashMap::new();
                while let Some((file, Name(name))) = map.next_entry::<String, Name>()? {
                    if let (Some(id), Some(name)) = (id_of(&file), name)
                        && (names.len() as u64) < LISTED_MAX
                    {
                        names.insert(id.to_owned(), last(&name).to_owned());
                    }
                }
                Ok(Names(names))
            }
        }
        list.deserialize_map(Visit)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Name, D::Error> {
        // No untagged enum: that gathers a value before it looks at it.
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name(Some(text.to_owned())))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Name, E> {
                Ok(Name(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Name, E> {
                Ok(Name(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Name, E> {
                Ok(Name(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Name, E> {
                Ok(Name(None))
            }

            fn visit_unit<E>(self) -> Result<Name, E> {
                Ok(Name(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Name, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Name(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Name, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Name(None))
            }
        }
        value.deserialize_any(Visit)
    }
}

impl Found<'_> {
    /// Reads all of it, which shows whether it is whole, and what it is. `said` is what a message calls it.
    ///
    /// # Errors
    /// As for an archive's other files.
    pub(super) fn look(&self, said: &str) -> Result<Looked, Error> {
        let mut start = Vec::new();
        let mut whole = (self.open)(self.entry)?;
        let read = whole.by_ref().take(START_BYTES).read_to_end(&mut start);
        read.and_then(|_| io::copy(&mut whole, &mut io::sink()))
            .map_err(unreadable)?;
        // Without an ending it is a word of ours, or no name at all.
        let name = match self.name {
            _ if said.contains('.') => said,
            Some(name) => name,
            None => self.own_name(),
        };
        let content_type = reading::media_type(name, &start);
        let filename = match (name.strip_suffix(".dat"), content_type.strip_prefix("image/")) {
            (Some(name), Some(ending)) => format!("{name}.{ending}"),
            _ => name.to_owned(),
        };
        Ok(Looked { filename, content_type })
    }

    /// What it is called in the archive, without its id where anything else is left.
    fn own_name(&self) -> &str {
        let name = last(&self.entry.name);
        let rest = name
            .strip_prefix(self.id)
            .unwrap_or(name)
            .trim_start_matches(['-', '_']);
        if rest.is_empty() || rest.starts_with('.') {
            name
        } else {
            rest
        }
    }

    /// Its bytes, from their beginning.
    pub(super) fn reader(&self) -> Box<dyn Read> {
        match (self.open)(self.entry) {
            Ok(reader) => reader,
            Err(error) => Box::new(Broken(Some(io::Error::other(error)))),
        }
    }
}

/// What cannot be opened any more, as a reader.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// What tells two names or addresses of the same file from those of others: all of one that has no id.
pub(super) fn known_by(text: &str) -> &str {
    id_of(text).unwrap_or(text)
}

/// What a file is known by: the last part of a name or an address that begins with ChatGPT's `file-…` or `file_…`, or with
/// a UUID.
fn id_of(text: &str) -> Option<&str> {
    text.rsplit(['/', '#', '?']).find_map(|part| {
        let word = part.strip_prefix("file").filter(|rest| rest.starts_with(['-', '_']));
        if let Some(word) = word {
            let length = word[1..].bytes().take_while(u8::is_ascii_alphanumeric).count();
            return (length > 0).then(|| &part[.."file-".len() + length]);
        }
        part.get(..36).filter(|start| uuid::Uuid::try_parse(start).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_teaches_names_and_nothing_else() {
        let learned = |list: &str| {
            let mut files = Files::default();
            files.learn_names(list.as_bytes()).unwrap();
            let mut names: Vec<_> = files.names.into_iter().collect();
            names.sort();
            names
        };
        let list = r#"{"file-1.dat": {"a": ["b"]}, "file-2.dat": "x/b.png", "file-3": [1, "c"], "file-4": null,
                       "file-5": 1.5, "file-6": -1, "file-7": 7, "file-8": true, "other": "d", "file-9": "e"}"#;
        let expected = [("file-2", "b.png"), ("file-9", "e")].map(|(id, name)| (id.to_owned(), name.to_owned()));
        assert_eq!(learned(list), expected);
        for broken in ["", "[]", "7", &list[..60]] {
            assert_eq!(learned(broken), [], "{broken}");
        }
        let many: Vec<String> = (0..=LISTED_MAX).map(|at| format!("\"file-{at}\": \"a\"")).collect();
        assert_eq!(learned(&format!("{{{}}}", many.join(","))).len() as u64, LISTED_MAX);
    }

    #[test]
    fn names_and_addresses_of_the_same_file_have_its_id() {
        for (text, id) in [
            ("file-service://file-AbC12", "file-AbC12"),
            ("sediment://file_00ff", "file_00ff"),
            ("sediment://0123456789abcdef#file_00ff#p_0.jpg", "file_00ff"),
            ("file-AbC12-my leaves.jpg", "file-AbC12"),
            (
                "export/user-x/file_00ff-f81d4fae-7dec-11d0-a765-00a0c91e6bf6.png",
                "file_00ff",
            ),
            ("dalle-generations/file-AbC12-f81d4fae.webp", "file-AbC12"),
            ("file-AbC12.dat", "file-AbC12"),
            (
                "f81d4fae-7dec-11d0-a765-00a0c91e6bf6/jar.png",
                "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            ),
            (
                "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
                "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            ),
        ] {
            assert_eq!(id_of(text), Some(id), "{text}");
        }
        for text in ["", "leaves.jpg", "file", "file-", "files/a.png", "../../etc/passwd"] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }
}
