//! Stateful Cloudflare apps in one type-checked Rust program.
//!
//! Annotate structs to author Workers and Durable Objects. What a Worker binds in its init phase *is* its deployment
//! metadata: the same function runs at build time, where each bind is recorded, and in the isolate, where it returns a client.
//!
//! ```no_run
//! use realgar::prelude::*;
//! use std::cell::Cell;
//!
//! #[durable_object]
//! pub struct Counter {
//!     state: State,
//!     count: Cell<u64>,
//! }
//!
//! impl DurableObject for Counter {
//!     fn init(_cx: &mut Init) -> impl Instantiate<Self> {
//!         |state: State| async move {
//!             let count = state.storage().get("count").await?.unwrap_or(0);
//!             Ok(Counter { state, count: Cell::new(count) })
//!         }
//!     }
//! }
//!
//! #[rpc]
//! impl Counter {
//!     pub async fn increment(&self, by: u64) -> Result<u64> {
//!         let next = self.count.get() + by;
//!         self.count.set(next);
//!         self.state.storage().put("count", &next).await?;
//!         Ok(next)
//!     }
//! }
//!
//! #[worker(hosts(Counter))]
//! pub struct Api {
//!     counters: Namespace<Counter>,
//! }
//!
//! impl Worker for Api {
//!     fn init(cx: &mut Init) -> Self {
//!         Api { counters: cx.bind(Counter::from::<Api>()) }
//!     }
//!
//!     async fn fetch(&self, _request: Request, _cx: &Context) -> Result<Response> {
//!         let value = self.counters.get_by_name("user-123").increment(1).await?;
//!         Ok(Response::from_json(&value)?)
//!     }
//! }
//!
//! realgar::export!(Api);
//! # fn main() {}
//! ```
//!
//! # Two phases
//!
//! | phase | runs | may |
//! |---|---|---|
//! | 1: [`DurableObject::init`], [`Worker::init`] | once at build time, and once per wasm instance (an isolate has one) | bind resources; no I/O, no JavaScript |
//! | 2: the closure that [`DurableObject::init`] returns | once per object instance, before any event is delivered | await storage and calls |
//!
//! # Numbers, bytes and `None` on the wire
//!
//! JavaScript calls a method with positional, plain JavaScript values. An integer up to 2^53 - 1 is sent as a `Number`, a larger
//! one as a `BigInt`; both are accepted wherever the value fits, and nothing is rounded. `Vec<u8>` is a `Uint8Array`. `None` is
//! sent as `null`; both `null` and `undefined` are read as `None`. Structs are plain objects, and enums are tagged as serde's
//! derive tags them.

mod calls;
mod codec;
mod error;
mod init;
mod objects;
mod resources;
mod runtime;
mod scheduler;
mod storage;
mod workers;
#[cfg(feature = "workers-rs")]
pub mod workers_rs;

#[doc(hidden)]
pub mod __private;

pub use calls::namespace::{Jurisdiction, LocationHint, Namespace, NamespaceBinding, ObjectId};
pub use calls::stream::{RpcStream, StreamError, stream_response};
pub use calls::stub::{ServiceBinding, Stub};
pub use calls::{CallError, RpcError, RpcErrorKind};
pub use codec::CodecError;
pub use error::{Error, Exception, Result};
pub use init::{Bindable, Declaration, Init, Property};
pub use objects::alarm::{Alarm, OnAlarm};
pub use objects::state::State;
pub use objects::websocket::{
    Broadcast, Close, FromMessage, Json, OnClose, OnError, OnMessage, WebSocket, WebSocketMessage, WebSockets,
};
pub use objects::{DurableObject, Fetch, Instantiate, Live, LiveObject, ObjectClass};
pub use resources::{
    d1::{D1Client, D1Database},
    kv::{KvClient, KvKey, KvList, KvNamespace, KvPage, KvPut},
    passthrough::{RawBinding, Resource},
    queue::{ConsumerOptions, Message, MessageBatch, Queue, QueueClient},
    r2::{
        R2Body, R2Bucket, R2Client, R2Condition, R2Found, R2Get, R2HttpMetadata, R2List, R2Object, R2Page, R2Part,
        R2Put, R2Range, R2Upload,
    },
    small::{
        AnalyticsClient, AnalyticsDataset, Assets, AssetsClient, DataPoint, Period, RateLimit, RateLimitClient,
        Version, VersionMetadata, VersionMetadataClient,
    },
    vars::{JsonVar, JsonVarClient, Secret, SecretClient, SecretText, StoreSecret, Var, VarClient},
};
pub use runtime::deadline::{Elapsed, deadline};
pub use runtime::time::{Sleep, now_ms, sleep};
#[cfg(feature = "tracing")]
pub use runtime::trace::init_tracing;
pub use scheduler::{
    Cron, Cursor, DeadLetter, Event, Missed, OnEvent, Overlap, Pending, Repeat, Retry, Run, Schedule, ScheduleSettings,
    When,
};
pub use storage::sql::{Migration, Params, Sql, SqlValue};
pub use storage::{Entries, Kv, ListOptions, Storage, Transaction};
pub use workers::context::Context;
#[cfg(feature = "http")]
pub use workers::http::serve;
pub use workers::request::RequestExt;
pub use workers::{Consume, Hosts, LiveWorker, Scheduled, ScheduledEvent, Worker, WorkerClass};

