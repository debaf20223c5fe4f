//! Durable Objects: the identity of a class, its implementation, and its two phases.

pub(crate) mod alarm;
pub(crate) mod state;
pub(crate) mod websocket;

use crate::{__private::object::ObjectTable, Init, Result, State, Stub};
use std::{future::Future, pin::Pin};
use worker::{Request, Response};

/// The identity of a Durable Object class. [`macro@crate::durable_object`] implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a Durable Object class",
    note = "put `#[durable_object]` on the struct"
)]
pub trait ObjectClass: 'static {
    /// The name of the exported class.
    const NAME: &'static str;

    /// The type that callers hold. It has the class's RPC methods, each of which makes a call.
    type Stub: From<Stub>;
}

/// A type that implements an object class or a Worker class. The macros implement this trait.
#[diagnostic::on_unimplemented(
    message = "`{Self}` implements neither a Durable Object class nor a Worker",
    note = "put `#[durable_object]` or `#[worker]` on the struct"
)]
pub trait Live: Sized + 'static {
    /// The class that callers know. It is the type itself, unless `of = ..` names another.
    type Class: 'static;
}

/// A type that implements an object class. [`macro@crate::durable_object`] implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement a Durable Object class",
    note = "put `#[durable_object]` on the struct, and implement `DurableObject` for it"
)]
pub trait LiveObject: Sized + 'static {
    #[doc(hidden)]
    fn table() -> ObjectTable<Self>;

    #[doc(hidden)]
    fn describe() -> realgar_wire::Object;

    #[doc(hidden)]
    fn describe_awaited() -> realgar_wire::Awaited;
}

/// The two phases of a Durable Object.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no init phase",
    note = "implement `DurableObject` for it: `fn init(cx: &mut Init) -> impl Instantiate<Self>`",
    note = "where it is only a contract, name what implements it: `export!(Worker, objects(..))`"
)]
pub trait DurableObject: Sized + 'static {
    /// Phase 1: binds what all instances share, and returns Phase 2, the closure that makes one instance.
    ///
    /// Phase 2 is async and runs before any event is delivered to the instance, also after the object was evicted or woke from
    /// hibernation. If it fails, the event that woke the object fails with its error, and the next event runs it again.
    fn init(cx: &mut Init) -> impl Instantiate<Self>;
}

/// An object as the framework runs it: what `#[durable_object]` generates together with the user's own part. The traits do not require
/// each other, because every `impl` would then repeat the compiler's complaint about an attribute that is missing.
pub trait WholeObject: DurableObject + LiveObject + Live<Class: ObjectClass> {}

impl<T: DurableObject + LiveObject + Live<Class: ObjectClass>> WholeObject for T {}

/// An object that answers HTTP requests, which a caller forwards with the stub's `fetch`.
pub trait Fetch: LiveObject {
    /// Answers `request`.
    fn fetch(&self, request: Request) -> impl Future<Output = Result<Response>>;
}

/// Phase 2: makes one instance. Implemented by every `Fn(State) -> impl Future<Output = Result<T>>`.
#[diagnostic::on_unimplemented(
    message = "this is not an instance closure of `{T}`",
    note = "return `move |state: State| async move {{ Ok({T} {{ .. }}) }}` from `init`",
    note = "`init` itself is not async: it only binds; what has to be awaited goes into the closure"
)]
pub trait Instantiate<T>: 'static {
    /// Makes the instance that `state` belongs to.
    fn instantiate(&self, state: State) -> Pin<Box<dyn Future<Output = Result<T>>>>;
}

impl<T, F, Fut> Instantiate<T> for F
where
    T: 'static,
    F: Fn(State) -> Fut + 'static,
    Fut: Future<Output = Result<T>> + 'static,
{
    fn instantiate(&self, state: State) -> Pin<Box<dyn Future<Output = Result<T>>>> {
        Box::pin(self(state))
    }
}
