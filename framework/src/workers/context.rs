//! The execution context of one event of a Worker.

use crate::runtime::call;
use std::future::Future;
use wasm_bindgen::JsValue;

/// The execution context of one event.
#[derive(Clone, Debug)]
pub struct Context {
    raw: JsValue,
}

impl Context {
    pub(crate) fn new(raw: JsValue) -> Self {
        Self { raw }
    }

    /// Runs `future` beside the response and keeps the event alive until it ends, up to the platform's limit (30 s after
    /// the response).
    pub fn wait_until(&self, future: impl Future<Output = ()> + 'static) {
        call::wait_until(&self.raw, future);
    }
}
