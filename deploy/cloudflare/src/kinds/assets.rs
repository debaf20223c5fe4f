//! The static files of a Worker. They go up before the script, which then presents the token of the upload. Files that Cloudflare has
//! already are not sent again.

use crate::{Client, Token, client::Body};
use realgar_engine::{Failure, FailureKind};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::form::Form;

/// The length of the hashes that Cloudflare takes, in hexadecimal digits.
const HASH_LENGTH: usize = 32;

/// A static file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asset {
    /// What tells its content from others: see [`read`].
    pub(crate) hash: String,
    /// Its size in bytes.
    pub(crate) size: u64,
}

/// The files in `folder`, by their path below the address of the Worker.
pub(crate) fn read(folder: &Path) -> Result<BTreeMap<String, Asset>, (PathBuf, io::Error)> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder_) = open.pop() {
        let failed = |error| (folder_.clone(), error);
        for entry in fs::read_dir(&folder_).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let content = fs::read(&path).map_err(|error| (path.clone(), error))?;
            let below = path.strip_prefix(folder).unwrap_or(&path).components();
            let below: Vec<_> = below.map(|part| part.as_os_str().to_string_lossy()).collect();
            files.insert(
                format!("/{}", below.join("/")),
                Asset { hash: hash(&path, &content), size: content.len() as u64 },
            );
        }
    }
    Ok(files)
}

/// The hash under which Cloudflare keeps a file. The extension is part of it, because the content type is made of it.
fn hash(path: &Path, content: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(content);
    hash.update(path.extension().unwrap_or_default().as_encoded_bytes());
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    hash[..HASH_LENGTH].into()
}

/// The content type of a file, by its extension.
fn content_type(path: &str) -> &'static str {
    match Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "js" | "mjs" => "text/javascript",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "txt" => "text/plain",
        "xml" => "application/xml",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        // Cloudflare then chooses one itself.
        _ => "application/null",
    }
}

/// Sends the files of the script `name` that Cloudflare does not have, and returns the token for its upload.
pub(super) fn upload(
    client: &Client,
    name: &str,
    files: &BTreeMap<String, Asset>,
    folder: &Path,
) -> Result<String, Failure> {
    let path = format!("/workers/scripts/{name}/assets-upload-session");
    let session = client.change("POST", &path, &Body::Json(json!({ "manifest": files })))?;
    let token = |answer: &serde_json::Value| answer["jwt"].as_str().map(str::to_string);
    // The answers have tokens, so they are not shown.
    let unreadable =
        |what: &str| Failure::new(FailureKind::Unreadable, format!("the answer about an upload of files {what}"));
    let mut last = token(&session).ok_or_else(|| unreadable("has no token"))?;
    let uploader = client.with_token(Token::new(last.clone()));
    let by_hash: BTreeMap<&str, &String> = files.iter().map(|(path, file)| (file.hash.as_str(), path)).collect();
    let mut completed = session["buckets"].as_array().is_none_or(Vec::is_empty);
    for bucket in session["buckets"].as_array().into_iter().flatten() {
        let mut form = Form::new();
        for hash in bucket.as_array().into_iter().flatten().filter_map(|hash| hash.as_str()) {
            let path = by_hash.get(hash).ok_or_else(|| unreadable("asks for a file that does not exist"))?;
            let file = folder.join(path.trim_start_matches('/'));
            let refused = |message: String| Failure::new(FailureKind::Refused, message);
            let content =
                fs::read(&file).map_err(|error| refused(format!("cannot read `{}`: {error}", file.display())))?;
            if self::hash(&file, &content) != hash {
                return Err(refused(format!("`{}` has changed since the plan was made", file.display())));
            }
            form.part(hash, Some(hash), content_type(path), base64(&content).as_bytes());
        }
        let (kind, body) = form.end();
        let answer = uploader.change("POST", "/workers/assets/upload?base64=true", &Body::Bytes(kind, body))?;
        if let Some(token) = token(&answer) {
            (last, completed) = (token, true);
        }
    }
    if completed { Ok(last) } else { Err(unreadable("has no token for the end")) }
}

fn base64(content: &[u8]) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(content)
}
