//! The configuration of workerd, as Cap'n Proto text.

use crate::{
    Script,
    hooks::{self, Hooks},
    r2,
};
use realgar_wire::{Binding, BindingKind, Consumer, Module, ModuleKind};
use std::{fmt::Write, path::Path};

/// The service and socket of the administration Worker. No script can have this name.
pub(crate) const ADMIN: &str = "realgar:admin";
/// The services with what objects and databases store. No script can have these names either.
const OBJECT_STORAGE: &str = "realgar:objects";
const D1_STORAGE: &str = "realgar:d1-storage";
const SIMULATOR_STORAGE: &str = "realgar:simulators";
const KV_BLOBS: &str = "realgar:kv-blobs";
/// With it a Worker can send other events than requests to a service.
const EVENTS_FLAG: &str = "service_binding_extra_handlers";
/// The folder of what objects store, in the data folder.
pub(crate) const OBJECTS: &str = "objects";
/// The folder of the D1 databases.
pub(crate) const D1: &str = "d1";
/// The folder of what the other simulators store.
pub(crate) const SIMULATORS: &str = "simulators";
/// The folder of the R2 buckets.
pub(crate) const R2: &str = "r2";
/// The folder of the values in KV.
pub(crate) const BLOBS: &str = "kv-blobs";

const ADMIN_SOURCE: &str = include_str!("admin.js");
const SHIMS_SOURCE: &str = include_str!("shims.js");

/// The date that the Workers of this crate are written for.
const OWN_DATE: &str = "2026-04-21";

/// A simulator that comes with workerd.
struct Simulator {
    service: &'static str,
    module: &'static str,
    /// The class that stores, and the binding it has.
    class: &'static str,
    binding: &'static str,
}

const D1_SIMULATOR: Simulator =
    Simulator { service: "realgar:d1", module: "d1.js", class: "D1Database", binding: "DATABASE" };
const KV: Simulator = Simulator { service: "realgar:kv", module: "kv.js", class: "KVNamespace", binding: "SHARD" };
const QUEUES: Simulator =
    Simulator { service: "realgar:queues", module: "queues.js", class: "QueueShard", binding: "SHARD" };
const CRON: Simulator =
    Simulator { service: "realgar:cron", module: "cron.js", class: "Schedule", binding: "SCHEDULE" };

/// The simulators whose clock a test can advance.
const CLOCKS: [&str; 3] = [KV.service, QUEUES.service, CRON.service];

/// What is none of workerd's: see `shims.js`.
const SHIMS: &str = "realgar:shims";

/// What a workerd is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Serve,
    /// To see whether the scripts start. They get no sockets; the administration Worker has one always.
    Rehearse,
    /// To run migrations: none of the scripts runs, nor what would call them.
    Migrate,
}

/// What a binding needs that is in no manifest: see [`crate::EdgeOptions`].
pub(crate) struct Config<'a> {
    pub(crate) scripts: &'a [Script],
    pub(crate) data: &'a Path,
    pub(crate) mode: Mode,
    /// Where the store of R2 listens.
    pub(crate) r2: &'a str,
    /// What a test puts in front of the scripts.
    pub(crate) hooks: Option<Hooks>,
}

