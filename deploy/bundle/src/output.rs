//! The folder of a bundle: written beside its place and then moved there, so that a reader never sees half of one.

use crate::{BuildError, Size, error::io};
use flate2::{Compression, write::GzEncoder};
use realgar_wire::{Manifest, ModuleKind};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// One module, in memory.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) kind: ModuleKind,
    pub(crate) content: Vec<u8>,
}

impl File {
    pub(crate) fn text(name: &str, text: String) -> Self {
        Self {
            name: name.into(),
            kind: ModuleKind::EsModule,
            content: text.into_bytes(),
        }
    }

    pub(crate) fn wasm(name: &str, content: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            kind: ModuleKind::Wasm,
            content,
        }
    }
}

/// A bundle that is being written.
pub(crate) struct Stage {
    folder: PathBuf,
    target: PathBuf,
}

impl Stage {
    pub(crate) fn new(target: &Path) -> Result<Self, BuildError> {
        let folder = target.with_extension(format!("{}.tmp", std::process::id()));
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(io("empty", &folder))?;
        }
        fs::create_dir_all(&folder).map_err(io("create", &folder))?;
        Ok(Self {
            folder,
            target: target.into(),
        })
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
        self.put("manifest.json", json.as_bytes())
    }

    pub(crate) fn write_wrangler(&self, text: &str) -> Result<(), BuildError> {
        self.put("wrangler.toml", text.as_bytes())
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), BuildError> {
        let path = self.folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(io("create", parent))?;
        }
        fs::write(&path, content).map_err(io("write", &path))
    }

    /// Puts the folder in its place.
    pub(crate) fn publish(self) -> Result<(), BuildError> {
        let old = self.target.with_extension(format!("{}.old", std::process::id()));
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

pub(crate) fn size(folder: &Path, manifest: &Manifest) -> Result<Size, BuildError> {
    let mut total = Size::default();
    for module in &manifest.modules {
        let path = folder.join(&module.name);
        let content = fs::read(&path).map_err(io("read", &path))?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let packed = encoder.write_all(&content).and_then(|()| encoder.finish()).map_err(io("compress", &path))?;
        total.raw += content.len() as u64;
        total.gzip += packed.len() as u64;
    }
    Ok(total)
}
