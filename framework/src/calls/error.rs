//! Why a call failed: the form in which a failure travels, and the error that the caller gets.

use crate::{CodecError, Error, codec, runtime::js};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::{self, Display};
use wasm_bindgen::JsValue;

/// The `code` of an error that a method returned itself; its `data` holds the encoded error.
pub(crate) const METHOD_ERROR: &str = "method_error";

/// The `code` of an error that an event handler returned.
const HANDLER_ERROR: &str = "handler_error";

/// A failure on its way to the caller.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) path: Option<String>,
    pub(crate) data: JsValue,
}

impl Failure {
    /// The failure of a call that the entry module of another build makes.
    pub(crate) fn other_build() -> Self {
        Self::new(RpcErrorKind::UnknownMethod, "the entry module is of another build than the wasm".into())
    }

    pub(crate) fn new(kind: RpcErrorKind, message: String) -> Self {
        Self { code: kind.code(), message, path: None, data: JsValue::UNDEFINED }
    }

    /// The failure of a method that returned `error`.
    pub(crate) fn method<E: Serialize + Display>(error: &E) -> Self {
        match codec::to_js(error) {
            Ok(data) => Self { code: METHOD_ERROR, message: error.to_string(), path: None, data },
            Err(codec) => Self::result(&codec),
        }
    }

    /// The failure of a method whose result or error has no form in JavaScript.
    pub(crate) fn result(error: &CodecError) -> Self {
        Self {
            path: Some(error.path()),
            ..Self::new(RpcErrorKind::BadResult, format!("the result cannot be sent: {error}"))
        }
    }

    pub(crate) fn arguments(error: &CodecError) -> Self {
        Self { path: Some(error.path()), ..Self::new(RpcErrorKind::BadArguments, error.to_string()) }
    }
}

/// Which kind of failure an [`RpcError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RpcErrorKind {
    /// The other side has no such method. The method did not run.
    UnknownMethod,
    /// An argument does not fit its parameter. The method did not run.
    BadArguments,
    /// The result does not fit the type that the caller expects, or cannot be sent. The method ran.
    BadResult,
    /// Phase 2 of the object failed. The method did not run.
    InitFailed,
    /// The method panicked, or its instance trapped. It may have run in part.
    Panicked,
    /// Another call in the same isolate broke the instance. This one may have run in part.
    Interrupted,
    /// The object was reset while the call was under way. It may have run in part.
    Reset,
    /// A stream stopped before its end. The items that arrived are whole; which ones are missing is not known.
    Truncated,
    /// The deadline of the call has passed. The method may have run in part.
    DeadlineExceeded,
    /// The two sides were built from contracts that do not fit each other, and the values of this call do not survive the
    /// difference.
    VersionSkew,
    /// The object has more calls waiting than the platform keeps. The method did not run.
    Overloaded,
    /// The connection to the object was lost, or the platform failed. The method may have run.
    Network,
    /// This side could not make the call: no binding, a bad id, an argument that cannot be sent.
    NotSent,
    /// The other side threw an exception that says nothing more.
    Remote,
}

impl RpcErrorKind {
    const CODES: [(Self, &'static str); 14] = [
        (Self::UnknownMethod, "unknown_method"),
        (Self::BadArguments, "bad_arguments"),
        (Self::BadResult, "bad_result"),
        (Self::InitFailed, "init_failed"),
        (Self::Panicked, "panicked"),
        (Self::Interrupted, "interrupted"),
        (Self::Reset, "reset"),
        (Self::Truncated, "truncated"),
        (Self::DeadlineExceeded, "deadline_exceeded"),
        (Self::VersionSkew, "version_skew"),
        (Self::Overloaded, "overloaded"),
        (Self::Network, "network"),
        (Self::NotSent, "not_sent"),
        (Self::Remote, "remote"),
    ];

    /// The property `code` of the error on the wire.
    #[must_use]
    pub fn code(self) -> &'static str {
        Self::CODES.iter().find(|(kind, _)| *kind == self).map_or("remote", |(_, code)| code)
    }

    fn of_code(code: &str) -> Option<Self> {
        Self::CODES.iter().find(|(_, own)| *own == code).map(|(kind, _)| *kind)
    }
}

/// A call that failed for another reason than the method's own error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    kind: RpcErrorKind,
    method: String,
    message: String,
    path: Option<String>,
    retryable: bool,
}

impl RpcError {
    pub(crate) fn new(kind: RpcErrorKind, method: &str, message: String) -> Self {
        Self { kind, method: method.into(), message, path: None, retryable: false }
    }

    pub(crate) fn from_codec(kind: RpcErrorKind, method: &str, error: &CodecError) -> Self {
        Self { path: Some(error.path()), ..Self::new(kind, method, error.to_string()) }
    }

