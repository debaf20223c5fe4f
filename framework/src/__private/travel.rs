//! What the code that `#[rpc]` generates does with the types in the signature of a method.
//!
//! A type that cannot travel would be refused in every function that `#[rpc]` generates. So each function exists twice: as a function
//! of a type, [`Value`] or [`Outcome`], and as a function of a trait where the type cannot travel. Rust prefers the first. So the
//! second compiles, and [`assert_value`] and [`assert_error`] alone complain, once for each type.

use super::probe;
use crate::{
    CallError, RpcError, RpcStream, Stub,
    calls::{
        self, Argument, Arguments, Failure, Lane, MethodName, Named, Refusal, Reply,
        stream::{self, Sink, StreamArgument, StreamError},
    },
};
use futures_core::Stream;
use realgar_wire::{Flow, TypeContract};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt::Display,
    future::{Future, Pending},
    marker::PhantomData,
};
use wasm_bindgen::JsValue;

/// Finds out at compile time whether `T` is a `Result`: an inherent constant takes precedence over that of a trait.
#[derive(Debug)]
pub struct IsResult<T>(PhantomData<T>);

impl<T, E> IsResult<Result<T, E>> {
    /// `T` is a `Result`.
    pub const IS_RESULT: bool = true;
}

/// The constant of [`IsResult`] for every other type.
pub trait NoResult {
    /// `T` is not a `Result`.
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

/// A type that can travel.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel in an RPC call",
    label = "not both `Serialize` and `Deserialize`",
    note = "an argument or result travels to another isolate: derive `serde::Serialize` and `serde::Deserialize` for it and for \
            the types in it"
)]
pub trait Travels {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Travels for T {}

/// An error of a method: it crosses to the caller as data, and to JavaScript with a message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of an RPC method",
    label = "not all of `Serialize`, `Deserialize` and `Display`",
    note = "it needs `Serialize` and `Deserialize` to arrive as itself, and `Display` for the message that JavaScript sees"
)]
pub trait MethodError {}

#[diagnostic::do_not_recommend]
impl<E: Serialize + DeserializeOwned + Display> MethodError for E {}

/// Called by the code `#[rpc]` generates, at compile time: refuses a type that cannot travel.
pub const fn assert_value<T: Travels>() {}

/// Called by the code `#[rpc]` generates, at compile time: refuses a type that cannot be an error.
pub const fn assert_error<E: MethodError>() {}

/// A value: an argument or a result of a method, or an item of a stream.
#[derive(Debug)]
pub struct Value<T>(PhantomData<T>);

impl<T: Serialize + DeserializeOwned> Value<T> {
    /// At the caller: the value as an argument.
    pub fn argument(value: &T) -> &dyn Argument {
        value
    }

    /// At the caller: a stream of values as an argument.
    pub fn stream<S: Stream<Item = T> + 'static>(stream: S) -> StreamArgument<S> {
        StreamArgument::new(stream)
    }

    /// At the caller: calls a method that returns a value.
    ///
    /// # Errors
    /// As [`RpcError`] says.
    pub async fn call(stub: &Stub, method: MethodName, arguments: &Named<'_>) -> Result<T, RpcError> {
        calls::call_value(stub, method, arguments).await
    }

    /// At the method: decodes argument `index`, which the source calls `name`.
    ///
    /// # Errors
    /// When the argument is of another type.
    pub fn decode(arguments: &Arguments, index: u32, name: &str) -> Result<T, Refusal> {
        arguments.decode(index, name).map_err(Refusal)
    }

    /// At the method: argument `index`, a stream of values.
    ///
    /// # Errors
    /// When the argument is no stream.
    pub fn decode_stream(arguments: &Arguments, index: u32, name: &str) -> Result<RpcStream<T>, Refusal> {
        received_stream(arguments, index, name)
    }

    /// At the method: runs one that returns a value.
    pub fn reply<F>(arguments: Arguments, method: impl FnOnce(Arguments) -> F) -> Reply
    where
        F: Future<Output = Result<T, Refusal>> + 'static,
        T: 'static,
    {
        let (lane, running) = (arguments.lane(), method(arguments));
        Reply(Box::pin(async move { encoded(lane, &running.await?) }))
    }

    /// At the method: sends the items of `stream`, and its end.
    pub async fn send(sink: &Sink, stream: impl Stream<Item = T>) {
        sink.run(stream).await;
    }

    /// In describe mode: the form of the value.
    #[must_use]
    pub fn flow() -> Flow {
        Flow::Value(probe::of::<T>())
    }

    /// In describe mode: the form of a stream of values.
    #[must_use]
    pub fn stream_flow() -> Flow {
        Flow::Stream { item: probe::of::<T>(), error: None }
    }
}

/// The functions of a type that cannot travel. None of them runs, because the program does not compile.
#[expect(missing_docs, reason = "they are those of `Value`")]
pub trait Unfit<T> {
    fn argument(_: &T) -> &dyn Argument {
        unfit()
    }

