//! Workers KV: a key-value store for values that are read everywhere and written seldom.

use super::{lookup, object};
use crate::{
    Bindable, Declaration, Result, codec,
    runtime::{js, promise::awaited},
};
use js_sys::Uint8Array;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::time::Duration;
use wasm_bindgen::{JsCast, JsValue};

/// A KV namespace, as a value: `static PAGES: KvNamespace = KvNamespace::new("Pages");`.
#[derive(Clone, Copy, Debug)]
pub struct KvNamespace {
    name: &'static str,
}

impl KvNamespace {
    /// The namespace with this logical name, which is also the name of its binding.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }
}

impl Bindable for KvNamespace {
    type Client = KvClient;

    fn declare(&self) -> Declaration {
        Declaration::new(self.name, "kv_namespace").with("namespace", self.name)
    }

    fn client(&self) -> KvClient {
        KvClient { binding: self.name }
    }
}

/// The client of a KV namespace.
///
/// A write is seen at once where it was made, and elsewhere within about a minute. A key has at most 512 bytes, a value 25 MiB,
/// and its metadata 1,024 bytes as JSON (Cloudflare's "KV limits").
#[derive(Clone, Copy, Debug)]
pub struct KvClient {
    binding: &'static str,
}

/// How long a value stays, and its metadata.
#[derive(Clone, Debug, Default)]
pub struct KvPut {
    /// The value expires after this long, at least 60 s.
    pub ttl: Option<Duration>,
    /// The metadata, which is stored beside the value and listed with its key.
    pub metadata: Option<serde_json::Value>,
}

/// Which keys to list.
#[derive(Clone, Debug, Default)]
pub struct KvList {
    /// Only keys that start with this.
    pub prefix: String,
    /// How many keys to list. The most, and the default, is 1,000.
    pub limit: Option<u32>,
    /// The [`KvPage::cursor`] of the page before.
    pub cursor: Option<String>,
}

/// A page of keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KvPage {
    /// The keys, in the order of their bytes.
    pub keys: Vec<KvKey>,
    /// Where the next page starts; `None` on the last one.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KvKey {
    /// The key.
    pub name: String,
    /// When its value expires, in seconds since 1970.
    #[serde(default)]
    pub expiration: Option<u64>,
    /// The metadata of its value.
    #[serde(default)]
    pub metadata: Option<serde_json::Value>,
}

impl KvClient {
    /// The value of `key` as text.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn get_text(&self, key: &str) -> Result<Option<String>> {
        Ok(codec::from_js(&self.get(key, "text").await?)?)
    }

    /// The value of `key` as bytes.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn get_bytes(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let value = self.get(key, "arrayBuffer").await?;
        Ok((!value.is_null()).then(|| js::bytes(&value).to_vec()))
    }

    /// The value of `key`, which [`KvClient::put_json`] wrote.
    ///
    /// # Errors
    /// What the platform reports, or where the value is not a `T`.
    pub async fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(text) = self.get_text(key).await? else { return Ok(None) };
        Ok(Some(codec::json::parse(&text).map_err(|error| error.inside(key))?))
    }

    /// The value of `key` as text, with its metadata.
    ///
    /// # Errors
    /// What the platform reports, or where the metadata is not an `M`.
    pub async fn get_with_metadata<M: DeserializeOwned>(&self, key: &str) -> Result<Option<(String, Option<M>)>> {
        let found = awaited(js::invoke1(&lookup(self.binding)?, "getWithMetadata", &key.into())).await?;
        let Some(value) = js::string_field(&found, "value") else { return Ok(None) };
        let metadata = codec::from_js(&js::field(&found, "metadata")).map_err(|error| error.inside("metadata"))?;
        Ok(Some((value, metadata)))
    }

    /// Writes text.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn put_text(&self, key: &str, value: &str, options: KvPut) -> Result<()> {
        self.put(key, &value.into(), options).await
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn put_bytes(&self, key: &str, value: &[u8], options: KvPut) -> Result<()> {
        self.put(key, &Uint8Array::from(value).into(), options).await
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// What the platform reports, or where `value` has no exact form in JSON.
    pub async fn put_json<T: Serialize>(&self, key: &str, value: &T, options: KvPut) -> Result<()> {
        let mut text = Vec::new();
        codec::json::append(&mut text, value)?;
        self.put(key, &String::from_utf8_lossy(&text).as_ref().into(), options).await
    }

    /// Removes `key`, which need not exist.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn delete(&self, key: &str) -> Result<()> {
        awaited(js::invoke1(&lookup(self.binding)?, "delete", &key.into())).await.map(drop)
    }

    /// Lists keys.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn list(&self, options: &KvList) -> Result<KvPage> {
        let options = object([
            ("prefix", Some(options.prefix.as_str().into())),
            ("limit", options.limit.map(JsValue::from)),
            ("cursor", options.cursor.as_deref().map(JsValue::from)),
        ]);
        let page = awaited(js::invoke1(&lookup(self.binding)?, "list", &options)).await?;
        Ok(codec::from_js(&page)?)
    }

    async fn get(&self, key: &str, how: &str) -> Result<JsValue> {
        awaited(js::invoke2(&lookup(self.binding)?, "get", &key.into(), &how.into())).await
    }

    async fn put(&self, key: &str, value: &JsValue, options: KvPut) -> Result<()> {
        let metadata = options.metadata.map(|metadata| codec::to_js(&metadata)).transpose()?;
        let options =
            object([("expirationTtl", options.ttl.map(|ttl| (ttl.as_secs() as f64).into())), ("metadata", metadata)]);
        let arguments = [&JsValue::from(key), value, &options].into_iter().collect::<js_sys::Array>();
        awaited(js::invoke(&lookup(self.binding)?, "put", arguments.unchecked_ref())).await.map(drop)
    }
}
