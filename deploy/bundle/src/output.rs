//! The folder of a bundle. It is written beside its final place and then moved there, so that a reader finds it whole or not at
//! all.

use crate::{BuildError, Bundle, Size, error::io, lock};
use flate2::{Compression, write::GzEncoder};
use realgar_wire::{Manifest, ModuleKind};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

const MANIFEST: &str = "manifest.json";

/// Reads a bundle that was built earlier.
///
/// # Errors
/// When there is no `manifest.json` in `folder`, or another version wrote it.
pub fn read(folder: &Path) -> Result<Bundle, BuildError> {
    let path = folder.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(io("read", &path))?;
    let manifest = Manifest::parse(&text).map_err(|source| BuildError::Manifest { path, source })?;
    Ok(Bundle { folder: folder.into(), manifest })
}

/// One module, in memory.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) kind: ModuleKind,
    pub(crate) content: Vec<u8>,
}

impl File {
    pub(crate) fn text(name: &str, text: String) -> Self {
        Self { name: name.into(), kind: ModuleKind::EsModule, content: text.into_bytes() }
    }

    pub(crate) fn wasm(name: &str, content: Vec<u8>) -> Self {
        Self { name: name.into(), kind: ModuleKind::Wasm, content }
    }
}

/// A bundle that is being written.
pub(crate) struct Stage {
    folder: PathBuf,
    target: PathBuf,
    /// The lock on the bundle. Without it, two builds of one bundle would read each other's half-written modules.
    _lock: fs::File,
}

impl Stage {
    /// Starts to write a bundle, once no other build of the same bundle runs.
    pub(crate) fn new(target: &Path) -> Result<Self, BuildError> {
        let lock = lock::hold(target)?;
        let folder = target.with_extension("tmp");
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(io("empty", &folder))?;
        }
        fs::create_dir_all(&folder).map_err(io("create", &folder))?;
        Ok(Self { folder, target: target.into(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn write(&self, file: &File) -> Result<(), BuildError> {
        self.put(&file.name, &file.content)
    }

    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<(), BuildError> {
        let mut json = serde_json::to_string_pretty(manifest).map_err(|error| BuildError::Unexpected {
            what: "the manifest cannot be written as JSON",
            reason: error.to_string(),
        })?;
        json.push('\n');
        self.put(MANIFEST, json.as_bytes())
    }

    pub(crate) fn write_wrangler(&self, text: &str) -> Result<(), BuildError> {
        self.put("wrangler.toml", text.as_bytes())
    }

    /// Writes the module with the names of its functions. It is for reading the stack of a trap, not for upload.
    pub(crate) fn write_named(&self, module: &[u8]) -> Result<(), BuildError> {
        self.put("symbols/worker.wasm", module)
    }

    pub(crate) fn write_types(&self, text: &str) -> Result<(), BuildError> {
        self.put("types.d.ts", text.as_bytes())
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), BuildError> {
        let path = self.folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(io("create", parent))?;
        }
        fs::write(&path, content).map_err(io("write", &path))
    }

    /// Moves the folder to its final place. A folder with the same content stays there, because somebody may be reading it.
    pub(crate) fn publish(self) -> Result<(), BuildError> {
        if same(&self.folder, &self.target).unwrap_or(false) {
            return Ok(());
        }
        let old = self.target.with_extension("old");
        if old.exists() {
            fs::remove_dir_all(&old).map_err(io("remove", &old))?;
        }
        match fs::rename(&self.target, &old) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io("move", &self.target)(error)),
        }
        fs::rename(&self.folder, &self.target).map_err(io("move", &self.folder))?;
        if old.exists() {
            fs::remove_dir_all(&old).map_err(io("remove", &old))?;
        }
        Ok(())
    }
}

