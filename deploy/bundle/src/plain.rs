//! Reads a folder with a plain JavaScript Worker and a `wrangler.toml` as a bundle, so that the Worker can run beside ours, bound
//! to it.

use crate::{BuildError, Bundle, Progress, error::io, kind_of, node_tools, process};
use realgar_wire::{
    Binding, BindingKind, ClassChange, ClassStorage, Consumer, Contracts, History, Hosting, MANIFEST_SCHEMA, Manifest,
    MigrationStep, Module, ModuleKind, Object, WorkerClass, check_cron,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The part of wrangler's configuration that a local run needs.
#[derive(Deserialize)]
struct Wrangler {
    name: String,
    main: PathBuf,
    compatibility_date: String,
    #[serde(default)]
    compatibility_flags: Vec<String>,
    #[serde(default)]
    durable_objects: DurableObjects,
    #[serde(default)]
    d1_databases: Vec<D1>,
    #[serde(default)]
    services: Vec<Service>,
    #[serde(default)]
    kv_namespaces: Vec<Kv>,
    #[serde(default)]
    r2_buckets: Vec<Bucket>,
    #[serde(default)]
    queues: Queues,
    #[serde(default)]
    triggers: Triggers,
    #[serde(default)]
    vars: toml::Table,
    #[serde(default)]
    secrets: Secrets,
    #[serde(default)]
    migrations: Vec<MigrationStep>,
    #[serde(default)]
    exports: BTreeMap<String, Export>,
    /// All other keys of the file.
    #[serde(flatten)]
    others: toml::Table,
}

/// The keys that say how to build, deploy or watch a Worker. They do not affect how it runs here; `hosting` reads those that matter
/// at Cloudflare.
const WITHOUT_EFFECT: [&str; 28] = [
    "$schema",
    "account_id",
    "base_dir",
    "build",
    "dev",
    "find_additional_modules",
    "first_party_worker",
    "jsx_factory",
    "jsx_fragment",
    "keep_vars",
    "limits",
    "logpush",
    "minify",
    "no_bundle",
    "observability",
    "placement",
    "preserve_file_names",
    "preview_urls",
    "route",
    "routes",
    "rules",
    "send_metrics",
    "tail_consumers",
    "tsconfig",
    "upload_source_maps",
    "usage_model",
    "workers_dev",
    "streaming_tail_consumers",
];

/// The secrets that the Worker needs. Their values are not in the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    #[serde(default)]
    required: Vec<String>,
}

#[derive(Default, Deserialize)]
struct DurableObjects {
    #[serde(default)]
    bindings: Vec<DurableObject>,
}

#[derive(Deserialize)]
struct DurableObject {
    name: String,
    class_name: String,
    script_name: Option<String>,
}

#[derive(Deserialize)]
struct D1 {
    binding: String,
    database_name: String,
    migrations_dir: Option<String>,
}

#[derive(Deserialize)]
struct Service {
    binding: String,
    service: String,
    entrypoint: Option<String>,
}

#[derive(Deserialize)]
struct Kv {
    binding: String,
    id: Option<String>,
}

#[derive(Deserialize)]
struct Bucket {
    binding: String,
    bucket_name: Option<String>,
}

#[derive(Default, Deserialize)]
struct Queues {
    #[serde(default)]
    producers: Vec<Producer>,
    #[serde(default)]
    consumers: Vec<Consumer>,
}

#[derive(Deserialize)]
struct Producer {
    binding: String,
    queue: String,
}

#[derive(Default, Deserialize)]
struct Triggers {
    #[serde(default)]
    crons: Vec<String>,
}

/// An entry of the declarative `exports`: what a class is, or what became of it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Export {
    #[serde(rename = "type")]
    kind: ExportKind,
    #[serde(default)]
    state: ExportState,
    storage: Option<ClassStorage>,
    #[serde(rename = "renamed_to")]
    renamed_to: Option<String>,
    #[serde(rename = "transferred_to")]
    transferred_to: Option<String>,
    #[serde(rename = "transfer_from")]
    transfer_from: Option<String>,
    /// All other keys of the entry.
    #[serde(flatten)]
    others: toml::Table,
}

