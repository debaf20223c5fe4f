//! The same object twice: in the instance that all share, and with one for each.

use futures_util::future::try_join_all;
use realgar::{Namespace, prelude::*};
use std::cell::Cell;

macro_rules! counter {
    ($name:ident, $stub:ident, $isolation:literal) => {
        #[durable_object(isolation = $isolation)]
        pub struct $name {
            count: Cell<u32>,
        }

        impl DurableObject for $name {
            fn init(_cx: &mut Init) -> impl Instantiate<Self> {
                |_: State| async { Ok($name { count: Cell::new(0) }) }
            }
        }

        #[rpc]
        impl $name {
            pub fn count(&self) -> u32 {
                self.count.set(self.count.get() + 1);
                self.count.get()
            }
        }
    };
}

counter!(Shared, SharedStub, "isolate");
counter!(Alone, AloneStub, "object");

#[worker(hosts(Shared, Alone))]
pub struct BenchIsolated {
    shared: Namespace<Shared>,
    alone: Namespace<Alone>,
}

impl Worker for BenchIsolated {
    fn init(cx: &mut Init) -> Self {
        BenchIsolated { shared: cx.bind(Shared::from::<Self>()), alone: cx.bind(Alone::from::<Self>()) }
    }

    /// `/shared/{objects}/{calls}` and `/alone/{objects}/{calls}`: so many calls of each, and of what they returned the least.
    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let path = request.path();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let [class, objects, calls] = parts[..] else { return Ok(Response::error("no such thing", 404)?) };
        let (objects, calls): (u32, u32) =
            (objects.parse().map_err(|_| "a number")?, calls.parse().map_err(|_| "a number")?);
        let mut least = u32::MAX;
        for _ in 0..calls {
            let names = (0..objects).map(|number| number.to_string());
            let counts = if class == "alone" {
                try_join_all(names.map(|name| async move { self.alone.get_by_name(&name).count().await })).await?
            } else {
                try_join_all(names.map(|name| async move { self.shared.get_by_name(&name).count().await })).await?
            };
            least = least.min(counts.into_iter().min().unwrap_or(0));
        }
        Ok(Response::from_json(&least)?)
    }
}

realgar::export!(BenchIsolated);
