//! Workers: the identity of a script, its init phase, and its events.

use crate::{__private::Method, Context, Init, Live, ObjectClass, Result, Stub};
use std::future::Future;
use worker::{Request, Response};

/// The identity of a Worker. [`macro@crate::worker`] implements it.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a Worker", note = "put `#[worker]` on the struct")]
pub trait WorkerClass: 'static {
    /// The Rust name of the class.
    const CLASS: &'static str;

    /// The name of the script.
    const NAME: &'static str;

    /// The classes it hosts, as nested pairs.
    #[doc(hidden)]
    type Hosted: 'static;

    /// What a caller holds: the Worker's methods as calls.
    type Stub: From<Stub>;
}

/// Says that the Worker `Self` hosts the Durable Object class `C`. `#[worker(hosts(..))]` implements it.
#[diagnostic::on_unimplemented(
    message = "the Worker `{Self}` does not host `{C}`",
    label = "not in `hosts(..)` of this Worker",
    note = "list it: `#[worker(hosts({C}))]`; or name the script: `{C}::from_script(\"..\")`"
)]
pub trait Hosts<C: ObjectClass>: WorkerClass {}

/// A type that implements a Worker. [`macro@crate::worker`] implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement a Worker",
    note = "put `#[worker]` on the struct, and implement `Worker` for it"
)]
pub trait LiveWorker: Live<Class: WorkerClass> {
    #[doc(hidden)]
    fn methods() -> &'static [Method<Self>];

    #[doc(hidden)]
    fn describe_methods() -> Vec<realgar_wire::Method>;
}

/// The behaviour of a Worker.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no behaviour as a Worker",
    note = "implement `Worker` for it: `fn init(cx: &mut Init) -> Self`"
)]
pub trait Worker: LiveWorker {
    /// Phase 1: binds what the Worker uses. Runs at build time, and once per wasm instance, before the first event.
    fn init(cx: &mut Init) -> Self;

    /// Answers an HTTP request. An error is logged in full and answered as a bare 500; unless it is implemented, every
    /// request is answered with 404.
    fn fetch(&self, request: Request, cx: &Context) -> impl Future<Output = Result<Response>> {
        let _ = (request, cx);
        async { Ok(Response::error("this Worker answers no HTTP requests", 404)?) }
    }
}