#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ExportKind {
    DurableObject,
    Worker,
    Workflow,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ExportState {
    #[default]
    Created,
    Deleted,
    Renamed,
    Transferred,
    ExpectingTransfer,
}

/// How a plain Worker runs at Cloudflare. Of what a deployment from here leaves out, the names are kept.
fn hosting(others: &toml::Table) -> Result<Hosting, serde_json::Error> {
    let set = |key: &&str| others.get(*key).is_some_and(|value| value.as_bool() != Some(false));
    let settings = ["limits", "logpush", "observability", "placement"].into_iter();
    let settings = settings.filter_map(|key| Some((key.to_string(), others.get(key)?)));
    let left_out = ["preview_urls", "route", "routes", "streaming_tail_consumers", "tail_consumers"];
    let mut settings: Map<_, _> = settings
        .map(|(key, value)| Ok((key, serde_json::to_value(value)?)))
        .collect::<Result<_, serde_json::Error>>()?;
    // Cloudflare's API has no word for its absence, and another one for a place that is named.
    if let Some(placement) = settings.get_mut("placement").and_then(Value::as_object_mut) {
        let is_named = ["region", "host", "hostname"].iter().any(|key| placement.contains_key(*key));
        match placement.get("mode").and_then(Value::as_str) {
            Some("off") => drop(settings.remove("placement")),
            None => drop(placement.insert("mode".into(), if is_named { "targeted" } else { "smart" }.into())),
            Some(_) => {}
        }
    }
    Ok(Hosting {
        settings,
        without_address: others.get("workers_dev").and_then(toml::Value::as_bool) == Some(false),
        others: left_out.into_iter().filter(set).map(Into::into).collect(),
    })
}

/// The classes that a plain Worker hosts, and what became of other classes: from `exports`, or from the history in `migrations`.
fn classes(config: &Wrangler) -> Result<(Vec<Object>, Vec<ClassChange>), String> {
    if config.exports.is_empty() {
        let history = History::replay(&config.migrations).map_err(|error| error.to_string())?;
        let objects = history.classes.iter().map(|(class, storage)| plain_object(class, *storage)).collect();
        return Ok((objects, history.changes));
    }
    if !config.migrations.is_empty() {
        return Err("it has both `exports` and `migrations`, of which Cloudflare takes one".into());
    }
    let (mut objects, mut changes) = (Vec::new(), Vec::new());
    for (class, export) in config.exports.iter().filter(|(_, export)| export.kind == ExportKind::DurableObject) {
        let wanted = |value: &Option<String>, key: &str| {
            value.clone().ok_or_else(|| format!("`exports.{class}` has no `{key}`, which its state wants"))
        };
        if let Some(other) = export.others.keys().next() {
            return Err(format!("`exports.{class}` has `{other}`, which nobody knows"));
        }
        let storage = || export.storage.ok_or_else(|| format!("`exports.{class}` has no `storage`"));
        let class = class.clone();
        match export.state {
            ExportState::Created => objects.push(plain_object(&class, storage()?)),
            ExportState::ExpectingTransfer => {
                objects.push(plain_object(&class, storage()?));
                let script = wanted(&export.transfer_from, "transfer_from")?;
                changes.push(ClassChange::TransferredFrom { class, script });
            }
            ExportState::Deleted => changes.push(ClassChange::Deleted { class }),
            ExportState::Renamed => {
                let to = wanted(&export.renamed_to, "renamed_to")?;
                changes.push(ClassChange::Renamed { from: class, to });
            }
            ExportState::Transferred => {
                let script = wanted(&export.transferred_to, "transferred_to")?;
                changes.push(ClassChange::TransferredTo { class, script });
            }
        }
    }
    Ok((objects, changes))
}

