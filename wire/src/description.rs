//! What a Worker says about itself in describe mode: the classes it exports and everything its init phase bound.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The self-description of one Worker program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The Worker that `export!` names.
    pub worker: WorkerClass,
    /// Its named entrypoints. A call refers to one by its index here, plus one.
    pub entrypoints: Vec<Entrypoint>,
    /// The Durable Object classes it hosts, in the order of `hosts(..)`. A call refers to a class by its index here.
    pub objects: Vec<Object>,
    /// What the init phases bound, each name once, in the order of first use.
    pub bindings: Vec<Binding>,
    /// The cron triggers that the Worker asks for.
    pub crons: Vec<String>,
    /// The queues whose messages it asks for.
    pub consumers: Vec<Consumer>,
    /// Which Rust types stand for the classes.
    pub interfaces: Interfaces,
}

/// The Rust types behind classes, by their full paths, which are the keys of [`crate::Interface`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interfaces {
    /// Of the Worker itself.
    pub worker: String,
    /// Of its entrypoints, in order.
    pub entrypoints: Vec<String>,
    /// By the class that is hosted.
    pub hosted: BTreeMap<String, String>,
    /// By the binding.
    pub bound: BTreeMap<String, String>,
}

impl Description {
    /// Adds `binding`, unless the very same one is there already.
    ///
    /// # Errors
    /// When another binding has that name: at run time one of the two would silently win.
    pub fn add_binding(&mut self, binding: Binding) -> Result<(), Box<BindingConflict>> {
        match self.bindings.iter().find(|other| other.name == binding.name) {
            None => self.bindings.push(binding),
            Some(other) if *other == binding => {}
            Some(other) => {
                return Err(Box::new(BindingConflict { first: other.clone(), second: binding }));
            }
        }
        Ok(())
    }
}

/// A queue whose messages a Worker works off. What is not set is the platform's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// The queue, by its logical name.
    pub queue: String,
    /// The most messages in a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_batch_size: Option<u8>,
    /// How many seconds a batch waits to become full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_batch_timeout: Option<u8>,
    /// How often a message is delivered again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u8>,
    /// How many seconds after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_delay: Option<u32>,
    /// How many batches are worked off at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u8>,
    /// The queue for messages that failed too often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_queue: Option<String>,
}

/// Two different resources bound under one name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the binding name `{}` is used for {}; rename one of the two resources", first.name, difference(first, second))]
pub struct BindingConflict {
    /// The one that was bound first.
    pub first: Binding,
    /// The one that collides with it.
    pub second: Binding,
}

/// The two kinds in words, and where these are the same, what is different.
fn difference(first: &Binding, second: &Binding) -> String {
    let (one, other) = (first.kind.to_string(), second.kind.to_string());
    if one != other {
        return format!("{one} and for {other}");
    }
    let properties = |kind| serde_json::to_value(kind).unwrap_or_default();
    let (mine, theirs) = (properties(&first.kind), properties(&second.kind));
    let keys = mine.as_object().into_iter().chain(theirs.as_object()).flat_map(|object| object.keys());
    let differing = keys.clone().find(|key| mine[key.as_str()] != theirs[key.as_str()]);
    match differing {
        Some(key) => format!("{one} twice, with `{key}` {} and {}", mine[key.as_str()], theirs[key.as_str()]),
        None => format!("{one} twice"),
    }
}

/// The Worker class of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerClass {
    /// The Rust name, which is also the name of the generated JavaScript class.
    pub class: String,
    /// The script name, as Cloudflare knows it.
    pub script: String,
    /// The event handlers it has besides `fetch` and its methods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handlers: Vec<String>,
    /// Its RPC methods, for Workers that are bound to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
}

/// A class of the script that other Workers can be bound to, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrypoint {
    /// The name of the exported JavaScript class.
    pub class: String,
    /// Its RPC methods.
    pub methods: Vec<Method>,
}

/// A Durable Object class that the program hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The class name, which is also the name of the exported JavaScript class.
    pub class: String,
    /// The event handlers it has besides its methods: `fetch`.
    pub handlers: Vec<String>,
    /// Its RPC methods. A call refers to a method by its index here.
    pub methods: Vec<Method>,
    /// Whether each object has a wasm instance of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub isolated: bool,
}

/// An RPC method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    /// The name on the wire: what a JavaScript caller writes.
    pub name: String,
    /// The parameters, in order.
    pub params: Vec<Parameter>,
    /// The Rust type of the result, as the source spells it.
    pub result: String,
}

/// A parameter of an RPC method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name in the source.
    pub name: String,
    /// Its Rust type, as the source spells it.
    #[serde(rename = "type")]
    pub ty: String,
}

/// Something of the platform that the program reaches through a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The name in the Worker's environment.
    pub name: String,
    /// What it is bound to.
    #[serde(flatten)]
    pub kind: BindingKind,
}

