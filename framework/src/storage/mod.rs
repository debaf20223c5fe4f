//! The storage of a Durable Object: keys and values, transactions, and in `sql` its database.

pub(crate) mod sql;

use crate::{
    Error, Result, codec,
    runtime::{
        call, executor, js,
        promise::{self, awaited},
        trace::Surroundings,
    },
    scheduler::{OpenTransaction, Plain, Wakes},
};
use js_sys::{Array, Object};
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
    wakes: Rc<Wakes>,
}

impl Deref for Storage {
    type Target = Entries;

    fn deref(&self) -> &Entries {
        &self.entries
    }
}

impl Storage {
    pub(crate) fn new(state: JsValue, raw: JsValue, wakes: Rc<Wakes>) -> Self {
        Self { state, entries: Entries { raw }, wakes }
    }

    pub(crate) fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    pub(crate) fn raw(&self) -> &JsValue {
        &self.entries.raw
    }

    /// Runs `body` in a transaction: either all its writes are stored or, if it fails or panics, none.
    ///
    /// No other event is delivered to the object meanwhile. If the returned future is dropped, nothing is stored: a body that has
    /// begun runs to its end, and its writes are then rolled back.
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
        // Lets the body see whether the caller still waits. If it does not, the writes are rolled back.
        let wanted = Rc::new(());
        let waiting = Rc::downgrade(&wanted);
        let call = call::current_call();
        // JavaScript owns this closure, because it may run after this future was dropped.
        let run = Closure::once_into_js(move |record: JsValue, call: u32, raw: JsValue| {
            if waiting.strong_count() == 0 {
                return js::settle(&record, &JsValue::FALSE);
            }
            let mut body = Box::pin(around.around(|| body(Transaction { entries: Entries { raw } })));
            call::run(
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
        let before = self.wakes.before_transaction()?;
        let promise = js::transaction(&self.state, call, &run).map_err(Error::from_js)?;
        let open = Some(self.wakes.open_transaction());
        let mut abandoned = Abandoned { open, before, promise: Some(promise.clone()) };
        let ended = promise::settled(&promise).await;
        abandoned.promise = None;
        drop(wanted);
        let result = match outcome.take() {
            Some(Err(error)) => Err(error),
            Some(Ok(value)) => ended.map(|_| value).map_err(Error::from_js),
            None => Err(ended.err().map_or_else(|| "the transaction did not run".into(), Error::from_js)),
        };
        if result.is_err() {
            self.wakes.after_rollback(before);
        }
        result
    }

    /// The same entries through a synchronous API, without an `await`.
    #[must_use]
    pub fn kv(&self) -> Kv {
        Kv { raw: js::field(&self.entries.raw, "kv") }
    }

    /// Deletes everything: all entries, all tables, and the alarm.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn delete_all(&self) -> Result<()> {
        self.wakes.write()?;
        let deleted = js::invoke0(&self.entries.raw, "deleteAll");
        if deleted.is_ok() {
            self.wakes.forget_all();
        }
        awaited(deleted).await.map(drop)
    }

    /// Waits until all earlier writes are stored. No response leaves before that, even without this call.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn sync(&self) -> Result<()> {
        awaited(js::invoke0(&self.entries.raw, "sync")).await.map(drop)
    }

    /// A bookmark of the storage's current state, to which the storage can be restored for 30 days (Cloudflare's "SQLite-backed
    /// Durable Object Storage"). The local runtime keeps no history, so its bookmarks lead nowhere.
    ///
    /// # Errors
    /// When the platform has no bookmark.
    pub async fn bookmark(&self) -> Result<String> {
        bookmark(js::invoke0(&self.entries.raw, "getCurrentBookmark")).await
    }

    /// A bookmark of the storage's state at `time_ms`, in milliseconds since 1970.
    ///
    /// # Errors
    /// As [`Storage::bookmark`], and for a time that is more than 30 days ago.
    pub async fn bookmark_at(&self, time_ms: u64) -> Result<String> {
        bookmark(js::invoke1(&self.entries.raw, "getBookmarkForTime", &(time_ms as f64).into())).await
    }

    /// Restores the storage to its state at the bookmark `bookmark_to` when the object next starts, which [`crate::State::abort`]
    /// brings about. Returns the bookmark that undoes this.
    ///
    /// # Errors
    /// As [`Storage::bookmark`], and when `bookmark_to` is not a bookmark.
    pub async fn restore_at_next_start(&self, bookmark_to: &str) -> Result<String> {
        bookmark(js::invoke1(&self.entries.raw, "onNextSessionRestoreBookmark", &bookmark_to.into())).await
    }