impl Config<'_> {
    pub(crate) fn render(&self) -> String {
        let mut services = vec![
            disk(D1_STORAGE, &self.data.join(D1)),
            self.simulator(&D1_SIMULATOR, D1_STORAGE, &[]),
            self.admin_service(),
        ];
        if self.mode != Mode::Migrate {
            services.extend([
                disk(OBJECT_STORAGE, &self.data.join(OBJECTS)),
                disk(SIMULATOR_STORAGE, &self.data.join(SIMULATORS)),
                disk(KV_BLOBS, &self.data.join(BLOBS)),
                self.simulator(&KV, SIMULATOR_STORAGE, &[service("BLOBS", KV_BLOBS)]),
                self.queues(),
                self.cron(),
                shims(),
            ]);
            services.extend(self.scripts.iter().map(|script| script_service(script, self.hooks)));
            services.extend(self.scripts.iter().filter_map(assets_service));
            services.extend(self.buckets());
        }
        let mut targets = vec![(ADMIN.to_string(), ADMIN.to_string())];
        if self.mode == Mode::Serve {
            targets.extend(self.scripts.iter().map(|script| (script.name().into(), front(script))));
        }
        // The address is never used: the edge passes its own listening sockets, by name.
        let sockets = targets.iter().map(|(name, service)| {
            let (name, service) = (quote(name), quote(service));
            format!("(name = {name}, address = \"127.0.0.1:0\", http = (), service = {service})")
        });
        format!(
            "using Workerd = import \"/workerd/workerd.capnp\";\n\
             const config :Workerd.Config = (\n  logging = (structuredLogging = true),\n  services = {},\n  sockets = {});\n",
            list(services),
            list(sockets.collect())
        )
    }

    /// Every class of every script is bound, so that its objects can be evicted; every script, so that it can be sent events;
    /// and every database, so that migrations can run.
    fn admin_service(&self) -> String {
        let mut bindings = Vec::new();
        for binding in self.scripts.iter().flat_map(|script| &script.manifest.bindings) {
            if let BindingKind::D1 { database, .. } = &binding.kind {
                bindings.push(d1(&format!("d1:{database}"), database));
            }
        }
        if self.mode != Mode::Migrate {
            bindings.extend(self.scripts.iter().flat_map(script_targets));
            if self.hooks.is_some() {
                bindings.extend(self.scripts.iter().map(hook_target));
            }
            bindings.extend(CLOCKS.iter().map(|clock| service(&format!("clock:{clock}"), clock)));
        }
        bindings.sort();
        bindings.dedup();
        worker(&WorkerText {
            name: ADMIN,
            modules: vec![format!("(name = \"admin.js\", esModule = {})", quote(ADMIN_SOURCE))],
            date: OWN_DATE,
            flags: &["unsafe_module".into(), EVENTS_FLAG.into()],
            bindings,
            classes: vec![],
            storage: OBJECT_STORAGE,
        })
    }

    fn simulator(&self, simulator: &Simulator, storage: &str, more: &[String]) -> String {
        let Simulator { service, module, class: name, binding } = simulator;
        let mut bindings = vec![namespace(binding, name, None)];
        bindings.extend_from_slice(more);
        if self.hooks.is_some_and(|hooks| hooks.clock_ms.is_some()) && CLOCKS.contains(service) {
            bindings.push("(name = \"TEST_CLOCK\", json = \"true\")".into());
        }
        worker(&WorkerText {
            name: service,
            modules: vec![format!("(name = {}, bundled = {})", quote(module), quote(&format!("/workerd/{module}")))],
            date: OWN_DATE,
            flags: &[EVENTS_FLAG.into()],
            bindings,
            classes: vec![class(name, name)],
            storage,
        })
    }

    /// A service for each bucket: all lead to one store, which learns from a header which bucket is meant.
    fn buckets(&self) -> Vec<String> {
        let bindings = self.scripts.iter().flat_map(|script| &script.manifest.bindings);
        let mut buckets: Vec<&String> = bindings
            .filter_map(|binding| match &binding.kind {
                BindingKind::R2Bucket { bucket } => Some(bucket),
                _ => None,
            })
            .collect();
        buckets.sort();
        buckets.dedup();
        let service = |bucket: &String| {
            format!(
                "(name = {}, external = (address = {}, http = (injectRequestHeaders = [(name = {}, value = {})])))",
                quote(&bucket_name(bucket)),
                quote(self.r2),
                quote(r2::BUCKET_HEADER),
                quote(bucket)
            )
        };
        buckets.into_iter().map(service).collect()
    }

    fn queues(&self) -> String {
        let mut consumers = serde_json::Map::new();
        let mut bindings = Vec::new();
        for script in self.scripts {
            for consumer in &script.manifest.consumers {
                consumers.insert(consumer.queue.clone(), consumer_json(script.name(), consumer));
            }
            if !script.manifest.consumers.is_empty() {
                bindings.push(service(script.name(), script.name()));
            }
        }
        bindings.push(json("CONSUMERS", &consumers.into()));
        self.simulator(&QUEUES, SIMULATOR_STORAGE, &bindings)
    }

    fn cron(&self) -> String {
        let with = self.scripts.iter().filter(|script| !script.manifest.crons.is_empty());
        let mut bindings: Vec<String> = with.clone().map(|script| service(script.name(), script.name())).collect();
        let crons: serde_json::Map<String, serde_json::Value> =
            with.map(|script| (script.name().to_string(), script.manifest.crons.clone().into())).collect();
        bindings.push(json("CRONS", &crons.into()));
        self.simulator(&CRON, SIMULATOR_STORAGE, &bindings)
    }
}

