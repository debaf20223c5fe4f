//! Answers of the API: Cloudflare's envelope around a result or an error.

use serde_json::{Value, json};

pub(super) const JSON: &str = "application/json";

/// The result of a call.
pub(super) type Answer = Result<Reply, ApiError>;

/// A result.
#[derive(Debug)]
pub(super) enum Reply {
    /// Bytes without an envelope, with their content type.
    Raw(String, Vec<u8>),
    /// Nothing but what tells the content that was stored from others.
    Stored(String),
    /// A result, in the envelope, with what goes beside it in `result_info`.
    With(Value, Value),
    /// A result, in the envelope.
    One(Value),
    /// A page of results, in the envelope, with how many there are in all.
    Page {
        /// The results of this page.
        results: Vec<Value>,
        /// The number of the page, from 1.
        page: usize,
        /// How many results a page has.
        per_page: usize,
        /// How many results there are.
        total: usize,
    },
}

impl Reply {
    /// The entity tag of the response, if it has one.
    pub(super) fn etag(&self) -> Option<String> {
        match self {
            Self::Stored(etag) => Some(format!("\"{etag}\"")),
            _ => None,
        }
    }

    /// The content type and the body of the response.
    pub(super) fn body(self) -> (String, Vec<u8>) {
        match self {
            Self::Raw(kind, bytes) => (kind, bytes),
            enveloped => (JSON.into(), enveloped.envelope().to_string().into_bytes()),
        }
    }

    fn envelope(self) -> Value {
        match self {
            Self::Raw(..) | Self::Stored(_) => Value::Null,
            Self::With(result, info) => {
                json!({ "success": true, "errors": [], "messages": [], "result": result, "result_info": info })
            }
            Self::One(result) => json!({ "success": true, "errors": [], "messages": [], "result": result }),
            Self::Page { results, page, per_page, total } => {
                let info = json!({ "page": page, "per_page": per_page, "count": results.len(), "total_count": total });
                json!({ "success": true, "errors": [], "messages": [], "result": results, "result_info": info })
            }
        }
    }
}

/// An error, as Cloudflare reports it.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) code: u32,
    pub(super) message: String,
    /// Further data, in the field `meta` of the error.
    pub(super) meta: Option<Value>,
}

impl ApiError {
    pub(super) fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), meta: None }
    }

    /// There is nothing at the path, or not with this method.
    pub(super) fn no_route(path: &str) -> Self {
        let message = format!("Could not route to {path}, perhaps your object identifier is invalid?");
        Self::new(404, 7003, message)
    }

    /// The body is not what the call takes.
    pub(super) fn bad_body(message: impl Into<String>) -> Self {
        Self::new(400, 10001, message)
    }

    /// The edge itself failed.
    pub(super) fn internal(message: impl ToString) -> Self {
        Self::new(500, 10002, message.to_string())
    }

    pub(super) fn body(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(meta) = &self.meta {
            error["meta"] = meta.clone();
        }
        json!({ "success": false, "errors": [error], "messages": [], "result": null })
    }
}
