use realgar::prelude::*;

#[rpc]
pub struct Counter;

fn main() {
    let _ = Counter;
}
