//! A type with parameters that is named like a `Result`, and is none.

use realgar::prelude::*;

#[durable_object]
pub struct Counter;

impl DurableObject for Counter {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async move { Ok(Counter) }
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
pub struct SearchResult<T> {
    found: Vec<T>,
}

#[rpc]
impl Counter {
    pub fn search(&self) -> SearchResult<u32> {
        SearchResult { found: Vec::new() }
    }
}

fn main() {}
