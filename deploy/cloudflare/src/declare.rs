//! The program that follows from a set of Workers: each Worker is a resource, and so is everything that it binds.
//!
//! What a manifest calls a resource is its id in the program. Two Workers that bind the database `Events` bind one database.

use crate::kinds::{
    BUCKET, DATABASE, Module, NAMESPACE, NoProps, QUEUE, SCHEDULES, SCRIPT, SUBDOMAIN, Schedules, ScriptProps,
    Subdomain, digest,
};
use realgar_bundle::Bundle;
use realgar_engine::{Fqn, NameError, OUTPUT, Output, Policy, Program, ProgramError, Reference, Resource};
use realgar_wire::{Binding, BindingKind, ClassChange, Manifest};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

/// A Worker to deploy.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The Worker, as it was built.
    pub bundle: Bundle,
}

/// Why Workers cannot be deployed together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeclareError {
    /// Two of them have one name.
    #[error("two Workers are called `{0}`; give one another name with `#[worker(name = \"..\")]`")]
    TwoWorkers(String),
    /// A Worker is bound to one that is not among them.
    #[error(
        "the binding `{binding}` of the Worker `{script}` leads to the Worker `{target}`, which is not deployed here; name its folder \
         too, or correct the name"
    )]
    NoTarget {
        /// The Worker.
        script: String,
        /// The binding.
        binding: String,
        /// The Worker that is missing.
        target: String,
    },
    /// Something that a Worker asks for cannot be deployed yet.
    #[error("the Worker `{script}` asks for {what}, which `realgar deploy` cannot make yet")]
    NotYet {
        /// The Worker.
        script: String,
        /// What it asks for.
        what: String,
    },
    /// The value of a variable would be taken for something else.
    #[error(
        "the variable `{binding}` of the Worker `{script}` contains `{OUTPUT}`, which has a meaning of its own here"
    )]
    Reserved {
        /// The Worker.
        script: String,
        /// The variable.
        binding: String,
    },
    /// A name that the program uses is not legal.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The resources do not fit together.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A module cannot be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Adds `workers` and all that they bind to `program`. The result has the folder of the modules of each Worker.
///
/// # Errors
/// When the Workers do not fit together, or ask for something that cannot be deployed.
pub fn declare(program: &mut Program, workers: &[Worker]) -> Result<BTreeMap<Fqn, PathBuf>, DeclareError> {
    let mut bundles = BTreeMap::new();
    for Worker { bundle } in workers {
        let fqn = Fqn::new(&*bundle.manifest.worker.script)?;
        if bundles.insert(fqn, bundle.folder.clone()).is_some() {
            return Err(DeclareError::TwoWorkers(bundle.manifest.worker.script.clone()));
        }
    }
    for Worker { bundle } in workers {
        let fqn = Fqn::new(&*bundle.manifest.worker.script)?;
        declare_worker(program, &fqn, bundle, &bundles)?;
    }
    Ok(bundles)
}

fn declare_worker(
    program: &mut Program,
    fqn: &Fqn,
    bundle: &Bundle,
    bundles: &BTreeMap<Fqn, PathBuf>,
) -> Result<(), DeclareError> {
    let manifest = &bundle.manifest;
    check_support(manifest)?;
    let mut bindings = Vec::new();
    let mut own: Vec<&Binding> = manifest.bindings.iter().collect();
    own.sort_by(|one, other| one.name.cmp(&other.name));
    for binding in own {
        let target = binding.kind.target().and_then(|target| target.script).filter(|target| *target != fqn.as_str());
        if let Some(target) = target.filter(|target| !bundles.keys().any(|fqn| fqn.as_str() == *target)) {
            let (script, binding) = (fqn.to_string(), binding.name.clone());
            return Err(DeclareError::NoTarget { script, binding, target: target.into() });
        }
        bindings.push(declare_binding(program, fqn, binding)?);
    }
    let mut flags = manifest.compatibility_flags.clone();
    flags.sort();
    let props = ScriptProps {
        compatibility_date: manifest.compatibility_date.clone(),
        compatibility_flags: flags,
        main_module: manifest.main_module.clone(),
        modules: modules(bundle)?,
        bindings,
        exports: exports(manifest),
    };
    program.declare(resource(fqn.clone(), SCRIPT, &props, None))?;
    let script = || Output::Of(Reference { of: fqn.clone(), attribute: "name".into() });
    let address = Subdomain { script: script() };
    program.declare(resource(fqn.child("workers.dev")?, SUBDOMAIN, &address, Some(fqn)))?;
    if !manifest.crons.is_empty() {
        let crons: BTreeSet<&String> = manifest.crons.iter().collect();
        let schedules = Schedules { script: script(), crons: crons.into_iter().cloned().collect() };
        program.declare(resource(fqn.child("crons")?, SCHEDULES, &schedules, Some(fqn)))?;
    }
    Ok(())
}

