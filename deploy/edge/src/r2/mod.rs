//! A local R2, which speaks the protocol between workerd's R2 binding and its service. The protocol is HTTP: the operation is JSON,
//! in a header for reads and in front of the body for writes.
//!
//! The messages are those of workerd's `r2-api.capnp`, as JSON. The error codes are those of Cloudflare's API. What is refused is
//! what Miniflare refuses; its rules come from R2's own gateway.

mod condition;
mod server;
mod store;

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use realgar_wire::limits::{
    R2_CUSTOM_METADATA_SIZE_MAX as CUSTOM_METADATA_SIZE_MAX, R2_KEY_SIZE_MAX as KEY_SIZE_MAX, R2_LIST_MAX as LIST_MAX,
    R2_PART_SIZE_MIN as PART_SIZE_MIN,
};
use serde_json::{Value, json};
use std::{
    borrow::Cow,
    collections::HashMap,
    io::{self, Read},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use store::{Algorithm, Blob, Bucket, Fields, Fresh, Meta, Upload};

pub(crate) use server::{Objects, R2};
pub(crate) use store::md5;

/// The header that names the bucket. workerd adds it to each request, because its configuration says so.
pub(crate) const BUCKET_HEADER: &str = "x-realgar-bucket";
const REQUEST_HEADER: &str = "cf-r2-request";

/// The largest description of an operation, in bytes.
const METADATA_SIZE_MAX: usize = 1 << 20;

type SharedBucket = Arc<Mutex<Bucket>>;

struct Store {
    folder: PathBuf,
    buckets: Mutex<HashMap<String, SharedBucket>>,
}

/// An operation, as the headers of its request describe it.
struct Operation {
    bucket: String,
    /// The JSON of a read. A write has it in the body.
    request: Option<String>,
    /// The size of the JSON of a write at the start of the body, in bytes.
    size: Option<usize>,
}

/// The answer to an operation.
enum Answer {
    /// Metadata alone.
    Metadata(Value),
    /// Metadata, the bytes of an object, and how many bytes there are.
    Object(Value, Box<dyn Read + Send>, u64),
    /// An error, with the metadata of the object if a condition kept its bytes back.
    Refused(Refusal, Option<Value>),
}

/// An error as R2 reports it.
#[derive(Clone)]
struct Refusal {
    status: u16,
    code: u32,
    message: Cow<'static, str>,
}

impl Refusal {
    const fn new(status: u16, code: u32, message: &'static str) -> Self {
        Self { status, code, message: Cow::Borrowed(message) }
    }

    fn to_json(&self) -> String {
        json!({ "version": 1, "v4code": self.code, "message": self.message }).to_string()
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal, None)
    }
}

impl Answer {
    /// The answer when the disk fails, or when the peer does not keep to the protocol.
    fn failed(error: &io::Error) -> Self {
        Refusal { status: 500, code: 10001, message: format!("the local store failed: {error}").into() }.into()
    }
}

const NO_SUCH_KEY: Refusal = Refusal::new(404, 10007, "The specified key does not exist.");
const PART_TOO_SMALL: Refusal =
    Refusal::new(400, 10011, "Every part of an upload but the last one must have at least 5 MiB.");
const METADATA_TOO_LARGE: Refusal =
    Refusal::new(400, 10012, "The custom metadata has more than the 8,192 bytes that an object may have.");
const BAD_KEY: Refusal = Refusal::new(400, 10020, "The key is empty, or longer than 1,024 bytes.");
const NO_SUCH_UPLOAD: Refusal = Refusal::new(404, 10024, "The specified multipart upload does not exist.");
const NO_SUCH_PART: Refusal = Refusal::new(
    400,
    10025,
    "One or more of the specified parts could not be found, or are not as they were uploaded.",
);
const CONDITION_FAILED: Refusal = Refusal::new(412, 10031, "A condition does not hold.");
const BAD_RANGE: Refusal = Refusal::new(416, 10039, "The requested range is not satisfiable.");
const BAD_UPLOAD: Refusal = Refusal::new(
    400,
    10048,
    "An upload is completed with at least one part, each number once, and all parts but the last one of the same size.",
);

impl Store {
    fn new(folder: PathBuf) -> Self {
        Self { folder, buckets: Mutex::default() }
    }

