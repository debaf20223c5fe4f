//! The SQLite database of a Durable Object.

use crate::{
    Error, Result,
    codec::{
        self,
        rows::{Packed, Table},
    },
    runtime::js,
};
use js_sys::Uint8Array;
use serde::{Deserialize, de::DeserializeOwned};
use wasm_bindgen::{JsCast, JsValue};

/// The SQLite database of one object. Statements run at once, without an `await`.
///
/// Values go in as parameters, never as text: the statement is a `&'static str` and its `?` are filled from [`Params`].
///
/// ```no_run
/// # use realgar::{State, Result};
/// # use serde::Deserialize;
/// #[derive(Deserialize)]
/// struct Entry { id: i64, text: String }
///
/// # fn example(state: &State) -> Result<()> {
/// let sql = state.sql();
/// sql.execute("INSERT INTO entries (text) VALUES (?)", ("hello",))?;
/// let entries: Vec<Entry> = sql.query("SELECT id, text FROM entries WHERE id > ?", (10,))?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Sql {
    storage: JsValue,
    raw: JsValue,
}

/// One step of the schema of an object: see [`Sql::migrate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    name: &'static str,
    sql: &'static str,
}

impl Migration {
    /// The step `name`, which runs the statements in `sql`.
    #[must_use]
    pub const fn new(name: &'static str, sql: &'static str) -> Self {
        Self { name, sql }
    }

    /// A fingerprint of the statements. It shows whether they were changed after they ran.
    fn digest(&self) -> String {
        format!("{:016x}", realgar_wire::fingerprint(self.sql))
    }
}

/// A migration that ran, as the table `realgar_migrations` records it.
#[derive(Deserialize)]
struct Done {
    name: String,
    digest: String,
}

impl Sql {
    pub(crate) fn new(storage: JsValue) -> Self {
        Self { raw: js::field(&storage, "sql"), storage }
    }

    pub(crate) fn raw(&self) -> &JsValue {
        &self.raw
    }

    /// Runs a query whose values are numbers and text, and returns its rows packed: see [`codec::rows`].
    pub(crate) fn query_packed(&self, statement: &'static str, params: impl Params) -> Result<Option<Packed>> {
        Ok(Packed::table(&self.rows(statement, params.into_values())?))
    }

    /// Runs a statement for its effect. Returns how many rows it wrote, rows of indexes included.
    ///
    /// # Errors
    /// What SQLite reports, with the statement.
    pub fn execute(&self, statement: &'static str, params: impl Params) -> Result<u64> {
        self.executed(statement, params.into_values())
    }

    // Not generic, so that it is not compiled once for each type of parameters.
    fn executed(&self, statement: &'static str, params: Vec<SqlValue>) -> Result<u64> {
        let written =
            js::execute(&self.raw, statement, &given(&params)?).map_err(|thrown| failed(statement, thrown))?;
        Ok(written as u64)
    }

    fn rows(&self, statement: &'static str, params: Vec<SqlValue>) -> Result<JsValue> {
        js::query(&self.raw, statement, &given(&params)?).map_err(|thrown| failed(statement, thrown))
    }

    /// All rows of a query. A row is decoded into a struct with a field for each column, or into a tuple in the order of the
    /// columns. A row of one column may also be decoded into its value alone, a blob included; a type that accepts anything, such
    /// as an untagged enum or `serde_json::Value`, gets that value too. 0 and 1 are read as `bool` where the type says so. Two
    /// columns of the same name are an error in a struct: rename one with `AS`, or use a tuple.
    ///
    /// # Errors
    /// What SQLite reports, with the statement; or which row and column do not fit `T`. The statement has run by then, and its
    /// writes stay, unless it was in a transaction.
    ///
    /// The platform rounds integers beyond 2^53 - 1 when it returns them. A `SELECT` that returns such integers runs twice, so that
    /// they are exact. Large integers that a writing statement returns (`RETURNING`) are an error: return `CAST(column AS TEXT)`,
    /// into a `String`.
    pub fn query<T: DeserializeOwned>(&self, statement: &'static str, params: impl Params) -> Result<Vec<T>> {
        let rows = self.rows(statement, params.into_values())?;
        let packed = Packed::table(&rows);
        let table = match &packed {
            Some(packed) => Table::of_packed(packed),
            None => Ok(Table::of_js(rows.unchecked_ref())),
        };
        table.and_then(Table::decode).map_err(|error| unfit(statement, error))
    }

