//! An object with well-behaved methods.

use crate::{Everything, MENU_PHASE_1, Shape, json};
use realgar::{CallError, ListOptions, RpcError, prelude::*};
use serde::{Deserialize, Serialize};
use std::{
    cell::Cell,
    fmt,
    sync::atomic::{AtomicU32, Ordering},
};

/// How often Phase 2 ran in this wasm instance, over all instances of the class.
static PHASE_2: AtomicU32 = AtomicU32::new(0);

#[cfg_attr(not(feature = "isolated"), durable_object)]
#[cfg_attr(feature = "isolated", durable_object(isolation = "object"))]
pub struct Menu {
    state: State,
    /// The number of this instance among all that this wasm instance made.
    instance: u32,
    calls: Cell<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum OrderError {
    #[error("there are only {left} left of `{dish}`")]
    SoldOut { dish: String, left: u64 },
    #[error("the kitchen is closed")]
    Closed,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Phases {
    pub phase_1: u32,
    pub phase_2: u32,
    pub instance: u32,
    pub calls: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub id: i64,
    pub name: String,
    pub price: Option<f64>,
    pub photo: Vec<u8>,
    pub vegan: bool,
}

impl DurableObject for Menu {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        MENU_PHASE_1.fetch_add(1, Ordering::Relaxed);
        |state: State| async move {
            let instance = PHASE_2.fetch_add(1, Ordering::Relaxed) + 1;
            state.sql().execute(
                "CREATE TABLE IF NOT EXISTS dishes (id INTEGER PRIMARY KEY, name TEXT, price REAL, photo BLOB)",
                (),
            )?;
            Ok(Menu { state, instance, calls: Cell::new(0) })
        }
    }
}

impl Fetch for Menu {
    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let body = request.text().await?;
        json(&(format!("{:?}", request.method()), request.path(), body))
    }
}

#[rpc]
impl Menu {
    /// `Some(None)`, which JavaScript cannot say.
    pub fn nested(&self) -> Option<Option<u8>> {
        Some(None)
    }

    /// Nothing, inside of something.
    #[rpc(native)]
    pub fn nulls(&self) -> (serde_json::Value, ((), Option<u8>)) {
        (serde_json::json!([1, null, {"a": null}]), ((), None))
    }

    pub fn own_id(&self) -> String {
        self.state.id().to_string()
    }

    pub fn phases(&self) -> Phases {
        self.calls.set(self.calls.get() + 1);
        Phases {
            phase_1: MENU_PHASE_1.load(Ordering::Relaxed),
            phase_2: PHASE_2.load(Ordering::Relaxed),
            instance: self.instance,
            calls: self.calls.get(),
        }
    }

    pub async fn echo_text(&self, text: String) -> String {
        text
    }

    pub fn echo_bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    pub fn echo_u64(&self, value: u64) -> u64 {
        value
    }

    pub fn echo_i64(&self, value: i64) -> i64 {
        value
    }

    pub fn echo_u8(&self, value: u8) -> u8 {
        value
    }

    pub fn echo_option(&self, value: Option<u32>) -> Option<u32> {
        value
    }

    pub fn echo_shape(&self, shape: Shape) -> Shape {
        shape
    }

    #[rpc(native)]
    pub fn echo_json(&self, value: serde_json::Value) -> serde_json::Value {
        value
    }

    pub async fn echo_everything(&self, everything: Everything) -> Everything {
        everything
    }

    pub async fn store_everything(&self, everything: Everything) -> Result<Everything> {
        self.state.storage().put("everything", &everything).await?;
        Ok(self.state.storage().get("everything").await?.ok_or("gone")?)
    }

    pub fn nothing(&self) {}

    #[rpc(name = "plain_name")]
    pub fn renamed(&self) -> String {
        "renamed".into()
    }

    pub async fn order(&self, dish: String, count: u64) -> Result<u64, OrderError> {
        match dish.as_str() {
            "closed" => Err(OrderError::Closed),
            "rare" => Err(OrderError::SoldOut { dish, left: u64::MAX }),
            _ => Ok(count),
        }
    }

    pub async fn stringly(&self) -> Result<(), String> {
        Err("just text".into())
    }

    pub async fn framework_error(&self) -> Result<u32> {
        self.state.storage().put("wrong", "text").await?;
        let wrong: Option<u32> = self.state.storage().get("wrong").await?;
        Ok(wrong.unwrap_or_default())
    }

    #[rpc(native)]
    pub async fn put(&self, key: String, value: serde_json::Value) -> Result<()> {
        self.state.storage().put(&key, &value).await
    }

    #[rpc(native)]
    pub async fn get_key(&self, key: String) -> Result<Option<serde_json::Value>> {
        self.state.storage().get(&key).await
    }

    pub async fn delete_key(&self, key: String) -> Result<bool> {
        self.state.storage().delete(&key).await
    }

