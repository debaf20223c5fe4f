//! JSON, for values that JavaScript reads too. An integer that `JSON.parse` would round is an error, and so is a number that is not
//! finite.
//!
//! Numbers are those of JavaScript: 2.0 is 2, and a type that accepts anything gets an integer beyond 2^53 - 1 rounded. Values of
//! programs are read by `JSON.parse` and the decoder of JavaScript values, which every program has. A second decoder of each type,
//! and an exact one of floats, would make a bundle larger by a tenth.

use super::{CodecError, SAFE_INTEGER_MAX, finite::Checked};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::ser::Formatter;
use std::io;
use wasm_bindgen::JsValue;

/// Appends `value`. If that fails, the caller has to take back what was written of it.
pub(crate) fn append<T: Serialize + ?Sized>(buffer: &mut Vec<u8>, value: &T) -> Result<(), CodecError> {
    let mut serializer = serde_json::Serializer::with_formatter(buffer, Exact);
    Checked(value).serialize(&mut serializer).map_err(|error| CodecError::new(error.to_string()))
}

/// `value` as a JSON document.
pub(crate) fn to_text<T: Serialize + ?Sized>(value: &T) -> Result<String, CodecError> {
    let mut buffer = Vec::new();
    append(&mut buffer, value)?;
    // This fails only if a `Serialize` is broken.
    String::from_utf8(buffer).map_err(|_| CodecError::new("a value has written bytes that are no text"))
}

/// Decodes a document whose format is our own, and which has no floats.
pub(crate) fn decode<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, CodecError> {
    serde_json::from_slice(text).map_err(|error| CodecError::new(error.to_string()))
}

/// Decodes a document.
#[cfg(target_arch = "wasm32")]
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, CodecError> {
    super::from_json(&parse_js(text)?)
}

/// In unit tests, where there is no JavaScript.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, CodecError> {
    decode(text.as_bytes())
}

/// The JavaScript value of a document.
pub(crate) fn parse_js(text: &str) -> Result<JsValue, CodecError> {
    js_sys::JSON::parse(text).map_err(|thrown| CodecError::new(crate::Exception::from(thrown).message))
}

/// Compact JSON without integers beyond 2^53 - 1.
struct Exact;

macro_rules! exact {
    ($($write:ident: $type:ty,)*) => {
        $(
            fn $write<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: $type) -> io::Result<()> {
                if i128::try_from(value).is_ok_and(|value| value.unsigned_abs() <= u128::from(SAFE_INTEGER_MAX)) {
                    return write!(writer, "{value}");
                }
                Err(io::Error::other(format!(
                    "the integer {value} is beyond 2^53 - 1, and JavaScript would round it; send it as a string"
                )))
            }
        )*
    };
}

impl Formatter for Exact {
    exact! {
        write_u64: u64,
        write_i64: i64,
        write_u128: u128,
        write_i128: i128,
    }
}