    /// The row of a query that has exactly one.
    ///
    /// # Errors
    /// As [`Sql::query`], and when there is no row or more than one.
    pub fn query_one<T: DeserializeOwned>(&self, statement: &'static str, params: impl Params) -> Result<T> {
        let mut rows = self.query(statement, params)?;
        match (rows.pop(), rows.len()) {
            (Some(row), 0) => Ok(row),
            (None, _) => Err(format!("expected one row, got none from `{statement}`").into()),
            (Some(_), more) => Err(format!("expected one row, got {} from `{statement}`", more + 1).into()),
        }
    }

    /// The size of the database in bytes. The platform's limit is 10 GB.
    #[must_use]
    pub fn database_size(&self) -> u64 {
        js::field(&self.raw, "databaseSize").as_f64().unwrap_or_default() as u64
    }

    /// Brings the schema up to date: runs the `migrations` that have not run yet, in order, each in its own transaction. Call this
    /// in Phase 2, so that no event sees a half-done schema.
    ///
    /// ```no_run
    /// # use realgar::{Migration, State, Result};
    /// static MIGRATIONS: [Migration; 2] = [
    ///     Migration::new("posts", "CREATE TABLE posts (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"),
    ///     Migration::new("authors", "ALTER TABLE posts ADD COLUMN author TEXT"),
    /// ];
    ///
    /// # fn phase_2(state: &State) -> Result<()> {
    /// state.sql().migrate(&MIGRATIONS)
    /// # }
    /// ```
    ///
    /// After a rollback of the program, the older version finds more migrations in the database than it has. It leaves them alone.
    ///
    /// # Errors
    /// When a migration fails: the schema then stays as the migrations before it left it. Also when a migration was changed after
    /// it ran, or another one was put before it: then no migration runs.
    pub fn migrate(&self, migrations: &[Migration]) -> Result<()> {
        self.execute(
            "CREATE TABLE IF NOT EXISTS realgar_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL)",
            (),
        )?;
        let done: Vec<Done> = self.query("SELECT name, digest FROM realgar_migrations ORDER BY number", ())?;
        for (number, (migration, done)) in migrations.iter().zip(&done).enumerate() {
            if migration.name != done.name {
                return Err(format!(
                    "migration {number} is `{}`, and was `{}` when it ran; add new ones at the end",
                    migration.name, done.name
                )
                .into());
            }
            if migration.digest() != done.digest {
                return Err(
                    format!("the migration `{}` was changed after it ran; write another one", migration.name).into()
                );
            }
        }
        let fresh = migrations.iter().enumerate().skip(done.len());
        fresh.into_iter().try_for_each(|(number, migration)| self.run_migration(number, migration))
    }

    fn run_migration(&self, number: usize, migration: &Migration) -> Result<()> {
        let record = "INSERT INTO realgar_migrations VALUES (?, ?, ?)";
        let mut outcome = Ok(0);
        let ended = js::transaction_sync(&self.storage, &mut || {
            outcome = self
                .execute(migration.sql, ())
                .and_then(|_| self.execute(record, (number as u64, migration.name, migration.digest())));
            outcome.is_ok()
        });
        let failed = |error: Error| format!("the migration `{}` failed: {error}", migration.name).into();
        outcome.map_err(failed)?;
        ended.map_err(|thrown| failed(Error::from_js(thrown)))
    }
}

/// How many parameters a statement can have (Cloudflare, "Durable Objects limits", as for all limits below).
const PARAMS_MAX: usize = 100;
/// How large a text, a blob or a row can be, in bytes. The platform says 2 MB, and not whether that is 2,000,000 bytes or 2 MiB.
const VALUE_SIZE_MAX: usize = 2 << 20;

