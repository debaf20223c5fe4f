//! The Worker that hosts the counters: `GET /NAME` adds one.

use cross_script::{Counter, CounterRpc, WorkerA};
use realgar::prelude::*;
use std::cell::Cell;

/// What a counter does. Leave it out of `objects(..)` below, and the compiler says that `WorkerA` hosts `Counter`.
#[durable_object(of = Counter)]
pub struct CounterLive {
    state: State,
    count: Cell<u64>,
}

impl DurableObject for CounterLive {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async move {
            let count = state.storage().kv().get("count")?.unwrap_or(0);
            Ok(CounterLive { state, count: Cell::new(count) })
        }
    }
}

#[rpc]
impl CounterRpc for CounterLive {
    async fn increment(&self) -> Result<u64> {
        let count = self.count.get() + 1;
        // Memory is never ahead of storage, which may refuse.
        self.state.storage().kv().put("count", &count)?;
        self.count.set(count);
        Ok(count)
    }

    async fn get(&self) -> u64 {
        self.count.get()
    }
}

#[worker(of = WorkerA)]
pub struct WorkerALive {
    counters: Namespace<Counter>,
}

impl Worker for WorkerALive {
    fn init(cx: &mut Init) -> Self {
        // In the host the same line is the local namespace, so that code with it can move.
        WorkerALive { counters: cx.bind(Counter::from::<WorkerA>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let value = self.counters.get_by_name(&request.path()[1..]).increment().await?;
        Ok(Response::ok(format!("{{\"value\":{value}}}"))?)
    }
}

realgar::export!(WorkerALive, objects(CounterLive));
