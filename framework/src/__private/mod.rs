//! The functions that generated code calls. They are not for people, and may change in any release.
//!
//! Generated code is data plus one call into a function of this module, so that what happens is written, documented and
//! tested here.

mod describe;
mod exported;
pub mod object;
pub mod probe;
mod reply;
pub(crate) mod runtime;
mod travel;
mod turns;

pub use crate::{
    calls::{
        Argument, Arguments, MethodName, Refusal, Reply,
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
    ImplementedBy, MessageAbsent, MessagePresent, Method, ObjectTable, Probe, Provides, Rpc, RpcAbsent, RpcPresent,
    ScheduledAbsent, ScheduledPresent, WorkerTable, entrypoint, hosted, hosted_name, joined,
};
pub use realgar_wire as wire;

/// How the classes that a Worker hosted before have changed, as `#[worker]` says.
pub type ClassChanges = Vec<realgar_wire::ClassChange>;
pub use reply::{
    Fallible, IsResult, NoResult, assert_no_result, call_stream, call_stream_fallible, exclusive, reply_stream,
};
pub use runtime::{ObjectHandle, arm, call_worker, cancel, consume, fetch, make_object, scheduled};
pub use std::vec::Vec;
pub use travel::{Outcome, Unfit, UnfitResult, Value, assert_error, assert_value};
pub use turns::Turns;
