//! Workers: uploads, and what is set beside them.

use super::{
    answer::{Answer, ApiError, Reply},
    assets, consumers, exports,
    server::{Asked, Content, Shared, State},
    services, steps,
    tables::{self, Named, ScriptRow, Tables, now_ms, time},
    upload,
};
use crate::{EdgeError, Script, private};
use hyper::Method;
use realgar_wire::{
    Binding, BindingKind, ClassChange, ClassStorage, Contracts, MANIFEST_SCHEMA, Manifest, Module, ModuleKind, Object,
    WorkerClass, names,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    error::Error as _,
    fs,
    path::{Path, PathBuf},
};

/// The folder of the static files of a script, beside its modules.
const ASSETS: &str = "static-assets";

/// Answers a call about Workers.
pub(super) fn route(shared: &Shared, path: &str, rest: &[&str], asked: &Asked) -> Answer {
    match (&asked.method, rest) {
        (&Method::GET, ["subdomain"]) => Ok(Reply::One(json!({ "subdomain": shared.state().tables.subdomain }))),
        (&Method::GET, ["scripts"]) => {
            let state = shared.state();
            let all = state.tables.scripts.iter().map(|(name, row)| describe(name, row)).collect();
            Ok(Reply::One(Value::Array(all)))
        }
        (&Method::GET, ["durable_objects", "namespaces"]) => {
            let state = shared.state();
            let classes = state.tables.scripts.iter().flat_map(|(script, row)| {
                let describe = move |(class, own): (&String, &tables::Class)| {
                    let name = format!("{script}_{class}");
                    json!({ "id": own.id, "name": name, "script": script, "class": class, "use_sqlite": own.sqlite })
                };
                row.classes.iter().map(describe)
            });
            asked.page(classes.collect())
        }
        (&Method::PUT, ["scripts", name]) => put(shared, name, asked),
        (&Method::DELETE, ["scripts", name]) => delete(shared, name, asked),
        (&Method::GET, ["scripts", name, "settings"]) => {
            let state = shared.state();
            let row = row(&state.tables, name)?;
            if !shared.sees("version", row.modified_ms) {
                return Err(ApiError::new(404, 100_146, format!("the version of `{name}` is not found")));
            }
            Ok(Reply::One(settings(row)))
        }
        (&Method::PATCH, ["scripts", name, "settings"]) => patch(shared, name, asked),
        (&Method::DELETE, ["services", name]) => delete(shared, name, asked),
        (_, ["services", name]) => services::service(shared, path, name, asked),
        (_, ["workers", name]) => services::worker(shared, path, name, asked),
        (&Method::POST, ["scripts", name, "versions"]) => add_version(shared, name, asked),
        (&Method::POST, ["scripts", name, "deployments"]) => deploy_version(shared, name, asked),
        (_, ["scripts", name, "deployments"]) => services::deployments(shared, path, name, asked),
        (_, ["scripts", name, "script-settings"]) => services::script_settings(shared, path, name, asked),
        (_, ["scripts", name, "secrets-bulk"]) => services::secrets(shared, path, name, &["bulk"], asked),
        (_, ["scripts", name, "secrets", rest @ ..]) => services::secrets(shared, path, name, rest, asked),
        (_, ["scripts", name, "subdomain"]) => subdomain(shared, path, name, asked),
        (_, ["scripts", name, "schedules"]) => schedules(shared, path, name, asked),
        _ => Err(ApiError::no_route(path)),
    }
}

pub(super) fn row<'a>(tables: &'a Tables, name: &str) -> Result<&'a ScriptRow, ApiError> {
    tables.scripts.get(name).ok_or_else(|| no_script(name))
}

pub(super) fn row_mut<'a>(tables: &'a mut Tables, name: &str) -> Result<&'a mut ScriptRow, ApiError> {
    tables.scripts.get_mut(name).ok_or_else(|| no_script(name))
}

pub(super) fn no_script(name: &str) -> ApiError {
    ApiError::new(404, 10007, format!("This Worker does not exist on your account. ({name})"))
}

