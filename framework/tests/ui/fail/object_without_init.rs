use realgar::prelude::*;

#[durable_object]
pub struct Counter;

#[worker(hosts(Counter))]
pub struct Api;

impl Worker for Api {
    fn init(_cx: &mut Init) -> Self {
        Api
    }
}

realgar::export!(Api);

fn main() {}
