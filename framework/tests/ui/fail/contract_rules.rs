//! Mistakes in the contract and in what implements it, all in one compile.

use realgar::prelude::*;

#[durable_object]
pub struct Counter;

#[rpc]
pub trait ForNobody {
    async fn get(&self) -> u64;
}

#[rpc(for = Counter)]
pub trait CounterRpc {
    async fn get(&self) -> u64 {
        1
    }

    async fn borrow(&self, text: &str) -> u64;

    async fn alarm(&self);

    const LIMIT: u32;
}

#[durable_object(of = Counter, name = "Other")]
pub struct CounterLive;

#[worker(of = Api, hosts(Counter), name = "other")]
pub struct ApiLive;

#[rpc(for = Counter)]
impl CounterLive {}

fn main() {}
