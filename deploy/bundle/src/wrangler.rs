//! Writes the `wrangler.toml` beside the bundle, for users who deploy with wrangler.

use crate::{BuildOptions, Builder, Profile, cargo::Package};
use realgar_wire::{
    Binding, BindingKind, ClassChange, Consumer, Manifest, MigrationStep, RenamedClass, TransferredClass,
};
use std::{collections::BTreeMap, fmt::Write};

const TEMPLATE: &str = include_str!("wrangler.toml.tmpl");

/// Fills the template. Every `{{name}}` in it is one of the names below.
pub(crate) fn render(manifest: &Manifest, package: &Package, options: &BuildOptions) -> String {
    let values = [
        ("{{name}}", text(&manifest.worker.script)),
        ("{{main}}", text(&manifest.main_module)),
        ("{{compatibility_date}}", text(&manifest.compatibility_date)),
        ("{{compatibility_flags}}", list(&manifest.compatibility_flags)),
        ("{{build_command}}", text(&build_command(package, options))),
        ("{{bindings}}", bindings(manifest)),
        ("{{classes}}", classes(manifest)),
    ];
    let filled = values.iter().fold(TEMPLATE.to_string(), |template, (name, value)| template.replace(name, value));
    format!("{}\n", filled.trim_end())
}

fn bindings(manifest: &Manifest) -> String {
    let mut toml = String::new();
    // The variables are collected in a table, because all of them share the section `[vars]`.
    let (mut vars, mut sections) = (toml::Table::new(), Vec::new());
    for binding in &manifest.bindings {
        section(binding, &mut vars, &mut sections);
    }
    for consumer in &manifest.consumers {
        sections.push(format!("[[queues.consumers]]\n{}", consumer_keys(consumer)));
    }
    if !manifest.crons.is_empty() {
        sections.push(format!("[triggers]\ncrons = {}\n", list(&manifest.crons)));
    }
    if !vars.is_empty() {
        // Tables are written inline. With a header of their own they would lie outside of the section.
        sections.push(format!("[vars]\n{}", keys(&vars)));
    }
    for section in sections {
        let _ = writeln!(toml, "{section}");
    }
    toml.trim_end().into()
}

/// The section of wrangler's configuration for one binding.
fn section(binding: &Binding, vars: &mut toml::Table, sections: &mut Vec<String>) {
    let name = text(&binding.name);
    let (header, keys) = match &binding.kind {
        BindingKind::D1 { database, migrations } => {
            let migrations = migrations.as_ref().map(|folder| format!("migrations_dir = {}\n", text(folder)));
            let keys = format!("database_name = {}\n{}", text(database), migrations.unwrap_or_default());
            ("[[d1_databases]]\nbinding", keys)
        }
        BindingKind::DurableObjectNamespace { class, script } => {
            let script = script.as_ref().map(|script| format!("script_name = {}\n", text(script)));
            let keys = format!("class_name = {}\n{}", text(class), script.unwrap_or_default());
            ("[[durable_objects.bindings]]\nname", keys)
        }
        BindingKind::Service { service, entrypoint } => {
            let entrypoint = entrypoint.as_ref().map(|class| format!("entrypoint = {}\n", text(class)));
            ("[[services]]\nbinding", format!("service = {}\n{}", text(service), entrypoint.unwrap_or_default()))
        }
        BindingKind::KvNamespace { .. } => ("[[kv_namespaces]]\nbinding", String::new()),
        BindingKind::R2Bucket { bucket } => ("[[r2_buckets]]\nbinding", format!("bucket_name = {}\n", text(bucket))),
        BindingKind::Queue { queue } => ("[[queues.producers]]\nbinding", format!("queue = {}\n", text(queue))),
        BindingKind::SecretsStoreSecret { store, secret } => {
            let keys = format!("store_id = {}\nsecret_name = {}\n", text(store), text(secret));
            ("[[secrets_store_secrets]]\nbinding", keys)
        }
        BindingKind::Assets { directory } => {
            return sections.push(format!("[assets]\ndirectory = {}\nbinding = {name}\n", text(directory)));
        }
        BindingKind::Ratelimit { namespace, limit, period } => {
            let simple = format!("simple = {{ limit = {limit}, period = {period} }}\n");
            ("[[ratelimits]]\nname", format!("namespace_id = \"{namespace}\"\n{simple}"))
        }
        BindingKind::AnalyticsEngine { dataset } => {
            ("[[analytics_engine_datasets]]\nbinding", format!("dataset = {}\n", text(dataset)))
        }
        BindingKind::VersionMetadata {} => {
            return sections.push(format!("[version_metadata]\nbinding = {name}\n"));
        }
        BindingKind::PlainText { default } => {
            vars.extend(default.clone().map(|value| (binding.name.clone(), value.into())));
            return;
        }
        BindingKind::Json { default: Some(default) } => {
            match serde_json::from_str::<toml::Value>(default) {
                Ok(value) => drop(vars.insert(binding.name.clone(), value)),
                // TOML has no null.
                Err(_) => sections.push(format!(
                    "# The default of the variable {name} has no form in TOML: set it in the dashboard, or give it another one.\n"
                )),
            }
            return;
        }
        BindingKind::Json { default: None } => return,
        BindingKind::SecretText {} => {
            return sections.push(format!("# The secret {name}: `wrangler secret put {}`\n", binding.name));
        }
        BindingKind::Other { kind, properties } => return sections.push(other(&binding.name, kind, properties)),
    };
    sections.push(format!("{header} = {name}\n{keys}"));
}