/// What the platform reports for an exceeded limit without naming the limit, and the text that names it.
const LIMITS: [(&str, &str); 4] = [
    ("statement too long", "a statement has at most 100 KB"),
    ("too many columns", "a table has at most 100"),
    ("pattern too complex", "a pattern of LIKE or GLOB has at most 50 bytes"),
    ("string or blob too big", "a text, a blob or a row has at most 2 MB"),
];

/// How many parameters one bit mask covers: see [`js::SqlParams`].
const HALF: usize = 50;

/// Passes the parameters of the statement that is run next to JavaScript.
fn given(values: &[SqlValue]) -> Result<js::SqlParams> {
    if values.len() > PARAMS_MAX {
        let given = values.len();
        return Err(format!(
            "a statement takes at most {PARAMS_MAX} parameters, not {given}; pass a list as one JSON text, and read it with `json_each(?)`"
        )
        .into());
    }
    values.iter().try_for_each(SqlValue::check)?;
    let (low, high) = integers(values);
    for value in values {
        match value {
            SqlValue::Integer(v) if is_safe(*v) => js::param_number(*v as f64),
            SqlValue::Real(v) => js::param_number(*v),
            SqlValue::Text(v) => js::param_text(v),
            other => js::param(&other.to_js()),
        }
    }
    Ok(js::SqlParams { count: values.len() as u32, low, high })
}

/// Which parameters are integers, as a bit mask in two halves. See [`js::SqlParams`].
pub(crate) fn integers(values: &[SqlValue]) -> (f64, f64) {
    let (mut low, mut high) = (0.0, 0.0);
    for (index, value) in values.iter().enumerate() {
        if let SqlValue::Integer(_) = value {
            let (half, bit) = if index < HALF { (&mut low, index) } else { (&mut high, index - HALF) };
            *half += (1_u64 << bit) as f64;
        }
    }
    (low, high)
}

/// Decodes the rows of a query. The first element of `table` holds the names of the columns.
pub(crate) fn decode_table<T: DeserializeOwned>(table: &js_sys::Array, statement: &str) -> Result<Vec<T>> {
    // D1 of an older form answers with nothing at all where there are no rows.
    if table.length() == 0 {
        return Ok(Vec::new());
    }
    Table::of_js(table).decode().map_err(|error| unfit(statement, error))
}

/// Whether a JavaScript `Number` holds this integer exactly.
fn is_safe(integer: i64) -> bool {
    integer.unsigned_abs() <= codec::SAFE_INTEGER_MAX
}

fn failed(statement: &str, thrown: JsValue) -> Error {
    Error::Message(format!("{}, in `{statement}`", explained(thrown).trim_end_matches('.')))
}

/// The error for a row that does not fit its type.
#[cold]
fn unfit(statement: &str, error: crate::CodecError) -> Error {
    error.inside("rows").in_statement(statement).into()
}

/// The platform's error message, followed by the limit that was exceeded, if one was.
pub(crate) fn explained(thrown: JsValue) -> String {
    let message = crate::Exception::from(thrown).message;
    let limit = LIMITS.iter().find(|(reported, _)| js::says(&message, reported));
    limit.map_or(message.clone(), |(_, limit)| format!("{message} ({limit})"))
}

/// A value that SQLite stores.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// `NULL`.
    Null,
    /// An integer.
    Integer(i64),
    /// An integer beyond SQLite's largest, 2^63 - 1. It is an error as a parameter.
    TooLarge(u64),
    /// A floating-point number. NaN and the infinities are an error, because the platform would store NULL for them.
    Real(f64),
    /// Text, of at most 2 MB.
    Text(String),
    /// Bytes, at most 2 MB.
    Blob(Vec<u8>),
}