fn describe(name: &str, row: &ScriptRow) -> Value {
    let metadata = &row.metadata;
    json!({
        "id": name, "tag": row.tag, "tags": metadata["tags"], "etag": row.version, "deployment_id": row.version,
        "created_on": time(row.created_ms), "modified_on": time(row.modified_ms), "usage_model": "standard",
        "compatibility_date": metadata["compatibility_date"], "compatibility_flags": metadata["compatibility_flags"],
        "migration_tag": row.migration_tag, "has_modules": true, "has_assets": !metadata["assets"].is_null(), "logpush": false, "handlers": ["fetch"],
    })
}

/// The settings of a Worker. The values of secrets are not told.
fn settings(row: &ScriptRow) -> Value {
    let metadata = &row.metadata;
    json!({
        "bindings": metadata["bindings"], "compatibility_date": metadata["compatibility_date"],
        "compatibility_flags": metadata["compatibility_flags"], "tags": metadata["tags"], "usage_model": "standard",
        "tail_consumers": metadata["tail_consumers"], "observability": metadata["observability"],
        "limits": metadata["limits"], "placement": metadata["placement"], "logpush": metadata["logpush"] == true,
    })
}

/// A version that was uploaded, and does not serve yet.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    row: ScriptRow,
    folder: PathBuf,
    reconciled: exports::Reconciled,
}

/// An upload: the Worker is new, or it gets a new version, which serves at once. Either all of it takes effect or nothing.
fn put(shared: &Shared, name: &str, asked: &Asked) -> Answer {
    let mut state = shared.state();
    let prepared = prepare(shared, &state.tables, name, asked)?;
    let mut answer = describe(name, &prepared.row);
    answer["exports_reconciliation"] = prepared.reconciled.report.clone();
    answer["startup_time_ms"] = json!(1);
    serve(shared, &mut state, name, prepared)?;
    Ok(Reply::One(answer))
}

/// Uploads a version that does not serve before it is deployed. It cannot say anything about classes.
fn add_version(shared: &Shared, name: &str, asked: &Asked) -> Answer {
    let mut state = shared.state();
    row(&state.tables, name)?;
    let prepared = prepare(shared, &state.tables, name, asked)?;
    let (now, next) = (row(&state.tables, name)?, &prepared.reconciled);
    if next.classes != now.classes || next.expecting != now.expecting || next.tag.is_some() {
        let message = "a version cannot change the Durable Object classes of a Worker; upload it with `PUT`";
        return Err(ApiError::new(400, 10211, message));
    }
    let (id, metadata) = (services::version_id(&prepared.row), &prepared.row.metadata);
    let resources = json!({
        "bindings": metadata["bindings"], "script": { "etag": prepared.row.version, "handlers": ["fetch"] },
        "script_runtime": {
            "compatibility_date": metadata["compatibility_date"], "compatibility_flags": metadata["compatibility_flags"],
            "usage_model": "standard",
        },
    });
    state.versions.insert((name.into(), id.clone()), prepared);
    let number = state.versions.len();
    Ok(Reply::One(json!({ "id": id, "number": number, "startup_time_ms": 1, "metadata": {}, "resources": resources })))
}

/// Lets a version serve that was uploaded before.
fn deploy_version(shared: &Shared, name: &str, asked: &Asked) -> Answer {
    let body = asked.json()?;
    let [version] = body["versions"].as_array().map(Vec::as_slice).unwrap_or_default() else {
        return Err(ApiError::new(501, 10021, "this edge deploys one version at a time"));
    };
    if version["percentage"].as_f64() != Some(100.0) {
        return Err(ApiError::new(501, 10021, "this edge deploys a version to all requests only"));
    }
    let id = version["version_id"].as_str().unwrap_or_default();
    let mut state = shared.state();
    if services::version_id(row(&state.tables, name)?) != id {
        let missing = || ApiError::new(404, 10222, format!("there is no version `{id}` that does not serve yet"));
        let mut prepared = state.versions.remove(&(name.into(), id.into())).ok_or_else(missing)?;
        // What was set beside the Worker meanwhile stays.
        let now = row(&state.tables, name)?;
        let own = &prepared.row;
        if own.classes != now.classes || own.expecting != now.expecting || own.migration_tag != now.migration_tag {
            let message = "the Durable Object classes of the Worker have changed since this version was uploaded";
            return Err(ApiError::new(400, 10211, message));
        }
        (prepared.row.crons, prepared.row.subdomain, prepared.row.port) = (now.crons.clone(), now.subdomain, now.port);
        serve(shared, &mut state, name, prepared)?;
    }
    Ok(Reply::One(services::deployment(row(&state.tables, name)?)))
}

