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

pub struct Opaque;

#[rpc]
impl Counter {
    pub fn argument(&self, opaque: Opaque) {}

    pub fn result(&self) -> Opaque {
        Opaque
    }

    pub fn failure(&self) -> Result<u32, Opaque> {
        Ok(0)
    }
}

fn main() {}
