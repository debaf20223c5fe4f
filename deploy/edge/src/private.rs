//! Keeps others on the machine out: files and folders are accessible to their owner only, and each run has a secret.

use crate::{EdgeError, error::io};
use std::{
    fmt,
    fs::{self, File},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// The header that carries a [`Secret`]. In a URL it would be printed and logged.
pub const SECRET_HEADER: &str = "x-realgar-secret";

/// A value that nobody can guess. Its `Debug` output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Makes a new secret of 256 random bits.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new() -> Result<Self, EdgeError> {
        let mut bytes = [0; 32];
        let path = Path::new("/dev/urandom");
        File::open(path)
            .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes))
            .map_err(io("read", path))?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The secret that an earlier run made.
    pub(crate) fn of(text: &str) -> Self {
        Self(text.into())
    }

    /// The text that a caller sends.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `sent`, from a caller, is the secret. The comparison takes as long for a value that is almost right as for any
    /// other.
    #[must_use]
    pub fn matches(&self, sent: &[u8]) -> bool {
        let own = self.0.as_bytes();
        own.len() == sent.len() && own.iter().zip(sent).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Creates a folder that only its owner can enter. A folder that exists already gets the same protection.
pub(crate) fn create_folder(folder: &Path) -> Result<(), EdgeError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io("create", folder))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(io("protect", folder))
}

/// Makes sure that `data` may be an edge's own: it does not exist, is empty or closed to others, or an edge has used it before. A
/// folder that the user shares with others is not taken from them.
pub(crate) fn check_own(data: &Path) -> Result<(), EdgeError> {
    let Ok(found) = fs::metadata(data) else { return Ok(()) };
    let is_closed = found.permissions().mode() & 0o077 == 0;
    let is_used = ["lock", "objects"].iter().any(|name| data.join(name).exists());
    let is_empty = || fs::read_dir(data).map(|mut entries| entries.next().is_none());
    if is_closed || is_used || is_empty().map_err(io("read", data))? {
        return Ok(());
    }
    Err(EdgeError::SharedFolder { folder: data.into() })
}

/// Removes a folder that may not exist.
pub(crate) fn remove_folder(folder: &Path) -> Result<(), EdgeError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// Creates a file that only its owner can read, or empties one that exists.
pub(crate) fn create(path: &Path) -> Result<File, EdgeError> {
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    let file = file.map_err(io("create", path))?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(io("protect", path))?;
    Ok(file)
}

/// Writes a file that only its owner can read, in one step: whoever reads it finds the old content or the new one, even after a
/// power failure.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), EdgeError> {
    let fresh = path.with_extension("new");
    let mut file = create(&fresh)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(io("write", &fresh))?;
    fs::rename(&fresh, path).map_err(io("write", path))?;
    match path.parent() {
        None => Ok(()),
        Some(folder) => File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("write", folder)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_whole_and_not_shown() {
        let secret = Secret::new().expect("the system has random numbers");
        assert!(secret.matches(secret.as_str().as_bytes()));
        assert!(!secret.matches(b"") && !secret.matches(&secret.as_str().as_bytes()[1..]));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_ne!(secret, Secret::new().expect("the system has random numbers"));
    }
}
