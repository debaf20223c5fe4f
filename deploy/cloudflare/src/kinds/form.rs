//! The body of an upload: a form with files in it.

/// A form that is being written.
pub(super) struct Form {
    body: Vec<u8>,
}

/// What stands between the parts. It is long enough that no content has it by chance, and always the same, so that the same upload is
/// the same bytes.
const BOUNDARY: &str = "realgar-0b8f3c5e7a914d2f86c1e4a97d305b62";

impl Form {
    pub(super) fn new() -> Self {
        Self { body: Vec::new() }
    }

    /// Adds a part, with the name of a file if it is one.
    pub(super) fn part(&mut self, name: &str, file: Option<&str>, kind: &str, content: &[u8]) {
        let file = file.map(|file| format!("; filename=\"{}\"", quoted(file))).unwrap_or_default();
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"{file}\r\nContent-Type: {kind}\r\n\r\n",
            quoted(name)
        );
        self.body.extend_from_slice(head.as_bytes());
        self.body.extend_from_slice(content);
        self.body.extend_from_slice(b"\r\n");
    }

    /// The content type, and the bytes.
    pub(super) fn end(mut self) -> (String, Vec<u8>) {
        self.body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={BOUNDARY}"), self.body)
    }
}

/// A name in the head of a part, as browsers write it.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
