//! Options of a method whose block is no `#[rpc]` block.

use realgar::prelude::*;

pub struct Counter;

impl Counter {
    #[rpc(exclusive)]
    pub async fn increment(&self, by: u64) -> u64 {
        by
    }
}

fn main() {}
