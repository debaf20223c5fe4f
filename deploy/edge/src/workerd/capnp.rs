//! The parts of workerd's configuration, as Cap'n Proto text.

use std::{fmt::Write, path::Path};

/// A Worker of the configuration: a script, or a Worker of the edge's own.
pub(super) struct WorkerText<'a> {
    pub(super) name: &'a str,
    pub(super) modules: Vec<String>,
    pub(super) date: &'a str,
    pub(super) flags: &'a [String],
    pub(super) bindings: Vec<String>,
    pub(super) classes: Vec<String>,
    pub(super) storage: &'a str,
    /// The service that its `fetch` goes to.
    pub(super) outbound: &'a str,
}

/// The service that runs the Worker.
pub(super) fn worker(text: &WorkerText<'_>) -> String {
    let mut worker = String::new();
    let _ = write!(
        worker,
        "(name = {}, worker = (modules = {}, compatibilityDate = {}, compatibilityFlags = {}, bindings = {}, globalOutbound = {}",
        quote(text.name),
        list(text.modules.clone()),
        quote(text.date),
        list(text.flags.iter().map(|flag| quote(flag)).collect()),
        list(text.bindings.clone()),
        quote(text.outbound),
    );
    if !text.classes.is_empty() {
        let _ = write!(
            worker,
            ", durableObjectNamespaces = {}, durableObjectStorage = (localDisk = {})",
            list(text.classes.clone()),
            quote(text.storage)
        );
    }
    worker.push_str("))");
    worker
}

/// A service for a folder that Workers read and write.
pub(super) fn disk(name: &str, path: &Path) -> String {
    format!("(name = {}, disk = (path = {}, writable = true))", quote(name), quote(&path.to_string_lossy()))
}

pub(super) fn list(items: Vec<String>) -> String {
    format!("[{}]", items.join(",\n    "))
}

/// A Cap'n Proto string.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            control if control.is_ascii_control() => {
                let _ = write!(quoted, "\\x{:02x}", control as u32);
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_survive_quoting() {
        assert_eq!(quote("a\"b\\c\nd\u{1}é"), "\"a\\\"b\\\\c\\nd\\x01é\"");
    }
}