/// What the administration Worker binds of a script.
fn script_targets(script: &Script) -> Vec<String> {
    let name = script.name();
    let mut bindings = vec![service(&format!("script:{name}"), name)];
    let objects = script.manifest.objects.iter();
    bindings.extend(objects.map(|object| namespace(&format!("{name}/{}", object.class), &object.class, Some(name))));
    let queue = |consumer: &Consumer| {
        let props = serde_json::json!({ "queue": consumer.queue });
        with_props(&format!("queue:{}", consumer.queue), "service", QUEUES.service, &props)
    };
    bindings.extend(script.manifest.consumers.iter().map(queue));
    bindings
}

/// What sets the clock of a script.
fn hook_target(script: &Script) -> String {
    let (name, service, class) = (quote(&format!("time:{}", script.name())), quote(script.name()), quote(hooks::CLOCK));
    format!("(name = {name}, service = (name = {service}, entrypoint = {class}))")
}

fn consumer_json(script: &str, consumer: &Consumer) -> serde_json::Value {
    let pairs = [
        ("consumer", Some(script.into())),
        ("maxBatchSize", consumer.max_batch_size.map(Into::into)),
        ("maxBatchTimeout", consumer.max_batch_timeout.map(Into::into)),
        ("maxRetries", consumer.max_retries.map(Into::into)),
        ("retryDelay", consumer.retry_delay.map(Into::into)),
        ("maxConcurrency", consumer.max_concurrency.map(Into::into)),
        ("deadLetterQueue", consumer.dead_letter_queue.clone().map(Into::into)),
    ];
    let set = pairs.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?)));
    serde_json::Value::Object(set.collect())
}

fn shims() -> String {
    worker(&WorkerText {
        name: SHIMS,
        modules: vec![format!("(name = \"shims.js\", esModule = {})", quote(SHIMS_SOURCE))],
        date: OWN_DATE,
        flags: &[],
        bindings: vec![],
        classes: vec![],
        storage: OBJECT_STORAGE,
    })
}

fn script_service(script: &Script, hooks: Option<Hooks>) -> String {
    let manifest = &script.manifest;
    let main = manifest.modules.iter().filter(|module| module.name == manifest.main_module);
    let others = manifest.modules.iter().filter(|module| module.name != manifest.main_module);
    let inline = |name: &str, source: &str| format!("(name = {}, esModule = {})", quote(name), quote(source));
    let own = main.chain(others).map(|module| module_text(&script.folder, module));
    // The first module is the one that workerd starts.
    let in_front =
        hooks.map(|hooks| [inline(hooks::MAIN, &hooks::main_source(manifest)), inline(hooks::HOOKS, &hooks.source())]);
    worker(&WorkerText {
        name: script.name(),
        modules: in_front.into_iter().flatten().chain(own).collect(),
        date: &manifest.compatibility_date,
        flags: &manifest.compatibility_flags,
        bindings: manifest.bindings.iter().filter_map(|own| binding(script, own)).chain(unbound(script)).collect(),
        classes: manifest
            .objects
            .iter()
            .map(|object| class(&object.class, &unique_key(script, &object.class)))
            .collect(),
        storage: OBJECT_STORAGE,
    })
}

/// What tells the objects of a class from all others, and is the name of the folder of what they store.
pub(crate) fn unique_key(script: &Script, class: &str) -> String {
    format!("{}-{class}", script.name())
}

/// The static files of a script, in front of it.
fn assets_service(script: &Script) -> Option<String> {
    let directory = assets(script)?;
    let path = script.folder.join(directory);
    Some(format!(
        "(name = {}, assets = (path = {}, userWorker = {}))",
        quote(&assets_name(script)),
        quote(&path.to_string_lossy()),
        quote(script.name())
    ))
}

fn assets(script: &Script) -> Option<&str> {
    script.manifest.bindings.iter().find_map(|binding| match &binding.kind {
        BindingKind::Assets { directory } => Some(directory.as_str()),
        _ => None,
    })
}

fn assets_name(script: &Script) -> String {
    format!("realgar:assets:{}", script.name())
}

