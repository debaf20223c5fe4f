//! The key-value storage of a Durable Object.

use crate::{__private::runtime, Error, Result, codec, js, promise, trace::Surroundings};
use js_sys::Object;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    ops::Deref,
    rc::Rc,
};
use wasm_bindgen::{JsValue, prelude::Closure};

/// The key-value storage of one object: what [`Entries`] offers, and transactions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    state: JsValue,
    entries: Entries,
}

impl Deref for Storage {
    type Target = Entries;

    fn deref(&self) -> &Entries {
        &self.entries
    }
}

impl Storage {
    pub(crate) fn new(state: JsValue, raw: JsValue) -> Self {
        Self { state, entries: Entries { raw } }
    }

    /// Runs `body` in a transaction: all its writes are stored, or, if it fails or panics, none.
    ///
    /// No other event is delivered to the object meanwhile. If the future is dropped, nothing is stored; a body that has begun runs
    /// to its end.
    ///
    /// # Errors
    /// What `body` fails with, or the storage.
    pub async fn transaction<T, F>(&self, body: impl FnOnce(Transaction) -> F + 'static) -> Result<T>
    where
        T: 'static,
        F: Future<Output = Result<T>> + 'static,
    {
        let outcome: Rc<RefCell<Option<Result<T>>>> = Rc::default();
        let (slot, around) = (outcome.clone(), Surroundings::current());
        // If nobody waits any more, what was written is not kept.
        let wanted = Rc::new(());
        let waiting = Rc::downgrade(&wanted);
        let call = runtime::current_call();
        // JavaScript's own, because it may run after this future was dropped.
        let run = Closure::once_into_js(move |record: JsValue, call: u32, raw: JsValue| {
            if waiting.strong_count() == 0 {
                return js::settle(&record, &JsValue::FALSE);
            }
            let mut body = Box::pin(around.around(|| body(Transaction { entries: Entries { raw } })));
            runtime::run(
                record,
                call,
                Box::pin(async move {
                    let result = poll_fn(|cx| around.around(|| body.as_mut().poll(cx))).await;
                    let commit = result.is_ok() && waiting.strong_count() > 0;
                    slot.replace(Some(result));
                    Ok(JsValue::from_bool(commit))
                }),
            );
        });
        let promise = js::transaction(&self.state, call, &run).map_err(Error::from_js)?;
        let ended = promise::settled(&promise).await;
        drop(wanted);
        match outcome.take() {
            Some(Err(error)) => Err(error),
            Some(Ok(value)) => ended.map(|_| value).map_err(Error::from_js),
            None => Err(ended.err().map_or_else(|| "the transaction did not run".into(), Error::from_js)),
        }
    }

    /// Runs `body` in a transaction without an `await`: all its writes are stored, or, if it fails or panics, none.
    ///
    /// # Errors
    /// What `body` fails with, or the storage.
    pub fn transaction_sync<T, E: From<Error>>(&self, body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let (mut body, mut outcome) = (Some(body), None);
        let ended = js::transaction_sync(&self.entries.raw, &mut || {
            let result = body.take().map(|body| body());
            let commit = matches!(result, Some(Ok(_)));
            outcome = result;
            commit
        });
        match (outcome, ended) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(thrown)) => Err(Error::from_js(thrown).into()),
            (None, Ok(())) => Err(Error::from("the transaction did not run").into()),
        }
    }
}

/// The storage inside [`Storage::transaction`]: what [`Entries`] offers, and only that takes part in the transaction.
#[derive(Clone, Debug)]
pub struct Transaction {
    entries: Entries,
}

impl Deref for Transaction {
    type Target = Entries;

    fn deref(&self) -> &Entries {
        &self.entries
    }
}

