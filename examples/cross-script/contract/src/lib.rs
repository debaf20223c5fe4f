//! What both Workers know: the identity of the object, its methods, and which Worker hosts it. Nothing here runs.

use realgar::prelude::*;

#[durable_object]
pub struct Counter;

#[rpc(for = Counter)]
pub trait CounterRpc {
    /// Adds one, and returns the new count.
    async fn increment(&self) -> Result<u64>;

    /// The count.
    async fn get(&self) -> u64;
}

/// Hosts the counters: `Counter::from::<WorkerA>()` compiles because of `hosts(Counter)`.
#[worker(hosts(Counter))]
pub struct WorkerA;
