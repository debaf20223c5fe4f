//! One RPC method, on both ends: what the code that `#[rpc]` generates calls.

use super::turns::Turns;
use crate::{
    CallError, ObjectClass, RpcError, RpcErrorKind, RpcStream, Stub, deadline,
    rpc::{self, Arguments, Failure, Lane, MethodName, Named},
    stream::{self, Sink, StreamError},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt::Display,
    future::{Future, poll_fn},
    pin::Pin,
};
use wasm_bindgen::JsValue;

/// A running method. Its failure already has the form that travels.
pub struct Reply(pub(crate) Pin<Box<dyn Future<Output = Result<JsValue, Failure>>>>);

impl Reply {
    /// A reply that is there already.
    pub(crate) fn failed(failure: Failure) -> Self {
        Self(Box::pin(std::future::ready(Err(failure))))
    }

    /// The same, given up when `remaining` milliseconds have passed.
    pub(crate) fn within(self, remaining: f64) -> Self {
        if remaining.is_infinite() {
            return self;
        }
        Self(Box::pin(async move {
            let outcome = deadline::until(deadline::at(remaining), self.0).await;
            let elapsed = || Failure::new(RpcErrorKind::DeadlineExceeded, "the deadline of the call has passed".into());
            outcome.unwrap_or_else(|| Err(elapsed()))
        }))
    }
}

/// What runs an exclusive method of the class.
#[must_use]
pub const fn exclusive<C: HasTurns>() -> Option<fn(&Turns, Reply) -> Reply> {
    Some(in_turn)
}

/// A class whose methods can be exclusive.
#[diagnostic::on_unimplemented(
    message = "a method of `{Self}` cannot be exclusive",
    note = "only the methods of a Durable Object can wait for each other: a Worker runs in many isolates at once"
)]
pub trait HasTurns {}

impl<C: ObjectClass> HasTurns for C {}

/// `reply`, when its turn has come.
fn in_turn(turns: &Turns, reply: Reply) -> Reply {
    let turn = turns.queue();
    Reply(Box::pin(async move {
        poll_fn(|cx| turn.poll(cx)).await;
        let result = reply.0.await;
        drop(turn);
        result
    }))
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}

/// Why a method did not get as far as its result. Opaque: generated code only passes it on with `?`.
#[derive(Debug)]
pub struct Refusal(Failure);

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        refusal.0
    }
}

/// Whether `T` is a `Result`, found at compile time: an own constant goes before that of a trait.
#[derive(Debug)]
pub struct IsResult<T>(std::marker::PhantomData<T>);

impl<T, E> IsResult<Result<T, E>> {
    /// It is.
    pub const IS_RESULT: bool = true;
}

/// The constant of [`IsResult`] for every other type.
pub trait NoResult {
    /// It is not.
    const IS_RESULT: bool = false;
}

impl<T> NoResult for IsResult<T> {}

/// Called by the code `#[rpc]` generates, at compile time: refuses a `Result` that does not look like one.
pub const fn assert_no_result(is_result: bool) {
    assert!(!is_result, "this type is a `Result` under another name, which `#[rpc]` cannot see: write `Result<..>`");
}

/// A result type that `#[rpc]` takes apart: a type called `Result`, or one with parameters whose name ends so.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is named like a `Result`, but is none",
    note = "`#[rpc]` takes a type with parameters whose name ends in `Result` for an alias of `std::result::Result`",
    note = "return it under another name: `type Page = PagedResult<Item>;`"
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
pub fn argument<T: Received>(arguments: &Arguments, index: u32, name: &str) -> Result<T, Refusal> {
    arguments.decode(index, name).map_err(Refusal)
}

/// Called by the code `#[rpc]` generates: argument `index`, a stream.
pub fn stream_argument<T: Received, E: StreamError>(
    arguments: &Arguments,
    index: u32,
    name: &str,
) -> Result<RpcStream<T, E>, Refusal> {
    let stream = RpcStream::new(name, &arguments.raw(index), false);
    stream.map_err(|error| Refusal(Failure::arguments(&crate::CodecError::new(error).inside(name))))
}

/// Called by the code `#[rpc]` generates: runs a method that returns a plain value.
pub fn reply<T: Sent, F>(arguments: Arguments, method: impl FnOnce(Arguments) -> F) -> Reply
where
    F: Future<Output = Result<T, Refusal>> + 'static,
{
    let (lane, running) = (arguments.lane(), method(arguments));
    Reply(Box::pin(async move { encoded(lane, &running.await?) }))
}

/// Called by the code `#[rpc]` generates: runs a method that returns a `Result`.
pub fn reply_fallible<T: Sent, E: MethodError, F>(arguments: Arguments, method: impl FnOnce(Arguments) -> F) -> Reply
where
    F: Future<Output = Result<Result<T, E>, Refusal>> + 'static,
{
    let (lane, running) = (arguments.lane(), method(arguments));
    Reply(Box::pin(async move {
        match running.await? {
            Ok(value) => encoded(lane, &value),
            Err(error) => Err(Failure::method(&error)),
        }
    }))
}

fn encoded<T: Sent>(lane: Lane, value: &T) -> Result<JsValue, Failure> {
    lane.encode(value).map_err(|error| Failure::result(&error))
}

/// Called by the code `#[rpc]` generates: runs a method that returns a stream. The future holds the stream, and what that
/// borrows, and ends with it.
pub fn reply_stream<F>(arguments: Arguments, method: impl FnOnce(Arguments, Sink) -> F) -> Reply
where
    F: Future<Output = Result<(), Refusal>> + 'static,
{
    let sink = Sink::new(arguments.lane().format());
    let producer = Box::pin(method(arguments, sink.clone()));
    Reply(Box::pin(stream::open(sink, producer)))
}

/// Called by the code `#[rpc]` generates: the stream that a method returned, or its error.
pub fn opened<S, E: MethodError>(stream: Result<S, E>) -> Result<S, Refusal> {
    stream.map_err(|error| Refusal(Failure::method(&error)))
}

/// Called by the code `#[rpc]` generates: calls a method that returns a plain value.
pub async fn call<T: Received>(stub: &Stub, method: MethodName, arguments: &Named<'_>) -> Result<T, RpcError> {
    rpc::call(stub, method, arguments).await
}

/// Called by the code `#[rpc]` generates: calls a method that returns a `Result`.
pub async fn call_fallible<T: Received, E: MethodError>(
    stub: &Stub,
    method: MethodName,
    arguments: &Named<'_>,
) -> Result<T, CallError<E>> {
    rpc::call_fallible(stub, method, arguments).await
}

/// Called by the code `#[rpc]` generates: calls a method that returns a stream.
pub async fn call_stream<T: Received, E: StreamError>(
    stub: &Stub,
    method: MethodName,
    arguments: &Named<'_>,
) -> Result<RpcStream<T, E>, RpcError> {
    rpc::call_stream(stub, method, arguments).await
}

/// Called by the code `#[rpc]` generates: calls a method that returns a `Result` of a stream.
pub async fn call_stream_fallible<T: Received, E: StreamError, F: MethodError>(
    stub: &Stub,
    method: MethodName,
    arguments: &Named<'_>,
) -> Result<RpcStream<T, E>, CallError<F>> {
    rpc::call_stream_fallible(stub, method, arguments).await
}
