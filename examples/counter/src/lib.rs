//! A counter per name. `POST /NAME` adds one, `GET /NAME` reads; both answer `{"value":n}`.

use realgar::prelude::*;
use serde::Serialize;
use std::cell::Cell;

/// Every increment is logged here: a resource is a value, and binding it is declaring it.
pub static EVENTS: D1Database = D1Database::new("Events");

#[durable_object]
pub struct Counter {
    state: State,
    events: D1Client,
    count: Cell<u64>,
}

impl DurableObject for Counter {
    fn init(cx: &mut Init) -> impl Instantiate<Self> {
        // Phase 1: shared by all counters, and read at build time.
        let events = cx.bind(&EVENTS);
        move |state: State| async move {
            // Phase 2: once per counter, before its first event.
            events.execute("CREATE TABLE IF NOT EXISTS events (counter TEXT, added INTEGER)", ()).await?;
            let count = state.storage().kv().get("count")?.unwrap_or(0);
            Ok(Counter { state, events, count: Cell::new(count) })
        }
    }
}

#[rpc]
impl Counter {
    /// Adds `by`, and returns the new count.
    pub async fn increment(&self, by: u64) -> Result<u64> {
        let sum = || self.count.get().checked_add(by).ok_or("the counter is full");
        sum()?;
        // First what can still fail: so nothing in memory or storage is ahead of it. Other calls may run meanwhile, so the count is
        // read again, and written without an `await`.
        self.events.execute("INSERT INTO events VALUES (?, ?)", (self.state.name(), by)).await?;
        let count = sum()?;
        self.state.storage().kv().put("count", &count)?;
        self.count.set(count);
        Ok(count)
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.count.get()
    }
}

#[worker(hosts(Counter), name = "counter")]
pub struct Api {
    counters: Namespace<Counter>,
}

#[derive(Serialize)]
struct Answer {
    value: u64,
}

impl Worker for Api {
    fn init(cx: &mut Init) -> Self {
        Api { counters: cx.bind(Counter::from::<Api>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let name = request.path().trim_start_matches('/').to_string();
        if name.is_empty() {
            return Ok(Response::error("name a counter: POST /NAME adds one, GET /NAME reads", 404)?);
        }
        let counter = self.counters.get_by_name(&name);
        let value = match request.method() {
            Method::Post => counter.increment(1).await?,
            Method::Get => counter.get().await?,
            _ => return Ok(Response::error("POST adds one, GET reads", 405)?),
        };
        Ok(Response::from_json(&Answer { value })?)
    }
}

realgar::export!(Api);
