//! Blobs: contents in parts of 256 KiB, each written by a job of its own, so that a large file holds nobody up. A blob
//! gets its digest with its last part, together with the attachment that uses it; before that nobody finds it, and what
//! is left of an upload that broke off is cleared away like every blob that is not used any more.

use std::io::Read as _;

use rusqlite::params;
use sha2::{Digest, Sha256};

use super::attachments::{Attachment, NewAttachment, check_quota, insert_attachment};
use super::{Read, SharedStore, Store, Tx};
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::hex::hex;

/// Bytes of a part. Several jobs of this size take as long as one message's commit.
const PART_BYTES: usize = 256 * 1024;

/// Parts that one step of clearing away removes.
const STEP_PARTS: i64 = 16;

/// How long an unused blob is left alone. Between two parts of an upload a job may wait for a slow disk, but not as long.
const UNUSED_KEPT_S: i64 = 120;

/// What a file's bytes are known by.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) sha256: String,
    pub(super) size: i64,
}

impl Store {
    /// Keeps a file, whose bytes `open` gives from their beginning each time: as long as nobody sends it with a message,
    /// for a day.
    ///
    /// # Errors
    /// [`Kind::TooLarge`] when the owner's attachments would take more than `quota` bytes together; those of the store.
    pub fn keep_file<R: std::io::Read>(
        &self,
        new: &NewAttachment,
        quota: u64,
        open: impl Fn() -> R,
    ) -> Result<Attachment, Error> {
        let content = digest(open())?;
        let user_id = new.user_id;
        let known = self.read(|read| {
            check_quota(read, user_id, content.size, quota)?;
            find_blob(read, &content.sha256)
        })?;
        if known.is_some() {
            let (new, content) = (new.clone(), content.clone());
            if let Some(attachment) = self.write(move |tx| insert_attachment(tx, &new, &content, quota))? {
                return Ok(attachment);
            }
        }
        let mut blob = None;
        let kept = self.write_parts(new, quota, &content, open(), &mut blob);
        let is_ours = match &kept {
            Ok((_, is_ours)) => *is_ours,
            Err(_) => false,
        };
        if let Some(blob) = blob.filter(|_| !is_ours)
            && let Err(error) = self.discard(blob)
        {
            log::warn!("the parts of an upload that broke off stay for a while: {error}");
        }
        kept.map(|(attachment, _)| attachment)
    }

    /// Writes all parts and, with the last, what makes them visible. `blob` is the one they are in as soon as there is
    /// one; also says whether that is the one that is used, or somebody else has kept the same meanwhile.
    fn write_parts(
        &self,
        new: &NewAttachment,
        quota: u64,
        content: &Content,
        mut reader: impl std::io::Read,
        blob: &mut Option<i64>,
    ) -> Result<(Attachment, bool), Error> {
        let mut left = content.size;
        let mut part = 0;
        loop {
            let mut bytes = Vec::with_capacity(PART_BYTES);
            let read = reader.by_ref().take(PART_BYTES as u64).read_to_end(&mut bytes);
            let count = read.map_err(|error| Error::internal("an upload cannot be read", error))?;
            left -= i64::try_from(count).unwrap_or(i64::MAX);
            if left > 0 && count == 0 {
                return Err(Error::new(Kind::Internal, "an upload ended early"));
            }
            let before = *blob;
            if left > 0 {
                *blob = Some(self.write(move |tx| insert_part(tx, before, part, &bytes))?);
                part += 1;
                continue;
            }
            let (new, content) = (new.clone(), content.clone());
            return self.write(move |tx| {
                let blob = insert_part(tx, before, part, &bytes)?;
                let is_ours = find_blob(tx, &content.sha256)?.is_none();
                if is_ours {
                    let sql = "UPDATE blobs SET sha256 = ?2 WHERE id = ?1";
                    tx.execute(sql, params![blob, content.sha256])?;
                }
                let attachment = insert_attachment(tx, &new, &content, quota)?;
                let lost = || Error::new(Kind::Internal, "a blob is not where it was put");
                attachment.map(|attachment| (attachment, is_ours)).ok_or_else(lost)
            });
        }
    }

    /// Removes the parts of a blob that nobody will use, step by step.
    fn discard(&self, blob: i64) -> Result<(), Error> {
        while self.write(move |tx| remove_some(tx, blob))? {}
        Ok(())
    }
}

fn digest(mut reader: impl std::io::Read) -> Result<Content, Error> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; PART_BYTES];
    let mut size = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                size += i64::try_from(count).unwrap_or(i64::MAX);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::internal("an upload cannot be read", error)),
        }
    }
    Ok(Content {
        sha256: hex(&hasher.finalize()),
        size,
    })
}

fn find_blob(read: &Read<'_>, sha256: &str) -> Result<Option<i64>, Error> {
    read.first("SELECT id FROM blobs WHERE sha256 = ?1", [sha256], |row| row.get(0))
}

