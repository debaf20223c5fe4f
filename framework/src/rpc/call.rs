//! The calling end: a method on a stub.

use super::{CallError, RpcError, RpcErrorKind};
use crate::{Stub, codec, js, promise};
use js_sys::Array;
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Request, Response};

/// An argument on its way out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent in an RPC call",
    note = "an argument or result travels to another isolate: derive `serde::Serialize` and `serde::Deserialize` for it"
)]
pub trait Argument {
    /// Encodes it.
    fn encode(&self) -> Result<JsValue, crate::CodecError>;
}

impl<T: Serialize> Argument for T {
    fn encode(&self) -> Result<JsValue, crate::CodecError> {
        codec::to_js(self)
    }
}

/// Calls a method whose result is a plain value.
pub(crate) async fn call<T: DeserializeOwned>(
    stub: &Stub,
    method: &'static str,
    arguments: &[(&str, &dyn Argument)],
) -> Result<T, RpcError> {
    match send(stub, method, arguments).await? {
        Ok(value) => decode(method, &value),
        Err(thrown) => Err(RpcError::from_thrown(method, &thrown)),
    }
}

/// Calls a method whose result is a `Result`.
pub(crate) async fn call_fallible<T: DeserializeOwned, E: DeserializeOwned>(
    stub: &Stub,
    method: &'static str,
    arguments: &[(&str, &dyn Argument)],
) -> Result<T, CallError<E>> {
    match send(stub, method, arguments).await? {
        Ok(value) => Ok(decode(method, &value)?),
        Err(thrown) => Err(CallError::from_thrown(method, &thrown)),
    }
}

/// Forwards an HTTP request.
pub(crate) async fn fetch(stub: &Stub, request: Request) -> Result<Response, RpcError> {
    let target = stub.target("fetch")?;
    let request: JsValue = worker::web_sys::Request::try_from(request)
        .map_err(|error: worker::Error| RpcError::new(RpcErrorKind::NotSent, "fetch", error.to_string()))?
        .into();
    match settled(js::invoke1(target, "fetch", &request)).await {
        Ok(response) => Ok(worker::web_sys::Response::unchecked_from_js(response).into()),
        Err(thrown) => Err(RpcError::from_thrown("fetch", &thrown)),
    }
}

/// The outer error is of this side, the inner one was thrown.
async fn send(
    stub: &Stub,
    method: &'static str,
    arguments: &[(&str, &dyn Argument)],
) -> Result<Result<JsValue, JsValue>, RpcError> {
    let target = stub.target(method)?;
    let mut encoded = Vec::with_capacity(arguments.len());
    for (name, argument) in arguments {
        let value = argument
            .encode()
            .map_err(|error| RpcError::from_codec(RpcErrorKind::NotSent, method, &error.inside(name)))?;
        encoded.push(value);
    }
    let returned = match encoded.as_slice() {
        [] => js::invoke0(target, method),
        [only] => js::invoke1(target, method, only),
        more => js::invoke(target, method, &more.iter().collect::<Array>()),
    };
    Ok(settled(returned).await)
}

/// Awaits what a stub returned.
async fn settled(returned: Result<JsValue, JsValue>) -> Result<JsValue, JsValue> {
    promise::settled(&returned?).await
}

fn decode<T: DeserializeOwned>(method: &str, value: &JsValue) -> Result<T, RpcError> {
    codec::from_js(value).map_err(|error| RpcError::from_codec(RpcErrorKind::BadResult, method, &error))
}
