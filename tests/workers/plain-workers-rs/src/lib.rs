//! A Worker of plain workers-rs, built by stock worker-build, that calls objects and a Worker of Realgar.

use contract::{Bank, Entry, Ledger};
use realgar::workers_rs::{namespace, service};
use worker::{Context, Env, Request, Response, Result, event};

#[event(fetch)]
async fn fetch(request: Request, _env: Env, _cx: Context) -> Result<Response> {
    let ledger = namespace::<Ledger>("LEDGERS").get_by_name("ada");
    let bank = service::<Bank>("BANK");
    let text = match request.path().as_str() {
        "/add" => format!("{:?}", ledger.add(Entry { amount: 7, notes: vec!["plain".into()] }).await),
        "/refused" => format!("{:?}", ledger.add(Entry { amount: 7, notes: Vec::new() }).await),
        "/each" => match ledger.each().await {
            Ok(entries) => format!("{:?}", entries.collect().await),
            Err(error) => format!("{error:?}"),
        },
        "/statement" => format!("{:?}", bank.statement("ada".into()).await),
        _ => return bank.fetch(request).await.map_err(|error| error.to_string().into()),
    };
    Response::ok(text)
}