/// The stream trait of the `futures` crates: a method that returns `impl Stream` streams its items to the caller.
pub use futures_core::Stream;

/// The base crate: requests, responses and the rest of the platform.
pub use ::worker;

/// A [`Cron`] expression that the compiler checks. The optional second argument names its time zone; without it, the expression is
/// in UTC.
///
/// ```
/// # use realgar::{Cron, cron};
/// let every_morning: Cron = cron!("0 9 * * MON-FRI", "Europe/Berlin");
/// let every_quarter: Cron = cron!("*/15 * * * *");
/// ```
pub use realgar_macros::cron;

/// Marks a struct as a Durable Object class.
///
/// The macro defines the class's name (the struct's, unless `#[durable_object(name = "..")]` sets another one), its stub type
/// (`CounterStub` for `Counter`) and `Counter::from::<Host>()`, the binding to its namespace. You write the behaviour as
/// implementations of [`DurableObject`] and [`Fetch`] and as an inherent `impl` marked [`macro@rpc`].
///
/// In a contract crate, the struct only identifies the class and has no behaviour. The crate that hosts the class marks the struct
/// that implements it with `#[durable_object(of = Counter)]`.
///
/// `#[durable_object(isolation = "object")]`, on the struct that implements a class, gives each of its objects its own wasm
/// instance. A panic, a trap or memory growth then stays within that object; otherwise it interrupts all objects in the isolate,
/// and the Worker. Isolation costs memory: each instance takes 384 KiB and more (a stack of 256 KiB instead of 1 MiB, and the
/// program's data), which counts towards the 128 MB of the isolate. It also costs about half a millisecond when an object starts.
/// Phase 1 runs in each instance, and each object has its own statics. We do not know how many such objects production keeps in one
/// isolate.
pub use realgar_macros::durable_object;

/// Exports a Worker and the objects it hosts from this `cdylib`. Write it once per crate, with the type that [`macro@worker`]
/// marks.
///
/// Where the classes are only contracts, `export!(WorkerALive, objects(CounterLive))` names the structs that implement them.
/// `entrypoints(Admin)` names the script's named entrypoints.
pub use realgar_macros::export;

