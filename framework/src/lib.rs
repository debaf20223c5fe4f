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
//! A method is to JavaScript what it looks like: positional plain values. Integers are `Number` up to 2^53 - 1 and `BigInt`
//! beyond, both are accepted where they fit, and nothing is rounded. `Vec<u8>` is a `Uint8Array`. `None` is `null`, and
//! `null` or `undefined` are `None`. Structs are plain objects, enums are tagged as serde's derive tags them.

mod alarm;
mod bindings;
mod codec;
mod context;
mod deadline;
mod entrypoint;
mod error;
mod executor;
#[cfg(feature = "http")]
mod http;
mod init;
mod js;
mod namespace;
mod object;
mod promise;
mod request;
pub(crate) mod rpc;
mod scheduler;
mod sql;
mod state;
mod storage;
mod stream;
mod stub;
mod time;
mod trace;
mod websocket;
#[cfg(feature = "workers-rs")]
pub mod workers_rs;

#[doc(hidden)]
pub mod __private;

pub use alarm::{Alarm, OnAlarm};
pub use bindings::{
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
pub use codec::CodecError;
pub use context::Context;
pub use deadline::{Elapsed, deadline};
pub use entrypoint::{Consume, Hosts, LiveWorker, Scheduled, ScheduledEvent, Worker, WorkerClass};
pub use error::{Error, Exception, Result};
#[cfg(feature = "http")]
pub use http::serve;
pub use init::{Bindable, Declaration, Init, Property};
pub use namespace::{Jurisdiction, LocationHint, Namespace, NamespaceBinding, ObjectId};
pub use object::{DurableObject, Fetch, Instantiate, Live, LiveObject, ObjectClass};
pub use request::RequestExt;
pub use rpc::{CallError, RpcError, RpcErrorKind};
pub use scheduler::{
    Cron, Cursor, DeadLetter, Event, Missed, OnEvent, Overlap, Pending, Repeat, Retry, Run, Schedule, ScheduleSettings, When,
};
pub use sql::{Migration, Params, Sql, SqlValue};
pub use state::State;
pub use storage::{Entries, Kv, ListOptions, Storage, Transaction};
pub use stream::{RpcStream, StreamError, stream_response};
pub use stub::{ServiceBinding, Stub};
pub use time::{Sleep, now_ms, sleep};
#[cfg(feature = "tracing")]
pub use trace::init_tracing;
pub use websocket::{
    Broadcast, Close, FromMessage, Json, OnClose, OnError, OnMessage, WebSocket, WebSocketMessage, WebSockets,
};

/// What a method returns to stream: the trait of the crate `futures`.
pub use futures_core::Stream;

/// The base crate: requests, responses and the rest of the platform.
pub use ::worker;

/// A [`Cron`] expression that is checked when it is compiled, in UTC or in the time zone that follows.
///
/// ```
/// # use realgar::{Cron, cron};
/// let every_morning: Cron = cron!("0 9 * * MON-FRI", "Europe/Berlin");
/// let every_quarter: Cron = cron!("*/15 * * * *");
/// ```
pub use realgar_macros::cron;

/// Marks a struct as a Durable Object class.
///
/// It gives the class its name (`#[durable_object(name = "..")]` for another one than the struct's), its stub type
/// (`CounterStub` for `Counter`) and `Counter::from::<Host>()`, the binding to its namespace. The behaviour is in
/// [`DurableObject`], [`Fetch`] and an inherent `impl` marked [`macro@rpc`].
///
/// In a contract crate the struct is an identity only, without behaviour; `#[durable_object(of = Counter)]`, in the crate that
/// hosts it, marks the struct that implements it.
///
/// `#[durable_object(isolation = "object")]`, on the struct that implements a class, gives each of its objects a wasm instance of its own:
/// a panic, a trap or a memory that grows stays in that object, where otherwise it interrupts all objects in the isolate, and the Worker.
/// It costs memory: 384 KiB and more for each instance (a stack of 256 KiB instead of 1 MiB, and the data of the program), which count
/// towards the 128 MB of the isolate, and about half a millisecond when an object starts; Phase 1 runs in each. Statics are each
/// object's own. How many such objects production keeps in one isolate is not known to us.
pub use realgar_macros::durable_object;

/// Exports a Worker and the objects it hosts from this `cdylib`. Once per crate, with the type that [`macro@worker`] marks.
///
/// `export!(WorkerALive, objects(CounterLive))` names what implements the classes, where those are only a contract, and
/// `entrypoints(Admin)` the named entrypoints of the script.
pub use realgar_macros::export;

/// Makes the `pub` methods of an inherent `impl` callable from other isolates.
///
/// A method takes `&self` and owned parameters that serde can decode; it returns a value that serde can encode, or a
/// `Result` of one. Its name on the wire is the camelCase form, or what `#[rpc(name = "..")]` on the method says. It may return
/// `impl Stream<Item = T>`, of results too, and take an [`RpcStream`]: at the caller that is any stream of the items.
///
/// | option | on | says |
/// |---|---|---|
/// | `name = ".."` | a method | its name on the wire |
/// | `native` | a method, a block, a trait | values travel as plain JavaScript values, also between Rust and Rust: for types that postcard would corrupt, and for peers in JavaScript |
/// | `idempotent` | a method | it may run twice: a call that failed on the way is repeated where the platform suggests it |
/// | `exclusive` | a method of an object | it waits for the object's other exclusive methods that run |
/// | `for = Counter` | a trait | the trait is what callers know of `Counter`; `#[rpc] impl CounterRpc for CounterLive` implements it |
///
/// While a method awaits, other events of the object run. The platform holds them back only while storage is read; after an `await` on
/// anything else, what was read before may be old:
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
/// Exclusive methods run in the order of their calls. One that calls an exclusive method of its own object waits for itself: give
/// such a call a [`deadline()`]. Methods that are not exclusive, and other events, still run meanwhile. A `RefCell` that is borrowed
/// across an `await` panics when another event borrows it: clippy's `await_holding_refcell_ref` finds those.
///
/// An error type of its own needs `Serialize` and `Deserialize`, to arrive as itself, and `Display`, for the message that
/// JavaScript sees; and `From<realgar::Error>` for `?` on storage and calls:
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
/// `hosts(A, B)` lists the Durable Object classes that live in its script; `name = ".."` is the script's name, by default
/// the struct's in kebab case. `WorkerA::service()` is the binding to it from other Workers.
///
/// `of = WorkerA` marks what implements a Worker that is only a contract. `entrypoint_of = WorkerA` marks another class of its
/// script, with bindings, methods and a `fetch` of its own: `export!(WorkerA, entrypoints(Admin))`.
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
