//! The bindings of a script, in the text of workerd's configuration.

use super::{
    assets_name,
    capnp::quote,
    simulators::{D1_SIMULATOR, KV, QUEUES, SHIMS},
};
use crate::Script;
use realgar_wire::{Binding, BindingKind, ClassStorage};

/// Bindings for values that no declared binding has. A plain Worker declares no secrets, but finds them in its environment all the
/// same.
pub(super) fn unbound(script: &Script) -> impl Iterator<Item = String> {
    let bound = |name: &String| script.manifest.bindings.iter().any(|binding| binding.name == *name);
    script.values.iter().filter(move |(name, _)| !bound(name)).map(|(name, value)| text(name, value))
}

/// The binding in the text of workerd's configuration. `None` for a kind that is not simulated.
pub(super) fn binding(script: &Script, binding: &Binding) -> Option<String> {
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

pub(super) fn bucket_name(bucket: &str) -> String {
    format!("realgar:r2:{bucket}")
}

pub(super) fn service(name: &str, service: &str) -> String {
    format!("(name = {}, service = {})", quote(name), quote(service))
}

pub(super) fn text(name: &str, value: &str) -> String {
    format!("(name = {}, text = {})", quote(name), quote(value))
}

pub(super) fn json(name: &str, value: &serde_json::Value) -> String {
    format!("(name = {}, json = {})", quote(name), quote(&value.to_string()))
}

pub(super) fn d1(name: &str, database: &str) -> String {
    let props = quote(&serde_json::json!({ "database": database }).to_string());
    format!(
        "(name = {}, wrapped = (moduleName = \"cloudflare-internal:d1-api\", innerBindings = [\
         (name = \"fetcher\", service = (name = {}, props = (json = {props})))]))",
        quote(name),
        quote(D1_SIMULATOR.service)
    )
}

/// A binding of type `kind` to a service. The service learns from `props` which resource is meant.
pub(super) fn with_props(name: &str, kind: &str, service: &str, props: &serde_json::Value) -> String {
    let (name, service, props) = (quote(name), quote(service), quote(&props.to_string()));
    format!("(name = {name}, {kind} = (name = {service}, props = (json = {props})))")
}

pub(super) fn shim(name: &str, kind: &str, entrypoint: &str, props: &serde_json::Value) -> String {
    let (name, service, props) = (quote(name), quote(SHIMS), quote(&props.to_string()));
    format!("(name = {name}, {kind} = (name = {service}, entrypoint = \"{entrypoint}\", props = (json = {props})))")
}

pub(super) fn namespace(name: &str, class: &str, service: Option<&str>) -> String {
    let service = service.map(|service| format!(", serviceName = {}", quote(service))).unwrap_or_default();
    format!("(name = {}, durableObjectNamespace = (className = {}{service}))", quote(name), quote(class))
}

/// A Durable Object class. `key` is its unique key: an id is a function of the key and of the object's name, so the same key means
/// the same objects.
pub(super) fn class(name: &str, key: &str, storage: ClassStorage) -> String {
    let sql = storage.is_sqlite();
    format!("(className = {}, uniqueKey = {}, enableSql = {sql})", quote(name), quote(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_of_another_script_names_its_service() {
        assert_eq!(
            namespace("Counter", "Counter", Some("host")),
            r#"(name = "Counter", durableObjectNamespace = (className = "Counter", serviceName = "host"))"#
        );
    }
}
