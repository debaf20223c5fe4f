//! The resources of the platform, each as a value to bind and a client to use.

pub(crate) mod d1;
pub(crate) mod kv;
pub(crate) mod passthrough;
pub(crate) mod queue;
pub(crate) mod r2;
pub(crate) mod small;
pub(crate) mod vars;

use crate::{Error, Result, runtime::js};
use wasm_bindgen::JsValue;

/// The binding `name` of the environment.
pub(crate) fn lookup(name: &'static str) -> Result<JsValue> {
    match js::binding(name) {
        missing if missing.is_undefined() => Err(Error::MissingBinding { name: name.into() }),
        binding => Ok(binding),
    }
}

/// A plain object with the properties that have a value.
pub(crate) fn object<const N: usize>(properties: [(&'static str, Option<JsValue>); N]) -> JsValue {
    let object = js_sys::Object::new();
    for (name, value) in properties {
        if let Some(value) = value {
            js::define(&object, name, &value);
        }
    }
    object.into()
}
