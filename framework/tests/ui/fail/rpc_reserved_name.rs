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

    pub fn fetch(&self) -> u32 {
        0
    }

    pub fn to_string(&self) -> String {
        String::new()
    }

    pub fn web_socket_message(&self) {}

    #[rpc(name = "then")]
    pub fn later(&self) {}
}

// The item is still there: its callers have no error of their own.
pub async fn caller(counter: CounterStub) {
    let _ = counter.fine().await;
    let _ = counter.later().await;
}

fn main() {}
