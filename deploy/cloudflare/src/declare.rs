//! The program that follows from a set of Workers: each Worker is a resource, and so is everything that it binds.
//!
//! A Worker has the name of its script, and what it binds has the name that the manifest has for it, behind a short name of the kind:
//! the bucket `photos` of the Worker `photos` is `r2/photos`. Two Workers that bind the database `Events` bind one database, `d1/Events`.

use crate::kinds::{
    Asset, BUCKET, CONSUMER, Consumer, DATABASE, FINGERPRINT, Files, MIGRATIONS, Migrations, Module, NAMESPACE,
    NoProps, QUEUE, SCHEDULES, SCRIPT, SUBDOMAIN, Schedules, ScriptProps, Subdomain, digest, read_assets,
};
use realgar_bundle::Bundle;
use realgar_engine::{
    FingerprintKey, Fqn, NameError, OUTPUT, Output, Policy, Program, ProgramError, Reference, Resource, Secret,
};
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
    /// The values of its secrets and variables, by the name of the binding.
    pub values: BTreeMap<String, Secret>,
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
        "the binding `{binding}` of the Worker `{script}` leads to the Worker `{target}`, which is neither deployed nor named here; name \
         its folder too, or correct the name"
    )]
    NoTarget {
        /// The Worker.
        script: String,
        /// The binding.
        binding: String,
        /// The Worker that is missing.
        target: String,
    },
    /// A class is to move to or from a Worker that does not say so.
    #[error(
        "the Worker `{script}` says that the class `{class}` moves between it and the Worker `{other}`, and `{other}` does not; say \
         `{word}({class} = \"{script}\")` there (a plain Worker says it in `[exports.{class}]` of its `wrangler.toml`: docs/guide/change.md)"
    )]
    HalfTransfer {
        /// The Worker that says so.
        script: String,
        /// The class.
        class: String,
        /// The Worker that does not.
        other: String,
        /// What it has to say.
        word: &'static str,
    },
    /// A class is to move to or from a Worker that is not among them.
    #[error(
        "the Worker `{script}` says that the class `{class}` moves between it and the Worker `{other}`, which is neither deployed nor \
         named here; name its folder too, or remove the statement once the class has moved in every stage"
    )]
    NoPartner {
        /// The Worker that says so.
        script: String,
        /// The class.
        class: String,
        /// The Worker that is missing.
        other: String,
    },
    /// A secret or a variable has no value.
    #[error("{what} `{binding}` of the Worker `{script}` has no value")]
    NoValue {
        /// A secret or a variable.
        what: &'static str,
        /// The Worker.
        script: String,
        /// The binding.
        binding: String,
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
    /// The value of a variable is no JSON.
    #[error("the value of the variable `{binding}` of the Worker `{script}` is no JSON: {reason}")]
    NotJson {
        /// The Worker.
        script: String,
        /// The variable.
        binding: String,
        /// Why not.
        reason: String,
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

/// Adds `workers` and all that they bind to `program`. The result says where the files are that go up with them.
///
/// # Errors
/// When the Workers do not fit together, or ask for something that cannot be deployed.
pub fn declare(program: &mut Program, workers: &[Worker], key: &FingerprintKey) -> Result<Files, DeclareError> {
    let mut files = Files::default();
    for Worker { bundle, .. } in workers {
        let fqn = Fqn::new(&*bundle.manifest.worker.script)?;
        if files.folders.insert(fqn, bundle.folder.clone()).is_some() {
            return Err(DeclareError::TwoWorkers(bundle.manifest.worker.script.clone()));
        }
    }
    let migrated = workers.iter().flat_map(|worker| &worker.bundle.manifest.bindings);
    let migrated: BTreeSet<&str> = migrated
        .filter_map(|binding| match &binding.kind {
            BindingKind::D1 { database, migrations: Some(_) } => Some(database.as_str()),
            _ => None,
        })
        .collect();
    let scripts: BTreeSet<&str> = workers.iter().map(|worker| worker.bundle.manifest.worker.script.as_str()).collect();
    for Worker { bundle, values } in workers {
        let fqn = Fqn::new(&*bundle.manifest.worker.script)?;
        check(&bundle.manifest, &scripts, program)?;
        check_transfers(&bundle.manifest, workers, program)?;
        Declaring { program, files: &mut files, bundle, values, key, migrated: &migrated, fqn }.worker()?;
    }
    Ok(files)
}

/// The declaration of one Worker.
struct Declaring<'a> {
    program: &'a mut Program,
    files: &'a mut Files,
    bundle: &'a Bundle,
    values: &'a BTreeMap<String, Secret>,
    key: &'a FingerprintKey,
    /// The databases that somebody has migrations for.
    migrated: &'a BTreeSet<&'a str>,
    fqn: Fqn,
}

impl Declaring<'_> {
    fn worker(&mut self) -> Result<(), DeclareError> {
        let manifest = &self.bundle.manifest;
        let mut own: Vec<&Binding> = manifest.bindings.iter().collect();
        own.sort_by(|one, other| one.name.cmp(&other.name));
        let bindings = own.into_iter().map(|binding| self.binding(binding)).collect::<Result<_, _>>()?;
        let mut flags = manifest.compatibility_flags.clone();
        flags.sort();
        let props = ScriptProps {
            compatibility_date: manifest.compatibility_date.clone(),
            compatibility_flags: flags,
            main_module: manifest.main_module.clone(),
            modules: modules(self.bundle)?,
            bindings,
            exports: exports(manifest)?,
            transfers: transfers(manifest)?,
            assets: self.assets()?,
            settings: manifest.hosting.settings.clone(),
            contracts: manifest.contracts.clone(),
        };
        let after = self.migrations_before()?;
        self.program.declare(Resource { after, ..resource(self.fqn.clone(), SCRIPT, &props, None) })?;
        if !manifest.hosting.without_address {
            self.child("workers.dev", SUBDOMAIN, &Subdomain { script: self.script() })?;
        }
        if !manifest.crons.is_empty() {
            let crons: BTreeSet<&String> = manifest.crons.iter().collect();
            let schedules = Schedules { script: self.script(), crons: crons.into_iter().cloned().collect() };
            self.child("crons", SCHEDULES, &schedules)?;
        }
        manifest.consumers.iter().try_for_each(|consumer| self.consumer(consumer))
    }

    /// The migrations of the databases that the Worker binds: its code was written for what they make.
    fn migrations_before(&self) -> Result<BTreeSet<Fqn>, NameError> {
        let bound = self.bundle.manifest.bindings.iter().filter_map(|binding| match &binding.kind {
            BindingKind::D1 { database, .. } => Some(database),
            _ => None,
        });
        let mut before = BTreeSet::new();
        for database in bound {
            let migrations = fqn_of(DATABASE, database)?.child("migrations")?;
            // Somebody who was not named may have them.
            if self.migrated.contains(database.as_str()) || self.program.has_elsewhere(&migrations) {
                before.insert(migrations);
            }
        }
        Ok(before)
    }

    /// The name of the Worker at Cloudflare.
    fn script(&self) -> Output<String> {
        output_of(&self.fqn, "name")
    }

    /// Adds something that belongs to the Worker.
    fn child(&mut self, name: &str, kind: &'static str, props: &impl Serialize) -> Result<(), DeclareError> {
        Ok(self.program.declare(resource(self.fqn.child(name)?, kind, props, Some(&self.fqn)))?)
    }

    /// Adds a resource of which only the name is said, and returns its attribute.
    fn named(&mut self, id: &str, kind: &'static str, attribute: &str) -> Result<Output<String>, DeclareError> {
        let fqn = fqn_of(kind, id)?;
        self.program.declare(resource(fqn.clone(), kind, &NoProps {}, None))?;
        Ok(output_of(&fqn, attribute))
    }

    fn consumer(&mut self, consumer: &realgar_wire::Consumer) -> Result<(), DeclareError> {
        let dead_letters = consumer.dead_letter_queue.as_deref();
        let settings = [
            ("batch_size", consumer.max_batch_size.map(u32::from)),
            ("max_wait_time_ms", consumer.max_batch_timeout.map(|seconds| u32::from(seconds) * 1000)),
            ("max_retries", consumer.max_retries.map(u32::from)),
            ("retry_delay", consumer.retry_delay),
            ("max_concurrency", consumer.max_concurrency.map(u32::from)),
        ];
        let set = settings.into_iter().filter_map(|(key, value)| Some((key.to_string(), Value::from(value?))));
        let props = Consumer {
            script: self.script(),
            queue: self.named(&consumer.queue, QUEUE, "id")?,
            dead_letter_queue: dead_letters.map(|queue| self.named(queue, QUEUE, "name")).transpose()?,
            settings: set.collect(),
        };
        self.child(&format!("consumer of {}", consumer.queue), CONSUMER, &props)
    }

    /// The static files of the Worker.
    fn assets(&mut self) -> Result<Option<BTreeMap<String, Asset>>, DeclareError> {
        let directory = self.bundle.manifest.bindings.iter().find_map(|binding| match &binding.kind {
            BindingKind::Assets { directory } => Some(directory),
            _ => None,
        });
        let Some(directory) = directory else { return Ok(None) };
        let folder = self.bundle.folder.join(directory);
        let files = read_assets(&folder).map_err(|(path, source)| DeclareError::Io { path, source })?;
        self.files.assets.insert(self.fqn.clone(), folder);
        Ok(Some(files))
    }

    /// Adds the migrations of a database. Two Workers that bind it have the same ones.
    fn migrations(&mut self, database: &str, folder: &str) -> Result<(), DeclareError> {
        let folder = self.bundle.folder.join(folder);
        let failed = |source| DeclareError::Io { path: folder.clone(), source };
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "sql") {
                let content = fs::read(&path).map_err(|source| DeclareError::Io { path: path.clone(), source })?;
                files.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), digest(&content));
            }
        }
        let parent = fqn_of(DATABASE, database)?;
        let fqn = parent.child("migrations")?;
        let props = Migrations { database: output_of(&parent, "id"), files };
        self.program.declare(resource(fqn.clone(), MIGRATIONS, &props, Some(&parent)))?;
        self.files.folders.insert(fqn, folder);
        Ok(())
    }

    /// The value of a variable: the one that was given, or its default.
    fn variable<'b>(&'b self, binding: &'b Binding) -> Result<&'b str, DeclareError> {
        let given = self.values.get(&binding.name).map(Secret::expose);
        given.or_else(|| binding.kind.default()).ok_or_else(|| self.no_value("the variable", binding))
    }

    /// The fingerprint of a secret. Its value is kept for the upload.
    fn secret(&mut self, binding: &Binding) -> Result<String, DeclareError> {
        let value = self.values.get(&binding.name).ok_or_else(|| self.no_value("the secret", binding))?;
        let place = format!("{}/{}/{}", self.program.stack(), self.fqn, binding.name);
        let fingerprint = self.key.fingerprint(&place, value);
        self.files.secrets.insert(fingerprint.clone(), value.clone());
        Ok(fingerprint)
    }

    fn no_value(&self, what: &'static str, binding: &Binding) -> DeclareError {
        DeclareError::NoValue { what, script: self.fqn.to_string(), binding: binding.name.clone() }
    }

    /// Adds what `binding` leads to, and returns the binding as Cloudflare's API has it.
    fn binding(&mut self, binding: &Binding) -> Result<Map<String, Value>, DeclareError> {
        let mut properties = Map::new();
        let mut set = |key: &str, value: Value| drop(properties.insert(key.into(), value));
        match &binding.kind {
            BindingKind::D1 { database, migrations } => {
                set("id", json!(self.named(database, DATABASE, "id")?));
                migrations.iter().try_for_each(|folder| self.migrations(database, folder))?;
            }
            BindingKind::KvNamespace { namespace } => {
                set("namespace_id", json!(self.named(namespace, NAMESPACE, "id")?));
            }
            BindingKind::R2Bucket { bucket } => set("bucket_name", json!(self.named(bucket, BUCKET, "name")?)),
            BindingKind::Queue { queue } => set("queue_name", json!(self.named(queue, QUEUE, "name")?)),
            BindingKind::DurableObjectNamespace { class, script } => {
                set("class_name", class.clone().into());
                if let Some(host) = script.as_deref().filter(|host| *host != self.fqn.as_str()) {
                    set("script_name", json!(output_of(&Fqn::new(host)?, "name")));
                }
            }
            BindingKind::Service { service, entrypoint } => {
                set("service", json!(output_of(&Fqn::new(&**service)?, "name")));
                if let Some(entrypoint) = entrypoint {
                    set("entrypoint", entrypoint.clone().into());
                }
            }
            BindingKind::PlainText { .. } => set("text", self.variable(binding)?.into()),
            BindingKind::Json { .. } => {
                let text = self.variable(binding)?;
                if text.contains(OUTPUT) {
                    return Err(DeclareError::Reserved { script: self.fqn.to_string(), binding: binding.name.clone() });
                }
                let invalid = |error: serde_json::Error| DeclareError::NotJson {
                    script: self.fqn.to_string(),
                    binding: binding.name.clone(),
                    reason: error.to_string(),
                };
                set("json", serde_json::from_str(text).map_err(invalid)?);
            }
            BindingKind::SecretText {} => set(FINGERPRINT, self.secret(binding)?.into()),
            BindingKind::Ratelimit { namespace, limit, period } => {
                set("namespace_id", namespace.to_string().into());
                set("simple", json!({ "limit": limit, "period": period }));
            }
            BindingKind::AnalyticsEngine { dataset } => set("dataset", dataset.clone().into()),
            BindingKind::Other { properties: own, .. } => own.iter().for_each(|(key, value)| set(key, value.clone())),
            BindingKind::VersionMetadata {} | BindingKind::Assets { .. } | BindingKind::SecretsStoreSecret { .. } => {}
        }
        properties.insert("name".into(), binding.name.clone().into());
        properties.insert("type".into(), binding.kind.type_name().into());
        Ok(properties)
    }
}

