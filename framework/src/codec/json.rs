//! JSON, for the items of a stream that JavaScript reads. An integer that `JSON.parse` would round is an error, and so is a number
//! that is not finite.

use super::{CodecError, SAFE_INTEGER_MAX, finite::Checked};
use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;
use std::io;

/// Appends `value`. What was written of a value that cannot be is for the caller to take back.
pub(crate) fn append<T: Serialize + ?Sized>(buffer: &mut Vec<u8>, value: &T) -> Result<(), CodecError> {
    let mut serializer = serde_json::Serializer::with_formatter(buffer, Exact);
    Checked(value).serialize(&mut serializer).map_err(|error| CodecError::new(error.to_string()))
}

/// Decodes one document.
pub(crate) fn decode<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, CodecError> {
    serde_json::from_slice(text).map_err(|error| CodecError::new(error.to_string()))
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
