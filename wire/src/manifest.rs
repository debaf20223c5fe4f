//! The deployment metadata of a built Worker: `manifest.json`.

use crate::{Binding, Consumer, Entrypoint, Object, WorkerClass};
use serde::{Deserialize, Serialize};

/// The version of the manifest's own format, in its field `schema`. A reader refuses a version it does not know.
pub const MANIFEST_SCHEMA: u32 = 1;

/// Everything a deployment needs to know about a built Worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always [`MANIFEST_SCHEMA`] in what this version writes.
    pub schema: u32,
    /// The Worker.
    pub worker: WorkerClass,
    /// The runtime behaviour it asks for, `YYYY-MM-DD`.
    pub compatibility_date: String,
    /// Further switches of the runtime.
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
    /// What it is bound to.
    pub bindings: Vec<Binding>,
    /// The cron triggers that it asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crons: Vec<String>,
    /// The queues whose messages it works off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<Consumer>,
}

/// One file of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
