//! One RPC method, on both ends: what the code that `#[rpc]` generates calls.

use crate::{
    CallError, RpcError, Stub, codec,
    rpc::{self, Argument, Failure},
};
use js_sys::Array;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Display, future::Future, pin::Pin};
use wasm_bindgen::JsValue;

/// A running method. Its failure already has the form that travels.
pub struct Reply(pub(crate) Pin<Box<dyn Future<Output = Result<JsValue, Failure>>>>);

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}

/// An argument that could not be decoded. Opaque: generated code only passes it on with `?`.
#[derive(Debug)]
pub struct BadArgument(Failure);

/// A result type that `#[rpc]` takes apart: it found a type whose name ends in `Result`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is named like a `Result`, but is none",
    note = "`#[rpc]` treats a return type whose name ends in `Result` as `std::result::Result`; rename the type"
)]
pub trait Fallible {
    /// What a call returns.
    type Ok;
    /// What the method may fail with.
    type Error;
}

impl<T, E> Fallible for Result<T, E> {
    type Ok = T;
    type Error = E;
}

/// A value that leaves: an argument at the caller, a result at the method.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent in an RPC call",
    note = "an argument or result travels to another isolate: derive `serde::Serialize` and `serde::Deserialize` for it"
)]
pub trait Sent: Serialize {}

impl<T: Serialize> Sent for T {}

/// A value that arrives: an argument at the method, a result at the caller.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be received in an RPC call",
    note = "an argument or result travels to another isolate: derive `serde::Serialize` and `serde::Deserialize` for it"
)]
pub trait Received: DeserializeOwned {}

impl<T: DeserializeOwned> Received for T {}

/// An error of a method: it crosses to the caller as data, and to JavaScript with a message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of an RPC method",
    note = "it needs `Serialize` and `Deserialize` to arrive as itself, and `Display` for the message that JavaScript sees"
)]
pub trait MethodError: Serialize + DeserializeOwned + Display {}

impl<E: Serialize + DeserializeOwned + Display> MethodError for E {}

/// Called by the code `#[rpc]` generates: decodes argument `index`, which the source calls `name`.
pub fn argument<T: Received>(arguments: &Array, index: u32, name: &str) -> Result<T, BadArgument> {
    rpc::decode_argument(arguments, index, name).map_err(BadArgument)
}

/// Called by the code `#[rpc]` generates: runs a method that returns a plain value.
pub fn reply<T: Sent>(method: impl Future<Output = Result<T, BadArgument>> + 'static) -> Reply {
    Reply(Box::pin(async {
        let value = method.await.map_err(|error| error.0)?;
        codec::to_js(&value).map_err(|error| Failure::result(&error))
    }))
}

/// Called by the code `#[rpc]` generates: runs a method that returns a `Result`.
pub fn reply_fallible<T: Sent, E: MethodError>(
    method: impl Future<Output = Result<Result<T, E>, BadArgument>> + 'static,
) -> Reply {
    Reply(Box::pin(async {
        match method.await.map_err(|error| error.0)? {
            Ok(value) => codec::to_js(&value).map_err(|error| Failure::result(&error)),
            Err(error) => Err(Failure::method(&error)),
        }
    }))
}

/// Called by the code `#[rpc]` generates: calls a method that returns a plain value.
pub async fn call<T: Received>(
    stub: &Stub,
    method: &'static str,
    arguments: &[(&str, &dyn Argument)],
) -> Result<T, RpcError> {
    rpc::call(stub, method, arguments).await
}

/// Called by the code `#[rpc]` generates: calls a method that returns a `Result`.
pub async fn call_fallible<T: Received, E: MethodError>(
    stub: &Stub,
    method: &'static str,
    arguments: &[(&str, &dyn Argument)],
) -> Result<T, CallError<E>> {
    rpc::call_fallible(stub, method, arguments).await
}
