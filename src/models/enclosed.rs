//! What goes with a message: the files that a model reads as they are, and words about all others.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::room::{Held, Room};
use super::{Fetch, PromptMessage};

/// In what form a server is given documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// As their texts.
    AsText,
    /// As they are.
    Native,
}

/// Gets a prompt's files ready for a model, as long as there is room for them.
pub(super) struct Packer<'r> {
    /// The room that pictures and documents take.
    pub(super) room: &'r Arc<Room>,
    /// How many bytes one picture may have, if the model sees any.
    pub(super) picture_bytes_max: Option<u64>,
    pub(super) documents: Files,
    /// What stands before the bytes of a file of this type.
    pub(super) prefix: fn(&str) -> String,
    /// The room that is taken.
    pub(super) held: Vec<Held>,
}

/// What one message holds.
pub(super) struct Enclosed<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) pictures: Vec<File<'a>>,
    pub(super) documents: Vec<File<'a>>,
}

/// A file on its way to a model.
pub(super) struct File<'a> {
    pub(super) filename: &'a str,
    pub(super) media_type: &'a str,
    /// The prefix, and the bytes in base64.
    pub(super) data: String,
}

impl Packer<'_> {
    /// A message's text with a line about each picture that the model cannot have and the text of each document that it
    /// cannot read, and the others.
    pub(super) fn pack<'a>(&mut self, message: &'a PromptMessage) -> Enclosed<'a> {
        let mut enclosed = Enclosed {
            text: Cow::Borrowed(message.content.as_str()),
            pictures: Vec::new(),
            documents: Vec::new(),
        };
        for image in &message.images {
            let packed = match self.picture_bytes_max {
                None => Err("You cannot see it."),
                Some(bytes_max) if image.size > bytes_max => Err("It is too large to be shown."),
                Some(_) => self
                    .data(image.size, &image.media_type, &image.fetch)
                    .map_err(|missing| match missing {
                        Missing::Room => "There is no room to show it now.",
                        Missing::File => "You cannot see it.",
                    }),
            };
            match packed {
                Ok(data) => enclosed.pictures.push(File {
                    filename: &image.filename,
                    media_type: &image.media_type,
                    data,
                }),
                Err(why) => {
                    let gap = if enclosed.text.is_empty() { "" } else { "\n\n" };
                    *enclosed.text.to_mut() += &format!("{gap}[An image was attached: {}. {why}]", image.filename);
                }
            }
        }
        for document in &message.documents {
            let packed = match self.documents {
                Files::AsText => None,
                Files::Native => self.data(document.size, &document.media_type, &document.fetch).ok(),
            };
            match packed {
                Some(data) => enclosed.documents.push(File {
                    filename: &document.filename,
                    media_type: &document.media_type,
                    data,
                }),
                None => *enclosed.text.to_mut() += &document.text,
            }
        }
        enclosed
    }

    fn data(&mut self, size: u64, media_type: &str, fetch: &Fetch) -> Result<String, Missing> {
        let taken = self.room.take(size).ok_or(Missing::Room)?;
        let bytes = fetch().ok_or(Missing::File)?;
        let prefix = (self.prefix)(media_type);
        // Of a known length, so that it does not grow to twice its size.
        let mut data = String::with_capacity(prefix.len() + bytes.len().div_ceil(3) * 4);
        data += &prefix;
        STANDARD.encode_string(bytes, &mut data);
        self.held.push(taken);
        Ok(data)
    }
}

/// Why a file cannot be sent.
enum Missing {
    Room,
    File,
}
