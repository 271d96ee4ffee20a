//! Writing the document, piece by piece: each piece is read from the store, written and forgotten.

use std::io::{Read as _, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::{FORMAT, PortableAccount, PortableAttachment, PortableDocument, VERSION};
use crate::error::Error;
use crate::store::{self, Attachment, AttachmentReader, SharedStore, User};

/// Rows that are read at a time: even the longest messages make some tens of megabytes of so many.
pub(super) const ROWS: i64 = 32;

/// Bytes of a file that are written at a time; a multiple of three, so that the pieces of Base64 fit together.
pub(super) const PIECE_BYTES: usize = 48 * 1024;

/// Whether files come with their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// Each with its bytes, in Base64.
    Whole,
    /// Only what they are called.
    Named,
}

/// Writes everything the user has. The same gives the same bytes: what the day is, is not in it.
///
/// # Errors
/// Those of the store; those of writing, as `unwritable` makes them.
pub fn export<W: Write>(
    store: &SharedStore,
    user: &User,
    files: Files,
    out: W,
    unwritable: fn(&std::io::Error) -> Error,
) -> Result<W, Error> {
    let mut pen = Pen { out, unwritable };
    let account = PortableAccount {
        email: user.email.clone(),
        display_name: user.display_name.clone(),
        system_prompt: user.system_prompt.clone(),
    };
    let settings = store.read(|read| store::find_portable_settings(read, user.id))?;
    pen.text(&format!("{{\"format\":\"{FORMAT}\",\"version\":{VERSION},\"account\":"))?;
    pen.json(&account)?;
    pen.text(",\"settings\":")?;
    pen.json(&settings)?;
    pen.text(",\"attachments\":[")?;
    write_attachments(&mut pen, store, user.id, files)?;
    pen.text("],\"conversations\":[")?;
    write_conversations(&mut pen, store, user.id)?;
    pen.text("],\"documents\":[")?;
    write_documents(&mut pen, store, user.id)?;
    pen.text("]}\n")?;
    Ok(pen.out)
}

struct Pen<W> {
    out: W,
    unwritable: fn(&std::io::Error) -> Error,
}

impl<W: Write> Pen<W> {
    fn text(&mut self, text: &str) -> Result<(), Error> {
        self.out
            .write_all(text.as_bytes())
            .map_err(|error| (self.unwritable)(&error))
    }

    fn json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let bytes = serde_json::to_vec(value).map_err(|error| Error::internal("an export cannot be written", error))?;
        self.out.write_all(&bytes).map_err(|error| (self.unwritable)(&error))
    }

    /// An object without its end, so that more fields can follow.
    fn open(&mut self, value: &impl Serialize, separator: &str) -> Result<(), Error> {
        let text =
            serde_json::to_string(value).map_err(|error| Error::internal("an export cannot be written", error))?;
        self.text(separator)?;
        self.text(text.strip_suffix('}').unwrap_or(&text))
    }
}

fn write_attachments<W: Write>(pen: &mut Pen<W>, store: &SharedStore, owner: i64, files: Files) -> Result<(), Error> {
    let (mut after, mut separator) = (0, "\n");
    loop {
        let page = store.read(|read| store::list_portable_attachments(read, owner, after, ROWS))?;
        for (attachment, created_at) in &page {
            after = attachment.id;
            write_attachment(pen, store, attachment, (created_at, files, separator))?;
            separator = ",\n";
        }
        if page.is_empty() {
            return Ok(());
        }
    }
}

fn write_attachment<W: Write>(
    pen: &mut Pen<W>,
    store: &SharedStore,
    attachment: &Attachment,
    (created_at, files, separator): (&str, Files, &str),
) -> Result<(), Error> {
    let portable = PortableAttachment {
        uuid: attachment.uuid.clone(),
        filename: attachment.filename.clone(),
        content_type: attachment.content_type.clone(),
        size: attachment.size,
        sha256: Some(attachment.sha256.clone()),
        created_at: created_at.to_owned(),
        bytes: None,
    };
    pen.open(&portable, separator)?;
    if files == Files::Whole {
        let mut reader = AttachmentReader::open(store, attachment, 0)?;
        pen.text(",\"bytes\":\"")?;
        loop {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let read = reader.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece);
            read.map_err(|error| Error::internal("an attachment cannot be read", error))?;
            if piece.is_empty() {
                break;
            }
            pen.text(&STANDARD.encode(&piece))?;
        }
        pen.text("\"")?;
    }
    pen.text("}")
}

fn write_conversations<W: Write>(pen: &mut Pen<W>, store: &SharedStore, owner: i64) -> Result<(), Error> {
    let (mut after, mut separator) = (0, "\n");
    loop {
        let page = store.read(|read| store::list_portable_conversations(read, owner, after, ROWS))?;
        for (id, conversation) in &page {
            after = *id;
            pen.open(conversation, separator)?;
            pen.text(",\"messages\":[")?;
            write_messages(pen, store, *id)?;
            pen.text("]}")?;
            separator = ",\n";
        }
        if page.is_empty() {
            return Ok(());
        }
    }
}

fn write_messages<W: Write>(pen: &mut Pen<W>, store: &SharedStore, conversation: i64) -> Result<(), Error> {
    let (mut after, mut separator) = (0, "\n");
    loop {
        let page = store.read(|read| store::list_portable_messages(read, conversation, after, ROWS))?;
        for (id, message) in &page {
            after = *id;
            pen.text(separator)?;
            pen.json(message)?;
            separator = ",\n";
        }
        if page.is_empty() {
            return Ok(());
        }
    }
}

fn write_documents<W: Write>(pen: &mut Pen<W>, store: &SharedStore, owner: i64) -> Result<(), Error> {
    let (mut after, mut separator) = (0, "\n");
    loop {
        let page = store.read(|read| store::list_documents_by_age(read, owner, after, ROWS))?;
        if page.is_empty() {
            return Ok(());
        }
        for document in page {
            after = document.id;
            let portable = PortableDocument {
                content: store.read(|read| store::read_document(read, document.id))?,
                title: document.title,
                author: document.author,
                source: document.source,
            };
            pen.text(separator)?;
            pen.json(&portable)?;
            separator = ",\n";
        }
    }
}
