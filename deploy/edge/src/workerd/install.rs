//! The copies from which scripts run. The originals may be replaced by a build at any time, even by a version that does not start.

use crate::{EdgeError, Script, error::io};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn folder(data: &Path) -> PathBuf {
    data.join("versions")
}

/// Removes the copies that an earlier run left.
pub(crate) fn clear(data: &Path) -> Result<(), EdgeError> {
    let folder = folder(data);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("empty", &folder)(error)),
        _ => Ok(()),
    }
}

/// Copies the modules of `script`, and the folders of its bindings.
pub(crate) fn copy(script: Script, data: &Path, version: u32) -> Result<Script, EdgeError> {
    let own = folder(data).join(format!("{}-{version}", script.name()));
    for module in &script.manifest.modules {
        let (from, to) = (script.folder.join(&module.name), own.join(&module.name));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(io("create", parent))?;
        }
        fs::copy(&from, &to).map_err(io("copy", &from))?;
    }
    for folder in folders(&script) {
        copy_folder(&script.folder.join(folder), &own.join(folder))?;
    }
    Ok(Script { folder: own, ..script })
}

/// The folders that bindings name, relative to the script. A plain Worker's folders have absolute paths, and are used where they
/// are.
fn folders(script: &Script) -> impl Iterator<Item = &str> {
    let named = script.manifest.bindings.iter().filter_map(|binding| binding.kind.folder());
    named.filter(|folder| Path::new(folder).is_relative())
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), EdgeError> {
    fs::create_dir_all(to).map_err(io("create", to))?;
    for entry in fs::read_dir(from).map_err(io("read", from))? {
        let entry = entry.map_err(io("read", from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(io("copy", &path))?;
        }
    }
    Ok(())
}

/// Whether two folders have the same files.
fn same_folder(one: &Path, other: &Path) -> bool {
    let names = |folder: &Path| -> Vec<_> {
        let mut names: Vec<_> =
            fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        names
    };
    let own = names(one);
    own == names(other)
        && own.iter().all(|name| {
            let (one, other) = (one.join(name), other.join(name));
            if one.is_dir() { same_folder(&one, &other) } else { fs::read(one).ok() == fs::read(other).ok() }
        })
}

/// Whether two copies are the same version.
pub(crate) fn same(one: &Script, other: &Script) -> bool {
    let content = |script: &Script, name: &str| fs::read(script.folder.join(name)).ok();
    one.manifest == other.manifest
        && one.values == other.values
        && folders(one).all(|folder| same_folder(&one.folder.join(folder), &other.folder.join(folder)))
        && one.manifest.modules.iter().all(|module| content(one, &module.name) == content(other, &module.name))
}

/// Removes a copy. If that fails, the next run removes it.
pub(crate) fn remove(script: &Script) {
    let _ = fs::remove_dir_all(&script.folder);
}

/// Removes every copy but `kept`.
pub(crate) fn remove_all(data: &Path, kept: &[Script]) {
    for entry in fs::read_dir(folder(data)).into_iter().flatten().flatten() {
        if !kept.iter().any(|script| script.folder == entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
