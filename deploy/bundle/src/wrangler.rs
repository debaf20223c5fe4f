//! `wrangler.toml` beside the bundle, for those who deploy with wrangler.

use crate::cargo::Package;
use realgar_wire::{BindingKind, Manifest};
use std::fmt::Write;

const TEMPLATE: &str = include_str!("../../../wrangler.toml.tmpl");

/// Fills the template. Every `{{name}}` in it is one of the names below.
pub(crate) fn render(manifest: &Manifest, package: &Package) -> String {
    let values = [
        ("{{name}}", text(&manifest.worker.script)),
        ("{{main}}", text(&manifest.main_module)),
        ("{{compatibility_date}}", text(&manifest.compatibility_date)),
        ("{{build_command}}", text(&format!("realgar build \"{}\"", package.folder.display()))),
        ("{{bindings}}", bindings(manifest)),
        ("{{migrations}}", migrations(manifest)),
    ];
    let filled = values.iter().fold(TEMPLATE.to_string(), |template, (name, value)| template.replace(name, value));
    format!("{}\n", filled.trim_end())
}

fn bindings(manifest: &Manifest) -> String {
    let mut toml = String::new();
    for binding in &manifest.bindings {
        let name = text(&binding.name);
        let _ = match &binding.kind {
            BindingKind::D1 { database } => {
                writeln!(toml, "[[d1_databases]]\nbinding = {name}\ndatabase_name = {}\n", text(database))
            }
            BindingKind::DurableObjectNamespace { class, script } => {
                let class = text(class);
                let script = script.as_ref().map(|script| format!("script_name = {}\n", text(script)));
                let script = script.unwrap_or_default();
                writeln!(toml, "[[durable_objects.bindings]]\nname = {name}\nclass_name = {class}\n{script}")
            }
            BindingKind::Service { service } => {
                writeln!(toml, "[[services]]\nbinding = {name}\nservice = {}\n", text(service))
            }
        };
    }
    toml.trim_end().into()
}

fn migrations(manifest: &Manifest) -> String {
    if manifest.objects.is_empty() {
        return String::new();
    }
    let classes: Vec<String> = manifest.objects.iter().map(|object| text(&object.class)).collect();
    format!("[[migrations]]\ntag = \"v1\"\nnew_sqlite_classes = [{}]", classes.join(", "))
}

/// A TOML string.
fn text(value: &str) -> String {
    toml::Value::from(value).to_string()
}
