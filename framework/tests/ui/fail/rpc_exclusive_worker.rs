//! A Worker whose method waits for others.

use realgar::prelude::*;

#[worker]
pub struct Api;

impl Worker for Api {
    fn init(_cx: &mut Init) -> Self {
        Api
    }
}

#[rpc]
impl Api {
    #[rpc(exclusive)]
    pub fn alone(&self) {}
}

realgar::export!(Api);

fn main() {}