    /// Everything, of which the values may be as large as they can.
    pub async fn list_large(&self, prefix: String) -> Result<Vec<(String, u64)>> {
        self.state.storage().list(&ListOptions::new().prefix(&prefix)).await
    }

    pub async fn list_keys(&self, prefix: String, limit: u32, reverse: bool) -> Result<Vec<(String, u32)>> {
        let mut options = ListOptions::new().prefix(prefix).limit(limit);
        if reverse {
            options = options.reverse();
        }
        self.state.storage().list(&options).await
    }

    pub async fn put_text(&self, key: String, value: String) -> Result<()> {
        self.state.storage().put(&key, &value).await
    }

    pub fn sql_round_trip(&self) -> Result<Vec<Row>> {
        let sql = self.state.sql();
        let insert = "INSERT INTO dishes (id, name, price, photo) VALUES (?, ?, ?, ?)";
        sql.execute("DELETE FROM dishes", ())?;
        sql.execute(insert, (1, "Robert'); DROP TABLE dishes;--", 9.5, vec![0_u8, 255]))?;
        sql.execute(insert, ((1_i64 << 53) - 1, "naïve 🦀", None::<f64>, Vec::<u8>::new()))?;
        sql.query("SELECT *, id = 1 AS vegan FROM dishes ORDER BY id", ())
    }

    pub fn sql_bad(&self, what: String) -> Result<u64> {
        let sql = self.state.sql();
        match what.as_str() {
            "syntax" => sql.execute("SELEKT 1", ()),
            "lazy" => Ok(sql.query::<(u32,)>("SELECT abs(-9223372036854775808) AS a", ())?.len() as u64),
            "none" => sql.query_one("SELECT id FROM dishes WHERE id = ?", (-1,)).map(|Row { id, .. }| id as u64),
            _ => Ok(0),
        }
    }

    pub async fn transact(&self, fail: bool) -> Result<Option<u32>> {
        let storage = self.state.storage();
        storage.delete("transacted").await?;
        let outcome = storage
            .transaction(move |transaction| async move {
                transaction.put("transacted", &7).await?;
                if fail { Err("changed my mind".into()) } else { Ok(()) }
            })
            .await;
        if let Err(error) = outcome
            && error.to_string() != "changed my mind"
        {
            return Err(error);
        }
        storage.get("transacted").await
    }

    pub fn transact_sync(&self, fail: bool) -> Result<u64> {
        let sql = self.state.sql();
        sql.execute("DELETE FROM dishes", ())?;
        let outcome: Result<()> = self.state.storage().transaction_sync(|| {
            sql.execute("INSERT INTO dishes (id) VALUES (?)", (1,))?;
            if fail { Err("changed my mind".into()) } else { Ok(()) }
        });
        assert_eq!(outcome.is_err(), fail);
        #[derive(Deserialize)]
        struct Count {
            count: u64,
        }
        Ok(sql.query_one::<Count>("SELECT count(*) AS count FROM dishes", ())?.count)
    }
}

/// Calls that fail, as the Rust caller sees them.
pub async fn typed_errors(menus: &Namespace<Menu>, which: &str) -> Result<Response> {
    let menu = menus.get_by_name("errors");
    let text = match which {
        "closed" => show(menu.order("closed".into(), 1).await),
        "sold-out" => show(menu.order("rare".into(), 1).await),
        "fine" => show(menu.order("soup".into(), 3).await),
        "stringly" => show(menu.stringly().await),
        "framework" => match menu.framework_error().await {
            Err(CallError::Method(error)) => format!("method: {error}"),
            other => format!("{other:?}"),
        },
        "bad-result" => show_rpc(OtherMenuStub::from((*menu).clone()).own_id().await),
        "unknown" => show_rpc(OtherMenuStub::from((*menu).clone()).no_such_method().await),
        "bad-arguments" => show_rpc(OtherMenuStub::from((*menu).clone()).echo_u8(4096).await),
        _ => return Ok(Response::error("no such error", 404)?),
    };
    Ok(Response::ok(text)?)
}

fn show<T: fmt::Debug, E: fmt::Debug>(outcome: Result<T, CallError<E>>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(CallError::Method(error)) => format!("method: {error:?}"),
        Err(CallError::Rpc(error)) => format!("rpc: {error}"),
    }
}

fn show_rpc<T: fmt::Debug>(outcome: Result<T, RpcError>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{:?} at {:?}: {}", error.kind(), error.path(), error.message()),
    }
}

/// What a caller of another version believes the methods to be.
#[cfg_attr(not(feature = "isolated"), durable_object)]
#[cfg_attr(feature = "isolated", durable_object(isolation = "object"))]
pub struct OtherMenu;

#[rpc]
impl OtherMenu {
    pub fn own_id(&self) -> u32 {
        0
    }

    pub fn no_such_method(&self) -> u32 {
        0
    }

    pub fn echo_u8(&self, value: u32) -> u32 {
        value
    }
}