/// What a binding leads to. The tag is Cloudflare's own binding type. Names of resources are logical: a deployment maps them to
/// what it created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BindingKind {
    /// A D1 database.
    D1 {
        /// Its name.
        database: String,
        /// The folder with its migrations, relative to the manifest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        migrations: Option<String>,
    },
    /// A Durable Object namespace.
    DurableObjectNamespace {
        /// The class of its objects.
        class: String,
        /// The script that hosts the class; `None` for this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        script: Option<String>,
    },
    /// Another Worker.
    Service {
        /// Its script name.
        service: String,
        /// Which of its classes; the default one unless it is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entrypoint: Option<String>,
    },
    /// A KV namespace.
    KvNamespace {
        /// Its name.
        namespace: String,
    },
    /// An R2 bucket.
    R2Bucket {
        /// Its name.
        bucket: String,
    },
    /// A queue to send to.
    Queue {
        /// Its name.
        queue: String,
    },
    /// A variable.
    PlainText {
        /// What it is unless the deployment sets it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default: Option<String>,
    },
    /// Configuration in JSON.
    Json {
        /// What it is unless the deployment sets it, as JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default: Option<String>,
    },
    /// A secret of the Worker.
    SecretText {},
    /// A secret of the account.
    SecretsStoreSecret {
        /// The store.
        store: String,
        /// Its name there.
        secret: String,
    },
    /// Static files.
    Assets {
        /// Their folder, relative to the manifest.
        directory: String,
    },
    /// A rate limit.
    Ratelimit {
        /// What counts together.
        namespace: u32,
        /// How many calls.
        limit: u32,
        /// In how many seconds.
        period: u32,
    },
    /// A dataset of Analytics Engine.
    AnalyticsEngine {
        /// Its name.
        dataset: String,
    },
    /// What is known of the running version.
    VersionMetadata {},
    /// Any other type of Cloudflare's, as it is.
    #[serde(untagged)]
    Other {
        /// The type.
        #[serde(rename = "type")]
        kind: String,
        /// Its properties.
        #[serde(flatten)]
        properties: BTreeMap<String, serde_json::Value>,
    },
}

impl std::fmt::Display for BindingKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::D1 { database, .. } => write!(f, "the D1 database `{database}`"),
            Self::DurableObjectNamespace { class, script: None } => {
                write!(f, "the Durable Object class `{class}` of this Worker")
            }
            Self::DurableObjectNamespace { class, script: Some(script) } => {
                write!(f, "the Durable Object class `{class}` of the Worker `{script}`")
            }
            Self::Service { service, entrypoint: None } => write!(f, "the Worker `{service}`"),
            Self::Service { service, entrypoint: Some(class) } => {
                write!(f, "the entrypoint `{class}` of the Worker `{service}`")
            }
            Self::KvNamespace { namespace } => write!(f, "the KV namespace `{namespace}`"),
            Self::R2Bucket { bucket } => write!(f, "the R2 bucket `{bucket}`"),
            Self::Queue { queue } => write!(f, "the queue `{queue}`"),
            Self::PlainText { .. } => f.write_str("a variable"),
            Self::Json { .. } => f.write_str("a variable in JSON"),
            Self::SecretText {} => f.write_str("a secret"),
            Self::SecretsStoreSecret { store, secret } => write!(f, "the secret `{secret}` of the store `{store}`"),
            Self::Assets { directory } => write!(f, "the static files in `{directory}`"),
            Self::Ratelimit { namespace, limit, period } => {
                write!(f, "the rate limit {limit} in {period} s of the namespace {namespace}")
            }
            Self::AnalyticsEngine { dataset } => write!(f, "the analytics dataset `{dataset}`"),
            Self::VersionMetadata {} => f.write_str("the version metadata"),
            Self::Other { kind, .. } => write!(f, "a resource of type `{kind}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d1(name: &str, database: &str) -> Binding {
        Binding { name: name.into(), kind: BindingKind::D1 { database: database.into(), migrations: None } }
    }

    fn empty() -> Description {
        Description {
            worker: WorkerClass { class: "Api".into(), script: "api".into(), handlers: vec![], methods: vec![] },
            entrypoints: vec![],
            objects: vec![],
            bindings: vec![],
            crons: vec![],
            consumers: vec![],
            interfaces: Interfaces::default(),
        }
    }

    #[test]
    fn the_same_binding_twice_is_one_binding() {
        let mut description = empty();
        description.add_binding(d1("Events", "Events")).unwrap();
        description.add_binding(d1("Events", "Events")).unwrap();
        assert_eq!(description.bindings, [d1("Events", "Events")]);
    }

    #[test]
    fn two_resources_under_one_name_are_refused_with_both_named() {
        let mut description = empty();
        description.add_binding(d1("Events", "Events")).unwrap();
        let error = description.add_binding(d1("Events", "Other")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the binding name `Events` is used for the D1 database `Events` and for the D1 database `Other`; \
             rename one of the two resources"
        );
    }

    #[test]
    fn bindings_are_flat_json_with_cloudflares_type_names() {
        let binding = Binding {
            name: "Counter".into(),
            kind: BindingKind::DurableObjectNamespace { class: "Counter".into(), script: None },
        };
        let json = serde_json::to_string(&binding).unwrap();
        assert_eq!(json, r#"{"name":"Counter","type":"durable_object_namespace","class":"Counter"}"#);
        assert_eq!(serde_json::from_str::<Binding>(&json).unwrap(), binding);
    }

    #[test]
    fn a_type_that_is_not_known_stays_as_it_is() {
        let json = r#"{"name":"AI","type":"ai","gateway":"main"}"#;
        let binding: Binding = serde_json::from_str(json).unwrap();
        assert!(matches!(&binding.kind, BindingKind::Other { kind, .. } if kind == "ai"), "{binding:?}");
        assert_eq!(serde_json::to_string(&binding).unwrap(), json);
    }
}
