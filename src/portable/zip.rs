//! Archives: as much of the zip format (PKWARE's APPNOTE 6.3) as exports need, in and out. Reading trusts nothing that an
//! archive says of itself: what it lists is counted, what it holds is measured while it is unpacked, and its names are
//! only looked at, never opened.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use super::{malformed, unreadable};
use crate::error::Error;

/// Files that an archive may list: exports come with one for every picture.
pub(super) const LISTED_MAX: u64 = 200_000;

/// Bytes of the list: twenty megabytes are a hundred for each of those files.
const LIST_BYTES_MAX: u64 = 20 * 1024 * 1024;

/// The end of the list is looked for so far from the end of the file: a comment may stand behind it.
const TAIL_BYTES: u64 = 22 + 65_535;

/// What files begin with, and the list, and its end.
const LOCAL: &[u8; 4] = b"PK\x03\x04";
const LISTED: &[u8; 4] = b"PK\x01\x02";
const END: &[u8; 4] = b"PK\x05\x06";
const END_64: &[u8; 4] = b"PK\x06\x06";
const END_64_AT: &[u8; 4] = b"PK\x06\x07";

/// Methods of packing.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Whether bytes are the beginning of an archive.
pub(super) fn is_archive(start: &[u8]) -> bool {
    start.starts_with(LOCAL) || start.starts_with(END)
}

/// A file in an archive.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// As the archive has it: to be shown, never to be opened.
    pub(super) name: String,
    method: u16,
    is_locked: bool,
    crc: u32,
    packed: u64,
    /// Bytes once it is unpacked; never more are read.
    pub(super) size: u64,
    offset: u64,
}

/// The files of an archive.
///
/// # Errors
/// [`crate::error::Kind::Malformed`] when it is damaged or beyond the limits.
pub(super) fn list<R: Read + Seek>(mut source: R) -> Result<Vec<Entry>, Error> {
    let (count, size, offset) = find_list(&mut source)?;
    if count > LISTED_MAX || size > LIST_BYTES_MAX {
        return Err(malformed("it is an archive of more than 200 000 files"));
    }
    source.seek(SeekFrom::Start(offset)).map_err(unreadable)?;
    let mut list = BufReader::new(source.take(size));
    let mut entries = Vec::new();
    for _ in 0..count {
        let entry = read_entry(&mut list).map_err(damaged)?;
        if !entry.name.ends_with('/') {
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// Reads a file of an archive.
///
/// # Errors
/// [`crate::error::Kind::Malformed`] when it is damaged, locked, or packed in a way that is not known here.
pub(super) fn open<R: Read + Seek>(mut source: R, entry: &Entry) -> Result<impl Read + use<R>, Error> {
    if entry.is_locked || ![STORED, DEFLATED].contains(&entry.method) {
        return Err(malformed(
            "it is an archive with a password, or packed in an unusual way",
        ));
    }
    source.seek(SeekFrom::Start(entry.offset)).map_err(unreadable)?;
    let mut head = [0; 30];
    source.read_exact(&mut head).map_err(damaged)?;
    if !head.starts_with(LOCAL) {
        return Err(malformed("it is a damaged archive"));
    }
    let skipped = i64::from(short(&head, 26)) + i64::from(short(&head, 28));
    source.seek(SeekFrom::Current(skipped)).map_err(unreadable)?;
    let packed = source.take(entry.packed);
    let unpacked: Unpacked<R> = if entry.method == STORED {
        Unpacked::Stored(packed)
    } else {
        Unpacked::Deflated(DeflateDecoder::new(packed))
    };
    Ok(Checked {
        unpacked,
        crc: Crc::new(),
        wanted: (entry.crc, entry.size),
        bytes: 0,
    })
}

enum Unpacked<R> {
    Stored(io::Take<R>),
    Deflated(DeflateDecoder<io::Take<R>>),
}

/// What was unpacked must be as long as the archive says, and as it was when it was packed.
struct Checked<R> {
    unpacked: Unpacked<R>,
    crc: Crc,
    wanted: (u32, u64),
    bytes: u64,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.unpacked {
            Unpacked::Stored(source) => source.read(buffer)?,
            Unpacked::Deflated(source) => source.read(buffer).map_err(as_damage)?,
        };
        self.crc.update(&buffer[..count]);
        self.bytes += count as u64;
        let (crc, size) = self.wanted;
        let is_end = count == 0 && !buffer.is_empty();
        if self.bytes > size || (is_end && (self.bytes, self.crc.sum()) != (size, crc)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an archive is damaged"));
        }
        Ok(count)
    }
}

/// What flate2 says of a stream that is broken or cut short, and no disk does of itself, is damage and not our fault.
fn as_damage(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => io::Error::new(io::ErrorKind::InvalidData, error),
        _ => error,
    }
}

/// How many files the list has, how long it is, and where it begins.
fn find_list<R: Read + Seek>(source: &mut R) -> Result<(u64, u64, u64), Error> {
    let length = source.seek(SeekFrom::End(0)).map_err(unreadable)?;
    let start = length.saturating_sub(TAIL_BYTES);
    source.seek(SeekFrom::Start(start)).map_err(unreadable)?;
    let mut tail = Vec::new();
    source
        .by_ref()
        .take(TAIL_BYTES)
        .read_to_end(&mut tail)
        .map_err(unreadable)?;
    let is_end =
        |at: &usize| tail[*at..].starts_with(END) && at + 22 + usize::from(short(&tail, at + 20)) == tail.len();
    let at = (0..tail.len().saturating_sub(21)).rev().find(is_end);
    let at = at.ok_or_else(|| malformed("it is an archive without its end"))?;
    let found = (
        u64::from(short(&tail, at + 10)),
        u64::from(long(&tail, at + 12)),
        u64::from(long(&tail, at + 16)),
    );
    let is_full = found.0 == 0xffff || found.1 == 0xffff_ffff || found.2 == 0xffff_ffff;
    match at.checked_sub(20) {
        Some(pointer) if is_full && tail[pointer..].starts_with(END_64_AT) => {
            let mut end = [0; 56];
            source
                .seek(SeekFrom::Start(longer(&tail, pointer + 8)))
                .and_then(|_| source.read_exact(&mut end))
                .map_err(damaged)?;
            if !end.starts_with(END_64) {
                return Err(malformed("it is a damaged archive"));
            }
            Ok((longer(&end, 32), longer(&end, 40), longer(&end, 48)))
        }
        _ => Ok(found),
    }
}

fn read_entry(list: &mut impl Read) -> io::Result<Entry> {
    let mut head = [0; 46];
    list.read_exact(&mut head)?;
    if !head.starts_with(LISTED) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a file is not listed where it should be",
        ));
    }
    let mut read = |at: usize| -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::from(short(&head, at))];
        list.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    let (name, extra, _) = (read(28)?, read(30)?, read(32)?);
    let mut sizes = [24, 20, 42].map(|at| u64::from(long(&head, at)));
    // Those that do not fit stand in a field of their own, in this order.
    let mut further = field(&extra, 1).unwrap_or_default().chunks_exact(8);
    for size in sizes.iter_mut().filter(|size| **size == 0xffff_ffff) {
        if let Some(eight) = further.next() {
            *size = longer(eight, 0);
        }
    }
    let [size, packed, offset] = sizes;
    Ok(Entry {
        name: String::from_utf8_lossy(&name).into_owned(),
        method: short(&head, 10),
        is_locked: short(&head, 8) & 1 == 1,
        crc: long(&head, 16),
        packed,
        size,
        offset,
    })
}

