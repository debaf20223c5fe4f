//! `Self` in a signature: at the caller it would be the stub.

use realgar::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
#[durable_object]
pub struct Counter {
    count: u32,
}

impl DurableObject for Counter {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async move { Ok(Counter { count: 0 }) }
    }
}

#[rpc]
impl Counter {
    pub fn copy(&self) -> Self {
        Counter { count: self.count }
    }

    pub fn merge(&self, _others: Vec<Self>) {}
}

fn main() {}
