//! Plans and applies infrastructure.
//!
//! A [`Program`] declares resources. The [`Store`] has the [`Row`]s of what earlier runs made. The kinds of resources, which other
//! crates implement ([`Kind`]), tell what is there now. From these three, [`plan()`] decides what to do, and [`apply()`] does it,
//! step by step, with a record before and after each call. So a run that is cut off anywhere is finished by the next one.
//!
//! Nothing here speaks HTTP, prints, or reads a clock: the caller passes the [`Clock`] in and receives [`Progress`].

mod action;
mod apply;
mod breaks;
mod call;
mod data;
mod files;
mod fqn;
mod graph;
mod kind;
mod memory;
mod moves;
mod names;
mod observe;
mod order;
mod plan;
mod program;
mod row;
mod secret;
mod store;

pub use action::{Action, Reason, Risk, StepId, Verb};
pub use apply::{ApplyError, ApplyOptions, Outcome, Progress, apply};
pub use breaks::PlannedBreak;
pub use data::{Data, DataError, Difference, OUTPUT, Output, Reference, changes};
pub use files::FileStore;
pub use fqn::{Fqn, NameError, Stack};
pub use kind::{AnyKind, Break, Change, Facts, Failure, FailureKind, Found, Kind, Kinds, Recorded, Recovery, Wanted};
pub use memory::MemoryStore;
pub use moves::Move;
pub use names::{Name, NameRule};
pub use observe::{Observation, Observed, observe};
pub use plan::{Allowed, Plan, PlanError, plan};
pub use program::{Policy, Program, ProgramError, Resource};
pub use row::{Event, Intent, Origin, Pending, ROW_SCHEMA, Replaced, Row, RowError, Status};
pub use secret::{FingerprintKey, Secret};
pub use store::{Clock, Fence, Holder, LEASE_MS, Lease, Recording, Snapshot, Store, StoreError, SystemClock};
