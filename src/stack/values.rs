//! The values of secrets and variables, and the key of the fingerprints that stand for secrets in the state.

use super::in_ci;
use crate::{error::CommandError, output};
use argon2::Argon2;
use realgar_bundle::Bundle;
use realgar_edge::read_values;
use realgar_engine::{FingerprintKey, Secret, Stack};
use realgar_wire::BindingKind;
use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// The variable with the password that the key is made of.
const PASSWORD: &str = "REALGAR_PASSWORD";
/// The file with the key, in the folder of all data.
const KEY_FILE: &str = "key";

/// The values that the environment has for the secrets of `bundle`, and for its variables without a default. With `local`, the values
/// of the Worker's `.dev.vars` come first.
pub(super) fn read(path: &Path, bundle: &Bundle, local: bool) -> Result<BTreeMap<String, Secret>, CommandError> {
    let mut values = BTreeMap::new();
    for binding in &bundle.manifest.bindings {
        // An unrelated variable of the environment must not change one that has a default.
        let wanted = matches!(binding.kind, BindingKind::SecretText {})
            || binding.kind.needs_value() && binding.kind.default().is_none();
        if let Some(value) = env::var(&binding.name).ok().filter(|_| wanted) {
            values.insert(binding.name.clone(), Secret::new(value));
        }
    }
    if local {
        values.extend(read_values(path)?.into_iter().map(|(name, value)| (name, Secret::new(value))));
    }
    Ok(values)
}

/// The key of fingerprints. It is made of the password if there is one, else it is random, and kept in `data`.
pub(super) fn key(data: &Path, stack: &Stack, has_secrets: bool) -> Result<FingerprintKey, CommandError> {
    if let Some(password) = env::var(PASSWORD).ok().filter(|password| !password.is_empty()) {
        let mut bytes = [0; 32];
        let salt = format!("realgar fingerprints of {stack}");
        let made = Argon2::default().hash_password_into(password.as_bytes(), salt.as_bytes(), &mut bytes);
        made.map_err(|error| CommandError::user(format!("`{PASSWORD}` cannot be used: {error}")))?;
        return Ok(FingerprintKey::new(&bytes));
    }
    let path = data.join(KEY_FILE);
    let failed =
        |what: &str, error: std::io::Error| CommandError::user(format!("cannot {what} `{}`: {error}", path.display()));
    match fs::read(&path) {
        Ok(bytes) => {
            let unreadable = |_| {
                CommandError::user(format!("`{}` does not have the 32 bytes of a key", path.display()))
                    .hint("restore it; without the file a new key is made, and every secret counts as changed once")
            };
            Ok(FingerprintKey::new(&<[u8; 32]>::try_from(bytes).map_err(unreadable)?))
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("read", error)),
        // Without secrets, no key is needed, and none is made.
        Err(_) if !has_secrets => Ok(FingerprintKey::new(&[0; 32])),
        Err(_) if in_ci() => {
            let text = "a Worker has a secret, and this machine has no key to recognise it by at the next deployment";
            Err(CommandError::user(text).hint(format!("set `{PASSWORD}`, to the same in every run")))
        }
        Err(_) => {
            let mut bytes = [0; 32];
            let random = Path::new("/dev/urandom");
            File::open(random)
                .and_then(|mut file| file.read_exact(&mut bytes))
                .map_err(|error| failed("make", error))?;
            fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(|error| failed("write", error))?;
            keep(&path, &bytes).map_err(|error| failed("write", error))?;
            output::note(&format!("A new key, by which secrets are recognised: `{}`", path.display()));
            key(data, stack, has_secrets)
        }
    }
}

/// Writes a file that only its owner can read, whole or not at all. If there is one by then, that stays.
fn keep(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(content).and_then(|()| file.sync_all())?;
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}
