//! The same for people: an archive of Markdown, a file for each conversation as it is shown, with the files that were
//! sent and the documents beside them. Nothing reads it back: other branches, settings and ids are in the JSON only.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path};

use super::export::{PIECE_BYTES, ROWS};
use super::zip::{self, Archive};
use crate::error::{Error, Kind};
use crate::store::{self, Attachment, AttachmentReader, PortableConversation, PortableMessage, SharedStore, User};
use crate::system;

/// Characters of a title that a file's name holds.
const NAME_CHARS: usize = 80;

/// Writes what the user has as an archive.
///
/// # Errors
/// Those of the store; those of writing, as `unwritable` makes them.
pub fn export_markdown<W: Write>(
    store: &SharedStore,
    user: &User,
    out: W,
    unwritable: fn(&io::Error) -> Error,
) -> Result<W, Error> {
    let mut writer = Writer {
        archive: Archive::new(out),
        store,
        owner: user.id,
        names: HashSet::new(),
        files: HashMap::new(),
        unwritable,
    };
    writer.attachments()?;
    writer.conversations()?;
    writer.documents()?;
    writer.archive.finish().map_err(|error| unwritable(&error))
}

struct Writer<'s, W: Write> {
    archive: Archive<W>,
    store: &'s SharedStore,
    owner: i64,
    /// Names that are taken, in lower case: some systems know no other.
    names: HashSet<String>,
    /// Attachments by their UUIDs, each with what it is called and where it stands.
    files: HashMap<String, (String, String)>,
    unwritable: fn(&io::Error) -> Error,
}

impl<W: Write> Writer<'_, W> {
    fn write(&mut self, name: &str, text: &str) -> Result<(), Error> {
        let unwritable = self.unwritable;
        let mut write = || {
            let mut file = self.archive.file(name)?;
            file.write_all(text.as_bytes())?;
            file.end()
        };
        write().map_err(|error| unwritable(&error))
    }

    fn attachments(&mut self) -> Result<(), Error> {
        let (owner, mut after) = (self.owner, 0);
        loop {
            let page = self
                .store
                .read(|read| store::list_portable_attachments(read, owner, after, ROWS))?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = last.id;
            for (attachment, _) in &page {
                self.attachment(attachment)?;
            }
        }
    }

    fn attachment(&mut self, attachment: &Attachment) -> Result<(), Error> {
        let (stem, ending) = match attachment.filename.rsplit_once('.') {
            Some((stem, ending)) if !stem.is_empty() && (1..=10).contains(&ending.len()) => {
                (stem, format!(".{}", safe(ending)))
            }
            _ => (attachment.filename.as_str(), String::new()),
        };
        let name = free_name(&mut self.names, "files", stem, &attachment.uuid, &ending);
        let mut reader = AttachmentReader::open(self.store, attachment, 0)?;
        let unwritable = self.unwritable;
        let mut file = self.archive.file(&name).map_err(|error| unwritable(&error))?;
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        loop {
            piece.clear();
            let read = reader.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece);
            read.map_err(|error| Error::internal("an attachment cannot be read", error))?;
            if piece.is_empty() {
                break;
            }
            file.write_all(&piece).map_err(|error| unwritable(&error))?;
        }
        file.end().map_err(|error| unwritable(&error))?;
        self.files
            .insert(attachment.uuid.clone(), (attachment.filename.clone(), name));
        Ok(())
    }

    fn conversations(&mut self) -> Result<(), Error> {
        let (owner, mut after) = (self.owner, 0);
        loop {
            let page = self
                .store
                .read(|read| store::list_portable_conversations(read, owner, after, ROWS))?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = *last;
            for (id, conversation) in &page {
                let title = conversation.title.as_deref().unwrap_or("Untitled");
                let title = format!("{} {title}", day(&conversation.created_at));
                let name = free_name(&mut self.names, "conversations", &title, &conversation.uuid, ".md");
                self.conversation(*id, conversation, &name)?;
            }
        }
    }

    /// A message at a time: a conversation may have more of them than should stand in memory together.
    fn conversation(&mut self, id: i64, conversation: &PortableConversation, name: &str) -> Result<(), Error> {
        let shown = find_shown(self.store, id, conversation)?;
        let unwritable = self.unwritable;
        let mut file = self.archive.file(name).map_err(|error| unwritable(&error))?;
        let written = file.write_all(head(conversation).as_bytes());
        written.map_err(|error| unwritable(&error))?;
        each_message(self.store, id, |message| {
            if !shown.contains(&message.uuid) {
                return Ok(());
            }
            let text = told(message, &self.files);
            file.write_all(text.as_bytes()).map_err(|error| unwritable(&error))
        })?;
        file.end().map_err(|error| unwritable(&error))
    }

    fn documents(&mut self) -> Result<(), Error> {
        let (owner, mut after) = (self.owner, 0);
        loop {
            let page = self
                .store
                .read(|read| store::list_documents_by_age(read, owner, after, ROWS))?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.id;
            for document in &page {
                let text = self.store.read(|read| store::read_document(read, document.id))?;
                let name = free_name(&mut self.names, "library", &document.title, &document.uuid, ".md");
                self.write(&name, &text)?;
            }
        }
    }
}

