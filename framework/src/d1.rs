//! D1, the SQL database that Workers share.

use crate::{Bindable, Declaration, Error, Params, Result, codec, init::Resource, js, storage::settled};
use js_sys::Array;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;

/// A D1 database, as a value: `static EVENTS: D1Database = D1Database::new("Events");`.
#[derive(Clone, Copy, Debug)]
pub struct D1Database {
    name: &'static str,
}

impl D1Database {
    /// The database with this logical name, which is also the name of its binding.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }
}

impl Bindable for D1Database {
    type Client = D1Client;

    fn declare(&self) -> Declaration {
        Declaration { name: self.name, resource: Resource::D1 { database: self.name } }
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
        let result = self.run(statement, params, "run").await?;
        let changes = js::field(&js::field(&result, "meta"), "changes");
        Ok(changes.as_f64().unwrap_or_default() as u64)
    }

    /// All rows of a query. A row is a struct with a field for each column.
    ///
    /// # Errors
    /// What the database reports, or the row and column that does not fit `T`.
    pub async fn query<T: DeserializeOwned>(&self, statement: &'static str, params: impl Params) -> Result<Vec<T>> {
        let result = self.run(statement, params, "all").await?;
        let rows = js::field(&result, "results");
        Ok(codec::from_rows(&rows).map_err(|error| error.inside("rows"))?)
    }

    async fn run(&self, statement: &'static str, params: impl Params, how: &'static str) -> Result<JsValue> {
        let database = js::binding(self.binding);
        if database.is_undefined() {
            return Err(Error::MissingBinding { name: self.binding.into() });
        }
        let values = params.into_values().into_iter().map(|value| value.into_js()).collect::<Result<Array>>()?;
        let prepared = js::invoke1(&database, "prepare", &statement.into()).map_err(Error::from_js)?;
        let bound = js::invoke(&prepared, "bind", &values).map_err(Error::from_js)?;
        settled(js::invoke0(&bound, how)).await
    }
}
