//! D1, the SQL database that Workers share.

use super::{lookup, object};
use crate::{
    Bindable, Declaration, Error, Params, Result, SqlValue,
    runtime::{js, promise::awaited},
    storage::sql,
};
use js_sys::Array;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};

/// A D1 database, as a value: `static EVENTS: D1Database = D1Database::new("Events");`.
#[derive(Clone, Copy, Debug)]
pub struct D1Database {
    name: &'static str,
    migrations: Option<&'static str>,
}

impl D1Database {
    /// The database with this logical name, which is also the name of its binding.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, migrations: None }
    }

    /// Adds migrations: the `.sql` files in `folder`, relative to the `Cargo.toml`. Each runs once, in the order of the file names,
    /// before a version of the Worker that has them serves requests.
    #[must_use]
    pub const fn migrations(self, folder: &'static str) -> Self {
        Self { migrations: Some(folder), ..self }
    }
}

impl Bindable for D1Database {
    type Client = D1Client;

    fn declare(&self) -> Declaration {
        Declaration::new(self.name, "d1").with("database", self.name).with_some("migrations", self.migrations)
    }

    fn client(&self) -> D1Client {
        D1Client { binding: self.name }
    }
}

/// The client of a D1 database.
#[derive(Clone, Copy, Debug)]
pub struct D1Client {
    binding: &'static str,
}

impl D1Client {
    /// Runs a statement for its effect. Returns how many rows it changed.
    ///
    /// # Errors
    /// What the database reports.
    pub async fn execute(&self, statement: &'static str, params: impl Params) -> Result<u64> {
        let bound = bind(&lookup(self.binding)?, statement, params.into_values())?;
        Ok(changes(&awaited(js::invoke0(&bound, "run")).await?))
    }

    /// All rows of a query. A row is decoded as by [`crate::Sql::query`]: into a struct with a field for each column, into a tuple,
    /// or, if it has one column, into its value.
    ///
    /// # Errors
    /// What the database reports, or the row and column that does not fit `T`; two columns of one name in a struct; an integer
    /// beyond 2^53 - 1, which D1 rounds: select `CAST(column AS TEXT)`, into a `String`.
    pub async fn query<T: DeserializeOwned>(&self, statement: &'static str, params: impl Params) -> Result<Vec<T>> {
        let bound = bind(&lookup(self.binding)?, statement, params.into_values())?;
        let with_names = object([("columnNames", Some(JsValue::TRUE))]);
        // Rows arrive as lists: in an object, a column would hide another one of the same name.
        let rows = awaited(js::invoke1(&bound, "raw", &with_names)).await?;
        sql::decode_table(rows.unchecked_ref(), statement)
    }

    /// Runs several statements in one transaction and one round trip: all of them, or none. Returns how many rows each
    /// changed.
    ///
    /// # Errors
    /// What the database reports.
    pub async fn batch<P: Params>(&self, statements: impl IntoIterator<Item = (&'static str, P)>) -> Result<Vec<u64>> {
        let database = lookup(self.binding)?;
        let bound = statements.into_iter().map(|(statement, params)| bind(&database, statement, params.into_values()));
        let bound = bound.collect::<Result<Array>>()?;
        let results = awaited(js::invoke1(&database, "batch", &bound)).await?;
        Ok(Array::from(&results).iter().map(|result| changes(&result)).collect())
    }
}

/// The statement with its parameters. D1 takes numbers as floats, so integers go to a `CAST`, as in the database of an object.
fn bind(database: &JsValue, statement: &'static str, params: Vec<SqlValue>) -> Result<JsValue> {
    params.iter().try_for_each(SqlValue::check)?;
    let (low, high) = sql::integers(&params);
    let values: Array = params.iter().map(SqlValue::to_js).collect();
    let statement = js::casted(statement, low, high);
    let prepared = js::invoke1(database, "prepare", &statement).map_err(Error::from_js)?;
    js::invoke(&prepared, "bind", &values).map_err(Error::from_js)
}

fn changes(result: &JsValue) -> u64 {
    js::field(&js::field(result, "meta"), "changes").as_f64().unwrap_or_default() as u64
}