/// Reads an upload, and writes its files to a folder of its own.
fn prepare(shared: &Shared, tables: &Tables, name: &str, asked: &Asked) -> Result<Prepared, ApiError> {
    let Content::Parts(parts) = &asked.content else {
        return Err(ApiError::bad_body("an upload is a form with the parts `metadata` and the modules"));
    };
    if !names::is_any_script_name(name) {
        return Err(ApiError::new(400, 10016, format!("`{name}` cannot be the name of a Worker")));
    }
    let (mut metadata, modules) = upload::script(parts)?;
    if let Some(mode) = metadata["placement"]["mode"].as_str().filter(|mode| !["smart", "targeted"].contains(mode)) {
        return Err(ApiError::new(400, 10021, format!("invalid placement mode: {mode}")));
    }
    let old = tables.scripts.get(name).cloned();
    let main = metadata["main_module"].as_str().unwrap_or_default();
    if !modules.iter().any(|module| module.name == main) {
        let message = format!("no module has the name `{main}`, which `main_module` in the metadata says");
        return Err(ApiError::new(400, 10021, message));
    }
    let reconciled = match (metadata.get("exports"), metadata.get("migrations")) {
        (Some(_), Some(_)) => {
            return Err(ApiError::new(400, 10021, "`exports` and `migrations` exclude each other"));
        }
        (Some(exports), None) => exports::reconcile(exports, name, tables)?,
        (None, Some(migrations)) => steps::apply(migrations, name, tables, &own_classes(&metadata))?,
        (None, None) => exports::Reconciled {
            classes: old.as_ref().map(|row| row.classes.clone()).unwrap_or_default(),
            expecting: old.as_ref().map(|row| row.expecting.clone()).unwrap_or_default(),
            ..exports::Reconciled::default()
        },
    };
    metadata.as_object_mut().map(|metadata| metadata.remove("migrations"));
    inherit(&mut metadata, old.as_ref())?;
    let mut secrets = kept_secrets(&mut metadata, old.as_ref());
    secrets.extend(take_secrets(&mut metadata));
    let now = now_ms();
    let row = ScriptRow {
        tag: old.as_ref().map_or_else(tables::new_id, |old| Ok(old.tag.clone()))?,
        version: tables::new_id()?,
        metadata,
        modules: modules.iter().map(|module| (module.name.clone(), module.kind.clone())).collect(),
        secrets,
        classes: reconciled.classes.clone(),
        migration_tag: reconciled.tag.clone().or_else(|| old.as_ref()?.migration_tag.clone()),
        changes: reconciled.changes.clone(),
        expecting: reconciled.expecting.clone(),
        received: old.as_ref().map(|old| old.received.clone()).unwrap_or_default(),
        subdomain: old.as_ref().is_some_and(|old| old.subdomain),
        crons: old.as_ref().map(|old| old.crons.clone()).unwrap_or_default(),
        port: old.as_ref().map_or(0, |old| old.port),
        created_ms: old.as_ref().map_or(now, |old| old.created_ms),
        modified_ms: now,
    };
    check_bindings(shared, &after(tables, name, row.clone(), &reconciled), name, &row)?;
    let folder = tables::modules(&shared.data, name, &row.version);
    let written = write(&folder, &modules);
    let written = written.and_then(|()| assets::write(shared, name, &row.metadata, &folder.join(ASSETS)));
    if written.is_err() {
        let _ = private::remove_folder(&folder);
        written?;
    }
    Ok(Prepared { row, folder, reconciled })
}

