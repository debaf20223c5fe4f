//! The framework's error: what storage, bindings and the codec report, and what `?` collects in a handler.

use crate::{CallError, CodecError, RpcError, runtime::js};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeStruct};
use std::fmt::Display;
use wasm_bindgen::JsValue;

/// A `Result` whose error is [`Error`] unless it names another.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation of the framework failed.
///
/// As the error of an RPC method it crosses to the caller as its message alone: [`Error::Message`] on the other side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error that the program made itself, as text.
    #[error("{0}")]
    Message(String),
    /// The runtime threw an exception.
    #[error(transparent)]
    Exception(#[from] Exception),
    /// A value does not fit the type that was asked for, or cannot be represented in JavaScript.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A call to another object or Worker failed.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The environment has no binding of that name.
    #[error("the environment has no binding `{name}`; deploy the Worker with the manifest of its own build")]
    MissingBinding {
        /// The name that was looked up.
        name: String,
    },
    /// The base crate reported an error.
    #[error(transparent)]
    Worker(#[from] worker::Error),
}

impl Error {
    pub(crate) fn from_js(exception: JsValue) -> Self {
        Exception::from(exception).into()
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Self {
        Self::Message(message.into())
    }
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Message(error.to_string())
    }
}

impl<E: Display> From<CallError<E>> for Error {
    fn from(error: CallError<E>) -> Self {
        match error {
            CallError::Method(error) => Self::Message(error.to_string()),
            CallError::Rpc(error) => error.into(),
        }
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Error", 1)?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            message: String,
        }
        Ok(Self::Message(Wire::deserialize(deserializer)?.message))
    }
}

/// A JavaScript exception, without its stack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct Exception {
    /// The class of the error: `TypeError`, `Error`, …
    pub name: String,
    /// Its message; for a thrown value that is no `Error`, the value as text.
    pub message: String,
}

impl From<JsValue> for Exception {
    fn from(thrown: JsValue) -> Self {
        Self {
            name: js::string_field(&thrown, "name").unwrap_or_else(|| "Error".into()),
            message: js::string_field(&thrown, "message").unwrap_or_else(|| js::display(&thrown)),
        }
    }
}
