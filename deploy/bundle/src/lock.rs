//! Locks for files that several builds share, so that one build writes at a time. The builds may be threads of a test run, or
//! processes.

use crate::{BuildError, error::io};
use std::{
    fs::{self, File},
    path::Path,
};

/// Takes the lock of `path`, which is a file beside it, and waits until nobody else holds it. The lock is held until the result is
/// dropped, or the process ends.
pub(crate) fn hold(path: &Path) -> Result<File, BuildError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(io("create", parent))?;
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".lock");
    let path = path.with_file_name(name);
    let file = File::create(&path).map_err(io("create", &path))?;
    file.lock().map_err(io("lock", &path))?;
    Ok(file)
}