/// What stands before the messages.
fn head(conversation: &PortableConversation) -> String {
    let title = conversation.title.as_deref().unwrap_or("Untitled");
    let mut text = format!("# {}\n\n{}\n", one_line(title), minute(&conversation.created_at));
    if !conversation.tags.is_empty() {
        text += &format!("\nTags: {}\n", conversation.tags.join(", "));
    }
    if let Some(prompt) = &conversation.system_prompt {
        text += &format!("\n## System\n\n{}\n", prompt.trim());
    }
    text
}

/// The messages of the branch that is shown.
fn find_shown(store: &SharedStore, id: i64, conversation: &PortableConversation) -> Result<HashSet<String>, Error> {
    let mut parents = HashMap::new();
    each_message(store, id, |message| {
        parents.insert(message.uuid.clone(), message.parent.clone());
        Ok(())
    })?;
    let mut shown = HashSet::new();
    let mut at = conversation.leaf.clone();
    while let Some(uuid) = at {
        at = parents.get(&uuid).cloned().flatten();
        // A message that comes after itself would have no end.
        if !shown.insert(uuid) {
            break;
        }
    }
    Ok(shown)
}

fn each_message(
    store: &SharedStore,
    conversation: i64,
    mut each: impl FnMut(&PortableMessage) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let page = store.read(|read| store::list_portable_messages(read, conversation, after, ROWS))?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = *last;
        for (_, message) in &page {
            each(message)?;
        }
    }
}

/// A message with the files that it has, by their UUIDs.
fn told(message: &PortableMessage, files: &HashMap<String, (String, String)>) -> String {
    let who = match message.role.as_str() {
        "user" => "You",
        _ => message.model.as_deref().unwrap_or("Assistant"),
    };
    let mut text = format!("\n## {} · {}\n", one_line(who), minute(&message.created_at));
    if let Some(thoughts) = &message.reasoning {
        text += "\n*Thoughts*\n\n";
        for line in thoughts.trim().lines() {
            text += &format!("> {line}\n");
        }
    }
    if let Some(calls) = &message.tool_calls {
        text += &format!("\n*Tools*\n\n```json\n{}\n```\n", calls.get());
    }
    if !message.content.trim().is_empty() {
        text += &format!("\n{}\n", message.content.trim());
    }
    if let Some(error) = &message.error {
        text += &format!("\n*{}*\n", one_line(error));
    }
    for uuid in &message.attachments {
        if let Some((name, path)) = files.get(uuid) {
            text += &format!("\n[{}](<../{path}>)\n", one_line(name).replace(['[', ']'], " "));
        }
    }
    text
}

/// A name that no other file of the archive has.
fn free_name(taken: &mut HashSet<String>, folder: &str, title: &str, id: &str, ending: &str) -> String {
    let title = safe(title);
    let plain = format!("{folder}/{title}{ending}");
    // An id begins with the time, which many have in common. No two are the same.
    let end = id.get(id.len().saturating_sub(12)..).unwrap_or(id);
    let others = [end, id].map(|id| format!("{folder}/{title} {id}{ending}"));
    let mut names = std::iter::once(plain).chain(others);
    let free = names.find(|name| taken.insert(name.to_lowercase()));
    free.unwrap_or_else(|| format!("{folder}/{id}{ending}"))
}

