//! R2, behind the protocol that workerd's R2 binding speaks to a service: HTTP, with the operation as JSON in a header (reads) or
//! in front of the body (writes).
//!
//! The protocol is workerd's `r2-api.capnp`, as JSON; the codes of errors are those of Cloudflare's API.

mod store;

use crate::EdgeError;
use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use serde_json::{Value, json};
use std::{
    borrow::Cow,
    collections::HashMap,
    io::{self, Cursor, Read},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
};
use store::{Blob, Bucket, Fields, Meta, write_blob};
use tiny_http::{Header, Method, Request, Response, Server};

/// The header that says which bucket is meant. The configuration of workerd adds it.
pub(crate) const BUCKET_HEADER: &str = "x-realgar-bucket";
const REQUEST_HEADER: &str = "CF-R2-Request";
const SIZE_HEADER: &str = "CF-R2-Metadata-Size";
const ERROR_HEADER: &str = "CF-R2-Error";

/// How many requests are worked on at once.
const THREADS: usize = 8;
/// The largest description of an operation, in bytes.
const METADATA_SIZE_MAX: usize = 1 << 20;
/// How many objects a list has at most.
const LIST_MAX: u64 = 1000;

/// A running store. It ends with the process, or when this is dropped.
pub(crate) struct R2 {
    server: Arc<Server>,
    threads: Vec<thread::JoinHandle<()>>,
    address: String,
}

impl std::fmt::Debug for R2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("R2").field("address", &self.address).finish_non_exhaustive()
    }
}

