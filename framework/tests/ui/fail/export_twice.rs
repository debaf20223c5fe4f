use realgar::prelude::*;

#[worker]
pub struct Api;

impl Worker for Api {
    fn init(_cx: &mut Init) -> Self {
        Api
    }
}

realgar::export!(Api);
realgar::export!(Api);

fn main() {}
