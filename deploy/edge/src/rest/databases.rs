//! D1 databases.

use super::{
    answer::{Answer, ApiError, Reply},
    resources::{named, refuse_bound},
    server::{Asked, Shared},
    tables::{self, Named},
};
use crate::r2::md5;
use hyper::Method;
use serde_json::{Value, json};

/// Answers a call about D1 databases.
pub(super) fn route(shared: &Shared, path: &str, rest: &[&str], asked: &Asked) -> Answer {
    if let (&Method::POST, [id, "import"]) = (&asked.method, rest) {
        return import(shared, id, &asked.json()?);
    }
    if let (&Method::POST, [id, form @ ("query" | "raw")]) = (&asked.method, rest) {
        return query(shared, id, *form == "raw", &asked.json()?);
    }
    let mut state = shared.state();
    let mut tables = state.tables.clone();
    let describe = |id: &str, own: &Named| {
        let created = tables::time(own.created_ms);
        json!({ "uuid": id, "name": own.name, "version": "production", "created_at": created, "file_size": 0, "num_tables": 0 })
    };
    match (&asked.method, rest) {
        (&Method::GET, []) => {
            let wanted = asked.query.get("name");
            let found = tables.databases.iter().filter(|(_, own)| wanted.is_none_or(|name| own.name == *name));
            asked.page(found.map(|(id, own)| describe(id, own)).collect())
        }
        (&Method::POST, []) => {
            let name = asked.text("name").map_err(|_| ApiError::new(400, 7400, "`name` is required"))?;
            if tables.databases.values().any(|other| other.name == name) {
                return Err(ApiError::new(400, 7502, format!("Database with name '{name}' already exists")));
            }
            let (id, own) = (tables::new_uuid()?, named(name));
            let answer = describe(&id, &own);
            tables.databases.insert(id, own);
            state.keep(&shared.data, tables)?;
            Ok(Reply::One(answer))
        }
        (&Method::GET, [id]) => {
            tables.databases.get(*id).map(|own| Reply::One(describe(id, own))).ok_or_else(|| missing(id))
        }
        (&Method::DELETE, [id]) => {
            tables.databases.remove(*id).ok_or_else(|| missing(id))?;
            for key in ["id", "database_id"] {
                refuse_bound(&tables, "d1", key, id, 10052)?;
            }
            state.keep(&shared.data, tables)?;
            Ok(Reply::One(Value::Null))
        }
        _ => Err(ApiError::no_route(path)),
    }
}

fn missing(id: &str) -> ApiError {
    ApiError::new(404, 7404, format!("The database {id} could not be found"))
}

/// Runs the statements in `body`: all of them, or none. The answer has a result for each.
fn query(shared: &Shared, id: &str, raw: bool, body: &Value) -> Answer {
    let admin = {
        let state = shared.state();
        state.tables.databases.get(id).ok_or_else(|| missing(id))?;
        state.admin()?
    };
    let batch = body["batch"].as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
    let statement = |one: &Value| {
        let sql = one["sql"].as_str()?;
        Some(json!({ "sql": sql, "params": one["params"].as_array().cloned().unwrap_or_default() }))
    };
    let statements = batch.iter().map(statement).collect::<Option<Vec<_>>>();
    let statements =
        statements.ok_or_else(|| ApiError::new(400, 7400, "The request is malformed: `sql` is required"))?;
    let results = admin.query(id, &statements).map_err(|error| ApiError::new(400, 7500, error))?;
    let form = |result: &Value| {
        let results = if raw {
            json!({ "columns": result["columns"], "rows": result["rows"] })
        } else {
            objects(&result["columns"], &result["rows"])
        };
        json!({ "success": true, "results": results, "meta": result["meta"] })
    };
    Ok(Reply::One(results.as_array().into_iter().flatten().map(form).collect()))
}

/// Rows as objects.
fn objects(columns: &Value, rows: &Value) -> Value {
    let names: Vec<&str> = columns.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let object = |row: &Value| {
        let values = row.as_array().into_iter().flatten().cloned();
        Value::Object(names.iter().map(ToString::to_string).zip(values).collect())
    };
    rows.as_array().into_iter().flatten().map(object).collect()
}

/// Imports a file of SQL, in the steps in which clients ask for it: where to send it, run it, and is it done.
fn import(shared: &Shared, id: &str, body: &Value) -> Answer {
    shared.state().tables.databases.get(id).ok_or_else(|| missing(id))?;
    let bookmark = "00000000-00000000-00000000-00000000";
    match body["action"].as_str() {
        Some("init") => {
            let file = tables::new_id()?;
            let url = format!("{}/realgar/imports/{file}", shared.url());
            shared.sessions().imports.insert(file.clone(), Vec::new());
            Ok(Reply::One(
                json!({ "success": true, "type": "import", "at_bookmark": bookmark, "upload_url": url, "filename": file }),
            ))
        }
        Some("ingest") => {
            let file = body["filename"].as_str().unwrap_or_default();
            let sql = shared.sessions().imports.remove(file);
            let sql = sql.and_then(|bytes| String::from_utf8(bytes).ok());
            let sql = sql.ok_or_else(|| ApiError::new(400, 7400, format!("no text was uploaded as `{file}`")))?;
            let result = query(shared, id, false, &json!({ "sql": sql }))?;
            let Reply::One(result) = result else { return Ok(result) };
            Ok(Reply::One(json!({
                "success": true, "type": "import", "status": "complete", "at_bookmark": bookmark, "messages": [],
                "result": { "final_bookmark": bookmark, "num_queries": 1, "meta": result[0]["meta"] },
            })))
        }
        Some("poll") => {
            let result = json!({ "final_bookmark": bookmark, "num_queries": 1, "meta": {} });
            Ok(Reply::One(
                json!({ "success": true, "type": "import", "status": "complete", "at_bookmark": bookmark, "messages": [], "result": result }),
            ))
        }
        _ => Err(ApiError::new(400, 7400, "`action` has to be `init`, `ingest` or `poll`")),
    }
}

/// Takes a file of SQL to the place that `init` has named.
pub(super) fn receive(shared: &Shared, id: &str, asked: &Asked) -> Answer {
    let bytes = asked.bytes()?.to_vec();
    let etag = md5(&bytes);
    shared.sessions().imports.insert(id.into(), bytes);
    Ok(Reply::Stored(etag))
}
