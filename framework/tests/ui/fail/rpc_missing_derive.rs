//! One type without derives, used in every place.

use realgar::prelude::*;

#[durable_object]
pub struct Counter;

impl DurableObject for Counter {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async move { Ok(Counter) }
    }
}

pub struct Opaque;

#[rpc]
impl Counter {
    // Not compiled, and so no check of the type either.
    #[cfg(any())]
    pub fn never(&self, _opaque: Opaque) {}

    pub fn argument(&self, _opaque: Opaque) {}

    pub fn result(&self) -> Opaque {
        Opaque
    }

    pub fn perhaps(&self) -> Option<Opaque> {
        None
    }

    pub fn stream(&self) -> impl Stream<Item = Opaque> {
        futures_util::stream::iter([Opaque])
    }
}

fn main() {}
