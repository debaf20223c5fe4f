//! Workers: the identity of a script, its init phase, and its events.

pub(crate) mod context;
#[cfg(feature = "http")]
pub(crate) mod http;
pub(crate) mod request;

use crate::{__private::WorkerTable, Context, Init, Live, MessageBatch, ObjectClass, Result, Stub, runtime::js};
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

    /// The name of the entrypoint class in the script. `None` for the script's default entrypoint.
    #[doc(hidden)]
    const ENTRYPOINT: Option<&'static str>;

    /// The Durable Object classes that the Worker hosts, as nested pairs.
    #[doc(hidden)]
    type Hosted: 'static;

    /// The type that callers hold. It has the Worker's RPC methods, each of which makes a call.
    type Stub: From<Stub>;

    /// The file with the history of its classes, for a Worker that has migration tags.
    #[doc(hidden)]
    const MIGRATIONS: Option<&'static str> = None;

    /// How the classes that the Worker hosted before have changed. Called at build time only.
    #[doc(hidden)]
    fn class_changes() -> Vec<realgar_wire::ClassChange> {
        Vec::new()
    }
}

/// Says that the Worker `Self` hosts the Durable Object class `C`. `#[worker(hosts(..))]` implements it.
#[diagnostic::on_unimplemented(
    message = "the Worker `{Self}` does not host `{C}`",
    label = "not in `hosts(..)` of this Worker",
    note = "a consumer names the Worker that does: `{C}::from::<ThatWorker>()`, or its script: `{C}::from_script(\"..\")`",
    note = "if `{Self}` is to host it, list it: `#[worker(hosts({C}))]`",
    note = "if `{Self}` implements the Worker of a contract, say which: `#[worker(of = ThatWorker)]`"
)]
pub trait Hosts<C: ObjectClass>: WorkerClass {}

/// A type that implements a Worker. [`macro@crate::worker`] implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement a Worker",
    note = "put `#[worker]` on the struct, or `#[worker(of = ThatWorker)]` if it implements the Worker of a contract; and implement `Worker` for it"
)]
pub trait LiveWorker: Sized + 'static {
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
pub trait Worker: Sized + 'static {
    /// Phase 1: binds what the Worker uses. Runs at build time, and once per wasm instance, before the first event. It is not async,
    /// because nothing can be awaited at build time: what has to be awaited goes into the handler that needs it.
    fn init(cx: &mut Init) -> Self;

    /// Answers an HTTP request. An error is logged in full, and the client gets a bare 500. The default implementation answers
    /// every request with 404.
    fn fetch(&self, request: Request, cx: &Context) -> impl Future<Output = Result<Response>> {
        let _ = (request, cx);
        async { Ok(Response::error("this Worker answers no HTTP requests", 404)?) }
    }
}

/// A Worker as the framework runs it: what `#[worker]` generates together with the user's own part, as with objects.
pub trait WholeWorker: Worker + LiveWorker + Live<Class: WorkerClass> {}

impl<T: Worker + LiveWorker + Live<Class: WorkerClass>> WholeWorker for T {}

/// A Worker that runs on a schedule. [`Init::cron`] declares the times.
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

    /// The time for which the firing was scheduled, in milliseconds since 1970.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        js::field(&self.raw, "scheduledTime").as_f64().unwrap_or_default() as u64
    }

    /// Tells the platform not to run the event again if the handler fails.
    pub fn no_retry(&self) {
        let _ = js::invoke0(&self.raw, "noRetry");
    }
}

/// A Worker that consumes messages from queues. [`Init::consume`] declares which queues.
pub trait Consume: LiveWorker {
    /// The type of the messages. All queues that the Worker consumes must have this type, which the build checks. If their messages
    /// differ, use an enum or `serde_json::Value`.
    type Message: DeserializeOwned + 'static;

    /// Handles a batch. A message that the handler neither acknowledges nor retries is acknowledged if the handler succeeds, and
    /// delivered again if it fails.
    fn consume(&self, batch: MessageBatch<Self::Message>, cx: &Context) -> impl Future<Output = Result<()>>;
}
