//! One writer at a time for what several builds share: threads of a test run, and processes beside each other.

use crate::{BuildError, error::io};
use std::{
    fs::{self, File},
    path::Path,
};

/// Waits until nobody else holds the lock of `path`, which is a file beside it. It is held until the result is dropped,
/// and a process that ends loses it.
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
