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

#[worker]
pub struct Api;

impl Worker for Api {
    fn init(cx: &mut Init) -> Self {
        cx.bind(Counter::from::<Api>());
        Api
    }
}

fn main() {}
