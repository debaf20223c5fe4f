//! Buckets on disk. Each object has one file with its metadata; its bytes are in other files, one for each part.
//!
//! One rename replaces the metadata of an object, so a kill leaves either the old version or the new one. The metadata of all
//! objects is also in memory.

use md5::{Digest, Md5, digest::DynDigest};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Take, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// The algorithm of a checksum. The numbers are those of the fields in workerd's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Algorithm {
    Md5 = 0,
    Sha1 = 1,
    Sha256 = 2,
    Sha384 = 3,
    Sha512 = 4,
}

impl Algorithm {
    pub(super) const ALL: [Self; 5] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    fn start(self) -> Box<dyn DynDigest> {
        match self {
            Self::Md5 => Box::new(Md5::new()),
            Self::Sha1 => Box::new(Sha1::new()),
            Self::Sha256 => Box::new(Sha256::new()),
            Self::Sha384 => Box::new(Sha384::new()),
            Self::Sha512 => Box::new(Sha512::new()),
        }
    }
}

/// The metadata of an object.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) key: String,
    pub(super) version: String,
    pub(super) size: u64,
    pub(super) etag: String,
    /// The time of the upload, in milliseconds since 1970.
    pub(super) uploaded: u64,
    /// The checksums as hexadecimal digits: MD5, unless the object was uploaded in parts, and those that the upload named.
    #[serde(default)]
    pub(super) checksums: Vec<(Algorithm, String)>,
    pub(super) http_fields: serde_json::Value,
    pub(super) custom_fields: serde_json::Value,
    /// The names of the files with the object's bytes, each with the number of its bytes.
    pub(super) blobs: Vec<(String, u64)>,
}

/// The HTTP metadata and the custom metadata of a new object.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Fields {
    pub(super) http: serde_json::Value,
    pub(super) custom: serde_json::Value,
}

/// Bytes that were written and belong to no object yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Blob {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) md5: String,
    #[serde(default)]
    pub(super) checksums: Vec<(Algorithm, String)>,
}

/// A new blob. Its file is removed when this is dropped, unless an object or an upload has taken it.
pub(super) struct Fresh {
    pub(super) blob: Blob,
    path: Option<PathBuf>,
}

/// A multipart upload that is not completed yet.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) fields: Fields,
    pub(super) parts: BTreeMap<u32, Blob>,
}

/// One bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    folder: PathBuf,
    objects: BTreeMap<String, Meta>,
    count: u64,
}