/// Makes the `pub` methods of an inherent `impl` callable from other isolates.
///
/// A method takes `&self` and owned parameters that serde can decode. It returns a value that serde can encode, or a `Result` of
/// one. Its name on the wire is its name in camelCase, unless `#[rpc(name = "..")]` on the method sets another. A method may return
/// `impl Stream<Item = T>`, whose items may be results. It may also take an [`RpcStream`]; its callers pass any stream of the
/// items.
///
/// | option | on | says |
/// |---|---|---|
/// | `name = ".."` | a method | its name on the wire |
/// | `native` | a method, a block, a trait | values travel as plain JavaScript values, also between Rust and Rust: for types that postcard would corrupt, and for peers in JavaScript |
/// | `idempotent` | a method | it may run twice: a call that failed on the way is repeated where the platform suggests it |
/// | `exclusive` | a method of an object | a call waits until the object's exclusive methods that were called before have ended |
/// | `for = Counter` | a trait | the trait is what callers know of `Counter`; `#[rpc] impl CounterRpc for CounterLive` implements it |
///
/// While a method awaits, the object handles other events. The platform holds them back only while storage is read. After an
/// `await` on anything else, a value that was read before it may be out of date:
///
/// ```no_run
/// # use realgar::prelude::*;
/// # use std::time::Duration;
/// # #[durable_object] pub struct Till { state: State }
/// # impl DurableObject for Till {
/// #     fn init(_cx: &mut Init) -> impl Instantiate<Self> { |state: State| async { Ok(Till { state }) } }
/// # }
/// # async fn ask_the_bank(sum: u64) -> bool { true }
/// #[rpc]
/// impl Till {
///     /// Without `exclusive`, two calls at the same time could both find the money there.
///     #[rpc(exclusive)]
///     pub async fn pay(&self, sum: u64) -> Result<bool> {
///         let there: u64 = self.state.storage().get("there").await?.unwrap_or(0);
///         if there < sum || !ask_the_bank(sum).await {
///             return Ok(false);
///         }
///         self.state.storage().put("there", &(there - sum)).await?;
///         Ok(true)
///     }
/// }
/// ```
///
/// Exclusive methods run in the order of their calls. An exclusive method that calls an exclusive method of its own object waits
/// for itself: give such a call a [`deadline()`]. Other events, and methods that are not exclusive, still run meanwhile. A
/// `RefCell` that stays borrowed across an `await` panics when another event borrows it; clippy's lint `await_holding_refcell_ref`
/// finds such borrows.
///
/// A method's own error type needs `Serialize` and `Deserialize`, so that the caller receives it as this type, and `Display`, for
/// the message that JavaScript sees. To use `?` on storage operations and calls, it also needs `From<realgar::Error>`:
///
/// ```
/// # use std::fmt;
/// #[derive(Debug, serde::Serialize, serde::Deserialize)]
/// pub enum TodoError {
///     NotFound { id: u32 },
///     Storage(String),
/// }
///
/// impl From<realgar::Error> for TodoError {
///     fn from(error: realgar::Error) -> Self {
///         Self::Storage(error.to_string())
///     }
/// }
///
/// impl fmt::Display for TodoError {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         match self {
///             Self::NotFound { id } => write!(f, "there is no item {id}"),
///             Self::Storage(message) => f.write_str(message),
///         }
///     }
/// }
/// ```
///
/// The caller matches it: `Err(CallError::Method(TodoError::NotFound { .. }))`.
pub use realgar_macros::rpc;

/// Marks a struct as a Worker.
///
/// `hosts(A, B)` lists the Durable Object classes that live in the Worker's script. `name = ".."` sets the script's name; by
/// default it is the struct's name in kebab case. Other Workers bind `WorkerA::service()` to call this one.
///
/// `of = WorkerA` marks the struct that implements `WorkerA`, where `WorkerA` is only a contract. `entrypoint_of = WorkerA` marks
/// another class of the same script, with its own bindings, methods and `fetch`. It is exported with
/// `export!(WorkerA, entrypoints(Admin))`.
pub use realgar_macros::worker;

/// What nearly every Worker needs.
pub mod prelude {
    pub use crate::{
        CallError, Context, D1Client, D1Database, DurableObject, Fetch, Init, Instantiate, Namespace, OnAlarm, OnClose,
        OnError, OnEvent, OnMessage, RequestExt, Result, RpcStream, State, Stream, Worker, durable_object, rpc, worker,
    };
    pub use worker::{Method, Request, Response, console_error, console_log, console_warn};
}

/// The examples in README and in the guide compile.
#[cfg(doctest)]
mod guide {
    #[cfg(feature = "http")]
    #[doc = include_str!("../../docs/guide/http.md")]
    struct Http;

    macro_rules! pages {
        ($($name:ident = $path:literal;)*) => {$(
            #[doc = include_str!($path)]
            struct $name;
        )*};
    }

    pages! {
        Readme = "../../README.md";
        Start = "../../docs/guide/start.md";
        Objects = "../../docs/guide/objects.md";
        Calls = "../../docs/guide/calls.md";
        Crates = "../../docs/guide/crates.md";
        Sockets = "../../docs/guide/sockets.md";
        Schedules = "../../docs/guide/schedules.md";
        Resources = "../../docs/guide/resources.md";
        Testing = "../../docs/guide/testing.md";
        Dev = "../../docs/guide/dev.md";
        Change = "../../docs/guide/change.md";
        Wrangler = "../../docs/guide/wrangler.md";
        Failures = "../../docs/guide/failures.md";
    }
}
