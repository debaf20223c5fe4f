//! Signatures that users of macros and lifetimes write.

use futures_util::stream;
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

#[derive(serde::Serialize, serde::Deserialize)]
pub struct SearchResult {
    hits: Vec<String>,
}

macro_rules! rpc {
    ($class:ty, $result:ty, $items:ty, $argument:ty) => {
        #[rpc]
        impl $class {
            pub async fn get(&self) -> $result {
                Err("no".into())
            }

            pub async fn search(&self, words: String) -> SearchResult {
                SearchResult { hits: vec![words] }
            }

            pub fn found(&self) -> impl Stream<Item = SearchResult> + use<> {
                stream::empty()
            }

            pub fn checked(&self) -> impl Stream<Item = $items> + use<> {
                stream::empty()
            }

            pub fn items<'a>(&'a self) -> impl Stream<Item = u32> + 'a {
                stream::iter([1])
            }

            #[expect(clippy::needless_arbitrary_self_type, reason = "it is what is tested")]
            pub async fn typed(self: &Self, argument: $argument) -> (u32) {
                argument
            }
        }
    };
}

rpc!(Counter, Result<u32>, Result<u8, String>, u32);

/// The stub takes results apart, also those that a macro handed over.
pub async fn caller(counter: CounterStub) -> Result<()> {
    let _: u32 = counter.get().await?;
    let _: SearchResult = counter.search("a".into()).await?;
    let _: realgar::RpcStream<u32> = counter.items().await?;
    let _: realgar::RpcStream<u8, realgar::CallError<String>> = counter.checked().await?;
    let _: u32 = counter.typed(1).await?;
    Ok(())
}

fn main() {}