    fn stream<S: Stream<Item = T> + 'static>(_: S) -> StreamArgument<S> {
        unfit()
    }

    fn call(_: &Stub, _: MethodName, _: &Named<'_>) -> Pending<Result<T, RpcError>> {
        unfit()
    }

    fn decode(_: &Arguments, _: u32, _: &str) -> Result<T, Refusal> {
        unfit()
    }

    fn decode_stream(_: &Arguments, _: u32, _: &str) -> Result<RpcStream<T>, Refusal> {
        unfit()
    }

    fn reply<F: Future<Output = Result<T, Refusal>> + 'static>(_: Arguments, _: impl FnOnce(Arguments) -> F) -> Reply {
        unfit()
    }

    fn send(_: &Sink, _: impl Stream<Item = T>) -> Pending<()> {
        unfit()
    }

    fn flow() -> Flow {
        unfit()
    }

    fn stream_flow() -> Flow {
        unfit()
    }
}

impl<T> Unfit<T> for Value<T> {}

/// A `Result`, of a method or of an item of a stream.
#[derive(Debug)]
pub struct Outcome<R>(PhantomData<R>);

impl<T, E> Outcome<Result<T, E>>
where
    T: Serialize + DeserializeOwned,
    E: Serialize + DeserializeOwned + Display,
{
    /// At the caller: calls a method that returns a result.
    ///
    /// # Errors
    /// What the method returned, or as [`RpcError`] says.
    pub async fn call(stub: &Stub, method: MethodName, arguments: &Named<'_>) -> Result<T, CallError<E>> {
        calls::call_fallible(stub, method, arguments).await
    }

    /// At the caller: a stream of results as an argument.
    pub fn stream<S: Stream<Item = Result<T, E>> + 'static>(stream: S) -> StreamArgument<S> {
        StreamArgument::of_results(stream)
    }

    /// At the method: argument `index`, a stream of results.
    ///
    /// # Errors
    /// When the argument is no stream.
    pub fn decode_stream(arguments: &Arguments, index: u32, name: &str) -> Result<RpcStream<T, CallError<E>>, Refusal> {
        received_stream(arguments, index, name)
    }

    /// At the method: runs one that returns a result.
    pub fn reply<F>(arguments: Arguments, method: impl FnOnce(Arguments) -> F) -> Reply
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

    /// At the method: sends the items of `stream`. The first error ends it.
    pub async fn send(sink: &Sink, stream: impl Stream<Item = Result<T, E>>) {
        sink.run_results(stream).await;
    }

    /// At the method: the stream that it returned, or its error.
    ///
    /// # Errors
    /// The error of the method, as a refusal.
    pub fn opened<S>(stream: Result<S, E>) -> Result<S, Refusal> {
        stream.map_err(|error| Refusal(Failure::method(&error)))
    }

    /// In describe mode: the form of the value.
    #[must_use]
    pub fn flow() -> Flow {
        Value::<T>::flow()
    }

    /// In describe mode: the form of a stream of results.
    #[must_use]
    pub fn stream_flow() -> Flow {
        Flow::Stream { item: probe::of::<T>(), error: Self::error() }
    }

    /// In describe mode: the form of the error.
    #[must_use]
    pub fn error() -> Option<TypeContract> {
        Some(probe::of::<E>())
    }
}

/// The functions of a `Result` of which a part cannot travel, as [`Unfit`] has them for values.
#[expect(missing_docs, reason = "they are those of `Outcome`")]
pub trait UnfitResult<R> {
    fn call<T, E>(_: &Stub, _: MethodName, _: &Named<'_>) -> Pending<Result<T, CallError<E>>> {
        unfit()
    }

    fn stream<S: Stream<Item = R> + 'static>(_: S) -> StreamArgument<S> {
        unfit()
    }

    fn decode_stream<T, E>(_: &Arguments, _: u32, _: &str) -> Result<RpcStream<T, CallError<E>>, Refusal> {
        unfit()
    }

    fn reply<F: Future<Output = Result<R, Refusal>> + 'static>(_: Arguments, _: impl FnOnce(Arguments) -> F) -> Reply {
        unfit()
    }

    fn send(_: &Sink, _: impl Stream<Item = R>) -> Pending<()> {
        unfit()
    }

    fn opened<S, E>(_: Result<S, E>) -> Result<S, Refusal> {
        unfit()
    }

    fn flow() -> Flow {
        unfit()
    }

    fn stream_flow() -> Flow {
        unfit()
    }

    fn error() -> Option<TypeContract> {
        unfit()
    }
}

impl<R> UnfitResult<R> for Outcome<R> {}

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

fn received_stream<T, E: StreamError>(
    arguments: &Arguments,
    index: u32,
    name: &str,
) -> Result<RpcStream<T, E>, Refusal> {
    let stream = RpcStream::new(name, &arguments.raw(index), false);
    stream.map_err(|error| Refusal(Failure::arguments(&crate::CodecError::new(error).inside(name))))
}

fn encoded<T: Serialize>(lane: Lane, value: &T) -> Result<JsValue, Failure> {
    lane.encode(value).map_err(|error| Failure::result(&error))
}

fn unfit() -> ! {
    panic!("a type that cannot travel is in the signature of a method")
}
