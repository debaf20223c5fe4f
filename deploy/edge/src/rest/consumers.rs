//! The consumers of queues.

use super::{
    answer::{Answer, ApiError, Reply},
    server::{Asked, Shared},
    tables::{self, ConsumerRow, Tables},
};
use hyper::Method;
use realgar_wire::Consumer;
use serde_json::{Value, json};

/// Answers a call about the consumer of the queue `queue`: it has at most one.
pub(super) fn route(shared: &Shared, path: &str, queue: &str, rest: &[&str], asked: &Asked) -> Answer {
    let mut state = shared.state();
    let mut tables = state.tables.clone();
    if !tables.queues.contains_key(queue) {
        return Err(ApiError::new(404, 11000, format!("Queue not found ({queue})")));
    }
    let own = tables.consumers.get(queue).cloned();
    let is_own = |id: &str| own.as_ref().is_some_and(|own| own.id == id);
    let missing = || ApiError::new(404, 11005, "Consumer not found");
    match (&asked.method, rest) {
        (&Method::GET, []) => Ok(Reply::One(own.iter().map(|own| describe(&tables, queue, own)).collect())),
        (&Method::POST, []) => {
            if own.is_some() {
                return Err(ApiError::new(400, 11004, "Queue already has a consumer"));
            }
            let id = tables::new_id()?;
            put(shared, &mut state, tables, queue, id, &asked.json()?)
        }
        (&Method::PUT, [id]) if is_own(id) => put(shared, &mut state, tables, queue, (*id).into(), &asked.json()?),
        (&Method::DELETE, [id]) if is_own(id) => {
            tables.consumers.remove(queue);
            state.run(&shared.data, tables)?;
            Ok(Reply::One(Value::Null))
        }
        (&Method::PUT | &Method::DELETE, [_]) => Err(missing()),
        _ => Err(ApiError::no_route(path)),
    }
}

fn put(
    shared: &Shared,
    state: &mut super::server::State,
    mut tables: Tables,
    queue: &str,
    id: String,
    body: &Value,
) -> Answer {
    let script = body["script_name"].as_str().unwrap_or_default();
    if body["type"] != "worker" || !tables.scripts.contains_key(script) {
        return Err(ApiError::new(400, 11001, format!("`{script}` is no Worker that can consume messages")));
    }
    let dead_letters = body["dead_letter_queue"].as_str().filter(|name| !name.is_empty());
    let own = ConsumerRow {
        id,
        script: script.into(),
        dead_letter_queue: dead_letters.map(Into::into),
        settings: body["settings"].clone(),
        created_ms: tables.consumers.get(queue).map_or_else(tables::now_ms, |old| old.created_ms),
    };
    consumer(&tables, queue, &own)?;
    let answer = describe(&tables, queue, &own);
    tables.consumers.insert(queue.into(), own);
    state.run(&shared.data, tables)?;
    Ok(Reply::One(answer))
}

pub(super) fn describe(tables: &Tables, queue: &str, own: &ConsumerRow) -> Value {
    let name = tables.queues.get(queue).map(|queue| &queue.name);
    json!({
        "consumer_id": own.id, "queue_name": name, "type": "worker", "script": own.script, "script_name": own.script,
        "dead_letter_queue": own.dead_letter_queue, "settings": own.settings, "created_on": tables::time(own.created_ms),
    })
}

/// The consumer as the edge runs it.
pub(super) fn consumer(tables: &Tables, queue: &str, own: &ConsumerRow) -> Result<Consumer, ApiError> {
    let number = |key: &str| match &own.settings[key] {
        Value::Null => Ok(None),
        value => {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            number.map(Some).ok_or_else(|| ApiError::bad_body(format!("`settings.{key}` has to be a number")))
        }
    };
    let small = |key: &str, divisor: u32| {
        let too_large = || ApiError::bad_body(format!("`settings.{key}` is too large"));
        number(key)?.map(|number| u8::try_from(number / divisor).map_err(|_| too_large())).transpose()
    };
    Ok(Consumer {
        queue: tables.queues.get(queue).map(|queue| queue.name.clone()).unwrap_or_default(),
        max_batch_size: small("batch_size", 1)?,
        max_batch_timeout: small("max_wait_time_ms", 1000)?,
        max_retries: small("max_retries", 1)?,
        retry_delay: number("retry_delay")?,
        max_concurrency: small("max_concurrency", 1)?,
        dead_letter_queue: own.dead_letter_queue.clone(),
    })
}
