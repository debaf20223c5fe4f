//! Buckets on disk: one file of metadata for each object, and its bytes beside, in one file for each part.
//!
//! What an object is changes with one rename, so a kill leaves the old version or the new one. The keys are in memory.

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Everything that is known of an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) key: String,
    pub(super) version: String,
    pub(super) size: u64,
    pub(super) etag: String,
    /// In milliseconds since 1970.
    pub(super) uploaded: u64,
    /// As hexadecimal digits; not of an object that was uploaded in parts.
    pub(super) md5: Option<String>,
    pub(super) http_fields: serde_json::Value,
    pub(super) custom_fields: serde_json::Value,
    /// The files with its bytes, and how many each has.
    blobs: Vec<(String, u64)>,
}

/// What a new object gets besides its bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Fields {
    pub(super) http: serde_json::Value,
    pub(super) custom: serde_json::Value,
}

/// Bytes that were written and belong to no object yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Blob {
    name: String,
    pub(super) size: u64,
    pub(super) md5: String,
}

/// An upload in parts, under way.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Upload {
    key: String,
    fields: Fields,
    parts: BTreeMap<u32, Blob>,
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
        for entry in fs::read_dir(folder.join("objects"))? {
            let path = entry?.path();
            // A file without its last rename was never acknowledged.
            if path.extension().is_none() {
                let meta: Meta = serde_json::from_slice(&fs::read(&path)?)?;
                objects.insert(meta.key.clone(), meta);
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

    /// Where to write bytes. Not while the bucket is locked: it may take as long as the client likes.
    pub(super) fn new_blob(&mut self) -> PathBuf {
        let name = self.fresh();
        self.folder.join("blobs").join(name)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Meta> {
        self.objects.get(key)
    }

    /// Makes `blob` the object `key`.
    pub(super) fn put(&mut self, key: &str, blob: &Blob, fields: Fields) -> io::Result<Meta> {
        let version = self.fresh();
        self.replace(Meta {
            key: key.into(),
            version,
            size: blob.size,
            etag: blob.md5.clone(),
            uploaded: now_ms(),
            md5: Some(blob.md5.clone()),
            http_fields: fields.http,
            custom_fields: fields.custom,
            blobs: vec![(blob.name.clone(), blob.size)],
        })
    }

    fn replace(&mut self, meta: Meta) -> io::Result<Meta> {
        write_json(&self.object_path(&meta.key), &meta)?;
        if let Some(old) = self.objects.insert(meta.key.clone(), meta.clone()) {
            self.remove_blobs(old.blobs.into_iter().map(|(name, _)| name));
        }
        Ok(meta)
    }

    pub(super) fn delete(&mut self, key: &str) -> io::Result<()> {
        if let Some(old) = self.objects.remove(key) {
            fs::remove_file(self.object_path(key))?;
            self.remove_blobs(old.blobs.into_iter().map(|(name, _)| name));
        }
        Ok(())
    }

    /// Readers that have a file open go on reading it.
    fn remove_blobs(&self, names: impl Iterator<Item = String>) {
        for name in names {
            let _ = fs::remove_file(self.folder.join("blobs").join(name));
        }
    }

    /// Opens the bytes of an object, from `offset` on.
    pub(super) fn open_bytes(&self, meta: &Meta, offset: u64, length: u64) -> io::Result<Box<dyn Read + Send>> {
        let (mut skip, mut left) = (offset, length);
        let mut reader: Box<dyn Read + Send> = Box::new(io::empty());
        for (name, size) in &meta.blobs {
            if skip >= *size {
                skip -= size;
                continue;
            }
            let mut file = File::open(self.folder.join("blobs").join(name))?;
            file.seek(SeekFrom::Start(skip))?;
            let take = left.min(size - skip);
            reader = Box::new(reader.chain(BufReader::new(file).take(take)));
            (skip, left) = (0, left - take);
        }
        Ok(reader)
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

    /// Adds a part. `None` if there is no such upload.
    pub(super) fn add_part(&mut self, key: &str, id: &str, number: u32, blob: &Blob) -> io::Result<Option<()>> {
        let Some(mut upload) = self.upload(key, id) else { return Ok(None) };
        if let Some(old) = upload.parts.insert(number, blob.clone()) {
            self.remove_blobs([old.name].into_iter());
        }
        write_json(&self.upload_path(id), &upload).map(Some)
    }

    /// Makes the parts with these numbers and etags the object. `None` if there is no such upload, or no such part.
    pub(super) fn complete(&mut self, key: &str, id: &str, parts: &[(u32, String)]) -> io::Result<Option<Meta>> {
        let Some(mut upload) = self.upload(key, id) else { return Ok(None) };
        let mut blobs = Vec::new();
        let mut digest = Md5::new();
        for (number, etag) in parts {
            let Some(blob) = upload.parts.remove(number).filter(|blob| blob.md5 == *etag) else { return Ok(None) };
            digest.update(blob.md5.as_bytes());
            blobs.push((blob.name, blob.size));
        }
        let meta = Meta {
            key: key.into(),
            version: self.fresh(),
            size: blobs.iter().map(|(_, size)| size).sum(),
            etag: format!("{}-{}", hex(&digest.finalize()), parts.len()),
            uploaded: now_ms(),
            md5: None,
            http_fields: upload.fields.http,
            custom_fields: upload.fields.custom,
            blobs,
        };
        let meta = self.replace(meta)?;
        self.remove_blobs(upload.parts.into_values().map(|blob| blob.name));
        fs::remove_file(self.upload_path(id))?;
        Ok(Some(meta))
    }

    pub(super) fn abort(&mut self, key: &str, id: &str) -> io::Result<()> {
        if let Some(upload) = self.upload(key, id) {
            self.remove_blobs(upload.parts.into_values().map(|blob| blob.name));
            fs::remove_file(self.upload_path(id))?;
        }
        Ok(())
    }

    fn upload(&self, key: &str, id: &str) -> Option<Upload> {
        let known = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let text = known.then(|| fs::read(self.upload_path(id)).ok()).flatten()?;
        serde_json::from_slice(&text).ok().filter(|upload: &Upload| upload.key == key)
    }

    fn upload_path(&self, id: &str) -> PathBuf {
        self.folder.join("uploads").join(id)
    }

    /// A key may be longer than a file name, and of any characters.
    fn object_path(&self, key: &str) -> PathBuf {
        self.folder.join("objects").join(hex(&Md5::digest(key.as_bytes())))
    }
}

/// Writes what `content` has to `path`.
pub(super) fn write_blob(path: &Path, content: &mut dyn Read) -> io::Result<Blob> {
    let mut file = File::create(path)?;
    let mut digest = Md5::new();
    let mut buffer = vec![0; 64 << 10];
    let mut size = 0;
    loop {
        let count = content.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        digest.update(&buffer[..count]);
        file.write_all(&buffer[..count])?;
        size += count as u64;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Blob { name, size, md5: hex(&digest.finalize()) })
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