/// Refuses what leads nowhere, and what would be left out without a word.
fn check(manifest: &Manifest, scripts: &BTreeSet<&str>, program: &Program) -> Result<(), DeclareError> {
    let script = || manifest.worker.script.clone();
    let not_yet = |what: String| Err(DeclareError::NotYet { script: script(), what });
    if let Some(key) = manifest.hosting.others.first() {
        return not_yet(format!("`{key}`"));
    }
    for Binding { name, kind } in &manifest.bindings {
        let target = kind.target().and_then(|target| target.script);
        let target = target.filter(|target| !scripts.contains(target));
        if let Some(target) = target
            && !Fqn::new(target).is_ok_and(|fqn| program.has_elsewhere(&fqn))
        {
            return Err(DeclareError::NoTarget { script: script(), binding: name.clone(), target: target.into() });
        }
        if let BindingKind::SecretsStoreSecret { .. } = kind {
            return not_yet(format!("the binding `{name}` of the type `{}`", kind.type_name()));
        }
    }
    Ok(())
}

/// Refuses to move a class of which only one of the two Workers says that it moves.
fn check_transfers(manifest: &Manifest, workers: &[Worker], program: &Program) -> Result<(), DeclareError> {
    let script = &manifest.worker.script;
    for change in &manifest.class_changes {
        let (class, other, counterpart, word) = match change {
            ClassChange::TransferredTo { class, script: to } => (
                class,
                to,
                ClassChange::TransferredFrom { class: class.clone(), script: script.clone() },
                "transferred_from",
            ),
            ClassChange::TransferredFrom { class, script: from } => (
                class,
                from,
                ClassChange::TransferredTo { class: class.clone(), script: script.clone() },
                "transferred_to",
            ),
            ClassChange::Renamed { .. } | ClassChange::Deleted { .. } => continue,
        };
        let named =
            workers.iter().map(|worker| &worker.bundle.manifest).find(|other_one| other_one.worker.script == *other);
        let (script, class, other) = (script.clone(), class.clone(), other.clone());
        match named {
            Some(named) if named.class_changes.contains(&counterpart) => {}
            // It has moved on since, or is gone.
            Some(named)
                if word == "transferred_from" && named.class_changes.iter().any(|own| own.subject() == class) => {}
            Some(_) => return Err(DeclareError::HalfTransfer { script, class, other, word }),
            None if Fqn::new(&*other).is_ok_and(|fqn| program.has_elsewhere(&fqn)) => {}
            None => return Err(DeclareError::NoPartner { script, class, other }),
        }
    }
    Ok(())
}

