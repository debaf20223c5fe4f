//! A Worker that shares the counters of `WorkerA`: `GET /NAME` reads. It has nothing of what a counter does.

use cross_script::{Counter, WorkerA};
use realgar::prelude::*;

#[worker]
pub struct WorkerB {
    counters: Namespace<Counter>,
}

impl Worker for WorkerB {
    fn init(cx: &mut Init) -> Self {
        WorkerB { counters: cx.bind(Counter::from::<WorkerA>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let value = self.counters.get_by_name(&request.path()[1..]).get().await?;
        Ok(Response::ok(format!("{{\"value\":{value}}}"))?)
    }
}

realgar::export!(WorkerB);