    /// Runs `body` in a synchronous transaction, without an `await`: either all its writes are stored or, if it fails or panics,
    /// none.
    ///
    /// # Errors
    /// What `body` fails with, or the storage.
    pub fn transaction_sync<T, E: From<Error>>(&self, body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let (mut body, mut outcome) = (Some(body), None);
        let before = self.wakes.before_transaction()?;
        let ended = js::transaction_sync(&self.entries.raw, &mut || {
            let result = body.take().map(|body| body());
            let commit = matches!(result, Some(Ok(_)));
            outcome = result;
            commit
        });
        let result = match (outcome, ended) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(thrown)) => Err(Error::from_js(thrown).into()),
            (None, Ok(())) => Err(Error::from("the transaction did not run").into()),
        };
        if result.is_err() {
            self.wakes.after_rollback(before);
        }
        result
    }
}

/// Guards a transaction whose caller may drop its future. Such a transaction is rolled back when it ends, and what the wakes know
/// of the database is then reset.
struct Abandoned {
    open: Option<OpenTransaction>,
    before: Plain,
    promise: Option<JsValue>,
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let (Some(promise), Some(open)) = (self.promise.take(), self.open.take()) {
            let before = self.before;
            executor::spawn(Box::pin(async move {
                let _ = promise::settled(&promise).await;
                open.wakes().after_rollback(before);
            }));
        }
    }
}

async fn bookmark(returned: Result<JsValue, JsValue>) -> Result<String> {
    Ok(codec::from_js(&awaited(returned).await?)?)
}

/// The key-value storage through a synchronous API, which [`Storage::transaction_sync`] can use. It has the same entries as
/// [`Entries`].
#[derive(Clone, Debug)]
pub struct Kv {
    raw: JsValue,
}

impl Kv {
    /// The value of `key`, or `None` where there is none.
    ///
    /// # Errors
    /// As [`Entries::get`].
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        decoded(key, &js::invoke1(&self.raw, "get", &key.into()).map_err(Error::from_js)?)
    }

    /// Stores `value` under `key`.
    ///
    /// # Errors
    /// As [`Entries::put`].
    pub fn put<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        let stored = js::invoke2(&self.raw, "put", &key.into(), &encoded(key, value)?);
        stored.map(drop).map_err(|thrown| sql::explained(thrown).into())
    }

    /// Deletes `key`. Says whether it existed.
    ///
    /// # Errors
    /// As [`Entries::delete`].
    pub fn delete(&self, key: &str) -> Result<bool> {
        Ok(js::invoke1(&self.raw, "delete", &key.into()).map_err(Error::from_js)?.is_truthy())
    }

    /// The entries that `options` selects, in the order of their keys (by UTF-8 bytes).
    ///
    /// # Errors
    /// As [`Entries::list`].
    pub fn list<T: DeserializeOwned>(&self, options: &ListOptions) -> Result<Vec<(String, T)>> {
        pairs(&js::invoke1(&self.raw, "list", &options.to_js()).map_err(Error::from_js)?)
    }
}

/// Stores more entries than the platform takes in one call, in one synchronous transaction.
fn put_in_transaction(storage: &JsValue, kv: &JsValue, entries: &[(&str, JsValue)]) -> Result<()> {
    let mut failed = None;
    let ended = js::transaction_sync(storage, &mut || {
        let put = |(key, value): &(&str, JsValue)| js::invoke2(kv, "put", &(*key).into(), value);
        failed = entries.iter().find_map(|entry| put(entry).err());
        failed.is_none()
    });
    match failed.or(ended.err()) {
        Some(thrown) => Err(Error::Message(sql::explained(thrown))),
        None => Ok(()),
    }
}

/// Awaits a write. An error names the limit that was exceeded, if one was.
async fn stored(returned: Result<JsValue, JsValue>) -> Result<()> {
    let failed = |thrown| Error::Message(sql::explained(thrown));
    promise::settled(&returned.map_err(failed)?).await.map(drop).map_err(failed)
}

fn encoded<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<JsValue> {
    if key.len() > KEY_SIZE_MAX {
        return Err(format!("a key has {} bytes, and the platform takes at most {KEY_SIZE_MAX}", key.len()).into());
    }
    let value = codec::to_js(value).map_err(|error| error.inside(key))?;
    // The platform treats `undefined` as no value at all; `null` decodes to the same types.
    Ok(if value.is_undefined() { JsValue::NULL } else { value })
}

fn decoded<T: DeserializeOwned>(key: &str, value: &JsValue) -> Result<Option<T>> {
    if value.is_undefined() {
        return Ok(None);
    }
    codec::from_js(value).map(Some).map_err(|error| error.inside(key).into())
}

fn pairs<T: DeserializeOwned>(listed: &JsValue) -> Result<Vec<(String, T)>> {
    let pairs = js::entries(listed).map_err(Error::from_js)?;
    let mut entries = Vec::with_capacity(pairs.length() as usize / 2);
    for index in (0..pairs.length()).step_by(2) {
        let key = pairs.get(index).as_string().unwrap_or_default();
        let value = codec::from_js(&pairs.get(index + 1)).map_err(|error| error.inside(&key))?;
        entries.push((key, value));
    }
    Ok(entries)
}

