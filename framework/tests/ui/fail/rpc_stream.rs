//! Streams whose items cannot travel.

use realgar::prelude::*;

pub struct Opaque;

#[durable_object]
pub struct Counter;

impl DurableObject for Counter {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async { Ok(Counter) }
    }
}

#[rpc]
impl Counter {
    pub fn items(&self) -> impl Stream<Item = Opaque> {
        futures_util::stream::empty()
    }

    pub fn borrowed(&self) -> impl Stream<Item = &str> {
        futures_util::stream::empty()
    }
}

fn main() {}
