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

#[worker(hosts(Counter, Counter), name = "Not_A_Script", main = "x.js")]
pub struct Api;

#[worker]
pub struct Ünïcode;

#[worker]
pub fn api() {}

fn main() {
    let _ = (Api, Ünïcode, api);
}