/// Refuses what would be left out without a word.
fn check_support(manifest: &Manifest) -> Result<(), DeclareError> {
    let not_yet = |what: String| Err(DeclareError::NotYet { script: manifest.worker.script.clone(), what });
    if !manifest.migrations.is_empty() {
        return not_yet("a history of migration tags".into());
    }
    if let Some(consumer) = manifest.consumers.first() {
        return not_yet(format!("the messages of the queue `{}`", consumer.queue));
    }
    let is_transfer = |change: &&ClassChange| {
        matches!(change, ClassChange::TransferredTo { .. } | ClassChange::TransferredFrom { .. })
    };
    if let Some(change) = manifest.class_changes.iter().find(is_transfer) {
        return not_yet(format!("a transfer of the class `{}`", change.subject()));
    }
    for Binding { name, kind } in &manifest.bindings {
        match kind {
            BindingKind::D1 { migrations: Some(_), database } => {
                return not_yet(format!("the migrations of the D1 database `{database}`"));
            }
            BindingKind::SecretText {} | BindingKind::SecretsStoreSecret { .. } | BindingKind::Assets { .. } => {
                return not_yet(format!("the binding `{name}` of the type `{}`", kind.type_name()));
            }
            BindingKind::PlainText { default: None } | BindingKind::Json { default: None } => {
                return not_yet(format!("a value for the variable `{name}`, which has no default"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn resource(fqn: Fqn, kind: &'static str, props: &impl Serialize, parent: Option<&Fqn>) -> Resource {
    // A map with text keys and values of our own types always has a form in JSON.
    let props = serde_json::to_value(props).unwrap_or_default();
    Resource { fqn, kind, props, after: BTreeSet::new(), parent: parent.cloned(), pinned: None, policy: Policy::Delete }
}

/// Adds what `binding` leads to, and returns the binding as Cloudflare's API has it.
fn declare_binding(program: &mut Program, script: &Fqn, binding: &Binding) -> Result<Map<String, Value>, DeclareError> {
    let mut named = |id: &str, kind: &'static str, attribute: &str| -> Result<Value, DeclareError> {
        let fqn = Fqn::new(id)?;
        program.declare(resource(fqn.clone(), kind, &NoProps {}, None))?;
        Ok(output(&fqn, attribute))
    };
    let other = |target: &str| -> Result<Option<Value>, DeclareError> {
        if target == script.as_str() { Ok(None) } else { Ok(Some(output(&Fqn::new(target)?, "name"))) }
    };
    let mut properties = Map::new();
    let mut set = |key: &str, value: Value| drop(properties.insert(key.into(), value));
    match &binding.kind {
        BindingKind::D1 { database, .. } => set("id", named(database, DATABASE, "id")?),
        BindingKind::KvNamespace { namespace } => set("namespace_id", named(namespace, NAMESPACE, "id")?),
        BindingKind::R2Bucket { bucket } => set("bucket_name", named(bucket, BUCKET, "name")?),
        BindingKind::Queue { queue } => set("queue_name", named(queue, QUEUE, "name")?),
        BindingKind::DurableObjectNamespace { class, script: host } => {
            set("class_name", class.clone().into());
            if let Some(host) = host.as_deref().map(other).transpose()?.flatten() {
                set("script_name", host);
            }
        }
        BindingKind::Service { service, entrypoint } => {
            // A Worker that is bound to itself names itself: the name is known before it is uploaded.
            set("service", other(service)?.unwrap_or_else(|| service.clone().into()));
            if let Some(entrypoint) = entrypoint {
                set("entrypoint", entrypoint.clone().into());
            }
        }
        BindingKind::PlainText { default } => set("text", default.clone().into()),
        BindingKind::Json { default } => {
            let text = default.as_deref().unwrap_or("null");
            if text.contains(OUTPUT) {
                return Err(DeclareError::Reserved { script: script.to_string(), binding: binding.name.clone() });
            }
            set("json", serde_json::from_str(text).unwrap_or_default());
        }
        BindingKind::Ratelimit { namespace, limit, period } => {
            set("namespace_id", namespace.to_string().into());
            set("simple", json!({ "limit": limit, "period": period }));
        }
        BindingKind::AnalyticsEngine { dataset } => set("dataset", dataset.clone().into()),
        BindingKind::VersionMetadata {} => {}
        BindingKind::Other { properties: own, .. } => own.iter().for_each(|(key, value)| set(key, value.clone())),
        BindingKind::SecretText {} | BindingKind::SecretsStoreSecret { .. } | BindingKind::Assets { .. } => {}
    }
    properties.insert("name".into(), binding.name.clone().into());
    properties.insert("type".into(), binding.kind.type_name().into());
    Ok(properties)
}

fn output(of: &Fqn, attribute: &str) -> Value {
    let output: Output<()> = Output::Of(Reference { of: of.clone(), attribute: attribute.into() });
    serde_json::to_value(output).unwrap_or_default()
}

fn modules(bundle: &Bundle) -> Result<BTreeMap<String, Module>, DeclareError> {
    let mut modules = BTreeMap::new();
    for module in &bundle.manifest.modules {
        let path = bundle.folder.join(&module.name);
        let content = fs::read(&path).map_err(|source| DeclareError::Io { path, source })?;
        modules.insert(module.name.clone(), Module { kind: module.kind, sha256: digest(&content) });
    }
    Ok(modules)
}

/// The classes and the statements about earlier ones, as Cloudflare's `exports` has them.
fn exports(manifest: &Manifest) -> BTreeMap<String, Map<String, Value>> {
    let entry = |value: Value| value.as_object().cloned().unwrap_or_default();
    let live = manifest
        .objects
        .iter()
        .map(|object| (object.class.clone(), entry(json!({ "type": "durable-object", "storage": object.storage }))));
    let changes = manifest.class_changes.iter().filter_map(|change| {
        let statement = match change {
            ClassChange::Renamed { to, .. } => {
                json!({ "type": "durable-object", "state": "renamed", "renamed_to": to })
            }
            ClassChange::Deleted { .. } => json!({ "type": "durable-object", "state": "deleted" }),
            ClassChange::TransferredTo { .. } | ClassChange::TransferredFrom { .. } => return None,
        };
        Some((change.subject().to_string(), entry(statement)))
    });
    // A class that exists counts more than what became of an earlier one of its name.
    changes.chain(live).collect()
}
