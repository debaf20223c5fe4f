//! The bindings of a Worker: the resources that a program reaches through names in its environment, and the properties of each
//! kind.
//!
//! `Serialize` and `Deserialize` are written by hand. With serde's `flatten` and `untagged`, a binding of a known kind with a
//! misspelled or missing property would be read as one of an unknown kind, and a deployment would pass over it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt};

/// A resource of the platform that the program reaches through a name.
///
/// In JSON, the name, the type and the properties stand side by side: `{"name":"EVENTS","type":"d1","database":"events"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The name in the Worker's environment.
    pub name: String,
    /// The resource behind the name.
    pub kind: BindingKind,
}

/// The resource behind a binding. The names of resources are logical: a deployment maps each to the resource that it created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindingKind {
    /// A D1 database.
    D1 {
        /// Its name.
        database: String,
        /// The folder with its migrations, relative to the manifest.
        migrations: Option<String>,
    },
    /// A Durable Object namespace.
    DurableObjectNamespace {
        /// The class of its objects.
        class: String,
        /// The script that hosts the class; `None` for the binding Worker's own script.
        script: Option<String>,
    },
    /// Another Worker.
    Service {
        /// Its script name.
        service: String,
        /// The named class of the script; `None` for its default export.
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
    /// A queue that the program sends messages to.
    Queue {
        /// Its name.
        queue: String,
    },
    /// A variable whose value is text.
    PlainText {
        /// Its value, unless the deployment sets another.
        default: Option<String>,
    },
    /// A variable whose value is JSON.
    Json {
        /// Its value as JSON text, unless the deployment sets another.
        default: Option<String>,
    },
    /// A secret of the Worker.
    SecretText {},
    /// A secret of the account, in a Secrets Store.
    SecretsStoreSecret {
        /// The name of the Secrets Store.
        store: String,
        /// The name of the secret in the store.
        secret: String,
    },
    /// Static files.
    Assets {
        /// Their folder, relative to the manifest.
        directory: String,
    },
    /// A rate limit.
    Ratelimit {
        /// The number of the rate limit's namespace. Limits with the same number count together.
        namespace: u32,
        /// The number of calls allowed in a period.
        limit: u32,
        /// The length of the period, in seconds.
        period: u32,
    },
    /// A dataset of Analytics Engine.
    AnalyticsEngine {
        /// Its name.
        dataset: String,
    },
    /// The id, tag and time of the running version.
    VersionMetadata {},
    /// A binding of any other Cloudflare type. Its properties are kept as they are.
    Other {
        /// The type.
        kind: String,
        /// Its properties.
        properties: BTreeMap<String, Value>,
    },
}

/// A script, or a class in it, that a binding leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The script; `None` for the binding Worker's own.
    pub script: Option<&'a str>,
    /// The Durable Object class.
    pub class: Option<&'a str>,
    /// The named entrypoint.
    pub entrypoint: Option<&'a str>,
}