/// The storage inside [`Storage::transaction`]. It offers the operations of [`Entries`], and only operations on it take part in the
/// transaction.
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

/// The keys and values of a storage. A value is anything that serde can encode; a class written in JavaScript reads it as a plain
/// value.
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
    /// When the stored value is not a `T`; the error names the path inside the value. The stored value is not changed.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        decoded(key, &awaited(js::invoke1(&self.raw, "get", &key.into())).await?)
    }

    /// The values of `keys`, sorted by key. Keys that have no value are left out. The platform takes 128 keys a call, so more keys
    /// take several calls; no other event runs between these.
    ///
    /// # Errors
    /// As [`Entries::get`].
    pub async fn get_many<T: DeserializeOwned>(&self, keys: &[&str]) -> Result<Vec<(String, T)>> {
        let mut found = Vec::new();
        for call in calls(keys.iter().map(|key| JsValue::from_str(key))) {
            found.extend(pairs(&awaited(js::invoke1(&self.raw, "get", &call)).await?)?);
        }
        found.sort_by(|(one, _): &(String, T), (other, _)| one.cmp(other));
        Ok(found)
    }

    /// Stores `value` under `key`.
    ///
    /// # Errors
    /// When the value cannot be encoded, or when the key or the value is over the limits.
    pub async fn put<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        stored(js::invoke2(&self.raw, "put", &key.into(), &encoded(key, value)?)).await
    }

    /// Stores all entries, or none if one cannot be stored. In a [`Transaction`], a write of more than 128 entries is atomic only
    /// if its error rolls the transaction back.
    ///
    /// # Errors
    /// As [`Entries::put`].
    pub async fn put_many<'a, T: Serialize + 'a>(
        &self,
        entries: impl IntoIterator<Item = (&'a str, &'a T)>,
    ) -> Result<()> {
        let entries = entries.into_iter().map(|(key, value)| Ok((key, encoded(key, value)?)));
        self.put_all(&entries.collect::<Result<Vec<_>>>()?).await
    }

    async fn put_all(&self, entries: &[(&str, JsValue)]) -> Result<()> {
        let kv = js::field(&self.raw, "kv");
        if entries.len() > KEYS_MAX && !kv.is_undefined() {
            return put_in_transaction(&self.raw, &kv, entries);
        }
        // No `await` separates the calls, so they are stored as one write. In a transaction, a failed call has to roll the
        // transaction back.
        let calls: Vec<Result<JsValue, JsValue>> = entries
            .chunks(KEYS_MAX)
            .map(|entries| {
                let object = Object::new();
                entries.iter().for_each(|(key, value)| js::define_any(&object, key, value));
                js::invoke1(&self.raw, "put", &object)
            })
            .collect();
        for call in calls {
            stored(call).await?;
        }
        Ok(())
    }

    /// Deletes all `keys`. Returns how many of them existed.
    ///
    /// # Errors
    /// As [`Entries::delete`].
    pub async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        let calls = calls(keys.iter().map(|key| JsValue::from_str(key)));
        let calls: Vec<_> = calls.iter().map(|call| js::invoke1(&self.raw, "delete", call)).collect();
        let mut count = 0;
        for call in calls {
            count += awaited(call).await?.as_f64().unwrap_or_default() as u64;
        }
        Ok(count)
    }

    /// Deletes `key`. Says whether it existed.
    ///
    /// # Errors
    /// When the key is over the limit.
    pub async fn delete(&self, key: &str) -> Result<bool> {
        Ok(awaited(js::invoke1(&self.raw, "delete", &key.into())).await?.is_truthy())
    }

    /// The entries that `options` selects, in the order of their keys (by UTF-8 bytes).
    ///
    /// # Errors
    /// When a value is not a `T`: the error names the key.
    pub async fn list<T: DeserializeOwned>(&self, options: &ListOptions) -> Result<Vec<(String, T)>> {
        pairs(&awaited(js::invoke1(&self.raw, "list", &options.to_js())).await?)
    }
}

/// How many keys the platform takes in one call.
const KEYS_MAX: usize = 128;
/// How large a key can be, in bytes (Cloudflare, "Durable Objects limits").
const KEY_SIZE_MAX: usize = realgar_wire::limits::STORAGE_KEY_SIZE_MAX;

/// Splits the keys into lists that the platform takes in one call.
fn calls(keys: impl Iterator<Item = JsValue>) -> Vec<Array> {
    let keys: Vec<JsValue> = keys.collect();
    keys.chunks(KEYS_MAX).map(|keys| keys.iter().collect()).collect()
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
