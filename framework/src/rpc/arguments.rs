//! The arguments of a call, on the side that runs the method.

use super::Failure;
use crate::{CodecError, codec};
use js_sys::Array;
use serde::de::DeserializeOwned;

/// Decodes argument `index`, called `name` in the source. A missing one is `undefined`, so a trailing `Option` may be left
/// out.
pub(crate) fn decode_argument<T: DeserializeOwned>(arguments: &Array, index: u32, name: &str) -> Result<T, Failure> {
    codec::from_js(&arguments.get(index)).map_err(|error: CodecError| Failure::arguments(&error.inside(name)))
}
