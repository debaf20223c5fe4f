//! The values in KV namespaces. They are read and written where the bindings of Workers do it.

use super::{
    answer::{Answer, ApiError, Reply},
    server::{Asked, Content, Shared},
};
use crate::supervisor::KvCall;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// Answers a call about the values of the namespace `id`.
pub(super) fn route(shared: &Shared, path: &str, id: &str, rest: &[&str], asked: &Asked) -> Answer {
    let admin = {
        let mut state = shared.state();
        if !state.tables.namespaces.contains_key(id) {
            return Err(ApiError::new(404, 10013, format!("get namespace: 'namespace not found' ({id})")));
        }
        state.reach_namespace(id)?
    };
    let call = |method: &str, path: String, metadata: Option<&str>, body: &[u8]| {
        let call = KvCall { namespace: id, method, path: &path, metadata };
        admin.kv(&call, body).map_err(|error| ApiError::new(400, 10001, error))
    };
    let address = |key: &str| format!("/{}?urlencoded=true", utf8_percent_encode(key, NON_ALPHANUMERIC));
    let missing = || ApiError::new(404, 10009, "get: 'key not found'");
    match (&asked.method, rest) {
        (&Method::GET, ["values", key]) => match call("GET", address(key), None, &[])? {
            None => Err(missing()),
            Some(found) => Ok(Reply::Raw("application/octet-stream".into(), found.body)),
        },
        (&Method::GET, ["metadata", key]) => match call("GET", address(key), None, &[])? {
            None => Err(missing()),
            Some(found) => {
                Ok(Reply::One(found.metadata.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null)))
            }
        },
        (&Method::PUT, ["values", key]) => {
            let (value, metadata) = value_of(asked)?;
            let expiry =
                ["expiration", "expiration_ttl"].into_iter().filter_map(|name| Some((name, asked.query.get(name)?)));
            let path = expiry.fold(address(key), |path, (name, value)| format!("{path}&{name}={value}"));
            call("PUT", path, metadata.as_deref(), &value)?;
            Ok(Reply::One(Value::Null))
        }
        (&Method::DELETE, ["values", key]) => {
            call("DELETE", address(key), None, &[])?;
            Ok(Reply::One(Value::Null))
        }
        (&Method::PUT, ["bulk"]) => {
            let body = asked.json()?;
            let entries = body.as_array().ok_or_else(|| ApiError::bad_body("the body has to be a list"))?;
            for entry in entries {
                let key = entry["key"].as_str().ok_or_else(|| ApiError::bad_body("each entry needs a `key`"))?;
                let metadata = entry.get("metadata").filter(|own| !own.is_null()).map(Value::to_string);
                let expiry =
                    ["expiration", "expiration_ttl"].into_iter().filter_map(|name| Some((name, entry[name].as_u64()?)));
                let path = expiry.fold(address(key), |path, (name, value)| format!("{path}&{name}={value}"));
                call("PUT", path, metadata.as_deref(), &bulk_value(entry)?)?;
            }
            Ok(Reply::One(json!({ "successful_key_count": entries.len(), "unsuccessful_keys": [] })))
        }
        (&Method::POST, ["bulk", "delete"]) | (&Method::DELETE, ["bulk"]) => {
            let body = asked.json()?;
            let keys: Vec<&str> = body.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for key in &keys {
                call("DELETE", address(key), None, &[])?;
            }
            Ok(Reply::One(json!({ "successful_key_count": keys.len(), "unsuccessful_keys": [] })))
        }
        (&Method::GET, ["keys"]) => {
            let names = [("limit", "key_count_limit"), ("prefix", "prefix"), ("cursor", "cursor")];
            let given = names.into_iter().filter_map(|(ours, theirs)| Some((theirs, asked.query.get(ours)?)));
            let query: Vec<String> =
                given.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))).collect();
            let page = call("GET", format!("/?{}", query.join("&")), None, &[])?.ok_or_else(missing)?;
            let page: Value = serde_json::from_slice(&page.body).map_err(ApiError::internal)?;
            let keys: Vec<Value> = page["keys"].as_array().into_iter().flatten().map(key_of).collect();
            let info = json!({ "count": keys.len(), "cursor": page["cursor"].as_str().unwrap_or_default() });
            Ok(Reply::With(keys.into(), info))
        }
        _ => Err(ApiError::no_route(path)),
    }
}

/// A key in a list. The simulator has its metadata as text.
fn key_of(key: &Value) -> Value {
    let mut key = key.clone();
    if let Some(metadata) = key["metadata"].as_str().and_then(|text| serde_json::from_str(text).ok()) {
        key["metadata"] = metadata;
    }
    key
}

/// The value and the metadata of a write. Clients send the value alone, or both as parts of a form.
fn value_of(asked: &Asked) -> Result<(Vec<u8>, Option<String>), ApiError> {
    let parts = match &asked.content {
        Content::Bytes(bytes) => return Ok((bytes.to_vec(), None)),
        Content::Parts(parts) => parts,
    };
    let part = |name: &str| parts.iter().find(|part| part.name == name);
    let value = part("value").ok_or_else(|| ApiError::bad_body("the form has no part `value`"))?;
    let metadata = part("metadata").map(|part| String::from_utf8_lossy(&part.content).into_owned());
    Ok((value.content.to_vec(), metadata))
}

fn bulk_value(entry: &Value) -> Result<Vec<u8>, ApiError> {
    use base64::Engine as _;
    let text = entry["value"].as_str().ok_or_else(|| ApiError::bad_body("each entry needs a `value`"))?;
    if entry["base64"] == true {
        let decoded = base64::prelude::BASE64_STANDARD.decode(text);
        return decoded.map_err(|error| ApiError::bad_body(format!("a `value` is no base64: {error}")));
    }
    Ok(text.as_bytes().to_vec())
}
