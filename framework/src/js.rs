//! The boundary to JavaScript: what the generated entry module offers under the name `__realgar`.
//!
//! Every import that can throw has `catch`: an exception that unwinds through wasm frames would leave the instance broken
//! and its caller waiting for ever. `deploy/bundle/src/runtime/realgar.js` is the other side of this file.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// Ends the call `record` well.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn settle(record: &JsValue, value: &JsValue);

    /// Ends the call `record` with an `Error` that has these properties.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn fail(record: &JsValue, code: &str, message: &str, path: Option<&str>, data: &JsValue);

    /// Says what the panic hook saw; the abort that follows has no text.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn panicked(call: u32, message: &str);

    /// Says that this instance cannot go on.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn aborted(call: u32);

    /// `env[name]`.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn binding(name: &str) -> JsValue;

    /// `target[method](...arguments)`.
    #[wasm_bindgen(catch, js_namespace = __realgar)]
    pub(crate) fn invoke(target: &JsValue, method: &str, arguments: &js_sys::Array) -> Result<JsValue, JsValue>;

    /// `target[method]()`.
    #[wasm_bindgen(catch, js_namespace = __realgar)]
    pub(crate) fn invoke0(target: &JsValue, method: &str) -> Result<JsValue, JsValue>;

    /// `target[method](argument)`.
    #[wasm_bindgen(catch, js_namespace = __realgar)]
    pub(crate) fn invoke1(target: &JsValue, method: &str, argument: &JsValue) -> Result<JsValue, JsValue>;

    /// `target[method](first, second)`.
    #[wasm_bindgen(catch, js_namespace = __realgar)]
    pub(crate) fn invoke2(
        target: &JsValue,
        method: &str,
        first: &JsValue,
        second: &JsValue,
    ) -> Result<JsValue, JsValue>;

    /// `target[name]`, which may be a getter of the runtime.
    #[wasm_bindgen(catch, js_namespace = __realgar)]
    pub(crate) fn get(target: &JsValue, name: &str) -> Result<JsValue, JsValue>;

    /// Makes an own property, also where the name is `__proto__`.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn define(target: &js_sys::Object, name: &str, value: &JsValue);

    /// `[key, value, key, value, …]` of the own enumerable properties, or of a `Map`.
    #[wasm_bindgen(catch, js_namespace = __realgar)]
    pub(crate) fn entries(target: &JsValue) -> Result<js_sys::Array, JsValue>;

    /// What a value is, for the decoder and its messages: see [`crate::codec`].
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn kind(value: &JsValue) -> u32;

    /// The bytes of an `ArrayBuffer` or of any view on one.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn bytes(value: &JsValue) -> js_sys::Uint8Array;

    /// Whether a string has no half of a surrogate pair in it, which UTF-8 cannot say.
    #[wasm_bindgen(js_namespace = __realgar, js_name = wellFormed)]
    pub(crate) fn well_formed(value: &JsValue) -> bool;

    /// `String(value)`, or a placeholder where that throws.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn display(value: &JsValue) -> String;

    /// Has [`crate::promise::promise_settled`] called with `number` when `promise` is settled.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn wait(promise: &JsValue, number: u32);

    /// A promise that resolves after `milliseconds`.
    #[wasm_bindgen(js_namespace = __realgar)]
    pub(crate) fn sleep(milliseconds: f64) -> JsValue;

    /// `storage.transaction(run)`, tracked: if this instance dies inside, the transaction is rolled back at once.
    #[wasm_bindgen(catch, js_namespace = __realgar)]
    pub(crate) fn transaction(
        state: &JsValue,
        call: u32,
        run: &Closure<dyn FnMut(JsValue, u32, JsValue)>,
    ) -> Result<JsValue, JsValue>;

    /// `storage.transactionSync(run)`: commits where `run` returns true, and rolls back where it returns false.
    #[wasm_bindgen(catch, js_namespace = __realgar, js_name = transactionSync)]
    pub(crate) fn transaction_sync(storage: &JsValue, run: &mut dyn FnMut() -> bool) -> Result<(), JsValue>;
}

/// The own or inherited string property `name` of `value`, if it has one.
pub(crate) fn string_field(value: &JsValue, name: &str) -> Option<String> {
    field(value, name).as_string()
}

/// The property `name` of `value`; `undefined` where there is none or reading it throws.
pub(crate) fn field(value: &JsValue, name: &str) -> JsValue {
    if value.is_object() { get(value, name).unwrap_or(JsValue::UNDEFINED) } else { JsValue::UNDEFINED }
}
