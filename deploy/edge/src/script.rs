//! A script that the edge runs: a bundle on disk, and the values it is given.

use crate::EdgeError;
use realgar_wire::Manifest;
use std::{collections::BTreeMap, path::PathBuf};

/// A script to run: a bundle on disk.
#[derive(Clone, Debug)]
pub struct Script {
    /// The folder of its modules.
    pub folder: PathBuf,
    /// Its metadata.
    pub manifest: Manifest,
    /// The values of its variables and secrets, by the name of the binding.
    pub values: BTreeMap<String, String>,
}

impl Script {
    /// The name of the script.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.manifest.worker.script
    }

    /// The value of the variable or secret bound as `name`: the one that was given, or its default.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let default = || self.manifest.bindings.iter().find(|binding| binding.name == name)?.kind.default();
        self.values.get(name).map(String::as_str).or_else(default)
    }

    /// Checks that everything that needs a value has one.
    pub(crate) fn check_values(&self) -> Result<(), EdgeError> {
        let missing = |name: &str| self.value(name).is_none();
        match self.manifest.bindings.iter().find(|own| own.kind.needs_value() && missing(&own.name)) {
            None => Ok(()),
            Some(own) => Err(EdgeError::NoValue { script: self.name().into(), binding: own.name.clone() }),
        }
    }
}
