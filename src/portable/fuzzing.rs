//! What must hold of whatever is brought in: it is read or refused, and never the server's fault; the same file comes to
//! the same report, as it is and packed into an archive; what was packed is unpacked as it was.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "to panic is what these functions are for"
)]

use std::io::{Cursor, Read as _, Write as _};
use std::sync::Arc;

use super::zip::{self, Archive};
use super::{Destination, Mode, Report, import as bring_in, logs};
use crate::error::{Error, Kind};
use crate::fuzzing::Scratch;

thread_local! {
    static SCRATCH: Scratch = Scratch::new("import");
}

/// A file of any kind, but for databases: how those are read is SQLite's affair.
pub(crate) fn import(bytes: &[u8]) {
    if bytes.starts_with(logs::MAGIC) {
        return;
    }
    let report = rehearse("conversations.json", bytes);
    assert_eq!(
        report.as_ref().ok(),
        rehearse("conversations.json", bytes).ok().as_ref()
    );
    if let Err(error) = &report {
        assert_eq!(error.kind(), Kind::Malformed, "{error}");
    }
    let packed = pack(&[("a/conversations.json", bytes), ("b.txt", b"b")]);
    let entries = zip::list(Cursor::new(&packed)).expect("an archive that is in order");
    let [entry, _] = &entries[..] else {
        panic!("{} files", entries.len());
    };
    let mut unpacked = Vec::new();
    let mut file = zip::open(Cursor::new(&packed), entry).expect("a file that is in order");
    file.read_to_end(&mut unpacked).expect("a file that is in order");
    assert_eq!(unpacked, bytes);
    let from_archive = rehearse("export.zip", &packed);
    let foreign = ["ChatGPT", "Claude", "llama.cpp", "Open WebUI"];
    let foreign = report.ok().filter(|report| foreign.contains(&report.source));
    if let Some(report) = foreign.filter(|_| !zip::is_archive(bytes)) {
        let from_archive = from_archive.expect("an archive of a list that can be imported");
        assert_eq!(from_archive.source, report.source);
        assert_eq!(from_archive.conversations, report.conversations);
        assert_eq!(from_archive.messages, report.messages);
    }
}

fn rehearse(name: &str, bytes: &[u8]) -> Result<Report, Error> {
    let bytes: Arc<[u8]> = bytes.into();
    SCRATCH.with(|scratch| {
        let to = Destination {
            store: Arc::clone(&scratch.store),
            owner: scratch.owner,
            quota_bytes: 1 << 20,
            file_bytes_max: 1 << 16,
            scratch: scratch.folder.clone(),
            mode: Mode::Rehearse,
        };
        bring_in(&to, name, || Cursor::new(Arc::clone(&bytes)))
    })
}

fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Archive::new(Vec::new());
    for (name, bytes) in files {
        let mut file = archive.file(name).unwrap();
        file.write_all(bytes).unwrap();
        file.end().unwrap();
    }
    archive.finish().unwrap()
}
