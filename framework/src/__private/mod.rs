//! The functions that generated code calls. They are not for people, and may change in any release.
//!
//! Generated code is data plus one call into a function of this module, so that what happens is written, documented and
//! tested here.

mod describe;
mod exported;
mod exports;
pub mod object;
pub mod probe;
mod travel;
mod turns;

pub use crate::{
    calls::{
        Argument, Arguments, MethodName, Refusal, Reply, call_stream, call_stream_fallible,
        stream::{Sink, StreamArgument, StreamHandle},
    },
    init::Record,
    runtime::promise::promise_settled,
};
pub use core;
pub use describe::{describe_interface, describe_panic};
pub use exported::{AsHosted, Checked, Exported, Incomplete, Listed, Unmarked};
pub use object::{
    AlarmAbsent, AlarmPresent, CloseAbsent, ClosePresent, ConsumeAbsent, ConsumePresent, Contract, ContractAbsent,
    ContractPresent, EntrypointOf, ErrorAbsent, ErrorPresent, EventAbsent, EventPresent, FetchAbsent, FetchPresent,
    ImplementedBy, Implements, ImplementsNot, MessageAbsent, MessageFormAbsent, MessageFormPresent, MessagePresent,
    Method, ObjectTable, Probe, Provides, Rpc, RpcAbsent, RpcPresent, ScheduledAbsent, ScheduledPresent, WorkerTable,
    assert_no_object, assert_no_worker, entrypoint, hosted_name, joined,
};
pub use realgar_wire as wire;

pub use exports::{ObjectHandle, arm, call_worker, cancel, consume, fetch, make_object, scheduled};
pub use std::vec::Vec;
pub use travel::{
    Fallible, IsResult, NoResult, Outcome, Unfit, UnfitResult, Value, assert_error, assert_no_result, assert_value,
    reply_stream,
};
pub use turns::{Turns, exclusive};

/// How the classes that a Worker hosted before have changed, as `#[worker]` says.
pub type ClassChanges = Vec<realgar_wire::ClassChange>;