/// The extra field of this number.
fn field(mut extra: &[u8], wanted: u16) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let (number, length) = (short(extra, 0), usize::from(short(extra, 2)));
        let value = extra.get(4..4 + length)?;
        if number == wanted {
            return Some(value);
        }
        extra = &extra[4 + length..];
    }
    None
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn longer(bytes: &[u8], at: usize) -> u64 {
    u64::from(long(bytes, at)) | u64::from(long(bytes, at + 4)) << 32
}

fn damaged(error: io::Error) -> Error {
    malformed("it is a damaged archive").caused_by(error)
}

/// Writes an archive from its beginning to its end.
pub(super) struct Archive<W: Write> {
    out: Counted<W>,
    list: Vec<u8>,
    files: u16,
}

/// A file on its way into an archive.
pub(super) struct Packed<'a, W: Write> {
    archive: &'a mut Archive<W>,
    head: Vec<u8>,
    offset: u64,
    encoder: Option<DeflateEncoder<Vec<u8>>>,
    crc: Crc,
    packed: u64,
}

struct Counted<W> {
    out: W,
    written: u64,
}

impl<W: Write> Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W) -> Archive<W> {
        Archive {
            out: Counted { out, written: 0 },
            list: Vec::new(),
            files: 0,
        }
    }

    /// Begins a file of this name, with `/` between folders.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn file(&mut self, name: &str) -> io::Result<Packed<'_, W>> {
        let offset = self.out.written;
        let length = u16::try_from(name.len()).map_err(io::Error::other)?;
        // Version 2.0; sizes follow the file, names are UTF-8; deflated; midnight of 1 January 1980: the archive of the
        // same is the same.
        let mut head = vec![20, 0, 0x08, 0x08, 8, 0, 0, 0, 0x21, 0];
        head.extend([0; 12]);
        head.extend(length.to_le_bytes());
        head.extend([0; 2]);
        self.out.write(LOCAL)?;
        self.out.write(&head)?;
        self.out.write(name.as_bytes())?;
        head.extend(name.as_bytes());
        Ok(Packed {
            archive: self,
            head,
            offset,
            encoder: Some(DeflateEncoder::new(Vec::new(), Compression::default())),
            crc: Crc::new(),
            packed: 0,
        })
    }

    /// Writes the list.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let offset = small(self.out.written)?;
        self.out.write(&self.list)?;
        let mut end = END.to_vec();
        end.extend([0; 4]);
        end.extend(self.files.to_le_bytes());
        end.extend(self.files.to_le_bytes());
        end.extend(small(self.list.len() as u64)?.to_le_bytes());
        end.extend(offset.to_le_bytes());
        end.extend([0; 2]);
        self.out.write(&end)?;
        Ok(self.out.out)
    }
}