impl Bucket {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        for name in ["objects", "blobs", "uploads"] {
            fs::create_dir_all(folder.join(name))?;
        }
        let mut objects = BTreeMap::new();
        let mut used = HashSet::new();
        for meta in read_all::<Meta>(&folder.join("objects"))? {
            used.extend(meta.blobs.iter().map(|(name, _)| name.clone()));
            objects.insert(meta.key.clone(), meta);
        }
        for upload in read_all::<Upload>(&folder.join("uploads"))? {
            used.extend(upload.parts.into_values().map(|blob| blob.name));
        }
        // A blob that nothing refers to comes from a write that a kill interrupted.
        for entry in fs::read_dir(folder.join("blobs"))? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| used.contains(name)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { folder: folder.into(), objects, count: 0 })
    }

    /// A name that nothing had before.
    fn fresh(&mut self) -> String {
        self.count += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        format!("{now:024x}{:08x}", self.count)
    }

    /// The path for a new blob. To be written while the bucket is not locked, because a client may take as long as it likes.
    pub(super) fn new_blob(&mut self) -> PathBuf {
        let name = self.fresh();
        self.folder.join("blobs").join(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Meta> {
        self.objects.get(key)
    }

    /// Makes `fresh` the object `key`.
    pub(super) fn put(&mut self, key: &str, fresh: Fresh, fields: Fields) -> io::Result<Meta> {
        let version = self.fresh();
        let Blob { name, size, md5, checksums } = fresh.blob.clone();
        let meta = self.replace(Meta {
            key: key.into(),
            version,
            size,
            etag: md5,
            uploaded: now_ms(),
            checksums,
            http_fields: fields.http,
            custom_fields: fields.custom,
            blobs: vec![(name, size)],
        })?;
        fresh.keep();
        Ok(meta)
    }

    fn replace(&mut self, meta: Meta) -> io::Result<Meta> {
        write_json(&self.object_path(&meta.key), &meta)?;
        if let Some(old) = self.objects.insert(meta.key.clone(), meta.clone()) {
            self.remove_blobs(&meta.key, old.blobs.into_iter().map(|(name, _)| name));
        }
        Ok(meta)
    }

    pub(super) fn delete(&mut self, key: &str) -> io::Result<()> {
        if self.objects.contains_key(key) {
            fs::remove_file(self.object_path(key))?;
        }
        if let Some(old) = self.objects.remove(key) {
            self.remove_blobs(key, old.blobs.into_iter().map(|(name, _)| name));
        }
        Ok(())
    }

    /// Removes those of the blobs `names` that the object `key` does not consist of: an upload that is completed a second time
    /// names the blobs of its own object. Readers that have a file open go on reading it.
    fn remove_blobs(&self, key: &str, names: impl Iterator<Item = String>) {
        let used = |name: &str| self.objects.get(key).is_some_and(|meta| meta.blobs.iter().any(|(own, _)| own == name));
        for name in names.filter(|name| !used(name)) {
            let _ = fs::remove_file(self.folder.join("blobs").join(name));
        }
    }

    /// Opens the bytes of an object, from `offset` on.
    pub(super) fn open_bytes(&self, meta: &Meta, offset: u64, length: u64) -> io::Result<Box<dyn Read + Send>> {
        let (mut skip, mut left) = (offset, length);
        let mut files = VecDeque::new();
        for (name, size) in &meta.blobs {
            if skip >= *size {
                skip -= size;
                continue;
            }
            let take = left.min(size - skip);
            if take == 0 {
                break;
            }
            let mut file = File::open(self.folder.join("blobs").join(name))?;
            file.seek(SeekFrom::Start(skip))?;
            files.push_back(file.take(take));
            (skip, left) = (0, left - take);
        }
        Ok(Box::new(Parts(files)))
    }

    /// The objects after `after` whose keys start with `prefix`.
    pub(super) fn list<'a>(&'a self, prefix: &'a str, after: &str) -> impl Iterator<Item = &'a Meta> {
        let start = if after.is_empty() { prefix.to_string() } else { format!("{after}\0") };
        let start = start.max(prefix.to_string());
        self.objects.range(start..).map(|(_, meta)| meta).take_while(move |meta| meta.key.starts_with(prefix))
    }

    pub(super) fn create_upload(&mut self, key: &str, fields: Fields) -> io::Result<String> {
        let id = self.fresh();
        let upload = Upload { key: key.into(), fields, parts: BTreeMap::new() };
        write_json(&self.upload_path(&id), &upload)?;
        Ok(id)
    }

    /// Adds a part to an upload. Returns `false` if there is no such upload.
    pub(super) fn add_part(&mut self, key: &str, id: &str, number: u32, fresh: Fresh) -> io::Result<bool> {
        let Some(mut upload) = self.upload(key, id)? else { return Ok(false) };
        let old = upload.parts.insert(number, fresh.blob.clone());
        write_json(&self.upload_path(id), &upload)?;
        fresh.keep();
        self.remove_blobs(key, old.into_iter().map(|blob| blob.name));
        Ok(true)
    }

    /// Completes `upload`: makes its parts `blobs` the object, and removes its other parts.
    pub(super) fn complete(&mut self, id: &str, mut upload: Upload, blobs: Vec<Blob>) -> io::Result<Meta> {
        let mut digest = Md5::new();
        for blob in &blobs {
            let md5 = unhex(&blob.md5)
                .ok_or_else(|| io::Error::other(format!("the upload `{id}` has a part whose MD5 is `{}`", blob.md5)))?;
            Digest::update(&mut digest, md5);
            upload.parts.retain(|_, part| part.name != blob.name);
        }
        let version = self.fresh();
        let meta = self.replace(Meta {
            key: upload.key,
            version,
            size: blobs.iter().map(|blob| blob.size).sum(),
            etag: format!("{}-{}", hex(&digest.finalize()), blobs.len()),
            uploaded: now_ms(),
            checksums: Vec::new(),
            http_fields: upload.fields.http,
            custom_fields: upload.fields.custom,
            blobs: blobs.into_iter().map(|blob| (blob.name, blob.size)).collect(),
        })?;
        fs::remove_file(self.upload_path(id))?;
        self.remove_blobs(&meta.key, upload.parts.into_values().map(|blob| blob.name));
        Ok(meta)
    }

    pub(super) fn abort(&mut self, key: &str, id: &str) -> io::Result<()> {
        if let Some(upload) = self.upload(key, id)? {
            fs::remove_file(self.upload_path(id))?;
            self.remove_blobs(key, upload.parts.into_values().map(|blob| blob.name));
        }
        Ok(())
    }

    /// The upload of `key` that has this id, if there is one.
    pub(super) fn upload(&self, key: &str, id: &str) -> io::Result<Option<Upload>> {
        let path = self.upload_path(id);
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) || !path.try_exists()? {
            return Ok(None);
        }
        let upload: Upload = read_json(&path)?;
        Ok(Some(upload).filter(|upload| upload.key == key))
    }

    fn upload_path(&self, id: &str) -> PathBuf {
        self.folder.join("uploads").join(id)
    }

    /// The metadata file of an object. Its name is a hash, because a key may be longer than a file name and may have any
    /// characters.
    fn object_path(&self, key: &str) -> PathBuf {
        self.folder.join("objects").join(md5(key.as_bytes()))
    }
}