/// The section for a binding of a type that the manifest has no variant for.
fn other(name: &str, kind: &str, properties: &BTreeMap<String, serde_json::Value>) -> String {
    let (section, key) = match kind {
        "ai" | "browser" => (format!("[{kind}]"), "binding"),
        "hyperdrive" | "vectorize" => (format!("[[{kind}]]"), "binding"),
        "workflow" => ("[[workflows]]".into(), "binding"),
        "send_email" => ("[[send_email]]".into(), "name"),
        _ => return format!("# `{name}` of type `{kind}` has no section that Realgar knows.\n"),
    };
    let Ok(mut table) = toml::Table::try_from(properties) else {
        return format!("# `{name}` of type `{kind}` has a property without a form in TOML.\n");
    };
    table.insert(key.into(), name.into());
    format!("{section}\n{}", keys(&table))
}

/// A line for each key of a table.
fn keys(table: &toml::Table) -> String {
    table.iter().map(|(key, value)| format!("{} = {value}\n", text(key))).collect()
}

fn consumer_keys(consumer: &Consumer) -> String {
    let Consumer {
        queue,
        max_batch_size,
        max_batch_timeout,
        max_retries,
        retry_delay,
        max_concurrency,
        dead_letter_queue,
    } = consumer;
    let mut keys = format!("queue = {}\n", text(queue));
    let numbers = [
        ("max_batch_size", max_batch_size.map(u32::from)),
        ("max_batch_timeout", max_batch_timeout.map(u32::from)),
        ("max_retries", max_retries.map(u32::from)),
        ("retry_delay", *retry_delay),
        ("max_concurrency", max_concurrency.map(u32::from)),
    ];
    for (key, number) in numbers.into_iter().filter_map(|(key, number)| Some((key, number?))) {
        let _ = writeln!(keys, "{key} = {number}");
    }
    if let Some(queue) = dead_letter_queue {
        let _ = writeln!(keys, "dead_letter_queue = {}", text(queue));
    }
    keys
}

/// The classes, and what became of old ones: as declarative `exports`, unless the Worker has migration tags. wrangler knows
/// `exports` since 4.107.
fn classes(manifest: &Manifest) -> String {
    if !manifest.migrations.is_empty() {
        return manifest.migrations.iter().map(migration).collect::<Vec<_>>().join("\n\n");
    }
    let from = |class: &str| {
        manifest.class_changes.iter().find_map(|change| match change {
            ClassChange::TransferredFrom { class: own, script } if own == class => Some(script),
            _ => None,
        })
    };
    let live = manifest.objects.iter().map(|object| {
        let storage = if object.storage.is_sqlite() { "sqlite" } else { "legacy-kv" };
        let expected = from(&object.class)
            .map(|script| format!("state = \"expecting-transfer\"\ntransfer_from = {}\n", text(script)));
        export(&object.class, &format!("{}storage = \"{storage}\"", expected.unwrap_or_default()))
    });
    let gone = manifest.class_changes.iter().filter_map(|change| match change {
        ClassChange::Renamed { from, to } => {
            Some(export(from, &format!("state = \"renamed\"\nrenamed_to = {}", text(to))))
        }
        ClassChange::Deleted { class } => Some(export(class, "state = \"deleted\"")),
        ClassChange::TransferredTo { class, script } => {
            Some(export(class, &format!("state = \"transferred\"\ntransferred_to = {}", text(script))))
        }
        ClassChange::TransferredFrom { .. } => None,
    });
    live.chain(gone).collect::<Vec<_>>().join("\n\n")
}

/// One class of the declarative `exports`.
fn export(class: &str, keys: &str) -> String {
    format!("[exports.{}]\ntype = \"durable-object\"\n{keys}", text(class))
}

/// One step of a history with tags.
fn migration(step: &MigrationStep) -> String {
    let MigrationStep { tag, new_sqlite_classes, new_classes, renamed_classes, deleted_classes, transferred_classes } =
        step;
    let mut section = format!("[[migrations]]\ntag = {}", text(tag));
    let names = |key: &str, classes: &[String]| match classes {
        [] => String::new(),
        classes => format!("\n{key} = {}", list(classes)),
    };
    section += &names("new_sqlite_classes", new_sqlite_classes);
    section += &names("new_classes", new_classes);
    section += &names("deleted_classes", deleted_classes);
    for RenamedClass { from, to } in renamed_classes {
        let _ = write!(section, "\n[[migrations.renamed_classes]]\nfrom = {}\nto = {}", text(from), text(to));
    }
    for TransferredClass { from, from_script, to } in transferred_classes {
        let _ = write!(
            section,
            "\n[[migrations.transferred_classes]]\nfrom = {}\nfrom_script = {}\nto = {}",
            text(from),
            text(from_script),
            text(to)
        );
    }
    section
}

