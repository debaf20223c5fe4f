//! Serde to and from JavaScript values: the lane on which JavaScript sees arguments and results as plain values.
//!
//! Written for this boundary instead of taken from `serde-wasm-bindgen`, because a wrong argument must be an error that
//! names the path inside the value, integers must keep their value, `Vec<u8>` must be bytes, and hostile nesting must not
//! overflow the stack.

pub(crate) mod bytes;
mod decode;
mod encode;
mod finite;
pub(crate) mod json;
pub(crate) mod rows;

use serde::{
    Serialize,
    de::{DeserializeOwned, Expected, Unexpected},
};
use std::fmt;
use wasm_bindgen::JsValue;

/// How deep values may nest, in both directions. The limit that `serde_json` has.
const DEPTH_MAX: u32 = 128;

/// The largest integer up to which every integer is a `Number` of its own: 2^53 - 1.
pub(crate) const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why `Some(None)` and `Some(())` cannot be sent.
const SOME_OF_NOTHING: &str =
    "`Some` of nothing would arrive as `None`, because JavaScript has one `null`; use an enum of your own";

/// Encodes `value` as a JavaScript value.
pub(crate) fn to_js<T: Serialize + ?Sized>(value: &T) -> Result<JsValue, CodecError> {
    value.serialize(encode::Encoder::new())
}

/// Decodes a JavaScript value.
pub(crate) fn from_js<T: DeserializeOwned>(value: &JsValue) -> Result<T, CodecError> {
    T::deserialize(decode::Decoder::new(value))
}

/// Decodes a value that `JSON.parse` returned.
pub(crate) fn from_json<T: DeserializeOwned>(value: &JsValue) -> Result<T, CodecError> {
    T::deserialize(decode::Decoder::of_json(value))
}

/// A value that does not fit a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError {
    /// The segments of the path, innermost first, because they are added while the error travels outwards.
    path: Vec<Segment>,
    message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Field(String),
    Index(usize),
}

impl CodecError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { path: Vec::new(), message: message.into() }
    }

    pub(crate) fn in_statement(self, statement: &str) -> Self {
        Self { message: format!("{}, in `{statement}`", self.message), ..self }
    }

    fn too_deep() -> Self {
        Self::new(format!("the value nests deeper than {DEPTH_MAX} levels"))
    }

    /// The same error, seen from the value whose field `name` it is about.
    pub(crate) fn inside(mut self, name: &str) -> Self {
        self.path.push(Segment::Field(name.into()));
        self
    }

    pub(crate) fn at(mut self, index: usize) -> Self {
        self.path.push(Segment::Index(index));
        self
    }

    /// The place in the value that the error is about, such as `order.items[2].price`. Empty for the value itself.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.path.iter().rev() {
            match segment {
                Segment::Index(index) => path.push_str(&format!("[{index}]")),
                Segment::Field(name) if path.is_empty() => path.push_str(name),
                Segment::Field(name) => {
                    path.push('.');
                    path.push_str(name);
                }
            }
        }
        path
    }

    /// What is wrong there.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "`{}`: {}", self.path(), self.message) }
    }
}

impl std::error::Error for CodecError {}

impl serde::ser::Error for CodecError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

impl serde::de::Error for CodecError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, got {}", Found(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("invalid value: {}, expected {expected}", Found(found)))
    }
}

/// The kind of a value, in the words of the decoder. The digits of a float are left out: formatting them takes 5 KB of every
/// bundle.
struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Unexpected::Bool(value) => return write!(f, "boolean `{value}`"),
            Unexpected::Unsigned(value) => return write!(f, "integer `{value}`"),
            Unexpected::Signed(value) => return write!(f, "integer `{value}`"),
            Unexpected::Float(_) => "a floating-point number",
            Unexpected::Char(_) | Unexpected::Str(_) => "a string",
            Unexpected::Bytes(_) => "bytes",
            Unexpected::Unit | Unexpected::Option => "null",
            Unexpected::Seq => "an array",
            Unexpected::Other(other) => other,
            _ => "an object",
        })
    }
}

/// A number that is not finite, as Rust writes it.
pub(crate) fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_reads_from_the_outside_in() {
        let error = CodecError::new("expected a string").inside("name").at(2).inside("items").inside("order");
        assert_eq!(error.path(), "order.items[2].name");
        assert_eq!(error.to_string(), "`order.items[2].name`: expected a string");
    }
}
