//! An object that breaks in every way there is.

use realgar::{prelude::*, sleep};
use std::{cell::Cell, time::Duration};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(inline_js = "export function throws() { throw new TypeError('thrown by JavaScript'); }")]
extern "C" {
    /// An import without `catch`, as the base crate has them.
    fn throws();
}

#[cfg_attr(not(feature = "isolated"), durable_object)]
#[cfg_attr(feature = "isolated", durable_object(isolation = "object"))]
pub struct Fragile {
    state: State,
    /// Lost with the instance; what is stored is not.
    in_memory: Cell<u32>,
}

impl DurableObject for Fragile {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async move {
            let plan: Option<String> = state.storage().get("start").await?;
            match plan.as_deref() {
                Some("error") => {
                    state.storage().delete("start").await?;
                    return Err("not today".into());
                }
                Some("panic") => {
                    state.storage().delete("start").await?;
                    panic!("panic in Phase 2");
                }
                Some("slow") => sleep(Duration::from_millis(300)).await,
                _ => {}
            }
            Ok(Fragile { state, in_memory: Cell::new(0) })
        }
    }
}

impl Fetch for Fragile {
    async fn fetch(&self, _request: Request) -> Result<Response> {
        panic!("panic in fetch");
    }
}

#[rpc]
impl Fragile {
    /// Counts in memory and in storage.
    pub async fn count(&self) -> Result<(u32, u32)> {
        self.in_memory.set(self.in_memory.get() + 1);
        let stored = self.state.storage().get("stored").await?.unwrap_or(0) + 1;
        self.state.storage().put("stored", &stored).await?;
        Ok((self.in_memory.get(), stored))
    }

    /// Decides how the next instance starts.
    pub async fn plan_start(&self, plan: String) -> Result<()> {
        self.state.storage().put("start", &plan).await
    }

    pub async fn wait(&self, milliseconds: u32) -> u32 {
        sleep(Duration::from_millis(milliseconds.into())).await;
        milliseconds
    }

    /// Waits inside a transaction.
    pub async fn wait_in_transaction(&self, milliseconds: u32) -> Result<()> {
        self.state
            .storage()
            .transaction(move |transaction| async move {
                transaction.put("waited", &milliseconds).await?;
                sleep(Duration::from_millis(milliseconds.into())).await;
                Ok(())
            })
            .await
    }

    pub async fn waited(&self) -> Result<Option<u32>> {
        self.state.storage().get("waited").await
    }

    pub async fn fault(&self, kind: String) -> Result<()> {
        match kind.as_str() {
            "panic-after-await" => {
                sleep(Duration::from_millis(5)).await;
                panic!("panic after an await");
            }
            "panic-in-timer" => {
                self.state.wait_until(async {
                    sleep(Duration::from_millis(5)).await;
                    panic!("panic in a timer");
                });
                sleep(Duration::from_secs(30)).await;
            }
            "panic-in-transaction" => {
                self.state
                    .storage()
                    .transaction(|transaction| async move {
                        transaction.put("stored", &1000).await?;
                        panic!("panic in a transaction")
                    })
                    .await?;
            }
            "panic-in-transaction-sync" => {
                let storage = self.state.storage();
                self.state.sql().execute("CREATE TABLE IF NOT EXISTS broken (id INTEGER)", ())?;
                return storage.transaction_sync(|| {
                    self.state.sql().execute("INSERT INTO broken VALUES (1)", ())?;
                    panic!("panic in a synchronous transaction")
                });
            }
            "overflow-after-await" => {
                sleep(Duration::from_millis(5)).await;
                std::hint::black_box(deep(1));
            }
            other => now(other),
        }
        Ok(())
    }

    /// How many rows the synchronous transaction left.
    pub fn broken_rows(&self) -> Result<u32> {
        #[derive(serde::Deserialize)]
        struct Count {
            count: u32,
        }
        Ok(self.state.sql().query_one::<Count>("SELECT count(*) AS count FROM broken", ())?.count)
    }
}

/// The faults that need no object.
fn now(kind: &str) {
    match kind {
        "panic" => panic!("panic at once"),
        "stack-small" => drop(std::hint::black_box(deep(1))),
        "stack-large" => drop(std::hint::black_box(wide(1))),
        "out-of-memory" => {
            let mut all = Vec::new();
            loop {
                all.push(std::hint::black_box(Vec::<u8>::with_capacity(64 * 1024 * 1024)));
            }
        }
        "unreachable" => core::arch::wasm32::unreachable(),
        "js-exception" => throws(),
        _ => {}
    }
}

#[expect(unconditional_recursion, reason = "that is the fault")]
fn deep(n: u64) -> u64 {
    std::hint::black_box(deep(std::hint::black_box(n + 1))) + 1
}

#[expect(unconditional_recursion, reason = "that is the fault")]
fn wide(n: u64) -> u64 {
    let frame = std::hint::black_box([n; 4096]);
    std::hint::black_box(wide(frame[0] + 1)) + frame[1]
}

/// Breaks the Worker itself.
pub async fn here(kind: &str, cx: &Context) -> Result<Response> {
    if kind == "wait" {
        sleep(Duration::from_secs(20)).await;
    }
    if kind == "wait-until" {
        cx.wait_until(async { panic!("panic in waitUntil") });
    }
    now(kind);
    if kind == "error" {
        return Err("a secret detail".into());
    }
    Ok(Response::ok("fine")?)
}
