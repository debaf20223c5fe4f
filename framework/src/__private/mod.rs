//! The functions that generated code calls. They are not for people, and may change in any release.
//!
//! Generated code is data plus one call into a function of this module, so that what happens is written, documented and
//! tested here.

mod describe;
pub mod object;
pub mod probe;
mod reply;
pub(crate) mod runtime;
mod turns;

pub use crate::{
    init::Record,
    promise::promise_settled,
    rpc::{Argument, Arguments, MethodName},
    stream::{Sink, StreamArgument, StreamHandle},
};
pub use core;
pub use describe::{describe, describe_interface, describe_panic};
pub use object::{
    AlarmAbsent, AlarmPresent, CloseAbsent, ClosePresent, ConsumeAbsent, ConsumePresent, Contract, ContractAbsent,
    ContractPresent, EntrypointOf, ErrorAbsent, ErrorPresent, EventAbsent, EventPresent, FetchAbsent, FetchPresent,
    ImplementedBy, MessageAbsent, MessagePresent, Method, ObjectTable, Probe, Provides, Rpc, RpcAbsent, RpcPresent,
    ScheduledAbsent, ScheduledPresent, WorkerTable, entrypoint, hosted, hosted_name, joined,
};
pub use realgar_wire as wire;

/// How the classes that a Worker hosted before have changed, as `#[worker]` says.
pub type ClassChanges = Vec<realgar_wire::ClassChange>;
pub use reply::{
    Fallible, IsResult, NoResult, Refusal, Reply, argument, assert_no_result, call, call_fallible, call_stream,
    call_stream_fallible, exclusive, opened, reply, reply_fallible, reply_stream, stream_argument,
};
pub use runtime::{ObjectHandle, arm, call as call_worker, cancel, consume, fetch, make_object, register, scheduled};
pub use std::vec::Vec;
pub use turns::Turns;
