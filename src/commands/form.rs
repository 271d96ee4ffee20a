//! A form with files, sent as it is read: no file is held in memory.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use super::Failed;
use super::client::Sent;
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::reading::media_type;

/// Fields and files in the order in which they were added.
pub(super) struct Form {
    boundary: String,
    media_type: String,
    body: Box<dyn Read>,
    bytes: u64,
}

impl Form {
    /// One that holds nothing.
    pub(super) fn new() -> Form {
        // Random, so that no file holds it.
        let boundary = format!("fireside-{}", Clock.uuid());
        Form {
            media_type: format!("multipart/form-data; boundary={boundary}"),
            boundary,
            body: Box::new(std::io::empty()),
            bytes: 0,
        }
    }

    /// With one more field.
    pub(super) fn field(self, name: &str, value: &str) -> Form {
        let head = format!(
            "--{}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n",
            self.boundary
        );
        self.add(head)
    }

    /// With one more file, as long as it is now.
    ///
    /// # Errors
    /// That it cannot be read.
    pub(super) fn file(self, name: &str, path: &Path) -> Result<Form, Failed> {
        let failed = |error: std::io::Error| {
            let message = format!("{} cannot be read", path.display());
            Failed::usage(Error::new(Kind::Malformed, message).caused_by(error))
        };
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() {
            let message = format!("{} is no file", path.display());
            return Err(Failed::usage(Error::new(Kind::Malformed, message)));
        }
        let filename = path.file_name().unwrap_or_default().to_string_lossy();
        // As browsers write them: a quote would end the name, a line's end the field.
        let filename = filename.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        let head = format!(
            "--{}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\nContent-Type: {}\r\n\r\n",
            self.boundary,
            media_type(&filename, &[])
        );
        let mut form = self.add(head);
        form.body = Box::new(form.body.chain(file.take(about.len())));
        form.bytes += about.len();
        Ok(form.add("\r\n".to_owned()))
    }

    /// The whole body, for the client to send.
    pub(super) fn send<T>(self, send: impl FnOnce(Sent<'_>) -> T) -> T {
        let end = format!("--{}--\r\n", self.boundary);
        let mut form = self.add(end);
        send(Sent {
            media_type: &form.media_type,
            bytes: Some(form.bytes),
            body: &mut form.body,
        })
    }

    fn add(mut self, text: String) -> Form {
        self.bytes += text.len() as u64;
        self.body = Box::new(self.body.chain(Cursor::new(text)));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_as_long_as_it_says() {
        let folder = std::env::temp_dir().join(format!("fireside-form-{}", Clock.uuid()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("a \"b\".PNG");
        std::fs::write(&path, b"bytes").unwrap();
        let form = Form::new().field("text", "hé\r\n").file("files", &path).unwrap();
        let text = form.send(|sent| {
            let mut text = String::new();
            sent.body.read_to_string(&mut text).unwrap();
            assert_eq!(sent.bytes, Some(text.len() as u64));
            let boundary = sent.media_type.split_once("boundary=").unwrap().1;
            text.replace(boundary, "B")
        });
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            text,
            "--B\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhé\r\n\r\n--B\r\nContent-Disposition: form-data; \
             name=\"files\"; filename=\"a %22b%22.PNG\"\r\nContent-Type: image/png\r\n\r\nbytes\r\n--B--\r\n"
        );
        assert_eq!(Form::new().file("files", Path::new("/nowhere")).err().unwrap().code, 2);
    }
}
