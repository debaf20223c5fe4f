//! R2: objects of any size by keys.

use super::{lookup, object};
use crate::{
    Bindable, Declaration, Error, Result,
    calls::stream,
    codec,
    runtime::{js, promise::awaited},
};
use futures_core::Stream;
use js_sys::{Array, Uint8Array};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Display, ops::Range, time::SystemTime};
use wasm_bindgen::{JsCast, JsValue};
use worker::{EncodeBody, Request, Response, ResponseBuilder};

/// An R2 bucket, as a value: `static PHOTOS: R2Bucket = R2Bucket::new("photos");`.
#[derive(Clone, Copy, Debug)]
pub struct R2Bucket {
    name: &'static str,
}

impl R2Bucket {
    /// The bucket with this logical name, which is also the name of its binding.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }
}

impl Bindable for R2Bucket {
    type Client = R2Client;

    fn declare(&self) -> Declaration {
        Declaration::new(self.name, "r2_bucket").with("bucket", self.name)
    }

    fn client(&self) -> R2Client {
        R2Client { binding: self.name }
    }
}

/// The client of an R2 bucket. A key has at most 1,024 bytes, an object 5 TiB, and an object that is put in a single call 5 GiB
/// (Cloudflare's "R2 limits").
#[derive(Clone, Copy, Debug)]
pub struct R2Client {
    binding: &'static str,
}

/// The metadata of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct R2Object {
    /// Its key.
    pub key: String,
    /// The id of this version of the key's object.
    pub version: String,
    /// How many bytes it has.
    pub size: u64,
    /// Its etag, without quotes.
    pub etag: String,
    /// When it was put, in milliseconds since 1970.
    pub uploaded_ms: u64,
    /// The headers of an HTTP response with the object.
    pub http: R2HttpMetadata,
    /// Custom metadata, which the program stored with the object.
    pub custom: BTreeMap<String, String>,
}

/// The headers of an HTTP response with an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct R2HttpMetadata {
    /// `Content-Type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Cache-Control`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
}

/// A condition on the object that is stored. A field that is not set does not matter.
#[derive(Clone, Debug, Default)]
pub struct R2Condition {
    /// The object has this etag.
    pub etag_matches: Option<String>,
    /// The object does not have this etag. `"*"` stands for the etag of any object that exists.
    pub etag_does_not_match: Option<String>,
    /// The object was put before this time.
    pub uploaded_before: Option<SystemTime>,
    /// The object was put after this time.
    pub uploaded_after: Option<SystemTime>,
}

/// What to read of an object.
#[derive(Clone, Debug, Default)]
pub struct R2Get {
    /// Reads only this part of the object.
    pub range: Option<R2Range>,
    /// Reads the object only if this condition holds.
    pub only_if: R2Condition,
}

/// A part of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum R2Range {
    /// The bytes in this range.
    Bytes(Range<u64>),
    /// All bytes from this one on.
    From(u64),
    /// This many bytes at the end.
    Suffix(u64),
}

/// The metadata to store with an object, and the condition for storing it.
#[derive(Clone, Debug, Default)]
pub struct R2Put {
    /// The headers of an HTTP response with the object.
    pub http: R2HttpMetadata,
    /// Custom metadata, at most 8 KiB.
    pub custom: BTreeMap<String, String>,
    /// Puts the object only if this condition holds for the object that is there now.
    pub only_if: R2Condition,
}

/// What was found under a key.
#[derive(Debug)]
pub enum R2Found {
    /// The object.
    Object(R2Body),
    /// The metadata of an object for which the condition does not hold.
    Kept(R2Object),
}

/// An object with its bytes, which have not arrived yet.
#[derive(Debug)]
pub struct R2Body {
    /// The metadata of the object.
    pub object: R2Object,
    raw: JsValue,
    /// Whether a range was asked for.
    is_range: bool,
}

