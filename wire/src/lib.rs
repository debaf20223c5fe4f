//! Plain serde types that cross a process boundary.
//!
//! A Worker describes itself as a [`Description`] at build time, in wasm; the bundler turns that into the [`Manifest`] it
//! writes beside the modules; the edge, and later the deploy engine, read it back. Nothing here does I/O or knows JavaScript.

mod binding;
mod check;
mod contract;
mod description;
mod lifecycle;
pub mod limits;
mod manifest;

pub use binding::{Binding, BindingConflict, BindingKind, Target};
pub use check::{DeclarationError, check_cron};
pub use contract::{
    Body, Composite, Flow, Form, Interface, MethodContract, ParameterContract, Shape, TypeContract, Unfit,
};
pub use description::{Awaited, Consumer, Description, Entrypoint, Interfaces, Method, Object, Parameter, WorkerClass};
pub use lifecycle::{ClassChange, ClassStorage, History, HistoryError, MigrationStep, RenamedClass, TransferredClass};
pub use manifest::{Contracts, Hosting, MANIFEST_SCHEMA, Manifest, ManifestError, MethodContracts, Module, ModuleKind};
pub use realgar_names::{self as names, fingerprint};

/// The oldest compatibility date a Realgar Worker runs with, and the one a bundle gets unless it asks for another.
///
/// Since this date the own properties of a thrown `Error` cross a call (`enhanced_error_serialization`); typed errors
/// depend on it.
pub const COMPATIBILITY_DATE: &str = "2026-04-21";

/// The compatibility flags that every bundle sets beside that date. With `enable_request_signal`, the runtime reports a client that
/// disconnects before it has its response; the handler that the client waited for is then dropped.
pub const COMPATIBILITY_FLAGS: [&str; 1] = ["enable_request_signal"];
