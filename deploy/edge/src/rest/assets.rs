//! The static files of Workers: an upload session says which files are missing, takes them, and ends with a token that the upload of
//! the script presents.
//!
//! A file is kept under the hash that the client gave it. The token of a session is worthless for anything else.

use super::{
    answer::{Answer, ApiError, Reply},
    server::{Asked, Content, Shared},
    tables,
};
use crate::private;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

/// The end of the path to which files are uploaded.
pub(super) const UPLOAD: &str = "/workers/assets/upload";
/// How many files are uploaded in one call.
const BUCKET_SIZE: usize = 100;
const HASH_LENGTH: usize = 32;

/// The uploads of this run, by token.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    assets: BTreeMap<String, Session>,
    /// The files of SQL that are imported into databases, by id.
    pub(super) imports: BTreeMap<String, Vec<u8>>,
}

/// An upload of static files.
#[derive(Clone, Debug)]
struct Session {
    script: String,
    /// The hashes of the files, by path.
    files: BTreeMap<String, String>,
    missing: BTreeSet<String>,
}

impl Sessions {
    /// Whether `token` is that of a session.
    pub(super) fn knows(&self, token: &[u8]) -> bool {
        std::str::from_utf8(token).is_ok_and(|token| self.assets.contains_key(token))
    }

    /// Whether a file of SQL is expected at `path`.
    pub(super) fn knows_import(&self, path: &str) -> bool {
        path.rsplit_once("/realgar/imports/").is_some_and(|(_, id)| self.imports.contains_key(id))
    }
}

fn store(shared: &Shared) -> PathBuf {
    shared.data.join("asset-files")
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, 10021, message)
}

/// Begins a session for the files in the manifest of the body.
pub(super) fn begin(shared: &Shared, script: &str, asked: &Asked) -> Answer {
    let body = asked.json()?;
    let manifest = body["manifest"].as_object().ok_or_else(|| invalid("`manifest` is required"))?;
    let mut files = BTreeMap::new();
    for (path, entry) in manifest {
        let hash = entry["hash"].as_str().unwrap_or_default();
        let is_hash = hash.len() == HASH_LENGTH && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let inside = path.strip_prefix('/').map(Path::new);
        let is_inside = inside.is_some_and(|path| path.components().all(|part| matches!(part, Component::Normal(_))));
        if !is_hash || !is_inside || !entry["size"].is_u64() {
            return Err(invalid(format!("the entry of `{path}` in the manifest is not `/PATH: {{hash, size}}`")));
        }
        files.insert(path.clone(), hash.to_string());
    }
    let folder = store(shared);
    let missing: BTreeSet<String> = files.values().filter(|hash| !folder.join(hash).exists()).cloned().collect();
    let listed: Vec<&String> = missing.iter().collect();
    let buckets: Vec<&[&String]> = listed.chunks(BUCKET_SIZE).collect();
    let token = tables::new_id()?;
    let answer = json!({ "jwt": token, "buckets": buckets });
    shared.sessions().assets.insert(token, Session { script: script.into(), files, missing });
    Ok(Reply::One(answer))
}

/// Takes files. The answer to the last ones has the token that the upload of the script presents.
pub(super) fn upload(shared: &Shared, asked: &Asked) -> Answer {
    let Content::Parts(parts) = &asked.content else { return Err(ApiError::bad_body("files come as a form")) };
    if asked.query.get("base64").is_none_or(|value| value != "true") {
        return Err(ApiError::bad_body("this edge takes files as base64 only"));
    }
    let folder = store(shared);
    private::create_folder(&folder).map_err(ApiError::internal)?;
    for part in parts {
        let wanted =
            shared.sessions().assets.get(&asked.token).is_some_and(|session| session.missing.contains(&part.name));
        if !wanted {
            return Err(invalid(format!("`{}` is no file that this session asked for", part.name)));
        }
        let content =
            BASE64_STANDARD.decode(&part.content).map_err(|error| invalid(format!("`{}`: {error}", part.name)))?;
        let fresh = folder.join(format!("{}.new", part.name));
        fs::write(&fresh, content)
            .and_then(|()| fs::rename(&fresh, folder.join(&part.name)))
            .map_err(ApiError::internal)?;
        if let Some(session) = shared.sessions().assets.get_mut(&asked.token) {
            session.missing.remove(&part.name);
        }
    }
    let sessions = shared.sessions();
    let is_done = sessions.assets.get(&asked.token).is_some_and(|session| session.missing.is_empty());
    Ok(Reply::One(if is_done { json!({ "jwt": asked.token }) } else { Value::Null }))
}

/// Writes the files of a session that is complete into `folder`, where the script is. Nothing is done for a script without files.
pub(super) fn write(shared: &Shared, script: &str, metadata: &Value, folder: &Path) -> Result<(), ApiError> {
    let Some(token) = metadata["assets"]["jwt"].as_str() else { return Ok(()) };
    let mut sessions = shared.sessions();
    let session = sessions.assets.get(token).filter(|session| session.script == script && session.missing.is_empty());
    let session =
        session.cloned().ok_or_else(|| invalid("the token in `assets.jwt` is not that of a complete upload"))?;
    for (path, hash) in &session.files {
        let target = folder.join(path.trim_start_matches('/'));
        let parent = target.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::copy(store(shared).join(hash), &target))
            .map_err(ApiError::internal)?;
    }
    fs::create_dir_all(folder).map_err(ApiError::internal)?;
    sessions.assets.remove(token);
    Ok(())
}