impl Drop for Stage {
    /// A build that failed leaves nothing behind.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether two folders have the same content.
fn same(one: &Path, other: &Path) -> std::io::Result<bool> {
    let count = |folder: &Path| fs::read_dir(folder).map(Iterator::count);
    if count(one)? != count(other)? {
        return Ok(false);
    }
    for entry in fs::read_dir(one)? {
        let entry = entry?;
        let twin = other.join(entry.file_name());
        let equal = match (entry.file_type()?.is_dir(), twin.is_dir()) {
            (true, true) => same(&entry.path(), &twin)?,
            (false, false) => fs::read(entry.path())? == fs::read(&twin)?,
            _ => false,
        };
        if !equal {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(crate) fn size(folder: &Path, manifest: &Manifest, wasm: impl Fn(Vec<u8>) -> Vec<u8>) -> Result<Size, BuildError> {
    let mut total = Size::default();
    for module in &manifest.modules {
        let path = folder.join(&module.name);
        let mut content = fs::read(&path).map_err(io("read", &path))?;
        if module.kind == ModuleKind::Wasm {
            content = wasm(content);
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let packed = encoder.write_all(&content).and_then(|()| encoder.finish()).map_err(io("compress", &path))?;
        total.raw += content.len() as u64;
        total.gzip += packed.len() as u64;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of the test's own, which is removed with the value.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("realgar-output-{}-{name}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn bundle(&self) -> PathBuf {
            self.0.join("bundle")
        }

        fn build(&self, files: &[(&str, &str)]) {
            let stage = Stage::new(&self.bundle()).unwrap();
            for (name, text) in files {
                stage.write(&File::text(name, (*text).into())).unwrap();
            }
            stage.publish().unwrap();
        }

        fn files(&self) -> Vec<String> {
            let mut names: Vec<String> =
                fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_build_replaces_the_folder_whole() {
        let place = Place::new("whole");
        place.build(&[("index.js", "one"), ("snippets/a.js", "a")]);
        place.build(&[("index.js", "two")]);
        assert_eq!(fs::read_to_string(place.bundle().join("index.js")).unwrap(), "two");
        assert!(!place.bundle().join("snippets").exists());
        assert_eq!(place.files(), ["bundle", "bundle.lock"]);
    }

    #[test]
    fn a_build_that_fails_leaves_the_earlier_one_and_nothing_else() {
        let place = Place::new("failed");
        place.build(&[("index.js", "one")]);
        let stage = Stage::new(&place.bundle()).unwrap();
        stage.write(&File::text("index.js", "half".into())).unwrap();
        drop(stage);
        assert_eq!(fs::read_to_string(place.bundle().join("index.js")).unwrap(), "one");
        assert_eq!(place.files(), ["bundle", "bundle.lock"]);
    }

    #[test]
    fn a_build_that_was_killed_does_not_hinder_the_next_one() {
        let place = Place::new("killed");
        place.build(&[("index.js", "one")]);
        // As a kill leaves it between the two moves of a replacement: the old folder aside, the new one still a stage.
        fs::rename(place.bundle(), place.0.join("bundle.old")).unwrap();
        fs::create_dir(place.0.join("bundle.tmp")).unwrap();
        fs::write(place.0.join("bundle.tmp/stray.js"), "stray").unwrap();
        place.build(&[("index.js", "two")]);
        assert_eq!(fs::read_to_string(place.bundle().join("index.js")).unwrap(), "two");
        assert!(!place.bundle().join("stray.js").exists());
        assert_eq!(place.files(), ["bundle", "bundle.lock"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_with_the_same_content_stays() {
        let place = Place::new("same");
        place.build(&[("index.js", "one"), ("a/b.js", "b")]);
        let inode = |path: PathBuf| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
        let first = inode(place.bundle());
        place.build(&[("index.js", "one"), ("a/b.js", "b")]);
        assert_eq!(inode(place.bundle()), first);
        place.build(&[("index.js", "two"), ("a/b.js", "b")]);
        assert_ne!(inode(place.bundle()), first);
    }
}
