//! The services that stand in for the platform: the simulators that come with workerd for D1, KV, queues and cron triggers, the
//! shims for small kinds of bindings, and the services for R2 and for requests to the outside.

use super::{
    Config, EVENTS_FLAG, OBJECT_STORAGE, SIMULATOR_STORAGE,
    bindings::{bucket_name, class, json, namespace, service},
    capnp::{WorkerText, quote, worker},
};
use crate::{SECRET_HEADER, r2};
use realgar_wire::{BindingKind, ClassStorage, Consumer};

const SHIMS_SOURCE: &str = include_str!("../js/shims.js");
const OUTBOUND_SOURCE: &str = include_str!("../js/outbound.js");

/// The compatibility date that the Workers of this crate are written for.
pub(super) const OWN_DATE: &str = "2026-04-21";

/// A simulator that comes with workerd.
pub(super) struct Simulator {
    pub(super) service: &'static str,
    module: &'static str,
    /// The Durable Object class that stores the data, and the name of the simulator's binding to it.
    pub(super) class: &'static str,
    binding: &'static str,
}

pub(super) const D1_SIMULATOR: Simulator =
    Simulator { service: "realgar:d1", module: "d1.js", class: "D1Database", binding: "DATABASE" };
pub(super) const KV: Simulator =
    Simulator { service: "realgar:kv", module: "kv.js", class: "KVNamespace", binding: "SHARD" };
pub(super) const QUEUES: Simulator =
    Simulator { service: "realgar:queues", module: "queues.js", class: "QueueShard", binding: "SHARD" };
pub(super) const CRON: Simulator =
    Simulator { service: "realgar:cron", module: "cron.js", class: "Schedule", binding: "SCHEDULE" };

/// The simulators whose clock a test can advance.
pub(super) const CLOCKS: [&str; 3] = [KV.service, QUEUES.service, CRON.service];

/// The service for kinds of bindings that workerd does not simulate: see `shims.js`.
pub(super) const SHIMS: &str = "realgar:shims";

/// The service that reaches the network.
pub(super) const INTERNET: &str = "realgar:internet";
/// The service that stands in front of the network in tests: see `outbound.js`.
const OUTBOUND: &str = "realgar:outbound";
/// The server of a test that answers outgoing requests.
const OUTBOUND_ANSWERS: &str = "realgar:outbound-answers";

impl Config<'_> {
    pub(super) fn simulator(&self, simulator: &Simulator, storage: &str, more: &[String]) -> String {
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
            classes: vec![class(name, name, ClassStorage::Sqlite)],
            storage,
            outbound: INTERNET,
        })
    }

    /// A service for each bucket. All of them lead to one store, which learns from a header which bucket is meant.
    pub(super) fn buckets(&self) -> Vec<String> {
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
                "(name = {}, external = (address = {}, http = (injectRequestHeaders = [(name = {}, value = {}), (name = {}, value = {})])))",
                quote(&bucket_name(bucket)),
                quote(self.r2),
                quote(r2::BUCKET_HEADER),
                quote(bucket),
                quote(SECRET_HEADER),
                quote(self.secret)
            )
        };
        buckets.into_iter().map(service).collect()
    }

    pub(super) fn queues(&self) -> String {
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

    pub(super) fn cron(&self) -> String {
        let with = self.scripts.iter().filter(|script| !script.manifest.crons.is_empty());
        let mut bindings: Vec<String> = with.clone().map(|script| service(script.name(), script.name())).collect();
        let crons: serde_json::Map<String, serde_json::Value> =
            with.map(|script| (script.name().to_string(), script.manifest.crons.clone().into())).collect();
        bindings.push(json("CRONS", &crons.into()));
        self.simulator(&CRON, SIMULATOR_STORAGE, &bindings)
    }

    /// The service that the scripts' `fetch` goes to, and the services that this one needs.
    pub(super) fn outbound(&self) -> Vec<String> {
        // On the platform a Worker reaches no private addresses. Here it may, because a developer's other services have no public
        // ones.
        let internet = format!(
            "(name = {}, network = (allow = [\"public\", \"private\"], tlsOptions = (trustBrowserCas = true)))",
            quote(INTERNET)
        );
        let Some((address, routes)) = self.outbound else { return vec![internet] };
        let answers = format!(
            "(name = {}, external = (address = {}, http = (style = proxy, injectRequestHeaders = [(name = {}, value = {})])))",
            quote(OUTBOUND_ANSWERS),
            quote(&address.to_string()),
            quote(SECRET_HEADER),
            quote(self.secret)
        );
        let router = worker(&WorkerText {
            name: OUTBOUND,
            modules: vec![format!("(name = \"outbound.js\", esModule = {})", quote(OUTBOUND_SOURCE))],
            date: OWN_DATE,
            flags: &[],
            bindings: vec![
                service("INTERNET", INTERNET),
                service("ANSWERS", OUTBOUND_ANSWERS),
                json("ROUTES", &serde_json::json!(routes)),
            ],
            classes: vec![],
            storage: OBJECT_STORAGE,
            outbound: INTERNET,
        });
        vec![internet, answers, router]
    }

    /// The name of the service that a script's `fetch` goes to.
    pub(super) fn outbound_name(&self) -> &'static str {
        if self.outbound.is_some() { OUTBOUND } else { INTERNET }
    }
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

pub(super) fn shims() -> String {
    worker(&WorkerText {
        name: SHIMS,
        modules: vec![format!("(name = \"shims.js\", esModule = {})", quote(SHIMS_SOURCE))],
        date: OWN_DATE,
        flags: &[],
        bindings: vec![],
        classes: vec![],
        storage: OBJECT_STORAGE,
        outbound: INTERNET,
    })
}
