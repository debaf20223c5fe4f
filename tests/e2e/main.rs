//! End-to-end tests on real workerd.

mod common;
mod counter;
mod faults;
mod library;
mod phases;
mod rpc;
mod storage;
