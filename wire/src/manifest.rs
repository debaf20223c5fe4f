//! The deployment metadata of a built Worker: `manifest.json`.

use crate::{Binding, ClassChange, Consumer, Entrypoint, MigrationStep, Object, WorkerClass};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The version of the manifest's own format, in its field `schema`. A reader refuses a version it does not know.
pub const MANIFEST_SCHEMA: u32 = 1;

/// Everything a deployment needs to know about a built Worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the manifest's format. This version of Realgar always writes [`MANIFEST_SCHEMA`].
    pub schema: u32,
    /// The Worker.
    pub worker: WorkerClass,
    /// The compatibility date of the Worker, `YYYY-MM-DD`.
    pub compatibility_date: String,
    /// The compatibility flags of the Worker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compatibility_flags: Vec<String>,
    /// The name of the module that the runtime loads first.
    pub main_module: String,
    /// Every module, relative to the manifest.
    pub modules: Vec<Module>,
    /// Its named entrypoints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoints: Vec<Entrypoint>,
    /// The Durable Object classes it hosts.
    pub objects: Vec<Object>,
    /// The bindings of the Worker.
    pub bindings: Vec<Binding>,
    /// The cron triggers that it asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crons: Vec<String>,
    /// The queues that the Worker consumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<Consumer>,
    /// What became of classes that earlier versions of the Worker hosted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_changes: Vec<ClassChange>,
    /// The history of its classes, for a Worker that has migration tags. `class_changes` then says what the history amounts to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<MigrationStep>,
    /// What its methods exchange with callers, and what the methods exchange that it calls.
    #[serde(default, skip_serializing_if = "Contracts::is_empty")]
    pub contracts: Contracts,
    /// How it runs at Cloudflare.
    #[serde(default, skip_serializing_if = "Hosting::is_default")]
    pub hosting: Hosting,
}

/// How a Worker runs at Cloudflare, as far as its configuration says so. Nothing of it matters locally.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hosting {
    /// As Cloudflare's API has them: `limits`, `logpush`, `observability`, `placement`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// Whether it is to have no address below `workers.dev`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_address: bool,
    /// What its configuration asks for, and a deployment from here would leave out: keys of the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
}

impl Hosting {
    /// Whether the configuration says nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Methods, each with the hash of what it exchanges: see [`Contracts`].
pub type MethodContracts = BTreeMap<String, String>;

/// The contracts of methods on both sides. Two builds with the same hash for a method mean the same by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contracts {
    /// The methods of each class that the Worker hosts, of its entrypoints, and, as `default`, its own. Empty for a Worker whose
    /// contracts nobody knows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub offers: BTreeMap<String, MethodContracts>,
    /// The methods that the Worker may call, by the binding that leads to them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calls: BTreeMap<String, MethodContracts>,
    /// For each class that the Worker hosts, the hash of the payload of its events, as `event`, and that of the messages on its
    /// WebSockets, as `message`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub awaits: BTreeMap<String, MethodContracts>,
}

impl Contracts {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offers.is_empty() && self.calls.is_empty() && self.awaits.is_empty()
    }
}

/// Why a `manifest.json` cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Another version of the tool wrote it.
    #[error("it has the schema {found}, and this version knows {MANIFEST_SCHEMA}")]
    Schema {
        /// The schema it has, as JSON.
        found: String,
    },
    /// The text is not a manifest of this version's format.
    #[error("it cannot be read")]
    Malformed(#[from] serde_json::Error),
}

impl Manifest {
    /// Reads a manifest. A field that this version does not know is an error: it may matter.
    ///
    /// # Errors
    /// When the manifest has another schema, or the text is no manifest.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        // The schema is checked first, because a manifest with another schema may differ in everything else.
        let value: Value = serde_json::from_str(text)?;
        if value["schema"] != MANIFEST_SCHEMA {
            return Err(ManifestError::Schema { found: value["schema"].to_string() });
        }
        Ok(serde_json::from_value(value)?)
    }
}

/// One file of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// The path relative to the manifest, which is also its import specifier.
    pub name: String,
    /// How the runtime reads it.
    #[serde(rename = "type")]
    pub kind: ModuleKind,
}

/// How the runtime reads a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModuleKind {
    /// An ECMAScript module.
    EsModule,
    /// Compiled WebAssembly.
    Wasm,
    /// Text, imported as a string.
    Text,
    /// Bytes, imported as an `ArrayBuffer`.
    Data,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    const WHOLE: &str = r#"{
        "schema": 1, "worker": { "class": "Api", "script": "api" }, "compatibility_date": "2026-04-21",
        "main_module": "index.js", "modules": [{ "name": "index.js", "type": "es_module" }], "objects": [],
        "bindings": [{ "name": "DB", "type": "d1", "database": "db" }],
        "class_changes": [{ "change": "renamed", "from": "Old", "to": "New" }]
    }"#;

    #[test]
    fn what_cannot_be_read_is_an_error_that_names_it() {
        assert!(Manifest::parse(WHOLE).is_ok());
        for (from, to, expected) in [
            ("\"schema\": 1", "\"schema\": 2", "the schema 2"),
            ("\"schema\": 1,", "", "the schema null"),
            ("\"database\"", "\"databse\"", "the binding `DB` of type `d1`: `database` is missing"),
            ("\"objects\"", "\"objcts\"", "unknown field `objcts`"),
            ("\"renamed\"", "\"moved\"", "unknown variant `moved`"),
            ("\"es_module\"", "\"es\"", "unknown variant `es`"),
        ] {
            let error = Manifest::parse(&WHOLE.replace(from, to)).unwrap_err();
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            assert!(cause.contains(expected), "{to}: {cause}");
        }
    }
}
