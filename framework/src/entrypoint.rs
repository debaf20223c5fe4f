//! Workers: the identity of a script, its init phase, and its events.

use crate::{__private::WorkerTable, Context, Init, Live, MessageBatch, ObjectClass, Result, Stub, js};
use serde::de::DeserializeOwned;
use std::future::Future;
use wasm_bindgen::JsValue;
use worker::{Request, Response};

/// The identity of a Worker. [`macro@crate::worker`] implements it.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a Worker", note = "put `#[worker]` on the struct")]
pub trait WorkerClass: 'static {
    /// The Rust name of the class.
    const CLASS: &'static str;

    /// The name of the script.
    const NAME: &'static str;

    /// The name of the class in the script, unless it is the default one.
    #[doc(hidden)]
    const ENTRYPOINT: Option<&'static str>;

    /// The classes it hosts, as nested pairs.
    #[doc(hidden)]
    type Hosted: 'static;

    /// What a caller holds: the Worker's methods as calls.
    type Stub: From<Stub>;

    /// The file with the history of its classes, for a Worker that has migration tags.
    #[doc(hidden)]
    const MIGRATIONS: Option<&'static str> = None;

    /// What became of the classes that it hosted before. Called at build time only.
    #[doc(hidden)]
    fn class_changes() -> Vec<realgar_wire::ClassChange> {
        Vec::new()
    }
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
    fn table() -> WorkerTable<Self>;

    #[doc(hidden)]
    fn describe() -> realgar_wire::WorkerClass;
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

/// A Worker that runs by the clock: [`Init::cron`] says when.
pub trait Scheduled: LiveWorker {
    /// Handles one firing of a cron trigger. An error fails the event, so that the platform sees it.
    fn scheduled(&self, event: ScheduledEvent, cx: &Context) -> impl Future<Output = Result<()>>;
}

/// One firing of a cron trigger.
#[derive(Clone, Debug)]
pub struct ScheduledEvent {
    raw: JsValue,
}

impl ScheduledEvent {
    pub(crate) fn new(raw: JsValue) -> Self {
        Self { raw }
    }

    /// The expression that fired.
    #[must_use]
    pub fn cron(&self) -> String {
        js::string_field(&self.raw, "cron").unwrap_or_default()
    }

    /// When it was to fire, in milliseconds since 1970.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        js::field(&self.raw, "scheduledTime").as_f64().unwrap_or_default() as u64
    }

    /// Says that the platform need not try again if the handler fails.
    pub fn no_retry(&self) {
        let _ = js::invoke0(&self.raw, "noRetry");
    }
}

/// A Worker that works off the messages of queues: [`Init::consume`] says of which.
pub trait Consume: LiveWorker {
    /// What the messages say. All queues that the Worker asks for have this type, which the build checks: where there are several,
    /// it is an enum, or `serde_json::Value`.
    type Message: DeserializeOwned + 'static;

    /// Handles a batch. Messages that were neither acknowledged nor sent back are acknowledged if this succeeds, and delivered
    /// again if it fails.
    fn consume(&self, batch: MessageBatch<Self::Message>, cx: &Context) -> impl Future<Output = Result<()>>;
}
