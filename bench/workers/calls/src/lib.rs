//! An object whose method does nothing but add, and a Worker that calls it in a loop: `GET /N`.

use realgar::prelude::*;
use std::cell::Cell;

#[durable_object]
pub struct Adder {
    sum: Cell<u64>,
}

impl DurableObject for Adder {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async { Ok(Adder { sum: Cell::new(0) }) }
    }
}

#[rpc]
impl Adder {
    pub async fn increment(&self, by: u64) -> u64 {
        self.sum.set(self.sum.get() + by);
        self.sum.get()
    }
}

#[worker(hosts(Adder))]
pub struct Calls {
    adders: Namespace<Adder>,
}

impl Worker for Calls {
    fn init(cx: &mut Init) -> Self {
        Calls { adders: cx.bind(Adder::from::<Calls>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let count: u32 = request.path().trim_start_matches('/').parse().map_err(|_| "GET /N")?;
        let adder = self.adders.get_by_name("one");
        let mut sum = 0;
        for _ in 0..count {
            sum = adder.increment(1).await?;
        }
        Ok(Response::ok(sum.to_string())?)
    }
}

realgar::export!(Calls);
