//! Options that a method with a stream cannot have.

use realgar::prelude::*;

#[durable_object]
pub struct Counter;

impl DurableObject for Counter {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async { Ok(Counter) }
    }
}

#[rpc]
impl Counter {
    #[rpc(exclusive)]
    pub fn items(&self) -> impl Stream<Item = u8> {
        futures_util::stream::empty()
    }

    #[rpc(idempotent)]
    pub async fn sum(&self, _numbers: RpcStream<u8>) -> u8 {
        0
    }
}

fn main() {}