/// Reads the Worker that `wrangler.toml` in `path` describes.
///
/// # Errors
/// When there is no such file, when it asks for something that does not run here, or when it or a module cannot be read.
pub fn read_plain(path: &Path) -> Result<Bundle, BuildError> {
    let path = &path.canonicalize().map_err(io("find", path))?;
    let file = path.join("wrangler.toml");
    let bad = |reason: String| BuildError::Configuration { path: file.clone(), reason };
    let source = fs::read_to_string(&file).map_err(io("read", &file))?;
    let config: Wrangler = toml::from_str(&source).map_err(|error| bad(error.to_string()))?;
    if let Some(other) = config.others.keys().find(|key| !WITHOUT_EFFECT.contains(&key.as_str())) {
        return Err(bad(format!("`{other}` is not something that a plain Worker can have here")));
    }
    let mut main = path.join(&config.main);
    if main.extension().is_some_and(|extension| extension == "ts") && main.is_file() {
        main = compile(path, &main)?;
    }
    let (Some(folder), Some(main_module)) = (main.parent(), main.file_name().and_then(|name| name.to_str())) else {
        return Err(bad(format!("`main` names no file: `{}`", config.main.display())));
    };
    if !main.is_file() {
        return Err(bad(format!("`main` names `{}`, which does not exist", main.display())));
    }
    let (objects, class_changes) = classes(&config).map_err(bad)?;
    let bindings = bindings(path, &config);
    let mut names = HashSet::new();
    if let Some(twice) = bindings.iter().find(|binding| !names.insert(&*binding.name)) {
        return Err(bad(format!("two bindings are called `{}`; give one of them another name", twice.name)));
    }
    config.triggers.crons.iter().try_for_each(|cron| check_cron(cron)).map_err(|error| bad(error.to_string()))?;
    let hosting = hosting(&config.others).map_err(|error| bad(error.to_string()))?;
    let mut modules = Vec::new();
    collect(folder, folder, &mut modules)?;
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    if config.others.get("find_additional_modules").and_then(toml::Value::as_bool) != Some(true) {
        modules = named_from(folder, main_module, modules)?;
    }
    Ok(Bundle {
        folder: folder.into(),
        manifest: Manifest {
            schema: MANIFEST_SCHEMA,
            worker: WorkerClass {
                class: "default".into(),
                script: config.name.clone(),
                handlers: Vec::new(),
                methods: Vec::new(),
            },
            compatibility_date: config.compatibility_date.clone(),
            compatibility_flags: config.compatibility_flags.clone(),
            main_module: main_module.into(),
            modules,
            objects,
            entrypoints: Vec::new(),
            bindings,
            crons: config.triggers.crons,
            consumers: config.queues.consumers,
            class_changes,
            // The history is applied already: its outcome is in `objects` and `class_changes`.
            migrations: Vec::new(),
            contracts: Contracts::default(),
            hosting,
        },
    })
}

fn plain_object(class: &str, storage: ClassStorage) -> Object {
    Object { class: class.into(), handlers: Vec::new(), methods: Vec::new(), isolated: false, storage }
}

fn bindings(path: &Path, config: &Wrangler) -> Vec<Binding> {
    let binding = |name: &String, kind| Binding { name: name.clone(), kind };
    let objects = config.durable_objects.bindings.iter().map(|object| {
        let script = object.script_name.clone().filter(|script| *script != config.name);
        binding(&object.name, BindingKind::DurableObjectNamespace { class: object.class_name.clone(), script })
    });
    let databases = config.d1_databases.iter().map(|own| {
        // The path is absolute. In a bundle of ours it is relative to the modules.
        let folder = own.migrations_dir.as_deref().unwrap_or("migrations");
        let folder = Some(path.join(folder)).filter(|folder| folder.is_dir() || own.migrations_dir.is_some());
        let migrations = folder.map(|folder| folder.to_string_lossy().into_owned());
        let database = own.database_name.clone();
        binding(&own.binding, BindingKind::D1 { database, migrations })
    });
    let services = config.services.iter().map(|own| {
        let (service, entrypoint) = (own.service.clone(), own.entrypoint.clone());
        binding(&own.binding, BindingKind::Service { service, entrypoint })
    });
    let namespaces = config.kv_namespaces.iter().map(|own| {
        let namespace = own.id.clone().unwrap_or_else(|| own.binding.clone());
        binding(&own.binding, BindingKind::KvNamespace { namespace })
    });
    let buckets = config.r2_buckets.iter().map(|own| {
        let bucket = own.bucket_name.clone().unwrap_or_else(|| own.binding.clone());
        binding(&own.binding, BindingKind::R2Bucket { bucket })
    });
    let queues = config.queues.producers.iter();
    let queues = queues.map(|own| binding(&own.binding, BindingKind::Queue { queue: own.queue.clone() }));
    let vars = config.vars.iter().map(|(name, value)| match value {
        toml::Value::String(text) => binding(name, BindingKind::PlainText { default: Some(text.clone()) }),
        other => binding(name, BindingKind::Json { default: Some(json(other).to_string()) }),
    });
    let secrets = config.secrets.required.iter().map(|name| binding(name, BindingKind::SecretText {}));
    let resources = objects.chain(databases).chain(services).chain(namespaces).chain(buckets).chain(queues);
    resources.chain(vars).chain(secrets).collect()
}

