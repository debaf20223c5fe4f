//! The body of an upload: the parts of a form, among them the metadata and the modules of a script.

use super::answer::ApiError;
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;
use std::{
    convert::Infallible,
    path::{Component, Path},
};

/// A part of a form.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    file: Option<String>,
    kind: String,
    pub(super) content: Bytes,
}

impl Part {
    /// The content as JSON.
    pub(super) fn json(&self) -> Result<Value, ApiError> {
        serde_json::from_slice(&self.content)
            .map_err(|error| ApiError::bad_body(format!("the part `{}` is no JSON: {error}", self.name)))
    }
}

/// A module of an upload.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) name: String,
    /// The content type, without parameters.
    pub(super) kind: String,
    pub(super) content: Bytes,
}

/// Reads the parts of `body`.
pub(super) async fn parts(body: Bytes, boundary: String) -> Result<Vec<Part>, ApiError> {
    let bad = |error: multer::Error| ApiError::bad_body(format!("the form cannot be read: {error}"));
    let mut form = multer::Multipart::new(stream::once(async { Ok::<_, Infallible>(body) }), boundary);
    let mut parts = Vec::new();
    while let Some(field) = form.next_field().await.map_err(bad)? {
        let name = field.name().unwrap_or_default().to_string();
        let file = field.file_name().map(Into::into);
        let kind = field.content_type().map(|kind| kind.essence_str().to_string()).unwrap_or_default();
        parts.push(Part { name, file, kind, content: field.bytes().await.map_err(bad)? });
    }
    Ok(parts)
}

/// The metadata and the modules of an upload. Clients differ in where they put the name of a module: it is the name of the file if
/// there is one, else that of the part.
pub(super) fn script(parts: &[Part]) -> Result<(Value, Vec<Module>), ApiError> {
    let unreadable =
        |reason: String| ApiError::new(400, 10021, format!("could not read content for part metadata: {reason}"));
    let metadata =
        parts.iter().find(|part| part.name == "metadata").ok_or_else(|| unreadable("there is none".into()))?;
    let metadata = serde_json::from_slice(&metadata.content).map_err(|error| unreadable(error.to_string()))?;
    let mut modules = Vec::new();
    for part in parts.iter().filter(|part| part.name != "metadata") {
        let name = part.file.clone().unwrap_or_else(|| part.name.clone());
        let is_inside = Path::new(&name)
            .components()
            .all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
        if name.is_empty() || !is_inside {
            return Err(ApiError::new(400, 10021, format!("`{name}` cannot be the name of a module")));
        }
        modules.push(Module { name, kind: part.kind.clone(), content: part.content.clone() });
    }
    Ok((metadata, modules))
}
