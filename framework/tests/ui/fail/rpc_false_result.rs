use realgar::prelude::*;

#[durable_object]
pub struct Counter {
    _state: State,
}

impl DurableObject for Counter {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async move { Ok(Counter { _state }) }
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
pub struct SearchResult;

#[rpc]
impl Counter {
    pub fn search(&self) -> SearchResult {
        SearchResult
    }
}

fn main() {}
