//! A Worker whose contract hosts a class that nothing implements.

use realgar::prelude::*;

#[durable_object]
pub struct Counter;

#[durable_object]
pub struct Room;

#[rpc(for = Counter)]
pub trait CounterRpc {
    async fn get(&self) -> u64;
}

#[worker(hosts(Counter, Room))]
pub struct Api;

#[durable_object(of = Counter)]
pub struct CounterLive;

impl DurableObject for CounterLive {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async { Ok(CounterLive) }
    }
}

#[rpc]
impl CounterRpc for CounterLive {
    async fn get(&self) -> u64 {
        1
    }
}

#[worker(of = Api)]
pub struct ApiLive;

impl Worker for ApiLive {
    fn init(_cx: &mut Init) -> Self {
        ApiLive
    }
}

realgar::export!(ApiLive, objects(CounterLive));

fn main() {}
