//! workerd: its configuration, its process, and the copies of scripts that it runs.

mod bindings;
mod capnp;
pub(crate) mod hooks;
pub(crate) mod install;
pub(crate) mod process;
mod simulators;

use crate::{Script, namespaces::Namespaces};
use bindings::{binding, class, d1, namespace, service, unbound, with_props};
use capnp::{WorkerText, disk, list, quote, worker};
use hooks::Hooks;
use realgar_wire::{BindingKind, Consumer, Module, ModuleKind};
use simulators::{CLOCKS, D1_SIMULATOR, INTERNET, KV, OWN_DATE, QUEUES, shims};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
};

/// The service and socket of the administration Worker. No script can have this name.
pub(crate) const ADMIN: &str = "realgar:admin";
/// The disk services with the data of objects and databases. No script can have these names either.
const OBJECT_STORAGE: &str = "realgar:objects";
const D1_STORAGE: &str = "realgar:d1-storage";
const SIMULATOR_STORAGE: &str = "realgar:simulators";
const KV_BLOBS: &str = "realgar:kv-blobs";
/// The binding with which the administration Worker reaches all D1 databases.
const DATABASES: &str = "realgar:databases";
/// The compatibility flag with which a Worker can send events other than requests to a service.
const EVENTS_FLAG: &str = "service_binding_extra_handlers";
/// The folder, in the data folder, with the databases of objects.
pub(crate) const OBJECTS: &str = "objects";
/// The folder of the D1 databases.
pub(crate) const D1: &str = "d1";
/// The folder with the data of the other simulators.
pub(crate) const SIMULATORS: &str = "simulators";
/// The folder of the R2 buckets.
pub(crate) const R2: &str = "r2";
/// The folder of the values in KV.
pub(crate) const BLOBS: &str = "kv-blobs";

/// The compatibility flags that provide `AsyncLocalStorage`. The one that adds the least comes first.
const ALS_FLAGS: [&str; 2] = ["nodejs_als", "nodejs_compat"];

const FRONT_SOURCE: &str = include_str!("../js/front.js");
const ADMIN_SOURCE: &str = include_str!("../js/admin.js");
/// The purpose for which a workerd is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Serve,
    /// To see whether the scripts start. They get no sockets; the administration Worker always has one.
    Rehearse,
    /// To run migrations. Neither the scripts run, nor anything that would call them.
    Migrate,
}

/// The values from which workerd's configuration is rendered.
pub(crate) struct Config<'a> {
    pub(crate) scripts: &'a [Script],
    /// Which data belongs to which class.
    pub(crate) namespaces: &'a Namespaces,
    pub(crate) data: &'a Path,
    pub(crate) mode: Mode,
    /// The address of the R2 store.
    pub(crate) r2: &'a str,
    /// The secret that callers of the administration Worker and of the R2 store have to send.
    pub(crate) secret: &'a str,
    /// The server that answers the scripts' own requests to the outside, and the hosts that are let through. With `None`, all hosts
    /// are let through.
    pub(crate) outbound: Option<(SocketAddr, &'a BTreeMap<String, Option<String>>)>,
    /// The clock and the evictions that a test controls.
    pub(crate) hooks: Option<Hooks>,
    /// Whether each line of the log names the Worker and the object that wrote it. Not to be combined with `hooks`.
    pub(crate) labels: bool,
    /// Whether each request is reported.
    pub(crate) requests: bool,
    /// The KV namespaces that the administration Worker is bound to.
    pub(crate) reached: &'a BTreeSet<String>,
}

