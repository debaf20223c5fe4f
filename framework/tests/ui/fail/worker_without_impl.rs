use realgar::prelude::*;

#[worker]
pub struct Api;

realgar::export!(Api);

fn main() {}