/// Which objects to list.
#[derive(Clone, Debug, Default)]
pub struct R2List {
    /// Only keys that start with this.
    pub prefix: String,
    /// Keys that contain this delimiter after the prefix are grouped by their text up to it, and each group is listed once.
    pub delimiter: Option<String>,
    /// How many objects to list. The most, and the default, is 1,000.
    pub limit: Option<u32>,
    /// The [`R2Page::cursor`] of the page before.
    pub cursor: Option<String>,
    /// Whether to list the metadata of each object.
    pub with_metadata: bool,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct R2Page {
    /// The objects, in the order of their keys.
    pub objects: Vec<R2Object>,
    /// The groups of keys: the text that their keys have in common, up to the delimiter.
    pub prefixes: Vec<String>,
    /// Where the next page starts; `None` on the last one.
    pub cursor: Option<String>,
}

impl R2Client {
    /// The metadata of the object `key`.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn head(&self, key: &str) -> Result<Option<R2Object>> {
        R2Object::new(&awaited(js::invoke1(&lookup(self.binding)?, "head", &key.into())).await?)
    }

    /// The object `key`.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn get(&self, key: &str) -> Result<Option<R2Body>> {
        let found = self.get_with(key, R2Get::default()).await?;
        Ok(found.and_then(|found| match found {
            R2Found::Object(body) => Some(body),
            R2Found::Kept(_) => None,
        }))
    }

    /// The object `key`, or a part of it, if a condition holds.
    ///
    /// # Errors
    /// What the platform reports, such as a range that begins after the end.
    pub async fn get_with(&self, key: &str, options: R2Get) -> Result<Option<R2Found>> {
        let is_range = options.range.is_some();
        let options =
            object([("range", options.range.map(|range| range.into_js())), ("onlyIf", options.only_if.into_js())]);
        let found = awaited(js::invoke2(&lookup(self.binding)?, "get", &key.into(), &options)).await?;
        let Some(object) = R2Object::new(&found)? else { return Ok(None) };
        let kept = js::field(&found, "body").is_undefined();
        Ok(Some(if kept { R2Found::Kept(object) } else { R2Found::Object(R2Body { object, raw: found, is_range }) }))
    }

    /// Puts bytes. `None` if the condition does not hold.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn put(&self, key: &str, bytes: &[u8], options: R2Put) -> Result<Option<R2Object>> {
        self.put_raw(key, &Uint8Array::from(bytes).into(), options).await
    }

    /// Puts the body of a request as it arrives, without collecting it. The request must say how long its body is
    /// (`Content-Length`).
    ///
    /// # Errors
    /// What the platform reports; the length is not known; or the body broke off: then nothing was put.
    pub async fn put_body(&self, key: &str, request: Request, options: R2Put) -> Result<Option<R2Object>> {
        let request: JsValue = worker::web_sys::Request::try_from(request)?.into();
        match js::field(&request, "body") {
            empty if empty.is_null() => self.put(key, &[], options).await,
            body => self.put_raw(key, &body, options).await,
        }
    }

    /// Puts the bytes of another object, of this bucket or another, without collecting them.
    ///
    /// # Errors
    /// What the platform reports; or the body broke off: then nothing was put.
    pub async fn put_object(&self, key: &str, body: R2Body, options: R2Put) -> Result<Option<R2Object>> {
        self.put_raw(key, &js::field(&body.raw, "body"), options).await
    }

    /// Puts what a stream produces, `length` bytes in all.
    ///
    /// # Errors
    /// What the platform reports; the stream fails, or has another length: then nothing was put.
    pub async fn put_stream<B: AsRef<[u8]>, E: Display>(
        &self,
        key: &str,
        length: u64,
        bytes: impl Stream<Item = Result<B, E>> + 'static,
        options: R2Put,
    ) -> Result<Option<R2Object>> {
        let body = js::fixed_length(&stream::raw(bytes), length as f64).map_err(Error::from_js)?;
        self.put_raw(key, &body, options).await
    }

    /// Removes an object, which need not exist.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.delete_all([key]).await
    }

    /// Removes objects, at most 1,000.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn delete_all<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let keys: Array = keys.into_iter().map(JsValue::from).collect();
        awaited(js::invoke1(&lookup(self.binding)?, "delete", &keys)).await.map(drop)
    }

    /// Lists objects.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn list(&self, options: &R2List) -> Result<R2Page> {
        let include = options.with_metadata.then(|| codec::to_js(&["httpMetadata", "customMetadata"])).transpose()?;
        let options = object([
            ("prefix", Some(options.prefix.as_str().into())),
            ("delimiter", options.delimiter.as_deref().map(JsValue::from)),
            ("limit", options.limit.map(JsValue::from)),
            ("cursor", options.cursor.as_deref().map(JsValue::from)),
            ("include", include),
        ]);
        let page = awaited(js::invoke1(&lookup(self.binding)?, "list", &options)).await?;
        let objects = Array::from(&js::field(&page, "objects"));
        let objects = objects.iter().filter_map(|raw| R2Object::new(&raw).transpose());
        Ok(R2Page {
            objects: objects.collect::<Result<_>>()?,
            prefixes: codec::from_js(&js::field(&page, "delimitedPrefixes"))?,
            cursor: js::string_field(&page, "cursor"),
        })
    }

    /// Starts an upload in parts. All parts but the last have the same size, at least 5 MiB.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn create_upload(&self, key: &str, options: R2Put) -> Result<R2Upload> {
        let options = put_options(options)?;
        let raw = awaited(js::invoke2(&lookup(self.binding)?, "createMultipartUpload", &key.into(), &options)).await?;
        Ok(R2Upload { raw })
    }

    /// An upload in parts that was started earlier, maybe by another event.
    ///
    /// # Errors
    /// When the environment has no such binding. Whether the upload exists shows at its next step.
    pub fn resume_upload(&self, key: &str, id: &str) -> Result<R2Upload> {
        let raw = js::invoke2(&lookup(self.binding)?, "resumeMultipartUpload", &key.into(), &id.into());
        Ok(R2Upload { raw: raw.map_err(Error::from_js)? })
    }

    async fn put_raw(&self, key: &str, body: &JsValue, options: R2Put) -> Result<Option<R2Object>> {
        let arguments: Array = [&JsValue::from(key), body, &put_options(options)?].into_iter().collect();
        R2Object::new(&awaited(js::invoke(&lookup(self.binding)?, "put", &arguments)).await?)
    }
}

