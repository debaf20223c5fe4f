//! The two lanes of a call: how its values travel.

use super::stream::Format;
use crate::{CodecError, codec};
use js_sys::Uint8Array;
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::{JsCast, JsValue};

/// How the values of a call travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// As plain JavaScript values.
    Native,
    /// As postcard, between two builds of the same contract.
    Bytes,
}

impl Lane {
    /// Encodes a result.
    pub(crate) fn encode<T: Serialize>(self, value: &T) -> Result<JsValue, CodecError> {
        match self {
            Self::Native => codec::to_js(value),
            Self::Bytes => {
                let mut buffer = Vec::new();
                codec::bytes::append(&mut buffer, value)?;
                Ok(Uint8Array::from(buffer.as_slice()).into())
            }
        }
    }

    /// Decodes a result.
    pub(crate) fn decode<T: DeserializeOwned>(self, value: &JsValue) -> Result<T, CodecError> {
        match self {
            Self::Native => codec::from_js(value),
            Self::Bytes => codec::bytes::decode(&bytes_of(value)?),
        }
    }

    /// The format of a stream that answers a call on this lane.
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Native => Format::Lines,
            Self::Bytes => Format::Frames,
        }
    }
}

pub(super) fn bytes_of(value: &JsValue) -> Result<Vec<u8>, CodecError> {
    match value.dyn_ref::<Uint8Array>() {
        Some(bytes) => Ok(bytes.to_vec()),
        None => Err(CodecError::new("expected the bytes of a value")),
    }
}
