//! `await` in Phase 1, and an `init` that is async.

use realgar::prelude::*;

static DATABASE: D1Database = D1Database::new("DB");

#[durable_object]
pub struct Counter;

impl DurableObject for Counter {
    async fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async move { Ok(Counter) }
    }
}

#[durable_object]
pub struct Waiting;

impl DurableObject for Waiting {
    fn init(cx: &mut Init) -> impl Instantiate<Self> {
        let database = cx.bind(&DATABASE);
        database.execute("SELECT 1", ()).await;
        |_state: State| async move { Ok(Waiting) }
    }
}

#[worker]
pub struct Api;

impl Worker for Api {
    async fn init(_cx: &mut Init) -> Self {
        Api
    }
}

fn main() {}
