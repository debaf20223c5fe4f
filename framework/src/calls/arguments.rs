//! The arguments of a call, on the side that runs the method.

use super::{Failure, Lane, lane::bytes_of};
use crate::{RpcErrorKind, codec};
use js_sys::Array;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use wasm_bindgen::JsValue;

/// The arguments of a call, as they arrived.
#[derive(Debug)]
pub struct Arguments {
    values: Array,
    /// On the lane of bytes: the arguments one after the other, and how many bytes of them were read.
    payload: Option<(Vec<u8>, Cell<usize>)>,
}

impl Arguments {
    /// The arguments of a call, as JavaScript passes them. With `bytes`, they are packed as another Rust program packs them: then
    /// `values` has one element, the bytes of all arguments.
    pub(crate) fn new(values: Array, bytes: bool) -> Result<Self, Failure> {
        if !bytes {
            return Ok(Self { values, payload: None });
        }
        let payload = bytes_of(&values.get(0)).map_err(|error| Failure::arguments(&error))?;
        Ok(Self { values, payload: Some((payload, Cell::new(0))) })
    }

    pub(crate) fn lane(&self) -> Lane {
        if self.payload.is_some() { Lane::Bytes } else { Lane::Native }
    }

    /// Checks that there are not more arguments than parameters.
    pub(crate) fn check_count(&self, method: &str, parameters: &[&str]) -> Result<(), Failure> {
        let count = self.values.length();
        if self.payload.is_some() || count as usize <= parameters.len() {
            return Ok(());
        }
        let plural = if count == 1 { "" } else { "s" };
        let message = format!("`{method}` takes ({}), and got {count} argument{plural}", parameters.join(", "));
        Err(Failure::new(RpcErrorKind::BadArguments, message))
    }

    /// The argument with this index as a JavaScript value.
    pub(crate) fn raw(&self, index: u32) -> JsValue {
        self.values.get(index)
    }

    /// Decodes argument `index`, called `name` in the source. It has to be called once for each argument, in order. A missing
    /// argument is `undefined`, so a trailing `Option` may be left out.
    pub(crate) fn decode<T: DeserializeOwned>(&self, index: u32, name: &str) -> Result<T, Failure> {
        let decoded = match &self.payload {
            None => codec::from_js(&self.raw(index)),
            Some((payload, at)) => {
                let rest = payload.get(at.get()..).unwrap_or_default();
                codec::bytes::take(rest).map(|(value, left)| {
                    at.set(payload.len() - left.len());
                    value
                })
            }
        };
        decoded.map_err(|error| Failure::arguments(&error.inside(name)))
    }
}
