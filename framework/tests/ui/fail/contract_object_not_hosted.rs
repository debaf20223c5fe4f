//! An object that the Worker's contract does not host.

use realgar::prelude::*;

#[durable_object]
pub struct Counter;

#[worker]
pub struct Api;

#[durable_object(of = Counter)]
pub struct CounterLive;

impl DurableObject for CounterLive {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async { Ok(CounterLive) }
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
