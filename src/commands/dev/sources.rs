//! Decides which files are sources of the running Workers, and whether their content has changed.

use realgar_bundle::Layout;
use std::{
    collections::HashMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Component, Path, PathBuf},
};

/// Folders in a crate that are not its source.
const NOT_SOURCE: [&str; 4] = ["target", ".git", ".realgar", "node_modules"];

/// The last known content of files.
#[derive(Default)]
pub(super) struct Sources {
    /// The hash of each file's content when it was last asked about; `None` for a file that did not exist.
    seen: HashMap<PathBuf, Option<u64>>,
}

impl Sources {
    /// Whether the content of `path` differs from when it was last asked about. So a build script that writes the same file at
    /// every build causes no change.
    pub(super) fn is_changed(&mut self, path: &Path) -> bool {
        if path.is_dir() {
            return false;
        }
        let content = fs::read(path).ok().map(|bytes| {
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            hasher.finish()
        });
        self.seen.insert(path.into(), content) != Some(content)
    }
}

/// Whether `path`, in one of the watched folders, may be a file that a build of one of `layouts` reads.
pub(super) fn is_source<'a>(path: &Path, layouts: impl Iterator<Item = &'a Layout> + Clone, data: &Path) -> bool {
    if path.starts_with(data) || is_own_output(path) {
        return false;
    }
    if layouts.clone().any(|layout| layout.files.iter().any(|file| file == path)) {
        return true;
    }
    // A target folder inside of a crate; a crate may also lie inside of a target folder.
    let in_target = |layout: &Layout| {
        let inside = |target: &PathBuf| layout.sources.iter().any(|folder| target.starts_with(folder));
        layout.target.as_ref().is_some_and(|target| inside(target) && path.starts_with(target))
    };
    if layouts.clone().any(in_target) {
        return false;
    }
    let generated = |part: Component<'_>| NOT_SOURCE.iter().any(|name| part.as_os_str() == *name);
    let mut folders = layouts.flat_map(|layout| &layout.sources);
    folders.any(|folder| path.strip_prefix(folder).is_ok_and(|path| !path.components().any(generated)))
}

/// Whether this program prints into the file. If that counted, each printed line would be a change.
#[cfg(unix)]
fn is_own_output(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let file = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let changed = file(path);
    changed.is_some() && ["/dev/stdout", "/dev/stderr"].iter().any(|own| file(own.as_ref()) == changed)
}

#[cfg(not(unix))]
fn is_own_output(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(target: Option<&str>) -> Layout {
        Layout {
            sources: vec!["/w/api".into()],
            files: vec!["/elsewhere/text.txt".into()],
            target: target.map(Into::into),
        }
    }

    fn source(path: &str, layout: &Layout) -> bool {
        is_source(Path::new(path), std::iter::once(layout), Path::new("/w/.realgar/dev"))
    }

    #[test]
    fn a_source_is_in_the_crate_and_not_made_by_a_tool_or_was_read_by_the_build() {
        let own = layout(Some("/w/api/out"));
        assert!(source("/w/api/src/lib.rs", &own) && source("/elsewhere/text.txt", &own));
        for other in
            ["/w/api/out/debug/x", "/w/api/target/x", "/w/api/.git/index", "/elsewhere/other.txt", "/w/b/src/lib.rs"]
        {
            assert!(!source(other, &own), "{other}");
        }
        assert!(source("/w/api/src/lib.rs", &layout(Some("/w/target"))));
        assert!(source("/w/api/src/lib.rs", &layout(Some("/w"))), "the crate is in the target folder");
    }

    #[test]
    fn a_file_that_is_written_with_the_same_content_is_not_changed() {
        let path = std::env::temp_dir().join(format!("realgar-sources-{}", std::process::id()));
        let mut sources = Sources::default();
        fs::write(&path, "one").unwrap();
        assert!(sources.is_changed(&path), "it was not known");
        fs::write(&path, "one").unwrap();
        assert!(!sources.is_changed(&path));
        fs::write(&path, "two").unwrap();
        assert!(sources.is_changed(&path));
        fs::remove_file(&path).unwrap();
        assert!(sources.is_changed(&path) && !sources.is_changed(&path));
    }
}