/// Adds a part to a blob, or to a new one; returns which. A file without bytes has no parts.
fn insert_part(tx: &Tx<'_>, blob: Option<i64>, part: i64, bytes: &[u8]) -> Result<i64, Error> {
    let now = Clock.now().text();
    let blob = match blob {
        Some(blob) => {
            tx.execute("UPDATE blobs SET touched_at = ?2 WHERE id = ?1", params![blob, now])?;
            blob
        }
        None => tx.insert("INSERT INTO blobs (touched_at) VALUES (?1)", [now])?,
    };
    if !bytes.is_empty() {
        let sql = "INSERT INTO blob_parts (blob_id, part, bytes) VALUES (?1, ?2, ?3)";
        tx.execute(sql, params![blob, part, bytes])?;
    }
    Ok(blob)
}

/// Removes a few parts of an unused blob, and the blob with the last; returns whether some are left.
fn remove_some(tx: &Tx<'_>, blob: i64) -> Result<bool, Error> {
    // From the first step on nobody must find it.
    let hidden = tx.execute(
        "UPDATE blobs SET sha256 = NULL, touched_at = '' WHERE id = ?1 AND uses = 0",
        [blob],
    )?;
    if hidden == 0 {
        return Ok(false);
    }
    let removed = tx.execute(
        "DELETE FROM blob_parts WHERE id IN (SELECT id FROM blob_parts WHERE blob_id = ?1 LIMIT ?2)",
        [blob, STEP_PARTS],
    )?;
    if i64::try_from(removed).is_ok_and(|removed| removed == STEP_PARTS) {
        return Ok(true);
    }
    tx.execute("DELETE FROM blobs WHERE id = ?1", [blob])?;
    Ok(false)
}

/// An unused blob that is to go.
fn find_garbage(read: &Read<'_>) -> Result<Option<i64>, Error> {
    read.first(
        "SELECT id FROM blobs WHERE uses = 0 AND touched_at < ?1 LIMIT 1",
        [Clock.now().plus_s(-UNUSED_KEPT_S).text()],
        |row| row.get(0),
    )
}

pub(super) fn has_garbage(read: &Read<'_>) -> Result<bool, Error> {
    find_garbage(read).map(|found| found.is_some())
}

/// One step of clearing away.
pub(super) fn collect(tx: &Tx<'_>) -> Result<(), Error> {
    match find_garbage(tx)? {
        Some(blob) => remove_some(tx, blob).map(drop),
        None => Ok(()),
    }
}

/// At start nobody is uploading: what is not used now will not be.
pub(super) fn abandon_unused(tx: &Tx<'_>) -> Result<(), Error> {
    let sql = "SELECT 1 FROM blobs WHERE uses = 0 AND touched_at > '' LIMIT 1";
    if tx.first(sql, (), |_| Ok(()))?.is_some() {
        tx.execute(
            "UPDATE blobs SET touched_at = '' WHERE uses = 0 AND touched_at > ''",
            (),
        )?;
    }
    Ok(())
}

/// Reads an attachment's bytes part by part, holding a connection only while a part is fetched: whoever reads may be
/// as slow as a client.
pub struct AttachmentReader {
    store: SharedStore,
    blob: i64,
    next_part: i64,
    bytes: Vec<u8>,
    read: usize,
}

impl AttachmentReader {
    /// From the byte at `offset` on.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when the content is gone; those of the store.
    pub fn open(store: &SharedStore, attachment: &Attachment, offset: u64) -> Result<AttachmentReader, Error> {
        let blob = store.read(|read| find_blob(read, &attachment.sha256))?;
        let blob = blob.ok_or_else(|| Error::new(Kind::NotFound, "Attachment not found"))?;
        let mut reader = AttachmentReader {
            store: SharedStore::clone(store),
            blob,
            next_part: i64::try_from(offset / PART_BYTES as u64).unwrap_or(i64::MAX),
            bytes: Vec::new(),
            read: 0,
        };
        let skipped = usize::try_from(offset % PART_BYTES as u64).unwrap_or(0);
        if skipped > 0 {
            reader.fetch()?;
            reader.read = skipped.min(reader.bytes.len());
        }
        Ok(reader)
    }

    /// Fetches the next part; none is there at the end.
    fn fetch(&mut self) -> Result<(), Error> {
        let (blob, part) = (self.blob, self.next_part);
        let sql = "SELECT bytes FROM blob_parts WHERE blob_id = ?1 AND part = ?2";
        let found = self
            .store
            .read(|read| read.first(sql, [blob, part], |row| row.get(0)))?;
        self.bytes = found.unwrap_or_default();
        self.read = 0;
        self.next_part += 1;
        Ok(())
    }
}

impl std::io::Read for AttachmentReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.read == self.bytes.len() && !buffer.is_empty() {
            self.fetch().map_err(std::io::Error::other)?;
        }
        let count = buffer.len().min(self.bytes.len() - self.read);
        buffer[..count].copy_from_slice(&self.bytes[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}