/// A value of the configuration as JSON. A date becomes a string.
fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.clone().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.iter().map(json).collect(),
        toml::Value::Table(entries) => {
            entries.iter().map(|(key, value)| (key.clone(), json(value))).collect::<Map<_, _>>().into()
        }
    }
}

/// Bundles a Worker in TypeScript into one module, with esbuild. Types are not checked: that is for the editor and `tsc`.
fn compile(path: &Path, main: &Path) -> Result<PathBuf, BuildError> {
    let tools = node_tools(&mut |_| {})?;
    let output = path.join(".realgar/javascript/index.js");
    let mut command = Command::new(&tools.esbuild);
    command
        .arg(main)
        .args(["--bundle", "--format=esm", "--target=es2024", "--external:cloudflare:*", "--external:node:*"])
        .arg(format!("--outfile={}", output.display()));
    let mut said = String::new();
    let outcome = process::run(&mut command, "esbuild", None, &mut |progress| {
        if let Progress::Output(line) = progress {
            said.push_str(&line);
            said.push('\n');
        }
    });
    outcome.map_err(|error| match error {
        BuildError::ToolFailed { tool, status, .. } => BuildError::ToolFailed { tool, status, output: said },
        other => other,
    })?;
    Ok(output)
}

/// Collects every module in `folder` and below. The folders `node_modules` and `target`, and those that begin with a dot, are made
/// by tools and are left out.
fn collect(root: &Path, folder: &Path, modules: &mut Vec<Module>) -> Result<(), BuildError> {
    for entry in fs::read_dir(folder).map_err(io("read", folder))? {
        let path = entry.map_err(io("read", folder))?.path();
        if path.is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name != "node_modules" && name != "target" && !name.starts_with('.') {
                collect(root, &path, modules)?;
            }
        } else if let Some(kind) = kind_of(&path)
            && let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str)
        {
            modules.push(Module { name: name.replace('\\', "/"), kind });
        }
    }
    Ok(())
}

/// Those of `all` that the module `main` names, or one that it names in turn: what nobody imports is not part of the Worker. Every text in
/// quotes that is the name of a module counts, so no import is missed whose name is written out.
fn named_from(folder: &Path, main: &str, all: Vec<Module>) -> Result<Vec<Module>, BuildError> {
    let mut open = vec![main.to_string()];
    let mut named = HashSet::from([main.to_string()]);
    while let Some(name) = open.pop() {
        if !all.iter().any(|module| module.name == name && module.kind == ModuleKind::EsModule) {
            continue;
        }
        let path = folder.join(&name);
        let text = fs::read_to_string(&path).map_err(io("read", &path))?;
        let quoted = text.match_indices(['"', '\'', '`']).filter_map(|(start, quote)| {
            let rest = &text[start + 1..];
            Some(&rest[..rest.find(quote)?])
        });
        for specifier in quoted {
            // A name that is put together when it is used may be any that begins and ends so.
            let (start, end) = match (specifier.split_once("${"), specifier.rsplit_once('}')) {
                (Some((start, _)), Some((_, end))) if start.starts_with('.') => (start, Some(end)),
                _ => (specifier, None),
            };
            let Some(target) = module_name(&name, start) else { continue };
            let is_it = |own: &str| match end {
                None => own == target,
                Some(end) => own.starts_with(&target) && own.ends_with(end),
            };
            for module in all.iter().filter(|module| is_it(&module.name)) {
                if named.insert(module.name.clone()) {
                    open.push(module.name.clone());
                }
            }
        }
    }
    Ok(all.into_iter().filter(|module| named.contains(&module.name)).collect())
}