    /// The error that a peer reports as `code`.
    pub(crate) fn of_code(code: &str, method: &str, message: String) -> Self {
        Self::new(RpcErrorKind::of_code(code).unwrap_or(RpcErrorKind::Remote), method, message)
    }

    /// Whether a thrown value is an error that this crate made.
    pub(crate) fn is_ours(thrown: &JsValue) -> bool {
        js::string_field(thrown, "code")
            .is_some_and(|code| code == METHOD_ERROR || RpcErrorKind::of_code(&code).is_some())
    }

    /// Reads a thrown value that is not an error of the method's own type.
    pub(crate) fn from_thrown(method: &str, thrown: &JsValue) -> Self {
        let message = js::string_field(thrown, "message").unwrap_or_else(|| js::display(thrown));
        let flag = |name| js::field(thrown, name).is_truthy();
        let kind =
            js::string_field(thrown, "code").and_then(|code| RpcErrorKind::of_code(&code)).unwrap_or_else(|| {
                if flag("overloaded") {
                    RpcErrorKind::Overloaded
                } else if flag("durableObjectReset") {
                    RpcErrorKind::Reset
                } else if is_method_missing(&message) {
                    RpcErrorKind::UnknownMethod
                } else if flag("retryable") || message.starts_with("Network connection lost") {
                    RpcErrorKind::Network
                } else {
                    RpcErrorKind::Remote
                }
            });
        Self {
            path: js::string_field(thrown, "path"),
            retryable: flag("retryable") && !flag("overloaded"),
            ..Self::new(kind, method, message)
        }
    }

    /// The same error between two peers with different contracts: a value that does not fit is then no mistake of either side.
    pub(crate) fn skewed(self) -> Self {
        match self.kind {
            RpcErrorKind::BadArguments | RpcErrorKind::BadResult | RpcErrorKind::UnknownMethod => Self {
                kind: RpcErrorKind::VersionSkew,
                message: format!("the peer is deployed with another contract: {}", self.message),
                ..self
            },
            _ => self,
        }
    }

    /// Which kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> RpcErrorKind {
        self.kind
    }

    /// The method that was called, by its name on the wire.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The message of the side that failed.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The place in the arguments or in the result that the error is about, such as `order.items[2].price`.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Whether the method certainly did not run, and the same call may succeed. It is then safe to repeat the call, whatever the
    /// method does.
    #[must_use]
    pub fn is_retry_safe(&self) -> bool {
        self.kind == RpcErrorKind::InitFailed
    }

    /// Whether the platform suggests repeating the call **if the method is idempotent**: the failure is transient, the object is
    /// not overloaded, and the method may have run.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable || self.is_retry_safe()
    }
}

impl Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` failed ({}): {}", self.method, self.kind.code(), self.message)
    }
}

impl std::error::Error for RpcError {}

/// A call of a method that returns a `Result`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The method's own error, as the method returned it.
    Method(E),
    /// Everything else.
    Rpc(RpcError),
}

impl<E: Display> Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(error) => error.fmt(f),
            Self::Rpc(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + Display> std::error::Error for CallError<E> {}

impl<E> From<RpcError> for CallError<E> {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}

impl<E: DeserializeOwned> CallError<E> {
    pub(crate) fn from_thrown(method: &str, thrown: &JsValue) -> Self {
        if js::string_field(thrown, "code").as_deref() != Some(METHOD_ERROR) {
            return Self::Rpc(RpcError::from_thrown(method, thrown));
        }
        match codec::from_js(&js::field(thrown, "data")) {
            Ok(error) => Self::Method(error),
            Err(codec) => Self::Rpc(RpcError {
                message: format!("the method's error is not of the expected type: {codec}"),
                ..RpcError::from_codec(RpcErrorKind::BadResult, method, &codec)
            }),
        }
    }
}

/// The error of a handler of an object or a Worker, on its way to the caller.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: HANDLER_ERROR, message: error.to_string(), path: None, data: JsValue::UNDEFINED }
    }
}

/// Whether a message is the one with which the platform reports a method that does not exist.
#[inline(never)]
pub(crate) fn is_method_missing(message: &str) -> bool {
    js::says(message, "does not implement the method")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_of_its_own() {
        for (kind, code) in RpcErrorKind::CODES {
            assert_eq!(kind.code(), code);
            assert_eq!(RpcErrorKind::of_code(code), Some(kind));
        }
    }

    #[test]
    fn a_call_that_may_have_run_is_not_safe_to_repeat() {
        for (kind, _) in RpcErrorKind::CODES {
            let error = RpcError::new(kind, "increment", "gone".into());
            assert_eq!(error.is_retry_safe(), kind == RpcErrorKind::InitFailed, "{kind:?}");
        }
        let transient =
            RpcError { retryable: true, ..RpcError::new(RpcErrorKind::Network, "increment", "gone".into()) };
        assert!(transient.is_retryable() && !transient.is_retry_safe());
    }
}