impl SqlValue {
    /// Checks that SQLite can store the value.
    pub(crate) fn check(&self) -> Result<()> {
        let message = match self {
            Self::TooLarge(v) => {
                format!("the integer {v} is beyond those of SQLite, which end at 2^63 - 1; store it as text")
            }
            Self::Real(v) if !v.is_finite() => {
                let number = codec::not_finite(*v);
                format!("the number {number} cannot be stored: SQL has no such number, and would keep NULL")
            }
            Self::Text(v) if v.len() > VALUE_SIZE_MAX => return Err(too_large("text", v.len())),
            Self::Blob(v) if v.len() > VALUE_SIZE_MAX => return Err(too_large("blob", v.len())),
            _ => return Ok(()),
        };
        Err(message.into())
    }

    /// The value as JavaScript gets it. A large integer becomes text, which a `CAST` in the statement turns into an integer.
    pub(crate) fn to_js(&self) -> JsValue {
        match self {
            Self::Null => JsValue::NULL,
            Self::Integer(v) if is_safe(*v) => JsValue::from_f64(*v as f64),
            Self::Integer(v) => v.to_string().into(),
            Self::TooLarge(v) => v.to_string().into(),
            Self::Real(v) => JsValue::from_f64(*v),
            Self::Text(v) => v.into(),
            Self::Blob(v) => Uint8Array::from(v.as_slice()).into(),
        }
    }
}

fn too_large(what: &str, size: usize) -> Error {
    format!("a {what} has {size} bytes, and the platform stores at most 2 MB").into()
}

macro_rules! sql_values {
    ($($type:ty => |$value:ident| $made:expr;)*) => {$(
        impl From<$type> for SqlValue {
            fn from($value: $type) -> Self {
                $made
            }
        }
    )*};
}

sql_values! {
    bool => |v| Self::Integer(v.into());
    i8 => |v| Self::Integer(v.into());
    i16 => |v| Self::Integer(v.into());
    i32 => |v| Self::Integer(v.into());
    i64 => |v| Self::Integer(v);
    u8 => |v| Self::Integer(v.into());
    u16 => |v| Self::Integer(v.into());
    u32 => |v| Self::Integer(v.into());
    u64 => |v| i64::try_from(v).map_or(Self::TooLarge(v), Self::Integer);
    f32 => |v| Self::Real(v.into());
    f64 => |v| Self::Real(v);
    &str => |v| Self::Text(v.into());
    &String => |v| Self::Text(v.clone());
    String => |v| Self::Text(v);
    &[u8] => |v| Self::Blob(v.into());
    Vec<u8> => |v| Self::Blob(v);
}

impl<T: Into<SqlValue>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The parameters of a statement: a tuple, an array or a `Vec` of values, or `()` for none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of parameters",
    note = "one parameter is `(value,)`, none are `()`, and more than eight are an array or a `Vec` of `SqlValue`s"
)]
pub trait Params {
    /// The values, in the order of the statement's `?`.
    fn into_values(self) -> Vec<SqlValue>;
}

impl Params for () {
    fn into_values(self) -> Vec<SqlValue> {
        Vec::new()
    }
}

impl<T: Into<SqlValue>> Params for Vec<T> {
    fn into_values(self) -> Vec<SqlValue> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<T: Into<SqlValue>, const N: usize> Params for [T; N] {
    fn into_values(self) -> Vec<SqlValue> {
        self.into_iter().map(Into::into).collect()
    }
}

macro_rules! tuple_params {
    ($($name:ident)*) => {
        impl<$($name: Into<SqlValue>),*> Params for ($($name,)*) {
            #[expect(non_snake_case, reason = "one identifier names both the type and the value")]
            fn into_values(self) -> Vec<SqlValue> {
                let ($($name,)*) = self;
                vec![$($name.into()),*]
            }
        }
    };
}

tuple_params!(A);
tuple_params!(A B);
tuple_params!(A B C);
tuple_params!(A B C D);
tuple_params!(A B C D E);
tuple_params!(A B C D E F);
tuple_params!(A B C D E F G);
tuple_params!(A B C D E F G H);
