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

type Answer = Result<u32, String>;
type CountResult = Result<u32, String>;

#[rpc]
impl Counter {
    pub fn answer(&self) -> Answer {
        Ok(0)
    }

    pub fn count(&self) -> CountResult {
        Ok(0)
    }

    pub fn answers(&self) -> impl Stream<Item = Answer> + use<> {
        futures_util::stream::iter([Ok(0)])
    }
}

fn main() {}
