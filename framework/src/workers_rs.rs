//! The way in from plain workers-rs: a Worker with `#[event(fetch)]`, built by `worker-build`, calls Realgar's objects and Workers.
//!
//! ```no_run
//! # use realgar::prelude::{durable_object, rpc};
//! # #[durable_object]
//! # pub struct Counter;
//! # #[rpc(for = Counter)]
//! # pub trait CounterRpc {
//! #     async fn get(&self) -> u64;
//! # }
//! use worker::{Context, Env, Request, Response, Result};
//!
//! // #[event(fetch)]
//! async fn fetch(_request: Request, _env: Env, _cx: Context) -> Result<Response> {
//!     let counters = realgar::workers_rs::namespace::<Counter>("COUNTERS");
//!     let count = counters.get_by_name("ada").get().await.map_err(|error| error.to_string())?;
//!     Response::ok(count.to_string())
//! }
//! ```
//!
//! There is no manifest of ours: the binding is in the Worker's own `wrangler.toml`. Values travel as plain JavaScript values. A
//! stream that a method returns can be read, but a stream cannot be passed as an argument.

use crate::{Bindable, Namespace, NamespaceBinding, ObjectClass, ServiceBinding, WorkerClass, runtime::promise};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/js/host.js")]
extern "C" {
    fn install(settled: &Closure<dyn FnMut(u32, bool, JsValue)>);
}

/// The objects of class `C`, bound as `binding`.
#[must_use]
pub fn namespace<C: ObjectClass>(binding: &'static str) -> Namespace<C> {
    attach();
    NamespaceBinding::<C>::in_script("").named(binding).client()
}

/// The Worker `W`, bound as `binding`.
#[must_use]
pub fn service<W: WorkerClass>(binding: &'static str) -> W::Stub {
    attach();
    ServiceBinding::<W>::new().named(binding).client()
}

/// Installs the JavaScript side, and hands it the callback for settled promises. This happens once.
fn attach() {
    thread_local! {
        static SETTLED: Closure<dyn FnMut(u32, bool, JsValue)> = {
            let settled = Closure::new(promise::promise_settled);
            install(&settled);
            settled
        };
    }
    SETTLED.with(|_| ());
}
