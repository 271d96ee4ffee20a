//! What was sent with a message, as a model reads it: the texts of files within the message, the pictures beside it.
//! Who reads the files is `reading`; what is read is kept in the store, so that no file is read twice.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;

use crate::error::Error;
use crate::models::Image;
use crate::reading::{Reader, Unread, Until, cut, is_picture};
use crate::store::{self, Attachment, AttachmentReader, Message, Reading, SharedStore};

/// Bytes of files' texts in a prompt: some 4 000 tokens, two thirds of what a small model can be told. The rest is for
/// what is said about them.
const TEXTS_BYTES_MAX: usize = 16 * 1024;

/// Bytes of one picture. Some providers take no larger ones.
const PICTURE_BYTES_MAX: i64 = 5 * 1024 * 1024;

/// Bytes of a prompt's pictures together. They are in memory as one request, a third larger, until its answer begins.
const PICTURES_BYTES_MAX: i64 = 10 * 1024 * 1024;

/// The types that every model that sees can see.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// Pictures by the message they were sent with.
pub(super) type Images = HashMap<i64, Vec<Image>>;

/// Where the texts of files come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'t> {
    /// What is kept of those that somebody has read: for whoever only looks.
    Kept,
    /// The files themselves, where nobody has read them yet, as far as there is time.
    Files(&'t Reader, Until<'t>),
}

/// What may still be added to a prompt.
struct Left {
    text_bytes: usize,
    picture_bytes: i64,
}

/// Adds to each message the texts of its files, as far as there is room, the newest message first; returns the pictures.
/// Waits only for [`Source::Files`].
///
/// # Errors
/// Those of the store.
pub(super) fn read_into(store: &SharedStore, source: Source<'_>, branch: &mut [Message]) -> Result<Images, Error> {
    let ids: Vec<i64> = branch.iter().map(|message| message.id).collect();
    let attachments = store.read(|read| store::list_attachments(read, &ids))?;
    let mut images = Images::new();
    if attachments.is_empty() {
        return Ok(images);
    }
    let mut left = Left {
        text_bytes: TEXTS_BYTES_MAX,
        picture_bytes: PICTURES_BYTES_MAX,
    };
    for message in branch.iter_mut().rev() {
        let its_own = |attachment: &&Attachment| attachment.message_id == Some(message.id);
        let own: Vec<&Attachment> = attachments.iter().filter(its_own).collect();
        for (index, attachment) in own.iter().enumerate() {
            if PICTURES.contains(&attachment.content_type.as_str()) && left.has_room_for(attachment) {
                left.picture_bytes -= attachment.size;
                let pictures = images.entry(message.id).or_default();
                pictures.push(image(store, attachment));
                continue;
            }
            // What one file of a message leaves of its share, those behind it may have.
            let share = left.text_bytes / (own.len() - index);
            let text = quoted(store, source, attachment, share)?;
            left.text_bytes = left.text_bytes.saturating_sub(text.len());
            message.content += &text;
        }
    }
    Ok(images)
}

impl Left {
    fn has_room_for(&self, picture: &Attachment) -> bool {
        picture.size <= PICTURE_BYTES_MAX.min(self.picture_bytes)
    }
}

fn image(store: &SharedStore, attachment: &Attachment) -> Image {
    let (store, attachment) = (SharedStore::clone(store), attachment.clone());
    Image {
        filename: attachment.filename.clone(),
        media_type: attachment.content_type.clone(),
        size: u64::try_from(attachment.size).unwrap_or(u64::MAX),
        fetch: Arc::new(move || {
            let mut bytes = Vec::new();
            let read = AttachmentReader::open(&store, &attachment, 0)
                .map_err(std::io::Error::other)
                .and_then(|mut reader| reader.read_to_end(&mut bytes));
            if let Err(error) = read {
                log::warn!("a picture could not be read: {error}");
                return None;
            }
            is_picture(&attachment.content_type, &bytes).then_some(bytes)
        }),
    }
}

/// A file's text between lines that say what it is, and whether there is more of it.
fn quoted(store: &SharedStore, source: Source<'_>, attachment: &Attachment, bytes_max: usize) -> Result<String, Error> {
    let name = &attachment.filename;
    if bytes_max == 0 {
        return Ok(format!(
            "\n\n[A file was attached: {name}. There is no room left for its text.]"
        ));
    }
    Ok(match reading(store, source, attachment)? {
        Reading::Problem(problem) => format!("\n\n[A file was attached: {name}. Its text is missing: {problem}.]"),
        Reading::Text(text) => {
            let whole = text.len();
            let text = cut(text, bytes_max);
            let end = if text.len() < whole {
                format!("[This is only the beginning of {name}]")
            } else {
                format!("[End of {name}]")
            };
            format!("\n\n[Attached file: {name}]\n{}\n{end}", text.trim_end())
        }
    })
}

/// What came of reading a file, now or before.
fn reading(store: &SharedStore, source: Source<'_>, attachment: &Attachment) -> Result<Reading, Error> {
    let id = attachment.id;
    if let Some(known) = store.read(|read| store::find_reading(read, id))? {
        return Ok(known);
    }
    let Source::Files(reader, until) = source else {
        return Ok(Reading::Problem("it has not been read yet".to_owned()));
    };
    if until.is_over() {
        return Ok(not_now());
    }
    let file = match AttachmentReader::open(store, attachment, 0) {
        Ok(file) => file,
        Err(error) => {
            // The question is stored by now and wants its reply, with this file or without.
            log::warn!("an attachment could not be opened: {error}");
            return Ok(not_now());
        }
    };
    let reading = match reader.read(&attachment.filename, &attachment.content_type, file, until) {
        Ok(text) => Reading::Text(text),
        Err(Unread::Never(problem)) => Reading::Problem(problem.to_owned()),
        Err(Unread::NotNow) => return Ok(not_now()),
    };
    let kept = reading.clone();
    if let Err(error) = store.write(move |tx| store::save_reading(tx, id, &kept)) {
        // The reply does not depend on it.
        log::warn!("the text of an attachment was not kept: {error}");
    }
    Ok(reading)
}

fn not_now() -> Reading {
    Reading::Problem("it could not be read just now".to_owned())
}