/// Lets a version serve. If it does not start, nothing changes.
fn serve(shared: &Shared, state: &mut State, name: &str, prepared: Prepared) -> Result<(), ApiError> {
    let Prepared { row, folder, reconciled } = prepared;
    let old = state.tables.scripts.get(name).cloned();
    let outcome = state.run(&shared.data, after(&state.tables, name, row, &reconciled));
    let unused =
        if outcome.is_ok() { old.map(|old| tables::modules(&shared.data, name, &old.version)) } else { Some(folder) };
    // A folder that stays is removed with the Worker.
    unused.map(|folder| private::remove_folder(&folder));
    outcome
}

/// Changes the settings of a Worker, and leaves its code as it is. Bindings that only say their type and name stay what they are.
fn patch(shared: &Shared, name: &str, asked: &Asked) -> Answer {
    let changes = match &asked.content {
        Content::Parts(parts) => match parts.iter().find(|part| part.name == "settings") {
            Some(part) => part.json()?,
            None => return Err(ApiError::bad_body("the form has no part `settings`")),
        },
        Content::Bytes(_) => asked.json()?,
    };
    let mut state = shared.state();
    let mut tables = state.tables.clone();
    let row = row_mut(&mut tables, name)?;
    let before = row.clone();
    for key in ["bindings", "compatibility_date", "compatibility_flags", "tags", "limits", "placement", "observability"]
    {
        if let Some(value) = changes.get(key) {
            row.metadata[key] = value.clone();
        }
    }
    inherit(&mut row.metadata, Some(&before))?;
    let values = take_secrets(&mut row.metadata);
    let bound: Vec<String> = secret_names(&row.metadata).collect();
    row.secrets.retain(|name, _| bound.contains(name));
    row.secrets.extend(values);
    row.modified_ms = now_ms();
    let row = row.clone();
    check_bindings(shared, &state.tables, name, &row)?;
    state.run(&shared.data, tables)?;
    Ok(Reply::One(settings(&row)))
}

fn write(folder: &Path, modules: &[upload::Module]) -> Result<(), ApiError> {
    private::create_folder(folder).map_err(ApiError::internal)?;
    for module in modules {
        let path = folder.join(&module.name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).and_then(|()| fs::write(&path, &module.content)).map_err(ApiError::internal)?;
    }
    Ok(())
}

