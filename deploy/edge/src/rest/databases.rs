//! D1 databases.

use super::{
    answer::{Answer, ApiError, Reply},
    resources::{named, refuse_bound},
    server::{Asked, Shared},
    tables::{self, Named},
};
use hyper::Method;
use serde_json::{Value, json};

/// Answers a call about D1 databases.
pub(super) fn route(shared: &Shared, path: &str, rest: &[&str], asked: &Asked) -> Answer {
    let mut state = shared.state();
    let mut tables = state.tables.clone();
    let describe = |id: &str, own: &Named| {
        let created = tables::time(own.created_ms);
        json!({ "uuid": id, "name": own.name, "version": "production", "created_at": created, "file_size": 0, "num_tables": 0 })
    };
    let missing = |id: &str| ApiError::new(404, 7404, format!("The database {id} could not be found"));
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
