//! End-to-end tests on real workerd.

mod bundle;
mod common;
mod counter;
mod dev;
mod faults;
mod library;
mod phases;
mod project;
mod rpc;
mod storage;
