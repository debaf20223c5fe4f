//! The configuration of workerd, as Cap'n Proto text.

use crate::Script;
use realgar_wire::{Binding, BindingKind, Module, ModuleKind};
use std::{fmt::Write, path::Path};

/// The service and socket of the administration Worker. No script can have this name.
pub(crate) const ADMIN: &str = "realgar:admin";
/// The services with what objects and databases store. No script can have these names either.
const OBJECT_STORAGE: &str = "realgar:objects";
const D1_STORAGE: &str = "realgar:d1-storage";
/// The folder of what objects store, in the data folder.
pub(crate) const OBJECTS: &str = "objects";
/// The folder of the D1 databases.
pub(crate) const D1: &str = "d1";

const ADMIN_SOURCE: &str = include_str!("admin.js");

/// The date that the Workers of this crate are written for.
const OWN_DATE: &str = "2026-04-21";

/// What to run.
pub(crate) struct Config<'a> {
    pub(crate) scripts: &'a [Script],
    pub(crate) data: &'a Path,
    /// Whether the scripts get sockets. The administration Worker has one always.
    pub(crate) sockets: bool,
}

impl Config<'_> {
    pub(crate) fn render(&self) -> String {
        let mut services = vec![
            disk(OBJECT_STORAGE, &self.data.join(OBJECTS)),
            disk(D1_STORAGE, &self.data.join(D1)),
            d1_service(),
            self.admin_service(),
        ];
        services.extend(self.scripts.iter().map(script_service));
        let mut names = vec![ADMIN];
        if self.sockets {
            names.extend(self.scripts.iter().map(Script::name));
        }
        // The address is never used: the edge passes its own listening sockets, by name.
        let sockets = names.iter().map(|name| {
            let name = quote(name);
            format!("(name = {name}, address = \"127.0.0.1:0\", http = (), service = {name})")
        });
        format!(
            "using Workerd = import \"/workerd/workerd.capnp\";\n\
             const config :Workerd.Config = (\n  logging = (structuredLogging = true),\n  services = {},\n  sockets = {});\n",
            list(services),
            list(sockets.collect())
        )
    }

    /// Every class of every script is bound, so that its objects can be evicted.
    fn admin_service(&self) -> String {
        let bindings = self.scripts.iter().flat_map(|script| {
            script.manifest.objects.iter().map(|object| {
                let name = format!("{}/{}", script.name(), object.class);
                namespace(&name, &object.class, Some(script.name()))
            })
        });
        worker(&WorkerText {
            name: ADMIN,
            modules: vec![format!("(name = \"admin.js\", esModule = {})", quote(ADMIN_SOURCE))],
            date: OWN_DATE,
            flags: &["unsafe_module".into()],
            bindings: bindings.collect(),
            classes: vec![],
            storage: OBJECT_STORAGE,
        })
    }
}

/// The D1 simulator that comes with workerd.
fn d1_service() -> String {
    worker(&WorkerText {
        name: "realgar:d1",
        modules: vec!["(name = \"d1.js\", bundled = \"/workerd/d1.js\")".into()],
        date: OWN_DATE,
        flags: &[],
        bindings: vec![namespace("DATABASE", "D1Database", None)],
        classes: vec![class("D1Database", "D1Database")],
        storage: D1_STORAGE,
    })
}

fn script_service(script: &Script) -> String {
    let manifest = &script.manifest;
    let main = manifest.modules.iter().filter(|module| module.name == manifest.main_module);
    let others = manifest.modules.iter().filter(|module| module.name != manifest.main_module);
    worker(&WorkerText {
        name: script.name(),
        // The first module is the one that workerd starts.
        modules: main.chain(others).map(|module| module_text(&script.folder, module)).collect(),
        date: &manifest.compatibility_date,
        flags: &manifest.compatibility_flags,
        bindings: manifest.bindings.iter().map(binding).collect(),
        classes: manifest
            .objects
            .iter()
            .map(|object| class(&object.class, &format!("{}-{}", script.name(), object.class)))
            .collect(),
        storage: OBJECT_STORAGE,
    })
}

fn module_text(folder: &Path, module: &Module) -> String {
    let kind = match module.kind {
        ModuleKind::EsModule => "esModule",
        ModuleKind::Wasm => "wasm",
        ModuleKind::Text => "text",
        ModuleKind::Data => "data",
    };
    let path = folder.join(&module.name);
    format!("(name = {}, {kind} = embed {})", quote(&module.name), quote(&path.to_string_lossy()))
}

fn binding(binding: &Binding) -> String {
    match &binding.kind {
        BindingKind::D1 { database } => {
            let props = quote(&format!("{{\"database\":{}}}", serde_json::Value::from(database.as_str())));
            format!(
                "(name = {}, wrapped = (moduleName = \"cloudflare-internal:d1-api\", innerBindings = [\
                 (name = \"fetcher\", service = (name = \"realgar:d1\", props = (json = {props})))]))",
                quote(&binding.name)
            )
        }
        BindingKind::Service { service } => format!("(name = {}, service = {})", quote(&binding.name), quote(service)),
        BindingKind::DurableObjectNamespace { class, script } => namespace(&binding.name, class, script.as_deref()),
    }
}

fn namespace(name: &str, class: &str, service: Option<&str>) -> String {
    let service = service.map(|service| format!(", serviceName = {}", quote(service))).unwrap_or_default();
    format!("(name = {}, durableObjectNamespace = (className = {}{service}))", quote(name), quote(class))
}

/// `key` decides which objects are the same: an id is a function of it and of the object's name.
fn class(name: &str, key: &str) -> String {
    format!("(className = {}, uniqueKey = {}, enableSql = true)", quote(name), quote(key))
}

struct WorkerText<'a> {
    name: &'a str,
    modules: Vec<String>,
    date: &'a str,
    flags: &'a [String],
    bindings: Vec<String>,
    classes: Vec<String>,
    storage: &'a str,
}

fn worker(text: &WorkerText<'_>) -> String {
    let mut worker = String::new();
    let _ = write!(
        worker,
        "(name = {}, worker = (modules = {}, compatibilityDate = {}, compatibilityFlags = {}, bindings = {}",
        quote(text.name),
        list(text.modules.clone()),
        quote(text.date),
        list(text.flags.iter().map(|flag| quote(flag)).collect()),
        list(text.bindings.clone()),
    );
    if !text.classes.is_empty() {
        let _ = write!(
            worker,
            ", durableObjectNamespaces = {}, durableObjectStorage = (localDisk = {})",
            list(text.classes.clone()),
            quote(text.storage)
        );
    }
    worker.push_str("))");
    worker
}

fn disk(name: &str, path: &Path) -> String {
    format!("(name = {}, disk = (path = {}, writable = true))", quote(name), quote(&path.to_string_lossy()))
}

fn list(items: Vec<String>) -> String {
    format!("[{}]", items.join(",\n    "))
}

/// A Cap'n Proto string.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            control if control.is_ascii_control() => {
                let _ = write!(quoted, "\\x{:02x}", control as u32);
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_survive_quoting() {
        assert_eq!(quote("a\"b\\c\nd\u{1}é"), "\"a\\\"b\\\\c\\nd\\x01é\"");
    }

    #[test]
    fn a_namespace_of_another_script_names_its_service() {
        assert_eq!(
            namespace("Counter", "Counter", Some("host")),
            r#"(name = "Counter", durableObjectNamespace = (className = "Counter", serviceName = "host"))"#
        );
    }
}
