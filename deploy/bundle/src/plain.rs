//! A folder with a plain JavaScript Worker and a `wrangler.toml`, as a bundle: so that it can run beside ours, bound to it.

use crate::{BuildError, Bundle, Progress, error::io, kind_of, node_tools, process};
use realgar_wire::{Binding, BindingKind, MANIFEST_SCHEMA, Manifest, Module, Object, WorkerClass};
use serde::Deserialize;
use std::{
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
    migrations: Vec<Migration>,
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
}

#[derive(Deserialize)]
struct Service {
    binding: String,
    service: String,
    entrypoint: Option<String>,
}

#[derive(Deserialize)]
struct Migration {
    #[serde(default)]
    new_sqlite_classes: Vec<String>,
}

/// Reads the Worker that `wrangler.toml` in `path` describes.
///
/// # Errors
/// When there is no such file, or it or a module cannot be read.
pub fn read_plain(path: &Path) -> Result<Bundle, BuildError> {
    let path = &path.canonicalize().map_err(io("find", path))?;
    let file = path.join("wrangler.toml");
    let bad = |reason: String| BuildError::Configuration { path: file.clone(), reason };
    let source = fs::read_to_string(&file).map_err(io("read", &file))?;
    let config: Wrangler = toml::from_str(&source).map_err(|error| bad(error.to_string()))?;
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
    let mut modules = Vec::new();
    collect(folder, folder, &mut modules)?;
    modules.sort_by(|a, b| a.name.cmp(&b.name));
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
            compatibility_date: config.compatibility_date,
            compatibility_flags: config.compatibility_flags,
            main_module: main_module.into(),
            modules,
            objects: config
                .migrations
                .iter()
                .flat_map(|step| &step.new_sqlite_classes)
                .map(|class| plain_object(class))
                .collect(),
            entrypoints: Vec::new(),
            crons: Vec::new(),
            consumers: Vec::new(),
            bindings: bindings(&config.name, config.durable_objects.bindings, config.d1_databases, config.services),
        },
    })
}

fn plain_object(class: &str) -> Object {
    Object { class: class.into(), handlers: Vec::new(), methods: Vec::new() }
}

fn bindings(own: &str, objects: Vec<DurableObject>, databases: Vec<D1>, services: Vec<Service>) -> Vec<Binding> {
    let objects = objects.into_iter().map(|object| Binding {
        name: object.name,
        kind: BindingKind::DurableObjectNamespace {
            class: object.class_name,
            script: object.script_name.filter(|script| script != own),
        },
    });
    let databases = databases.into_iter().map(|database| Binding {
        name: database.binding,
        kind: BindingKind::D1 { database: database.database_name, migrations: None },
    });
    let services = services.into_iter().map(|service| Binding {
        name: service.binding,
        kind: BindingKind::Service { service: service.service, entrypoint: service.entrypoint },
    });
    objects.chain(databases).chain(services).collect()
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
    let outcome = process::run(&mut command, "esbuild", &mut |progress| {
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

/// Every module in `folder` and below, except for what npm installed.
fn collect(root: &Path, folder: &Path, modules: &mut Vec<Module>) -> Result<(), BuildError> {
    for entry in fs::read_dir(folder).map_err(io("read", folder))? {
        let path = entry.map_err(io("read", folder))?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "node_modules") {
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
