//! An object without `#[durable_object]`.

use realgar::prelude::*;

pub struct Counter;

impl DurableObject for Counter {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async move { Ok(Counter) }
    }
}

#[rpc]
impl Counter {
    pub async fn get(&self) -> u64 {
        1
    }
}

#[worker(hosts(Counter))]
pub struct Api {
    counters: Namespace<Counter>,
}

impl Worker for Api {
    fn init(cx: &mut Init) -> Self {
        Api { counters: cx.bind(Counter::from::<Api>()) }
    }

    async fn fetch(&self, _request: Request, _cx: &Context) -> Result<Response> {
        let count = self.counters.by_name("one").get().await?;
        Ok(Response::ok(count.to_string())?)
    }
}

realgar::export!(Api);

fn main() {}