impl<W: Write> Write for Packed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.crc.update(bytes);
        let Some(encoder) = &mut self.encoder else {
            return Err(io::Error::other("the file has ended"));
        };
        encoder.write_all(bytes)?;
        let ready = std::mem::take(encoder.get_mut());
        self.packed += ready.len() as u64;
        self.archive.out.write(&ready)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Packed<'_, W> {
    /// Ends the file and lists it.
    ///
    /// # Errors
    /// Those of writing, also when the archive becomes larger than the format allows.
    pub(super) fn end(mut self) -> io::Result<()> {
        let rest = self.encoder.take().map(DeflateEncoder::finish).transpose()?;
        let rest = rest.unwrap_or_default();
        self.packed += rest.len() as u64;
        let archive = self.archive;
        archive.out.write(&rest)?;
        let mut sizes = self.crc.sum().to_le_bytes().to_vec();
        sizes.extend(small(self.packed)?.to_le_bytes());
        sizes.extend(self.crc.amount().to_le_bytes());
        archive.out.write(b"PK\x07\x08")?;
        archive.out.write(&sizes)?;
        let mut head = self.head;
        head[10..22].copy_from_slice(&sizes);
        let (fixed, name) = head.split_at(26);
        archive.list.extend(LISTED);
        archive.list.extend([20, 0]);
        archive.list.extend(fixed);
        archive.list.extend([0; 10]);
        archive.list.extend(small(self.offset)?.to_le_bytes());
        archive.list.extend(name);
        archive.files = archive.files.checked_add(1).ok_or_else(too_large)?;
        Ok(())
    }
}

fn small(number: u64) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| too_large())
}

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "an archive holds at most 65 535 files and 4 GiB",
    )
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = Archive::new(Vec::new());
        for (name, bytes) in files {
            let mut file = archive.file(name).unwrap();
            file.write_all(bytes).unwrap();
            file.end().unwrap();
        }
        archive.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
        let said = |error: Error| error.message().to_owned();
        let listing = list(Cursor::new(bytes)).map_err(said)?;
        let unpack = |entry: &Entry| {
            let mut whole = Vec::new();
            let mut reader = open(Cursor::new(bytes.to_vec()), entry).map_err(said)?;
            reader.read_to_end(&mut whole).map_err(|error| error.to_string())?;
            Ok((entry.name.clone(), whole))
        };
        listing.iter().map(unpack).collect()
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let long = "many words ".repeat(100_000).into_bytes();
        let files: [(&str, &[u8]); 3] = [("a.json", b"[]"), ("ü/long.md", &long), ("empty", b"")];
        let bytes = archive(&files);
        assert!(is_archive(&bytes) && bytes.len() < 20_000, "{} bytes", bytes.len());
        let found = read(&bytes).unwrap();
        let expected: Vec<_> = files
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
            .collect();
        assert!(found == expected);
        assert!(read(&archive(&[])).unwrap().is_empty());
    }

    #[test]
    fn damage_is_noticed_wherever_it_is() {
        let bytes = archive(&[("a.json", b"[1, 2, 3, 4, 5, 6, 7, 8]")]);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            // Some bytes say nothing that is used here; none makes it read what was not packed.
            if let Ok(found) = read(&damaged)
                && let [(_, content)] = &found[..]
            {
                assert_eq!(content, b"[1, 2, 3, 4, 5, 6, 7, 8]", "byte {at}");
            }
            read(&bytes[..at]).unwrap_err();
        }
    }

    #[test]
    fn more_than_may_be_is_refused() {
        let mut bytes = archive(&[("bomb.json", b"[]")]);
        let at = bytes.windows(4).position(|four| four == LISTED).unwrap();
        // It says less than it is.
        bytes[at + 24..at + 28].copy_from_slice(&[1, 0, 0, 0]);
        assert!(read(&bytes).unwrap_err().contains("damaged"));
        // It lists more than anybody has.
        let end = bytes.len() - 22;
        bytes[end + 12..end + 16].copy_from_slice(&[0xfe, 0xff, 0xff, 0x7f]);
        assert!(read(&bytes).unwrap_err().contains("200 000"));
    }
}