/// A title as a file's name: no folders, no character that a shell or Windows understands otherwise.
fn safe(title: &str) -> String {
    let is_unsafe = |char: char| char.is_control() || "/\\:*?\"<>|`$".contains(char);
    let words = title.split(|char: char| is_unsafe(char) || char.is_whitespace());
    let name = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let name: String = name.trim_matches('.').chars().take(NAME_CHARS).collect();
    let name = name.trim_matches([' ', '.']);
    if name.is_empty() {
        "untitled".to_owned()
    } else {
        name.to_owned()
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `2026-11-21` of a time.
fn day(time: &str) -> &str {
    time.get(..10).unwrap_or(time)
}

/// `2026-11-21 05:17` of a time.
fn minute(time: &str) -> String {
    time.get(..16).unwrap_or(time).replacen('T', " ", 1)
}

/// Unpacks an archive of ours into a folder; returns how many files it has. A file that is there already is not
/// touched.
///
/// # Errors
/// [`Kind::Conflict`] when a file is there already, [`Kind::Malformed`] when the archive is damaged; those of the disk.
pub fn unpack(archive: &Path, folder: &Path) -> Result<usize, Error> {
    let failed = |path: &Path, error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::AlreadyExists => Kind::Conflict,
            _ if system::is_full(&error) => Kind::StorageFull,
            _ => Kind::Unavailable,
        };
        Error::new(kind, format!("{} cannot be written", path.display())).caused_by(error)
    };
    let open = || File::open(archive).map_err(|error| failed(archive, error));
    let entries = zip::list(open()?)?;
    for entry in &entries {
        let relative = Path::new(&entry.name);
        let is_inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_inside || entry.name.contains('\\') {
            return Err(Error::new(
                Kind::Malformed,
                "The archive holds a file with a path that leads elsewhere",
            ));
        }
        let path = folder.join(relative);
        // Not the folder itself: if that has gone meanwhile, it is not wanted any more.
        let below: Vec<&Path> = relative.ancestors().skip(1).collect();
        for parent in below.into_iter().rev().filter(|parent| !parent.as_os_str().is_empty()) {
            let parent = folder.join(parent);
            match fs::create_dir(&parent) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&parent, error)),
                _ => {}
            }
        }
        let made = File::create_new(&path);
        let mut file = made.map_err(|error| failed(&path, error))?;
        io::copy(&mut zip::open(open()?, entry)?, &mut file).map_err(|error| failed(&path, error))?;
    }
    Ok(entries.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_everywhere() {
        for (title, name) in [
            ("Plain title", "Plain title"),
            ("../../etc/passwd", "etc passwd"),
            ("a\\b:c*d?\"e<f>g|h", "a b c d e f g h"),
            (" \u{7}. ", "untitled"),
            ("...", "untitled"),
            ("wörter 猫 \u{1f600}", "wörter 猫 \u{1f600}"),
        ] {
            assert_eq!(safe(title), name, "{title:?}");
        }
        assert_eq!(safe(&"x".repeat(500)).len(), NAME_CHARS);
    }

    #[test]
    fn no_two_files_have_one_name() {
        let mut taken = HashSet::new();
        // As they are given within a minute, and as somebody may have made them up.
        let ids = [
            "018f0000-0000-7000-8000-000000000001",
            "018f0000-0000-7000-8000-000000000002",
            "018f0000-0000-7000-8000-000000000003",
            "018f0000-0000-7000-9000-000000000003",
            "018f0000-0000-7000-a000-000000000003",
        ];
        let name = |id: &&str| free_name(&mut taken, "files", "image", id, ".jpg");
        let names: HashSet<String> = ids.iter().map(name).collect();
        assert_eq!(names.len(), ids.len(), "{names:?}");
    }

    #[test]
    fn an_archive_stays_in_its_folder() {
        let folder = std::env::temp_dir().join(format!("fireside-unpack-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.zip");
        fs::create_dir(folder.join("in")).unwrap();
        for (name, is_good) in [
            ("a/b.md", true),
            ("../b.md", false),
            ("/b.md", false),
            ("a\\b.md", false),
        ] {
            let mut archive = Archive::new(File::create(&path).unwrap());
            let mut file = archive.file(name).unwrap();
            file.write_all(b"text").unwrap();
            file.end().unwrap();
            archive.finish().unwrap();
            assert_eq!(unpack(&path, &folder.join("in")).is_ok(), is_good, "{name}");
        }
        assert_eq!(fs::read(folder.join("in/a/b.md")).unwrap(), b"text");
        // What is there stays.
        let mut archive = Archive::new(File::create(&path).unwrap());
        archive.file("a/b.md").unwrap().end().unwrap();
        archive.finish().unwrap();
        assert_eq!(unpack(&path, &folder.join("in")).unwrap_err().kind(), Kind::Conflict);
        assert_eq!(fs::read(folder.join("in/a/b.md")).unwrap(), b"text");
        // A folder that is cleared away meanwhile does not come back.
        assert!(unpack(&path, &folder.join("gone")).is_err());
        assert!(!folder.join("gone").exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