impl BindingKind {
    /// Cloudflare's name for the kind.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::D1 { .. } => "d1",
            Self::DurableObjectNamespace { .. } => "durable_object_namespace",
            Self::Service { .. } => "service",
            Self::KvNamespace { .. } => "kv_namespace",
            Self::R2Bucket { .. } => "r2_bucket",
            Self::Queue { .. } => "queue",
            Self::PlainText { .. } => "plain_text",
            Self::Json { .. } => "json",
            Self::SecretText {} => "secret_text",
            Self::SecretsStoreSecret { .. } => "secrets_store_secret",
            Self::Assets { .. } => "assets",
            Self::Ratelimit { .. } => "ratelimit",
            Self::AnalyticsEngine { .. } => "analytics_engine",
            Self::VersionMetadata {} => "version_metadata",
            Self::Other { kind, .. } => kind,
        }
    }

    /// Whether the binding needs a value, from its default, from `.dev.vars`, or from a deployment.
    #[must_use]
    pub fn needs_value(&self) -> bool {
        matches!(
            self,
            Self::PlainText { .. } | Self::Json { .. } | Self::SecretText {} | Self::SecretsStoreSecret { .. }
        )
    }

    /// The default value that the program itself declares for the binding.
    #[must_use]
    pub fn default(&self) -> Option<&str> {
        match self {
            Self::PlainText { default } | Self::Json { default } => default.as_deref(),
            _ => None,
        }
    }

    /// The folder of files that belongs to the binding, relative to the manifest.
    #[must_use]
    pub fn folder(&self) -> Option<&str> {
        match self {
            Self::D1 { migrations, .. } => migrations.as_deref(),
            Self::Assets { directory } => Some(directory),
            _ => None,
        }
    }

    /// As [`BindingKind::folder`], but mutable, and with the path that the files get in a bundle.
    pub fn folder_mut(&mut self) -> Option<(&mut String, String)> {
        match self {
            Self::D1 { database, migrations: Some(folder) } => Some((folder, format!("migrations/{database}"))),
            Self::Assets { directory } => Some((directory, "assets".into())),
            _ => None,
        }
    }

    /// The script or class that the binding leads to, if it leads to one.
    #[must_use]
    pub fn target(&self) -> Option<Target<'_>> {
        match self {
            Self::DurableObjectNamespace { class, script } => {
                Some(Target { script: script.as_deref(), class: Some(class), entrypoint: None })
            }
            Self::Service { service, entrypoint } => {
                Some(Target { script: Some(service), class: None, entrypoint: entrypoint.as_deref() })
            }
            _ => None,
        }
    }

    /// All properties except the name and the type, under their names in JSON.
    fn properties(&self) -> Vec<(&str, Value)> {
        let some = |key: &'static str, value: &Option<String>| value.clone().map(|value| (key, Value::from(value)));
        match self {
            Self::D1 { database, migrations } => {
                [("database", database.clone().into())].into_iter().chain(some("migrations", migrations)).collect()
            }
            Self::DurableObjectNamespace { class, script } => {
                [("class", class.clone().into())].into_iter().chain(some("script", script)).collect()
            }
            Self::Service { service, entrypoint } => {
                [("service", service.clone().into())].into_iter().chain(some("entrypoint", entrypoint)).collect()
            }
            Self::KvNamespace { namespace } => vec![("namespace", namespace.clone().into())],
            Self::R2Bucket { bucket } => vec![("bucket", bucket.clone().into())],
            Self::Queue { queue } => vec![("queue", queue.clone().into())],
            Self::PlainText { default } | Self::Json { default } => some("default", default).into_iter().collect(),
            Self::SecretsStoreSecret { store, secret } => {
                vec![("store", store.clone().into()), ("secret", secret.clone().into())]
            }
            Self::Assets { directory } => vec![("directory", directory.clone().into())],
            Self::Ratelimit { namespace, limit, period } => {
                vec![("namespace", (*namespace).into()), ("limit", (*limit).into()), ("period", (*period).into())]
            }
            Self::AnalyticsEngine { dataset } => vec![("dataset", dataset.clone().into())],
            Self::SecretText {} | Self::VersionMetadata {} => Vec::new(),
            Self::Other { properties, .. } => {
                properties.iter().map(|(key, value)| (key.as_str(), value.clone())).collect()
            }
        }
    }

    /// Reads the properties of a binding of type `kind`.
    fn read(kind: String, mut fields: Fields) -> Result<Self, String> {
        let read = match kind.as_str() {
            "d1" => Self::D1 { database: fields.take("database")?, migrations: fields.optional("migrations")? },
            "durable_object_namespace" => {
                Self::DurableObjectNamespace { class: fields.take("class")?, script: fields.optional("script")? }
            }
            "service" => Self::Service { service: fields.take("service")?, entrypoint: fields.optional("entrypoint")? },
            "kv_namespace" => Self::KvNamespace { namespace: fields.take("namespace")? },
            "r2_bucket" => Self::R2Bucket { bucket: fields.take("bucket")? },
            "queue" => Self::Queue { queue: fields.take("queue")? },
            "plain_text" => Self::PlainText { default: fields.optional("default")? },
            "json" => Self::Json { default: fields.optional("default")? },
            "secret_text" => Self::SecretText {},
            "secrets_store_secret" => {
                Self::SecretsStoreSecret { store: fields.take("store")?, secret: fields.take("secret")? }
            }
            "assets" => Self::Assets { directory: fields.take("directory")? },
            "ratelimit" => Self::Ratelimit {
                namespace: fields.take("namespace")?,
                limit: fields.take("limit")?,
                period: fields.take("period")?,
            },
            "analytics_engine" => Self::AnalyticsEngine { dataset: fields.take("dataset")? },
            "version_metadata" => Self::VersionMetadata {},
            _ => return Ok(Self::Other { kind, properties: fields.0.into_iter().collect() }),
        };
        fields.end()?;
        Ok(read)
    }
}

/// The properties of a binding that have not been read yet.
struct Fields(Map<String, Value>);

impl Fields {
    fn take<T: DeserializeOwned>(&mut self, key: &str) -> Result<T, String> {
        self.optional(key)?.ok_or_else(|| format!("`{key}` is missing"))
    }

    fn optional<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, String> {
        let Some(value) = self.0.remove(key) else { return Ok(None) };
        serde_json::from_value(value).map(Some).map_err(|error| format!("`{key}`: {error}"))
    }

    fn end(self) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => Err(format!("`{key}` is no property of it")),
        }
    }
}

impl Serialize for Binding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = [("name", Value::from(self.name.clone())), ("type", self.kind.type_name().into())];
        serializer.collect_map(head.into_iter().chain(self.kind.properties()))
    }
}

