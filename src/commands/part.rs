//! Files that get their names once they are whole. Nothing that somebody else has put there is removed or overwritten.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A name beside a file that no other file has.
pub(super) fn beside(file: &Path) -> PathBuf {
    let mut part = file.as_os_str().to_owned();
    part.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
    PathBuf::from(part)
}

/// Gives a part its name, unless something has that name by now.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`]; the system's. Then the part is still there.
pub(super) fn name(part: &Path, file: &Path) -> io::Result<()> {
    match fs::hard_link(part, file) {
        Ok(()) => fs::remove_file(part),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Not every file system has hard links.
        Err(_) if file.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(part, file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_by_now_stays() {
        let folder = std::env::temp_dir().join(format!("fireside-part-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("export.json");
        let part = beside(&file);
        assert_ne!(part, beside(&file));
        fs::write(&part, "ours").unwrap();
        name(&part, &file).unwrap();
        assert!(!part.exists());
        fs::write(&part, "later").unwrap();
        assert_eq!(name(&part, &file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).unwrap(), "ours");
        assert_eq!(fs::read_to_string(&part).unwrap(), "later");
        fs::remove_dir_all(&folder).unwrap();
    }
}