/// The name of the module that `specifier` means in the module `from`. `None` if it leads out of the folder.
fn module_name(from: &str, specifier: &str) -> Option<String> {
    let is_relative = specifier.starts_with("./") || specifier.starts_with("../");
    let mut parts: Vec<&str> = if is_relative { from.split('/').collect() } else { vec![""] };
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_wherever_it_is_named_from() {
        for (from, specifier, name) in [
            ("index.js", "./a.js", "a.js"),
            ("lib/a.js", "./b.js", "lib/b.js"),
            ("lib/a.js", "../c/d.txt", "c/d.txt"),
            ("lib/a.js", "e.wasm", "e.wasm"),
        ] {
            assert_eq!(module_name(from, specifier).as_deref(), Some(name));
        }
        assert_eq!(module_name("index.js", "../a.js"), None);
    }

    fn read(more: &str) -> Wrangler {
        let text = format!("name = \"old\"\nmain = \"index.js\"\ncompatibility_date = \"2026-04-21\"\n{more}");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn exports_and_migrations_say_the_same_of_a_class() {
        let exports = read(
            "[exports.New]\ntype = \"durable-object\"\nstorage = \"sqlite\"\n\
             [exports.Old]\ntype = \"durable-object\"\nstate = \"renamed\"\nrenamed_to = \"New\"\n\
             [exports.Flow]\ntype = \"workflow\"\n",
        );
        let migrations = read(
            "[[migrations]]\ntag = \"v1\"\nnew_sqlite_classes = [\"Old\"]\n\
             [[migrations]]\ntag = \"v2\"\nrenamed_classes = [{ from = \"Old\", to = \"New\" }]\n",
        );
        let expected = (
            vec![plain_object("New", ClassStorage::Sqlite)],
            vec![ClassChange::Renamed { from: "Old".into(), to: "New".into() }],
        );
        assert_eq!(classes(&exports).unwrap(), expected);
        assert_eq!(classes(&migrations).unwrap(), expected);
    }

    #[test]
    fn an_entry_that_lacks_what_its_state_wants_is_named() {
        for (entry, missing) in [
            ("state = \"renamed\"", "`exports.Old` has no `renamed_to`"),
            ("state = \"transferred\"", "`exports.Old` has no `transferred_to`"),
            ("state = \"expecting-transfer\"\nstorage = \"sqlite\"", "`exports.Old` has no `transfer_from`"),
            ("", "`exports.Old` has no `storage`"),
        ] {
            let error = classes(&read(&format!("[exports.Old]\ntype = \"durable-object\"\n{entry}\n"))).unwrap_err();
            assert!(error.contains(missing), "{error}");
        }
        let both = "[exports.A]\ntype = \"durable-object\"\nstorage = \"sqlite\"\n[[migrations]]\ntag = \"v1\"\n";
        assert!(classes(&read(both)).unwrap_err().contains("both `exports` and `migrations`"));
    }

    #[test]
    fn an_object_of_the_worker_itself_has_no_script() {
        let config = read(
            "[durable_objects]\nbindings = [{ name = \"OWN\", class_name = \"A\", script_name = \"old\" }, \
             { name = \"THEIRS\", class_name = \"B\", script_name = \"other\" }]\n[vars]\nwhen = 2026-01-02\n",
        );
        let scripts: Vec<_> = bindings(Path::new("/"), &config).into_iter().map(|binding| binding.kind).collect();
        let object = |class: &str, script: Option<&str>| BindingKind::DurableObjectNamespace {
            class: class.into(),
            script: script.map(Into::into),
        };
        let date = BindingKind::Json { default: Some("\"2026-01-02\"".into()) };
        assert_eq!(scripts, [object("A", None), object("B", Some("other")), date]);
    }
}