fn resource(fqn: Fqn, kind: &'static str, props: &impl Serialize, parent: Option<&Fqn>) -> Resource {
    // A map with text keys and values of our own types always has a form in JSON.
    let props = serde_json::to_value(props).unwrap_or_default();
    Resource { fqn, kind, props, after: BTreeSet::new(), parent: parent.cloned(), pinned: None, policy: Policy::Delete }
}

/// The name in the program of what a manifest calls `id`.
fn fqn_of(kind: &str, id: &str) -> Result<Fqn, NameError> {
    let short = match kind {
        DATABASE => "d1",
        NAMESPACE => "kv",
        BUCKET => "r2",
        QUEUE => "queues",
        other => other,
    };
    Fqn::new(format!("{short}/{id}"))
}

fn output_of(of: &Fqn, attribute: &str) -> Output<String> {
    Output::Of(Reference { of: of.clone(), attribute: attribute.into() })
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
fn exports(manifest: &Manifest) -> Result<BTreeMap<String, Map<String, Value>>, NameError> {
    let entry = |value: Value| value.as_object().cloned().unwrap_or_default();
    let live = manifest
        .objects
        .iter()
        .map(|object| (object.class.clone(), entry(json!({ "type": "durable-object", "storage": object.storage }))));
    let mut exports = BTreeMap::new();
    for change in &manifest.class_changes {
        let statement = match change {
            ClassChange::Renamed { to, .. } => {
                json!({ "type": "durable-object", "state": "renamed", "renamed_to": to })
            }
            ClassChange::Deleted { .. } => json!({ "type": "durable-object", "state": "deleted" }),
            ClassChange::TransferredTo { script, .. } => {
                let to = output_of(&Fqn::new(&**script)?, "name");
                json!({ "type": "durable-object", "state": "transferred", "transferred_to": to })
            }
            ClassChange::TransferredFrom { .. } => continue,
        };
        exports.insert(change.subject().to_string(), entry(statement));
    }
    // A class that exists counts more than what became of an earlier one of its name.
    exports.extend(live);
    Ok(exports)
}

/// The Workers that classes come from.
fn transfers(manifest: &Manifest) -> Result<BTreeMap<String, Output<String>>, NameError> {
    let from = manifest.class_changes.iter().filter_map(|change| match change {
        ClassChange::TransferredFrom { class, script } => Some((class, script)),
        _ => None,
    });
    from.map(|(class, script)| Ok((class.clone(), output_of(&Fqn::new(&**script)?, "name")))).collect()
}