fn put_options(options: R2Put) -> Result<JsValue> {
    Ok(object([
        ("httpMetadata", Some(codec::to_js(&options.http)?)),
        ("customMetadata", Some(codec::to_js(&options.custom)?)),
        ("onlyIf", options.only_if.into_js()),
    ]))
}

impl R2Range {
    fn into_js(self) -> JsValue {
        let number = |number: u64| Some((number as f64).into());
        match self {
            Self::Bytes(range) => {
                object([("offset", number(range.start)), ("length", number(range.end.saturating_sub(range.start)))])
            }
            Self::From(offset) => object([("offset", number(offset))]),
            Self::Suffix(suffix) => object([("suffix", number(suffix))]),
        }
    }
}

impl R2Condition {
    fn into_js(self) -> Option<JsValue> {
        let date = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            js_sys::Date::new(&(since.as_millis() as f64).into()).into()
        };
        let Self { etag_matches, etag_does_not_match, uploaded_before, uploaded_after } = self;
        if (&etag_matches, &etag_does_not_match, uploaded_before, uploaded_after) == (&None, &None, None, None) {
            return None;
        }
        Some(object([
            ("etagMatches", etag_matches.map(JsValue::from)),
            ("etagDoesNotMatch", etag_does_not_match.map(JsValue::from)),
            ("uploadedBefore", uploaded_before.map(date)),
            ("uploadedAfter", uploaded_after.map(date)),
        ]))
    }
}

impl R2Object {
    fn new(raw: &JsValue) -> Result<Option<Self>> {
        if raw.is_null() || raw.is_undefined() {
            return Ok(None);
        }
        let field = |name| js::field(raw, name);
        let text = |name| field(name).as_string().unwrap_or_default();
        let uploaded = field("uploaded").dyn_ref::<js_sys::Date>().map_or(0.0, js_sys::Date::get_time);
        let metadata = |name| match field(name) {
            missing if missing.is_undefined() => js_sys::Object::new().into(),
            value => value,
        };
        Ok(Some(Self {
            key: text("key"),
            version: text("version"),
            size: field("size").as_f64().unwrap_or_default() as u64,
            etag: text("etag"),
            uploaded_ms: uploaded as u64,
            http: codec::from_js(&metadata("httpMetadata"))?,
            custom: codec::from_js(&metadata("customMetadata"))?,
        }))
    }
}

