//! The files that bindings name: migrations and static assets, copied into the bundle, so that it is complete.

use crate::{BuildError, cargo::Package, error::io};
use realgar_wire::Manifest;
use std::{fs, path::Path};

/// Copies them below `folder`, and makes the paths in the manifest relative to it.
pub(crate) fn collect(package: &Package, manifest: &mut Manifest, folder: &Path) -> Result<(), BuildError> {
    for binding in &mut manifest.bindings {
        let Some((path, own)) = binding.kind.folder_mut() else { continue };
        let source = package.folder.join(path.as_str());
        if !source.is_dir() {
            return Err(BuildError::NoFolder { binding: binding.name.clone(), folder: source });
        }
        copy(&source, &folder.join(&own))?;
        *path = own;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), BuildError> {
    fs::create_dir_all(to).map_err(io("create", to))?;
    for entry in fs::read_dir(from).map_err(io("read", from))? {
        let entry = entry.map_err(io("read", from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(io("copy", &path))?;
        }
    }
    Ok(())
}
