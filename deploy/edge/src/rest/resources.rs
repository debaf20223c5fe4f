//! KV namespaces, R2 buckets and queues: what exists under which name.

use super::{
    answer::{Answer, ApiError, Reply},
    consumers,
    server::{Asked, Shared},
    tables::{self, Named, Tables},
    values,
};
use hyper::Method;
use realgar_wire::limits::{BUCKET_NAME_LENGTH, QUEUE_NAME_LENGTH_MAX};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Answers a call about KV namespaces.
pub(super) fn kv(shared: &Shared, path: &str, rest: &[&str], asked: &Asked) -> Answer {
    if let [id, rest @ ..] = rest
        && !rest.is_empty()
    {
        return values::route(shared, path, id, rest, asked);
    }
    let mut state = shared.state();
    let mut tables = state.tables.clone();
    let describe = |id: &str, own: &Named| json!({ "id": id, "title": own.name, "supports_url_encoding": true });
    match (&asked.method, rest) {
        (&Method::GET, []) => asked.page(list(&tables.namespaces, &describe)),
        (&Method::POST, []) => {
            let title = asked.text("title").map_err(|_| ApiError::new(400, 10019, "namespace title is required"))?;
            if tables.namespaces.values().any(|other| other.name == title) {
                let message = "create namespace: 'a namespace with this account ID and title already exists'";
                return Err(ApiError::new(400, 10014, message));
            }
            let (id, own) = (tables::new_id()?, named(title));
            let answer = describe(&id, &own);
            tables.namespaces.insert(id, own);
            state.keep(&shared.data, tables)?;
            Ok(Reply::One(answer))
        }
        (&Method::GET, [id]) => match tables.namespaces.get(*id) {
            Some(own) => Ok(Reply::One(describe(id, own))),
            None => Err(no_namespace(id)),
        },
        (&Method::DELETE, [id]) => {
            tables.namespaces.remove(*id).ok_or_else(|| no_namespace(id))?;
            refuse_bound(&tables, "kv_namespace", "namespace_id", id, 10052)?;
            state.keep(&shared.data, tables)?;
            Ok(Reply::One(Value::Null))
        }
        _ => Err(ApiError::no_route(path)),
    }
}

fn no_namespace(id: &str) -> ApiError {
    ApiError::new(404, 10013, format!("get namespace: 'namespace not found' ({id})"))
}

/// Answers a call about R2 buckets.
pub(super) fn r2(shared: &Shared, path: &str, rest: &[&str], asked: &Asked) -> Answer {
    if let [bucket, "objects", key @ ..] = rest {
        return object(shared, path, bucket, &key.join("/"), asked);
    }
    let mut state = shared.state();
    let mut tables = state.tables.clone();
    let describe = |name: &str, own: &Named| json!({ "name": name, "creation_date": tables::time(own.created_ms), "location": "WEUR", "storage_class": "Standard", "jurisdiction": "default" });
    let missing = || ApiError::new(404, 10006, "The specified bucket does not exist.");
    match (&asked.method, rest) {
        (&Method::GET, []) => asked.scroll("buckets", list(&tables.buckets, &describe)),
        (&Method::POST, []) => {
            let name = asked.text("name")?;
            let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if !BUCKET_NAME_LENGTH.contains(&name.len())
                || !name.bytes().all(legal)
                || name.starts_with('-')
                || name.ends_with('-')
            {
                return Err(ApiError::new(400, 10005, "The specified bucket name is not valid."));
            }
            if tables.buckets.contains_key(&name) {
                let message = "The bucket you tried to create already exists, and you own it.";
                return Err(ApiError::new(409, 10004, message));
            }
            let own = named(name.clone());
            let answer = describe(&name, &own);
            tables.buckets.insert(name, own);
            state.keep(&shared.data, tables)?;
            Ok(Reply::One(answer))
        }
        (&Method::GET, [name]) => {
            tables.buckets.get(*name).map(|own| Reply::One(describe(name, own))).ok_or_else(missing)
        }
        (&Method::DELETE, [name]) => {
            tables.buckets.remove(*name).ok_or_else(missing)?;
            refuse_bound(&tables, "r2_bucket", "bucket_name", name, 10052)?;
            if !state.bucket_is_empty(name)? {
                return Err(ApiError::new(409, 10008, "The bucket you tried to delete is not empty."));
            }
            state.drop_bucket(name)?;
            state.keep(&shared.data, tables)?;
            Ok(Reply::One(json!({})))
        }
        _ => Err(ApiError::no_route(path)),
    }
}

