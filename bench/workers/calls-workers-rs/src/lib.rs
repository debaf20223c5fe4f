//! The same in plain workers-rs, where a call is a request: `stub.fetch`.

use std::cell::Cell;
use worker::*;

#[durable_object(fetch)]
pub struct Adder {
    sum: Cell<u64>,
}

impl DurableObject for Adder {
    fn new(_state: State, _env: Env) -> Self {
        Self { sum: Cell::new(0) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let by: u64 = request.path().trim_start_matches('/').parse().unwrap_or(0);
        self.sum.set(self.sum.get() + by);
        Response::ok(self.sum.get().to_string())
    }
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, _cx: Context) -> Result<Response> {
    let count: u32 = request.path().trim_start_matches('/').parse().unwrap_or(0);
    let adder = env.durable_object("Adder")?.get_by_name("one")?;
    let mut sum = String::new();
    for _ in 0..count {
        sum = adder.fetch_with_str("https://adder/1").await?.text().await?;
    }
    Response::ok(sum)
}