/// The command with which wrangler builds the crate before it uploads. The command names the package and no path. wrangler runs it
/// in the folder in which wrangler itself was started, and a path of this machine would be wrong on every other one.
fn build_command(package: &Package, options: &BuildOptions) -> String {
    let profile = if options.profile == Profile::Dev { " --dev" } else { "" };
    let builder = if options.builder == Builder::WorkerBuild { " --builder worker-build" } else { "" };
    format!("realgar build --package {}{profile}{builder}", package.name)
}

/// A TOML array of strings.
fn list(values: &[String]) -> String {
    toml::Value::from(values.to_vec()).to_string()
}

fn text(value: &str) -> String {
    toml::Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use realgar_wire::{Contracts, MANIFEST_SCHEMA, WorkerClass};

    fn manifest(bindings: Vec<Binding>) -> Manifest {
        let worker =
            WorkerClass { class: "Api".into(), script: "api".into(), handlers: Vec::new(), methods: Vec::new() };
        Manifest {
            schema: MANIFEST_SCHEMA,
            worker,
            compatibility_date: "2026-04-21".into(),
            compatibility_flags: Vec::new(),
            main_module: "index.js".into(),
            modules: Vec::new(),
            entrypoints: Vec::new(),
            objects: Vec::new(),
            bindings,
            crons: Vec::new(),
            consumers: Vec::new(),
            class_changes: Vec::new(),
            migrations: Vec::new(),
            contracts: Contracts::default(),
            hosting: realgar_wire::Hosting::default(),
        }
    }

    fn read(manifest: &Manifest) -> toml::Table {
        let written = bindings(manifest);
        written.parse().unwrap_or_else(|error| panic!("{error}\n{written}"))
    }

    fn binding(name: &str, kind: BindingKind) -> Binding {
        Binding { name: name.into(), kind }
    }

    #[test]
    fn a_variable_of_any_form_is_read_back_as_it_is() {
        let text = "a \"quoted\"\nline, ''' and \\";
        let json = |default: &str| BindingKind::Json { default: Some(default.into()) };
        let read = read(&manifest(vec![
            binding("TEXT", BindingKind::PlainText { default: Some(text.into()) }),
            binding("NESTED", json("{\"plan\":{\"limits\":[1,{\"of\":\"two\"}]},\"on\":true}")),
            binding("LIST", json("[{\"a\":1},{\"a\":2}]")),
            binding("AFTER", BindingKind::PlainText { default: Some("last".into()) }),
        ]));
        assert_eq!(read.keys().collect::<Vec<_>>(), ["vars"]);
        let vars = serde_json::to_value(&read["vars"]).unwrap();
        let expected = serde_json::json!({
            "TEXT": text, "NESTED": { "plan": { "limits": [1, { "of": "two" }] }, "on": true }, "LIST": [{ "a": 1 }, { "a": 2 }],
            "AFTER": "last",
        });
        assert_eq!(vars, expected);
    }

    #[test]
    fn a_variable_without_a_form_in_toml_is_told_and_leaves_the_others_alone() {
        let manifest = manifest(vec![
            binding("NULL", BindingKind::Json { default: Some("{\"a\":null}".into()) }),
            binding("KEPT", BindingKind::PlainText { default: Some("kept".into()) }),
        ]);
        assert!(bindings(&manifest).contains("# The default of the variable \"NULL\" has no form in TOML"));
        assert_eq!(read(&manifest)["vars"]["KEPT"].as_str(), Some("kept"));
    }

    #[test]
    fn the_properties_of_another_binding_may_be_composed_and_have_any_name() {
        let properties = [
            ("index_name".to_string(), serde_json::json!("docs \"1\"")),
            ("a.b c".into(), serde_json::json!({ "deep": [1, { "er": true }] })),
        ];
        let kind = BindingKind::Other { kind: "vectorize".into(), properties: properties.into() };
        let read = read(&manifest(vec![binding("DOCS", kind)]));
        let own = &read["vectorize"][0];
        assert_eq!(own["binding"].as_str(), Some("DOCS"));
        assert_eq!(own["index_name"].as_str(), Some("docs \"1\""));
        assert_eq!(own["a.b c"]["deep"][1]["er"].as_bool(), Some(true));
    }

    #[test]
    fn a_name_with_quotes_stays_inside_of_its_string() {
        let database = "x\"\n[evil]\ny = \"".to_string();
        let read =
            read(&manifest(vec![binding("DB", BindingKind::D1 { database: database.clone(), migrations: None })]));
        assert_eq!(read.keys().collect::<Vec<_>>(), ["d1_databases"]);
        assert_eq!(read["d1_databases"][0]["database_name"].as_str(), Some(database.as_str()));
    }
}