impl<'de> Deserialize<'de> for Binding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Fields(Map::deserialize(deserializer)?);
        let name: String = fields.take("name").map_err(|problem| D::Error::custom(format!("a binding: {problem}")))?;
        let kind =
            fields.take("type").map_err(|problem| D::Error::custom(format!("the binding `{name}`: {problem}")))?;
        let kind: String = kind;
        let wrong = |problem| D::Error::custom(format!("the binding `{name}` of type `{kind}`: {problem}"));
        let kind = BindingKind::read(kind.clone(), fields).map_err(wrong)?;
        Ok(Self { name, kind })
    }
}

impl fmt::Display for BindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

/// Two different resources bound under one name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the binding name `{}` is used for {}; rename one of the two resources", first.name, difference(first, second))]
pub struct BindingConflict {
    /// The binding that was declared first.
    pub first: Binding,
    /// The binding that collides with it.
    pub second: Binding,
}

/// Describes the two kinds in words. If the words are the same, names the first property that differs.
fn difference(first: &Binding, second: &Binding) -> String {
    let (one, other) = (first.kind.to_string(), second.kind.to_string());
    if one != other {
        return format!("{one} and for {other}");
    }
    let (mine, theirs) = (first.kind.properties(), second.kind.properties());
    let value = |list: &[(&str, Value)], key: &str| {
        list.iter().find(|(own, _)| *own == key).map_or(Value::Null, |(_, value)| value.clone())
    };
    let keys = mine.iter().chain(&theirs).map(|(key, _)| *key);
    let differing = keys.map(|key| (key, value(&mine, key), value(&theirs, key))).find(|(_, one, other)| one != other);
    match differing {
        Some((key, mine, theirs)) => format!("{one} twice, with `{key}` {mine} and {theirs}"),
        None => format!("{one} twice"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn every_kind_is_read_as_it_was_written() {
        let text = |text: &str| text.to_string();
        let kinds = [
            BindingKind::D1 { database: text("a"), migrations: Some(text("m")) },
            BindingKind::D1 { database: text("a"), migrations: None },
            BindingKind::DurableObjectNamespace { class: text("A"), script: Some(text("b")) },
            BindingKind::Service { service: text("a"), entrypoint: Some(text("E")) },
            BindingKind::KvNamespace { namespace: text("a") },
            BindingKind::R2Bucket { bucket: text("a") },
            BindingKind::Queue { queue: text("a") },
            BindingKind::PlainText { default: Some(String::new()) },
            BindingKind::Json { default: None },
            BindingKind::SecretText {},
            BindingKind::SecretsStoreSecret { store: text("s"), secret: text("t") },
            BindingKind::Assets { directory: text("d") },
            BindingKind::Ratelimit { namespace: 1, limit: 2, period: 60 },
            BindingKind::AnalyticsEngine { dataset: text("d") },
            BindingKind::VersionMetadata {},
            BindingKind::Other { kind: text("ai"), properties: [(text("gateway"), "main".into())].into() },
        ];
        for kind in kinds {
            let binding = Binding { name: "B".into(), kind };
            let json = serde_json::to_string(&binding).unwrap();
            assert_eq!(serde_json::from_str::<Binding>(&json).unwrap(), binding, "{json}");
        }
    }

    #[test]
    fn a_binding_of_a_known_kind_that_cannot_be_read_is_an_error_that_names_it() {
        for (json, expected) in [
            (r#"{"name":"DB","type":"d1"}"#, "the binding `DB` of type `d1`: `database` is missing"),
            (r#"{"name":"DB","type":"d1","database":7}"#, "the binding `DB` of type `d1`: `database`: invalid type"),
            (r#"{"name":"DB","type":"d1","database":"a","databse":"b"}"#, "`databse` is no property of it"),
            (r#"{"name":"R","type":"ratelimit","namespace":1,"limit":-1,"period":60}"#, "`limit`"),
            (r#"{"type":"d1","database":"a"}"#, "a binding: `name` is missing"),
            (r#"{"name":"DB"}"#, "the binding `DB`: `type` is missing"),
        ] {
            let error = serde_json::from_str::<Binding>(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn a_type_that_is_not_known_stays_as_it_is() {
        let json = r#"{"name":"AI","type":"ai","gateway":"main"}"#;
        let binding: Binding = serde_json::from_str(json).unwrap();
        assert!(matches!(&binding.kind, BindingKind::Other { kind, .. } if kind == "ai"), "{binding:?}");
        assert_eq!(serde_json::to_string(&binding).unwrap(), json);
    }

    #[test]
    fn two_resources_under_one_name_differ_in_words_or_in_a_property() {
        let d1 = |database: &str, migrations: Option<&str>| Binding {
            name: "Events".into(),
            kind: BindingKind::D1 { database: database.into(), migrations: migrations.map(Into::into) },
        };
        let conflict = |first, second| BindingConflict { first, second }.to_string();
        assert_eq!(
            conflict(d1("Events", None), d1("Other", None)),
            "the binding name `Events` is used for the D1 database `Events` and for the D1 database `Other`; rename one \
             of the two resources"
        );
        assert!(
            conflict(d1("Events", None), d1("Events", Some("m"))).contains("twice, with `migrations` null and \"m\""),
        );
    }
}