/// Reads the files of an object one after the other. All files are open from the start, so that an object which is deleted
/// meanwhile can be read to its end.
struct Parts(VecDeque<Take<File>>);

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(file) = self.0.front_mut() {
            match file.read(buffer)? {
                0 if !buffer.is_empty() => drop(self.0.pop_front()),
                count => return Ok(count),
            }
        }
        Ok(0)
    }
}

impl Fresh {
    /// Writes `content` to `path`, and computes its MD5 and the checksums `algorithms`. If the content breaks off, no file is left.
    pub(super) fn write(path: PathBuf, algorithms: &[Algorithm], content: &mut dyn Read) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut file = File::create(&path)?;
        let mut fresh =
            Self { blob: Blob { name, size: 0, md5: String::new(), checksums: Vec::new() }, path: Some(path) };
        let wanted = |algorithm: &Algorithm| *algorithm == Algorithm::Md5 || algorithms.contains(algorithm);
        let mut digests: Vec<_> =
            Algorithm::ALL.into_iter().filter(wanted).map(|algorithm| (algorithm, algorithm.start())).collect();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = content.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            digests.iter_mut().for_each(|(_, digest)| digest.update(&buffer[..count]));
            file.write_all(&buffer[..count])?;
            fresh.blob.size += count as u64;
        }
        let digests = digests.into_iter().map(|(algorithm, digest)| (algorithm, hex(&digest.finalize())));
        fresh.blob.checksums = digests.collect();
        fresh.blob.md5 = fresh.blob.checksums.first().map(|(_, digest)| digest.clone()).unwrap_or_default();
        Ok(fresh)
    }

    fn keep(mut self) {
        self.path = None;
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// Reads the files in `folder`.
fn read_all<T: serde::de::DeserializeOwned>(folder: &Path) -> io::Result<Vec<T>> {
    let mut values = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // A file with an extension has not got its final name, so the write was never acknowledged.
        if path.extension().is_none() {
            values.push(read_json(&path)?);
        }
    }
    Ok(values)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    let bad = |error: &dyn std::fmt::Display| {
        io::Error::other(format!(
            "`{}` cannot be read: {error}; what it describes is lost: remove the file",
            path.display()
        ))
    };
    let text = fs::read(path).map_err(|error| bad(&error))?;
    serde_json::from_slice(&text).map_err(|error| bad(&error))
}

fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, serde_json::to_vec(value)?)?;
    fs::rename(&fresh, path)
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of which [`hex`] wrote the digits. `None` if these are no such digits.
fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    (digits.len().is_multiple_of(2) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| digits.as_bytes().chunks(2).map(pair).collect())?
}

/// The MD5 of `bytes`, as hexadecimal digits.
pub(crate) fn md5(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bucket in a folder of its own, which goes with it.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("realgar-bucket-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            Self(folder)
        }

        fn open(&self) -> Bucket {
            Bucket::open(&self.0).unwrap()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn blob(bucket: &mut Bucket, mut content: &[u8]) -> Fresh {
        let path = bucket.new_blob();
        Fresh::write(path, &[], &mut content).unwrap()
    }

    fn bytes(bucket: &Bucket, key: &str, offset: u64, length: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        bucket.open_bytes(bucket.get(key).unwrap(), offset, length).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_a_kill_left_half_done_is_gone_and_what_was_acknowledged_stays() {
        let place = Place::new("kill");
        let mut bucket = place.open();
        let fresh = blob(&mut bucket, b"kept");
        bucket.put("key", fresh, Fields::default()).unwrap();
        // Bytes that no object has, and metadata that has not got its final name.
        let orphan = bucket.new_blob();
        fs::write(&orphan, b"half").unwrap();
        fs::write(bucket.object_path("other").with_extension("fresh"), b"{\"key\"").unwrap();
        let again = place.open();
        assert_eq!(bytes(&again, "key", 0, 4), b"kept");
        assert!(!orphan.exists() && again.get("other").is_none());
    }

    #[test]
    fn an_object_in_parts_reads_as_one_from_any_offset() {
        let place = Place::new("parts");
        let mut bucket = place.open();
        let id = bucket.create_upload("key", Fields::default()).unwrap();
        for (number, part) in [(1, &b"abc"[..]), (2, b"defg")] {
            let fresh = blob(&mut bucket, part);
            assert!(bucket.add_part("key", &id, number, fresh).unwrap());
        }
        let upload = bucket.upload("key", &id).unwrap().unwrap();
        let blobs = upload.parts.values().cloned().collect();
        let meta = bucket.complete(&id, upload, blobs).unwrap();
        assert_eq!((meta.size, meta.etag.ends_with("-2")), (7, true));
        for (offset, length, expected) in [(0, 7, &b"abcdefg"[..]), (2, 3, b"cde"), (3, 1, b"d"), (6, 1, b"g")] {
            assert_eq!(bytes(&bucket, "key", offset, length), expected);
        }
        assert!(bucket.upload("key", &id).unwrap().is_none(), "it is complete");
    }

    #[test]
    fn an_upload_that_cannot_be_read_is_an_error_and_not_none() {
        let place = Place::new("corrupt");
        let mut bucket = place.open();
        let id = bucket.create_upload("key", Fields::default()).unwrap();
        assert!(bucket.upload("other", &id).unwrap().is_none(), "it is of another key");
        assert!(bucket.upload("key", "../objects").unwrap().is_none(), "that is no id");
        fs::write(bucket.upload_path(&id), b"{").unwrap();
        let error = bucket.upload("key", &id).unwrap_err().to_string();
        assert!(error.contains(&id) && error.contains("remove the file"), "{error}");
        assert!(Bucket::open(&place.0).is_err());
    }

    #[test]
    fn digits_are_read_strictly() {
        assert_eq!(unhex(&hex(&[0, 15, 255])), Some(vec![0, 15, 255]));
        for bad in ["0", "0g", "+f", "é"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
