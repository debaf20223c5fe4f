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

#[rpc]
impl Clone for Counter {
    fn clone(&self) -> Self {
        unimplemented!()
    }
}

fn main() {}