/// The service that answers requests to a script.
fn front(script: &Script) -> String {
    if assets(script).is_some() { assets_name(script) } else { script.name().into() }
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

/// The values that nothing binds: a plain Worker binds no secrets, and finds them in its environment all the same.
fn unbound(script: &Script) -> impl Iterator<Item = String> {
    let bound = |name: &String| script.manifest.bindings.iter().any(|binding| binding.name == *name);
    script.values.iter().filter(move |(name, _)| !bound(name)).map(|(name, value)| text(name, value))
}

/// The binding as workerd knows it. `None` for what is not simulated.
fn binding(script: &Script, binding: &Binding) -> Option<String> {
    let name = &binding.name;
    Some(match &binding.kind {
        BindingKind::D1 { database, .. } => d1(name, database),
        BindingKind::Service { service: other, entrypoint: None } => service(name, other),
        BindingKind::Service { service, entrypoint: Some(class) } => {
            let (name, service, class) = (quote(name), quote(service), quote(class));
            format!("(name = {name}, service = (name = {service}, entrypoint = {class}))")
        }
        BindingKind::DurableObjectNamespace { class, script } => namespace(name, class, script.as_deref()),
        BindingKind::KvNamespace { namespace } => {
            with_props(name, "kvNamespace", KV.service, &serde_json::json!({ "namespace": namespace }))
        }
        BindingKind::Queue { queue } => {
            with_props(name, "queue", QUEUES.service, &serde_json::json!({ "queue": queue }))
        }
        BindingKind::PlainText { .. } | BindingKind::SecretText {} => text(name, script.value(name)?),
        BindingKind::Json { .. } => format!("(name = {}, json = {})", quote(name), quote(script.value(name)?)),
        BindingKind::SecretsStoreSecret { .. } => {
            shim(name, "service", "Secret", &serde_json::json!({ "value": script.value(name)? }))
        }
        BindingKind::Ratelimit { namespace, limit, period } => {
            let props = serde_json::json!({ "namespace": namespace, "limit": limit, "period": period });
            shim(name, "service", "RateLimit", &props)
        }
        BindingKind::AnalyticsEngine { dataset } => {
            shim(name, "analyticsEngine", "Analytics", &serde_json::json!({ "dataset": dataset }))
        }
        BindingKind::VersionMetadata {} => json(
            name,
            &serde_json::json!({ "id": "00000000-0000-0000-0000-000000000000", "tag": "", "timestamp": "1970-01-01T00:00:00.000Z" }),
        ),
        BindingKind::Assets { .. } => {
            let (name, service) = (quote(name), quote(&assets_name(script)));
            format!("(name = {name}, service = (name = {service}, entrypoint = \"AssetWorker\"))")
        }
        BindingKind::R2Bucket { bucket } => {
            format!("(name = {}, r2Bucket = {})", quote(name), quote(&bucket_name(bucket)))
        }
        BindingKind::Other { .. } => return None,
    })
}

fn bucket_name(bucket: &str) -> String {
    format!("realgar:r2:{bucket}")
}

fn service(name: &str, service: &str) -> String {
    format!("(name = {}, service = {})", quote(name), quote(service))
}

fn text(name: &str, value: &str) -> String {
    format!("(name = {}, text = {})", quote(name), quote(value))
}

fn json(name: &str, value: &serde_json::Value) -> String {
    format!("(name = {}, json = {})", quote(name), quote(&value.to_string()))
}

fn d1(name: &str, database: &str) -> String {
    let props = quote(&serde_json::json!({ "database": database }).to_string());
    format!(
        "(name = {}, wrapped = (moduleName = \"cloudflare-internal:d1-api\", innerBindings = [\
         (name = \"fetcher\", service = (name = {}, props = (json = {props})))]))",
        quote(name),
        quote(D1_SIMULATOR.service)
    )
}

/// A binding of type `kind` to a service that learns from `props` which resource is meant.
fn with_props(name: &str, kind: &str, service: &str, props: &serde_json::Value) -> String {
    let (name, service, props) = (quote(name), quote(service), quote(&props.to_string()));
    format!("(name = {name}, {kind} = (name = {service}, props = (json = {props})))")
}

fn shim(name: &str, kind: &str, entrypoint: &str, props: &serde_json::Value) -> String {
    let (name, service, props) = (quote(name), quote(SHIMS), quote(&props.to_string()));
    format!("(name = {name}, {kind} = (name = {service}, entrypoint = \"{entrypoint}\", props = (json = {props})))")
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
