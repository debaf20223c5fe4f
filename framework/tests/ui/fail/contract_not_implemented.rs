//! An implementation that differs from its contract is the compiler's to report.

use realgar::prelude::*;

#[durable_object]
pub struct Counter;

#[rpc(for = Counter)]
pub trait CounterRpc {
    async fn get(&self) -> u64;
    async fn add(&self, by: u64) -> u64;
}

#[durable_object(of = Counter)]
pub struct CounterLive;

#[rpc]
impl CounterRpc for CounterLive {
    #[rpc(name = "other")]
    async fn get(&self) -> String {
        String::new()
    }
}

fn main() {}