impl R2Body {
    /// All bytes.
    ///
    /// # Errors
    /// When the bytes break off.
    pub async fn bytes(self) -> Result<Vec<u8>> {
        let buffer = awaited(js::invoke0(&self.raw, "arrayBuffer")).await?;
        Ok(js::bytes(&buffer).to_vec())
    }

    /// All bytes as text. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// When the bytes break off.
    pub async fn text(self) -> Result<String> {
        Ok(codec::from_js(&awaited(js::invoke0(&self.raw, "text")).await?)?)
    }

    /// Which of the object's bytes these are, if a range was asked for.
    #[must_use]
    pub fn range(&self) -> Option<Range<u64>> {
        // The platform may report a range for a whole object, too.
        if !self.is_range {
            return None;
        }
        let range = js::field(&self.raw, "range");
        let number = |name| js::field(&range, name).as_f64().map(|number| number as u64);
        let (size, suffix) = (self.object.size, number("suffix"));
        let offset = number("offset").unwrap_or_else(|| suffix.map_or(0, |suffix| size.saturating_sub(suffix)));
        Some(offset..number("length").map_or(size, |length| offset + length))
    }

    /// A response that passes the bytes on as they arrive, with headers from the object's metadata. Its status is 206 if the bytes
    /// are a range.
    ///
    /// # Errors
    /// When a header cannot be written.
    pub fn into_response(self) -> Result<Response> {
        let body: worker::web_sys::ReadableStream = js::field(&self.raw, "body").unchecked_into();
        let http = &self.object.http;
        let mut builder = ResponseBuilder::new().with_header("etag", &format!("\"{}\"", self.object.etag))?;
        if let Some(range) = self.range().filter(|range| !range.is_empty()) {
            let bytes = format!("bytes {}-{}/{}", range.start, range.end - 1, self.object.size);
            builder = builder.with_status(206).with_header("content-range", &bytes)?;
        }
        if http.content_encoding.is_some() {
            // The stored bytes are encoded already.
            builder = builder.with_encode_body(EncodeBody::Manual);
        }
        for (name, value) in [
            ("content-type", &http.content_type),
            ("content-language", &http.content_language),
            ("content-disposition", &http.content_disposition),
            ("content-encoding", &http.content_encoding),
            ("cache-control", &http.cache_control),
        ] {
            if let Some(value) = value {
                builder = builder.with_header(name, value)?;
            }
        }
        Ok(builder.stream(body))
    }
}

/// An upload in parts that is under way. The platform removes an upload that is not completed after seven days.
#[derive(Clone, Debug)]
pub struct R2Upload {
    raw: JsValue,
}

/// A part that was uploaded: keep it to complete the upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct R2Part {
    /// Its number.
    pub part_number: u32,
    /// Its etag.
    pub etag: String,
}

impl R2Upload {
    /// The id with which to resume the upload.
    #[must_use]
    pub fn id(&self) -> String {
        js::string_field(&self.raw, "uploadId").unwrap_or_default()
    }

    /// Uploads part `number`, from 1 on. Parts may be uploaded in any order, and again after a failure.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn part(&self, number: u32, bytes: &[u8]) -> Result<R2Part> {
        let part = js::invoke2(&self.raw, "uploadPart", &number.into(), &Uint8Array::from(bytes).into());
        Ok(codec::from_js(&awaited(part).await?)?)
    }

    /// Completes the upload: its parts become an object.
    ///
    /// # Errors
    /// What the platform reports, such as a part that is missing.
    pub async fn complete(&self, parts: &[R2Part]) -> Result<R2Object> {
        let object = awaited(js::invoke1(&self.raw, "complete", &codec::to_js(parts)?)).await?;
        R2Object::new(&object)?.ok_or_else(|| "the upload made no object".into())
    }

    /// Gives up the upload.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn abort(&self) -> Result<()> {
        awaited(js::invoke0(&self.raw, "abort")).await.map(drop)
    }
}