/// Answers a call about an object in a bucket.
fn object(shared: &Shared, path: &str, bucket: &str, key: &str, asked: &Asked) -> Answer {
    let objects = {
        let state = shared.state();
        let missing = || ApiError::new(404, 10006, "The specified bucket does not exist.");
        state.tables.buckets.get(bucket).ok_or_else(missing)?;
        state.objects()
    };
    let make = |operation: Value, content: Option<&[u8]>| {
        let made = objects.answer(bucket, &operation, content).map_err(ApiError::internal)?;
        made.map_err(|(status, code, message)| ApiError::new(status, code, message))
    };
    match asked.method {
        Method::GET if key.is_empty() => {
            let text = |name: &str| asked.query.get(name).cloned().unwrap_or_default();
            let list = json!({ "version": 1, "method": "list", "prefix": text("prefix"), "delimiter": text("delimiter"), "cursor": text("cursor") });
            let (page, _) = make(list, None)?;
            let entry = |object: &Value| json!({ "key": object["name"], "etag": object["etag"], "size": object["size"], "storage_class": "Standard" });
            let entries = page["objects"].as_array().into_iter().flatten().map(entry).collect();
            Ok(Reply::With(entries, json!({ "is_truncated": page["truncated"], "cursor": page["cursor"] })))
        }
        Method::GET => {
            let (metadata, bytes) = make(json!({ "version": 1, "method": "get", "object": key }), None)?;
            let kind = metadata["httpFields"]["contentType"].as_str().unwrap_or("application/octet-stream");
            Ok(Reply::Raw(kind.into(), bytes))
        }
        Method::PUT => {
            let fields = if asked.kind.is_empty() { json!({}) } else { json!({ "contentType": asked.kind }) };
            let put = json!({ "version": 1, "method": "put", "object": key, "httpFields": fields });
            let (made, _) = make(put, Some(asked.bytes()?))?;
            let size = made["size"].to_string();
            Ok(Reply::One(
                json!({ "key": key, "version": made["version"], "etag": made["etag"], "size": size, "storage_class": "Standard" }),
            ))
        }
        Method::DELETE => {
            make(json!({ "version": 1, "method": "delete", "object": key }), Some(&[]))?;
            Ok(Reply::One(json!({ "key": key })))
        }
        _ => Err(ApiError::no_route(path)),
    }
}

/// Answers a call about queues.
pub(super) fn queues(shared: &Shared, path: &str, rest: &[&str], asked: &Asked) -> Answer {
    if let [queue, "consumers", rest @ ..] = rest {
        return consumers::route(shared, path, queue, rest, asked);
    }
    let mut state = shared.state();
    let mut tables = state.tables.clone();
    let all = tables.clone();
    let describe = |id: &str, own: &Named| {
        let time = tables::time(own.created_ms);
        let settings = json!({ "delivery_delay": 0, "delivery_paused": false, "message_retention_period": 345_600 });
        let consumers: Vec<Value> =
            all.consumers.get(id).map(|own| consumers::describe(&all, id, own)).into_iter().collect();
        let producers = all.scripts.iter().filter(|(_, row)| binds(&row.metadata, "queue", "queue_name", &own.name));
        let producers: Vec<Value> =
            producers.map(|(script, _)| json!({ "type": "worker", "script": script })).collect();
        json!({
            "queue_id": id, "queue_name": own.name, "created_on": time, "modified_on": time,
            "producers_total_count": producers.len(), "producers": producers,
            "consumers_total_count": consumers.len(), "consumers": consumers, "settings": settings,
        })
    };
    let missing = |id: &str| ApiError::new(404, 11000, format!("Queue not found ({id})"));
    match (&asked.method, rest) {
        (&Method::GET, []) => {
            let wanted = asked.query.get("name");
            let found = tables.queues.iter().filter(|(_, own)| wanted.is_none_or(|name| own.name == *name));
            asked.page(found.map(|(id, own)| describe(id, own)).collect())
        }
        (&Method::POST, []) => {
            let name = asked.text("queue_name")?;
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if name.len() > QUEUE_NAME_LENGTH_MAX || !name.bytes().all(legal) {
                return Err(ApiError::new(400, 11003, "Queue name is invalid"));
            }
            if tables.queues.values().any(|other| other.name == name) {
                return Err(ApiError::new(409, 11009, "Queue name is already taken"));
            }
            let (id, own) = (tables::new_id()?, named(name));
            let answer = describe(&id, &own);
            tables.queues.insert(id, own);
            state.keep(&shared.data, tables)?;
            Ok(Reply::One(answer))
        }
        (&Method::GET, [id]) => {
            tables.queues.get(*id).map(|own| Reply::One(describe(id, own))).ok_or_else(|| missing(id))
        }
        (&Method::DELETE, [id]) => {
            let own = tables.queues.remove(*id).ok_or_else(|| missing(id))?;
            refuse_bound(&tables, "queue", "queue_name", &own.name, 10052)?;
            if let Some(consumer) = tables.consumers.get(*id) {
                let message =
                    format!("the queue `{}` still has the Worker `{}` as its consumer", own.name, consumer.script);
                return Err(ApiError::new(400, 11006, message));
            }
            state.keep(&shared.data, tables)?;
            Ok(Reply::One(json!({})))
        }
        _ => Err(ApiError::no_route(path)),
    }
}

pub(super) fn named(name: String) -> Named {
    Named { name, created_ms: tables::now_ms() }
}

pub(super) fn list(all: &BTreeMap<String, Named>, describe: &dyn Fn(&str, &Named) -> Value) -> Vec<Value> {
    all.iter().map(|(key, own)| describe(key, own)).collect()
}

/// Refuses to delete what a Worker is bound to: the binding's field `key` has `value`.
pub(super) fn refuse_bound(tables: &Tables, kind: &str, key: &str, value: &str, code: u32) -> Result<(), ApiError> {
    match tables.scripts.iter().find(|(_, row)| binds(&row.metadata, kind, key, value)) {
        None => Ok(()),
        Some((script, _)) => Err(ApiError::new(
            400,
            code,
            format!("`{value}` is still referenced by a binding of the Worker `{script}`"),
        )),
    }
}

/// Whether a script with this metadata has a binding of the type `kind` whose field `key` has `value`.
fn binds(metadata: &Value, kind: &str, key: &str, value: &str) -> bool {
    let bindings = metadata["bindings"].as_array();
    bindings.into_iter().flatten().any(|binding| binding["type"] == kind && binding[key] == value)
}
