//! A Worker whose `fetch` is an axum router.

use axum::{
    Router,
    extract::{Path, State as Shared},
    http::StatusCode,
    routing::{get, post},
};
use realgar::{prelude::*, worker::send::SendFuture};
use std::cell::Cell;

#[durable_object]
pub struct Tally {
    count: Cell<u32>,
}

impl DurableObject for Tally {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async { Ok(Tally { count: Cell::new(0) }) }
    }
}

#[rpc]
impl Tally {
    pub fn add(&self, by: u32) -> u32 {
        self.count.set(self.count.get() + by);
        self.count.get()
    }
}

#[worker(hosts(Tally))]
pub struct Routed {
    router: Router,
}

impl Worker for Routed {
    fn init(cx: &mut Init) -> Self {
        let router = Router::new()
            .route("/tally/{name}/{by}", post(add))
            .route("/echo", post(|body: String| async move { (StatusCode::CREATED, [("x-kind", "echo")], body) }))
            .route("/cut/{at}", post(|Path(at): Path<usize>, body: String| async move { body[..at].to_string() }))
            .route("/", get(|| async { "home" }))
            .with_state(cx.bind(Tally::from::<Routed>()));
        Routed { router }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        realgar::serve(self.router.clone(), request).await
    }
}

async fn add(
    Shared(tallies): Shared<Namespace<Tally>>,
    Path((name, by)): Path<(String, u32)>,
) -> std::result::Result<String, (StatusCode, String)> {
    let sum = SendFuture::new(async move { tallies.get_by_name(&name).add(by).await });
    sum.await.map(|sum| sum.to_string()).map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
}

realgar::export!(Routed);
