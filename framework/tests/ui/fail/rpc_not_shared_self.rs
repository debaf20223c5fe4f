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
impl Counter {
    pub fn fine(&self) -> u32 {
        0
    }

    pub fn exclusive(&mut self) {}

    pub fn owned(self) {}

    pub fn boxed(self: Box<Self>) {}

    pub fn associated() {}
}

// The item is still there: its callers have no error of their own.
pub async fn caller(counter: CounterStub) {
    let _ = counter.fine().await;
    let _ = counter.exclusive().await;
}

fn main() {}
