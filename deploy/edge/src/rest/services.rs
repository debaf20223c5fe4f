//! What is told of Workers in other forms than their settings, as wrangler asks for it; and their secrets, one by one.

use super::{
    answer::{Answer, ApiError, Reply},
    scripts::{no_script, row, row_mut, set_secrets},
    server::{Asked, Shared},
    tables::{ScriptRow, time},
};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Answers a call about a service: a Worker with its environment.
pub(super) fn service(shared: &Shared, path: &str, name: &str, asked: &Asked) -> Answer {
    if asked.method != Method::GET {
        return Err(ApiError::no_route(path));
    }
    let state = shared.state();
    let missing = || ApiError::new(404, 10090, "workers.api.error.service_not_found");
    let row = state.tables.scripts.get(name).ok_or_else(missing)?;
    let script = json!({
        "id": name, "tag": row.tag, "tags": row.metadata["tags"], "etag": row.version, "created_on": time(row.created_ms),
        "modified_on": time(row.modified_ms), "migration_tag": row.migration_tag, "last_deployed_from": "api", "usage_model": "standard",
    });
    let environment = json!({ "environment": "production", "created_on": time(row.created_ms), "script": script });
    Ok(Reply::One(json!({ "id": name, "default_environment": environment, "created_on": time(row.created_ms) })))
}

/// Answers a call about a Worker as the newer part of the API has it.
pub(super) fn worker(shared: &Shared, path: &str, name: &str, asked: &Asked) -> Answer {
    if asked.method != Method::GET {
        return Err(ApiError::no_route(path));
    }
    let state = shared.state();
    let row = row(&state.tables, name)?;
    let subdomain = json!({ "enabled": row.subdomain, "previews_enabled": false, "url": state.url(name) });
    Ok(Reply::One(json!({
        "id": row.tag, "name": name, "created_on": time(row.created_ms), "updated_on": time(row.modified_ms), "logpush": false,
        "observability": row.metadata["observability"], "subdomain": subdomain, "tags": row.metadata["tags"],
        "tail_consumers": [], "references": {},
    })))
}

/// Answers a call about the deployments of a Worker. There is one: the version that serves.
pub(super) fn deployments(shared: &Shared, path: &str, name: &str, asked: &Asked) -> Answer {
    if asked.method != Method::GET {
        return Err(ApiError::no_route(path));
    }
    let state = shared.state();
    let row = row(&state.tables, name)?;
    Ok(Reply::One(json!({ "deployments": [deployment(row)] })))
}

/// The deployment of the version that serves.
pub(super) fn deployment(row: &ScriptRow) -> Value {
    let version = json!({ "version_id": version_id(row), "percentage": 100 });
    json!({
        "id": version_id(row), "source": "api", "strategy": "percentage", "author_email": "", "created_on": time(row.modified_ms),
        "versions": [version], "annotations": {},
    })
}

/// The id of the version that serves, as a UUID.
pub(super) fn version_id(row: &ScriptRow) -> String {
    let id = &row.version;
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}

/// Answers a call about the settings of a Worker that no version has.
pub(super) fn script_settings(shared: &Shared, path: &str, name: &str, asked: &Asked) -> Answer {
    let mut state = shared.state();
    let mut tables = state.tables.clone();
    let row = row_mut(&mut tables, name)?;
    match asked.method {
        Method::GET => {}
        Method::PATCH => {
            let changes = asked.json()?;
            for key in ["observability", "tail_consumers", "tags"] {
                if let Some(value) = changes.get(key) {
                    row.metadata[key] = value.clone();
                }
            }
            state.keep(&shared.data, tables)?;
        }
        _ => return Err(ApiError::no_route(path)),
    }
    let metadata = &super::scripts::row(&state.tables, name)?.metadata;
    Ok(Reply::One(json!({
        "logpush": false, "observability": metadata["observability"], "tail_consumers": metadata["tail_consumers"],
        "tags": metadata["tags"],
    })))
}

/// Answers a call about the secrets of a Worker.
pub(super) fn secrets(shared: &Shared, path: &str, name: &str, rest: &[&str], asked: &Asked) -> Answer {
    let text = |entry: &Value| -> Result<(String, Option<String>), ApiError> {
        let field = |key: &str| entry[key].as_str().map(str::to_string);
        let missing = || ApiError::bad_body("a secret needs a `name` and a `text`");
        Ok((field("name").ok_or_else(missing)?, Some(field("text").ok_or_else(missing)?)))
    };
    let changes: BTreeMap<String, Option<String>> = match (&asked.method, rest) {
        (&Method::GET, []) => BTreeMap::new(),
        (&Method::PUT, []) => [text(&asked.json()?)?].into(),
        (&Method::DELETE, [secret]) => {
            let state = shared.state();
            if !row(&state.tables, name)?.secrets.contains_key(*secret) {
                return Err(ApiError::new(404, 10056, format!("Secret {secret} not found")));
            }
            [((*secret).to_string(), None)].into()
        }
        (&Method::PATCH, ["bulk"]) => {
            let body = asked.json()?;
            let entries = body["secrets"].as_object().ok_or_else(|| ApiError::bad_body("`secrets` is required"))?;
            let change = |(key, entry): (&String, &Value)| match entry {
                Value::Null => Ok((key.clone(), None)),
                entry => text(entry),
            };
            entries.iter().map(change).collect::<Result<_, _>>()?
        }
        _ => return Err(ApiError::no_route(path)),
    };
    let mut state = shared.state();
    let mut tables = state.tables.clone();
    if !changes.is_empty() {
        let row = tables.scripts.get_mut(name).ok_or_else(|| no_script(name))?;
        set_secrets(row, &changes)?;
        state.run(&shared.data, tables)?;
    }
    let row = row(&state.tables, name)?;
    let describe = |name: &String| json!({ "name": name, "type": "secret_text" });
    Ok(Reply::One(match (&asked.method, rest) {
        (&Method::PUT, []) => changes.keys().next().map(describe).unwrap_or_default(),
        (&Method::DELETE, _) => Value::Null,
        _ => row.secrets.keys().map(describe).collect(),
    }))
}