impl R2 {
    /// Starts a store of the buckets in `folder`.
    pub(crate) fn start(folder: PathBuf) -> Result<Self, EdgeError> {
        let failed = |error: &dyn std::fmt::Display| EdgeError::Io {
            action: "serve",
            path: folder.clone(),
            source: io::Error::other(error.to_string()),
        };
        let server = Arc::new(Server::http("127.0.0.1:0").map_err(|error| failed(&error))?);
        let address = server.server_addr().to_string();
        let store = Arc::new(Store { folder: folder.clone(), buckets: Mutex::default() });
        let serve = |_| {
            let (server, store) = (server.clone(), store.clone());
            thread::spawn(move || {
                while let Ok(request) = server.recv() {
                    store.serve(request);
                }
            })
        };
        let threads = (0..THREADS).map(serve).collect();
        Ok(Self { server, threads, address })
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for R2 {
    fn drop(&mut self) {
        for _ in &self.threads {
            self.server.unblock();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

type SharedBucket = Arc<Mutex<Bucket>>;

struct Store {
    folder: PathBuf,
    buckets: Mutex<HashMap<String, SharedBucket>>,
}

/// What an operation answers.
enum Answer {
    /// Metadata alone.
    Metadata(Value),
    /// Metadata, and the bytes of an object, so many.
    Object(Value, Box<dyn Read + Send>, u64),
    /// An error: the status, Cloudflare's code, the text, and the metadata of an object that a condition kept back.
    Refused(u16, u32, Cow<'static, str>, Option<Value>),
}

const NO_SUCH_KEY: Answer = Answer::Refused(404, 10007, Cow::Borrowed("The specified key does not exist."), None);
const NO_SUCH_UPLOAD: Answer = Answer::Refused(
    404,
    10024,
    Cow::Borrowed("The specified multipart upload or one of its parts does not exist."),
    None,
);
const BAD_DIGEST: Answer =
    Answer::Refused(400, 10037, Cow::Borrowed("The checksum that was given does not match what was received."), None);
const BAD_RANGE: Answer = Answer::Refused(416, 10039, Cow::Borrowed("The requested range is not satisfiable."), None);

impl Store {
    fn serve(&self, mut request: Request) {
        let answer = self.answer(&mut request).unwrap_or_else(|error| {
            Answer::Refused(500, 10001, format!("the local store failed: {error}").into(), None)
        });
        // A client that is gone needs no answer.
        let _ = match answer {
            Answer::Metadata(metadata) => {
                let text = metadata.to_string().into_bytes();
                let size = text.len();
                request.respond(response(200, Cursor::new(text), size, size, None))
            }
            Answer::Object(metadata, bytes, length) => {
                let text = metadata.to_string().into_bytes();
                let size = text.len();
                let total = size + usize::try_from(length).unwrap_or(usize::MAX);
                request.respond(response(200, Cursor::new(text).chain(bytes), size, total, None))
            }
            Answer::Refused(status, code, message, metadata) => {
                let error = json!({ "version": 1, "v4code": code, "message": message }).to_string();
                let text = metadata.map(|metadata| metadata.to_string()).unwrap_or_default().into_bytes();
                let size = text.len();
                request.respond(response(status, Cursor::new(text), size, size, Some(&error)))
            }
        };
    }

    fn answer(&self, request: &mut Request) -> io::Result<Answer> {
        let header = |name: &str| {
            let found =
                request.headers().iter().find(|header| header.field.as_str().as_str().eq_ignore_ascii_case(name));
            found.map(|header| header.value.as_str().to_string())
        };
        let bucket = self.bucket(&header(BUCKET_HEADER).unwrap_or_default())?;
        if *request.method() == Method::Get {
            let operation = serde_json::from_str(&header(REQUEST_HEADER).unwrap_or_default())?;
            return read(&bucket, &operation);
        }
        let size: usize = header(SIZE_HEADER).and_then(|size| size.parse().ok()).unwrap_or(0);
        if size > METADATA_SIZE_MAX {
            return Err(io::Error::other("the description of the operation is too large"));
        }
        let length = request.body_length().map(|length| length.saturating_sub(size) as u64);
        let mut operation = vec![0; size];
        let content = request.as_reader();
        content.read_exact(&mut operation)?;
        write(&bucket, &serde_json::from_slice(&operation)?, Body { content, length })
    }

    fn bucket(&self, name: &str) -> io::Result<SharedBucket> {
        let mut buckets = lock(&self.buckets);
        if let Some(bucket) = buckets.get(name) {
            return Ok(bucket.clone());
        }
        let folder = store::hex(name.as_bytes());
        let bucket = Arc::new(Mutex::new(Bucket::open(&self.folder.join(folder))?));
        buckets.insert(name.into(), bucket.clone());
        Ok(bucket)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn response<R: Read>(status: u16, body: R, metadata: usize, total: usize, error: Option<&str>) -> Response<R> {
    let header = |name: &str, value: &str| Header::from_bytes(name.as_bytes(), value.as_bytes()).ok();
    let headers = [header(SIZE_HEADER, &metadata.to_string()), error.and_then(|error| header(ERROR_HEADER, error))];
    // Never chunked: the size is known.
    Response::new(status.into(), headers.into_iter().flatten().collect(), body, Some(total), None)
        .with_chunked_threshold(usize::MAX)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// A number, which Cap'n Proto's JSON writes as a text if it has 64 bits.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// An object as the binding reads it.
fn describe(meta: &Meta) -> Value {
    let mut value = json!({
        "name": meta.key,
        "version": meta.version,
        "size": meta.size,
        "etag": meta.etag,
        "uploaded": meta.uploaded,
        "checksums": {},
        "storageClass": "Standard",
    });
    if let Some(md5) = &meta.md5 {
        value["checksums"]["0"] = md5.clone().into();
    }
    for (key, fields) in [("httpFields", &meta.http_fields), ("customFields", &meta.custom_fields)] {
        if !fields.is_null() {
            value[key] = fields.clone();
        }
    }
    value
}

fn read(bucket: &Mutex<Bucket>, operation: &Value) -> io::Result<Answer> {
    let bucket = lock(bucket);
    if text(operation, "method") == "list" {
        return Ok(list(&bucket, operation));
    }
    let Some(meta) = bucket.get(text(operation, "object")) else { return Ok(NO_SUCH_KEY) };
    if text(operation, "method") == "head" {
        return Ok(Answer::Metadata(describe(meta)));
    }
    if !holds(&operation["onlyIf"], Some(meta)) {
        return Ok(Answer::Refused(412, 10031, Cow::Borrowed("A condition does not hold."), Some(describe(meta))));
    }
    let mut metadata = describe(meta);
    let Some((offset, length)) = range(&operation["range"], meta.size) else { return Ok(BAD_RANGE) };
    if !operation["range"].is_null() {
        metadata["range"] = json!({ "offset": offset.to_string(), "length": length.to_string() });
    }
    Ok(Answer::Object(metadata, bucket.open_bytes(meta, offset, length)?, length))
}

/// Where to read from, and how much.
fn range(range: &Value, size: u64) -> Option<(u64, u64)> {
    if let Some(suffix) = number(&range["suffix"]) {
        let length = suffix.min(size);
        return Some((size - length, length));
    }
    let offset = number(&range["offset"]).unwrap_or(0);
    let left = size.checked_sub(offset)?;
    (left > 0 || size == 0).then(|| (offset, number(&range["length"]).unwrap_or(left).min(left)))
}

/// Whether the conditions hold for what is there now.
fn holds(condition: &Value, meta: Option<&Meta>) -> bool {
    let names = |etag: &Value| {
        let wildcard = etag["type"].to_string().contains("wildcard") || text(etag, "value") == "*";
        meta.is_some_and(|meta| wildcard || meta.etag == text(etag, "value"))
    };
    let any = |key: &str| condition[key].as_array().map(|etags| etags.iter().any(names));
    let uploaded = meta.map(|meta| match condition["secondsGranularity"].as_bool() {
        Some(true) => meta.uploaded / 1000 * 1000,
        _ => meta.uploaded,
    });
    let time = |key: &str| number(&condition[key]);
    any("etagMatches").unwrap_or(true)
        && !any("etagDoesNotMatch").unwrap_or(false)
        && time("uploadedBefore").is_none_or(|time| uploaded.is_some_and(|uploaded| uploaded < time))
        && time("uploadedAfter").is_none_or(|time| uploaded.is_none_or(|uploaded| uploaded > time))
}

fn list(bucket: &Bucket, operation: &Value) -> Answer {
    let (prefix, delimiter) = (text(operation, "prefix"), text(operation, "delimiter"));
    let limit = number(&operation["limit"]).unwrap_or(LIST_MAX).clamp(1, LIST_MAX);
    let after = [text(operation, "cursor"), text(operation, "startAfter")].into_iter().max().unwrap_or_default();
    let include: Vec<u64> = operation["include"].as_array().into_iter().flatten().filter_map(number).collect();
    let (mut objects, mut prefixes, mut last) = (Vec::new(), Vec::<String>::new(), String::new());
    let mut truncated = false;
    for meta in bucket.list(prefix, after) {
        let rest = &meta.key[prefix.len()..];
        let folded = if delimiter.is_empty() { None } else { rest.find(delimiter) };
        let folded = folded.map(|at| format!("{prefix}{}", &rest[..at + delimiter.len()]));
        // A page before this one ended inside of it.
        if folded.as_ref().is_some_and(|folded| prefixes.last() == Some(folded) || after.starts_with(folded.as_str())) {
            last.clone_from(&meta.key);
            continue;
        }
        if (objects.len() + prefixes.len()) as u64 == limit {
            truncated = true;
            break;
        }
        last.clone_from(&meta.key);
        match folded {
            Some(folded) => prefixes.push(folded),
            None => objects.push(listed(meta, &include)),
        }
    }
    let mut page = json!({ "objects": objects, "truncated": truncated, "delimitedPrefixes": prefixes });
    if truncated {
        page["cursor"] = last.into();
    }
    Answer::Metadata(page)
}

/// An object in a list: what is asked for besides the rest, 0 for HTTP metadata and 1 for the user's.
fn listed(meta: &Meta, include: &[u64]) -> Value {
    let mut value = describe(meta);
    for (code, key) in [(0, "httpFields"), (1, "customFields")] {
        if !include.contains(&code)
            && let Some(fields) = value.as_object_mut()
        {
            fields.remove(key);
        }
    }
    value
}

/// What follows the description of an operation.
struct Body<'a> {
    content: &'a mut dyn Read,
    /// How long it says that it is.
    length: Option<u64>,
}

fn write(bucket: &Mutex<Bucket>, operation: &Value, body: Body<'_>) -> io::Result<Answer> {
    let (key, id) = (text(operation, "object"), text(operation, "uploadId"));
    let fields = || Fields { http: operation["httpFields"].clone(), custom: operation["customFields"].clone() };
    match text(operation, "method") {
        "put" => put(bucket, operation, fields(), body),
        "delete" => {
            let keys = operation["objects"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let mut bucket = lock(bucket);
            keys.chain(operation["object"].as_str()).try_for_each(|key| bucket.delete(key))?;
            Ok(Answer::Metadata(json!({})))
        }
        "createMultipartUpload" => {
            let id = lock(bucket).create_upload(key, fields())?;
            Ok(Answer::Metadata(json!({ "uploadId": id })))
        }
        "uploadPart" => {
            let blob = receive(bucket, body)?;
            let number = u32::try_from(number(&operation["partNumber"]).unwrap_or(0)).unwrap_or(0);
            match lock(bucket).add_part(key, id, number, &blob)? {
                Some(()) => Ok(Answer::Metadata(json!({ "etag": blob.md5 }))),
                None => Ok(NO_SUCH_UPLOAD),
            }
        }
        "completeMultipartUpload" => {
            let parts = operation["parts"].as_array().into_iter().flatten();
            let part =
                |part: &Value| Some((u32::try_from(number(&part["part"])?).ok()?, text(part, "etag").to_string()));
            let parts: Vec<(u32, String)> = parts.filter_map(part).collect();
            let completed = lock(bucket).complete(key, id, &parts)?;
            Ok(completed.map_or(NO_SUCH_UPLOAD, |meta| Answer::Metadata(describe(&meta))))
        }
        "abortMultipartUpload" => {
            lock(bucket).abort(key, id)?;
            Ok(Answer::Metadata(json!({})))
        }
        other => Err(io::Error::other(format!("the operation `{other}` is not known"))),
    }
}

fn put(bucket: &Mutex<Bucket>, operation: &Value, fields: Fields, body: Body<'_>) -> io::Result<Answer> {
    let key = text(operation, "object");
    let blob = receive(bucket, body)?;
    let given = operation["md5"].as_str().map(|md5| BASE64.decode(md5).unwrap_or_default());
    if given.is_some_and(|md5| store::hex(&md5) != blob.md5) {
        return Ok(BAD_DIGEST);
    }
    let mut bucket = lock(bucket);
    // Looked at and replaced in one go.
    if !operation["onlyIf"].is_null() && !holds(&operation["onlyIf"], bucket.get(key)) {
        return Ok(Answer::Refused(412, 10031, Cow::Borrowed("A condition does not hold."), None));
    }
    let meta = bucket.put(key, &blob, fields)?;
    Ok(Answer::Metadata(describe(&meta)))
}

/// Writes a body to disk, without holding the bucket. One that broke off leaves nothing.
fn receive(bucket: &Mutex<Bucket>, body: Body<'_>) -> io::Result<Blob> {
    let path = lock(bucket).new_blob();
    let written = write_blob(&path, body.content).and_then(|blob| match body.length {
        Some(length) if length != blob.size => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(blob),
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&path);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stay_inside_of_the_object() {
        assert_eq!(range(&json!({ "offset": "2", "length": "3" }), 10), Some((2, 3)));
        assert_eq!(range(&json!({ "offset": "8" }), 10), Some((8, 2)));
        assert_eq!(range(&json!({ "suffix": "3" }), 10), Some((7, 3)));
        assert_eq!(range(&json!({ "suffix": "30" }), 10), Some((0, 10)));
        assert_eq!(range(&Value::Null, 0), Some((0, 0)));
        assert_eq!(range(&json!({ "offset": "10" }), 10), None);
    }
}