    fn answer(&self, operation: &Operation, content: &mut dyn Read) -> io::Result<Answer> {
        let bucket = self.bucket(&operation.bucket)?;
        if let Some(request) = &operation.request {
            return read(&bucket, &serde_json::from_str(request)?);
        }
        let size =
            operation.size.ok_or_else(|| io::Error::other("the size of the description is missing, or no number"))?;
        if size > METADATA_SIZE_MAX {
            return Err(io::Error::other("the description of the operation is too large"));
        }
        let mut description = vec![0; size];
        content.read_exact(&mut description)?;
        write(&bucket, &serde_json::from_slice(&description)?, content)
    }

    fn is_empty(&self, name: &str) -> io::Result<bool> {
        Ok(lock(&*self.bucket(name)?).is_empty())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        lock(&self.buckets).remove(name);
        match std::fs::remove_dir_all(self.folder.join(store::hex(name.as_bytes()))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
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

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Reads a number. The JSON of Cap'n Proto has numbers of 64 bits as strings.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// The metadata of an object in the JSON form that the binding reads.
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
    for (algorithm, digest) in &meta.checksums {
        value["checksums"][(*algorithm as u8).to_string()] = digest.clone().into();
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
    let Some(meta) = bucket.get(text(operation, "object")) else { return Ok(NO_SUCH_KEY.into()) };
    if text(operation, "method") == "head" {
        return Ok(Answer::Metadata(describe(meta)));
    }
    if !condition::holds(&operation["onlyIf"], Some(meta)) {
        return Ok(Answer::Refused(CONDITION_FAILED, Some(describe(meta))));
    }
    let asked = match operation["rangeHeader"].as_str() {
        Some(header) => header_range(header),
        None => operation["range"].clone(),
    };
    let mut metadata = describe(meta);
    let Some((offset, length)) = range(&asked, meta.size) else { return Ok(BAD_RANGE.into()) };
    // R2 is reported to send the range even if nobody asked for one.
    metadata["range"] = json!({ "offset": offset.to_string(), "length": length.to_string() });
    Ok(Answer::Object(metadata, bucket.open_bytes(meta, offset, length)?, length))
}

/// The range in a `Range` header with one range. For any other header the answer is the whole object, as in HTTP.
fn header_range(header: &str) -> Value {
    let parse = || {
        let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| text.trim().parse::<u64>().ok();
        Some(match (number(first), number(last)) {
            (Some(offset), Some(last)) => json!({ "offset": offset, "length": last.checked_sub(offset)? + 1 }),
            (Some(offset), None) if last.trim().is_empty() => json!({ "offset": offset }),
            (None, Some(suffix)) if first.trim().is_empty() => json!({ "suffix": suffix }),
            _ => return None,
        })
    };
    parse().unwrap_or_default()
}

/// The offset and the length to read. `None` if the range is not satisfiable.
fn range(range: &Value, size: u64) -> Option<(u64, u64)> {
    if let Some(suffix) = number(&range["suffix"]) {
        let length = suffix.min(size);
        return (suffix > 0).then_some((size - length, length));
    }
    let (offset, length) = (number(&range["offset"]).unwrap_or(0), number(&range["length"]));
    let left = size.checked_sub(offset)?;
    let satisfiable = (left > 0 || size == 0) && length != Some(0);
    satisfiable.then(|| (offset, length.unwrap_or(left).min(left)))
}

fn list(bucket: &Bucket, operation: &Value) -> Answer {
    let (prefix, delimiter) = (text(operation, "prefix"), text(operation, "delimiter"));
    let limit = number(&operation["limit"]).unwrap_or(LIST_MAX).clamp(1, LIST_MAX);
    let cursor = text(operation, "cursor");
    let after = cursor.max(text(operation, "startAfter"));
    let include: Vec<u64> = operation["include"].as_array().into_iter().flatten().filter_map(number).collect();
    let (mut objects, mut prefixes, mut last) = (Vec::new(), Vec::<String>::new(), String::new());
    let mut truncated = false;
    for meta in bucket.list(prefix, after) {
        let rest = &meta.key[prefix.len()..];
        let folded = if delimiter.is_empty() { None } else { rest.find(delimiter) };
        let folded = folded.map(|at| format!("{prefix}{}", &rest[..at + delimiter.len()]));
        // An earlier page may have listed this prefix already, and ended inside of it.
        if folded.as_ref().is_some_and(|folded| prefixes.last() == Some(folded) || cursor.starts_with(folded.as_str()))
        {
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

/// An object in a list. It has its HTTP metadata if `include` has 0, and its custom metadata if `include` has 1.
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

fn write(bucket: &Mutex<Bucket>, operation: &Value, content: &mut dyn Read) -> io::Result<Answer> {
    let (key, id) = (text(operation, "object"), text(operation, "uploadId"));
    match text(operation, "method") {
        "put" => put(bucket, operation, content),
        "delete" => {
            let keys = operation["objects"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let mut bucket = lock(bucket);
            keys.chain(operation["object"].as_str()).try_for_each(|key| bucket.delete(key))?;
            Ok(Answer::Metadata(json!({})))
        }
        "createMultipartUpload" => match fields(operation) {
            Ok(fields) => Ok(Answer::Metadata(json!({ "uploadId": lock(bucket).create_upload(key, fields)? }))),
            Err(refusal) => Ok(refusal.into()),
        },
        "uploadPart" => {
            let fresh = receive(bucket, &[], content)?;
            let number = number(&operation["partNumber"]).and_then(|number| u32::try_from(number).ok());
            let etag = fresh.blob.md5.clone();
            let Some(number) = number else { return Ok(BAD_UPLOAD.into()) };
            let added = lock(bucket).add_part(key, id, number, fresh)?;
            Ok(if added { Answer::Metadata(json!({ "etag": etag })) } else { NO_SUCH_UPLOAD.into() })
        }
        "completeMultipartUpload" => complete(bucket, operation),
        "abortMultipartUpload" => {
            lock(bucket).abort(key, id)?;
            Ok(Answer::Metadata(json!({})))
        }
        other => Err(io::Error::other(format!("the operation `{other}` is not known"))),
    }
}

/// The metadata that a new object gets from the operation, if its key and that metadata are within the limits.
fn fields(operation: &Value) -> Result<Fields, Refusal> {
    if !(1..=KEY_SIZE_MAX).contains(&text(operation, "object").len()) {
        return Err(BAD_KEY);
    }
    let custom = &operation["customFields"];
    let entries = custom.as_array().into_iter().flatten();
    let size: usize = entries.map(|entry| text(entry, "k").len() + text(entry, "v").len()).sum();
    if size > CUSTOM_METADATA_SIZE_MAX {
        return Err(METADATA_TOO_LARGE);
    }
    Ok(Fields { http: operation["httpFields"].clone(), custom: custom.clone() })
}

fn put(bucket: &Mutex<Bucket>, operation: &Value, content: &mut dyn Read) -> io::Result<Answer> {
    let fields = match fields(operation) {
        Ok(fields) => fields,
        Err(refusal) => return Ok(refusal.into()),
    };
    let given: Vec<(Algorithm, String)> = Algorithm::ALL
        .into_iter()
        .filter_map(|algorithm| Some((algorithm, operation[algorithm.name()].as_str()?)))
        .map(|(algorithm, digest)| (algorithm, store::hex(&BASE64.decode(digest).unwrap_or_default())))
        .collect();
    let algorithms: Vec<Algorithm> = given.iter().map(|(algorithm, _)| *algorithm).collect();
    let fresh = receive(bucket, &algorithms, content)?;
    if let Some((algorithm, digest)) = given.iter().find(|given| !fresh.blob.checksums.contains(given)) {
        let name = algorithm.name();
        let message = format!("The checksum {name} that was given, {digest}, is not that of what was received.");
        return Ok(Refusal { status: 400, code: 10037, message: message.into() }.into());
    }
    let key = text(operation, "object");
    let mut bucket = lock(bucket);
    // The lock is held from here on, so that the condition still holds when the object is replaced.
    if !condition::holds(&operation["onlyIf"], bucket.get(key)) {
        return Ok(CONDITION_FAILED.into());
    }
    let meta = bucket.put(key, fresh, fields)?;
    Ok(Answer::Metadata(describe(&meta)))
}

/// Writes a body to disk. The bucket is not locked meanwhile, because a client may take as long as it likes.
fn receive(bucket: &Mutex<Bucket>, algorithms: &[Algorithm], content: &mut dyn Read) -> io::Result<Fresh> {
    let path = lock(bucket).new_blob();
    Fresh::write(path, algorithms, content)
}

fn complete(bucket: &Mutex<Bucket>, operation: &Value) -> io::Result<Answer> {
    let (key, id) = (text(operation, "object"), text(operation, "uploadId"));
    let mut bucket = lock(bucket);
    let Some(upload) = bucket.upload(key, id)? else { return Ok(NO_SUCH_UPLOAD.into()) };
    match chosen(&upload, &operation["parts"]) {
        Ok(blobs) => Ok(Answer::Metadata(describe(&bucket.complete(id, upload, blobs)?))),
        Err(refusal) => Ok(refusal.into()),
    }
}

/// The parts with which an upload is completed, in the order of their numbers. The order of the list does not matter.
fn chosen(upload: &Upload, parts: &Value) -> Result<Vec<Blob>, Refusal> {
    let part = |part: &Value| Some((u32::try_from(number(&part["part"])?).ok()?, text(part, "etag").to_string()));
    let mut parts: Vec<(u32, String)> =
        parts.as_array().into_iter().flatten().map(part).collect::<Option<_>>().ok_or(NO_SUCH_PART)?;
    parts.sort();
    if parts.is_empty() || parts.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(BAD_UPLOAD);
    }
    let find = |(number, etag): &(u32, String)| upload.parts.get(number).filter(|blob| blob.md5 == *etag).cloned();
    let blobs: Vec<Blob> = parts.iter().map(find).collect::<Option<_>>().ok_or(NO_SUCH_PART)?;
    if let Some((last, others)) = blobs.split_last()
        && let Some(first) = others.first()
    {
        if others.iter().any(|blob| blob.size < PART_SIZE_MIN) {
            return Err(PART_TOO_SMALL);
        }
        if others.iter().any(|blob| blob.size != first.size) || last.size > first.size {
            return Err(BAD_UPLOAD);
        }
    }
    Ok(blobs)
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
        assert_eq!(range(&json!({ "offset": "1", "length": "0" }), 10), None);
        assert_eq!(range(&json!({ "suffix": "0" }), 10), None);
    }

    #[test]
    fn a_header_names_one_range_or_the_whole_object() {
        let of = |header| range(&header_range(header), 10);
        assert_eq!(of("bytes=2-4"), Some((2, 3)));
        assert_eq!(of("bytes=8-"), Some((8, 2)));
        assert_eq!(of("bytes=-3"), Some((7, 3)));
        assert_eq!(of("bytes=2-400"), Some((2, 8)));
        assert_eq!(of("bytes=10-"), None);
        for whole in ["bytes=1-2,4-5", "bytes=5-2", "lines=1-2", "bytes=", "bytes=-", "bytes=a-2", ""] {
            assert_eq!(of(whole), Some((0, 10)), "{whole}");
        }
    }

    fn part(md5: &str, size: u64) -> Blob {
        Blob { name: md5.into(), size, md5: md5.into(), checksums: Vec::new() }
    }

    #[test]
    fn an_upload_is_its_parts_by_number_within_their_limits() {
        let sizes = [("a", PART_SIZE_MIN), ("b", PART_SIZE_MIN), ("c", 1), ("d", 7)];
        let parts = (1..).zip(sizes).map(|(number, (md5, size))| (number, part(md5, size))).collect();
        let upload = Upload { parts, ..Upload::default() };
        let complete = |list: &[(u32, &str)]| {
            let list: Vec<Value> = list.iter().map(|(part, etag)| json!({ "part": part, "etag": etag })).collect();
            let names = chosen(&upload, &list.into()).map(|blobs| blobs.into_iter().map(|blob| blob.name).collect());
            names.map_err(|refusal| refusal.code)
        };
        assert_eq!(complete(&[(3, "c"), (1, "a"), (2, "b")]), Ok("abc".to_string()));
        assert_eq!(complete(&[(4, "d")]), Ok("d".to_string()), "the last part may be small");
        assert_eq!(complete(&[(1, "a"), (3, "c"), (4, "d")]), Err(PART_TOO_SMALL.code));
        assert_eq!(complete(&[(1, "a"), (2, "x")]), Err(NO_SUCH_PART.code));
        assert_eq!(complete(&[(9, "a")]), Err(NO_SUCH_PART.code));
        assert_eq!(complete(&[(1, "a"), (1, "a")]), Err(BAD_UPLOAD.code));
        assert_eq!(complete(&[]), Err(BAD_UPLOAD.code));
    }
}