impl Config<'_> {
    pub(crate) fn render(&self) -> String {
        let mut services = self.outbound();
        services.extend([
            disk(D1_STORAGE, &self.data.join(D1)),
            self.simulator(&D1_SIMULATOR, D1_STORAGE, &[]),
            self.admin_service(),
        ]);
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
            services.extend(self.scripts.iter().map(|script| self.script_service(script)));
            services.extend(self.scripts.iter().filter_map(assets_service));
            if self.requests {
                services.extend(self.scripts.iter().map(requests_service));
            }
            services.extend(self.buckets());
        }
        let mut targets = vec![(ADMIN.to_string(), ADMIN.to_string())];
        if self.mode == Mode::Serve {
            targets.extend(self.scripts.iter().map(|script| (script.name().into(), self.front(script))));
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

    /// The administration Worker. It is bound to every class of every script, to evict objects; to every script, to send it events;
    /// and to every database, to run migrations.
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
            bindings.extend(self.reached.iter().map(|id| {
                with_props(&format!("kv:{id}"), "service", KV.service, &serde_json::json!({ "namespace": id }))
            }));
        }
        bindings.sort();
        bindings.dedup();
        bindings.push(namespace(DATABASES, D1_SIMULATOR.class, Some(D1_SIMULATOR.service)));
        bindings.push(bindings::text("SECRET", self.secret));
        worker(&WorkerText {
            name: ADMIN,
            modules: vec![format!("(name = \"admin.js\", esModule = {})", quote(ADMIN_SOURCE))],
            date: OWN_DATE,
            flags: &["unsafe_module".into(), EVENTS_FLAG.into()],
            bindings,
            classes: vec![],
            storage: OBJECT_STORAGE,
            outbound: INTERNET,
        })
    }

    /// The service behind a script's socket.
    fn front(&self, script: &Script) -> String {
        if self.requests { requests_name(script) } else { served(script) }
    }

    fn script_service(&self, script: &Script) -> String {
        let manifest = &script.manifest;
        let main = manifest.modules.iter().filter(|module| module.name == manifest.main_module);
        let others = manifest.modules.iter().filter(|module| module.name != manifest.main_module);
        let inline = |name: &str, source: &str| format!("(name = {}, esModule = {})", quote(name), quote(source));
        let own = main.chain(others).map(|module| module_text(&script.folder, module));
        // The first module is the one that workerd starts.
        let main_source = || hooks::main_source(manifest, self.hooks.is_some());
        let in_front = match self.hooks {
            Some(hooks) => vec![inline(hooks::MAIN, &main_source()), inline(hooks::HOOKS, &hooks.source())],
            None if self.labels => {
                let label = hooks::label_source(script.name());
                vec![inline(hooks::MAIN, &main_source()), inline(hooks::LABEL, &label)]
            }
            None => vec![],
        };
        let mut flags = manifest.compatibility_flags.clone();
        if self.labels && !flags.iter().any(|flag| ALS_FLAGS.contains(&flag.as_str())) {
            flags.push(ALS_FLAGS[0].into());
        }
        worker(&WorkerText {
            name: script.name(),
            modules: in_front.into_iter().chain(own).collect(),
            date: &manifest.compatibility_date,
            flags: &flags,
            bindings: manifest.bindings.iter().filter_map(|own| binding(script, own)).chain(unbound(script)).collect(),
            classes: manifest
                .objects
                .iter()
                .map(|object| class(&object.class, self.namespaces.key(script.name(), &object.class), object.storage))
                .collect(),
            storage: OBJECT_STORAGE,
            outbound: self.outbound_name(),
        })
    }
}

/// The bindings with which the administration Worker reaches a script, its classes and its queues.
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

/// The binding with which the administration Worker sets the clock of a script.
fn hook_target(script: &Script) -> String {
    let (name, service, class) = (quote(&format!("time:{}", script.name())), quote(script.name()), quote(hooks::CLOCK));
    format!("(name = {name}, service = (name = {service}, entrypoint = {class}))")
}

/// The service that serves the static files of a script. It stands in front of the script.
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

/// The service that answers requests to a script, static files included.
fn served(script: &Script) -> String {
    if assets(script).is_some() { assets_name(script) } else { script.name().into() }
}

fn requests_name(script: &Script) -> String {
    format!("realgar:requests:{}", script.name())
}

/// The service in front of a script that reports each request.
fn requests_service(script: &Script) -> String {
    worker(&WorkerText {
        name: &requests_name(script),
        modules: vec![format!("(name = \"front.js\", esModule = {})", quote(FRONT_SOURCE))],
        date: OWN_DATE,
        flags: &[],
        bindings: vec![service("TARGET", &served(script)), bindings::text("SCRIPT", script.name())],
        classes: vec![],
        storage: OBJECT_STORAGE,
        outbound: INTERNET,
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