/// Puts the bindings of the version before in the places of those that are inherited. A binding that only says its type and name is
/// inherited too, if there was one.
fn inherit(metadata: &mut Value, old: Option<&ScriptRow>) -> Result<(), ApiError> {
    let before = old.and_then(|row| row.metadata["bindings"].as_array()).cloned().unwrap_or_default();
    for binding in metadata["bindings"].as_array_mut().into_iter().flatten() {
        let name = binding["old_name"].as_str().or_else(|| binding["name"].as_str()).unwrap_or_default();
        let same = before.iter().find(|own| own["name"] == name);
        let is_named_only = binding.as_object().is_some_and(|fields| fields.len() == 2);
        match same {
            Some(same) if binding["type"] == "inherit" || is_named_only && same["type"] == binding["type"] => {
                let name = binding["name"].clone();
                binding.clone_from(same);
                binding["name"] = name;
            }
            None if binding["type"] == "inherit" => {
                return Err(ApiError::new(
                    400,
                    10057,
                    format!("inherit binding '{name}' is invalid: there is none to inherit"),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes the values of secrets out of `metadata`.
fn take_secrets(metadata: &mut Value) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for binding in metadata["bindings"].as_array_mut().into_iter().flatten() {
        if binding["type"] == "secret_text" {
            let text = binding.as_object_mut().and_then(|binding| binding.remove("text"));
            let name = binding["name"].as_str().unwrap_or_default().to_string();
            values.extend(text.as_ref().and_then(Value::as_str).map(|text| (name, text.to_string())));
        }
    }
    values
}

/// Sets secrets of a Worker, or takes away those without a value.
pub(super) fn set_secrets(row: &mut ScriptRow, changes: &BTreeMap<String, Option<String>>) -> Result<(), ApiError> {
    let bindings = row.metadata["bindings"].as_array_mut().ok_or_else(|| ApiError::internal("no bindings"))?;
    for (name, value) in changes {
        let other = bindings.iter().any(|binding| binding["name"] == **name && binding["type"] != "secret_text");
        if other {
            return Err(ApiError::new(400, 10053, format!("Binding name '{name}' already in use.")));
        }
        bindings.retain(|binding| binding["name"] != **name);
        row.secrets.remove(name);
        if let Some(value) = value {
            bindings.push(json!({ "type": "secret_text", "name": name }));
            row.secrets.insert(name.clone(), value.clone());
        }
    }
    row.modified_ms = now_ms();
    Ok(())
}

/// The names of the secrets in `metadata`.
fn secret_names(metadata: &Value) -> impl Iterator<Item = String> + '_ {
    let bindings = metadata["bindings"].as_array().into_iter().flatten();
    bindings
        .filter(|binding| binding["type"] == "secret_text")
        .filter_map(|binding| Some(binding["name"].as_str()?.into()))
}

/// The secrets of the version before that stay, which are then bound: those that are bound again without a value, and all of them if
/// `keep_bindings` says so.
fn kept_secrets(metadata: &mut Value, old: Option<&ScriptRow>) -> BTreeMap<String, String> {
    let all = metadata["keep_bindings"].as_array().into_iter().flatten().any(|kind| kind == "secret_text");
    let bound: Vec<String> = secret_names(metadata).collect();
    let kept = old.into_iter().flat_map(|row| &row.secrets).filter(|(name, _)| all || bound.contains(name));
    let kept: BTreeMap<String, String> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(bindings) = metadata["bindings"].as_array_mut() {
        let missing = kept.keys().filter(|name| !bound.contains(name));
        bindings.extend(missing.map(|name| json!({ "type": "secret_text", "name": name })));
    }
    kept
}

/// The classes of its own that an upload binds.
fn own_classes(metadata: &Value) -> Vec<&str> {
    let bindings = metadata["bindings"].as_array().into_iter().flatten();
    let own =
        bindings.filter(|binding| binding["type"] == "durable_object_namespace" && binding["script_name"].is_null());
    own.filter_map(|binding| binding["class_name"].as_str()).collect()
}

/// What exists once a version of the script `name` serves.
fn after(tables: &Tables, name: &str, row: ScriptRow, reconciled: &exports::Reconciled) -> Tables {
    let mut next = tables.clone();
    let hosted: Vec<String> = row.classes.keys().cloned().collect();
    next.scripts.insert(name.into(), row);
    for row in next.scripts.values_mut() {
        // A class with the name of one that moved away is another one.
        let is_over = |change: &ClassChange| match change {
            ClassChange::TransferredFrom { class, script } => script == name && hosted.contains(class),
            _ => false,
        };
        row.changes.retain(|change| !is_over(change));
        row.received.retain(|class, _| row.classes.contains_key(class));
    }
    follow(&mut next, name, &reconciled.renamed);
    reconciled.moves.iter().for_each(|moved| hand_over(&mut next, tables, moved));
    next
}

/// Moves a class, as `before` has it, to another script.
fn hand_over(tables: &mut Tables, before: &Tables, exports::Move { class, from, to }: &exports::Move) {
    let Some(own) = before.scripts.get(from).and_then(|row| row.classes.get(class)) else { return };
    if let Some(source) = tables.scripts.get_mut(from) {
        source.classes.remove(class);
        source.changes.retain(|change| change.subject() != class);
        source.changes.push(ClassChange::TransferredTo { class: class.clone(), script: to.clone() });
    }
    if let Some(target) = tables.scripts.get_mut(to) {
        target.classes.insert(class.clone(), own.clone());
        target.expecting.remove(class);
        target.received.insert(class.clone(), from.clone());
        target.changes.retain(|change| change.subject() != class);
        target.changes.push(ClassChange::TransferredFrom { class: class.clone(), script: from.clone() });
    }
    for (name, row) in &mut tables.scripts {
        for binding in bindings_to(&mut row.metadata, name, from).filter(|binding| binding["class_name"] == **class) {
            binding["script_name"] = to.clone().into();
        }
    }
}

/// The bindings of the script `name` that lead to classes of `host`.
fn bindings_to<'a>(metadata: &'a mut Value, name: &str, host: &str) -> impl Iterator<Item = &'a mut Value> {
    let all = metadata["bindings"].as_array_mut().into_iter().flatten();
    all.filter(move |binding| {
        let script = binding["script_name"].as_str().unwrap_or(name);
        binding["type"] == "durable_object_namespace" && script == host
    })
}

/// Lets the bindings of other scripts follow the classes of `host` that have another name now: what is bound is the namespace, and
/// that stays.
fn follow(tables: &mut Tables, host: &str, renamed: &BTreeMap<String, String>) {
    for (name, row) in tables.scripts.iter_mut().filter(|(name, _)| *name != host) {
        for binding in bindings_to(&mut row.metadata, name, host) {
            let to = binding["class_name"].as_str().and_then(|class| renamed.get(class)).cloned();
            if let Some(to) = to {
                binding["class_name"] = to.into();
            }
        }
    }
}

/// The scripts besides `host` that are bound to its class.
pub(super) fn users_of(tables: &Tables, host: &str, class: &str) -> Vec<String> {
    let binds = |row: &ScriptRow| {
        row.metadata["bindings"].as_array().into_iter().flatten().any(|binding| {
            binding["type"] == "durable_object_namespace"
                && binding["script_name"] == host
                && binding["class_name"] == class
        })
    };
    let users = tables.scripts.iter().filter(|(name, row)| *name != host && binds(row));
    users.map(|(name, _)| name.clone()).collect()
}

/// Checks that every binding leads to something that exists.
fn check_bindings(shared: &Shared, tables: &Tables, script: &str, row: &ScriptRow) -> Result<(), ApiError> {
    for binding in row.metadata["bindings"].as_array().into_iter().flatten() {
        let text = |key: &str| binding[key].as_str().unwrap_or_default();
        let name = text("name");
        let sees = |kind: &str, own: Option<&Named>| own.is_some_and(|own| shared.sees(kind, own.created_ms));
        let invalid = |code, what: String| Err(ApiError::new(400, code, format!("binding {name} {what}")));
        match text("type") {
            "d1" => {
                let id = if text("id").is_empty() { text("database_id") } else { text("id") };
                if !sees("d1", tables.databases.get(id)) {
                    return invalid(
                        10181,
                        format!("of type d1 must have a valid `id` specified; there is no database `{id}`"),
                    );
                }
            }
            "kv_namespace" if !sees("kv", tables.namespaces.get(text("namespace_id"))) => {
                return invalid(
                    10041,
                    format!("refers to the KV namespace `{}`, which was not found", text("namespace_id")),
                );
            }
            "r2_bucket" if !sees("r2", tables.buckets.get(text("bucket_name"))) => {
                return invalid(
                    10085,
                    format!("refers to the R2 bucket `{}`, which was not found", text("bucket_name")),
                );
            }
            "queue" if !sees("queue", tables.queues.values().find(|own| own.name == text("queue_name"))) => {
                return invalid(11000, format!("refers to the queue `{}`, which was not found", text("queue_name")));
            }
            "service" if text("service") != script && !tables.scripts.contains_key(text("service")) => {
                return invalid(10143, format!("refers to the Worker `{}`, which was not found", text("service")));
            }
            "durable_object_namespace" => {
                let host = if text("script_name").is_empty() { script } else { text("script_name") };
                let other = tables.scripts.get(host).map(|other| &other.classes);
                let classes = if host == script { Some(&row.classes) } else { other };
                if classes.is_none_or(|classes| !classes.contains_key(text("class_name"))) {
                    let what = format!(
                        "refers to the class `{}` of the Worker `{host}`, which does not exist",
                        text("class_name")
                    );
                    return invalid(10061, what);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The script as the edge runs it.
pub(super) fn script(data: &Path, tables: &Tables, name: &str, row: &ScriptRow) -> Result<Script, ApiError> {
    let metadata = &row.metadata;
    let invalid = |what: String| ApiError::new(400, 10021, what);
    let mut bindings = Vec::new();
    for binding in metadata["bindings"].as_array().into_iter().flatten() {
        bindings.push(read_binding(binding).map_err(invalid)?);
    }
    let mut modules = Vec::new();
    for (module, kind) in &row.modules {
        let kind = match kind.as_str() {
            "application/javascript+module" => ModuleKind::EsModule,
            "application/wasm" => ModuleKind::Wasm,
            "text/plain" => ModuleKind::Text,
            "application/octet-stream" => ModuleKind::Data,
            // For people and debuggers only.
            "application/source-map" => continue,
            other => {
                return Err(invalid(format!(
                    "the module `{module}` has the type `{other}`, which this edge does not run"
                )));
            }
        };
        modules.push(Module { name: module.clone(), kind });
    }
    let storage = |sqlite| if sqlite { ClassStorage::Sqlite } else { ClassStorage::LegacyKv };
    let objects = row.classes.iter().map(|(class, own)| Object {
        class: class.clone(),
        handlers: Vec::new(),
        methods: Vec::new(),
        isolated: false,
        storage: storage(own.sqlite),
    });
    let flags = metadata["compatibility_flags"].as_array().into_iter().flatten();
    let consumers = tables.consumers.iter().filter(|(_, own)| own.script == name);
    let text = |key: &str| metadata[key].as_str().unwrap_or_default().to_string();
    let manifest = Manifest {
        schema: MANIFEST_SCHEMA,
        worker: WorkerClass { class: "default".into(), script: name.into(), handlers: Vec::new(), methods: Vec::new() },
        compatibility_date: text("compatibility_date"),
        compatibility_flags: flags.filter_map(|flag| flag.as_str().map(Into::into)).collect(),
        main_module: text("main_module"),
        modules,
        entrypoints: Vec::new(),
        objects: objects.collect(),
        bindings,
        crons: row.crons.clone(),
        consumers: consumers.map(|(queue, own)| consumers::consumer(tables, queue, own)).collect::<Result<_, _>>()?,
        class_changes: row.changes.clone(),
        migrations: Vec::new(),
        contracts: Contracts::default(),
        hosting: realgar_wire::Hosting::default(),
    };
    Ok(Script { folder: tables::modules(data, name, &row.version), manifest, values: row.secrets.clone() })
}

fn read_binding(binding: &Value) -> Result<Binding, String> {
    let text = |key: &str| binding[key].as_str().map(str::to_string);
    let name = text("name").ok_or("a binding has no `name`")?;
    let need = |key: &str| text(key).ok_or_else(|| format!("the binding `{name}` has no `{key}`"));
    let kind = match need("type")?.as_str() {
        "plain_text" => BindingKind::PlainText { default: Some(need("text")?) },
        "json" => BindingKind::Json { default: Some(binding["json"].to_string()) },
        "secret_text" => BindingKind::SecretText {},
        "d1" => BindingKind::D1 { database: need("id").or_else(|_| need("database_id"))?, migrations: None },
        "kv_namespace" => BindingKind::KvNamespace { namespace: need("namespace_id")? },
        "r2_bucket" => BindingKind::R2Bucket { bucket: need("bucket_name")? },
        "queue" => BindingKind::Queue { queue: need("queue_name")? },
        "durable_object_namespace" => {
            BindingKind::DurableObjectNamespace { class: need("class_name")?, script: text("script_name") }
        }
        "service" => BindingKind::Service { service: need("service")?, entrypoint: text("entrypoint") },
        "analytics_engine" => BindingKind::AnalyticsEngine { dataset: need("dataset")? },
        "version_metadata" => BindingKind::VersionMetadata {},
        "assets" => BindingKind::Assets { directory: ASSETS.into() },
        "ratelimit" => {
            let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
            let namespace =
                need("namespace_id")?.parse().map_err(|_| format!("the binding `{name}`: `namespace_id`"))?;
            let simple = |key: &str| {
                number(&binding["simple"][key]).ok_or_else(|| format!("the binding `{name}` has no `{key}`"))
            };
            BindingKind::Ratelimit { namespace, limit: simple("limit")?, period: simple("period")? }
        }
        other => {
            return Err(format!("the binding `{name}` is of the type `{other}`, which this edge does not have yet"));
        }
    };
    Ok(Binding { name, kind })
}

/// The refusal of an upload that does not start.
pub(super) fn refusal(error: &EdgeError) -> ApiError {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    ApiError::new(400, 10021, message)
}

fn delete(shared: &Shared, name: &str, asked: &Asked) -> Answer {
    let mut state = shared.state();
    let mut tables = state.tables.clone();
    let row = tables.scripts.remove(name).ok_or_else(|| no_script(name))?;
    let forced = asked.query.get("force").is_some_and(|force| force == "true");
    let users = row.classes.keys().flat_map(|class| users_of(&state.tables, name, class));
    let callers = tables.scripts.iter().filter(|(_, other)| {
        other.metadata["bindings"].as_array().into_iter().flatten().any(|binding| binding["service"] == name)
    });
    let users: Vec<String> = users.chain(callers.map(|(caller, _)| caller.clone())).collect();
    if let Some(user) = users.first() {
        let message = format!("the Worker `{name}` is still referenced by bindings of the Worker `{user}`");
        return Err(ApiError::new(400, 10064, message));
    }
    if let Some((queue, _)) = tables.consumers.iter().find(|(_, own)| own.script == name && !forced) {
        let message = format!("the Worker `{name}` is still in use as a consumer for the queue {queue}");
        return Err(ApiError::new(400, 10064, message));
    }
    if !forced && !row.classes.is_empty() {
        let message =
            format!("the Worker `{name}` has Durable Object classes; they are deleted with `?force=true` only");
        return Err(ApiError::new(400, 10064, message));
    }
    tables.consumers.retain(|_, own| own.script != name);
    state.run(&shared.data, tables)?;
    let folder = shared.data.join("uploads").join(name);
    private::remove_folder(&folder).map_err(ApiError::internal)?;
    Ok(Reply::One(Value::Null))
}

/// Whether the Worker has an address below `workers.dev`. Here it always answers on its own port; this says whether it is printed.
fn subdomain(shared: &Shared, path: &str, name: &str, asked: &Asked) -> Answer {
    let mut state = shared.state();
    let mut tables = state.tables.clone();
    let row = row_mut(&mut tables, name)?;
    let enabled = match asked.method {
        Method::GET => None,
        Method::POST => {
            Some(asked.json()?["enabled"].as_bool().ok_or_else(|| ApiError::bad_body("`enabled` is required"))?)
        }
        Method::DELETE => Some(false),
        _ => return Err(ApiError::no_route(path)),
    };
    if let Some(enabled) = enabled {
        row.subdomain = enabled;
        state.keep(&shared.data, tables)?;
    }
    let enabled = self::row(&state.tables, name)?.subdomain;
    let url = state.url(name).filter(|_| enabled);
    Ok(Reply::One(json!({ "enabled": enabled, "previews_enabled": false, "url": url })))
}

fn schedules(shared: &Shared, path: &str, name: &str, asked: &Asked) -> Answer {
    let mut state = shared.state();
    let mut tables = state.tables.clone();
    let row = row_mut(&mut tables, name)?;
    match asked.method {
        Method::GET => {}
        Method::PUT => {
            let body = asked.json()?;
            let entries = body.as_array().ok_or_else(|| ApiError::bad_body("the body has to be a list of `{cron}`"))?;
            let crons = entries.iter().map(|entry| entry["cron"].as_str().map(str::to_string));
            row.crons = crons.collect::<Option<_>>().ok_or_else(|| ApiError::bad_body("each entry needs a `cron`"))?;
            row.modified_ms = now_ms();
            state.run(&shared.data, tables)?;
        }
        _ => return Err(ApiError::no_route(path)),
    }
    let row = self::row(&state.tables, name)?;
    let (created, modified) = (time(row.created_ms), time(row.modified_ms));
    let describe = |cron: &String| json!({ "cron": cron, "created_on": created, "modified_on": modified });
    Ok(Reply::One(json!({ "schedules": row.crons.iter().map(describe).collect::<Vec<_>>() })))
}
