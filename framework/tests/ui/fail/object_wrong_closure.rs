use realgar::prelude::*;

#[durable_object]
pub struct Counter;

impl DurableObject for Counter {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async { Ok(7) }
    }
}

fn main() {}
