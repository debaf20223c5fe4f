//! The attribute of a Worker on an object, and the reverse.

use realgar::prelude::*;

#[worker]
pub struct Counter;

impl DurableObject for Counter {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async move { Ok(Counter) }
    }
}

#[durable_object]
pub struct Api;

impl Worker for Api {
    fn init(_cx: &mut Init) -> Self {
        Api
    }
}

fn main() {}
