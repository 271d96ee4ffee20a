//! Multipart forms, as clients write them and as they should not.

use super::Call;

/// A multipart form that is being written.
pub(crate) struct Multipart(Vec<u8>);

impl Multipart {
    const BOUNDARY: &str = "b0undary-of-the-form";

    pub(crate) fn new() -> Multipart {
        Multipart(Vec::new())
    }

    pub(crate) fn field(self, name: &str, value: &str) -> Multipart {
        self.part(
            &format!("Content-Disposition: form-data; name=\"{name}\""),
            value.as_bytes(),
        )
    }

    pub(crate) fn file(self, name: &str, filename: &str, kind: &str, bytes: &[u8]) -> Multipart {
        let head =
            format!("Content-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\nContent-Type: {kind}");
        self.part(&head, bytes)
    }

    /// A part with exactly this head.
    pub(crate) fn part(mut self, head: &str, bytes: &[u8]) -> Multipart {
        self.0
            .extend_from_slice(format!("--{}\r\n{head}\r\n\r\n", Self::BOUNDARY).as_bytes());
        self.0.extend_from_slice(bytes);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    pub(crate) fn on(self, call: Call) -> Call {
        let mut body = self.0;
        body.extend_from_slice(format!("--{}--\r\n", Self::BOUNDARY).as_bytes());
        let kind = format!("multipart/form-data; boundary={}", Self::BOUNDARY);
        call.header("Content-Type", &kind).body(body)
    }
}
