//! What exists on this edge, in one file. Each change is on the disk before it is answered.

use super::answer::ApiError;
use crate::{EdgeError, error::io, private};
use realgar_wire::ClassChange;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

const FILE: &str = "api.json";
const SCHEMA: u32 = 1;

/// What exists.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tables {
    schema: u32,
    /// D1 databases, by id.
    pub(super) databases: BTreeMap<String, Named>,
    /// KV namespaces, by id.
    pub(super) namespaces: BTreeMap<String, Named>,
    /// R2 buckets, by name.
    pub(super) buckets: BTreeMap<String, Named>,
    /// Queues, by id.
    pub(super) queues: BTreeMap<String, Named>,
    /// The consumers of queues, by the id of the queue.
    pub(super) consumers: BTreeMap<String, ConsumerRow>,
    /// Workers, by name.
    pub(super) scripts: BTreeMap<String, ScriptRow>,
    /// The part of the account's addresses that is the same for all its Workers.
    pub(super) subdomain: String,
}

/// Something with a name and a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) name: String,
    /// When it was made, in milliseconds since 1970.
    pub(super) created_ms: u64,
}

/// The consumer of a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsumerRow {
    pub(super) id: String,
    pub(super) script: String,
    pub(super) dead_letter_queue: Option<String>,
    /// As they were sent.
    pub(super) settings: Value,
    pub(super) created_ms: u64,
}

/// A Worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptRow {
    /// The id that stays when the Worker is renamed.
    pub(super) tag: String,
    /// The id of the version that serves.
    pub(super) version: String,
    /// The metadata of the upload, without the values of secrets.
    pub(super) metadata: Value,
    /// The modules of the upload, with the types that it gave them.
    pub(super) modules: BTreeMap<String, String>,
    /// The values of its secrets.
    pub(super) secrets: BTreeMap<String, String>,
    /// The classes that it hosts.
    pub(super) classes: BTreeMap<String, Class>,
    /// The tag of the last step of `migrations` that was applied.
    #[serde(default)]
    pub(super) migration_tag: Option<String>,
    /// What the last upload said of classes that it has no more.
    #[serde(default)]
    pub(super) changes: Vec<ClassChange>,
    /// The classes that it is to get from other Workers, once those give them away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) expecting: BTreeMap<String, String>,
    /// The classes that it got from other Workers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) received: BTreeMap<String, String>,
    /// Whether it has an address below `workers.dev`.
    pub(super) subdomain: bool,
    /// Its cron triggers.
    pub(super) crons: Vec<String>,
    /// The port on which it serves here.
    pub(super) port: u16,
    pub(super) created_ms: u64,
    pub(super) modified_ms: u64,
}

/// A class of a Worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Class {
    /// The id of its namespace.
    pub(super) id: String,
    pub(super) sqlite: bool,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            databases: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            buckets: BTreeMap::new(),
            queues: BTreeMap::new(),
            consumers: BTreeMap::new(),
            scripts: BTreeMap::new(),
            subdomain: "local".into(),
        }
    }
}

impl Tables {
    /// Reads the tables of an earlier run. If there are none, nothing exists, and no objects may be there either.
    pub(super) fn read(data: &Path, has_objects: bool) -> Result<Self, EdgeError> {
        let path = data.join(FILE);
        let unreadable = |reason: String| EdgeError::Unreadable { path: path.clone(), reason };
        let tables: Self = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?,
            // What is not in the tables counts as deleted, and so would the data of all its objects.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && has_objects => {
                return Err(unreadable("it is missing, and objects store data beside it".into()));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(io("read", &path)(error)),
        };
        if tables.schema != SCHEMA {
            return Err(unreadable(format!("it has the schema {}, and this version knows {SCHEMA}", tables.schema)));
        }
        Ok(tables)
    }

    /// Whether nothing exists.
    pub(super) fn is_empty(&self) -> bool {
        let named = [&self.databases, &self.namespaces, &self.buckets, &self.queues];
        self.scripts.is_empty() && named.iter().all(|table| table.is_empty())
    }

    pub(super) fn write(&self, data: &Path) -> Result<(), EdgeError> {
        let path = data.join(FILE);
        let json = serde_json::to_vec_pretty(self).map_err(|error| io("write", &path)(error.into()))?;
        private::write(&path, &json)
    }
}

/// The folder of the modules of a version of a script.
pub(super) fn modules(data: &Path, script: &str, version: &str) -> PathBuf {
    data.join("uploads").join(script).join(version)
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A time as the API writes it.
pub(super) fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.unwrap_or_default().to_string()
}

/// A new id: 32 hexadecimal digits.
pub(super) fn new_id() -> Result<String, ApiError> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).map_err(ApiError::internal)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A new id with the hyphens of a UUID.
pub(super) fn new_uuid() -> Result<String, ApiError> {
    let id = new_id()?;
    Ok([&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-"))
}
