//! End-to-end tests on real workerd.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod awaited;
mod bindings;
mod browser;
mod bundle;
mod classes;
mod common;
mod contract;
mod counter;
mod deploy;
mod dev;
mod examples;
mod faults;
mod hostile;
mod kills;
mod laws;
mod library;
mod machine;
mod outbound;
mod phases;
mod pitfalls;
mod plain;
mod plainly;
mod private;
mod project;
mod rpc;
mod schedule;
mod schedule_alarm;
mod soak;
mod sockets;
mod storage;
mod streams;
mod tracing;
mod transfer;
mod ways_in;
mod wrangler;
