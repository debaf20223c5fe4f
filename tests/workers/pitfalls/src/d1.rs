//! Rows and integers of D1.

use crate::shown;
use realgar::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "shown with `Debug`")]
struct Two {
    id: i64,
    name: String,
}

/// What each question is answered.
pub(crate) async fn run(database: &D1Client) -> Result<Value> {
    for statement in [
        "CREATE TABLE tx (s TEXT, j TEXT)",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE TABLE big (i INTEGER)",
    ] {
        database.execute(statement, ()).await?;
    }
    database.execute("INSERT INTO tx VALUES (?, json_object('n', ?))", (7, 7)).await?;
    database.execute("INSERT INTO a (name) VALUES (?), (?)", ("x", "y")).await?;
    database.batch([("INSERT INTO big VALUES (?)", (9_007_199_254_740_993_i64,))]).await?;
    let join = "SELECT a.id, a.name, b.id, b.name FROM a JOIN a AS b ON b.id = 2 WHERE a.id = 1";
    Ok(json!({
        "text": shown(database.query::<(String, String)>("SELECT s, j FROM tx", ()).await),
        "typeof": shown(database.query::<(String, i64)>("SELECT typeof(?1), ?1 / 2", (7,)).await),
        "real": shown(database.query::<(String, f64)>("SELECT typeof(?1), ?1", (7.0,)).await),
        "struct of a join": shown(database.query::<Two>(join, ()).await),
        "tuple of a join": shown(database.query::<(i64, String, i64, String)>(join, ()).await),
        "struct": shown(database.query::<Two>("SELECT id, name FROM a WHERE id = ?", (2,)).await),
        "value": shown(database.query::<i64>("SELECT count(*) FROM a", ()).await),
        "tuple": shown(database.query::<(i64,)>("SELECT count(*) FROM a", ()).await),
        "blob": shown(database.query::<Vec<u8>>("SELECT x'00ff'", ()).await),
        "boolean": shown(database.query::<bool>("SELECT ?", (true,)).await),
        "null": shown(database.query::<Option<i64>>("SELECT ?", (None::<i64>,)).await),
        "large in": shown(database.query::<String>("SELECT CAST(i AS TEXT) FROM big", ()).await),
        "large out": shown(database.query::<i64>("SELECT i FROM big", ()).await),
        "none": shown(database.query::<Two>("SELECT id, name FROM a WHERE id = 9", ()).await),
    }))
}