/// Keys and values. Values are what serde can encode; a JavaScript class reads them as plain values.
///
/// Keys are at most 2 KiB and values at most 2 MiB in a SQLite-backed object (Cloudflare, "Durable Objects limits"). Writes
/// that no `await` separates are stored together or not at all, and no response leaves before they are stored.
#[derive(Clone, Debug)]
pub struct Entries {
    raw: JsValue,
}

impl Entries {
    /// The value of `key`, or `None` where there is none.
    ///
    /// # Errors
    /// When the stored value is not a `T`: the error names the path. The value stays.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let value = settled(js::invoke1(&self.raw, "get", &key.into())).await?;
        if value.is_undefined() {
            return Ok(None);
        }
        codec::from_js(&value).map(Some).map_err(|error| error.inside(key).into())
    }

    /// Stores `value` under `key`.
    ///
    /// # Errors
    /// When the value cannot be encoded, or key or value is over the limits.
    pub async fn put<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        let mut value = codec::to_js(value).map_err(|error| error.inside(key))?;
        if value.is_undefined() {
            // The platform treats `undefined` as no value at all; `null` decodes to the same types.
            value = JsValue::NULL;
        }
        settled(js::invoke2(&self.raw, "put", &key.into(), &value)).await.map(drop)
    }

    /// Deletes `key`. Says whether it existed.
    ///
    /// # Errors
    /// When the key is over the limit.
    pub async fn delete(&self, key: &str) -> Result<bool> {
        Ok(settled(js::invoke1(&self.raw, "delete", &key.into())).await?.is_truthy())
    }

    /// The entries that `options` selects, in the order of their keys (by UTF-8 bytes).
    ///
    /// # Errors
    /// When a value is not a `T`: the error names the key.
    pub async fn list<T: DeserializeOwned>(&self, options: &ListOptions) -> Result<Vec<(String, T)>> {
        let map = settled(js::invoke1(&self.raw, "list", &options.to_js())).await?;
        let pairs = js::entries(&map).map_err(Error::from_js)?;
        let mut entries = Vec::with_capacity(pairs.length() as usize / 2);
        for index in (0..pairs.length()).step_by(2) {
            let key = pairs.get(index).as_string().unwrap_or_default();
            let value = codec::from_js(&pairs.get(index + 1)).map_err(|error| error.inside(&key))?;
            entries.push((key, value));
        }
        Ok(entries)
    }
}

/// Which entries [`Entries::list`] returns. The default is all.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    start: Option<String>,
    start_after: Option<String>,
    end: Option<String>,
    prefix: Option<String>,
    limit: Option<u32>,
    reverse: bool,
}

impl ListOptions {
    /// All entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only keys from `key` on, itself included.
    #[must_use]
    pub fn start(mut self, key: impl Into<String>) -> Self {
        self.start = Some(key.into());
        self
    }

    /// Only keys after `key`.
    #[must_use]
    pub fn start_after(mut self, key: impl Into<String>) -> Self {
        self.start_after = Some(key.into());
        self
    }

    /// Only keys before `key`.
    #[must_use]
    pub fn end(mut self, key: impl Into<String>) -> Self {
        self.end = Some(key.into());
        self
    }

    /// Only keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// At most `limit` entries.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The last key first.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    fn to_js(&self) -> Object {
        let options = Object::new();
        let texts =
            [("start", &self.start), ("startAfter", &self.start_after), ("end", &self.end), ("prefix", &self.prefix)];
        for (name, text) in texts {
            if let Some(text) = text {
                js::define(&options, name, &text.as_str().into());
            }
        }
        if let Some(limit) = self.limit {
            js::define(&options, "limit", &limit.into());
        }
        if self.reverse {
            js::define(&options, "reverse", &true.into());
        }
        options
    }
}

/// Awaits what the storage returned: a promise, or an exception on the spot.
pub(crate) async fn settled(returned: Result<JsValue, JsValue>) -> Result<JsValue> {
    let promise = returned.map_err(Error::from_js)?;
    promise::settled(&promise).await.map_err(Error::from_js)
}
